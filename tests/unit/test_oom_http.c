/* Memory runs out at every allocation of server, acceptor, client, loop and pool in turn: each time the caller gets an
 * answer or an error, nothing leaks, and nothing hangs. Server and client share one loop and one thread. */
#include "tests/unit/test.h"
#include "tests/unit/oom.h"
#include "core/acceptor.h"
#include "core/daemon.h"
#include "core/http_client.h"
#include "core/metrics.h"
#include "core/workers.h"
#include <stdio.h>

static void echo(struct http_request *request, void *ctx) {
    (void)ctx;
    struct slice body = http_request_body(request), id = http_request_param(request, "id");
    struct buf out = BUF_INIT(1 << 20);
    buf_append(&out, id.data, id.len);
    buf_append(&out, body.data, body.len);
    http_reply_header(request, "X-Test", "1");
    http_reply(request, 200, NULL, &out);
}

static const struct http_route routes[] = {
    {.method = "POST", .path = "/things/{id}", .handler = echo},
    DAEMON_ROUTES,
    {0},
};

struct outcome {
    bool called;
    struct http_response response;
    char text[64];
};

static void on_response(void *ctx, struct http_response *response) {
    struct outcome *o = ctx;
    o->called = true;
    o->response = *response;
    if (response->body->data)
        snprintf(o->text, sizeof(o->text), "%s", response->body->data);
}

/* True if the request was answered with `status` and `text`. */
static bool call(struct loop *loop, struct http_client *client, struct http_client_request request, int status,
                 const char *text, struct error *reterr) {
    static const char *const headers[] = {"X-Extra: 1", "X-More: 2", NULL};
    struct outcome o = {0};
    request.timeout_usec = 20 * USEC_PER_SEC;
    request.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    request.headers = headers;
    if (!http_client_start(client, &request, on_response, &o, reterr))
        return false;
    usec_t begun = clock_now_usec();
    while (!o.called)
        loop_run_once(loop, begun + 30 * USEC_PER_SEC);
    assert_true(clock_now_usec() - begun < 19 * USEC_PER_SEC); /* given up by an error, not by a timeout */
    if (o.response.error.code != ERROR_NONE) {
        *reterr = o.response.error;
        return false;
    }
    if (o.response.status != status)
        return error_set(reterr, ERROR_INTERNAL, "status %d", o.response.status);
    return !text || strcmp(o.text, text) == 0 || error_set(reterr, ERROR_CORRUPT, "'%s'", o.text);
}

static bool converse(struct loop *loop, struct http_client *client, unsigned port, struct error *reterr) {
    char url[100];
    static char large[200000];
    memset(large, 'x', sizeof(large));
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/things/%%61b", port);
    if (!call(loop, client, (struct http_client_request){.method = "POST", .url = url, .body = SLICE("cd")}, 200,
              "abcd", reterr))
        return false;
    if (!call(loop, client, (struct http_client_request){.method = "POST", .url = url, .body = {large, sizeof(large)}},
              200, NULL, reterr))
        return false;
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/nowhere", port);
    if (!call(loop, client, (struct http_client_request){.url = url}, 404, NULL, reterr))
        return false;
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/readyz", port);
    return call(loop, client, (struct http_client_request){.url = url}, 200, NULL, reterr);
}

static bool serve_and_ask(void *ctx, struct error *reterr) {
    (void)ctx;
    struct http_server_options options = {.name = "oom", .routes = routes};
    struct http_client_options client_options = {.api_key = "key", .user = "u", .password = "p"};
    struct loop *loop = loop_new("oom", reterr);
    struct http_server *server = loop ? http_server_new(loop, &options, reterr) : NULL;
    struct acceptor *acceptor = server ? acceptor_new(loop, "127.0.0.1:0", &loop, &server, 1, reterr) : NULL;
    struct http_client *client = acceptor ? http_client_new(loop, &client_options, reterr) : NULL;
    bool ok = client && converse(loop, client, acceptor_port(acceptor), reterr);
    http_client_free(client);
    acceptor_free(acceptor);
    http_server_free(server);
    loop_free(loop);
    metrics_done();
    return ok;
}

static void test_server_and_client(void **state) {
    (void)state;
    oom_run("http", serve_and_ask, NULL);
}

static bool run_pool(void *ctx, struct error *reterr) {
    (void)ctx;
    struct workers_options options = {.name = "oom", .threads = 2, .queue_max = 2, .ctx = &options};
    struct loop *loop = loop_new("oom", reterr);
    struct workers *workers = loop ? workers_new(&options, reterr) : NULL;
    workers_free(workers);
    loop_free(loop);
    return workers != NULL;
}

static void test_pool(void **state) {
    (void)state;
    oom_run("workers", run_pool, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server_and_client),
        cmocka_unit_test(test_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
