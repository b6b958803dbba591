/* matched_variants: which SKUs of a hit were meant, as Elasticsearch would find them by the same filters. */
#include "query-api/search/matched_variants.h"
#include "core/cleanup.h"
#include "query-api/text/search_text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct arena arena;
static struct buf out;

/* Red and blue, 13 and 15.6 inches, of all states. */
static const char shirt[] =
    "{\"variants\":["
    "{\"sku\":\"a\",\"names\":[\"color\",\"inch\"],\"attrs\":[\"color=red\",\"inch=13\"],\"numbers\":[\"inch=c02a000000000000\"],\"price\":100,\"stock\":\"in\"},"
    "{\"sku\":\"b\",\"names\":[\"color\",\"inch\"],\"attrs\":[\"color=red\",\"color=blue\",\"inch=15.6\"],\"numbers\":[\"inch=c02f333333333333\"],\"price\":200,\"stock\":\"low\"},"
    "{\"sku\":\"c\",\"names\":[\"color\",\"ean\"],\"attrs\":[\"color=blue\"],\"code_attrs\":[\"ean=8801\"],\"price\":300,\"stock\":\"out\"},"
    "{\"sku\":\"d\",\"stock\":\"in\"},"
    "{\"sku\":7,\"price\":100},{},null]}";

static const char *matched_of(const char *query, const char *document, bool known) {
    struct search_params params;
    struct search_errors errors;
    struct json_write w;
    arena_reset(&arena);
    buf_reset(&out);
    assert_true(search_params_from_query(&arena, slice_str(query), &params, &errors));
    params.text = search_text_read(&(struct search_text_context){.arena = &arena}, params.q, params.typo);
    const struct json *source = json_parse(&arena, document, strlen(document), &(struct json_limits){64, 100000}, NULL);
    assert_non_null(source);
    assert_true(json_write_init(&w, &out));
    matched_variants_write(&w, &params, source, known);
    assert_true(json_write_finish(&w));
    return out.data;
}

static const char *matched(const char *query) {
    return matched_of(query, shirt, true);
}

static void test_every_filter_of_variants(void **state) {
    (void)state;
    static const struct {
        const char *query, *skus;
    } cases[] = {
        {"", "[]"},
        {"brand=LG&category=1/4", "[]"},
        {"in_stock=true", "[\"a\",\"b\",\"d\"]"},
        {"in_stock=false", "[\"c\"]"},
        {"in_stock=true&in_stock=false", "[\"a\",\"b\",\"c\",\"d\"]"},
        {"price=100..200", "[\"a\",\"b\"]"},
        {"price=100.5..199.5", "[]"},
        {"price=..100", "[\"a\"]"},
        {"price=200..", "[\"b\",\"c\"]"},
        {"price=..100&price=300..", "[\"a\",\"c\"]"},
        {"attr.color=red", "[\"a\",\"b\",\"d\"]"}, /* d has none of it: it stands with the product */
        {"attr.color=red&attr.color=blue&in_stock=false", "[\"c\"]"},
        {"attr.color=re", "[\"d\"]"},
        {"attr.color=RED", "[\"d\"]"},
        {"attr.colo=red", "[\"a\",\"b\",\"c\",\"d\"]"},
        {"attr.inch=13", "[\"a\",\"c\",\"d\"]"},
        {"attr.inch=13..14", "[\"a\",\"c\",\"d\"]"},
        {"attr.inch=15.6..15.6&price=..250", "[\"b\"]"},
        {"attr.inch=..13&price=0..", "[\"a\",\"c\"]"},
        {"attr.inch=16..&attr.inch=13&price=1..", "[\"a\",\"c\"]"},
        {"attr.ean=8801", "[\"a\",\"b\",\"c\",\"d\"]"},
        {"attr.ean=8802&in_stock=false", "[]"},
        {"attr.color=blue&price=150..&in_stock=true", "[\"b\"]"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (strcmp(matched(cases[i].query), cases[i].skus) != 0)
            fail_msg("%s: %s, not %s", cases[i].query, out.data, cases[i].skus);
}

static void test_the_only_sku(void **state) {
    (void)state;
    static const char flat[] = "{\"flat\":{\"sku\":\"x\",\"price\":5}}";
    assert_string_equal(matched_of("price=1..9", flat, true), "[\"x\"]");
    assert_string_equal(matched_of("price=1..9", flat, false), "[\"x\"]");
    assert_string_equal(matched_of("brand=LG", flat, true), "[]");
}

static void test_what_is_not_known_is_not_said(void **state) {
    (void)state;
    assert_string_equal(matched_of("in_stock=true", shirt, false), "[]");
}

static void test_codes(void **state) {
    (void)state;
    assert_string_equal(matched_of("q=8801", "{\"variants\":[{\"sku\":\"abc-1\"},{\"sku\":\"abc-2\",\"code_attrs\":[\"ean=8801\"]}]}", true), "[\"abc-2\"]");
    assert_string_equal(matched_of("q=ABC1", "{\"variants\":[{\"sku\":\"abc-1\"},{\"sku\":\"abc-2\"}]}", true), "[\"abc-1\"]");
    assert_string_equal(matched_of("q=abc1&in_stock=true", "{\"variants\":[{\"sku\":\"abc-1\",\"stock\":\"in\"},{\"sku\":\"abc-2\",\"stock\":\"in\"}]}", true),
                        "[\"abc-1\",\"abc-2\"]");
}

static void test_twenty_at_most(void **state) {
    (void)state;
    struct buf many = BUF_INIT(1 << 16);
    buf_printf(&many, "{\"variants\":[");
    for (int i = 0; i < 30; i++)
        buf_printf(&many, "%s{\"sku\":\"s%d\",\"stock\":\"%s\"}", i ? "," : "", i, i < 5 ? "out" : "in");
    buf_printf(&many, "]}");
    const char *list = matched_of("in_stock=true", many.data, true);
    assert_non_null(strstr(list, "[\"s5\","));
    assert_non_null(strstr(list, ",\"s24\"]"));
    buf_done(&many);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_filter_of_variants), cmocka_unit_test(test_the_only_sku), cmocka_unit_test(test_what_is_not_known_is_not_said),
        cmocka_unit_test(test_codes), cmocka_unit_test(test_twenty_at_most),
    };
    arena_init(&arena, 16 << 20);
    buf_init(&out, 1 << 20);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_done(&arena);
    buf_done(&out);
    return failed;
}
