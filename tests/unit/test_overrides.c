/* override_list: bodies are checked, synonyms, stop words and rules are found by key, and they reach the query. */
#include "tests/unit/arena_fixture.h"
#include "query-api/admin/override_list.h"
#include "query-api/text/search_text.h"

static struct override_list *make(void) {
    static const char hits[] =
        "[{\"_source\":{\"key\":\"rules:a\",\"kind\":\"rules\",\"id\":\"a\",\"body\":{\"query\":\"노트북\",\"pin\":[\"p1\",\"p2\"],"
        "\"bury\":[{\"brand\":\"LG\"}],\"boost\":[{\"category\":\"1/4\",\"weight\":5}]}}},"
        "{\"_source\":{\"key\":\"stopwords:s\",\"kind\":\"stopwords\",\"id\":\"s\",\"body\":{\"terms\":[\"최저가\",\"Deals\"]}}},"
        "{\"_source\":{\"key\":\"synonyms:x\",\"kind\":\"synonyms\",\"id\":\"x\",\"body\":{\"terms\":[\"랩탑\",\"Note Book\",\"laptops\"]}}},"
        "{\"_source\":{\"key\":\"synonyms:y\",\"kind\":\"synonyms\",\"id\":\"y\",\"body\":{\"from\":[\"화면\"],\"to\":[\"모니터\"]}}},"
        "{\"_source\":{\"key\":\"synonyms:z\",\"kind\":\"synonyms\",\"id\":\"z\",\"body\":{\"terms\":[1]}}},{\"_source\":null},{}]";
    struct override_list *list = override_list_new();
    struct slice last = {NULL, 0};
    size_t added = 0;
    assert_non_null(list);
    assert_true(override_list_add(list, parse(hits), &added, &last) && override_list_finish(list));
    assert_int_equal(added, 7);
    assert_true(slice_eq(last, SLICE("synonyms:z")));
    assert_int_equal(override_list_count(list), 4); /* what is invalid is skipped */
    return list;
}

static void test_look_ups(void **state) {
    (void)state;
    struct override_list *list = make();
    struct slice found[8];
    assert_int_equal(override_list_synonyms(list, SLICE("laptop"), found, 8), 2);
    assert_int_equal(override_list_synonyms(list, SLICE("notebook"), found, 8), 2);
    assert_true(slice_eq(found[0], SLICE("랩탑")) && slice_eq(found[1], SLICE("laptops")));
    assert_int_equal(override_list_synonyms(list, SLICE("화면"), found, 8), 1);
    assert_int_equal(override_list_synonyms(list, SLICE("모니터"), found, 8), 0);
    assert_int_equal(override_list_synonyms(list, SLICE("laptop"), found, 1), 1);
    assert_true(override_list_is_stopword(list, SLICE("deal")));
    assert_false(override_list_is_stopword(list, SLICE("노트북")));
    assert_int_equal(override_list_rule_count(list), 1);
    assert_int_equal(override_list_rule(list, 0)->pin_count, 2);
    assert_int_equal(override_list_rule(list, 0)->effect_count, 2);
    override_list_free(list);
}

static void test_a_text_outlives_the_list(void **state) {
    (void)state;
    struct override_list *list = make();
    const struct search_text_context context = {.arena = &arena, .overrides = list};
    struct search_text *pinned = search_text_read(&context, SLICE("노트북"), true);
    struct search_text *text = search_text_read(&context, SLICE("최저가 note book 16"), true);
    struct search_text *only = search_text_read(&context, SLICE("최저가"), true);
    override_list_free(list);
    assert_int_equal(pinned->pin_count, 2);
    assert_true(slice_eq(pinned->pins[1], SLICE("p2")));
    assert_int_equal(pinned->effect_count, 2);
    assert_true(slice_eq(pinned->effects[0].value, SLICE("1/4")) && pinned->effects[0].weight > 4);
    assert_true(slice_eq(pinned->effects[1].value, SLICE("LG")) && pinned->effects[1].weight < 0.01);
    assert_int_equal(text->words.count, 3); /* the stop word is left out */
    assert_int_equal(text->group_count, 2); /* note book | 16 */
    assert_int_equal(text->groups[0].count, 2);
    assert_int_equal(text->groups[0].alternative_count, 2);
    assert_int_equal(only->words.count, 1); /* unless there is nothing else */
    struct buf out = BUF_INIT(1 << 20);
    struct json_write w;
    assert_true(json_write_init(&w, &out));
    search_text_write(&w, pinned);
    assert_true(json_write_finish(&w));
    assert_non_null(strstr(out.data, "function_score"));
    assert_non_null(strstr(out.data, "\"category_paths\":\"1/4\""));
    buf_done(&out);
}

/* Whole characters of it: what is no UTF-8 could not be told. */
static void test_a_long_name_of_a_member(void **state) {
    (void)state;
    struct override_errors errors;
    const char *body = arena_printf(&arena, "{\"terms\":[\"a\"],\"%063d\xED\x95\x9C\":1}", 0);
    assert_false(override_check(&arena, OVERRIDE_STOPWORD, parse(body), &errors));
    assert_int_equal(errors.count, 1);
    assert_string_equal(errors.items[0].field, arena_printf(&arena, "%063d", 0));
}

static const char *list_of(size_t count) {
    const char *text = "\"t0\"";
    for (size_t i = 1; i < count; i++)
        text = arena_printf(&arena, "%s,\"t%zu\"", text, i);
    return text;
}

/* A word's synonyms are all searched for, or are refused; what was stored before that was so goes on. */
static void test_more_synonyms_than_are_used(void **state) {
    (void)state;
    struct override_errors errors;
    static const struct {
        const char *body, *field;
        size_t most;
    } cases[] = {{"{\"terms\":[%s]}", "terms", OVERRIDE_SYNONYMS_MAX + 1}, {"{\"from\":[\"a\"],\"to\":[%s]}", "to", OVERRIDE_SYNONYMS_MAX}};
    for (size_t i = 0; i < 2; i++) {
        struct buf fits = BUF_INIT(4096), more = BUF_INIT(4096);
        const char *split = strchr(cases[i].body, '%');
        buf_printf(&fits, "%.*s%s%s", (int)(split - cases[i].body), cases[i].body, list_of(cases[i].most), split + 2);
        buf_printf(&more, "%.*s%s%s", (int)(split - cases[i].body), cases[i].body, list_of(cases[i].most + 1), split + 2);
        assert_true(override_check(&arena, OVERRIDE_SYNONYM, parse(fits.data), &errors));
        assert_false(override_check(&arena, OVERRIDE_SYNONYM, parse(more.data), &errors));
        assert_string_equal(errors.items[0].field, cases[i].field);
        assert_true(override_check_stored(&arena, OVERRIDE_SYNONYM, parse(more.data)));
        buf_done(&fits);
        buf_done(&more);
    }
}

static const struct search_text *read_with(const char *hits, struct slice q) {
    struct override_list *list = override_list_new();
    const struct search_text_context context = {.arena = &arena, .overrides = list};
    struct slice last = {NULL, 0};
    size_t added = 0;
    assert_true(override_list_add(list, parse(hits), &added, &last) && override_list_finish(list));
    const struct search_text *text = search_text_read(&context, q, true);
    override_list_free(list);
    assert_non_null(text);
    return text;
}

#define STOPWORD "{\"_source\":{\"key\":\"stopwords:s\",\"kind\":\"stopwords\",\"id\":\"s\",\"body\":{\"terms\":[\"cheap\"]}}}"
#define SYNONYM(terms) "{\"_source\":{\"key\":\"synonyms:s\",\"kind\":\"synonyms\",\"id\":\"s\",\"body\":{\"terms\":[" terms "]}}}"
#define RULE(query, match) \
    "{\"_source\":{\"key\":\"rules:r\",\"kind\":\"rules\",\"id\":\"r\",\"body\":{\"query\":\"" query "\",\"match\":\"" match "\",\"pin\":[\"p\"]}}}"

/* Wherever it stands. */
static void test_a_text_without_its_stop_words(void **state) {
    (void)state;
    static const char *const texts[] = {"Note Book", "cheap note book", "note cheap book", "note book Cheap!"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const struct search_text *text =
            read_with("[" STOPWORD "," SYNONYM("\"notebook\",\"laptop\"") "," RULE("note book", "exact") "]", slice_str(texts[i]));
        assert_int_equal(text->words.count, 2);
        assert_int_equal(text->group_count, 1);
        assert_int_equal(text->groups[0].alternative_count, 1);
        assert_int_equal(text->pin_count, 1);
    }
    assert_int_equal(read_with("[" STOPWORD "," RULE("cheap bag", "exact") "]", SLICE("cheap bag"))->pin_count, 1);
    assert_int_equal(read_with("[" STOPWORD "," RULE("cheap", "exact") "]", SLICE("cheap"))->pin_count, 1);
    assert_int_equal(read_with("[" STOPWORD "," RULE("bag", "exact") "]", SLICE("bag for cheap"))->pin_count, 0);
    /* Nor do those of a term count. */
    assert_int_equal(read_with("[" STOPWORD "," RULE("very cheap bag", "contains") "]", SLICE("my very cheap bag"))->pin_count, 1);
    assert_int_equal(read_with("[" STOPWORD "," RULE("very cheap bag", "contains") "]", SLICE("my very bag"))->pin_count, 1);
    const struct search_text *text = read_with("[" STOPWORD "," SYNONYM("\"note cheap book\",\"laptop\"") "]", SLICE("note cheap book"));
    assert_int_equal(text->groups[0].alternative_count, 1);
}

static size_t pins_in(const struct override_list *list, const struct slice *contexts, size_t count) {
    const struct search_text_context context = {.arena = &arena, .overrides = list, .contexts = contexts, .context_count = count};
    const struct search_text *text = search_text_read(&context, SLICE("bag"), true);
    assert_non_null(text);
    return text->pin_count;
}

static void test_rules_of_a_context(void **state) {
    (void)state;
    static const struct slice contexts[] = {SLICE("web"), SLICE("mobile")};
    struct override_list *list = override_list_new();
    struct slice last = {NULL, 0};
    size_t added = 0;
    assert_true(override_list_add(list, parse("[{\"_source\":{\"key\":\"rules:r\",\"kind\":\"rules\",\"id\":\"r\",\"body\":"
                                              "{\"query\":\"bag\",\"contexts\":[\"app\",\"mobile\"],\"pin\":[\"p\"]}}}]"),
                                  &added, &last) &&
                override_list_finish(list));
    assert_int_equal(pins_in(list, contexts, 2), 1);
    assert_int_equal(pins_in(list, contexts, 1), 0);
    assert_int_equal(pins_in(list, NULL, 0), 0);
    override_list_free(list);
}

static void test_terms_of_many_words(void **state) {
    (void)state;
    const struct search_text *text = read_with("[" RULE("one two three four five", "contains") "]", SLICE("zero one two three four five six"));
    assert_int_equal(text->pin_count, 1);
    text = read_with("[" SYNONYM("\"one two three four\",\"five\"") "]", SLICE("zero one two three four six"));
    assert_int_equal(text->group_count, 3);
    assert_int_equal(text->groups[1].count, 4);
    assert_int_equal(text->groups[1].alternative_count, 1);
}

static void test_a_full_list(void **state) {
    (void)state;
    struct override_list *list = override_list_new();
    struct slice last;
    size_t added;
    for (unsigned i = 0; i < OVERRIDES_MAX; i++) {
        assert_true(override_list_has_room(list, OVERRIDE_STOPWORD, SLICE("new")));
        arena_reset(&arena);
        const char *hit = arena_printf(&arena, "[{\"_source\":{\"key\":\"stopwords:s%u\",\"kind\":\"stopwords\",\"id\":\"s%u\",\"body\":{\"terms\":[\"t%u\"]}}}]", i, i, i);
        assert_true(override_list_add(list, parse(hit), &added, &last));
    }
    assert_true(override_list_finish(list));
    assert_int_equal(override_list_count(list), OVERRIDES_MAX);
    assert_false(override_list_has_room(list, OVERRIDE_STOPWORD, SLICE("new")));
    assert_true(override_list_has_room(list, OVERRIDE_STOPWORD, SLICE("s0")) &&
                override_list_has_room(list, OVERRIDE_STOPWORD, SLICE("s9999"))); /* may still be changed */
    assert_false(override_list_has_room(list, OVERRIDE_RULE, SLICE("s0")));
    assert_true(override_list_has_room(NULL, OVERRIDE_RULE, SLICE("new")));
    override_list_free(list);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_full_list),
        cmocka_unit_test(test_look_ups),
        cmocka_unit_test(test_a_text_outlives_the_list),
        cmocka_unit_test(test_a_long_name_of_a_member),
        cmocka_unit_test(test_more_synonyms_than_are_used),
        cmocka_unit_test(test_a_text_without_its_stop_words),
        cmocka_unit_test(test_rules_of_a_context),
        cmocka_unit_test(test_terms_of_many_words),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
