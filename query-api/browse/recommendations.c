/* GET /v1/recommendations */
#include "core/http_param_read.h"
#include "query-api/browse/recommend.h"
#include "query-api/query_api.h"
#include "query-api/search/search_cache.h"
#include "query-api/upstream/fallback.h"
#include <stdio.h>

enum { ID_MAX_BYTES = 128, QUESTION_MAX_BYTES = 1 << 20, ANSWER_MAX_BYTES = 4 << 20, DEFAULT_SIZE = 12 };

enum { PARAM_USER, PARAM_PRODUCT, PARAM_LANG, PARAM_SIZE, PARAM_COUNT };
const struct http_param recommendation_params[] = {
    [PARAM_USER] = {.name = "user_id", .about = "The shopper, as events name them.", .example = "u-17", .max = ID_MAX_BYTES},
    [PARAM_PRODUCT] = {.name = "product_id", .about = "The product that is looked at.", .example = "p-1", .max = ID_MAX_BYTES},
    [PARAM_LANG] = {.name = "lang",
                    .about = "Language of names, two or three letters; ko by default.",
                    .example = "en",
                    .max = 3},
    [PARAM_SIZE] = {.name = "size",
                    .about = "Most products; 12 by default.",
                    .example = "8",
                    .type = HTTP_PARAM_INTEGER,
                    .min = 1,
                    .max = RECOMMEND_SIZE_MAX},
    {.name = NULL},
};

struct recommendation {
    struct recommend r;
    usec_t begun;
};

typedef bool question_writer(const struct recommend *r, struct buf *out);

/* The end of every answer. *ret_common_len: what comes before it. */
static bool write_end(struct json_write *w, struct buf *out, const struct recommendation *rec, const char *degraded,
                      const char *query_id, size_t *ret_common_len) {
    *ret_common_len = out->len;
    json_write_key(w, "degraded");
    json_write_str(w, degraded);
    json_write_key(w, "took_ms");
    json_write_uint(w, (clock_now_usec() - rec->begun + 500) / 1000);
    json_write_key(w, "query_id");
    json_write_str(w, query_id);
    json_write_object_end(w);
    return json_write_finish(w);
}

/* body NULL: MongoDB does not answer either, and a page does without this list rather than with an error. */
static void on_fallback(struct query_loop *q, struct http_request *request, void *data, int status, const struct json *body) {
    struct recommendation *rec = data;
    struct buf out = BUF_INIT(ANSWER_MAX_BYTES);
    struct json_write w;
    struct error error = {0};
    size_t common_len;
    (void)status;
    json_write_init(&w, &out);
    json_write_object(&w);
    json_write_key(&w, "hits");
    recommend_write_newest(&rec->r, body, &w);
    if (write_end(&w, &out, rec, "fallback", http_request_id(request), &common_len)) {
        search_cache_end(q, request, rec->begun, &out, common_len, true);
        return;
    }
    buf_done(&out);
    error_nomem(&error);
    search_cache_fail(q, request, &error);
}

static void on_fallback_failed(struct query_loop *q, struct http_request *request, void *data, const struct error *error) {
    (void)error;
    on_fallback(q, request, data, 0, NULL);
}

/* What is new is all that MongoDB knows to recommend. It is asked once for all shoppers, as for equal searches. */
static void on_failed(struct query_loop *q, struct http_request *request, void *data, const struct error *error) {
    struct recommendation *rec = data;
    struct search_params params = {.q = {"", 0}, .sort = SORT_NEWEST, .page = 1, .size = rec->r.size + 1};
    if (!q->fallback || !error_is_retriable(error)) {
        upstream_reply_error(q, request, error);
        return;
    }
    struct buf name = BUF_INIT(1024);
    buf_printf(&name, "recommended %s %u ", rec->r.lang, rec->r.size);
    buf_append(&name, rec->r.product_id.data, rec->r.product_id.len);
    bool answered = (buf_ok(&name) && search_cache_begin_name(q, request, (struct slice){name.data, name.len}, rec->begun)) ||
                    search_cache_rescue(q, request);
    buf_done(&name);
    if (!answered && !fallback_search(q, request, &params, on_fallback, on_fallback_failed, rec))
        on_fallback_failed(q, request, rec, error);
}

/* False: there is nothing to ask for, or the request is answered (*ret_answered). */
static bool ask(struct query_loop *q, struct http_request *request, struct recommendation *rec, question_writer *write,
                upstream_answer *answer, bool *ret_answered) {
    struct buf body = BUF_INIT(QUESTION_MAX_BYTES);
    struct error error = {0};
    *ret_answered = false;
    if (!write(&rec->r, &body)) {
        error_nomem(&error);
        http_reply_error(request, &error);
        *ret_answered = true;
    } else if (body.len) {
        upstream_ask_or(q, request, "POST", "/_msearch", &body, answer, on_failed, rec);
        return true;
    }
    buf_done(&body);
    return false;
}

static void on_candidates(struct query_loop *q, struct http_request *request, void *data, int status, const struct json *body) {
    struct recommendation *rec = data;
    struct buf out = BUF_INIT(ANSWER_MAX_BYTES);
    struct json_write w;
    struct error error = {0};
    size_t common_len;
    json_write_init(&w, &out);
    json_write_object(&w);
    json_write_key(&w, "hits");
    bool whole = status == 200 && recommend_write_hits(&rec->r, body, &w);
    if (write_end(&w, &out, rec, NULL, http_request_id(request), &common_len) && whole) {
        http_reply_header(request, "Cache-Control", "no-store"); /* a shopper's, and as new as the last purchase */
        http_reply(request, 200, NULL, &out);
        return;
    }
    buf_done(&out);
    error_set(&error, ERROR_UNAVAILABLE, "the search engine's answer is not complete; try again shortly");
    on_failed(q, request, rec, &error);
}

static void ask_candidates(struct query_loop *q, struct http_request *request, struct recommendation *rec) {
    bool answered;
    ask(q, request, rec, recommend_write_candidates, on_candidates, &answered);
}

static void on_neighbours(struct query_loop *q, struct http_request *request, void *data, int status, const struct json *body) {
    struct recommendation *rec = data;
    recommend_read_neighbours(&rec->r, status == 200 ? body : NULL);
    ask_candidates(q, request, rec);
}

static void on_history(struct query_loop *q, struct http_request *request, void *data, int status, const struct json *body) {
    struct recommendation *rec = data;
    bool answered;
    recommend_read_history(&rec->r, status == 200 ? body : NULL);
    if (!ask(q, request, rec, recommend_write_neighbours, on_neighbours, &answered) && !answered) {
        recommend_read_neighbours(&rec->r, NULL);
        ask_candidates(q, request, rec);
    }
}

void handle_recommendations(struct http_request *request, void *ctx) {
    struct slice values[PARAM_COUNT];
    char lang[4];
    if (request_params(request, values) && request_lang(request, values[PARAM_LANG], lang))
        recommendations_start(ctx, request, values[PARAM_USER], values[PARAM_PRODUCT], lang,
                              (unsigned)http_param_integer(values[PARAM_SIZE], DEFAULT_SIZE));
}

void recommendations_start(struct query_loop *q, struct http_request *request, struct slice user_id, struct slice product_id,
                           const char *lang, unsigned size) {
    struct recommendation *rec = arena_zalloc(http_request_arena(request), sizeof(*rec));
    struct error error = {0};
    bool answered;
    if (!rec) {
        error_nomem(&error);
        http_reply_error(request, &error);
        return;
    }
    snprintf(rec->r.lang, sizeof(rec->r.lang), "%.3s", lang);
    rec->begun = clock_now_usec();
    rec->r.arena = http_request_arena(request);
    rec->r.index = q->conf->index;
    rec->r.events_index = q->conf->events_index;
    rec->r.size = size;
    rec->r.user_id = user_id.len ? user_id : (struct slice){NULL, 0};
    rec->r.product_id = product_id.len ? product_id : (struct slice){NULL, 0};
    if (!ask(q, request, rec, recommend_write_history, on_history, &answered) && !answered)
        ask_candidates(q, request, rec);
}
