#include "tests/unit/test.h"
#include "core/trace.h"

static void test_parse(void **state) {
    (void)state;
    static const struct {
        const char *s;
        bool ok;
    } cases[] = {
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", true},
        {"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true},
        {"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-brings", true},
        {"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.x", false},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", false},
        {"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false},
        {"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false},
        {"00-00000000000000000000000000000000-00f067aa0ba902b7-01", false},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false},
        {"00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01", false},
        {"00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0", false},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g", false},
        {"", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct trace t = {.flags = 77};
        bool ok = trace_parse(cases[i].s, strlen(cases[i].s), &t);
        if (ok != cases[i].ok)
            fail_msg("%s", cases[i].s);
        if (!ok)
            assert_int_equal(t.flags, 77);
    }
}

static void test_format(void **state) {
    (void)state;
    const char *s = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03";
    struct trace t;
    char text[TRACEPARENT_SIZE], id[TRACE_ID_HEX_SIZE];
    assert_true(trace_parse(s, strlen(s), &t));
    trace_format(&t, text);
    assert_string_equal(text, s);
    trace_id_hex(&t, id);
    assert_string_equal(id, "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_true(trace_parse("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03", 55, &t));
    assert_int_equal(t.flags, 1);
}

static void test_new_and_child(void **state) {
    (void)state;
    struct trace a, b, child;
    trace_new(&a);
    trace_new(&b);
    assert_memory_not_equal(a.trace_id, b.trace_id, 16);
    trace_child(&a, &child);
    assert_memory_equal(a.trace_id, child.trace_id, 16);
    assert_memory_not_equal(a.span_id, child.span_id, 8);
    assert_int_equal(a.flags, child.flags);
    char text[TRACEPARENT_SIZE];
    trace_format(&child, text);
    assert_true(trace_parse(text, strlen(text), &b));
    assert_memory_equal(&b, &child, sizeof(b));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_new_and_child),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
