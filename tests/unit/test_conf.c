#include "tests/unit/test.h"
#include "core/conf.h"
#include <ini.h>
#include <stdio.h>
#include <unistd.h>

struct target {
    char *listen, *password;
    int64_t threads, bytes, any;
    bool fast;
    usec_t wait;
    int format;
    char *note;
};
static const struct option table[] = {
    {"projector", "listen", OPTION_STRING, "127.0.0.1:8081", 0, 0, NULL, "Where to listen.",
     offsetof(struct target, listen), false},
    {"projector", "password", OPTION_SECRET, "", 0, 20, NULL, "The secret.", offsetof(struct target, password), false},
    {"projector", "threads", OPTION_INT, "2", 1, 64, NULL, "How many.", offsetof(struct target, threads), false},
    {"projector", "any", OPTION_INT, "0", 0, 0, NULL, "Any number.", offsetof(struct target, any), false},
    {"projector", "bulk-bytes", OPTION_BYTES, "4m", 1024, 1 << 30, NULL, "How large.", offsetof(struct target, bytes),
     false},
    {"projector", "fast", OPTION_BOOL, "true", 0, 0, NULL, "Faster.", offsetof(struct target, fast), true},
    {"projector", "wait", OPTION_DURATION, "5s", 1000, 3600000000, NULL, "How long.", offsetof(struct target, wait),
     true},
    {"core", "format", OPTION_ENUM, "logfmt", 0, 0, "logfmt|json", "Log lines.", offsetof(struct target, format),
     false},
    {"core", "note", OPTION_STRING, NULL, 0, 0, NULL, "Anything | at all.", offsetof(struct target, note), false},
};
static struct target t;
/* Two groups that fill one struct: 7 options of [projector], 2 of [core]. */
static const struct conf_group groups[] = {{table, 7, &t}, {table + 7, 2, &t}};
enum { GROUPS = 2 };

static bool load_text(const char *text, struct error *e) {
    memset(&t, 0, sizeof(t));
    return conf_load_text(groups, GROUPS, "test.ini", text, strlen(text), e);
}

static void test_defaults(void **state) {
    (void)state;
    struct error e;
    assert_true(load_text("", &e));
    assert_string_equal(t.listen, "127.0.0.1:8081");
    assert_string_equal(t.password, "");
    assert_string_equal(t.note, "");
    assert_int_equal(t.threads, 2);
    assert_int_equal(t.bytes, 4 << 20);
    assert_int_equal(t.wait, 5 * USEC_PER_SEC);
    assert_true(t.fast);
    assert_int_equal(t.format, 0);
    conf_done(groups, GROUPS);
    assert_null(t.listen);
    conf_done(groups, GROUPS);
}

static void test_file(void **state) {
    (void)state;
    struct error e = {0};
    const char *text =
        "\xEF\xBB\xBF# comment\r\n; another, longer than a line of inih may be: "
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123"
        "4567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567\n"
        "[projector]\r\n  listen = [::1]:0  \r\n\tthreads=64 ; inline\n"
        "fast: off\nwait = 20ms\nbulk-bytes = 64K\nany = -9223372036854775808\n"
        "[mysql]\nhost = elsewhere\nport = what\n[core]\nformat = json\nnote =\n[query-api]\n";
    if (!load_text(text, &e))
        fail_msg("%s", e.message);
    assert_string_equal(t.listen, "[::1]:0");
    assert_int_equal(t.threads, 64);
    assert_false(t.fast);
    assert_int_equal(t.wait, 20000);
    assert_int_equal(t.bytes, 65536);
    assert_true(t.any == INT64_MIN);
    assert_int_equal(t.format, 1);
    assert_string_equal(t.note, "");
    conf_done(groups, GROUPS);
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"\n[projector]\nlistn = x", "test.ini:3: [projector] has no option 'listn'; did you mean 'listen'?"},
        {"[projector]\nzzzzzzzzzzz = x", "test.ini:2: [projector] has no option 'zzzzzzzzzzz'"},
        {"[projektor]\n", "test.ini:1: there is no section [projektor]; did you mean [projector]?"},
        {"[nothing-like-it]\na=b", "test.ini:1: there is no section [nothing-like-it]"},
        {"[ projector ]\n", "there is no section [ projector ]"},
        {"[projector]\nthreads = 1\n\nthreads = 2",
         "test.ini:4: [projector] threads is given twice, first at test.ini:2"},
        {"[projector]\npassword = 1\npassword_file = 2", "test.ini:3: [projector] password_file is given twice"},
        {"threads = 1", "test.ini:1: a key before the first [section]"},
        {"[projector]\nthreads", "test.ini:2: neither [section] nor key = value"},
        {"[projector\nthreads=1", "test.ini:1: a section without its ']'"},
        {"[projector]\nthreads = 0", "test.ini:2: [projector] threads = '0': expected whole number 1 to 64"},
        {"[projector]\nthreads = 65", "1 to 64"},
        {"[projector]\nthreads = 2x", "1 to 64"},
        {"[projector]\nthreads =", "1 to 64"},
        {"[projector]\nany = 9223372036854775808", "whole number"},
        {"[projector]\nany = -9223372036854775809", "whole number"},
        {"[projector]\nwait = 5", "expected duration 1ms to 1h, written as"},
        {"[projector]\nwait = 5 s", "expected duration"},
        {"[projector]\nwait = -5s", "expected duration"},
        {"[projector]\nwait = 0", "expected duration"},
        {"[projector]\nwait = 2h", "expected duration"},
        {"[projector]\nwait = 999999999999999d", "expected duration"},
        {"[projector]\nbulk-bytes = 1023", "expected bytes 1k to 1g"},
        {"[projector]\nbulk-bytes = 2g", "expected bytes"},
        {"[projector]\nbulk-bytes = 4t", "expected bytes"},
        {"[projector]\nfast = maybe", "expected true|false"},
        {"[core]\nformat = xml", "expected logfmt|json"},
        {"[core]\nformat = log", "expected logfmt|json"},
        {"[core]\nnote = a\rb", "test.ini:2: a control character"},
        {"[core]\nnote = \xFF", "is not a text in UTF-8"},
        {"[projector]\npassword = 123456789012345678901",
         "test.ini:2: [projector] password = '***': expected secret of at most 20 bytes"},
        {"[projector]\npassword_file = /nonexistent/secret", "test.ini:2: [projector] password_file: cannot open"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error e = {0};
        if (load_text(cases[i].text, &e))
            fail_msg("accepted: %s", cases[i].text);
        assert_int_equal(e.code, ERROR_INVALID);
        assert_message(&e, cases[i].message);
        assert_null(t.listen);
    }
    struct error e = {0};
    assert_false(conf_load_text(groups, GROUPS, "nul.ini", "[core]\0x", 8, &e));
    assert_false(load_text("[projector]\nthreads = 0", NULL));
}

/* The longest line inih takes whole is accepted, one byte more is refused by its number. */
static void test_line_limit(void **state) {
    (void)state;
    for (int len = INI_MAX_LINE - 4; len <= INI_MAX_LINE - 2; len++) {
        char text[INI_MAX_LINE + 64];
        int value = len - (int)strlen("note = ");
        snprintf(text, sizeof(text), "[core]\nnote = %0*d\nformat = json\n", value, 7);
        struct error e = {0};
        bool ok = load_text(text, &e);
        assert_int_equal(ok, len <= INI_MAX_LINE - 3);
        if (ok) {
            assert_int_equal(strlen(t.note), value);
            conf_done(groups, GROUPS);
        } else {
            assert_message(&e, "test.ini:2: the line has 198 bytes, more than 197");
        }
    }
}

static void write_file(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void test_precedence_and_secrets(void **state) {
    (void)state;
    char directory[] = "/tmp/test_conf.XXXXXX", file[64], secret[64], line[128];
    assert_non_null(mkdtemp(directory));
    snprintf(file, sizeof(file), "%s/readside.ini", directory);
    snprintf(secret, sizeof(secret), "%s/secret", directory);
    write_file(file, "[projector]\nthreads = 3\nwait = 3s\nlisten = file\npassword = from-file\n");
    write_file(secret, "from a secret file\n");
    snprintf(line, sizeof(line), "READSIDE_PROJECTOR_PASSWORD_FILE=%s", secret);
    char *environment[] = {"READSIDE_PROJECTOR_WAIT=4s",
                           "READSIDE_PROJECTOR_THREADS=4",
                           "READSIDE_PROJECTOR_THREADSX=9",
                           "READSIDE_PROJECTOR_BULK_BYTES=2k",
                           line,
                           NULL};
    const char *overrides[] = {"projector.threads=5", "projector.threads=6", "core.note=a=b.c", NULL};
    struct conf_sources sources = {file, environment, overrides};
    struct error e = {0};
    if (!conf_load(groups, GROUPS, &sources, &e))
        fail_msg("%s", e.message);
    assert_string_equal(t.listen, "file");
    assert_int_equal(t.wait, 4 * USEC_PER_SEC);
    assert_int_equal(t.threads, 6);
    assert_int_equal(t.bytes, 2048);
    assert_string_equal(t.note, "a=b.c");
    assert_string_equal(t.password, "from a secret file");
    conf_done(groups, GROUPS);
    assert_int_equal(unlink(secret), 0);
    assert_false(conf_load(groups, GROUPS, &sources, &e));
    assert_message(&e, "environment READSIDE_PROJECTOR_PASSWORD_FILE");
    assert_int_equal(unlink(file), 0);
    assert_false(conf_load(groups, GROUPS, &sources, &e));
    assert_message(&e, "readside.ini");
    assert_int_equal(rmdir(directory), 0);
}

static void test_sources_refused(void **state) {
    (void)state;
    static const struct {
        char *variable;
        const char *override;
        const char *message;
    } cases[] = {
        {"READSIDE_PROJECTOR_THREADS=0", NULL, "environment READSIDE_PROJECTOR_THREADS: [projector] threads = '0'"},
        {"READSIDE_CORE_NOTE=\xFF", NULL, "environment READSIDE_CORE_NOTE: is not UTF-8"},
        {NULL, "projector.threads=x", "command line --projector.threads: [projector] threads = 'x'"},
        {NULL, "projector.thread=x", "did you mean 'threads'?"},
        {NULL, "projecto.threads=1", "did you mean [projector]?"},
        {NULL, "mongo.uri=1", "this program has no options in [mongo]"},
        {NULL, "threads=1", "is not section.key=value"},
        {NULL, "projector.threads", "is not section.key=value"},
        {NULL, "core.note=\xFF", "not UTF-8"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *environment[] = {cases[i].variable, NULL};
        const char *overrides[] = {cases[i].override, NULL};
        struct conf_sources sources = {NULL, environment, overrides};
        struct error e = {0};
        assert_false(conf_load(groups, GROUPS, &sources, &e));
        assert_message(&e, cases[i].message);
    }
    char *both[] = {"READSIDE_PROJECTOR_PASSWORD=a", "READSIDE_PROJECTOR_PASSWORD_FILE=b", NULL};
    struct conf_sources sources = {NULL, both, NULL};
    struct error e = {0};
    assert_false(conf_load(groups, GROUPS, &sources, &e));
    assert_message(&e, "the same is given by");
}

static void test_print_loads_back(void **state) {
    (void)state;
    struct error e = {0};
    assert_true(
        load_text("[projector]\nthreads = 7\nwait = 90s\nbulk-bytes = 1536\npassword = hush\n[core]\nformat = json\n"
                  "note = two words\n",
                  &e));
    _cleanup_(buf_done) struct buf printed = BUF_INIT(1 << 20), again = BUF_INIT(1 << 20);
    conf_print(groups, GROUPS, &printed);
    assert_true(buf_ok(&printed));
    conf_done(groups, GROUPS);
    assert_null(strstr(printed.data, "hush"));
    assert_non_null(strstr(printed.data, "\npassword = ***\n"));
    assert_non_null(strstr(printed.data, "\nwait = 90s\n"));
    assert_non_null(strstr(printed.data, "\nbulk-bytes = 1536\n"));
    assert_non_null(strstr(printed.data, "# whole number 1 to 64; default 2\n"));
    if (!load_text(printed.data, &e))
        fail_msg("%s", e.message);
    conf_print(groups, GROUPS, &again);
    conf_done(groups, GROUPS);
    assert_string_equal(printed.data, again.data);
}

static void test_print_of_what_no_file_can_hold(void **state) {
    (void)state;
    static const char *const values[] = {
        " x",
        "x ",
        "a ; b",
        ";",
        "a\nb",
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678"
        "9012345678901234567890123456789012345678901234567890123456789012345678901234567"
        "89012345678901234567890123456789012345678901234567890123456789"};
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        char override[512];
        snprintf(override, sizeof(override), "core.note=%s", values[i]);
        const char *overrides[] = {override, NULL};
        struct conf_sources sources = {NULL, NULL, overrides};
        struct error e = {0};
        assert_true(conf_load(groups, GROUPS, &sources, &e));
        _cleanup_(buf_done) struct buf b = BUF_INIT(1 << 20);
        conf_print(groups, GROUPS, &b);
        conf_done(groups, GROUPS);
        assert_non_null(strstr(b.data, "# note cannot be written in an ini file"));
        assert_true(load_text(b.data, &e));
        conf_done(groups, GROUPS);
    }
}

static void test_help_and_markdown(void **state) {
    (void)state;
    _cleanup_(buf_done) struct buf b = BUF_INIT(1 << 20);
    conf_help(groups, GROUPS, &b);
    assert_non_null(strstr(b.data, "[projector]\n  --projector.listen=VALUE\n      Where to listen.\n"));
    assert_non_null(strstr(b.data, "duration 1ms to 1h; default 5s; taken over at SIGHUP\n"));
    assert_non_null(strstr(b.data, "  --projector.password_file=PATH\n      The secret.\n      secret of at most 20 bytes; "
                                   "also as password = VALUE, but not on the command line\n"));
    assert_null(strstr(b.data, "--projector.password=")); /* it is refused there */
    buf_reset(&b);
    conf_markdown(groups, GROUPS, &b);
    assert_non_null(strstr(b.data, "### [core]\n"));
    assert_non_null(strstr(b.data, "| `format` | logfmt\\|json | `logfmt` |  | Log lines. |\n"));
    assert_non_null(strstr(b.data, "| `note` | text |  |  | Anything \\| at all. |\n"));
    assert_non_null(strstr(b.data, "| `fast` | true\\|false | `true` | yes | Faster. |\n"));
}

static void test_bad_default_is_internal(void **state) {
    (void)state;
    static const struct option bad[] = {{"core", "n", OPTION_INT, "zero", 1, 2, NULL, "N.", 0, false}};
    int64_t n;
    struct conf_group g = {bad, 1, &n};
    struct error e = {0};
    assert_false(conf_load_text(&g, 1, "x", "", 0, &e));
    assert_int_equal(e.code, ERROR_INTERNAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_line_limit),
        cmocka_unit_test(test_precedence_and_secrets),
        cmocka_unit_test(test_sources_refused),
        cmocka_unit_test(test_print_loads_back),
        cmocka_unit_test(test_print_of_what_no_file_can_hold),
        cmocka_unit_test(test_help_and_markdown),
        cmocka_unit_test(test_bad_default_is_internal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
