/* Memory runs out at every allocation of the stores' sessions in turn. No servers: nothing connects here. */
#include "tests/unit/test.h"
#include "tests/unit/oom.h"
#include "core/es.h"
#include "core/kafka.h"
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
}

static void kafka(void **state) {
    (void)state;
    struct kafka_conf conf = {
        .brokers = (char *)(uintptr_t)"127.0.0.1:1",
        .message_timeout_usec = 100 * USEC_PER_MSEC,
        .queue_max = 10,
    };
    oom_run("kafka_producer", use_kafka_producer, &conf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mysql),
        cmocka_unit_test(elasticsearch),
        cmocka_unit_test(kafka),
    };
    mysql_global_init();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    mysql_global_done();
    return failed;
}
