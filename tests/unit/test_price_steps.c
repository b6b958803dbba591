/* price_steps: both sides of every limit. */
#include "tests/unit/test.h"
#include "core/price_steps.h"

static void a_price_stands_between_its_steps_limit_and_the_next(void **state) {
    (void)state;
    assert_int_equal(price_steps[0], 0);
    assert_int_equal(price_steps[PRICE_STEP_COUNT - 1], 100000000);
    for (unsigned i = 0; i < PRICE_STEP_COUNT; i++) {
        assert_int_equal(price_step(price_steps[i]), i);
        assert_int_equal(price_step(price_steps[i] + 1), i);
        if (i > 0)
            assert_int_equal(price_step(price_steps[i] - 1), i - 1);
    }
    assert_int_equal(price_step(99), 0);
    assert_int_equal(price_step(100), 1);
    assert_int_equal(price_step(INT64_MAX), PRICE_STEP_COUNT - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_price_stands_between_its_steps_limit_and_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
