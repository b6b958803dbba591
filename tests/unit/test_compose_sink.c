#include "tests/unit/test.h"
#include "core/json_write.h"
#include "core/utf8.h"
#include "projector/compose/compose_sink.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void assert_escaped_from(struct slice source, struct slice text) {
    struct buf got = BUF_INIT(1 << 16), expected = BUF_INIT(1 << 16);
    struct sink s;
    buf_append_char(&got, 'x');
    sink_open(&s, &got);
    s.source = source;
    sink_string(&s, text);
    assert_int_equal(s.invalid, !utf8_valid(text.data, text.len));
    assert_int_equal(sink_ok(&s), !s.invalid);
    sink_close(&s);
    if (!s.invalid) {
        buf_append_char(&expected, 'x');
        json_append_string(&expected, text.data, text.len);
        assert_string_equal(got.data, expected.data);
    }
    buf_done(&got);
    buf_done(&expected);
}

/* The text in memory that ends where it ends; the same as all of a source; and with more of a source behind it, whatever that is. */
static void assert_escaped(const char *text, size_t len) {
    static const char behind[][16] = {"", "aaaaaaaaaaaaaaa", "\x80\x80\x80\x80", "\"\\", "\xED\xA0\x80"};
    for (size_t i = 0; i <= ARRAY_LEN(behind); i++) {
        size_t more = i < ARRAY_LEN(behind) ? sizeof(behind[0]) : 0;
        char *copy = malloc(len + more + 1);
        assert_non_null(copy);
        memcpy(copy + 1, text, len);
        memcpy(copy + 1 + len, more ? behind[i] : "", more);
        assert_escaped_from((struct slice){copy + 1, len + more}, (struct slice){copy + 1, len});
        assert_escaped_from((struct slice){copy + 1, 0}, (struct slice){copy + 1, len});
        free(copy);
    }
}

static void test_every_mixture_of_characters(void **state) {
    (void)state;
    static const char *const pieces[] = {
        "a", "word ", "sixteen plain by", "\"", "\\", "\n", "\x01", "\x7F", "é", "가", "힣", "하", "한국어", "漢字", "\xEE\x80\x80", "€", "😀",
        "\xE0\xA0\x80", "\xED\x9F\xBF",
    };
    static const char *const broken[] = {"\xE0\x9F\xBF", "\xED\xA0\x80", "\xC0\x80", "\xEA\xB0", "\xEA", "\x80", "\xF4\x90\x80\x80", "\xFF"};
    unsigned seed = 7;
    for (int round = 0; round < 20000; round++) {
        char text[256];
        size_t len = 0, count = (size_t)(rand_r(&seed) % 12);
        for (size_t i = 0; i < count; i++) {
            const char *piece = rand_r(&seed) % 60 == 0 ? broken[(size_t)rand_r(&seed) % ARRAY_LEN(broken)]
                                                        : pieces[(size_t)rand_r(&seed) % ARRAY_LEN(pieces)];
            memcpy(text + len, piece, strlen(piece));
            len += strlen(piece);
        }
        assert_escaped(text, len);
    }
}

/* Every three bytes, at every place of a block of 16. */
static void test_every_place_in_a_block(void **state) {
    (void)state;
    static const unsigned char bytes[] = {' ', '"', '\\', 0x1F, 0x7F, 0x80, 0x8F, 0x9F, 0xA0, 0xBF, 0xC1, 0xC2, 0xDF,
                                          0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF4, 0xF5, 0xFF};
    const size_t n = ARRAY_LEN(bytes);
    for (size_t i = 0; i < n * n * n; i++)
        for (size_t at = 0; at <= 17; at++) {
            char text[36];
            memset(text, 'a', sizeof(text));
            text[at] = (char)bytes[i % n];
            text[at + 1] = (char)bytes[i / n % n];
            text[at + 2] = (char)bytes[i / n / n];
            assert_escaped(text, at + 3 + i % 16);
        }
}

static void assert_number(uint64_t v) {
    struct buf got = BUF_INIT(100);
    struct sink s;
    char expected[32];
    sink_open(&s, &got);
    sink_u64(&s, v);
    sink_close(&s);
    snprintf(expected, sizeof(expected), "%" PRIu64, v);
    assert_string_equal(got.data, expected);
    buf_done(&got);
}

static void test_numbers_of_every_length(void **state) {
    (void)state;
    uint64_t power = 1;
    for (int digits = 1; digits <= 20; digits++, power *= 10)
        for (uint64_t k = 1; k <= 9; k++) {
            assert_number(power * k);
            assert_number(power * k - 1);
            assert_number(power * k + power / 7);
        }
    assert_number(UINT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_mixture_of_characters),
        cmocka_unit_test(test_every_place_in_a_block),
        cmocka_unit_test(test_numbers_of_every_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
