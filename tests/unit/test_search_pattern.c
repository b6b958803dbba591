/* search_pattern: the expressions, and for all syllables that each pattern takes what it should. */
#include "tests/unit/test.h"
#include "core/hangul.h"
#include "core/json_read.h"
#include "core/utf8.h"
#include "query-api/text/search_pattern.h"

static struct buf out;

static int teardown(void **state) {
    (void)state;
    buf_done(&out);
    return 0;
}

static const char *initials(const char *text) {
    buf_reset(&out);
    return search_pattern_initials(&out, slice_str(text)) ? out.data : NULL;
}

static const char *begun(const char *text, bool halves) {
    buf_reset(&out);
    return search_pattern_begun(&out, slice_str(text), halves) ? out.data : NULL;
}

static void test_initials(void **state) {
    (void)state;
    assert_string_equal(initials("ㄴㅌㅂ"), "[나-닣][타-팋][바-빟]");
    assert_string_equal(initials("ㅁㅅ ㄲ"), "[마-밓][사-싷][까-낗]");
}

static void test_begun(void **state) {
    (void)state;
    assert_string_equal(begun("노트ㅂ", false), "노트[바-빟].*");
    assert_string_equal(begun("노ㅌㅂ", false), "노[타-팋][바-빟].*");
    assert_string_equal(begun("가ㄳ", false), "가[가-깋][사-싷].*");
    assert_string_equal(begun("LG노ㅌ", false), "lg노[타-팋].*");
    assert_string_equal(begun("a.b노ㅌ", false), "a\\.b노[타-팋].*");
    assert_string_equal(begun("노틉", true), "노(틉|트[바-빟]).*");
    assert_string_equal(begun("노트", true), "노[트-틓].*");
    assert_null(begun("노틉", false));
    assert_null(begun("laptop", true));
    assert_null(begun("ㄴㅌㅂ", false));
    assert_null(begun("노트ㅏ", false));
    assert_null(begun("aㅂ", false));
    assert_null(begun("", false));
}

/* A mark is two characters, a syllable one, whatever its bytes, and an emoji two: the engine counts UTF-16. */
static void test_too_long(void **state) {
    (void)state;
    static const struct {
        const char *unit;
        size_t fits;
    } cases[] = {{"(", 496}, {"a", 992}, {"노", 992}, {"😀", 496}}; /* and 노[타-팋].* is 8 */
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t more = 0; more < 2; more++) {
            struct buf text = BUF_INIT(8192);
            for (size_t n = 0; n < cases[i].fits + more; n++)
                buf_append_str(&text, cases[i].unit);
            buf_append_str(&text, "노ㅌ");
            assert_true(buf_ok(&text));
            if ((begun(text.data, false) != NULL) != (more == 0))
                fail_msg("%zu of %s", cases[i].fits + more, cases[i].unit);
            buf_done(&text);
        }
}

/* Every syllable is near itself, and 18 + 20 + 27 others are, none of which differs in two letters. */
static void test_near(void **state) {
    (void)state;
    for (uint32_t cp = HANGUL_FIRST; cp <= HANGUL_LAST; cp++) {
        char text[4];
        struct hangul s, other;
        uint32_t member;
        size_t count = 0, self = 0;
        hangul_decompose(cp, &s);
        buf_reset(&out);
        assert_true(search_pattern_near(&out, (struct slice){text, utf8_encode(cp, text)}));
        assert_true(out.data[0] == '[' && out.data[out.len - 1] == ']');
        for (size_t i = 1; i < out.len; i += 6, count++) { /* "글", */
            assert_true(out.data[i] == '"' && out.data[i + 4] == '"');
            assert_int_equal(utf8_decode(out.data + i + 1, out.len - i - 1, &member), 3);
            assert_true(hangul_decompose(member, &other));
            assert_true((other.lead != s.lead) + (other.vowel != s.vowel) + (other.tail != s.tail) <= 1);
            self += member == cp;
        }
        assert_int_equal(count, 18 + 20 + 27 + 1);
        assert_int_equal(self, 1);
    }
}

static void test_near_words(void **state) {
    (void)state;
    static const char *const are[] = {"노트북", "노투북", "너트북", "노트붖", "도트북", "노튼북", "노트부"}, *const are_not[] = {"너투북", "노트", "노트북스"};
    struct arena arena;
    arena_init(&arena, 1 << 20);
    buf_reset(&out);
    assert_true(search_pattern_near(&out, SLICE("노트북")));
    const struct json *words = json_parse(&arena, out.data, out.len, NULL, NULL);
    assert_true(json_is(words, JSON_ARRAY));
    assert_int_equal(words->count, 1 + 3 * (18 + 20 + 27));
    for (size_t i = 0; i < ARRAY_LEN(are) + ARRAY_LEN(are_not); i++) {
        const char *one = i < ARRAY_LEN(are) ? are[i] : are_not[i - ARRAY_LEN(are)];
        unsigned found = 0;
        for (const struct json *word = words->child; word; word = word->next)
            found += json_string_is(word, one);
        if (found != (i < ARRAY_LEN(are)))
            fail_msg("%s: %u times", one, found);
    }
    arena_done(&arena);
    buf_reset(&out);
    assert_false(search_pattern_near(&out, SLICE("노ㅌ북")));
    buf_reset(&out);
    assert_false(search_pattern_near(&out, SLICE("노트a")));
}

/* As the engine takes the pattern of search_pattern_holds, so is it read here. */
static void test_matches(void **state) {
    (void)state;
    static const struct {
        const char *text, *value;
        bool is;
    } cases[] = {
        {"lg", "LG", true},       {"lg", "the lG.", true}, {"lg", "l.g", false},      {"a.b", "xA.By", true}, {"a.b", "aab", false},
        {"노ㅌ", "노트북", true}, {"노ㅌ", "노노타", true}, {"노ㅌ", "노북", false},  {"노틉", "노틉", true}, {"노틉", "노트북", true},
        {"노틉", "노트", false},  {"노트", "노튼", true},   {"ㄴㅌ", "새 노트", true}, {"ㄴㅌ", "나", false},   {"lg 노", "LG 녹차", true},
        {"", "", true},           {"", "x", true},         {"😀-[", "a😀-[", true},    {"😀-[", "a😀-", false},  {"lg ㄴㅌ", "LG 노트", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_reset(&out);
        assert_true(search_pattern_holds(&out, slice_str(cases[i].text)));
        if (search_pattern_matches((struct slice){out.data, out.len}, slice_str(cases[i].value)) != cases[i].is)
            fail_msg("%s in %s", cases[i].text, cases[i].value);
    }
}

/* Whole pieces, as many as leave room for .* */
static void test_cut(void **state) {
    (void)state;
    for (size_t before = 0; before < 600; before++) {
        buf_reset(&out);
        buf_append_str(&out, ".*");
        for (size_t i = 0; i < 250; i++)
            buf_append_str(&out, "[aA]");
        buf_append_str(&out, ".*");
        assert_int_equal(search_pattern_cut((struct slice){out.data, out.len}, before), 2 + (1000 - before - 4) / 4 * 4);
    }
    buf_reset(&out);
    assert_true(search_pattern_holds(&out, SLICE("lg 노틉")));
    assert_int_equal(search_pattern_cut((struct slice){out.data, out.len}, 500), out.len);
}

int main(void) {
    buf_init(&out, 1 << 16);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_initials),
        cmocka_unit_test(test_begun),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_near),
        cmocka_unit_test(test_near_words),
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_cut),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
