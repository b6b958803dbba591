/* index_facts: what an index says of itself, and one that says nothing. */
#include "tests/unit/test.h"
#include "query-api/search/index_facts.h"
#include "tests/unit/arena_fixture.h"
#include <stdio.h>

static struct index_facts read_facts(const char *text) {
    struct index_facts facts;
    memset(&facts, 0x55, sizeof(facts));
    index_facts_read(&facts, parse(text));
    return facts;
}

#define APART "\"properties\":{\"any\":{\"properties\":{\"code_attrs\":{\"type\":\"keyword\"}}}}"
#define META(projection) "\"_meta\":{\"readside\":{\"projection\":{" projection "}}}"
#define SET "{\"field\":\"category_set\",\"as\":\"category_set\"}"
#define OFFERS "{\"field\":\"offers\",\"as\":\"offers\"}"

static void test_the_newest_index(void **state) {
    (void)state;
    struct index_facts facts = read_facts("{\"settings\":{\"index\":{\"number_of_shards\":\"2\"}},\"mappings\":{" APART "," META(
        "\"code_attributes\":[\"ean\"],\"rules\":[{\"field\":\"id\",\"as\":\"id\"}," OFFERS "," SET "]") "}}");
    assert_true(facts.sharded);
    assert_true(facts.sets);
    assert_int_equal(facts.codes.count, 1);
    assert_true(code_names_has(&facts.codes, SLICE("ean")));
}

static void test_older_ones(void **state) {
    (void)state;
    struct index_facts facts = read_facts("{\"settings\":{\"index\":{\"number_of_shards\":\"1\"}},\"mappings\":{" META(
        "\"code_attributes\":[\"ean\"],\"rules\":[" SET "]") "}}");
    assert_false(facts.sharded);
    assert_false(facts.sets);
    assert_int_equal(facts.codes.count, 0);
    static const char *const rules[] = {
        "[" OFFERS "]", "7", "[]", "[" SET ",{\"field\":\"other\",\"as\":\"offers\"}]", "[" SET ",{\"field\":\"offers\",\"as\":\"keyword\"}]", "[1,null," SET "]"};
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        char text[512];
        snprintf(text, sizeof(text), "{\"mappings\":{" META("\"rules\":%s") "}}", rules[i]);
        assert_false(read_facts(text).sets);
    }
    facts = read_facts("{}");
    assert_false(facts.sharded || facts.sets || facts.codes.count);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_newest_index),
        cmocka_unit_test(test_older_ones),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
