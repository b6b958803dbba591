#include "tests/unit/test.h"
#include "projector/sources/mark_message.h"

static enum mark_message_state read_text(enum marks_format format, const char *key, const char *value,
                                         struct mark_message *ret, struct error *reterr) {
    return mark_message_read(format, slice_str(key), slice_str(value), ret, reterr);
}

static void test_what_is_written_reads_back(void **state) {
    (void)state;
    static const struct {
        const char *id;
        struct mark_message m;
    } cases[] = {
        {"p1", {.source = MARK_STREAM, .cluster_time = UINT64_C(1700000000) << 32 | 7, .commit_wall_usec = 1700000000123456}},
        {"노트북 \"13\"", {.source = MARK_QUEUE, .cluster_time = UINT64_MAX, .category_revision = 12}},
        {"a\\b", {.source = MARK_JOB, .background = true, .force = true, .target_revision = 3, .category_revision = INT64_MAX}},
        {"x", {.source = MARK_STREAM}},
    };
    static const enum marks_format formats[] = {MARKS_READSIDE, MARKS_DEBEZIUM};
    for (size_t i = 0; i < ARRAY_LEN(cases) * ARRAY_LEN(formats); i++) {
        enum marks_format format = formats[i % 2];
        struct mark_message m = cases[i / 2].m, back;
        struct buf key = BUF_INIT(2000), value = BUF_INIT(2000);
        m.id_len = (uint8_t)strlen(cases[i / 2].id);
        memcpy(m.id, cases[i / 2].id, m.id_len);
        mark_message_write_key(format, &m, &key);
        mark_message_write_value(&m, &value);
        assert_true(buf_ok(&key) && buf_ok(&value));
        struct error error;
        assert_int_equal(mark_message_read(format, (struct slice){key.data, key.len},
                                           (struct slice){value.data, value.len}, &back, &error),
                         MARK_MESSAGE_OK);
        assert_int_equal(back.id_len, m.id_len);
        assert_memory_equal(back.id, m.id, m.id_len);
        assert_int_equal(back.source, m.source);
        assert_true(back.cluster_time == m.cluster_time);
        assert_int_equal(back.commit_wall_usec, m.commit_wall_usec);
        assert_int_equal(back.category_revision, m.category_revision);
        assert_int_equal(back.target_revision, m.target_revision);
        assert_int_equal(back.background, m.background);
        assert_int_equal(back.force, m.force);
        buf_done(&key);
        buf_done(&value);
    }
}

static void test_the_text_is_as_documented(void **state) {
    (void)state;
    struct mark_message m = {.source = MARK_STREAM, .cluster_time = UINT64_C(1700000000) << 32 | 7, .category_revision = 12,
                             .target_revision = 3, .commit_wall_usec = 1700000000123456, .background = true,
                             .force = true, .id_len = 2, .id = "p1"};
    struct buf out = BUF_INIT(2000);
    mark_message_write_value(&m, &out);
    assert_string_equal(out.data, "{\"v\":1,\"source\":\"stream\",\"time\":[1700000000,7],\"wall_us\":1700000000123456,"
                                  "\"category_revision\":12,\"target_revision\":3,\"background\":true,\"force\":true}");
    buf_reset(&out);
    mark_message_write_key(MARKS_DEBEZIUM, &m, &out);
    assert_string_equal(out.data, "{\"id\":\"\\\"p1\\\"\"}");
    buf_reset(&out);
    static const char quoted[] = "q \"\\ 이름";
    m.id_len = sizeof(quoted) - 1;
    memcpy(m.id, quoted, m.id_len);
    mark_message_write_key(MARKS_DEBEZIUM, &m, &out);
    assert_string_equal(out.data, "{\"id\":\"\\\"q \\\\\\\"\\\\\\\\ 이름\\\"\"}");
    buf_done(&out);
}

#define TIME(seconds, increment) (UINT64_C(seconds) << 32 | (increment))

static void test_debezium(void **state) {
    (void)state;
    static const struct {
        const char *key, *value, *id;
        uint64_t time;
        int64_t wall_usec;
    } cases[] = {
        {"{\"id\":\"\\\"p1\\\"\"}", NULL, "p1", 0, 0},
        {"{\"schema\":{\"type\":\"struct\",\"fields\":[{\"type\":\"string\",\"optional\":false,\"field\":\"id\"}],"
         "\"optional\":false,\"name\":\"s.d.products.Key\"},\"payload\":{\"id\":\"\\\"p1\\\"\"}}",
         "{\"schema\":{\"type\":\"struct\",\"fields\":[{\"field\":\"source\",\"version\":1}]},\"payload\":{\"before\":null,"
         "\"after\":\"{\\\"_id\\\": \\\"p1\\\",\\\"source\\\": {\\\"ts_ms\\\": 5}}\",\"updateDescription\":null,"
         "\"source\":{\"version\":\"2.5.0.Final\",\"connector\":\"mongodb\",\"ts_ms\":1700000000000,\"snapshot\":\"false\","
         "\"db\":\"d\",\"rs\":\"rs0\",\"collection\":\"products\",\"ord\":31,\"lsid\":null,\"txnNumber\":null,"
         "\"wallTime\":1700000000250},\"op\":\"c\",\"ts_ms\":1700000000999,\"transaction\":null}}",
         "p1", TIME(1700000000, 31), 1700000000250000},
        {"{\"id\":\"\\\"a \\\\\\\"q\\\\\\\" \\\\uB178\\\"\"}",
         "{\"source\":{\"ts_ms\":1700000000000,\"ord\":1},\"op\":\"u\",\"ts_ms\":9}", "a \"q\" \xEB\x85\xB8",
         TIME(1700000000, 1), 1700000000000000},
        /* as 3.0.8 has written them: of a snapshot, and of a change */
        {"{\"id\":\"\\\"p1\\\"\"}",
         "{\"before\":null,\"after\":\"{\\\"_id\\\": \\\"p1\\\",\\\"name\\\": \\\"n\\\"}\",\"updateDescription\":null,\"source\":{"
         "\"version\":\"3.0.8.Final\",\"connector\":\"mongodb\",\"name\":\"s\",\"ts_ms\":0,\"snapshot\":\"last\",\"db\":\"s\","
         "\"sequence\":null,\"ts_us\":0,\"ts_ns\":0,\"collection\":\"products\",\"ord\":-1,\"lsid\":null,\"txnNumber\":null,"
         "\"wallTime\":null},\"op\":\"r\",\"ts_ms\":1795371179686,\"transaction\":null}", "p1", 0, 0},
        {"{\"id\":\"\\\"p2 \\\\\\\"q\\\\\\\"\\\"\"}",
         "{\"before\":null,\"after\":null,\"updateDescription\":null,\"source\":{\"version\":\"3.0.8.Final\",\"connector\":\"mongodb\","
         "\"name\":\"s\",\"ts_ms\":1795371180000,\"snapshot\":\"false\",\"db\":\"s\",\"sequence\":null,\"ts_us\":1795371180000000,"
         "\"ts_ns\":1795371180000000000,\"collection\":\"products\",\"ord\":2,\"lsid\":\"{\\\"id\\\": 1}\",\"txnNumber\":3,"
         "\"wallTime\":1795371180239},\"op\":\"d\",\"ts_ms\":1795371180441,\"transaction\":null}", "p2 \"q\"",
         TIME(1795371180, 2), 1795371180239000},
        {"{\"id\":\"\\\"p1\\\"\"}", "{\"source\":{\"ts_ms\":1700000000000},\"op\":\"u\"}", "p1", 0, 1700000000000000},
        {"{\"id\":\"\\\"p1\\\"\"}", "{\"v\":1,\"time\":[1700000000,2]}", "p1", TIME(1700000000, 2), 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct mark_message m;
        struct error error = {0};
        enum mark_message_state got = read_text(MARKS_DEBEZIUM, cases[i].key, cases[i].value, &m, &error);
        if (got != MARK_MESSAGE_OK)
            fail_msg("case %zu: %s", i, error.message);
        assert_int_equal(m.id_len, strlen(cases[i].id));
        assert_memory_equal(m.id, cases[i].id, m.id_len);
        assert_true(m.cluster_time == cases[i].time);
        assert_int_equal(m.commit_wall_usec, cases[i].wall_usec);
        assert_int_equal(m.source, MARK_STREAM);
    }
}

static void test_what_is_refused(void **state) {
    (void)state;
    char longest[MARK_ID_MAX + 2];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    const struct {
        enum marks_format format;
        const char *key, *value, *says;
        enum mark_message_state state;
    } cases[] = {
        {MARKS_READSIDE, NULL, "{\"v\":1}", "no key", MARK_MESSAGE_BAD_KEY},
        {MARKS_READSIDE, "", NULL, "empty", MARK_MESSAGE_BAD_KEY},
        {MARKS_READSIDE, longest, NULL, "at most 128", MARK_MESSAGE_BAD_KEY},
        {MARKS_KEY, "\xff\xfe", NULL, "UTF-8", MARK_MESSAGE_BAD_KEY},
        {MARKS_READSIDE, "p1", "", "no JSON", MARK_MESSAGE_BAD_VALUE},
        {MARKS_READSIDE, "p1", "{\"v\":1", "no JSON", MARK_MESSAGE_BAD_VALUE},
        {MARKS_READSIDE, "p1", "{\"v\":2}", "version 2", MARK_MESSAGE_BAD_VALUE},
        {MARKS_READSIDE, "p1", "{\"time\":[-1,2]}", "negative", MARK_MESSAGE_BAD_VALUE},
        {MARKS_READSIDE, "p1", "{\"time\":[4294967296,2]}", "cluster time", MARK_MESSAGE_BAD_VALUE},
        {MARKS_READSIDE, "p1", "{\"time\":[1.5,2]}", "whole number", MARK_MESSAGE_BAD_VALUE},
        {MARKS_READSIDE, "p1", "{\"category_revision\":99999999999999999999}", "too large", MARK_MESSAGE_BAD_VALUE},
        {MARKS_KEY, "p1", "garbage", NULL, MARK_MESSAGE_OK},
        {MARKS_READSIDE, "p1", "{}", NULL, MARK_MESSAGE_OK},
        {MARKS_READSIDE, "p1", "[[{\"v\":7}]]", NULL, MARK_MESSAGE_OK},
        {MARKS_READSIDE, "p1", "{\"time\":\"soon\",\"source\":\"elsewhere\",\"new\":{\"v\":2}}", NULL, MARK_MESSAGE_OK},
        {MARKS_DEBEZIUM, "p1", NULL, "no JSON", MARK_MESSAGE_BAD_KEY},
        {MARKS_DEBEZIUM, "{\"id\":1004}", NULL, "no field id", MARK_MESSAGE_BAD_KEY},
        {MARKS_DEBEZIUM, "{\"id\":\"1004\"}", NULL, "no text: 1004", MARK_MESSAGE_BAD_KEY},
        {MARKS_DEBEZIUM, "{\"id\":\"{\\\"$oid\\\": \\\"596e275826f08b2730779e1f\\\"}\"}", NULL, "no text", MARK_MESSAGE_BAD_KEY},
        {MARKS_DEBEZIUM, "{\"id\":\"\\\"p1\"}", NULL, "no text", MARK_MESSAGE_BAD_KEY},
        {MARKS_DEBEZIUM, "{\"id\":\"\\\"\\\"\"}", NULL, "empty", MARK_MESSAGE_BAD_KEY},
        {MARKS_DEBEZIUM, "{\"id\":\"\\\"a\\\\u0000b\\\"\"}", NULL, "UTF-8", MARK_MESSAGE_BAD_KEY},
        {MARKS_DEBEZIUM, "{\"other\":{\"id\":\"\\\"p1\\\"\"}}", NULL, "no field id", MARK_MESSAGE_BAD_KEY},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct mark_message m;
        struct error error = {0};
        enum mark_message_state got = read_text(cases[i].format, cases[i].key, cases[i].value, &m, &error);
        if (got != cases[i].state)
            fail_msg("case %zu: %d, %s", i, (int)got, error.message);
        if (cases[i].says)
            assert_message(&error, cases[i].says);
        if (got == MARK_MESSAGE_BAD_VALUE) { /* the product is marked all the same */
            assert_int_equal(m.id_len, 2);
            assert_true(m.cluster_time == 0 && !m.force && !m.background);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_reads_back),
        cmocka_unit_test(test_the_text_is_as_documented),
        cmocka_unit_test(test_debezium),
        cmocka_unit_test(test_what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
