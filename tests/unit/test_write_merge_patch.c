/* merge_patch: the examples of RFC 7396, appendix A, and patches of very many members. */
#include "core/clock.h"
#include "core/json_write.h"
#include "write-api/merge_patch.h"
#include "test.h"
#include <stdio.h>

static struct json *parse(struct arena *arena, const char *text) {
    struct json *v = json_parse(arena, text, strlen(text), NULL, NULL);
    assert_non_null(v);
    return v;
}

static char *render(const struct json *v) {
    struct buf out = BUF_INIT(16 << 20);
    struct json_write w;
    assert_true(json_write_init(&w, &out));
    json_write_json(&w, v);
    assert_true(json_write_finish(&w));
    return buf_steal(&out);
}

static const struct {
    const char *target, *patch, *result;
} cases[] = {
    {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
    {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
    {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
    {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
    {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
    {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
    {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
    {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
    {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
    {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
    {"{\"a\":\"foo\"}", "null", "null"},
    {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
    {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
    {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
    {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
    {"{\"a\":1,\"b\":2,\"c\":3}", "{\"c\":null,\"d\":4,\"b\":null,\"e\":{\"x\":null,\"y\":1}}",
     "{\"a\":1,\"d\":4,\"e\":{\"y\":1}}"},
};

static void test_rfc_examples(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena arena;
        arena_init(&arena, 1 << 20);
        struct json *result = merge_patch(&arena, parse(&arena, cases[i].target), parse(&arena, cases[i].patch));
        assert_non_null(result);
        char *text = render(result);
        assert_string_equal(text, cases[i].result);
        free(text);
        arena_done(&arena);
    }
}

static unsigned members(const struct json *v) {
    unsigned n = 0;
    for (const struct json *m = v->child; m; m = m->next)
        n++;
    return n;
}

/* Hostile, but linear: a square of 90,000 members would take minutes. */
static void test_many_members(void **state) {
    (void)state;
    struct arena arena;
    struct buf patch = BUF_INIT(16 << 20);
    arena_init(&arena, 256 << 20);
    buf_append_str(&patch, "{\"a\":null");
    for (int i = 0; i < 90000; i++)
        buf_printf(&patch, ",\"m%d\":%d", i, i);
    buf_append_char(&patch, '}');
    struct json *target = parse(&arena, "{\"a\":1,\"b\":2}"), *changes = parse(&arena, patch.data);
    usec_t before = clock_now_usec();
    struct json *result = merge_patch(&arena, target, changes);
    assert_true(clock_now_usec() - before < 20 * USEC_PER_SEC);
    assert_int_equal(result->count, 90001);
    assert_int_equal(members(result), 90001);
    buf_done(&patch);
    arena_done(&arena);
}

static void test_no_memory(void **state) {
    (void)state;
    struct arena roomy, tight;
    arena_init(&roomy, 1 << 20);
    arena_init(&tight, 64);
    struct json *target = parse(&roomy, "{\"a\":1}"), *patch = parse(&roomy, "{\"b\":{\"c\":{\"d\":1}}}");
    assert_null(merge_patch(&tight, target, patch));
    arena_done(&roomy);
    arena_done(&tight);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc_examples),
        cmocka_unit_test(test_many_members),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("write_merge_patch", tests, NULL, NULL);
}
