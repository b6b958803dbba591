/* Members of a consumer group against a real broker. */
#include "core/kafka_consumer.h"
#include "core/kafka_lag.h"
#include "tests/e2e/core_stores.h"
#include <stdlib.h>

enum { MESSAGES = 40, PARTITIONS = 2, WAIT_SECONDS = 60, MANY_PARTITIONS = 8, REWINDS = 30 };

static void send_some(const struct kafka_conf *conf, const char *topic) {
    struct error e = {0};
    struct kafka_producer *p = kafka_producer_new(conf, "e2e", NULL, &e);
    assert_ok(p, e);
    for (int i = 0; i < MESSAGES; i++) {
        char key[32];
        int len = snprintf(key, sizeof(key), "product-%d", i);
        struct kafka_message message = {.topic = topic, .key = {key, (size_t)len}, .value = SLICE("{}")};
        assert_ok(kafka_producer_send(p, &message, NULL, NULL, &e), e);
    }
    assert_ok(kafka_producer_flush(p, 30 * USEC_PER_SEC, &e), e);
    kafka_producer_free(p);
}

static struct kafka_consumer *member(const struct kafka_conf *conf, const char *topic) {
    struct error e = {0};
    struct kafka_consumer_conf own = {.client_id = "e2e", .group = topic, .topic = topic,
                                      .session_timeout_usec = 6 * USEC_PER_SEC};
    struct kafka_consumer *c = kafka_consumer_new(conf, &own, &e);
    assert_ok(c, e);
    return c;
}

/* Polls until an event of that type comes; messages on the way are counted. */
static unsigned poll_until(struct kafka_consumer *c, enum kafka_event_type type, unsigned messages) {
    struct kafka_event event;
    unsigned seen = 0;
    for (usec_t end = clock_now_usec() + WAIT_SECONDS * USEC_PER_SEC; clock_now_usec() < end;) {
        kafka_consumer_poll(c, 100 * USEC_PER_MSEC, &event);
        seen += event.type == KAFKA_MESSAGE;
        if (event.type == KAFKA_MESSAGE)
            assert_true(event.key.len > 8 && event.value.len == 2);
        if (event.type == type && (type != KAFKA_MESSAGE || seen == messages))
            return seen;
    }
    fail_msg("no event %d within %d s", (int)type, WAIT_SECONDS);
    return seen;
}

void group_offsets_are_stored_by_word_and_found_again(void **state) {
    (void)state;
    struct kafka_conf conf = store_confs.kafka;
    env_or_skip("READSIDE_KAFKA_BROKERS");
    struct error e = {0};
    char topic[64];
    int partitions = 0;
    unsigned lost;
    snprintf(topic, sizeof(topic), "readside_e2e_group_%016llx", (unsigned long long)clock_random_u64());
    assert_ok(kafka_topic_make(&conf, topic, PARTITIONS, -1, &e), e);
    assert_ok(kafka_topic_make(&conf, topic, PARTITIONS + 3, -1, &e), e); /* it is there */
    assert_ok(kafka_topic_find(&conf, topic, &partitions, &e), e);
    assert_int_equal(partitions, PARTITIONS);
    send_some(&conf, topic);

    struct kafka_lag *lag = kafka_lag_new(&conf, topic, topic, &e);
    int64_t behind = 0;
    assert_ok(lag && kafka_lag_mark(lag, &e) && kafka_lag_ask(lag, &behind, &e), e);
    assert_int_equal(behind, MESSAGES);

    struct kafka_consumer *c = member(&conf, topic);
    assert_error(kafka_consumer_prove(c, &e), e, ERROR_CONFLICT); /* nothing is assigned yet */
    poll_until(c, KAFKA_ASSIGNED, 0);
    assert_ok(kafka_consumer_accept(c, &lost, &e), e);
    assert_int_equal(lost, 0);
    assert_ok(kafka_consumer_prove(c, &e) && kafka_consumer_rewind(c, &e), e);
    assert_int_equal(poll_until(c, KAFKA_MESSAGE, MESSAGES / 2), MESSAGES / 2);
    assert_ok(kafka_consumer_pause(c, true, &e) && kafka_consumer_pause(c, false, &e), e); /* goes on behind the last one */
    assert_int_equal(poll_until(c, KAFKA_MESSAGE, MESSAGES / 2), MESSAGES / 2);
    struct kafka_partition each[PARTITIONS];
    assert_int_equal(kafka_consumer_partitions(c, each, PARTITIONS), PARTITIONS);
    kafka_consumer_done(c, each[0].number, each[0].end);     /* all of one */
    kafka_consumer_done(c, each[0].number, each[0].end - 1); /* never back */
    kafka_consumer_done(c, 77, 5);                           /* not ours */
    assert_ok(kafka_consumer_rewind(c, &e), e);
    assert_int_equal(poll_until(c, KAFKA_MESSAGE, (unsigned)each[1].end), each[1].end);
    assert_ok(kafka_consumer_commit(c, true, false, &e), e);
    assert_ok(kafka_lag_ask(lag, &behind, &e), e);
    assert_int_equal(behind, each[1].end);
    kafka_consumer_release(c);
    assert_error(kafka_consumer_commit(c, true, true, &e), e, ERROR_CONFLICT);
    kafka_consumer_free(c);

    c = member(&conf, topic); /* goes on where the first one was */
    poll_until(c, KAFKA_ASSIGNED, 0);
    assert_ok(kafka_consumer_accept(c, &lost, &e) && kafka_consumer_rewind(c, &e), e);
    assert_int_equal(poll_until(c, KAFKA_MESSAGE, (unsigned)each[1].end), each[1].end);
    struct kafka_consumer *other = member(&conf, topic); /* takes one of the two */
    struct kafka_event event;
    do
        kafka_consumer_poll(other, 10 * USEC_PER_MSEC, &event);
    while (kafka_consumer_poll(c, 10 * USEC_PER_MSEC, &event), event.type != KAFKA_REVOKED);
    assert_false(event.lost);
    kafka_consumer_release(c);
    poll_until(c, KAFKA_ASSIGNED, 0);
    poll_until(other, KAFKA_ASSIGNED, 0);
    assert_ok(kafka_consumer_accept(c, &lost, &e) && kafka_consumer_accept(other, &lost, &e), e);
    assert_int_equal(kafka_consumer_partitions(c, NULL, 0) + kafka_consumer_partitions(other, NULL, 0), PARTITIONS);
    kafka_consumer_free(other);
    kafka_consumer_free(c);
    kafka_lag_free(lag);
}

/* Reads until there was a message of each partition that has one. */
static void poll_each_partition(struct kafka_consumer *c, const bool *filled, int rewind) {
    bool seen[MANY_PARTITIONS] = {false};
    for (usec_t end = clock_now_usec() + WAIT_SECONDS * USEC_PER_SEC; memcmp(seen, filled, sizeof(seen)) != 0;) {
        struct kafka_event event;
        kafka_consumer_poll(c, 100 * USEC_PER_MSEC, &event);
        if (event.type == KAFKA_MESSAGE && !seen[event.partition])
            assert_int_equal(event.offset, 0);
        if (event.type == KAFKA_MESSAGE)
            seen[event.partition] = true;
        for (int p = 0; p < MANY_PARTITIONS && clock_now_usec() > end; p++)
            if (filled[p] && !seen[p])
                fail_msg("rewind %d: nothing of partition %d within %d s", rewind, p, WAIT_SECONDS);
    }
}

void group_every_partition_is_read_after_a_rewind(void **state) {
    (void)state;
    struct kafka_conf conf = store_confs.kafka;
    env_or_skip("READSIDE_KAFKA_BROKERS");
    struct error e = {0};
    char topic[64];
    unsigned lost;
    snprintf(topic, sizeof(topic), "readside_e2e_rewind_%016llx", (unsigned long long)clock_random_u64());
    assert_ok(kafka_topic_make(&conf, topic, MANY_PARTITIONS, -1, &e), e);
    send_some(&conf, topic);
    struct kafka_consumer *c = member(&conf, topic);
    poll_until(c, KAFKA_ASSIGNED, 0);
    assert_ok(kafka_consumer_accept(c, &lost, &e), e);
    assert_ok(kafka_consumer_rewind(c, &e), e);
    poll_until(c, KAFKA_MESSAGE, MESSAGES);
    struct kafka_partition each[MANY_PARTITIONS];
    bool filled[MANY_PARTITIONS] = {false};
    assert_int_equal(kafka_consumer_partitions(c, each, MANY_PARTITIONS), MANY_PARTITIONS);
    for (int p = 0; p < MANY_PARTITIONS; p++)
        filled[each[p].number] = each[p].end > 0;
    for (int rewind = 1; rewind <= REWINDS; rewind++) {
        assert_ok(kafka_consumer_pause(c, true, &e) && kafka_consumer_rewind(c, &e), e);
        poll_each_partition(c, filled, rewind);
    }
    kafka_consumer_free(c);
}
