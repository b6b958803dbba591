/* Events: what is taken of them, counters of texts, and what their sums change. */
#include "tests/unit/arena_fixture.h"
#include "core/clock.h"
#include "projector/jobs/signal_answer.h"
#include "query-api/events/event_read.h"
#include "query-api/events/query_bursts.h"
#include <stdio.h>

static const int64_t now = INT64_C(1767225600000000) + INT64_C(14) * 86400 * 1000000; /* two weeks after 2026-01-01 */
static char clicks[256];

static bool read(const char *body, struct buf *out, size_t *count, struct event_errors *errors) {
    const struct json *json = json_parse(&arena, body, strlen(body), NULL, NULL);
    assert_non_null(json);
    clicks[0] = '\0';
    if (!event_read(&arena, json, now, out, count, errors))
        return false;
    struct slice query;
    for (const struct json *event = event_read_first(json); event; event = event->next)
        if (event_read_click(event, &query))
            snprintf(clicks + strlen(clicks), sizeof(clicks) - strlen(clicks), "%.*s|", (int)query.len, query.data);
    return true;
}

static void test_lines_of_a_bulk(void **state) {
    (void)state;
    struct buf out = BUF_INIT(1 << 16);
    struct event_errors errors;
    size_t count;
    assert_true(read("{\"type\":\"click\",\"product_id\":\"p\",\"event_id\":\"e\\\"1\",\"query\":\"mug\",\"position\":2}", &out, &count, &errors));
    assert_int_equal(count, 1);
    assert_string_equal(out.data, "{\"create\":{\"_id\":\"e\\\"1\"}}\n{\"type\":\"click\",\"query\":\"mug\",\"position\":2,\"product_ids\":[\"p\"],"
                                  "\"time\":\"2026-01-15T00:00:00.000000Z\",\"weight\":4}\n");
    assert_string_equal(clicks, "mug|");
    buf_reset(&out);
    assert_true(read("{\"events\":[{\"type\":\"purchase\",\"product_ids\":[\"a\",\"b\"],\"query\":\"x\"},"
                     "{\"type\":\"click\",\"product_id\":\"c\",\"query\":\"y\",\"time\":\"2026-01-08T00:00:00Z\"}]}",
                     &out, &count, &errors));
    assert_int_equal(count, 2);
    assert_non_null(strstr(out.data, "\"product_ids\":[\"a\",\"b\"]"));
    assert_non_null(strstr(out.data, "\"weight\":2}"));
    assert_string_equal(clicks, "y|");
    buf_done(&out);
}

static void test_mistakes(void **state) {
    (void)state;
    struct buf out = BUF_INIT(1 << 16);
    struct event_errors errors;
    size_t count;
    assert_false(read("{\"events\":[{\"type\":\"click\",\"product_id\":\"c\",\"query\":\"y\"},{\"type\":\"x\",\"product_id\":\"c\"}]}", &out, &count, &errors));
    assert_int_equal(errors.count, 1);
    assert_string_equal(errors.items[0].field, "events[1].type");
    assert_false(read("{\"type\":\"click\",\"product_id\":\"c\",\"a가나다라마바사아자차카타파하가나다라마바사아자차카타파하\":1}", &out, &count, &errors));
    assert_string_equal(errors.items[0].field, "a가나다라마바사아자차카타파하가나다라마바사"); /* a name is cut between characters */
    buf_done(&out);
}

static void test_counters_of_texts(void **state) {
    (void)state;
    struct query_counts *a = malloc(sizeof(*a)), *b = malloc(sizeof(*b));
    char text[300];
    assert_true(a && b);
    query_counts_init(a, 1);
    query_counts_init(b, 2);
    query_counts_of(a, SLICE("  Red   MUG\t"))->searches = 3;
    assert_ptr_equal(query_counts_of(a, SLICE("red mug")), query_counts_of(a, SLICE("RED MUG ")));
    assert_int_equal(query_counts_of(a, SLICE("red mug"))->results, -1);
    assert_null(query_counts_of(a, SLICE("  \n")));
    memset(text, 'x', sizeof(text));
    assert_int_equal(query_counts_of(a, (struct slice){text, sizeof(text)})->len, QUERY_COUNTS_TEXT_BYTES);
    query_counts_of(b, SLICE("red mug"))->searches = 2;
    query_counts_of(b, SLICE("red mug"))->results = 0;
    assert_int_equal(query_counts_merge(a, b), 0);
    assert_int_equal(query_counts_of(a, SLICE("red mug"))->searches, 5);
    assert_int_equal(query_counts_of(a, SLICE("red mug"))->results, 0);
    size_t taken = 0;
    for (int i = 0; i < QUERY_COUNTS_SLOTS; i++) {
        int n = snprintf(text, sizeof(text), "t%d", i);
        taken += query_counts_of(a, (struct slice){text, (size_t)n}) != NULL;
    }
    assert_int_equal(taken + 2, QUERY_COUNTS_SLOTS / 4 * 3);
    query_counts_of(b, SLICE("no room for this"))->searches = 7;
    assert_int_equal(query_counts_merge(a, b), 7);
    free(a);
    free(b);
}

/* ---- what is typed ---- */

static struct query_bursts *bursts;
static struct query_counts *counts;
static usec_t hour = UINT64_C(3600) * USEC_PER_SEC; /* a key every 0.2 s */

static void type(const char *sender, const char *text) {
    hour += USEC_PER_SEC / 5;
    assert_int_equal(query_bursts_search(bursts, slice_str(sender), slice_str(text), hour, counts), 0);
}

/* -1: it is not counted at all. */
static int searches(const char *text) {
    const struct query_count *count = query_counts_find(counts, slice_str(text));
    return count ? (int)count->searches : -1;
}

static int setup_typing(void **state) {
    (void)state;
    bursts = query_bursts_new();
    counts = malloc(sizeof(*counts));
    assert_true(bursts && counts);
    query_counts_init(counts, 1);
    return 0;
}

static int teardown_typing(void **state) {
    (void)state;
    query_bursts_free(bursts);
    free(counts);
    return 0;
}

static void test_what_is_typed_is_one_search(void **state) {
    (void)state;
    static const char *const keys[] = {"l", "la", "lap", "lapt", "laptop", "laptop ", "laptop b", "laptop", "lapto", "laptop ba"};
    static const char *const korean[] = {"ㄴ", "노", "놑", "노트", "노틉", "노트부", "노트북"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        type("a", keys[i]);
        if (i + ARRAY_LEN(korean) >= ARRAY_LEN(keys))
            type("b", korean[i + ARRAY_LEN(korean) - ARRAY_LEN(keys)]);
    }
    assert_true(query_bursts_results(bursts, SLICE("a"), SLICE("Laptop ba"), 7));
    assert_false(query_bursts_results(bursts, SLICE("a"), SLICE("laptop"), 9)); /* it was only a beginning */
    assert_int_equal(counts->used, 0);
    assert_int_equal(query_bursts_end(bursts, hour, counts), 0);
    assert_int_equal(searches("laptop ba"), 1);
    assert_int_equal(query_counts_find(counts, SLICE("laptop ba"))->results, 7);
    assert_int_equal(query_bursts_end(bursts, USEC_NEVER, counts), 0);
    assert_int_equal(searches("노트북"), 1);
    assert_int_equal(counts->used, 2);
}

static void test_what_is_not_typed_on(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++)
        type("a", "tea"); /* the same again, such as under a filter */
    type("b", "teapot");
    type("a", "mug");
    hour += QUERY_BURSTS_USEC;
    type("a", "mug blue"); /* somebody has looked at the mugs first */
    assert_int_equal(query_bursts_end(bursts, USEC_NEVER, counts), 0);
    assert_int_equal(searches("tea"), 3);
    assert_int_equal(searches("teapot"), 1);
    assert_int_equal(searches("mug"), 1);
    assert_int_equal(searches("mug blue"), 1);
}

/* One address of many people: a text does not hide the beginnings of it that others search for. */
static void test_a_beginning_is_searched_for_again_and_again(void **state) {
    (void)state;
    for (int i = 0; i < 30; i++) {
        type("shop", i == 10 ? "tv stand" : "tv");
        hour += 2 * USEC_PER_SEC;
    }
    assert_int_equal(query_bursts_end(bursts, USEC_NEVER, counts), 0);
    assert_int_equal(searches("tv stand"), 1);
    assert_int_equal(searches("tv"), 27); /* but for one that the long one goes on from, and one that takes it back */
}

/* Whatever comes from one address: nothing is lost. */
static void test_many_at_once(void **state) {
    (void)state;
    char text[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof(text), "t%03d", i);
        type("proxy", text);
        type(text, "tea");
    }
    assert_int_equal(query_bursts_end(bursts, USEC_NEVER, counts), 0);
    assert_int_equal(counts->used, 1001);
    assert_int_equal(searches("tea"), 1000);
    assert_int_equal(searches("t000") + searches("t999"), 2);
}

static void test_sums_of_events(void **state) {
    (void)state;
    static const char answer[] =
        "{\"timed_out\":false,\"_shards\":{\"failed\":0},\"aggregations\":{\"p\":{\"after_key\":{\"id\":\"b\"},\"buckets\":["
        "{\"key\":{\"id\":\"a\"},\"doc_count\":3,\"t\":{\"buckets\":[{\"key\":\"purchase\",\"w\":{\"value\":12}},{\"key\":\"click\",\"w\":{\"value\":8}}]}},"
        "{\"key\":{\"id\":\"b\"},\"doc_count\":1,\"t\":{\"buckets\":[{\"key\":\"cart\",\"w\":{\"value\":2}}]}}]}}}";
    struct signal_amounts got;
    struct error error = {0};
    assert_true(signal_answer_read(&arena, SLICE(answer), now, &got, &error));
    assert_int_equal(got.count, 2);
    assert_true(slice_eq(got.after, SLICE("b")));
    assert_true(got.items[0].sales == 3 && got.items[0].popularity == 26 && got.items[1].sales == 0 && got.items[1].popularity == 2);
    assert_false(signal_answer_read(&arena, SLICE("{\"timed_out\":true,\"_shards\":{\"failed\":0},\"aggregations\":{\"p\":{\"buckets\":[]}}}"), now, &got, &error));
    assert_false(signal_answer_read(&arena, SLICE("{\"timed_out\":false,\"_shards\":{\"failed\":1},\"aggregations\":{\"p\":{\"buckets\":[]}}}"), now, &got, &error));
}

static bool note_change(void *ctx, struct slice id, struct product_signals s) {
    buf_printf(ctx, "%.*s:%u,%u ", (int)id.len, id.data, s.sales, s.popularity);
    return true;
}

static void test_what_changes(void **state) {
    (void)state;
    struct buf text = BUF_INIT(4096);
    const struct signal_amount amounts[] = {{{"a", 1}, 3, 3}, {{"c", 1}, 3.1, 3}, {{"d", 1}, 0, 0}};
    const struct signal_row rows[] = {{{"b", 1}, {4, 4}}, {{"c", 1}, {8, 8}}, {{"e", 1}, {1, 0}}};
    assert_true(signal_changes(amounts, 3, rows, 3, note_change, &text));
    assert_string_equal(text.data, "a:8,8 b:0,0 e:0,0 ");
    buf_done(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_of_a_bulk), cmocka_unit_test(test_mistakes),  cmocka_unit_test(test_counters_of_texts),
        cmocka_unit_test(test_sums_of_events),  cmocka_unit_test(test_what_changes),
        cmocka_unit_test_setup_teardown(test_what_is_typed_is_one_search, setup_typing, teardown_typing),
        cmocka_unit_test_setup_teardown(test_what_is_not_typed_on, setup_typing, teardown_typing),
        cmocka_unit_test_setup_teardown(test_a_beginning_is_searched_for_again_and_again, setup_typing, teardown_typing),
        cmocka_unit_test_setup_teardown(test_many_at_once, setup_typing, teardown_typing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
