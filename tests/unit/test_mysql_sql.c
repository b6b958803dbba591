/* SQL as text: places and quotes, scripts and delimiters. */
#include "core/mysql_sql.h"
#include "core/cleanup.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { MAX_BYTES = 4096 };

/* Marks what came through the quoting, so that a test sees the difference to plain text. */
static bool quote(void *ctx, struct buf *out, const char *text, size_t len) {
    (void)ctx;
    return buf_append_char(out, '<') && buf_append(out, text, len) && buf_append_char(out, '>');
}

static const struct {
    const char *sql;
    const char *expected; /* NULL: refused as INTERNAL */
    size_t count;
    struct mysql_value values[3];
} expand_cases[] = {
    {"SELECT 1", "SELECT 1", 0, {MYSQL_NULL_VALUE}},
    {"", "", 0, {MYSQL_NULL_VALUE}},
    {"?", "7", 1, {{.type = MYSQL_VALUE_I64, .i = 7}}},
    {"a=? AND b=? AND c=?", "a= -1 AND b=18446744073709551615 AND c=NULL", 3,
     {{.type = MYSQL_VALUE_I64, .i = -1}, {.type = MYSQL_VALUE_U64, .u = UINT64_MAX}, {.type = MYSQL_VALUE_NULL}}},
    {"a-?", "a- -9223372036854775808", 1, {{.type = MYSQL_VALUE_I64, .i = INT64_MIN}}},
    {"a=?", "a=<x'y>", 1, {{.type = MYSQL_VALUE_STR, .s = {"x'y", 3}}}},
    {"a=?", "a=<>", 1, {{.type = MYSQL_VALUE_STR, .s = {"", 0}}}},
    {"a=?", "a=NULL", 1, {{.type = MYSQL_VALUE_STR, .s = {NULL, 0}}}},
    {"a=? b", "a=<?> b", 1, {{.type = MYSQL_VALUE_STR, .s = {"?", 1}}}},
    {"'?' ?", "'?' 1", 1, {{.type = MYSQL_VALUE_I64, .i = 1}}},
    {"'it''s ?' ?", "'it''s ?' 1", 1, {{.type = MYSQL_VALUE_I64, .i = 1}}},
    {"'a\\'?' ?", "'a\\'?' 1", 1, {{.type = MYSQL_VALUE_I64, .i = 1}}},
    {"'a\\\\' ?", "'a\\\\' 1", 1, {{.type = MYSQL_VALUE_I64, .i = 1}}},
    {"\"?\"\"?\" ?", "\"?\"\"?\" 1", 1, {{.type = MYSQL_VALUE_I64, .i = 1}}},
    {"\"'?\" ?", "\"'?\" 1", 1, {{.type = MYSQL_VALUE_I64, .i = 1}}},
    {"`?` ?", "`?` 1", 1, {{.type = MYSQL_VALUE_I64, .i = 1}}},
    {"`a\\` ?", "`a\\` 1", 1, {{.type = MYSQL_VALUE_I64, .i = 1}}},
    {"`a``?` ?", "`a``?` 1", 1, {{.type = MYSQL_VALUE_I64, .i = 1}}},
    {"-- ?\n?", "-- ?\n1", 1, {{.type = MYSQL_VALUE_I64, .i = 1}}},
    {"1--?", "1--2", 1, {{.type = MYSQL_VALUE_I64, .i = 2}}},
    {"# '?\n?", "# '?\n1", 1, {{.type = MYSQL_VALUE_I64, .i = 1}}},
    {"/* ? ' */ ?", "/* ? ' */ 1", 1, {{.type = MYSQL_VALUE_I64, .i = 1}}},
    {"1/?", "1/2", 1, {{.type = MYSQL_VALUE_I64, .i = 2}}},
    {"? --", "1 --", 1, {{.type = MYSQL_VALUE_I64, .i = 1}}},
    {"a=?", NULL, 0, {MYSQL_NULL_VALUE}},
    {"a=?", NULL, 2, {MYSQL_NULL_VALUE, MYSQL_NULL_VALUE}},
    {"a=?,?", NULL, 1, {MYSQL_NULL_VALUE}},
    {"'?'", NULL, 1, {MYSQL_NULL_VALUE}},
    {"'open", NULL, 0, {MYSQL_NULL_VALUE}},
    {"'open\\", NULL, 0, {MYSQL_NULL_VALUE}},
    {"`open", NULL, 0, {MYSQL_NULL_VALUE}},
    {"/*/ ?", NULL, 0, {MYSQL_NULL_VALUE}},
};

static void expands_places_outside_quotes_and_comments(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(expand_cases); i++) {
        _cleanup_(buf_done) struct buf out = BUF_INIT(MAX_BYTES);
        struct error e = {0};
        bool ok = mysql_sql_expand(&out, expand_cases[i].sql, expand_cases[i].values, expand_cases[i].count, quote, NULL, &e);
        if (expand_cases[i].expected) {
            assert_true(ok);
            assert_string_equal(out.len ? out.data : "", expand_cases[i].expected);
        } else {
            assert_false(ok);
            assert_int_equal(e.code, ERROR_INTERNAL);
        }
    }
}

static void refuses_a_statement_that_is_too_long(void **state) {
    (void)state;
    _cleanup_(buf_done) struct buf out = BUF_INIT(16);
    struct error e = {0};
    assert_false(mysql_sql_expand(&out, "SELECT ?", (struct mysql_value[]){MYSQL_STR("0123456789")}, 1, quote, NULL, &e));
    assert_int_equal(e.code, ERROR_INVALID);
}

/* The statements of a script, each followed by '|'. */
static const struct {
    const char *script;
    const char *expected; /* NULL: refused as INVALID */
} script_cases[] = {
    {"", ""},
    {" \n\t\r\n", ""},
    {"SELECT 1;", "SELECT 1|"},
    {"SELECT 1", "SELECT 1|"},
    {"SELECT 1;\nSELECT 2;\n", "SELECT 1|SELECT 2|"},
    {"SELECT 1;  \r\n  SELECT 2 ;", "SELECT 1|SELECT 2|"},
    {"SELECT 1; -- why\nSELECT 2;", "SELECT 1|SELECT 2|"},
    {"-- a;\n# b;\nSELECT 1;\n-- c\n", "SELECT 1|"},
    {"SELECT\n-- inside;\n1;\n", "SELECT\n-- inside;\n1|"},
    {"SELECT ';\n';\nSELECT 2;", "SELECT ';\n'|SELECT 2|"},
    {"SELECT '--';\nSELECT `;\n`;", "SELECT '--'|SELECT `;\n`|"},
    {"/* a;\n */ SELECT 1;\n", "/* a;\n */ SELECT 1|"},
    {"BEGIN a; b; END;\nx;", "BEGIN a; b; END|x|"},
    {";\n;\nSELECT 1;\n;", "SELECT 1|"},
    {"DELIMITER //\nCREATE TRIGGER t BEGIN\n a;\n b;\nEND//\nDELIMITER ;\nSELECT 1;\n",
     "CREATE TRIGGER t BEGIN\n a;\n b;\nEND|SELECT 1|"},
    {"delimiter $$  \r\na;\nb $$\nc$$\n", "a;\nb|c|"},
    {"DELIMITERS;\n", "DELIMITERS|"},
    {"DELIMITER\nSELECT 1;", NULL},
    {"SELECT 'open;\n", NULL},
    {"SELECT 1;\n/* open", NULL},
};

static void cuts_scripts_into_statements(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(script_cases); i++) {
        struct mysql_sql_script script = {.text = script_cases[i].script, .len = strlen(script_cases[i].script)};
        _cleanup_(buf_done) struct buf out = BUF_INIT(MAX_BYTES);
        struct slice statement;
        struct error e = {0};
        while (mysql_sql_next(&script, &statement, &e)) {
            buf_append(&out, statement.data, statement.len);
            buf_append_char(&out, '|');
        }
        assert_int_equal(e.code, script_cases[i].expected ? ERROR_NONE : ERROR_INVALID);
        if (script_cases[i].expected)
            assert_string_equal(out.len ? out.data : "", script_cases[i].expected);
    }
}

static void names_the_line_of_a_statement(void **state) {
    (void)state;
    static const char text[] = "-- head\n\nSELECT 1;\nDELIMITER //\n\nSELECT\n2//\nDELIMITER ;\nSELECT 3;";
    static const unsigned lines[] = {3, 6, 9};
    struct mysql_sql_script script = {.text = text, .len = sizeof(text) - 1};
    struct slice statement;
    struct error e = {0};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        assert_true(mysql_sql_next(&script, &statement, &e));
        assert_int_equal(script.line, lines[i]);
    }
    assert_false(mysql_sql_next(&script, &statement, &e));
    assert_int_equal(e.code, ERROR_NONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expands_places_outside_quotes_and_comments),
        cmocka_unit_test(refuses_a_statement_that_is_too_long),
        cmocka_unit_test(cuts_scripts_into_statements),
        cmocka_unit_test(names_the_line_of_a_statement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
