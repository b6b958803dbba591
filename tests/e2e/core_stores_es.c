#include "core/es.h"
#include "tests/e2e/core_stores.h"
#include <stdlib.h>

enum { BODY_MAX = 1 << 20 };

struct fixture {
    struct es_conf conf;
    char index[64];
    char path[160];
    struct buf body;
};

static struct es_conf conf_from_env(void) {
    struct es_conf conf = store_confs.es;
    env_or_skip("READSIDE_ELASTICSEARCH_URL");
    conf.timeout_usec = 30 * USEC_PER_SEC;
    return conf;
}

static const char *path_of(struct fixture *f, const char *rest) {
    snprintf(f->path, sizeof(f->path), "/%s%s", f->index, rest);
    return f->path;
}

static int setup(void **state) {
    struct error e = {0};
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    *state = f;
    f->conf = conf_from_env();
    f->body = BUF_INIT(BODY_MAX);
    unique_name("es", f->index);
    assert_ok(es_wait(&f->conf, NULL, NULL, &e), e);
    assert_ok(es_call(&f->conf, "PUT", path_of(f, ""),
                      SLICE("{\"settings\":{\"number_of_replicas\":0},\"mappings\":{\"dynamic\":\"strict\",\"properties\":"
                            "{\"n\":{\"type\":\"long\"}}}}"),
                      0, NULL, &f->body, &e),
              e);
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    es_call(&f->conf, "DELETE", path_of(f, ""), SLICE(""), 0, NULL, &f->body, NULL);
    buf_done(&f->body);
    free(f);
    return 0;
}

static void answers_are_mapped(void **state) {
    struct fixture *f = *state;
    struct error e = {0};
    int status = 0;
    assert_ok(es_call(&f->conf, "PUT", path_of(f, "/_doc/1?version=5&version_type=external_gte"), SLICE("{\"n\":1}"), 0, &status,
                      &f->body, &e),
              e);
    assert_int_equal(status, 201);
    assert_error(es_call(&f->conf, "PUT", path_of(f, "/_doc/1?version=4&version_type=external_gte"), SLICE("{\"n\":2}"), 0, NULL,
                         &f->body, &e),
                 e, ERROR_CONFLICT);
    assert_error(es_call(&f->conf, "PUT", path_of(f, "/_doc/2"), SLICE("{\"n\":\"x\"}"), 0, NULL, &f->body, &e), e, ERROR_INVALID);
    assert_non_null(strstr(e.message, "For input string"));
    assert_error(es_call(&f->conf, "PUT", path_of(f, "/_doc/2"), SLICE("{\"m\":1}"), 0, NULL, &f->body, &e), e, ERROR_INVALID);
    assert_non_null(strstr(e.message, "strict"));
    assert_error(es_call(&f->conf, "PUT", path_of(f, ""), SLICE("{}"), 0, NULL, &f->body, &e), e, ERROR_CONFLICT);
    assert_error(es_call(&f->conf, "GET", path_of(f, "-none/_search"), SLICE(""), 0, NULL, &f->body, &e), e, ERROR_NOT_FOUND);
    assert_non_null(strstr(e.message, "index_not_found_exception"));
    assert_error(es_call(&f->conf, "GET", path_of(f, "/_doc/3"), SLICE(""), 0, NULL, &f->body, &e), e, ERROR_NOT_FOUND);
    assert_ok(es_call(&f->conf, "GET", path_of(f, "/_doc/3"), SLICE(""), 0, &status, &f->body, &e), e);
    assert_int_equal(status, 404);
    assert_error(es_call(&f->conf, "POST", path_of(f, "/_search"), SLICE("{"), 0, NULL, &f->body, &e), e, ERROR_INVALID);
}

static bool stop_at_once(void *ctx, const struct error *why, usec_t retry_in) {
    (void)retry_in;
    *(enum error_code *)ctx = why->code;
    return false;
}

static void nobody_there_is_unavailable(void **state) {
    (void)state;
    struct error e = {0};
    enum error_code seen = ERROR_NONE;
    struct es_conf conf = conf_from_env();
    conf.url = (char *)(uintptr_t)"http://127.0.0.1:1";
    assert_error(es_wait(&conf, stop_at_once, &seen, &e), e, ERROR_UNAVAILABLE);
    assert_int_equal(seen, ERROR_UNAVAILABLE);
}

/* ---- on a loop ------------------------------------------------------------------------------------------- */

struct answers {
    struct loop *loop;
    struct loop_timer deadline;
    unsigned good, bad, wanted;
};

static void on_answer(void *ctx, struct http_response *response) {
    struct answers *a = ctx;
    if (response->status == 200)
        a->good++;
    else
        a->bad++;
    if (a->good + a->bad == a->wanted)
        loop_stop(a->loop);
}

static void on_deadline(struct loop_timer *self) {
    struct answers *a = CONTAINER_OF(self, struct answers, deadline);
    loop_stop(a->loop);
}

static void start_and_run(struct answers *a, struct es *es, unsigned calls) {
    struct error e = {0};
    a->good = a->bad = 0;
    a->wanted = calls;
    for (unsigned i = 0; i < calls; i++)
        assert_ok(es_start(es, "GET", "/", NULL, SLICE(""), NULL, 0, on_answer, a, &e), e);
    a->deadline.cb = on_deadline;
    loop_timer_set(a->loop, &a->deadline, clock_now_usec() + 20 * USEC_PER_SEC);
    while (a->good + a->bad < a->wanted)
        assert_true(loop_run_once(a->loop, USEC_NEVER) || a->good + a->bad == a->wanted);
    loop_timer_cancel(a->loop, &a->deadline);
}

static void a_dead_node_is_passed_over_after_its_first_failure(void **state) {
    (void)state;
    struct error e = {0};
    struct es_conf conf = conf_from_env();
    char urls[300];
    snprintf(urls, sizeof(urls), " http://127.0.0.1:1/ , %s/", conf.url);
    conf.url = urls;
    /* A loop that was stopped stays so: one for each round. */
    struct answers a = {.loop = loop_new("es", &e)};
    assert_ok(a.loop, e);
    struct es *es = es_new(a.loop, &conf, 4, &e);
    assert_ok(es, e);
    start_and_run(&a, es, 2);
    assert_int_equal(a.bad, 1);
    assert_int_equal(a.good, 1);
    es_free(es);
    loop_free(a.loop);
}

static void a_cancelled_call_is_never_heard_of(void **state) {
    (void)state;
    struct error e = {0};
    struct es_conf conf = conf_from_env();
    struct answers a = {.loop = loop_new("es", &e)};
    struct es *es = es_new(a.loop, &conf, 4, &e);
    assert_ok(es, e);
    struct answers never = {.loop = a.loop, .wanted = 1};
    struct http_call *call = es_start(es, "GET", "/", NULL, SLICE(""), NULL, 0, on_answer, &never, &e);
    assert_ok(call, e);
    es_cancel(es, call);
    start_and_run(&a, es, 3);
    assert_int_equal(a.good, 3);
    assert_int_equal(never.good + never.bad, 0);
    /* Freed with a call under way: no callback, no leak. */
    assert_ok(es_start(es, "GET", "/", NULL, SLICE(""), NULL, 0, on_answer, &never, &e), e);
    es_free(es);
    assert_int_equal(never.good + never.bad, 0);
    loop_free(a.loop);
}

int run_es_tests(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_are_mapped, setup, teardown),
        cmocka_unit_test(nobody_there_is_unavailable),
        cmocka_unit_test(a_dead_node_is_passed_over_after_its_first_failure),
        cmocka_unit_test(a_cancelled_call_is_never_heard_of),
    };
    return cmocka_run_group_tests_name("elasticsearch", tests, NULL, NULL);
}
