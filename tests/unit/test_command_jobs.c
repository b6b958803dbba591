/* projector jobs, with MongoDB played by the test. */
#include "tests/unit/test.h"
#include "projector/commands/command_wait.h"
#include "projector/jobs/job_control.h"
#include <stdio.h>

static unsigned confirmed, wished;
static enum error_code find_error = ERROR_UNAVAILABLE;

bool __wrap_command_session_open(const struct projector_options *options, struct command_session *ret, struct error *reterr);
bool __wrap_command_session_open(const struct projector_options *options, struct command_session *ret, struct error *reterr) {
    (void)options, (void)reterr;
    *ret = (struct command_session){.database = "readside"};
    return true;
}

void __wrap_command_session_close(struct command_session *session);
void __wrap_command_session_close(struct command_session *session) {
    (void)session;
}

bool __wrap_jobs_confirm(mongoc_client_t *client, const char *database, const char *id, struct error *reterr);
bool __wrap_jobs_confirm(mongoc_client_t *client, const char *database, const char *id, struct error *reterr) {
    (void)client, (void)database, (void)id, (void)reterr;
    confirmed++;
    return true;
}

bool __wrap_job_control_wish(mongoc_client_t *client, const char *database, const char *id, enum job_wish wish, int64_t throttle,
                             struct error *reterr);
bool __wrap_job_control_wish(mongoc_client_t *client, const char *database, const char *id, enum job_wish wish, int64_t throttle,
                             struct error *reterr) {
    (void)client, (void)database, (void)id, (void)wish, (void)throttle, (void)reterr;
    wished++;
    return true;
}

bool __wrap_job_control_find(mongoc_client_t *client, const char *database, const char *id, struct job_record *ret,
                             struct error *reterr);
bool __wrap_job_control_find(mongoc_client_t *client, const char *database, const char *id, struct job_record *ret,
                             struct error *reterr) {
    (void)client, (void)database, (void)id, (void)ret;
    return error_set(reterr, find_error, "MongoDB is away");
}

static int jobs(const char *verb, const char *value) {
    static const struct projector_options options;
    char words[4][16] = {"jobs", "", "reindex-1", ""}, *argv[] = {words[0], words[1], words[2], words[3], NULL};
    snprintf(words[1], sizeof(words[1]), "%s", verb);
    snprintf(words[3], sizeof(words[3]), "%s", value);
    confirmed = wished = 0;
    return command_jobs.run(&options, 4, argv);
}

static void test_what_is_done_is_no_failure_if_the_job_cannot_be_read(void **state) {
    (void)state;
    assert_int_equal(jobs("confirm", "--json"), COMMAND_OK);
    assert_int_equal(confirmed, 1);
    static const char *const verbs[] = {"pause", "resume"};
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        assert_int_equal(jobs(verbs[i], "--json"), COMMAND_OK);
        assert_int_equal(wished, 1);
    }
    assert_int_equal(jobs("throttle", "100"), COMMAND_OK);
    assert_int_equal(wished, 1);
}

/* Whether it has been ended is not known. */
static void test_a_cancel_is_asked_for_if_the_job_cannot_be_read(void **state) {
    (void)state;
    find_error = ERROR_INTERNAL;
    assert_int_equal(jobs("cancel", "--json"), COMMAND_UNREACHABLE);
    assert_int_equal(wished, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_done_is_no_failure_if_the_job_cannot_be_read),
        cmocka_unit_test(test_a_cancel_is_asked_for_if_the_job_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
