/* Indexes that left the set, and what a new one is compared by: MongoDB, Elasticsearch and the clock are played by the test. */
#include "tests/unit/test.h"
#include "projector/jobs/job_check.h"
#include "projector/jobs/job_reindex.h"
#include "projector/jobs/job_runner_internal.h"
#include "tests/unit/projector_fixture.h"
#include <stdio.h>

enum { MINUTE_USEC = 60 * 1000 * 1000 };

static struct world {
    usec_t now;
    bool refuses;
    const char *sink; /* of the verification */
    char said[256];
} fake;

static void say(const char *what, const char *index) {
    size_t len = strlen(fake.said);
    snprintf(fake.said + len, sizeof(fake.said) - len, "%s-%s ", what, index);
}

usec_t __wrap_clock_now_usec(void);
usec_t __wrap_clock_now_usec(void) {
    return fake.now;
}

bool __wrap_state_find_one(mongoc_client_t *client, const char *database, const char *collection, const bson_t *query, bson_t *ret,
                           bool *ret_found, struct error *reterr);
bool __wrap_state_find_one(mongoc_client_t *client, const char *database, const char *collection, const bson_t *query, bson_t *ret,
                           bool *ret_found, struct error *reterr) {
    (void)client, (void)database, (void)collection, (void)query, (void)reterr;
    bson_t *doc = fixture_bson("{\"revision\":{\"$numberLong\":\"3\"},\"list\":[{\"index\":\"products-3\",\"role\":\"serving\"}],"
                               "\"garbage\":[{\"index\":\"products-1\",\"at\":{\"$date\":{\"$numberLong\":\"1000\"}}},"
                               "{\"index\":\"products-2\",\"at\":{\"$date\":{\"$numberLong\":\"1000\"}}}]}");
    bson_copy_to(doc, ret);
    bson_destroy(doc);
    *ret_found = true;
    return true;
}

bool __wrap_state_update(mongoc_client_t *client, const char *database, const char *collection, const bson_t *query,
                         const bson_t *update, bool upsert, int64_t *ret_matched, struct error *reterr);
bool __wrap_state_update(mongoc_client_t *client, const char *database, const char *collection, const bson_t *query,
                         const bson_t *update, bool upsert, int64_t *ret_matched, struct error *reterr) {
    bson_iter_t at, index;
    (void)client, (void)database, (void)collection, (void)query, (void)upsert, (void)ret_matched, (void)reterr;
    assert_true(bson_iter_init(&at, update) && bson_iter_find_descendant(&at, "$pull.garbage.index", &index));
    say("forgotten", bson_iter_utf8(&index, NULL));
    return true;
}

bool __wrap_index_admin_delete(const struct es_conf *es, const char *index, struct error *reterr);
bool __wrap_index_admin_delete(const struct es_conf *es, const char *index, struct error *reterr) {
    (void)es;
    bool refused = fake.refuses && strcmp(index, "products-1") == 0;
    say(refused ? "refused" : "deleted", index);
    return refused ? error_set(reterr, ERROR_INVALID, "403") : true;
}

bool __wrap_es_call(const struct es_conf *es, const char *method, const char *path, struct slice body, usec_t timeout_usec,
                    int *ret_status, struct buf *ret_body, struct error *reterr);
bool __wrap_es_call(const struct es_conf *es, const char *method, const char *path, struct slice body, usec_t timeout_usec,
                    int *ret_status, struct buf *ret_body, struct error *reterr) {
    (void)es, (void)method, (void)path, (void)body, (void)timeout_usec, (void)ret_status, (void)ret_body, (void)reterr;
    return true;
}

int64_t __wrap_job_scan_estimate(mongoc_client_t *client, const char *database);
int64_t __wrap_job_scan_estimate(mongoc_client_t *client, const char *database) {
    (void)client, (void)database;
    return 100;
}

struct job_check *__wrap_job_check_start(const struct verify_conf *conf, const struct buf *ids, struct error *reterr);
struct job_check *__wrap_job_check_start(const struct verify_conf *conf, const struct buf *ids, struct error *reterr) {
    (void)ids, (void)reterr;
    fake.sink = conf->sink;
    return (struct job_check *)&fake;
}

static void look(struct job_runner *r, const char *says) {
    struct error error = {0};
    fake.said[0] = '\0';
    assert_true(job_reindex_targets(r, &error));
    assert_string_equal(fake.said, says);
}

static void test_an_index_that_is_not_deleted_holds_nothing_up(void **state) {
    (void)state;
    static const struct projector_options options = {.mongo.database = (char *)(uintptr_t) "readside"};
    struct targets targets = {.revision = 3, .count = 1, .list[0] = {.index = "products-3", .role = TARGET_SERVING}};
    struct engine_conf conf = {.options = &options, .targets = &targets, .index = "products-3"};
    struct job_runner r = {.conf = &conf};
    fake = (struct world){.now = MINUTE_USEC, .refuses = true};
    look(&r, "refused-products-1 deleted-products-2 forgotten-products-2 ");
    look(&r, "");
    fake.now += MINUTE_USEC;
    fake.refuses = false;
    look(&r, "deleted-products-1 forgotten-products-1 deleted-products-2 forgotten-products-2 ");
}

/* While the serving index of another release is left out, what is stored tells nothing of the topic. */
static void test_a_new_index_is_compared_once_the_topic_is_read(void **state) {
    (void)state;
    static const struct projector_options options = {.mongo.database = (char *)(uintptr_t) "readside"};
    struct targets targets = {.revision = 3, .count = 2, .list[0] = {.index = "products-3", .role = TARGET_SERVING},
                              .list[1] = {.index = "products-4", .role = TARGET_BUILDING}};
    struct engine_conf conf = {.options = &options, .targets = &targets, .index = "products-3", .frozen = true,
                               .sink = "kafka:marks"};
    struct job_runner r = {.conf = &conf, .stored = targets, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct job_run run = {.record = {.type = JOB_REINDEX, .phase = JOB_PHASE_VERIFY, .index = "products-4"}};
    struct error error = {0};
    bool busy = false;
    fake = (struct world){.now = MINUTE_USEC};
    assert_true(job_reindex_ready(&r, &run, &busy, &error));
    assert_non_null(run.check);
    assert_string_equal(fake.sink, "kafka:marks");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_index_that_is_not_deleted_holds_nothing_up),
        cmocka_unit_test(test_a_new_index_is_compared_once_the_topic_is_read),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
