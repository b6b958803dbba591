#include "tests/unit/test.h"
#include "core/clock.h"
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static void test_format(void **state) {
    (void)state;
    static const struct {
        int64_t usec;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000000Z"},
        {-1, "1969-12-31T23:59:59.999999Z"},
        {INT64_C(1767323045678901), "2026-01-02T03:04:05.678901Z"},
        {INT64_C(951782400000000), "2000-02-29T00:00:00.000000Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999999Z"},
        {INT64_MIN, "0000-01-01T00:00:00.000000Z"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[CLOCK_RFC3339_SIZE];
        clock_format_rfc3339(cases[i].usec, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void test_parse(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        int64_t usec;
    } cases[] = {
        {"1970-01-01T00:00:00Z", true, 0},
        {"1970-01-01t00:00:00.5z", true, 500000},
        {"2026-01-02T03:04:05.678901Z", true, INT64_C(1767323045678901)},
        {"2026-01-02T12:04:05.678901999+09:00", true, INT64_C(1767323045678901)},
        {"2026-01-01T22:34:05.678901-04:30", true, INT64_C(1767323045678901)},
        {"1969-12-31T23:59:59.999999Z", true, -1},
        {"2016-12-31T23:59:60Z", true, INT64_C(1483228800000000)},
        {"2024-02-29T00:00:00Z", true, INT64_C(1709164800000000)},
        {"2000-02-29T00:00:00-00:00", true, INT64_C(951782400000000)},
        {"2023-02-29T00:00:00Z", false, 0},
        {"1900-02-29T00:00:00Z", false, 0},
        {"2024-13-01T00:00:00Z", false, 0},
        {"2024-00-01T00:00:00Z", false, 0},
        {"2024-04-31T00:00:00Z", false, 0},
        {"2024-04-00T00:00:00Z", false, 0},
        {"2024-04-01T24:00:00Z", false, 0},
        {"2024-04-01T00:60:00Z", false, 0},
        {"2024-04-01T00:00:61Z", false, 0},
        {"2024-04-01T00:00:00", false, 0},
        {"2024-04-01T00:00:00.Z", false, 0},
        {"2024-04-01T00:00:00.1234567890Z", false, 0},
        {"2024-04-01T00:00:00+9:00", false, 0},
        {"2024-04-01T00:00:00+0900", false, 0},
        {"2024-04-01T00:00:00+24:00", false, 0},
        {"2024-04-01 00:00:00Z", false, 0},
        {"2024-04-01T00:00:00Zx", false, 0},
        {"24-04-01T00:00:00Z", false, 0},
        {"-024-04-01T00:00:00Z", false, 0},
        {"", false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t usec = 77;
        bool ok = clock_parse_rfc3339(cases[i].text, strlen(cases[i].text), &usec);
        if (ok != cases[i].ok || (ok && usec != cases[i].usec))
            fail_msg("%s: %d %" PRId64, cases[i].text, ok, usec);
    }
    int64_t usec;
    assert_false(clock_parse_rfc3339("1970-01-01T00:00:00\0", 20, &usec));
}

/* Every day of 1600 to 2400 agrees with the C library and reads back. */
static void test_calendar(void **state) {
    (void)state;
    for (int64_t day = -135140; day < 157054; day += 1) {
        int64_t usec = day * INT64_C(86400000000) + INT64_C(45296789012);
        time_t sec = (time_t)(day * 86400 + 45296);
        struct tm tm;
        gmtime_r(&sec, &tm);
        char want[64], got[CLOCK_RFC3339_SIZE];
        snprintf(want, sizeof(want), "%04d-%02d-%02dT%02d:%02d:%02d.789012Z", tm.tm_year + 1900, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        clock_format_rfc3339(usec, got);
        assert_string_equal(got, want);
        int64_t back;
        assert_true(clock_parse_rfc3339(got, strlen(got), &back));
        assert_int_equal(back, usec);
    }
}

static void test_backoff(void **state) {
    (void)state;
    static const struct {
        unsigned attempt;
        usec_t min, max, low, high;
    } cases[] = {
        {0, 1000, 60000, 500, 1000},
        {3, 1000, 60000, 500, 8000},
        {10, 1000, 60000, 500, 60000},
        {4000000000u, 1000, 60000, 500, 60000},
        {63, 1, UINT64_MAX, 0, UINT64_MAX},
        {64, UINT64_MAX / 2, UINT64_MAX, UINT64_MAX / 4, UINT64_MAX},
        {5, 0, 100, 0, 0},
        {0, 100, 10, 10, 10},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (int n = 0; n < 1000; n++) {
            usec_t v = clock_backoff_usec(cases[i].attempt, cases[i].min, cases[i].max);
            assert_true(v >= cases[i].low && v <= cases[i].high);
        }
    }
}

static void test_now_and_random(void **state) {
    (void)state;
    usec_t before = clock_now_usec();
    assert_true(clock_now_usec() >= before);
    assert_true(clock_wall_usec() > INT64_C(1700000000000000));
    assert_true(clock_random_u64() != clock_random_u64());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),  cmocka_unit_test(test_parse),          cmocka_unit_test(test_calendar),
        cmocka_unit_test(test_backoff), cmocka_unit_test(test_now_and_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
