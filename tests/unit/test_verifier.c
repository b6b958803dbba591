/* Continuous verification: which passes move "verified as of". What the walks find is said here. */
#include "tests/unit/test.h"
#include "projector/engine/lag.h"
#include "projector/jobs/jobs.h"
#include "projector/state.h"
#include "projector/status.h"
#include "projector/verify/verifier.h"
#include "projector/verify/verify.h"
#include <pthread.h>
#include <stdio.h>

/* A pass: what its walk finds, and what is found when that was repaired. */
static struct world {
    struct verify_counts walk, repaired;
    unsigned runs, repairs;
    bson_t *stored; /* under the lock */
} world;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t stored = PTHREAD_COND_INITIALIZER;

bool __wrap_verify_run(const struct verify_conf *conf, struct verify_counts *ret, struct error *reterr);
bool __wrap_verify_run(const struct verify_conf *conf, struct verify_counts *ret, struct error *reterr) {
    (void)reterr;
    *ret = conf->ids ? world.repaired : world.walk;
    ret->complete = true;
    world.runs++;
    for (int64_t i = 0; !conf->ids && i < ret->found[VERIFY_MISSING]; i++) {
        char id[16];
        struct verify_difference d = {.kind = VERIFY_MISSING, .in_source = true};
        d.id = (struct slice){id, (size_t)snprintf(id, sizeof(id), "p%d", (int)i)};
        assert_true(conf->difference(conf->ctx, &d));
    }
    return true;
}

bool __wrap_jobs_insert_repair(mongoc_client_t *client, const char *database, const char *reason, const struct slice *ids,
                               size_t count, bool waiting, char ret_id[JOB_ID_SIZE], struct error *reterr);
bool __wrap_jobs_insert_repair(mongoc_client_t *client, const char *database, const char *reason, const struct slice *ids,
                               size_t count, bool waiting, char ret_id[JOB_ID_SIZE], struct error *reterr) {
    (void)client, (void)database, (void)reason, (void)ids, (void)waiting, (void)reterr;
    snprintf(ret_id, JOB_ID_SIZE, "repair-%u", ++world.repairs);
    return count > 0;
}

bool __wrap_jobs_state_of(mongoc_client_t *client, const char *database, const char *id, enum job_state *ret, int64_t *ret_done,
                          struct error *reterr);
bool __wrap_jobs_state_of(mongoc_client_t *client, const char *database, const char *id, enum job_state *ret, int64_t *ret_done,
                          struct error *reterr) {
    (void)client, (void)database, (void)id, (void)reterr;
    *ret = JOB_DONE;
    *ret_done = 1;
    return true;
}

bool __wrap_jobs_active(mongoc_client_t *client, const char *database, void (*fn)(void *ctx, struct job_record *job), void *ctx,
                        struct error *reterr);
bool __wrap_jobs_active(mongoc_client_t *client, const char *database, void (*fn)(void *ctx, struct job_record *job), void *ctx,
                        struct error *reterr) {
    (void)client, (void)database, (void)fn, (void)ctx, (void)reterr;
    return true;
}

bool __wrap_state_find_one(mongoc_client_t *client, const char *database, const char *collection, const bson_t *query, bson_t *ret,
                           bool *ret_found, struct error *reterr);
bool __wrap_state_find_one(mongoc_client_t *client, const char *database, const char *collection, const bson_t *query, bson_t *ret,
                           bool *ret_found, struct error *reterr) {
    (void)client, (void)database, (void)collection, (void)query, (void)reterr;
    bson_init(ret);
    *ret_found = false;
    return true;
}

bool __wrap_state_update(mongoc_client_t *client, const char *database, const char *collection, const bson_t *query,
                         const bson_t *update, bool upsert, int64_t *ret_matched, struct error *reterr);
bool __wrap_state_update(mongoc_client_t *client, const char *database, const char *collection, const bson_t *query,
                         const bson_t *update, bool upsert, int64_t *ret_matched, struct error *reterr) {
    (void)client, (void)database, (void)collection, (void)query, (void)upsert, (void)ret_matched, (void)reterr;
    pthread_mutex_lock(&lock);
    if (!world.stored)
        world.stored = bson_copy(update);
    pthread_cond_signal(&stored);
    pthread_mutex_unlock(&lock);
    return true;
}

uint64_t __wrap_lease_epoch(const struct lease *lease);
uint64_t __wrap_lease_epoch(const struct lease *lease) {
    (void)lease;
    return 1;
}

usec_t __wrap_lease_valid_until(const struct lease *lease);
usec_t __wrap_lease_valid_until(const struct lease *lease) {
    (void)lease;
    return USEC_NEVER;
}

mongoc_client_t *__wrap_mongoc_client_pool_pop(mongoc_client_pool_t *pool);
mongoc_client_t *__wrap_mongoc_client_pool_pop(mongoc_client_pool_t *pool) {
    (void)pool;
    return NULL;
}

void __wrap_mongoc_client_pool_push(mongoc_client_pool_t *pool, mongoc_client_t *client);
void __wrap_mongoc_client_pool_push(mongoc_client_pool_t *pool, mongoc_client_t *client) {
    (void)pool, (void)client;
}

/* One pass: does it move "verified as of"? */
static bool moves(const struct verify_counts *walk, const struct verify_counts *repaired) {
    static struct projector_options options = {.projector = {.verify_rate = 500, .verify_repair = true}};
    options.projector.verify_pause_usec = 1000 * USEC_PER_SEC;
    struct engine_conf conf = {.options = &options, .index = "products-1"};
    struct error error = {0};
    world = (struct world){.walk = *walk, .repaired = *repaired};
    struct verifier *verifier = verifier_start(&conf, &error);
    assert_non_null(verifier);
    pthread_mutex_lock(&lock);
    while (!world.stored)
        pthread_cond_wait(&stored, &lock);
    pthread_mutex_unlock(&lock);
    verifier_stop(verifier);
    assert_int_equal(state_i64(world.stored, "$set.passes"), 1);
    bson_iter_t at, time;
    bool moved = bson_iter_init(&at, world.stored) && bson_iter_find_descendant(&at, "$set.verified_as_of", &time);
    bson_destroy(world.stored);
    return moved;
}

static void test_what_is_verified(void **state) {
    (void)state;
    static const struct {
        struct verify_counts walk, repaired;
        bool moves;
        unsigned repairs;
    } cases[] = {
        {{.compared = 9}, {0}, true, 0},
        {{.compared = 9, .found[VERIFY_DEAD] = 1}, {0}, true, 0},
        {{.compared = 9, .unsettled = 1}, {0}, false, 0}, /* nobody knows what it says */
        {{.compared = 9, .unsettled = 2, .followed = 1}, {0}, false, 0},
        {{.compared = 9, .unsettled = 2, .followed = 2}, {0}, true, 0}, /* but it is what a write of just now says */
        {{.compared = 9, .found[VERIFY_MISSING] = 2}, {0}, true, 1},
        {{.compared = 9, .found[VERIFY_MISSING] = 2}, {.found[VERIFY_MISSING] = 1}, false, 1},
        {{.compared = 9, .found[VERIFY_MISSING] = 2}, {.unsettled = 1}, false, 1},
        {{.compared = 9, .found[VERIFY_ORPHANED] = 1, .foreign = 1}, {0}, true, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (moves(&cases[i].walk, &cases[i].repaired) != cases[i].moves || world.repairs != cases[i].repairs)
            fail_msg("case %zu: %u repairs", i, world.repairs);
}

int main(void) {
    lag_register();
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_is_verified)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    status_done();
    return failed;
}
