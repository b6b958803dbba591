/* Requests inside a request: a batch over real sockets. */
#include "tests/unit/http_fixture.h"

static struct fixture server;
static atomic_int released;

struct batch {
    struct http_request *request;
    struct buf text[4];
    int status[4];
    unsigned waiting;
};

struct part {
    struct batch *batch;
    unsigned number;
};

static void on_part(void *data, int status, struct buf *body) {
    struct part *part = data;
    struct batch *batch = part->batch;
    batch->status[part->number] = status;
    batch->text[part->number] = *body;
    *body = BUF_INIT(body->max);
    if (--batch->waiting)
        return;
    struct buf out = BUF_INIT(4096);
    for (unsigned i = 0; i < 4; i++) {
        buf_printf(&out, "%d %.*s|", batch->status[i], (int)batch->text[i].len,
                   batch->text[i].data ? batch->text[i].data : "");
        buf_done(&batch->text[i]);
    }
    http_reply(batch->request, 200, "text/plain", &out);
}

struct later {
    struct loop_timer timer;
    struct http_request *request;
};

static void on_later(struct loop_timer *timer) {
    struct later *later = CONTAINER_OF(timer, struct later, timer);
    struct buf out = BUF_INIT(100);
    buf_printf(&out, "%s", http_request_id(later->request));
    http_reply(later->request, 200, NULL, &out);
    http_reply_empty(later->request, 500); /* the first reply counts */
    http_request_unref(later->request);
    free(later);
}

static void release(void *data) {
    (void)data;
    atomic_fetch_add(&released, 1);
}

static void answer_later(struct http_request *request, usec_t msec) {
    struct later *later = calloc(1, sizeof(*later));
    assert_non_null(later);
    later->request = http_request_ref(request);
    later->timer.cb = on_later;
    loop_timer_set(http_request_loop(request), &later->timer, clock_now_usec() + msec * USEC_PER_MSEC);
}

/* Four inner requests: answered later, with a problem, with static bytes, and with nothing. */
static void batch_route(struct http_request *request, void *ctx) {
    (void)ctx;
    struct arena *arena = http_request_arena(request);
    struct batch *batch = arena_zalloc(arena, sizeof(*batch));
    struct part *parts = arena_zalloc(arena, 4 * sizeof(*parts));
    struct error error = {0};
    assert_true(batch && parts);
    batch->request = request;
    batch->waiting = 4;
    error_set(&error, ERROR_OVERLOADED, "full");
    usec_t msec = strtoul(http_request_query(request).data, NULL, 10);
    for (unsigned i = 0; i < 4; i++) {
        parts[i] = (struct part){batch, i};
        struct http_request *inner = http_request_inner(request, i, on_part, &parts[i]);
        assert_non_null(inner);
        assert_int_equal(http_request_deadline(inner), http_request_deadline(request));
        assert_null(http_request_header(inner, "Host").data);
        http_request_set_data(inner, inner, release);
        if (i == 0)
            answer_later(inner, msec);
        else if (i == 1)
            http_reply_error(inner, &error);
        else if (i == 2)
            http_reply_static(inner, 201, NULL, "static", 6);
        else
            http_reply_empty(inner, 304);
        http_request_unref(inner);
    }
}

static const struct http_route routes[] = {
    {.method = "GET", .path = "/batch", .handler = batch_route},
    {.method = "GET", .path = "/late", .handler = batch_route, .deadline_usec = 300 * USEC_PER_MSEC},
    {0},
};

static int setup(void **state) {
    (void)state;
    struct http_server_options options = {.name = "test", .routes = routes};
    released = 0;
    fixture_start(&server, &options);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    fixture_stop(&server);
    return 0;
}

static void ask_batch(const char *path, int msec, struct answer *ret) {
    char text[128];
    snprintf(text, sizeof(text), "GET %s?%d HTTP/1.1\r\nHost: x\r\nX-Request-Id: outer\r\n\r\n", path, msec);
    ask(&server, text, ret);
}

static void test_batch(void **state) {
    (void)state;
    struct answer a;
    ask_batch("/batch", 5, &a);
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.body, "200 outer-0|503 {"));
    assert_non_null(strstr(a.body, "\"detail\":\"full\""));
    assert_non_null(strstr(a.body, "|201 static|304 |"));
    await(released, 4);
}

/* The outer request's deadline answers; what comes later is nobody's. */
static void test_late(void **state) {
    (void)state;
    struct answer a;
    ask_batch("/late", 600, &a);
    assert_int_equal(a.status, 503);
    await(released, 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_late, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
