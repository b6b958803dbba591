#include "query-api/browse/recommend.h"
#include "query-api/browse/similar.h"
#include "query-api/search/product_view.h"
#include "query-api/search/search_result.h"
#include "query-api/text/search_rank.h"

enum { ORDERS_MAX = 10000, SHARED_USERS_MIN = 2 };

static const char *const reasons[] = {"bought_together", "similar", "for_you", "best_selling", "newest"};

/* ---- questions ---- */

/* The line before each question. */
static void put_header(struct buf *out, const char *index) {
    buf_append_str(out, "{\"ignore_unavailable\":true,\"index\":");
    json_append_string(out, index, strlen(index));
    buf_append_str(out, "}\n");
}

static void put_slice(struct buf *out, struct slice s) {
    json_append_string(out, s.data, s.len);
}

/* What else is bought by orders that a filter lets pass. */
static void put_bought_with(const struct recommend *r, struct buf *out) {
    buf_printf(out, "\"with\":{\"terms\":{\"field\":\"product_ids\",\"execution_hint\":\"map\",\"size\":%d,\"exclude\":[",
               RECOMMEND_TOGETHER_MAX);
    put_slice(out, r->product_id);
    buf_append_str(out, "]}}");
}

bool recommend_write_history(const struct recommend *r, struct buf *out) {
    if (r->product_id.data) {
        put_header(out, r->events_index);
        buf_printf(out,
                   "{\"size\":0,\"track_total_hits\":false,\"terminate_after\":%d,\"query\":{\"bool\":{\"filter\":["
                   "{\"term\":{\"type\":\"purchase\"}},{\"term\":{\"product_ids\":",
                   ORDERS_MAX);
        put_slice(out, r->product_id);
        buf_append_str(out, "}}]}},\"aggs\":{");
        put_bought_with(r, out);
        buf_printf(out, ",\"who\":{\"terms\":{\"field\":\"user_id\",\"execution_hint\":\"map\",\"size\":%d}}}}\n", RECOMMEND_USERS_MAX);
    }
    if (r->user_id.data) {
        put_header(out, r->events_index);
        buf_printf(out,
                   "{\"size\":%d,\"track_total_hits\":false,\"_source\":[\"type\",\"product_ids\"],\"sort\":[{\"time\":\"desc\"}],"
                   "\"query\":{\"bool\":{\"filter\":[{\"term\":{\"user_id\":",
                   RECOMMEND_SEEN_MAX);
        put_slice(out, r->user_id);
        buf_append_str(out, "}}]}}}\n");
    }
    return buf_ok(out);
}

static void put_ids(struct buf *out, const struct recommend_weight *items, size_t count) {
    buf_append_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_append_char(out, ',');
        put_slice(out, items[i].id);
    }
    buf_append_char(out, ']');
}

static void put_slices(struct buf *out, const struct slice *items, size_t count) {
    buf_append_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_append_char(out, ',');
        put_slice(out, items[i]);
    }
    buf_append_char(out, ']');
}

bool recommend_write_neighbours(const struct recommend *r, struct buf *out) {
    if (r->user_count) {
        put_header(out, r->events_index);
        buf_printf(out,
                   "{\"size\":0,\"track_total_hits\":false,\"terminate_after\":%d,\"query\":{\"bool\":{\"filter\":["
                   "{\"term\":{\"type\":\"purchase\"}},{\"terms\":{\"user_id\":",
                   ORDERS_MAX);
        put_slices(out, r->users, r->user_count);
        buf_append_str(out, "}}]}},\"aggs\":{");
        put_bought_with(r, out);
        buf_append_str(out, "}}\n");
    }
    if (r->seen_count) {
        put_header(out, r->index);
        buf_printf(out,
                   "{\"size\":%d,\"track_total_hits\":false,\"_source\":[\"id\",\"brand\",\"primary_category\"],"
                   "\"query\":{\"terms\":{\"id\":",
                   RECOMMEND_SEEN_MAX);
        put_ids(out, r->seen, r->seen_count);
        buf_append_str(out, "}}}\n");
    }
    return buf_ok(out);
}

/* {"size":…, what is shown, the sort, "query":{"bool":{"filter":in stock,"must_not":bought … : left open. */
static void put_candidates(const struct recommend *r, struct buf *out, const char *sort) {
    put_header(out, r->index);
    buf_printf(out,
               "{\"size\":%u,\"track_total_hits\":false,\"sort\":[%s{\"id\":\"asc\"}],"
               "\"_source\":[\"id\",\"name\",\"brand\",\"price_min\",\"price_max\",\"currency\",\"in_stock\",\"stock\",\"categories\","
               "\"primary_category\",\"sales\"],\"query\":{\"bool\":{\"filter\":[{\"term\":{\"in_stock\":true}}],\"must_not\":[{\"terms\":{\"id\":",
               r->size * 2 > RECOMMEND_TOGETHER_MAX ? r->size * 2 : RECOMMEND_TOGETHER_MAX, sort);
    struct slice own[RECOMMEND_SEEN_MAX + 1];
    size_t count = 0;
    for (; count < r->bought_count; count++)
        own[count] = r->bought[count];
    if (r->product_id.data)
        own[count++] = r->product_id;
    put_slices(out, own, count);
    buf_append_str(out, "}}]");
}

static void put_features(const struct recommend *r, struct buf *out) {
    buf_append_str(out, ",\"minimum_should_match\":1,\"should\":[");
    for (size_t i = 0; i < r->feature_count; i++) {
        const struct recommend_weight *f = &r->features[i];
        buf_append_str(out, i ? ",{\"constant_score\":{\"filter\":{\"term\":{" : "{\"constant_score\":{\"filter\":{\"term\":{");
        if (f->id.data) {
            buf_append_str(out, "\"brand\":");
            put_slice(out, f->id);
        } else {
            buf_printf(out, "\"primary_category\":%lld", (long long)f->category);
        }
        buf_printf(out, "}},\"boost\":%.3f}}", f->weight);
    }
    buf_append_char(out, ']');
}

bool recommend_write_candidates(const struct recommend *r, struct buf *out) {
    struct json_write w;
    if (r->together_count) {
        put_candidates(r, out, "");
        buf_append_str(out, ",\"must\":{\"terms\":{\"id\":");
        put_ids(out, r->together, r->together_count);
        buf_append_str(out, "}}}}}\n");
    }
    if (r->product_id.data) {
        put_candidates(r, out, "\"_score\",");
        buf_append_str(out, ",\"must\":");
        json_write_init(&w, out);
        similar_write(&w, r->index, r->product_id);
        if (!json_write_finish(&w))
            return false;
        buf_append_str(out, "}}}\n");
    }
    if (r->feature_count) {
        put_candidates(r, out, "\"_score\"," SEARCH_RANK_POPULARITY_KEY ",");
        put_features(r, out);
        buf_append_str(out, "}}}\n");
    }
    put_candidates(r, out, SEARCH_RANK_SALES_KEY ",{\"created_at\":\"desc\"},");
    buf_append_str(out, "}}}\n");
    return buf_ok(out);
}

/* ---- answers ---- */

static const struct json *first_of(const struct json *v, const char *path) {
    const struct json *list = json_path(v, path);
    return json_is(list, JSON_ARRAY) ? list->child : NULL;
}

/* The answer to question n; NULL: there is none, or it failed, if only in part. */
static const struct json *response(const struct json *answer, size_t n) {
    const struct json *at = first_of(answer, "responses");
    while (at && n--)
        at = at->next;
    return at && !json_get(at, "error") && search_result_whole(at, NULL) ? at : NULL;
}

static void add_weight(struct recommend_weight *items, size_t *count, size_t max, struct slice id, int64_t category, double weight) {
    for (size_t i = 0; i < *count; i++)
        if (items[i].category == category && slice_eq(items[i].id, id)) {
            items[i].weight += weight;
            return;
        }
    if (*count < max)
        items[(*count)++] = (struct recommend_weight){id, category, weight};
}

static void add_together(struct recommend *r, const struct json *answer, int64_t least) {
    for (const struct json *b = first_of(answer, "aggregations.with.buckets"); b; b = b->next) {
        struct slice key;
        int64_t count;
        if (json_bucket(b, &key, &count) && count >= least)
            add_weight(r->together, &r->together_count, RECOMMEND_TOGETHER_MAX, key, 0, (double)count);
    }
}

/* The newest first: each event counts a little less than the one before. */
static void add_seen(struct recommend *r, const struct json *hits) {
    double worth = 1;
    for (const struct json *hit = hits; hit; hit = hit->next, worth *= 0.95) {
        const struct json *source = json_get(hit, "_source"), *type = json_get(source, "type");
        bool purchase = json_string_is(type, "purchase");
        double weight = worth * (purchase ? 3 : json_string_is(type, "cart") ? 2 : 1);
        for (const struct json *id = first_of(source, "product_ids"); id; id = id->next) {
            add_weight(r->seen, &r->seen_count, RECOMMEND_SEEN_MAX, id->text, 0, weight);
            if (purchase && r->bought_count < RECOMMEND_SEEN_MAX)
                r->bought[r->bought_count++] = id->text;
        }
    }
}

void recommend_read_history(struct recommend *r, const struct json *answer) {
    size_t n = 0;
    if (r->product_id.data) {
        const struct json *product = response(answer, n++);
        add_together(r, product, 1);
        for (const struct json *b = first_of(product, "aggregations.who.buckets"); b; b = b->next) {
            struct slice user;
            int64_t count;
            if (json_bucket(b, &user, &count) && r->user_count < RECOMMEND_USERS_MAX)
                r->users[r->user_count++] = user;
        }
    }
    if (r->user_id.data)
        add_seen(r, first_of(response(answer, n), "hits.hits"));
}

static double weight_of(const struct recommend *r, struct slice id) {
    for (size_t i = 0; i < r->seen_count; i++)
        if (slice_eq(r->seen[i].id, id))
            return r->seen[i].weight;
    return 0;
}

static void sort_weights(struct recommend_weight *items, size_t count) {
    for (size_t i = 1; i < count; i++) {
        struct recommend_weight item = items[i];
        size_t at = i;
        for (; at > 0 && items[at - 1].weight < item.weight; at--)
            items[at] = items[at - 1];
        items[at] = item;
    }
}

void recommend_read_neighbours(struct recommend *r, const struct json *answer) {
    size_t n = 0;
    if (r->user_count)
        add_together(r, response(answer, n++), SHARED_USERS_MIN);
    sort_weights(r->together, r->together_count);
    for (const struct json *hit = r->seen_count ? first_of(response(answer, n), "hits.hits") : NULL; hit; hit = hit->next) {
        const struct json *id = json_path(hit, "_source.id"), *brand = json_path(hit, "_source.brand");
        int64_t category;
        double weight = json_is(id, JSON_STRING) ? weight_of(r, id->text) : 0;
        if (json_int64(json_path(hit, "_source.primary_category"), &category))
            add_weight(r->features, &r->feature_count, RECOMMEND_FEATURES_MAX, (struct slice){NULL, 0}, category, 2 * weight);
        if (json_is(brand, JSON_STRING))
            add_weight(r->features, &r->feature_count, RECOMMEND_FEATURES_MAX, brand->text, 0, weight);
    }
}

/* ---- hits ---- */

struct list {
    const struct recommend *r;
    struct json_write *w;
    struct slice shown[RECOMMEND_SIZE_MAX];
    size_t count;
};

static void show(struct list *list, const struct json *source, enum recommend_reason reason) {
    const struct json *id = json_get(source, "id");
    if (!json_is(id, JSON_STRING) || list->count >= list->r->size)
        return;
    for (size_t i = 0; i < list->count; i++)
        if (slice_eq(list->shown[i], id->text))
            return;
    list->shown[list->count++] = id->text;
    json_write_object(list->w);
    product_view_write_summary(list->w, source, list->r->lang);
    json_write_key(list->w, "reason");
    json_write_str(list->w, reasons[reason]);
    json_write_object_end(list->w);
}

/* In the order of how often they are bought together, which the index does not know. */
static void show_together(struct list *list, const struct json *hits) {
    for (size_t i = 0; i < list->r->together_count; i++)
        for (const struct json *hit = hits; hit; hit = hit->next) {
            const struct json *source = json_get(hit, "_source"), *id = json_get(source, "id");
            if (json_is(id, JSON_STRING) && slice_eq(id->text, list->r->together[i].id))
                show(list, source, RECOMMEND_TOGETHER);
        }
}

static void show_all(struct list *list, const struct json *hits, enum recommend_reason reason) {
    for (const struct json *hit = hits; hit; hit = hit->next)
        show(list, json_get(hit, "_source"), reason);
}

bool recommend_write_hits(const struct recommend *r, const struct json *answer, struct json_write *w) {
    struct list list = {.r = r, .w = w};
    size_t n = 0;
    json_write_array(w);
    if (r->together_count)
        show_together(&list, first_of(response(answer, n++), "hits.hits"));
    if (r->product_id.data)
        show_all(&list, first_of(response(answer, n++), "hits.hits"), RECOMMEND_SIMILAR);
    if (r->feature_count)
        show_all(&list, first_of(response(answer, n++), "hits.hits"), RECOMMEND_FOR_YOU);
    const struct json *last = response(answer, n);
    for (const struct json *hit = first_of(last, "hits.hits"); hit; hit = hit->next)
        show(&list, json_get(hit, "_source"),
             json_path(hit, "_source.sales") ? RECOMMEND_BEST_SELLING : RECOMMEND_NEWEST);
    json_write_array_end(w);
    return last != NULL;
}

void recommend_write_newest(const struct recommend *r, const struct json *answer, struct json_write *w) {
    struct list list = {.r = r, .w = w};
    json_write_array(w);
    for (const struct json *hit = first_of(answer, "hits.hits"); hit; hit = hit->next) {
        const struct json *id = json_path(hit, "_source.id");
        if (json_is(id, JSON_STRING) && !slice_eq(id->text, r->product_id))
            show(&list, json_get(hit, "_source"), RECOMMEND_NEWEST);
    }
    json_write_array_end(w);
}
