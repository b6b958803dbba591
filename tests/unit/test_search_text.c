/* search_text: how a text is taken apart, and the layers of the clause. */
#include "tests/unit/test.h"
#include "query-api/search_text.h"
#include <stdio.h>

static struct arena arena;

static int setup(void **state) {
    (void)state;
    arena_init(&arena, 16 << 20);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_done(&arena);
    return 0;
}

static const struct json *clause(const char *q, bool typo) {
    struct buf out = BUF_INIT(1 << 20);
    struct json_write w;
    assert_true(json_write_init(&w, &out));
    struct search_text *text = search_text_read(&(struct search_text_context){.arena = &arena}, slice_str(q), typo);
    assert_non_null(text);
    search_text_write(&w, text);
    assert_true(json_write_finish(&w));
    const struct json *v = json_parse(&arena, out.data, out.len, &(struct json_limits){.depth_max = 64}, NULL);
    assert_non_null(v);
    buf_done(&out);
    return json_path(v, "dis_max.queries");
}

static const struct json *nth(const struct json *array, size_t n) {
    const struct json *v = array->child;
    while (v && n--)
        v = v->next;
    return v;
}

/* The words that must all be found, with '|' between them. */
static void assert_words(const char *q, const char *expected) {
    char text[2048] = "";
    const struct json *must = json_path(nth(clause(q, false), 1), "bool.must");
    for (const struct json *word = must->child; word; word = word->next) {
        const struct json *match = json_get(json_path(word, "dis_max.queries")->child, "multi_match");
        size_t len = strlen(text);
        snprintf(text + len, sizeof(text) - len, "%s%s", len ? "|" : "", json_get(match, "query")->text.data);
    }
    assert_string_equal(text, expected);
}

static void test_words(void **state) {
    (void)state;
    assert_words("노트북", "노트북");
    assert_words("LG  노트북 ", "LG|노트북");
    assert_words("나이키running shoes", "나이키|running|shoes");
    assert_words("LG전자TV", "LG|전자|TV");
    assert_words("13.3인치 4K", "13.3인치|4K");
    assert_words("a b c d e f g h i j k l", "a|b|c|d|e|f|g|h|i|j|k|l");
    assert_words("a b c d e f g h i j k l m", "a b c d e f g h i j k l m"); /* too many: as a whole */
    assert_words("-", "-");
}

/* Every code that is asked for anywhere, each once, with '|' between them. */
static void collect(const struct json *v, char *text, size_t size) {
    if (v->type == JSON_ARRAY && slice_eq(v->key, SLICE("codes"))) {
        for (const struct json *c = v->child; c; c = c->next) {
            size_t len = strlen(text);
            if (!strstr(text, c->text.data) || !len)
                snprintf(text + len, size - len, "%s%s", len ? "|" : "", c->text.data);
        }
        return;
    }
    for (const struct json *m = v->child; m; m = m->next)
        collect(m, text, size);
}

static void test_codes_among_words(void **state) {
    (void)state;
    char text[2048] = "";
    collect(nth(clause("LG 16Z90S GA5CK 노트북", false), 1), text, sizeof(text));
    assert_non_null(strstr(text, "16Z90S GA5CK"));
    assert_non_null(strstr(text, "LG 16Z90S"));
    assert_null(strstr(text, "LG 16Z90S GA5CK 노트북")); /* three in a row at most */
    text[0] = '\0';
    collect(nth(clause("red running shoes", false), 1), text, sizeof(text));
    assert_string_equal(text, "");
}

static void test_layers(void **state) {
    (void)state;
    const struct json *queries = clause("laptop", true);
    int64_t code, words;
    assert_int_equal(queries->count, 3);
    assert_true(json_int64(json_path(nth(queries, 0), "constant_score.boost"), &code));
    assert_true(json_int64(json_path(nth(queries, 1), "bool.should.match_all.boost"), &words));
    assert_true(code > words && words > 10);
    assert_non_null(json_path(nth(queries, 2), "bool.must"));
}

static void test_typos_only_where_they_are_cheap(void **state) {
    (void)state;
    char text[SEARCH_TYPO_BYTES_MAX + 2];
    assert_int_equal(clause("a b c d e f", true)->count, 3);
    assert_int_equal(clause("a b c d e f", false)->count, 2);
    assert_int_equal(clause("a b c d e f g", true)->count, 2);
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(clause(text, true)->count, 2);
    assert_int_equal(clause(text + 1, true)->count, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_codes_among_words),
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_typos_only_where_they_are_cheap),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
