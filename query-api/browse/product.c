/* GET /v1/products/{id} */
#include "query-api/query_api.h"
#include "query-api/search/product_view.h"
#include "query-api/upstream/fallback.h"

enum { PRODUCT_MAX_BYTES = 16 << 20, ID_MAX_BYTES = 128 };

struct lookup {
    char lang[4];
    bool fallback; /* asked of MongoDB */
};

static upstream_failed on_failed;

static void on_answer(struct query_loop *q, struct http_request *request, void *data, int status,
                      const struct json *body) {
    struct lookup *lookup = data;
    struct error error = {0};
    const struct json *source = json_get(body, "_source");
    const struct json *found = json_get(body, "found");
    if (!json_is(found, JSON_BOOL) || (found->boolean && !json_is(source, JSON_OBJECT))) {
        error_set(&error, ERROR_UNAVAILABLE,
                  status == 404 ? "there is no search index yet: start the projector, which creates it"
                                : "the search engine's answer is not complete; try again shortly");
        if (status != 404)
            upstream_distrust(q);
        on_failed(q, request, data, &error);
        return;
    }
    if (!found->boolean) {
        struct slice id = http_request_param(request, "id");
        error_set(&error, ERROR_NOT_FOUND, "no product with the id \"%.*s\" is %s", (int)id.len, id.data,
                  lookup->fallback ? "there" : "in the search index");
        http_reply_error(request, &error);
        return;
    }
    struct buf out = BUF_INIT(PRODUCT_MAX_BYTES);
    if (lookup->fallback)
        query_reply_degraded(request);
    if (product_view_write(source, q->categories, lookup->lang, lookup->fallback ? "fallback" : NULL, &out)) {
        http_reply(request, 200, NULL, &out);
        return;
    }
    buf_done(&out);
    error_nomem(&error);
    http_reply_error(request, &error);
}

static void on_failed(struct query_loop *q, struct http_request *request, void *data, const struct error *error) {
    struct lookup *lookup = data;
    bool again = !lookup->fallback && error_is_retriable(error);
    lookup->fallback = true;
    if (!again || !fallback_product(q, request, http_request_param(request, "id"), on_answer, on_failed, lookup))
        upstream_reply_error(q, request, error);
}

static bool read_lang(struct http_request *request, char ret[4]) {
    struct slice lang;
    return request_params(request, &lang) && request_lang(request, lang, ret);
}

void handle_product(struct http_request *request, void *ctx) {
    struct query_loop *q = ctx;
    struct slice id = http_request_param(request, "id");
    struct error error = {0};
    struct lookup *lookup = arena_zalloc(http_request_arena(request), sizeof(*lookup));
    if (!lookup || !read_lang(request, lookup->lang)) {
        if (!lookup && error_nomem(&error) == false)
            http_reply_error(request, &error);
        return;
    }
    if (id.len == 0 || id.len > ID_MAX_BYTES) {
        struct field_error bad = {.field = "id", .message = "must have 1 to 128 bytes"};
        http_reply_problem(request, 400, "the product id is invalid", &bad, 1);
        return;
    }
    struct buf path = BUF_INIT(1024);
    buf_append_char(&path, '/');
    uri_encode(&path, q->conf->index, strlen(q->conf->index));
    buf_append_str(&path, "/_doc/");
    uri_encode(&path, id.data, id.len);
    if (buf_ok(&path)) {
        upstream_ask_or(q, request, "GET", path.data, NULL, on_answer, on_failed, lookup);
    } else {
        error_nomem(&error);
        http_reply_error(request, &error);
    }
    buf_done(&path);
}
