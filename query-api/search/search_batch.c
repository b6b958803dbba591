/* POST /v1/search/batch: up to ten searches in one request, each answered as /v1/search would: through the cache, joined with
 * equal ones, with an error of its own. They run at the same time. */
#include "query-api/query_api.h"
#include "query-api/search/search_cursor.h"
#include "query-api/search/search_params.h"

enum { BATCH_MAX = 10, BATCH_MAX_BYTES = 64 << 20 };

struct batch;

struct batch_entry {
    struct batch *batch;
    struct buf body;
};

struct batch {
    struct http_request *request;
    size_t count, missing;
    struct batch_entry entries[BATCH_MAX];
};

static void batch_done(void *data) {
    struct batch *b = data;
    for (size_t i = 0; i < b->count; i++)
        buf_done(&b->entries[i].body);
}

static void reply_all(struct batch *b) {
    struct buf out = BUF_INIT(BATCH_MAX_BYTES);
    buf_append_str(&out, "{\"results\":[");
    for (size_t i = 0; i < b->count; i++) {
        const struct buf *body = &b->entries[i].body;
        if (i)
            buf_append_char(&out, ',');
        if (body->len)
            buf_append(&out, body->data, body->len);
        else
            buf_append_str(&out, "{\"type\":\"about:blank\",\"status\":503,\"title\":\"Service Unavailable\"}");
    }
    buf_append_str(&out, "]}");
    struct error error = {0};
    if (buf_ok(&out)) {
        http_reply(b->request, 200, NULL, &out);
        return;
    }
    buf_done(&out);
    error_nomem(&error);
    http_reply_error(b->request, &error);
}

static void one_less(struct batch *b) {
    if (--b->missing == 0)
        reply_all(b);
}

static void on_reply(void *data, int status, struct buf *body) {
    struct batch_entry *entry = data;
    (void)status; /* an error is a problem, which says its status */
    if (body) {
        entry->body = *body;
        *body = BUF_INIT(body->max);
    }
    one_less(entry->batch);
}

static void search_one(struct query_loop *q, struct http_request *inner, const struct json *search) {
    struct search_params params;
    struct search_errors errors = {.count = 0};
    struct field_error bad = {"cursor", NULL};
    struct error error = {0};
    if (!search_params_from_json(http_request_arena(inner), search, &params, &errors)) {
        if (errors.count) {
            http_reply_problem(inner, 400, "the search has invalid parameters", errors.items, errors.count);
        } else {
            error_set(&error, ERROR_INVALID, "the parameters are too large");
            http_reply_error(inner, &error);
        }
    } else if (params.cursor.data && !search_cursor_read(http_request_arena(inner), &params, &bad.message)) {
        http_reply_problem(inner, 400, "the search has invalid parameters", &bad, 1);
    } else if (!params.explain || search_may_explain(inner)) {
        search_start(q, inner, &params);
    }
}

/* The list of searches; NULL: answered. */
static const struct json *read_batch(struct http_request *request) {
    struct slice body = http_request_body(request);
    struct error error = {0};
    struct field_error bad = {"searches", "must be a list of 1 to 10 searches, and nothing beside it"};
    const struct json *json = json_parse(http_request_arena(request), body.data ? body.data : "", body.len,
                                         &(struct json_limits){.depth_max = 12, .values_max = 40000}, &error);
    if (!json)
        bad = (struct field_error){"body", error.message};
    const struct json *searches = json_get(json, "searches");
    if (!json_is(searches, JSON_ARRAY) || json->count != 1 || searches->count == 0 || searches->count > BATCH_MAX) {
        http_reply_problem(request, 400, "the batch is invalid", &bad, 1);
        return NULL;
    }
    return searches;
}

void handle_search_batch(struct http_request *request, void *ctx) {
    struct query_loop *q = ctx;
    const struct json *searches = read_batch(request);
    struct batch *b = searches ? arena_zalloc(http_request_arena(request), sizeof(*b)) : NULL;
    struct error error = {0};
    if (!searches)
        return;
    if (!b) {
        error_nomem(&error);
        http_reply_error(request, &error);
        return;
    }
    b->request = request;
    b->count = searches->count;
    b->missing = b->count + 1; /* not before all have begun */
    http_request_set_data(request, b, batch_done);
    size_t i = 0;
    http_request_ref(request);
    for (const struct json *search = searches->child; search; search = search->next, i++) {
        struct batch_entry *entry = &b->entries[i];
        entry->batch = b;
        buf_init(&entry->body, BATCH_MAX_BYTES);
        struct http_request *inner = http_request_inner(request, (unsigned)i, on_reply, entry);
        if (inner)
            search_one(q, inner, search);
        else
            one_less(b);
        http_request_unref(inner);
    }
    one_less(b);
    http_request_unref(request);
}
