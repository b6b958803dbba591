#include "tests/unit/test.h"
#include "projector/verify/verify.h"
#include "projector/verify/verify_barrier.h"
#include "projector/verify/verify_diff.h"
#include "projector/verify/verify_hits.h"
#include "projector/verify/verify_ids.h"
#include <stdlib.h>

/* -- two pages -- */

static size_t read_items(const char *text, struct verify_item *ret) {
    size_t n = 0;
    for (const char *p = text; *p; p++) { /* "a1 b2 c!": id and hash; "!" cannot be used */
        if (*p == ' ')
            continue;
        const char *id = p;
        while (p[1] && p[1] != ' ')
            p++;
        ret[n++] = (struct verify_item){{id, (size_t)(p - id)}, *p == '!' ? VERIFY_BAD : VERIFY_PRESENT,
                                        *p == '!' ? 0 : (uint64_t)*p};
    }
    return n;
}

static bool note(void *ctx, struct slice id, const struct verify_item *source, const struct verify_item *index) {
    buf_printf(ctx, " %.*s%s%s", (int)id.len, id.data, source ? "s" : "-", index ? "i" : "-");
    return true;
}

static void assert_diff(const char *source, const char *index, size_t compared, const char *expected) {
    struct verify_item s[32], i[32];
    struct buf got = BUF_INIT(1000);
    size_t n = 0;
    buf_append_str(&got, "");
    assert_true(verify_diff(s, read_items(source, s), i, read_items(index, i), note, &got, &n));
    if (strcmp(got.data ? got.data : "", expected) != 0 || n != compared)
        fail_msg("[%s] [%s]: [%s] of %zu, expected [%s] of %zu", source, index, got.data, n, expected, compared);
    buf_done(&got);
}

static void test_pages(void **state) {
    (void)state;
    assert_diff("", "", 0, "");
    assert_diff("a1 b2", "a1 b2", 2, "");
    assert_diff("a1 b2", "a1 b3", 2, " bsi");
    assert_diff("a1 b2 c3", "b2", 3, " as- cs-");
    assert_diff("b2", "a1 b2 c3", 3, " a-i c-i");
    assert_diff("a1 c3", "b2 d4", 4, " as- b-i cs- d-i");
    assert_diff("a! b2", "a1 b2", 2, " asi");
    assert_diff("a1", "a!", 1, " asi");
    assert_diff("a!", "a!", 1, " asi");
    assert_diff("a1 b2", "a1 a1 b2", 2, " a-i"); /* two documents say they are a */
    assert_diff("ab1 b1", "a1 ab1 b1", 3, " a-i");
    assert_diff("aa1 a\xed\x9e\xa3" "1", "a\xed\x9e\xa3" "1", 2, " aas-"); /* bytes, unsigned */
}

static bool refuse(void *ctx, struct slice id, const struct verify_item *source, const struct verify_item *index) {
    (void)ctx, (void)id, (void)source, (void)index;
    return false;
}

static void test_a_page_that_nobody_takes(void **state) {
    (void)state;
    struct verify_item s[4], i[4];
    size_t n;
    assert_false(verify_diff(s, read_items("a1", s), i, 0, refuse, NULL, &n));
    assert_true(verify_diff(s, read_items("a1", s), i, read_items("a1", i), refuse, NULL, &n));
}

/* -- what the looks say -- */

static struct verify_look look(enum verify_state state, uint64_t hash, uint64_t version) {
    return (struct verify_look){state, hash, version};
}

static void test_verdicts(void **state) {
    (void)state;
    const struct verify_look gone = look(VERIFY_ABSENT, 0, 0), bad = look(VERIFY_BAD, 0, 0);
    const struct verify_look a = look(VERIFY_PRESENT, 'a', 0), b = look(VERIFY_PRESENT, 'b', 0);
    const struct verify_look a1 = look(VERIFY_PRESENT, 'a', 1), a2 = look(VERIFY_PRESENT, 'a', 2);
    const struct verify_look b1 = look(VERIFY_PRESENT, 'b', 1), altered = look(VERIFY_BAD, 'a', 1);
    const struct {
        struct verify_look index_before, source_before, index_after, source_after;
        enum verify_verdict verdict;
    } cases[] = {
        {a1, a, a1, a, VERIFY_EQUAL},
        {gone, gone, gone, gone, VERIFY_EQUAL},
        {b1, a, a2, a, VERIFY_EQUAL},        /* it was written meanwhile */
        {b1, b, a2, a, VERIFY_EQUAL},        /* both moved, and agree */
        {gone, a, gone, a, VERIFY_DIFFERENT},
        {b1, a, b1, a, VERIFY_DIFFERENT},
        {b1, gone, b1, gone, VERIFY_DIFFERENT},
        {altered, a, altered, a, VERIFY_DIFFERENT},
        {b1, bad, b1, bad, VERIFY_DIFFERENT},
        {gone, bad, gone, bad, VERIFY_DIFFERENT},
        {b1, a, b1, b, VERIFY_EQUAL},        /* the source came back to what the index says */
        {b1, b, b1, a, VERIFY_AGAIN},        /* the source moved after the wait */
        {a1, b, a2, b, VERIFY_AGAIN},        /* rewritten meanwhile: whatever it was, it was not at rest */
        {gone, a, b1, a, VERIFY_AGAIN},
        {b1, a, gone, a, VERIFY_AGAIN},
        {gone, gone, gone, a, VERIFY_AGAIN}, /* inserted after the wait */
        {a1, gone, a1, gone, VERIFY_DIFFERENT},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum verify_verdict got = verify_judge(&cases[i].index_before, &cases[i].source_before, &cases[i].index_after,
                                               &cases[i].source_after);
        if (got != cases[i].verdict)
            fail_msg("case %zu: %d, not %d", i, got, cases[i].verdict);
    }
    assert_int_equal(verify_kind_of(&gone, &a1), VERIFY_ORPHANED);
    assert_int_equal(verify_kind_of(&a, &gone), VERIFY_MISSING);
    assert_int_equal(verify_kind_of(&bad, &gone), VERIFY_MISSING);
    assert_int_equal(verify_kind_of(&a, &b1), VERIFY_STALE);
}

/* -- answers -- */

static void test_what_is_unknown_is_not_equal(void **state) {
    (void)state;
    struct verify_counts counts = {.compared = 10, .documents = 10, .candidates = 3};
    assert_true(verify_is_equal(&counts));
    counts.unsettled = 1;
    assert_false(verify_is_equal(&counts));
    counts.unsettled = 0;
    for (int k = 0; k < VERIFY_KINDS; k++) {
        counts.found[k] = 1;
        assert_false(verify_is_equal(&counts));
        counts.found[k] = 0;
    }
    assert_true(verify_is_equal(&counts));
}

static void test_search_answers(void **state) {
    (void)state;
    struct verify_hits h;
    struct error e = {0};
    verify_hits_init(&h);
    assert_true(verify_hits_read_search(&h, SLICE("{\"took\":1,\"_shards\":{\"failed\":0,\"x\":[\"}]\\\"\"]},\"hits\":{\"max_score\":null,"
                                                  "\"hits\":[{\"_id\":\"p1\",\"_source\":{\"id\":\"p}1\",\"a\":[1,{\"b\":\"\\\\\"}]},"
                                                  "\"sort\":[\"p1\",-3]},{\"sort\":[ \"q\\\"\\u00e9\" , null ]}]}}"), &e));
    assert_int_equal(h.count, 2);
    assert_true(slice_eq(h.items[0].id, SLICE("p1")) && slice_eq(h.items[0].doc_id, SLICE("p1")));
    assert_true(h.items[0].has_hash && h.items[0].hash == (uint64_t)-3);
    assert_true(slice_eq(h.items[0].source, SLICE("{\"id\":\"p}1\",\"a\":[1,{\"b\":\"\\\\\"}]}")));
    assert_true(slice_eq(h.items[1].id, SLICE("q\"\xc3\xa9")) && !h.items[1].has_hash);

    assert_true(verify_hits_read_search(&h, SLICE("{}"), &e));
    assert_int_equal(h.count, 0);
    assert_true(verify_hits_read_search(&h, SLICE("{\"hits\":{\"hits\":[]}}"), &e));
    assert_int_equal(h.count, 0);
    static const char whole[] = "{\"hits\":{\"hits\":[{\"sort\":[\"p1\",17]},{\"sort\":[\"p2\",18]}]}}";
    for (size_t cut = 0; cut + 2 < sizeof(whole) - 1; cut++) /* whatever is cut off, it is no shorter list */
        if (verify_hits_read_search(&h, (struct slice){whole, cut}, &e))
            fail_msg("read %zu hits of %.*s", h.count, (int)cut, whole);
    static const char *const wrong[] = {"", "[", "null", "{\"hits\":{\"hits\":[{\"sort\":[3,4]}]}}",
                                        "{\"hits\":{\"hits\":[{\"sort\":[\"a\" 4]}]}}", "{\"hits\":{\"hits\":[,]}}",
                                        "{\"hits\":{\"hits\":[{\"sort\":[\"\\q\"]}]}}", "{\"hits\":{\"hits\":[{}{}]}}"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (verify_hits_read_search(&h, slice_str(wrong[i]), &e))
            fail_msg("read %s", wrong[i]);
    assert_int_equal(e.code, ERROR_CORRUPT);
    verify_hits_done(&h);
}

static void test_mget_answers(void **state) {
    (void)state;
    struct verify_hits h;
    struct error e = {0};
    verify_hits_init(&h);
    assert_true(verify_hits_read_mget(&h, SLICE("{\"docs\":[{\"_index\":\"x\",\"_id\":\"p1\",\"_version\":42,\"found\":true,"
                                                "\"_source\":{\"id\":\"p1\",\"content_hash\":-9223372036854775808,\"version\":3}},"
                                                "{\"_id\":\"p2\",\"found\":false},{\"_id\":\"p3\",\"_version\":1,\"found\":true,"
                                                "\"_source\":{\"n\":{\"content_hash\":5}}}]}"), &e));
    assert_int_equal(h.count, 3);
    assert_true(h.items[0].found && h.items[0].version == 42 && h.items[0].hash == UINT64_C(1) << 63);
    assert_true(!h.items[1].found && slice_eq(h.items[1].id, SLICE("p2")));
    assert_true(h.items[2].found && !h.items[2].has_hash);
    assert_false(verify_hits_read_mget(&h, SLICE("{\"docs\":[{\"_id\":\"p1\",\"error\":{\"type\":\"no_shard\"}}]}"), &e));
    assert_int_equal(e.code, ERROR_UNAVAILABLE);
    assert_non_null(strstr(e.message, "no_shard"));
    assert_false(verify_hits_read_mget(&h, SLICE("{}"), &e));
    assert_false(verify_hits_read_mget(&h, SLICE("{\"docs\":[{\"_id\":\"p1\",\"found\":true}"), &e));
    assert_int_equal(e.code, ERROR_CORRUPT);
    verify_hits_done(&h);
}

/* -- the rest -- */

static void test_token_times(void **state) {
    (void)state;
    assert_int_equal(verify_token_time("8263A1B2C30000000A2B0229296E04"), UINT64_C(0x63A1B2C30000000A));
    assert_int_equal(verify_token_time("8263a1b2c30000000a"), UINT64_C(0x63A1B2C30000000A));
    assert_int_equal(verify_token_time("8263A1B2C30000000"), 0);
    assert_int_equal(verify_token_time("8163A1B2C30000000A"), 0);
    assert_int_equal(verify_token_time("8263nonsense and more"), 0);
    assert_int_equal(verify_token_time(""), 0);
    assert_int_equal(verify_token_time(NULL), 0);
}

static void test_ids(void **state) {
    (void)state;
    struct verify_ids ids;
    verify_ids_init(&ids, 12);
    assert_true(verify_ids_sort(&ids) && ids.slice_count == 0);
    assert_true(verify_ids_add(&ids, SLICE("bb")) && verify_ids_add(&ids, SLICE("a")) && verify_ids_add(&ids, SLICE("bb")) &&
                verify_ids_add(&ids, SLICE("b")));
    assert_true(verify_ids_sort(&ids));
    assert_int_equal(ids.slice_count, 3);
    assert_true(slice_eq(ids.slices[0], SLICE("a")) && slice_eq(ids.slices[1], SLICE("b")) &&
                slice_eq(ids.slices[2], SLICE("bb")));
    assert_false(verify_ids_add(&ids, SLICE("too long")));
    assert_true(verify_ids_sort(&ids) && ids.slice_count == 3);
    verify_ids_reset(&ids);
    assert_true(verify_ids_add(&ids, SLICE("123456789012")) && verify_ids_sort(&ids) && ids.slice_count == 1);
    verify_ids_done(&ids);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),          cmocka_unit_test(test_a_page_that_nobody_takes),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_what_is_unknown_is_not_equal),       cmocka_unit_test(test_search_answers),
        cmocka_unit_test(test_mget_answers),   cmocka_unit_test(test_token_times),
        cmocka_unit_test(test_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
