#include "tests/unit/test.h"
#include "core/hash.h"
#include "projector/engine/checkpoint.h"
#include "projector/engine/lane.h"
#include <stdio.h>
#include <time.h>

static struct segment *segment_of(struct checkpoint *c, enum mark_source source, enum mark_priority priority) {
    struct segment *segment = segment_new(source, priority, 1 << 20);
    assert_non_null(segment);
    checkpoint_push(c, segment);
    return segment;
}

static void mark(struct lane *lane, const char *id, struct segment *segment) {
    assert_true(lane_mark(lane, id, strlen(id), hash_bytes(id, strlen(id)), 0, segment));
}

static struct lane_entry *take_one(struct lane *lane, enum mark_priority priority) {
    struct lane_entry *entry = NULL;
    assert_int_equal(lane_take(lane, priority, 1, &entry), 1);
    return entry;
}

static void test_marks_of_one_source_join_the_oldest(void **state) {
    (void)state;
    struct checkpoint c;
    struct lane lane;
    checkpoint_init(&c);
    lane_init(&lane);
    struct segment *first = segment_of(&c, MARK_STREAM, MARK_LIVE), *second = segment_of(&c, MARK_STREAM, MARK_LIVE);
    mark(&lane, "a", first);
    mark(&lane, "a", second);
    mark(&lane, "a", second);
    assert_int_equal(first->pending, 1);
    assert_int_equal(second->pending, 0);
    assert_int_equal(lane.released[MARK_STREAM], 2);
    assert_null(checkpoint_pop(&c)); /* the newer one is finished, and waits for the older */
    lane_done(&lane, take_one(&lane, MARK_LIVE));
    assert_int_equal(lane.entry_count, 0);
    segment_free(checkpoint_pop(&c));
    segment_free(checkpoint_pop(&c));
    assert_null(checkpoint_pop(&c));
    lane_done_all(&lane);
    checkpoint_done(&c);
}

/* Changes during every flight: the first flights follow each other at once, later ones with growing pauses. A flight during
 * which it did not change is followed by a pause all the same; a pause without a change ends it. */
static void test_a_hot_product_rests(void **state) {
    (void)state;
    struct checkpoint c;
    struct lane lane;
    checkpoint_init(&c);
    lane_init(&lane);
    struct segment *segment = segment_of(&c, MARK_STREAM, MARK_LIVE);
    mark(&lane, "hot", segment);
    usec_t now = 1000, rested = 0;
    for (unsigned flight = 1; flight <= 20; flight++) {
        struct lane_entry *entry = take_one(&lane, MARK_LIVE);
        mark(&lane, "hot", segment);
        mark(&lane, "hot", segment);
        usec_t due = lane_rest(&lane, entry, now);
        if (flight < LANE_HOT_FLIGHTS) {
            assert_true(due == 0);
            continue;
        }
        usec_t rest = due - now;
        assert_true(rest >= LANE_REST_MIN_USEC && rest <= LANE_REST_MAX_USEC && rest >= rested);
        rested = rest;
        mark(&lane, "hot", segment); /* it does not wake it */
        assert_int_equal(lane_queued(&lane, MARK_LIVE), 0);
        assert_true(lane_run_due(&lane, due - 1) == due);
        assert_int_equal(lane_queued(&lane, MARK_LIVE), 0);
        lane_run_due(&lane, now = due);
    }
    assert_true(rested == LANE_REST_MAX_USEC);
    usec_t due = lane_rest(&lane, take_one(&lane, MARK_LIVE), now);
    assert_true(due == now + LANE_REST_MAX_USEC);
    assert_int_equal(segment->pending, 0);
    mark(&lane, "hot", segment);
    assert_int_equal(lane_queued(&lane, MARK_LIVE), 0);
    lane_run_due(&lane, now = due);
    now = lane_rest(&lane, take_one(&lane, MARK_LIVE), now);
    assert_int_equal(lane.entry_count, 1);
    assert_true(lane_run_due(&lane, now) == USEC_NEVER);
    assert_int_equal(lane.entry_count, 0);
    mark(&lane, "hot", segment); /* forgotten: at once again */
    assert_true(lane_rest(&lane, take_one(&lane, MARK_LIVE), now) == 0);
    assert_int_equal(lane.entry_count, 0);
    assert_int_equal(segment->pending, 0);
    segment_free(checkpoint_pop(&c));
    lane_done_all(&lane);
    checkpoint_done(&c);
}

static void test_each_source_keeps_its_own_segment(void **state) {
    (void)state;
    struct checkpoint stream, queue;
    struct lane lane;
    checkpoint_init(&stream);
    checkpoint_init(&queue);
    lane_init(&lane);
    struct segment *a = segment_of(&stream, MARK_STREAM, MARK_LIVE), *b = segment_of(&queue, MARK_QUEUE, MARK_LIVE);
    a->cluster_time = 5;
    b->cluster_time = 9;
    b->category_revision = 3;
    assert_true(lane_mark(&lane, "x", 1, hash_bytes("x", 1), 200, a));
    assert_true(lane_mark(&lane, "x", 1, hash_bytes("x", 1), 100, b));
    struct lane_entry *entry = take_one(&lane, MARK_LIVE);
    assert_int_equal(entry->flight.cluster_time, 9);
    assert_int_equal(entry->flight.category_revision, 3);
    assert_int_equal(entry->flight.commit_wall_usec[MARK_STREAM], 200);
    assert_int_equal(entry->flight.commit_wall_usec[MARK_QUEUE], 100);
    assert_int_equal(a->pending + b->pending, 2);
    lane_done(&lane, entry);
    assert_int_equal(a->pending + b->pending, 0);
    lane_done_all(&lane);
    checkpoint_done(&stream);
    checkpoint_done(&queue);
}

static void test_a_mark_during_the_flight_is_sent_after_it(void **state) {
    (void)state;
    struct checkpoint c;
    struct lane lane;
    checkpoint_init(&c);
    lane_init(&lane);
    struct segment *first = segment_of(&c, MARK_STREAM, MARK_LIVE), *second = segment_of(&c, MARK_STREAM, MARK_LIVE);
    mark(&lane, "a", first);
    struct lane_entry *entry = take_one(&lane, MARK_LIVE), *none = NULL;
    mark(&lane, "a", second);
    assert_int_equal(second->pending, 1); /* counted: the load may have missed it */
    assert_int_equal(lane_take(&lane, MARK_LIVE, 1, &none), 0); /* never twice at once */
    lane_done(&lane, entry);
    assert_int_equal(first->pending, 0);
    assert_ptr_equal(take_one(&lane, MARK_LIVE), entry);
    lane_done(&lane, entry);
    assert_int_equal(second->pending, 0);
    lane_done_all(&lane);
    checkpoint_done(&c);
}

static void test_a_failed_flight_merges_with_what_came_meanwhile(void **state) {
    (void)state;
    struct checkpoint c;
    struct lane lane;
    checkpoint_init(&c);
    lane_init(&lane);
    struct segment *old = segment_of(&c, MARK_JOB, MARK_BACKGROUND), *new = segment_of(&c, MARK_JOB, MARK_BACKGROUND);
    new->force = true;
    mark(&lane, "a", old);
    struct lane_entry *entry = take_one(&lane, MARK_BACKGROUND);
    mark(&lane, "a", new);
    lane_fail(&lane, entry, 1000);
    assert_int_equal(old->pending, 1); /* the oldest is kept */
    assert_int_equal(new->pending, 0);
    assert_int_equal(entry->attempts, 1);
    assert_int_equal(lane_queued(&lane, MARK_BACKGROUND), 0);
    assert_int_equal(lane_run_due(&lane, 999), 1000);
    assert_int_equal(lane_run_due(&lane, 1000), USEC_NEVER);
    assert_ptr_equal(take_one(&lane, MARK_BACKGROUND), entry);
    assert_true(entry->flight.force);
    lane_done(&lane, entry);
    lane_done_all(&lane);
    checkpoint_done(&c);
}

static void test_live_marks_lift_background_ones(void **state) {
    (void)state;
    struct checkpoint jobs, stream;
    struct lane lane;
    checkpoint_init(&jobs);
    checkpoint_init(&stream);
    lane_init(&lane);
    struct segment *page = segment_of(&jobs, MARK_JOB, MARK_BACKGROUND), *event = segment_of(&stream, MARK_STREAM, MARK_LIVE);
    mark(&lane, "a", page);
    mark(&lane, "b", page);
    mark(&lane, "b", event);
    assert_int_equal(lane_queued(&lane, MARK_LIVE), 1);
    assert_int_equal(lane_queued(&lane, MARK_BACKGROUND), 1);
    struct lane_entry *b = take_one(&lane, MARK_LIVE);
    assert_memory_equal(b->id, "b", 1);
    lane_done(&lane, b);
    assert_int_equal(page->pending, 1);
    lane_done(&lane, take_one(&lane, MARK_BACKGROUND));
    lane_done_all(&lane);
    checkpoint_done(&jobs);
    checkpoint_done(&stream);
}

/* Who waits for the category tree knows afterwards whether the tree was read after its own load. */
static void test_waiting_for_the_tree(void **state) {
    (void)state;
    static const struct {
        uint32_t asked, refresh;
        bool marked_again, fresh;
    } cases[] = {{1, 1, false, true}, {1, 2, false, true}, {2, 1, false, false}, {1, 1, true, false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct checkpoint c;
        struct lane lane;
        checkpoint_init(&c);
        lane_init(&lane);
        mark(&lane, "a", segment_of(&c, MARK_STREAM, MARK_LIVE));
        struct lane_entry *entry = take_one(&lane, MARK_LIVE);
        entry->tree_asked = cases[i].asked;
        lane_fail(&lane, entry, USEC_NEVER);
        assert_int_equal(entry->attempts, 0);
        if (cases[i].marked_again)
            mark(&lane, "a", segment_of(&c, MARK_STREAM, MARK_LIVE));
        assert_int_equal(lane_queued(&lane, MARK_LIVE), 0);
        lane_wake(&lane, cases[i].refresh);
        assert_ptr_equal(take_one(&lane, MARK_LIVE), entry);
        assert_int_equal(entry->tree_is_fresh, cases[i].fresh);
        lane_done(&lane, entry);
        lane_done_all(&lane);
        checkpoint_done(&c);
    }
}

static void test_what_was_not_tried_comes_first_again(void **state) {
    (void)state;
    struct checkpoint c;
    struct lane lane;
    checkpoint_init(&c);
    lane_init(&lane);
    struct segment *s = segment_of(&c, MARK_JOB, MARK_BACKGROUND);
    for (const char *id = "abcd"; *id; id++)
        assert_true(lane_mark(&lane, id, 1, hash_bytes(id, 1), 0, s));
    struct lane_entry *taken[2], *again[4];
    assert_int_equal(lane_take(&lane, MARK_BACKGROUND, 2, taken), 2);
    lane_fail(&lane, taken[1], 0);
    lane_fail(&lane, taken[0], 0);
    assert_int_equal(lane_take(&lane, MARK_BACKGROUND, 9, again), 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(again[i]->id[0], "abcd"[i]);
        assert_int_equal(again[i]->attempts, 0);
        lane_done(&lane, again[i]);
    }
    lane_done_all(&lane);
    checkpoint_done(&c);
}

/* -- random schedules against a simple model: sources that change, a store that is read and an index -- */

enum { IDS = 40, FLIGHTS = 6, BATCH_MAX = 5, STEPS = 20000 };

/* What a popped segment promises: its ids are indexed at least as new as they were when it was made. */
struct promise {
    struct promise *next;
    const struct segment *segment;
    int id;
    unsigned version;
};

struct flight {
    struct lane_entry *entries[BATCH_MAX];
    unsigned read[BATCH_MAX]; /* what the load saw */
    size_t count;
    bool loaded;
};

struct model {
    uint64_t random;
    struct lane lane;
    struct checkpoint checkpoints[MARK_SOURCE_COUNT];
    unsigned version[IDS], indexed[IDS];
    bool flying[IDS];
    struct flight flights[FLIGHTS];
    struct promise *promises;
    size_t marks, popped;
    unsigned long released;
    usec_t now;
};

static unsigned draw(struct model *m, unsigned below) {
    m->random ^= m->random << 13; /* xorshift64 (Marsaglia 2003) */
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return (unsigned)((m->random >> 11) % below);
}

static int id_of(const struct lane_entry *entry) {
    char text[8] = {0};
    memcpy(text, entry->id, entry->id_len);
    return (int)strtol(text, NULL, 10);
}

static void step_mark(struct model *m) {
    enum mark_source source = (enum mark_source)draw(m, MARK_SOURCE_COUNT);
    struct segment *segment =
        segment_of(&m->checkpoints[source], source, source == MARK_JOB ? MARK_BACKGROUND : MARK_LIVE);
    for (unsigned n = draw(m, 6); n > 0; n--) {
        int id = (int)draw(m, draw(m, 2) ? IDS : 4); /* some are hot */
        char text[8];
        int len = snprintf(text, sizeof(text), "%d", id);
        if (source != MARK_JOB)
            m->version[id]++;
        assert_true(lane_mark(&m->lane, text, (size_t)len, hash_bytes(text, (size_t)len), 0, segment));
        struct promise *promise = malloc(sizeof(*promise));
        *promise = (struct promise){m->promises, segment, id, m->version[id]};
        m->promises = promise;
        m->marks++;
    }
}

static void step_take(struct model *m) {
    struct flight *f = &m->flights[draw(m, FLIGHTS)];
    if (f->count)
        return;
    f->count = lane_take(&m->lane, draw(m, 3) ? MARK_LIVE : MARK_BACKGROUND, 1 + draw(m, BATCH_MAX), f->entries);
    f->loaded = false;
    for (size_t i = 0; i < f->count; i++) {
        int id = id_of(f->entries[i]);
        assert_false(m->flying[id]); /* never the same id in two batches */
        m->flying[id] = true;
    }
}

static void step_load(struct model *m) {
    struct flight *f = &m->flights[draw(m, FLIGHTS)];
    for (size_t i = 0; i < f->count && !f->loaded; i++)
        f->read[i] = m->version[id_of(f->entries[i])];
    f->loaded = f->count > 0;
}

static void step_answer(struct model *m) {
    struct flight *f = &m->flights[draw(m, FLIGHTS)];
    if (!f->loaded)
        return;
    for (size_t i = 0; i < f->count; i++) {
        int id = id_of(f->entries[i]);
        m->flying[id] = false;
        if (draw(m, 4)) {
            m->indexed[id] = f->read[i];
            lane_done(&m->lane, f->entries[i]);
        } else {
            static const usec_t pauses[] = {0, 5, USEC_NEVER};
            usec_t pause = pauses[draw(m, 3)];
            lane_fail(&m->lane, f->entries[i], pause == 5 ? m->now + 5 : pause);
        }
    }
    f->count = 0;
    f->loaded = false;
}

static void check_promises(struct model *m, const struct segment *segment) {
    for (struct promise **p = &m->promises; *p;) {
        struct promise *promise = *p;
        if (promise->segment != segment) {
            p = &promise->next;
            continue;
        }
        if (m->indexed[promise->id] < promise->version)
            fail_msg("segment %s %llu is acked, and %d is indexed at %u instead of %u",
                     mark_source_names[segment->source], (unsigned long long)segment->seq, promise->id,
                     m->indexed[promise->id], promise->version);
        *p = promise->next;
        free(promise);
    }
}

static void advance(struct model *m) {
    for (int s = 0; s < MARK_SOURCE_COUNT; s++) {
        uint64_t seq = 0;
        for (struct segment *segment; (segment = checkpoint_pop(&m->checkpoints[s])); m->popped++) {
            assert_true(segment->seq > seq);
            seq = segment->seq;
            check_promises(m, segment);
            segment_free(segment);
        }
        m->released += m->lane.released[s];
        m->lane.released[s] = 0;
    }
    m->now++;
    lane_run_due(&m->lane, m->now);
}

static void drain(struct model *m) {
    for (int round = 0; round < 10000 && (m->lane.entry_count > 0 || m->promises); round++) {
        lane_wake(&m->lane, UINT32_MAX);
        step_take(m);
        step_load(m);
        step_answer(m);
        advance(m);
    }
}

static void test_random_schedules(void **state) {
    (void)state;
    const char *given = getenv("READSIDE_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("seed: READSIDE_TEST_SEED=%llu\n", (unsigned long long)seed);
    static struct model m;
    m = (struct model){.random = seed * 2 + 1};
    lane_init(&m.lane);
    for (int s = 0; s < MARK_SOURCE_COUNT; s++)
        checkpoint_init(&m.checkpoints[s]);
    static void (*const steps[])(struct model *) = {step_mark, step_take, step_load, step_answer};
    for (int i = 0; i < STEPS; i++) {
        steps[draw(&m, ARRAY_LEN(steps))](&m);
        if (draw(&m, 16) == 0)
            lane_wake(&m.lane, draw(&m, 3));
        advance(&m);
    }
    drain(&m);
    assert_null(m.promises);
    assert_int_equal(m.lane.entry_count, 0);
    assert_int_equal(m.lane.in_flight, 0);
    assert_int_equal(m.released, m.marks); /* every mark gave its place in the window back, once */
    for (int s = 0; s < MARK_SOURCE_COUNT; s++)
        assert_null(m.checkpoints[s].head);
    assert_memory_equal(m.version, m.indexed, sizeof(m.version));
    lane_done_all(&m.lane);
}

static void test_targets_asked_for_join(void **state) {
    (void)state;
    struct checkpoint c;
    struct lane lane;
    checkpoint_init(&c);
    lane_init(&lane);
    struct segment *second = segment_of(&c, MARK_JOB, MARK_BACKGROUND), *third = segment_of(&c, MARK_JOB, MARK_BACKGROUND),
                   *all = segment_of(&c, MARK_JOB, MARK_BACKGROUND);
    second->targets = 1 << 1;
    third->targets = 1 << 2;
    mark(&lane, "a", second);
    struct lane_entry *entry = take_one(&lane, MARK_BACKGROUND);
    assert_int_equal(entry->flight.targets, 1 << 1);
    mark(&lane, "a", third);
    assert_int_equal(entry->dirty.targets, 1 << 2); /* of the next flight only */
    lane_fail(&lane, entry, 0);
    entry = take_one(&lane, MARK_BACKGROUND);
    assert_int_equal(entry->flight.targets, 1 << 1 | 1 << 2);
    mark(&lane, "a", all);
    lane_done(&lane, entry);
    entry = take_one(&lane, MARK_BACKGROUND);
    assert_int_equal(entry->flight.targets, LANE_ALL_TARGETS);
    lane_done(&lane, entry);
    lane_done_all(&lane);
    checkpoint_done(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_targets_asked_for_join),
        cmocka_unit_test(test_marks_of_one_source_join_the_oldest),
        cmocka_unit_test(test_a_hot_product_rests),
        cmocka_unit_test(test_each_source_keeps_its_own_segment),
        cmocka_unit_test(test_a_mark_during_the_flight_is_sent_after_it),
        cmocka_unit_test(test_a_failed_flight_merges_with_what_came_meanwhile),
        cmocka_unit_test(test_live_marks_lift_background_ones),
        cmocka_unit_test(test_waiting_for_the_tree),
        cmocka_unit_test(test_what_was_not_tried_comes_first_again),
        cmocka_unit_test(test_random_schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
