/* search_result and facet_result: sums of flat and varied counts, selections that stay, answers that are refused. */
#include "query-api/search/search_result.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct arena arena;
static struct buf out;
static struct error error;

static int setup(void **state) {
    (void)state;
    arena_init(&arena, 16 << 20);
    buf_init(&out, 1 << 20);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_done(&arena);
    buf_done(&out);
    return 0;
}

static struct category_list *categories(void) {
    static const char hits[] =
        "[{\"_source\":{\"id\":1,\"path\":\"1/\",\"name\":\"가전\",\"names\":{\"ko\":\"가전\",\"en\":\"Appliances\"}}},"
        "{\"_source\":{\"id\":4,\"path\":\"1/4/\",\"name\":\"TV\"}},{\"_source\":{\"revision\":9}},"
        "{\"_source\":{\"id\":13,\"path\":\"1/13/\",\"name\":\"오디오\"}}]";
    struct category_list *list = category_list_new(9);
    size_t added = 0;
    int64_t last = 0;
    assert_true(category_list_add(list, json_parse(&arena, hits, strlen(hits), NULL, NULL), &added, &last));
    assert_int_equal(added, 3);
    assert_true(category_list_finish(list));
    return list;
}

static struct search_terms doubts;
static bool crowded;
static enum sets_lack lack;
static const char *second; /* aggregations of a second answer, or NULL */

static bool answer(const char *query, const char *text) {
    struct search_params params;
    struct search_errors errors;
    struct category_list *list = categories();
    doubts = (struct search_terms){0};
    struct search_result_context context = {.arena = &arena, .categories = list, .took_ms = 5, .query_id = "q1", .doubts = &doubts, .ret_crowded = &crowded, .ret_sets = &lack};
    crowded = false;
    lack = SETS_WHOLE;
    if (second)
        context.second = json_parse(&arena, second, strlen(second), NULL, NULL);
    buf_reset(&out);
    assert_true(search_params_from_query(&arena, slice_str(query), &params, &errors));
    const struct json *json = json_parse(&arena, text, strlen(text), &(struct json_limits){64, 100000}, NULL);
    assert_non_null(json);
    error = (struct error){0};
    bool ok = search_result_write(&params, json, &context, &out, &error);
    category_list_free(list);
    if (ok)
        assert_non_null(json_parse(&arena, out.data, out.len, &(struct json_limits){64, 100000}, NULL));
    return ok;
}

#define ENVELOPE(aggs) "{\"timed_out\":false,\"hits\":{\"total\":{\"value\":7},\"hits\":[]},\"aggregations\":{" aggs "}}"
#define SAYS(needle) do { if (!strstr(out.data, needle)) fail_msg("%s\nis not in\n%s", needle, out.data); } while (0)

static void test_flat_and_varied_counts_are_added(void **state) {
    (void)state;
    assert_true(answer("facets=attr.color&attr.color=pink&facet_size=2",
        ENVELOPE("\"of0\":{\"doc_count\":7,\"f0\":{\"sum_other_doc_count\":0,\"buckets\":["
                 "{\"key\":\"color=red\",\"doc_count\":2},{\"key\":\"color=blue\",\"doc_count\":1},{\"key\":\"color=a=b\",\"doc_count\":1}]},"
                 "\"varied\":{\"o\":{\"f0\":{\"sum_other_doc_count\":0,\"buckets\":["
                 "{\"key\":\"color=red\",\"doc_count\":9,\"p\":{\"doc_count\":3}},{\"key\":\"color=green\",\"doc_count\":8,\"p\":{\"doc_count\":4}}]}}}}")));
    SAYS("\"attr.color\":{\"type\":\"value\",\"values\":[{\"value\":\"red\",\"count\":5},{\"value\":\"green\",\"count\":4},"
         "{\"value\":\"pink\",\"count\":0,\"selected\":true}],\"other\":2}");
}

static void test_star_groups_by_name(void **state) {
    (void)state;
    assert_true(answer("facets=attr.*&attr.size=M",
        ENVELOPE("\"o\":{\"f0\":{\"buckets\":[{\"key\":\"color=red\",\"doc_count\":2},{\"key\":\"size=L\",\"doc_count\":1},"
                 "{\"key\":\"weight=1\",\"doc_count\":9}]}},"
                 "\"s0\":{\"buckets\":[{\"key\":\"size=L\",\"doc_count\":6},{\"key\":\"size=M\",\"doc_count\":5}]}")));
    SAYS("\"facets\":{\"attr.size\":{\"type\":\"value\",\"values\":[{\"value\":\"L\",\"count\":6},{\"value\":\"M\",\"count\":5,\"selected\":true}]"
         ",\"other\":0},\"attr.weight\"");
    SAYS("\"attr.color\"");
}

#define ONE_LIST(more, more_varied)                                                                                    \
    ENVELOPE("\"attrs\":{\"sum_other_doc_count\":" more ",\"buckets\":[{\"key\":\"size=L\",\"doc_count\":6},"               \
             "{\"key\":\"color=red\",\"doc_count\":2},{\"key\":\"color=blue\",\"doc_count\":1}]},"                        \
             "\"varied\":{\"o\":{\"attrs\":{\"sum_other_doc_count\":" more_varied ",\"buckets\":[" \
             "{\"key\":\"color=blue\",\"doc_count\":9,\"p\":{\"doc_count\":4}}]}}}")

/* A list that several attributes share says all of them, unless it was cut off: then each has to be asked for by itself. */
static void test_attributes_in_one_list(void **state) {
    (void)state;
    assert_true(answer("facets=attr.color,attr.size&facet_size=1", ONE_LIST("0", "0")));
    assert_int_equal(doubts.count, 0);
    assert_false(crowded);
    SAYS("\"attr.color\":{\"type\":\"value\",\"values\":[{\"value\":\"blue\",\"count\":5}],\"other\":2}");
    SAYS("\"attr.size\":{\"type\":\"value\",\"values\":[{\"value\":\"L\",\"count\":6}],\"other\":0}");
    assert_true(answer("facets=attr.color,attr.size&facet_size=1", ONE_LIST("3", "0")));
    assert_true(crowded);
    assert_true(answer("facets=attr.color,attr.size&facet_size=1", ONE_LIST("0", "3")));
    assert_true(crowded);
}

static void test_a_selected_brand_outside_the_top_stays(void **state) {
    (void)state;
    assert_true(answer("facets=brand&brand=Zeta",
        ENVELOPE("\"f0\":{\"sum_other_doc_count\":10,\"buckets\":[{\"key\":\"LG\",\"doc_count\":50}]},"
                 "\"f0sel\":{\"buckets\":[{\"key\":\"Zeta\",\"doc_count\":3}]}")));
    SAYS("[{\"value\":\"LG\",\"count\":50},{\"value\":\"Zeta\",\"count\":3,\"selected\":true}],\"other\":7");
}

static void test_price_folds_both_forms(void **state) {
    (void)state;
    assert_true(answer("facets=price&price=..500",
        ENVELOPE("\"of0\":{\"f0min\":{\"value\":150.0},\"f0max\":{\"value\":900.0},\"f0\":{\"buckets\":[{\"doc_count\":0},{\"doc_count\":2}]},"
                 "\"varied\":{\"o\":{\"f0min\":{\"value\":null},\"f0max\":{\"value\":1200.0},\"f0\":{\"buckets\":[{\"doc_count\":0},{\"doc_count\":8,\"p\":{\"doc_count\":1}}]}}}}")));
    SAYS("\"price\":{\"type\":\"range\",\"min\":150,\"max\":1200,\"histogram\":[{\"from\":100,\"to\":199,\"count\":3}],"
         "\"selected\":[{\"from\":null,\"to\":500}]}");
}

/* blue is in the flat list only, and the varied one was cut off: a few varied products may have it. */
static void test_counts_in_doubt(void **state) {
    (void)state;
    static const char cut[] =
        ENVELOPE("\"of0\":{\"f0\":{\"sum_other_doc_count\":0,\"buckets\":[{\"key\":\"color=blue\",\"doc_count\":5},{\"key\":\"color=red\",\"doc_count\":2}]},"
                 "\"varied\":{\"o\":{\"f0\":{\"sum_other_doc_count\":8,\"buckets\":[{\"key\":\"color=red\",\"doc_count\":9,\"p\":{\"doc_count\":3}}]}}}}");
    assert_true(answer("facets=attr.color&attr.color=pink", cut));
    assert_int_equal(doubts.count, 2);
    assert_true(slice_eq(doubts.items[0].term, SLICE("color=blue")) && slice_eq(doubts.items[1].term, SLICE("color=pink")));
    assert_true(doubts.items[0].kind == 'f' && doubts.items[0].index == 0);
    assert_true(answer("facets=attr.color&facet_size=1", cut));
    assert_int_equal(doubts.count, 1);
    second = "{\"of0\":{\"f0\":{\"buckets\":[{\"key\":\"color=blue\",\"doc_count\":5}]},\"varied\":{\"o\":{\"f0\":{\"buckets\":["
             "{\"key\":\"color=blue\",\"doc_count\":4,\"p\":{\"doc_count\":1}},{\"key\":\"color=pink\",\"doc_count\":2,\"p\":{\"doc_count\":2}}]}}}}}";
    assert_true(answer("facets=attr.color&attr.color=pink", cut));
    second = NULL;
    assert_int_equal(doubts.count, 0);
    SAYS("[{\"value\":\"blue\",\"count\":6},{\"value\":\"red\",\"count\":5},{\"value\":\"pink\",\"count\":2,\"selected\":true}]");
}

/* Several shards: where the engine says that counts may be too low, they are asked for; what is selected is exact already. */
static void test_counts_that_a_shard_left_out(void **state) {
    (void)state;
    static const char rough[] =
        ENVELOPE("\"f0\":{\"doc_count_error_upper_bound\":3,\"sum_other_doc_count\":10,\"buckets\":["
                 "{\"key\":\"LG\",\"doc_count\":5},{\"key\":\"Zeta\",\"doc_count\":2}]},\"f0sel\":{\"buckets\":[{\"key\":\"Zeta\",\"doc_count\":3}]}");
    assert_true(answer("facets=brand&brand=Zeta&brand=none", rough));
    assert_int_equal(doubts.count, 1);
    assert_true(slice_eq(doubts.items[0].term, SLICE("LG")) && doubts.items[0].kind == 'f' && doubts.items[0].index == 0);
    second = "{\"f0\":{\"buckets\":[{\"key\":\"LG\",\"doc_count\":7}]}}";
    assert_true(answer("facets=brand&brand=Zeta&brand=none", rough));
    second = NULL;
    assert_int_equal(doubts.count, 0);
    SAYS("[{\"value\":\"LG\",\"count\":7},{\"value\":\"Zeta\",\"count\":3,\"selected\":true},{\"value\":\"none\",\"count\":0,\"selected\":true}],\"other\":7");
    assert_true(answer("facets=attr.color", ENVELOPE("\"f0\":{\"doc_count_error_upper_bound\":1,\"sum_other_doc_count\":4,\"buckets\":["
                                                     "{\"key\":\"color=blue\",\"doc_count\":5}]}")));
    assert_int_equal(doubts.count, 1);
}

static void test_category_tree_with_names(void **state) {
    (void)state;
    assert_true(answer("facets=category&lang=en&category=1/4",
        ENVELOPE("\"f0\":{\"buckets\":[{\"key\":\"1/13\",\"doc_count\":2},{\"key\":\"1\",\"doc_count\":9},{\"key\":\"1/4\",\"doc_count\":7},{\"key\":\"2\",\"doc_count\":1}]}")));
    SAYS("\"nodes\":[{\"path\":\"1\",\"id\":1,\"name\":\"Appliances\",\"count\":9,\"children\":["
         "{\"path\":\"1/4\",\"id\":4,\"name\":\"TV\",\"count\":7,\"selected\":true,\"children\":[]},"
         "{\"path\":\"1/13\",\"id\":13,\"name\":\"오디오\",\"count\":2,\"children\":[]}]},"
         "{\"path\":\"2\",\"id\":2,\"name\":null,\"count\":1,\"children\":[]}]");
}

static void test_hits(void **state) {
    (void)state;
    assert_true(answer("lang=en&in_stock=true&fields=skus,skus,brand",
        "{\"hits\":{\"total\":{\"value\":2},\"hits\":["
        "{\"_source\":{\"id\":\"a\",\"name\":{\"ko\":\"가\"},\"price_min\":5,\"price_max\":9,\"flat\":{\"sku\":\"a\"},\"skus\":[\"a\"]},"
        "\"highlight\":{\"name.ko\":[\"<em>가</em>\"]}},"
        "{\"_source\":{\"id\":\"b\",\"name\":{\"ko\":\"나\",\"en\":\"B\"},\"variants\":["
        "{\"sku\":\"b-1\",\"stock\":\"low\"},{\"sku\":\"b-2\",\"stock\":\"out\"},{\"sku\":\"b-3\",\"stock\":\"in\"}]}}]}}"));
    SAYS("\"id\":\"a\",\"name\":\"가\",\"price\":{\"min\":5,\"max\":9}");
    SAYS("\"matched_variants\":[\"a\"],\"highlight\":{\"name\":\"<em>가</em>\"},\"skus\":[\"a\"]}");
    SAYS("\"name\":\"B\"");
    SAYS("\"matched_variants\":[\"b-1\",\"b-3\"]");
    SAYS("\"total\":{\"value\":2,\"relation\":\"eq\"}");
}

static void test_answers_that_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum error_code code;
    } cases[] = {
        {"{}", ERROR_CORRUPT},
        {"[]", ERROR_CORRUPT},
        {"{\"hits\":{\"total\":{\"value\":\"x\"},\"hits\":[]}}", ERROR_CORRUPT},
        {"{\"hits\":{\"total\":{\"value\":1},\"hits\":[{}]}}", ERROR_CORRUPT},
        {"{\"timed_out\":true,\"hits\":{\"total\":{\"value\":1},\"hits\":[]}}", ERROR_UNAVAILABLE},
        {"{\"_shards\":{\"failed\":1},\"hits\":{\"total\":{\"value\":1},\"hits\":[]}}", ERROR_UNAVAILABLE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_false(answer("q=a", cases[i].text));
        assert_int_equal(error.code, cases[i].code);
    }
}

static void test_missing_aggregations_give_empty_facets(void **state) {
    (void)state;
    assert_true(answer("facets=brand,price,category,in_stock,attr.a,attr.*", "{\"hits\":{\"total\":{\"value\":0},\"hits\":[]}}"));
    SAYS("\"price\":{\"type\":\"range\",\"min\":null,\"max\":null,\"histogram\":[],\"selected\":[]}");
}

static void test_sets_count_what_is_in_them(void **state) {
    (void)state;
    assert_true(answer("facets=category,price,in_stock",
        ENVELOPE("\"f0set\":{\"sum_other_doc_count\":0,\"buckets\":[{\"key\":\"1/4,1/5/6\",\"doc_count\":5},{\"key\":\"1/5\",\"doc_count\":2},"
                 "{\"key\":\"1/50\",\"doc_count\":1},{\"key\":\"1/5/6,1/50,2\",\"doc_count\":10}]},"
                 "\"offers\":{\"sum_other_doc_count\":0,\"buckets\":[{\"key\":\"in 01\",\"doc_count\":3},{\"key\":\"in,low,out 01,03\",\"doc_count\":20},"
                 "{\"key\":\"out 19\",\"doc_count\":100},{\"key\":\"low \",\"doc_count\":1000},{\"key\":\" 00\",\"doc_count\":7},"
                 "{\"key\":\"in 20,1,x1,99999\",\"doc_count\":10000},{\"key\":\"\",\"doc_count\":5}]},\"f1min\":{\"value\":150},\"f1max\":{\"value\":1200}")));
    assert_int_equal(lack, SETS_WHOLE);
    SAYS("\"path\":\"1\",\"id\":1,");
    static const char *const counts[] = {"\"path\":\"1\"", "\"count\":18", "\"path\":\"1/4\"", "\"count\":5", "\"path\":\"1/5\"", "\"count\":17",
                                         "\"path\":\"1/5/6\"", "\"count\":15", "\"path\":\"1/50\"", "\"count\":11", "\"path\":\"2\"", "\"count\":10"};
    const char *at = out.data;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        if (!(at = strstr(at, counts[i])))
            fail_msg("%s is not where it belongs in\n%s", counts[i], out.data);
    SAYS("\"min\":150,\"max\":1200,\"histogram\":[{\"from\":0,\"to\":99,\"count\":7},{\"from\":100,\"to\":199,\"count\":23},"
         "{\"from\":500,\"to\":999,\"count\":20},{\"from\":100000000,\"to\":null,\"count\":100}]");
    SAYS("{\"value\":\"true\",\"count\":11023},{\"value\":\"false\",\"count\":120}");
}

static void test_sets_that_do_not_say_all(void **state) {
    (void)state;
    static const char *const answers[] = {
        ENVELOPE("\"f0set\":{\"sum_other_doc_count\":1,\"buckets\":[{\"key\":\"1\",\"doc_count\":5}]}"),
        ENVELOPE("\"f0set\":{\"buckets\":[{\"key\":\"*\",\"doc_count\":1},{\"key\":\"1\",\"doc_count\":5}]}"),
        ENVELOPE("\"offers\":{\"sum_other_doc_count\":1,\"buckets\":[{\"key\":\"in 01\",\"doc_count\":5}]}"),
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        assert_true(answer("facets=category,price,in_stock", answers[i]));
        assert_int_equal(lack, SETS_CUT);
    }
    assert_true(answer("facets=category,price,in_stock", ENVELOPE("\"f0set\":{\"buckets\":[{\"key\":\"\",\"doc_count\":7}]}")));
    assert_int_equal(lack, SETS_WHOLE);
    assert_true(answer("facets=category,price,in_stock", ENVELOPE("\"f0set\":{\"buckets\":[]}")));
    assert_int_equal(lack, SETS_MISSING);
    assert_true(answer("facets=category,price,in_stock", ENVELOPE("\"offers\":{\"sum_other_doc_count\":0,\"buckets\":[]}")));
    assert_int_equal(lack, SETS_MISSING);
    /* what a facet counts without its own choice is not known from what was found */
    assert_true(answer("category=1&facets=category", ENVELOPE("\"of0\":{\"f0set\":{\"buckets\":[]}}")));
    assert_int_equal(lack, SETS_MISSING_BESIDE);
    assert_true(answer("category=1&facets=category", ENVELOPE("\"of0\":{\"doc_count\":3,\"f0set\":{\"buckets\":[]}}")));
    assert_int_equal(lack, SETS_MISSING_BESIDE);
    assert_true(answer("category=1&facets=category", ENVELOPE("\"of0\":{\"doc_count\":0,\"f0set\":{\"buckets\":[]}}")));
    assert_int_equal(lack, SETS_WHOLE);
    assert_false(crowded);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sets_count_what_is_in_them),
        cmocka_unit_test(test_sets_that_do_not_say_all),
        cmocka_unit_test(test_flat_and_varied_counts_are_added),
        cmocka_unit_test(test_star_groups_by_name),
        cmocka_unit_test(test_attributes_in_one_list),
        cmocka_unit_test(test_a_selected_brand_outside_the_top_stays),
        cmocka_unit_test(test_price_folds_both_forms),
        cmocka_unit_test(test_counts_in_doubt),
        cmocka_unit_test(test_counts_that_a_shard_left_out),
        cmocka_unit_test(test_category_tree_with_names),
        cmocka_unit_test(test_hits),
        cmocka_unit_test(test_answers_that_are_refused),
        cmocka_unit_test(test_missing_aggregations_give_empty_facets),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
