/* What becomes of marks on their way into the topic. Kafka is the test's. */
#include "tests/unit/test.h"
#include "projector/sources/relay.h"

static struct world {
    struct { /* under way */
        kafka_delivered *delivered;
        void *ctx;
    } messages[8];
    size_t count;
    enum error_code refuses; /* what is sent */
} fake;

struct kafka_producer *__wrap_kafka_producer_new(const struct kafka_conf *conf, const char *client_id, struct loop *loop,
                                                 struct error *reterr);
struct kafka_producer *__wrap_kafka_producer_new(const struct kafka_conf *conf, const char *client_id, struct loop *loop,
                                                 struct error *reterr) {
    static char producer;
    (void)conf, (void)client_id, (void)loop, (void)reterr;
    return (struct kafka_producer *)&producer;
}

void __wrap_kafka_producer_close(struct kafka_producer *producer, usec_t flush_timeout_usec);
void __wrap_kafka_producer_close(struct kafka_producer *producer, usec_t flush_timeout_usec) {
    (void)producer, (void)flush_timeout_usec;
}

bool __wrap_kafka_producer_check(const struct kafka_producer *producer, struct error *reterr);
bool __wrap_kafka_producer_check(const struct kafka_producer *producer, struct error *reterr) {
    (void)producer, (void)reterr;
    return true;
}

bool __wrap_kafka_producer_send(struct kafka_producer *producer, const struct kafka_message *message,
                                kafka_delivered *delivered, void *ctx, struct error *reterr);
bool __wrap_kafka_producer_send(struct kafka_producer *producer, const struct kafka_message *message,
                                kafka_delivered *delivered, void *ctx, struct error *reterr) {
    (void)producer, (void)message;
    if (fake.refuses)
        return error_set(reterr, fake.refuses, "refused");
    assert_true(fake.count < ARRAY_LEN(fake.messages));
    fake.messages[fake.count].delivered = delivered;
    fake.messages[fake.count++].ctx = ctx;
    return true;
}

static void report(size_t message, enum error_code code) {
    struct kafka_delivery delivery = {.error = {.code = code, .message = "the broker's answer"}};
    fake.messages[message].delivered(fake.messages[message].ctx, &delivery);
}

struct given {
    struct loop *loop;
    struct relay *relay;
    struct segment *segment;
    struct error error;
};

/* A relay that has taken two marks. */
static struct given give(enum error_code refuses) {
    static struct projector_options options = {.projector.marks_topic = (char *)(uintptr_t) "marks"};
    struct given g = {.segment = segment_new(MARK_STREAM, MARK_LIVE, 1024)};
    fake = (struct world){.refuses = refuses};
    g.loop = loop_new("test", &g.error);
    g.relay = relay_new(&options, 1, g.loop, &g.error);
    assert_non_null(g.relay);
    assert_true(segment_add(g.segment, "a", 1, 0) && segment_add(g.segment, "b", 1, 0));
    assert_true(relay_take(g.relay, g.segment));
    return g;
}

static void take_back(struct given *g) {
    relay_free(g->relay);
    segment_free(g->segment);
    loop_free(g->loop);
}

static void test_what_is_stored_is_finished(void **state) {
    (void)state;
    struct given g = give(ERROR_NONE);
    assert_int_equal(relay_pending(g.relay), 2);
    report(0, ERROR_NONE);
    report(1, ERROR_NONE);
    assert_int_equal(relay_pending(g.relay), 0);
    assert_int_equal(g.segment->pending, 0);
    assert_int_equal(relay_released(g.relay, MARK_STREAM), 2);
    assert_true(relay_tick(g.relay, &g.error));
    take_back(&g);
}

static void test_what_is_not_stored_is_sent_again(void **state) {
    (void)state;
    struct given g = give(ERROR_NONE);
    report(0, ERROR_NONE);
    report(1, ERROR_UNAVAILABLE);
    assert_true(relay_tick(g.relay, &g.error));
    assert_int_equal(relay_pending(g.relay), 1);
    take_back(&g);
}

/* To send it again and again helps nobody: the term ends, and does not wait for what is under way. */
static void test_a_topic_that_is_gone_ends_the_term(void **state) {
    (void)state;
    for (int at_once = 0; at_once < 2; at_once++) {
        struct given g = give(at_once ? ERROR_NOT_FOUND : ERROR_NONE);
        if (!at_once) {
            report(0, ERROR_NOT_FOUND);
            report(1, ERROR_INTERNAL); /* whatever becomes of the others */
        }
        assert_false(relay_tick(g.relay, &g.error));
        assert_int_equal(g.error.code, ERROR_NOT_FOUND);
        assert_int_equal(relay_pending(g.relay), 0);
        assert_int_equal(g.segment->pending, 2);
        take_back(&g);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_stored_is_finished),
        cmocka_unit_test(test_what_is_not_stored_is_sent_again),
        cmocka_unit_test(test_a_topic_that_is_gone_ends_the_term),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
