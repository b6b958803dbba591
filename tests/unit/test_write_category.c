/* category, stock and problems: what needs no database. */
#include "write-api/category.h"
#include "write-api/stock_store.h"
#include "test.h"
#include <stdio.h>

static void test_ids(void **state) {
    (void)state;
    static const char *const bad[] = {"", "0", "01", "-1", "+1", "1.0", "4294967296", "99999999999", "1a", " 1", "1/4"};
    uint32_t id = 0;
    assert_true(category_parse_id(SLICE("1"), &id) && id == 1);
    assert_true(category_parse_id(SLICE("4294967295"), &id) && id == UINT32_MAX);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(category_parse_id(slice_str(bad[i]), &id));
}

static const struct {
    const char *text, *name, *names, *field; /* field: of the one mistake; NULL: none */
} names[] = {
    {"\"TV\"", "TV", NULL, NULL},
    {"{\"en\":\"TV\",\"ko\":\"티비\"}", "티비", "{\"en\":\"TV\",\"ko\":\"티비\"}", NULL},
    {"{\"en\":\"TV\",\"de\":\"Fernseher\"}", "TV", "{\"en\":\"TV\",\"de\":\"Fernseher\"}", NULL},
    {"\"\"", NULL, NULL, "name"},
    {"\"  \"", NULL, NULL, "name"},
    {"\"a\\u0000\"", NULL, NULL, "name"},
    {"\"a\\nb\"", NULL, NULL, "name"},
    {"5", NULL, NULL, "name"},
    {"null", NULL, NULL, "name"},
    {"{}", NULL, NULL, "name"},
    {"{\"KO\":\"x\"}", NULL, NULL, "name.KO"},
    {"{\"ko\":[]}", NULL, NULL, "name.ko"},
};

static void test_names(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct arena arena;
        struct problems problems;
        struct slice name, all;
        arena_init(&arena, 1 << 20);
        problems_init(&problems);
        const struct json *v = json_parse(&arena, names[i].text, strlen(names[i].text), NULL, NULL);
        bool ok = category_read_name(v, &arena, &name, &all, &problems);
        assert_int_equal(ok, !names[i].field);
        if (ok) {
            assert_true(slice_eq(name, slice_str(names[i].name)));
            assert_true(slice_eq(all, slice_str(names[i].names)));
        } else {
            assert_int_equal(problems.count, 1);
            assert_string_equal(problems.errors[0].field, names[i].field);
        }
        problems_done(&problems);
        arena_done(&arena);
    }
}

static void test_name_length_is_in_characters(void **state) {
    (void)state;
    struct arena arena;
    struct problems problems;
    struct slice name, all;
    arena_init(&arena, 1 << 20);
    problems_init(&problems);
    for (int count = CATEGORY_NAME_MAX; count <= CATEGORY_NAME_MAX + 1; count++) {
        struct buf text = BUF_INIT(4096);
        buf_append_char(&text, '"');
        for (int i = 0; i < count; i++)
            buf_append_str(&text, "가");
        buf_append_char(&text, '"');
        const struct json *v = json_parse(&arena, text.data, text.len, NULL, NULL);
        assert_int_equal(category_read_name(v, &arena, &name, &all, &problems), count == CATEGORY_NAME_MAX);
        buf_done(&text);
    }
    problems_done(&problems);
    arena_done(&arena);
}

static void test_within(void **state) {
    (void)state;
    assert_true(category_path_within(SLICE("1/4/"), SLICE("1/4/")));
    assert_true(category_path_within(SLICE("1/4/13/"), SLICE("1/4/")));
    assert_false(category_path_within(SLICE("1/44/"), SLICE("1/4/")));
    assert_false(category_path_within(SLICE("1/"), SLICE("1/4/")));
}

static void test_category_json(void **state) {
    (void)state;
    struct category c = {.id = 13,
                         .parent_id = 4,
                         .level = 3,
                         .version = 2,
                         .path = SLICE("1/4/13/"),
                         .name = SLICE("TV"),
                         .names = SLICE("{\"en\":\"TV\"}"),
                         .created_at = SLICE("2026-01-02 03:04:05.678901"),
                         .updated_at = SLICE("2026-01-02 03:04:05.678902")};
    struct buf out = BUF_INIT(4096);
    struct json_write w;
    assert_true(json_write_init(&w, &out));
    category_write_json(&w, &c);
    assert_true(json_write_finish(&w));
    assert_string_equal(out.data, "{\"id\":13,\"parent_id\":4,\"level\":3,\"path\":\"1/4/13/\",\"name\":{\"en\":\"TV\"},"
                                  "\"version\":2,\"created_at\":\"2026-01-02T03:04:05.678901Z\","
                                  "\"updated_at\":\"2026-01-02T03:04:05.678902Z\"}");
    buf_done(&out);
}

static void test_available(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {{"0", true},   {"12.0", true}, {"9000000000000000", true}, {"9000000000000001", false},
                 {"-1", false}, {"1.5", false}, {"\"5\"", false},           {"null", false}};
    struct arena arena;
    struct problems problems;
    arena_init(&arena, 1 << 20);
    problems_init(&problems);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t v;
        const struct json *json = json_parse(&arena, cases[i].text, strlen(cases[i].text), NULL, NULL);
        assert_int_equal(stock_read_available(json, &v, &problems), cases[i].ok);
    }
    problems_done(&problems);
    arena_done(&arena);
}

/* Paths come from clients: deep, long and full of control characters. */
static void test_problem_paths(void **state) {
    (void)state;
    struct problems problems;
    problems_init(&problems);
    struct field_path chain[40];
    for (unsigned i = 0; i < 40; i++)
        chain[i] = i % 2 ? ELEMENT(i ? &chain[i - 1] : NULL, i) : FIELD(i ? &chain[i - 1] : NULL, SLICE("ab\nc"));
    problems_add(&problems, &chain[39], "is wrong");
    assert_non_null(strstr(problems.errors[0].field, "ab?c[39]"));
    assert_null(strchr(problems.errors[0].field, '\n'));
    char name[300];
    for (size_t i = 0; i + 3 <= sizeof(name); i += 3)
        memcpy(name + i, "가", 3);
    struct field_path long_one = FIELD(NULL, ((struct slice){name, sizeof(name)}));
    problems_add(&problems, &long_one, "is wrong");
    assert_int_equal(strlen(problems.errors[1].field), 78 + 3); /* whole characters, then dots */
    for (int i = 0; i < 100; i++)
        problems_add_field(&problems, "f", "%0500d", i);
    assert_int_equal(problems.count, PROBLEMS_MAX);
    assert_true(strlen(problems.errors[5].message) < 400);
    problems_done(&problems);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_name_length_is_in_characters),
        cmocka_unit_test(test_within),
        cmocka_unit_test(test_category_json),
        cmocka_unit_test(test_available),
        cmocka_unit_test(test_problem_paths),
    };
    return cmocka_run_group_tests_name("write_category", tests, NULL, NULL);
}
