#include "tests/unit/test.h"
#include "projector/engine/scavenger.h"

enum { MAX = 2 << 20, SECOND = 1000 * 1000, QUIET = 5000, SLOW = QUIET + 3 * SCAVENGER_TARGET_USEC };

/* `n` live changes, one every 20 ms, that take so long each. */
static usec_t live(struct scavenger *s, usec_t now, unsigned n, usec_t took) {
    for (; n > 0; n--, now += 20000) {
        scavenger_live_came(s, now);
        scavenger_live_took(s, now + took, took);
    }
    return now;
}

static void test_without_live_changes_everything_is_allowed(void **state) {
    (void)state;
    struct scavenger s;
    scavenger_init(&s, MAX);
    assert_int_equal(scavenger_bytes(&s, 1), MAX);
    usec_t now = live(&s, SECOND, 1, QUIET);
    assert_true(scavenger_bytes(&s, now) < SCAVENGER_BEGIN_BYTES * 2);
    assert_int_equal(scavenger_bytes(&s, now + SCAVENGER_LIVE_USEC), MAX);
    live(&s, now + 10 * SECOND, 1, QUIET); /* learnt anew: what is written then is something else */
    assert_true(scavenger_bytes(&s, now + 10 * SECOND) < SCAVENGER_BEGIN_BYTES * 2);
}

static void test_waiting_makes_it_less_and_never_nothing(void **state) {
    (void)state;
    struct scavenger s;
    scavenger_init(&s, MAX);
    usec_t now = live(&s, SECOND, 5, QUIET);
    size_t before = scavenger_bytes(&s, now);
    now = live(&s, now, 20, SLOW);
    assert_true(scavenger_bytes(&s, now) < before / 2);
    now = live(&s, now, 1000, SLOW);
    assert_int_equal(scavenger_bytes(&s, now), SCAVENGER_MIN_BYTES);
    now = live(&s, now, 100, QUIET); /* and more again */
    assert_true(scavenger_bytes(&s, now) > SCAVENGER_MIN_BYTES * 3);
    now = live(&s, now, 10000, QUIET);
    assert_int_equal(scavenger_bytes(&s, now), MAX);
}

static void test_changes_that_waited_for_the_same_bulks_count_once(void **state) {
    (void)state;
    struct scavenger s;
    scavenger_init(&s, MAX);
    usec_t now = live(&s, SECOND, 5, QUIET);
    scavenger_live_took(&s, now, SLOW);
    size_t once = scavenger_bytes(&s, now);
    for (int i = 1; i < 10; i++)
        scavenger_live_took(&s, now + (usec_t)i, SLOW);
    assert_int_equal(scavenger_bytes(&s, now), once);
    scavenger_live_took(&s, now + SLOW, SLOW);
    assert_true(scavenger_bytes(&s, now) < once);
}

/* A server that is slow by itself is no reason to wait. */
static void test_what_is_always_slow_is_not_waiting(void **state) {
    (void)state;
    struct scavenger s;
    scavenger_init(&s, MAX);
    usec_t now = live(&s, SECOND, 2000, 2 * SECOND);
    assert_int_equal(scavenger_bytes(&s, now), MAX);
    /* It became slow: believed once the shortest of before is two periods old. */
    now = live(&s, now, 5, QUIET);
    now = live(&s, now, (unsigned)(2 * SCAVENGER_BASE_USEC / 20000), SLOW);
    now = live(&s, now, 2000, SLOW);
    assert_int_equal(scavenger_bytes(&s, now), MAX);
}

/* Changes wait the longer the more background there is: it comes to rest near the target. */
static void test_comes_to_rest_near_the_target(void **state) {
    (void)state;
    enum { BYTES_PER_USEC = 10 };
    struct scavenger s;
    scavenger_init(&s, MAX);
    usec_t now = live(&s, SECOND, 1, QUIET), sum = 0, longest = 0;
    for (int i = 0; i < 2000; i++) {
        usec_t waited = scavenger_bytes(&s, now) / BYTES_PER_USEC;
        now = live(&s, now, 1, QUIET + waited);
        sum += i >= 1000 ? waited : 0;
        longest = i >= 1000 && waited > longest ? waited : longest;
    }
    assert_in_range(sum / 1000, SCAVENGER_TARGET_USEC / 2, SCAVENGER_TARGET_USEC * 5 / 4);
    assert_true(longest < 2 * SCAVENGER_TARGET_USEC);
}

static void test_one_bulk_after_the_other_before_smaller_ones(void **state) {
    (void)state;
    struct scavenger s;
    scavenger_init(&s, MAX);
    assert_int_equal(scavenger_bulk_bytes(&s, 1, 4), MAX / 4);
    assert_true(scavenger_allows(&s, 1, MAX * 3 / 4, MAX / 4));
    usec_t now = live(&s, SECOND, 1, QUIET);
    assert_int_equal(scavenger_bulk_bytes(&s, now, 4), SCAVENGER_SINGLE_BYTES);
    assert_false(scavenger_allows(&s, now, SCAVENGER_SINGLE_BYTES, SCAVENGER_SINGLE_BYTES));
    assert_true(scavenger_allows(&s, now, 0, MAX)); /* composed before there were live changes */
    now = live(&s, now, 1, SLOW);
    assert_true(scavenger_bytes(&s, now) < SCAVENGER_SINGLE_BYTES);
    assert_int_equal(scavenger_bulk_bytes(&s, now, 4), scavenger_bytes(&s, now));
    while (scavenger_bytes(&s, now) < 3 * SCAVENGER_SINGLE_BYTES)
        now = live(&s, now, 1, QUIET);
    assert_int_equal(scavenger_bulk_bytes(&s, now, 4), SCAVENGER_SINGLE_BYTES); /* three of the four */
    assert_true(scavenger_allows(&s, now, 2 * SCAVENGER_SINGLE_BYTES, SCAVENGER_SINGLE_BYTES));
    assert_false(scavenger_allows(&s, now, 3 * SCAVENGER_SINGLE_BYTES, SCAVENGER_SINGLE_BYTES));
    while (scavenger_bytes(&s, now) < MAX)
        now = live(&s, now, 1, QUIET);
    assert_int_equal(scavenger_bulk_bytes(&s, now, 4), MAX / 4);
}

static void test_nothing_is_begun_beside_a_refresh_and_live_changes(void **state) {
    (void)state;
    struct scavenger s;
    scavenger_init(&s, MAX);
    scavenger_hold(&s, true);
    assert_true(scavenger_allows(&s, 1, 0, MAX)); /* nobody waits for it */
    usec_t now = live(&s, SECOND, 1, QUIET);
    assert_false(scavenger_allows(&s, now, 0, 1));
    assert_true(scavenger_allows(&s, now + SCAVENGER_LIVE_USEC, 0, MAX));
    now = live(&s, now, 1, QUIET);
    scavenger_hold(&s, false);
    assert_true(scavenger_allows(&s, now, 0, 1));
}

static void test_a_small_allowance_stays_small(void **state) {
    (void)state;
    struct scavenger s;
    scavenger_init(&s, 10000);
    usec_t now = live(&s, SECOND, 100, SLOW);
    assert_int_equal(scavenger_bytes(&s, now), 10000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_live_changes_everything_is_allowed),
        cmocka_unit_test(test_waiting_makes_it_less_and_never_nothing),
        cmocka_unit_test(test_changes_that_waited_for_the_same_bulks_count_once),
        cmocka_unit_test(test_what_is_always_slow_is_not_waiting),
        cmocka_unit_test(test_comes_to_rest_near_the_target),
        cmocka_unit_test(test_one_bulk_after_the_other_before_smaller_ones),
        cmocka_unit_test(test_nothing_is_begun_beside_a_refresh_and_live_changes),
        cmocka_unit_test(test_a_small_allowance_stays_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
