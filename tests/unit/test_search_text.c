/* search_text: how a text is taken apart, and the layers of the clause. */
#include "tests/unit/arena_fixture.h"
#include "query-api/text/search_text.h"
#include <stdio.h>

/* From a layer of words to their clauses: what signals multiply stands around them, the floor beside. */
#define WORDS "bool.must.function_score.query.bool."

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

/* The last clause: what was found by its words or was meant, best first. */
static const struct json *found(const char *q, bool typo) {
    const struct json *queries = clause(q, typo), *last = queries->child;
    while (last->next)
        last = last->next;
    return json_path(last, "dis_max.queries");
}

/* The words that must all be found, with '|' between them. */
static void assert_words(const char *q, const char *expected) {
    char text[2048] = "";
    const struct json *must = json_path(nth(found(q, false), 0), WORDS "must");
    for (const struct json *word = must->child; word; word = word->next) {
        const struct json *queries = json_path(word, "dis_max.queries");
        const struct json *match = json_get(queries ? queries->child : word, "multi_match");
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
    assert_words("13.3 인치 4K", "13.3 인치|4K"); /* a unit belongs to its number */
    assert_words("ＬＧ　노트북", "LG|노트북");
    assert_words("case for laptop", "case|laptop"); /* "for" need not be there */
    assert_words("for the", "for|the");             /* unless there is nothing else */
    assert_words("노트북 & 가방", "노트북|가방");
    assert_words("a1 b c d e f g h i j k l", "a1|b|c|d|e|f|g|h|i|j|k|l");
    assert_words("a1 b c d e f g h i j k l m", "a1 b c d e f g h i j k l m"); /* too many: as a whole */
    assert_words("-", "-");
}

/* Every value of `field` anywhere, each once, with '|' between them. */
static void collect(const struct json *v, const char *field, char *text, size_t size) {
    if (v->type == JSON_ARRAY && slice_eq(v->key, slice_str(field))) {
        for (const struct json *c = v->child; c; c = c->next) {
            size_t len = strlen(text);
            if (!strstr(text, c->text.data) || !len)
                snprintf(text + len, size - len, "%s%s", len ? "|" : "", c->text.data);
        }
        return;
    }
    for (const struct json *m = v->child; m; m = m->next)
        collect(m, field, text, size);
}

static void test_codes_among_words(void **state) {
    (void)state;
    char text[2048] = "";
    collect(nth(found("LG 16Z90S GA5CK 노트북", false), 0), "codes", text, sizeof(text));
    assert_non_null(strstr(text, "16Z90S GA5CK"));
    assert_non_null(strstr(text, "LG 16Z90S"));
    assert_null(strstr(text, "LG 16Z90S GA5CK 노트북")); /* three in a row at most */
    text[0] = '\0';
    collect(nth(found("red running shoes", false), 0), "codes", text, sizeof(text));
    assert_string_equal(text, "");
}

static void assert_spelled(const char *q, const char *spelling) {
    char text[8192] = "|";
    collect(json_path(nth(found(q, false), 0), WORDS "must"), "words", text, sizeof(text));
    if (!strstr(text, spelling))
        fail_msg("%s: no %s in %s", q, spelling, text);
}

static void test_units(void **state) {
    (void)state;
    assert_spelled("13.3인치", "13.3inch");
    assert_spelled("13.3\"", "13.3인치");
    assert_spelled("13.3″", "13.3형");
    assert_spelled("13.3-inch", "13.3in");
    assert_spelled("1.5L", "1500ml");
    assert_spelled("1.5L", "1,500ml");
    assert_spelled("1,500 ml", "1.5리터");
    assert_spelled("500밀리", "0.5l");
    assert_spelled("3킬로", "3000g");
    assert_spelled("2TB", "2048gb");
    char text[2048] = "";
    collect(json_path(nth(found("5 green 16z90s 인치", false), 0), WORDS "must"), "words", text, sizeof(text));
    assert_string_equal(text, "");
}

static void test_accessories(void **state) {
    (void)state;
    char text[8192] = "|";
    collect(json_path(nth(found("삼성 laptops", false), 0), WORDS "should"), "words", text, sizeof(text));
    assert_non_null(strstr(text, "|laptopsleeve|"));
    assert_non_null(strstr(text, "|laptopsleeves|"));
    assert_non_null(strstr(text, "|laptop가방|"));
    text[1] = '\0';
    collect(json_path(nth(found("laptop sleeve", false), 0), WORDS "should"), "words", text, sizeof(text));
    assert_string_equal(text, "|"); /* that is what is asked for */
}

/* The thing that is asked for: by its type as an attribute says it, and by its maker. */
static void test_types_and_makers(void **state) {
    (void)state;
    char text[8192] = "";
    const struct json *should = json_path(nth(found("laser printers", false), 0), WORDS "should");
    collect(should, "attrs", text, sizeof(text));
    assert_non_null(strstr(text, "product_type=laser printer|product_type=Laser printer|product_type=Laser Printer|"));
    assert_non_null(strstr(text, "product_type=Laser Printers"));
    text[0] = '\0';
    collect(json_path(nth(found("노트북", false), 0), WORDS "should"), "attrs", text, sizeof(text));
    assert_string_equal(text, "product_type=노트북|제품유형=노트북|품목=노트북");
    const struct json *brand = json_path(nth(should, 2), "constant_score.filter.term.brand");
    assert_string_equal(json_get(brand, "value")->text.data, "laser printers");
}

static const char *value_of(const char *q) {
    const struct json *queries = json_path(nth(json_path(nth(found(q, false), 0), WORDS "must"), 0), "dis_max.queries");
    for (const struct json *c = queries->child; c; c = c->next) {
        const struct json *value = json_path(c, "constant_score.filter.term.values");
        if (value)
            return value->text.data;
    }
    return NULL;
}

static void test_values_of_attributes(void **state) {
    (void)state;
    assert_string_equal(value_of("Black backpack"), "black");
    assert_string_equal(value_of("검정 가방"), "검정");
}

/* A word of a language and a number are no code that a blank cuts. */
static void test_no_code_in_a_name(void **state) {
    (void)state;
    assert_int_equal(clause("windows 10", true)->count, 2);
    assert_int_equal(clause("galaxy s24", true)->count, 2);
    assert_int_equal(clause("WH 1000XM5", true)->count, 3);
    assert_int_equal(clause("16z90s ga5ck", true)->count, 3);
}

/* Layers: pinned, code, code in a name, words, what was meant, mistakes. */
static void test_layers(void **state) {
    (void)state;
    const struct json *queries = clause("WH1000XM5", true), *words = nth(found("laptop", true), 0);
    int64_t code, in_name, floor;
    assert_int_equal(queries->count, 3);
    assert_true(json_int64(json_path(nth(queries, 0), "constant_score.boost"), &code));
    assert_true(json_int64(json_path(nth(queries, 1), "constant_score.boost"), &in_name));
    const struct json *should = json_path(words, "bool.should");
    assert_true(json_int64(json_path(nth(should, should->count - 1), "match_all.boost"), &floor));
    assert_true(code > in_name && in_name > 10 * (floor + 616) && floor > LAYER_MEANT && LAYER_PIN > code);
    assert_int_equal(found("laptop", true)->count, 2);
    assert_int_equal(clause("13.3inch", true)->count, 2); /* a size is no code */
}

/* However much a product sells, its words stay in their layer. */
static void test_signals_are_bounded(void **state) {
    (void)state;
    const struct search_signal_weights *weights = &search_ranking_default.signals;
    const struct json *score = json_path(nth(found("laptop", false), 0), "bool.must.function_score");
    double most;
    assert_true(json_double(json_get(score, "max_boost"), &most));
    assert_true(most == search_rank_most(weights) && most < 2 && 616 * most * 10 < LAYER_CODE_IN_NAME);
    assert_null(json_get(score, "boost_mode")); /* multiply */
    assert_int_equal(json_get(score, "functions")->count, 4);
}

static void test_signals_can_be_off(void **state) {
    (void)state;
    struct buf out = BUF_INIT(4096);
    struct json_write w;
    const struct search_signal_weights none = {0, 0, 0}, sales = {20, 0, 0};
    assert_true(json_write_init(&w, &out));
    json_write_array(&w);
    for (int i = 0; i < 2; i++) {
        search_rank_begin(&w, i ? &sales : &none);
        json_write_str(&w, "x");
        search_rank_end(&w, i ? &sales : &none);
    }
    json_write_array_end(&w);
    assert_true(json_write_finish(&w));
    assert_non_null(strstr(out.data, "[\"x\",{\"function_score\":{\"query\":\"x\","));
    assert_null(strstr(out.data, "popularity"));
    buf_done(&out);
}

static const char *reason(const struct json *clause_of) {
    const struct json *name = json_path(clause_of, "bool._name");
    return name ? name->text.data : "";
}

static void test_what_may_be_meant(void **state) {
    (void)state;
    assert_string_equal(reason(nth(found("shxmqnr", false), 1)), "keyboard");
    assert_string_equal(reason(nth(found("ㅜㅐㅅ듀ㅐㅐㅏ", false), 1)), "keyboard");
    assert_string_equal(reason(nth(found("ㄴㅌㅂ", false), 1)), "initials");
    assert_string_equal(reason(nth(found("노트ㅂ", false), 1)), "syllable");
    assert_int_equal(found("notebook", false)->count, 1); /* ㅜㅐㅅ듀ㅐㅐㅏ is no Korean */
    assert_int_equal(found("노틉", false)->count, 1);     /* Korean: only if nothing is found */
    assert_string_equal(reason(nth(found("laptop", false), 0)), ""); /* names cost: only beside a guess */
}

static void test_a_second_request(void **state) {
    (void)state;
    const struct search_text_context context = {.arena = &arena};
    struct search_text *text = search_text_read(&context, SLICE("노틉"), true);
    assert_true(search_text_repair(&context, text, (struct slice){NULL, 0}) && text->begun);
    assert_false(search_text_repair(&context, text, SLICE("노트북"))); /* there is no third */
    text = search_text_read(&context, SLICE("아이폰케이스"), true);
    assert_true(search_text_repair(&context, text, (struct slice){NULL, 0}) && text->split);
    text = search_text_read(&context, SLICE("keybord"), true);
    assert_true(search_text_repair(&context, text, SLICE("keyboard")) && slice_eq(text->spelled->q, SLICE("keyboard")));
    text = search_text_read(&context, SLICE("keybord"), false);
    assert_false(search_text_repair(&context, text, SLICE("keyboard"))); /* typo=off */
}

static void test_typos_only_where_they_are_cheap(void **state) {
    (void)state;
    char text[SEARCH_TYPO_BYTES_MAX + 2];
    assert_int_equal(found("a1 b c d e f", true)->count, 2);
    assert_int_equal(found("a1 b c d e f", false)->count, 1);
    assert_int_equal(found("a1 b c d e f g", true)->count, 1);
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(found(text, true)->count, 1);
    assert_int_equal(found(text + 1, true)->count, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_codes_among_words),
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_accessories),
        cmocka_unit_test(test_types_and_makers),
        cmocka_unit_test(test_values_of_attributes),
        cmocka_unit_test(test_no_code_in_a_name),
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_signals_are_bounded),
        cmocka_unit_test(test_signals_can_be_off),
        cmocka_unit_test(test_what_may_be_meant),
        cmocka_unit_test(test_a_second_request),
        cmocka_unit_test(test_typos_only_where_they_are_cheap),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
