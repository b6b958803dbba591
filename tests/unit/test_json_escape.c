/* json_escape.h against the same written down byte by byte. */
#include "tests/unit/test.h"
#include "core/json_escape.h"

enum { LONGEST = 3 * 16 + 7 };

static bool needs_escape(unsigned char c) {
    return c < 0x20 || c == '"' || c == '\\';
}

/* As long as it says and not a byte more, so that a sanitizer sees what reads too far. */
static char *text_of(size_t len, size_t at, unsigned char c) {
    char *s = malloc(len ? len : 1);
    assert_non_null(s);
    memset(s, 'x', len);
    s[at] = (char)c;
    return s;
}

static void check_skip(const char *s, size_t len) {
    size_t want = 0;
    json_escape_bits high = 0;
    bool want_high = false;
    for (; want < len && !needs_escape((unsigned char)s[want]); want++)
        want_high = want_high || (unsigned char)s[want] >= 0x80;
    assert_int_equal(json_escape_skip(s, s + len, &high) - s, want);
    assert_int_equal(high != 0, want_high);
}

static void test_skip(void **state) {
    (void)state;
    for (int c = 0; c < 256; c++)
        for (size_t len = 1; len <= LONGEST; len++)
            for (size_t at = 0; at < len; at++) {
                _cleanup_(freep) char *s = text_of(len, at, (unsigned char)c);
                for (size_t from = 0; from <= at && from < 16; from++)
                    check_skip(s + from, len - from);
            }
    json_escape_bits high = 0;
    assert_int_equal(json_escape_skip("", "", &high) - "", 0);
}

/* Two odd bytes: what stands behind the first one does not count. */
static void test_skip_to_the_first(void **state) {
    (void)state;
    static const unsigned char odd[] = {0x00, 0x1F, '"', '\\', 0x7F, 0x80, 0xA2, 0xDC, 0xFF, '!', ']', ' '};
    for (size_t i = 0; i < sizeof(odd); i++)
        for (size_t k = 0; k < sizeof(odd); k++)
            for (size_t a = 0; a < 20; a++)
                for (size_t b = 0; b < 20; b++) {
                    _cleanup_(freep) char *s = text_of(33, a, odd[i]);
                    s[b] = (char)odd[k];
                    check_skip(s, 33);
                }
}

static void test_skip_adds_to_high(void **state) {
    (void)state;
    json_escape_bits high = 0;
    const char *plain = "plain text of more than a block\"", *wide = "\xEA\xB0\x80";
    json_escape_skip(plain, plain + strlen(plain), &high);
    assert_true(high == 0);
    json_escape_skip(wide, wide + 3, &high);
    json_escape_skip(plain, plain + strlen(plain), &high);
    assert_true(high != 0);
}

static void test_plain_pair(void **state) {
    (void)state;
    for (int c = 0; c < 256; c++)
        for (size_t at = 0; at < 16; at++) {
            char s[16];
            uint64_t w[2];
            memset(s, 'x', sizeof(s));
            s[at] = (char)c;
            memcpy(w, s, sizeof(w));
            assert_int_equal(json_escape_plain_pair(w[0], w[1]), !needs_escape((unsigned char)c) && c < 0x80);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_skip),
        cmocka_unit_test(test_skip_to_the_first),
        cmocka_unit_test(test_skip_adds_to_high),
        cmocka_unit_test(test_plain_pair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
