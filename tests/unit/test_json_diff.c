#include "tests/unit/test.h"
#include "projector/commands/json_diff.h"
#include <stdio.h>

struct text {
    char data[4096];
    size_t len;
};

static void note(void *ctx, const char *path, const char *before, const char *after) {
    struct text *t = ctx;
    t->len += (size_t)snprintf(t->data + t->len, sizeof(t->data) - t->len, "%s:%s>%s;", path, before ? before : "-",
                               after ? after : "-");
}

static void compare(const char *before, const char *after, const char *want) {
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct json_lines a = JSON_LINES_INIT, b = JSON_LINES_INIT;
    struct text found = {"", 0};
    json_lines_add(&a, "", json_parse(&arena, before, strlen(before), NULL, NULL));
    json_lines_add(&b, NULL, json_parse(&arena, after, strlen(after), NULL, NULL));
    json_lines_sort(&a);
    json_lines_sort(&b);
    assert_false(a.failed || b.failed);
    json_lines_diff(&a, &b, note, &found);
    assert_string_equal(found.data, want);
    json_lines_done(&a);
    json_lines_done(&b);
    arena_done(&arena);
}

static void test_differences(void **state) {
    (void)state;
    static const char *const cases[][3] = {
        {"{}", "{}", ""},
        {"{\"a\":1,\"b\":{\"c\":true}}", "{\"b\":{\"c\":\"true\"},\"a\":\"1\"}", ""},
        {"{\"a\":{\"b\":1}}", "{\"a\":{\"b\":2,\"c\":{}}}", "a.b:1>2;a.c:->{};"},
        {"{\"x\":[\"p\"]}", "{\"x\":\"p\"}", ""},
        {"{\"x\":[\"p\",2,[true]]}", "{\"x\":[\"p\",2,true,null]}", "x:[p, 2, true]>[p, 2, true, null];"},
        {"{\"z\":1}", "{\"a\":1}", "a:->1;z:1>-;"},
        {"{\"rules\":[{\"field\":\"id\",\"as\":\"id\"},{\"field\":\"b\",\"as\":\"text\"}]}",
         "{\"rules\":[{\"field\":\"b\",\"as\":\"keyword\"},{\"field\":\"id\",\"as\":\"id\"}]}",
         "rules.b.as:text>keyword;"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        compare(cases[i][0], cases[i][1], cases[i][2]);
}

static void test_prefix(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct json_lines lines = JSON_LINES_INIT;
    json_lines_add(&lines, "settings", json_parse(&arena, "{\"a\":5}", 7, NULL, NULL));
    json_lines_add(&lines, "none", NULL);
    assert_int_equal(lines.count, 1);
    assert_string_equal(lines.lines[0].path, "settings.a");
    assert_string_equal(lines.lines[0].value, "5");
    json_lines_done(&lines);
    arena_done(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_differences), cmocka_unit_test(test_prefix)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
