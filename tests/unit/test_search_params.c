/* search_params: what a client may ask, and how each mistake is named. */
#include "query-api/search/search_params.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct arena arena;
static struct search_params params;
static struct search_errors errors;

static int setup(void **state) {
    (void)state;
    arena_init(&arena, 1 << 20);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_done(&arena);
    return 0;
}

static bool parse(const char *query) {
    arena_reset(&arena);
    return search_params_from_query(&arena, slice_str(query), &params, &errors);
}

static bool parse_json(const char *text) {
    arena_reset(&arena);
    const struct json *json = json_parse(&arena, text, strlen(text), NULL, NULL);
    assert_non_null(json);
    return search_params_from_json(&arena, json, &params, &errors);
}

static void test_a_value_in_quotes_is_no_range(void **state) {
    (void)state;
    assert_true(parse("attr.size=%223..5%22&attr.size=3..5&attr.inch=13.3%22"));
    assert_int_equal(params.filters[0].value_count, 1);
    assert_true(slice_eq(params.filters[0].values[0], SLICE("3..5")));
    assert_int_equal(params.filters[0].range_count, 1);
    assert_true(slice_eq(params.filters[1].values[0], SLICE("13.3\"")));
}

static void test_defaults(void **state) {
    (void)state;
    assert_true(parse(""));
    assert_int_equal(params.q.len, 0);
    assert_int_equal(params.page, 1);
    assert_int_equal(params.size, 20);
    assert_int_equal(params.facet_size, 10);
    assert_int_equal(params.sort, SORT_RELEVANCE);
    assert_string_equal(params.lang, "ko");
    assert_true(params.typo);
}

static void test_everything(void **state) {
    (void)state;
    assert_true(parse("q=+%EB%85%B8%ED%8A%B8%EB%B6%81+&lang=en&category=1%2F4&brand=LG&brand=Samsung&price=10000..50000"
                      "&attr.color=black&attr.color=red&attr.inch=13..14.5&in_stock=true&sort=price%3Aasc&page=3&size=7"
                      "&facets=brand,price,attr.*&facets=category&facet_size=5&fields=description,skus&typo=off"));
    assert_true(slice_eq(params.q, SLICE("노트북")));
    assert_string_equal(params.lang, "en");
    const struct filter *brand = search_params_filter(&params, DIM_BRAND, SLICE(""));
    assert_int_equal(brand->value_count, 2);
    const struct filter *inch = search_params_filter(&params, DIM_ATTR, SLICE("inch"));
    assert_int_equal(inch->range_count, 1);
    assert_true(inch->ranges[0].from == 13 && inch->ranges[0].to == 14.5);
    assert_int_equal(search_params_filter(&params, DIM_ATTR, SLICE("color"))->value_count, 2);
    assert_int_equal(params.facet_count, 4);
    assert_int_equal(params.field_count, 2);
    assert_int_equal(params.sort, SORT_PRICE_ASC);
    assert_false(params.typo);
    assert_true(search_params_shows(&params, inch));
    assert_false(search_params_shows(&params, search_params_filter(&params, DIM_STOCK, SLICE(""))));
}

static void test_open_ranges(void **state) {
    (void)state;
    assert_true(parse("price=..500&price=1000.."));
    const struct filter *price = search_params_filter(&params, DIM_PRICE, SLICE(""));
    assert_int_equal(price->range_count, 2);
    assert_true(isinf(price->ranges[0].from) && price->ranges[0].to == 500);
    assert_true(price->ranges[1].from == 1000 && isinf(price->ranges[1].to));
}

static void test_each_mistake_names_its_parameter(void **state) {
    (void)state;
    static const struct {
        const char *query, *field;
    } cases[] = {
        {"nonsense=1", "nonsense"},     {"page=0", "page"},          {"page=-1", "page"},
        {"page=x", "page"},             {"page=99999999999", "page"}, {"size=101", "size"},
        {"size=", "size"},              {"price=5", "price"},        {"price=..", "price"},
        {"price=9..1", "price"},        {"price=NaN..1", "price"},   {"price=1..1e999", "price"},
        {"sort=best", "sort"},          {"lang=KO", "lang"},         {"lang=korean", "lang"},
        {"category=1//4", "category"},  {"category=a", "category"},  {"category=", "category"},
        {"in_stock=maybe", "in_stock"}, {"typo=2", "typo"},          {"facets=color", "facets"},
        {"facets=attr.", "facets"},     {"facet_size=0", "facet_size"}, {"facet_size=1001", "facet_size"},
        {"fields=_source%22", "fields"}, {"attr.=x", "attr."},        {"attr.a%3Db=x", "attr.a=b"},
        {"attr.color=", "attr.color"},  {"q=a&q=b", "q"},            {"brand=%01", "brand"},
        {"q=%zz", "query"},             {"q=%ff", "query"},          {"brand=", "brand"},
        {"page=501&size=20", "page"},   {"attr.inch=5..4", "attr.inch"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (parse(cases[i].query))
            fail_msg("%s was accepted", cases[i].query);
        assert_true(errors.count > 0);
        if (strcmp(errors.items[0].field, cases[i].field) != 0)
            fail_msg("%s was blamed on %s", cases[i].query, errors.items[0].field);
        assert_true(strlen(errors.items[0].message) > 0);
    }
}

static void test_limits(void **state) {
    (void)state;
    char query[16384];
    int n = 0;
    for (int i = 0; i <= SEARCH_VALUES_MAX; i++)
        n += snprintf(query + n, sizeof(query) - (size_t)n, "brand=b%d&", i);
    assert_false(parse(query));
    assert_string_equal(errors.items[0].field, "brand");
    n = 0;
    for (int i = 0; i <= SEARCH_FILTERS_MAX; i++)
        n += snprintf(query + n, sizeof(query) - (size_t)n, "attr.a%d=x&", i);
    assert_false(parse(query));
    assert_string_equal(errors.items[0].field, "attr.a32");
    memset(query, 'x', 2000);
    memcpy(query, "q=", 2);
    query[2000] = 0;
    assert_false(parse(query));
    assert_string_equal(errors.items[0].field, "q");
    memcpy(query, "brand=", 6);
    assert_false(parse(query));
    assert_string_equal(errors.items[0].field, "brand");
}

static void test_errors_are_collected_and_bounded(void **state) {
    (void)state;
    assert_false(parse("page=0&size=x&sort=y"));
    assert_int_equal(errors.count, 3);
    char query[4096];
    int n = 0;
    for (int i = 0; i < 100; i++)
        n += snprintf(query + n, sizeof(query) - (size_t)n, "u%d=1&", i);
    assert_false(parse(query));
    assert_int_equal(errors.count, SEARCH_ERRORS_MAX);
}

static void test_json_is_the_same(void **state) {
    (void)state;
    assert_true(parse_json("{\"q\":\"tv\",\"brand\":[\"LG\",\"Sony\"],\"price\":\"1..2\",\"attr\":{\"color\":[\"red\"],\"smart\":true},"
                           "\"attr.size\":55,\"page\":2,\"in_stock\":true,\"facets\":[\"brand\",\"attr.color\"]}"));
    assert_int_equal(search_params_filter(&params, DIM_BRAND, SLICE(""))->value_count, 2);
    assert_true(slice_eq(search_params_filter(&params, DIM_ATTR, SLICE("smart"))->values[0], SLICE("true")));
    assert_true(slice_eq(search_params_filter(&params, DIM_ATTR, SLICE("size"))->values[0], SLICE("55")));
    assert_int_equal(params.page, 2);
    assert_int_equal(params.facet_count, 2);
    assert_false(parse_json("[1]"));
    assert_string_equal(errors.items[0].field, "body");
    assert_false(parse_json("{\"brand\":{\"$ne\":1}}"));
    assert_string_equal(errors.items[0].field, "brand");
    assert_false(parse_json("{\"brand\":[[1]]}"));
    assert_false(parse_json("{\"q\":null}"));
    assert_string_equal(errors.items[0].field, "q");
}

static void test_small_arena_fails_cleanly(void **state) {
    (void)state;
    for (size_t max = 1; max < 4096; max += 61) {
        struct arena small;
        struct search_params p;
        struct search_errors e;
        arena_init(&small, max);
        bool ok = search_params_from_query(&small, SLICE("brand=a&brand=b&attr.x=1&facets=brand&page=zz"), &p, &e);
        assert_false(ok);
        arena_done(&small);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_value_in_quotes_is_no_range),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_open_ranges),
        cmocka_unit_test(test_each_mistake_names_its_parameter),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_errors_are_collected_and_bounded),
        cmocka_unit_test(test_json_is_the_same),
        cmocka_unit_test(test_small_arena_fails_cleanly),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
