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
        cmocka_unit_test(test_cut_and_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
