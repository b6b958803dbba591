/* Memory runs out at every allocation of the core modules in turn. */
#include "tests/unit/test.h"
#include "tests/unit/oom.h"
#include "core/arena.h"
#include "core/conf.h"
#include "core/json_read.h"
#include "core/json_write.h"
#include "core/metrics.h"
#include "core/uri.h"
#include <stdio.h>

static bool use_buf(void *ctx, struct error *reterr) {
    (void)ctx;
    _cleanup_(buf_done) struct buf b = BUF_INIT(1 << 20);
    for (int i = 0; i < 500; i++)
        buf_printf(&b, "%d and a text, ", i);
    _cleanup_(freep) char *s = buf_steal(&b);
    return s ? strlen(s) > 5000 : error_nomem(reterr);
}

static bool use_arena(void *ctx, struct error *reterr) {
    (void)ctx;
    _cleanup_(arena_done) struct arena a;
    arena_init(&a, 1 << 24);
    for (int round = 0; round < 2; round++) {
        for (size_t size = 1; size < 100000; size += 997)
            if (!arena_zalloc(&a, size))
                return error_nomem(reterr);
        if (!arena_printf(&a, "%d", 1) || !arena_strdup(&a, "x"))
            return error_nomem(reterr);
        arena_reset(&a);
    }
    return true;
}

/* Deep, with a large object, with escapes: everything that makes yajl or the builder allocate. */
static void make_text(struct buf *b) {
    buf_append_str(b, "{\"deep\":[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]],\"long\":\"");
    for (int i = 0; i < 3000; i++)
        buf_append_str(b, "\\n\\u00e9");
    buf_append_str(b, "\",\"big\":{");
    for (int i = 0; i < 300; i++)
        buf_printf(b, "%s\"key%d\":[%d,\"text\",{\"a\":true}]", i ? "," : "", i, i);
    buf_append_str(b, "}}");
}

static bool use_json_parse(void *ctx, struct error *reterr) {
    const struct buf *text = ctx;
    _cleanup_(arena_done) struct arena a;
    arena_init(&a, 1 << 22);
    struct json *v = json_parse(&a, text->data, text->len, NULL, reterr);
    if (!v)
        assert_int_equal(reterr->code, ERROR_INTERNAL);
    return v != NULL;
}

/* A text that is wrong: the message may be poorer without memory, but there is one. */
static bool use_json_refused(void *ctx, struct error *reterr) {
    (void)ctx;
    _cleanup_(arena_done) struct arena a;
    arena_init(&a, 1 << 22);
    const char *text = "{\"a\":[1,2,\"\\n\"], nonsense}";
    struct error e = {0};
    if (json_parse(&a, text, strlen(text), NULL, &e))
        return error_set(reterr, ERROR_NONE, "accepted");
    if (e.code == ERROR_INVALID)
        return true;
    *reterr = e;
    return false;
}

static bool use_json_write(void *ctx, struct error *reterr) {
    (void)ctx;
    _cleanup_(buf_done) struct buf b = BUF_INIT(1 << 20);
    struct json_write w;
    if (!json_write_init(&w, &b))
        return error_nomem(reterr);
    json_write_array(&w);
    for (int i = 0; i < 300; i++) {
        json_write_object(&w);
        json_write_key(&w, "name");
        json_write_str(&w, "\"quoted\"\n and \xED\x95\x9C\xEA\xB8\x80");
        json_write_key(&w, "price");
        json_write_double(&w, i / 7.0);
        json_write_object_end(&w);
    }
    json_write_array_end(&w);
    return json_write_finish(&w) || error_nomem(reterr);
}

struct target {
    char *a, *b;
    usec_t wait;
};
static const struct option table[] = {
    {"core", "a", OPTION_STRING, "x", 0, 0, NULL, "A.", offsetof(struct target, a), false},
    {"core", "b", OPTION_SECRET, "", 0, 0, NULL, "B.", offsetof(struct target, b), false},
    {"core", "wait", OPTION_DURATION, "5s", 0, 0, NULL, "Wait.", offsetof(struct target, wait), false},
};

static bool use_conf(void *ctx, struct error *reterr) {
    const char *text = ctx;
    struct target t = {0};
    struct conf_group g = {table, ARRAY_LEN(table), &t};
    if (!conf_load_text(&g, 1, "test.ini", text, strlen(text), reterr)) {
        assert_null(t.a);
        return false;
    }
    conf_done(&g, 1);
    return true;
}

static bool use_conf_sources(void *ctx, struct error *reterr) {
    char *environment[] = {"READSIDE_CORE_A=env", ctx, NULL};
    const char *overrides[] = {"core.wait=7s", "core.a=z", NULL};
    struct conf_sources sources = {NULL, environment, overrides};
    struct target t = {0};
    struct conf_group g = {table, ARRAY_LEN(table), &t};
    if (!conf_load(&g, 1, &sources, reterr))
        return false;
    conf_done(&g, 1);
    return true;
}

static bool use_query(void *ctx, struct error *reterr) {
    (void)ctx;
    _cleanup_(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    _cleanup_(buf_done) struct buf query = BUF_INIT(1 << 16);
    for (int i = 0; i < 200; i++)
        buf_printf(&query, "key%d=%%EC%%82%%BC+%d&", i, i);
    if (!buf_ok(&query))
        return error_nomem(reterr);
    struct uri_pair *pairs;
    size_t count;
    if (!uri_parse_query(&a, query.data, query.len, 200, &pairs, &count, reterr)) {
        assert_int_equal(reterr->code, ERROR_INTERNAL);
        return false;
    }
    return count == 200;
}

static bool use_metrics(void *ctx, struct error *reterr) {
    (void)ctx;
    struct metric *c = metrics_counter("c_total", "C.", "a=\"b\"");
    struct metric *h = metrics_histogram("h_seconds", "H.", "");
    metric_inc(c);
    metric_observe(h, 5);
    _cleanup_(buf_done) struct buf b = BUF_INIT(1 << 20);
    metrics_write(&b);
    metrics_done();
    return (c && h && buf_ok(&b)) || error_nomem(reterr);
}

static void test_all(void **state) {
    (void)state;
    _cleanup_(buf_done) struct buf text = BUF_INIT(1 << 20);
    make_text(&text);
    assert_true(buf_ok(&text));
    oom_run("buf", use_buf, NULL);
    oom_run("arena", use_arena, NULL);
    oom_run("json_parse", use_json_parse, &text);
    oom_run("json_parse, refused", use_json_refused, NULL);
    oom_run("json_write", use_json_write, NULL);
    oom_run("conf_load_text", use_conf, "[core]\na = 1\nb = 2\nwait = 3s\n[mysql]\nhost = x\n");
    oom_run("conf_load", use_conf_sources, "READSIDE_CORE_B_FILE=/proc/sys/kernel/ostype");
    oom_run("uri_parse_query", use_query, NULL);
    oom_run("metrics", use_metrics, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
