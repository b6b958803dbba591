/* Connections: the limits on slow clients, and the polite close. MHD has a timeout of its own, but it is in whole
 * seconds and any byte renews it; so it is off, and every connection has a timer here that knows its phase. */
#include "core/cleanup.h"
#include "core/http_server_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINGER_USEC (2 * USEC_PER_SEC)
#define LINGER_BYTES (64 * MIB)
#define LINGERS_MAX 64
#define IDLE_LOOK_USEC USEC_PER_SEC
#define CLOCK_SLACK_USEC (50 * USEC_PER_MSEC) /* tcp_info counts in ticks of the kernel's clock */

/* A socket that MHD has closed while the client may still be sending. close(2) with unread input resets the
 * connection, and the reset can destroy our last reply on its way; so a duplicate of the descriptor is read
 * empty until the client closes, for a short while. */
struct http_linger {
    struct loop_fd watch;
    struct loop_timer timer;
    struct http_server *server;
    struct http_linger *next, *prev;
    size_t discarded;
};

static void free_linger(struct http_linger *l) {
    struct http_server *server = l->server;
    loop_fd_remove(server->loop, &l->watch);
    loop_timer_cancel(server->loop, &l->timer);
    close(l->watch.fd);
    if (l->prev)
        l->prev->next = l->next;
    else
        server->lingers = l->next;
    if (l->next)
        l->next->prev = l->prev;
    server->linger_count--;
    http_server_one_less(server);
    free(l);
}

static void on_linger_timeout(struct loop_timer *timer) {
    free_linger(CONTAINER_OF(timer, struct http_linger, timer));
}

static void on_linger_input(struct loop_fd *watch, uint32_t events) {
    struct http_linger *l = CONTAINER_OF(watch, struct http_linger, watch);
    (void)events;
    char scrap[16384];
    for (int i = 0; i < 8; i++) {
        ssize_t n = recv(watch->fd, scrap, sizeof(scrap), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n > 0)
            l->discarded += (size_t)n;
        if (n <= 0 || l->discarded > LINGER_BYTES) {
            free_linger(l);
            return;
        }
    }
}

static void start_linger(struct http_conn *conn) {
    struct http_server *server = conn->server;
    if (server->linger_count >= LINGERS_MAX)
        return;
    struct http_linger *l = calloc(1, sizeof(*l));
    if (!l)
        return;
    l->watch = (struct loop_fd){.fd = fcntl(conn->fd, F_DUPFD_CLOEXEC, 0), .cb = on_linger_input};
    if (l->watch.fd < 0 || !loop_fd_add(server->loop, &l->watch, EPOLLIN, NULL)) {
        if (l->watch.fd >= 0)
            close(l->watch.fd);
        free(l);
        return;
    }
    l->server = server;
    l->timer.cb = on_linger_timeout;
    loop_timer_set(server->loop, &l->timer, loop_now(server->loop) + LINGER_USEC);
    l->next = server->lingers;
    if (l->next)
        l->next->prev = l;
    server->lingers = l;
    server->linger_count++;
}

void http_linger_free_all(struct http_server *server) {
    while (server->lingers)
        free_linger(server->lingers);
}

/* -- timers -- */

void http_conn_abort(struct http_conn *conn) {
    conn->due = USEC_NEVER;
    shutdown(conn->fd, SHUT_RDWR); /* MHD sees the hang-up and cleans up; the descriptor is its own to close */
    http_server_wake(conn->server);
}

void http_conn_set(struct http_conn *conn, enum conn_phase phase, usec_t due) {
    conn->phase = phase;
    conn->due = due;
    if (due != USEC_NEVER && (!conn->timer.index || due < conn->timer.at))
        loop_timer_set(conn->server->loop, &conn->timer, due);
}

void http_conn_body_progress(struct http_conn *conn, size_t bytes) {
    conn->window_bytes += bytes;
    if (conn->window_bytes < MIB)
        return;
    conn->window_bytes = 0;
    conn->due = loop_now(conn->server->loop) + conn->server->options.read_timeout_usec;
}

/* Has the client begun its next request head, of which MHD tells nothing yet? */
static bool input_since(const struct http_conn *conn, usec_t now) {
    struct tcp_info info;
    socklen_t len = sizeof(info);
    if (getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
        return false;
    usec_t ago = info.tcpi_last_data_recv * USEC_PER_MSEC;
    return now - conn->idle_since > ago + CLOCK_SLACK_USEC;
}

/* A FIN that came together with the request is not seen by MHD: its edge-triggered event is spent. */
static bool half_closed(const struct http_conn *conn) {
    char byte;
    return recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void http_conn_idle(struct http_conn *conn, usec_t now) {
    const struct http_server_options *o = &conn->server->options;
    usec_t end = conn->idle_since + o->idle_timeout_usec, next = now + IDLE_LOOK_USEC;
    http_conn_set(conn, CONN_IDLE, next < end ? next : end);
}

static void on_idle(struct http_conn *conn, usec_t now) {
    const struct http_server_options *o = &conn->server->options;
    if (now >= conn->idle_since + o->idle_timeout_usec || half_closed(conn)) {
        http_conn_abort(conn);
        return;
    }
    if (input_since(conn, now)) {
        http_conn_set(conn, CONN_HEAD, now + o->read_timeout_usec);
        return;
    }
    http_conn_idle(conn, now);
}

static void on_conn_timer(struct loop_timer *timer) {
    struct http_conn *conn = CONTAINER_OF(timer, struct http_conn, timer);
    usec_t now = loop_now(conn->server->loop);
    if (conn->due == USEC_NEVER)
        return;
    if (now < conn->due) {
        loop_timer_set(conn->server->loop, timer, conn->due);
        return;
    }
    switch (conn->phase) {
    case CONN_IDLE:
        on_idle(conn, now);
        return;
    case CONN_HEAD:
    case CONN_BODY:
        http_conn_send_problem(conn, 408, "the request did not arrive in time");
        http_conn_abort(conn);
        return;
    case CONN_SENDING:
        http_conn_abort(conn);
        return;
    case CONN_HANDLING:
        return; /* the request's own deadline counts */
    }
}

/* -- raw answers -- */

void http_conn_send_problem(struct http_conn *conn, int status, const char *detail) {
    const char *title = MHD_get_reason_phrase_for((unsigned)status);
    char body[256], head[256];
    bool open = conn->request && http_request_is_open(conn->request);
    int body_len = open ? snprintf(body, sizeof(body), "{\"message\":\"%s\",\"status\":%d}", detail, status)
                        : snprintf(body, sizeof(body), "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"detail\":\"%s\"}",
                                   title, status, detail);
    int head_len = snprintf(head, sizeof(head),
                            "HTTP/1.1 %d %s\r\nContent-Type: application/%s\r\nContent-Length: %d\r\n%s"
                            "Connection: close\r\n\r\n",
                            status, title, open ? "json" : "problem+json", body_len,
                            open ? "Access-Control-Allow-Origin: *\r\n" : "");
    if (head_len >= (int)sizeof(head) || body_len >= (int)sizeof(body))
        return;
    /* Nothing else is on its way to this client, so it fits into the socket's buffer; if not, it is lost. */
    if (send(conn->fd, head, (size_t)head_len, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE) == head_len)
        (void)!send(conn->fd, body, (size_t)body_len, MSG_DONTWAIT | MSG_NOSIGNAL);
    conn->linger = true;
}

/* -- MHD's notifications -- */

static void conn_started(struct http_server *server, struct MHD_Connection *mhd, void **context) {
    struct http_conn *conn = calloc(1, sizeof(*conn));
    *context = conn;
    if (!conn)
        return; /* its first request is refused */
    conn->server = server;
    conn->mhd = mhd;
    conn->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    conn->timer.cb = on_conn_timer;
    conn->next = server->conns;
    if (conn->next)
        conn->next->prev = conn;
    server->conns = conn;
    server->conn_count++;
    metric_inc(server->accepted);
    http_conn_set(conn, CONN_HEAD, loop_now(server->loop) + server->options.read_timeout_usec);
}

static void conn_closed(struct http_conn *conn) {
    struct http_server *server = conn->server;
    int unread = 0;
    if (conn->request)
        http_request_detach(conn->request); /* see http_server.c: MHD does not always report the end of one */
    if (conn->linger || (ioctl(conn->fd, FIONREAD, &unread) == 0 && unread > 0))
        start_linger(conn);
    loop_timer_cancel(server->loop, &conn->timer);
    if (conn->prev)
        conn->prev->next = conn->next;
    else
        server->conns = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    server->conn_count--;
    metric_inc(server->closed);
    http_server_one_less(server);
    free(conn);
}

void http_conn_notify(void *cls, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode code) {
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        conn_started(cls, mhd, context);
    } else if (*context) {
        conn_closed(*context);
        *context = NULL;
    }
}

struct http_conn *http_conn_of(struct MHD_Connection *mhd) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}
