/* The server over real sockets: what well-behaved clients see. test_http_abuse.c has the others. */
#include "tests/unit/http_fixture.h"
#include "core/http_client.h"

#define HOST "Host: x\r\n"
#define END "\r\n\r\n"

static struct fixture server;

/* -- handlers -- */

static void echo_route(struct http_request *request, void *ctx) {
    struct slice id = http_request_param(request, "id"), query = http_request_query(request),
                 body = http_request_body(request);
    struct buf out = BUF_INIT(1 << 20);
    assert_string_equal(ctx, "ctx");
    buf_printf(&out, "%s %s|%.*s|%.*s|%.*s", http_request_method(request), http_request_route(request)->path,
               (int)id.len, id.data ? id.data : "", (int)query.len, query.data ? query.data : "", (int)body.len,
               body.data ? body.data : "");
    http_reply(request, 200, "text/plain", &out);
}

struct later {
    struct loop_timer timer;
    struct http_request *request;
    int words; /* as many must have been given */
};

static atomic_int late_requests, late_replies, aborted_seen, words_given;

static void on_later(struct loop_timer *timer) {
    struct later *later = CONTAINER_OF(timer, struct later, timer);
    if (atomic_load(&words_given) < later->words) {
        loop_timer_set(http_request_loop(later->request), timer, clock_now_usec() + USEC_PER_MSEC);
        return;
    }
    if (http_request_aborted(later->request))
        atomic_fetch_add(&aborted_seen, 1);
    struct buf out = BUF_INIT(100);
    buf_append_str(&out, "later");
    http_reply(later->request, 200, "text/plain", &out);
    assert_null(out.data);
    http_reply_empty(later->request, 500); /* the first reply counts */
    http_request_unref(later->request);
    free(later);
    atomic_fetch_add(&late_replies, 1);
}

/* Answers after as many milliseconds as the query says, or (query "w1", "w2"...) when the test has given so many words. */
static void answer_later(struct http_request *request, void *ctx) {
    (void)ctx;
    atomic_fetch_add(&late_requests, 1);
    const char *query = http_request_query(request).data;
    struct later *later = calloc(1, sizeof(*later));
    assert_non_null(later);
    later->request = http_request_ref(request);
    later->timer.cb = on_later;
    later->words = *query == 'w' ? (int)strtol(query + 1, NULL, 10) : 0;
    usec_t msec = *query == 'w' ? 0 : strtoul(query, NULL, 10);
    loop_timer_set(http_request_loop(request), &later->timer, clock_now_usec() + msec * USEC_PER_MSEC);
}

static void answer_headers(struct http_request *request, void *ctx) {
    (void)ctx;
    struct slice agent = http_request_header(request, "user-AGENT");
    struct buf out = BUF_INIT(1000);
    buf_printf(&out, "%.*s", agent.data ? (int)agent.len : 4, agent.data ? agent.data : "none");
    http_reply_header(request, "X-Good", "yes");
    http_reply_header(request, "X-Bad", "a\r\nX-Injected: 1");
    http_reply(request, 201, NULL, &out);
    assert_null(http_request_header(request, "absent").data);
}

static void answer_static(struct http_request *request, void *ctx) {
    (void)ctx;
    http_reply_static(request, 200, "text/html", "<p>", 3);
}

static void answer_empty(struct http_request *request, void *ctx) {
    (void)ctx;
    http_reply_empty(request, 204);
}

static void answer_file(struct http_request *request, void *ctx) {
    (void)ctx;
    char path[] = "/tmp/readside-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(write(fd, "in a file", 9), 9);
    http_reply_file(request, 200, "text/plain", fd, 9);
}

static void answer_problem(struct http_request *request, void *ctx) {
    (void)ctx;
    const struct field_error errors[] = {{"price", "must not be negative"}, {"name \xff", "\"quoted\""}};
    http_reply_problem(request, 400, "the product is not valid", errors, 2);
}

static void answer_error(struct http_request *request, void *ctx) {
    (void)ctx;
    struct error error = {0};
    error_set(&error, ERROR_OVERLOADED, "queue of %d is full", 3);
    http_reply_error(request, &error);
}

static atomic_int released;
static void release(void *data) {
    atomic_fetch_add(&released, *(int *)data);
}

static void answer_with_data(struct http_request *request, void *ctx) {
    (void)ctx;
    static int amount = 7;
    http_request_set_data(request, &amount, release);
    assert_ptr_equal(http_request_data(request), &amount);
    assert_true(http_request_deadline(request) > clock_now_usec());
    http_reply_empty(request, 200);
}

static char context[] = "ctx";
static const struct http_route routes[] = {
    {.method = "GET", .path = "/", .handler = answer_static},
    {.method = "GET", .path = "/v1/products", .handler = echo_route},
    {.method = "POST", .path = "/v1/products", .handler = echo_route},
    {.method = "POST", .path = "/v1/products:import", .handler = echo_route},
    {.method = "GET", .path = "/v1/products/{id}", .handler = echo_route},
    {.method = "PUT", .path = "/v1/products/{id}", .handler = echo_route},
    {.method = "PATCH", .path = "/v1/products/{id}", .handler = echo_route},
    {.method = "POST", .path = "/v1/categories/{id}", .handler = echo_route},
    {.method = "POST", .path = "/v1/categories/{id}:move", .handler = echo_route},
    {.method = "POST", .path = "/v1/categories/tree", .handler = echo_route},
    {.method = "GET", .path = "/v1/categories/{id}/products", .handler = echo_route},
    {.method = "POST", .path = "/small", .handler = echo_route, .body_max = 10},
    {.method = "GET", .path = "/later", .handler = answer_later},
    {.method = "POST", .path = "/later", .handler = answer_later},
    {.method = "GET", .path = "/soon", .handler = answer_later, .deadline_usec = 30 * USEC_PER_MSEC},
    {.method = "GET", .path = "/headers", .handler = answer_headers},
    {.method = "GET", .path = "/empty", .handler = answer_empty},
    {.method = "GET", .path = "/file", .handler = answer_file},
    {.method = "GET", .path = "/problem", .handler = answer_problem},
    {.method = "GET", .path = "/error", .handler = answer_error},
    {.method = "GET", .path = "/data", .handler = answer_with_data},
    {0},
};

static int setup(void **state) {
    (void)state;
    struct http_server_options options = {
        .name = "test", .routes = routes, .ctx = context, .body_max_bytes = 100000, .connections_max = 1100};
    late_requests = late_replies = aborted_seen = words_given = released = 0;
    fixture_start(&server, &options);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    fixture_stop(&server);
    return 0;
}

/* -- tests -- */

static void test_routes(void **state) {
    (void)state;
    static const struct {
        const char *line;
        int status;
        const char *body;
    } cases[] = {
        {"GET /", 200, "<p>"},
        {"GET http://a.example/v1/products?q=1", 200, "GET /v1/products||q=1|"},
        {"GET http://a.example", 200, "<p>"},
        {"GET /v1/products?a=%zz&&b#c", 200, "GET /v1/products||a=%zz&&b|"},
        {"GET /v1/products/4", 200, "GET /v1/products/{id}|4||"},
        {"GET /v1/products/a%2Fb%20c", 200, "GET /v1/products/{id}|a/b c||"},
        {"GET /v1/products/%EA%B0%80+1", 200, "GET /v1/products/{id}|\xEA\xB0\x80+1||"},
        {"GET /v1/products/a:b", 200, "GET /v1/products/{id}|a:b||"},
        {"PUT /v1/products/a:b", 200, "PUT /v1/products/{id}|a:b||"},
        {"GET /v1/%70roducts/1", 200, "GET /v1/products/{id}|1||"},
        {"GET /v1/products/", 404, NULL},
        {"GET /v1/products/1/", 404, NULL},
        {"GET //v1/products", 404, NULL},
        {"GET /V1/products", 404, NULL},
        {"POST /v1/products:import", 200, "POST /v1/products:import|||"},
        {"POST /v1/categories/4:move", 200, "POST /v1/categories/{id}:move|4||"},
        {"POST /v1/categories/a:b:move", 200, "POST /v1/categories/{id}:move|a:b||"},
        {"POST /v1/categories/a%3Amove", 200, "POST /v1/categories/{id}|a:move||"},
        {"POST /v1/categories/:move", 200, "POST /v1/categories/{id}|:move||"},
        {"POST /v1/categories/tree", 200, "POST /v1/categories/tree|||"},
        {"GET /v1/categories/1/products", 200, "GET /v1/categories/{id}/products|1||"},
        {"GET /v1/products/%00", 400, NULL},
        {"GET /v1/products/%zz", 400, NULL},
        {"GET /v1/products/%e", 400, NULL},
        {"GET /v1/products/%ff", 400, NULL},
        {"GET /v1/products/\xff", 400, NULL},
        {"GET /nowhere", 404, NULL},
        {"GET nowhere", 404, NULL},
        {"GET /1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18", 404, NULL},
        {"DELETE /v1/products/4", 405, NULL},
        {"BREW /v1/products/4", 405, NULL},
        {"OPTIONS /v1/products/4", 204, NULL},
        {"OPTIONS *", 204, NULL},
    };
    int fd = dial(&server); /* all on one connection: errors do not cost it */
    struct answer a;
    char text[512];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(text, sizeof(text), "%s HTTP/1.1\r\n" HOST "\r\n", cases[i].line);
        say(fd, text);
        if (hear(fd, &a, false) != cases[i].status)
            fail_msg("%s: %d %s", cases[i].line, a.status, a.body);
        if (cases[i].body)
            assert_string_equal(a.body, cases[i].body);
        if (cases[i].status >= 400)
            assert_string_equal(answer_header(&a, "Content-Type"), "application/problem+json");
    }
    close(fd);
}

static void test_methods(void **state) {
    (void)state;
    struct answer a;
    assert_int_equal(ask(&server, "DELETE /v1/products/1 HTTP/1.1\r\n" HOST "\r\n", &a), 405);
    assert_string_equal(answer_header(&a, "Allow"), "GET, HEAD, PUT, PATCH, OPTIONS");
    assert_int_equal(ask(&server, "OPTIONS /v1/products HTTP/1.1\r\n" HOST "\r\n", &a), 204);
    assert_string_equal(answer_header(&a, "Allow"), "GET, HEAD, POST, OPTIONS");
    int fd = dial(&server);
    say(fd, "HEAD /v1/products HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(hear(fd, &a, true), 200);
    assert_string_equal(answer_header(&a, "Content-Length"), "20");
    say(fd, "GET /v1/products HTTP/1.1\r\n" HOST "\r\n"); /* no stray body in between */
    assert_int_equal(hear(fd, &a, false), 200);
    close(fd);
}

static void test_headers(void **state) {
    (void)state;
    struct answer a;
    assert_int_equal(ask(&server,
                         "GET /headers HTTP/1.1\r\n" HOST "User-Agent: me\r\nX-Request-Id: abc-1\r\n"
                         "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n",
                         &a),
                     201);
    assert_string_equal(a.body, "me");
    assert_string_equal(answer_header(&a, "X-Good"), "yes");
    assert_null(answer_header(&a, "X-Bad"));
    assert_null(answer_header(&a, "X-Injected"));
    assert_null(answer_header(&a, "Server"));
    assert_non_null(answer_header(&a, "Date"));
    assert_string_equal(answer_header(&a, "X-Request-Id"), "abc-1");
    assert_string_equal(answer_header(&a, "Content-Type"), "application/json");
    const char *traceparent = answer_header(&a, "traceparent");
    assert_memory_equal(traceparent, "00-4bf92f3577b34da6a3ce929d0e0e4736-", 36);
    assert_memory_not_equal(traceparent + 36, "00f067aa0ba902b7", 16);
    /* Unusable ids are replaced, not echoed. */
    assert_int_equal(
        ask(&server, "GET /headers HTTP/1.1\r\n" HOST "X-Request-Id: <script>\r\ntraceparent: 00-0\r\n\r\n", &a), 201);
    assert_string_equal(a.body, "none");
    assert_int_equal(strlen(answer_header(&a, "X-Request-Id")), 32);
}

static void test_replies(void **state) {
    (void)state;
    struct answer a;
    assert_int_equal(ask(&server, "GET /empty HTTP/1.1\r\n" HOST "\r\n", &a), 204);
    assert_null(answer_header(&a, "Content-Length"));
    assert_int_equal(ask(&server, "GET /file HTTP/1.1\r\n" HOST "\r\n", &a), 200);
    assert_string_equal(a.body, "in a file");
    assert_int_equal(ask(&server, "GET /problem HTTP/1.1\r\n" HOST "X-Request-Id: r1\r\n\r\n", &a), 400);
    assert_string_equal(a.body, "{\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,"
                                "\"detail\":\"the product is not valid\",\"request_id\":\"r1\",\"errors\":["
                                "{\"field\":\"price\",\"message\":\"must not be negative\"},"
                                "{\"field\":\"(not UTF-8)\",\"message\":\"\\\"quoted\\\"\"}]}\n");
    assert_int_equal(ask(&server, "GET /error HTTP/1.1\r\n" HOST "\r\n", &a), 503);
    assert_non_null(strstr(a.body, "queue of 3 is full"));
    assert_string_equal(answer_header(&a, "Retry-After"), "1");
    assert_int_equal(ask(&server, "GET /data HTTP/1.1\r\n" HOST "\r\n", &a), 200);
    await(released, 7);
}

static void test_bodies(void **state) {
    (void)state;
    int fd = dial(&server);
    struct answer a;
    say(fd, "POST /v1/products HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello");
    assert_int_equal(hear(fd, &a, false), 200);
    assert_string_equal(a.body, "POST /v1/products|||hello");
    say(fd, "POST /v1/products HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    say(fd, "0000a;ext=1\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n");
    assert_int_equal(hear(fd, &a, false), 200);
    assert_string_equal(a.body, "POST /v1/products|||abc0123456789");
    say(fd, "GET /v1/products/1 HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhi"); /* a body where none is expected */
    assert_int_equal(hear(fd, &a, false), 200);
    assert_string_equal(a.body, "GET /v1/products/{id}|1||hi");
    say(fd, "POST /v1/products HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n");
    assert_int_equal(hear(fd, &a, false), 200);
    /* A small body that is refused does not cost the connection. */
    say(fd, "POST /nowhere HTTP/1.1\r\n" HOST "Content-Length: 11\r\n\r\n01234567890");
    assert_int_equal(hear(fd, &a, false), 404);
    say(fd, "POST /small HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\n0123456789");
    assert_int_equal(hear(fd, &a, false), 200);
    say(fd, "POST /small HTTP/1.1\r\n" HOST "Content-Length: 11\r\n\r\n01234567890");
    assert_int_equal(hear(fd, &a, false), 413);
    assert_true(hear_close(fd));
    close(fd);
}

static void test_a_coded_body_is_refused(void **state) {
    (void)state;
    int fd = dial(&server);
    struct answer a;
    say(fd, "POST /v1/products HTTP/1.1\r\n" HOST "content-encoding: gzip\r\nContent-Length: 2\r\n\r\n{}");
    assert_int_equal(hear(fd, &a, false), 415);
    assert_non_null(strstr(a.body, "\"field\":\"Content-Encoding\""));
    assert_string_equal(answer_header(&a, "Accept-Encoding"), "identity");
    say(fd, "POST /v1/products HTTP/1.1\r\n" HOST "Content-Encoding: Identity\r\nContent-Length: 2\r\n\r\n{}");
    assert_int_equal(hear(fd, &a, false), 200); /* the connection is the same */
    say(fd, "GET /v1/products HTTP/1.1\r\n" HOST "Content-Encoding: gzip\r\n\r\n");
    assert_int_equal(hear(fd, &a, false), 200);
    say(fd, "POST /v1/products HTTP/1.1\r\n" HOST "Content-Encoding: br\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n");
    assert_int_equal(hear(fd, &a, false), 415);
    static const struct {
        const char *value, *shown; /* shown: NULL: it passes, a charset is no coding */
    } cases[] = {
        {"utf-8", NULL}, {"UTF8", NULL}, {"", NULL}, {"br", "coding \\\"br\\\"\""}, {"utf-8, gzip", "\\\"utf-8, gzip\\\""},
        {"a\"b", "\\\"a\\\"b\\\""}, {"a\xff", "(not UTF-8)"},
        {"0123456789012345678901234567890123456789more", "\\\"0123456789012345678901234567890123456789\\\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[256];
        close(fd);
        fd = dial(&server);
        snprintf(text, sizeof(text), "POST /v1/products HTTP/1.1\r\n" HOST "Content-Encoding: %s\r\nContent-Length: 2\r\n\r\n{}",
                 cases[i].value);
        say(fd, text);
        assert_int_equal(hear(fd, &a, false), cases[i].shown ? 415 : 200);
        if (cases[i].shown)
            assert_non_null(strstr(a.body, cases[i].shown));
    }
    close(fd);
}

static void test_expect_continue(void **state) {
    (void)state;
    int fd = dial(&server);
    struct answer a;
    say(fd, "POST /v1/products HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_int_equal(hear(fd, &a, false), 100);
    say(fd, "hello");
    assert_int_equal(hear(fd, &a, false), 200);
    say(fd, "POST /small HTTP/1.1\r\n" HOST "Content-Length: 50\r\nExpect: 100-continue\r\n\r\n");
    assert_int_equal(hear(fd, &a, false), 413);
    assert_true(hear_close(fd));
    close(fd);
}

static void test_pipelining(void **state) {
    (void)state;
    int fd = dial(&server);
    struct answer a;
    say(fd, "GET /later?30 HTTP/1.1\r\n" HOST "\r\nPOST /v1/products HTTP/1.1\r\n" HOST
            "Content-Length: 2\r\n\r\nhiGET /later?0 HTTP/1.1\r\n" HOST "\r\nHEAD /v1/products HTTP/1.1\r\n" HOST
            "\r\nGET /nowhere HTTP/1.1\r\n" HOST "Connection: close" END);
    assert_int_equal(hear(fd, &a, false), 200);
    assert_string_equal(a.body, "later");
    assert_int_equal(hear(fd, &a, false), 200);
    assert_string_equal(a.body, "POST /v1/products|||hi");
    assert_int_equal(hear(fd, &a, false), 200);
    assert_string_equal(a.body, "later");
    assert_int_equal(hear(fd, &a, true), 200);
    assert_int_equal(hear(fd, &a, false), 404);
    assert_true(hear_close(fd));
    close(fd);
}

static void test_http_1_0(void **state) {
    (void)state;
    int fd = dial(&server);
    struct answer a;
    say(fd, "GET /later?1 HTTP/1.0\r\n\r\n");
    assert_int_equal(hear(fd, &a, false), 200);
    assert_true(hear_close(fd));
    close(fd);
}

/* shutdown(SHUT_WR) after the request: the client still waits for its answer. */
static void test_half_close(void **state) {
    (void)state;
    static const char *const requests[] = {
        "GET /v1/products HTTP/1.1\r\n" HOST "\r\n",
        "GET /later?0 HTTP/1.1\r\n" HOST "\r\n",
        "GET /later?50 HTTP/1.1\r\n" HOST "\r\n",
        "POST /later?50 HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc",
        "POST /later?50 HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    };
    struct answer a;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        int fd = dial(&server);
        say(fd, requests[i]);
        shutdown(fd, SHUT_WR);
        if (hear(fd, &a, false) != 200)
            fail_msg("%s: %d", requests[i], a.status);
        assert_true(hear_close(fd));
        close(fd);
    }
    assert_int_equal(atomic_load(&aborted_seen), 0);
}

static void test_deadline(void **state) {
    (void)state;
    int fd = dial(&server);
    struct answer a;
    say(fd, "GET /soon?150 HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(hear(fd, &a, false), 503);
    assert_string_equal(answer_header(&a, "Retry-After"), "1");
    say(fd, "GET /v1/products HTTP/1.1\r\n" HOST "\r\n"); /* the connection goes on, the late answer stays out of it */
    assert_int_equal(hear(fd, &a, false), 200);
    await(late_replies, 1);
    assert_int_equal(atomic_load(&aborted_seen), 1);
    say(fd, "GET /v1/products HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(hear(fd, &a, false), 200);
    assert_string_equal(a.body, "GET /v1/products|||");
    close(fd);
}

static void test_client_gone_while_suspended(void **state) {
    (void)state;
    for (int i = 0; i < 20; i++) {
        int fd = dial(&server);
        char text[64];
        snprintf(text, sizeof(text), "GET /later?w%d HTTP/1.1\r\n" HOST "\r\n", i + 1);
        say(fd, text);
        await(late_requests, i + 1);
        if (i % 2) { /* a reset instead of a FIN */
            struct linger hard = {.l_onoff = 1};
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        }
        close(fd);
        atomic_store(&words_given, i + 1);
    }
    await(late_replies, 20);
    struct answer a;
    assert_int_equal(ask(&server, "GET /v1/products HTTP/1.1\r\n" HOST "\r\n", &a), 200);
    assert_true(atomic_load(&aborted_seen) >= 10); /* at least the resets are seen */
}

static void test_thousand_connections(void **state) {
    (void)state;
    enum { MANY = 1000 };
    static int fds[MANY];
    struct answer a;
    for (int i = 0; i < MANY; i++)
        fds[i] = dial(&server);
    for (int i = 0; i < MANY; i++)
        say(fds[i], i % 2 ? "GET /later?20 HTTP/1.1\r\n" HOST "\r\n" : "GET /v1/products HTTP/1.1\r\n" HOST "\r\n");
    for (int i = 0; i < MANY; i++)
        assert_int_equal(hear(fds[i], &a, false), 200);
    for (int i = 0; i < MANY; i++)
        close(fds[i]);
}

/* What is under way when the program stops is answered, with Connection: close. */
static void test_drain(void **state) {
    (void)state;
    struct http_server_options options = {.name = "drain", .routes = routes, .ctx = context};
    late_requests = late_replies = words_given = 0;
    fixture_start(&server, &options);
    int idle = dial(&server), first = dial(&server), second = dial(&server);
    struct answer a;
    say(idle, "GET /v1/products HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(hear(idle, &a, false), 200);
    say(second, "GET /later?w1 HTTP/1.1\r\n" HOST "\r\n");
    say(first, "GET /later?50 HTTP/1.1\r\n" HOST "\r\n");
    await(late_requests, 2);
    await(late_replies, 1); /* of the first */
    fixture_halt(&server);
    atomic_store(&words_given, 1);
    fixture_free(&server);
    assert_int_equal(hear(first, &a, false), 200);
    assert_int_equal(hear(second, &a, false), 200);
    assert_string_equal(answer_header(&a, "Connection"), "close");
    assert_true(hear_close(second));
    assert_true(hear_close(idle));
    close(idle);
    close(first);
    close(second);
}

static struct http_request *held;
static atomic_int holding;

static void hold(struct http_request *request, void *ctx) {
    static int amount = 1;
    (void)ctx;
    http_request_set_data(request, &amount, release);
    held = http_request_ref(request);
    atomic_store(&holding, 1);
}

/* A job may come back after the server is gone. */
static void test_request_outlives_server(void **state) {
    (void)state;
    static const struct http_route holding_routes[] = {{.method = "GET", .path = "/", .handler = hold}, {0}};
    struct http_server_options options = {
        .name = "held", .routes = holding_routes, .deadline_usec = 50 * USEC_PER_MSEC};
    struct answer a;
    released = holding = 0;
    fixture_start(&server, &options);
    int fd = dial(&server);
    say(fd, "GET / HTTP/1.1\r\n" HOST "\r\n");
    await(holding, 1);
    fixture_stop(&server);
    assert_int_equal(hear(fd, &a, false), 503);
    close(fd);
    struct buf out = BUF_INIT(10);
    buf_append_str(&out, "late");
    assert_true(http_request_aborted(held));
    http_reply(held, 200, NULL, &out);
    assert_string_equal(http_request_method(held), "GET");
    assert_int_equal(atomic_load(&released), 0);
    http_request_unref(held);
    assert_int_equal(atomic_load(&released), 1);
}

static void test_bad_routes(void **state) {
    (void)state;
    static const struct http_route bad[][2] = {
        {{.method = "GET", .path = "no/slash"}, {0}}, {{.method = "BREW", .path = "/"}, {0}},
        {{.method = "GET", .path = "/{id"}, {0}},     {{.method = "GET", .path = "/{}"}, {0}},
        {{.method = "GET", .path = "/{id}x"}, {0}},   {{.method = "GET", .path = "/{a}/{b}/{c}/{d}/{e}"}, {0}},
    };
    struct loop *loop = loop_new("bad", NULL);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct error error = {0};
        struct http_server_options options = {.name = "bad", .routes = bad[i]};
        assert_null(http_server_new(loop, &options, &error));
        assert_int_equal(error.code, ERROR_INVALID);
        assert_message(&error, bad[i][0].path);
    }
    loop_free(loop);
}

static void test_listen_addresses(void **state) {
    (void)state;
    struct loop *loop = loop_new("listen", NULL);
    struct http_server_options options = {.name = "listen", .routes = routes, .ctx = context};
    struct http_server *s = http_server_new(loop, &options, NULL);
    static const char *const bad[] = {
        "",        "8080",    "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "localhost:1", "127.0.0.1:1x",
        "[::1:80", "::1:80x", "[]:80",     ":80",        "127.0.0.1:-1",    "[::g]:80"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct error error = {0};
        if (acceptor_new(loop, bad[i], &loop, &s, 1, &error))
            fail_msg("'%s' is taken", bad[i]);
        assert_int_equal(error.code, ERROR_INVALID);
    }
    struct error error = {0};
    char text[32];
    struct acceptor *a = acceptor_new(loop, "127.0.0.1:0", &loop, &s, 1, &error);
    assert_non_null(a);
    snprintf(text, sizeof(text), "127.0.0.1:%u", acceptor_port(a));
    assert_null(acceptor_new(loop, text, &loop, &s, 1, &error));
    assert_int_equal(error.code, ERROR_CONFLICT);
    assert_message(&error, text);
    acceptor_free(a);
    a = acceptor_new(loop, "[::1]:0", &loop, &s, 1, &error); /* where the machine has IPv6 */
    assert_true(a || error.code == ERROR_INTERNAL);
    acceptor_free(a);
    http_server_free(s);
    loop_free(loop);
}

int main(void) {
#define SERVER_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        SERVER_TEST(test_routes),
        SERVER_TEST(test_methods),
        SERVER_TEST(test_headers),
        SERVER_TEST(test_replies),
        SERVER_TEST(test_bodies),
        SERVER_TEST(test_a_coded_body_is_refused),
        SERVER_TEST(test_expect_continue),
        SERVER_TEST(test_pipelining),
        SERVER_TEST(test_http_1_0),
        SERVER_TEST(test_half_close),
        SERVER_TEST(test_deadline),
        SERVER_TEST(test_client_gone_while_suspended),
        SERVER_TEST(test_thousand_connections),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_request_outlives_server),
        cmocka_unit_test(test_bad_routes),
        cmocka_unit_test(test_listen_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
