#include "core/mongo.h"
#include "tests/e2e/core_stores.h"
#include <stdlib.h>

struct fixture {
    struct mongo_conf conf;
    mongoc_client_pool_t *pool;
    mongoc_client_t *client;
    mongoc_collection_t *collection;
    char database[64];
};

static struct mongo_conf conf_from_env(void) {
    env_or_skip("READSIDE_MONGO_URI");
    return store_confs.mongo;
}

static int setup(void **state) {
    struct error e = {0};
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    *state = f;
    f->conf = conf_from_env();
    unique_name("mongo", f->database);
    f->pool = mongo_pool_new(&f->conf, "e2e_core_stores", 2, &e);
    assert_ok(f->pool, e);
    f->client = mongoc_client_pool_pop(f->pool);
    assert_ok(mongo_wait(f->client, NULL, NULL, &e), e);
    f->collection = mongoc_client_get_collection(f->client, f->database, "things");
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    mongoc_database_t *database = mongoc_client_get_database(f->client, f->database);
    mongoc_database_drop(database, NULL);
    mongoc_database_destroy(database);
    mongoc_collection_destroy(f->collection);
    mongoc_client_pool_push(f->pool, f->client);
    mongoc_client_pool_destroy(f->pool);
    free(f);
    return 0;
}

static void concerns_are_majority_whatever_the_uri_says(void **state) {
    struct fixture *f = *state;
    struct error e = {0};
    char uri[512];
    snprintf(uri, sizeof(uri), "%s%sw=1&readConcernLevel=local", f->conf.uri, strchr(f->conf.uri, '?') ? "&" : "/?");
    struct mongo_conf conf = f->conf;
    conf.uri = uri;
    mongoc_client_pool_t *pool = mongo_pool_new(&conf, "e2e_core_stores", 1, &e);
    assert_ok(pool, e);
    mongoc_client_t *client = mongoc_client_pool_pop(pool);
    assert_true(mongoc_write_concern_get_wmajority(mongoc_client_get_write_concern(client)));
    assert_string_equal(mongoc_read_concern_get_level(mongoc_client_get_read_concern(client)), "majority");
    assert_string_equal(mongoc_uri_get_appname(mongoc_client_get_uri(client)), "e2e_core_stores");
    mongoc_client_pool_push(pool, client);
    mongoc_client_pool_destroy(pool);
}

static void a_duplicate_is_a_conflict(void **state) {
    struct fixture *f = *state;
    struct error e = {0};
    bson_error_t be;
    bson_t reply, *document = BCON_NEW("_id", "one");
    assert_true(mongoc_collection_insert_one(f->collection, document, NULL, NULL, &be));
    assert_false(mongoc_collection_insert_one(f->collection, document, NULL, &reply, &be));
    assert_error(mongo_error("insert", &be, &reply, &e), e, ERROR_CONFLICT);
    assert_non_null(strstr(e.message, "E11000"));
    bson_destroy(&reply);
    bson_destroy(document);
}

static void a_document_over_16_mib_is_invalid(void **state) {
    enum { BYTES = 17 << 20 };
    struct fixture *f = *state;
    struct error e = {0};
    bson_error_t be;
    bson_t document = BSON_INITIALIZER;
    char *text = malloc(BYTES);
    assert_non_null(text);
    memset(text, 'x', BYTES);
    assert_true(bson_append_utf8(&document, "text", 4, text, BYTES));
    assert_false(mongoc_collection_insert_one(f->collection, &document, NULL, NULL, &be));
    assert_error(mongo_error("insert", &be, NULL, &e), e, ERROR_INVALID);
    bson_destroy(&document);
    free(text);
}

static void a_time_limit_is_a_timeout(void **state) {
    struct fixture *f = *state;
    struct error e = {0};
    bson_error_t be;
    bson_t reply, *document = BCON_NEW("_id", "one");
    bson_t *command = BCON_NEW("find", "things", "filter", "{", "$where", BCON_UTF8("sleep(2000) || true"), "}", "maxTimeMS",
                               BCON_INT32(50));
    assert_true(mongoc_collection_insert_one(f->collection, document, NULL, NULL, &be));
    assert_false(mongoc_client_command_simple(f->client, f->database, command, NULL, &reply, &be));
    assert_error(mongo_error("find", &be, &reply, &e), e, ERROR_TIMEOUT);
    bson_destroy(&reply);
    bson_destroy(command);
    bson_destroy(document);
}

/* Opens a stream with a token and returns what it says. */
static void stream_error(struct fixture *f, bson_t *options, bson_error_t *ret) {
    const bson_t *event;
    bson_t pipeline = BSON_INITIALIZER;
    mongoc_change_stream_t *stream = mongoc_collection_watch(f->collection, &pipeline, options);
    while (mongoc_change_stream_next(stream, &event))
        ;
    assert_true(mongoc_change_stream_error_document(stream, ret, NULL));
    mongoc_change_stream_destroy(stream);
    bson_destroy(&pipeline);
}

static void bad_resume_positions_are_history_lost(void **state) {
    struct fixture *f = *state;
    bson_error_t be;
    bson_t *damaged = BCON_NEW("resumeAfter", "{", "_data", BCON_UTF8("8263zz"), "}");
    bson_t *cut = BCON_NEW("resumeAfter", "{", "_data", BCON_UTF8("82"), "}");
    bson_t *all[] = {damaged, cut};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        stream_error(f, all[i], &be);
        if (!mongo_is_history_lost(&be))
            fail_msg("case %zu: %u/%u %s", i, be.domain, be.code, be.message);
        bson_destroy(all[i]);
    }
}

static bool stop_at_once(void *ctx, const struct error *why, usec_t retry_in) {
    (void)ctx, (void)retry_in;
    assert_int_equal(why->code, ERROR_UNAVAILABLE);
    return false;
}

static void nobody_there_is_unavailable_and_quick(void **state) {
    (void)state;
    struct error e = {0};
    struct mongo_conf conf = conf_from_env();
    conf.uri = (char *)(uintptr_t)"mongodb://127.0.0.1:1/?replicaSet=rs0";
    conf.server_selection_usec = USEC_PER_SEC / 2;
    mongoc_client_pool_t *pool = mongo_pool_new(&conf, "e2e_core_stores", 1, &e);
    assert_ok(pool, e);
    mongoc_client_t *client = mongoc_client_pool_pop(pool);
    usec_t since = clock_now_usec();
    assert_error(mongo_wait(client, stop_at_once, NULL, &e), e, ERROR_UNAVAILABLE);
    assert_true(clock_now_usec() - since < 5 * USEC_PER_SEC);
    mongoc_client_pool_push(pool, client);
    mongoc_client_pool_destroy(pool);
}

int run_mongo_tests(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(concerns_are_majority_whatever_the_uri_says, setup, teardown),
        cmocka_unit_test_setup_teardown(a_duplicate_is_a_conflict, setup, teardown),
        cmocka_unit_test_setup_teardown(a_document_over_16_mib_is_invalid, setup, teardown),
        cmocka_unit_test_setup_teardown(a_time_limit_is_a_timeout, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_resume_positions_are_history_lost, setup, teardown),
        cmocka_unit_test(nobody_there_is_unavailable_and_quick),
    };
    return cmocka_run_group_tests_name("mongo", tests, NULL, NULL);
}
