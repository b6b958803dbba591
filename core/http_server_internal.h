/* http_server_internal.h - what http_server.c, http_connection.c, http_request.c and http_reply.c share. The only
 * place that includes libmicrohttpd.
 *
 * Who owns what: the server owns its connections (struct http_conn, one per socket, made and freed by MHD's
 * connection notification) and a pool of idle requests. A connection has at most one request at a time (MHD
 * handles pipelined ones one after the other). The request is made when its request line is complete; the
 * connection holds one reference until MHD reports it completed, handlers may hold more. */
#pragma once
#include "core/http_router.h"
#include "core/http_server.h"
#include "core/metrics.h"
#include <microhttpd.h>

#define MIB ((size_t)1 << 20)
#define REQUEST_ID_SIZE 65
#define SWALLOW_BYTES ((uint64_t)64 << 10) /* a refused body up to this size is read, so the connection can go on */

enum http_status_class { STATUS_2XX, STATUS_3XX, STATUS_4XX, STATUS_5XX, STATUS_ABORTED, STATUS_CLASSES };

struct route_metrics {
    struct metric *requests[STATUS_CLASSES];
    struct metric *duration; /* complete request to reply */
};

struct http_server {
    struct http_server_options options; /* with the defaults filled in */
    struct loop *loop;
    struct http_router *router;
    struct MHD_Daemon *daemon;
    struct MHD_Response *no_memory; /* a ready-made 503 */
    struct loop_fd watch;           /* MHD's epoll descriptor */
    struct loop_hook hook;
    bool run_needed; /* MHD has work that its descriptor does not show */
    bool draining;
    struct loop_timer drained; /* ends a wait of http_server_free, which looks again whether all is done */
    unsigned active;
    struct http_conn *conns;
    unsigned conn_count;
    struct http_linger *lingers;
    unsigned linger_count;
    struct http_request *live; /* every request in use, also those that only handlers still hold */
    struct http_request *idle; /* pool, by next */
    unsigned idle_count;
    struct metric *accepted, *closed, *refused;
    size_t route_count;
    struct route_metrics *metrics; /* per route, then one for requests without a route */
};

/* What a connection waits for: decides which limit `due` stands for. */
enum conn_phase { CONN_HEAD, CONN_BODY, CONN_HANDLING, CONN_SENDING, CONN_IDLE };

struct http_conn {
    struct http_server *server;
    struct http_conn *next, *prev;
    struct MHD_Connection *mhd;
    int fd;
    enum conn_phase phase;
    struct loop_timer timer; /* fires at or before due; due moves without touching it */
    usec_t due;
    usec_t idle_since;
    size_t window_bytes; /* of the body in this read_timeout window */
    struct http_request *request;
    bool linger; /* closes while the client may still be sending */
};

struct http_request {
    struct http_server *server; /* NULL once it is gone: a handler may hold the request longer */
    struct loop *loop;
    struct http_conn *conn; /* NULL once the connection has let go of it */
    struct http_request *next, *prev;
    unsigned refs;
    struct arena arena;
    struct buf body;

    char *target; /* raw path and query, NUL-terminated */
    size_t target_len;
    const char *raw_target; /* MHD's own, to find a NUL in it; valid until the head is seen */
    char *method;
    struct slice path, query;
    const struct http_route *route;
    struct route_metrics *metrics;
    struct uri_pair params[HTTP_ROUTER_PARAMS_MAX];
    size_t param_count;
    unsigned scopes;
    char peer[16]; /* once it was asked for: it outlives the connection */
    size_t peer_len;
    struct uri_pair *headers;
    size_t header_count, header_room;
    struct trace trace;
    char id[REQUEST_ID_SIZE];

    uint64_t body_max, body_received;
    usec_t completed_at, deadline;
    struct loop_timer timer; /* the deadline, armed while suspended */

    bool counted;   /* in server->active */
    bool streaming; /* the route's on_body has been promised its end */
    bool head_seen, complete;
    bool held;            /* see on_complete */
    bool suspended;       /* waiting for the reply */
    bool paused;          /* suspended, waiting for http_request_resume_body */
    bool resume_asked;    /* while on_body runs */
    bool replied;         /* a reply is decided; later ones are ignored */
    bool queued;          /* and handed to MHD */
    bool timed_out, gone; /* nobody waits any more */

    int status;
    uint64_t reply_bytes;
    struct MHD_Response *response; /* ours until queued, or the server's no_memory */
    struct uri_pair *reply_headers;
    size_t reply_header_count, reply_header_room;

    void *data;
    void (*release)(void *data);

    struct http_request *outer; /* of an inner request: it has no connection */
    http_inner_reply *inner_reply;
    void *inner_data;
};

/* http_connection.c */
void http_conn_notify(void *cls, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode code);
struct http_conn *http_conn_of(struct MHD_Connection *mhd);
void http_conn_set(struct http_conn *conn, enum conn_phase phase, usec_t due);
void http_conn_idle(struct http_conn *conn, usec_t now);
void http_conn_body_progress(struct http_conn *conn, size_t bytes);
void http_conn_abort(struct http_conn *conn);
/* Answers in place of MHD, which takes no response in the middle of a body. The caller closes the connection. */
void http_conn_send_problem(struct http_conn *conn, int status, const char *detail);
void http_linger_free_all(struct http_server *server);

/* http_request.c */
struct http_request *http_request_new(struct http_server *server, struct http_conn *conn, const char *target);
/* The connection lets go: completed, or gone. */
void http_request_detach(struct http_request *request);
bool http_request_read_head(struct http_request *request, const char *method, const char *version);
void http_request_drop_response(struct http_request *request);
/* At the end of the server: frees the pool and leaves the requests that are still held to their holders. */
void http_request_free_pool(struct http_server *server);
void http_request_deadline_passed(struct loop_timer *timer);

/* http_reply.c */
/* Below open_below. */
bool http_request_is_open(const struct http_request *request);
/* The reply is decided: takes the response (NULL: out of memory), counts, resumes. */
void http_request_set_response(struct http_request *request, int status, const char *content_type,
                               struct MHD_Response *response);
void http_request_count(struct http_request *request, enum http_status_class status_class);

/* http_server.c */
/* MHD shall look at its connections before the loop waits again. */
static inline void http_server_wake(struct http_server *server) {
    server->run_needed = true;
}

/* A request, connection or linger has ended. */
static inline void http_server_one_less(struct http_server *server) {
    if (server->draining)
        loop_timer_set(server->loop, &server->drained, loop_now(server->loop));
}
