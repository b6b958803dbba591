#include "tests/unit/test.h"
#include "core/loop.h"
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#define SOON (clock_now_usec() + 10 * USEC_PER_SEC)

static struct loop *loop;

static int setup(void **state) {
    (void)state;
    loop = loop_new("test", NULL);
    return loop ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    loop_free(loop);
    return 0;
}

/* -- timers -- */

enum { TIMERS = 2000 };
struct numbered {
    struct loop_timer timer;
    usec_t at;
    int number;
    bool cancelled, fired;
};
static struct numbered timers[TIMERS];
static int fired, last_number;
static usec_t last_at;

static void on_numbered(struct loop_timer *timer) {
    struct numbered *n = CONTAINER_OF(timer, struct numbered, timer);
    assert_false(n->cancelled);
    assert_false(n->fired);
    assert_true(n->at >= last_at);
    if (n->at == last_at)
        assert_true(n->number > last_number);
    assert_true(clock_now_usec() >= n->at);
    n->fired = true;
    last_at = n->at;
    last_number = n->number;
    fired++;
}

/* The heap against the definition: due order, ties in order of arming, cancelled and moved ones. */
static void test_timer_order(void **state) {
    (void)state;
    uint64_t seed = clock_random_u64();
    print_message("seed %llu\n", (unsigned long long)seed);
    unsigned short x[3] = {(unsigned short)seed, (unsigned short)(seed >> 16), (unsigned short)(seed >> 32)};
    usec_t base = clock_now_usec() + 5 * USEC_PER_MSEC;
    int armed = 0, order = 0;
    for (int i = 0; i < TIMERS; i++) {
        timers[i] = (struct numbered){
            .timer.cb = on_numbered, .number = order++, .at = base + (usec_t)(nrand48(x) % 40) * USEC_PER_MSEC};
        loop_timer_set(loop, &timers[i].timer, timers[i].at);
    }
    for (int i = 0; i < TIMERS; i++) {
        long dice = nrand48(x) % 3;
        if (dice == 0) {
            timers[i].cancelled = true;
            loop_timer_cancel(loop, &timers[i].timer);
            loop_timer_cancel(loop, &timers[i].timer);
        } else if (dice == 1) {
            timers[i].number = order++;
            timers[i].at = base + (usec_t)(nrand48(x) % 40) * USEC_PER_MSEC;
            loop_timer_set(loop, &timers[i].timer, timers[i].at);
        }
        armed += !timers[i].cancelled;
    }
    fired = 0;
    last_at = 0;
    while (fired < armed) {
        assert_true(clock_now_usec() < base + 10 * USEC_PER_SEC);
        loop_run_once(loop, SOON);
    }
    assert_int_equal(fired, armed);
}

static int ticks;
static void on_tick(struct loop_timer *timer) {
    ticks++;
    loop_timer_set(loop, timer, 0); /* long past */
}

/* A timer that arms itself for the past runs once per round and does not keep the others from running. */
static void test_timer_rearming_itself(void **state) {
    (void)state;
    struct loop_timer timer = {.cb = on_tick};
    ticks = 0;
    loop_timer_set(loop, &timer, 0);
    for (int i = 1; i <= 3; i++) {
        assert_true(loop_run_once(loop, SOON));
        assert_int_equal(ticks, i);
    }
    loop_timer_set(loop, &timer, USEC_NEVER);
    assert_int_equal(timer.index, 0);
    loop_run_once(loop, 0);
    assert_int_equal(ticks, 3);
}

static struct loop_timer victim;
static void on_cancel_victim(struct loop_timer *timer) {
    (void)timer;
    loop_timer_cancel(loop, &victim);
}
static void on_victim(struct loop_timer *timer) {
    (void)timer;
    fail_msg("a cancelled timer fired");
}

static void test_timer_cancels_due_neighbour(void **state) {
    (void)state;
    struct loop_timer first = {.cb = on_cancel_victim};
    victim = (struct loop_timer){.cb = on_victim};
    usec_t at = clock_now_usec();
    loop_timer_set(loop, &first, at);
    loop_timer_set(loop, &victim, at);
    loop_run_once(loop, SOON);
    loop_run_once(loop, 0);
}

/* -- descriptors -- */

struct pipe_watch {
    struct loop_fd watch;
    int write_end, calls;
    struct pipe_watch *remove;
    bool run_nested;
};

static void on_pipe(struct loop_fd *watch, uint32_t events) {
    struct pipe_watch *p = CONTAINER_OF(watch, struct pipe_watch, watch);
    char c;
    assert_true(events & EPOLLIN);
    assert_int_equal(read(watch->fd, &c, 1), 1);
    p->calls++;
    if (p->remove)
        loop_fd_remove(loop, &p->remove->watch);
    if (p->run_nested)
        loop_run_once(loop, 0);
}

static void pipe_open(struct pipe_watch *p) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    *p = (struct pipe_watch){.watch = {.fd = ends[0], .cb = on_pipe}, .write_end = ends[1]};
    assert_true(loop_fd_add(loop, &p->watch, EPOLLIN, NULL));
}

static void pipe_close(struct pipe_watch *p) {
    loop_fd_remove(loop, &p->watch);
    loop_fd_remove(loop, &p->watch);
    close(p->watch.fd);
    close(p->write_end);
}

static void poke(struct pipe_watch *p) {
    assert_int_equal(write(p->write_end, "x", 1), 1);
}

/* Whichever of two ready descriptors comes first removes the other, whose event must then be dropped. */
static void test_fd_removed_in_its_round(void **state) {
    (void)state;
    struct pipe_watch a, b;
    pipe_open(&a);
    pipe_open(&b);
    a.remove = &b;
    b.remove = &a;
    poke(&a);
    poke(&b);
    loop_run_once(loop, SOON);
    assert_int_equal(a.calls + b.calls, 1);
    loop_run_once(loop, 0);
    assert_int_equal(a.calls + b.calls, 1);
    pipe_close(&a);
    pipe_close(&b);
}

static void test_fd_removed_in_nested_round(void **state) {
    (void)state;
    struct pipe_watch a, b, c;
    pipe_open(&a);
    pipe_open(&b);
    pipe_open(&c);
    a.run_nested = b.run_nested = c.run_nested = true;
    poke(&a);
    poke(&b);
    poke(&c);
    for (int i = 0; i < 3 && a.calls + b.calls + c.calls < 3; i++)
        loop_run_once(loop, clock_now_usec() + USEC_PER_SEC);
    assert_int_equal(a.calls, 1);
    assert_int_equal(b.calls, 1);
    assert_int_equal(c.calls, 1);
    pipe_close(&a);
    pipe_close(&b);
    pipe_close(&c);
}

static void test_fd_interest(void **state) {
    (void)state;
    struct pipe_watch a;
    pipe_open(&a);
    assert_true(loop_fd_set(loop, &a.watch, 0, NULL));
    poke(&a);
    loop_run_once(loop, 0);
    assert_int_equal(a.calls, 0);
    assert_true(loop_fd_set(loop, &a.watch, EPOLLIN, NULL));
    loop_run_once(loop, SOON);
    assert_int_equal(a.calls, 1);
    pipe_close(&a);
    struct loop_fd bad = {.fd = -1};
    struct error error = {0};
    assert_false(loop_fd_add(loop, &bad, EPOLLIN, &error));
    assert_int_equal(error.code, ERROR_INTERNAL);
    assert_message(&error, "test");
}

/* -- hooks -- */

struct counting_hook {
    struct loop_hook hook;
    int calls;
    usec_t wake;
    struct loop_hook *remove;
};

static usec_t on_hook(struct loop_hook *hook) {
    struct counting_hook *h = CONTAINER_OF(hook, struct counting_hook, hook);
    h->calls++;
    if (h->remove)
        loop_hook_remove(loop, h->remove);
    return h->wake;
}

static void test_hooks(void **state) {
    (void)state;
    struct counting_hook a = {.hook.cb = on_hook, .wake = USEC_NEVER}, b = a;
    loop_hook_add(loop, &a.hook);
    loop_hook_add(loop, &b.hook);
    b.wake = clock_now_usec() + 5 * USEC_PER_MSEC;
    assert_true(loop_run_once(loop, USEC_NEVER)); /* returns because a hook asked for it */
    assert_int_equal(a.calls, 1);
    assert_int_equal(b.calls, 1);
    a.remove = &b.hook; /* whichever order: after this round b is not called any more */
    b.remove = &b.hook;
    loop_run_once(loop, 0);
    int calls = b.calls;
    loop_run_once(loop, 0);
    assert_int_equal(b.calls, calls);
    assert_int_equal(a.calls, 3);
    loop_hook_remove(loop, &a.hook);
}

/* -- mail and stopping -- */

static int delivered;
static void on_mail(struct mail *mail) {
    (void)mail;
    delivered++;
}

static void *post_and_stop(void *arg) {
    struct mail *mails = arg;
    for (int i = 0; i < 100; i++)
        loop_post(loop, &mails[i]);
    loop_stop(loop);
    loop_stop(loop);
    return NULL;
}

static void test_stop_delivers_mail(void **state) {
    (void)state;
    static struct mail mails[101];
    pthread_t thread;
    delivered = 0;
    for (int i = 0; i < 101; i++)
        mails[i].deliver = on_mail;
    assert_int_equal(pthread_create(&thread, NULL, post_and_stop, mails), 0);
    loop_run(loop);
    pthread_join(thread, NULL);
    assert_int_equal(delivered, 100);
    loop_post(loop, &mails[100]);
    assert_false(loop_run_once(loop, 0)); /* stopped, but a round is a round */
    assert_int_equal(delivered, 101);
}

static void test_wait_ends_in_time(void **state) {
    (void)state;
    usec_t before = clock_now_usec();
    assert_true(loop_run_once(loop, before + 3 * USEC_PER_MSEC));
    assert_true(clock_now_usec() >= before + 3 * USEC_PER_MSEC);
    assert_true(loop_now(loop) >= before);
    assert_string_equal(loop_name(loop), "test");
}

int main(void) {
#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        LOOP_TEST(test_timer_order),
        LOOP_TEST(test_timer_rearming_itself),
        LOOP_TEST(test_timer_cancels_due_neighbour),
        LOOP_TEST(test_fd_removed_in_its_round),
        LOOP_TEST(test_fd_removed_in_nested_round),
        LOOP_TEST(test_fd_interest),
        LOOP_TEST(test_hooks),
        LOOP_TEST(test_stop_delivers_mail),
        LOOP_TEST(test_wait_ends_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
