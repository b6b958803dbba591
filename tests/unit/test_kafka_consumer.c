/* Which offsets are committed of a topic that may have been deleted. librdkafka is played by the test. */
#include "tests/unit/test.h"
#include "core/kafka_consumer.h"

enum { PARTITION = 2, COMMITTED = 170, END = 500 };

static struct world {
    void *opaque;
    void (*rebalance)(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *partitions, void *opaque);
    bool offers;                /* the next poll does */
    rd_kafka_message_t message; /* of the next one, with an error */
    unsigned commits;
} fake;

void __wrap_rd_kafka_conf_set_opaque(rd_kafka_conf_t *conf, void *opaque);
void __wrap_rd_kafka_conf_set_opaque(rd_kafka_conf_t *conf, void *opaque) {
    (void)conf;
    fake.opaque = opaque;
}

void __wrap_rd_kafka_conf_set_rebalance_cb(rd_kafka_conf_t *conf, void (*cb)(rd_kafka_t *, rd_kafka_resp_err_t,
                                                                             rd_kafka_topic_partition_list_t *, void *));
void __wrap_rd_kafka_conf_set_rebalance_cb(rd_kafka_conf_t *conf, void (*cb)(rd_kafka_t *, rd_kafka_resp_err_t,
                                                                             rd_kafka_topic_partition_list_t *, void *)) {
    (void)conf;
    fake.rebalance = cb;
}

rd_kafka_t *__wrap_rd_kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, char *why, size_t why_size);
rd_kafka_t *__wrap_rd_kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, char *why, size_t why_size) {
    (void)type, (void)why, (void)why_size;
    rd_kafka_conf_destroy(conf);
    return (rd_kafka_t *)&fake;
}

rd_kafka_resp_err_t __wrap_rd_kafka_poll_set_consumer(rd_kafka_t *rk);
rd_kafka_resp_err_t __wrap_rd_kafka_poll_set_consumer(rd_kafka_t *rk) {
    (void)rk;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_queue_t *__wrap_rd_kafka_queue_get_consumer(rd_kafka_t *rk);
rd_kafka_queue_t *__wrap_rd_kafka_queue_get_consumer(rd_kafka_t *rk) {
    return (rd_kafka_queue_t *)rk;
}

void __wrap_rd_kafka_queue_io_event_enable(rd_kafka_queue_t *queue, int fd, const void *payload, size_t size);
void __wrap_rd_kafka_queue_io_event_enable(rd_kafka_queue_t *queue, int fd, const void *payload, size_t size) {
    (void)queue, (void)fd, (void)payload, (void)size;
}

void __wrap_rd_kafka_queue_destroy(rd_kafka_queue_t *queue);
void __wrap_rd_kafka_queue_destroy(rd_kafka_queue_t *queue) {
    (void)queue;
}

char *__wrap_rd_kafka_memberid(const rd_kafka_t *rk);
char *__wrap_rd_kafka_memberid(const rd_kafka_t *rk) {
    (void)rk;
    return NULL;
}

rd_kafka_resp_err_t __wrap_rd_kafka_subscribe(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *topics);
rd_kafka_resp_err_t __wrap_rd_kafka_subscribe(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *topics) {
    (void)rk, (void)topics;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

int __wrap_rd_kafka_assignment_lost(rd_kafka_t *rk);
int __wrap_rd_kafka_assignment_lost(rd_kafka_t *rk) {
    (void)rk;
    return 0;
}

rd_kafka_resp_err_t __wrap_rd_kafka_assign(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *partitions);
rd_kafka_resp_err_t __wrap_rd_kafka_assign(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *partitions) {
    (void)rk, (void)partitions;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t __wrap_rd_kafka_committed(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *partitions, int timeout_ms);
rd_kafka_resp_err_t __wrap_rd_kafka_committed(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *partitions, int timeout_ms) {
    (void)rk, (void)timeout_ms;
    partitions->elems[0].offset = COMMITTED;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t __wrap_rd_kafka_query_watermark_offsets(rd_kafka_t *rk, const char *topic, int32_t partition, int64_t *low,
                                                            int64_t *high, int timeout_ms);
rd_kafka_resp_err_t __wrap_rd_kafka_query_watermark_offsets(rd_kafka_t *rk, const char *topic, int32_t partition, int64_t *low,
                                                            int64_t *high, int timeout_ms) {
    (void)rk, (void)topic, (void)partition, (void)timeout_ms;
    *low = 0;
    *high = END;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_message_t *__wrap_rd_kafka_consumer_poll(rd_kafka_t *rk, int timeout_ms);
rd_kafka_message_t *__wrap_rd_kafka_consumer_poll(rd_kafka_t *rk, int timeout_ms) {
    (void)timeout_ms;
    if (!fake.offers)
        return &fake.message;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "marks", PARTITION);
    fake.rebalance(rk, RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS, list, fake.opaque);
    rd_kafka_topic_partition_list_destroy(list);
    fake.offers = false;
    return NULL;
}

void __wrap_rd_kafka_message_destroy(rd_kafka_message_t *message);
void __wrap_rd_kafka_message_destroy(rd_kafka_message_t *message) {
    (void)message;
}

rd_kafka_resp_err_t __wrap_rd_kafka_commit(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *offsets, int async);
rd_kafka_resp_err_t __wrap_rd_kafka_commit(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *offsets, int async) {
    (void)rk;
    assert_true(async && offsets->cnt == 1 && offsets->elems[0].offset == COMMITTED);
    fake.commits++;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t __wrap_rd_kafka_consumer_close(rd_kafka_t *rk);
rd_kafka_resp_err_t __wrap_rd_kafka_consumer_close(rd_kafka_t *rk) {
    (void)rk;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

void __wrap_rd_kafka_destroy(rd_kafka_t *rk);
void __wrap_rd_kafka_destroy(rd_kafka_t *rk) {
    (void)rk;
}

static void poll_for(struct kafka_consumer *c, enum kafka_event_type type, enum error_code code) {
    struct kafka_event event;
    kafka_consumer_poll(c, 0, &event);
    assert_int_equal(event.type, type);
    assert_int_equal(event.error.code, code);
}

/* The broker takes the offset for the new topic, in which it may soon be one of many. */
static void test_no_offset_of_a_deleted_topic_is_committed_for_a_new_one(void **state) {
    (void)state;
    static const struct {
        rd_kafka_resp_err_t seen;
        enum error_code code;
        bool commits;
    } cases[] = {{RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, ERROR_NOT_FOUND, false},
                 {RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, ERROR_HISTORY_LOST, false}, /* there is a new one already */
                 {RD_KAFKA_RESP_ERR__TRANSPORT, ERROR_UNAVAILABLE, true}};
    static const struct kafka_conf conf = {.brokers = (char *)(uintptr_t) "127.0.0.1:1"};
    static const struct kafka_consumer_conf member = {.client_id = "test", .group = "group", .topic = "marks",
                                                      .session_timeout_usec = 6 * USEC_PER_SEC};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error error = {0};
        unsigned lost;
        fake = (struct world){.offers = true, .message.err = cases[i].seen};
        struct kafka_consumer *c = kafka_consumer_new(&conf, &member, &error);
        assert_non_null(c);
        poll_for(c, KAFKA_ASSIGNED, ERROR_NONE);
        assert_true(kafka_consumer_accept(c, &lost, &error));
        assert_true(kafka_consumer_commit(c, false, true, &error));
        assert_int_equal(fake.commits, 1);
        poll_for(c, KAFKA_TROUBLE, cases[i].code);
        assert_int_equal(kafka_consumer_commit(c, false, true, &error), cases[i].commits);
        assert_int_equal(fake.commits, 1 + cases[i].commits);
        kafka_consumer_free(c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_offset_of_a_deleted_topic_is_committed_for_a_new_one)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
