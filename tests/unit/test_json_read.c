#include "tests/unit/test.h"
#include "core/json_read.h"
#include "core/json_write.h"
#include <stdio.h>

/* The tree written again: shows structure, order and decoded texts at once. */
static void check_parse(const char *text, size_t len, const char *want) {
    _cleanup_(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    struct error e = {0};
    struct json *v = json_parse(&a, text, len, NULL, &e);
    if (!v)
        fail_msg("%s: %s", text, e.message);
    _cleanup_(buf_done) struct buf b = BUF_INIT(1 << 20);
    struct json_write w;
    json_write_init(&w, &b);
    json_write_json(&w, v);
    assert_true(json_write_finish(&w));
    assert_string_equal(b.data, want);
}

static void test_accepted(void **state) {
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"null", "null"},
        {" \t\r\n true ", "true"},
        {"12", "12"},
        {"-0.50e+10", "-0.50e+10"},
        {"1e400", "1e400"},
        {"\"\"", "\"\""},
        {"[]", "[]"},
        {"{}", "{}"},
        {"[[],{}, [1 ,2]]", "[[],{},[1,2]]"},
        {"{\"b\":1,\"a\":{\"b\":[false,null]}}", "{\"b\":1,\"a\":{\"b\":[false,null]}}"},
        {"\"\\u0041\\n\\/\\\"\\\\\\b\\f\\r\\t\"", "\"A\\n/\\\"\\\\\\b\\f\\r\\t\""},
        {"\"\\uD83D\\uDE00\\uac00\"", "\"\xF0\x9F\x98\x80\xEA\xB0\x80\""},
        {"\"\\\\ud800\"", "\"\\\\ud800\""},
        {"\"\xED\x95\x9C\"", "\"\xED\x95\x9C\""},
        {"{\"\":{\"\":1}}", "{\"\":{\"\":1}}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_parse(cases[i].text, strlen(cases[i].text), cases[i].want);
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "premature EOF"},
        {"   ", "premature EOF"},
        {"[1", "premature EOF"},
        {"{\"a\":", "premature EOF"},
        {"\"abc", "premature EOF"},
        {"[1] x", "trailing garbage"},
        {"1 2", "trailing garbage"},
        {"{} {}", "trailing garbage"},
        {"7\"", "trailing garbage"},
        {"{\"a\":1} \"abc", "trailing garbage"},
        {"[1]\"\\\\", "trailing garbage"},
        {"[1]\"a\\", "trailing garbage"},
        {"[1,\v2]", "no blank"},
        {"\f1", "no blank"},
        {"[1,]", "line 1"},
        {"{\"a\":1,}", "line 1"},
        {"{a:1}", "line 1"},
        {"{1:1}", "line 1"},
        {"[1 2]", "line 1"},
        {"NaN", "line 1"},
        {"Infinity", "line 1"},
        {"-Infinity", "line 1"},
        {"01", "line 1"},
        {"+1", "line 1"},
        {".5", "line 1"},
        {"1.", "line 1"},
        {"1e", "line 1"},
        {"tru", "line 1"},
        {"'a'", "line 1"},
        {"\"\\x\"", "line 1"},
        {"\"a\nb\"", "line 1"},
        {"/* c */ 1", "line 1"},
        {"\xEF\xBB\xBF{}", "line 1"},
        {"\"\xFF\"", "line 1 column 2: not UTF-8"},
        {"[\n \"\xED\xA0\x80\"]", "line 2 column 3: not UTF-8"},
        {"\"\\ud800\"", "surrogate"},
        {"\"\\ud800\\u0041\"", "surrogate"},
        {"\"\\udc00\"", "surrogate"},
        {"\"\\udbff\\udbff\"", "surrogate"},
        {"\"\\u12\"", "line 1"},
        {"{\"a\":1,\"b\":2,\"a\":3}", "JSON key \"a\" stands twice"},
        {"{\"a\":1,\"\\u0061\":3}", "JSON key \"a\" stands twice"},
        {"[1,\n2,\n  x]", "line 3"},
        {"]", "line 1"},
        {"}", "line 1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(arena_done) struct arena a;
        arena_init(&a, 1 << 20);
        struct error e = {0};
        if (json_parse(&a, cases[i].text, strlen(cases[i].text), NULL, &e))
            fail_msg("accepted: %s", cases[i].text);
        assert_int_equal(e.code, ERROR_INVALID);
        assert_message(&e, cases[i].message);
    }
    _cleanup_(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    assert_null(json_parse(&a, "[1]\0", 4, NULL, NULL));
    assert_null(json_parse(&a, NULL, 0, NULL, NULL));
}

static void test_nul_in_strings(void **state) {
    (void)state;
    _cleanup_(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    const char *text = "{\"k\\u0000\":\"a\\u0000b\"}";
    struct json *v = json_parse(&a, text, strlen(text), NULL, NULL);
    assert_non_null(v);
    assert_int_equal(v->child->key.len, 2);
    assert_int_equal(v->child->text.len, 3);
    assert_memory_equal(v->child->text.data, "a\0b", 4);
    assert_null(json_get(v, "k"));
    assert_false(json_string_is(v->child, "a"));
}

static void test_depth(void **state) {
    (void)state;
    for (unsigned limit = 1; limit <= 40; limit++) {
        for (unsigned depth = limit; depth <= limit + 1; depth++) {
            char text[256];
            for (unsigned i = 0; i < depth; i++) {
                text[i] = '[';
                text[depth + i] = ']';
            }
            _cleanup_(arena_done) struct arena a;
            arena_init(&a, 1 << 20);
            struct json_limits limits = {.depth_max = limit == 32 ? 0 : limit};
            struct error e = {0};
            struct json *v = json_parse(&a, text, (size_t)2 * depth, &limits, &e);
            assert_int_equal(v != NULL, depth == limit);
            if (!v)
                assert_message(&e, "deeper than");
        }
    }
}

/* A hundred thousand brackets: neither our code nor yajl's may use the stack for them. */
static void test_very_deep(void **state) {
    (void)state;
    size_t n = 100000;
    char *text = malloc(2 * n);
    memset(text, '[', n);
    memset(text + n, ']', n);
    static const struct json_sax none;
    struct error e = {0};
    assert_false(json_sax(&none, NULL, text, 2 * n, 32, NULL, &e));
    assert_true(json_sax(&none, NULL, text, 2 * n, (unsigned)n, NULL, &e));
    _cleanup_(arena_done) struct arena a;
    arena_init(&a, (size_t)1 << 30);
    struct json_limits limits = {.depth_max = (unsigned)n, .values_max = (unsigned)n};
    assert_non_null(json_parse(&a, text, 2 * n, &limits, &e));
    free(text);
}

static void test_limits(void **state) {
    (void)state;
    struct json_limits limits = {.values_max = 4};
    struct error e = {0};
    _cleanup_(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    assert_non_null(json_parse(&a, "[1,2,3]", 7, &limits, &e));
    assert_null(json_parse(&a, "[1,2,3,4]", 9, &limits, &e));
    assert_message(&e, "more than 4 values");
    arena_done(&a);
    arena_init(&a, 500);
    assert_null(json_parse(&a, "[1,2,3,4,5,6,7,8]", 17, NULL, &e));
    assert_int_equal(e.code, ERROR_INVALID);
    assert_message(&e, "more than the 500 bytes");
}

/* Objects of all sizes around the switch to a table, with a duplicate of each of their keys in turn. */
static void test_duplicates_in_large_objects(void **state) {
    (void)state;
    for (int members = 1; members < 140; members += members < 40 ? 1 : 33) {
        for (int twice = -1; twice < members; twice += 1 + members / 9) {
            _cleanup_(buf_done) struct buf b = BUF_INIT(1 << 20);
            buf_append_str(&b, "[{\"inner\":{");
            for (int i = 0; i < members; i++)
                buf_printf(&b, "\"key%d\":{\"x\":1,\"y\":2},", i);
            buf_printf(&b, "\"key%d\":0}}", twice);
            /* a second object at the same depth may have the same keys */
            buf_append_str(&b, ",{\"inner\":{\"key0\":0,\"key1\":1}}]");
            _cleanup_(arena_done) struct arena a;
            arena_init(&a, 1 << 20);
            struct error e = {0};
            struct json *v = json_parse(&a, b.data, b.len, NULL, &e);
            assert_int_equal(v != NULL, twice < 0);
            if (!v) {
                char name[32];
                snprintf(name, sizeof(name), "\"key%d\"", twice);
                assert_message(&e, name);
            }
        }
    }
}

static void test_access(void **state) {
    (void)state;
    _cleanup_(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    const char *text = "{\"a\":{\"b\":{\"c\":\"x\"}},\"n\":12,\"list\":[1,2]}";
    struct json *v = json_parse(&a, text, strlen(text), NULL, NULL);
    assert_true(json_string_is(json_path(v, "a.b.c"), "x"));
    assert_null(json_path(v, "a.x.c"));
    assert_null(json_path(v, "n.b"));
    assert_null(json_path(v, ""));
    assert_null(json_get(NULL, "a"));
    assert_null(json_path(NULL, "a"));
    assert_null(json_get(json_get(v, "list"), "a"));
    assert_int_equal(v->count, 3);
    assert_int_equal(json_get(v, "list")->count, 2);
    int64_t i;
    double d;
    assert_true(json_int64(json_get(v, "n"), &i));
    assert_int_equal(i, 12);
    assert_true(json_double(json_get(v, "n"), &d));
    assert_false(json_int64(json_get(v, "a"), &i));
    assert_false(json_double(NULL, &d));
    assert_true(json_is(v, JSON_OBJECT));
    assert_false(json_is(NULL, JSON_OBJECT));
}

static void test_int64(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        int64_t v;
    } cases[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"-0.0e99999999999999999999", true, 0},
        {"12", true, 12},
        {"12.0", true, 12},
        {"1.2e1", true, 12},
        {"0.00120E4", true, 12},
        {"1200e-2", true, 12},
        {"1e18", true, INT64_C(1000000000000000000)},
        {"9223372036854775807", true, INT64_MAX},
        {"9223372036854775807.000", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"1e19", false, 0},
        {"18446744073709551616", false, 0},
        {"1.5", false, 0},
        {"12e-1", false, 0},
        {"1e-1", false, 0},
        {"1e999999999999999999999", false, 0},
        {"100000000000000000000000e-20", true, 1000},
        {"", false, 0},
        {"-", false, 0},
        {"+1", false, 0},
        {"01", false, 0},
        {"1.", false, 0},
        {".1", false, 0},
        {"1e", false, 0},
        {"1e+", false, 0},
        {"0x10", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1-", false, 0},
        {"NaN", false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t v = 77;
        bool ok = json_text_int64(slice_str(cases[i].text), &v);
        if (ok != cases[i].ok || v != (ok ? cases[i].v : 77))
            fail_msg("%s: %d %lld", cases[i].text, ok, (long long)v);
    }
}

static void test_double(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        double v;
    } cases[] = {
        {"0", true, 0},
        {"-0", true, -0.0},
        {"19.99", true, 19.99},
        {"-2.5e-3", true, -0.0025},
        {"123456789012345678901234567890", true, 1.2345678901234568e29},
        {"1.7976931348623157e308", true, 1.7976931348623157e308},
        {"4.9e-324", true, 5e-324},
        {"1e-400", true, 0},
        {"9007199254740993", true, 9007199254740992.0},
        {"0.1000000000000000055511151231257827021181583404541015625", true, 0.1},
        {"1e400", false, 0},
        {"-1e400", false, 0},
        {"inf", false, 0},
        {"nan", false, 0},
        {"0x1p3", false, 0},
        {"1,5", false, 0},
        {"", false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        double v = 77, want = cases[i].ok ? cases[i].v : 77;
        bool ok = json_text_double(slice_str(cases[i].text), &v);
        if (ok != cases[i].ok || memcmp(&v, &want, sizeof(v)) != 0)
            fail_msg("%s: %d %.17g", cases[i].text, ok, v);
    }
}

struct events {
    char text[256];
    int stop_after;
};

static bool event(void *ctx, const char *what, struct slice s) {
    struct events *e = ctx;
    size_t len = strlen(e->text);
    snprintf(e->text + len, sizeof(e->text) - len, "%s%.*s ", what, (int)s.len, s.len ? s.data : "");
    return e->stop_after < 0 || e->stop_after-- > 0;
}
static bool on_null(void *c) {
    return event(c, "null", SLICE(""));
}
static bool on_boolean(void *c, bool v) {
    return event(c, v ? "true" : "false", SLICE(""));
}
static bool on_number(void *c, struct slice s) {
    return event(c, "#", s);
}
static bool on_string(void *c, struct slice s) {
    return event(c, "'", s);
}
static bool on_key(void *c, struct slice s) {
    return event(c, ":", s);
}
static bool on_object(void *c) {
    return event(c, "{", SLICE(""));
}
static bool on_object_end(void *c) {
    return event(c, "}", SLICE(""));
}
static bool on_array(void *c) {
    return event(c, "[", SLICE(""));
}
static bool on_array_end(void *c) {
    return event(c, "]", SLICE(""));
}
static const struct json_sax recorder = {on_null,   on_boolean,    on_number, on_string,   on_key,
                                         on_object, on_object_end, on_array,  on_array_end};

static void test_sax(void **state) {
    (void)state;
    const char *text = "{\"a\":[1,\"x\",true,false,null],\"b\":{}}";
    struct events e = {.stop_after = -1};
    bool stopped = true;
    assert_true(json_sax(&recorder, &e, text, strlen(text), 0, &stopped, NULL));
    assert_false(stopped);
    assert_string_equal(e.text, "{ :a [ #1 'x true false null ] :b { } } ");
    for (int n = 0; n < 12; n++) {
        e = (struct events){.stop_after = n};
        stopped = false;
        assert_true(json_sax(&recorder, &e, text, strlen(text), 0, &stopped, NULL));
        assert_int_equal(stopped, n < 12);
    }
    static const struct json_sax none;
    assert_true(json_sax(&none, NULL, text, strlen(text), 0, NULL, NULL));
    struct error err = {0};
    stopped = true;
    assert_false(json_sax(&none, NULL, "[", 1, 0, &stopped, &err));
    assert_true(stopped); /* untouched on failure */
}

/* Strings with escapes of all lengths around yajl's buffer sizes, to move and grow its memory. */
static void test_long_escaped_strings(void **state) {
    (void)state;
    for (size_t len = 1; len < 70000; len = len * 2 + 1) {
        _cleanup_(buf_done) struct buf b = BUF_INIT(1 << 20);
        buf_append_str(&b, "[\"");
        for (size_t i = 0; i < len; i++)
            buf_append_str(&b, i % 7 ? "a" : "\\n");
        buf_append_str(&b, "\"]");
        _cleanup_(arena_done) struct arena a;
        arena_init(&a, 1 << 20);
        struct error e = {0};
        struct json *v = json_parse(&a, b.data, b.len, NULL, &e);
        if (!v)
            fail_msg("%s", e.message);
        assert_int_equal(v->child->text.len, len);
        assert_int_equal(v->child->text.data[len - 1], (len - 1) % 7 ? 'a' : '\n');
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_nul_in_strings),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_very_deep),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_duplicates_in_large_objects),
        cmocka_unit_test(test_access),
        cmocka_unit_test(test_int64),
        cmocka_unit_test(test_double),
        cmocka_unit_test(test_sax),
        cmocka_unit_test(test_long_escaped_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
