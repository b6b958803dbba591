/* The server against clients that are slow, broken or hostile, and streaming uploads with back-pressure. */
#include "tests/unit/http_fixture.h"
#include "core/metrics.h"
#include <poll.h>
#include <sys/resource.h>

#define HOST "Host: x\r\n"
#define FIVE(x) x x x x x
#define GET "GET / HTTP/1.1\r\n" HOST "\r\n"
#define QUICK (60 * USEC_PER_MSEC) /* the read timeout of these tests */

static struct fixture server;
static atomic_int handled, begun, ended, broken, still_suspended;
static atomic_ulong streamed, sum;

static void answer(struct http_request *request, void *ctx) {
    (void)ctx;
    atomic_fetch_add(&handled, 1);
    http_reply_static(request, 200, "text/plain", "ok", 2);
}

/* Never answers by itself; the reference is dropped when the deadline has passed. */
static void answer_never(struct http_request *request, void *ctx) {
    (void)ctx;
    (void)request;
    atomic_fetch_add(&handled, 1);
}

struct upload {
    struct loop_timer timer;
    struct http_request *request;
    unsigned pauses;
};

static void on_resume(struct loop_timer *timer) {
    http_request_resume_body(CONTAINER_OF(timer, struct upload, timer)->request);
}

static void free_upload(void *data) {
    struct upload *u = data;
    loop_timer_cancel(http_request_loop(u->request), &u->timer);
    free(u);
}

static void begin_upload(struct http_request *request, void *ctx) {
    (void)ctx;
    struct upload *u = calloc(1, sizeof(*u));
    assert_non_null(u);
    atomic_fetch_add(&begun, 1);
    u->request = request;
    u->timer.cb = on_resume;
    http_request_set_data(request, u, free_upload);
    if (slice_eq(http_request_query(request), SLICE("refuse")))
        http_reply_problem(request, 403, "no", NULL, 0);
}

static void end_upload(struct http_request *request) {
    atomic_fetch_add(&ended, 1);
    if (http_request_aborted(request)) {
        atomic_fetch_add(&broken, 1);
        return;
    }
    struct buf out = BUF_INIT(100);
    buf_printf(&out, "%lu %lu", atomic_load(&streamed), atomic_load(&sum));
    http_reply(request, 200, "text/plain", &out);
}

/* Takes 1000 bytes at most at a time; pauses after each, until a timer or (query "now") at once. */
static size_t take_piece(struct http_request *request, const char *data, size_t len, void *ctx) {
    (void)ctx;
    struct upload *u = http_request_data(request);
    if (!data) {
        end_upload(request);
        return 0;
    }
    struct slice how = http_request_query(request);
    if (slice_eq(how, SLICE("early"))) {
        http_reply_static(request, 200, "text/plain", "early", 5);
        return len;
    }
    if (slice_eq(how, SLICE("stuck"))) {
        atomic_fetch_add(&still_suspended, 1);
        return 0;
    }
    size_t taken = len < 1000 ? len : 1000;
    for (size_t i = 0; i < taken; i++)
        atomic_fetch_add_explicit(&sum, (unsigned char)data[i], memory_order_relaxed);
    atomic_fetch_add(&streamed, taken);
    if (taken == len)
        return len;
    u->pauses++;
    if (u->pauses % 8 == 0 && !slice_eq(how, SLICE("now")))
        loop_timer_set(http_request_loop(request), &u->timer, clock_now_usec());
    else
        http_request_resume_body(request);
    return taken;
}

static const struct http_route routes[] = {
    {.method = "GET", .path = "/", .handler = answer},
    {.method = "POST", .path = "/", .handler = answer},
    {.method = "GET", .path = "/never", .handler = answer_never, .deadline_usec = 30 * USEC_PER_MSEC},
    {.method = "POST", .path = "/stream", .handler = begin_upload, .on_body = take_piece},
    {.method = "POST", .path = "/limited", .handler = begin_upload, .on_body = take_piece, .body_max = 5000},
    {0},
};

static int setup_with(usec_t read_timeout, usec_t idle_timeout, unsigned connections_max) {
    struct http_server_options options = {.name = "abuse",
                                          .routes = routes,
                                          .body_max_bytes = 100000,
                                          .read_timeout_usec = read_timeout,
                                          .idle_timeout_usec = idle_timeout,
                                          .connections_max = connections_max,
                                          .deadline_usec = 300 * USEC_PER_MSEC};
    handled = begun = ended = broken = still_suspended = 0;
    streamed = sum = 0;
    fixture_start(&server, &options);
    return 0;
}

static int setup(void **state) {
    (void)state;
    return setup_with(0, 0, 0);
}

static int setup_quick(void **state) {
    (void)state;
    return setup_with(QUICK, 3 * QUICK, 0);
}

static int teardown(void **state) {
    (void)state;
    fixture_stop(&server);
    return 0;
}

static void still_serves(void) {
    close(dial_and_ask(&server, GET));
}

/* -- malformed -- */

static void test_malformed(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t len; /* 0: strlen */
        int status; /* 0: closed without an answer will do, or any 4xx or 5xx */
    } cases[] = {
        {"\r\n\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n", 0, 200},
        {"GET / HTTP/1.1\n"
         "Host: x\n\n",
         0, 200},
        {"GET /\r\n\r\n", 0, 0},
        {"GET\r\n\r\n", 0, 0},
        {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 16, 0},
        {"GET / HTTP/1.1\r\n\r\n", 0, 400}, /* no Host */
        {"GET / HTTP/2.0\r\n" HOST "\r\n", 0, 505},
        {"GET / HTTP/0.9\r\n" HOST "\r\n", 0, 505},
        {"GET / HTPT/1.1\r\n" HOST "\r\n", 0, 400},
        {"GET /a b HTTP/1.1\r\n" HOST "\r\n", 0, 0},
        {"GET / HTTP/1.1\r\n" HOST "no colon\r\n\r\n", 0, 400},
        {"GET /\0x HTTP/1.1\r\n" HOST "\r\n", 29, 400},
        {"GET /?a=\0x HTTP/1.1\r\n" HOST "\r\n", 32, 400},
        {"GET / HTTP/1.1\r\n" HOST "X: a\0b\r\n\r\n", 35, 0},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n", 0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 1x\r\n\r\n", 0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999999\r\n\r\n", 0, 413},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551615\r\n\r\n", 0, 0},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 0, 501},
        {"POST /stream HTTP/1.1\r\n" HOST "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b", 0, 415},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n", 0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", 0, 413},
    };
    struct answer a;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int fd = dial(&server);
        say_bytes(fd, cases[i].text, cases[i].len ? cases[i].len : strlen(cases[i].text));
        int status = hear(fd, &a, false);
        if (cases[i].status ? status != cases[i].status : status != 0 && status != 200 && status < 400)
            fail_msg("case %zu: %d instead of %d", i, status, cases[i].status);
        close(fd);
    }
    still_serves();
}

static int ask_with_head(size_t path_len, size_t query_pairs, size_t header_len, const char *header, struct answer *a) {
    struct buf text = BUF_INIT(1 << 20);
    buf_append_str(&text, "GET /");
    for (size_t i = 0; i < path_len; i++)
        buf_append_char(&text, 'p');
    for (size_t i = 0; i < query_pairs; i++)
        buf_append_str(&text, i ? "&a" : "?a");
    buf_printf(&text, " HTTP/1.1\r\n" HOST "%s: ", header);
    for (size_t i = 0; i < header_len; i++)
        buf_append_str(&text, i % 2 ? "a" : ";");
    buf_append_str(&text, "\r\n\r\n");
    int fd = dial(&server);
    say_bytes(fd, text.data, text.len);
    int status = hear(fd, a, false);
    close(fd);
    buf_done(&text);
    return status;
}

static long cpu_msec(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

static void test_long_heads(void **state) {
    (void)state;
    struct answer a;
    assert_int_equal(ask_with_head(0, 0, 15000, "X", &a), 200);
    assert_int_equal(ask_with_head(0, 0, 17000, "X", &a), 431);
    assert_string_equal(answer_header(&a, "Content-Type"), "application/problem+json");
    assert_int_equal(ask_with_head(9000, 0, 1, "X", &a), 414);
    assert_int_equal(ask_with_head(0, 4000, 1, "X", &a), 200); /* MHD's own parser would choke on these */
    assert_int_equal(ask_with_head(0, 4100, 1, "X", &a), 414);
    int status = ask_with_head(0, 0, 200000, "X", &a);
    assert_true(status == 431 || status == 0);
    status = ask_with_head(200000, 0, 1, "X", &a);
    assert_true(status == 414 || status == 0);
    /* Thousands of cookies overflow MHD's table of them. */
    status = ask_with_head(0, 0, 14000, "Cookie", &a);
    assert_true(status == 0 || status == 200 || status >= 400);
    still_serves();
    long before = cpu_msec();
    usec_t until = clock_now_usec() + 200 * USEC_PER_MSEC;
    while (clock_now_usec() < until)
        poll(NULL, 0, 20); /* not waiting for anything: measuring that nothing happens */
    assert_true(cpu_msec() - before < 150);
}

/* -- too large -- */

static void test_too_large(void **state) {
    (void)state;
    struct answer a;
    int fd = dial(&server);
    say(fd, "POST / HTTP/1.1\r\n" HOST "Content-Length: 100001\r\n\r\n");
    assert_int_equal(hear(fd, &a, false), 413); /* at once, before any of the body */
    assert_non_null(strstr(a.body, "100000"));
    assert_true(hear_close(fd));
    close(fd);
    /* Chunked: as soon as it is too much, even in the middle of a chunk. */
    fd = dial(&server);
    say(fd, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n30000\r\n");
    static char block[100001];
    memset(block, 'x', sizeof(block));
    assert_true(say_bytes(fd, block, sizeof(block)));
    assert_int_equal(hear(fd, &a, false), 413);
    assert_string_equal(answer_header(&a, "Content-Type"), "application/problem+json");
    assert_true(hear_close(fd));
    close(fd);
    assert_int_equal(atomic_load(&handled), 0);
}

/* A client that sends all of a refused body before it reads still gets the answer: no reset destroys it. */
static void test_refusal_survives_a_stubborn_client(void **state) {
    (void)state;
    static char block[65536];
    memset(block, 'x', sizeof(block));
    for (int round = 0; round < 5; round++) {
        struct answer a;
        int fd = dial(&server);
        say(fd, "POST / HTTP/1.1\r\n" HOST "Content-Length: 20000000\r\n\r\n");
        for (int i = 0; i < 300 && say_bytes(fd, block, sizeof(block)); i++)
            ;
        assert_int_equal(hear(fd, &a, false), 413);
        close(fd);
    }
}

/* -- slow -- */

static void test_slow_head(void **state) {
    (void)state;
    static const char *const starts[] = {"", "G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\n" HOST "X-Slow: "};
    for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
        usec_t before = clock_now_usec();
        int fd = dial(&server);
        say(fd, starts[i]);
        hear_close(fd);
        assert_true(clock_now_usec() - before >= QUICK - 5 * USEC_PER_MSEC);
        close(fd);
    }
    /* One byte at a time does not buy more time. */
    int fd = dial(&server);
    usec_t before = clock_now_usec();
    while (say_bytes(fd, "G", 1) && recv(fd, (char[1]){0}, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN)
        assert_true(clock_now_usec() - before < WAIT_SEC * USEC_PER_SEC);
    close(fd);
    still_serves();
}

static void test_slow_body(void **state) {
    (void)state;
    static const char *const heads[] = {"POST / HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\n",
                                        "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n",
                                        "POST /stream HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\n"};
    struct answer a;
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        int fd = dial(&server);
        say(fd, heads[i]);
        assert_int_equal(hear(fd, &a, false), 408);
        hear_close(fd);
        close(fd);
        if (i == 2 && !atomic_load(&begun))
            i--; /* its head came too late: once more */
    }
    assert_int_equal(atomic_load(&handled), 0);
    await(ended, 1);
    assert_int_equal(atomic_load(&broken), 1);
    still_serves();
}

static void test_idle(void **state) {
    (void)state;
    usec_t before = clock_now_usec();
    int fd = dial_and_ask(&server, GET);
    assert_true(hear_close(fd));
    assert_true(clock_now_usec() - before >= 3 * QUICK - 5 * USEC_PER_MSEC);
    close(fd);
    /* A second request that never becomes whole. */
    fd = dial_and_ask(&server, GET);
    say(fd, "GET / HTTP/1.1\r\n");
    hear_close(fd);
    close(fd);
    still_serves();
}

static void answer_large(struct http_request *request, void *ctx) {
    (void)ctx;
    struct buf out = BUF_INIT((size_t)96 << 10);
    while (buf_append(&out, "0123456789abcdef", 16) && out.len < out.max)
        ;
    http_reply(request, 200, "text/plain", &out);
}

/* A client that asks and does not read. */
static void test_slow_reader(void **state) {
    (void)state;
    static const struct http_route large_routes[] = {{.method = "GET", .path = "/", .handler = answer_large}, {0}};
    struct http_server_options options = {.name = "large", .routes = large_routes, .idle_timeout_usec = QUICK};
    struct metric *closed =
        metrics_counter("readside_http_connections_closed_total", "Connections closed", "server=\"large\"");
    fixture_start(&server, &options);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int tiny = 1024;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &tiny, sizeof(tiny));
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)server.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    usec_t before = clock_now_usec(), until = before + WAIT_SEC * USEC_PER_SEC;
    /* More answers than the kernel buffers, and asked for at once: a pause of ours would be idleness. */
    say(fd, FIVE(FIVE(GET GET)));
    while (metric_value(closed) < 1) {
        assert_true(clock_now_usec() < until);
        poll(NULL, 0, 10);
    }
    assert_true(clock_now_usec() - before >= 3 * USEC_PER_SEC); /* 96 KiB at 32 KiB/s */
    close(fd);
    fixture_stop(&server);
}

/* -- streams -- */

static void send_stream(int fd, const char *query, size_t bytes, bool chunked, unsigned long *ret_sum) {
    char head[200];
    if (chunked)
        snprintf(head, sizeof(head), "POST /stream?%s HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", query);
    else
        snprintf(head, sizeof(head), "POST /stream?%s HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n", query, bytes);
    say(fd, head);
    *ret_sum = 0;
    for (size_t sent = 0; sent < bytes;) {
        char block[5003], size[20];
        size_t len = bytes - sent < sizeof(block) ? bytes - sent : sizeof(block);
        for (size_t i = 0; i < len; i++) {
            block[i] = (char)((sent + i) % 251);
            *ret_sum += (unsigned char)block[i];
        }
        snprintf(size, sizeof(size), "%zx\r\n", len);
        if (chunked)
            say(fd, size);
        assert_true(say_bytes(fd, block, len));
        if (chunked)
            say(fd, "\r\n");
        sent += len;
    }
    if (chunked)
        say(fd, "0\r\n\r\n");
}

static void test_stream_back_pressure(void **state) {
    (void)state;
    int fd = dial(&server);
    for (int chunked = 0; chunked < 2; chunked++) {
        static const char *const how[] = {"later", "now"};
        for (size_t i = 0; i < ARRAY_LEN(how); i++) {
            struct answer a;
            char expected[64];
            unsigned long expected_sum;
            streamed = sum = 0;
            send_stream(fd, how[i], 700000, chunked, &expected_sum);
            assert_int_equal(hear(fd, &a, false), 200);
            snprintf(expected, sizeof(expected), "700000 %lu", expected_sum);
            assert_string_equal(a.body, expected);
        }
    }
    struct answer a;
    streamed = sum = 0;
    say(fd, "POST /stream HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n");
    assert_int_equal(hear(fd, &a, false), 200);
    assert_string_equal(a.body, "0 0");
    close(fd);
    assert_int_equal(atomic_load(&ended), 5);
    assert_int_equal(atomic_load(&broken), 0);
}

static void test_stream_limits_and_refusals(void **state) {
    (void)state;
    struct answer a;
    int fd = dial(&server);
    say(fd, "POST /limited HTTP/1.1\r\n" HOST "Content-Length: 5001\r\n\r\n");
    assert_int_equal(hear(fd, &a, false), 413);
    close(fd);
    fd = dial(&server);
    say(fd, "POST /limited HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1389\r\n");
    static char block[5001];
    assert_true(say_bytes(fd, block, sizeof(block)));
    assert_int_equal(hear(fd, &a, false), 413);
    close(fd);
    await(ended, 1);
    assert_int_equal(atomic_load(&broken), 1);
    fd = dial(&server);
    say(fd, "POST /stream?refuse HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nabc");
    assert_int_equal(hear(fd, &a, false), 403);
    close(fd);
    assert_int_equal(atomic_load(&ended), 1); /* a refused upload has no end */
    /* An answer before the end waits for the rest of the body, which nobody takes any more. */
    fd = dial(&server);
    unsigned long unused;
    send_stream(fd, "early", 300000, true, &unused);
    assert_int_equal(hear(fd, &a, false), 200);
    assert_string_equal(a.body, "early");
    say(fd, GET);
    assert_int_equal(hear(fd, &a, false), 200);
    close(fd);
    await(ended, 2);
}

static void test_aborted_uploads(void **state) {
    (void)state;
    for (int i = 0; i < 10; i++) {
        int fd = dial(&server);
        say(fd, i % 2 ? "POST / HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\nabc"
                      : "POST /stream HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\nabc");
        close(fd);
    }
    await(broken, 5);
    assert_int_equal(atomic_load(&handled), 0);
    /* Gone while its upload is paused: seen when it is resumed, or at the latest at the end of the server. */
    int fd = dial(&server);
    say(fd, "POST /stream?stuck HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\nabc");
    await(still_suspended, 1);
    close(fd);
    still_serves();
}

/* -- others -- */

static void test_never_answered(void **state) {
    (void)state;
    struct answer a;
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask(&server, "GET /never HTTP/1.1\r\n" HOST "\r\n", &a), 503);
}

static void test_connection_limit(void **state) {
    (void)state;
    setup_with(0, 0, 20);
    int fds[25], refused = 0;
    struct answer a;
    for (int i = 0; i < 25; i++) {
        fds[i] = dial(&server);
        say_bytes(fds[i], GET, sizeof(GET) - 1);
        int status = hear(fds[i], &a, false);
        refused += status != 200;
        assert_true(status == 200 || status == 503 || status == 0);
    }
    assert_int_equal(refused, 5);
    for (int i = 0; i < 25; i++)
        close(fds[i]);
    usec_t until = clock_now_usec() + WAIT_SEC * USEC_PER_SEC;
    while (ask(&server, GET, &a) != 200)
        assert_true(clock_now_usec() < until);
    fixture_stop(&server);
}

static void *loop_main(void *arg) {
    loop_run(arg);
    return NULL;
}

/* Connections go in turn to several loops, each with its thread. */
static void test_dealing(void **state) {
    (void)state;
    enum { LOOPS = 3, CONNECTIONS = 30 };
    struct fixture f = {0};
    struct loop *loops[LOOPS];
    struct http_server *servers[LOOPS];
    pthread_t threads[LOOPS];
    struct http_server_options options = {.name = "dealt", .routes = routes, .connections_max = CONNECTIONS / LOOPS};
    for (int i = 0; i < LOOPS; i++) {
        assert_non_null(loops[i] = loop_new("dealt", NULL));
        assert_non_null(servers[i] = http_server_new(loops[i], &options, NULL));
        assert_int_equal(pthread_create(&threads[i], NULL, loop_main, loops[i]), 0);
    }
    f.loop = loop_new("acceptor", NULL);
    f.acceptor = acceptor_new(f.loop, "127.0.0.1:0", loops, servers, LOOPS, NULL);
    assert_non_null(f.acceptor);
    f.port = acceptor_port(f.acceptor);
    assert_int_equal(pthread_create(&f.thread, NULL, loop_main, f.loop), 0);
    int fds[CONNECTIONS];
    struct answer a;
    for (int i = 0; i < CONNECTIONS; i++) { /* fits only if they are dealt evenly */
        fds[i] = dial(&f);
        say(fds[i], GET);
        assert_int_equal(hear(fds[i], &a, false), 200);
    }
    for (int i = 0; i < CONNECTIONS; i++)
        close(fds[i]);
    loop_stop(f.loop);
    pthread_join(f.thread, NULL);
    acceptor_free(f.acceptor);
    for (int i = 0; i < LOOPS; i++) {
        loop_stop(loops[i]);
        pthread_join(threads[i], NULL);
        http_server_free(servers[i]);
        loop_free(loops[i]);
    }
    loop_free(f.loop);
}

/* With all descriptors in use the acceptor pauses, and goes on when there are some again. */
static void test_out_of_descriptors(void **state) {
    (void)state;
    int fd = dial_and_ask(&server, GET), held[4096], count = 0; /* the server has its end of this one */
    while (count < 4096 && (held[count] = dup(fd)) >= 0)
        count++;
    struct answer a;
    if (count == 4096 || errno != EMFILE) {
        print_message("not tried: the limit of descriptors is too high\n");
    } else {
        close(held[--count]); /* for our end; the server has none for its end */
        int late = dial(&server);
        say(late, GET);
        while (count)
            close(held[--count]);
        assert_int_equal(hear(late, &a, false), 200);
        close(late);
    }
    while (count)
        close(held[--count]);
    close(fd);
    still_serves();
}

int main(void) {
    struct rlimit limit = {.rlim_cur = 1024, .rlim_max = 4096};
    setrlimit(RLIMIT_NOFILE, &limit);
#define SERVER_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define QUICK_TEST(f) cmocka_unit_test_setup_teardown(f, setup_quick, teardown)
    const struct CMUnitTest tests[] = {
        SERVER_TEST(test_malformed),
        SERVER_TEST(test_long_heads),
        SERVER_TEST(test_too_large),
        SERVER_TEST(test_refusal_survives_a_stubborn_client),
        QUICK_TEST(test_slow_head),
        QUICK_TEST(test_slow_body),
        QUICK_TEST(test_idle),
        cmocka_unit_test(test_slow_reader),
        SERVER_TEST(test_stream_back_pressure),
        SERVER_TEST(test_stream_limits_and_refusals),
        SERVER_TEST(test_aborted_uploads),
        SERVER_TEST(test_never_answered),
        cmocka_unit_test(test_connection_limit),
        cmocka_unit_test(test_dealing),
        SERVER_TEST(test_out_of_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
