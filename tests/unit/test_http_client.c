/* The client against our own server, and against sockets that misbehave. */
#include "tests/unit/http_fixture.h"
#include "core/http_client.h"
#include "core/metrics.h"

static struct fixture server;
static struct loop *loop;
static struct http_client *client;
static atomic_int asked;

/* -- the server's side -- */

/* "METHOD query|content type|traceparent|x-test|authorization|length of body|sum of body" */
static void describe(struct http_request *request, void *ctx) {
    (void)ctx;
    static const char *const names[] = {"Content-Type", "traceparent", "X-Test", "Authorization", "Expect"};
    struct buf out = BUF_INIT(10000);
    struct slice query = http_request_query(request), body = http_request_body(request);
    unsigned long sum = 0;
    for (size_t i = 0; i < body.len; i++)
        sum += (unsigned char)body.data[i];
    atomic_fetch_add(&asked, 1);
    buf_printf(&out, "%s %.*s", http_request_method(request), (int)query.len, query.data ? query.data : "");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct slice value = http_request_header(request, names[i]);
        buf_printf(&out, "|%.*s", value.data ? (int)value.len : 1, value.data ? value.data : "-");
    }
    buf_printf(&out, "|%zu|%lu", body.len, sum);
    http_reply(request, 200, "text/plain", &out);
}

/* What is never answered while a test runs; its end does, so that the server need not wait for their deadlines. */
static struct http_request *held[16];
static size_t held_count;
static bool ending;

static void answer_never(struct http_request *request, void *ctx) {
    (void)ctx;
    atomic_fetch_add(&asked, 1);
    if (ending) { /* it was still on its way */
        http_reply_problem(request, 503, "stopping", NULL, 0);
        return;
    }
    assert_true(held_count < ARRAY_LEN(held));
    held[held_count++] = request;
}

static void answer_bytes(struct http_request *request, void *ctx) {
    (void)ctx;
    struct buf out = BUF_INIT((size_t)8 << 20);
    size_t len = strtoul(http_request_query(request).data, NULL, 10);
    for (size_t i = 0; i < len; i++)
        buf_append_char(&out, 'x');
    http_reply(request, 200, "text/plain", &out);
}

static void answer_503(struct http_request *request, void *ctx) {
    (void)ctx;
    http_reply_problem(request, 503, "busy", NULL, 0);
}

static const struct http_route routes[] = {
    {.method = "GET", .path = "/", .handler = describe},
    {.method = "POST", .path = "/", .handler = describe},
    {.method = "PUT", .path = "/", .handler = describe},
    {.method = "DELETE", .path = "/", .handler = describe},
    {.method = "GET", .path = "/never", .handler = answer_never},
    {.method = "GET", .path = "/bytes", .handler = answer_bytes},
    {.method = "GET", .path = "/503", .handler = answer_503},
    {0},
};

/* -- the client's side -- */

struct result {
    int called, status;
    bool sent;
    struct error error;
    char body[4096];
    size_t len;
    char type[64];
    struct http_call *cancel; /* to be cancelled by the callback */
};
static int finished;

static void on_response(void *ctx, struct http_response *response) {
    struct result *r = ctx;
    r->called++;
    r->status = response->status;
    r->sent = response->sent;
    r->error = response->error;
    r->len = response->body->len;
    if (response->body->data)
        memcpy(r->body, response->body->data, r->len < sizeof(r->body) - 1 ? r->len : sizeof(r->body) - 1);
    snprintf(r->type, sizeof(r->type), "%s", response->content_type ? response->content_type : "");
    if (r->cancel)
        http_client_cancel(client, r->cancel);
    finished++;
}

static void run_until(int count) {
    usec_t deadline = clock_now_usec() + WAIT_SEC * USEC_PER_SEC;
    while (finished < count) {
        assert_true(clock_now_usec() < deadline);
        loop_run_once(loop, deadline);
    }
}

static char *url(const char *path) {
    static char text[200];
    snprintf(text, sizeof(text), "http://127.0.0.1:%u%s", server.port, path);
    return text;
}

static struct http_call *start(struct http_client_request request, struct result *result) {
    struct error error = {0};
    memset(result, 0, sizeof(*result));
    if (!request.timeout_usec)
        request.timeout_usec = WAIT_SEC * USEC_PER_SEC;
    struct http_call *call = http_client_start(client, &request, on_response, result, &error);
    if (!call)
        fail_msg("%s", error.message);
    assert_int_equal(result->called, 0); /* never before the caller has the handle */
    return call;
}

static void call(struct http_client_request request, struct result *result) {
    finished = 0;
    start(request, result);
    run_until(1);
    assert_int_equal(result->called, 1);
}

static double connections(void) {
    return metric_value(metrics_counter("readside_http_connections_total", "Connections taken", "server=\"far\""));
}

static int setup_with(const struct http_client_options *options) {
    struct http_server_options server_options = {.name = "far", .routes = routes, .body_max_bytes = (size_t)64 << 20};
    struct error error = {0};
    asked = 0;
    finished = 0;
    ending = false;
    fixture_start(&server, &server_options);
    loop = loop_new("client", &error);
    client = http_client_new(loop, options, &error);
    return client ? 0 : -1;
}

static int setup(void **state) {
    (void)state;
    struct http_client_options options = {.connections_max = 3};
    return setup_with(&options);
}

static int teardown(void **state) {
    (void)state;
    http_client_free(client);
    loop_free(loop);
    fixture_halt(&server);
    ending = true;
    while (held_count)
        http_reply_problem(held[--held_count], 503, "stopping", NULL, 0);
    fixture_free(&server);
    return 0;
}

/* -- tests -- */

static void test_requests(void **state) {
    (void)state;
    static const char *const extra[] = {"X-Test: 1", NULL};
    static const char traceparent[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const struct {
        struct http_client_request request;
        const char *body;
    } cases[] = {
        {{.method = "GET"}, "GET |-|-|-|-|-|0|0"},
        {{.method = "POST", .body = SLICE("ab")}, "POST |application/json|-|-|-|-|2|195"},
        {{.method = "POST", .body = SLICE("ab"), .content_type = "application/x-ndjson"},
         "POST |application/x-ndjson|-|-|-|-|2|195"},
        {{.method = "POST"}, "POST |-|-|-|-|-|0|0"},
        {{.method = "PUT", .body = SLICE("a"), .traceparent = traceparent, .headers = extra},
         "PUT |application/json|00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01|1|-|-|1|97"},
        {{.method = "DELETE"}, "DELETE |-|-|-|-|-|0|0"},
        {{.method = "GET", .body = SLICE("{}")}, "GET |application/json|-|-|-|-|2|248"},
        {{.method = "HEAD"}, ""},
        {{.method = "GET", .headers = extra}, "GET |-|-|1|-|-|0|0"},
        {{0}, "GET |-|-|-|-|-|0|0"},
    };
    double before = connections();
    struct result r;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            struct http_client_request request = cases[i].request;
            request.url = url("/");
            call(request, &r);
            assert_int_equal(r.error.code, ERROR_NONE);
            assert_int_equal(r.status, 200);
            assert_true(r.sent);
            if (strcmp(r.body, cases[i].body) != 0)
                fail_msg("%s: %s", cases[i].body, r.body);
            assert_string_equal(r.type, "text/plain");
        }
    }
    assert_true(connections() - before == 1); /* one connection served them all */
}

static void test_large_bodies(void **state) {
    (void)state;
    size_t len = (size_t)20 << 20;
    char *body = malloc(len);
    assert_non_null(body);
    unsigned long sum = 0;
    for (size_t i = 0; i < len; i++) {
        body[i] = (char)(i % 253);
        sum += (unsigned char)body[i];
    }
    char expected[100];
    snprintf(expected, sizeof(expected), "POST |application/json|-|-|-|-|%zu|%lu", len, sum);
    struct result r;
    call((struct http_client_request){.method = "POST", .url = url("/"), .body = {body, len}}, &r);
    assert_string_equal(r.body, expected);
    free(body);
    call((struct http_client_request){.url = url("/bytes?3000000")}, &r);
    assert_int_equal(r.len, 3000000);
    call((struct http_client_request){.url = url("/bytes?1000"), .response_max_bytes = 1000}, &r);
    assert_int_equal(r.len, 1000);
    call((struct http_client_request){.url = url("/bytes?1001"), .response_max_bytes = 1000}, &r);
    assert_int_equal(r.error.code, ERROR_INVALID);
    assert_message(&r.error, "1000 bytes");
    assert_int_equal(r.status, 0);
    call((struct http_client_request){.url = url("/")}, &r);
    assert_int_equal(r.status, 200);
}

static void test_other_statuses_are_answers(void **state) {
    (void)state;
    struct result r;
    call((struct http_client_request){.url = url("/503")}, &r);
    assert_int_equal(r.error.code, ERROR_NONE);
    assert_int_equal(r.status, 503);
    assert_string_equal(r.type, "application/problem+json");
    call((struct http_client_request){.url = url("/nowhere")}, &r);
    assert_int_equal(r.status, 404);
}

static void test_timeout(void **state) {
    (void)state;
    struct result r;
    call((struct http_client_request){.url = url("/")}, &r); /* with its connection the next one is sent at once */
    usec_t before = clock_now_usec();
    call((struct http_client_request){.url = url("/never"), .timeout_usec = 50 * USEC_PER_MSEC}, &r);
    assert_int_equal(r.error.code, ERROR_TIMEOUT);
    assert_message(&r.error, "127.0.0.1:");
    assert_message(&r.error, "50 ms");
    assert_true(r.sent);
    assert_true(clock_now_usec() - before >= 50 * USEC_PER_MSEC);
    call((struct http_client_request){.url = url("/")}, &r);
    assert_int_equal(r.status, 200);
}

static void test_refused(void **state) {
    (void)state;
    struct result r;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0); /* bound, not listening: refuses */
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    char text[100], place[40];
    snprintf(place, sizeof(place), "127.0.0.1:%u", ntohs(a.sin_port));
    snprintf(text, sizeof(text), "http://user:secret@%s/x?y", place);
    call((struct http_client_request){.url = url("/")}, &r); /* a call that has sent, so that its handle is reused */
    for (int i = 0; i < 3; i++) {
        call((struct http_client_request){.url = text}, &r);
        assert_int_equal(r.error.code, ERROR_UNAVAILABLE);
        assert_message(&r.error, place);
        assert_null(strstr(r.error.message, "secret"));
        assert_false(r.sent);
        assert_int_equal(r.status, 0);
    }
    close(fd);
}

/* Calls beyond connections_max wait for a connection; one that waits too long was not sent. */
static void test_connection_limit(void **state) {
    (void)state;
    struct result r[6];
    finished = 0;
    double before = connections();
    struct http_call *stuck[3];
    for (int i = 0; i < 3; i++)
        stuck[i] = start((struct http_client_request){.url = url("/never")}, &r[i]);
    start((struct http_client_request){.url = url("/"), .timeout_usec = 60 * USEC_PER_MSEC}, &r[3]);
    run_until(1);
    assert_int_equal(r[3].error.code, ERROR_UNAVAILABLE);
    assert_false(r[3].sent);
    for (int i = 0; i < 3; i++)
        http_client_cancel(client, stuck[i]);
    start((struct http_client_request){.url = url("/")}, &r[4]);
    run_until(2);
    assert_int_equal(r[4].status, 200);
    assert_true(connections() - before <= 4);
    assert_int_equal(r[0].called + r[1].called + r[2].called, 0);
}

static void test_many_at_once(void **state) {
    (void)state;
    enum { MANY = 300 };
    static struct result r[MANY];
    double before = connections();
    finished = 0;
    for (int i = 0; i < MANY; i++)
        start((struct http_client_request){.method = "POST", .url = url("/"), .body = SLICE("ab")}, &r[i]);
    run_until(MANY);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(r[i].called, 1);
        assert_int_equal(r[i].status, 200);
    }
    assert_true(connections() - before <= 3);
    assert_int_equal(atomic_load(&asked), MANY);
}

static void test_cancel(void **state) {
    (void)state;
    struct result a, b, c;
    finished = 0;
    struct http_call *never = start((struct http_client_request){.url = url("/never")}, &a);
    usec_t deadline = clock_now_usec() + WAIT_SEC * USEC_PER_SEC;
    while (atomic_load(&asked) < 1) {
        assert_true(clock_now_usec() < deadline);
        loop_run_once(loop, clock_now_usec() + USEC_PER_MSEC);
    }
    http_client_cancel(client, never);
    http_client_cancel(client, start((struct http_client_request){.url = url("/")}, &b)); /* before it begins */
    /* One callback cancels another call. */
    never = start((struct http_client_request){.url = url("/never")}, &c);
    start((struct http_client_request){.url = url("/")}, &b);
    b.cancel = never;
    run_until(1);
    call((struct http_client_request){.url = url("/")}, &b);
    assert_int_equal(b.status, 200);
    assert_int_equal(a.called + c.called, 0);
}

static void test_free_with_calls_under_way(void **state) {
    (void)state;
    struct result r[5];
    for (int i = 0; i < 5; i++)
        start((struct http_client_request){.url = url(i % 2 ? "/" : "/never")}, &r[i]);
    loop_run_once(loop, clock_now_usec() + 10 * USEC_PER_MSEC);
    http_client_free(client);
    struct http_client_options none = {0};
    client = http_client_new(loop, &none, NULL);
    assert_non_null(client);
}

static void test_bad_requests(void **state) {
    (void)state;
    struct error error = {0};
    struct http_client_request request = {.url = url("/")};
    assert_null(http_client_start(client, &request, on_response, NULL, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    assert_message(&error, "timeout");
    struct result r;
    call((struct http_client_request){.url = "ftp://127.0.0.1/"}, &r);
    assert_int_equal(r.error.code, ERROR_INVALID);
    assert_false(r.sent);
    for (int i = 0; i < 2; i++) { /* a handle that is used again, for another URL and for the same one */
        call((struct http_client_request){.url = "http://"}, &r);
        assert_int_equal(r.error.code, ERROR_INVALID);
        for (int k = 0; k < 2; k++) {
            call((struct http_client_request){.url = url("/")}, &r);
            assert_int_equal(r.status, 200);
        }
        call((struct http_client_request){.url = url("/nowhere")}, &r);
        assert_int_equal(r.status, 404);
    }
}

/* -- a peer that misbehaves -- */

struct peer {
    int listener, port;
    pthread_t thread;
    const char *answer; /* after reading something; then it closes */
    int answers;
};

static void *peer_main(void *arg) {
    struct peer *p = arg;
    for (int i = 0; i < p->answers; i++) {
        int fd = accept(p->listener, NULL, NULL);
        char scrap[4096];
        ssize_t n = recv(fd, scrap, sizeof(scrap), 0);
        if (n > 0 && *p->answer)
            say_bytes(fd, p->answer, strlen(p->answer));
        close(fd);
    }
    return NULL;
}

static void peer_start(struct peer *p, const char *answer, int answers) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    p->listener = socket(AF_INET, SOCK_STREAM, 0);
    p->answer = answer;
    p->answers = answers;
    assert_int_equal(bind(p->listener, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(p->listener, 10), 0);
    assert_int_equal(getsockname(p->listener, (struct sockaddr *)&a, &len), 0);
    p->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&p->thread, NULL, peer_main, p), 0);
}

static void test_broken_answers(void **state) {
    (void)state;
    static const char *const answers[] = {
        "",                                                        /* closes without a word */
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",        /* closes early */
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz", /* no chunk */
        "garbage\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        struct peer peer;
        struct result r;
        char text[64];
        peer_start(&peer, answers[i], 1);
        snprintf(text, sizeof(text), "http://127.0.0.1:%d/", peer.port);
        call((struct http_client_request){.url = text}, &r);
        assert_int_equal(r.status, 0);
        if (r.error.code != ERROR_UNAVAILABLE)
            fail_msg("case %zu: %s %s", i, error_code_name(r.error.code), r.error.message);
        assert_true(r.sent);
        pthread_join(peer.thread, NULL);
        close(peer.listener);
    }
}

/* A kept connection that the server has closed meanwhile does not cost a call. */
static void test_closed_while_idle(void **state) {
    (void)state;
    struct peer peer;
    char text[64];
    peer_start(&peer, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 4);
    snprintf(text, sizeof(text), "http://127.0.0.1:%d/", peer.port);
    for (int i = 0; i < 4; i++) {
        struct result r;
        call((struct http_client_request){.method = "POST", .url = text, .body = SLICE("x")}, &r);
        assert_int_equal(r.status, 200);
        assert_string_equal(r.body, "ok");
    }
    pthread_join(peer.thread, NULL);
    close(peer.listener);
}

static void test_credentials(void **state) {
    teardown(state);
    struct http_client_options basic = {.user = "elastic", .password = "pa:ss"}, key = {.api_key = "abc=="};
    struct result r;
    setup_with(&basic);
    call((struct http_client_request){.url = url("/")}, &r);
    assert_string_equal(r.body, "GET |-|-|-|Basic ZWxhc3RpYzpwYTpzcw==|-|0|0");
    teardown(state);
    setup_with(&key);
    call((struct http_client_request){.method = "POST", .body = SLICE("a"), .url = url("/")}, &r);
    assert_string_equal(r.body, "POST |application/json|-|-|ApiKey abc==|-|1|97");
}

static void test_blocking(void **state) {
    (void)state;
    struct http_client_request request = {
        .method = "POST", .url = url("/"), .body = SLICE("ab"), .timeout_usec = WAIT_SEC * USEC_PER_SEC};
    struct buf body = BUF_INIT(100);
    struct error error = {0};
    int status = 0;
    assert_true(http_client_call_blocking(NULL, &request, &status, &body, &error));
    assert_int_equal(status, 200);
    assert_string_equal(body.data, "POST |application/json|-|-|-|-|2|195");
    buf_reset(&body);
    request = (struct http_client_request){.url = url("/bytes?200"), .timeout_usec = WAIT_SEC * USEC_PER_SEC};
    assert_false(http_client_call_blocking(NULL, &request, &status, &body, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    request = (struct http_client_request){.url = url("/never"), .timeout_usec = 20 * USEC_PER_MSEC};
    unsigned tries = 0;
    do { /* on a busy machine the time may be up before the connection is there */
        buf_reset(&body);
        assert_false(http_client_call_blocking(NULL, &request, &status, &body, &error));
    } while (error.code == ERROR_UNAVAILABLE && ++tries < 100);
    assert_int_equal(error.code, ERROR_TIMEOUT);
    buf_done(&body);
}

int main(void) {
#define CLIENT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CLIENT_TEST(test_requests),     CLIENT_TEST(test_large_bodies),   CLIENT_TEST(test_other_statuses_are_answers),
        CLIENT_TEST(test_timeout),      CLIENT_TEST(test_refused),        CLIENT_TEST(test_connection_limit),
        CLIENT_TEST(test_many_at_once), CLIENT_TEST(test_cancel),         CLIENT_TEST(test_free_with_calls_under_way),
        CLIENT_TEST(test_bad_requests), CLIENT_TEST(test_broken_answers), CLIENT_TEST(test_closed_while_idle),
        CLIENT_TEST(test_credentials),  CLIENT_TEST(test_blocking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
