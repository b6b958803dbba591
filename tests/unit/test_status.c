#include "tests/unit/test.h"
#include "projector/status.h"
#include <pthread.h>

static int teardown(void **state) {
    (void)state;
    status_done();
    return 0;
}

static const char *whole(struct buf *out) {
    struct json_write w;
    buf_reset(out);
    json_write_init(&w, out);
    json_write_object(&w);
    status_write(&w);
    json_write_object_end(&w);
    assert_true(json_write_finish(&w));
    return out->data;
}

static void publish_number(const char *name, int64_t n) {
    struct status_section s;
    json_write_int(status_begin(&s, name), n);
    status_publish(&s);
}

static void test_sections_are_replaced_and_removed(void **state) {
    (void)state;
    _cleanup_(buf_done) struct buf out = BUF_INIT(1 << 16);
    assert_string_equal(whole(&out), "{}");
    publish_number("lanes", 1);
    publish_number("jobs", 2);
    publish_number("lanes", 3);
    assert_string_equal(whole(&out), "{\"lanes\":3,\"jobs\":2}");
    status_remove("lanes");
    status_remove("never there");
    assert_string_equal(whole(&out), "{\"jobs\":2}");
}

static void test_a_broken_section_leaves_the_one_before(void **state) {
    (void)state;
    _cleanup_(buf_done) struct buf out = BUF_INIT(1 << 16);
    publish_number("jobs", 1);
    struct status_section s;
    json_write_object(status_begin(&s, "jobs")); /* never closed */
    status_publish(&s);
    json_write_string(status_begin(&s, "jobs"), "\xff", 1); /* no UTF-8 */
    status_publish(&s);
    assert_string_equal(whole(&out), "{\"jobs\":1}");
}

static void test_times(void **state) {
    (void)state;
    _cleanup_(buf_done) struct buf out = BUF_INIT(1 << 16);
    struct status_section s;
    struct json_write *w = status_begin(&s, "t");
    json_write_object(w);
    status_write_time(w, "never", 0);
    status_write_time(w, "at", 1767323045678901);
    json_write_object_end(w);
    status_publish(&s);
    assert_string_equal(whole(&out), "{\"t\":{\"never\":null,\"at\":\"2026-01-02T03:04:05.678901Z\"}}");
}

static void *publish_many(void *arg) {
    for (int64_t i = 0; i < 2000; i++)
        publish_number(arg, i);
    return NULL;
}

static void test_threads(void **state) {
    (void)state;
    static char names[2][2] = {"a", "b"};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, publish_many, names[i]), 0);
    _cleanup_(buf_done) struct buf out = BUF_INIT(1 << 16);
    for (int i = 0; i < 500; i++)
        whole(&out);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_non_null(strstr(whole(&out), "\"a\":1999"));
    assert_non_null(strstr(out.data, "\"b\":1999"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_sections_are_replaced_and_removed, teardown),
        cmocka_unit_test_teardown(test_a_broken_section_leaves_the_one_before, teardown),
        cmocka_unit_test_teardown(test_times, teardown),
        cmocka_unit_test_teardown(test_threads, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
