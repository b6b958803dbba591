/* The server of one loop: MHD's daemon under our epoll, and the way of a request through MHD's callbacks.
 *
 * Checked against libmicrohttpd 0.9.75, where these facts come from:
 * - With external polling MHD drops its inter-thread channel, so MHD_resume_connection wakes nobody: MHD_run has to
 *   follow, which the loop hook does (run_needed).
 * - A response queued in the first call of the access handler makes MHD close the connection after it, even when
 *   there is no body: so refusals wait for the last call, but where a large body would have to be read first.
 * - In the middle of a body MHD takes no response at all (http_conn_send_problem).
 * - With several chunks in its buffer MHD calls on although the connection is suspended: a paused request takes 0.
 * - A connection that is suspended while it waits for reading is read first when it resumes; if the client has
 *   half-closed it by then, MHD reads EOF and throws the reply away (see on_complete).
 * - If the query has more arguments than its memory pool can hold, MHD queues an error and then forgets it: the
 *   connection spins. We parse queries ourselves, so on_target hides them from MHD.
 * - If the cookies overflow that pool, the connection is closed without a word to on_completed. */
#include "core/cleanup.h"
#include "core/http_server_internal.h"
#include "core/log.h"
#include "core/utf8.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SLOWEST_READER_BYTES_PER_SEC ((uint64_t)32 << 10)
#define CODING_SHOWN_MAX 40                 /* bytes of an unknown Content-Encoding in the answer */
#define RESERVE_MAX_BYTES MIB               /* how much of an announced body is believed at once */
#define DRAIN_GRACE_USEC (USEC_PER_SEC / 2) /* for the replies of requests that ran into their deadline */
#define MHD_RUNS_PER_ROUND 4                /* a resumed reply takes three: prepare, send, read the next */

/* -- MHD under the loop -- */

static void run_mhd(struct http_server *server) {
    server->run_needed = false;
    MHD_run(server->daemon);
    MHD_UNSIGNED_LONG_LONG msec;
    if (MHD_get_timeout(server->daemon, &msec) == MHD_YES && msec == 0)
        server->run_needed = true;
}

static void on_mhd_ready(struct loop_fd *watch, uint32_t events) {
    (void)events;
    http_server_wake(CONTAINER_OF(watch, struct http_server, watch)); /* the hook runs at the end of this round */
}

static usec_t before_wait(struct loop_hook *hook) {
    struct http_server *server = CONTAINER_OF(hook, struct http_server, hook);
    for (int i = 0; i < MHD_RUNS_PER_ROUND && server->run_needed; i++)
        run_mhd(server);
    return server->run_needed ? loop_now(server->loop) : USEC_NEVER;
}

/* -- a request through MHD's callbacks -- */

static void *on_target(void *cls, const char *target, struct MHD_Connection *mhd) {
    struct http_server *server = cls;
    struct http_conn *conn = http_conn_of(mhd);
    if (conn && conn->request)
        http_request_detach(conn->request);
    struct http_request *r = conn ? http_request_new(server, conn, target) : NULL;
    if (r && conn->phase == CONN_IDLE)
        http_conn_set(conn, CONN_HEAD, loop_now(server->loop) + server->options.read_timeout_usec);
    union {
        const char *constant;
        char *plain;
    } query = {.constant = target ? strchr(target, '?') : NULL};
    if (query.plain && query.plain[1])
        query.plain[1] = '\0'; /* the request has its copy; MHD's is writable memory of its pool */
    return r;
}

/* With the trace of the request on this thread's log lines. */
static void call_handler(struct http_request *r) {
    char trace_id[TRACE_ID_HEX_SIZE];
    trace_id_hex(&r->trace, trace_id);
    log_set_trace(trace_id);
    r->route->handler(r, r->server->options.ctx);
    log_set_trace(NULL);
}

static size_t call_on_body(struct http_request *r, const char *data, size_t len) {
    char trace_id[TRACE_ID_HEX_SIZE];
    trace_id_hex(&r->trace, trace_id);
    log_set_trace(trace_id);
    size_t taken = r->route->on_body(r, data, len, r->server->options.ctx);
    log_set_trace(NULL);
    return taken <= len ? taken : len;
}

static void refuse(struct http_request *r, int status, const char *detail) {
    http_reply_problem(r, status, detail, NULL, 0);
}

static void refuse_field(struct http_request *r, int status, const char *field, const char *detail) {
    http_reply_problem(r, status, detail, &(struct field_error){field, detail}, 1);
}

static void find_route(struct http_request *r) {
    struct http_match match;
    struct error error = {0};
    enum http_match_result result = http_router_match(r->server->router, &r->arena, r->method, r->path, &match, &error);
    switch (result) {
    case HTTP_MATCH_FOUND:
        r->route = match.route;
        r->metrics = &r->server->metrics[match.route - r->server->options.routes];
        memcpy(r->params, match.params, sizeof(r->params));
        r->param_count = match.param_count;
        return;
    case HTTP_MATCH_BAD_PATH:
        refuse_field(r, 400, "path", error.message);
        return;
    case HTTP_MATCH_NO_PATH:
        if (strcmp(r->method, "OPTIONS") == 0 && http_request_is_open(r))
            http_reply_empty(r, 204); /* else no script could see the 404 */
        else
            refuse(r, 404, "there is nothing at this path");
        return;
    case HTTP_MATCH_NO_METHOD:
        http_reply_header(r, "Allow", match.allow);
        if (strcmp(r->method, "OPTIONS") == 0)
            http_reply_empty(r, 204);
        else
            refuse(r, 405, "this path does not have this method; see the Allow header");
        return;
    }
}

struct body_head {
    bool chunked, expects_continue;
    uint64_t length;
    struct slice coding; /* empty: the body comes as it is */
};

/* The name of a charset does not belong here, but some clients send it, and it changes nothing. */
static bool is_coding(struct slice value) {
    return value.len && strcasecmp(value.data, "identity") != 0 && strcasecmp(value.data, "utf-8") != 0 &&
           strcasecmp(value.data, "utf8") != 0;
}

static void refuse_coding(struct http_request *r, struct slice coding) {
    char detail[128];
    if (!utf8_valid(coding.data, coding.len))
        coding = SLICE("(not UTF-8)");
    (void)snprintf(detail, sizeof(detail), "a body must come as it is, without the content coding \"%.*s\"",
                   (int)utf8_cut(coding.data, coding.len, CODING_SHOWN_MAX), coding.data);
    http_reply_header(r, "Accept-Encoding", "identity"); /* RFC 9110 15.5.16 */
    refuse_field(r, 415, "Content-Encoding", detail);
}

/* How the body is framed. MHD has parsed Content-Length before; what it lets through but two servers could read
 * differently (RFC 9112 6.3) is refused, because that is how requests are smuggled past a proxy. */
static bool read_framing(struct http_request *r, struct body_head *ret) {
    unsigned lengths = 0, encodings = 0, hosts = 0;
    *ret = (struct body_head){0};
    for (size_t i = 0; i < r->header_count; i++) {
        struct slice key = r->headers[i].key, value = r->headers[i].value;
        if (key.len == 14 && strcasecmp(key.data, "Content-Length") == 0) {
            lengths++;
            ret->length = strtoull(value.data, NULL, 10);
        } else if (key.len == 17 && strcasecmp(key.data, "Transfer-Encoding") == 0) {
            encodings++;
            ret->chunked = true;
            if (strcasecmp(value.data, "chunked") != 0) {
                refuse(r, 501, "of the transfer encodings only chunked is understood");
                return false;
            }
        } else if (key.len == 16 && strcasecmp(key.data, "Content-Encoding") == 0) {
            if (is_coding(value))
                ret->coding = value;
        } else if (key.len == 6 && strcasecmp(key.data, "Expect") == 0) {
            ret->expects_continue = true;
        } else if (key.len == 4 && strcasecmp(key.data, "Host") == 0) {
            hosts++;
        }
    }
    if (hosts > 1) {
        refuse(r, 400, "Host must stand only once"); /* RFC 9112 3.2 */
        return false;
    }
    if (lengths + encodings > 1) {
        refuse(r, 400, "Content-Length and Transfer-Encoding must stand only once and not together");
        return false;
    }
    return true;
}

/* False: refused. */
static bool pass_guard(struct http_request *r) {
    const struct http_server_options *o = &r->server->options;
    enum http_scope scope = r->route->scope ? r->route->scope : o->default_scope;
    return !o->guard || scope == HTTP_SCOPE_PUBLIC || o->guard(r, scope, o->guard_ctx);
}

static void check_head(struct http_request *r, struct body_head *body) {
    const struct http_server_options *o = &r->server->options;
    const union MHD_ConnectionInfo *size =
        MHD_get_connection_info(r->conn->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (!read_framing(r, body))
        return;
    if (!r->path.data) {
        refuse_field(r, 400, "path", "the request target holds a NUL byte");
        return;
    }
    if (r->target_len > o->header_max_bytes / 2) {
        refuse(r, 414, "the request target is too long");
        return;
    }
    if (size && size->header_size > o->header_max_bytes) {
        refuse(r, 431, "the request line and headers are too long");
        return;
    }
    find_route(r);
    if (r->replied || !pass_guard(r))
        return;
    bool streams = r->route->on_body != NULL;
    r->body_max = r->route->body_max ? r->route->body_max : streams ? UINT64_MAX : o->body_max_bytes;
    if (body->length > r->body_max) {
        char detail[96];
        (void)snprintf(detail, sizeof(detail), "the body is larger than %llu bytes", (unsigned long long)r->body_max);
        refuse(r, 413, detail);
    } else if (body->coding.len && (body->chunked || body->length)) {
        refuse_coding(r, body->coding);
    }
}

static enum MHD_Result queue_response(struct http_request *r) {
    struct http_conn *conn = r->conn;
    usec_t now = loop_now(r->server->loop);
    enum MHD_Result result = MHD_queue_response(conn->mhd, (unsigned)r->status, r->response);
    r->queued = true;
    http_request_drop_response(r);
    /* A slow reader may take the idle timeout, and longer for what is large. */
    http_conn_set(conn, CONN_SENDING,
                  now + r->server->options.idle_timeout_usec +
                      r->reply_bytes * USEC_PER_SEC / SLOWEST_READER_BYTES_PER_SEC);
    return result;
}

static bool begin_body(struct http_request *r, const struct body_head *body) {
    struct http_conn *conn = r->conn;
    conn->window_bytes = 0;
    http_conn_set(conn, CONN_BODY, loop_now(r->server->loop) + r->server->options.read_timeout_usec);
    if (r->replied)
        return true; /* refused: swallowed */
    if (r->route->on_body) {
        r->streaming = true;
        call_handler(r);
        r->streaming = !r->replied;
        return true;
    }
    r->body.max = (size_t)r->body_max;
    size_t reserve = body->length < RESERVE_MAX_BYTES ? (size_t)body->length : RESERVE_MAX_BYTES;
    return !reserve || buf_reserve(&r->body, reserve);
}

static enum MHD_Result on_head(struct http_request *r, const char *method, const char *version) {
    struct body_head body = {0};
    struct http_conn *conn = r->conn;
    if (!http_request_read_head(r, method, version))
        http_request_set_response(r, 503, NULL, NULL);
    else
        check_head(r, &body);
    if (!begin_body(r, &body))
        http_request_set_response(r, 503, NULL, NULL);
    bool swallow = !body.chunked && body.length <= SWALLOW_BYTES && (!body.length || !body.expects_continue) &&
                   (!body.length || r->status != 413);
    if (!r->replied || swallow)
        return MHD_YES;
    conn->linger = true;
    return queue_response(r);
}

/* Takes a piece for a streaming route. The number of bytes that are left. */
static size_t stream_piece(struct http_request *r, const char *data, size_t len) {
    while (len) {
        r->resume_asked = false;
        size_t taken = call_on_body(r, data, len);
        data += taken;
        len -= taken;
        r->body_received += taken;
        http_conn_body_progress(r->conn, taken);
        if (r->replied)
            return 0;
        if (len && !r->resume_asked)
            break;
    }
    return len;
}

static enum MHD_Result too_large(struct http_request *r) {
    http_conn_send_problem(r->conn, 413, "the body is larger than this path takes");
    r->gone = true; /* answered, but not through MHD */
    http_request_count(r, STATUS_4XX);
    return MHD_NO;
}

static enum MHD_Result on_body_piece(struct http_request *r, const char *data, size_t *len) {
    if (r->paused)
        return MHD_YES;
    if (r->replied) {
        /* An answer that came early goes out when the client has finished; what it still sends is dropped. */
        http_conn_body_progress(r->conn, *len);
        *len = 0;
        return MHD_YES;
    }
    if (*len > r->body_max - r->body_received)
        return too_large(r);
    if (r->route->on_body) {
        *len = stream_piece(r, data, *len);
        if (*len) {
            r->paused = true;
            http_conn_set(r->conn, CONN_BODY, USEC_NEVER);
            MHD_suspend_connection(r->conn->mhd);
        }
        return MHD_YES;
    }
    r->body_received += *len;
    http_conn_body_progress(r->conn, *len);
    if (!buf_append(&r->body, data, *len))
        http_request_set_response(r, 503, NULL, NULL);
    *len = 0;
    return MHD_YES;
}

void http_request_resume_body(struct http_request *r) {
    r->resume_asked = true;
    if (!r->paused)
        return;
    r->paused = false;
    r->conn->window_bytes = 0;
    http_conn_set(r->conn, CONN_BODY, loop_now(r->server->loop) + r->server->options.read_timeout_usec);
    MHD_resume_connection(r->conn->mhd);
    http_server_wake(r->server);
}

static void dispatch(struct http_request *r) {
    const struct http_route *route = r->route;
    r->completed_at = clock_now_usec();
    usec_t limit = route->deadline_usec ? route->deadline_usec : r->server->options.deadline_usec;
    r->deadline = limit == USEC_NEVER ? USEC_NEVER : r->completed_at + limit;
    http_conn_set(r->conn, CONN_HANDLING, USEC_NEVER);
    if (r->streaming) {
        r->streaming = false;
        (void)call_on_body(r, NULL, 0);
    } else {
        call_handler(r);
    }
}

/* The last call(s) of the access handler for a request: all of it is there. Without an answer yet the connection is
 * suspended, but only at MHD's second try: by then MHD has noted that it does not want to read, and so does not
 * trip over the EOF of a half-closed client when it resumes. */
static enum MHD_Result on_complete(struct http_request *r) {
    if (!r->complete) {
        r->complete = true;
        if (!r->replied)
            dispatch(r);
    }
    if (r->replied)
        return queue_response(r);
    if (!r->held) {
        r->held = true;
        return MHD_YES;
    }
    r->suspended = true;
    loop_timer_set(r->server->loop, &r->timer, r->deadline);
    MHD_suspend_connection(r->conn->mhd);
    return MHD_YES;
}

static enum MHD_Result on_access(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                                 const char *version, const char *data, size_t *len, void **context) {
    struct http_request *r = *context;
    (void)cls;
    (void)mhd;
    (void)url;
    if (!r)
        return MHD_NO; /* there was no memory for it */
    if (!r->head_seen)
        return on_head(r, method, version);
    return *len ? on_body_piece(r, data, len) : on_complete(r);
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode code) {
    struct http_server *server = cls;
    struct http_request *r = *context;
    (void)mhd;
    (void)code;
    *context = NULL;
    if (!r)
        return;
    struct http_conn *conn = r->conn;
    conn->idle_since = loop_now(server->loop);
    http_conn_idle(conn, conn->idle_since);
    http_request_detach(r);
    http_server_one_less(server);
}

void http_request_deadline_passed(struct loop_timer *timer) {
    struct http_request *r = CONTAINER_OF(timer, struct http_request, timer);
    http_reply_header(r, "Retry-After", "1");
    http_reply_problem(r, 503, "no answer within the deadline; try again", NULL, 0);
    r->timed_out = true;
}

/* -- the server -- */

static bool register_metrics(struct http_server *server) {
    static const char *const classes[STATUS_CLASSES] = {"2xx", "3xx", "4xx", "5xx", "aborted"};
    const char *name = server->options.name;
    char labels[256];
    for (size_t i = 0; i <= server->route_count; i++) {
        const struct http_route *route = i < server->route_count ? &server->options.routes[i] : NULL;
        const char *path = route ? route->path : "none", *method = route ? route->method : "any";
        struct route_metrics *m = &server->metrics[i];
        for (size_t c = 0; c < STATUS_CLASSES; c++) {
            (void)snprintf(labels, sizeof(labels), "server=\"%s\",route=\"%s\",method=\"%s\",status=\"%s\"", name, path,
                           method, classes[c]);
            m->requests[c] =
                metrics_counter("readside_http_requests_total", "HTTP requests answered or given up", labels);
        }
        (void)snprintf(labels, sizeof(labels), "server=\"%s\",route=\"%s\",method=\"%s\"", name, path, method);
        m->duration = metrics_histogram("readside_http_request_duration_seconds",
                                        "Time from the complete request to its reply", labels);
    }
    (void)snprintf(labels, sizeof(labels), "server=\"%s\"", name);
    server->accepted = metrics_counter("readside_http_connections_total", "Connections taken", labels);
    server->closed = metrics_counter("readside_http_connections_closed_total", "Connections closed", labels);
    server->refused = metrics_counter("readside_http_connections_refused_total",
                                      "Connections refused because connections_max is reached", labels);
    return true;
}

static void set_defaults(struct http_server_options *o) {
    o->body_max_bytes = o->body_max_bytes ? o->body_max_bytes : MIB;
    o->header_max_bytes = o->header_max_bytes ? o->header_max_bytes : (size_t)16 << 10;
    o->connections_max = o->connections_max ? o->connections_max : 1000;
    o->deadline_usec = o->deadline_usec ? o->deadline_usec : 10 * USEC_PER_SEC;
    o->read_timeout_usec = o->read_timeout_usec ? o->read_timeout_usec : 10 * USEC_PER_SEC;
    o->idle_timeout_usec = o->idle_timeout_usec ? o->idle_timeout_usec : 60 * USEC_PER_SEC;
}

static bool start_daemon(struct http_server *server, struct error *reterr) {
    const struct http_server_options *o = &server->options;
    /* Per connection: the head of a request and what MHD notes about it, then a piece of body and the reply's head.
     * Beyond header_max there is room to read a head that is somewhat too long and to refuse it properly. */
    size_t pool = o->header_max_bytes * 2 + ((size_t)8 << 10);
    static const unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET;
    server->daemon =
        MHD_start_daemon(flags, 0, NULL, NULL, on_access, server, MHD_OPTION_CONNECTION_LIMIT, o->connections_max,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, pool, MHD_OPTION_STRICT_FOR_CLIENT, 1,
                         MHD_OPTION_NOTIFY_CONNECTION, http_conn_notify, server, MHD_OPTION_NOTIFY_COMPLETED,
                         on_completed, server, MHD_OPTION_URI_LOG_CALLBACK, on_target, server, MHD_OPTION_END);
    if (!server->daemon)
        return error_set(reterr, ERROR_INTERNAL, "HTTP server %s: libmicrohttpd does not start", o->name);
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (!info)
        return error_set(reterr, ERROR_INTERNAL, "HTTP server %s: libmicrohttpd has no epoll", o->name);
    server->watch = (struct loop_fd){.fd = info->epoll_fd, .cb = on_mhd_ready};
    return loop_fd_add(server->loop, &server->watch, EPOLLIN, reterr);
}

static bool build(struct http_server *server, struct error *reterr) {
    static char no_memory[] = "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,"
                              "\"detail\":\"out of memory\"}\n";
    server->router = http_router_new(server->options.routes, reterr);
    if (!server->router)
        return false;
    while (server->options.routes[server->route_count].method)
        server->route_count++;
    server->metrics = calloc(server->route_count + 1, sizeof(*server->metrics));
    server->no_memory = MHD_create_response_from_buffer(sizeof(no_memory) - 1, no_memory, MHD_RESPMEM_PERSISTENT);
    if (!server->metrics || !server->no_memory ||
        MHD_add_response_header(server->no_memory, "Content-Type", "application/problem+json") != MHD_YES ||
        MHD_add_response_header(server->no_memory, "Retry-After", "1") != MHD_YES)
        return error_nomem(reterr);
    return register_metrics(server) && start_daemon(server, reterr);
}

static void on_drained(struct loop_timer *timer) {
    (void)timer;
}

struct http_server *http_server_new(struct loop *loop, const struct http_server_options *options,
                                    struct error *reterr) {
    struct http_server *server = calloc(1, sizeof(*server));
    if (!server) {
        error_nomem(reterr);
        return NULL;
    }
    server->loop = loop;
    server->options = *options;
    set_defaults(&server->options);
    server->hook.cb = before_wait;
    server->drained.cb = on_drained;
    loop_hook_add(loop, &server->hook);
    if (!build(server, reterr)) {
        http_server_free(server);
        return NULL;
    }
    return server;
}

/* A connection that is not merely kept alive. */
static bool anything_under_way(const struct http_server *server) {
    for (const struct http_conn *conn = server->conns; conn; conn = conn->next)
        if (conn->request || conn->phase == CONN_SENDING)
            return true;
    return server->linger_count > 0;
}

static void give_up(struct http_server *server) {
    for (struct http_conn *conn = server->conns; conn; conn = conn->next) {
        struct http_request *r = conn->request;
        if (r && (r->suspended || r->paused)) {
            r->suspended = r->paused = false;
            MHD_resume_connection(conn->mhd); /* MHD must not stop with suspended connections */
        }
        if (r && !r->replied) {
            r->gone = true;
            r->replied = true;
            http_request_count(r, STATUS_ABORTED);
        }
    }
}

/* By then whoever is under way has been answered. */
static usec_t last_deadline(const struct http_server *server) {
    usec_t last = clock_now_usec() + server->options.deadline_usec;
    for (const struct http_conn *conn = server->conns; conn; conn = conn->next)
        if (conn->request && conn->request->deadline > last)
            last = conn->request->deadline;
    return last;
}

void http_server_free(struct http_server *server) {
    if (!server)
        return;
    http_server_drain(server);
    usec_t until = last_deadline(server) + DRAIN_GRACE_USEC;
    while (server->daemon && anything_under_way(server) && clock_now_usec() < until)
        (void)loop_run_once(server->loop, until);
    give_up(server);
    loop_hook_remove(server->loop, &server->hook);
    loop_fd_remove(server->loop, &server->watch);
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    http_linger_free_all(server);
    loop_timer_cancel(server->loop, &server->drained);
    http_request_free_pool(server);
    if (server->no_memory)
        MHD_destroy_response(server->no_memory);
    http_router_free(server->router);
    free(server->metrics);
    free(server);
}

void http_server_adopt(struct http_server *server, int fd, const void *addr, unsigned addrlen) {
    if (server->conn_count >= server->options.connections_max) {
        static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
                                   "Connection: close\r\n\r\n";
        metric_inc(server->refused);
        (void)!send(fd, busy, sizeof(busy) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        close(fd);
        return;
    }
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)MHD_add_connection(server->daemon, fd, addr, addrlen); /* closes fd if it fails */
    http_server_wake(server);
}

unsigned http_server_active(const struct http_server *server) {
    return server->active;
}

void http_server_drain(struct http_server *server) {
    server->draining = true;
}

const char *http_server_library_version(void) {
    return MHD_get_version();
}
