/* Which of several nodes is asked: our own server for a healthy one, and sockets that never answer. */
#include "tests/unit/http_fixture.h"
#include "core/es.h"

static void answer_ok(struct http_request *request, void *ctx) {
    (void)ctx;
    http_reply_static(request, 200, NULL, "{}", 2);
}

static const struct http_route routes[] = {{.method = "GET", .path = "/", .handler = answer_ok}, {0}};

struct outcome {
    bool called;
    int status;
    enum error_code code;
};

static void on_answer(void *ctx, struct http_response *response) {
    *(struct outcome *)ctx = (struct outcome){true, response->status, response->error.code};
}

/* A node that takes connections and never answers; one that hangs up closes them once it has read something. */
struct bad_node {
    int fd, connection;
    unsigned port;
    bool hangs_up;
};

static void bad_node_open(struct bad_node *node, bool hangs_up) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    *node = (struct bad_node){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), .connection = -1, .hangs_up = hangs_up};
    assert_true(node->fd >= 0 && bind(node->fd, (struct sockaddr *)&address, len) == 0 && listen(node->fd, 16) == 0);
    assert_int_equal(getsockname(node->fd, (struct sockaddr *)&address, &len), 0);
    node->port = ntohs(address.sin_port);
}

static void bad_node_look(struct bad_node *node) {
    char scrap[4096];
    if (!node->hangs_up)
        return;
    if (node->connection < 0)
        node->connection = accept4(node->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (node->connection >= 0 && recv(node->connection, scrap, sizeof(scrap), 0) > 0) {
        close(node->connection);
        node->connection = -1;
    }
}

/* A node that has failed is passed over for half a second or more. */
#define PASSED_OVER_USEC (500 * USEC_PER_MSEC)

static usec_t started_by, last_look; /* of the last question: asked by then; its answer came later than that */

static struct outcome ask_node(struct loop *loop, struct es *es, struct bad_node *bad, usec_t timeout) {
    struct outcome outcome = {0};
    struct error error = {0};
    if (!es_start(es, "GET", "/", NULL, SLICE(""), NULL, timeout, on_answer, &outcome, &error))
        fail_msg("%s", error.message);
    started_by = clock_now_usec();
    while (!outcome.called) {
        last_look = clock_now_usec();
        loop_run_once(loop, last_look + 5 * USEC_PER_MSEC);
        bad_node_look(bad);
    }
    return outcome;
}

/* False: the machine was too busy to ask again in time. */
static bool try_once(bool hangs_up, usec_t timeout, enum error_code expected) {
    struct fixture healthy;
    struct bad_node bad;
    struct error error = {0};
    char urls[100];
    bad_node_open(&bad, hangs_up);
    fixture_start(&healthy, &(struct http_server_options){.name = "healthy", .routes = routes});
    snprintf(urls, sizeof(urls), "http://127.0.0.1:%u,http://127.0.0.1:%u", bad.port, healthy.port);
    struct loop *loop = loop_new("client", &error);
    struct es *es = es_new(loop, &(struct es_conf){.url = urls, .timeout_usec = WAIT_SEC * USEC_PER_SEC}, 4, &error);
    assert_non_null(es);
    enum error_code code = ask_node(loop, es, &bad, timeout).code;
    usec_t failed_at = last_look;
    bool in_time = code == expected || code != ERROR_UNAVAILABLE; /* else its time was over before it was sent */
    if (in_time)
        assert_int_equal(code, expected);
    for (int i = 0; i < 2 && in_time; i++) { /* the second would be its turn */
        int status = ask_node(loop, es, &bad, 10 * USEC_PER_SEC).status;
        in_time = started_by < failed_at + PASSED_OVER_USEC;
        if (in_time)
            assert_int_equal(status, 200);
    }
    es_free(es);
    loop_free(loop);
    fixture_stop(&healthy);
    close(bad.fd);
    return in_time;
}

static void try_with(bool hangs_up, usec_t timeout, enum error_code expected) {
    for (int i = 0; !try_once(hangs_up, timeout, expected); i++)
        assert_true(i < 10);
}

static void test_a_node_that_hangs_is_passed_over(void **state) {
    (void)state;
    try_with(false, USEC_PER_SEC, ERROR_TIMEOUT);
}

static void test_a_node_that_hangs_up_is_passed_over(void **state) {
    (void)state;
    try_with(true, 10 * USEC_PER_SEC, ERROR_UNAVAILABLE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_node_that_hangs_is_passed_over),
        cmocka_unit_test(test_a_node_that_hangs_up_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
