/* What answers of bulks mean for the indexes beside the serving one: the engine around it, and the clock, are the test's. */
#include "tests/unit/test.h"
#include "projector/engine/engine_internal.h"
#include <stdio.h>

enum { SERVING, BUILDING, OLD };
#define PATIENCE (30 * USEC_PER_SEC)

static struct world {
    struct engine engine;
    struct engine_lane lane;
    struct projector_options options;
    struct targets targets;
    struct lane_entry *entry;
    const char *product; /* of the next bulk */
    unsigned sent;       /* to these targets, a bit each */
    usec_t now;
    unsigned flaws[TARGETS_MAX], gone[TARGETS_MAX]; /* noted of each target; of them, those that give it up */
    unsigned letters, later;
} w;

usec_t __wrap_loop_now(const struct loop *loop);
usec_t __wrap_loop_now(const struct loop *loop) {
    (void)loop;
    return w.now;
}

void __wrap_loop_timer_set(struct loop *loop, struct loop_timer *timer, usec_t at);
void __wrap_loop_timer_set(struct loop *loop, struct loop_timer *timer, usec_t at) {
    (void)loop, (void)timer, (void)at;
}

void __wrap_pump_all(struct engine *e);
void __wrap_pump_all(struct engine *e) {
    (void)e;
}

void __wrap_pump_lane(struct engine_lane *l);
void __wrap_pump_lane(struct engine_lane *l) {
    (void)l;
}

void __wrap_pump_slot_free(struct engine *e);
void __wrap_pump_slot_free(struct engine *e) {
    (void)e;
}

void __wrap_pump_batch_release(struct engine *e, struct batch *batch);
void __wrap_pump_batch_release(struct engine *e, struct batch *batch) {
    (void)e;
    batch_free(batch);
}

bool __wrap_pump_next_piece(struct engine_lane *l, struct lane_entry *entry);
bool __wrap_pump_next_piece(struct engine_lane *l, struct lane_entry *entry) {
    (void)l, (void)entry;
    return false;
}

void __wrap_refresh_note(struct engine *e, usec_t written_at);
void __wrap_refresh_note(struct engine *e, usec_t written_at) {
    (void)e, (void)written_at;
}

void __wrap_engine_written(struct engine_lane *l, struct lane_entry *entry);
void __wrap_engine_written(struct engine_lane *l, struct lane_entry *entry) {
    (void)l, (void)entry;
}

void __wrap_engine_retry_later(struct engine *e, struct engine_lane *l, struct lane_entry *entry, usec_t *due);
void __wrap_engine_retry_later(struct engine *e, struct engine_lane *l, struct lane_entry *entry, usec_t *due) {
    (void)e, (void)l, (void)entry, (void)due;
    w.later++;
}

void __wrap_lane_fail(struct lane *lane, struct lane_entry *entry, usec_t due);
void __wrap_lane_fail(struct lane *lane, struct lane_entry *entry, usec_t due) {
    (void)lane, (void)entry, (void)due;
}

bool __wrap_store_dead_letter(struct engine_lane *l, struct lane_entry *entry, const char *reason, int status, uint64_t version,
                              struct slice document, uint64_t content_hash);
bool __wrap_store_dead_letter(struct engine_lane *l, struct lane_entry *entry, const char *reason, int status, uint64_t version,
                              struct slice document, uint64_t content_hash) {
    (void)l, (void)entry, (void)reason, (void)status, (void)version, (void)document, (void)content_hash;
    w.letters++;
    return true;
}

bool __wrap_store_flaw(struct engine *e, unsigned target, const struct lane_entry *entry, const char *reason, bool gone);
bool __wrap_store_flaw(struct engine *e, unsigned target, const struct lane_entry *entry, const char *reason, bool gone) {
    (void)e, (void)entry, (void)reason;
    w.flaws[target]++;
    w.gone[target] += gone;
    return false; /* it may be noted again */
}

/* -- a bulk and its answer -- */

static void set_up(void) {
    static const char *const names[] = {"serving", "building", "old"};
    w = (struct world){.now = 1000 * USEC_PER_SEC, .targets.count = TARGETS_MAX, .product = "p1",
                       .sent = (1u << TARGETS_MAX) - 1};
    for (int t = 0; t < TARGETS_MAX; t++) {
        w.targets.list[t].role = (enum target_role)t;
        snprintf(w.targets.list[t].index, TARGET_INDEX_SIZE, "%s", names[t]);
    }
    w.options.projector.target_patience_usec = PATIENCE;
    w.options.projector.bulk_max_docs = 100;
    w.options.projector.bulk_timeout_usec = 2 * PATIENCE;
    w.options.projector.retry_max_usec = USEC_PER_SEC;
    w.engine.options = &w.options.projector;
    w.engine.conf.options = &w.options;
    w.engine.conf.index = names[0];
    w.engine.conf.targets = &w.targets;
    w.lane.engine = &w.engine;
    w.entry = calloc(1, sizeof(*w.entry) + 2);
    assert_non_null(w.entry);
    concurrency_init(&w.engine.concurrency, 8, 0);
    scavenger_init(&w.engine.scavenger, 1 << 20);
    bulk_result_init(&w.engine.result);
}

static void tear_down(void) {
    bulk_result_done(&w.engine.result);
    free(w.entry);
}

/* The product for the targets. items: NULL, or what is said of each; else a status of the request or a code of the client. */
static void answered(const char *const items[TARGETS_MAX], int status, enum error_code code) {
    struct error error = {0};
    struct batch *batch = batch_new("serving", 1 << 16, 1 << 20, 100, &error);
    assert_non_null(batch);
    batch->lane = &w.lane;
    struct buf body = BUF_INIT(4096);
    buf_append_str(&body, "{\"took\":1,\"errors\":true,\"items\":[");
    for (unsigned t = 0, n = 0; t < TARGETS_MAX; t++) {
        if (!(w.sent >> t & 1))
            continue;
        if (t)
            bulk_target(&batch->bulk, t, w.targets.list[t].index);
        assert_true(bulk_delete_for(&batch->bulk, t, slice_str(w.product), 7, w.entry));
        buf_printf(&body, "%s{\"delete\":{%s}}", n++ ? "," : "", items ? items[t] : "");
    }
    buf_append_str(&body, "]}");
    struct http_response response = {.status = items ? 200 : status, .error.code = code};
    if (items)
        response.body = &body;
    w.engine.in_flight = w.engine.batches_out = 1;
    answer_arrived(batch, &response);
    buf_done(&body);
}

#define TAKEN "\"status\":200"
#define REFUSED "\"status\":400,\"error\":{\"type\":\"document_parsing_exception\",\"reason\":\"no number\"}"
#define CLOSED "\"status\":400,\"error\":{\"type\":\"index_closed_exception\",\"reason\":\"closed\"}"
#define AWAY "\"status\":503,\"error\":{\"type\":\"unavailable_shards_exception\",\"reason\":\"no primary\"}"

static unsigned all_flaws(void) {
    return w.flaws[BUILDING] + w.flaws[OLD];
}

/* -- cases -- */

static void test_what_the_serving_index_refuses_is_no_flaw(void **state) {
    (void)state;
    set_up();
    answer_target_init(&w.engine);
    answered((const char *const[]){REFUSED, REFUSED, REFUSED}, 0, ERROR_NONE);
    assert_int_equal(w.letters, 1);
    answered((const char *const[]){REFUSED, AWAY, REFUSED}, 0, ERROR_NONE);
    assert_int_equal(w.later, 1);
    assert_int_equal(all_flaws(), 0);
    answered((const char *const[]){TAKEN, TAKEN, REFUSED}, 0, ERROR_NONE);
    assert_int_equal(w.flaws[OLD], 1);
    assert_int_equal(w.gone[OLD], 0);
    tear_down();
}

static void closed_index_is_given_up(bool flawed) {
    set_up();
    w.targets.list[OLD].flawed = flawed;
    answer_target_init(&w.engine);
    answered((const char *const[]){TAKEN, TAKEN, CLOSED}, 0, ERROR_NONE);
    w.now += PATIENCE;
    answered((const char *const[]){TAKEN, TAKEN, CLOSED}, 0, ERROR_NONE);
    assert_int_equal(all_flaws(), 0);
    w.now += 1;
    answered((const char *const[]){TAKEN, TAKEN, CLOSED}, 0, ERROR_NONE);
    assert_int_equal(w.gone[OLD], 1);
    assert_int_equal(all_flaws(), 1);
    tear_down();
}

static void test_an_index_that_takes_nothing_is_given_up(void **state) {
    (void)state;
    closed_index_is_given_up(false);
}

static void test_so_is_one_that_lacks_changes_already(void **state) {
    (void)state;
    closed_index_is_given_up(true);
}

static void answered_for(const char *product, const char *const items[TARGETS_MAX]) {
    w.product = product;
    answered(items, 0, ERROR_NONE);
}

/* What other shards take says nothing of one that takes nothing. */
static void test_so_is_one_with_a_shard_that_takes_nothing(void **state) {
    static const char *const taken[] = {TAKEN, TAKEN, TAKEN}, *const away[] = {TAKEN, TAKEN, AWAY};
    (void)state;
    set_up();
    answer_target_init(&w.engine);
    answered_for("p1", away);
    w.now += PATIENCE;
    answered_for("p2", taken);
    answered_for("p3", away);
    w.now += 1;
    answered_for("p3", away); /* it has not failed for that long */
    assert_int_equal(all_flaws(), 0);
    answered_for("p1", away);
    assert_int_equal(w.gone[OLD], 1);
    assert_int_equal(all_flaws(), 1);
    tear_down();
}

static void test_trouble_ends_with_the_product_that_told_of_it(void **state) {
    static const char *const taken[] = {TAKEN, TAKEN, TAKEN}, *const away[] = {TAKEN, TAKEN, AWAY};
    (void)state;
    set_up();
    answer_target_init(&w.engine);
    answered_for("p1", away);
    answered_for("p1", taken);
    w.now += PATIENCE + 1;
    answered_for("p1", away);
    answered_for("p2", away);
    w.now += PATIENCE + w.options.projector.bulk_timeout_usec + w.options.projector.retry_max_usec + 1;
    answered_for("p2", away); /* nothing was heard of p1 */
    assert_int_equal(all_flaws(), 0);
    w.now += PATIENCE + 1;
    answered_for("p2", away);
    assert_int_equal(w.gone[OLD], 1);
    tear_down();
}

/* An index on whose account requests take too long takes nothing either: each goes by itself then. */
static void test_an_index_that_does_not_answer_is_given_up(void **state) {
    (void)state;
    set_up();
    answer_target_init(&w.engine);
    answered(NULL, 0, ERROR_TIMEOUT);
    assert_int_equal(w.entry->apart, LANE_ALL_TARGETS);
    w.now += PATIENCE + 1;
    w.sent = 1 << OLD;
    answered(NULL, 0, ERROR_TIMEOUT);
    assert_int_equal(all_flaws(), 0);
    w.sent = 1 << SERVING;
    answered((const char *const[]){TAKEN, TAKEN, TAKEN}, 0, ERROR_NONE);
    w.now += PATIENCE + 1;
    w.sent = (1u << TARGETS_MAX) - 1; /* other products come meanwhile, for all indexes at first */
    w.product = "p2";
    answered(NULL, 0, ERROR_TIMEOUT);
    w.product = "p1";
    w.sent = 1 << OLD;
    answered(NULL, 0, ERROR_TIMEOUT);
    assert_int_equal(w.gone[OLD], 1);
    assert_int_equal(all_flaws(), 1);
    tear_down();
}

static void test_it_is_not_if_the_serving_one_does_not_answer_either(void **state) {
    (void)state;
    set_up();
    answer_target_init(&w.engine);
    for (int i = 0; i < 5; i++) {
        w.sent = 1 << OLD;
        answered(NULL, 0, ERROR_TIMEOUT);
        w.now += PATIENCE + 1;
        w.sent = 1 << SERVING;
        answered(NULL, 0, ERROR_TIMEOUT);
    }
    assert_int_equal(all_flaws(), 0);
    tear_down();
}

static void test_an_outage_is_no_fault_of_an_index(void **state) {
    static const struct {
        int status;
        enum error_code code;
    } outages[] = {{0, ERROR_UNAVAILABLE}, {502, ERROR_NONE}, {503, ERROR_NONE}, {403, ERROR_NONE}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(outages); i++) {
        set_up();
        answer_target_init(&w.engine);
        answered((const char *const[]){TAKEN, TAKEN, AWAY}, 0, ERROR_NONE);
        answered(NULL, outages[i].status, outages[i].code);
        w.now += PATIENCE + 1;
        answered(NULL, outages[i].status, outages[i].code);
        answered((const char *const[]){TAKEN, AWAY, AWAY}, 0, ERROR_NONE);
        assert_false(w.engine.serving->paused);
        answered((const char *const[]){TAKEN, TAKEN, AWAY}, 0, ERROR_NONE);
        assert_int_equal(all_flaws(), 0);
        w.now += PATIENCE + 1;
        answered((const char *const[]){TAKEN, TAKEN, AWAY}, 0, ERROR_NONE);
        assert_int_equal(w.gone[OLD], 1);
        assert_int_equal(w.flaws[BUILDING], 0);
        tear_down();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_the_serving_index_refuses_is_no_flaw),
        cmocka_unit_test(test_an_index_that_takes_nothing_is_given_up),
        cmocka_unit_test(test_so_is_one_that_lacks_changes_already),
        cmocka_unit_test(test_so_is_one_with_a_shard_that_takes_nothing),
        cmocka_unit_test(test_trouble_ends_with_the_product_that_told_of_it),
        cmocka_unit_test(test_an_index_that_does_not_answer_is_given_up),
        cmocka_unit_test(test_it_is_not_if_the_serving_one_does_not_answer_either),
        cmocka_unit_test(test_an_outage_is_no_fault_of_an_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
