/* hangul: every syllable there is, taken apart and put together in each way; initials, halves, keyboards. */
#include "tests/unit/test.h"
#include "core/hangul.h"
#include "core/text_fold.h"
#include "core/utf8.h"
#include <stdio.h>

static struct buf out;

static int setup(void **state) {
    (void)state;
    buf_init(&out, 1 << 20);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    buf_done(&out);
    return 0;
}

static struct slice encode(uint32_t cp, char bytes[4]) {
    return (struct slice){bytes, utf8_encode(cp, bytes)};
}

static void assert_out(const char *expected) {
    assert_true(buf_ok(&out));
    assert_string_equal(out.data ? out.data : "", expected);
    buf_reset(&out);
}

static void test_every_syllable(void **state) {
    (void)state;
    unsigned count = 0;
    for (uint32_t cp = HANGUL_FIRST; cp <= HANGUL_LAST; cp++, count++) {
        struct hangul s, rest;
        char bytes[4], keys[16];
        unsigned lead;
        uint32_t first, last, back = 0;
        assert_true(hangul_decompose(cp, &s));
        assert_true(s.lead < HANGUL_LEADS && s.vowel < HANGUL_VOWELS && s.tail < HANGUL_TAILS);
        assert_int_equal(hangul_compose(s), cp);
        hangul_range(s.lead, s.vowel, &first, &last);
        assert_true(first <= cp && cp <= last && last - first == 27);
        hangul_range(s.lead, -1, &first, &last);
        assert_true(first <= cp && cp <= last && last - first == 587);
        assert_int_equal(hangul_split_tail(s, &rest, &lead), s.tail != 0);
        if (s.tail)
            assert_true(rest.tail < s.tail && lead < HANGUL_LEADS && rest.vowel == s.vowel);
        /* typed and read back */
        buf_reset(&out);
        assert_true(hangul_append_keys(&out, encode(cp, bytes)));
        assert_true(out.len >= 2 && out.len <= 5);
        size_t len = out.len;
        memcpy(keys, out.data, len);
        buf_reset(&out);
        assert_true(hangul_append_typed(&out, (struct slice){keys, len}));
        assert_int_equal(utf8_decode(out.data, out.len, &back), out.len);
        assert_int_equal(back, cp);
        /* its initial is a letter that is the lead again */
        buf_reset(&out);
        assert_true(hangul_append_initials(&out, encode(cp, bytes)));
        utf8_decode(out.data, out.len, &back);
        assert_true(hangul_lead_of(back, &lead) && lead == s.lead && hangul_is_letter(back));
    }
    assert_int_equal(count, 11172);
    buf_reset(&out);
}

/* Decomposed as NFD does it, every syllable is put together again, alone and behind another. */
static void test_every_syllable_decomposed(void **state) {
    (void)state;
    for (uint32_t cp = HANGUL_FIRST; cp <= HANGUL_LAST; cp++) {
        struct hangul s;
        char text[24] = "\xEB\xB6\x81", plain[8] = "\xEB\xB6\x81"; /* 북 */
        size_t len = 3;
        hangul_decompose(cp, &s);
        len += utf8_encode(0x1100u + s.lead, text + len);
        len += utf8_encode(0x1161u + s.vowel, text + len);
        if (s.tail)
            len += utf8_encode(0x11A7u + s.tail, text + len);
        plain[3 + utf8_encode(cp, plain + 3)] = '\0';
        assert_true(text_fold_append(&out, (struct slice){text, len}));
        assert_out(plain);
    }
}

static void test_letters(void **state) {
    (void)state;
    struct hangul s;
    unsigned lead, leads = 0, vowels = 0;
    assert_int_equal(hangul_lead_letter(0), 0x3131);
    assert_int_equal(hangul_lead_letter(18), 0x314E);
    assert_int_equal(hangul_tail_letter(27), 0x314E);
    for (uint32_t cp = 0x3100; cp < 0x3200; cp++) {
        leads += hangul_lead_of(cp, &lead);
        vowels += hangul_is_vowel_letter(cp);
        assert_true(!hangul_is_vowel_letter(cp) || hangul_is_letter(cp));
    }
    assert_int_equal(leads, HANGUL_LEADS);
    assert_int_equal(vowels, HANGUL_VOWELS);
    assert_false(hangul_decompose(HANGUL_FIRST - 1, &s));
    assert_false(hangul_decompose(HANGUL_LAST + 1, &s));
}

static void test_split_tail(void **state) {
    (void)state;
    static const struct {
        const char *text, *rest, *lead;
    } cases[] = {{"틉", "트", "ㅂ"}, {"닭", "달", "ㄱ"}, {"값", "갑", "ㅅ"}, {"있", "이", "ㅆ"}, {"앉", "안", "ㅈ"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t cp, rest_cp, lead_cp;
        struct hangul s, rest;
        unsigned lead;
        utf8_decode(cases[i].text, strlen(cases[i].text), &cp);
        utf8_decode(cases[i].rest, strlen(cases[i].rest), &rest_cp);
        utf8_decode(cases[i].lead, strlen(cases[i].lead), &lead_cp);
        assert_true(hangul_decompose(cp, &s) && hangul_split_tail(s, &rest, &lead));
        assert_int_equal(hangul_compose(rest), rest_cp);
        assert_int_equal(hangul_lead_letter(lead), lead_cp);
    }
}

static void test_initials(void **state) {
    (void)state;
    assert_true(hangul_append_initials(&out, slice_str("삼성 갤럭시 S24 ㄱ")));
    assert_out("ㅅㅅ ㄱㄹㅅ S24 ㄱ");
    assert_true(hangul_is_initials(slice_str("ㄴㅌㅂ")));
    assert_true(hangul_is_initials(slice_str("ㅁㅅ ㅇㅇㅍ")));
    assert_true(hangul_is_initials(slice_str("ㄲㅃ")));
    assert_false(hangul_is_initials(slice_str("ㄴ")));
    assert_false(hangul_is_initials(slice_str("")));
    assert_false(hangul_is_initials(slice_str("ㅏㅏ")));
    assert_false(hangul_is_initials(slice_str("ㄳㄱ"))); /* ㄳ begins nothing */
    assert_false(hangul_is_initials(slice_str("ㄴㅌ북")));
    assert_false(hangul_is_initials(slice_str("ㄴㅌ a")));
}

static void test_keyboards(void **state) {
    (void)state;
    static const struct {
        const char *keys, *typed;
    } cases[] = {
        {"shxmqnr", "노트북"},          {"dkdlvhs", "아이폰"},     {"tkatjd", "삼성"},
        {"antjs dldjvhs", "무선 이어폰"}, {"rksmdgo", "가능해"},     {"ekfrrkfql", "닭갈비"},
        {"whgdms", "좋은"},             {"rkqtTksrjt", "값싼것"},  {"dhks", "완"},
        {"dml", "의"},                  {"TkfTkfgks", "쌀쌀한"},   {"RhcgkseofR 13", "꽃한댈ㄲ 13"},
        {"EEk", "ㄸ따"},                {"kk", "ㅏㅏ"},            {"notebook", "ㅜㅐㅅ듀ㅐㅐㅏ"},
        {"gksrmf", "한글"},             {"dlqslek", "입니다"},     {"13.3dlscl", "13.3인치"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(hangul_append_typed(&out, slice_str(cases[i].keys)));
        assert_out(cases[i].typed);
        assert_true(hangul_append_keys(&out, slice_str(cases[i].typed)));
        assert_out(cases[i].keys);
    }
    assert_true(hangul_append_typed(&out, slice_str("SHXmqnr")));
    assert_out("노트북");
    assert_true(hangul_append_keys(&out, slice_str("ㄳㅘㅢ")));
    assert_out("rthkml");
}

static void test_fold(void **state) {
    (void)state;
    static const struct {
        const char *text, *folded;
    } cases[] = {
        {"ＬＧ　ｇｒａｍ　１６", "LG gram 16"}, {"１３．３″", "13.3\""},       {"13.3”", "13.3\""},
        {"５００㎖", "500ml"},                 {"1㎏", "1kg"},               {"ﾡﾢ", "ㄱㄲ"},
        {"ￇￜￊ", "ㅔㅣㅕ"},                   {"무선\u200b 이어폰\ufeff", "무선 이어폰"}, {"①②⑳", "1220"},
        {"café", "café"},                      {"a\u00a0b", "a b"},          {"10×20", "10x20"},
        {"\u1112\u1161\u11ab", "한"},          {"하\u11ab", "한"},           {"\u1112", "ㅎ"},
        {"\u11ab", "ㄴ"},                      {"", ""},                     {"日本", "日本"},
        {"ﾤￌﾼￚﾲￓﾡ", "노트북"},          {"ㄴㅗㅌㅡㅂㅜㄱ lg", "노트북 lg"}, {"ㄴㅌㅂ", "ㄴㅌㅂ"},
        {"노ㅌ", "노ㅌ"},                      {"노ㅌㅡ북", "노트북"},        {"ㅜㅐㅅ듀ㅐㅐㅏ", "ㅜㅐㅅ듀ㅐㅐㅏ"},
        {"ㅁㅅ ㅏㄷ", "ㅁㅅ ㅏㄷ"},            {"\u1102\u200bㅗ", "노"},      {"ㄷㅏㄹㄱ", "닭"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(text_fold_append(&out, slice_str(cases[i].text)));
        assert_out(cases[i].folded);
    }
}

static void test_a_full_buffer_is_said(void **state) {
    (void)state;
    struct buf small = BUF_INIT(4);
    assert_false(hangul_append_typed(&small, SLICE("shxmqnr")));
    buf_reset(&small);
    assert_false(hangul_append_keys(&small, SLICE("노트북")));
    buf_reset(&small);
    assert_false(hangul_append_initials(&small, SLICE("노트북")));
    buf_reset(&small);
    assert_false(text_fold_append(&small, SLICE("노트북")));
    buf_done(&small);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_syllable),
        cmocka_unit_test(test_every_syllable_decomposed),
        cmocka_unit_test(test_letters),
        cmocka_unit_test(test_split_tail),
        cmocka_unit_test(test_initials),
        cmocka_unit_test(test_keyboards),
        cmocka_unit_test(test_fold),
        cmocka_unit_test(test_a_full_buffer_is_said),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
