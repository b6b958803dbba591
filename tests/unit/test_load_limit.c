#include "tests/unit/test.h"
#include "core/hash.h"
#include "query-api/upstream/load_limit.h"
#include <math.h>
#include <stdio.h>

/* An engine that works on `cores` searches at full speed and shares them among more, before it loops with a limit each, and
 * clients that come at random times. */
enum { UNDER_WAY_MAX = 4096, WAITING_MAX = 4096, LOOPS = 2 };

struct one {
    usec_t came, out;
    double left; /* microseconds of one core */
    unsigned at_engine, loop;
};

struct loop_side {
    struct load_limit limit;
    usec_t waiting[WAITING_MAX]; /* when they came */
    unsigned at_engine, wait_count;
};

struct engine {
    struct loop_side loops[LOOPS];
    _Atomic usec_t alone;
    unsigned turn;
    uint64_t seed;
    double cores, mean;
    usec_t now, next;
    struct one at[UNDER_WAY_MAX];
    unsigned count;
    uint64_t offered, refused, served;
    double latencies[1000000];
};

static double uniform(struct engine *e) {
    e->seed = hash_bytes(&e->seed, sizeof(e->seed));
    return ((double)(e->seed >> 11) + 0.5) / 9007199254740992.0;
}

static double exponential(struct engine *e, double mean) {
    return -log(uniform(e)) * mean;
}

static void send_out(struct engine *e, unsigned loop, usec_t came) {
    /* nine of ten light, one heavy: a mean of `mean` */
    double work = uniform(e) < 0.9 ? exponential(e, e->mean * 0.6) : exponential(e, e->mean * 4.6);
    e->at[e->count++] = (struct one){
        .came = came, .out = e->now, .left = work + 200, .at_engine = ++e->loops[loop].at_engine, .loop = loop};
}

static bool has_room(struct engine *e, struct loop_side *side) {
    return side->at_engine < load_limit_now(&side->limit, e->now, (int64_t)e->now);
}

static void send_waiting(struct engine *e, unsigned loop) {
    struct loop_side *side = &e->loops[loop];
    while (side->wait_count && has_room(e, side)) {
        send_out(e, loop, side->waiting[0]);
        memmove(side->waiting, side->waiting + 1, --side->wait_count * sizeof(side->waiting[0]));
    }
}

static void arrive(struct engine *e) {
    unsigned loop = e->turn++ % LOOPS;
    struct loop_side *side = &e->loops[loop];
    e->offered++;
    if (!side->wait_count && has_room(e, side))
        send_out(e, loop, e->now);
    else if (load_limit_may_wait(&side->limit, side->at_engine, side->wait_count, e->now))
        side->waiting[side->wait_count++] = e->now;
    else
        e->refused++;
}

static void finish(struct engine *e, unsigned i) {
    struct one done = e->at[i];
    struct loop_side *side = &e->loops[done.loop];
    e->at[i] = e->at[--e->count];
    side->at_engine--;
    if (e->served < ARRAY_LEN(e->latencies))
        e->latencies[e->served++] = (double)(e->now - done.came);
    load_limit_done(&side->limit, e->now - done.out, done.at_engine, e->now);
    send_waiting(e, done.loop);
}

static void advance(struct engine *e, double step, double share) {
    e->now += (usec_t)step;
    for (unsigned i = 0; i < e->count; i++)
        e->at[i].left -= step * share;
}

static unsigned next_done(const struct engine *e) {
    unsigned first = 0;
    for (unsigned i = 1; i < e->count; i++)
        first = e->at[i].left < e->at[first].left ? i : first;
    return first;
}

static double share_of(const struct engine *e) {
    return e->count > e->cores ? e->cores / e->count : 1;
}

/* So many clients, each with its next search as soon as it has its answer: how many searches had to wait. */
static unsigned run_closed(struct engine *e, unsigned clients, usec_t usec) {
    usec_t end = e->now + usec;
    unsigned waited = 0;
    e->offered = e->refused = e->served = 0;
    for (unsigned i = 0; i < clients; i++)
        arrive(e);
    while (e->now < end) {
        assert_true(e->count > 0);
        unsigned first = next_done(e), loop = e->at[first].loop;
        double share = share_of(e);
        advance(e, ceil(e->at[first].left / share), share);
        finish(e, first);
        e->turn = loop; /* its connection stays there */
        arrive(e);
        waited += e->loops[0].wait_count + e->loops[1].wait_count > 0;
    }
    return waited;
}

/* Runs for so long with `rate` arrivals per second. */
static void run(struct engine *e, double rate, usec_t usec) {
    usec_t end = e->now + usec;
    e->offered = e->refused = e->served = 0;
    e->next = e->now;
    while (e->now < end) {
        double share = share_of(e);
        unsigned first = next_done(e);
        double until_done = e->count ? e->at[first].left / share : 1e12, until_next = (double)(e->next - e->now);
        bool done = until_done < until_next;
        advance(e, ceil(done ? until_done : until_next), share);
        if (done) {
            finish(e, first);
        } else {
            e->next += 1 + (usec_t)exponential(e, 1e6 / rate);
            arrive(e);
        }
    }
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double p99(struct engine *e) {
    qsort(e->latencies, e->served, sizeof(e->latencies[0]), by_value);
    return e->latencies[e->served * 99 / 100];
}

static uint64_t engines_made;

static struct engine *engine_new(double cores, double mean) {
    struct engine *e = calloc(1, sizeof(*e));
    assert_non_null(e);
    e->seed = ++engines_made; /* the same each time: what is asserted are statistics */
    e->cores = cores;
    e->mean = mean;
    e->now = e->next = 1000 * USEC_PER_SEC + USEC_PER_SEC;
    for (int i = 0; i < LOOPS; i++)
        load_limit_init(&e->loops[i].limit, &e->alone, 256, 256, 0, e->now);
    run(e, 100 * cores, 5 * USEC_PER_SEC); /* it learns */
    return e;
}

/* Small and large engines, quick and slow ones: at three times what they can, they do nearly what they can, and nobody who
 * is let in waits long. */
static void test_overload(void **state) {
    (void)state;
    static const struct {
        double cores, mean;
    } engines[] = {{4, 3000}, {2, 3000}, {2, 500}, {8, 5000}, {32, 5000}};
    for (size_t i = 0; i < ARRAY_LEN(engines); i++) {
        struct engine *e = engine_new(engines[i].cores, engines[i].mean);
        double capacity = engines[i].cores * 1e6 / (engines[i].mean + 200);
        run(e, capacity * 0.6, 20 * USEC_PER_SEC);
        double normal = p99(e), refused = (double)e->refused / (double)e->offered;
        run(e, capacity * 3, 2 * USEC_PER_SEC);
        double onset = p99(e);
        run(e, capacity * 3, 30 * USEC_PER_SEC);
        double over = p99(e), done = (double)e->served / (capacity * 30);
        printf("%g cores of %g us: p99 %.0f us, refused %.4f; at 3x: p99 %.0f (first %.0f), done %.2f, limits %u %u, alone %llu\n",
               engines[i].cores, engines[i].mean, normal, refused, over, onset, done, e->loops[0].limit.limit,
               e->loops[1].limit.limit, (unsigned long long)e->alone);
        assert_true(refused < 0.03);
        assert_true(over < 2.25 * normal);
        assert_true(onset < 8 * normal);
        assert_true(done > 0.85);
        run(e, capacity * 0.5, 5 * USEC_PER_SEC);
        assert_true((double)e->refused < 0.1 * (double)e->offered);
        free(e);
    }
}

static void drain(struct engine *e) {
    while (e->count) {
        double share = share_of(e);
        unsigned first = next_done(e);
        advance(e, ceil(e->at[first].left / share), share);
        finish(e, first);
    }
}

/* Eight clients that wait for their answers are no overload, not even after one: nobody waits here, and nobody is refused. */
static void test_a_few_clients_pass(void **state) {
    (void)state;
    struct engine *e = engine_new(2, 8000);
    run(e, 900, 20 * USEC_PER_SEC);
    assert_true(e->refused > e->served);
    drain(e);
    run_closed(e, 8, 10 * USEC_PER_SEC);
    assert_int_equal(e->refused, 0);
    drain(e);
    assert_int_equal(run_closed(e, 8, 20 * USEC_PER_SEC), 0);
    assert_true(e->served > 20 * 2e6 / 8200 * 0.9);
    free(e);
}

/* A burst that a calm engine can do in a moment is not refused. */
static void test_bursts_pass(void **state) {
    (void)state;
    struct engine *e = engine_new(4, 3000);
    run(e, 300, 5 * USEC_PER_SEC);
    unsigned size = (e->loops[0].limit.limit + e->loops[1].limit.limit) * 3;
    uint64_t refused = e->refused;
    for (unsigned i = 0; i < size; i++)
        arrive(e);
    assert_int_equal(e->refused, refused);
    for (unsigned i = 0; i < 1000; i++)
        arrive(e);
    assert_true(e->refused > refused + 800);
    assert_true(e->loops[0].wait_count <= e->loops[0].limit.limit * 9);
    free(e);
}

/* The engine becomes five times slower under load, and quick again: the limit follows. */
static void test_the_engine_changes(void **state) {
    (void)state;
    struct engine *e = engine_new(4, 2000);
    run(e, 5000, 10 * USEC_PER_SEC);
    usec_t before = e->alone;
    e->mean = 10000;
    run(e, 5000, 130 * USEC_PER_SEC);
    usec_t slow = e->alone;
    run(e, 5000, 20 * USEC_PER_SEC);
    assert_true(slow > 2 * before);
    assert_true((double)e->served > 0.8 * 20 * 4e6 / 10200);
    e->mean = 2000;
    run(e, 5000, 130 * USEC_PER_SEC);
    assert_true(e->alone < slow * 9 / 10); /* slower: only the moments of being alone tell */
    free(e);
}

/* With a time that is fine, whoever waits no longer is let in. */
static void test_a_wait_that_is_fine(void **state) {
    (void)state;
    struct load_limit l;
    _Atomic usec_t alone = 2000;
    usec_t now = USEC_PER_SEC;
    load_limit_init(&l, &alone, 4, 100, 40000, now);
    for (unsigned i = 79; i > 0; i--)
        assert_true(load_limit_may_wait(&l, 4, i, now));
    assert_false(load_limit_may_wait(&l, 4, 80, now));
    l.wait = 10 * USEC_PER_SEC;
    assert_true(load_limit_may_wait(&l, 4, 99, now));
    assert_false(load_limit_may_wait(&l, 4, 100, now));
}

static void test_bounds(void **state) {
    (void)state;
    struct load_limit l;
    _Atomic usec_t alone = 0;
    const int64_t calm = 5 * (int64_t)USEC_PER_SEC, probe = 10 * (int64_t)USEC_PER_SEC + 1000;
    usec_t now = USEC_PER_SEC;
    load_limit_init(&l, &alone, 7, 3, 0, now);
    assert_int_equal(load_limit_now(&l, now, calm), 1); /* nothing is known yet */
    for (int i = 0; i < 32; i++)
        load_limit_done(&l, 1000, 1, now += 1000);
    assert_int_equal(alone, 1000);
    assert_int_equal(load_limit_now(&l, now, calm), 6);
    for (unsigned i = 0; i < 3; i++)
        assert_true(load_limit_may_wait(&l, 6, i, now));
    assert_false(load_limit_may_wait(&l, 6, 3, now));
    for (int i = 0; i < 1000; i++)
        load_limit_done(&l, 1000, 7, now += 10000);
    assert_int_equal(load_limit_now(&l, now, calm), 7); /* never above the maximum */
    for (int i = 0; i < 1000; i++)
        load_limit_done(&l, 1000000, 7, now += 10000);
    assert_int_equal(load_limit_now(&l, now, calm), 6); /* never below where it began, while nobody is refused */
    assert_int_equal(load_limit_now(&l, now, probe), 6); /* and there is no probe */
    for (int i = 0; i < 1000; i++) {
        assert_false(load_limit_may_wait(&l, 6, 100, now));
        load_limit_done(&l, 1000000, 7, now += 10000);
    }
    assert_int_equal(load_limit_now(&l, now, calm), 3);
    assert_int_equal(load_limit_now(&l, now, probe), 1);
    for (int i = 0; i < 10; i++)
        load_limit_done(&l, 9000, 1, now + 50000); /* went out before the probe: they tell nothing */
    for (int i = 0; i < 10; i++)
        load_limit_done(&l, 3000, 1, now + 150000);
    assert_int_equal(load_limit_now(&l, now + 200000, calm), 3);
    assert_int_equal(alone, 1500);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overload),
        cmocka_unit_test(test_a_few_clients_pass),
        cmocka_unit_test(test_bursts_pass),
        cmocka_unit_test(test_the_engine_changes),
        cmocka_unit_test(test_a_wait_that_is_fine),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
