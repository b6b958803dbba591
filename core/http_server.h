/* http_server.h - the HTTP server of one loop (libmicrohttpd with external epoll).
 *
 * One http_server per loop; an acceptor deals connections to several of them. A route's handler is called on
 * the loop's thread when the whole body is there (or, for a streaming route, piece by piece). It answers now
 * with http_reply*(), or later from the same thread: until then the connection is suspended, and because a
 * suspended connection neither times out nor notices a disconnect, every request carries its own deadline:
 * past it the client gets 503 with Retry-After and a later http_reply*() is ignored.
 *
 * A request lives until it is answered and its last reference is dropped: whoever keeps it beyond the
 * handler takes http_request_ref(). It may be held longer than its connection and its server; replies are then
 * ignored. All of this is for the loop's thread; a worker that was given the request may read its slices and use
 * its arena, nothing else.
 *
 * A client that half-closes after its request gets its answer. One limit: an upload to a streaming route that is
 * paused (on_body took less than it was given) counts as broken when the client half-closes before all is taken.
 *
 * Done here, so that no handler has to: routing with 404 and 405 (Allow), HEAD for GET routes, limits on body
 * (413), headers (431), URI (414) and connections, slow clients (a request must be complete within
 * read_timeout), X-Request-Id and traceparent in and out, Content-Length and chunked bodies, keep-alive,
 * access metrics per route and status, problem+json for all of the server's own errors. */
#pragma once
#include "core/field_error.h"
#include "core/arena.h"
#include "core/buf.h"
#include "core/error.h"
#include "core/http_param.h"
#include "core/loop.h"
#include "core/trace.h"
#include "core/uri.h"

struct http_server;
struct http_request;

typedef void http_handler(struct http_request *request, void *ctx);

/* A streaming route: called with each piece of the body, then once with data NULL when it is complete or
 * broken (see http_request_aborted). Returns how many bytes it took; fewer than len pauses the upload until
 * http_request_resume_body(). */
typedef size_t http_body_handler(struct http_request *request, const char *data, size_t len, void *ctx);

/* What the sender of a request must be allowed to do; a set of them is the sum. */
enum http_scope {
    HTTP_SCOPE_DEFAULT = 0, /* of a route: the server's default_scope */
    HTTP_SCOPE_PUBLIC = 1 << 0,
    HTTP_SCOPE_SEARCH = 1 << 1,
    HTTP_SCOPE_WRITE = 1 << 2,
    HTTP_SCOPE_ADMIN = 1 << 3,
};

/* Asked once for every request that has a route, when its head is there and before its body is read. True: go on, after
 * http_request_set_scopes(). False: it has answered. Not asked for HTTP_SCOPE_PUBLIC. */
typedef bool http_guard(struct http_request *request, enum http_scope needed, void *ctx);

struct http_route {
    const char *method; /* "GET" */
    const char *path;   /* "/v1/products/{id}", "/v1/products:import", "/v1/categories/{id}:move" */
    http_handler *handler;
    http_body_handler *on_body; /* streaming: called instead of buffering; handler is then called before the
                                   first piece and must not reply unless it refuses */
    size_t body_max;            /* bytes; 0: the server's default. Streaming: most bytes in all, 0: no limit */
    usec_t deadline_usec;       /* 0: the server's default; USEC_NEVER: none (streaming) */
    const char *summary;        /* one line, for the generated docs */
    const struct http_param *params; /* what it takes, for the generated docs and for its handler; NULL: its query is
                                        not looked at */
    const char *body; /* the JSON schema of its body, for the generated docs; NULL: of params, or any object */
    enum http_scope scope;
};

struct http_server_options {
    const char *name;             /* for metrics: "query-api" */
    const struct http_route *routes; /* with a last entry of method NULL; kept, not copied */
    void *ctx;                    /* handed to every handler */
    http_guard *guard;            /* NULL: everybody may do everything */
    void *guard_ctx;
    enum http_scope default_scope; /* of routes that name none */
    unsigned open_scopes;          /* the scopes that need no key, for the generated docs */
    /* Paths below it ("/1/") are for scripts of any site: every answer says so (CORS), and an error is {"message","status"}
     * instead of a problem. open_headers: which request headers such scripts may send. NULL: there are none. */
    const char *open_below, *open_headers;
    size_t body_max_bytes;        /* default 1 MiB if 0 */
    size_t header_max_bytes;      /* default 16 KiB if 0: request line and headers together */
    unsigned connections_max;     /* default 1000 if 0 */
    usec_t deadline_usec;         /* default 10 s if 0: from the complete request to the reply */
    usec_t read_timeout_usec;     /* default 10 s if 0: headers, and then each 1 MiB of body, must arrive within */
    usec_t idle_timeout_usec;     /* default 60 s if 0: kept-alive connection without a request */
};

struct http_server *http_server_new(struct loop *loop, const struct http_server_options *options,
                                    struct error *reterr);
/* Answers what is under way until the deadline passes, then closes everything. On the loop's thread or after
 * its loop has stopped. */
void http_server_free(struct http_server *server);
/* Takes the connected socket fd (owned from now on, closed on failure). Loop thread only. */
void http_server_adopt(struct http_server *server, int fd, const void *addr, unsigned addrlen);
/* Requests that are not answered yet. Loop thread only. */
unsigned http_server_active(const struct http_server *server);
/* From now on replies carry Connection: close. */
void http_server_drain(struct http_server *server);

/* "0.9.75": of the libmicrohttpd that runs. */
const char *http_server_library_version(void);

/* -- the request; every slice is valid as long as the request -- */
struct http_request *http_request_ref(struct http_request *request);
void http_request_unref(struct http_request *request);
struct loop *http_request_loop(const struct http_request *request);
struct arena *http_request_arena(struct http_request *request); /* lives as long as the request; any thread that
                                                                   holds the request exclusively */
const char *http_request_method(const struct http_request *request);
const struct http_route *http_request_route(const struct http_request *request);
/* Of the server that the request came through; for its handler, while it runs. */
const struct http_server_options *http_request_server_options(const struct http_request *request);
struct slice http_request_path(const struct http_request *request);
struct slice http_request_query(const struct http_request *request); /* raw, without '?' */
/* The decoded {name} of the route's path; empty if there is none. */
struct slice http_request_param(const struct http_request *request, const char *name);
/* Case-insensitive; {NULL, 0} if absent. */
struct slice http_request_header(const struct http_request *request, const char *name);
struct slice http_request_body(const struct http_request *request);
const struct trace *http_request_trace(const struct http_request *request);
/* What its sender may do: the sum of enum http_scope that the guard has set; 0 without a guard. */
unsigned http_request_scopes(const struct http_request *request);
void http_request_set_scopes(struct http_request *request, unsigned scopes);
/* The other end of its connection: the 4 or 16 bytes of an IP address in network order, empty if it is none. To be asked for
 * first while there is a connection. Loop thread. */
struct slice http_request_peer(struct http_request *request);
const char *http_request_id(const struct http_request *request);
usec_t http_request_deadline(const struct http_request *request); /* monotonic */
/* Its deadline is not before this. For its handler, while it runs. */
void http_request_put_off(struct http_request *request, usec_t deadline);
void *http_request_data(const struct http_request *request);      /* the handler's own pointer */
/* release (may be NULL) is called with data when the request is freed. */
void http_request_set_data(struct http_request *request, void *data, void (*release)(void *data));
void http_request_resume_body(struct http_request *request);
/* True once the client is gone, the body broke off or the deadline has passed: nobody waits for the answer. */
bool http_request_aborted(const struct http_request *request);

/* -- requests inside a request: a batch answers by asking this program's own handlers -- */
/* Called once, with the reply of the inner request; the body may be moved. */
typedef void http_inner_reply(void *data, int status, struct buf *body);
/* A request without a connection on behalf of outer, which it keeps alive. It has outer's route, scopes, trace and deadline, an
 * id of its own ("<id of outer>-<number>"), and neither query, body nor headers; handlers reply to it as to any other, and
 * outer's deadline answers outer if they do not. The caller drops the reference it gets. NULL without memory. */
struct http_request *http_request_inner(struct http_request *outer, unsigned number, http_inner_reply *reply, void *data);

/* The request that came over a connection: its outer one, or itself. */
struct http_request *http_request_outer(struct http_request *request);

/* -- the reply: exactly one of these counts, a later one is ignored -- */
/* Header values must not hold CR or LF. Before the reply. Both are copied. */
void http_reply_header(struct http_request *request, const char *name, const char *value);
/* Copies nothing: takes body's memory over (body is empty afterwards). content_type NULL: application/json. */
void http_reply(struct http_request *request, int status, const char *content_type, struct buf *body);
void http_reply_empty(struct http_request *request, int status);
/* Bytes that live for the whole process (a static page). */
void http_reply_static(struct http_request *request, int status, const char *content_type, const char *data,
                       size_t len);
/* Sends a file from its start; takes fd. */
void http_reply_file(struct http_request *request, int status, const char *content_type, int fd, uint64_t size);

/* RFC 9457 problem+json. Each field error names the bad field and says what is wrong. */
void http_reply_problem(struct http_request *request, int status, const char *detail,
                        const struct field_error *errors, size_t count);
/* From an error: status by error_http_status(), Retry-After of a second for retriable codes, unless there is one. */
void http_reply_error(struct http_request *request, const struct error *error);
