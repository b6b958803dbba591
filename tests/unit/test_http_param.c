/* http_param_read: a query held against its table. openapi: the same table as a document. */
#include "core/http_param_read.h"
#include "core/json_read.h"
#include "core/openapi.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const char *const colors[] = {"red", "blue", NULL};
static const struct http_param table[] = {
    {.name = "q", .about = "Text.", .example = "x", .max = 8, .required = true},
    {.name = "size", .about = "How many.", .example = "3", .type = HTTP_PARAM_INTEGER, .min = 1, .max = 50},
    {.name = "color", .about = "Which.", .example = "red", .values = colors},
    {.name = NULL},
};
/* 79 bytes */
#define LONG "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
static struct arena arena;

static void test_values(void **state) {
    (void)state;
    struct slice values[3];
    struct field_error bad = {NULL, NULL};
    arena_init(&arena, 1 << 16);
    assert_true(http_params_read(&arena, table, SLICE("size=007&q=%20a+b%20"), values, &bad));
    assert_true(slice_eq(values[0], SLICE("a b")));
    assert_int_equal(http_param_integer(values[1], 20), 7);
    assert_null(values[2].data);
    assert_int_equal(http_param_integer(values[2], 20), 20);
    arena_done(&arena);
}

static void test_mistakes(void **state) {
    (void)state;
    static const struct {
        const char *query, *field;
    } cases[] = {
        {"", "q"},           {"q=", "q"},           {"q=123456789", "q"},     {"q=a&q=b", "q"},
        {"q=a&x=1", "x"},    {"q=%0A%01", "q"},     {"q=a&size=0", "size"},   {"q=a&size=51", "size"},
        {"q=a&size=", "size"}, {"q=a&size=-", "size"}, {"q=a&size=1.0", "size"}, {"q=a&size=99999999999999999999", "size"},
        {"q=a&color=green", "color"}, {"q=%FF", "query"},
        {"q=a&" LONG "%ED%95%9C=1", LONG}, /* names are cut between characters */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice values[3];
        struct field_error bad = {NULL, NULL};
        arena_init(&arena, 1 << 16);
        if (http_params_read(&arena, table, slice_str(cases[i].query), values, &bad) || !bad.field ||
            strcmp(bad.field, cases[i].field) != 0)
            fail_msg("%s: names %s", cases[i].query, bad.field ? bad.field : "nothing");
        arena_done(&arena);
    }
}

static void test_document(void **state) {
    (void)state;
    static const struct http_route routes[] = {
        {.method = "GET", .path = "/v1/things/{id}", .summary = "One", .params = table},
        {.method = "POST", .path = "/v1/things/{id}", .summary = "Other", .params = table},
        {.method = NULL},
    };
    const struct http_server_options options = {.name = "query-api", .routes = routes};
    struct buf out = BUF_INIT(1 << 16);
    assert_true(openapi_write(&out, "1", &options));
    arena_init(&arena, 1 << 20);
    const struct json *all = json_parse(&arena, out.data, out.len, NULL, NULL);
    const struct json *path = json_get(json_get(all, "paths"), "/v1/things/{id}");
    const struct json *id = json_path(path, "get.parameters");
    assert_non_null(id);
    assert_int_equal(id->count, 4);
    assert_true(json_string_is(json_get(id->child, "in"), "path"));
    assert_true(json_string_is(json_get(id->child->next->next, "name"), "size"));
    int64_t most = 0;
    assert_true(json_int64(json_path(id->child->next->next, "schema.maximum"), &most) && most == 50);
    assert_non_null(json_get(json_path(path, "post.requestBody.content"), "application/json"));
    arena_done(&arena);
    buf_done(&out);
    struct buf small = BUF_INIT(100);
    assert_false(openapi_write(&small, "1", &options));
    buf_done(&small);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
