/* POST /1/indexes/... /recommendations: products beside a product. */
#include "core/utf8.h"
#include "query-api/instant/instant_reply.h"

enum { SIZE_DEFAULT = 10, SIZE_MAX_HITS = 50, ID_MAX_BYTES = 128, RECOMMEND_MAX_BYTES = 16 << 20 };

enum model { MODEL_SIMILAR, MODEL_TOGETHER, MODEL_FOR_YOU, MODEL_TRENDING, MODEL_NONE };

struct wish {
    enum model model;
    struct slice id; /* of the product; MODEL_FOR_YOU: of the shopper */
    char lang[4];
    unsigned size;
    struct search_params params; /* MODEL_TRENDING */
};

struct wishes {
    struct query_loop *q;
    struct http_request *request;
    struct instant_context context;
    struct wish *items;
    size_t count;
    struct instant_parts parts;
};

/* Models without an answer of ours have none: clients leave their place empty. */
static enum model model_of(const struct json *v) {
    if (json_string_is(v, "related-products") || json_string_is(v, "looking-similar"))
        return MODEL_SIMILAR;
    if (json_string_is(v, "bought-together"))
        return MODEL_TOGETHER;
    if (json_string_is(v, "recommended-for-you"))
        return MODEL_FOR_YOU;
    return json_string_is(v, "trending-items") ? MODEL_TRENDING : MODEL_NONE;
}

/* What sells best, of all products or of those with one value of a facet. */
static bool read_trending(const struct instant_context *context, const struct json *request, struct wish *ret, struct error *reterr) {
    const struct json *name = json_get(request, "facetName"), *value = json_get(request, "facetValue");
    struct instant_parser *p = instant_parser_new(context, ret->lang);
    struct instant_filters filters;
    if (!p)
        return error_nomem(reterr);
    ret->params = (struct search_params){.q = {"", 0}, .sort = SORT_BEST_SELLING, .page = 1, .size = ret->size, .facet_size = 1};
    memcpy(ret->params.lang, ret->lang, sizeof(ret->lang));
    if (json_is(name, JSON_STRING) && json_is(value, JSON_STRING)) {
        const char *text = arena_printf(context->arena, "%s:%s", name->text.data, value->text.data);
        struct json filter = {.type = JSON_STRING, .text = slice_str(text)};
        if (!text)
            return error_nomem(reterr);
        if (!instant_read_facet_filters(p, &filter, reterr))
            return false;
    }
    if (!instant_parser_take(p, &filters, reterr))
        return false;
    ret->params.filters = filters.filters;
    ret->params.filter_count = filters.filter_count;
    ret->params.clauses = filters.clauses;
    ret->params.clause_count = filters.clause_count;
    return true;
}

static bool read_wish(const struct instant_context *context, const struct json *request, struct wish *ret, struct error *reterr) {
    const struct json *name = json_get(request, "indexName"), *id = json_get(request, "objectID");
    const struct json *user = json_path(request, "queryParameters.userToken");
    enum sort_order sort;
    int64_t size = 0;
    struct slice index = json_is(name, JSON_STRING) ? name->text : SLICE("");
    if (!instant_index_read(context->index, index, ret->lang, &sort))
        return error_set(reterr, ERROR_NOT_FOUND, "Index %.*s does not exist", (int)utf8_cut(index.data, index.len, 100), index.data);
    if (!ret->lang[0])
        memcpy(ret->lang, "ko", 3);
    json_int64(json_get(request, "maxRecommendations"), &size);
    ret->size = size < 1 ? SIZE_DEFAULT : size > SIZE_MAX_HITS ? SIZE_MAX_HITS : (unsigned)size;
    ret->model = model_of(json_get(request, "model"));
    if (!json_is(json_get(request, "model"), JSON_STRING))
        return error_set(reterr, ERROR_INVALID, "model is missing");
    if (ret->model == MODEL_TRENDING)
        return read_trending(context, request, ret, reterr);
    if (ret->model == MODEL_FOR_YOU && json_is(user, JSON_STRING) && user->text.len <= ID_MAX_BYTES)
        ret->id = user->text;
    if (ret->model > MODEL_TOGETHER)
        return true;
    if (!json_is(id, JSON_STRING) || id->text.len == 0 || id->text.len > ID_MAX_BYTES)
        return error_set(reterr, ERROR_INVALID, "objectID must have 1 to %d bytes", ID_MAX_BYTES);
    ret->id = id->text;
    return true;
}

static void write_hits(struct wishes *s, struct json_write *w, size_t index) {
    const struct json *hits = json_get(s->parts.items[index].answer, "hits");
    uint64_t count = 0;
    json_write_object(w);
    json_write_key(w, "hits");
    json_write_array(w);
    for (const struct json *hit = json_is(hits, JSON_ARRAY) ? hits->child : NULL; hit; hit = hit->next) {
        /* what fills a list that is too short is not what was asked for */
        if (s->items[index].model == MODEL_TOGETHER && !json_string_is(json_get(hit, "reason"), "bought_together"))
            continue;
        count++;
        json_write_object(w);
        json_write_key(w, "objectID");
        json_write_json(w, json_get(hit, "id"));
        instant_hit_write(w, &s->context, s->items[index].lang, hit);
        json_write_object_end(w);
    }
    json_write_array_end(w);
    json_write_key(w, "nbHits");
    json_write_uint(w, count);
    json_write_key(w, "processingTimeMS");
    int64_t msec = 0;
    json_int64(json_get(s->parts.items[index].answer, "took_ms"), &msec);
    json_write_int(w, msec);
    json_write_object_end(w);
}

/* A product that is not there has no hits. */
static void reply(void *data) {
    struct wishes *s = data;
    if (instant_parts_failed(&s->parts, 404))
        return;
    s->context.categories = s->q->categories;
    struct buf out = BUF_INIT(RECOMMEND_MAX_BYTES);
    struct json_write w;
    json_write_init(&w, &out);
    json_write_object(&w);
    json_write_key(&w, "results");
    json_write_array(&w);
    for (size_t i = 0; i < s->count; i++)
        write_hits(s, &w, i);
    json_write_array_end(&w);
    json_write_object_end(&w);
    instant_reply(s->request, &w, &out);
}

static void ask(void *data, struct http_request *inner, size_t index) {
    struct wishes *s = data;
    const struct wish *wish = &s->items[index];
    if (wish->model == MODEL_SIMILAR)
        similar_start(s->q, inner, wish->id, wish->lang, wish->size);
    else if (wish->model == MODEL_TOGETHER)
        recommendations_start(s->q, inner, SLICE(""), wish->id, wish->lang, wish->size);
    else if (wish->model == MODEL_FOR_YOU)
        recommendations_start(s->q, inner, wish->id, SLICE(""), wish->lang, wish->size);
    else if (wish->model == MODEL_TRENDING)
        search_start(s->q, inner, &wish->params);
    else
        http_reply_empty(inner, 404);
}

void handle_instant_recommend(struct http_request *request, void *ctx) {
    struct query_loop *q = ctx;
    struct arena *arena = http_request_arena(request);
    struct error error = {0};
    const struct json *requests = instant_requests(request);
    if (!requests)
        return;
    struct wishes *s = arena_zalloc(arena, sizeof(*s));
    if (!s || !(s->items = arena_zalloc(arena, (requests->count + 1) * sizeof(*s->items))) ||
        !instant_parts_init(&s->parts, request, requests->count, ask, reply, s)) {
        error_nomem(&error);
        http_reply_error(request, &error);
        return;
    }
    s->q = q;
    s->request = request;
    s->context = (struct instant_context){.arena = arena, .categories = q->categories, .index = q->conf->index};
    for (const struct json *one = requests->child; one; one = one->next, s->count++)
        if (!read_wish(&s->context, one, &s->items[s->count], &error)) {
            instant_refuse_one(request, s->count, &error);
            return;
        }
    instant_parts_start(&s->parts);
}
