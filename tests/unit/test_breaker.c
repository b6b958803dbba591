#include "tests/unit/test.h"
#include "core/breaker.h"

enum { MIN = 1000, MAX = 16000 };

static struct breaker opened(usec_t now) {
    struct breaker b;
    breaker_init(&b, 3, MIN, MAX);
    for (int i = 0; i < 3; i++) {
        assert_true(breaker_allow(&b, now));
        breaker_failure(&b, now);
    }
    assert_int_equal(b.state, BREAKER_OPEN);
    return b;
}

static void test_opens_after_failures_in_a_row(void **state) {
    (void)state;
    struct breaker b;
    breaker_init(&b, 3, MIN, MAX);
    for (int i = 0; i < 100; i++) {
        breaker_failure(&b, 5);
        breaker_failure(&b, 5);
        assert_true(breaker_allow(&b, 5));
        assert_int_equal(breaker_retry_at(&b), 0);
        breaker_success(&b);
    }
    b = opened(5);
    assert_false(breaker_allow(&b, 5));
    assert_true(breaker_retry_at(&b) >= 5 + MIN);
}

static void test_one_probe(void **state) {
    (void)state;
    struct breaker b = opened(0);
    usec_t at = breaker_retry_at(&b);
    assert_false(breaker_allow(&b, at - 1));
    assert_true(breaker_allow(&b, at));
    assert_false(breaker_allow(&b, at));
    assert_false(breaker_allow(&b, at + MAX * 100));
    breaker_success(&b);
    assert_int_equal(b.state, BREAKER_CLOSED);
    assert_true(breaker_allow(&b, at));
    assert_int_equal(breaker_retry_at(&b), 0);
}

static void test_pause_doubles_up_to_the_maximum(void **state) {
    (void)state;
    for (int run = 0; run < 200; run++) {
        struct breaker b = opened(0);
        usec_t now = 0, want = MIN;
        for (int probe = 0; probe < 40; probe++) {
            usec_t pause = breaker_retry_at(&b) - now;
            assert_true(pause >= MIN && pause <= MAX);
            assert_true(pause >= want - want / 4 && pause <= want + want / 4);
            now += pause;
            assert_true(breaker_allow(&b, now));
            breaker_failure(&b, now);
            want = want * 2 > MAX ? MAX : want * 2;
        }
        usec_t at = breaker_retry_at(&b);
        assert_true(breaker_allow(&b, at));
        breaker_success(&b);
        for (int i = 0; i < 3; i++)
            breaker_failure(&b, 0);
        assert_true(breaker_retry_at(&b) <= MIN + MIN / 4); /* a success forgets the failed probes */
    }
}

static void test_late_results_are_ignored_while_open(void **state) {
    (void)state;
    struct breaker b = opened(0);
    usec_t at = breaker_retry_at(&b);
    breaker_failure(&b, 10);
    breaker_success(&b);
    assert_int_equal(b.state, BREAKER_OPEN);
    assert_int_equal(breaker_retry_at(&b), at);
}

static void test_odd_settings(void **state) {
    (void)state;
    struct breaker b;
    breaker_init(&b, 0, 10, 5);
    assert_true(breaker_allow(&b, 0));
    breaker_failure(&b, 0);
    assert_int_equal(breaker_retry_at(&b), 10);
    breaker_init(&b, 1, 0, 0);
    breaker_failure(&b, 7);
    assert_true(breaker_allow(&b, 7));
}

static void test_tripped(void **state) {
    (void)state;
    struct breaker b;
    breaker_init(&b, 3, MIN, MAX);
    breaker_trip(&b, 7);
    assert_false(breaker_allow(&b, 7));
    usec_t at = breaker_retry_at(&b);
    breaker_trip(&b, 8);
    assert_int_equal(breaker_retry_at(&b), at);
    assert_true(breaker_allow(&b, at));
    breaker_success(&b);
    assert_true(breaker_allow(&b, at));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opens_after_failures_in_a_row),
        cmocka_unit_test(test_one_probe),
        cmocka_unit_test(test_pause_doubles_up_to_the_maximum),
        cmocka_unit_test(test_late_results_are_ignored_while_open),
        cmocka_unit_test(test_odd_settings),
        cmocka_unit_test(test_tripped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
