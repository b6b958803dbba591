#include "tests/unit/test.h"
#include "projector/compose/product_signals.h"
#include <stdio.h>

static void test_signal_rows(void **state) {
    struct signal_rows rows;
    char id[SIGNAL_ID_MAX_BYTES + 2];
    (void)state;
    signal_rows_init(&rows, 1 << 20);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 500; i++) {
            snprintf(id, sizeof(id), "p%d", i * 7 % 500);
            assert_true(signal_rows_want(&rows, slice_str("p")));
            assert_true(signal_rows_add(&rows, slice_str(id), i * 7 % 500, -1));
        }
        memset(id, 'x', sizeof(id) - 1);
        id[sizeof(id) - 1] = '\0';
        assert_true(signal_rows_want(&rows, slice_str(id)));
        assert_int_equal(rows.wanted_count, 500);
        signal_rows_sort(&rows);
        for (int i = 0; i < 500; i++) {
            snprintf(id, sizeof(id), "p%d", i);
            struct product_signals got = signal_rows_get(&rows, slice_str(id));
            assert_int_equal(got.sales, i < SIGNAL_STEP_MAX ? i : SIGNAL_STEP_MAX);
            assert_int_equal(got.popularity, 0);
        }
        assert_int_equal(signal_rows_get(&rows, SLICE("p")).sales, 0);
        signal_rows_reset(&rows);
        assert_int_equal(signal_rows_get(&rows, SLICE("p1")).sales, 0);
    }
    signal_rows_done(&rows);
}

static void test_signal_steps(void **state) {
    static const struct {
        double amount;
        uint16_t old, step;
    } cases[] = {
        {0, 0, 0}, {1, 0, 4}, {3, 0, 8}, {7, 0, 12}, {4095, 0, 48}, {1e300, 0, SIGNAL_STEP_MAX}, {-1, 0, 0},
        {1, 5, 4},     /* a whole step away */
        {0.9, 4, 4},   /* 3.7: near enough to stay */
        {0.9, 3, 3},   /* and from below as well */
        {0.7, 4, 3},   /* 3.06 */
        {0.04, 0, 0},  {0.04, 1, 0}, {0, 1, 0}, {0, 200, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(product_signals_step(cases[i].amount, cases[i].old), cases[i].step);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signal_rows),
        cmocka_unit_test(test_signal_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
