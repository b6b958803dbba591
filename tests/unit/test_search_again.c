/* search_again: what is asked for once more, and which answer counts. */
#include "tests/unit/arena_fixture.h"
#include "query-api/search/search_again.h"

static struct search_text *text_of(const char *q) {
    struct search_text *text = search_text_read(&(struct search_text_context){.arena = &arena}, slice_str(q), true);
    assert_non_null(text);
    return text;
}

static bool again(struct search_text *text, const char *answer) {
    return search_again(&(struct search_text_context){.arena = &arena}, text, parse(answer));
}

static void test_few_are_asked_for_with_some_of_the_words(void **state) {
    (void)state;
    struct search_text *text = text_of("samsung banana");
    assert_false(again(text, "{\"hits\":{\"total\":{\"value\":10},\"hits\":[]}}"));
    assert_null(text->first);
    assert_false(again(text, "{\"hits\":{\"total\":{\"value\":2},\"hits\":[{\"_score\":100001.0}]}}")); /* a code */
    assert_true(again(text, "{\"hits\":{\"total\":{\"value\":9},\"hits\":[{\"_score\":null}]}}"));
    assert_true(text->some && !text->again && text->first && !text->first->some);
    assert_false(again(text_of("samsung"), "{\"hits\":{\"total\":{\"value\":1},\"hits\":[]}}"));
    assert_true(again(text_of("samsung banana"), "{\"hits\":{\"total\":{\"value\":1},\"hits\":[{\"_score\":1000016.0}]}}")); /* a pin */
}

/* What the second answer says of the first request without filters and pages decides. */
static void test_the_second_answer_is_judged(void **state) {
    (void)state;
    static const struct {
        const char *second;
        enum search_again_verdict verdict;
    } cases[] = {
        {"{\"hits\":{\"total\":{\"value\":5}},\"aggregations\":{\"strict\":{\"n\":{\"doc_count\":9,\"code\":{\"doc_count\":0}}}}}", SEARCH_AGAIN_SECOND},
        {"{\"hits\":{\"total\":{\"value\":5}},\"aggregations\":{\"strict\":{\"n\":{\"doc_count\":10,\"code\":{\"doc_count\":0}}}}}", SEARCH_AGAIN_FIRST},
        {"{\"hits\":{\"total\":{\"value\":5}},\"aggregations\":{\"strict\":{\"n\":{\"doc_count\":1,\"code\":{\"doc_count\":1}}}}}", SEARCH_AGAIN_FIRST},
        {"{\"hits\":{\"total\":{\"value\":0}},\"aggregations\":{\"strict\":{\"n\":{\"doc_count\":1,\"code\":{\"doc_count\":0}}}}}", SEARCH_AGAIN_FIRST},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct search_text *text = text_of("samsung banana");
        assert_true(again(text, "{\"hits\":{\"total\":{\"value\":1},\"hits\":[]}}"));
        assert_int_equal(search_again_judge(text, parse(cases[i].second)), cases[i].verdict);
        assert_int_equal(text->some, cases[i].verdict == SEARCH_AGAIN_SECOND);
    }
    struct search_text *text = text_of("samsung banana");
    assert_true(again(text, "{\"hits\":{\"total\":{\"value\":1},\"hits\":[]}}"));
    assert_int_equal(search_again_judge(text, NULL), SEARCH_AGAIN_FIRST);
    assert_true(!text->some && !text->first);
}

/* Nothing under filters, where without them there is something: that is not repaired, but shown with some of the words. */
static void test_filters_repair_nothing(void **state) {
    (void)state;
    static const char few[] = "{\"hits\":{\"total\":{\"value\":5}},\"aggregations\":{\"strict\":{\"n\":{\"doc_count\":3,\"code\":{\"doc_count\":0}}}}}";
    struct search_text *text = text_of("samsung banana");
    assert_true(again(text, "{\"hits\":{\"total\":{\"value\":0},\"hits\":[]}}"));
    assert_true(text->again && text->first && !text->first->again && !text->first->split);
    assert_int_equal(search_again_judge(text, parse(few)), SEARCH_AGAIN_THIRD);
    assert_true(text->some && !text->again && !text->split && text->first);
    assert_int_equal(search_again_judge(text, parse(few)), SEARCH_AGAIN_SECOND);
    text = text_of("samsung banana");
    assert_true(again(text, "{\"hits\":{\"total\":{\"value\":0},\"hits\":[]}}"));
    assert_int_equal(search_again_judge(text, parse("{\"hits\":{\"total\":{\"value\":5}},\"aggregations\":{\"strict\":{\"n\":{\"doc_count\":0,\"code\":{\"doc_count\":0}}}}}")),
                     SEARCH_AGAIN_SECOND);
    assert_true(text->again);
}

/* A long word cut in two stands in the second request alone. */
static void test_the_first_request_is_kept(void **state) {
    (void)state;
    struct search_text *text = text_of("아이폰케이스");
    assert_true(again(text, "{\"hits\":{\"total\":{\"value\":0},\"hits\":[]}}"));
    assert_true(text->split && text->groups[0].alternative_count > 0);
    assert_true(!text->first->split && text->first->groups[0].alternative_count == 0);
    assert_int_equal(search_again_judge(text, parse("{\"hits\":{\"total\":{\"value\":5}},\"aggregations\":{\"strict\":{\"n\":{\"doc_count\":1}}}}")), SEARCH_AGAIN_FIRST);
    assert_true(!text->split && text->groups[0].alternative_count == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_few_are_asked_for_with_some_of_the_words, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_second_answer_is_judged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_filters_repair_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_first_request_is_kept, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
