/* GET|POST /v1/search */
#include "query-api/query_api.h"
#include "query-api/search_query.h"
#include "query-api/search_result.h"
#include <stdio.h>

enum { QUERY_MAX_BYTES = 4 << 20, RESULT_MAX_BYTES = 32 << 20 };

struct search {
    struct search_params params;
    usec_t begun;
};

static void on_answer(struct query_loop *q, struct http_request *request, void *data, int status,
                      const struct json *body) {
    struct search *s = data;
    struct error error = {0};
    if (status == 404) {
        error_set(&error, ERROR_UNAVAILABLE, "there is no search index yet: start the projector, which creates it");
        http_reply_error(request, &error);
        return;
    }
    struct search_result_context context = {.arena = http_request_arena(request),
                                            .categories = q->categories,
                                            .took_ms = (clock_now_usec() - s->begun + 500) / 1000,
                                            .query_id = http_request_id(request)};
    struct buf out = BUF_INIT(RESULT_MAX_BYTES);
    buf_reserve(&out, 16 << 10);
    if (search_result_write(&s->params, body, &context, &out, &error)) {
        http_reply(request, 200, NULL, &out);
        return;
    }
    buf_done(&out);
    if (error.code == ERROR_CORRUPT)
        error.code = ERROR_UNAVAILABLE;
    http_reply_error(request, &error);
}

static bool is_post(const struct http_request *request) {
    return strcmp(http_request_method(request), "POST") == 0;
}

/* POST takes its parameters from the body, GET from the query. */
static bool read_params(struct http_request *request, struct search_params *ret, struct search_errors *errors) {
    struct arena *arena = http_request_arena(request);
    if (!is_post(request))
        return search_params_from_query(arena, http_request_query(request), ret, errors);
    errors->count = 0;
    if (http_request_query(request).len) {
        errors->items[errors->count++] =
            (struct field_error){.field = "query", .message = "the parameters of a POST stand in its body, as a JSON object"};
        return false;
    }
    static const struct json_limits limits = {.depth_max = 8, .values_max = 4096};
    struct error error = {0};
    struct slice body = http_request_body(request);
    const struct json *json = json_parse(arena, body.data ? body.data : "", body.len, &limits, &error);
    if (json)
        return search_params_from_json(arena, json, ret, errors);
    char *message = arena_strdup(arena, error.message);
    if (message)
        errors->items[errors->count++] = (struct field_error){.field = "body", .message = message};
    return false;
}

void handle_search(struct http_request *request, void *ctx) {
    struct query_loop *q = ctx;
    struct search_errors errors = {.count = 0};
    struct error error = {0};
    struct search *s = arena_zalloc(http_request_arena(request), sizeof(*s));
    if (!s) {
        error_nomem(&error);
        http_reply_error(request, &error);
        return;
    }
    s->begun = clock_now_usec();
    if (!read_params(request, &s->params, &errors)) {
        if (errors.count == 0) {
            error_set(&error, ERROR_INVALID, "the parameters are too large");
            http_reply_error(request, &error);
        } else {
            http_reply_problem(request, 400, "the search has invalid parameters", errors.items, errors.count);
        }
        return;
    }
    struct buf body = BUF_INIT(QUERY_MAX_BYTES), path = BUF_INIT(1024);
    buf_reserve(&body, 4096);
    buf_append_char(&path, '/');
    uri_encode(&path, q->conf->index, strlen(q->conf->index));
    buf_append_str(&path, "/_search");
    if (!search_query_write(&s->params, &body) || !buf_ok(&path)) {
        error_set(&error, ERROR_INVALID, "the query is too large");
        http_reply_error(request, &error);
        buf_done(&body);
    } else {
        upstream_ask(q, request, "POST", path.data, &body, on_answer, s);
    }
    buf_done(&path);
}
