#include "core/cleanup.h"
#include "core/log.h"
#include "query-api/query_api.h"
#include "query-api/search/answer_json.h"
#include <stdio.h>

/* upstream_ask and upstream_ask_or, upstream_ask_extra, upstream_ask_parts. */
enum kind { ASK_PLAIN, ASK_EXTRA, ASK_PARTS };

struct upstream {
    struct query_loop *q;
    struct upstream *next, **back; /* among all */
    struct upstream *behind;       /* while it waits */
    struct http_call *call;        /* NULL while it waits */
    struct http_request *request;
    const char *method;
    char *path;
    struct buf body;
    usec_t begun;
    unsigned at_engine; /* when it went out, itself included */
    enum kind kind;
    upstream_answer *answer;
    upstream_failed *failed;
    void *data;
};

enum { DISTRUST_MAX = 5, DEPTH_MAX = 64, TIMEOUT_MIN = 10000, REPLY_MARGIN = 200000 /* both usec_t */ };

#define SILENCE_USEC (300 * USEC_PER_MSEC)

static void upstream_free(struct upstream *u) {
    *u->back = u->next;
    if (u->next)
        u->next->back = u->back;
    buf_done(&u->body);
    http_request_unref(u->request);
    free(u->path);
    free(u);
}

/* Answers are read in place and live as long as their request. */
struct answer {
    struct buf text;
    struct answer *older;
};

static void answers_free(void *data) {
    for (struct answer *a = data; a;) {
        struct answer *older = a->older;
        buf_done(&a->text);
        free(a);
        a = older;
    }
}

static bool keep_answer(struct http_request *request, struct buf *text) {
    struct answer *a = malloc(sizeof(*a));
    if (!a)
        return false;
    *a = (struct answer){.text = *text, .older = http_request_data(request)};
    *text = BUF_INIT(text->max);
    http_request_set_data(request, a, answers_free);
    return true;
}

/* The server has answered, with more than is taken. */
static bool is_too_large(const struct http_response *r) {
    return r->error.code == ERROR_INVALID && r->sent;
}

/* An answer of 4xx says nothing about the server's health; only these do, and a body that is no JSON. */
static bool is_failure(const struct http_response *r) {
    return (r->error.code != ERROR_NONE && !is_too_large(r)) || r->status == 429 || r->status >= 500;
}

/* Tells the breaker how a call ended. hopeless: in vain until its time was up, and nothing else was answered meanwhile, or
 * known from elsewhere; then it is not waited for more of them, which are few at a time. */
static void report(struct query_loop *q, bool failed, bool hopeless) {
    bool before = q->breaker.state != BREAKER_CLOSED;
    if (!failed)
        breaker_success(&q->breaker);
    else
        breaker_failure(&q->breaker, loop_now(q->loop));
    if (hopeless)
        breaker_trip(&q->breaker, loop_now(q->loop));
    bool after = q->breaker.state != BREAKER_CLOSED;
    if (before == after)
        return;
    metric_set(q->breaker_open, after);
    if (after)
        log_warn("breaker.open");
    else
        log_info("breaker.closed");
}

void upstream_reply_error(struct query_loop *q, struct http_request *request, const struct error *error) {
    usec_t now = loop_now(q->loop), at = breaker_retry_at(&q->breaker);
    if (error_is_retriable(error) && at > now) {
        char seconds[24];
        snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)((at - now + USEC_PER_SEC - 1) / USEC_PER_SEC));
        http_reply_header(request, "Retry-After", seconds);
    }
    http_reply_error(request, error);
}

void upstream_distrust(struct query_loop *q) {
    if (++q->distrusted >= DISTRUST_MAX)
        report(q, true, true);
}

static void default_failed(struct query_loop *q, struct http_request *request, void *data, const struct error *error) {
    (void)data;
    search_cache_fail(q, request, error);
}

static void fail_unavailable(const struct upstream *u, enum error_code code) {
    struct error error = {.code = code};
    if (code == ERROR_TIMEOUT)
        error_set(&error, ERROR_UNAVAILABLE, "the search engine did not answer in time; try again shortly");
    else
        error_set(&error, code, "the search engine cannot be reached or is overloaded; try again shortly");
    u->failed(u->q, u->request, u->data, &error);
}

/* For this request alone: others ask for less. */
static void fail_too_large(const struct upstream *u, const struct error *why) {
    struct error error = {0};
    log_warn("upstream.too_large", LOG_ERR(why), LOG_STR("request_id", http_request_id(u->request)));
    error_set(&error, ERROR_INVALID, "the answer is too large; ask for fewer hits (size) or fewer fields");
    u->failed(u->q, u->request, u->data, &error);
}

/* part: what failed, of an answer in parts; or NULL. */
static void handle_failure(struct upstream *u, const struct http_response *response, const struct json *part) {
    struct error error = {0};
    if (response->error.code != ERROR_NONE)
        error = response->error;
    else if (part)
        es_error_part(response, part, &error);
    else
        es_error(response, &error);
    metric_inc(u->q->upstream_failures);
    log_warn("upstream.failed", LOG_INT("status", response->status), LOG_ERR(&error),
             LOG_STR("request_id", http_request_id(u->request)));
    if (response->error.code != ERROR_NONE || error_is_retriable(&error)) {
        fail_unavailable(u, error.code == ERROR_TIMEOUT ? ERROR_TIMEOUT : ERROR_UNAVAILABLE);
        return;
    }
    error_set(&error, ERROR_INTERNAL, "the search engine refused the query; the log of this server says why under %s",
              http_request_id(u->request));
    u->failed(u->q, u->request, u->data, &error);
}

/* Is it JSON at all, as far as there is something to be read? reterr: ERROR_INTERNAL if there is no room for it. */
static const struct json *read_answer(struct upstream *u, struct http_response *response, struct error *reterr) {
    const struct json *body = NULL;
    char *text = response->body->data;
    size_t len = response->body->len;
    if (text && keep_answer(u->request, response->body))
        body = answer_json_parse(http_request_arena(u->request), text, len, DEPTH_MAX, reterr);
    if (!body && response->status != 404 && reterr->code != ERROR_INTERNAL)
        log_warn("upstream.garbage", LOG_INT("status", response->status), LOG_ERR(reterr));
    return body;
}

/* An answer of the right shape leaves the count of the others at zero. */
static void give_answer(struct upstream *u, int status, const struct json *body) {
    struct query_loop *q = u->q;
    unsigned before = q->distrusted;
    u->answer(q, u->request, u->data, status, body);
    if (q->distrusted == before)
        q->distrusted = 0;
}

static void send_waiting(struct query_loop *q);

/* What the call says about load and about the engine's health. How long a failure took says nothing about load. */
static void learn(struct upstream *u, const struct http_response *response, bool garbage) {
    struct query_loop *q = u->q;
    usec_t now = clock_now_usec(), took = now - u->begun;
    bool failed = garbage || is_failure(response);
    metric_observe(q->upstream_seconds, took);
    if (!failed) {
        q->upstream_answered = now;
        load_limit_done(&q->limit, took, u->at_engine, now);
        metric_set(q->limit_gauge, q->limit.limit);
    }
    bool no_room = u->kind == ASK_EXTRA && (response->status == 429 || response->status == 503);
    bool cut = response->error.code == ERROR_TIMEOUT && took < q->conf->search_timeout_usec / 4; /* its request had no more time */
    if ((!no_room && !cut) || q->breaker.state != BREAKER_CLOSED) /* a probe has to say something */
        report(q, failed, response->error.code == ERROR_TIMEOUT && q->upstream_answered < u->begun);
}

static bool is_answered(const struct http_response *response) {
    return response->error.code == ERROR_NONE && (response->status / 100 == 2 || response->status == 404);
}

/* Each search of an _msearch has a status of its own: the highest becomes that of all. Returns the one that has it, or NULL if
 * none has a higher one than the response. */
static const struct json *worst_part(const struct json *body, struct http_response *response) {
    const struct json *responses = json_get(body, "responses"), *worst = NULL;
    for (const struct json *part = json_is(responses, JSON_ARRAY) ? responses->child : NULL; part; part = part->next) {
        int64_t status;
        if (json_int64(json_get(part, "status"), &status) && status > response->status && status < 600) {
            response->status = (int)status;
            worst = part;
        }
    }
    return worst;
}

static void on_response(void *ctx, struct http_response *response) {
    struct upstream *u = ctx;
    struct query_loop *q = u->q;
    q->upstream_active--;
    struct error error = {0};
    const struct json *body = is_answered(response) ? read_answer(u, response, &error) : NULL;
    const struct json *worst = u->kind == ASK_PARTS ? worst_part(body, response) : NULL;
    bool answered = is_answered(response);
    bool no_room = error.code == ERROR_INTERNAL || is_too_large(response);
    bool garbage = answered && !body && response->status != 404 && !no_room;
    learn(u, response, garbage);
    send_waiting(q);
    if (no_room)
        fail_too_large(u, error.code ? &error : &response->error);
    else if (!answered)
        handle_failure(u, response, worst);
    else if (garbage)
        fail_unavailable(u, ERROR_UNAVAILABLE);
    else
        give_answer(u, response->status, body);
    upstream_free(u);
}

/* ---- what goes out, what waits, what is refused ---- */

/* What a request asks after its first answer has been paid for in part. */
static bool is_follow_up(const struct http_request *request) {
    return http_request_data(request) != NULL;
}

static bool is_full(struct query_loop *q) {
    unsigned most = load_limit_now(&q->limit, loop_now(q->loop), clock_wall_usec());
    return q->upstream_waiting || q->upstream_active >= most;
}

static void refuse_load(struct query_loop *q, struct http_request *request) {
    struct error error = {0};
    metric_inc(q->shed_load);
    error_set(&error, ERROR_OVERLOADED, "too many searches at once; try again shortly");
    search_cache_fail(q, request, &error);
}

/* Full, and nothing comes back: that is no overload but perhaps the beginning of an outage. */
static bool is_silent(const struct query_loop *q) {
    return clock_now_usec() > q->upstream_answered + SILENCE_USEC;
}

bool upstream_has_room(struct query_loop *q, struct http_request *request) {
    if (q->breaker.state != BREAKER_CLOSED || !is_full(q) ||
        load_limit_may_wait(&q->limit, q->upstream_active, q->upstream_waiting, loop_now(q->loop)) ||
        (q->fallback && is_silent(q)))
        return true;
    refuse_load(q, request);
    return false;
}

/* How long a question may take: what has waited, or is a second one of the same request, leaves time to answer before the
 * request's own deadline. 0: there is none left to ask. */
static usec_t timeout_of(const struct query_loop *q, const struct http_request *request) {
    usec_t latest = http_request_deadline(request), now = clock_now_usec();
    if (latest < now + TIMEOUT_MIN + REPLY_MARGIN)
        return 0;
    usec_t left = latest - now - REPLY_MARGIN;
    return left < q->conf->search_timeout_usec ? left : q->conf->search_timeout_usec;
}

/* Owns u; body is moved. NULL without memory. */
static struct upstream *upstream_new(struct query_loop *q, struct http_request *request, const char *method, const char *path,
                                     struct buf *body) {
    struct upstream *u = calloc(1, sizeof(*u));
    char *copy = u ? strdup(path) : NULL;
    if (!copy) {
        free(u);
        if (body)
            buf_done(body);
        return NULL;
    }
    *u = (struct upstream){.q = q, .request = http_request_ref(request), .method = method, .path = copy, .next = q->upstreams,
                           .back = &q->upstreams};
    if (u->next)
        u->next->back = &u->next;
    q->upstreams = u;
    if (body)
        u->body = *body;
    return u;
}

static void send_out(struct upstream *u) {
    struct query_loop *q = u->q;
    struct error error = {0};
    struct trace child;
    char traceparent[TRACEPARENT_SIZE];
    usec_t timeout = timeout_of(q, u->request);
    if (!timeout || !breaker_allow(&q->breaker, loop_now(q->loop))) {
        metric_inc(timeout ? q->shed_down : q->shed_load);
        fail_unavailable(u, timeout ? ERROR_UNAVAILABLE : ERROR_TIMEOUT);
        upstream_free(u);
        return;
    }
    trace_child(http_request_trace(u->request), &child);
    trace_format(&child, traceparent);
    u->begun = clock_now_usec();
    u->at_engine = ++q->upstream_active;
    u->call = es_start(q->es, u->method, u->path, NULL, (struct slice){u->body.data, u->body.len}, traceparent,
                       timeout, on_response, u, &error);
    if (!u->call) {
        q->upstream_active--;
        report(q, true, false);
        log_warn("upstream.failed", LOG_ERR(&error));
        fail_unavailable(u, ERROR_UNAVAILABLE);
        upstream_free(u);
    }
}

static void wait_for_turn(struct upstream *u) {
    struct query_loop *q = u->q;
    if (!q->first_waiting)
        q->last_waiting = &q->first_waiting;
    *q->last_waiting = u;
    q->last_waiting = &u->behind;
    metric_set(q->waiting_gauge, ++q->upstream_waiting);
}

/* As many as may; while the breaker is open that is all of them, to be refused. */
static void send_waiting(struct query_loop *q) {
    while (q->first_waiting && (q->breaker.state != BREAKER_CLOSED ||
                                q->upstream_active < load_limit_now(&q->limit, loop_now(q->loop), clock_wall_usec()))) {
        struct upstream *u = q->first_waiting;
        q->first_waiting = u->behind;
        metric_set(q->waiting_gauge, --q->upstream_waiting);
        send_out(u);
    }
}

static void ask(struct query_loop *q, struct http_request *request, const char *method, const char *path, struct buf *body,
                upstream_answer *answer, upstream_failed *failed, void *data, enum kind kind) {
    bool at_once = is_follow_up(request) || q->breaker.state != BREAKER_CLOSED || !is_full(q);
    if (!at_once && !load_limit_may_wait(&q->limit, q->upstream_active, q->upstream_waiting, loop_now(q->loop))) {
        if (body)
            buf_done(body);
        if (q->fallback && is_silent(q))
            fail_unavailable(&(struct upstream){.q = q, .request = request, .failed = failed, .data = data}, ERROR_UNAVAILABLE);
        else
            refuse_load(q, request);
        return;
    }
    struct upstream *u = upstream_new(q, request, method, path, body);
    if (!u) {
        struct error error = {0};
        error_nomem(&error);
        failed(q, request, data, &error);
        return;
    }
    u->answer = answer;
    u->failed = failed;
    u->data = data;
    u->kind = kind;
    if (at_once)
        send_out(u);
    else
        wait_for_turn(u);
}

void upstream_ask(struct query_loop *q, struct http_request *request, const char *method, const char *path,
                  struct buf *body, upstream_answer *answer, void *data) {
    ask(q, request, method, path, body, answer, default_failed, data, ASK_PLAIN);
}

void upstream_ask_or(struct query_loop *q, struct http_request *request, const char *method, const char *path,
                     struct buf *body, upstream_answer *answer, upstream_failed *failed, void *data) {
    ask(q, request, method, path, body, answer, failed, data, ASK_PLAIN);
}

void upstream_ask_parts(struct query_loop *q, struct http_request *request, const char *path, struct buf *body,
                        upstream_answer *answer, upstream_failed *failed, void *data) {
    ask(q, request, "POST", path, body, answer, failed, data, ASK_PARTS);
}

void upstream_ask_extra(struct query_loop *q, struct http_request *request, const char *method, const char *path,
                        upstream_answer *answer, void *data) {
    ask(q, request, method, path, NULL, answer, default_failed, data, ASK_EXTRA);
}

void upstream_drop_all(struct query_loop *q) {
    q->first_waiting = NULL;
    while (q->upstreams) {
        if (q->upstreams->call)
            es_cancel(q->es, q->upstreams->call);
        upstream_free(q->upstreams);
    }
}
