#include "tests/unit/test.h"
#include "core/json_read.h"
#include "tests/unit/projector_fixture.h"
#include <stdio.h>

static bool add(struct category_tree_builder *b, int64_t id, int64_t parent, const char *path, const char *name,
                const char *names, struct error *e) {
    struct category_row row = {id, parent, slice_str(path), slice_str(name), slice_str(names)};
    return category_tree_builder_add(b, &row, e);
}

static void test_lookup(void **state) {
    (void)state;
    struct category_tree *tree = fixture_tree();
    const struct category *c = category_tree_find(tree, 13);
    assert_int_equal(category_tree_revision(tree), 7);
    assert_int_equal(category_tree_count(tree), 4);
    assert_null(category_tree_find(tree, 5));
    assert_non_null(c);
    assert_int_equal(c->parent_id, 4);
    assert_int_equal(c->level, 3);
    assert_true(slice_eq(c->path, SLICE("1/4/13")));
    assert_int_equal(c->lineage_count, 3);
    assert_int_equal(c->lineage[0]->id, 1);
    assert_int_equal(c->lineage[2]->id, 13);
    assert_true(slice_eq(c->path_terms[0], SLICE("\"1\"")));
    assert_true(slice_eq(c->path_terms[2], SLICE("\"1/4/13\"")));
    assert_int_equal(c->name_count, 1);
    assert_string_equal(c->names[0].lang, "");
    assert_false(c->names[0].hangul);
    c = category_tree_find(tree, 1);
    assert_int_equal(c->name_count, 3);
    assert_string_equal(c->names[0].lang, "en");
    assert_true(slice_eq(c->names[0].json, SLICE("\"Computers \\\"PC\\\"\"")));
    assert_true(c->names[2].hangul);
    category_tree_unref(tree);
}

static void test_subtree(void **state) {
    (void)state;
    struct error e = {0};
    struct category_tree_builder *b = category_tree_builder_new(&e);
    size_t count;
    /* 1 and 10, 2: "1/..." must not take in "10/...", and 2 stands before 10 */
    assert_true(add(b, 10, 0, "10/", "ten", "", &e) && add(b, 2, 1, "1/2/", "two", "", &e) && add(b, 1, 0, "1/", "one", "", &e));
    assert_true(add(b, 11, 1, "1/11/", "eleven", "", &e) && add(b, 3, 2, "1/2/3/", "three", "null", &e));
    assert_true(add(b, 20, 10, "10/20", "twenty", "", &e)); /* without its last slash */
    struct category_tree *tree = category_tree_build(b, 1, &e);
    assert_non_null(tree);
    static const int64_t order[] = {1, 2, 3, 11, 10, 20};
    const struct category *const *all = category_tree_all(tree, &count);
    assert_int_equal(count, 6);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(all[i]->id, order[i]);
        assert_int_equal(all[i]->position, i);
    }
    const struct category *const *sub = category_tree_subtree(tree, 1, &count);
    assert_int_equal(count, 4);
    assert_int_equal(sub[0]->id, 1);
    sub = category_tree_subtree(tree, 2, &count);
    assert_int_equal(count, 2);
    sub = category_tree_subtree(tree, 20, &count);
    assert_int_equal(count, 1);
    assert_null(category_tree_subtree(tree, 99, &count));
    assert_int_equal(count, 0);
    category_tree_unref(tree);
    category_tree_builder_free(b);
}

static void test_bad_rows(void **state) {
    (void)state;
    struct error e = {0};
    struct category_tree_builder *b = category_tree_builder_new(&e);
    static const struct {
        int64_t id;
        const char *path, *name, *names, *message;
    } cases[] = {
        {0, "0/", "x", "", "category 0"},
        {-3, "3/", "x", "", "category -3"},
        {INT64_C(4000000000), "4000000000/", "x", "", "id"},
        {3, "", "x", "", "path"},
        {3, "4/", "x", "", "path"},
        {3, "3//", "x", "", "path"},
        {3, "/3/", "x", "", "path"},
        {3, "a/3/", "x", "", "path"},
        {3, "03/", "x", "", "path"},
        {3, "99999999999999999999/3/", "x", "", "path"},
        {3, "1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/3/", "x", "", "path"},
        {3, "3/", "\xff", "", "name"},
        {3, "3/", "x", "[1]", "names"},
        {3, "3/", "x", "{}", "names"},
        {3, "3/", "x", "{\"ko\":5}", "names"},
        {3, "3/", "x", "{\"korean\":\"x\"}", "names"},
        {3, "3/", "x", "{\"ko\":", "category 3"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        e = (struct error){0};
        if (add(b, cases[i].id, 0, cases[i].path, cases[i].name, cases[i].names, &e))
            fail_msg("case %zu was taken", i);
        assert_int_equal(e.code, ERROR_INVALID);
        assert_message(&e, cases[i].message);
    }
    /* Those that were refused leave no trace; a missing ancestor only costs its name. */
    assert_true(add(b, 3, 7, "7/3/", "x", "", &e));
    struct category_tree *tree = category_tree_build(b, 1, &e);
    assert_int_equal(category_tree_count(tree), 1);
    assert_int_equal(category_tree_find(tree, 3)->lineage_count, 1);
    assert_int_equal(category_tree_find(tree, 3)->level, 2);
    category_tree_unref(tree);
    assert_true(add(b, 3, 0, "3/", "x", "", &e) && add(b, 3, 0, "3/", "y", "", &e));
    assert_null(category_tree_build(b, 1, &e));
    assert_int_equal(e.code, ERROR_CORRUPT);
    assert_message(&e, "category 3");
    tree = category_tree_build(b, 9, &e);
    assert_int_equal(category_tree_count(tree), 0);
    assert_null(category_tree_find(tree, 3));
    category_tree_unref(tree);
    category_tree_builder_free(b);
}

/* The write-api takes as many. */
static void test_names_in_fifty_languages(void **state) {
    (void)state;
    struct error e = {0};
    struct category_tree_builder *b = category_tree_builder_new(&e);
    _cleanup_(buf_done) struct buf names = BUF_INIT(4096);
    for (int i = 0; i < 50; i++)
        buf_printf(&names, "%s\"%c%c\":\"n%d\"", i ? "," : "{", 'a' + i / 26, 'a' + i % 26, i);
    buf_append_char(&names, '}');
    if (!add(b, 3, 0, "3/", "x", names.data, &e))
        fail_msg("%s", e.message);
    struct category_tree *tree = category_tree_build(b, 1, &e);
    assert_int_equal(category_tree_find(tree, 3)->name_count, 50);
    category_tree_unref(tree);
    category_tree_builder_free(b);
}

static void test_bulk_of_differences(void **state) {
    (void)state;
    struct error e = {0};
    struct category_tree_builder *b = category_tree_builder_new(&e);
    struct buf out = BUF_INIT(1 << 20);
    assert_true(add(b, 1, 0, "1/", "하나", "{\"ko\":\"하나\",\"en\":\"One\"}", &e) && add(b, 2, 1, "1/2/", "two", "", &e) &&
                add(b, 3, 1, "1/3/", "three", "", &e));
    struct category_tree *old = category_tree_build(b, 5, &e);
    assert_true(add(b, 1, 0, "1/", "하나", "{\"en\":\"One\",\"ko\":\"하나\"}", &e) && add(b, 2, 1, "1/2/", "TWO", "", &e) &&
                add(b, 4, 2, "1/2/4/", "four", "", &e));
    struct category_tree *tree = category_tree_build(b, 6, &e);
    assert_int_equal(category_tree_write_bulk(tree, old, 77, &out), 4);
#define META(v) ",\"version\":" v ",\"version_type\":\"external_gte\"}}\n"
    assert_string_equal(out.data,
                        "{\"index\":{\"_id\":\"2\"" META("77")
                        "{\"id\":2,\"parent_id\":1,\"path\":\"1/2\",\"level\":2,\"name\":\"TWO\",\"revision\":6}\n"
                        "{\"index\":{\"_id\":\"4\"" META("77")
                        "{\"id\":4,\"parent_id\":2,\"path\":\"1/2/4\",\"level\":3,\"name\":\"four\",\"revision\":6}\n"
                        "{\"delete\":{\"_id\":\"3\"" META("77")
                        "{\"index\":{\"_id\":\"_meta\"" META("77") "{\"revision\":6}\n");
    buf_reset(&out);
    assert_int_equal(category_tree_write_bulk(old, NULL, 78, &out), 4);
    assert_memory_equal(out.data, "{\"index\":{\"_id\":\"1\"", 19);
    assert_non_null(strstr(out.data, "\"name\":\"하나\",\"names\":{\"en\":\"One\",\"ko\":\"하나\"},\"revision\":5}"));
    buf_reset(&out);
    assert_int_equal(category_tree_write_bulk(tree, tree, 79, &out), 1);
    category_tree_unref(old);
    category_tree_unref(tree);
    category_tree_builder_free(b);
    buf_done(&out);
}

static void test_large_tree(void **state) {
    (void)state;
    enum { COUNT = 20000 };
    struct error e = {0};
    struct category_tree_builder *b = category_tree_builder_new(&e);
    char path[64], name[32];
    for (int64_t id = COUNT; id > 0; id--) {
        int64_t top = (id - 1) / 100 + COUNT + 1;
        snprintf(path, sizeof(path), "%lld/%lld/", (long long)top, (long long)id);
        snprintf(name, sizeof(name), "n%lld", (long long)id);
        assert_true(add(b, id, top, path, name, "", &e));
    }
    struct category_tree *tree = category_tree_build(b, 1, &e);
    for (int64_t id = 1; id <= COUNT; id++)
        assert_int_equal(category_tree_find(tree, id)->id, id);
    struct category_tree *again = category_tree_ref(tree);
    category_tree_unref(tree);
    assert_int_equal(category_tree_count(again), COUNT);
    category_tree_unref(again);
    category_tree_unref(NULL);
    category_tree_builder_free(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lookup),   cmocka_unit_test(test_subtree),
        cmocka_unit_test(test_bad_rows), cmocka_unit_test(test_bulk_of_differences),
        cmocka_unit_test(test_large_tree), cmocka_unit_test(test_names_in_fifty_languages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
