/* POST /1/indexes/... : the InstantSearch protocol, so that InstantSearch.js runs unchanged on this server. */
#include "query-api/instant.h"
#include "core/clock.h"
#include "query-api/answer_json.h"
#include "query-api/query_api.h"

enum { RESULT_MAX_BYTES = 64 << 20, VALUES_MAX = 20000 };

struct batch;

/* A question to one of this program's own handlers. */
struct part {
    struct batch *batch;
    struct buf text; /* its answer */
    const struct json *answer;
    int status; /* 0: not answered yet */
};

struct batch {
    struct query_loop *q;
    struct http_request *request;
    struct instant_context context;
    struct instant_query *queries;
    size_t count;
    struct instant_plan plan;
    struct part *parts; /* one for each search of the plan, then one for each query that searches a facet */
    size_t *part_of;    /* for each query */
    size_t part_count, waiting;
    bool alone; /* one query: its result is the answer */
};

static void allow_origins(struct http_request *request) {
    http_reply_header(request, "Access-Control-Allow-Origin", "*");
    http_reply_header(request, "Access-Control-Expose-Headers", "Retry-After, X-Request-Id");
}

void handle_instant_options(struct http_request *request, void *ctx) {
    (void)ctx;
    allow_origins(request);
    http_reply_header(request, "Allow", "POST, OPTIONS");
    http_reply_header(request, "Access-Control-Allow-Methods", "POST, OPTIONS");
    http_reply_header(request, "Access-Control-Allow-Headers",
                      "Authorization, Content-Type, X-Algolia-API-Key, X-Algolia-Application-Id, X-Algolia-Agent, "
                      "X-Algolia-UserToken, X-Request-Id, Request-Id, traceparent");
    http_reply_header(request, "Access-Control-Max-Age", "86400");
    http_reply_empty(request, 204);
}

static void reply_error(struct http_request *request, int status, struct slice message) {
    struct buf out = BUF_INIT(4096);
    struct json_write w;
    json_write_init(&w, &out);
    json_write_object(&w);
    json_write_key(&w, "message");
    json_write_slice(&w, message);
    json_write_key(&w, "status");
    json_write_int(&w, status);
    json_write_object_end(&w);
    allow_origins(request);
    if (status == 503 || status == 429)
        http_reply_header(request, "Retry-After", "1");
    if (json_write_finish(&w)) {
        http_reply(request, status, NULL, &out);
        return;
    }
    buf_done(&out);
    http_reply_empty(request, status);
}

static void refuse(struct http_request *request, const struct error *error) {
    reply_error(request, error_http_status(error->code), slice_str(error->message));
}

static void refuse_nomem(struct http_request *request) {
    struct error error = {0};
    error_nomem(&error);
    refuse(request, &error);
}

/* ---- the answer ---- */

static void batch_release(void *data) {
    struct batch *b = data;
    for (size_t i = 0; i < b->part_count; i++)
        buf_done(&b->parts[i].text);
}

/* The first part that failed answers for all: what it says is problem+json. */
static bool reply_failure(struct batch *b) {
    for (size_t i = 0; i < b->part_count; i++) {
        const struct part *p = &b->parts[i];
        const struct json *detail = json_get(p->answer, "detail");
        if (p->status == 200 && p->answer)
            continue;
        reply_error(b->request, p->status == 200 || p->status < 400 ? 503 : p->status,
                    json_is(detail, JSON_STRING) ? detail->text : SLICE("the search could not be answered; try again shortly"));
        return true;
    }
    return false;
}

static void write_results(struct batch *b, struct json_write *w) {
    if (!b->alone) {
        json_write_object(w);
        json_write_key(w, "results");
        json_write_array(w);
    }
    for (size_t i = 0; i < b->count; i++) {
        const struct json *answer = b->parts[b->part_of[i]].answer;
        if (b->queries[i].facet_search)
            instant_facet_hits_write(w, &b->context, &b->queries[i], answer);
        else
            instant_result_write(w, &b->context, &b->queries[i], &b->plan.searches[b->plan.search_of[i]], answer);
    }
    if (!b->alone) {
        json_write_array_end(w);
        json_write_object_end(w);
    }
}

static void reply(struct batch *b) {
    if (reply_failure(b))
        return;
    b->context.categories = b->q->categories; /* it may have been replaced meanwhile */
    struct buf out = BUF_INIT(RESULT_MAX_BYTES);
    struct json_write w;
    buf_reserve(&out, 16 << 10);
    json_write_init(&w, &out);
    write_results(b, &w);
    if (!json_write_finish(&w)) {
        buf_done(&out);
        refuse_nomem(b->request);
        return;
    }
    allow_origins(b->request);
    http_reply(b->request, 200, NULL, &out);
}

static void one_less(struct batch *b) {
    if (--b->waiting == 0)
        reply(b);
}

static void on_part(void *data, int status, struct buf *body) {
    struct part *p = data;
    struct error error = {0};
    p->status = status;
    p->text = *body;
    *body = BUF_INIT(body->max);
    if (p->text.data)
        p->answer = answer_json_parse(p->batch->context.arena, p->text.data, p->text.len, 64, &error);
    one_less(p->batch);
}

/* ---- the questions ---- */

static void ask_search(struct batch *b, struct http_request *inner, size_t index) {
    search_start(b->q, inner, &b->plan.searches[index].params);
}

/* Values of a category level are looked for in the tree, others by the index. */
static void ask_facet(struct batch *b, struct http_request *inner, const struct instant_query *query) {
    struct search_params params;
    if (!instant_facet_params(b->context.arena, query, &params))
        http_reply_empty(inner, 500);
    else if (query->facet.dim == DIM_BRAND || query->facet.dim == DIM_ATTR)
        facet_values_start(b->q, inner, &params, query->facet_query);
    else
        search_start(b->q, inner, &params);
}

/* All at once: equal searches become one, and the limit on searches under way is upstream.c's. */
static void ask_all(struct batch *b) {
    b->waiting = b->part_count + 1; /* answers may come at once */
    for (size_t i = 0; i < b->part_count; i++) {
        struct http_request *inner = http_request_inner(b->request, (unsigned)i, on_part, &b->parts[i]);
        if (!inner) {
            one_less(b);
            continue;
        }
        if (i < b->plan.search_count)
            ask_search(b, inner, i);
        for (size_t k = 0; i >= b->plan.search_count && k < b->count; k++)
            if (b->part_of[k] == i)
                ask_facet(b, inner, &b->queries[k]);
        http_request_unref(inner);
    }
    one_less(b);
}

static bool batch_plan(struct batch *b) {
    struct arena *arena = b->context.arena;
    if (!instant_plan_make(arena, b->queries, b->count, &b->plan))
        return false;
    size_t parts = b->plan.search_count;
    b->part_of = arena_alloc(arena, (b->count + 1) * sizeof(*b->part_of));
    for (size_t i = 0; b->part_of && i < b->count; i++)
        b->part_of[i] = b->queries[i].facet_search ? parts++ : b->plan.search_of[i];
    b->parts = arena_zalloc(arena, (parts + 1) * sizeof(*b->parts));
    if (!b->part_of || !b->parts)
        return false;
    b->part_count = parts;
    for (size_t i = 0; i < parts; i++)
        b->parts[i].batch = b;
    http_request_set_data(b->request, b, batch_release);
    return true;
}

static struct batch *batch_new(struct query_loop *q, struct http_request *request, size_t count) {
    struct arena *arena = http_request_arena(request);
    struct batch *b = arena_zalloc(arena, sizeof(*b));
    if (!b || !(b->queries = arena_zalloc(arena, (count + 1) * sizeof(*b->queries)))) {
        refuse_nomem(request);
        return NULL;
    }
    b->q = q;
    b->request = request;
    b->context = (struct instant_context){.arena = arena, .categories = q->categories, .index = q->conf->index};
    b->count = count;
    return b;
}

static void batch_start(struct batch *b) {
    if (batch_plan(b))
        ask_all(b);
    else
        refuse_nomem(b->request);
}

/* Bodies are JSON under whatever content type spares the browser a preflight. NULL: answered. */
static const struct json *read_body(struct http_request *request) {
    static const struct json_limits limits = {.depth_max = INSTANT_DEPTH_MAX, .values_max = VALUES_MAX};
    static const struct json none = {.type = JSON_OBJECT};
    struct error error = {0};
    struct slice body = http_request_body(request);
    if (!body.len)
        return &none;
    const struct json *json = json_parse(http_request_arena(request), body.data, body.len, &limits, &error);
    if (!json_is(json, JSON_OBJECT)) {
        if (json)
            error_set(&error, ERROR_INVALID, "the body must be a JSON object");
        refuse(request, &error);
        return NULL;
    }
    return json;
}

void handle_instant_queries(struct http_request *request, void *ctx) {
    struct error error = {0};
    const struct json *body = read_body(request);
    if (!body)
        return;
    const struct json *requests = json_get(body, "requests");
    if (!json_is(requests, JSON_ARRAY) || requests->count > INSTANT_REQUESTS_MAX) {
        error_set(&error, ERROR_INVALID, "requests must be a list of at most %d", INSTANT_REQUESTS_MAX);
        refuse(request, &error);
        return;
    }
    struct batch *b = batch_new(ctx, request, requests->count);
    size_t i = 0;
    for (const struct json *one = requests->child; b && one; one = one->next)
        if (!instant_query_read(&b->context, (struct slice){NULL, 0}, one, &b->queries[i++], &error)) {
            refuse(request, &error);
            return;
        }
    if (b)
        batch_start(b);
}

static void handle_one(struct query_loop *q, struct http_request *request, struct slice facet) {
    struct error error = {0};
    const struct json *body = read_body(request);
    struct batch *b = body ? batch_new(q, request, 1) : NULL;
    if (!b)
        return;
    b->alone = true;
    bool ok = instant_query_read(&b->context, http_request_param(request, "index"), body, b->queries, &error);
    if (ok && facet.data) {
        b->queries->facet_search = true;
        ok = instant_facet_read(facet, b->queries, &error);
    }
    if (ok)
        batch_start(b);
    else
        refuse(request, &error);
}

void handle_instant_query(struct http_request *request, void *ctx) {
    handle_one(ctx, request, (struct slice){NULL, 0});
}

void handle_instant_facet(struct http_request *request, void *ctx) {
    handle_one(ctx, request, http_request_param(request, "facet"));
}
