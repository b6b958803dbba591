#include "tests/unit/test.h"
#include "core/json_read.h"
#include "projector/jobs/index_admin.h"
#include <stdio.h>

#define PROPERTIES                                                                                 \
    "{\"id\":{\"type\":\"keyword\"},\"content_hash\":{},\"version\":{},\"brand\":{\"type\":\"keyword\"},"              \
    "\"name\":{\"properties\":{\"ko\":{},\"en\":{}}},\"title\":{\"properties\":{\"ko\":{}}},"         \
    "\"codes\":{},\"categories\":{},\"attrs\":{},\"numbers\":{},\"varied\":{},\"flat\":{\"properties\":{\"price\":{},\"stock\":{}}},"   \
    "\"variants\":{\"properties\":{\"names\":{},\"attrs\":{},\"numbers\":{},\"price\":{},\"stock\":{},\"sku\":{}}}}"
#define LANGUAGES "\"languages\":{\"fields\":[\"ko\",\"en\"],\"hangul\":\"ko\",\"other\":\"en\"}"
#define ID_RULE "{\"field\":\"id\",\"as\":\"id\"}"

static struct projection *parse(const char *projection, const char *properties, struct error *e) {
    char text[8192];
    int n = snprintf(text, sizeof(text), "{\"mappings\":{\"properties\":%s},\"projection\":%s}", properties, projection);
    assert_true(n > 0 && (size_t)n < sizeof(text));
    return projection_parse_mapping("test", text, (size_t)n, e);
}

static void refused(const char *projection, const char *message) {
    struct error e = {0};
    struct projection *p = parse(projection, PROPERTIES, &e);
    if (p)
        fail_msg("was taken: %s", projection);
    assert_int_equal(e.code, ERROR_INVALID);
    assert_message(&e, message);
    assert_message(&e, "mapping test");
}

static void rule_refused(const char *rule, const char *message) {
    char text[2048];
    snprintf(text, sizeof(text), "{\"version\":1," LANGUAGES ",\"rules\":[" ID_RULE ",%s]}", rule);
    refused(text, message);
}

static void test_built_in_mappings(void **state) {
    (void)state;
    struct error e = {0};
    static const struct {
        const char *text;
        const size_t *size;
    } files[] = {{index_mapping_products, &index_mapping_products_size},
                 {index_mapping_products_plain, &index_mapping_products_plain_size}};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct projection *p = projection_parse_mapping("built-in", files[i].text, *files[i].size, &e);
        if (!p)
            fail_msg("%s", e.message);
        assert_int_equal(p->language_count, 2);
        assert_int_equal(projection_language_of(p, projection_language_code(SLICE("")), true), 0);
        assert_int_equal(projection_language_of(p, projection_language_code(SLICE("")), false), 1);
        assert_int_equal(projection_language_of(p, projection_language_code(SLICE("ko")), false), 0);
        assert_int_equal(projection_language_of(p, projection_language_code(SLICE("fra")), true), 1);
        assert_true(projection_is_code_attribute(p, SLICE("ean")));
        assert_true(projection_is_code_attribute(p, SLICE("part_number")));
        assert_false(projection_is_code_attribute(p, SLICE("eam")));
        assert_false(projection_is_code_attribute(p, SLICE("")));
        assert_true(slice_eq(p->sources[p->source_id], SLICE("_id")));
        assert_int_not_equal(p->source_price, PROJECTION_NO_SOURCE);
        projection_free(p);
    }
}

/* Codes stand apart where a rule says so, and then everywhere; an index that was made without that rule goes on as it is. */
static void test_codes_apart(void **state) {
    (void)state;
    static const char *const without = "{\"version\":1," LANGUAGES ",\"code_attributes\":[\"ean\"],\"rules\":[" ID_RULE
                                       ",{\"field\":\"attrs\",\"as\":\"attrs\"},{\"field\":\"variants\",\"as\":\"variants\"}]}";
    static const char *const with = "{\"version\":1," LANGUAGES ",\"code_attributes\":[\"ean\"],\"rules\":[" ID_RULE
                                    ",{\"field\":\"code_attrs\",\"as\":\"code_attrs\"},{\"field\":\"variants\",\"as\":\"variants\"}]}";
#define PLACES(more)                                                                                                   \
    "{\"id\":{},\"content_hash\":{},\"version\":{},\"attrs\":{},\"code_attrs\":{},\"variants\":{\"type\":\"nested\",\"properties\":{"  \
    "\"names\":{},\"attrs\":{},\"numbers\":{},\"price\":{},\"stock\":{},\"sku\":{}" more "}}}"
    static const char *const lacks = PLACES(""), *const has = PLACES(",\"code_attrs\":{}");
    struct error e = {0};
    struct projection *before = parse(without, lacks, &e), *now = parse(with, has, &e);
    assert_non_null(before);
    assert_non_null(now);
    assert_false(before->codes_apart);
    assert_true(now->codes_apart);
    projection_free(before);
    projection_free(now);
    assert_null(parse(with, lacks, &e));
    assert_int_equal(e.code, ERROR_INVALID);
    assert_message(&e, "variants.code_attrs");
}

/* Both mapping files have the same fields and the same projection: only the analysis differs. */
static void test_plain_mapping_differs_in_analysis_only(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct json *a = json_parse(&arena, index_mapping_products, index_mapping_products_size, NULL, NULL);
    struct json *b = json_parse(&arena, index_mapping_products_plain, index_mapping_products_plain_size, NULL, NULL);
    const char *from_a = strstr(index_mapping_products, "\"mappings\""), *from_b = strstr(index_mapping_products_plain, "\"mappings\"");
    assert_non_null(a);
    assert_non_null(b);
    assert_string_equal(from_a, from_b);
    arena_done(&arena);
}

static void test_refusals(void **state) {
    (void)state;
    refused("5", "must be objects");
    refused("{\"version\":2}", "version");
    refused("{\"version\":1,\"rulez\":[]}", "rulez");
    refused("{\"version\":1," LANGUAGES "}", "rules");
    refused("{\"version\":1,\"rules\":[]}", "languages");
    refused("{\"version\":1,\"languages\":{\"fields\":[\"ko\"],\"hangul\":\"ko\",\"other\":\"en\"},\"rules\":[]}", "other");
    refused("{\"version\":1,\"languages\":{\"fields\":[\"korean\"]},\"rules\":[]}", "languages.fields");
    refused("{\"version\":1," LANGUAGES ",\"code_attributes\":\"ean\",\"rules\":[]}", "code_attributes");
    refused("{\"version\":1," LANGUAGES ",\"code_attributes\":[5],\"rules\":[]}", "code_attributes");
    refused("{\"version\":1," LANGUAGES ",\"rules\":[]}", "\"id\"");
    refused("{\"version\":1," LANGUAGES ",\"rules\":[{\"field\":\"brand\",\"as\":\"id\"}]}", "\"id\"");
    rule_refused("5", "every rule");
    rule_refused("{\"field\":\"brand\"}", "every rule");
    rule_refused("{\"field\":\"brand\",\"as\":\"keyword\",\"from\":\"brand\",\"cut\":5}", "\"cut\"");
    rule_refused("{\"field\":\"brand\",\"as\":\"soundex\",\"from\":\"brand\"}", "\"soundex\"");
    rule_refused("{\"field\":\"brand\",\"as\":\"keyword\"}", "from");
    rule_refused("{\"field\":\"maker\",\"as\":\"keyword\",\"from\":\"brand\"}", "\"maker\"");
    rule_refused("{\"field\":\"name.ko\",\"as\":\"text\",\"from\":\"name\"}", "\"name.ko\"");
    rule_refused("{\"field\":\"title\",\"as\":\"localized\",\"from\":\"name\"}", "\"title.en\"");
    rule_refused("{\"field\":\"flat\",\"as\":\"flat\"}", "\"flat.sku\"");
    rule_refused("{\"field\":\"variants\",\"as\":\"variants\"}", "nested");
    rule_refused("{\"field\":\"id\",\"as\":\"keyword\",\"from\":\"brand\"}", "two rules");
    rule_refused("{\"field\":\"codes\",\"as\":\"codes\",\"from\":[\"attributes\"]}", "\"codes\"");
    rule_refused("{\"field\":\"categories\",\"as\":\"category_ids\",\"from\":\"tags\"}", "\"category_ids\"");
    rule_refused("{\"field\":\"brand\",\"as\":\"category_set\",\"from\":\"variants\"}", "\"category_set\"");
    rule_refused("{\"field\":\"brand\",\"as\":\"offers\",\"from\":[\"variants\",\"price\"]}", "\"offers\"");
    rule_refused("{\"field\":\"offer\",\"as\":\"offers\"}", "\"offer\"");
    rule_refused("{\"field\":\"brand\",\"as\":\"keyword\",\"from\":\"brand\",\"max_bytes\":40000}", "max_bytes");
    rule_refused("{\"field\":\"brand\",\"as\":\"keyword\",\"from\":\"brand\",\"max_bytes\":\"5\"}", "max_bytes");
    rule_refused("{\"field\":\"codes\",\"as\":\"codes\",\"max_bytes\":50}", "max_bytes");
    rule_refused("{\"field\":\"brand\",\"as\":\"keyword\",\"from\":\"brand\",\"default\":5}", "default");
    rule_refused("{\"field\":\"brand\",\"as\":\"date\",\"from\":\"brand\",\"default\":\"x\"}", "default");
    struct error e = {0};
    assert_null(parse("{\"version\":1," LANGUAGES ",\"rules\":[" ID_RULE "]}", "{\"id\":{}}", &e));
    assert_message(&e, "content_hash");
}

static void test_too_many(void **state) {
    (void)state;
    struct buf rules = BUF_INIT(1 << 16), properties = BUF_INIT(1 << 16), text = BUF_INIT(1 << 18);
    struct error e = {0};
    buf_append_str(&properties, "{\"id\":{},\"content_hash\":{},\"version\":{}");
    buf_append_str(&rules, ID_RULE);
    for (int i = 0; i < 40; i++) {
        buf_printf(&properties, ",\"f%d\":{}", i);
        buf_printf(&rules, ",{\"field\":\"f%d\",\"from\":\"s%d\",\"as\":\"long\"}", i, i);
    }
    buf_printf(&text, "{\"mappings\":{\"properties\":%s}},\"projection\":{\"version\":1," LANGUAGES ",\"rules\":[%s]}}",
               properties.data, rules.data);
    assert_null(projection_parse_mapping("test", text.data, text.len, &e));
    assert_message(&e, "one too many");
    buf_done(&rules);
    buf_done(&properties);
    buf_done(&text);
}

static void test_transform_names(void **state) {
    (void)state;
    enum transform t;
    for (int i = TRANSFORM_ID; i <= TRANSFORM_POPULARITY; i++) {
        assert_true(projection_transform_by_name(slice_str(projection_transform_name((enum transform)i)), &t));
        assert_int_equal(t, i);
    }
    assert_false(projection_transform_by_name(SLICE("keywor"), &t));
}

static void test_hangul(void **state) {
    (void)state;
    static const char *const with[] = {"가", "abc 힣", "ㄱ", "ᄀ", "한"};
    static const char *const without[] = {"", "abc", "é", "日本語", "中文", "€uro", "😀"};
    for (size_t i = 0; i < ARRAY_LEN(with); i++)
        assert_true(projection_has_hangul(slice_str(with[i])));
    for (size_t i = 0; i < ARRAY_LEN(without); i++)
        assert_false(projection_has_hangul(slice_str(without[i])));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_built_in_mappings), cmocka_unit_test(test_plain_mapping_differs_in_analysis_only),
        cmocka_unit_test(test_refusals),          cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_codes_apart),
        cmocka_unit_test(test_transform_names),   cmocka_unit_test(test_hangul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
