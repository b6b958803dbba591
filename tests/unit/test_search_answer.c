/* answer_json: the same trees as json_parse but for buckets, and the same refusals. */
#include "tests/unit/test.h"
#include "query-api/search/answer_json.h"
#include <stdio.h>

static struct arena arena, other;

static int setup(void **state) {
    (void)state;
    arena_init(&arena, 16 << 20);
    arena_init(&other, 16 << 20);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_done(&arena);
    arena_done(&other);
    return 0;
}

static const struct json *parse(const char *text, size_t len, struct error *error) {
    char *copy = malloc(len + 1); /* exactly as long as allowed, so that a sanitizer sees a byte too far */
    assert_non_null(copy);
    memcpy(copy, text, len);
    copy[len] = '\0';
    arena_reset(&arena);
    const struct json *v = answer_json_parse(&arena, copy, len, 64, error);
    static char *last;
    free(last);
    last = copy;
    return v;
}

static void assert_same(const struct json *a, const struct json *b) {
    for (; a && b; a = a->next, b = b->next) {
        assert_int_equal(a->type, b->type);
        assert_true(slice_eq(a->key, b->key));
        assert_true(slice_eq(a->text, b->text));
        assert_int_equal(a->boolean, b->boolean);
        assert_int_equal(a->count, b->count);
        if (a->type == JSON_NUMBER || a->type == JSON_STRING)
            assert_int_equal(a->text.data[a->text.len], 0);
        assert_same(a->child, b->child);
    }
    assert_null(a);
    assert_null(b);
}

static void test_same_trees(void **state) {
    (void)state;
    static const char *const texts[] = {
        "0", "-0", "12", " 1.5e+10 ", "-1E-2", "\"\"", "true", "false", "null", "[]", "{}", " [ ] ", "{ }", "[1]", "[1 ,2,\t3\n]",
        "{\"a\":1,\"b\":[1,{\"c\":\"d\"}],\"e\":{}}", "{\"a\" : 1 }", "[[],[[]],{}]", "[\"a\",\"b\"]", "{\"a\":{\"b\":{\"c\":null}}}",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\u0041\\u00e9\\uac00\\ud83d\\ude00\\u0000x\"", "\"가나다 plain text of some length\\nand more of it\"",
        "\"1234567\\\"\"", "\"12345678\\\\\"", "{\"\\u0061b\":1}", "[1.0,10,0.5,1e5,123456789012345678901234567890]", "[true,false,null]",
        "{\"hits\":{\"total\":{\"value\":5,\"relation\":\"eq\"},\"hits\":[{\"_id\":\"x\",\"_score\":null}]}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct error error = {0};
        arena_reset(&other);
        const struct json *wanted = json_parse(&other, texts[i], strlen(texts[i]), NULL, &error);
        if (!wanted)
            fail_msg("%s: %s", texts[i], error.message);
        const struct json *v = parse(texts[i], strlen(texts[i]), &error);
        if (!v)
            fail_msg("%s: %s", texts[i], error.message);
        assert_same(v, wanted);
    }
}

/* Every byte that may stand in a string, as it is or escaped, at every place of a word. */
static void test_every_byte_at_every_place(void **state) {
    (void)state;
    for (int c = 1; c < 128; c++)
        for (int at = 0; at < 20; at++) {
            char text[64];
            const char *x = "xxxxxxxxxxxxxxxxxxxx";
            if (c < 0x20 || c == '"' || c == '\\')
                snprintf(text, sizeof(text), "[\"%.*s\\u%04x%.*s\"]", at, x, (unsigned)c, 19 - at, x);
            else
                snprintf(text, sizeof(text), "[\"%.*s%c%.*s\"]", at, x, c, 19 - at, x);
            arena_reset(&other);
            const struct json *a = parse(text, strlen(text), NULL), *b = json_parse(&other, text, strlen(text), NULL, NULL);
            assert_non_null(a);
            assert_non_null(b);
            assert_same(a, b);
        }
}

/* Letters outside of ASCII at every place, whole and cut off, in keys and values: as json_parse takes or refuses them. */
static void test_letters_at_every_place(void **state) {
    (void)state;
    static const char *const letters[] = {"é", "가", "\xED\x9E\xA3", "\xF0\x9F\x98\x80", "\xED\xA0\x80", "\xE0\x9F\xBF", "\xEA\xB0", "\xC3", "\x80", "\\n가"};
    static const char *const around[][2] = {{"[\"", "\"]"}, {"{\"", "\":1}"}, {"[\"", ""}, {"[", "]"}};
    const char *x = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    for (size_t i = 0; i < ARRAY_LEN(letters); i++)
        for (size_t k = 0; k < ARRAY_LEN(around); k++)
            for (int at = 0; at < 36; at++)
                for (int rest = 0; rest < 20; rest += 6) {
                    char text[128];
                    snprintf(text, sizeof(text), "%s%.*s%s%.*s%s", around[k][0], at, x, letters[i], rest, x, around[k][1]);
                    arena_reset(&other);
                    const struct json *a = parse(text, strlen(text), NULL), *b = json_parse(&other, text, strlen(text), NULL, NULL);
                    if (!a != !b)
                        fail_msg("%s: %s", text, a ? "accepted" : "refused");
                    assert_same(a, b);
                }
}

/* A string that is written as it was read says so, and only such a one. */
static void test_plain_strings(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool plain;
    } cases[] = {{"\"\"", true}, {"\"a\"", true}, {"\"가나다, and more than a block of it\"", true}, {"\"\x7F\"", true},
                 {"\"\\n\"", false}, {"\"a\\/\"", false}, {"\"\\u0041\"", false}, {"\"more than a block of it, and then \\\"\"", false},
                 {"1", false}, {"null", false}, {"[]", false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[128];
        const struct json *v = parse(cases[i].text, strlen(cases[i].text), NULL);
        assert_non_null(v);
        assert_int_equal(v->plain, cases[i].plain);
        snprintf(text, sizeof(text), "{\"\\n\":%s}", cases[i].text);
        v = parse(text, strlen(text), NULL);
        assert_non_null(v);
        assert_int_equal(v->child->plain, cases[i].plain);
    }
}

/* Every array and object ends where it began, whatever stands around it. */
static void test_siblings_of_containers(void **state) {
    (void)state;
    static const char *const texts[] = {
        "[[],[],1]", "[{},{\"a\":[]},[{}],{}]", "{\"a\":{},\"b\":[[[]],[]],\"c\":{\"d\":{\"e\":[1,[2],3]}},\"f\":4}", "[[[[]]]]", "[[1,[2,[3]]],[[[4],5],6]]", "[{\"a\":[1]},{\"a\":[2]}]",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        arena_reset(&other);
        const struct json *v = parse(texts[i], strlen(texts[i]), NULL), *wanted = json_parse(&other, texts[i], strlen(texts[i]), NULL, NULL);
        assert_non_null(v);
        assert_null(v->next);
        assert_same(v, wanted);
    }
    static const char *const refused[] = {"1,2", "[],[]", "\"a\",", "[1],", "{},1", "[[1],2}", "{\"a\":[1,2},3]", "[{\"a\":1],2}", "[}", "{]", "[,]", "{,}", "[1,,2]"};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        if (parse(refused[i], strlen(refused[i]), NULL))
            fail_msg("accepted: %s", refused[i]);
}

/* A bucket of two members is one node; any other is what it would be elsewhere. */
static void test_buckets(void **state) {
    (void)state;
    static const char *const folded[] = {"", "a", "가나다라마바사아", "a key of more than a block of sixteen bytes"};
    char text[256];
    for (size_t i = 0; i < ARRAY_LEN(folded); i++) {
        snprintf(text, sizeof(text), "{\"buckets\":[{\"key\":\"x\",\"doc_count\":0},{\"key\":\"%s\",\"doc_count\":123456789}],\"a\":1}", folded[i]);
        const struct json *v = parse(text, strlen(text), NULL), *list = json_get(v, "buckets");
        assert_true(json_is(list, JSON_ARRAY));
        assert_int_equal(list->count, 2);
        const struct json *b = list->child->next;
        assert_int_equal(b->type, JSON_BUCKET);
        assert_string_equal(b->text.data, folded[i]);
        assert_int_equal(b->count, 123456789);
        assert_null(b->next);
        assert_non_null(json_get(v, "a"));
        struct slice key;
        int64_t count;
        assert_true(json_bucket(list->child, &key, &count) && slice_eq(key, SLICE("x")) && count == 0);
    }
    static const char *const ends[] = {"\"from\":0.0,\"to\":100.0,", "\"from\":1.0E7,\"to\":2.0E7,", "\"from\":1.0E8,", "\"to\":-5,"};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        snprintf(text, sizeof(text), "{\"buckets\":[{\"key\":\"x\",%s\"doc_count\":7},{\"key\":\"y\",\"doc_count\":8}]}", ends[i]);
        const struct json *list = json_get(parse(text, strlen(text), NULL), "buckets");
        assert_true(json_is(list, JSON_ARRAY));
        assert_int_equal(list->child->type, JSON_BUCKET);
        assert_int_equal(list->child->count, 7);
        assert_int_equal(list->child->next->count, 8);
    }
    static const char *const others[] = {
        "{\"buckets\":[]}", "{\"buckets\":{\"key\":\"a\",\"doc_count\":1}}", "{\"bucket\":[{\"key\":\"a\",\"doc_count\":1}]}", "{\"buckets\":[{\"key\":1,\"doc_count\":1}]}",
        "{\"buckets\":[{\"key\":\"a\",\"doc_count\":1,\"p\":{\"doc_count\":1}}]}", "{\"buckets\":[{\"key\":\"a\",\"doc_count\":1.5}]}", "{\"buckets\":[{\"key\":\"a\\n\",\"doc_count\":1}]}",
        "{\"buckets\":[{\"key\":\"a\",\"doc_count\":1234567890}]}", "{\"buckets\":[{\"key\":\"a\", \"doc_count\":1}]}", "{\"buckets\":[{\"key\":\"a\",\"doc_count\":-1}]}", "{\"buckets\":[{}]}", "{\"buckets\":[1]}",
        "{\"buckets\":[{\"key\":\"a\",\"from\":null,\"doc_count\":1}]}", "{\"buckets\":[{\"key\":\"a\",\"from\":1 ,\"doc_count\":1}]}", "{\"buckets\":[{\"key\":\"a\",\"from\":1}]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        arena_reset(&other);
        const struct json *v = parse(others[i], strlen(others[i]), NULL), *wanted = json_parse(&other, others[i], strlen(others[i]), NULL, NULL);
        assert_non_null(v);
        assert_same(v, wanted);
    }
    static const char *const mixed[] = {"{\"buckets\":[{\"key\":\"a\",\"doc_count\":1},{\"key\":2,\"doc_count\":1}]}", "{\"buckets\":[{\"key\":\"a\",\"doc_count\":1} , {\"key\":\"b\",\"doc_count\":2} ] }"};
    for (size_t i = 0; i < ARRAY_LEN(mixed); i++) {
        const struct json *list = json_get(parse(mixed[i], strlen(mixed[i]), NULL), "buckets");
        assert_true(json_is(list, JSON_ARRAY));
        assert_int_equal(list->count, 2);
        assert_int_equal(list->child->type, JSON_BUCKET);
        assert_int_equal(list->child->next->type, JSON_OBJECT);
        assert_null(list->child->next->next);
    }
    static const char *const refused[] = {
        "{\"buckets\":[{\"key\":\"a\",\"doc_count\":1}", "{\"buckets\":[{\"key\":\"a\",\"doc_count\":1},", "{\"buckets\":[{\"key\":\"a\",\"doc_count\":1},]}", "{\"buckets\":[{\"key\":\"a\",\"doc_count\":01}]}",
        "{\"buckets\":[{\"key\":\"a\",\"doc_count\":}]}", "{\"buckets\":[{\"key\":\"a\",\"doc_count\":1", "{\"buckets\":[{\"key\":\"a\"", "{\"buckets\":[{\"key\":\"", "{\"buckets\":[{\"key\":\"\xff\",\"doc_count\":1}]}",
        "{\"buckets\":[{\"key\":\"a\",\"doc_count\":1}}", "{\"buckets\":[{\"key\":\"a\",\"doc_count\":1}x]}", "{\"buckets\":[{\"key\":\"a\nb\",\"doc_count\":1}]}",
        "{\"buckets\":[{\"key\":\"a\",\"from\":01,\"doc_count\":1}]}", "{\"buckets\":[{\"key\":\"a\",\"from\":1.,\"doc_count\":1}]}", "{\"buckets\":[{\"key\":\"a\",\"to\":,\"doc_count\":1}]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        if (parse(refused[i], strlen(refused[i]), NULL))
            fail_msg("accepted: %s", refused[i]);
}

static void test_refusals(void **state) {
    (void)state;
    static const char *const texts[] = {
        "", " ", "[", "]", "{", "}", "[1,]", "[,1]", "[1 2]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{1:1}", "{\"a\":1 \"b\":2}", "[1}", "{\"a\":1]", "01", "-", "+1",
        "1.", ".5", "1e", "1e+", "--1", "0x1", "tru", "truex", "nul", "True", "NaN", "\"", "\"a", "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u123g\"", "\"\\ud800\"",
        "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\\ud800\\", "\"a\nb\"", "\"\x01\"", "1 1", "[] []", "\"\xff\"", "\"\xed\xa0\x80\"", "\xef\xbb\xbf{}", "'a'", "[1,2", "{\"a\":[1,2}", "\\", "\"\\",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct error error = {0};
        if (parse(texts[i], strlen(texts[i]), &error))
            fail_msg("accepted: %s", texts[i]);
        assert_int_equal(error.code, ERROR_INVALID);
    }
    assert_null(parse("[1]\0", 4, NULL));
    assert_null(parse("\"a\0b\"", 5, NULL));
    assert_null(parse("\0", 1, NULL));
}

static void test_depth(void **state) {
    (void)state;
    char text[130];
    struct error error = {0};
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    assert_non_null(parse(text, 128, &error));
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    assert_null(parse(text, 130, &error));
    assert_message(&error, "inside each other");
}

static void test_the_first_of_two_keys_counts(void **state) {
    (void)state;
    assert_true(json_string_is(json_get(parse("{\"a\":\"x\",\"a\":\"y\"}", 17, NULL), "a"), "x"));
}

static void test_a_full_arena(void **state) {
    (void)state;
    struct arena small;
    struct error error = {0};
    char text[] = "[1,2,3]";
    arena_init(&small, 100);
    assert_null(answer_json_parse(&small, text, strlen(text), 64, &error));
    assert_int_equal(error.code, ERROR_INTERNAL);
    arena_done(&small);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_trees),
        cmocka_unit_test(test_every_byte_at_every_place),
        cmocka_unit_test(test_letters_at_every_place),
        cmocka_unit_test(test_plain_strings),
        cmocka_unit_test(test_siblings_of_containers),
        cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_the_first_of_two_keys_counts),
        cmocka_unit_test(test_a_full_arena),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
