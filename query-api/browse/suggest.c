/* GET /v1/suggest */
#include "core/clock.h"
#include "core/http_param_read.h"
#include "query-api/browse/suggest.h"
#include "query-api/query_api.h"
#include "query-api/search/search_cache.h"
#include "query-api/search/search_params.h"
#include "query-api/search/search_result.h"

enum { SUGGEST_QUERY_MAX_BYTES = 4 << 20, SUGGEST_RESULT_MAX_BYTES = 4 << 20, SUGGEST_SIZE = 6 };

enum { PARAM_Q, PARAM_LANG, PARAM_SIZE, PARAM_COUNT };
const struct http_param suggest_params[] = {
    [PARAM_Q] = {.name = "q",
                 .about = "What is typed so far; the last word may be incomplete.",
                 .example = "노ㅌ",
                 .max = SEARCH_Q_MAX_BYTES,
                 .required = true},
    [PARAM_LANG] = {.name = "lang",
                    .about = "Language of names, two or three letters; ko by default.",
                    .example = "en",
                    .max = 3},
    [PARAM_SIZE] = {.name = "size",
                    .about = "Most entries of each list; 6 by default.",
                    .example = "10",
                    .type = HTTP_PARAM_INTEGER,
                    .min = 1,
                    .max = SUGGEST_SIZE_MAX},
    {.name = NULL},
};

struct suggest_request {
    struct suggest s;
    char lang[4];
    usec_t begun;
};

static void reply_error(struct http_request *request, enum error_code code, const char *message) {
    struct error error = {0};
    error_set(&error, code, "%s", message);
    http_reply_error(request, &error);
}

static void reply(struct query_loop *q, struct http_request *request, struct suggest_request *r, const struct json *body) {
    struct error error = {0};
    r->s.categories = q->categories; /* the snapshot may be another one by now */
    r->s.took_ms = (clock_now_usec() - r->begun + 500) / 1000;
    size_t common_len = 0;
    r->s.ret_common_len = &common_len;
    struct buf out = BUF_INIT(SUGGEST_RESULT_MAX_BYTES);
    if (suggest_result_write(&r->s, body, &out)) {
        search_cache_end(q, request, r->begun, &out, common_len, r->s.degraded != NULL);
        return;
    }
    buf_done(&out);
    error_nomem(&error);
    search_cache_fail(q, request, &error);
}

/* Answered from the cache, or waiting for somebody who asks the same. */
static bool is_known(struct query_loop *q, struct http_request *request, const struct suggest_request *r, struct slice text,
                     unsigned size) {
    struct buf name = BUF_INIT(4096);
    buf_printf(&name, "suggest %s %u ", r->lang, size);
    buf_append(&name, text.data, text.len);
    bool answered = buf_ok(&name) && search_cache_begin_name(q, request, (struct slice){name.data, name.len}, r->begun);
    buf_done(&name);
    return answered;
}

/* With a fallback somebody who types gets the categories, which are in memory, and no error. */
static void on_failed(struct query_loop *q, struct http_request *request, void *data, const struct error *error) {
    struct suggest_request *r = data;
    if (search_cache_rescue(q, request))
        return;
    if (!q->fallback || !error_is_retriable(error)) {
        search_cache_fail(q, request, error);
        return;
    }
    r->s.degraded = "fallback";
    reply(q, request, r, NULL);
}

static void on_hits(struct query_loop *q, struct http_request *request, void *data, int status, const struct json *body) {
    struct error error = {0};
    if (status != 404 && search_result_check(body, &error)) {
        reply(q, request, data, body);
        return;
    }
    if (error.code == ERROR_CORRUPT)
        upstream_distrust(q);
    error_set(&error, ERROR_UNAVAILABLE,
              status == 404 ? "there is no search index yet: start the projector, which creates it"
                            : "the search engine's answer is not complete; try again shortly");
    on_failed(q, request, data, &error);
}

void handle_suggest(struct http_request *request, void *ctx) {
    struct query_loop *q = ctx;
    struct arena *arena = http_request_arena(request);
    struct slice values[PARAM_COUNT];
    struct suggest_request *r = arena_zalloc(arena, sizeof(*r));
    unsigned size;
    struct search_text_context context = search_text_context_of(q, request, NULL);
    if (!r) {
        reply_error(request, ERROR_INTERNAL, "out of memory");
        return;
    }
    if (!request_params(request, values) || !request_lang(request, values[PARAM_LANG], r->lang))
        return;
    r->begun = clock_now_usec();
    size = (unsigned)http_param_integer(values[PARAM_SIZE], SUGGEST_SIZE);
    if (is_known(q, request, r, values[PARAM_Q], size))
        return;
    r->s = (struct suggest){.arena = arena,
                            .q = values[PARAM_Q],
                            .text = search_text_read(&context, values[PARAM_Q], false),
                            .categories = q->categories,
                            .lang = r->lang,
                            .size = size,
                            .query_id = http_request_id(request)};
    struct buf body = BUF_INIT(SUGGEST_QUERY_MAX_BYTES), path = BUF_INIT(1024);
    buf_append_char(&path, '/');
    uri_encode(&path, q->conf->index, strlen(q->conf->index));
    buf_append_str(&path, "/_search");
    if (r->s.text && buf_ok(&path) && suggest_query_write(&r->s, &body)) {
        upstream_ask_or(q, request, "POST", path.data, &body, on_hits, on_failed, r);
    } else {
        buf_done(&body);
        struct error error = {0};
        error_nomem(&error);
        search_cache_fail(q, request, &error);
    }
    buf_done(&path);
}
