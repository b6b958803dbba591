/* product_view: a search document as the shop's page gets it. */
#include "tests/unit/arena_fixture.h"
#include "query-api/search/product_view.h"

static void assert_view(const char *source, const char *lang, const char *expected) {
    struct category_list *list = category_list_new(1);
    struct buf out = BUF_INIT(1 << 20);
    size_t added = 0;
    int64_t last_id = 0;
    assert_true(category_list_add(list, parse("[{\"_source\":{\"id\":1,\"path\":\"1\",\"name\":\"패션\",\"names\":{\"en\":\"Fashion\"}}},"
                                              "{\"_source\":{\"id\":20,\"path\":\"1/20\",\"name\":\"신발\",\"names\":{\"en\":\"Shoes\"}}}]"), &added, &last_id));
    assert_true(category_list_finish(list));
    assert_true(product_view_write(parse(source), list, lang, NULL, &out));
    if (strcmp(out.data, expected) != 0)
        fail_msg("\n%s\nis not\n%s", out.data, expected);
    buf_done(&out);
    category_list_free(list);
}

static void test_varied_product(void **state) {
    (void)state;
    assert_view("{\"id\":\"a\",\"name\":{\"ko\":\"가\",\"en\":\"A\"},\"description\":{\"ko\":\"설명\"},\"brand\":\"B\",\"price_min\":5,\"price_max\":9,"
                "\"currency\":\"KRW\",\"in_stock\":true,\"stock\":\"low\",\"categories\":[20,99,\"x\"],\"primary_category\":20,"
                "\"attrs\":[\"zone=b\",\"age=1\",\"zone=a\",\"zone=b\"],\"varied\":[\"color\",\"size\"],"
                "\"variants\":[{\"sku\":\"a-1\",\"attrs\":[\"color=black\",\"color=red\",\"size=a=b\"],\"numbers\":[],\"price\":5,\"stock\":\"out\"},"
                "{\"sku\":\"a-2\",\"attrs\":[],\"stock\":\"low\"}],\"created_at\":\"2026-01-01T00:00:00.000Z\",\"content_hash\":-5}",
                "en",
                "{\"id\":\"a\",\"name\":\"A\",\"price\":{\"min\":5,\"max\":9},\"brand\":\"B\",\"currency\":\"KRW\",\"in_stock\":true,\"stock\":\"low\","
                "\"categories\":[20,99,\"x\"],\"primary_category\":20,\"description\":\"설명\","
                "\"category_paths\":[{\"path\":\"1/20\",\"names\":[\"Fashion\",\"Shoes\"]}],"
                "\"variants\":[{\"sku\":\"a-1\",\"price\":5,\"stock\":\"out\","
                "\"attributes\":{\"age\":[\"1\"],\"color\":[\"black\",\"red\"],\"size\":[\"a=b\"],\"zone\":[\"a\",\"b\"]}},"
                "{\"sku\":\"a-2\",\"price\":null,\"stock\":\"low\",\"attributes\":{\"age\":[\"1\"],\"zone\":[\"a\",\"b\"]}}],\"created_at\":\"2026-01-01T00:00:00.000Z\",\"updated_at\":null,\"degraded\":null}");
}

static void test_flat_product_with_lists_of_names(void **state) {
    (void)state;
    assert_view("{\"id\":\"b\",\"name\":{\"en\":[\"Bag\",\"Sac\"]},\"flat\":{\"sku\":\"b\",\"attrs\":[\"x=1\"],\"price\":7,\"stock\":\"in\"}}", "ko",
                "{\"id\":\"b\",\"name\":\"Bag\",\"price\":{\"min\":null,\"max\":null},\"brand\":null,\"currency\":null,\"in_stock\":null,\"stock\":null,"
                "\"categories\":[],\"primary_category\":null,\"description\":null,\"category_paths\":[],"
                "\"variants\":[{\"sku\":\"b\",\"price\":7,\"stock\":\"in\",\"attributes\":{\"x\":[\"1\"]}}],\"created_at\":null,\"updated_at\":null,\"degraded\":null}");
}

static void test_odd_shapes(void **state) {
    (void)state;
    static const char *const sources[] = {
        "{}", "[]", "5", "{\"name\":[],\"variants\":{},\"flat\":[]}", "{\"name\":{\"ko\":[]},\"flat\":5,\"variants\":[5,null,{\"attrs\":[5,\"no sign\",\"=\",\"a=\"]}]}",
        "{\"categories\":[1.5,null,{}],\"description\":\"text\"}",
    };
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        struct buf out = BUF_INIT(1 << 20);
        if (product_view_write(parse(sources[i]), NULL, "en", NULL, &out))
            assert_non_null(parse(out.data));
        buf_done(&out);
    }
}

static void test_language(void **state) {
    (void)state;
    const struct json *both = parse("{\"en\":\"A\",\"ko\":\"가\"}"), *other = parse("{\"de\":\"D\"}");
    assert_string_equal(product_view_localized(both, "en")->text.data, "A");
    assert_string_equal(product_view_localized(both, "fr")->text.data, "가");
    assert_string_equal(product_view_localized(other, "ko")->text.data, "D");
    assert_null(product_view_localized(parse("{}"), "ko"));
    assert_null(product_view_localized(NULL, "ko"));
}

static void test_a_full_buffer_fails(void **state) {
    (void)state;
    struct buf small = BUF_INIT(40);
    assert_false(product_view_write(parse("{\"id\":\"a\"}"), NULL, "en", NULL, &small));
    buf_done(&small);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_varied_product),
        cmocka_unit_test(test_flat_product_with_lists_of_names),
        cmocka_unit_test(test_odd_shapes),
        cmocka_unit_test(test_language),
        cmocka_unit_test(test_a_full_buffer_fails),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
