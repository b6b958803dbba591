/* Every allocation of the projection, the category tree, compose, bulk and bulk_result fails once: no crash, no leak,
 * an error, and what was in the buffers before is either intact or reported lost. */
#include "tests/unit/test.h"
#include "projector/compose/bulk_result.h"
#include "projector/compose/hash_cache.h"
#include "tests/unit/oom.h"
#include "tests/unit/projector_fixture.h"

static bool projection_work(void *ctx, struct error *reterr) {
    (void)ctx;
    struct projection *p =
        projection_parse_mapping("built-in", index_mapping_products, index_mapping_products_size, reterr);
    projection_free(p);
    return p != NULL;
}

static bool add_rows(struct category_tree_builder *b, struct error *reterr) {
    static const struct category_row rows[] = {
        {4, 1, {"1/4/", 4}, {"노트북", 9}, SLICE("{\"ko\":\"노트북\",\"en\":\"Laptops\"}")},
        {1, 0, {"1/", 2}, {"컴퓨터", 9}, {"", 0}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (!category_tree_builder_add(b, &rows[i], reterr))
            return false;
    return true;
}

static bool tree_work(void *ctx, struct error *reterr) {
    (void)ctx;
    struct category_tree_builder *b = category_tree_builder_new(reterr);
    struct category_tree *tree = NULL;
    struct buf out = BUF_INIT(1 << 20);
    if (b && add_rows(b, reterr))
        tree = category_tree_build(b, 1, reterr);
    bool ok = tree && (category_tree_write_bulk(tree, NULL, 1, &out), buf_ok(&out) || error_nomem(reterr));
    buf_done(&out);
    category_tree_unref(tree);
    category_tree_builder_free(b);
    return ok;
}

struct compose_work {
    struct projection *projection;
    struct category_tree *tree;
    bson_t *products[2];
};

static bool want(void *ctx, struct slice sku) {
    return stock_states_want(ctx, sku);
}

static bool compose_one(struct composer *c, struct compose_work *w, struct bulk *b, struct stock_states *stock, size_t i,
                        struct error *reterr) {
    struct compose_input input = {.product = w->products[i], .categories = w->tree, .stock = stock};
    struct compose_result result;
    if (!compose_collect_skus(w->products[i], want, stock) || !bulk_begin(b, SLICE("p"), 1, NULL))
        return error_nomem(reterr);
    if (compose_product(c, &input, &b->body, &result, reterr) == COMPOSE_OK)
        return bulk_commit(b, result.content_hash) || error_nomem(reterr);
    bulk_drop(b);
    return false;
}

static bool compose_all(void *ctx, struct error *reterr) {
    struct compose_work *w = ctx;
    struct stock_states stock;
    struct bulk b, half;
    struct bulk_result r;
    stock_states_init(&stock, 1 << 20);
    bulk_result_init(&r);
    struct composer *c = composer_new(w->projection, reterr);
    bool ok = bulk_init(&b, "i", 1 << 20, 1 << 26, 1000) && bulk_init(&half, "i", 1 << 20, 1 << 26, 1000) && c != NULL;
    for (size_t i = 0; ok && i < 80; i++)
        ok = compose_one(c, w, &b, &stock, i % 2, reterr);
    ok = ok && (bulk_split(&b, &half) || error_nomem(reterr));
    ok = ok && (bulk_copy(&b, &half, 1) || error_nomem(reterr));
    if (ok && !bulk_result_read(&r, &b, 503, SLICE("{\"error\":{\"type\":\"t\",\"reason\":\"r\"}}"), reterr))
        ok = false;
    bulk_result_done(&r);
    bulk_done(&b);
    bulk_done(&half);
    composer_free(c);
    stock_states_done(&stock);
    return ok;
}

static bool cache_work(void *ctx, struct error *reterr) {
    (void)ctx;
    struct hash_cache cache;
    uint64_t hash = 0;
    if (!hash_cache_init(&cache, 100, reterr))
        return false;
    hash_cache_put(&cache, 5, 6);
    hash_cache_clear(&cache); /* also without memory */
    bool gone = !hash_cache_get(&cache, 5, &hash);
    hash_cache_done(&cache);
    return gone;
}

static void test_oom(void **state) {
    (void)state;
    struct buf wide = BUF_INIT(1 << 20);
    buf_append_str(&wide, "{\"_id\":\"p\",\"name\":\"n\",\"categories\":[4],\"attributes\":{\"v\":[");
    for (int i = 0; i < 300; i++)
        buf_printf(&wide, "%s%d", i ? "," : "", i);
    buf_append_str(&wide, "]},\"variants\":[");
    for (int i = 0; i < 40; i++)
        buf_printf(&wide, "%s{\"sku\":\"s%d\",\"attributes\":{\"size\":%d}}", i ? "," : "", i, i);
    buf_append_str(&wide, "]}");
    struct compose_work w = {fixture_projection(), fixture_tree(),
                             {fixture_bson(wide.data), fixture_bson("{\"_id\":\"q\",\"categories\":[13,2,1]}")}};
    oom_run("projection", projection_work, NULL);
    oom_run("category_tree", tree_work, NULL);
    oom_run("compose and bulk", compose_all, &w);
    oom_run("hash_cache", cache_work, NULL);
    for (size_t i = 0; i < 2; i++)
        bson_destroy(w.products[i]);
    category_tree_unref(w.tree);
    projection_free(w.projection);
    buf_done(&wide);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_oom)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
