/* Which topic a verification waits for. MongoDB and Kafka are played by the test. */
#include "tests/unit/test.h"
#include "projector/verify/verify_barrier.h"
#include <stdio.h>

enum { BEHIND = 5 };

static struct world {
    const char *stored;
    char marked[64];
} fake;

bool __wrap_state_sink_get(mongoc_client_t *client, const char *database, char *ret, struct error *reterr);
bool __wrap_state_sink_get(mongoc_client_t *client, const char *database, char *ret, struct error *reterr) {
    (void)client, (void)database, (void)reterr;
    snprintf(ret, STATE_SINK_SIZE, "%s", fake.stored);
    return true;
}

struct kafka_lag *__wrap_kafka_lag_new(const struct kafka_conf *conf, const char *group, const char *topic, struct error *reterr);
struct kafka_lag *__wrap_kafka_lag_new(const struct kafka_conf *conf, const char *group, const char *topic, struct error *reterr) {
    (void)conf, (void)group, (void)reterr;
    snprintf(fake.marked, sizeof(fake.marked), "%s", topic);
    return (struct kafka_lag *)&fake;
}

bool __wrap_kafka_lag_mark(struct kafka_lag *lag, struct error *reterr);
bool __wrap_kafka_lag_mark(struct kafka_lag *lag, struct error *reterr) {
    (void)lag, (void)reterr;
    return true;
}

bool __wrap_kafka_lag_ask(struct kafka_lag *lag, int64_t *ret_behind, struct error *reterr);
bool __wrap_kafka_lag_ask(struct kafka_lag *lag, int64_t *ret_behind, struct error *reterr) {
    (void)lag, (void)reterr;
    *ret_behind = BEHIND;
    return true;
}

void __wrap_kafka_lag_free(struct kafka_lag *lag);
void __wrap_kafka_lag_free(struct kafka_lag *lag) {
    (void)lag;
}

static void test_the_topic_that_is_waited_for(void **state) {
    (void)state;
    static const struct {
        const char *known, *stored, *topic; /* "": none */
    } cases[] = {{NULL, "kafka:marks", "marks"}, {NULL, "index", ""}, {NULL, STATE_SINK_NONE, ""},
                 {"kafka:marks", STATE_SINK_NONE, "marks"}, /* the serving index is left out */
                 {"index", "index", ""}};
    static const struct projector_options options;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct verify_topic topic = {.known = cases[i].known};
        struct error error = {0};
        int64_t behind = -1;
        fake = (struct world){.stored = cases[i].stored};
        assert_true(verify_topic_ask(&topic, &options, NULL, &behind, &error));
        assert_string_equal(fake.marked, cases[i].topic);
        assert_int_equal(behind, *cases[i].topic ? BEHIND : 0);
        verify_topic_done(&topic);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_topic_that_is_waited_for)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
