#include "tests/unit/test.h"
#include "projector/engine/id_set.h"
#include <stdio.h>
#include <time.h>

static void test_add_and_remove(void **state) {
    (void)state;
    struct id_set set = {0};
    assert_false(id_set_has(&set, 1));
    id_set_remove(&set, 1);
    for (uint64_t id = 1; id <= 1000; id++)
        assert_true(id_set_add(&set, id));
    assert_true(id_set_add(&set, 500));
    assert_int_equal(set.count, 1000);
    for (uint64_t id = 1; id <= 1000; id += 2)
        id_set_remove(&set, id);
    for (uint64_t id = 1; id <= 1000; id++)
        assert_int_equal(id_set_has(&set, id), id % 2 == 0);
    assert_int_equal(set.count, 500);
    id_set_done(&set);
    assert_false(id_set_has(&set, 2));
}

/* Removing closes gaps; a bitmap says what must be there. */
static void test_random_against_a_bitmap(void **state) {
    (void)state;
    enum { RANGE = 3000, STEPS = 200000 };
    static bool there[RANGE];
    memset(there, 0, sizeof(there));
    const char *given = getenv("READSIDE_TEST_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    print_message("seed: READSIDE_TEST_SEED=%u\n", seed);
    struct id_set set = {0};
    size_t count = 0;
    for (int i = 0; i < STEPS; i++) {
        uint64_t id = 1 + (uint64_t)rand_r(&seed) % (RANGE - 1);
        if (rand_r(&seed) % 2) {
            count += !there[id];
            there[id] = true;
            assert_true(id_set_add(&set, id << 3));
        } else {
            count -= there[id];
            there[id] = false;
            id_set_remove(&set, id << 3);
        }
        assert_int_equal(set.count, count);
    }
    for (uint64_t id = 1; id < RANGE; id++)
        assert_int_equal(id_set_has(&set, id << 3), there[id]);
    id_set_done(&set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add_and_remove),
        cmocka_unit_test(test_random_against_a_bitmap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
