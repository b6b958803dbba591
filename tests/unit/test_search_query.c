/* search_query: where each filter goes, and what each facet leaves out. */
#include "query-api/search/index_facts.h"
#include "query-api/search/search_aggs.h"
#include "query-api/text/search_text.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/unit/json_shown.h"

static struct arena arena;
static struct buf body;
static struct search_params params;

static int setup(void **state) {
    (void)state;
    arena_init(&arena, 4 << 20);
    buf_init(&body, 1 << 20);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_done(&arena);
    buf_done(&body);
    return 0;
}

static struct index_facts facts;

static const struct json *build(const char *query) {
    struct search_errors errors;
    struct error error = {0};
    arena_reset(&arena);
    buf_reset(&body);
    assert_true(search_params_from_query(&arena, slice_str(query), &params, &errors));
    params.index = &facts;
    params.text = search_text_read(&(struct search_text_context){.arena = &arena}, params.q, params.typo);
    assert_true(search_query_write(&params, &body));
    const struct json *json = json_parse(&arena, body.data, body.len, &(struct json_limits){64, 100000}, &error);
    if (!json)
        fail_msg("%s: %s", query, error.message);
    return json;
}

static const char *part(const struct json *root, const char *path) {
    return json_shown(json_path(root, path));
}

#define HAS(root, path, needle) assert_non_null(strstr(part(root, path), needle))
#define HAS_NOT(root, path, needle) assert_null(strstr(part(root, path), needle))

/* InstantSearch takes any number, and a price is a whole one of 64 bits to the engine. */
static void test_price_below_all_numbers(void **state) {
    (void)state;
    build("price=..9");
    params.filters[0].ranges[0].to = -1e300;
    buf_reset(&body);
    assert_true(search_query_write(&params, &body));
    const char *to = strstr(body.data, "\"lte\":");
    assert_non_null(to);
    assert_true(strtod(to + 6, NULL) > -9.3e18);
}

/* InstantSearch may name a value as often as it likes. */
static void test_values_of_stock_given_again(void **state) {
    (void)state;
    struct slice yes = SLICE("true"), no = SLICE("false"), values[] = {yes, yes, no, yes, no, yes};
    static const struct {
        size_t first, count;
        const char *filter;
    } cases[] = {{0, 2, "{\"term\":{\"in_stock\":true}}"}, {0, 6, "{\"terms\":{\"any.stock\":[\"in\",\"low\",\"out\"]}}"},
                 {2, 1, "{\"terms\":{\"any.stock\":[\"out\"]}}"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        build("in_stock=true");
        params.filters[0].values = values + cases[i].first;
        params.filters[0].value_count = cases[i].count;
        buf_reset(&body);
        assert_true(search_query_write(&params, &body));
        assert_non_null(strstr(body.data, cases[i].filter));
    }
}

static void test_hidden_filters_go_into_the_query(void **state) {
    (void)state;
    const struct json *q = build("brand=LG&attr.color=red&category=1/4");
    HAS(q, "query.bool.filter", "{\"terms\":{\"brand\":[\"LG\"]}}");
    HAS(q, "query.bool.filter", "{\"terms\":{\"category_paths\":[\"1/4\"]}}");
    HAS(q, "query.bool.filter", "{\"terms\":{\"attrs\":[\"color=red\"]}},{\"terms\":{\"code_attrs\":[\"color=red\"]}},{\"nested\"");
    HAS(q, "query.bool.filter", "{\"terms\":{\"variants.attrs\":[\"color=red\"]}}");
    HAS(q, "_source", "\"primary_category\",\"flat.sku\",\"variants.sku\",\"variants.names\",\"variants.attrs\",\"variants.code_attrs\"]");
    assert_null(json_get(q, "post_filter"));
    assert_null(json_get(q, "aggs"));
    q = build("attr.color=red&attr.size=M");
    HAS(q, "query.bool.filter", "{\"terms\":{\"attrs\":[\"color=red\"]}},{\"terms\":{\"code_attrs\":[\"color=red\"]}},{\"term\":{\"varied\":\"color\"}}");
}

/* Met by any SKU, it needs none that meets others as well. */
static void test_the_only_filter_on_variants(void **state) {
    (void)state;
    const struct json *q = build("in_stock=true&brand=LG");
    HAS(q, "query.bool.filter", "[{\"terms\":{\"brand\":[\"LG\"]}},{\"term\":{\"in_stock\":true}}]");
    HAS_NOT(q, "query", "nested");
    HAS(q, "_source", "\"flat.sku\",\"variants.sku\",\"variants.stock\"]");
    HAS(build("in_stock=false"), "query.bool.filter", "[{\"terms\":{\"any.stock\":[\"out\"]}}]");
    HAS_NOT(build("price=1..9"), "query", "exists");
    q = build("price=1..9&facets=brand,price");
    HAS(q, "_source", "\"flat.sku\",\"variants.sku\",\"variants.price\"]");
    HAS(q, "post_filter", "{\"bool\":{\"filter\":[{\"bool\":{\"should\":[{\"range\":{\"flat.price\":{\"gte\":1,\"lte\":9}}},"
                          "{\"nested\":{\"path\":\"variants\",\"query\":{\"bool\":{\"should\":[{\"range\":{\"variants.price\":{\"gte\":1,");
    HAS(build("price=1..9&in_stock=true"), "query.bool.filter", "exists");
    HAS(build("attr.size=13..14"), "_source", "\"variants.sku\",\"variants.names\",\"variants.numbers\"]");
    HAS_NOT(build("brand=LG"), "_source", "variants");
}

static void test_shown_filters_go_into_the_post_filter(void **state) {
    (void)state;
    const struct json *q = build("brand=LG&attr.color=red&in_stock=true&facets=brand,attr.color");
    HAS(q, "query", "{\"term\":{\"in_stock\":true}}");
    HAS(q, "post_filter", "LG");
    /* one variant must match all of it, the hidden stock included */
    HAS(q, "post_filter", "{\"terms\":{\"variants.stock\":[\"in\",\"low\"]}}");
    HAS(q, "post_filter", "{\"terms\":{\"variants.attrs\":[\"color=red\"]}}");
    HAS_NOT(q, "query", "variants.stock");
}

/* A product that misses two of the shown filters counts nowhere. */
static void test_products_that_count_nowhere_are_left_out(void **state) {
    (void)state;
    HAS_NOT(build("brand=LG&in_stock=true&facets=brand"), "query", "LG");
    const struct json *q = build("brand=LG&category=1/4&attr.color=red&price=1..9&in_stock=true&facets=brand,category,attr.*,price");
    HAS(q, "query.bool.filter", "\"minimum_should_match\":3");
    HAS(q, "query.bool.filter", "{\"bool\":{\"should\":[{\"bool\":{\"filter\":[{\"terms\":{\"brand\":[\"LG\"]}}]}},"
                                "{\"bool\":{\"filter\":[{\"terms\":{\"category_paths\":[\"1/4\"]}}]}},");
    HAS(q, "query.bool.filter", "{\"terms\":{\"variants.attrs\":[\"color=red\"]}}");
}

static void test_a_facet_leaves_out_its_own_selection_only(void **state) {
    (void)state;
    const struct json *q = build("brand=LG&attr.color=red&attr.size=M&price=1..9&facets=brand,attr.color,attr.size,price");
    HAS_NOT(q, "aggs.of0.filter", "LG");
    HAS(q, "aggs.of0.filter", "color=red");
    HAS(q, "aggs.of0.filter", "size=M");
    HAS(q, "aggs.of0.filter", "variants.price");
    HAS(q, "aggs.of1.filter", "LG");
    HAS_NOT(q, "aggs.of1.filter", "color=red");
    HAS(q, "aggs.of1.filter", "{\"terms\":{\"attrs\":[\"size=M\"]}},{\"terms\":{\"code_attrs\":[\"size=M\"]}},{\"term\":{\"varied\":\"size\"}}");
    /* an attribute of the product counts if one SKU meets the others */
    HAS(q, "aggs.of1.filter", "variants.price");
    HAS(q, "aggs.of1.filter", "flat.price");
    HAS(q, "aggs.of1.aggs.f1", "\"field\":\"attrs\"");
    HAS_NOT(q, "aggs.of1.aggs.varied.aggs.o.filter", "color=red");
    HAS(q, "aggs.of1.aggs.varied.aggs.o.filter", "{\"bool\":{\"must_not\":{\"term\":{\"variants.names\":\"size\"}}}}");
    HAS(q, "aggs.of1.aggs.varied.aggs.o.filter", "size=M");
    HAS(q, "aggs.of1.aggs.varied.aggs.o.filter", "variants.price");
    HAS(q, "aggs.of1.aggs.varied.aggs.o.aggs.f1", "reverse_nested");
    HAS(q, "aggs.of3.aggs.f3min", "flat.price");
    HAS(q, "aggs.of3.aggs.varied.aggs.o.aggs.f3max", "variants.price");
    HAS_NOT(q, "aggs.of3.filter", "variants.price");
    HAS_NOT(q, "aggs.of3.aggs.varied.aggs.o.filter", "variants.price");
    HAS(q, "aggs.of3.aggs.varied.aggs.o.filter", "color=red");
}

static void test_facets_without_a_selection_share_a_filter(void **state) {
    (void)state;
    const struct json *q = build("brand=LG&price=1..9&facets=brand,category,in_stock,attr.size,attr.*");
    assert_int_equal(json_get(q, "aggs")->count, 2); /* of brand, and of all others; the price is not shown */
    HAS(q, "aggs.o.filter", "LG");
    HAS_NOT(q, "aggs.o.filter", "price"); /* `query` has it */
    HAS(q, "query", "flat.price");
    HAS(q, "aggs.o.aggs.f1", "category_paths");
    HAS(q, "aggs.o.aggs.f2", "flat.stock");
    HAS(q, "aggs.o.aggs.f3", "\"field\":\"attrs\"");
    HAS(q, "aggs.o.aggs.varied.aggs.o.filter", "variants.price");
    HAS(q, "aggs.o.aggs.varied.aggs.o.aggs.f2", "variants.stock");
    HAS(q, "aggs.o.aggs.varied.aggs.o.aggs.f4", "variants.attrs");
    assert_null(json_path(q, "aggs.o.aggs.varied.aggs.o.aggs.f1"));
    assert_null(json_path(q, "aggs.o.aggs.attrs")); /* two lists to be added: one for each attribute */
    /* without a filter there is nothing around them */
    q = build("facets=brand,attr.color");
    HAS(q, "aggs.f0", "{\"terms\":{\"field\":\"brand\",\"size\":10}}");
    HAS_NOT(q, "aggs", "filter");
    /* nor around one with the only filter */
    q = build("brand=LG&facets=brand,category");
    HAS(q, "aggs.f0sel", "LG");
    HAS(q, "aggs.o.aggs.f1", "category_paths");
}

static void test_attributes_are_counted_in_one_pass(void **state) {
    (void)state;
    const struct json *q = build("brand=LG&attr.size=M&facets=brand,attr.color,attr.a.b,attr.size,attr.*");
    HAS(q, "aggs.o.aggs.attrs", "{\"terms\":{\"field\":\"attrs\",\"size\":2000,\"include\":\"(color|a\\\\.b)=.{0,}\"}}");
    assert_non_null(json_path(q, "aggs.of3"));
    assert_null(json_path(q, "aggs.os1")); /* not again for attr.* */
    q = build("brand=LG&facets=brand,attr.color,attr.a.b,attr.*");
    HAS(q, "aggs.o.aggs.attrs", "{\"terms\":{\"field\":\"any.attrs\",\"size\":2000,\"include\":\"(color|a\\\\.b)=.{0,}\"}}");
    assert_null(json_path(q, "aggs.o.aggs.f1"));
    assert_null(json_path(q, "aggs.o.aggs.f2"));
    HAS(q, "aggs.o.aggs.f3", "\"size\":2000");
    HAS_NOT(q, "aggs.o.aggs.f3", "include");
    /* of the product and of its variants, where one and the same has to meet a filter */
    q = build("price=1..9&facets=attr.color,attr.size");
    HAS(q, "aggs.o.aggs.attrs", "{\"terms\":{\"field\":\"attrs\",\"size\":2000,\"include\":\"(color|size)=.{0,}\"}}");
    HAS(q, "aggs.o.aggs.varied.aggs.o.aggs.attrs", "{\"terms\":{\"field\":\"variants.attrs\",\"size\":2000,\"include\":\"(color|size)=.{0,}\"},");
    HAS(q, "aggs.o.aggs.varied.aggs.o.aggs.attrs", "reverse_nested");
    assert_null(json_path(q, "aggs.o.aggs.f0"));
    /* each by itself, once that was too much for one list */
    params.apart = true;
    buf_reset(&body);
    assert_true(search_query_write(&params, &body));
    q = json_parse(&arena, body.data, body.len, &(struct json_limits){64, 100000}, NULL);
    assert_null(json_path(q, "aggs.o.aggs.attrs"));
    HAS(q, "aggs.o.aggs.f0", "\"field\":\"attrs\"");
    HAS(q, "aggs.o.aggs.varied.aggs.o.aggs.f1", "\"field\":\"variants.attrs\"");
    /* codes stand apart, in each of the three places */
    static struct json named[] = {{.type = JSON_NUMBER}, {.type = JSON_STRING, .text = {"ean", 3}}};
    named[0].next = &named[1];
    code_names_read(&facts.codes, &(struct json){.type = JSON_ARRAY, .child = named, .count = 2});
    q = build("brand=LG&facets=attr.color,attr.pack.ean,attr.ean2,attr.*");
    HAS(q, "aggs.attrs", "{\"field\":\"any.attrs\",\"size\":2000,\"include\":\"(color|ean2)=");
    HAS(q, "aggs.f1", "{\"field\":\"any.code_attrs\",\"size\":1000,\"include\":\"pack\\\\.ean=");
    HAS(q, "aggs.f3", "any.attrs");
    q = build("in_stock=true&facets=attr.ean");
    HAS(q, "aggs", "\"field\":\"code_attrs\"");
    HAS(q, "aggs", "\"field\":\"variants.code_attrs\"");
    facts.codes.count = 0;
    /* no longer than an expression may be */
    char query[1200] = "facets=";
    for (size_t i = 0; i < 5; i++)
        snprintf(query + strlen(query), sizeof(query) - strlen(query), "%sattr.%c%0200d", i ? "," : "", (char)('a' + i), 0);
    q = build(query);
    assert_null(json_path(q, "aggs.attrs"));
    assert_non_null(json_path(q, "aggs.f4"));
}

static void test_selected_attributes_of_the_star_count_apart(void **state) {
    (void)state;
    const struct json *q = build("attr.color=red&facets=attr.*");
    HAS(q, "aggs.o.filter", "color=red");
    HAS(q, "aggs.o.aggs.varied.aggs.o.filter", "color=red");
    HAS(q, "aggs.s0", "\"include\":\"color=.{0,}\"");
    HAS_NOT(q, "aggs.s0", "\"color=red\"");
}

static void test_without_another_condition_on_skus_all_of_them_count_at_once(void **state) {
    (void)state;
    const struct json *q = build("brand=LG&price=1..9&facets=price,in_stock,attr.color");
    HAS(q, "aggs.f0", "\"field\":\"any.price\"");
    HAS(q, "aggs.f0min", "price_min");
    HAS(q, "aggs.f0max", "price_max");
    assert_null(json_path(q, "aggs.varied"));
    assert_non_null(json_path(q, "aggs.o.aggs.varied"));
    q = build("attr.size=M&facets=price,attr.color");
    assert_non_null(json_path(q, "aggs.o.aggs.varied")); /* a condition whose facet is not shown is one, too */
    q = build("brand=LG&facets=in_stock,attr.color");
    HAS(q, "aggs.f0", "any.stock");
    HAS(q, "aggs.f1", "any.attrs");
    HAS_NOT(q, "aggs", "nested");
}

static void test_regular_expressions_are_escaped(void **state) {
    (void)state;
    const struct json *q = build("facets=attr.a.b%7C%5B%5C");
    HAS(q, "aggs.f0", "\"include\":\"a\\\\.b\\\\|\\\\[\\\\\\\\=.{0,}\"");
}

static void test_words_cannot_leave_their_string(void **state) {
    (void)state;
    build("q=%22%7D%7D%2C%22script%22%3A%7B%22x%22&brand=%22%5D%7D&attr.a%22b=c%22");
    assert_null(strstr(body.data, "\"script\""));
}

static void test_paging_and_sorting(void **state) {
    (void)state;
    const struct json *q = build("page=3&size=25&sort=price:desc");
    int64_t n;
    assert_true(json_int64(json_get(q, "from"), &n) && n == 50);
    assert_true(json_int64(json_get(q, "size"), &n) && n == 25);
    HAS(q, "sort", "[{\"in_stock\":\"desc\"},{\"price_max\":\"desc\"},{\"id\":\"asc\"}]");
    HAS_NOT(q, "query", "must");
    HAS(build("q=tv"), "query.bool.must", "\"tv\"");
}

static void test_skus_are_asked_for_where_they_are_matched(void **state) {
    (void)state;
    static const char *const without[] = {"q=tv", "brand=LG&facets=brand,price", "category=1"}, *const with[] = {"price=1..5", "in_stock=true&facets=in_stock", "attr.size=270"};
    for (size_t i = 0; i < 3; i++) {
        assert_null(strstr(part(build(without[i]), "_source"), "flat.sku"));
        assert_non_null(strstr(part(build(with[i]), "_source"), "flat.sku"));
    }
    HAS_NOT(build("q=tv"), "_source", "variants");
    HAS(build("q=RUN-260"), "_source", "\"variants.sku\",\"variants.code_attrs\"");
}

static void test_several_shards_send_more_of_a_list(void **state) {
    (void)state;
    HAS_NOT(build("facets=brand,attr.color,attr.size,category"), "aggs", "shard_size");
    facts.sharded = true;
    const struct json *q = build("facets=brand,attr.color,attr.size,category");
    HAS(q, "aggs.f0.terms", "\"size\":10,\"shard_size\":10000");
    HAS(q, "aggs.attrs.terms", "\"size\":2000,\"shard_size\":10000");
    HAS_NOT(q, "aggs.f3.terms", "shard_size"); /* all there are, already */
    facts.sharded = false;
}

/* One term for what several, or ranges, would be counted as; where a variant has to meet conditions, or a list of sets was cut
 * off, it says nothing. */
static void test_sets_are_counted_where_they_say_it(void **state) {
    (void)state;
    HAS_NOT(build("facets=category,price,in_stock"), "aggs", "category_set");
    facts.sets = true;
    const struct json *q = build("facets=category,price,in_stock,attr.color");
    HAS(q, "aggs.f0set.terms", "{\"field\":\"category_set\",\"size\":10000,\"order\":{\"_key\":\"asc\"}}");
    HAS(q, "aggs.offers.terms", "{\"field\":\"offers\",\"size\":10000}");
    HAS(q, "aggs.f1min", "price_min");
    HAS(q, "aggs.f1max", "price_max");
    assert_null(json_path(q, "aggs.f0"));
    assert_null(json_path(q, "aggs.f1"));
    assert_null(json_path(q, "aggs.f2"));
    assert_int_equal(json_get(q, "aggs")->count, 5);
    q = build("attr.size=M&facets=category,price,in_stock");
    HAS(q, "aggs", "category_set");
    HAS_NOT(q, "aggs", "offers");
    HAS(q, "aggs.o.aggs.f1.range", "flat.price");
    HAS(q, "aggs.o.aggs.varied", "variants.stock");
    q = build("price=1..9&facets=category,price,in_stock");
    HAS(q, "aggs.offers", "offers");
    assert_null(json_path(q, "aggs.o.aggs.offers"));
    HAS(q, "aggs.o.aggs.f2", "flat.stock");
    params.by_paths = true;
    buf_reset(&body);
    assert_true(search_query_write(&params, &body));
    q = json_parse(&arena, body.data, body.len, &(struct json_limits){64, 100000}, NULL);
    HAS(q, "aggs.o.aggs.f0", "category_paths");
    HAS(q, "aggs.f1.range", "any.price");
    HAS_NOT(q, "aggs", "offers");
    HAS_NOT(q, "aggs", "category_set");
    params.by_paths = false;
    params.view = SLICE("of an older index");
    buf_reset(&body);
    assert_true(search_query_write(&params, &body));
    q = json_parse(&arena, body.data, body.len, &(struct json_limits){64, 100000}, NULL);
    HAS_NOT(q, "aggs", "category_set");
    facts.sets = false;
}

static void test_typo_switch(void **state) {
    (void)state;
    HAS(build("q=tv"), "query", "fuzziness");
    HAS_NOT(build("q=tv&typo=off"), "query", "fuzziness");
}

static void test_counts_of_a_few_terms(void **state) {
    (void)state;
    build("q=tv&brand=LG&attr.color=red&attr.size=M&in_stock=true&facets=brand,attr.color,attr.*&size=50");
    struct search_term terms[] = {{'f', 1, SLICE("color=blue")}, {'f', 1, SLICE("color=red")}, {'s', 2, SLICE("size=M")}, {'f', 2, SLICE("a\"=b")},
                                  {'f', 0, SLICE("Zeta")}};
    struct search_terms list = {terms, 5, 5};
    struct error error = {0};
    buf_reset(&body);
    assert_true(search_counts_write(&params, &list, &body));
    const struct json *q = json_parse(&arena, body.data, body.len, &(struct json_limits){64, 100000}, &error);
    if (!q)
        fail_msg("%s", error.message);
    int64_t n;
    assert_true(json_int64(json_get(q, "size"), &n) && n == 0);
    assert_null(json_get(q, "post_filter"));
    assert_null(json_get(q, "highlight"));
    HAS(q, "query", "{\"term\":{\"in_stock\":true}}");
    HAS(q, "query.bool.filter", "\"minimum_should_match\":2");
    assert_int_equal(json_get(q, "aggs")->count, 4);
    HAS(q, "aggs.of0.aggs.f0.terms", "\"include\":[\"Zeta\"]");
    HAS_NOT(q, "aggs.of0", "f0sel");
    HAS(q, "aggs.of1.aggs.f1", "\"include\":[\"color=blue\",\"color=red\"]");
    HAS(q, "aggs.of1.aggs.varied.aggs.o.aggs.f1", "reverse_nested");
    HAS(q, "aggs.of1.filter", "LG");
    HAS_NOT(q, "aggs.of1.filter", "color=red");
    HAS(q, "aggs.os2.filter", "color=red");
    HAS(q, "aggs.os2.aggs.varied.aggs.o.aggs.s2", "\"include\":[\"size=M\"]");
}

static void test_number_keys_keep_the_order(void **state) {
    (void)state;
    static const double numbers[] = {-INFINITY, -1e300, -2.5, -2, -1e-300, 0, 1e-300, 0.1, 1, 1.5, 13.3, 55, 1e15, INFINITY};
    char before[17], now[17], negative_zero[17];
    search_number_key(numbers[0], before);
    for (size_t i = 1; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        search_number_key(numbers[i], now);
        assert_true(strcmp(before, now) < 0);
        memcpy(before, now, sizeof(now));
    }
    search_number_key(0.0, now);
    search_number_key(-0.0, negative_zero);
    assert_string_equal(now, negative_zero);
}

static void test_a_full_buffer_fails(void **state) {
    (void)state;
    struct buf small = BUF_INIT(64);
    build("q=tv&facets=attr.*");
    assert_false(search_query_write(&params, &small));
    buf_done(&small);
}

static void test_names_of_aggregations(void **state) {
    (void)state;
    static const struct {
        const char *before, *after;
        char kind;
        size_t index;
        const char *want;
    } cases[] = {{"", "", 'f', 0, "f0"}, {"o", "", 's', 9, "os9"}, {"", "sel", 'f', 10, "f10sel"}, {"o", "min", 'f', SIZE_MAX, "of18446744073709551615min"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct search_agg_name name = search_agg_name(cases[i].before, cases[i].kind, cases[i].index, cases[i].after);
        assert_int_equal(name.len, strlen(cases[i].want));
        assert_memory_equal(name.text, cases[i].want, name.len);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_of_aggregations),
        cmocka_unit_test(test_price_below_all_numbers),
        cmocka_unit_test(test_values_of_stock_given_again),
        cmocka_unit_test(test_hidden_filters_go_into_the_query),
        cmocka_unit_test(test_the_only_filter_on_variants),
        cmocka_unit_test(test_shown_filters_go_into_the_post_filter),
        cmocka_unit_test(test_products_that_count_nowhere_are_left_out),
        cmocka_unit_test(test_a_facet_leaves_out_its_own_selection_only),
        cmocka_unit_test(test_attributes_are_counted_in_one_pass),
        cmocka_unit_test(test_facets_without_a_selection_share_a_filter),
        cmocka_unit_test(test_selected_attributes_of_the_star_count_apart),
        cmocka_unit_test(test_without_another_condition_on_skus_all_of_them_count_at_once),
        cmocka_unit_test(test_regular_expressions_are_escaped),
        cmocka_unit_test(test_words_cannot_leave_their_string),
        cmocka_unit_test(test_paging_and_sorting),
        cmocka_unit_test(test_skus_are_asked_for_where_they_are_matched),
        cmocka_unit_test(test_several_shards_send_more_of_a_list),
        cmocka_unit_test(test_sets_are_counted_where_they_say_it),
        cmocka_unit_test(test_typo_switch),
        cmocka_unit_test(test_counts_of_a_few_terms),
        cmocka_unit_test(test_number_keys_keep_the_order),
        cmocka_unit_test(test_a_full_buffer_fails),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
