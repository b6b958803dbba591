/* What MongoDB is asked while there is no search engine, and what its products become. */
#include "tests/unit/arena_fixture.h"
#include "query-api/upstream/fallback_document.h"
#include "query-api/upstream/fallback_query.h"

static const char *filter_of_params(enum fallback_step step, const struct search_params *params) {
    static char text[4096];
    struct category_list *list = category_list_new(1);
    size_t added;
    int64_t last;
    assert_true(category_list_add(list, parse("[{\"_source\":{\"id\":1,\"path\":\"1\",\"name\":\"a\"}},{\"_source\":{\"id\":4,\"path\":\"1/4\",\"name\":\"b\"}},"
                                              "{\"_source\":{\"id\":14,\"path\":\"14\",\"name\":\"c\"}}]"), &added, &last));
    assert_true(category_list_finish(list));
    bson_t filter = BSON_INITIALIZER;
    bool says = fallback_query_write(step, params, list, &filter);
    char *json = bson_as_relaxed_extended_json(&filter, NULL);
    assert_non_null(json);
    size_t len = strlen(json);
    assert_true(len < sizeof(text));
    memcpy(text, json, len + 1);
    bson_free(json);
    bson_destroy(&filter);
    category_list_free(list);
    return says ? text : NULL;
}

static const char *filter_of(enum fallback_step step, const char *query) {
    struct search_params params;
    struct search_errors errors;
    if (!search_params_from_query(&arena, slice_str(query), &params, &errors))
        fail_msg("%s", query);
    return filter_of_params(step, &params);
}

static void test_steps(void **state) {
    (void)state;
    assert_string_equal(filter_of(FALLBACK_CODE, "q=NT940-KC"), "{ \"$and\" : [ { \"$or\" : [ { \"_id\" : \"NT940-KC\" }, { \"variants.sku\" : \"NT940-KC\" } ] } ] }");
    assert_null(filter_of(FALLBACK_CODE, "q=laptop"));
    assert_null(filter_of(FALLBACK_CODE, "q=laptop+16"));
    assert_string_equal(filter_of(FALLBACK_WORDS, "q=lg%20%22-gram*"), "{ \"$and\" : [ { \"$text\" : { \"$search\" : \"\\\"lg\\\" \\\"gram\\\"\" } } ] }");
    assert_string_equal(filter_of(FALLBACK_INSIDE, "q=%EA%B0%80.*"),
                        "{ \"$and\" : [ { \"$or\" : [ { \"name\" : { \"$regularExpression\" : { \"pattern\" : \"\xea\xb0\x80\", \"options\" : \"i\" } } }, "
                        "{ \"name.ko\" : { \"$regularExpression\" : { \"pattern\" : \"\xea\xb0\x80\", \"options\" : \"i\" } } }, "
                        "{ \"name.en\" : { \"$regularExpression\" : { \"pattern\" : \"\xea\xb0\x80\", \"options\" : \"i\" } } } ] } ] }");
    assert_null(filter_of(FALLBACK_WORDS, "q=.*("));
    assert_null(filter_of(FALLBACK_INSIDE, "q=.*("));
    assert_null(filter_of(FALLBACK_INSIDE, ""));
    assert_string_equal(filter_of(FALLBACK_WORDS, ""), "{ }");
    assert_string_equal(filter_of(FALLBACK_WORDS, "in_stock=true"), "{ }");
}

static void test_filters(void **state) {
    (void)state;
    assert_string_equal(filter_of(FALLBACK_WORDS, "category=1&brand=LG"),
                        "{ \"$and\" : [ { \"categories\" : { \"$in\" : [ 1, 4 ] } }, { \"brand\" : { \"$in\" : [ \"LG\" ] } } ] }");
    assert_string_equal(filter_of(FALLBACK_WORDS, "price=..5"),
                        "{ \"$and\" : [ { \"$or\" : [ { \"price\" : { \"$gte\" : { \"$numberDouble\" : \"-Infinity\" }, \"$lte\" : 5.0 } }, "
                        "{ \"variants\" : { \"$elemMatch\" : { \"price\" : { \"$gte\" : { \"$numberDouble\" : \"-Infinity\" }, \"$lte\" : 5.0 } } } } ] } ] }");
    assert_string_equal(filter_of(FALLBACK_WORDS, "attr.a.b=16"),
                        "{ \"$and\" : [ { \"$or\" : [ { \"attributes.a.b\" : { \"$in\" : [ \"16\", 16.0 ] } }, "
                        "{ \"variants.attributes.a.b\" : { \"$in\" : [ \"16\", 16.0 ] } } ] } ] }");
}

static void test_clauses(void **state) {
    (void)state;
    struct slice lg = SLICE("LG"), path = SLICE("14"), yes = SLICE("true");
    struct search_literal either[] = {{.filter = {.dim = DIM_BRAND, .name = SLICE(""), .values = &lg, .value_count = 1}, .negated = true},
                                      {.filter = {.dim = DIM_CATEGORY, .name = SLICE(""), .values = &path, .value_count = 1}}};
    struct search_literal stock[] = {either[0], {.filter = {.dim = DIM_STOCK, .name = SLICE(""), .values = &yes, .value_count = 1}}};
    struct search_clause clauses[] = {{either, 2}, {stock, 2}};
    struct search_params params = {.q = {"", 0}, .lang = "ko", .clauses = clauses, .clause_count = 2};
    assert_string_equal(filter_of_params(FALLBACK_WORDS, &params),
                        "{ \"$and\" : [ { \"$or\" : [ { \"$nor\" : [ { \"brand\" : { \"$in\" : [ \"LG\" ] } } ] }, "
                        "{ \"$and\" : [ { \"categories\" : { \"$in\" : [ 14 ] } } ] } ] } ] }");
}

static char *document_of(const char *json) {
    bson_error_t e;
    bson_t *product = bson_new_from_json((const uint8_t *)json, -1, &e);
    if (!product)
        fail_msg("%s: %s", json, e.message);
    struct buf out = BUF_INIT(1 << 16);
    struct json_write w;
    json_write_init(&w, &out);
    fallback_document_write(&w, product);
    assert_true(json_write_finish(&w));
    bson_destroy(product);
    return buf_steal(&out);
}

static void test_documents(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"{\"_id\":\"a\",\"name\":\"tea\",\"price\":5,\"created_at\":{\"$date\":{\"$numberLong\":\"-1\"}}}",
         "{\"id\":\"a\",\"name\":{\"ko\":\"tea\"},\"price_min\":5,\"price_max\":5,\"flat\":{\"sku\":\"a\",\"price\":5},\"created_at\":\"1969-12-31T23:59:59.999Z\"}"},
        {"{\"_id\":\"b\",\"name\":{\"en\":\"x\",\"ko\":7},\"brand\":\"B\",\"currency\":\"KRW\",\"price\":3,\"categories\":[4,\"x\",1],"
         "\"attributes\":{\"n\":1.5,\"t\":true,\"l\":[\"u\",2,{\"no\":1}],\"size\":{\"w\":1}},\"variants\":[{\"sku\":\"b-1\",\"attributes\":{\"c\":\"red\"}},{\"sku\":\"b-2\",\"price\":9},7]}",
         "{\"id\":\"b\",\"name\":{\"en\":\"x\"},\"brand\":\"B\",\"price_min\":3,\"price_max\":9,\"currency\":\"KRW\",\"categories\":[4,1],\"primary_category\":4,"
         "\"attrs\":[\"n=1.5\",\"t=true\",\"l=u\",\"l=2\",\"size.w=1\"],\"variants\":[{\"sku\":\"b-1\",\"price\":3,\"attrs\":[\"c=red\"]},{\"sku\":\"b-2\",\"price\":9}]}"},
        {"{\"_id\":7,\"name\":[],\"brand\":1,\"price\":\"x\",\"categories\":5,\"attributes\":[],\"variants\":\"x\",\"created_at\":1}", "{\"attrs\":[]}"},
        {"{}", "{}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text = document_of(cases[i][0]);
        assert_string_equal(text, cases[i][1]);
        free(text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_steps, setup, teardown),
        cmocka_unit_test_setup_teardown(test_filters, setup, teardown), cmocka_unit_test_setup_teardown(test_clauses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_documents, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
