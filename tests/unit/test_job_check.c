/* What is known of a verification while it runs. The walk, and the clock, are the test's. */
#include "tests/unit/test.h"
#include "projector/jobs/job_check.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

static atomic_uint_fast64_t now;
static const char *_Atomic waiting;
static atomic_uint told;

usec_t __wrap_clock_now_usec(void);
usec_t __wrap_clock_now_usec(void) {
    return now;
}

/* Says what it waits for, again and again, until it is cancelled. */
bool __wrap_verify_run(const struct verify_conf *conf, struct verify_counts *ret, struct error *reterr);
bool __wrap_verify_run(const struct verify_conf *conf, struct verify_counts *ret, struct error *reterr) {
    while (!conf->cancelled(conf->ctx)) {
        struct verify_progress progress = {.counts = ret, .waiting = waiting};
        conf->progress(conf->ctx, &progress);
        told++;
        nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
    }
    return error_set(reterr, ERROR_CONFLICT, "cancelled");
}

/* The next but one word began after the world was changed. */
static void expect(struct job_check *check, const char *wanted) {
    char said[JOB_CHECK_WAITS_SIZE];
    for (unsigned before = told; told < before + 2;)
        nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
    job_check_waits_for(check, said);
    assert_string_equal(said, wanted);
}

static void test_a_long_wait_is_known(void **state) {
    (void)state;
    struct verify_conf conf = {0};
    struct buf none = BUF_INIT(16);
    struct error error = {0};
    now = 1000 * USEC_PER_SEC;
    struct job_check *check = job_check_start(&conf, &none, &error);
    assert_non_null(check);
    expect(check, "");
    waiting = "the job scan-1 is paused";
    expect(check, "");
    now += 10 * USEC_PER_SEC;
    expect(check, "the job scan-1 is paused");
    waiting = NULL;
    expect(check, "");
    waiting = "the job scan-2 has not begun"; /* another wait, and a short one so far */
    expect(check, "");
    job_check_stop(check);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_long_wait_is_known)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
