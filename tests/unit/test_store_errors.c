/* What each store's error numbers mean to us; what the messages say. */
#include "core/cleanup.h"
#include "core/es.h"
#include "core/kafka_internal.h"
#include "core/mongo.h"
#include "core/mongo_error.h"
#include "core/mysql_error.h"
#include "core/retry.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void mysql_numbers(void **state) {
    (void)state;
    static const struct {
        unsigned number;
        enum error_code code;
        bool lost;
    } cases[] = {
        {1062, ERROR_CONFLICT, false},    {1205, ERROR_OVERLOADED, false},  {1213, ERROR_OVERLOADED, false},
        {1644, ERROR_INVALID, false},     {3819, ERROR_INVALID, false},     {4025, ERROR_INVALID, false},
        {1264, ERROR_INVALID, false},     {2002, ERROR_UNAVAILABLE, true},  {2003, ERROR_UNAVAILABLE, true},
        {2006, ERROR_UNAVAILABLE, true},  {2013, ERROR_UNAVAILABLE, true},  {1053, ERROR_UNAVAILABLE, true},
        {1129, ERROR_UNAVAILABLE, true},  {1040, ERROR_UNAVAILABLE, true},  {1290, ERROR_UNAVAILABLE, false},
        {1146, ERROR_UNAVAILABLE, false}, {1064, ERROR_INTERNAL, false},    {0, ERROR_INTERNAL, false},
        {1020, ERROR_OVERLOADED, false},  {4031, ERROR_UNAVAILABLE, true},  {9999, ERROR_INTERNAL, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(mysql_error_code(cases[i].number), cases[i].code);
        assert_int_equal(mysql_error_is_lost(cases[i].number), cases[i].lost);
    }
}

static void mongo_numbers(void **state) {
    (void)state;
    static const struct {
        uint32_t domain, number;
        enum error_code code;
        bool history_lost; /* if it comes from a change stream */
    } cases[] = {
        {MONGOC_ERROR_SERVER, 11000, ERROR_CONFLICT, false},
        {MONGOC_ERROR_SERVER, 112, ERROR_OVERLOADED, false},
        {MONGOC_ERROR_SERVER, 50, ERROR_TIMEOUT, false},
        {MONGOC_ERROR_SERVER, 10107, ERROR_UNAVAILABLE, false},
        {MONGOC_ERROR_SERVER, 2, ERROR_INVALID, false},
        {MONGOC_ERROR_SERVER, 9, ERROR_INVALID, true},
        {MONGOC_ERROR_SERVER, 15, ERROR_INVALID, true},
        {MONGOC_ERROR_SERVER, 136, ERROR_HISTORY_LOST, true},
        {MONGOC_ERROR_SERVER, 260, ERROR_HISTORY_LOST, true},
        {MONGOC_ERROR_SERVER, 280, ERROR_HISTORY_LOST, true},
        {MONGOC_ERROR_SERVER, 286, ERROR_HISTORY_LOST, true},
        {MONGOC_ERROR_SERVER, 40573, ERROR_UNAVAILABLE, false},
        {MONGOC_ERROR_SERVER, 59, ERROR_INTERNAL, false},
        {MONGOC_ERROR_WRITE_CONCERN, 64, ERROR_TIMEOUT, false},
        {MONGOC_ERROR_SERVER_SELECTION, MONGOC_ERROR_SERVER_SELECTION_FAILURE, ERROR_UNAVAILABLE, false},
        {MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET, ERROR_UNAVAILABLE, false},
        {MONGOC_ERROR_CLIENT, MONGOC_ERROR_CLIENT_AUTHENTICATE, ERROR_UNAVAILABLE, false},
        {MONGOC_ERROR_BSON, MONGOC_ERROR_BSON_INVALID, ERROR_INVALID, false},
        {MONGOC_ERROR_COMMAND, MONGOC_ERROR_COMMAND_INVALID_ARG, ERROR_INTERNAL, false},
        {MONGOC_ERROR_STREAM, 9, ERROR_UNAVAILABLE, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bson_error_t e = {.domain = cases[i].domain, .code = cases[i].number};
        assert_int_equal(mongo_error_code(e.domain, e.code), cases[i].code);
        assert_int_equal(mongo_is_history_lost(&e), cases[i].history_lost);
    }
}

static void mongo_labels_make_unknown_numbers_retriable(void **state) {
    (void)state;
    bson_error_t e = {.domain = MONGOC_ERROR_SERVER, .code = 4242, .message = "odd"};
    struct error error = {0};
    bson_t *reply = BCON_NEW("errorLabels", "[", "RetryableWriteError", "]");
    assert_false(mongo_error("insert", &e, reply, &error));
    assert_int_equal(error.code, ERROR_UNAVAILABLE);
    assert_string_equal(error.message, "MongoDB insert failed (4242): odd");
    assert_false(mongo_error("insert", &e, NULL, &error));
    assert_int_equal(error.code, ERROR_INTERNAL);
    bson_destroy(reply);
}

static void mongo_uri_is_refused_without_showing_it(void **state) {
    (void)state;
    struct mongo_conf conf = {.uri = (char *)(uintptr_t) "mongodb://u:hidden@:x/", .timeout_usec = USEC_PER_SEC};
    struct error e = {0};
    assert_null(mongo_pool_new(&conf, "test", 1, &e));
    assert_int_equal(e.code, ERROR_INVALID);
    assert_null(strstr(e.message, "hidden"));
}

static void mongo_is_read_where_it_is_written(void **state) {
    (void)state;
    static const char *const uris[] = {"mongodb://h/?replicaSet=rs0", "mongodb://h/?replicaSet=rs0&readPreference=secondary",
                                       "mongodb://h/?replicaSet=rs0&readPreference=nearest&readPreferenceTags=dc:east&"
                                       "maxStalenessSeconds=120"};
    for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++) {
        struct mongo_conf conf = {.uri = (char *)(uintptr_t)uris[i], .timeout_usec = USEC_PER_SEC,
                                  .server_selection_usec = USEC_PER_SEC};
        struct error e = {0};
        mongoc_client_pool_t *pool = mongo_pool_new(&conf, "test", 1, &e);
        if (!pool)
            fail_msg("%s: %s", uris[i], e.message);
        mongoc_client_t *client = mongoc_client_pool_pop(pool);
        const mongoc_read_prefs_t *prefs = mongoc_client_get_read_prefs(client);
        assert_int_equal(mongoc_read_prefs_get_mode(prefs), MONGOC_READ_PRIMARY);
        assert_true(bson_empty(mongoc_read_prefs_get_tags(prefs)));
        mongoc_client_pool_push(pool, client);
        mongoc_client_pool_destroy(pool);
    }
}

static void kafka_numbers(void **state) {
    (void)state;
    static const struct {
        rd_kafka_resp_err_t number;
        enum error_code code;
    } cases[] = {
        {RD_KAFKA_RESP_ERR_NO_ERROR, ERROR_NONE},
        {RD_KAFKA_RESP_ERR__QUEUE_FULL, ERROR_OVERLOADED},
        {RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, ERROR_TIMEOUT},
        {RD_KAFKA_RESP_ERR__TRANSPORT, ERROR_UNAVAILABLE},
        {RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, ERROR_UNAVAILABLE},
        {RD_KAFKA_RESP_ERR__FATAL, ERROR_INTERNAL},
        {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, ERROR_INVALID},
        {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, ERROR_NOT_FOUND},
        {RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, ERROR_HISTORY_LOST},
        {RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, ERROR_CONFLICT},
        {RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, ERROR_UNAVAILABLE},
        {RD_KAFKA_RESP_ERR_INVALID_MSG, ERROR_CORRUPT},
        {RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, ERROR_INTERNAL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(kafka_error_code(cases[i].number), cases[i].code);
    assert_true(strlen(kafka_library_version()) >= 5);
}

static void kafka_says_which_settings_to_look_at(void **state) {
    (void)state;
    static const char broker[] = "sasl_ssl://127.0.0.1:9093/bootstrap: ", tls[] = "; check [kafka] tls and ca_file";
    static const struct {
        rd_kafka_resp_err_t code;
        const char *reason, *advice;
    } cases[] = {
        {RD_KAFKA_RESP_ERR__SSL, "SSL handshake failed", tls},
        {RD_KAFKA_RESP_ERR__TRANSPORT, "error:0A000086:SSL routines::certificate verify failed (in state SSL_HANDSHAKE)", tls},
        {RD_KAFKA_RESP_ERR__AUTHENTICATION, "SASL authentication error", "; check [kafka] user"},
        {RD_KAFKA_RESP_ERR__TRANSPORT, "Disconnected while requesting ApiVersion", "; if it speaks TLS"},
        {RD_KAFKA_RESP_ERR__TRANSPORT, "Connect to ipv4#127.0.0.1:9093 failed: Connection refused", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char reason[160];
        snprintf(reason, sizeof(reason), "%s%s", broker, cases[i].reason);
        const char *advice = kafka_advice(cases[i].code, reason);
        assert_memory_equal(advice, cases[i].advice, strlen(cases[i].advice));
        assert_int_equal(advice[0] != '\0', cases[i].advice[0] != '\0');
    }
}

static const struct {
    int status;
    const char *body;
    enum error_code code;
    const char *message;
} es_cases[] = {
    {404, "{\"error\":{\"type\":\"index_not_found_exception\",\"reason\":\"no such index [p]\"},\"status\":404}", ERROR_NOT_FOUND,
     "Elasticsearch answered 404 index_not_found_exception: no such index [p]"},
    {400,
     "{\"error\":{\"type\":\"document_parsing_exception\",\"reason\":\"failed to parse\",\"caused_by\":{\"type\":\"x\",\"reason\":"
     "\"For input\",\"caused_by\":{\"type\":\"y\",\"reason\":\"innermost\"}}}}",
     ERROR_INVALID, "Elasticsearch answered 400 document_parsing_exception: failed to parse <- innermost"},
    {400, "{\"error\":{\"type\":\"resource_already_exists_exception\",\"reason\":\"r\"}}", ERROR_CONFLICT,
     "Elasticsearch answered 400 resource_already_exists_exception: r"},
    {409, "{\"error\":{\"type\":\"version_conflict_engine_exception\",\"reason\":\"r\"}}", ERROR_CONFLICT,
     "Elasticsearch answered 409 version_conflict_engine_exception: r"},
    {401, "{\"error\":\"who?\"}", ERROR_UNAVAILABLE,
     "Elasticsearch answered 401: who?; check [elasticsearch] user, password or api_key"},
    {403, "{\"error\":{\"type\":\"security_exception\",\"reason\":\"r\"}}", ERROR_UNAVAILABLE,
     "Elasticsearch answered 403 security_exception: r; the user or API key of [elasticsearch] lacks this right"},
    {413, "", ERROR_INVALID, "Elasticsearch answered 413"},
    {429, "{\"error\":{\"type\":\"es_rejected_execution_exception\",\"reason\":\"r\"}}", ERROR_OVERLOADED,
     "Elasticsearch answered 429 es_rejected_execution_exception: r"},
    {502, "<html>bad gateway</html>", ERROR_UNAVAILABLE, "Elasticsearch answered 502"},
    {503, "{\"error\":{\"type\":7,\"reason\":null}}", ERROR_UNAVAILABLE, "Elasticsearch answered 503 : "},
    {408, "[]", ERROR_TIMEOUT, "Elasticsearch answered 408"},
    {301, "{}", ERROR_INTERNAL, "Elasticsearch answered 301"},
};

static void es_answers(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(es_cases); i++) {
        _cleanup_(buf_done) struct buf body = BUF_INIT(4096);
        buf_append_str(&body, es_cases[i].body);
        struct http_response response = {.status = es_cases[i].status, .body = &body};
        struct error e = {0};
        assert_false(es_error(&response, &e));
        assert_int_equal(e.code, es_cases[i].code);
        assert_string_equal(e.message, es_cases[i].message);
    }
}

static void es_without_an_answer_is_the_transports_error(void **state) {
    (void)state;
    struct http_response response = {.error = {ERROR_TIMEOUT, "no answer after 2 s"}};
    struct error e = {0};
    assert_false(es_error(&response, &e));
    assert_int_equal(e.code, ERROR_TIMEOUT);
    assert_string_equal(e.message, "Elasticsearch: no answer after 2 s");
}

static void es_refuses_bad_addresses(void **state) {
    (void)state;
    static const char *const bad[] = {"", " , ", "127.0.0.1:9200", "http://a:1,ftp://b"};
    _cleanup_(buf_done) struct buf body = BUF_INIT(4096);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct es_conf conf = {.url = (char *)(uintptr_t)bad[i], .timeout_usec = USEC_PER_SEC};
        struct error e = {0};
        assert_false(es_call(&conf, "GET", "/", SLICE(""), 0, NULL, &body, &e));
        assert_int_equal(e.code, ERROR_INVALID);
    }
}

struct tries {
    unsigned attempts, waits, stop_after;
    struct error why;
};

static bool attempt(void *ctx, struct error *reterr) {
    struct tries *t = ctx;
    if (++t->attempts == 3)
        return true;
    return error_set(reterr, t->why.code, "%s", t->why.message);
}

static bool on_wait(void *ctx, const struct error *why, usec_t retry_in) {
    struct tries *t = ctx;
    assert_int_equal(why->code, t->why.code);
    assert_true(retry_in > 0);
    return ++t->waits != t->stop_after;
}

static void retry_ends_by_success_by_word_or_by_an_error_that_stays(void **state) {
    (void)state;
    struct error e = {0};
    struct tries until_success = {.why = {ERROR_UNAVAILABLE, "down"}};
    assert_true(retry_wait(attempt, &until_success, on_wait, &until_success, &e));
    assert_int_equal(until_success.waits, 2);
    assert_int_equal(e.code, ERROR_NONE);

    struct tries told = {.stop_after = 1, .why = {ERROR_TIMEOUT, "slow"}};
    assert_false(retry_wait(attempt, &told, on_wait, &told, &e));
    assert_int_equal(e.code, ERROR_TIMEOUT);
    assert_string_equal(e.message, "slow");

    struct tries stays = {.why = {ERROR_INVALID, "bad"}};
    assert_false(retry_wait(attempt, &stays, on_wait, &stays, &e));
    assert_int_equal(stays.attempts, 1);
    assert_int_equal(e.code, ERROR_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mysql_numbers),
        cmocka_unit_test(mongo_numbers),
        cmocka_unit_test(mongo_labels_make_unknown_numbers_retriable),
        cmocka_unit_test(mongo_uri_is_refused_without_showing_it),
        cmocka_unit_test(mongo_is_read_where_it_is_written),
        cmocka_unit_test(kafka_numbers),
        cmocka_unit_test(kafka_says_which_settings_to_look_at),
        cmocka_unit_test(es_answers),
        cmocka_unit_test(es_without_an_answer_is_the_transports_error),
        cmocka_unit_test(es_refuses_bad_addresses),
        cmocka_unit_test(retry_ends_by_success_by_word_or_by_an_error_that_stays),
    };
    mongo_global_init();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    mongo_global_done();
    return failed;
}
