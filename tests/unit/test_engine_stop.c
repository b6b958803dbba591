/* An engine that ends while MongoDB is away. */
#include "tests/unit/test.h"
#include "tests/unit/projector_fixture.h"
#include "core/hash.h"
#include "projector/engine/dead_letter.h"
#include "projector/engine/engine_internal.h"
#include "projector/engine/lag.h"
#include <stdatomic.h>
#include <stdio.h>

enum { LETTERS = 300, AWAY_USEC = 50 * 1000 };

static atomic_uint asked;

bool __wrap_dead_letter_list(mongoc_client_t *client, const char *database, size_t max, bool (*fn)(void *ctx, struct slice id),
                             void *ctx, struct error *reterr);
bool __wrap_dead_letter_list(mongoc_client_t *client, const char *database, size_t max, bool (*fn)(void *ctx, struct slice id),
                             void *ctx, struct error *reterr) {
    (void)client, (void)database, (void)max, (void)fn, (void)ctx, (void)reterr;
    return true;
}

/* What a server selection that times out looks like, only shorter. */
bool __wrap_lease_check(struct lease *lease, mongoc_client_t *client, bool *ret_ours, struct error *reterr);
bool __wrap_lease_check(struct lease *lease, mongoc_client_t *client, bool *ret_ours, struct error *reterr) {
    (void)lease, (void)client, (void)ret_ours;
    asked++;
    nanosleep(&(struct timespec){.tv_nsec = AWAY_USEC * 1000}, NULL);
    return error_set(reterr, ERROR_UNAVAILABLE, "MongoDB is away");
}

static void put_aside(struct engine *e, struct segment *segment) {
    struct lane_entry *entries[LETTERS];
    struct engine_lane *l = &e->lanes[0];
    for (int i = 0; i < LETTERS; i++) {
        char id[16];
        size_t len = (size_t)snprintf(id, sizeof(id), "p%d", i);
        assert_true(lane_mark(&l->lane, id, len, hash_bytes(id, len), 0, segment));
    }
    assert_int_equal(lane_take(&l->lane, MARK_LIVE, LETTERS, entries), LETTERS);
    for (int i = 0; i < LETTERS; i++)
        assert_true(store_dead_letter(l, entries[i], "400 refused", 400, 1, SLICE("{}"), 1));
}

static void test_letters_that_cannot_be_stored_hold_up_no_end(void **state) {
    (void)state;
    static struct projector_options options = {
        .mongo = {.uri = (char *)(uintptr_t) "mongodb://127.0.0.1:1/?replicaSet=rs0", .database = (char *)(uintptr_t) "readside",
                  .timeout_usec = USEC_PER_SEC, .server_selection_usec = USEC_PER_SEC},
        .mysql = {.host = (char *)(uintptr_t) "127.0.0.1", .port = 1},
        .es = {.url = (char *)(uintptr_t) "http://127.0.0.1:1"},
        .projector = {.lane_count = 2, .bulk_max_bytes = 1 << 20, .bulk_max_docs = 100, .document_max_bytes = 1 << 20,
                      .window_marks = 1000, .background_window_marks = 1000, .retry_min_usec = 1000, .retry_max_usec = 1000}};
    struct targets targets = {.count = 1, .list[0] = {.index = "products-1", .role = TARGET_SERVING}};
    struct error error = {0};
    struct projection *projection = fixture_projection();
    struct category_tree *tree = fixture_tree();
    struct engine_conf conf = {.options = &options, .targets = &targets, .index = "products-1", .tree = tree,
                               .projections[0] = projection};
    struct lease_conf lease = {.ttl_usec = USEC_PER_SEC, .renew_usec = USEC_PER_SEC};
    conf.pool = mongo_pool_new(&options.mongo, "test", 8, &error);
    conf.lease = lease_new(&lease, &error);
    struct segment *segment = segment_new(MARK_STREAM, MARK_LIVE, 1 << 20);
    struct engine *e = engine_new(&conf, &error);
    if (!e)
        fail_msg("%s", error.message);
    put_aside(e, segment);
    usec_t begun = clock_now_usec();
    engine_free(e);
    usec_t took = clock_now_usec() - begun;
    if (asked > 10 || took > 12 * USEC_PER_SEC) /* one after the other they would take 15 s */
        fail_msg("MongoDB was asked %u times, for %llu ms", (unsigned)asked, (unsigned long long)(took / 1000));
    segment_free(segment);
    lease_free(conf.lease);
    mongoc_client_pool_destroy(conf.pool);
    category_tree_unref(tree);
    projection_free(projection);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_letters_that_cannot_be_stored_hold_up_no_end)};
    mongo_global_init();
    mysql_global_init();
    lag_register();
    log_set_level(LOG_ERROR);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    mysql_global_done();
    mongo_global_done();
    return failed;
}
