/* search_view.c - a view of the index that does not change while somebody walks over it (point in time). */
#include "core/cleanup.h"
#include "query-api/query_api.h"
#include "query-api/search/search_cursor.h"
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
        upstream_ask_extra(q, request, "POST", path.data, on_opened, view);
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

/* ---- its end ---- */

enum { CLOSINGS_MAX = 32, CLOSING_MAX_BYTES = 16 << 10 }; /* of a loop at once; a view that is not closed ends by itself */

struct view_closing {
    struct query_loop *q;
    struct view_closing *next, **back;
    struct http_call *call;
    struct buf body;
};

static void closing_free(struct view_closing *c) {
    *c->back = c->next;
    if (c->next)
        c->next->back = c->back;
    c->q->view_closing_count--;
    buf_done(&c->body);
    free(c);
}

/* Whatever came of it. */
static void on_closed(void *ctx, struct http_response *response) {
    (void)response;
    closing_free(ctx);
}

static void write_closing(struct buf *out, bool opensearch, struct slice view) {
    struct json_write w;
    json_write_init(&w, out);
    json_write_object(&w);
    json_write_key(&w, opensearch ? "pit_id" : "id");
    if (opensearch)
        json_write_array(&w);
    json_write_slice(&w, view);
    if (opensearch)
        json_write_array_end(&w);
    json_write_object_end(&w);
    json_write_finish(&w);
}

void search_view_done(struct query_loop *q, const struct search_params *params, const struct json *answer) {
    const struct json *id = json_get(answer, "pit_id"); /* may be another one than was asked with */
    bool opensearch = q->engine == ENGINE_OPENSEARCH;
    if (params->view.len == 0 || search_cursor_is_more(params, answer) || q->engine == ENGINE_UNKNOWN ||
        q->view_closing_count == CLOSINGS_MAX)
        return;
    struct view_closing *c = calloc(1, sizeof(*c));
    if (!c)
        return;
    *c = (struct view_closing){.q = q, .next = q->view_closings, .back = &q->view_closings, .body = BUF_INIT(CLOSING_MAX_BYTES)};
    if (c->next)
        c->next->back = &c->next;
    q->view_closings = c;
    q->view_closing_count++;
    write_closing(&c->body, opensearch, json_is(id, JSON_STRING) ? id->text : params->view);
    if (buf_ok(&c->body))
        c->call = es_start(q->es, "DELETE", opensearch ? "/_search/point_in_time" : "/_pit", NULL,
                           (struct slice){c->body.data, c->body.len}, NULL, q->conf->search_timeout_usec, on_closed, c, NULL);
    if (!c->call)
        closing_free(c);
}

void search_view_drop_all(struct query_loop *q) {
    while (q->view_closings) {
        es_cancel(q->es, q->view_closings->call);
        closing_free(q->view_closings);
    }
}
