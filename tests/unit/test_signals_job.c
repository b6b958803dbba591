/* When events are added up, and how far: Elasticsearch, MySQL and the pauses are played by the test. */
#include "tests/unit/test.h"
#include "projector/jobs/signals_job.h"
#include "projector/lease.h"
#include "core/es.h"
#include <stdatomic.h>
#include <stdio.h>

enum { LONG_ID_BYTES = 2000, ROUNDS = 2, INTERVAL_USEC = 7 };

static struct world {
    unsigned pages, cleanings;
    bool went_on; /* behind the long id */
    usec_t pauses[ROUNDS];
    atomic_uint rounds;
} fake;

static char long_id[LONG_ID_BYTES + 1];

bool __wrap_es_call(const struct es_conf *conf, const char *method, const char *path, struct slice body, usec_t timeout_usec,
                    int *ret_status, struct buf *ret_answer, struct error *reterr);
bool __wrap_es_call(const struct es_conf *conf, const char *method, const char *path, struct slice body, usec_t timeout_usec,
                    int *ret_status, struct buf *ret_answer, struct error *reterr) {
    (void)conf, (void)method, (void)timeout_usec;
    *ret_status = 200;
    if (strstr(path, "_delete_by_query")) {
        fake.cleanings++;
        return error_set(reterr, ERROR_UNAVAILABLE, "403");
    }
    bool first = !memmem(body.data, body.len, "\"after\"", 7);
    fake.pages++;
    fake.went_on = fake.went_on || (!first && memmem(body.data, body.len, long_id, LONG_ID_BYTES));
    buf_append_str(ret_answer, "{\"timed_out\":false,\"_shards\":{\"failed\":0},\"aggregations\":{\"p\":{\"buckets\":[]");
    if (first)
        buf_printf(ret_answer, ",\"after_key\":{\"id\":\"%s\"}", long_id);
    buf_append_str(ret_answer, "}}}");
    return true;
}

bool __wrap_mysql_session_connect(struct mysql_session *s, struct error *reterr);
bool __wrap_mysql_session_connect(struct mysql_session *s, struct error *reterr) {
    (void)s, (void)reterr;
    return true;
}

bool __wrap_mysql_session_queryv(struct mysql_session *s, mysql_row_fn *row, void *ctx, struct error *reterr, const char *sql,
                                 const struct mysql_value *values, size_t count);
bool __wrap_mysql_session_queryv(struct mysql_session *s, mysql_row_fn *row, void *ctx, struct error *reterr, const char *sql,
                                 const struct mysql_value *values, size_t count) {
    (void)s, (void)row, (void)ctx, (void)reterr, (void)sql, (void)values, (void)count;
    return true;
}

usec_t __wrap_lease_valid_until(const struct lease *lease);
usec_t __wrap_lease_valid_until(const struct lease *lease) {
    (void)lease;
    return USEC_NEVER;
}

bool __wrap_window_sleep(struct window *w, usec_t usec);
bool __wrap_window_sleep(struct window *w, usec_t usec) {
    fake.pauses[fake.rounds] = usec;
    if (++fake.rounds == ROUNDS)
        window_stop(w);
    return true;
}

static void test_what_is_too_old_and_odd_ids_hold_nothing_up(void **state) {
    (void)state;
    static struct projector_options options = {
        .mysql = {.host = (char *)(uintptr_t) "127.0.0.1", .port = 1},
        .projector = {.signals_interval_usec = INTERVAL_USEC, .signals_rate = 100, .events_index = (char *)(uintptr_t) "events",
                      .queries_index = (char *)(uintptr_t) "queries"}};
    struct engine_conf conf = {.options = &options};
    struct error error = {0};
    memset(long_id, 'x', LONG_ID_BYTES);
    struct signals_job *job = signals_job_start(&conf, &error);
    assert_non_null(job);
    while (fake.rounds < ROUNDS)
        nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
    signals_job_stop(job);
    assert_true(fake.went_on);
    assert_int_equal(fake.pages, 2 * ROUNDS);
    assert_int_equal(fake.cleanings, ROUNDS);
    for (unsigned i = 0; i < ROUNDS; i++)
        assert_int_equal(fake.pauses[i], INTERVAL_USEC);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_is_too_old_and_odd_ids_hold_nothing_up)};
    mysql_global_init();
    log_set_level(LOG_ERROR);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    mysql_global_done();
    return failed;
}
