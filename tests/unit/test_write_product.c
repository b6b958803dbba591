/* product: what clients write, what MongoDB stores, what clients read; and how each mistake is named. */
#include "write-api/product.h"
#include "test.h"
#include <stdio.h>

static struct arena arena;
static struct problems problems;
static bson_t *document;
static struct product product;
static const struct product_stamp stamp = {.default_id = "made",
                                           .version = 7,
                                           .created_wall_usec = INT64_C(1700000000123000),
                                           .updated_wall_usec = INT64_C(1700000001456000),
                                           .traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"};

static int setup(void **state) {
    (void)state;
    arena_init(&arena, 8 << 20);
    problems_init(&problems);
    document = bson_new();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_done(&arena);
    problems_done(&problems);
    bson_destroy(document);
    return 0;
}

static bool read_product_with(const char *text, const struct product_stamp *with, const struct product_limits *limits) {
    arena_reset(&arena);
    problems_reset(&problems);
    bson_reinit(document);
    const struct json *tree = json_parse(&arena, text, strlen(text), NULL, NULL);
    assert_non_null(tree);
    return product_from_json(tree, with, limits, &arena, document, &product, &problems);
}

static bool read_product(const char *text) {
    return read_product_with(text, &stamp, NULL);
}

static void expect_json(const char *expected) {
    struct buf out = BUF_INIT(1 << 20);
    struct json_write w;
    assert_true(json_write_init(&w, &out));
    product_write_json(&w, document);
    assert_true(json_write_finish(&w));
    assert_string_equal(out.data, expected);
    buf_done(&out);
}

#define TIMES "\"version\":7,\"created_at\":\"2023-11-14T22:13:20.123000Z\",\"updated_at\":\"2023-11-14T22:13:21.456000Z\"}"

static void test_everything(void **state) {
    (void)state;
    assert_true(read_product("{\"variants\":[{\"price\":5,\"sku\":\"A-1\",\"attributes\":{\"color\":\"black\"}},{\"sku\":\"A-2\"}],"
                     "\"id\":\"p1\",\"categories\":[4,13],\"attributes\":{\"inch\":13.3,\"n\":12.0,\"wet\":true,"
                     "\"tags\":[\"a\",1,false],\"size\":{\"w\":30}},\"brand\":\"LG\",\"price\":1.2e3,"
                     "\"name\":{\"ko\":\"노트북\",\"en\":\"Laptop\"},\"description\":\"\",\"currency\":\"USD\"}"));
    expect_json("{\"id\":\"p1\",\"name\":{\"ko\":\"노트북\",\"en\":\"Laptop\"},\"description\":\"\",\"brand\":\"LG\","
                "\"price\":1200,\"currency\":\"USD\",\"attributes\":{\"inch\":13.3,\"n\":12,\"wet\":true,"
                "\"tags\":[\"a\",1,false],\"size\":{\"w\":30}},\"variants\":[{\"sku\":\"A-1\",\"price\":5,"
                "\"attributes\":{\"color\":\"black\"}},{\"sku\":\"A-2\"}],\"categories\":[4,13],"
                "\"primary_category_id\":4," TIMES);
    assert_int_equal(product.category_count, 2);
    assert_int_equal(product.categories[1], 13);
    assert_int_equal(product_version(document), 7);
}

static void test_bson_types(void **state) {
    (void)state;
    bson_iter_t it, found;
    assert_true(read_product("{\"name\":\"x\",\"price\":3,\"attributes\":{\"i\":2,\"whole\":2.0,\"f\":2.5,\"s\":\"$name\"}}"));
    assert_true(bson_iter_init(&it, document) && bson_iter_find_descendant(&it, "attributes.i", &found));
    assert_int_equal(bson_iter_type(&found), BSON_TYPE_INT64);
    assert_true(bson_iter_init(&it, document) && bson_iter_find_descendant(&it, "attributes.whole", &found));
    assert_int_equal(bson_iter_type(&found), BSON_TYPE_INT64);
    assert_true(bson_iter_init(&it, document) && bson_iter_find_descendant(&it, "attributes.f", &found));
    assert_int_equal(bson_iter_type(&found), BSON_TYPE_DOUBLE);
    assert_true(bson_iter_init_find(&it, document, "created_at"));
    assert_int_equal(bson_iter_type(&it), BSON_TYPE_DATE_TIME);
    assert_true(bson_iter_init_find(&it, document, "traceparent"));
    assert_true(bson_validate(document, BSON_VALIDATE_UTF8, NULL));
}

static void test_defaults(void **state) {
    (void)state;
    assert_true(read_product("{\"name\":\"x\"}"));
    expect_json("{\"id\":\"made\",\"name\":\"x\",\"currency\":\"KRW\"," TIMES);
    assert_true(read_product("{\"name\":\"x\",\"version\":3,\"created_at\":\"?\",\"updated_at\":null,\"categories\":[]}"));
    expect_json("{\"id\":\"made\",\"name\":\"x\",\"currency\":\"KRW\",\"categories\":[]," TIMES);
}

static void test_required_id(void **state) {
    (void)state;
    struct product_stamp with = {.required_id = SLICE("p1"), .version = 1};
    assert_true(read_product_with("{\"name\":\"x\"}", &with, NULL));
    assert_true(slice_eq(product.id, SLICE("p1")));
    assert_true(read_product_with("{\"name\":\"x\",\"id\":\"p1\"}", &with, NULL));
    assert_false(read_product_with("{\"name\":\"x\",\"id\":\"p2\"}", &with, NULL));
    assert_string_equal(problems.errors[0].field, "id");
    struct product_stamp none = {.version = 1};
    assert_false(read_product_with("{\"name\":\"x\"}", &none, NULL));
    assert_string_equal(problems.errors[0].message, "is required");
}

/* One mistake each: exactly one problem, at this field, and a message with this in it. */
static const struct {
    const char *text, *field, *message;
} mistakes[] = {
    {"[]", "", "JSON object"},
    {"\"x\"", "", "JSON object"},
    {"{}", "name", "required"},
    {"{\"name\":1}", "name", "string or an object"},
    {"{\"name\":null}", "name", "string or an object"},
    {"{\"name\":\"\"}", "name", "empty"},
    {"{\"name\":{}}", "name", "at least one language"},
    {"{\"name\":{\"KO\":\"x\"}}", "name.KO", "language"},
    {"{\"name\":{\"korean\":\"x\"}}", "name.korean", "language"},
    {"{\"name\":{\"ko\":1}}", "name.ko", "string"},
    {"{\"name\":\"a\\u0000b\"}", "name", "NUL"},
    {"{\"name\":\"x\",\"nmae\":1}", "nmae", "not a field"},
    {"{\"name\":\"x\",\"_id\":1}", "_id", "not a field"},
    {"{\"name\":\"x\",\"$set\":1}", "$set", "not a field"},
    {"{\"name\":\"x\",\"traceparent\":\"\"}", "traceparent", "not a field"},
    {"{\"name\":\"x\",\"id\":5}", "id", "string"},
    {"{\"name\":\"x\",\"id\":\"\"}", "id", "empty"},
    {"{\"name\":\"x\",\"id\":\"a/b\"}", "id", "'/'"},
    {"{\"name\":\"x\",\"id\":\"a\\u0007\"}", "id", "control"},
    {"{\"name\":\"x\",\"id\":\"a\\u0085\"}", "id", "control"},
    {"{\"name\":\"x\",\"id\":\" a\"}", "id", "space"},
    {"{\"name\":\"x\",\"id\":\"..\"}", "id", "address"},
    {"{\"name\":\"x\",\"brand\":{}}", "brand", "string"},
    {"{\"name\":\"x\",\"description\":[]}", "description", "string or an object"},
    {"{\"name\":\"x\",\"price\":\"5\"}", "price", "whole number"},
    {"{\"name\":\"x\",\"price\":5.5}", "price", "whole number"},
    {"{\"name\":\"x\",\"price\":-1}", "price", "whole number"},
    {"{\"name\":\"x\",\"price\":9000000000000001}", "price", "whole number"},
    {"{\"name\":\"x\",\"price\":1e400}", "price", "whole number"},
    {"{\"name\":\"x\",\"currency\":\"krw\"}", "currency", "ISO 4217"},
    {"{\"name\":\"x\",\"currency\":\"KR\"}", "currency", "ISO 4217"},
    {"{\"name\":\"x\",\"currency\":\"W K\"}", "currency", "ISO 4217"},
    {"{\"name\":\"x\",\"attributes\":[]}", "attributes", "object"},
    {"{\"name\":\"x\",\"attributes\":{\"$where\":1}}", "attributes.$where", "'$'"},
    {"{\"name\":\"x\",\"attributes\":{\"a.b\":1}}", "attributes.a.b", "'.'"},
    {"{\"name\":\"x\",\"attributes\":{\"a=b\":1}}", "attributes.a=b", "'='"},
    {"{\"name\":\"x\",\"attributes\":{\"\":1}}", "attributes.", "empty"},
    {"{\"name\":\"x\",\"attributes\":{\"a\\u0000b\":1}}", "attributes.a?b", "control"},
    {"{\"name\":\"x\",\"attributes\":{\"a\":{\"$gt\":1}}}", "attributes.a.$gt", "'$'"},
    {"{\"name\":\"x\",\"attributes\":{\"a\":null}}", "attributes.a", "null"},
    {"{\"name\":\"x\",\"attributes\":{\"a\":[[1]]}}", "attributes.a[0]", "string, a number"},
    {"{\"name\":\"x\",\"attributes\":{\"a\":[1,{}]}}", "attributes.a[1]", "string, a number"},
    {"{\"name\":\"x\",\"attributes\":{\"a\":[null]}}", "attributes.a[0]", "string, a number"},
    {"{\"name\":\"x\",\"attributes\":{\"a\":\"\\u0000\"}}", "attributes.a", "NUL"},
    {"{\"name\":\"x\",\"attributes\":{\"a\":9223372036854775808}}", "attributes.a", "64 bits"},
    {"{\"name\":\"x\",\"attributes\":{\"a\":1e999}}", "attributes.a", "too large"},
    {"{\"name\":\"x\",\"variants\":{}}", "variants", "array"},
    {"{\"name\":\"x\",\"variants\":[1]}", "variants[0]", "object"},
    {"{\"name\":\"x\",\"variants\":[{}]}", "variants[0].sku", "required"},
    {"{\"name\":\"x\",\"variants\":[{\"sku\":1}]}", "variants[0].sku", "string"},
    {"{\"name\":\"x\",\"variants\":[{\"sku\":\"\"}]}", "variants[0].sku", "empty"},
    {"{\"name\":\"x\",\"variants\":[{\"sku\":\"a \"}]}", "variants[0].sku", "space"},
    {"{\"name\":\"x\",\"variants\":[{\"sku\":\"a\"},{\"sku\":\"b\"},{\"sku\":\"a\"}]}", "variants[2].sku", "twice"},
    {"{\"name\":\"x\",\"variants\":[{\"sku\":\"a\",\"stock\":1}]}", "variants[0].stock", "not a field"},
    {"{\"name\":\"x\",\"variants\":[{\"sku\":\"a\",\"price\":null}]}", "variants[0].price", "whole number"},
    {"{\"name\":\"x\",\"variants\":[{\"sku\":\"a\",\"attributes\":{\"$\":1}}]}", "variants[0].attributes.$", "'$'"},
    {"{\"name\":\"x\",\"categories\":4}", "categories", "array"},
    {"{\"name\":\"x\",\"categories\":[\"4\"]}", "categories[0]", "whole number"},
    {"{\"name\":\"x\",\"categories\":[0]}", "categories[0]", "whole number"},
    {"{\"name\":\"x\",\"categories\":[4294967296]}", "categories[0]", "whole number"},
    {"{\"name\":\"x\",\"categories\":[4,5,4]}", "categories[2]", "twice"},
    {"{\"name\":\"x\",\"categories\":[4],\"primary_category_id\":5}", "primary_category_id", "one of"},
    {"{\"name\":\"x\",\"primary_category_id\":5}", "primary_category_id", "one of"},
};

static void test_mistakes(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        if (read_product(mistakes[i].text) || problems.count != 1 ||
            strcmp(problems.errors[0].field, mistakes[i].field) != 0 ||
            !strstr(problems.errors[0].message, mistakes[i].message))
            fail_msg("%s: %u problems, first %s: %s", mistakes[i].text, problems.count,
                     problems.count ? problems.errors[0].field : "-",
                     problems.count ? problems.errors[0].message : "-");
    }
}

static void test_all_mistakes_at_once(void **state) {
    (void)state;
    assert_false(read_product("{\"name\":5,\"x\":1,\"price\":-1,\"variants\":[{},{\"sku\":\"a\"}],\"categories\":[0,\"b\"]}"));
    assert_int_equal(problems.count, 6);
    struct buf many = BUF_INIT(1 << 16);
    buf_append_str(&many, "{\"name\":\"x\",\"attributes\":{");
    for (int i = 0; i < 50; i++)
        buf_printf(&many, "%s\"$%d\":1", i ? "," : "", i);
    buf_append_str(&many, "}}");
    assert_false(read_product(many.data));
    assert_int_equal(problems.count, PROBLEMS_MAX);
    assert_int_equal(problems.more, 50 - PROBLEMS_MAX);
    buf_done(&many);
}

static void test_limits(void **state) {
    (void)state;
    struct product_limits limits = {.variants_max = 1, .categories_max = 2, .attributes_max = 3, .values_max = 2};
    assert_true(read_product_with("{\"name\":\"x\",\"variants\":[{\"sku\":\"a\"}],\"categories\":[1,2],"
                          "\"attributes\":{\"a\":{\"b\":1},\"c\":[1,2]}}",
                          &stamp, &limits));
    assert_false(read_product_with("{\"name\":\"x\",\"variants\":[{\"sku\":\"a\"},{\"sku\":\"b\"}],\"categories\":[1,2,3],"
                           "\"attributes\":{\"a\":{\"b\":1},\"c\":[1,2,3],\"d\":1}}",
                           &stamp, &limits));
    assert_int_equal(problems.count, 4);
    char id[300], text[400];
    memset(id, 'a', sizeof(id));
    snprintf(text, sizeof(text), "{\"name\":\"x\",\"id\":\"%.*s\"}", 128, id);
    assert_true(read_product(text));
    snprintf(text, sizeof(text), "{\"name\":\"x\",\"id\":\"%.*s\"}", 129, id);
    assert_false(read_product(text));
    snprintf(text, sizeof(text), "{\"name\":\"x\",\"attributes\":{\"%.*s\":1}}", 64, id);
    assert_true(read_product(text));
    snprintf(text, sizeof(text), "{\"name\":\"x\",\"attributes\":{\"%.*s\":1}}", 65, id);
    assert_false(read_product(text));
}

static void test_what_was_read_can_be_written(void **state) {
    (void)state;
    assert_true(read_product("{\"id\":\"p\",\"name\":{\"en\":\"x\"},\"attributes\":{\"f\":0.1,\"e\":1e300,\"w\":12.00000000000000000001}}"));
    bson_t *first = bson_copy(document);
    struct buf out = BUF_INIT(1 << 20);
    struct json_write w;
    assert_true(json_write_init(&w, &out));
    product_write_json(&w, document);
    assert_true(json_write_finish(&w));
    assert_true(read_product(out.data));
    assert_true(bson_equal(first, document));
    bson_destroy(first);
    buf_done(&out);
}

static void test_new_ids(void **state) {
    (void)state;
    char a[PRODUCT_NEW_ID_SIZE], b[PRODUCT_NEW_ID_SIZE];
    product_new_id(a);
    product_new_id(b);
    assert_int_equal(strlen(a), 26);
    assert_string_not_equal(a, b);
    assert_memory_equal(a, b, 6); /* the same quarter of a minute or so */
    assert_null(product_id_problem(slice_str(a)));
}

static void test_currencies(void **state) {
    (void)state;
    assert_true(currency_known(SLICE("AED")));
    assert_true(currency_known(SLICE("KRW")));
    assert_true(currency_known(SLICE("ZWG")));
    assert_false(currency_known(SLICE("XXX")));
    assert_false(currency_known(SLICE("ED ")));
    assert_false(currency_known(SLICE("")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_bson_types),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_required_id),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_all_mistakes_at_once),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_what_was_read_can_be_written),
        cmocka_unit_test(test_new_ids),
        cmocka_unit_test(test_currencies),
    };
    return cmocka_run_group_tests_name("write_product", tests, setup, teardown);
}
