/* Raw bytes on a connection, cut into two writes at byte 0's value, then half-closed: the server neither crashes nor
 * hangs, and what it answers begins like HTTP. Libmicrohttpd is in the game. */
#include "core/http_server.h"
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void echo(struct http_request *request, void *ctx) {
    (void)ctx;
    struct buf out = BUF_INIT(1 << 20);
    struct slice body = http_request_body(request), query = http_request_query(request);
    buf_append(&out, query.data, query.len);
    buf_append(&out, body.data, body.len);
    http_reply(request, 200, NULL, &out);
}

static void begin(struct http_request *request, void *ctx) {
    (void)request;
    (void)ctx;
}

static size_t take(struct http_request *request, const char *data, size_t len, void *ctx) {
    (void)ctx;
    if (!data)
        http_reply_empty(request, 204);
    else
        http_request_resume_body(request);
    return len < 3 ? len : 3;
}

static const struct http_route routes[] = {
    {.method = "GET", .path = "/", .handler = echo},
    {.method = "POST", .path = "/{id}", .handler = echo, .body_max = 100},
    {.method = "PUT", .path = "/stream", .handler = begin, .on_body = take},
    {0},
};

/* Reads what has come; false once the server has closed. */
static bool drain(int fd, char *ret, size_t room, size_t *len) {
    for (;;) {
        char scrap[4096];
        ssize_t n = recv(fd, scrap, sizeof(scrap), MSG_DONTWAIT);
        if (n <= 0)
            return n < 0;
        size_t keep = room - *len < (size_t)n ? room - *len : (size_t)n;
        memcpy(ret + *len, scrap, keep);
        *len += keep;
    }
}

static void send_some(struct loop *loop, int fd, const uint8_t *data, size_t len) {
    if (len && send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return;
    for (int i = 0; i < 6; i++)
        loop_run_once(loop, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct loop *loop;
    static struct http_server *server;
    int ends[2];
    char answer[16] = "";
    size_t len = 0;
    if (!loop) {
        const struct http_server_options options = {.name = "fuzz", .routes = routes};
        loop = loop_new("fuzz", NULL);
        server = loop ? http_server_new(loop, &options, NULL) : NULL;
    }
    if (!server || !size || size > 60000 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) < 0)
        return 0;
    const struct sockaddr address = {.sa_family = AF_UNIX};
    http_server_adopt(server, ends[1], &address, sizeof(address));
    size_t first = data[0] < size - 1 ? data[0] : size - 1;
    send_some(loop, ends[0], data + 1, first);
    send_some(loop, ends[0], data + 1 + first, size - 1 - first);
    (void)drain(ends[0], answer, sizeof(answer), &len);
    shutdown(ends[0], SHUT_WR);
    send_some(loop, ends[0], NULL, 0);
    (void)drain(ends[0], answer, sizeof(answer), &len);
    close(ends[0]);
    send_some(loop, ends[0], NULL, 0);
    if (len >= 7 && memcmp(answer, "HTTP/1.", 7) != 0)
        abort();
    return 0;
}
