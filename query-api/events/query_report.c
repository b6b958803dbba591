/* GET /admin/analytics/queries: what is searched most, and what finds nothing. */
#include "core/http_param_read.h"
#include "query-api/events/query_analytics.h"
#include "query-api/search/search_result.h"

enum { REPORT_WINDOW_MAX = 1000, REPORT_MAX_BYTES = 4 << 20, DAY_BYTES = 10, DEFAULT_DAYS = 30 };
#define DAY_USEC (INT64_C(86400) * 1000000)

static const char *const switches[] = {"1", "0", "true", "false", NULL};

enum { PARAM_ZERO, PARAM_SINCE, PARAM_FROM, PARAM_SIZE, PARAM_COUNT };
const struct http_param query_report_params[] = {
    [PARAM_ZERO] = {.name = "zero_results",
                    .about = "1: only what found nothing without any filter.",
                    .example = "1",
                    .values = switches},
    [PARAM_SINCE] = {.name = "since", .about = "The first day; 30 days ago by default.", .example = "2026-11-01", .max = DAY_BYTES},
    [PARAM_FROM] = {.name = "from",
                    .about = "How many to pass over; at most 1000.",
                    .example = "0",
                    .type = HTTP_PARAM_INTEGER,
                    .max = REPORT_WINDOW_MAX},
    [PARAM_SIZE] = {.name = "size",
                    .about = "How many texts; 20 by default.",
                    .example = "50",
                    .type = HTTP_PARAM_INTEGER,
                    .min = 1,
                    .max = REPORT_WINDOW_MAX},
    {.name = NULL},
};

struct report {
    int64_t from, size;
};

static void write_row(struct json_write *w, const struct json *bucket) {
    int64_t searches = 0, clicks = 0, results = -1;
    json_int64(json_path(bucket, "searches.value"), &searches);
    json_int64(json_path(bucket, "clicks.value"), &clicks);
    const struct json *last = json_path(bucket, "last.hits.hits");
    json_int64(json_path(last ? last->child : NULL, "_source.results"), &results);
    json_write_object(w);
    json_write_key(w, "query");
    json_write_json(w, json_get(bucket, "key"));
    json_write_key(w, "searches");
    json_write_int(w, searches);
    json_write_key(w, "clicks");
    json_write_int(w, clicks);
    json_write_key(w, "results");
    if (results < 0)
        json_write_null(w);
    else
        json_write_int(w, results);
    json_write_object_end(w);
}

static bool write_report(const struct report *r, const struct json *body, struct buf *out) {
    const struct json *buckets = json_path(body, "aggregations.q.buckets");
    int64_t total = 0, n = 0;
    struct json_write w;
    json_int64(json_path(body, "aggregations.n.value"), &total);
    json_write_init(&w, out);
    json_write_object(&w);
    json_write_key(&w, "total");
    json_write_int(&w, total);
    json_write_key(&w, "queries");
    json_write_array(&w);
    for (const struct json *b = json_is(buckets, JSON_ARRAY) ? buckets->child : NULL; b; b = b->next)
        if (n++ >= r->from)
            write_row(&w, b);
    json_write_array_end(&w);
    json_write_object_end(&w);
    return json_write_finish(&w);
}

static void on_report(struct query_loop *q, struct http_request *request, void *data, int status, const struct json *body) {
    struct error error = {0};
    struct buf out = BUF_INIT(REPORT_MAX_BYTES);
    if (status == 404)
        error_set(&error, ERROR_UNAVAILABLE, "the index of queries is not there yet; try again shortly");
    else if (search_result_check(body, &error) && !write_report(data, body, &out))
        error_nomem(&error);
    if (error.code == ERROR_NONE) {
        http_reply(request, 200, NULL, &out);
        return;
    }
    buf_done(&out);
    if (error.code == ERROR_CORRUPT)
        error.code = ERROR_UNAVAILABLE;
    upstream_reply_error(q, request, &error);
}

static void write_question(struct buf *out, const struct report *r, const char *since, bool zero) {
    buf_printf(out, "{\"size\":0,\"query\":{\"bool\":{\"filter\":[{\"range\":{\"day\":{\"gte\":\"%s\"}}}%s]}},",
               since, zero ? ",{\"term\":{\"results\":0}}" : "");
    buf_printf(out, "\"aggs\":{\"n\":{\"cardinality\":{\"field\":\"query\"}},\"q\":{\"terms\":{\"field\":\"query\",\"size\":%d,"
                    "\"order\":[{\"searches\":\"desc\"},{\"_key\":\"asc\"}]},",
               (int)(r->from + r->size));
    buf_append_str(out, "\"aggs\":{\"searches\":{\"sum\":{\"field\":\"searches\"}},\"clicks\":{\"sum\":{\"field\":\"clicks\"}},"
                        "\"last\":{\"top_hits\":{\"size\":1,\"sort\":[{\"day\":\"desc\"}],\"_source\":[\"results\"]}}}}}}");
}

/* A day, or DEFAULT_DAYS before today. */
static bool read_since(struct slice value, char ret[CLOCK_RFC3339_SIZE]) {
    int64_t at = clock_wall_usec() - DEFAULT_DAYS * DAY_USEC;
    char text[CLOCK_RFC3339_SIZE] = "";
    if (value.data && value.len != DAY_BYTES)
        return false;
    if (value.data) {
        memcpy(text, value.data, DAY_BYTES);
        memcpy(text + DAY_BYTES, "T00:00:00Z", 11);
        if (!clock_parse_rfc3339(text, DAY_BYTES + 10, &at))
            return false;
    }
    clock_format_rfc3339(at, ret);
    ret[DAY_BYTES] = '\0';
    return true;
}

void handle_query_report(struct http_request *request, void *ctx) {
    struct query_loop *q = ctx;
    struct slice values[PARAM_COUNT];
    struct report *r = arena_zalloc(http_request_arena(request), sizeof(*r));
    struct error error = {0};
    char since[CLOCK_RFC3339_SIZE];
    if (!request_params(request, values))
        return;
    if (!r) {
        error_nomem(&error);
        http_reply_error(request, &error);
        return;
    }
    r->from = http_param_integer(values[PARAM_FROM], 0);
    r->size = http_param_integer(values[PARAM_SIZE], 20);
    struct field_error bad = {NULL, NULL};
    if (!read_since(values[PARAM_SINCE], since))
        bad = (struct field_error){"since", "must be a day such as 2026-11-01"};
    if (bad.field) {
        http_reply_problem(request, 400, "the request has invalid parameters", &bad, 1);
        return;
    }
    struct slice zero = values[PARAM_ZERO];
    struct buf path = BUF_INIT(1024), body = BUF_INIT(4096);
    buf_append_char(&path, '/');
    uri_encode(&path, q->conf->queries_index, strlen(q->conf->queries_index));
    buf_append_str(&path, "/_search");
    write_question(&body, r, since, zero.data && (slice_eq(zero, SLICE("1")) || slice_eq(zero, SLICE("true"))));
    if (buf_ok(&path) && buf_ok(&body)) {
        upstream_ask(q, request, "POST", path.data, &body, on_report, r);
    } else {
        buf_done(&body);
        error_nomem(&error);
        http_reply_error(request, &error);
    }
    buf_done(&path);
}
