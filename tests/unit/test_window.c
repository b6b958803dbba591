#include "tests/unit/test.h"
#include "projector/engine/window.h"
#include <pthread.h>
#include <stdatomic.h>

enum { LIMIT = 100, BATCH = 7, BATCHES = 3000 };

struct source {
    struct window window;
    atomic_size_t most, sent;
};

static void *produce(void *arg) {
    struct source *s = arg;
    for (int i = 0; i < BATCHES && window_wait(&s->window); i++) {
        window_add(&s->window, BATCH);
        size_t used = window_used(&s->window);
        if (used > s->most)
            s->most = used;
        s->sent += BATCH;
    }
    return NULL;
}

static void test_a_source_never_runs_further_ahead(void **state) {
    (void)state;
    struct source s = {0};
    window_init(&s.window, LIMIT);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, produce, &s), 0);
    for (size_t released = 0; released < (size_t)BATCH * BATCHES;) {
        size_t n = window_used(&s.window);
        window_release(&s.window, n);
        released += n;
    }
    pthread_join(thread, NULL);
    assert_int_equal(s.sent, BATCH * BATCHES);
    assert_true(s.most < LIMIT + BATCH);
    assert_int_equal(window_used(&s.window), 0);
    window_done(&s.window);
}

static void *wait_until_stopped(void *arg) {
    struct window *w = arg;
    window_add(w, LIMIT);
    return window_wait(w) || window_sleep(w, 60 * USEC_PER_SEC) ? w : NULL;
}

static void test_a_stop_ends_every_wait(void **state) {
    (void)state;
    struct window w;
    pthread_t thread;
    void *result = &w;
    window_init(&w, LIMIT);
    assert_int_equal(pthread_create(&thread, NULL, wait_until_stopped, &w), 0);
    window_stop(&w);
    pthread_join(thread, &result);
    assert_null(result);
    assert_true(window_stopped(&w));
    window_done(&w);
}

static void test_a_poke_is_not_lost(void **state) {
    (void)state;
    struct window w;
    window_init(&w, LIMIT);
    window_poke(&w);
    usec_t begun = clock_now_usec();
    assert_true(window_sleep(&w, 60 * USEC_PER_SEC));
    assert_true(clock_now_usec() - begun < 30 * USEC_PER_SEC);
    assert_true(window_sleep(&w, 1)); /* it counts once */
    window_done(&w);
}

static void *release_all(void *arg) {
    struct window *w = arg;
    window_release(w, LIMIT);
    return NULL;
}

static void test_room_ends_a_pause_for_it(void **state) {
    (void)state;
    struct window w;
    pthread_t thread;
    window_init(&w, LIMIT);
    usec_t begun = clock_now_usec();
    assert_true(window_has_room(&w));
    assert_true(window_sleep_for_room(&w, 60 * USEC_PER_SEC)); /* it is there already */
    window_add(&w, LIMIT);
    assert_false(window_has_room(&w));
    assert_true(window_sleep_for_room(&w, 1));
    assert_int_equal(pthread_create(&thread, NULL, release_all, &w), 0);
    assert_true(window_sleep_for_room(&w, 60 * USEC_PER_SEC));
    assert_true(window_has_room(&w) && clock_now_usec() - begun < 30 * USEC_PER_SEC);
    pthread_join(thread, NULL);
    window_done(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_source_never_runs_further_ahead),
        cmocka_unit_test(test_a_stop_ends_every_wait),
        cmocka_unit_test(test_a_poke_is_not_lost),
        cmocka_unit_test(test_room_ends_a_pause_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
