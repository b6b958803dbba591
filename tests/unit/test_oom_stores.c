/* Memory runs out at every allocation of the stores' sessions in turn. No servers: nothing connects here. */
#include "tests/unit/test.h"
#include "tests/unit/oom.h"
#include "core/api_key_watch.h"
#include "core/es.h"
#include "core/kafka_consumer.h"
#include "core/kafka_lag.h"
#include "core/metrics.h"
#include "core/mongo.h"
#include "core/mysql_sql.h"

static bool quote(void *ctx, struct buf *out, const char *text, size_t len) {
    (void)ctx;
    return buf_append_char(out, '\'') && buf_append(out, text, len) && buf_append_char(out, '\'');
}

static bool use_expand(void *ctx, struct error *reterr) {
    (void)ctx;
    _cleanup_(buf_done) struct buf out = BUF_INIT(1 << 20);
    struct mysql_value values[] = {MYSQL_STR("a long enough text, and one more"), MYSQL_I64(-1)};
    for (int i = 0; i < 50; i++)
        if (!mysql_sql_expand(&out, "UPDATE t SET a=?, b=?;", values, ARRAY_LEN(values), quote, NULL, reterr))
            return false;
    return true;
}

static bool use_mysql_session(void *ctx, struct error *reterr) {
    struct mysql_session *s = mysql_session_new(ctx, reterr);
    mysql_session_free(s);
    return s != NULL;
}

static bool use_es(void *ctx, struct error *reterr) {
    struct loop *loop = loop_new("oom", reterr);
    if (!loop)
        return false;
    struct es *es = es_new(loop, ctx, 4, reterr);
    es_free(es);
    loop_free(loop);
    return es != NULL;
}

/* Without memory for the body, the status alone decides. */
static bool use_es_error(void *ctx, struct error *reterr) {
    struct http_response response = {.status = 409, .body = ctx};
    struct error e = {0};
    (void)reterr;
    assert_false(es_error(&response, &e));
    assert_int_equal(e.code, ERROR_CONFLICT);
    return true;
}

static bool use_kafka_producer(void *ctx, struct error *reterr) {
    struct kafka_producer *p = kafka_producer_new(ctx, "oom", NULL, reterr);
    if (!p)
        return false;
    struct kafka_message message = {.topic = "t", .value = SLICE("v"), .traceparent = "00-x"};
    bool ok = kafka_producer_send(p, &message, NULL, NULL, reterr);
    kafka_producer_free(p);
    return ok;
}

static bool use_kafka_consumer(void *ctx, struct error *reterr) {
    const struct kafka_consumer_conf conf = {
        .client_id = "oom", .group = "g", .topic = "t", .session_timeout_usec = 10 * USEC_PER_SEC};
    struct kafka_consumer *c = kafka_consumer_new(ctx, &conf, reterr);
    kafka_consumer_free(c);
    return c != NULL;
}

static bool use_kafka_lag(void *ctx, struct error *reterr) {
    struct kafka_lag *lag = kafka_lag_new(ctx, "g", "t", reterr);
    kafka_lag_free(lag);
    return lag != NULL;
}

static bool use_mongo_pool(void *ctx, struct error *reterr) {
    mongoc_client_pool_t *pool = mongo_pool_new(ctx, "oom", 2, reterr);
    if (pool)
        mongoc_client_pool_destroy(pool);
    return pool != NULL;
}

/* The keys of a guard, and who keeps them up to date. */
static bool use_keys(void *ctx, struct error *reterr) {
    struct loop *loop = loop_new("oom", reterr);
    struct es *es = loop ? es_new(loop, ctx, 4, reterr) : NULL;
    struct rate_table *rates = rate_table_new();
    struct api_guard_conf conf = {.admin_key = "secret", .has_keys = true, .address_header = ""};
    struct api_guard *guard = rates ? api_guard_new(&conf, rates, "oom", reterr) : NULL;
    struct api_key_watch *watch =
        es && guard ? api_key_watch_new(loop, es, guard, "keys", SLICE(""), USEC_PER_SEC, USEC_PER_SEC, reterr) : NULL;
    struct api_keys *keys = api_keys_new();
    bool ok = watch && keys;
    for (int i = 0; ok && i < 100; i++)
        ok = api_keys_add(keys, &(struct api_key){.id = "x", .hash = {.bytes = {(unsigned char)i}}});
    if (ok) {
        api_keys_finish(keys);
        api_guard_set_keys(guard, keys);
    } else {
        api_keys_free(keys);
    }
    api_key_watch_free(watch);
    api_guard_free(guard);
    rate_table_free(rates);
    es_free(es);
    if (loop)
        loop_free(loop);
    metrics_done();
    return ok || error_nomem(reterr);
}

static void mongodb(void **state) {
    (void)state;
    struct mongo_conf conf = {.uri = (char *)(uintptr_t)"mongodb://127.0.0.1:1/?replicaSet=x", .timeout_usec = USEC_PER_SEC};
    assert_true(use_mongo_pool(&conf, NULL)); /* what it remembers for good */
    oom_run("mongo_pool_new", use_mongo_pool, &conf);
}

static void mysql(void **state) {
    (void)state;
    struct mysql_conf conf = {.host = (char *)(uintptr_t)"127.0.0.1", .port = 1, .socket = NULL, .user = NULL};
    oom_run("mysql_sql_expand", use_expand, NULL);
    oom_run("mysql_session_new", use_mysql_session, &conf);
}

static void elasticsearch(void **state) {
    (void)state;
    struct es_conf conf = {.url = (char *)(uintptr_t)"http://127.0.0.1:1,http://127.0.0.1:2", .timeout_usec = USEC_PER_SEC};
    _cleanup_(buf_done) struct buf body = BUF_INIT(4096);
    buf_append_str(&body, "{\"error\":{\"type\":\"t\",\"reason\":\"r\",\"caused_by\":{\"reason\":\"c\"}}}");
    oom_run("es_new", use_es, &conf);
    oom_run("es_error", use_es_error, &body);
    oom_run("api_key_watch_new", use_keys, &conf);
}

static void kafka(void **state) {
    (void)state;
    struct kafka_conf conf = {
        .brokers = (char *)(uintptr_t)"127.0.0.1:1",
        .message_timeout_usec = 100 * USEC_PER_MSEC,
        .queue_max = 10,
    };
    oom_run("kafka_producer", use_kafka_producer, &conf);
    oom_run("kafka_consumer_new", use_kafka_consumer, &conf);
    oom_run("kafka_lag_new", use_kafka_lag, &conf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mongodb),
        cmocka_unit_test(mysql),
        cmocka_unit_test(elasticsearch),
        cmocka_unit_test(kafka),
    };
    mongo_global_init();
    mysql_global_init();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    mysql_global_done();
    mongo_global_done();
    return failed;
}
