/* GET|POST /v1/search */
#include "core/log.h"
#include "query-api/events/query_analytics.h"
#include "query-api/query_api.h"
#include "query-api/search/search_again.h"
#include "query-api/search/search_cache.h"
#include "query-api/search/search_cursor.h"
#include "query-api/search/search_parts.h"
#include "query-api/search/search_result.h"
#include "query-api/upstream/fallback.h"
#include <stdio.h>

enum { QUERY_MAX_BYTES = 16 << 20, RESULT_MAX_BYTES = 32 << 20, RESULT_FIRST_BYTES = 64000, QUERY_FIRST_BYTES = 12000 };

struct search {
    struct search_params params;
    struct search_text *text; /* NULL without words */
    usec_t begun;
    const struct json *answer;
    struct search_terms doubts;
    bool in_parts; /* its page was asked for as several searches */
    bool reopened; /* its view of the index was gone */
    bool fallback; /* what is answered comes from MongoDB */
};

static upstream_answer on_fallback;
static upstream_failed on_fallback_failed;

/* There is no answer: an old one, or one from MongoDB, or the error. A walk by cursor gets neither of the two, which would
 * end it before its end. */
static void on_failed(struct query_loop *q, struct http_request *request, void *data, const struct error *error) {
    struct search *s = data;
    if (search_cache_rescue(q, request))
        return;
    if (error_is_retriable(error) && !s->params.cursor.data &&
        fallback_search(q, request, &s->params, on_fallback, on_fallback_failed, s))
        return;
    search_cache_fail(q, request, error);
}

static void reply_with_error(struct query_loop *q, struct http_request *request, struct search *s, struct error *error) {
    if (error->code == ERROR_CORRUPT) {
        error->code = ERROR_UNAVAILABLE;
        upstream_distrust(q);
    }
    if (s->fallback)
        search_cache_fail(q, request, error);
    else
        on_failed(q, request, s, error);
}

/* Would the counts of categories, price and stock be others if they were not those of sets? A list that is cut off will be so
 * again, so this index is no longer asked for them. Where nothing was found, there is none; beside it there may be. */
static bool may_lack_sets(struct query_loop *q, const struct search *s, enum sets_lack lack) {
    if (lack == SETS_CUT && q->index.sets) {
        q->index.sets = false;
        log_info("index.sets_cut", LOG_STR("alias", q->conf->index));
    }
    return lack > SETS_MISSING || (lack == SETS_MISSING && search_again_found(s->answer) > 0);
}

/* second: the counts that were asked for again, or NULL. Sends the answer, unless it has doubts that nobody has
 * asked about yet, or attributes have to be counted apart, or categories by paths: then false. */
static bool reply(struct query_loop *q, struct http_request *request, struct search *s, const struct json *second) {
    struct error error = {0};
    size_t common_len = 0;
    bool crowded = false;
    enum sets_lack lack = SETS_WHOLE;
    struct search_result_context context = {.arena = http_request_arena(request),
                                            .categories = q->categories,
                                            .took_ms = (clock_now_usec() - s->begun + 500) / 1000,
                                            .query_id = http_request_id(request),
                                            .doubts = second || s->fallback ? NULL : &s->doubts,
                                            .second = second,
                                            .ret_crowded = s->params.apart ? NULL : &crowded,
                                            .ret_sets = s->params.by_paths ? NULL : &lack,
                                            .degraded = s->fallback ? "fallback" : NULL,
                                            .ret_common_len = &common_len};
    struct buf out = BUF_INIT(RESULT_MAX_BYTES);
    buf_reserve(&out, RESULT_FIRST_BYTES);
    if (!search_result_write(&s->params, s->answer, &context, &out, &error)) {
        buf_done(&out);
        reply_with_error(q, request, s, &error);
        return true;
    }
    bool lacking = may_lack_sets(q, s, lack), once_more = crowded || lacking;
    if (once_more) {
        s->params.apart |= crowded;
        s->params.by_paths |= lacking;
        s->doubts.count = 0;
    }
    if (once_more || (!second && s->doubts.count)) {
        buf_done(&out);
        return false;
    }
    if (!s->fallback && !s->params.uncounted && s->params.filter_count + s->params.clause_count == 0)
        query_analytics_results(q->analytics, request, s->params.q, search_again_found(s->answer));
    search_view_done(q, &s->params, s->answer);
    if (s->params.explain || s->params.cursor.data) { /* for this sender alone */
        http_reply_header(request, "Cache-Control", "no-store");
        http_reply(request, 200, NULL, &out);
        return true;
    }
    search_cache_end(q, request, s->begun, &out, common_len, s->fallback);
    return true;
}

/* MongoDB counts nothing: a page without facets. */
static void on_fallback(struct query_loop *q, struct http_request *request, void *data, int status, const struct json *body) {
    struct search *s = data;
    (void)status;
    s->fallback = true;
    s->answer = body;
    s->params.facet_count = 0;
    s->doubts.count = 0;
    reply(q, request, s, NULL);
}

static void on_fallback_failed(struct query_loop *q, struct http_request *request, void *data, const struct error *error) {
    (void)data;
    search_cache_fail(q, request, error);
}

/* Of a further question: NULL if it has none, and is dealt with. */
static const struct json *aggregations_of(struct query_loop *q, struct http_request *request, struct search *s, int status,
                                          const struct json *body) {
    struct error error = {0};
    const struct json *aggregations = json_get(body, "aggregations");
    if (status != 404 && search_result_check(body, &error) && json_is(aggregations, JSON_OBJECT))
        return aggregations;
    error_set(&error, ERROR_UNAVAILABLE, "the search engine's answer is not complete; try again shortly");
    on_failed(q, request, s, &error);
    return NULL;
}

static void on_counts(struct query_loop *q, struct http_request *request, void *data, int status,
                      const struct json *body) {
    const struct json *aggregations = aggregations_of(q, request, data, status, body);
    if (aggregations)
        reply(q, request, data, aggregations);
}

/* The page as one answer, however it was asked for. NULL: it is none, and is dealt with. */
static const struct json *page_of(struct query_loop *q, struct http_request *request, struct search *s, const struct json *body) {
    struct error error = {0};
    if (!s->in_parts)
        return body;
    const struct json *page = search_parts_join(http_request_arena(request), body, &error);
    if (!page)
        reply_with_error(q, request, s, &error);
    return page;
}

/* Sends a question about this search to the index; body is moved. */
static void ask(struct query_loop *q, struct http_request *request, struct buf *body, bool written,
                upstream_answer *answer, struct search *s) {
    struct error error = {0};
    struct buf path = BUF_INIT(1024);
    if (s->params.view.len == 0 || answer == on_counts) { /* a view knows its index */
        buf_append_char(&path, '/');
        uri_encode(&path, q->conf->index, strlen(q->conf->index));
    }
    bool parts = s->in_parts && answer != on_counts;
    buf_append_str(&path, parts ? "/_msearch" : "/_search");
    if (!written || !buf_ok(&path)) {
        error_set(&error, ERROR_INVALID, "the query is too large");
        search_cache_fail(q, request, &error);
        buf_done(body);
    } else if (parts) {
        upstream_ask_parts(q, request, path.data, body, answer, on_failed, s);
    } else {
        upstream_ask_or(q, request, "POST", path.data, body, answer, on_failed, s);
    }
    buf_done(&path);
}

static void ask_page(struct query_loop *q, struct http_request *request, struct search *s, upstream_answer *answer) {
    struct buf body = BUF_INIT(QUERY_MAX_BYTES);
    buf_reserve(&body, QUERY_FIRST_BYTES);
    bool written = search_parts_write(&s->params, &body, &s->in_parts);
    ask(q, request, &body, written, answer, s);
}

static upstream_answer on_apart;

/* Answers, or asks first for each attribute by itself, or for the counts in doubt. */
static void answer(struct query_loop *q, struct http_request *request, struct search *s) {
    if (reply(q, request, s, NULL))
        return;
    if (!s->doubts.count) {
        ask_page(q, request, s, on_apart);
        return;
    }
    struct buf again = BUF_INIT(QUERY_MAX_BYTES);
    ask(q, request, &again, search_counts_write(&s->params, &s->doubts, &again), on_counts, s);
}

static void on_apart(struct query_loop *q, struct http_request *request, void *data, int status, const struct json *body) {
    struct search *s = data;
    if (status != 404 && !(body = page_of(q, request, s, body)))
        return;
    if (!aggregations_of(q, request, s, status, body))
        return;
    s->answer = body;
    answer(q, request, s);
}

static upstream_answer on_repaired;

static void on_repaired(struct query_loop *q, struct http_request *request, void *data, int status,
                        const struct json *body) {
    struct search *s = data;
    enum search_again_verdict verdict = search_again_judge(s->text, status == 404 ? NULL : body);
    if (verdict == SEARCH_AGAIN_THIRD) {
        ask_page(q, request, s, on_repaired);
        return;
    }
    if (verdict == SEARCH_AGAIN_SECOND)
        s->answer = body;
    answer(q, request, s);
}

struct search_text_context search_text_context_of(struct query_loop *q, struct http_request *request,
                                                  const struct search_params *params) {
    return (struct search_text_context){
        .arena = http_request_arena(request), .categories = q->categories, .overrides = q->overrides, .ranking = &q->conf->ranking,
        .contexts = params ? params->contexts : NULL, .context_count = params ? params->context_count : 0};
}

static search_view_ready on_view;

static void on_answer(struct query_loop *q, struct http_request *request, void *data, int status,
                      const struct json *body) {
    struct search *s = data;
    struct error error = {0};
    if (status == 404 && s->params.view.len && !s->reopened) {
        s->reopened = true;
        search_view_open(q, request, on_view, s);
        return;
    }
    if (status == 404) {
        error_set(&error, ERROR_UNAVAILABLE, "there is no search index yet: start the projector, which creates it");
        on_failed(q, request, s, &error);
        return;
    }
    s->answer = page_of(q, request, s, body);
    if (!s->answer)
        return;
    struct search_text_context context = search_text_context_of(q, request, &s->params);
    if (s->text && search_again(&context, s->text, body))
        ask_page(q, request, s, on_repaired);
    else
        answer(q, request, s);
}

static void on_view(struct query_loop *q, struct http_request *request, void *data, struct slice view) {
    struct search *s = data;
    s->params.view = view;
    ask_page(q, request, s, on_answer);
}

static bool is_post(const struct http_request *request) {
    return strcmp(http_request_method(request), "POST") == 0;
}

static bool read_cursor(struct http_request *request, struct search_params *params, struct search_errors *errors) {
    struct field_error bad = {.field = "cursor"};
    if (!params->cursor.data || search_cursor_read(http_request_arena(request), params, &bad.message))
        return true;
    errors->items[0] = bad;
    errors->count = 1;
    return false;
}

/* POST takes its parameters from the body, GET from the query. */
static bool read_params(struct http_request *request, struct search_params *ret, struct search_errors *errors) {
    struct arena *arena = http_request_arena(request);
    if (!is_post(request))
        return search_params_from_query(arena, http_request_query(request), ret, errors);
    errors->count = 0;
    if (http_request_query(request).len) {
        errors->items[errors->count++] = (struct field_error){
            .field = "query", .message = "the parameters of a POST stand in its body, as a JSON object"};
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

bool search_may_explain(struct http_request *request) {
    if (http_request_scopes(request) & HTTP_SCOPE_ADMIN)
        return true;
    http_reply_problem(request, 403, "explain is for keys with the scope admin", NULL, 0);
    return false;
}

void handle_search(struct http_request *request, void *ctx) {
    struct search_params params;
    struct search_errors errors = {.count = 0};
    struct error error = {0};
    if (read_params(request, &params, &errors) && read_cursor(request, &params, &errors)) {
        if (!params.explain || search_may_explain(request))
            search_start(ctx, request, &params);
    } else if (errors.count == 0) {
        error_set(&error, ERROR_INVALID, "the parameters are too large");
        http_reply_error(request, &error);
    } else {
        http_reply_problem(request, 400, "the search has invalid parameters", errors.items, errors.count);
    }
}

void search_start(struct query_loop *q, struct http_request *request, const struct search_params *params) {
    struct error error = {0};
    struct search *s = arena_zalloc(http_request_arena(request), sizeof(*s));
    if (!s) {
        error_nomem(&error);
        http_reply_error(request, &error);
        return;
    }
    s->begun = clock_now_usec();
    s->params = *params;
    s->params.index = &q->index;
    if (s->params.page == 1 && s->params.size > 0 && !s->params.cursor.data && !s->params.uncounted) /* counts alone belong to a page */
        query_analytics_search(q->analytics, request, s->params.q);
    if (search_cache_begin(q, request, &s->params, s->begun))
        return;
    if (!upstream_has_room(q, request))
        return;
    struct search_text_context context = search_text_context_of(q, request, &s->params);
    if (s->params.q.len && !(s->text = search_text_read(&context, s->params.q, s->params.typo))) {
        error_nomem(&error);
        search_cache_fail(q, request, &error);
        return;
    }
    s->params.text = s->text;
    if (s->params.cursor.data && s->params.view.len == 0)
        search_view_open(q, request, on_view, s);
    else
        ask_page(q, request, s, on_answer);
}
