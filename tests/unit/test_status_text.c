#include "tests/unit/test.h"
#include "projector/commands/status_text.h"

static char *shown(struct buf *out, const char *document, bool color) {
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct error error;
    const struct json *status = json_parse(&arena, document, strlen(document), NULL, &error);
    assert_non_null(status);
    buf_reset(out);
    struct status_text t = {.out = out, .color = color};
    status_text_write(&t, status);
    assert_true(buf_ok(out));
    arena_done(&arena);
    return out->data;
}

static unsigned problems(const char *document) {
    struct arena arena;
    arena_init(&arena, 1 << 20);
    unsigned n = status_text_problems(json_parse(&arena, document, strlen(document), NULL, NULL));
    arena_done(&arena);
    return n;
}

#define HEAD "\"time\":\"2026-01-02T03:04:10.5Z\",\"version\":\"1\",\"instance\":{\"role\":\"owner\",\"epoch\":3,\"pid\":7,"      \
             "\"host\":\"h\",\"since\":\"2026-01-02T03:04:05.678901Z\"}"

static void test_known_sections(void **state) {
    (void)state;
    _cleanup_(buf_done) struct buf out = BUF_INIT(1 << 16);
    assert_string_equal(
        shown(&out,
              "{" HEAD ",\"ready\":false,\"conditions\":[{\"name\":\"index\",\"ready\":false,\"reason\":\"it refuses\"},"
              "{\"name\":\"lag\",\"ready\":true}],"
              "\"sources\":[{\"source\":\"stream\",\"lag_seconds\":0.0123,\"unfinished\":1234,\"position\":\"2026-01-02T03:04:10.0Z\","
              "\"checkpoint_saved_at\":\"2026-01-02T03:04:10.3Z\",\"oplog_headroom_seconds\":7500,"
              "\"commit_to_indexed\":{\"count\":2,\"p50_seconds\":0.004,\"p99_seconds\":75}},"
              "{\"source\":\"queue\",\"unfinished\":0,\"rows\":12345,\"commit_to_indexed\":{\"count\":0,\"p50_seconds\":0}}],"
              "\"jobs\":[{\"id\":\"scan-1\",\"state\":\"running\",\"phase\":\"mark\",\"done\":10,\"total\":1000,\"docs_per_second\":10},"
              "{\"id\":\"reindex-1\",\"state\":\"running\",\"phase\":\"verify\",\"done\":5,\"total\":9,"
              "\"note\":\"the job scan-1 is paused\"}],"
              "\"dead_letters\":{\"kept\":2},\"targets\":[{\"index\":\"p-1\",\"alias\":\"p\",\"role\":\"serving\",\"paused\":true},"
              "{\"index\":\"p-2\",\"role\":\"building\",\"paused\":false,\"flawed\":true}],"
              "\"verification\":{\"verified_as_of\":\"2026-01-02T03:02:10.5Z\",\"compared\":12345,"
              "\"missing\":0,\"stale\":2}}",
              false),
        "projector     owner, epoch 3, not ready  (version 1, pid 7 on h, since 2026-01-02T03:04:05Z)\n"
        "              index: it refuses\n"
        "sources                     lag   unfinished    indexed p50         p99    searchable p50         p99\n"
        "  stream                  12 ms        1,234         4.0 ms  1 min 15 s                 -           -\n"
        "  queue                       -            0              -           -                 -           -\n"
        "              stream: read up to 2026-01-02T03:04:10Z, oplog headroom 2 h 05 min, position stored 200 ms ago\n"
        "              queue: 12,345 rows in the table\n"
        "targets       p-1 (alias p): serving, PAUSED, it refuses writes\n"
        "              p-2: building, takes writes, lacks a change that it refused\n"
        "jobs          scan-1: running, mark: 10 of 1,000 products, 10/s, 1 min 39 s left\n"
        "              reindex-1: running, verify: 5 of 9 products (the job scan-1 is paused)\n"
        "dead letters  2 put aside: projector dead-letters list\n"
        "verified      as of 2026-01-02T03:02:10Z, 2 min 00 s ago; this pass: 12,345 compared, 2 stale\n");
}

static void test_unknown_sections_show(void **state) {
    (void)state;
    _cleanup_(buf_done) struct buf out = BUF_INIT(1 << 16);
    const char *text = shown(&out,
                             "{" HEAD ",\"ready\":true,\"verify\":{\"verified_as_of\":\"2026\",\"rate\":1000,\"whole\":true,\"x\":null},"
                             "\"partitions\":[{\"partition\":0,\"lag\":1.5},{\"partition\":1,\"lag\":2}],\"answer\":42}",
                             false);
    assert_non_null(strstr(text, "\nverify        verified as of 2026, rate 1,000, whole yes, x -\n"
                                 "partitions    partition 0, lag 1.5\n"
                                 "              partition 1, lag 2\n"
                                 "answer        42\n"));
}

static void test_color_is_only_attributes(void **state) {
    (void)state;
    static const char document[] = "{" HEAD ",\"ready\":true,\"targets\":[{\"index\":\"i\",\"alias\":\"a\",\"paused\":true}]}";
    _cleanup_(buf_done) struct buf plain = BUF_INIT(1 << 16), colored = BUF_INIT(1 << 16);
    shown(&plain, document, false);
    char *c = shown(&colored, document, true);
    assert_non_null(strstr(c, "\033[1;31mPAUSED"));
    _cleanup_(buf_done) struct buf stripped = BUF_INIT(1 << 16);
    for (; *c; c++) {
        if (*c == '\033')
            c += strcspn(c, "m");
        else
            buf_append_char(&stripped, *c);
    }
    assert_string_equal(stripped.data, plain.data);
}

static void test_problems(void **state) {
    (void)state;
    static const struct {
        const char *document;
        unsigned expect;
    } cases[] = {
        {"{\"ready\":true,\"dead_letters\":{\"kept\":0},\"targets\":[{\"paused\":false}],\"jobs\":[{\"state\":\"running\"}]}", 0},
        {"{\"ready\":false,\"instance\":{\"role\":\"standby\"}}", 0},
        {"{\"ready\":false,\"instance\":{\"role\":\"owner\"}}", 1},
        {"{\"ready\":true,\"dead_letters\":{\"kept\":3}}", 1},
        {"{\"ready\":true,\"targets\":[{\"paused\":false},{\"paused\":true}]}", 1},
        {"{\"ready\":true,\"jobs\":[{\"state\":\"waiting\"},{\"state\":\"waiting\"}]}", 2},
        {"{\"from\":\"mongodb\"}", 0},
        {"[]", 0},
        {"{\"jobs\":7,\"targets\":null,\"dead_letters\":[]}", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(problems(cases[i].document), cases[i].expect);
}

static void test_nonsense_does_not_crash(void **state) {
    (void)state;
    static const char *const documents[] = {
        "{}", "[]", "7", "{\"sources\":[]}", "{\"sources\":[1,null,\"x\"]}", "{\"sources\":7,\"jobs\":{},\"lanes\":[[]]}",
        "{\"instance\":[],\"conditions\":{\"a\":1},\"daemon\":3,\"lease\":[],\"time\":9,\"bulks\":[],\"other\":[[1],2]}",
    };
    _cleanup_(buf_done) struct buf out = BUF_INIT(1 << 16);
    for (size_t i = 0; i < ARRAY_LEN(documents); i++)
        assert_non_null(shown(&out, documents[i], false));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_sections), cmocka_unit_test(test_unknown_sections_show),
        cmocka_unit_test(test_color_is_only_attributes), cmocka_unit_test(test_problems),
        cmocka_unit_test(test_nonsense_does_not_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
