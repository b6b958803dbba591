/* http_fixture.h - a server on a thread of its own and a client that speaks raw bytes. Every wait has a deadline. */
#pragma once
#include "tests/unit/test.h"
#include "core/acceptor.h"
#include "core/http_server.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_SEC 20

struct fixture {
    struct loop *loop;
    struct http_server *server;
    struct acceptor *acceptor;
    pthread_t thread;
    unsigned port;
};

static void *fixture_main(void *arg) {
    struct fixture *f = arg;
    loop_run(f->loop);
    return NULL;
}

static inline void fixture_start(struct fixture *f, const struct http_server_options *options) {
    struct error error = {0};
    f->loop = loop_new("server", &error);
    f->server = f->loop ? http_server_new(f->loop, options, &error) : NULL;
    f->acceptor = f->server ? acceptor_new(f->loop, "127.0.0.1:0", &f->loop, &f->server, 1, &error) : NULL;
    if (!f->acceptor)
        fail_msg("%s", error.message);
    f->port = acceptor_port(f->acceptor);
    assert_int_equal(pthread_create(&f->thread, NULL, fixture_main, f), 0);
}

/* Ends the thread: from here on the server is the caller's. */
static inline void fixture_halt(struct fixture *f) {
    loop_stop(f->loop);
    pthread_join(f->thread, NULL);
}

static inline void fixture_free(struct fixture *f) {
    acceptor_free(f->acceptor);
    http_server_free(f->server);
    loop_free(f->loop);
}

static inline void fixture_stop(struct fixture *f) {
    fixture_halt(f);
    fixture_free(f);
}

static inline int dial(const struct fixture *f) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)f->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = WAIT_SEC};
    const int on = 1;
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        fail_msg("connect: %s", strerror(errno));
    return fd;
}

/* False if the other side has closed. */
static inline bool say_bytes(int fd, const char *data, size_t len) {
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n < 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static inline void say(int fd, const char *text) {
    assert_true(say_bytes(fd, text, strlen(text)));
}

struct answer {
    int status; /* 0: closed before a whole answer */
    size_t len; /* of the body */
    char head[4096];
    char body[16384];
};

static inline const char *answer_header(const struct answer *a, const char *name) {
    static char value[512];
    size_t name_len = strlen(name);
    for (const char *line = a->head; line && *line; line = strstr(line, "\r\n"), line = line ? line + 2 : NULL) {
        if (strncasecmp(line, name, name_len) == 0 && line[name_len] == ':') {
            const char *start = line + name_len + 1 + strspn(line + name_len + 1, " ");
            size_t len = strcspn(start, "\r");
            memcpy(value, start, len);
            value[len] = '\0';
            return value;
        }
    }
    return NULL;
}

/* Reads exactly one answer. no_body: to HEAD. */
static inline int hear(int fd, struct answer *a, bool no_body) {
    size_t len = 0;
    memset(a, 0, sizeof(*a));
    while (len < sizeof(a->head) - 1 && !strstr(a->head, "\r\n\r\n")) {
        ssize_t n = recv(fd, a->head + len, 1, 0);
        if (n < 0 && errno == EAGAIN)
            fail_msg("no answer within %d s", WAIT_SEC);
        if (n <= 0)
            return 0;
        len++;
    }
    int status = (int)strtol(a->head + 9, NULL, 10);
    const char *length = answer_header(a, "Content-Length");
    size_t expected = length && !no_body && status >= 200 ? strtoul(length, NULL, 10) : 0;
    for (size_t got = 0; got < expected;) {
        char scrap[16384];
        size_t room = expected - got < sizeof(scrap) ? expected - got : sizeof(scrap);
        ssize_t n = recv(fd, scrap, room, 0);
        if (n <= 0)
            return 0;
        if (got < sizeof(a->body) - 1)
            memcpy(a->body + got, scrap, (size_t)n < sizeof(a->body) - 1 - got ? (size_t)n : sizeof(a->body) - 1 - got);
        got += (size_t)n;
    }
    a->len = expected;
    return a->status = status;
}

/* Waits until the other side closes; true if nothing came before. */
static inline bool hear_close(int fd) {
    char scrap[4096];
    bool quiet = true;
    for (;;) {
        ssize_t n = recv(fd, scrap, sizeof(scrap), 0);
        if (n < 0 && errno == EAGAIN)
            fail_msg("the connection is not closed within %d s", WAIT_SEC);
        if (n <= 0)
            return quiet;
        quiet = false;
    }
}

/* One request on a connection of its own. */
static inline int ask(const struct fixture *f, const char *text, struct answer *a) {
    int fd = dial(f);
    say(fd, text);
    int status = hear(fd, a, strncmp(text, "HEAD ", 5) == 0);
    close(fd);
    return status;
}

/* A connection whose request was answered with 200. Refused is what comes after the server's read timeout, as on a busy machine. */
static inline int dial_and_ask(const struct fixture *f, const char *text) {
    struct answer a;
    int fd = dial(f);
    while (say_bytes(fd, text, strlen(text)), hear(fd, &a, false) == 408) {
        close(fd);
        fd = dial(f);
    }
    assert_int_equal(a.status, 200);
    return fd;
}

/* Waits until *counter is at least n. */
#define await(counter, n)                                                                                              \
    do {                                                                                                               \
        usec_t await_until = clock_now_usec() + WAIT_SEC * USEC_PER_SEC;                                               \
        while (atomic_load(&(counter)) < (n)) {                                                                        \
            if (clock_now_usec() > await_until)                                                                        \
                fail_msg("%s does not become %d", #counter, (int)(n));                                                 \
            sched_yield();                                                                                             \
        }                                                                                                              \
    } while (0)
