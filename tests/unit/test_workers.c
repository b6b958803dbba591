#include "tests/unit/test.h"
#include "core/workers.h"
#include <pthread.h>
#include <stdatomic.h>

#define DEADLINE (clock_now_usec() + 20 * USEC_PER_SEC)

static struct loop *loop;
static atomic_int sessions, sessions_freed;
static atomic_bool gate_open;
static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate = PTHREAD_COND_INITIALIZER;

struct counted_job {
    struct job job;
    int runs, dones;
    pthread_t ran_on;
    bool wait_at_gate;
    struct workers *submit_again;
};

static void *session_new(void *ctx, struct error *reterr) {
    (void)reterr;
    assert_string_equal(ctx, "ctx");
    atomic_fetch_add(&sessions, 1);
    return calloc(1, sizeof(pthread_t));
}

static void session_free(void *session) {
    atomic_fetch_add(&sessions_freed, 1);
    free(session);
}

static void run_job(struct job *job, void *session) {
    struct counted_job *j = CONTAINER_OF(job, struct counted_job, job);
    pthread_t *owner = session, self = pthread_self();
    if (*owner)
        assert_true(pthread_equal(*owner, self)); /* a session stays on its thread */
    *owner = self;
    j->ran_on = self;
    j->runs++;
    pthread_mutex_lock(&gate_lock);
    while (j->wait_at_gate && !gate_open)
        pthread_cond_wait(&gate, &gate_lock);
    pthread_mutex_unlock(&gate_lock);
}

static int done_total;
static void done_job(struct job *job) {
    struct counted_job *j = CONTAINER_OF(job, struct counted_job, job);
    assert_false(pthread_equal(j->ran_on, pthread_self()));
    j->dones++;
    done_total++;
    struct workers *again = j->submit_again;
    j->submit_again = NULL;
    if (again)
        assert_true(workers_submit(again, loop, job));
}

static struct counted_job new_job(void) {
    return (struct counted_job){.job = {.run = run_job, .done = done_job}};
}

static void open_gate(void) {
    pthread_mutex_lock(&gate_lock);
    gate_open = true;
    pthread_cond_broadcast(&gate);
    pthread_mutex_unlock(&gate_lock);
}

static void run_until_done(int total) {
    usec_t deadline = DEADLINE;
    while (done_total < total) {
        assert_true(clock_now_usec() < deadline);
        loop_run_once(loop, deadline);
    }
}

static int setup(void **state) {
    (void)state;
    loop = loop_new("test", NULL);
    sessions = sessions_freed = 0;
    gate_open = false;
    done_total = 0;
    return loop ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    loop_free(loop);
    return 0;
}

static struct workers *new_pool(unsigned threads, unsigned queue_max) {
    static char ctx[] = "ctx";
    struct workers_options o = {.name = "pool",
                                .threads = threads,
                                .queue_max = queue_max,
                                .session_new = session_new,
                                .session_free = session_free,
                                .ctx = ctx};
    struct error error = {0};
    struct workers *w = workers_new(&o, &error);
    if (!w)
        fail_msg("%s", error.message);
    return w;
}

static void test_many_jobs(void **state) {
    (void)state;
    enum { JOBS = 500 };
    static struct counted_job jobs[JOBS];
    struct workers *w = new_pool(3, JOBS);
    assert_int_equal(sessions, 3);
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = new_job();
        jobs[i].submit_again = i % 5 == 0 ? w : NULL;
        assert_true(workers_submit(w, loop, &jobs[i].job));
    }
    run_until_done(JOBS + JOBS / 5);
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(jobs[i].runs, i % 5 == 0 ? 2 : 1);
        assert_int_equal(jobs[i].dones, jobs[i].runs);
    }
    workers_free(w);
    assert_int_equal(sessions_freed, 3);
}

static void test_full_queue_refuses(void **state) {
    (void)state;
    struct workers *w = new_pool(1, 2);
    struct counted_job jobs[4];
    for (int i = 0; i < 4; i++) {
        jobs[i] = new_job();
        jobs[i].wait_at_gate = true;
    }
    assert_true(workers_submit(w, loop, &jobs[0].job));
    usec_t deadline = DEADLINE;
    while (workers_queued(w)) /* until the thread has taken it */
        assert_true(clock_now_usec() < deadline);
    assert_true(workers_submit(w, loop, &jobs[1].job));
    assert_true(workers_submit(w, loop, &jobs[2].job));
    assert_int_equal(workers_queued(w), 2);
    assert_false(workers_submit(w, loop, &jobs[3].job));
    open_gate();
    run_until_done(3);
    assert_true(workers_submit(w, loop, &jobs[3].job));
    run_until_done(4);
    workers_free(w);
}

/* Freeing lets queued jobs run; their done() comes with the next round of the loop. */
static void test_free_finishes_queue(void **state) {
    (void)state;
    struct workers *w = new_pool(1, 10);
    struct counted_job jobs[5];
    for (int i = 0; i < 5; i++) {
        jobs[i] = new_job();
        assert_true(workers_submit(w, loop, &jobs[i].job));
    }
    workers_free(w);
    assert_false(workers_submit(NULL, loop, &jobs[0].job)); /* one that is gone */
    loop_stop(loop);
    assert_false(loop_run_once(loop, 0));
    assert_int_equal(done_total, 5);
}

static void *failing_session(void *ctx, struct error *reterr) {
    (void)ctx;
    if (atomic_fetch_add(&sessions, 1) == 1) {
        error_set(reterr, ERROR_UNAVAILABLE, "no such server");
        return NULL;
    }
    return malloc(1);
}

static void test_session_failure(void **state) {
    (void)state;
    struct workers_options o = {.name = "a name that is too long",
                                .threads = 3,
                                .queue_max = 1,
                                .session_new = failing_session,
                                .session_free = session_free};
    struct error error = {0};
    assert_null(workers_new(&o, &error));
    assert_int_equal(error.code, ERROR_UNAVAILABLE);
    assert_message(&error, "no such server");
    assert_message(&error, "pool a name");
    assert_int_equal(sessions_freed, 2);
    o.threads = 0;
    assert_null(workers_new(&o, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    workers_free(NULL);
}

static int shared;
static void run_shared(struct job *job, void *session) {
    (void)job;
    assert_ptr_equal(session, &shared);
}

static void test_without_sessions(void **state) {
    (void)state;
    struct workers_options o = {.name = "plain", .threads = 2, .queue_max = 4, .ctx = &shared};
    struct workers *w = workers_new(&o, NULL);
    assert_non_null(w);
    struct counted_job job = new_job();
    job.job.run = run_shared;
    assert_true(workers_submit(w, loop, &job.job));
    run_until_done(1);
    workers_free(w);
}

int main(void) {
#define POOL_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        POOL_TEST(test_many_jobs),       POOL_TEST(test_full_queue_refuses), POOL_TEST(test_free_finishes_queue),
        POOL_TEST(test_session_failure), POOL_TEST(test_without_sessions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
