/* precondition: If-Match and If-None-Match. */
#include "write-api/precondition.h"
#include "test.h"
#include <stdio.h>

static const struct {
    const char *header;
    bool weak, legal, any;
    int64_t matches[3], not_matches[2]; /* 0: end */
} cases[] = {
    {"\"3\"", false, true, false, {3}, {4, 33}},
    {"*", false, true, true, {1, 99}, {0}},
    {" * ", false, true, true, {1}, {0}},
    {"\"3\", \"5\",\"7\"", false, true, false, {3, 5, 7}, {4}},
    {"W/\"3\"", false, true, false, {0}, {3}}, /* If-Match compares strongly */
    {"W/\"3\"", true, true, false, {3}, {4}},
    {"\"abc\"", false, true, false, {0}, {1}},
    {"\"03\"", false, true, false, {0}, {3}},
    {"\"\"", false, true, false, {0}, {1}},
    {"\"9999999999999999999999\"", false, true, false, {0}, {1}},
    {"3", false, false, false, {0}, {0}},
    {"\"3", false, false, false, {0}, {0}},
    {"", false, false, false, {0}, {0}},
    {"\"3\" \"4\"", false, false, false, {0}, {0}},
    {"\"3\",", false, false, false, {0}, {0}},
    {"*, \"3\"", false, false, false, {0}, {0}},
    {"W\"3\"", false, false, false, {0}, {0}},
};

static void test_cases(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct precondition p;
        struct error error = {0};
        bool legal = precondition_parse("If-Match", slice_str(cases[i].header), cases[i].weak, &p, &error);
        if (legal != cases[i].legal)
            fail_msg("%s: %d", cases[i].header, legal);
        if (!legal) {
            assert_int_equal(error.code, ERROR_INVALID);
            continue;
        }
        assert_true(p.present);
        assert_int_equal(p.any, cases[i].any);
        for (int j = 0; j < 3 && cases[i].matches[j]; j++)
            assert_true(precondition_matches(&p, cases[i].matches[j]));
        for (int j = 0; j < 2 && cases[i].not_matches[j]; j++)
            assert_false(precondition_matches(&p, cases[i].not_matches[j]));
    }
}

static void test_absent(void **state) {
    (void)state;
    struct precondition p;
    assert_true(precondition_parse("If-Match", (struct slice){0}, false, &p, NULL));
    assert_false(p.present);
}

static void test_too_many(void **state) {
    (void)state;
    struct buf text = BUF_INIT(1024);
    struct precondition p;
    for (int i = 1; i <= PRECONDITION_TAGS_MAX; i++)
        buf_printf(&text, "%s\"%d\"", i > 1 ? "," : "", i);
    assert_true(precondition_parse("If-Match", (struct slice){text.data, text.len}, false, &p, NULL));
    assert_int_equal(p.count, PRECONDITION_TAGS_MAX);
    buf_append_str(&text, ",\"99\"");
    assert_false(precondition_parse("If-Match", (struct slice){text.data, text.len}, false, &p, NULL));
    buf_done(&text);
}

static void test_etag(void **state) {
    (void)state;
    char text[ETAG_SIZE];
    etag_format(INT64_MAX, text);
    assert_string_equal(text, "\"9223372036854775807\"");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_etag),
    };
    return cmocka_run_group_tests_name("write_precondition", tests, NULL, NULL);
}
