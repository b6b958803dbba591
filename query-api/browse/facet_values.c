/* GET /v1/facets/{name}/values: search inside a facet that has more values than a page shows. */
#include "core/clock.h"
#include "core/text_fold.h"
#include "query-api/browse/facet_values_params.h"
#include "query-api/query_api.h"
#include "query-api/search/facet_result.h"
#include "query-api/search/search_again.h"
#include "query-api/search/search_query.h"
#include "query-api/text/search_pattern.h"
#include "query-api/text/search_text.h"

enum { VALUES_BODY_MAX_BYTES = 4 << 20, VALUES_RESULT_MAX_BYTES = 4 << 20 };

struct facet_values {
    struct search_params params;
    struct search_text *text; /* NULL without words */
    struct slice find;
    usec_t begun;
    const struct json *answer;
    struct search_terms doubts;
};

static void reply_nomem(struct http_request *request) {
    struct error error;
    error_nomem(&error);
    http_reply_error(request, &error);
}

static bool write_answer(struct buf *out, struct query_loop *q, struct http_request *request, struct facet_values *v,
                         const struct json *second) {
    struct search_result_context context = {.arena = http_request_arena(request),
                                            .categories = q->categories,
                                            .query_id = http_request_id(request),
                                            .doubts = second ? NULL : &v->doubts,
                                            .second = second};
    struct json_write w;
    json_write_init(&w, out);
    json_write_object(&w);
    json_write_key(&w, "query");
    json_write_object(&w);
    json_write_key(&w, "q");
    json_write_slice(&w, v->find.data ? v->find : SLICE(""));
    json_write_object_end(&w);
    json_write_key(&w, "facets");
    bool ok = facet_result_write(&w, &v->params, json_get(v->answer, "aggregations"), &context);
    json_write_key(&w, "degraded");
    json_write_str(&w, v->answer ? NULL : "fallback");
    json_write_key(&w, "took_ms");
    json_write_uint(&w, (clock_now_usec() - v->begun + 500) / 1000);
    json_write_key(&w, "query_id");
    json_write_str(&w, context.query_id);
    json_write_object_end(&w);
    return json_write_finish(&w) && ok;
}

/* With a fallback nothing is found, rather than that it is an error. */
static void on_failed(struct query_loop *q, struct http_request *request, void *data, const struct error *error) {
    struct facet_values *v = data;
    struct buf out = BUF_INIT(VALUES_RESULT_MAX_BYTES);
    v->answer = NULL;
    v->doubts.count = 0;
    if (q->fallback && error_is_retriable(error) && write_answer(&out, q, request, v, NULL)) {
        query_reply_degraded(request);
        http_reply(request, 200, NULL, &out);
        return;
    }
    buf_done(&out);
    upstream_reply_error(q, request, error);
}

static void ask(struct query_loop *q, struct http_request *request, struct facet_values *v, struct buf *body, bool written,
                upstream_answer *answer) {
    struct buf path = BUF_INIT(1024);
    buf_append_char(&path, '/');
    uri_encode(&path, q->conf->index, strlen(q->conf->index));
    buf_append_str(&path, "/_search");
    if (written && buf_ok(&path)) {
        upstream_ask_or(q, request, "POST", path.data, body, answer, on_failed, v);
    } else {
        buf_done(body);
        reply_nomem(request);
    }
    buf_done(&path);
}

static bool is_complete(struct query_loop *q, struct http_request *request, struct facet_values *v, int status,
                        const struct json *body) {
    struct error error = {0};
    if (status != 404 && search_result_check(body, &error) && json_is(json_get(body, "aggregations"), JSON_OBJECT))
        return true;
    if (error.code == ERROR_CORRUPT)
        upstream_distrust(q);
    error_set(&error, ERROR_UNAVAILABLE,
              status == 404 ? "there is no search index yet: start the projector, which creates it"
                            : "the search engine's answer is not complete; try again shortly");
    on_failed(q, request, v, &error);
    return false;
}

static void reply(struct query_loop *q, struct http_request *request, struct facet_values *v, const struct json *second);

static void on_counts(struct query_loop *q, struct http_request *request, void *data, int status,
                      const struct json *body) {
    if (is_complete(q, request, data, status, body))
        reply(q, request, data, json_get(body, "aggregations"));
}

/* Asks first for the counts that are in doubt. */
static void reply(struct query_loop *q, struct http_request *request, struct facet_values *v, const struct json *second) {
    struct buf out = BUF_INIT(VALUES_RESULT_MAX_BYTES), again = BUF_INIT(VALUES_BODY_MAX_BYTES);
    bool ok = write_answer(&out, q, request, v, second);
    if (ok && (second || v->doubts.count == 0)) {
        http_reply(request, 200, NULL, &out);
        return;
    }
    buf_done(&out);
    if (ok)
        ask(q, request, v, &again, search_counts_write(&v->params, &v->doubts, &again), on_counts);
    else
        reply_nomem(request);
}

static upstream_answer on_again;

static void ask_again(struct query_loop *q, struct http_request *request, struct facet_values *v) {
    struct buf again = BUF_INIT(VALUES_BODY_MAX_BYTES);
    ask(q, request, v, &again, search_query_write(&v->params, &again), on_again);
}

static void on_again(struct query_loop *q, struct http_request *request, void *data, int status, const struct json *body) {
    struct facet_values *v = data;
    if (!is_complete(q, request, v, status, body))
        return;
    enum search_again_verdict verdict = search_again_judge(v->text, body);
    if (verdict == SEARCH_AGAIN_THIRD) {
        ask_again(q, request, v);
        return;
    }
    if (verdict == SEARCH_AGAIN_SECOND)
        v->answer = body;
    reply(q, request, v, NULL);
}

/* Words that find little are asked for once more, as the search itself does. */
static void on_values(struct query_loop *q, struct http_request *request, void *data, int status,
                      const struct json *body) {
    struct facet_values *v = data;
    struct search_text_context context = search_text_context_of(q, request, &v->params);
    v->answer = body;
    if (!is_complete(q, request, v, status, body))
        return;
    if (v->text && search_again(&context, v->text, body))
        ask_again(q, request, v);
    else
        reply(q, request, v, NULL);
}

/* False: no memory. */
static bool read_find(struct arena *arena, struct facet_values *v) {
    struct buf folded = BUF_INIT(SEARCH_VALUE_MAX_BYTES * 4), pattern = BUF_INIT(SEARCH_FIND_MAX_BYTES);
    bool ok = true;
    if (v->find.len) {
        ok = text_fold_append(&folded, v->find) &&
             search_pattern_holds(&pattern, (struct slice){folded.data ? folded.data : "", folded.len});
        const char *copy = ok ? arena_strndup(arena, pattern.data, pattern.len) : NULL;
        ok = copy != NULL;
        v->params.facet_find = (struct slice){copy, copy ? pattern.len : 0};
    }
    buf_done(&folded);
    buf_done(&pattern);
    return ok;
}

void handle_facet_values(struct http_request *request, void *ctx) {
    struct query_loop *q = ctx;
    struct search_params params;
    struct slice find;
    struct search_errors errors = {.count = 0};
    if (facet_values_params_read(http_request_arena(request), http_request_param(request, "name"), http_request_query(request),
                                 &params, &find, &errors))
        facet_values_start(q, request, &params, find);
    else if (errors.count)
        http_reply_problem(request, 400, "the request has invalid parameters", errors.items, errors.count);
    else
        reply_nomem(request);
}

void facet_values_start(struct query_loop *q, struct http_request *request, const struct search_params *params, struct slice find) {
    struct arena *arena = http_request_arena(request);
    struct facet_values *v = arena_zalloc(arena, sizeof(*v));
    if (!v) {
        reply_nomem(request);
        return;
    }
    *v = (struct facet_values){.params = *params, .find = find, .begun = clock_now_usec()};
    v->params.index = &q->index;
    struct search_text_context context = search_text_context_of(q, request, &v->params);
    bool ok = read_find(arena, v);
    if (ok && v->params.q.len)
        ok = (v->params.text = v->text = search_text_read(&context, v->params.q, v->params.typo)) != NULL;
    struct buf body = BUF_INIT(VALUES_BODY_MAX_BYTES);
    ask(q, request, v, &body, ok && search_query_write(&v->params, &body), on_values);
}
