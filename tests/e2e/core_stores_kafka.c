#include "core/kafka.h"
#include "tests/e2e/core_stores.h"
#include <stdatomic.h>
#include <stdlib.h>

enum { MESSAGES = 500 };

static struct kafka_conf conf_from_env(void) {
    struct kafka_conf conf = store_confs.kafka;
    env_or_skip("READSIDE_KAFKA_BROKERS");
    conf.queue_max = 10000;
    return conf;
}

struct reports {
    struct loop *loop;
    atomic_uint stored, failed;
    enum error_code code;
    char message[240]; /* of the last failure */
};

static void on_delivered(void *ctx, const struct kafka_delivery *delivery) {
    struct reports *r = ctx;
    if (delivery->error.code == ERROR_NONE) {
        assert_true(delivery->offset >= 0);
        atomic_fetch_add(&r->stored, 1);
    } else {
        r->code = delivery->error.code;
        snprintf(r->message, sizeof(r->message), "%s", delivery->error.message);
        atomic_fetch_add(&r->failed, 1);
    }
    if (r->loop && atomic_load(&r->stored) + atomic_load(&r->failed) == MESSAGES)
        loop_stop(r->loop);
}

static void send_all(struct kafka_producer *p, const char *topic, struct reports *r) {
    for (int i = 0; i < MESSAGES; i++) {
        struct error e = {0};
        char key[32];
        int len = snprintf(key, sizeof(key), "product-%d", i);
        struct kafka_message message = {
            .topic = topic,
            .key = {key, (size_t)len},
            .value = SLICE("{\"mark\":true}"),
            .traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        };
        assert_ok(kafka_producer_send(p, &message, on_delivered, r, &e), e);
    }
}

static rd_kafka_t *consumer_of(const struct kafka_conf *conf, const char *topic) {
    char why[200];
    struct error e = {0};
    rd_kafka_conf_t *made = kafka_conf_new(conf, "e2e-consumer", &e);
    assert_ok(made, e);
    assert_int_equal(rd_kafka_conf_set(made, "group.id", topic, why, sizeof(why)), RD_KAFKA_CONF_OK);
    assert_int_equal(rd_kafka_conf_set(made, "auto.offset.reset", "earliest", why, sizeof(why)), RD_KAFKA_CONF_OK);
    rd_kafka_t *consumer = rd_kafka_new(RD_KAFKA_CONSUMER, made, why, sizeof(why));
    assert_non_null(consumer);
    rd_kafka_poll_set_consumer(consumer);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
    assert_int_equal(rd_kafka_subscribe(consumer, topics), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_topic_partition_list_destroy(topics);
    return consumer;
}

static void consume_all(const struct kafka_conf *conf, const char *topic) {
    rd_kafka_t *consumer = consumer_of(conf, topic);
    bool seen[MESSAGES] = {false};
    unsigned count = 0;
    usec_t deadline = clock_now_usec() + 30 * USEC_PER_SEC;
    while (count < MESSAGES) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 500);
        assert_true(clock_now_usec() < deadline);
        if (message && !message->err) {
            char key[32];
            rd_kafka_headers_t *headers;
            snprintf(key, sizeof(key), "%.*s", (int)message->key_len, (const char *)message->key);
            long i = strtol(key + sizeof("product-") - 1, NULL, 10);
            assert_in_range(i, 0, MESSAGES - 1);
            assert_int_equal(rd_kafka_message_headers(message, &headers), RD_KAFKA_RESP_ERR_NO_ERROR);
            count += !seen[i];
            seen[i] = true;
        }
        if (message)
            rd_kafka_message_destroy(message);
    }
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
}

static void on_deadline(struct loop_timer *self) {
    (void)self;
    fail_msg("no delivery reports within the deadline");
}

static void reports_come_to_the_loop_and_messages_arrive(void **state) {
    (void)state;
    struct kafka_conf conf = conf_from_env();
    struct error e = {0};
    char topic[64];
    unique_name("loop", topic);
    assert_ok(kafka_wait(&conf, NULL, NULL, &e) && kafka_topic_make(&conf, topic, 4, -1, &e), e);
    struct reports r = {.loop = loop_new("kafka", &e)};
    struct kafka_producer *p = kafka_producer_new(&conf, "e2e", r.loop, &e);
    assert_ok(p, e);
    send_all(p, topic, &r);
    struct loop_timer deadline = {.cb = on_deadline};
    loop_timer_set(r.loop, &deadline, clock_now_usec() + 30 * USEC_PER_SEC);
    loop_run(r.loop);
    loop_timer_cancel(r.loop, &deadline);
    assert_int_equal(atomic_load(&r.stored), MESSAGES);
    assert_int_equal(kafka_producer_pending(p), 0);
    assert_ok(kafka_producer_check(p, &e), e);
    kafka_producer_free(p);
    loop_free(r.loop);
    consume_all(&conf, topic);
}

static void reports_come_on_a_thread_without_a_loop(void **state) {
    (void)state;
    struct kafka_conf conf = conf_from_env();
    struct error e = {0};
    char topic[64];
    unique_name("thread", topic);
    assert_ok(kafka_topic_make(&conf, topic, 4, -1, &e), e);
    struct reports r = {0};
    struct kafka_producer *p = kafka_producer_new(&conf, "e2e", NULL, &e);
    assert_ok(p, e);
    send_all(p, topic, &r);
    assert_ok(kafka_producer_flush(p, 30 * USEC_PER_SEC, &e), e);
    assert_int_equal(atomic_load(&r.stored), MESSAGES);
    kafka_producer_free(p);
}

/* The broker makes topics for everybody who asks for them. */
static void no_topic_is_made_by_asking_for_it(void **state) {
    (void)state;
    struct kafka_conf conf = conf_from_env();
    struct error e = {0};
    struct reports r = {0};
    char topic[64];
    unique_name("absent", topic);
    conf.message_timeout_usec = USEC_PER_SEC;
    struct kafka_producer *p = kafka_producer_new(&conf, "e2e", NULL, &e);
    assert_ok(p, e);
    send_all(p, topic, &r);
    assert_ok(kafka_producer_flush(p, 30 * USEC_PER_SEC, &e), e);
    kafka_producer_free(p);
    assert_int_equal(atomic_load(&r.failed), MESSAGES);
    for (int i = 0; i < 2; i++) {
        int partitions = 0;
        assert_ok(kafka_topic_find(&conf, topic, &partitions, &e), e);
        assert_int_equal(partitions, -1);
    }
}

static void without_a_broker_every_message_is_reported_as_failed(void **state) {
    (void)state;
    struct kafka_conf conf = conf_from_env();
    struct error e = {0};
    struct reports r = {0};
    conf.brokers = (char *)(uintptr_t)"127.0.0.1:1";
    conf.message_timeout_usec = USEC_PER_SEC;
    conf.queue_max = MESSAGES;
    struct kafka_producer *p = kafka_producer_new(&conf, "e2e", NULL, &e);
    assert_ok(p, e);
    send_all(p, "nowhere", &r);
    struct kafka_message one_more = {.topic = "nowhere", .value = SLICE("x")};
    assert_error(kafka_producer_send(p, &one_more, on_delivered, &r, &e), e, ERROR_OVERLOADED);
    kafka_producer_free(p);
    assert_int_equal(atomic_load(&r.stored), 0);
    assert_int_equal(atomic_load(&r.failed), MESSAGES);
    assert_int_equal(r.code, ERROR_TIMEOUT);
    if (!strstr(r.message, "127.0.0.1:1/"))
        fail_msg("it does not say which broker: %s", r.message);
}

static void what_can_never_be_stored_is_refused_at_once(void **state) {
    (void)state;
    struct kafka_conf conf = conf_from_env();
    struct error e = {0};
    struct kafka_producer *p = kafka_producer_new(&conf, "e2e", NULL, &e);
    assert_ok(p, e);
    char *large = calloc(1, 2 << 20);
    assert_non_null(large);
    struct kafka_message message = {.topic = "large", .value = {large, 2 << 20}, .traceparent = "00-x"};
    assert_error(kafka_producer_send(p, &message, NULL, NULL, &e), e, ERROR_INVALID);
    kafka_producer_free(p);
    free(large);
    conf.brokers = (char *)(uintptr_t)"";
    assert_error(kafka_producer_new(&conf, "e2e", NULL, &e), e, ERROR_INVALID);
}

static void the_library_says_which_it_is(void **state) {
    (void)state;
    print_message("librdkafka %s, idempotent producer: %s\n", kafka_library_version(),
                  kafka_library_is_idempotent() ? "yes" : "no (fixed in 2.3.0)");
    assert_int_equal(kafka_library_is_idempotent(), rd_kafka_version() >= 0x02030000);
}

int run_kafka_tests(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_come_to_the_loop_and_messages_arrive),
        cmocka_unit_test(reports_come_on_a_thread_without_a_loop),
        cmocka_unit_test(no_topic_is_made_by_asking_for_it),
        cmocka_unit_test(without_a_broker_every_message_is_reported_as_failed),
        cmocka_unit_test(what_can_never_be_stored_is_refused_at_once),
        cmocka_unit_test(group_offsets_are_stored_by_word_and_found_again),
        cmocka_unit_test(group_every_partition_is_read_after_a_rewind),
        cmocka_unit_test(the_library_says_which_it_is),
    };
    return cmocka_run_group_tests_name("kafka", tests, NULL, NULL);
}
