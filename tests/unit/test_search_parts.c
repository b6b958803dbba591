/* search_parts: which pages are asked in parts, which part counts what, and one answer out of theirs. */
#include "tests/unit/test.h"
#include "query-api/search/index_facts.h"
#include "query-api/search/search_parts.h"
#include "query-api/text/search_text.h"
#include "tests/unit/arena_fixture.h"
#include "tests/unit/json_shown.h"

static struct search_params params;

static const struct index_facts *index_facts;

static void read_params(const char *query) {
    struct search_errors errors;
    arena_reset(&arena);
    assert_true(search_params_from_query(&arena, slice_str(query), &params, &errors));
    params.index = index_facts;
    params.text = search_text_read(&(struct search_text_context){.arena = &arena}, params.q, params.typo);
}

enum { PARTS_ROOM = 2 };
static const struct json *parts[PARTS_ROOM];

/* The searches of this page. */
static size_t split(const char *query) {
    struct buf body = BUF_INIT(1 << 20);
    size_t n = 0;
    bool several;
    read_params(query);
    assert_true(search_parts_write(&params, &body, &several));
    assert_true(several);
    for (char *at = body.data; *at;) {
        assert_memory_equal(at, "{}\n", 3);
        char *end = strchr(at += 3, '\n');
        assert_non_null(end);
        assert_true(n < PARTS_ROOM);
        parts[n] = json_parse(&arena, at, (size_t)(end - at), &(struct json_limits){64, 100000}, NULL);
        assert_non_null(parts[n++]);
        at = end + 1;
    }
    buf_done(&body);
    return n;
}

#define HAS(v, needle) assert_non_null(strstr(json_shown(v), needle))
#define HAS_NOT(v, needle) assert_null(strstr(json_shown(v), needle))

static bool in_parts(const char *query) {
    struct buf body = BUF_INIT(1 << 20);
    bool several;
    read_params(query);
    assert_true(search_parts_write(&params, &body, &several));
    buf_done(&body);
    return several;
}

static void test_which_pages(void **state) {
    (void)state;
    assert_true(in_parts("category=1&facets=category"));
    assert_true(in_parts("facets=brand,price,attr.color"));
    assert_true(in_parts("attr.color=red&facets=attr.color,attr.*"));
    assert_false(in_parts("q=tv&category=1&facets=category"));
    assert_false(in_parts("category=1&facets=category&cursor=*"));
    assert_false(in_parts("category=1&facets=category&explain=true"));
    assert_false(in_parts("category=1&facets=brand,price"));
    assert_true(in_parts("category=1&brand=LG&facets=brand,category"));
    assert_true(in_parts("attr.color=red&attr.size=M&facets=attr.color,attr.*"));
    assert_false(in_parts("attr.color=red&attr.size=M&facets=attr.*"));
    assert_false(in_parts("category=1"));
    assert_false(in_parts("facets=brand"));
    assert_true(in_parts("facets=attr.color,attr.size,attr.*"));
    assert_false(in_parts(""));
}

static void test_a_choice_is_a_part(void **state) {
    (void)state;
    assert_int_equal(split("category=1/4&price=1..9&facets=brand,category,attr.color,attr.size,in_stock"), 2);
    /* the page: every filter in the query, and the facets without a choice */
    HAS(json_get(parts[0], "size"), "20");
    HAS(json_get(parts[0], "query"), "1/4");
    HAS(json_get(parts[0], "query"), "flat.price");
    HAS(json_get(parts[0], "_source"), "variants.price");
    assert_null(json_get(parts[0], "post_filter"));
    HAS(json_get(parts[0], "aggs"), "\"attrs\"");
    HAS(json_get(parts[0], "aggs"), "\"f4\"");
    HAS_NOT(json_get(parts[0], "aggs"), "category_paths");
    /* the categories under all but the category */
    HAS(json_get(parts[1], "size"), "0");
    HAS(json_get(parts[1], "track_total_hits"), "false");
    HAS_NOT(json_get(parts[1], "query"), "1/4");
    HAS(json_get(parts[1], "query"), "flat.price");
    assert_null(json_get(parts[1], "_source"));
    HAS_NOT(parts[1], "post_filter");
    HAS_NOT(parts[1], "sort");
    HAS(json_get(parts[1], "aggs"), "\"f1\":{\"terms\":{\"field\":\"category_paths\"");
    HAS_NOT(json_get(parts[1], "aggs"), "\"f0\"");
    assert_int_equal(split("brand=LG&facets=brand,category"), 2);
    HAS(json_get(parts[1], "aggs"), "\"f0sel\":{\"terms\":{\"field\":\"brand\",\"size\":1,\"include\":[\"LG\"]}}");
}

/* Of several the narrowest; the facets of the others are counted with the page, whose query has that choice and may miss another. */
static void test_several_choices(void **state) {
    (void)state;
    assert_int_equal(split("price=1..9&brand=LG&category=1/4&facets=price,brand,category,in_stock"), 2);
    HAS(json_path(parts[1], "aggs"), "\"f2\":{\"terms\":{\"field\":\"category_paths\"");
    HAS_NOT(json_get(parts[1], "query"), "1/4");
    HAS(json_get(parts[1], "query"), "LG");
    HAS(json_get(parts[1], "query"), "flat.price");
    HAS_NOT(json_get(parts[1], "query"), "minimum_should_match\":2");
    HAS(json_get(parts[0], "query"), "1/4");
    HAS(json_get(parts[0], "query"), "\"minimum_should_match\":1");
    HAS(json_get(parts[0], "post_filter"), "LG");
    HAS(json_get(parts[0], "post_filter"), "flat.price");
    assert_non_null(json_path(parts[0], "aggs.of0"));
    assert_non_null(json_path(parts[0], "aggs.of1"));
    assert_null(json_path(parts[0], "aggs.of2"));
    static const char *const narrowest[][2] = {{"brand=LG&attr.color=red&facets=attr.color,brand", "\"f1\""},
                                               {"price=1..9&attr.color=red&facets=price,attr.color", "\"f1\""},
                                               {"attr.size=M&attr.color=red&facets=attr.color,attr.size", "\"f0\""},
                                               {"in_stock=true&price=1..9&facets=in_stock,price", "\"f1min\""},
                                               {"category=1&price=1..9&facets=price,in_stock", "\"f0min\""}};
    for (size_t i = 0; i < sizeof(narrowest) / sizeof(narrowest[0]); i++) {
        assert_int_equal(split(narrowest[i][0]), 2);
        HAS(json_get(parts[1], "aggs"), narrowest[i][1]);
        HAS_NOT(json_get(parts[0], "aggs"), narrowest[i][1]);
    }
}

static void test_a_chosen_attribute_beside_all(void **state) {
    (void)state;
    assert_int_equal(split("attr.color=red&facets=attr.color,attr.*"), 2);
    HAS(json_get(parts[0], "aggs"), "\"f1\"");
    HAS_NOT(json_get(parts[1], "query"), "color=red");
    HAS(json_get(parts[1], "aggs"), "\"f0\"");
    HAS_NOT(json_get(parts[1], "aggs"), "\"s0\"");
}

static void test_a_page_without_other_facets(void **state) {
    (void)state;
    assert_int_equal(split("category=1&facets=category&size=0"), 2);
    HAS(json_get(parts[0], "query"), "category_paths");
    HAS_NOT(json_get(parts[0], "aggs"), "category_paths");
}

static void test_a_whole_shop_is_halved(void **state) {
    (void)state;
    assert_int_equal(split("facets=brand,category,price,in_stock,attr.color,attr.material"), 2);
    static const char *const names[] = {"\"f0\"", "\"f1\"", "\"f2\"", "\"f2min\"", "\"f2max\"", "\"f3\"", "\"attrs\""};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        bool first = strstr(json_shown(json_get(parts[0], "aggs")), names[i]), second = strstr(json_shown(json_get(parts[1], "aggs")), names[i]);
        if (first == second)
            fail_msg("%s stands in both or in none", names[i]);
    }
    HAS(json_get(parts[1], "aggs"), "\"attrs\"");
    HAS(json_get(parts[0], "aggs"), "\"f2min\""); /* what SKUs are in price and stock is one pass */
    HAS(json_get(parts[0], "aggs"), "\"f3\"");
    assert_int_equal(split("facets=brand,in_stock"), 2);
    HAS(json_get(parts[1], "aggs"), "\"f1\"");
}

/* What SKUs are stands outside of any scope once: of the facet that leaves out the only condition on them, or of the page. */
static void test_sets_in_parts(void **state) {
    (void)state;
    static const struct index_facts facts = {.sets = true};
    index_facts = &facts;
    assert_int_equal(split("price=1..9&category=1&facets=price,in_stock"), 2);
    assert_null(json_path(parts[0], "aggs.offers"));
    HAS(json_path(parts[0], "aggs.o.aggs.f1"), "flat.stock");
    HAS(json_path(parts[1], "aggs.offers"), "\"field\":\"offers\"");
    assert_null(json_path(parts[1], "aggs.o"));
    assert_int_equal(split("category=1&facets=price,in_stock,category"), 2);
    HAS(json_path(parts[0], "aggs.offers"), "\"field\":\"offers\"");
    assert_null(json_path(parts[1], "aggs.offers"));
    index_facts = NULL;
}

static const struct json *join(const char *answer, struct error *reterr) {
    read_params("");
    return search_parts_join(&arena, parse(answer), reterr);
}

static void test_one_answer(void **state) {
    (void)state;
    struct error error = {0};
    const struct json *page =
        join("{\"took\":1,\"responses\":[{\"hits\":{\"total\":{\"value\":2},\"hits\":[]},\"aggregations\":{\"f0\":{\"a\":1}},\"status\":200},"
             "{\"aggregations\":{\"f1\":{\"b\":2},\"of2\":{}},\"status\":200},{\"timed_out\":false,\"aggregations\":{\"f3\":[]}}]}", &error);
    assert_string_equal(json_shown(page), "{\"aggregations\":{\"f0\":{\"a\":1},\"f1\":{\"b\":2},\"of2\":{},\"f3\":[]},"
                                    "\"hits\":{\"total\":{\"value\":2},\"hits\":[]},\"aggregations\":{\"f0\":{\"a\":1}},\"status\":200}");
    HAS(json_get(page, "aggregations"), "\"f3\"");
    page = join("{\"responses\":[{\"hits\":{}},{\"aggregations\":{\"f1\":{}}}]}", &error);
    assert_string_equal(json_shown(json_get(page, "aggregations")), "{\"f1\":{}}");
}

static void test_no_answer(void **state) {
    (void)state;
    static const struct {
        const char *answer;
        enum error_code code;
    } cases[] = {
        {"{\"responses\":[{\"hits\":{}},{\"timed_out\":true,\"aggregations\":{}}]}", ERROR_UNAVAILABLE},
        {"{\"responses\":[{\"hits\":{},\"_shards\":{\"failed\":1}},{\"aggregations\":{}}]}", ERROR_UNAVAILABLE},
        {"{\"responses\":[{\"hits\":{}},{\"aggregations\":{},\"_shards\":{\"failed\":2}}]}", ERROR_UNAVAILABLE},
        {"{\"responses\":[{\"hits\":{}},{\"hits\":{}}]}", ERROR_CORRUPT},
        {"{\"responses\":[{\"hits\":{}},{\"aggregations\":[]}]}", ERROR_CORRUPT},
        {"{\"responses\":[{\"hits\":{}},7]}", ERROR_CORRUPT},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error error = {0};
        assert_null(join(cases[i].answer, &error));
        assert_int_equal(error.code, cases[i].code);
    }
    /* what has no page has no hits, which search_result_check() sees */
    static const char *const empty[] = {"{\"responses\":[]}", "{\"responses\":7}", "{\"hits\":{\"hits\":[]}}", "[]"};
    for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
        struct error error = {0};
        assert_null(json_get(join(empty[i], &error), "hits"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_pages),
        cmocka_unit_test(test_a_choice_is_a_part),
        cmocka_unit_test(test_several_choices),
        cmocka_unit_test(test_a_chosen_attribute_beside_all),
        cmocka_unit_test(test_a_page_without_other_facets),
        cmocka_unit_test(test_a_whole_shop_is_halved),
        cmocka_unit_test(test_sets_in_parts),
        cmocka_unit_test(test_one_answer),
        cmocka_unit_test(test_no_answer),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
