#include "tests/unit/test.h"
#include "core/buf.h"
#include <stdio.h>

static void test_appends(void **state) {
    (void)state;
    _cleanup_(buf_done) struct buf b = BUF_INIT(1000);
    assert_null(b.data);
    assert_true(buf_append(&b, NULL, 0));
    assert_string_equal(b.data, "");
    assert_true(buf_append(&b, "ab\0c", 4));
    assert_true(buf_append_str(&b, "de"));
    assert_true(buf_append_char(&b, 'f'));
    assert_true(buf_printf(&b, "%d-%s", 42, "g"));
    assert_int_equal(b.len, 11);
    assert_memory_equal(b.data, "ab\0cdef42-g", 12);
    buf_truncate(&b, 2);
    assert_string_equal(b.data, "ab");
    buf_truncate(&b, 5); /* only shortens */
    assert_int_equal(b.len, 2);
}

static void test_numbers(void **state) {
    (void)state;
    static const struct {
        int64_t v;
        const char *text;
    } cases[] = {
        {0, "0"}, {7, "7"}, {-1, "-1"}, {INT64_MAX, "9223372036854775807"}, {INT64_MIN, "-9223372036854775808"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(buf_done) struct buf b = BUF_INIT(64);
        assert_true(buf_append_i64(&b, cases[i].v));
        assert_string_equal(b.data, cases[i].text);
    }
    _cleanup_(buf_done) struct buf b = BUF_INIT(64);
    assert_true(buf_append_u64(&b, UINT64_MAX));
    assert_string_equal(b.data, "18446744073709551615");
}

/* Around every power of ten, into exactly the room that they need; a byte less is too little. */
static void test_numbers_of_every_length(void **state) {
    (void)state;
    uint64_t power = 1;
    for (int digits = 1; digits <= 20; digits++, power *= 10)
        for (uint64_t v = power - 1; v <= power + 1; v++) {
            char want[24];
            int n = snprintf(want, sizeof(want), "x%llu", (unsigned long long)v);
            _cleanup_(buf_done) struct buf exact = BUF_INIT((size_t)n), small = BUF_INIT((size_t)n - 1);
            assert_true(buf_append_char(&exact, 'x') && buf_append_u64(&exact, v));
            assert_string_equal(exact.data, want);
            assert_int_equal(exact.len, n);
            assert_true(buf_append_char(&small, 'x'));
            assert_false(buf_append_u64(&small, v));
            assert_false(buf_ok(&small));
        }
}

/* Exactly max fits, one more does not; a failure stays until the reset. */
static void test_limit(void **state) {
    (void)state;
    for (size_t max = 1; max < 300; max += 13) {
        _cleanup_(buf_done) struct buf b = BUF_INIT(max);
        for (size_t i = 0; i < max; i++)
            assert_true(buf_append_char(&b, 'x'));
        assert_int_equal(b.len, max);
        assert_true(b.cap <= max + 1);
        assert_false(buf_append_char(&b, 'y'));
        assert_null(b.data);
        assert_int_equal(b.len, 0);
        assert_false(buf_ok(&b));
        assert_false(buf_append(&b, "", 0));
        assert_false(buf_printf(&b, "z"));
        buf_reset(&b);
        assert_true(buf_ok(&b));
        assert_true(buf_append_char(&b, 'z'));
    }
    struct buf b = BUF_INIT(10);
    assert_false(buf_reserve(&b, SIZE_MAX));
    buf_done(&b);
    assert_true(buf_ok(&b));
    assert_int_equal(b.max, 10);
    assert_true(buf_printf(&b, "%s", "0123456789"));
    assert_false(buf_printf(&b, "%s", "0"));
    buf_done(&b);
}

static void test_printf_grows(void **state) {
    (void)state;
    char long_text[5000];
    memset(long_text, 'q', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    _cleanup_(buf_done) struct buf b = BUF_INIT(1 << 20);
    assert_true(buf_printf(&b, "<%s>", long_text));
    assert_int_equal(b.len, sizeof(long_text) + 1);
    assert_int_equal(b.data[b.len - 1], '>');
    assert_int_equal(b.data[b.len], '\0');
}

static void test_reserve_keeps_pointer(void **state) {
    (void)state;
    _cleanup_(buf_done) struct buf b = BUF_INIT(1 << 20);
    assert_true(buf_reserve(&b, 10000));
    const char *before = b.data;
    for (int i = 0; i < 10000; i++)
        buf_append_char(&b, 'x');
    assert_ptr_equal(b.data, before);
}

static void test_reset_and_shrink(void **state) {
    (void)state;
    _cleanup_(buf_done) struct buf b = BUF_INIT(1 << 20);
    buf_reserve(&b, 5000);
    buf_append_str(&b, "x");
    buf_shrink(&b, 10); /* not empty: nothing */
    assert_string_equal(b.data, "x");
    buf_reset(&b);
    assert_string_equal(b.data, "");
    buf_shrink(&b, 1 << 20);
    assert_non_null(b.data);
    buf_shrink(&b, 100);
    assert_null(b.data);
    assert_true(buf_append_str(&b, "again"));
}

static void test_steal(void **state) {
    (void)state;
    struct buf b = BUF_INIT(10);
    char *s = buf_steal(&b);
    assert_string_equal(s, "");
    free(s);
    buf_append_str(&b, "abc");
    s = buf_steal(&b);
    assert_string_equal(s, "abc");
    free(s);
    assert_null(b.data);
    assert_false(buf_append_str(&b, "0123456789+"));
    assert_null(buf_steal(&b));
    assert_true(buf_ok(&b));
}

static void test_slices(void **state) {
    (void)state;
    assert_true(slice_eq(SLICE("ab"), slice_str("ab")));
    assert_false(slice_eq(SLICE("ab"), SLICE("abc")));
    assert_true(slice_eq(slice_str(NULL), SLICE("")));
    assert_false(slice_eq(SLICE("a\0b"), SLICE("a\0c")));
}

static void assert_steps(const char *path, const char *expected) {
    struct buf steps = BUF_INIT(100);
    size_t count = 0;
    for (struct slice step = {0}; path_next(slice_str(path), &step); count++) {
        buf_append(&steps, step.data, step.len);
        buf_append_char(&steps, ' ');
    }
    assert_string_equal(steps.data ? steps.data : "", expected);
    assert_int_equal(path_level(slice_str(path)), count ? count - 1 : 0);
    buf_done(&steps);
}

static void test_steps_of_a_path(void **state) {
    (void)state;
    assert_steps("1/4/13", "1 1/4 1/4/13 ");
    assert_steps("1", "1 ");
    assert_steps("", "");
    struct slice step = {0};
    assert_false(path_next((struct slice){0}, &step));
    assert_true(path_is_below(SLICE("1/4"), SLICE("1")));
    assert_false(path_is_below(SLICE("14"), SLICE("1")));
    assert_false(path_is_below(SLICE("1"), SLICE("1")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_numbers_of_every_length),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_printf_grows),
        cmocka_unit_test(test_reserve_keeps_pointer),
        cmocka_unit_test(test_reset_and_shrink),
        cmocka_unit_test(test_steal),
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_steps_of_a_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
