/* Memory runs out at every allocation of the query side's pure modules in turn. */
#include "tests/unit/test.h"
#include "tests/unit/oom.h"
#include "query-api/search/cache.h"
#include "query-api/search/product_view.h"
#include "query-api/search/search_key.h"
#include "query-api/search/search_query.h"
#include "query-api/search/search_parts.h"
#include "query-api/search/search_result.h"
#include "query-api/text/search_text.h"
#include <stdio.h>

static const char query[] = "q=%EB%85%B8%ED%8A%B8%EB%B6%81+laptop&lang=en&brand=LG&brand=A&category=1/4&price=1..2&price=5..&attr.color=red&attr.color=b"
                            "&attr.color=c&attr.color=d&attr.color=e&attr.inch=13..14&in_stock=true&facets=brand,category,price,in_stock,attr.*,attr.color"
                            "&fields=skus,description&size=5";

/* A refusal without any field error is what the parameters say when memory is short. */
static bool use_params(void *ctx, struct error *reterr) {
    const char *text = ctx;
    _cleanup_(arena_done) struct arena arena;
    struct search_params params;
    struct search_errors errors;
    arena_init(&arena, 1 << 20);
    if (search_params_from_query(&arena, slice_str(text), &params, &errors))
        return true;
    if (errors.count)
        assert_non_null(errors.items[0].message);
    return error_nomem(reterr);
}

static bool use_params_json(void *ctx, struct error *reterr) {
    (void)ctx;
    static const char text[] = "{\"q\":\"a\",\"brand\":[\"a\",\"b\",\"c\",\"d\",\"e\"],\"attr\":{\"inch\":[13.0,\"14..15\"],\"color\":\"red\"},\"facets\":[\"attr.*\"]}";
    _cleanup_(arena_done) struct arena arena;
    struct search_params params;
    struct search_errors errors;
    arena_init(&arena, 1 << 20);
    const struct json *body = json_parse(&arena, text, sizeof(text) - 1, NULL, reterr);
    if (!body)
        return false;
    return search_params_from_json(&arena, body, &params, &errors) || error_nomem(reterr);
}

static bool use_key(void *ctx, struct error *reterr) {
    (void)ctx;
    _cleanup_(arena_done) struct arena arena;
    _cleanup_(buf_done) struct buf out = BUF_INIT(1 << 20);
    struct search_params params;
    struct search_errors errors;
    arena_init(&arena, 1 << 20);
    return (search_params_from_query(&arena, SLICE(query), &params, &errors) && search_key_write(&arena, &params, &out)) ||
           error_nomem(reterr);
}

/* Without memory an answer is not kept; what is kept is whole. */
static bool use_cache(void *ctx, struct error *reterr) {
    (void)ctx;
    static const struct cache_ages ages = {.fresh = 10};
    struct cache *cache = cache_new(1 << 16);
    if (!cache)
        return error_nomem(reterr);
    cache_put(cache, SLICE("key"), SLICE("body"), 1, 1);
    struct cache_hit hit = cache_get(cache, SLICE("key"), &ages, 1, 1);
    bool ok = hit.state == CACHE_FRESH && slice_eq(hit.body, SLICE("body"));
    if (!ok)
        assert_int_equal(cache_stats(cache).entries, 0);
    cache_free(cache);
    return ok || error_nomem(reterr);
}

static bool use_query(void *ctx, struct error *reterr) {
    (void)ctx;
    _cleanup_(arena_done) struct arena arena;
    _cleanup_(buf_done) struct buf out = BUF_INIT(1 << 20);
    struct search_params params;
    struct search_errors errors;
    arena_init(&arena, 1 << 20);
    return (search_params_from_query(&arena, SLICE(query), &params, &errors) &&
            (params.text = search_text_read(&(struct search_text_context){.arena = &arena}, params.q, params.typo)) &&
            search_query_write(&params, &out)) ||
           error_nomem(reterr);
}

static bool use_parts(void *ctx, struct error *reterr) {
    (void)ctx;
    static const char answer[] = "{\"responses\":[{\"hits\":{},\"aggregations\":{\"f0\":{}}},{\"aggregations\":{\"f1\":{}}}]}";
    _cleanup_(arena_done) struct arena arena;
    _cleanup_(buf_done) struct buf out = BUF_INIT(1 << 20);
    struct search_params params;
    struct search_errors errors;
    bool several;
    arena_init(&arena, 1 << 20);
    if (!search_params_from_query(&arena, SLICE("brand=LG&facets=brand,category"), &params, &errors) ||
        !search_parts_write(&params, &out, &several))
        return error_nomem(reterr);
    const struct json *json = json_parse(&arena, answer, sizeof(answer) - 1, NULL, reterr);
    return json && search_parts_join(&arena, json, reterr);
}

/* Many buckets in both forms, so that lists grow; several hits. */
static void make_answer(struct buf *b) {
    buf_append_str(b, "{\"timed_out\":false,\"hits\":{\"total\":{\"value\":7},\"hits\":[");
    for (int i = 0; i < 20; i++)
        buf_printf(b, "%s{\"_source\":{\"id\":\"p%d\",\"name\":{\"en\":\"N\"},\"skus\":[\"s\"],\"flat\":{\"sku\":\"s\"}},"
                      "\"highlight\":{\"name.en\":[\"<em>N</em>\"]}}", i ? "," : "", i);
    buf_append_str(b, "]},\"aggregations\":{\"of0\":{\"f0\":{\"buckets\":[{\"key\":\"B\",\"doc_count\":3}]},\"f0sel\":{\"buckets\":[{\"key\":\"LG\",\"doc_count\":3}]}},"
                      "\"of1\":{\"f1\":{\"buckets\":[{\"key\":\"1\",\"doc_count\":3},{\"key\":\"1/9\",\"doc_count\":3}]}}");
    static const char *const names[] = {"f4", "f5", "s3"};
    for (size_t k = 0; k < ARRAY_LEN(names); k++) {
        buf_printf(b, ",\"o%s\":{\"%s\":{\"buckets\":[", names[k], names[k]);
        for (int i = 0; i < 300; i++)
            buf_printf(b, "%s{\"key\":\"%s=%d\",\"doc_count\":%d}", i ? "," : "", k ? "color" : i % 2 ? "a" : "b", i, i);
        buf_printf(b, "]},\"varied\":{\"o\":{\"%s\":{\"sum_other_doc_count\":9,\"buckets\":[{\"key\":\"color=red\",\"doc_count\":9,\"p\":{\"doc_count\":2}}]}}}}", names[k]);
    }
    buf_append_str(b, "}}");
}

static bool use_result(void *ctx, struct error *reterr) {
    const struct buf *text = ctx;
    _cleanup_(arena_done) struct arena arena;
    _cleanup_(buf_done) struct buf out = BUF_INIT(1 << 20);
    struct search_params params;
    struct search_errors errors;
    arena_init(&arena, 8 << 20);
    struct search_terms doubts = {0};
    struct search_result_context context = {.arena = &arena, .took_ms = 1, .query_id = "q", .doubts = &doubts};
    if (!search_params_from_query(&arena, SLICE(query), &params, &errors) ||
        !(params.text = search_text_read(&(struct search_text_context){.arena = &arena}, params.q, params.typo)))
        return error_nomem(reterr);
    const struct json *answer = json_parse(&arena, text->data, text->len, NULL, reterr);
    if (!answer || !search_result_write(&params, answer, &context, &out, reterr))
        return false;
    assert_true(doubts.count > 0);
    context.doubts = NULL;
    context.second = json_get(answer, "aggregations");
    buf_reset(&out);
    if (!search_result_write(&params, answer, &context, &out, reterr))
        return false;
    buf_reset(&out);
    return search_counts_write(&params, &doubts, &out) || error_nomem(reterr);
}

static bool use_categories(void *ctx, struct error *reterr) {
    const struct json *hits = ctx;
    struct category_list *list = category_list_new(1);
    size_t added;
    int64_t last_id = 0;
    bool ok = list && category_list_add(list, hits, &added, &last_id) && category_list_finish(list);
    if (ok)
        assert_int_equal(category_list_count(list), 600);
    category_list_free(list);
    return ok || error_nomem(reterr);
}

static bool use_view(void *ctx, struct error *reterr) {
    _cleanup_(buf_done) struct buf out = BUF_INIT(1 << 20);
    return product_view_write(ctx, NULL, "en", NULL, &out) || error_nomem(reterr);
}

static void test_params(void **state) {
    (void)state;
    char good[sizeof(query)];
    memcpy(good, query, sizeof(query));
    oom_run("search_params_from_query", use_params, good);
    oom_run("search_params_from_json", use_params_json, NULL);
    oom_run("search_query_write", use_query, NULL);
    oom_run("search_parts", use_parts, NULL);
    oom_run("search_key_write", use_key, NULL);
    oom_run("cache", use_cache, NULL);
}

static void test_result(void **state) {
    (void)state;
    _cleanup_(buf_done) struct buf text = BUF_INIT(1 << 20);
    make_answer(&text);
    assert_true(buf_ok(&text));
    oom_run("search_result_write", use_result, &text);
}

static void test_categories_and_view(void **state) {
    (void)state;
    _cleanup_(buf_done) struct buf text = BUF_INIT(1 << 20);
    _cleanup_(arena_done) struct arena arena;
    arena_init(&arena, 4 << 20);
    for (int i = 0; i < 600; i++)
        buf_printf(&text, "%s{\"_source\":{\"id\":%d,\"path\":\"%d\",\"name\":\"n\",\"names\":{\"en\":\"N\",\"ko\":\"K\"}}}", i ? "," : "[", i + 1, i + 1);
    buf_append_char(&text, ']');
    struct json *hits = json_parse(&arena, text.data, text.len, NULL, NULL);
    assert_non_null(hits);
    oom_run("category_list", use_categories, hits);
    oom_run("product_view_write", use_view, hits->child->child);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_params),
        cmocka_unit_test(test_result),
        cmocka_unit_test(test_categories_and_view),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
