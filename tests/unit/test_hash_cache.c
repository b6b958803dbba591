#include "tests/unit/test.h"
#include "projector/compose/hash_cache.h"

static struct hash_cache cache_of(size_t capacity) {
    struct hash_cache c;
    struct error e = {0};
    assert_true(hash_cache_init(&c, capacity, &e));
    return c;
}

static void test_remembers_and_forgets(void **state) {
    (void)state;
    struct hash_cache c = cache_of(1000);
    uint64_t hash = 7, a = hash_cache_key(1, 100), b = hash_cache_key(2, 100);
    assert_int_not_equal(a, b);
    assert_false(hash_cache_get(&c, a, &hash));
    assert_int_equal(hash, 7);
    hash_cache_put(&c, a, 11);
    hash_cache_put(&c, b, 22);
    assert_true(hash_cache_get(&c, a, &hash));
    assert_int_equal(hash, 11);
    hash_cache_put(&c, a, 33);
    assert_int_equal(c.used, 2);
    assert_true(hash_cache_get(&c, a, &hash));
    assert_int_equal(hash, 33);
    hash_cache_remove(&c, a);
    hash_cache_remove(&c, a);
    assert_int_equal(c.used, 1);
    assert_false(hash_cache_get(&c, a, &hash));
    assert_true(hash_cache_get(&c, b, &hash));
    hash_cache_clear(&c);
    assert_int_equal(c.used, 0);
    assert_false(hash_cache_get(&c, b, &hash));
    hash_cache_put(&c, b, 44);
    assert_true(hash_cache_get(&c, b, &hash));
    hash_cache_done(&c);
}

/* Keys of one set: the low bits choose it. */
static void test_least_recently_used_goes(void **state) {
    (void)state;
    struct hash_cache c = cache_of(64);
    uint64_t hash;
    for (uint64_t i = 1; i <= 8; i++)
        hash_cache_put(&c, i * 64, i);
    assert_true(hash_cache_get(&c, 1 * 64, &hash)); /* the oldest, used again */
    hash_cache_put(&c, 9 * 64, 9);
    assert_int_equal(c.used, 8);
    assert_true(hash_cache_get(&c, 1 * 64, &hash));
    assert_false(hash_cache_get(&c, 2 * 64, &hash));
    for (uint64_t i = 3; i <= 9; i++) {
        assert_true(hash_cache_get(&c, i * 64, &hash));
        assert_int_equal(hash, i);
    }
    hash_cache_remove(&c, 5 * 64);
    hash_cache_put(&c, 10 * 64, 10);
    assert_true(hash_cache_get(&c, 3 * 64, &hash)); /* took the free place, drove nobody out */
    hash_cache_done(&c);
}

static void test_against_a_model(void **state) {
    (void)state;
    enum { KEYS = 500, STEPS = 200000 };
    static uint64_t model[KEYS]; /* 0: must be absent */
    struct hash_cache c = cache_of(4096);
    uint64_t random = 0x9E3779B97F4A7C15u, hash;
    print_message("seed %llu\n", (unsigned long long)random);
    for (int i = 0; i < STEPS; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        size_t k = random % KEYS;
        uint64_t key = hash_cache_key(3, KEYS + k);
        switch (random >> 32 & 3) {
        case 0:
            model[k] = random | 1;
            hash_cache_put(&c, key, model[k]);
            break;
        case 1:
            model[k] = 0;
            hash_cache_remove(&c, key);
            break;
        default:
            if (hash_cache_get(&c, key, &hash)) /* may have been driven out, may never be wrong */
                assert_int_equal(hash, model[k]);
        }
    }
    hash_cache_done(&c);
}

static void test_capacity(void **state) {
    (void)state;
    uint64_t hash;
    struct hash_cache off = cache_of(0), c = cache_of(1000);
    hash_cache_put(&off, 5, 5);
    hash_cache_remove(&off, 5);
    hash_cache_clear(&off);
    assert_false(hash_cache_get(&off, 5, &hash));
    hash_cache_done(&off);
    for (uint64_t i = 0; i < 100000; i++)
        hash_cache_put(&c, hash_cache_key(1, i), i);
    assert_true(c.used <= 1024);
    size_t kept = 0;
    for (uint64_t i = 99000; i < 100000; i++)
        if (hash_cache_get(&c, hash_cache_key(1, i), &hash)) {
            assert_int_equal(hash, i);
            kept++;
        }
    assert_true(kept > 700); /* most of the last thousand */
    hash_cache_done(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_remembers_and_forgets),
        cmocka_unit_test(test_least_recently_used_goes),
        cmocka_unit_test(test_against_a_model),
        cmocka_unit_test(test_capacity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
