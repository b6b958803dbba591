#include "tests/unit/test.h"
#include "core/utf8.h"

static void test_set(void **state) {
    (void)state;
    struct error e = {0};
    assert_false(error_set(&e, ERROR_CONFLICT, "product '%s' has version %d", "p-1", 7));
    assert_int_equal(e.code, ERROR_CONFLICT);
    assert_string_equal(e.message, "product 'p-1' has version 7");
    assert_false(error_set(NULL, ERROR_INVALID, "nobody listens"));
    assert_false(error_prefix(NULL, "nobody"));
    assert_false(error_nomem(&e));
    assert_int_equal(e.code, ERROR_INTERNAL);
}

static void test_prefix(void **state) {
    (void)state;
    struct error e;
    error_set(&e, ERROR_TIMEOUT, "no answer");
    assert_false(error_prefix(&e, "index %s", "products"));
    assert_string_equal(e.message, "index products: no answer");
    assert_int_equal(e.code, ERROR_TIMEOUT);
    error_set(&e, ERROR_INVALID, "again: %s", e.message);
    assert_string_equal(e.message, "again: index products: no answer");
}

/* Long texts of characters of one to four bytes, at all four alignments, are cut between characters. */
static void test_cut(void **state) {
    (void)state;
    static const char *const characters[] = {"a", "\xC3\xA9", "\xEA\xB0\x80", "\xF0\x9F\x98\x80"};
    for (size_t c = 0; c < ARRAY_LEN(characters); c++) {
        for (int shift = 0; shift < 4; shift++) {
            char text[1024] = "";
            size_t len = 0, n = strlen(characters[c]);
            while (len < 600) {
                memcpy(text + len, characters[c], n);
                len += n;
            }
            struct error e;
            error_set(&e, ERROR_INVALID, "%.*s%s", shift, "....", text);
            size_t cut = strlen(e.message);
            assert_true(cut < sizeof(e.message) && cut >= sizeof(e.message) - 4);
            assert_true(utf8_valid(e.message, cut));
            assert_false(error_prefix(&e, "%s", text));
            assert_true(utf8_valid(e.message, strlen(e.message)));
        }
    }
}

static void test_codes(void **state) {
    (void)state;
    static const struct {
        enum error_code code;
        const char *name;
        int status;
        bool retriable;
    } cases[] = {
        {ERROR_NONE, "NONE", 500, false},
        {ERROR_INVALID, "INVALID", 400, false},
        {ERROR_NOT_FOUND, "NOT_FOUND", 404, false},
        {ERROR_CONFLICT, "CONFLICT", 409, false},
        {ERROR_OVERLOADED, "OVERLOADED", 503, true},
        {ERROR_TIMEOUT, "TIMEOUT", 504, true},
        {ERROR_UNAVAILABLE, "UNAVAILABLE", 503, true},
        {ERROR_HISTORY_LOST, "HISTORY_LOST", 503, false},
        {ERROR_CORRUPT, "CORRUPT", 500, false},
        {ERROR_INTERNAL, "INTERNAL", 500, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error e = {.code = cases[i].code};
        assert_string_equal(error_code_name(cases[i].code), cases[i].name);
        assert_int_equal(error_http_status(cases[i].code), cases[i].status);
        assert_int_equal(error_is_retriable(&e), cases[i].retriable);
    }
    assert_string_equal(error_code_name((enum error_code)99), "UNKNOWN");
    assert_int_equal(error_http_status((enum error_code)99), 500);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
