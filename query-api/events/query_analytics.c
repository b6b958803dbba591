#include "core/cleanup.h"
#include "core/embed.h"
#include "core/log.h"
#include "core/text_fold.h"
#include "query-api/events/query_analytics.h"
#include "query-api/events/query_bursts.h"
#include "query-api/search/answer_json.h"
#include "query-api/upstream/own_index.h"

EMBED(queries_mapping, "mappings/queries-v1.json");

enum { BODY_MAX_BYTES = 4 << 20, DAY_BYTES = 10 };

struct query_analytics {
    struct query_loop *q;
    struct own_index index;
    struct query_counts *counting, *sent; /* swapped at a flush; `sent` is added back if it fails */
    struct loop_timer timer;
    struct http_call *call;
    struct buf path, body, text;
    struct metric *dropped;
};

static struct query_counts *counts_new(void) {
    struct query_counts *c = malloc(sizeof(*c));
    if (c)
        query_counts_init(c, clock_random_u64());
    return c;
}

static void later(struct query_analytics *a) {
    loop_timer_set(a->q->loop, &a->timer, clock_now_usec() + a->q->conf->analytics_flush_usec);
}

/* ---- counting ---- */

static bool is_on(const struct query_analytics *a) {
    return a->q->conf->analytics_flush_usec > 0;
}

static struct slice sender_of(struct query_analytics *a, struct http_request *request, unsigned char address[16]) {
    size_t len = api_guard_client(a->q->guard, http_request_outer(request), address);
    return (struct slice){(const char *)address, len};
}

void query_analytics_search(struct query_analytics *a, struct http_request *request, struct slice q) {
    unsigned char address[16];
    if (!is_on(a) || !q.len)
        return;
    if (a->q->bursts) {
        metric_add(a->dropped, query_bursts_search(a->q->bursts, sender_of(a, request, address), q, clock_now_usec(), a->counting));
        return;
    }
    struct query_count *count = query_counts_of(a->counting, q);
    if (count)
        count->searches++;
    else
        metric_inc(a->dropped);
}

/* Of a search that has been counted, and not of one that was only a beginning. */
void query_analytics_results(struct query_analytics *a, struct http_request *request, struct slice q, int64_t total) {
    unsigned char address[16];
    if (!is_on(a) || (a->q->bursts && query_bursts_results(a->q->bursts, sender_of(a, request, address), q, total)))
        return;
    struct query_count *count = query_counts_find(a->counting, q);
    if (count)
        count->results = total;
}

void query_analytics_click(struct query_analytics *a, struct slice q) {
    struct query_count *count = is_on(a) ? query_counts_of(a->counting, q) : NULL;
    if (count)
        count->clicks++;
}

/* ---- writing ---- */

/* One text of one day: added to what is there, or its first count. */
static void write_count(struct query_analytics *a, const struct query_count *count, const char *day) {
    static const char script[] =
        "{\"script\":{\"source\":\"ctx._source.searches+=params.s;ctx._source.clicks+=params.c;"
        "if(params.r>=0){ctx._source.results=params.r}\",\"params\":{";
    struct buf *out = &a->body;
    buf_reset(&a->text);
    text_fold_append(&a->text, (struct slice){count->text, count->len});
    if (!buf_ok(&a->text))
        return;
    buf_printf(out, "{\"update\":{\"retry_on_conflict\":3,\"_id\":\"%s ", day);
    size_t before = out->len;
    json_append_string(out, a->text.data, a->text.len);
    if (buf_ok(out)) /* without its first quote */
        memmove(out->data + before, out->data + before + 1, out->len - before);
    if (buf_ok(out))
        buf_truncate(out, out->len - 1);
    buf_append_str(out, "}}\n");
    buf_append(out, script, sizeof(script) - 1);
    buf_printf(out, "\"s\":%u,\"c\":%u,\"r\":%lld}},\"upsert\":{\"day\":\"%s\",\"query\":", count->searches, count->clicks,
               (long long)count->results, day);
    json_append_string(out, a->text.data, a->text.len);
    buf_printf(out, ",\"searches\":%u,\"clicks\":%u", count->searches, count->clicks);
    if (count->results >= 0)
        buf_printf(out, ",\"results\":%lld", (long long)count->results);
    buf_append_str(out, "}}\n");
}

static bool write_all(struct query_analytics *a) {
    char now[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(clock_wall_usec(), now);
    now[DAY_BYTES] = '\0';
    buf_reset(&a->body);
    for (size_t i = 0; i < QUERY_COUNTS_SLOTS; i++)
        if (a->sent->slots[i].len)
            write_count(a, &a->sent->slots[i], now);
    return buf_ok(&a->body);
}

static void add_back(struct query_analytics *a) {
    metric_add(a->dropped, query_counts_merge(a->counting, a->sent));
}

static uint64_t searches_of(const struct query_counts *c) {
    uint64_t n = 0;
    for (size_t i = 0; i < QUERY_COUNTS_SLOTS; i++)
        n += c->slots[i].len ? c->slots[i].searches : 0;
    return n;
}

static void on_flushed(void *ctx, struct http_response *response) {
    struct query_analytics *a = ctx;
    struct error error = response->error;
    a->call = NULL;
    bool late = error.code == ERROR_TIMEOUT && response->sent; /* written by now, or soon: not once more at each flush */
    if (error.code == ERROR_NONE && response->status != 200)
        es_error(response, &error);
    if (error.code != ERROR_NONE || response->status != 200) {
        log_warn("analytics.failed", LOG_INT("status", response->status), LOG_ERR(&error));
        if (late)
            metric_add(a->dropped, searches_of(a->sent));
        else
            add_back(a);
    } else if (response->body->data && strstr(response->body->data, "index_not_found")) {
        own_index_lost(&a->index);
        add_back(a);
    }
    query_counts_init(a->sent, clock_random_u64());
    later(a);
}

static void send_counts(struct query_analytics *a) {
    struct query_counts *full = a->counting;
    if (a->call || full->used == 0 || !a->index.there)
        return;
    a->counting = a->sent;
    a->sent = full;
    if (write_all(a))
        a->call = es_start(a->q->es, "POST", a->path.data, "application/x-ndjson", (struct slice){a->body.data, a->body.len},
                           NULL, a->q->conf->search_timeout_usec, on_flushed, a, NULL);
    if (a->call)
        return;
    add_back(a);
    query_counts_init(a->sent, clock_random_u64());
}

static void end_bursts(struct query_analytics *a, usec_t since) {
    if (a->q->bursts)
        metric_add(a->dropped, query_bursts_end(a->q->bursts, since, a->counting));
}

static void on_timer(struct loop_timer *timer) {
    struct query_analytics *a = CONTAINER_OF(timer, struct query_analytics, timer);
    end_bursts(a, clock_now_usec() - QUERY_BURSTS_USEC);
    send_counts(a);
    if (!a->call)
        later(a);
}

/* A bulk that is under way, and what has come since. */
void query_analytics_stop(struct query_analytics *a, usec_t until) {
    end_bursts(a, USEC_NEVER);
    for (int turn = 0; turn < 2; turn++) {
        send_counts(a);
        while (a->call && clock_now_usec() < until)
            (void)loop_run_once(a->q->loop, until);
    }
}

struct query_analytics *query_analytics_new(struct query_loop *q, struct error *reterr) {
    struct query_analytics *a = calloc(1, sizeof(*a));
    if (!a) {
        error_nomem(reterr);
        return NULL;
    }
    a->q = q;
    a->timer.cb = on_timer;
    a->counting = counts_new();
    a->sent = counts_new();
    a->dropped = metrics_counter("readside_query_api_analytics_dropped_total",
                                 "Searches that the analytics of queries had no room for", "");
    buf_init(&a->path, 1024);
    buf_init(&a->body, BODY_MAX_BYTES);
    buf_init(&a->text, 4096);
    own_index_init(&a->index, q, q->conf->queries_index, (struct slice){queries_mapping, queries_mapping_size});
    own_index_path(&a->index, &a->path);
    buf_append_str(&a->path, "/_bulk?filter_path=items.*.error.type");
    if (!a->counting || !a->sent || !buf_ok(&a->path)) {
        query_analytics_free(a);
        error_nomem(reterr);
        return NULL;
    }
    if (q->conf->analytics_flush_usec)
        later(a);
    return a;
}

void query_analytics_free(struct query_analytics *a) {
    if (!a)
        return;
    own_index_done(&a->index);
    loop_timer_cancel(a->q->loop, &a->timer);
    if (a->call)
        es_cancel(a->q->es, a->call);
    free(a->counting);
    free(a->sent);
    buf_done(&a->path);
    buf_done(&a->body);
    buf_done(&a->text);
    free(a);
}
