#include "tests/unit/test.h"
#include "core/uri.h"

struct want {
    const char *query;
    size_t count;
    const char *pairs[5][2];
};

static void test_query(void **state) {
    (void)state;
    static const struct want cases[] = {
        {"", 0, {{0}}},
        {"&&&", 0, {{0}}},
        {"a=1", 1, {{"a", "1"}}},
        {"a=1&b=%20&a=2", 3, {{"a", "1"}, {"b", " "}, {"a", "2"}}},
        {"&a=1&&b=2&", 2, {{"a", "1"}, {"b", "2"}}},
        {"flag", 1, {{"flag", ""}}},
        {"flag=", 1, {{"flag", ""}}},
        {"=v", 1, {{"", "v"}}},
        {"f=a=b", 1, {{"f", "a=b"}}},
        {"q=a+b%2Bc", 1, {{"q", "a b+c"}}},
        {"q=%EC%82%BC", 1, {{"q", "\xEC\x82\xBC"}}},
        {"q=\xEC\x82\xBC", 1, {{"q", "\xEC\x82\xBC"}}},
        {"%61%3d=%26", 1, {{"a=", "&"}}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(arena_done) struct arena a;
        arena_init(&a, 10000);
        struct error e = {0};
        struct uri_pair *pairs;
        size_t count;
        if (!uri_parse_query(&a, cases[i].query, strlen(cases[i].query), 5, &pairs, &count, &e))
            fail_msg("%s: %s", cases[i].query, e.message);
        assert_int_equal(count, cases[i].count);
        for (size_t p = 0; p < count; p++) {
            assert_string_equal(pairs[p].key.data, cases[i].pairs[p][0]);
            assert_string_equal(pairs[p].value.data, cases[i].pairs[p][1]);
        }
    }
}

static void test_query_refused(void **state) {
    (void)state;
    static const struct {
        const char *query, *message;
    } cases[] = {
        {"a=1&b=%", "query parameter 2, 'b=%', has a '%'"},
        {"a=%4", "two hex digits"},
        {"a=%4g", "two hex digits"},
        {"a=%g4", "two hex digits"},
        {"a=%00", "NUL"},
        {"a=%FF", "not UTF-8"},
        {"%ED%A0%80=1", "not UTF-8"},
        {"a&b&c&d&e&f", "6 parameters"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(arena_done) struct arena a;
        arena_init(&a, 10000);
        struct error e = {0};
        struct uri_pair *pairs = NULL;
        size_t count = 99;
        assert_false(uri_parse_query(&a, cases[i].query, strlen(cases[i].query), 5, &pairs, &count, &e));
        assert_int_equal(e.code, ERROR_INVALID);
        assert_message(&e, cases[i].message);
        assert_null(pairs);
        assert_int_equal(count, 99);
    }
}

static void test_long_query_is_excerpted(void **state) {
    (void)state;
    _cleanup_(arena_done) struct arena a;
    arena_init(&a, 10000);
    struct error e = {0};
    struct uri_pair *pairs;
    size_t count;
    const char *query = "key=0123456789012345678901234567890123456789\xFF%zz";
    assert_false(uri_parse_query(&a, query, strlen(query), 5, &pairs, &count, &e));
    assert_message(&e, "'key=012345678901234567890123456789012345...'");
}

static void test_segment(void **state) {
    (void)state;
    _cleanup_(arena_done) struct arena a;
    arena_init(&a, 10000);
    struct slice s;
    struct error e = {0};
    assert_true(uri_decode_segment(&a, "a+b%2Fc", 7, &s, &e));
    assert_string_equal(s.data, "a+b/c");
    assert_false(uri_decode_segment(&a, "a%2", 3, &s, &e));
    assert_message(&e, "path segment 'a%2'");
    arena_done(&a);
    arena_init(&a, 4);
    assert_false(uri_decode_segment(&a, "abcdef", 6, &s, &e));
    assert_int_equal(e.code, ERROR_INTERNAL);
}

static void test_encode(void **state) {
    (void)state;
    _cleanup_(buf_done) struct buf b = BUF_INIT(2000);
    assert_true(uri_encode(&b, "aZ09-._~ /?&=+%\xEC\0", 17));
    assert_string_equal(b.data, "aZ09-._~%20%2F%3F%26%3D%2B%25%EC%00");
    buf_reset(&b);
    assert_true(uri_encode(&b, "", 0));
    assert_string_equal(b.data, "");
    struct buf small = BUF_INIT(4);
    assert_false(uri_encode(&small, "a b c", 5));
    buf_done(&small);
}

/* Any bytes without NUL that are UTF-8 come back from encode and decode. */
static void test_round_trip(void **state) {
    (void)state;
    char all[127];
    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (char)(i + 1);
    _cleanup_(buf_done) struct buf b = BUF_INIT(2000);
    assert_true(uri_encode(&b, all, sizeof(all)));
    _cleanup_(arena_done) struct arena a;
    arena_init(&a, 10000);
    struct slice s;
    assert_true(uri_decode_segment(&a, b.data, b.len, &s, NULL));
    assert_int_equal(s.len, sizeof(all));
    assert_memory_equal(s.data, all, sizeof(all));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_query_refused),
        cmocka_unit_test(test_long_query_is_excerpted),
        cmocka_unit_test(test_segment),
        cmocka_unit_test(test_encode),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
