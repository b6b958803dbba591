#include "tests/unit/test.h"
#include "core/clock.h"
#include "core/json_write.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void test_document(void **state) {
    (void)state;
    _cleanup_(buf_done) struct buf b = BUF_INIT(1 << 20);
    struct json_write w;
    assert_true(json_write_init(&w, &b));
    json_write_object(&w);
    json_write_key(&w, "id");
    json_write_string(&w, "p-1", 3);
    json_write_key_slice(&w, SLICE("list"));
    json_write_array(&w);
    json_write_int(&w, INT64_MIN);
    json_write_uint(&w, UINT64_MAX);
    json_write_double(&w, 19.99);
    json_write_bool(&w, true);
    json_write_bool(&w, false);
    json_write_null(&w);
    json_write_str(&w, NULL);
    json_write_str(&w, "");
    json_write_slice(&w, SLICE("s"));
    json_write_array(&w);
    json_write_array_end(&w);
    json_write_raw(&w, "{\"raw\":1}", 9);
    json_write_array_end(&w);
    json_write_key(&w, "empty");
    json_write_object(&w);
    json_write_object_end(&w);
    json_write_object_end(&w);
    assert_true(json_write_finish(&w));
    assert_string_equal(b.data, "{\"id\":\"p-1\",\"list\":[-9223372036854775808,18446744073709551615,19.99,true,false,"
                                "null,null,\"\",\"s\",[],{\"raw\":1}],\"empty\":{}}");
}

static void test_strings(void **state) {
    (void)state;
    static const struct {
        const char *s;
        size_t len;
        const char *want;
    } cases[] = {
        {"", 0, "\"\""},
        {"abcdefgh", 8, "\"abcdefgh\""},
        {"abcdefghi", 9, "\"abcdefghi\""},
        {"a\"b", 3, "\"a\\\"b\""},
        {"abcdefg\"", 8, "\"abcdefg\\\"\""},
        {"abcdefgh\\", 9, "\"abcdefgh\\\\\""},
        {"\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\""},
        {"\0\x01\x1F\x7F", 4, "\"\\u0000\\u0001\\u001f\x7F\""},
        {"a/b", 3, "\"a/b\""},
        {"\xED\x95\x9C\xEA\xB8\x80 \"x\"", 10, "\"\xED\x95\x9C\xEA\xB8\x80 \\\"x\\\"\""},
        {"12345678\xF0\x9F\x98\x80", 12, "\"12345678\xF0\x9F\x98\x80\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(buf_done) struct buf b = BUF_INIT(1000);
        assert_true(json_append_string(&b, cases[i].s, cases[i].len));
        assert_string_equal(b.data, cases[i].want);
        /* exactly the room it needs is enough, one byte less is not */
        size_t need = b.len;
        struct buf exact = BUF_INIT(need), small = BUF_INIT(need - 1);
        assert_true(json_append_string(&exact, cases[i].s, cases[i].len));
        assert_false(json_append_string(&small, cases[i].s, cases[i].len));
        assert_false(buf_ok(&small));
        buf_done(&exact);
        buf_done(&small);
    }
}

enum { LONGEST = 40 };

/* A byte at a place of a text of that length, against the rule written down the simple way. */
static void check_byte_at(const char *before, unsigned char c, size_t at, size_t len) {
    static const char *const names[32] = {[8] = "\\b", [9] = "\\t", [10] = "\\n", [12] = "\\f", [13] = "\\r"};
    static const char x[LONGEST + 1] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    char want[2 * LONGEST + 24], escaped[8] = {(char)c};
    size_t n = strlen(before);
    _cleanup_(freep) char *s = malloc(n + len);
    assert_non_null(s);
    memcpy(s, before, n);
    memcpy(s + n, x, len);
    s[n + at] = (char)c;
    if (c < 32 && names[c])
        snprintf(escaped, sizeof(escaped), "%s", names[c]);
    else if (c < 32)
        snprintf(escaped, sizeof(escaped), "\\u%04x", (unsigned)c);
    else if (c == '"' || c == '\\')
        snprintf(escaped, sizeof(escaped), "\\%c", c);
    snprintf(want, sizeof(want), "\"%s%.*s%s%.*s\"", before, (int)at, x, escaped, (int)(len - 1 - at), x);
    _cleanup_(buf_done) struct buf b = BUF_INIT(1000);
    assert_true(json_append_string(&b, s, n + len));
    if (strcmp(b.data, want) != 0)
        fail_msg("%s instead of %s", b.data, want);
}

/* Alone in ASCII, and behind a letter outside it. */
static void test_every_byte_at_every_place(void **state) {
    (void)state;
    static const size_t lengths[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 23, 32, 33};
    for (int c = 0; c < 128; c++)
        for (size_t i = 0; i < ARRAY_LEN(lengths); i++)
            for (size_t at = 0; at < lengths[i]; at++) {
                check_byte_at("", (unsigned char)c, at, lengths[i]);
                check_byte_at("가", (unsigned char)c, at, lengths[i]);
            }
}

/* Of every length: what stands behind a string is not read, and nothing of it is left out. */
static void test_every_length(void **state) {
    (void)state;
    static const char text[] = "abcdefghijklmnopqrstuvwxyz\"\"";
    for (size_t len = 0; len <= 26; len++) {
        _cleanup_(buf_done) struct buf b = BUF_INIT(len + 2);
        assert_true(json_append_string(&b, text, len));
        assert_int_equal(b.len, len + 2);
        assert_memory_equal(b.data + 1, text, len);
    }
}

/* Half a letter at every place of a text of every length. */
static void test_invalid_utf8_at_every_place(void **state) {
    (void)state;
    for (size_t len = 1; len <= LONGEST; len++)
        for (size_t at = 0; at < len; at++) {
            _cleanup_(buf_done) struct buf b = BUF_INIT(1000);
            _cleanup_(freep) char *s = malloc(len);
            assert_non_null(s);
            memset(s, 'x', len);
            s[at] = (char)0xEA;
            assert_false(json_append_string(&b, s, len));
            assert_string_equal(b.data, "");
        }
}

static void test_invalid_utf8_is_refused_whole(void **state) {
    (void)state;
    static const char *const bad[] = {"\xFF", "abcdefgh\x80", "abc\xED\xA0\x80", "long enough for words \xC3"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        _cleanup_(buf_done) struct buf b = BUF_INIT(1000);
        buf_append_str(&b, "before");
        assert_false(json_append_string(&b, bad[i], strlen(bad[i])));
        assert_string_equal(b.data, "before");
        struct json_write w;
        json_write_init(&w, &b);
        json_write_str(&w, bad[i]);
        assert_false(json_write_ok(&w));
        assert_false(json_write_finish(&w));
    }
}

enum step { OBJECT = '{', OBJECT_END = '}', ARRAY = '[', ARRAY_END = ']', KEY = 'k', VALUE = 'v' };

static void run_steps(struct json_write *w, const char *steps) {
    for (; *steps; steps++) {
        switch ((enum step) * steps) {
        case OBJECT:
            json_write_object(w);
            break;
        case OBJECT_END:
            json_write_object_end(w);
            break;
        case ARRAY:
            json_write_array(w);
            break;
        case ARRAY_END:
            json_write_array_end(w);
            break;
        case KEY:
            json_write_key(w, "k");
            break;
        case VALUE:
            json_write_int(w, 1);
            break;
        }
    }
}

static void test_order_of_calls(void **state) {
    (void)state;
    static const struct {
        const char *steps, *want;
    } cases[] = {
        {"v", "1"},
        {"[vv[v]v]", "[1,1,[1],1]"},
        {"{kvk{}k[]}", "{\"k\":1,\"k\":{},\"k\":[]}"},
        {"[{kv}{kv}]", "[{\"k\":1},{\"k\":1}]"},
        {"vv", NULL},
        {"[]v", NULL},
        {"k", NULL},
        {"kv", NULL},
        {"{v}", NULL},
        {"{k}", NULL},
        {"{kk", NULL},
        {"{kvv}", NULL},
        {"{[", NULL},
        {"[k", NULL},
        {"[}", NULL},
        {"{]", NULL},
        {"]", NULL},
        {"}", NULL},
        {"[", NULL},
        {"{k", NULL},
        {"[[]", NULL},
        {"[]]", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(buf_done) struct buf b = BUF_INIT(1000);
        struct json_write w;
        json_write_init(&w, &b);
        run_steps(&w, cases[i].steps);
        bool ok = json_write_finish(&w);
        if (ok != (cases[i].want != NULL))
            fail_msg("%s", cases[i].steps);
        if (ok)
            assert_string_equal(b.data, cases[i].want);
    }
}

static void test_depth(void **state) {
    (void)state;
    for (unsigned depth = 1; depth <= JSON_WRITE_DEPTH_MAX + 1; depth++) {
        _cleanup_(buf_done) struct buf b = BUF_INIT(10000);
        struct json_write w;
        json_write_init(&w, &b);
        for (unsigned i = 0; i < depth; i++) {
            if (i % 3 == 0) {
                json_write_array(&w);
            } else {
                json_write_object(&w);
                json_write_key(&w, "k");
            }
        }
        json_write_null(&w);
        for (unsigned i = depth; i-- > 0;) {
            if (i % 3 == 0)
                json_write_array_end(&w);
            else
                json_write_object_end(&w);
        }
        assert_int_equal(json_write_finish(&w), depth <= JSON_WRITE_DEPTH_MAX);
    }
}

/* Prepared text opens and closes levels as the calls do one by one. */
static void test_prepared_text(void **state) {
    (void)state;
    _cleanup_(buf_done) struct buf b = BUF_INIT(10000);
    struct json_write w;
    json_write_init(&w, &b);
    json_write_object(&w);
    json_write_open(&w, SLICE("\"a\":{\"list\":["), "{[");
    for (int i = 0; i < 2; i++) {
        json_write_open(&w, SLICE("{\"b\":{\"x\":1,\"c\":"), "{{");
        json_write_int(&w, i);
        json_write_open(&w, SLICE("\"d\":"), "");
        json_write_array(&w);
        json_write_array_end(&w);
        json_write_close(&w, SLICE(",\"e\":{}}}"), 2);
    }
    json_write_null(&w);
    json_write_close(&w, SLICE("],\"f\":"), 1);
    json_write_bool(&w, true);
    json_write_key(&w, "g");
    json_write_open(&w, SLICE("[\"h\""), "[");
    json_write_str(&w, "i");
    json_write_close(&w, SLICE("]}"), 2);
    json_write_key(&w, "j");
    json_write_open(&w, SLICE("{"), "{");
    json_write_open(&w, SLICE("\"k\":2"), "");
    json_write_close(&w, SLICE("}"), 1);
    json_write_object_end(&w);
    assert_true(json_write_finish(&w));
    assert_string_equal(b.data, "{\"a\":{\"list\":[{\"b\":{\"x\":1,\"c\":0,\"d\":[],\"e\":{}}},{\"b\":{\"x\":1,\"c\":1,\"d\":[],\"e\":{}}},null],"
                                "\"f\":true,\"g\":[\"h\",\"i\"]},\"j\":{\"k\":2}}");
}

/* What cannot stand where it would come is refused. */
static void test_prepared_text_at_the_wrong_place(void **state) {
    (void)state;
    for (int i = 0; i < 6; i++) {
        _cleanup_(buf_done) struct buf b = BUF_INIT(10000);
        struct json_write w;
        json_write_init(&w, &b);
        json_write_object(&w);
        if (i == 0)
            json_write_open(&w, SLICE("{\"a\":1"), "{"); /* a value without a key */
        if (i == 1)
            json_write_close(&w, SLICE("}}"), 2); /* more than there are */
        if (i == 2) {
            json_write_key(&w, "a");
            json_write_close(&w, SLICE("}"), 1); /* a key without a value */
        }
        if (i == 3) {
            json_write_key(&w, "a");
            json_write_open(&w, SLICE("\"b\":"), ""); /* two keys */
        }
        if (i == 4)
            json_write_open(&w, SLICE("\"b\":"), ""); /* no value at the end */
        if (i == 5) {
            json_write_object_end(&w);
            json_write_open(&w, SLICE("{"), "{"); /* a second document */
        }
        assert_false(json_write_finish(&w));
    }
}

static void test_failures_stay(void **state) {
    (void)state;
    struct buf b = BUF_INIT(5);
    struct json_write w;
    json_write_init(&w, &b);
    json_write_array(&w);
    json_write_str(&w, "too long");
    json_write_array_end(&w);
    assert_false(json_write_ok(&w));
    assert_false(json_write_finish(&w));
    json_write_restart(&w, &b);
    assert_false(json_write_ok(&w)); /* the buf has failed */
    buf_reset(&b);
    json_write_str(&w, "x");
    assert_true(json_write_finish(&w));
    buf_done(&b);

    static const double bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        json_write_init(&w, &b);
        json_write_double(&w, bad[i]);
        assert_false(json_write_ok(&w));
    }
    json_write_init(&w, &b);
    json_write_raw(&w, "", 0);
    assert_false(json_write_ok(&w));
    buf_done(&b);
}

/* Objects and arrays in turns, to the last level: each end has to be that of the level at hand. */
static void test_every_level_knows_its_end(void **state) {
    (void)state;
    for (unsigned wrong = 0; wrong <= JSON_WRITE_DEPTH_MAX; wrong++) {
        _cleanup_(buf_done) struct buf b = BUF_INIT(10000);
        struct json_write w;
        json_write_init(&w, &b);
        for (unsigned i = 0; i < JSON_WRITE_DEPTH_MAX; i++)
            run_steps(&w, i % 3 == 0 ? "{k" : "[");
        run_steps(&w, (JSON_WRITE_DEPTH_MAX - 1) % 3 == 0 ? "v" : "");
        for (unsigned i = JSON_WRITE_DEPTH_MAX; i-- > 0;)
            run_steps(&w, (i % 3 == 0) != (i == wrong) ? "}" : "]");
        assert_int_equal(json_write_finish(&w), wrong == JSON_WRITE_DEPTH_MAX);
    }
}

static void test_a_value_in_pieces(void **state) {
    (void)state;
    _cleanup_(buf_done) struct buf b = BUF_INIT(100);
    struct json_write w;
    json_write_init(&w, &b);
    json_write_array(&w);
    for (int i = 0; i < 2; i++) {
        struct buf *out = json_write_pieces(&w);
        assert_ptr_equal(out, &b);
        buf_append_char(out, '1');
        buf_append_char(out, '2');
    }
    json_write_array_end(&w);
    assert_null(json_write_pieces(&w));
    assert_string_equal(b.data, "[12,12]");
    json_write_restart(&w, &b);
    json_write_object(&w);
    assert_null(json_write_pieces(&w)); /* without a key */
    assert_false(json_write_ok(&w));
}

/* A tree whose strings are known to be plain, and one whose strings are not, in any room that is left. */
static void test_plain_strings_of_a_tree(void **state) {
    (void)state;
    struct json last = {.type = JSON_STRING, .text = SLICE("가나다"), .plain = true},
                middle = {.type = JSON_STRING, .text = SLICE("a\"b"), .next = &last},
                first = {.type = JSON_STRING, .text = SLICE(""), .plain = true, .next = &middle},
                tree = {.type = JSON_ARRAY, .child = &first, .count = 3};
    for (size_t max = 1; max < 40; max++) {
        _cleanup_(buf_done) struct buf b = BUF_INIT(max);
        struct json_write w;
        json_write_init(&w, &b);
        json_write_json(&w, &tree);
        bool fits = max >= strlen("[\"\",\"a\\\"b\",\"가나다\"]");
        assert_int_equal(json_write_finish(&w), fits);
        if (fits)
            assert_string_equal(b.data, "[\"\",\"a\\\"b\",\"가나다\"]");
    }
    _cleanup_(buf_done) struct buf b = BUF_INIT(100);
    struct json_write w;
    json_write_init(&w, &b);
    json_write_object(&w);
    json_write_json(&w, &last); /* without a key */
    assert_false(json_write_ok(&w));
}

/* Whatever the room that is left, from none to plenty. */
static void test_strings_in_any_room(void **state) {
    (void)state;
    static const char *const texts[] = {"", "k", "ab", "plain text", "a longer text, of more than one block", "가나", "a\nb"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        for (size_t room = 0; room < 64; room++) {
            _cleanup_(buf_done) struct buf b = BUF_INIT(1000), want = BUF_INIT(1000);
            assert_true(json_append_string(&want, texts[i], strlen(texts[i])));
            buf_reserve(&b, 1);
            while (b.cap - b.len > room + 1)
                buf_append_char(&b, 'x');
            size_t before = b.len;
            assert_true(json_append_string(&b, texts[i], strlen(texts[i])));
            assert_string_equal(b.data + before, want.data);
            assert_int_equal(b.len, before + want.len);
        }
}

static void test_restart(void **state) {
    (void)state;
    _cleanup_(buf_done) struct buf b = BUF_INIT(1000);
    struct json_write w;
    json_write_init(&w, &b);
    for (int i = 0; i < 3; i++) {
        json_write_restart(&w, &b);
        run_steps(&w, "{kv}");
        assert_true(json_write_finish(&w));
        buf_append_char(&b, '\n');
    }
    assert_string_equal(b.data, "{\"k\":1}\n{\"k\":1}\n{\"k\":1}\n");
}

static void test_double_forms(void **state) {
    (void)state;
    static const struct {
        double v;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {-100, "-100"},
        {0.1, "0.1"},
        {0.3, "0.3"},
        {0.1 + 0.2, "0.30000000000000004"},
        {19.99, "19.99"},
        {-13.3, "-13.3"},
        {1e15, "1e+15"},
        {999999999999999, "999999999999999"},
        {0.0001, "0.0001"},
        {0.00012345, "0.00012345"},
        {0.00001, "1e-05"},
        {1e300, "1e+300"},
        {5e-324, "5e-324"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {1.0 / 3, "0.3333333333333333"},
        {123456789012345678.0, "1.2345678901234568e+17"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[JSON_DOUBLE_SIZE];
        assert_int_equal(json_format_double(cases[i].v, text), strlen(cases[i].text));
        assert_string_equal(text, cases[i].text);
    }
}

static void check_double(double v, const char *seed_text) {
    char text[JSON_DOUBLE_SIZE], other[64];
    size_t len = json_format_double(v, text);
    double back;
    if (len != strlen(text) || !json_text_double((struct slice){text, len}, &back) || memcmp(&v, &back, 8) != 0)
        fail_msg("%s: %.17g -> %s", seed_text, v, text);
    for (int precision = fabs(v) < 2.3e-308 ? 1 : 15; precision <= 17; precision++) {
        snprintf(other, sizeof(other), "%.*g", precision, v);
        if (strtod(other, NULL) == v)
            break;
    }
    if (strcmp(text, other) != 0)
        fail_msg("%s: %s is not %s", seed_text, text, other);
}

/* Random bit patterns, random decimals, and all the prices up to 10,000.00. */
/* More than are kept, in turns and again: each its own text. */
static void test_doubles_again_and_again(void **state) {
    (void)state;
    for (int round = 0; round < 3; round++)
        for (int i = 1; i <= 20; i++)
            for (int again = 0; again < 3; again++) {
                double v = (again == 1 ? -i : i) / 4800.0 / 7.0;
                char text[JSON_DOUBLE_SIZE];
                size_t len = json_format_double(v, text);
                assert_int_equal(len, strlen(text));
                assert_true(strtod(text, NULL) == v);
            }
}

static void test_double_round_trip(void **state) {
    (void)state;
    const char *given = getenv("TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : clock_random_u64(), x = seed | 1;
    char seed_text[64];
    snprintf(seed_text, sizeof(seed_text), "TEST_SEED=%llu", (unsigned long long)seed);
    print_message("%s\n", seed_text);
    for (int i = 0; i < 200000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        double v;
        memcpy(&v, &x, sizeof(v));
        if (isfinite(v))
            check_double(v, seed_text);
        check_double((double)(int64_t)(x >> 14) / pow(10, (double)(x % 19)), seed_text);
        check_double((double)(int64_t)(x >> 40) / pow(10, (double)(x % 9)), seed_text);
    }
    for (int i = 0; i <= 1000000; i++)
        check_double(i / 100.0, "prices");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_document),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_every_byte_at_every_place),
        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_invalid_utf8_at_every_place),
        cmocka_unit_test(test_invalid_utf8_is_refused_whole),
        cmocka_unit_test(test_order_of_calls),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_prepared_text),
        cmocka_unit_test(test_prepared_text_at_the_wrong_place),
        cmocka_unit_test(test_failures_stay),
        cmocka_unit_test(test_every_level_knows_its_end),
        cmocka_unit_test(test_a_value_in_pieces),
        cmocka_unit_test(test_plain_strings_of_a_tree),
        cmocka_unit_test(test_strings_in_any_room),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_double_forms),
        cmocka_unit_test(test_doubles_again_and_again),
        cmocka_unit_test(test_double_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
