/* category_list: snapshots from pages of hits, look-ups, and the forest that a list of nodes makes. */
#include "tests/unit/arena_fixture.h"
#include "query-api/browse/category_forest.h"
#include <stdio.h>

static struct category_list *make(const char *hits) {
    struct category_list *list = category_list_new(7);
    size_t added = 0;
    int64_t last_id = 0;
    assert_non_null(list);
    assert_true(category_list_add(list, parse(hits), &added, &last_id));
    assert_true(category_list_finish(list));
    return list;
}

static void assert_slice(struct slice s, const char *text) {
    if (!slice_eq(s, slice_str(text)))
        fail_msg("'%.*s' is not '%s'", (int)s.len, s.data, text);
}

static const char *const shop =
    "[{\"_source\":{\"id\":13,\"path\":\"1/4/13\",\"name\":\"게이밍\",\"names\":{\"en\":\"Gaming\",\"ko\":\"게이밍\",\"de\":5}}},"
    "{\"_source\":{\"id\":1,\"path\":\"1\",\"name\":\"컴퓨터\",\"names\":null}},"
    "{\"_source\":{\"id\":100,\"path\":\"100\",\"name\":\"책\"}},{\"_source\":{\"id\":9,\"path\":\"9/\",\"name\":\"차\",\"names\":{}}},"
    "{\"_source\":{\"id\":4,\"path\":\"1/4\",\"name\":\"노트북\"}},{\"_source\":{\"id\":10,\"path\":\"1/10\",\"name\":\"모니터\"}}]";

static void test_look_ups(void **state) {
    (void)state;
    struct category_list *list = make(shop);
    assert_int_equal(category_list_revision(list), 7);
    assert_int_equal(category_list_count(list), 6);
    static const char *const order[] = {"1", "1/4", "1/4/13", "1/10", "9", "100"};
    for (size_t i = 0; i < 6; i++)
        assert_slice(category_list_at(list, i)->path, order[i]);
    assert_slice(category_list_by_id(list, 13)->path, "1/4/13");
    assert_slice(category_list_by_path(list, SLICE("1/4"))->name, "노트북");
    assert_null(category_list_by_id(list, 2));
    assert_null(category_list_by_path(list, SLICE("1/5")));
    assert_null(category_list_by_path(list, SLICE("")));
    category_list_free(list);
}

static void test_names(void **state) {
    (void)state;
    struct category_list *list = make(shop);
    const struct category *gaming = category_list_by_id(list, 13);
    assert_slice(category_name(gaming, "en"), "Gaming");
    assert_slice(category_name(gaming, "fr"), "게이밍");
    assert_slice(category_name(gaming, "de"), "게이밍"); /* a number is no name */
    assert_slice(category_name(category_list_by_id(list, 1), "en"), "컴퓨터");
    category_list_free(list);
}

static void test_what_is_no_category_is_skipped(void **state) {
    (void)state;
    struct category_list *list = category_list_new(1);
    size_t added = 5;
    int64_t last_id = 3;
    assert_true(category_list_add(list, parse("[{\"_source\":{\"revision\":9}},{},5,null,{\"_source\":{\"id\":\"x\",\"path\":\"1\"}},"
                                              "{\"_source\":{\"id\":2,\"path\":\"\"}},{\"_source\":{\"id\":8,\"path\":\"8\"}}]"), &added, &last_id));
    assert_int_equal(added, 1);
    assert_int_equal(last_id, 8);
    assert_true(category_list_add(list, parse("{\"a\":1}"), &added, &last_id));
    assert_int_equal(added, 0);
    assert_true(category_list_add(list, NULL, &added, &last_id));
    assert_true(category_list_finish(list));
    assert_slice(category_list_by_id(list, 8)->name, "");
    category_list_free(list);
}

static void test_no_categories(void **state) {
    (void)state;
    struct category_list *list = make("[]");
    assert_int_equal(category_list_count(list), 0);
    assert_null(category_list_by_id(list, 1));
    assert_null(category_list_by_path(list, SLICE("1")));
    category_list_free(list);
    category_list_free(NULL);
    assert_int_equal(category_list_count(NULL), 0);
    assert_null(category_list_by_id(NULL, 1));
    assert_null(category_list_by_path(NULL, SLICE("1")));
}

static void test_order_of_paths(void **state) {
    (void)state;
    static const char *const rising[] = {"1", "1/2", "1/2/1", "1/10", "2", "2/1", "10", "10/1/1", "100"};
    for (size_t i = 0; i < ARRAY_LEN(rising); i++)
        for (size_t k = 0; k < ARRAY_LEN(rising); k++) {
            int r = category_path_compare(slice_str(rising[i]), slice_str(rising[k]));
            if ((r > 0) - (r < 0) != (i > k) - (i < k))
                fail_msg("%s and %s: %d", rising[i], rising[k], r);
        }
    /* what is no path must only not crash */
    category_path_compare(SLICE("x//y"), SLICE("99999999999999999999999999/"));
}

struct counted {
    const char *path;
    uint64_t count;
    bool selected;
};

static void write_forest(struct category_forest *forest, const char *lang, struct buf *out) {
    struct json_write w;
    assert_true(json_write_init(&w, out));
    category_forest_write(&w, forest, lang);
    assert_true(json_write_finish(&w));
}

/* From the last to the first. */
static void assert_forest(const struct category_list *list, const char *lang, const struct counted *nodes, size_t count, const char *expected) {
    struct category_forest forest;
    struct buf out = BUF_INIT(1 << 20);
    assert_true(category_forest_init(&forest, list, &arena));
    for (size_t i = count; i-- > 0;)
        assert_true(category_forest_add(&forest, slice_str(nodes[i].path), nodes[i].count));
    for (size_t i = 0; i < count; i++)
        if (nodes[i].selected)
            assert_true(category_forest_select(&forest, slice_str(nodes[i].path)));
    write_forest(&forest, lang, &out);
    assert_string_equal(out.data, expected);
    buf_done(&out);
}

static void test_forest(void **state) {
    (void)state;
    struct category_list *list = make(shop);
    const struct counted nodes[] = {{"1", 5, false}, {"1/4/13", 2, true}, {"1/10", 1, false}, {"11", 9, false}};
    assert_forest(list, "en", nodes, 4,
                  "[{\"path\":\"1\",\"id\":1,\"name\":\"컴퓨터\",\"count\":5,\"children\":["
                  "{\"path\":\"1/4/13\",\"id\":13,\"name\":\"Gaming\",\"count\":2,\"selected\":true,\"children\":[]},"
                  "{\"path\":\"1/10\",\"id\":10,\"name\":\"모니터\",\"count\":1,\"children\":[]}]},"
                  "{\"path\":\"11\",\"id\":11,\"name\":null,\"count\":9,\"children\":[]}]");
    assert_forest(list, "en", nodes, 3,
                  "[{\"path\":\"1\",\"id\":1,\"name\":\"컴퓨터\",\"count\":5,\"children\":["
                  "{\"path\":\"1/4/13\",\"id\":13,\"name\":\"Gaming\",\"count\":2,\"selected\":true,\"children\":[]},"
                  "{\"path\":\"1/10\",\"id\":10,\"name\":\"모니터\",\"count\":1,\"children\":[]}]}]");
    assert_forest(list, "en", nodes, 0, "[]");
    assert_forest(NULL, "en", nodes, 1, "[{\"path\":\"1\",\"id\":1,\"name\":null,\"count\":5,\"children\":[]}]");
    const struct counted below[] = {{"1/4", 3, false}, {"1/4/77", 2, true}, {"1/4/77/78", 2, false}, {"9", 1, false}, {"9/1", 1, true}};
    assert_forest(list, "ko", below, 5,
                  "[{\"path\":\"1/4\",\"id\":4,\"name\":\"노트북\",\"count\":3,\"children\":["
                  "{\"path\":\"1/4/77\",\"id\":77,\"name\":null,\"count\":2,\"selected\":true,\"children\":["
                  "{\"path\":\"1/4/77/78\",\"id\":78,\"name\":null,\"count\":2,\"children\":[]}]}]},"
                  "{\"path\":\"9\",\"id\":9,\"name\":\"차\",\"count\":1,\"children\":["
                  "{\"path\":\"9/1\",\"id\":1,\"name\":null,\"count\":1,\"selected\":true,\"children\":[]}]}]");
    category_list_free(list);
}

/* Each path of a set and each path above one, once. */
static void add_prefixes(struct category_forest *forest, const struct slice *set, size_t n) {
    struct slice seen[16];
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t len = 1; len <= set[i].len; len++) {
            struct slice prefix = {set[i].data, len};
            bool known = len < set[i].len && set[i].data[len] != '/';
            for (size_t k = 0; k < count && !known; k++)
                known = slice_eq(seen[k], prefix);
            if (!known) {
                seen[count++] = prefix;
                assert_true(category_forest_add(forest, prefix, 3));
            }
        }
}

/* Lines of up to three paths, in lists that know all, some or none of what is above them. */
static void test_lines(void **state) {
    (void)state;
    static const char *const paths[] = {"1", "1/4", "1/4/13", "1/4/14", "1/10", "13", "7/8", "7/8/9", "9/1"};
    struct category_list *lists[] = {make(shop), make("[{\"_source\":{\"id\":13,\"path\":\"1/4/13\"}},{\"_source\":{\"id\":1,\"path\":\"1\"}},"
                                                      "{\"_source\":{\"id\":9,\"path\":\"7/8/9\"}},{\"_source\":{\"id\":8,\"path\":\"7/8\"}}]"), NULL};
    for (size_t l = 0; l < ARRAY_LEN(lists); l++)
        for (size_t a = 0; a < ARRAY_LEN(paths); a++)
            for (size_t b = a; b < ARRAY_LEN(paths); b++)
                for (size_t c = b; c < ARRAY_LEN(paths); c++) {
                    struct slice set[] = {slice_str(paths[a]), slice_str(paths[b]), slice_str(paths[c])}, before = {"", 0};
                    struct category_forest lines, each;
                    struct buf got = BUF_INIT(1 << 16), expected = BUF_INIT(1 << 16);
                    assert_true(category_forest_init(&lines, lists[l], &arena) && category_forest_init(&each, lists[l], &arena));
                    for (size_t i = 0; i < 3; before = set[i++])
                        assert_true(category_forest_add_line(&lines, set[i], before, 3));
                    add_prefixes(&each, set, 3);
                    write_forest(&lines, "en", &got);
                    write_forest(&each, "en", &expected);
                    assert_string_equal(got.data, expected.data);
                    buf_done(&got);
                    buf_done(&expected);
                }
    category_list_free(lists[0]);
    category_list_free(lists[1]);
}

/* Selected, whether it is there or not; unknown counts. */
static void test_selected_and_unknown(void **state) {
    (void)state;
    struct category_list *list = make(shop);
    struct category_forest forest;
    struct buf out = BUF_INIT(1 << 20);
    assert_true(category_forest_init(&forest, list, &arena));
    assert_true(category_forest_add(&forest, SLICE("1"), CATEGORY_COUNT_UNKNOWN));
    assert_true(category_forest_select(&forest, SLICE("1/10")));
    assert_true(category_forest_select(&forest, SLICE("5")));
    assert_true(category_forest_select(&forest, SLICE("5")));
    write_forest(&forest, "fr", &out);
    assert_string_equal(out.data, "[{\"path\":\"1\",\"id\":1,\"name\":\"컴퓨터\",\"count\":null,\"children\":["
                                  "{\"path\":\"1/10\",\"id\":10,\"name\":\"모니터\",\"count\":0,\"selected\":true,\"children\":[]}]},"
                                  "{\"path\":\"5\",\"id\":5,\"name\":null,\"count\":0,\"selected\":true,\"children\":[]}]");
    buf_done(&out);
    category_list_free(list);
}

/* More of them than texts are prepared for. */
static void test_many_languages(void **state) {
    (void)state;
    struct buf hits = BUF_INIT(1 << 16);
    buf_append_str(&hits, "[{\"_source\":{\"id\":1,\"path\":\"1\",\"name\":\"none\",\"names\":{");
    for (int i = 0; i < 26; i++)
        buf_printf(&hits, "%s\"x%c\":\"name %c\"", i ? "," : "", 'a' + i, 'a' + i);
    buf_append_str(&hits, "}}}]");
    struct category_list *list = make(hits.data);
    const struct counted node = {"1", 5, false};
    for (int i = 0; i < 26; i++) {
        char lang[3] = {'x', (char)('a' + i), 0}, expected[100];
        snprintf(expected, sizeof(expected), "[{\"path\":\"1\",\"id\":1,\"name\":\"name %c\",\"count\":5,\"children\":[]}]", 'a' + i);
        assert_forest(list, lang, &node, 1, expected);
    }
    assert_forest(list, "ko", &node, 1, "[{\"path\":\"1\",\"id\":1,\"name\":\"none\",\"count\":5,\"children\":[]}]");
    category_list_free(list);
    buf_done(&hits);
}

static void test_a_forest_too_deep_is_cut(void **state) {
    (void)state;
    enum { DEPTH = 200 };
    static char text[DEPTH * 2];
    struct category_forest forest;
    assert_true(category_forest_init(&forest, NULL, &arena));
    for (size_t i = 0; i < DEPTH; i++) {
        text[i * 2] = '1';
        text[i * 2 + 1] = '/';
        assert_true(category_forest_add(&forest, (struct slice){text, i * 2 + 1}, i));
    }
    struct buf out = BUF_INIT(1 << 20);
    struct json_write w;
    assert_true(json_write_init(&w, &out));
    category_forest_write(&w, &forest, "en");
    assert_true(json_write_finish(&w));
    assert_non_null(json_parse(&arena, out.data, out.len, &(struct json_limits){.depth_max = 128}, NULL));
    buf_done(&out);
}

static void assert_named(const struct category_list *list, const char *key, size_t count, int64_t first) {
    int64_t ids[16];
    size_t found = category_list_named(list, slice_str(key), ids, 16);
    if (found != count || (count && ids[0] != first))
        fail_msg("%s: %zu, the first is %lld", key, found, found ? (long long)ids[0] : -1);
}

static void test_categories_that_are_named(void **state) {
    (void)state;
    struct category_list *list = make(
        "[{\"_source\":{\"id\":1,\"path\":\"1\",\"name\":\"가방/잡화\",\"names\":{\"en\":\"Bags & goods\"}}},"
        "{\"_source\":{\"id\":2,\"path\":\"1/2\",\"name\":\"가방\",\"names\":{\"en\":\"Bags\"}}},"
        "{\"_source\":{\"id\":3,\"path\":\"1/2/3\",\"name\":\"백팩\"}},"
        "{\"_source\":{\"id\":4,\"path\":\"4\",\"name\":\"노트북\"}},"
        "{\"_source\":{\"id\":5,\"path\":\"5\",\"name\":\"TV\",\"names\":{\"en\":\"TV\"}}},"
        "{\"_source\":{\"id\":6,\"path\":\"5/6\",\"name\":\"tv\",\"names\":{\"en\":\"Tv\"}}},"
        "{\"_source\":{\"id\":7,\"path\":\"7\",\"name\":\"TV\"}}]");
    int64_t ids[16];
    assert_named(list, "tv", 3, 5); /* each once, whatever it is called in another language or below another one */
    assert_named(list, "가방", 2, 2); /* with what is below it, not 가방/잡화 */
    assert_named(list, "잡화", 3, 1);
    assert_named(list, "bag", 2, 2);
    assert_named(list, "good", 3, 1);
    assert_named(list, "노트북", 1, 4);
    assert_named(list, "노트", 0, 0);
    assert_named(list, "", 0, 0);
    assert_int_equal(category_list_like(list, CATEGORY_BEGUN, SLICE("shxmq"), ids, 16), 1); /* 노트ㅂ, 노틉 */
    assert_int_equal(category_list_like(list, CATEGORY_MISTAKE, SLICE("shxnqnr"), ids, 16), 1); /* 노투북 */
    assert_int_equal(category_list_like(list, CATEGORY_MISTAKE, SLICE("shxmqnr"), ids, 16), 0);
    assert_int_equal(category_list_like(list, CATEGORY_INITIALS, SLICE("ㄴㅌㅂ"), ids, 16), 1);
    assert_int_equal(category_list_like(list, CATEGORY_INITIALS, SLICE("ㄴㅌ"), ids, 16), 0);
    assert_int_equal(category_list_named(list, SLICE("잡화"), ids, 2), 2); /* no more than there is room for */
    category_list_free(list);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_look_ups),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_what_is_no_category_is_skipped),
        cmocka_unit_test(test_no_categories),
        cmocka_unit_test(test_order_of_paths),
        cmocka_unit_test(test_categories_that_are_named),
        cmocka_unit_test(test_forest),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_selected_and_unknown),
        cmocka_unit_test(test_many_languages),
        cmocka_unit_test(test_a_forest_too_deep_is_cut),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
