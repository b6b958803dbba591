/* search_view.c - a view of the index that does not change while somebody walks over it (point in time). */
#include "query-api/query_api.h"
#include "query-api/search/search_query.h"

struct view_request {
    search_view_ready *ready;
    void *data;
};

static void reply_incomplete(struct http_request *request, int status) {
    struct error error = {0};
    error_set(&error, ERROR_UNAVAILABLE,
              status == 404 ? "there is no search index yet: start the projector, which creates it"
                            : "the search engine's answer is not complete; try again shortly");
    http_reply_error(request, &error);
}

static void on_opened(struct query_loop *q, struct http_request *request, void *data, int status,
                      const struct json *body) {
    struct view_request *view = data;
    /* "id" of Elasticsearch, "pit_id" of OpenSearch */
    const struct json *id = json_get(body, q->engine == ENGINE_OPENSEARCH ? "pit_id" : "id");
    if (status == 404 || !json_is(id, JSON_STRING))
        reply_incomplete(request, status);
    else
        view->ready(q, request, view->data, id->text);
}

static void open_view(struct query_loop *q, struct http_request *request, struct view_request *view) {
    struct buf path = BUF_INIT(1024);
    struct error error = {0};
    buf_append_char(&path, '/');
    uri_encode(&path, q->conf->index, strlen(q->conf->index));
    buf_append_str(&path, q->engine == ENGINE_OPENSEARCH ? "/_search/point_in_time" : "/_pit");
    buf_append_str(&path, "?keep_alive=" SEARCH_VIEW_KEEP);
    if (buf_ok(&path)) {
        upstream_ask(q, request, "POST", path.data, NULL, on_opened, view);
    } else {
        error_nomem(&error);
        http_reply_error(request, &error);
    }
    buf_done(&path);
}

static void on_engine(struct query_loop *q, struct http_request *request, void *data, int status,
                      const struct json *body) {
    const struct json *version = json_get(body, "version");
    if (!json_is(version, JSON_OBJECT)) {
        reply_incomplete(request, status == 404 ? 0 : status);
        return;
    }
    q->engine = json_string_is(json_get(version, "distribution"), "opensearch") ? ENGINE_OPENSEARCH : ENGINE_ELASTICSEARCH;
    open_view(q, request, data);
}

void search_view_open(struct query_loop *q, struct http_request *request, search_view_ready *ready, void *data) {
    struct view_request *view = arena_alloc(http_request_arena(request), sizeof(*view));
    struct error error = {0};
    if (!view) {
        error_nomem(&error);
        http_reply_error(request, &error);
        return;
    }
    *view = (struct view_request){.ready = ready, .data = data};
    if (q->engine == ENGINE_UNKNOWN)
        upstream_ask(q, request, "GET", "/", NULL, on_engine, view);
    else
        open_view(q, request, view);
}
