#include "tests/unit/test.h"
#include "projector/engine/checkpoint.h"

static void test_only_the_finished_prefix_is_popped(void **state) {
    (void)state;
    /* Pending marks of five segments, and how many of them may be stored. */
    static const struct {
        unsigned pending[5];
        size_t popped;
    } cases[] = {
        {{0, 0, 0, 0, 0}, 5}, {{1, 0, 0, 0, 0}, 0}, {{0, 1, 0, 0, 0}, 1}, {{0, 0, 0, 0, 7}, 4}, {{0, 0, 2, 1, 0}, 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct checkpoint c;
        checkpoint_init(&c);
        for (int k = 0; k < 5; k++) {
            struct segment *segment = segment_new(MARK_STREAM, MARK_LIVE, 100);
            segment->pending = cases[i].pending[k];
            checkpoint_push(&c, segment);
        }
        size_t popped = 0;
        for (struct segment *segment; (segment = checkpoint_pop(&c)); popped++) {
            assert_int_equal(segment->seq, popped + 1);
            segment_free(segment);
        }
        assert_int_equal(popped, cases[i].popped);
        assert_int_equal(c.segments, 5 - popped);
        checkpoint_done(&c);
        assert_null(c.head);
    }
}

static void test_a_list_that_was_empty_takes_more(void **state) {
    (void)state;
    struct checkpoint c;
    checkpoint_init(&c);
    assert_null(checkpoint_pop(&c));
    for (uint64_t seq = 1; seq <= 3; seq++) {
        checkpoint_push(&c, segment_new(MARK_QUEUE, MARK_LIVE, 100));
        struct segment *segment = checkpoint_pop(&c);
        assert_int_equal(segment->seq, seq);
        segment_free(segment);
        assert_null(checkpoint_pop(&c));
    }
    checkpoint_done(&c);
}

static void test_marks_are_packed_and_read_back(void **state) {
    (void)state;
    struct segment *s = segment_new(MARK_STREAM, MARK_LIVE, 1000);
    char longest[MARK_ID_MAX + 1];
    memset(longest, 'x', sizeof(longest));
    assert_true(segment_add(s, "a", 1, 5));
    assert_false(segment_add(s, "", 0, 5));
    assert_false(segment_add(s, longest, sizeof(longest), 5));
    assert_false(segment_add(s, "a\xff", 2, 5));
    assert_true(segment_add(s, longest, MARK_ID_MAX, 0));
    assert_true(segment_add(s, "노트북", 9, 3));
    assert_int_equal(s->count, 3);
    assert_int_equal(s->last_wall_usec, 5);
    struct mark mark;
    size_t offset = 0;
    static const struct {
        const char *id;
        size_t len;
        int64_t wall;
    } expected[] = {{"a", 1, 5}, {NULL, MARK_ID_MAX, 0}, {"노트북", 9, 3}};
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        assert_true(segment_next(s, &offset, &mark));
        assert_int_equal(mark.len, expected[i].len);
        assert_memory_equal(mark.id, expected[i].id ? expected[i].id : longest, mark.len);
        assert_int_equal(mark.commit_wall_usec, expected[i].wall);
    }
    assert_false(segment_next(s, &offset, &mark));
    segment_free(s);
}

static void test_a_full_segment_refuses(void **state) {
    (void)state;
    struct segment *s = segment_new(MARK_JOB, MARK_BACKGROUND, 25);
    assert_true(segment_add(s, "0123456789", 10, 0));
    assert_false(segment_add(s, "0123456789", 10, 0));
    assert_false(buf_ok(&s->marks)); /* whoever filled it sees that it is not whole */
    segment_free(s);
    segment_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_finished_prefix_is_popped),
        cmocka_unit_test(test_a_list_that_was_empty_takes_more),
        cmocka_unit_test(test_marks_are_packed_and_read_back),
        cmocka_unit_test(test_a_full_segment_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
