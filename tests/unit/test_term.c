/* A serving index of another release: who may leave it as it is, and when. MongoDB and Elasticsearch are played by the test. */
#include "tests/unit/test.h"
#include "tests/unit/projector_fixture.h"
#include "projector/jobs/jobs.h"
#include "projector/term.h"
#include <stdio.h>

#define SERVING "products-1"

static struct world {
    struct targets targets;
    bool reindexing;
    const char *sink;
} world;

bool __wrap_targets_settle(mongoc_client_t *client, const char *database, const char *serving, usec_t keep_usec,
                           struct targets *ret, struct error *reterr);
bool __wrap_targets_settle(mongoc_client_t *client, const char *database, const char *serving, usec_t keep_usec,
                           struct targets *ret, struct error *reterr) {
    (void)client, (void)database, (void)serving, (void)keep_usec, (void)reterr;
    *ret = world.targets;
    return true;
}

bool __wrap_index_admin_projection(const struct es_conf *es, const char *index, struct projection **ret, struct error *reterr);
bool __wrap_index_admin_projection(const struct es_conf *es, const char *index, struct projection **ret, struct error *reterr) {
    (void)es;
    if (strcmp(index, SERVING) == 0)
        return error_set(reterr, ERROR_INVALID, "version 99");
    *ret = fixture_projection();
    return true;
}

bool __wrap_index_mapping_load(const struct es_conf *es, const char *option, struct index_mapping *ret, struct error *reterr);
bool __wrap_index_mapping_load(const struct es_conf *es, const char *option, struct index_mapping *ret, struct error *reterr) {
    (void)es, (void)option, (void)reterr;
    *ret = (struct index_mapping){.projection = fixture_projection()};
    return true;
}

bool __wrap_jobs_active(mongoc_client_t *client, const char *database, void (*fn)(void *ctx, struct job_record *job), void *ctx,
                        struct error *reterr);
bool __wrap_jobs_active(mongoc_client_t *client, const char *database, void (*fn)(void *ctx, struct job_record *job), void *ctx,
                        struct error *reterr) {
    (void)client, (void)database, (void)reterr;
    struct job_record job = {.type = world.reindexing ? JOB_REINDEX : JOB_SCAN};
    fn(ctx, &job);
    return true;
}

bool __wrap_state_sink_get(mongoc_client_t *client, const char *database, char *ret, struct error *reterr);
bool __wrap_state_sink_get(mongoc_client_t *client, const char *database, char *ret, struct error *reterr) {
    (void)client, (void)database, (void)reterr;
    snprintf(ret, STATE_SINK_SIZE, "%s", world.sink);
    return true;
}

static bool freezes(bool follows, bool reindexing, bool building, const char *sink) {
    static const struct projector_options options = {.mongo.database = (char *)(uintptr_t) "readside"};
    struct term term = {.follows = follows};
    struct error error = {0};
    world = (struct world){.reindexing = reindexing, .sink = sink,
                           .targets = {.revision = 1, .count = building ? 2 : 1, .list[0] = {.index = SERVING, .role = TARGET_SERVING},
                                       .list[1] = {.index = "products-2", .role = TARGET_BUILDING}}};
    bool ok = term_prepare_targets(&term, &options, NULL, SERVING, NULL, NULL, &error);
    assert_int_equal(ok, term.frozen);
    if (!ok) {
        assert_int_equal(error.code, ERROR_INVALID);
        assert_non_null(strstr(error.message, "`projector reindex` makes an index"));
    }
    term_done(&term);
    return ok;
}

static void test_the_owner_waits_for_a_reindex(void **state) {
    (void)state;
    assert_false(freezes(false, false, false, "kafka:marks"));
    assert_true(freezes(false, true, false, "kafka:marks"));
    assert_true(freezes(false, true, true, STATE_SINK_NONE));
}

/* Else its offsets would move over what went into no index, and nobody would know. */
static void test_a_follower_waits_for_the_owner_too(void **state) {
    (void)state;
    assert_false(freezes(true, true, true, "kafka:marks"));
    assert_false(freezes(true, true, false, STATE_SINK_NONE));
    assert_false(freezes(true, false, true, STATE_SINK_NONE));
    assert_true(freezes(true, true, true, STATE_SINK_NONE));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_owner_waits_for_a_reindex),
        cmocka_unit_test(test_a_follower_waits_for_the_owner_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
