#include "core/acceptor.h"
#include "core/cleanup.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 1024
#define ACCEPTS_PER_ROUND 64
#define PAUSE_USEC (100 * USEC_PER_MSEC)

struct acceptor {
    struct loop *loop;
    struct loop_fd watch;
    struct loop_timer pause;
    unsigned port;
    size_t count, next; /* the server whose turn it is */
    struct loop **loops;
    struct http_server **servers;
};

struct address {
    struct sockaddr_storage bytes;
    socklen_t len;
};

/* An accepted connection on its way to its server's loop. */
struct handover {
    struct mail mail;
    struct http_server *server;
    int fd;
    struct address peer;
};

static bool parse_listen(const char *text, struct address *ret, struct error *reterr) {
    const char *colon = strrchr(text, ':');
    char host[64];
    size_t host_len = colon ? (size_t)(colon - text) : 0;
    char *end = NULL;
    unsigned long port = colon && colon[1] >= '0' && colon[1] <= '9' ? strtoul(colon + 1, &end, 10) : 65536;
    if (!end || *end || port > 65535 || host_len == 0 || host_len >= sizeof(host))
        return error_set(reterr, ERROR_INVALID,
                         "listen address \"%.80s\": write it as 127.0.0.1:8080 or [::1]:8080, port 0 to 65535", text);
    *ret = (struct address){0};
    if (text[0] == '[' && colon[-1] == ']') {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ret->bytes;
        memcpy(host, text + 1, host_len - 2);
        host[host_len - 2] = '\0';
        *v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
        ret->len = sizeof(*v6);
        if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1)
            return true;
    } else {
        struct sockaddr_in *v4 = (struct sockaddr_in *)&ret->bytes;
        memcpy(host, text, host_len);
        host[host_len] = '\0';
        *v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        ret->len = sizeof(*v4);
        if (inet_pton(AF_INET, host, &v4->sin_addr) == 1)
            return true;
    }
    return error_set(reterr, ERROR_INVALID, "listen address \"%.80s\": \"%s\" is no IP address", text, host);
}

bool acceptor_check(const char *listen, struct error *reterr) {
    struct address address;
    return parse_listen(listen, &address, reterr);
}

static unsigned bound_port(int fd) {
    struct address own = {.len = sizeof(own.bytes)};
    if (getsockname(fd, (struct sockaddr *)&own.bytes, &own.len) < 0)
        return 0;
    return ntohs(own.bytes.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&own.bytes)->sin6_port
                                                 : ((struct sockaddr_in *)&own.bytes)->sin_port);
}

static bool open_listener(struct acceptor *a, const char *text, struct error *reterr) {
    struct address address;
    const int on = 1;
    if (!parse_listen(text, &address, reterr))
        return false;
    a->watch.fd = socket(address.bytes.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (a->watch.fd < 0)
        return error_set(reterr, ERROR_INTERNAL, "socket for %.80s: %s", text, strerror(errno));
    (void)setsockopt(a->watch.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(a->watch.fd, (struct sockaddr *)&address.bytes, address.len) < 0 || listen(a->watch.fd, BACKLOG) < 0)
        return error_set(reterr, errno == EADDRINUSE ? ERROR_CONFLICT : ERROR_INTERNAL, "cannot listen on %.80s: %s%s",
                         text, strerror(errno), errno == EADDRINUSE ? "; is another instance running?" : "");
    a->port = bound_port(a->watch.fd);
    return loop_fd_add(a->loop, &a->watch, EPOLLIN, reterr);
}

static void deliver(struct mail *mail) {
    struct handover *h = CONTAINER_OF(mail, struct handover, mail);
    http_server_adopt(h->server, h->fd, &h->peer.bytes, h->peer.len);
    free(h);
}

static void deal(struct acceptor *a, int fd, const struct address *peer) {
    size_t turn = a->next;
    a->next = (a->next + 1) % a->count;
    if (a->loops[turn] == a->loop) {
        http_server_adopt(a->servers[turn], fd, &peer->bytes, peer->len);
        return;
    }
    struct handover *h = malloc(sizeof(*h));
    if (!h) {
        close(fd);
        return;
    }
    *h = (struct handover){.mail.deliver = deliver, .server = a->servers[turn], .fd = fd, .peer = *peer};
    loop_post(a->loops[turn], &h->mail);
}

static void on_connection(struct loop_fd *watch, uint32_t events) {
    struct acceptor *a = CONTAINER_OF(watch, struct acceptor, watch);
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_ROUND; i++) {
        struct address peer = {.len = sizeof(peer.bytes)};
        int fd = accept4(watch->fd, (struct sockaddr *)&peer.bytes, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            deal(a, fd, &peer);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            /* The connection stays in the backlog and the descriptor readable: pause, or the loop would spin. */
            loop_fd_remove(a->loop, watch);
            loop_timer_set(a->loop, &a->pause, loop_now(a->loop) + PAUSE_USEC);
            return;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        /* EINTR, ECONNABORTED and the network errors of accept(2) concern one connection: the next. */
    }
}

static void on_pause_over(struct loop_timer *timer) {
    struct acceptor *a = CONTAINER_OF(timer, struct acceptor, pause);
    if (!loop_fd_add(a->loop, &a->watch, EPOLLIN, NULL))
        loop_timer_set(a->loop, timer, loop_now(a->loop) + PAUSE_USEC);
}

struct acceptor *acceptor_new(struct loop *loop, const char *listen, struct loop *const *loops,
                              struct http_server *const *servers, size_t count, struct error *reterr) {
    struct acceptor *a = calloc(1, sizeof(*a));
    if (!a) {
        error_nomem(reterr);
        return NULL;
    }
    a->loop = loop;
    a->count = count;
    a->watch = (struct loop_fd){.fd = -1, .cb = on_connection};
    a->pause.cb = on_pause_over;
    a->loops = malloc(count * sizeof(struct loop *));
    a->servers = malloc(count * sizeof(struct http_server *));
    if (!count || !a->loops || !a->servers) {
        error_set(reterr, ERROR_INTERNAL, "acceptor for %zu servers: none, or out of memory", count);
        acceptor_free(a);
        return NULL;
    }
    memcpy(a->loops, loops, count * sizeof(struct loop *));
    memcpy(a->servers, servers, count * sizeof(struct http_server *));
    if (!open_listener(a, listen, reterr)) {
        acceptor_free(a);
        return NULL;
    }
    return a;
}

void acceptor_free(struct acceptor *a) {
    if (!a)
        return;
    loop_timer_cancel(a->loop, &a->pause);
    loop_fd_remove(a->loop, &a->watch);
    if (a->watch.fd >= 0)
        close(a->watch.fd);
    free(a->loops);
    free(a->servers);
    free(a);
}

unsigned acceptor_port(const struct acceptor *a) {
    return a->port;
}
