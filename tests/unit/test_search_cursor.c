/* search_cursor: what goes out comes back, and nothing else is taken for it. */
#include "query-api/search/search_cursor.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct arena arena;
static const char answer_text[] =
    "{\"pit_id\":\"abc_-+/=\",\"hits\":{\"total\":{\"value\":9},\"hits\":[{\"sort\":[1,2,\"x\"]},"
    "{\"sort\":[0,-9223372036854775808,\"an id \xea\xb0\x80\",17]}]}}";

static struct search_params read_params(const char *query) {
    struct search_params p;
    struct search_errors errors;
    assert_true(search_params_from_query(&arena, slice_str(query), &p, &errors));
    return p;
}

/* The cursor behind the answer, without its quotes; empty for null. */
static struct slice cursor_of(const struct search_params *p) {
    struct buf out = BUF_INIT(8192);
    struct json_write w;
    const struct json *answer = json_parse(&arena, answer_text, sizeof(answer_text) - 1, NULL, NULL);
    json_write_init(&w, &out);
    assert_true(search_cursor_write(&w, p, answer) && json_write_finish(&w));
    char *copy = arena_strndup(&arena, out.data, out.len);
    size_t len = out.len;
    buf_done(&out);
    return strcmp(copy, "null") == 0 ? (struct slice){"", 0} : (struct slice){copy + 1, len - 2};
}

static int setup(void **state) {
    (void)state;
    arena_init(&arena, 16 << 20);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_done(&arena);
    return 0;
}

static void test_round_trip(void **state) {
    (void)state;
    const char *why = NULL;
    struct search_params p = read_params("q=x&size=2&brand=LG&brand=Nike&attr.a=1..2&sort=newest");
    struct search_params again = read_params("size=5&attr.a=1..2&brand=Nike&brand=LG&q=x&sort=newest&facets=brand");
    again.cursor = cursor_of(&p);
    assert_true(again.cursor.len > 0);
    assert_true(search_cursor_read(&arena, &again, &why));
    assert_true(slice_eq(again.view, SLICE("abc_-+/=")));
    assert_int_equal(again.after->count, 3);
    assert_true(slice_eq(again.after->child->next->text, SLICE("-9223372036854775808")));
    assert_true(json_string_is(again.after->child->next->next, "an id \xea\xb0\x80"));
}

static void test_every_change_is_noticed(void **state) {
    (void)state;
    const char *why = NULL;
    struct search_params p = read_params("size=2");
    struct slice good = cursor_of(&p);
    for (size_t at = 0; at < good.len; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            char *bad = arena_strndup(&arena, good.data, good.len);
            bad[at] = (char)(bad[at] ^ (1 << bit));
            p.cursor = (struct slice){bad, good.len};
            assert_false(search_cursor_read(&arena, &p, &why));
            p.cursor.len = at;
            assert_false(search_cursor_read(&arena, &p, &why));
        }
    p.cursor = good;
    assert_true(search_cursor_read(&arena, &p, &why));
}

static void test_another_search(void **state) {
    (void)state;
    static const char *const others[] = {"q=x&size=2", "size=2&typo=off", "size=2&sort=newest", "size=2&brand=x",
                                         "size=2&price=0..1", "size=2&attr.a=b"};
    struct search_params p = read_params("size=2");
    struct slice good = cursor_of(&p);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        const char *why = NULL;
        struct search_params other = read_params(others[i]);
        other.cursor = good;
        assert_false(search_cursor_read(&arena, &other, &why));
        assert_non_null(strstr(why, "another search"));
    }
}

static void test_the_end(void **state) {
    (void)state;
    struct search_params p = read_params("size=3"); /* two hits: a page that is not full */
    assert_int_equal(cursor_of(&p).len, 0);
    p = read_params("size=2&page=5"); /* 10 of 9 */
    assert_int_equal(cursor_of(&p).len, 0);
    p = read_params("size=2&page=4");
    assert_true(cursor_of(&p).len > 0);
    p = read_params("size=2&cursor=*");
    assert_true(cursor_of(&p).len > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_change_is_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_search, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_end, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
