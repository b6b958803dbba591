#include "tests/unit/test.h"
#include "projector/compose/bulk_result.h"

/* i: index action, d: delete */
static struct bulk bulk_of(const char *ops) {
    struct bulk b;
    assert_true(bulk_init(&b, "products-1", 1 << 20, 1 << 20, 1000));
    for (; *ops; ops++) {
        if (*ops == 'd') {
            assert_true(bulk_delete(&b, SLICE("x"), 1, NULL));
            continue;
        }
        assert_true(bulk_begin(&b, SLICE("x"), 1, NULL));
        buf_append_str(&b.body, "{\"id\":\"x\"");
        assert_true(bulk_commit(&b, 1));
    }
    return b;
}

static void assert_outcomes(const char *ops, int status, const char *answer, bool readable, const char *outcomes) {
    struct bulk b = bulk_of(ops);
    struct bulk_result r;
    struct error e = {0};
    struct buf got = BUF_INIT(1000);
    bulk_result_init(&r);
    bool ok = bulk_result_read(&r, &b, status, slice_str(answer), &e);
    size_t sum = 0;
    for (size_t i = 0; i < r.count; i++)
        buf_printf(&got, "%s%s", i ? " " : "", bulk_outcome_name(r.items[i].outcome));
    for (size_t i = 0; i < BULK_OUTCOMES; i++)
        sum += r.outcomes[i];
    if (ok != readable || strcmp(got.data ? got.data : "", outcomes) != 0)
        fail_msg("%s: %d, %s (%s)", answer, ok, got.data, e.message);
    assert_int_equal(sum, b.count);
    assert_int_equal(r.count, b.count);
    assert_int_equal(e.code, ok ? ERROR_NONE : ERROR_UNAVAILABLE);
    buf_done(&got);
    bulk_result_done(&r);
    bulk_done(&b);
}

#define OK "{\"index\":{\"status\":200}}"
#define ITEM(status, error) "{\"index\":{\"status\":" status ",\"error\":{" error "}}}"

static void test_each_item_has_its_own_outcome(void **state) {
    (void)state;
    assert_outcomes("ii", 200, "{\"took\":3,\"errors\":false,\"items\":[" OK ",{\"index\":{\"status\":201}}]}", true, "done done");
    assert_outcomes("iiiiiiii", 200,
                    "{\"took\":3,\"errors\":true,\"items\":[" OK ","
                    ITEM("409", "\"type\":\"version_conflict_engine_exception\",\"reason\":\"x\"") ","
                    ITEM("429", "\"type\":\"es_rejected_execution_exception\"") ","
                    ITEM("400", "\"type\":\"strict_dynamic_mapping_exception\"") ","
                    ITEM("503", "\"type\":\"unavailable_shards_exception\"") ","
                    ITEM("403", "\"type\":\"cluster_block_exception\"") ","
                    ITEM("404", "\"type\":\"index_not_found_exception\"") ","
                    ITEM("413", "\"type\":\"x\"") "]}",
                    true, "done conflict retry rejected retry denied no_index too_large");
    assert_outcomes("dddi", 200,
                    "{\"errors\":true,\"items\":[{\"delete\":{\"status\":404}},{\"delete\":{\"status\":200}},"
                    "{\"delete\":{\"status\":404,\"error\":{\"type\":\"index_not_found_exception\"}}}," OK "]}",
                    true, "gone done no_index done");
    assert_outcomes("", 200, "{\"errors\":false,\"items\":[]}", true, "");
    assert_outcomes("idi", 200, "{\"errors\":false,\"took\":3,\"items\":[" OK ",{\"delete\":{\"status\":200}}," OK "]}", true,
                    "done done done");
    assert_outcomes("ii", 200, "{\"items\":[" OK ", " OK "],\"took\":3}", true, "done done");
    assert_outcomes("ii", 200, "{\"items\":[" OK ",{\"index\":{\"status\":202}}],\"took\":3}", true, "done done");
    assert_outcomes("ii", 200, "{\"items\":[" OK "," OK "],\"x\":{\"items\":[" OK "]}}", true, "done done");
    /* Full answers, without filter_path, read the same. */
    assert_outcomes("i", 200,
                    "{\"took\":1,\"ingest_took\":0,\"errors\":false,\"items\":[{\"index\":{\"_index\":\"a\",\"_id\":\"b\","
                    "\"_version\":1,\"result\":\"created\",\"_shards\":{\"total\":1,\"status\":7},\"status\":201}}]}",
                    true, "done");
    assert_outcomes("i", 200,
                    "{\"items\":[{\"index\":{\"error\":{\"root_cause\":[{\"type\":\"a\"}],\"type\":\"mapper_parsing_exception\","
                    "\"reason\":\"r\",\"caused_by\":{\"type\":\"c\",\"reason\":\"d\"}},\"status\":400}}]}",
                    true, "rejected");
}

static void test_what_cannot_be_read_says_nothing(void **state) {
    (void)state;
    static const char *const answers[] = {
        "", "{", "[]", "null", "{}", "{\"items\":[]}", "{\"items\":[" OK, "{\"items\":[" OK "," OK, "{\"items\":[" OK "]}",
        "{\"items\":[" OK "," OK "," OK "]}",
        "{\"items\":[" OK ",{\"index\":{}}]}", "{\"items\":[" OK ",{}]}", "{\"items\":[" OK ",5]}", "{\"items\":[" OK ",\"x\"]}",
        "{\"items\":[" OK ",{\"delete\":{\"status\":200}}]}", "{\"items\":[" OK ",{\"update\":{\"status\":200}}]}",
        "{\"items\":[" OK ",{\"index\":{\"status\":\"200\"}}]}", "{\"items\":[" OK ",{\"index\":{\"status\":99}}]}",
        "{\"items\":[" OK ",{\"index\":{\"status\":1e9}}]}", "{\"items\":[" OK ",{\"index\":{\"status\":200},\"index\":{\"status\":200}}]}",
        "{\"items\":{\"index\":{\"status\":200}}}", "{\"items\":[" OK "," OK "],\"items\":[" OK "," OK "]}",
        "{\"errors\":false,\"took\":3}", "{\"items\":[" OK "," OK "]}x", "<html>200</html>", "{\"items\":[[" OK "," OK "]]}",
        "{\"x\":{\"items\":[" OK "," OK "]}}", "{\"x\":{\"items\":[" OK "," OK "]},\"items\":[]}",
        "{\"x\":[{\"items\":[" OK "," OK "]}]}", "{\"items\":[" OK "," OK "],\"items\":[]}", "{\"items\":[" OK "," OK "]",
        "{\"items\":[" OK OK "]}", "{\"items\":[" OK "," OK ",]}", "x\"items\":[" OK "," OK "]}", "{\"items\":[" OK "," OK "]}}",
        "{\"items\":[{\"index\":{\"status\":20:}}," OK "]}", "{\"items\":[{\"index\":{\"status\":20}}," OK "]}",
        "{\"items\":[" OK ",true," OK "]}", "{\"items\":[" OK ",null," OK "]}", "{\"items\":[" OK ",[]," OK "]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(answers); i++)
        assert_outcomes("ii", 200, answers[i], false, "retry retry");
    assert_outcomes("ii", 0, "", false, "retry retry");
}

static void test_refused_as_a_whole(void **state) {
    (void)state;
    static const struct {
        int status;
        const char *outcome;
    } cases[] = {{401, "denied"}, {403, "denied"}, {404, "no_index"}, {413, "too_large"},
                 {429, "retry"},     {500, "retry"},  {502, "retry"},  {503, "retry"},    {302, "retry"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_outcomes("i", cases[i].status, "<html>", true, cases[i].outcome);
        assert_outcomes("i", cases[i].status, "{\"error\":{\"type\":\"t\",\"reason\":\"r\"},\"status\":1}", true, cases[i].outcome);
    }
}

/* What the search engine cannot read gets smaller by halves until the culprit is alone. What a proxy refuses is no
 * product's fault. */
static void test_a_400_is_only_believed_of_the_search_engine(void **state) {
    (void)state;
    static const char *const own[] = {
        "{\"error\":{\"root_cause\":[{\"type\":\"a\",\"reason\":\"b\"}],\"type\":\"illegal_argument_exception\",\"reason\":\"r\"},"
        "\"status\":400}",
        "{\"error\":{\"type\":\"parse_exception\",\"reason\":\"r\"},\"status\":400}", /* filter_path */
        "{\"error\":{\"type\":\"t\"}}",
    };
    static const char *const others[] = {
        "", "Bad Request", "{}", "[]", "null", "\"error\"", "{\"error\":\"bad request\"}", "{\"error\":{\"code\":400}}",
        "{\"error\":{\"type\":\"\"}}", "{\"error\":{\"type\":5}}", "{\"error\":{\"root_cause\":[{\"type\":\"t\"}]}}",
        "{\"message\":\"no Route matched\"}", "{\"error\":{\"type\":\"t\"}", "{\"error\":{\"type\":\"t\"}} x",
        "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>",
    };
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        assert_outcomes("ii", 400, own[i], true, "too_large too_large");
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_outcomes("di", 400, others[i], true, "retry retry");
}

static void test_reasons_are_kept_and_cut(void **state) {
    (void)state;
    struct bulk b = bulk_of("ii");
    struct bulk_result r;
    struct error e = {0};
    struct buf answer = BUF_INIT(10000);
    bulk_result_init(&r);
    buf_append_str(&answer, "{\"took\":12,\"items\":[" OK ",{\"index\":{\"status\":400,\"error\":{\"type\":\"bad\",\"reason\":\"");
    for (int i = 0; i < 1000; i++)
        buf_append_str(&answer, "가");
    buf_append_str(&answer, "\"}}}]}");
    for (int round = 0; round < 3; round++) {
        assert_true(bulk_result_read(&r, &b, 200, (struct slice){answer.data, answer.len}, &e));
        assert_string_equal(r.items[0].type, "");
        assert_string_equal(r.items[1].type, "bad");
        assert_int_equal(strlen(r.items[1].reason), 498);
        assert_int_equal(r.took_ms, 12);
    }
    assert_true(bulk_result_read(&r, &b, 503, SLICE("{\"error\":{\"type\":\"t\",\"reason\":\"why\"}}"), &e));
    assert_string_equal(r.items[1].reason, "why");
    assert_int_equal(r.took_ms, -1);
    buf_done(&answer);
    bulk_result_done(&r);
    bulk_done(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_item_has_its_own_outcome),
        cmocka_unit_test(test_what_cannot_be_read_says_nothing),
        cmocka_unit_test(test_refused_as_a_whole),
        cmocka_unit_test(test_a_400_is_only_believed_of_the_search_engine),
        cmocka_unit_test(test_reasons_are_kept_and_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
