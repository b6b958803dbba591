#include "tests/unit/test.h"
#include "projector/engine/concurrency.h"

static void test_halves_and_grows_again(void **state) {
    (void)state;
    struct concurrency c;
    concurrency_init(&c, 8, 100);
    assert_true(concurrency_overload(&c, 1000));
    assert_int_equal(c.limit, 4);
    assert_false(concurrency_overload(&c, 1050)); /* of the same round */
    assert_int_equal(c.limit, 4);
    assert_true(concurrency_overload(&c, 1100));
    assert_true(concurrency_overload(&c, 1200));
    assert_int_equal(c.limit, 1);
    assert_false(concurrency_overload(&c, 9000)); /* never a pause */
    assert_int_equal(c.limit, 1);
    unsigned answers = 0;
    for (; c.limit < c.max; answers++)
        concurrency_success(&c);
    assert_int_equal(answers, 1 + 2 + 3 + 4 + 5 + 6 + 7); /* one more per round */
    concurrency_success(&c);
    assert_int_equal(c.limit, 8);
}

static void test_a_failure_starts_the_round_again(void **state) {
    (void)state;
    struct concurrency c;
    concurrency_init(&c, 4, 0);
    concurrency_overload(&c, 1);
    assert_int_equal(c.limit, 2);
    concurrency_success(&c);
    concurrency_overload(&c, 2);
    assert_int_equal(c.limit, 1);
    concurrency_success(&c);
    assert_int_equal(c.limit, 2);
    concurrency_success(&c);
    assert_int_equal(c.limit, 2);
    concurrency_success(&c);
    assert_int_equal(c.limit, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_halves_and_grows_again),
        cmocka_unit_test(test_a_failure_starts_the_round_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
