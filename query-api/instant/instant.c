/* POST /1/indexes/... : the InstantSearch protocol, so that InstantSearch.js runs unchanged on this server. */
#include "query-api/instant/instant_reply.h"

enum { RESULT_MAX_BYTES = 64 << 20 };

struct batch {
    struct query_loop *q;
    struct http_request *request;
    struct instant_context context;
    struct instant_query *queries;
    size_t count;
    struct instant_plan plan;
    struct instant_parts parts; /* one for each search of the plan, then one for each query that searches a facet */
    size_t *part_of;            /* for each query */
    bool alone;                 /* one query: its result is the answer */
};

static void refuse_nomem(struct http_request *request) {
    struct error error = {0};
    error_nomem(&error);
    http_reply_error(request, &error);
}

/* ---- the answer ---- */

static void write_results(struct batch *b, struct json_write *w) {
    if (!b->alone) {
        json_write_object(w);
        json_write_key(w, "results");
        json_write_array(w);
    }
    for (size_t i = 0; i < b->count; i++) {
        const struct json *answer = b->parts.items[b->part_of[i]].answer;
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

static void reply(void *data) {
    struct batch *b = data;
    if (instant_parts_failed(&b->parts, 200))
        return;
    b->context.categories = b->q->categories; /* it may have been replaced meanwhile */
    struct buf out = BUF_INIT(RESULT_MAX_BYTES);
    struct json_write w;
    buf_reserve(&out, 16 << 10);
    json_write_init(&w, &out);
    write_results(b, &w);
    instant_reply(b->request, &w, &out);
}

/* ---- the questions ---- */

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

static void ask(void *data, struct http_request *inner, size_t part) {
    struct batch *b = data;
    if (part < b->plan.search_count) {
        search_start(b->q, inner, &b->plan.searches[part].params);
        return;
    }
    for (size_t k = 0; k < b->count; k++)
        if (b->part_of[k] == part)
            ask_facet(b, inner, &b->queries[k]);
}

static bool batch_plan(struct batch *b) {
    struct arena *arena = b->context.arena;
    if (!instant_plan_make(arena, b->queries, b->count, &b->plan))
        return false;
    size_t parts = b->plan.search_count;
    b->part_of = arena_alloc(arena, (b->count + 1) * sizeof(*b->part_of));
    for (size_t i = 0; b->part_of && i < b->count; i++)
        b->part_of[i] = b->queries[i].facet_search ? parts++ : b->plan.search_of[i];
    if (!b->part_of || !instant_parts_init(&b->parts, b->request, parts, ask, reply, b))
        return false;
    b->parts.alone = b->alone;
    for (size_t i = b->count; i-- > 0;)
        b->parts.items[b->part_of[i]].asked_by = i;
    return true;
}

static void batch_start(struct batch *b) {
    if (batch_plan(b))
        instant_parts_start(&b->parts);
    else
        refuse_nomem(b->request);
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

void handle_instant_queries(struct http_request *request, void *ctx) {
    struct error error = {0};
    const struct json *requests = instant_requests(request);
    struct batch *b = requests ? batch_new(ctx, request, requests->count) : NULL;
    size_t i = 0;
    if (!b)
        return;
    for (const struct json *one = requests->child; one; one = one->next, i++)
        if (!instant_query_read(&b->context, (struct slice){NULL, 0}, one, &b->queries[i], &error)) {
            instant_refuse_one(request, i, &error);
            return;
        }
    batch_start(b);
}

static void handle_one(struct query_loop *q, struct http_request *request, struct slice facet) {
    struct error error = {0};
    const struct json *body = instant_body(request);
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
        http_reply_error(request, &error);
}

void handle_instant_query(struct http_request *request, void *ctx) {
    handle_one(ctx, request, (struct slice){NULL, 0});
}

void handle_instant_facet(struct http_request *request, void *ctx) {
    handle_one(ctx, request, http_request_param(request, "facet"));
}
