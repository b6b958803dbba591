#include "tests/unit/test.h"
#include "core/utf8.h"

static void test_valid(void **state) {
    (void)state;
    static const struct {
        const char *s;
        bool ok;
    } cases[] = {
        {"", true},
        {"plain ASCII, longer than one word of eight bytes", true},
        {"\xEC\x82\xBC\xEC\x84\xB1 \xEB\x85\xB8\xED\x8A\xB8\xEB\xB6\x81", true},
        {"\xC2\x80", true},
        {"\xDF\xBF", true},
        {"\xE0\xA0\x80", true},
        {"\xED\x9F\xBF", true},
        {"\xEE\x80\x80", true},
        {"\xF0\x90\x80\x80", true},
        {"\xF4\x8F\xBF\xBF", true},
        {"\x80", false},
        {"\xC0\xAF", false},
        {"\xC1\xBF", false},
        {"\xE0\x9F\xBF", false},
        {"\xED\xA0\x80", false},
        {"\xED\xBF\xBF", false},
        {"\xF0\x8F\xBF\xBF", false},
        {"\xF4\x90\x80\x80", false},
        {"\xF5\x80\x80\x80", false},
        {"\xFF", false},
        {"abc\xE2\x82", false},
        {"abcdefgh\xE2\x82", false},
        {"\xE2\x28\xA1", false},
        {"\xEC\x82\xBC\xEC\x84", false},
        {"12345678\x80", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (utf8_valid(cases[i].s, strlen(cases[i].s)) != cases[i].ok)
            fail_msg("case %zu", i);
    assert_true(utf8_valid("a\0b", 3));
}

/* Every scalar value goes there and back; every surrogate and everything above is refused. */
static void test_all_code_points(void **state) {
    (void)state;
    for (uint32_t cp = 0; cp < 0x110010; cp++) {
        char text[4];
        size_t n = utf8_encode(cp, text);
        bool scalar = cp <= 0x10FFFF && !(cp >= 0xD800 && cp <= 0xDFFF);
        assert_int_equal(n > 0, scalar);
        if (!scalar)
            continue;
        uint32_t back = 0;
        assert_int_equal(utf8_decode(text, n, &back), n);
        assert_int_equal(back, cp);
        assert_true(utf8_valid(text, n));
        if (n > 1)
            assert_int_equal(utf8_decode(text, n - 1, &back), 0);
    }
    uint32_t cp;
    assert_int_equal(utf8_decode("", 0, &cp), 0);
}

/* RFC 3629's grammar (section 4), rule by rule. */
static size_t character(const unsigned char *s, size_t len) {
    static const struct {
        unsigned char lead[2], second[2];
        size_t n;
    } rules[] = {
        {{0x00, 0x7F}, {0}, 1},          {{0xC2, 0xDF}, {0x80, 0xBF}, 2}, {{0xE0, 0xE0}, {0xA0, 0xBF}, 3},
        {{0xE1, 0xEC}, {0x80, 0xBF}, 3}, {{0xED, 0xED}, {0x80, 0x9F}, 3}, {{0xEE, 0xEF}, {0x80, 0xBF}, 3},
        {{0xF0, 0xF0}, {0x90, 0xBF}, 4}, {{0xF1, 0xF3}, {0x80, 0xBF}, 4}, {{0xF4, 0xF4}, {0x80, 0x8F}, 4},
    };
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        if (s[0] < rules[i].lead[0] || s[0] > rules[i].lead[1] || len < rules[i].n)
            continue;
        bool ok = rules[i].n == 1 || (s[1] >= rules[i].second[0] && s[1] <= rules[i].second[1]);
        for (size_t k = 2; k < rules[i].n; k++)
            ok = ok && s[k] >= 0x80 && s[k] <= 0xBF;
        return ok ? rules[i].n : 0;
    }
    return 0;
}

static bool valid(const char *s, size_t len) {
    size_t i = 0, n = 1;
    for (; i < len && n; i += n)
        n = character((const unsigned char *)s + i, len - i);
    return n > 0;
}

/* All pairs of leading bytes and what may follow them, at every place of a text of every length. */
static void test_every_sequence_at_every_place(void **state) {
    (void)state;
    static const unsigned char last[] = {0x7F, 0x80, 0xBF, 0xC0};
    for (int lead = 0x7F; lead < 256; lead++)
        for (int second = 0x78; second < 0xC8; second++)
            for (size_t len = 4; len <= 20; len += 4)
                for (size_t at = 0; at < len; at += at < 4 ? 1 : 3) {
                    _cleanup_(freep) char *s = malloc(len);
                    const char sequence[] = {(char)lead, (char)second, (char)last[(size_t)second % 4], (char)last[(len + at) / 4 % 4]};
                    assert_non_null(s);
                    memset(s, 'x', len);
                    memcpy(s + at, sequence, len - at < 4 ? len - at : 4);
                    if (utf8_valid(s, len) != valid(s, len))
                        fail_msg("%02x %02x at %zu of %zu", (unsigned)lead, (unsigned)second, at, len);
                }
}

/* Texts of such bytes as come close to each other, by chance. */
static void test_random_texts(void **state) {
    (void)state;
    static const unsigned char bytes[] = {'a', 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC2, 0xE0, 0xE1, 0xEA, 0xED, 0xEE, 0xF0, 0xF4};
    uint64_t random = 1;
    unsigned accepted = 0;
    for (int round = 0; round < 2000000; round++) {
        char s[16];
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        size_t len = (random >> 60) + 1;
        for (size_t i = 0; i < len; i++)
            s[i] = (char)bytes[random >> (4 * (i % 14) + 4) & 15];
        bool ok = utf8_valid(s, len);
        assert_int_equal(ok, valid(s, len));
        accepted += ok;
    }
    assert_in_range(accepted, 1000, 1000000);
}

static void test_cut_and_count(void **state) {
    (void)state;
    const char *s = "a\xC3\xA9\xEA\xB0\x80\xF0\x9F\x98\x80z"; /* 1 2 3 4 1 bytes */
    size_t len = strlen(s);
    static const size_t want[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
    for (size_t n = 0; n < ARRAY_LEN(want); n++)
        assert_int_equal(utf8_cut(s, len, n), want[n]);
    assert_int_equal(utf8_count(s, len), 5);
    assert_int_equal(utf8_count("", 0), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_all_code_points),
        cmocka_unit_test(test_every_sequence_at_every_place),
        cmocka_unit_test(test_random_texts),
        cmocka_unit_test(test_cut_and_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
