#include "core/clock.h"
#include "core/json_read.h"
#include "core/json_write.h"
#include "projector/jobs/signal_answer.h"
#include <math.h>

#define WEEK_USEC (INT64_C(7) * 86400 * 1000000)
#define WEIGHT_ONE_USEC INT64_C(1767225600000000) /* 2026-01-01 */

/* How much more than a look a cart and a purchase say. */
static const double cart_looks = 4, purchase_looks = 8;

bool signal_question_write(struct buf *out, struct slice after, int64_t since, unsigned size) {
    char time[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(since, time);
    buf_printf(out,
               "{\"size\":0,\"track_total_hits\":false,\"query\":{\"range\":{\"time\":{\"gte\":\"%s\"}}},"
               "\"aggs\":{\"p\":{\"composite\":{\"size\":%u,\"sources\":[{\"id\":{\"terms\":{\"field\":\"product_ids\"}}}]",
               time, size);
    if (after.len) {
        buf_append_str(out, ",\"after\":{\"id\":");
        json_append_string(out, after.data, after.len);
        buf_append_char(out, '}');
    }
    buf_append_str(out, "},\"aggs\":{\"t\":{\"terms\":{\"field\":\"type\"},\"aggs\":{\"w\":{\"sum\":{\"field\":\"weight\"}}}}}}}}");
    return buf_ok(out);
}

static void read_bucket(const struct json *bucket, double scale, struct signal_amount *ret) {
    const struct json *types = json_path(bucket, "t.buckets");
    for (const struct json *t = json_is(types, JSON_ARRAY) ? types->child : NULL; t; t = t->next) {
        double sum = 0;
        json_double(json_path(t, "w.value"), &sum);
        sum *= scale;
        if (json_string_is(json_get(t, "key"), "purchase")) {
            ret->sales += sum;
            ret->popularity += sum * purchase_looks;
        } else if (json_string_is(json_get(t, "key"), "cart")) {
            ret->popularity += sum * cart_looks;
        } else {
            ret->popularity += sum;
        }
    }
}

static bool is_whole(const struct json *answer) {
    const struct json *timed_out = json_get(answer, "timed_out");
    int64_t failed = 1;
    return json_is(timed_out, JSON_BOOL) && !timed_out->boolean && json_int64(json_path(answer, "_shards.failed"), &failed) &&
           failed == 0;
}

bool signal_answer_read(struct arena *arena, struct slice text, int64_t now, struct signal_amounts *ret, struct error *reterr) {
    static const struct json_limits limits = {.depth_max = 16, .values_max = 1000000};
    const struct json *answer = json_parse(arena, text.data ? text.data : "", text.len, &limits, reterr);
    if (!answer)
        return false;
    const struct json *page = json_path(answer, "aggregations.p"), *buckets = json_get(page, "buckets");
    if (!is_whole(answer) || !json_is(buckets, JSON_ARRAY))
        return error_set(reterr, ERROR_UNAVAILABLE, "the sums of events are not complete");
    const struct json *after = json_path(page, "after_key.id");
    double scale = exp2(-(double)(now - WEIGHT_ONE_USEC) / (double)WEEK_USEC);
    *ret = (struct signal_amounts){.items = arena_zalloc(arena, (buckets->count + 1) * sizeof(*ret->items))};
    if (!ret->items)
        return error_nomem(reterr);
    for (const struct json *b = buckets->child; b; b = b->next) {
        const struct json *id = json_path(b, "key.id");
        if (!json_is(id, JSON_STRING) || id->text.len > SIGNAL_ID_MAX_BYTES)
            continue;
        struct signal_amount *amount = &ret->items[ret->count++];
        amount->id = id->text;
        read_bucket(b, scale, amount);
    }
    if (json_is(after, JSON_STRING))
        ret->after = after->text;
    return true;
}

bool signal_changes(const struct signal_amount *amounts, size_t amount_count, const struct signal_row *rows, size_t row_count,
                    signal_change *fn, void *ctx) {
    size_t a = 0, r = 0;
    while (a < amount_count || r < row_count) {
        int order = a == amount_count ? 1 : r == row_count ? -1 : signal_id_compare(amounts[a].id, rows[r].id);
        struct slice id = order <= 0 ? amounts[a].id : rows[r].id;
        struct product_signals old = order >= 0 ? rows[r].signals : (struct product_signals){0, 0}, now = {0, 0};
        if (order <= 0)
            now = (struct product_signals){product_signals_step(amounts[a].sales, old.sales),
                                           product_signals_step(amounts[a].popularity, old.popularity)};
        if ((now.sales != old.sales || now.popularity != old.popularity) && !fn(ctx, id, now))
            return false;
        a += order <= 0;
        r += order >= 0;
    }
    return true;
}
