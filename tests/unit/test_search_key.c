/* Searches that are the same have the same key; all others have another. */
#include "tests/unit/test.h"
#include "query-api/search/search_key.h"

static char *key_of(struct arena *arena, const char *query) {
    struct search_params params;
    struct search_errors errors;
    struct buf out = BUF_INIT(1 << 16);
    struct slice text = slice_str(query);
    bool ok = text.data[0] == '{'
                  ? search_params_from_json(arena, json_parse(arena, text.data, text.len, NULL, NULL), &params, &errors)
                  : search_params_from_query(arena, text, &params, &errors);
    if (!ok)
        fail_msg("%s: %s", query, errors.count ? errors.items[0].message : "memory");
    assert_true(search_key_write(arena, &params, &out));
    char *key = arena_strndup(arena, out.data, out.len);
    buf_done(&out);
    return key;
}

static void test_same(void **state) {
    (void)state;
    static const char *const pairs[][2] = {
        {"q=a&brand=LG&brand=HP", "brand=HP&q=a&brand=LG&brand=HP"},
        {"q=a", "q=%20a%20&page=1&lang=ko"},
        {"attr.b=2&attr.a=1", "attr.a=1&attr.b=2"},
        {"price=1..2&price=5..", "price=5..&price=1..2"},
        {"facets=brand,price", "facets=price,brand"},
        {"fields=skus,description", "fields=description,skus"},
        {"context=a&context=b", "context=b&context=a&context=b"},
        {"q=a&brand=LG&attr.color=red", "{\"q\":\"a\",\"brand\":[\"LG\"],\"attr\":{\"color\":\"red\"}}"},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        _cleanup_(arena_done) struct arena arena;
        arena_init(&arena, 1 << 20);
        assert_string_equal(key_of(&arena, pairs[i][0]), key_of(&arena, pairs[i][1]));
    }
}

static void test_different(void **state) {
    (void)state;
    static const char *const queries[] = {
        "q=a", "q=A", "q=a&lang=en", "q=a&page=2", "q=a&size=21", "q=a&size=2", "q=a&facet_size=21", "q=a&typo=off", "q=a&sort=newest",
        "brand=a", "brand=a&brand=b", "brand=a%3B1%3Ab", "brand=ab", "category=1", "category=1/4", "attr.a=1", "attr.b=1", "attr.a=1&attr.b=1",
        "attr.a=1&attr.a=2", "attr.a=1..2", "attr.a=1..", "attr.a=..1", "price=1..", "price=..1", "price=1..2", "in_stock=true", "in_stock=false",
        "facets=brand", "facets=price", "facets=brand,price", "facets=attr.a", "facets=attr.*", "context=a", "context=a&context=b", "fields=skus", "fields=skus,description", "",
        "q=a&brand=a", "q=a&facets=brand", "q=a&fields=brand",
    };
    enum { COUNT = sizeof(queries) / sizeof(queries[0]) };
    _cleanup_(arena_done) struct arena arena;
    char *keys[COUNT];
    arena_init(&arena, 1 << 22);
    for (size_t i = 0; i < COUNT; i++) {
        keys[i] = key_of(&arena, queries[i]);
        for (size_t k = 0; k < i; k++)
            if (strcmp(keys[i], keys[k]) == 0)
                fail_msg("'%s' and '%s': %s", queries[i], queries[k], keys[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same), cmocka_unit_test(test_different)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
