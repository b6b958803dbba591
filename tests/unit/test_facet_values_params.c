/* facet_values_params: which searches stand behind the values of a facet; search_pattern_holds: which values are meant. */
#include "query-api/browse/facet_values_params.h"
#include "query-api/text/search_pattern.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* 79 bytes */
#define LONG "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
static struct arena arena;
static struct search_params params;
static struct search_errors errors;
static struct slice find;

static bool read_query(const char *facet, const char *query) {
    arena_reset(&arena);
    return facet_values_params_read(&arena, slice_str(facet), slice_str(query), &params, &find, &errors);
}

static void test_a_search_without_hits(void **state) {
    (void)state;
    arena_init(&arena, 1 << 20);
    assert_true(read_query("attr.color", "q=re&search=shoe&brand=LG&attr.color=red&attr.size=M&facet_size=7&lang=en"));
    assert_true(slice_eq(find, SLICE("re")) && slice_eq(params.q, SLICE("shoe")));
    assert_int_equal(params.size, 0);
    assert_int_equal(params.facet_size, 7);
    assert_int_equal(params.facet_count, 1);
    assert_int_equal(params.filter_count, 2); /* without the facet's own */
    assert_null(search_params_filter(&params, DIM_ATTR, SLICE("color")));
    assert_non_null(search_params_filter(&params, DIM_ATTR, SLICE("size")));
    assert_true(read_query("brand", ""));
    assert_int_equal(find.len, 0);
    arena_done(&arena);
}

static void test_mistakes(void **state) {
    (void)state;
    static const char *const cases[][3] = {
        {"price", "", "name"},         {"attr.*", "", "name"},      {"", "", "name"},           {"brand,category", "", "name"},
        {"brand", "x=1", "x"},         {"brand", "size=1", "size"}, {"brand", "sort=newest", "sort"}, {"brand", "cursor=*", "cursor"},
        {"brand", "q=a&q=b", "q"},     {"brand", "q=%01", "q"},     {"brand", "search=a&search=b", "search"}, {"brand", "attr.=x", "attr."},
        {"brand", "facets=brand", "facets"}, {"brand", "q=%FF", "query"},
        {"brand", LONG "%ED%95%9C=1", LONG}, /* names are cut between characters */
    };
    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (read_query(cases[i][0], cases[i][1]) || errors.count != 1 || strcmp(errors.items[0].field, cases[i][2]) != 0)
            fail_msg("%s?%s: %zu mistakes, of %s", cases[i][0], cases[i][1], errors.count,
                     errors.count ? errors.items[0].field : "nothing");
    arena_done(&arena);
}

static void test_patterns(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"lg", ".*[lL][gG].*"},
        {"A.b", ".*[aA]\\.[bB].*"},
        {"3..5", ".*3\\.\\.5.*"},
        {"노ㅌ", ".*노[타-팋].*.*"},
        {"ㄴㅌ", ".*[나-닣][타-팋].*"},
        {"lg 노", ".*[lL][gG]\\ [노-놓].*.*"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out = BUF_INIT(8192);
        assert_true(search_pattern_holds(&out, slice_str(cases[i][0])));
        assert_string_equal(out.data, cases[i][1]);
        buf_done(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_search_without_hits),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
