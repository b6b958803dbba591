/* What InstantSearch clients send -> searches -> results: whatever is accepted must give a valid question, and with any answer
 * valid JSON. {"requests":[…],"answer":{…}}; text that is no JSON is taken as `filters`. */
#include "core/utf8.h"
#include "query-api/instant/instant.h"
#include "query-api/search/answer_json.h"
#include "query-api/search/search_key.h"
#include "query-api/search/search_query.h"
#include "query-api/text/search_text.h"
#include <stdlib.h>

enum { QUERIES_MAX = 8, ARENA_MAX = 64 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char tree[] = "[{\"_source\":{\"id\":1,\"path\":\"1\",\"name\":\"TV\"}},{\"_source\":{\"id\":4,\"path\":\"1/4\",\"name\":\"OLED\","
                           "\"names\":{\"ko\":\"오엘이디\"}}},{\"_source\":{\"id\":5,\"path\":\"1/5\",\"name\":\"OLED\"}}]";

static void check(const struct buf *out) {
    struct arena scratch;
    struct error error = {0};
    arena_init(&scratch, ARENA_MAX);
    char *copy = arena_strndup(&scratch, out->data ? out->data : "", out->len);
    if (copy && !answer_json_parse(&scratch, copy, out->len, 128, &error) && error.code != ERROR_INTERNAL)
        abort();
    arena_done(&scratch);
}

static void check_question(struct arena *arena, const struct search_params *params) {
    struct buf out = BUF_INIT(8 << 20), key = BUF_INIT(8 << 20);
    struct search_params p = *params;
    p.text = search_text_read(&(struct search_text_context){.arena = arena}, p.q, p.typo);
    if (search_query_write(&p, &out))
        check(&out);
    search_key_write(arena, &p, &key);
    buf_done(&out);
    buf_done(&key);
}

static void check_results(const struct instant_context *context, const struct instant_query *queries, size_t count,
                          const struct instant_plan *plan, const struct json *answer) {
    for (size_t i = 0; i < count; i++) {
        struct buf out = BUF_INIT(16 << 20);
        struct search_params params;
        struct json_write w;
        json_write_init(&w, &out);
        if (!queries[i].facet_search) {
            instant_result_write(&w, context, &queries[i], &plan->searches[plan->search_of[i]], answer);
        } else {
            if (instant_facet_params(context->arena, &queries[i], &params))
                check_question(context->arena, &params);
            instant_facet_hits_write(&w, context, &queries[i], answer);
        }
        if (json_write_finish(&w))
            check(&out);
        buf_done(&out);
    }
}

static void check_batch(const struct instant_context *context, const struct json *body) {
    struct instant_query queries[QUERIES_MAX];
    struct instant_plan plan;
    struct error error = {0};
    size_t count = 0;
    const struct json *requests = json_get(body, "requests");
    for (const struct json *r = json_is(requests, JSON_ARRAY) ? requests->child : NULL; r && count < QUERIES_MAX; r = r->next)
        count += instant_query_read(context, (struct slice){NULL, 0}, r, &queries[count], &error);
    if (!instant_plan_make(context->arena, queries, count, &plan))
        return;
    for (size_t i = 0; i < plan.search_count; i++)
        check_question(context->arena, &plan.searches[i].params);
    check_results(context, queries, count, &plan, json_get(body, "answer"));
}

static void check_filters(const struct instant_context *context, struct slice text) {
    struct instant_parser *p = instant_parser_new(context, "en");
    struct instant_filters filters;
    struct error error = {0};
    if (!p || !instant_read_filters(p, text, &error) || !instant_parser_take(p, &filters, &error))
        return;
    struct search_params params = {.q = {"", 0}, .lang = "en", .filters = filters.filters, .filter_count = filters.filter_count,
                                   .clauses = filters.clauses, .clause_count = filters.clause_count, .page = 1};
    check_question(context->arena, &params);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct error error = {0};
    struct category_list *list = category_list_new(1);
    size_t added;
    int64_t last = 0;
    arena_init(&arena, ARENA_MAX);
    const struct json *hits = json_parse(&arena, tree, sizeof(tree) - 1, NULL, &error);
    if (!list || !hits || !category_list_add(list, hits, &added, &last) || !category_list_finish(list))
        abort();
    struct instant_context context = {.arena = &arena, .categories = list, .index = "shop"};
    const struct json *body = json_parse(&arena, (const char *)data, size, &(struct json_limits){48, 100000}, NULL);
    if (body)
        check_batch(&context, body);
    else if (utf8_valid((const char *)data, size)) /* as a request has checked it */
        check_filters(&context, (struct slice){(const char *)data, size});
    category_list_free(list);
    arena_done(&arena);
    return 0;
}
