#include "tests/unit/test.h"
#include "core/hash.h"
#include "core/rate_table.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

static const usec_t START = 1000 * USEC_PER_SEC;

static bool take(struct rate_table *table, const char *name, uint64_t rate, uint64_t burst, usec_t now, usec_t *ret_wait) {
    return rate_table_take(table, name, strlen(name), rate, burst, now, ret_wait);
}

static void test_a_burst_and_then_the_rate(void **state) {
    (void)state;
    struct rate_table *table = rate_table_new();
    usec_t wait = 0;
    for (int i = 0; i < 20; i++)
        assert_true(take(table, "a", 10, 20, START, &wait));
    assert_false(take(table, "a", 10, 20, START, &wait));
    assert_int_equal(wait, 100 * USEC_PER_MSEC);
    assert_true(take(table, "b", 10, 20, START, &wait));
    assert_false(take(table, "a", 10, 20, START + wait - 1, &wait));
    assert_int_equal(wait, 1);
    assert_true(take(table, "a", 10, 20, START + 100 * USEC_PER_MSEC, &wait));
    assert_false(take(table, "a", 10, 20, START + 100 * USEC_PER_MSEC, &wait));
    /* Two seconds without a request fill it, longer ones no further. */
    for (int i = 0; i < 20; i++)
        assert_true(take(table, "a", 10, 20, START + 900 * USEC_PER_SEC, &wait));
    assert_false(take(table, "a", 10, 20, START + 900 * USEC_PER_SEC, &wait));
    rate_table_free(table);
}

/* Whatever the requests' times: in no span of time more than burst and rate together, a refusal only if one more would have
 * been, and a wait that is neither too long nor too short. */
static void test_any_schedule(void **state) {
    (void)state;
    uint64_t seed = clock_random_u64();
    printf("seed %llu\n", (unsigned long long)seed);
    for (int run = 0; run < 200; run++) {
        struct rate_table *table = rate_table_new();
        uint64_t rate = 1 + (seed = hash_bytes(&seed, sizeof(seed))) % 5000, burst = 1 + (seed >> 20) % 50;
        usec_t now = START, wait = 0;
        double tokens = (double)burst; /* of a bucket that is counted plainly */
        for (int i = 0; i < 2000; i++) {
            seed = hash_bytes(&seed, sizeof(seed));
            usec_t pause = seed % 3 ? seed % (2 * USEC_PER_SEC / rate + 1) : 0;
            now += pause;
            tokens += (double)pause * (double)rate / (double)USEC_PER_SEC;
            tokens = tokens > (double)burst ? (double)burst : tokens;
            bool ok = take(table, "name", rate, burst, now, &wait);
            if (ok ? tokens < 1 - 0.01 : tokens > 1 + 0.01)
                fail_msg("rate %llu burst %llu: %s with %f tokens", (unsigned long long)rate, (unsigned long long)burst,
                         ok ? "taken" : "refused", tokens);
            tokens -= ok;
            if (ok)
                continue;
            double missing = (1 - tokens) * (double)USEC_PER_SEC / (double)rate;
            if ((double)wait > missing * 1.01 + 2 || (double)wait < missing * 0.99 - 2)
                fail_msg("waits %llu, not %f", (unsigned long long)wait, missing);
        }
        rate_table_free(table);
    }
}

static void test_a_million_a_second(void **state) {
    (void)state;
    struct rate_table *table = rate_table_new();
    usec_t wait = 0;
    uint64_t taken = 0;
    for (usec_t t = 0; t < USEC_PER_SEC / 10; t++)
        for (int i = 0; i < 3; i++)
            taken += take(table, "fast", 700000, 10, START + t, &wait);
    assert_true(taken > 69900 && taken < 70100);
    rate_table_free(table);
}

/* More names than there is room for: nobody is refused for another's sake. */
static void test_more_names_than_places(void **state) {
    (void)state;
    struct rate_table *table = rate_table_new();
    usec_t wait = 0;
    for (uint64_t name = 0; name < 300000; name++)
        assert_true(rate_table_take(table, &name, sizeof(name), 1, 1, START, &wait));
    int remembered = 0;
    for (uint64_t name = 299000; name < 300000; name++)
        remembered += !rate_table_take(table, &name, sizeof(name), 1, 1, START, &wait);
    assert_true(remembered > 500);
    rate_table_free(table);
}

enum { THREADS = 4, SHARED_BURST = 300000 };
static struct rate_table *shared;
static atomic_uint all_taken;
static pthread_barrier_t start;

static void *hammer(void *arg) {
    usec_t wait = 0;
    unsigned taken = 0;
    (void)arg;
    pthread_barrier_wait(&start);
    for (int i = 0; i < SHARED_BURST; i++)
        taken += take(shared, "shared", 1, SHARED_BURST, START, &wait);
    atomic_fetch_add(&all_taken, taken);
    return NULL;
}

/* Four threads have one bucket, not four. */
static void test_threads_share_a_bucket(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    usec_t wait = 0;
    shared = rate_table_new();
    assert_int_equal(pthread_barrier_init(&start, NULL, THREADS), 0);
    assert_true(take(shared, "shared", 1, SHARED_BURST, START, &wait)); /* its place is taken before they race for one */
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, NULL), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&all_taken), SHARED_BURST - 1);
    pthread_barrier_destroy(&start);
    rate_table_free(shared);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_burst_and_then_the_rate), cmocka_unit_test(test_any_schedule),
        cmocka_unit_test(test_a_million_a_second),        cmocka_unit_test(test_more_names_than_places),
        cmocka_unit_test(test_threads_share_a_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
