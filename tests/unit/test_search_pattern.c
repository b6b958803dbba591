/* search_pattern: the expressions, and for all syllables that each pattern takes what it should. */
#include "tests/unit/test.h"
#include "core/hangul.h"
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
    assert_true(search_pattern_is_begun(SLICE("노트ㅂ")));
    assert_false(search_pattern_is_begun(SLICE("ㄴㅌㅂ")));
    assert_false(search_pattern_is_begun(SLICE("노트ㅏ")));
    assert_false(search_pattern_is_begun(SLICE("aㅂ")));
    assert_false(search_pattern_is_begun(SLICE("")));
}

/* Every syllable is in its own near set, with exactly 18 + 20 + 27 others, none of which differs in two letters. */
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
        for (size_t i = 1; i + 1 < out.len; i += 3, count++) {
            assert_int_equal(utf8_decode(out.data + i, out.len - i, &member), 3);
            assert_true(hangul_decompose(member, &other));
            assert_true((other.lead != s.lead) + (other.vowel != s.vowel) + (other.tail != s.tail) <= 1);
            self += member == cp;
        }
        assert_int_equal(count, 18 + 20 + 27 + 1);
        assert_int_equal(self, 1);
    }
}

int main(void) {
    buf_init(&out, 1 << 16);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_initials),
        cmocka_unit_test(test_begun),
        cmocka_unit_test(test_near),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
