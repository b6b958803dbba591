/* A command that waits for a job and, with no projector running, is one itself. */
#include "tests/unit/test.h"
#include "projector/commands/command_wait.h"
#include "projector/engine/lag.h"
#include "projector/lease.h"
#include "projector/owner.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { DEADLINE_SECONDS = 20 };

struct owner {
    struct mail mail;
    void (*on_end)(void *ctx, int code);
    void *ctx;
};

static unsigned looks, owners;
static const char *sink = "index";

bool __wrap_job_control_find(mongoc_client_t *client, const char *database, const char *id, struct job_record *ret,
                             struct error *reterr);
bool __wrap_job_control_find(mongoc_client_t *client, const char *database, const char *id, struct job_record *ret,
                             struct error *reterr) {
    (void)client, (void)database, (void)reterr;
    looks++;
    *ret = (struct job_record){.type = JOB_REINDEX, .state = JOB_RUNNING};
    snprintf(ret->id, sizeof(ret->id), "%s", id);
    return true;
}

bool __wrap_lease_is_free(struct lease *lease, mongoc_client_t *client, bool *ret_free, struct error *reterr);
bool __wrap_lease_is_free(struct lease *lease, mongoc_client_t *client, bool *ret_free, struct error *reterr) {
    (void)lease, (void)client, (void)reterr;
    return *ret_free = true;
}

bool __wrap_state_sink_get(mongoc_client_t *client, const char *database, char *ret, struct error *reterr);
bool __wrap_state_sink_get(mongoc_client_t *client, const char *database, char *ret, struct error *reterr) {
    (void)client, (void)database, (void)reterr;
    snprintf(ret, STATE_SINK_SIZE, "%s", sink);
    return true;
}

/* One that cannot begin: "start.failed" is in the log, and it ends with code 1. */
static void ended(struct mail *mail) {
    struct owner *o = CONTAINER_OF(mail, struct owner, mail);
    o->on_end(o->ctx, 1);
}

struct owner *__wrap_owner_start(const struct projector_options *options, bool relay, struct loop *loop,
                                 void (*on_end)(void *ctx, int code), void *ctx, struct error *reterr);
struct owner *__wrap_owner_start(const struct projector_options *options, bool relay, struct loop *loop,
                                 void (*on_end)(void *ctx, int code), void *ctx, struct error *reterr) {
    (void)options, (void)relay, (void)reterr;
    struct owner *o = calloc(1, sizeof(*o));
    *o = (struct owner){.mail.deliver = ended, .on_end = on_end, .ctx = ctx};
    owners++;
    loop_post(loop, &o->mail);
    return o;
}

void __wrap_owner_stop(struct owner *owner);
void __wrap_owner_stop(struct owner *owner) {
    (void)owner;
}

void __wrap_owner_free(struct owner *owner);
void __wrap_owner_free(struct owner *owner) {
    free(owner);
}

static void test_a_projector_of_our_own_that_ends_by_itself_is_not_waited_for(void **state) {
    (void)state;
    static const struct projector_options options;
    struct command_session session = {.database = "readside"};
    struct command_wait wait = {.command = &command_reindex, .options = &options, .session = &session, .id = "reindex-1"};
    alarm(DEADLINE_SECONDS);
    assert_int_equal(command_wait(&wait), COMMAND_FAILED);
    alarm(0);
    assert_int_equal(owners, 1);
    assert_true(looks > 0);
}

/* Whatever was in the topic: writing the index ourselves is not what was set up. */
static void test_marks_that_went_into_a_topic_are_not_for_us(void **state) {
    (void)state;
    static const struct projector_options options;
    static const char *const sinks[] = {"kafka:marks", STATE_SINK_LOST};
    struct command_session session = {.database = "readside"};
    struct command_wait wait = {.command = &command_reindex, .options = &options, .session = &session, .id = "reindex-1"};
    owners = 0;
    alarm(DEADLINE_SECONDS);
    for (size_t i = 0; i < ARRAY_LEN(sinks); i++) {
        sink = sinks[i];
        assert_int_equal(command_wait(&wait), COMMAND_FAILED);
    }
    alarm(0);
    assert_int_equal(owners, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_projector_of_our_own_that_ends_by_itself_is_not_waited_for),
        cmocka_unit_test(test_marks_that_went_into_a_topic_are_not_for_us),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
