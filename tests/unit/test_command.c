#include "tests/unit/test.h"
#include "projector/commands/command.h"
#include "projector/commands/command_progress.h"

static void test_formats_counts(void **state) {
    (void)state;
    static const struct {
        int64_t n;
        const char *text;
    } cases[] = {{0, "0"}, {999, "999"}, {1000, "1,000"}, {-1000, "-1,000"}, {-999, "-999"}, {1234567, "1,234,567"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct buf out = BUF_INIT(64);
        command_format_count(&out, cases[i].n);
        assert_string_equal(out.data, cases[i].text);
        buf_done(&out);
    }
}

static void test_formats_seconds(void **state) {
    (void)state;
    static const struct {
        double seconds;
        const char *text;
    } cases[] = {{0, "0 s"}, {0.2, "1 s"}, {59, "59 s"}, {190, "3 min 10 s"}, {7500, "2 h 05 min"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct buf out = BUF_INIT(64);
        command_format_seconds(&out, cases[i].seconds);
        assert_string_equal(out.data, cases[i].text);
        buf_done(&out);
    }
}

static void test_formats_progress(void **state) {
    (void)state;
    static const struct {
        unsigned width;
        int64_t done, total;
        double rate;
        const char *note, *text;
    } cases[] = {
        {0, 5, 0, 0, NULL, "mark: 5 documents"},
        {0, 50, 200, 10, "paused", "mark: 50 of 200 documents, 10/s, 15 s left (paused)"},
        {80, 100, 200, 0, NULL, "mark     [########--------]  50% 100 of 200 documents"},
        {40, 201, 200, 7, NULL, "mark     [########] 100% 201 of 201 documents, 7/s"},
        {500, 0, 200, 0, NULL, "mark     [--------------------------------]   0% 0 of 200 documents"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct buf out = BUF_INIT(512);
        command_format_progress(&out, cases[i].width, "mark", cases[i].done, cases[i].total, "documents",
                                cases[i].rate, cases[i].note);
        assert_string_equal(out.data, cases[i].text);
        buf_done(&out);
    }
}

static void test_rate_follows_the_phase(void **state) {
    (void)state;
    struct command_progress p = {0};
    usec_t t = 1000 * USEC_PER_SEC;
    assert_true(command_progress_observe(&p, "mark", 1000, t) == 0);
    assert_true(command_progress_observe(&p, "mark", 2000, t + 1000) == 0); /* too soon to tell */
    assert_true(command_progress_observe(&p, "mark", 2000, t + USEC_PER_SEC) == 1000);
    double rate = command_progress_observe(&p, "mark", 5000, t + 4 * USEC_PER_SEC);
    assert_true(rate > 999.9 && rate < 1000.1);
    rate = command_progress_observe(&p, "mark", 11000, t + 7 * USEC_PER_SEC); /* 2000/s for one half-life */
    assert_true(rate > 1499.9 && rate < 1500.1);
    assert_true(command_progress_observe(&p, "verify", 11001, t + 8 * USEC_PER_SEC) == 0);
    assert_true(command_progress_observe(&p, "verify", 11101, t + 9 * USEC_PER_SEC) == 100);
    assert_true(command_progress_observe(&p, "verify", 11101, t + 90 * USEC_PER_SEC) == 0); /* stands still */
    assert_true(command_progress_observe(&p, "verify", 5, t + 91 * USEC_PER_SEC) == 0); /* went back */
}

static void test_eta(void **state) {
    (void)state;
    assert_true(command_progress_eta(5, 0, 10) < 0);
    assert_true(command_progress_eta(5, 10, 0) < 0);
    assert_true(command_progress_eta(10, 10, 3) == 0);
    assert_true(command_progress_eta(5, 10, 2) == 2.5);
}

static void test_numbers_of_options(void **state) {
    (void)state;
    int64_t n = -1;
    struct error error = {0};
    assert_true(command_number("--throttle", "250", 1, 1000, &n, &error));
    assert_int_equal(n, 250);
    static const char *const bad[] = {"", "x", "1x", "0", "1001", "99999999999999999999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_false(command_number("--throttle", bad[i], 1, 1000, &n, &error));
        assert_non_null(strstr(error.message, "--throttle"));
    }
    assert_int_equal(n, 250);
}

static void test_table_is_complete(void **state) {
    (void)state;
    struct buf out = BUF_INIT(1 << 16);
    command_write_list(&out);
    for (size_t i = 0; projector_commands[i]; i++) {
        const struct command *c = projector_commands[i];
        assert_non_null(c->usage);
        assert_non_null(c->run);
        assert_ptr_equal(command_find(c->name), c);
        assert_non_null(strstr(out.data, c->summary));
    }
    assert_null(command_find("no-such-command"));
    buf_done(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats_counts),   cmocka_unit_test(test_formats_seconds),
        cmocka_unit_test(test_formats_progress), cmocka_unit_test(test_rate_follows_the_phase),
        cmocka_unit_test(test_eta),              cmocka_unit_test(test_numbers_of_options),
        cmocka_unit_test(test_table_is_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
