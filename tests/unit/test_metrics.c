#include "tests/unit/test.h"
#include "core/metrics.h"
#include <math.h>
#include <pthread.h>

static char *scrape(struct buf *b) {
    buf_reset(b);
    metrics_write(b);
    assert_true(buf_ok(b));
    return b->data;
}

static int teardown(void **state) {
    (void)state;
    metrics_done();
    return 0;
}

static void test_counters_and_gauges(void **state) {
    (void)state;
    struct metric *c = metrics_counter("readside_test_sent_total", "Sent\nthings \\ all.", "");
    struct metric *g = metrics_gauge("readside_test_depth", "Depth.", "queue=\"a\"");
    struct metric *h = metrics_gauge("readside_test_depth", "Depth.", "queue=\"b\"");
    metric_inc(c);
    metric_add(c, 41);
    metric_set(g, 1.5);
    metric_add(h, 3);
    metric_set(c, 7); /* not for counters: nothing */
    assert_true(metric_value(c) == 42 && metric_value(g) == 1.5 && metric_value(h) == 3);
    _cleanup_(buf_done) struct buf b = BUF_INIT(1 << 20);
    assert_string_equal(scrape(&b), "# HELP readside_test_sent_total Sent\\nthings \\\\ all.\n"
                                    "# TYPE readside_test_sent_total counter\n"
                                    "readside_test_sent_total 42\n"
                                    "# HELP readside_test_depth Depth.\n"
                                    "# TYPE readside_test_depth gauge\n"
                                    "readside_test_depth{queue=\"a\"} 1.5\n"
                                    "readside_test_depth{queue=\"b\"} 3\n");
    metric_set(g, NAN);
    metric_set(h, INFINITY);
    assert_non_null(strstr(scrape(&b), "{queue=\"a\"} NaN\n"));
    assert_non_null(strstr(scrape(&b), "{queue=\"b\"} +Inf\n"));
    metric_add(c, UINT64_MAX - 42);
    assert_non_null(strstr(scrape(&b), "readside_test_sent_total 18446744073709551615\n"));
}

/* Series of one name stand together, however they were registered. */
static void test_same_and_grouped(void **state) {
    (void)state;
    struct metric *a = metrics_counter("x_total", "X.", "k=\"1\"");
    metrics_counter("y_total", "Y.", "");
    metrics_counter("x_total", "X.", "k=\"2\"");
    assert_ptr_equal(metrics_counter("x_total", "X.", "k=\"1\""), a);
    _cleanup_(buf_done) struct buf b = BUF_INIT(1 << 20);
    assert_string_equal(scrape(&b),
                        "# HELP x_total X.\n# TYPE x_total counter\nx_total{k=\"1\"} 0\nx_total{k=\"2\"} 0\n"
                        "# HELP y_total Y.\n# TYPE y_total counter\ny_total 0\n");
}

static void test_bad_names_give_null(void **state) {
    (void)state;
    static const char *const bad[] = {"", "1x", "a-b", "a b", "a{", "\xED\x95\x9C"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_null(metrics_counter(bad[i], "x", ""));
    assert_non_null(metrics_counter("ok", "x", ""));
    assert_null(metrics_gauge("ok", "x", ""));
    metric_inc(NULL);
    metric_set(NULL, 1);
    metric_observe(NULL, 1);
    assert_true(metric_value(NULL) == 0);
    assert_true(metric_quantile_usec(NULL, 0.5) == 0);
}

static void test_histogram(void **state) {
    (void)state;
    struct metric *m = metrics_histogram("t_seconds", "T.", "op=\"get\"");
    static const usec_t observed[] = {0, 500, 501, 1000, 59999999, 60000000, 60000001, 3600000000};
    for (size_t i = 0; i < ARRAY_LEN(observed); i++)
        metric_observe(m, observed[i]);
    assert_true(metric_value(m) == 8);
    _cleanup_(buf_done) struct buf b = BUF_INIT(1 << 20);
    scrape(&b);
    static const char *const lines[] = {
        "# TYPE t_seconds histogram\n",
        "t_seconds_bucket{op=\"get\",le=\"0.0005\"} 2\n",
        "t_seconds_bucket{op=\"get\",le=\"0.001\"} 4\n",
        "t_seconds_bucket{op=\"get\",le=\"20\"} 4\n",
        "t_seconds_bucket{op=\"get\",le=\"60\"} 6\n",
        "t_seconds_bucket{op=\"get\",le=\"+Inf\"} 8\n",
        "t_seconds_sum{op=\"get\"} 3780.002001\n",
        "t_seconds_count{op=\"get\"} 8\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        if (!strstr(b.data, lines[i]))
            fail_msg("no %s in %s", lines[i], b.data);
}

static void test_quantiles(void **state) {
    (void)state;
    struct metric *m = metrics_histogram("q_seconds", "Q.", "");
    assert_true(metric_quantile_usec(m, 0.5) == 0);
    for (int i = 0; i < 100; i++)
        metric_observe(m, 1500); /* all in (1 ms, 2 ms] */
    assert_true(metric_quantile_usec(m, 0) == 1000);
    assert_true(metric_quantile_usec(m, 0.5) == 1500);
    assert_true(metric_quantile_usec(m, 1) == 2000);
    for (int i = 0; i < 100; i++)
        metric_observe(m, 15000); /* (10 ms, 20 ms] */
    assert_true(metric_quantile_usec(m, 0.75) == 15000);
    assert_true(metric_quantile_usec(m, 7) == 20000);
    for (int i = 0; i < 10000; i++)
        metric_observe(m, USEC_PER_SEC * 1000);
    assert_true(metric_quantile_usec(m, 0.99) == 60000000);
}

static double twice(void *ctx) {
    return *(int *)ctx * 2;
}

static void test_gauge_fn(void **state) {
    (void)state;
    int n = 4;
    struct metric *m = metrics_gauge_fn("f", "F.", "", twice, &n);
    _cleanup_(buf_done) struct buf b = BUF_INIT(1 << 20);
    assert_non_null(strstr(scrape(&b), "\nf 8\n"));
    n = 5;
    assert_true(metric_value(m) == 10);
    assert_ptr_equal(metrics_gauge_fn("f", "F.", "", NULL, NULL), m);
    assert_non_null(strstr(scrape(&b), "\nf NaN\n"));
}

static void test_labels(void **state) {
    (void)state;
    _cleanup_(buf_done) struct buf b = BUF_INIT(1000);
    assert_true(metrics_append_label(&b, "a", "x\"y\\z\n"));
    assert_true(metrics_append_label(&b, "b", ""));
    assert_string_equal(b.data, "a=\"x\\\"y\\\\z\\n\",b=\"\"");
}

static void *count_up(void *arg) {
    for (int i = 0; i < 20000; i++) {
        metric_inc(((struct metric **)arg)[0]);
        metric_add(((struct metric **)arg)[1], 1);
        metric_observe(((struct metric **)arg)[2], (usec_t)i);
    }
    return NULL;
}

static void test_threads(void **state) {
    (void)state;
    struct metric *m[3] = {metrics_counter("c_total", "C.", ""), metrics_gauge("g", "G.", ""),
                           metrics_histogram("h_seconds", "H.", "")};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, m), 0);
    _cleanup_(buf_done) struct buf b = BUF_INIT(1 << 20);
    scrape(&b);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 3; i++)
        assert_true(metric_value(m[i]) == 80000);
}

static void test_histograms_of_other_things(void **state) {
    (void)state;
    struct metric *docs = metrics_histogram_of("readside_test_documents", "Documents.", "", METRIC_COUNTS);
    struct metric *bytes = metrics_histogram_of("readside_test_bytes", "Bytes.", "a=\"b\"", METRIC_BYTES);
    metric_observe(docs, 1000);
    metric_observe(docs, 3);
    metric_observe(docs, 30000);
    metric_observe(bytes, 1 << 20);
    _cleanup_(buf_done) struct buf b = BUF_INIT(1 << 20);
    const char *text = scrape(&b);
    assert_non_null(strstr(text, "readside_test_documents_bucket{le=\"2\"} 0\nreadside_test_documents_bucket{le=\"5\"} 1\n"));
    assert_non_null(strstr(text, "_bucket{le=\"1000\"} 2\n"));
    assert_non_null(strstr(text, "_bucket{le=\"20000\"} 2\nreadside_test_documents_bucket{le=\"+Inf\"} 3\n"
                                 "readside_test_documents_sum 31003\n"));
    assert_non_null(strstr(text, "_bucket{a=\"b\",le=\"262144\"} 0\n"));
    assert_non_null(strstr(text, "_bucket{a=\"b\",le=\"1048576\"} 1\n"));
    assert_non_null(strstr(text, "_sum{a=\"b\"} 1048576\n"));
    assert_true(metric_quantile_usec(docs, 1) == 20000);
}

static double half_past(void *ctx) {
    (void)ctx;
    return 1.5;
}

static void test_counter_fn(void **state) {
    (void)state;
    struct metric *m = metrics_counter_fn("readside_test_seconds_total", "Seconds.", "", half_past, NULL);
    _cleanup_(buf_done) struct buf b = BUF_INIT(1 << 20);
    assert_non_null(strstr(scrape(&b), "# TYPE readside_test_seconds_total counter\nreadside_test_seconds_total 1.5\n"));
    assert_true(metric_value(m) == 1.5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_histograms_of_other_things, teardown),
        cmocka_unit_test_teardown(test_counter_fn, teardown),
        cmocka_unit_test_teardown(test_counters_and_gauges, teardown),
        cmocka_unit_test_teardown(test_same_and_grouped, teardown),
        cmocka_unit_test_teardown(test_bad_names_give_null, teardown),
        cmocka_unit_test_teardown(test_histogram, teardown),
        cmocka_unit_test_teardown(test_quantiles, teardown),
        cmocka_unit_test_teardown(test_gauge_fn, teardown),
        cmocka_unit_test_teardown(test_labels, teardown),
        cmocka_unit_test_teardown(test_threads, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
