#include "tests/unit/test.h"
#include "core/arena.h"
#include "core/clock.h"
#include "core/json_read.h"
#include "core/log.h"
#include "core/utf8.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* stderr goes into a memory file while a test logs. */
static int saved_stderr = -1, captured = -1;

static void capture(void) {
    saved_stderr = dup(STDERR_FILENO);
    captured = memfd_create("log", MFD_CLOEXEC);
    assert_true(saved_stderr >= 0 && captured >= 0);
    /* Writes of several threads do not share a memory file's position under a lock; appending does. */
    assert_int_equal(fcntl(captured, F_SETFL, O_APPEND), 0);
    assert_true(dup2(captured, STDERR_FILENO) >= 0);
}

static char *captured_text(void) {
    off_t size = lseek(captured, 0, SEEK_END);
    char *text = malloc((size_t)size + 1);
    assert_int_equal(pread(captured, text, (size_t)size, 0), size);
    text[size] = '\0';
    assert_true(dup2(saved_stderr, STDERR_FILENO) >= 0);
    close(saved_stderr);
    close(captured);
    return text;
}

static size_t count_lines(const char *s) {
    size_t n = 0;
    for (; *s; s++)
        n += *s == '\n';
    return n;
}

static void log_everything(void) {
    struct error e;
    error_set(&e, ERROR_TIMEOUT, "no \"answer\"");
    log_info("test.all", LOG_STR("plain", "abc"), LOG_STR("spaced", "a b"), LOG_STR("empty", ""), LOG_STR("none", NULL),
             LOG_STR("special", "a=\"b\"\\\n\t\x01\x7F"), LOG_STR("hangul", "\xED\x95\x9C"),
             LOG_STR("broken", "x\xFFy"), LOG_INT("n", -5), LOG_DOUBLE("d", 0.25), LOG_DOUBLE("nan", NAN),
             LOG_DOUBLE("inf", -INFINITY), LOG_USEC("took", 3200), LOG_ERR(&e));
}

static void test_logfmt(void **state) {
    (void)state;
    log_init("tester", LOG_INFO, LOG_FORMAT_LOGFMT);
    capture();
    log_everything();
    _cleanup_(freep) char *text = captured_text();
    assert_int_equal(strncmp(text, "ts=20", 5), 0);
    const char *rest = strstr(text, " level=");
    assert_non_null(rest);
    assert_string_equal(rest, " level=info program=tester event=test.all plain=abc spaced=\"a b\" empty=\"\" none=\"\" "
                              "special=\"a=\\\"b\\\"\\\\\\n\\t\\u0001\\u007f\" hangul=\xED\x95\x9C "
                              "broken=\"x\xEF\xBF\xBDy\" n=-5 d=0.25 nan=nan inf=-inf took_ms=3.2 error=TIMEOUT "
                              "message=\"no \\\"answer\\\"\"\n");
}

static void test_json(void **state) {
    (void)state;
    log_init("tester", LOG_INFO, LOG_FORMAT_JSON);
    log_set_trace("4bf92f3577b34da6a3ce929d0e0e4736");
    capture();
    log_everything();
    _cleanup_(freep) char *text = captured_text();
    log_set_trace(NULL);
    _cleanup_(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    struct error e = {0};
    struct json *v = json_parse(&a, text, strlen(text), NULL, &e);
    if (!v)
        fail_msg("%s: %s", e.message, text);
    assert_true(json_string_is(json_get(v, "program"), "tester"));
    assert_true(json_string_is(json_get(v, "trace_id"), "4bf92f3577b34da6a3ce929d0e0e4736"));
    assert_true(json_string_is(json_get(v, "special"), "a=\"b\"\\\n\t\x01\x7F"));
    assert_true(json_string_is(json_get(v, "broken"), "x\xEF\xBF\xBDy"));
    assert_true(json_is(json_get(v, "nan"), JSON_NULL));
    double took;
    assert_true(json_double(json_get(v, "took_ms"), &took));
    assert_true(took == 3.2);
    assert_true(json_string_is(json_get(v, "error"), "TIMEOUT"));
}

static void test_levels(void **state) {
    (void)state;
    log_init("tester", LOG_WARN, LOG_FORMAT_LOGFMT);
    capture();
    log_debug("level.debug");
    log_info("level.info");
    log_warn("level.warn");
    log_set_level(LOG_ERROR);
    log_warn("level.warn2");
    log_error("level.error");
    log_set_level(LOG_DEBUG);
    errno = 42;
    log_debug("level.debug2");
    assert_int_equal(errno, 42);
    _cleanup_(freep) char *text = captured_text();
    assert_int_equal(count_lines(text), 3);
    assert_non_null(strstr(text, "level=warn program=tester event=level.warn\n"));
    assert_non_null(strstr(text, "level=error program=tester event=level.error\n"));
    assert_non_null(strstr(text, "level=debug program=tester event=level.debug2\n"));
}

/* One long value is cut between characters; too many fields leave a line that still parses and says so. */
static void test_long_lines(void **state) {
    (void)state;
    char hangul[9001], ascii[2001];
    for (size_t i = 0; i + 3 < sizeof(hangul); i += 3)
        memcpy(hangul + i, "\xED\x95\x9C", 4);
    memset(ascii, 'x', sizeof(ascii) - 1);
    ascii[sizeof(ascii) - 1] = '\0';
    log_init("tester", LOG_INFO, LOG_FORMAT_JSON);
    capture();
    log_info("long.value", LOG_STR("v", hangul));
    log_info("long.line", LOG_STR("a", ascii), LOG_STR("b", ascii), LOG_STR("c", ascii), LOG_STR("d", ascii),
             LOG_STR("e", ascii), LOG_STR("f", ascii), LOG_INT("last", 1));
    _cleanup_(freep) char *text = captured_text();
    assert_int_equal(count_lines(text), 2);
    assert_true(utf8_valid(text, strlen(text)));
    char *second = strchr(text, '\n') + 1;
    _cleanup_(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    struct json *v = json_parse(&a, text, (size_t)(second - text), NULL, NULL);
    assert_non_null(v);
    assert_int_equal(json_get(v, "v")->text.len, 2046);
    v = json_parse(&a, second, strlen(second), NULL, NULL);
    assert_non_null(v);
    assert_non_null(json_get(v, "d"));
    assert_null(json_get(v, "e"));
    assert_null(json_get(v, "last"));
    assert_true(json_get(v, "truncated")->boolean);
}

static void test_flood(void **state) {
    (void)state;
    log_init("tester", LOG_INFO, LOG_FORMAT_LOGFMT);
    capture();
    usec_t start = clock_now_usec();
    for (int i = 0; i < 500; i++)
        log_info("flood.event");
    log_info("flood.other");
    bool within_a_second = clock_now_usec() - start < USEC_PER_SEC;
    log_flush();
    log_flush();
    _cleanup_(freep) char *text = captured_text();
    assert_non_null(strstr(text, "event=flood.other"));
    if (within_a_second) {
        assert_int_equal(count_lines(text), 20 + 1 + 1);
        assert_non_null(strstr(text, "event=log.held_back held_event=flood.event count=480\n"));
    }
}

static void *log_from_thread(void *arg) {
    log_set_trace(arg);
    for (int i = 0; i < 15; i++)
        log_info("threads.line", LOG_STR("text", "0123456789012345678901234567890123456789"), LOG_STR("own", arg));
    return NULL;
}

static void test_lines_of_threads_stay_whole(void **state) {
    (void)state;
    log_init("tester", LOG_INFO, LOG_FORMAT_LOGFMT);
    capture();
    pthread_t threads[4];
    char ids[4][8];
    for (int i = 0; i < 4; i++) {
        snprintf(ids[i], sizeof(ids[i]), "id%d", i);
        assert_int_equal(pthread_create(&threads[i], NULL, log_from_thread, ids[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    log_flush();
    _cleanup_(freep) char *text = captured_text();
    size_t lines = 0;
    for (char *save = NULL, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save), lines++) {
        if (strstr(line, "log.held_back"))
            continue;
        const char *id = strstr(line, "trace_id="), *own = strstr(line, " own=");
        assert_non_null(id);
        assert_non_null(own);
        assert_memory_equal(id + 9, own + 5, 3);
        assert_int_equal(strlen(own), 8);
    }
    assert_true(lines >= 21);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logfmt), cmocka_unit_test(test_json),
        cmocka_unit_test(test_levels), cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_flood),  cmocka_unit_test(test_lines_of_threads_stay_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
