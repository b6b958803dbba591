/* The request object: made from a pool, its head copied out of MHD's memory (which ends with the connection, while
 * a handler may hold the request longer), and what handlers read from it. */
#include "core/cleanup.h"
#include "core/http_server_internal.h"
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <strings.h>

#define ARENA_MAX_BYTES ((size_t)64 << 20)
#define KEEP_BODY_BYTES ((size_t)64 << 10)
#define KEEP_REQUESTS 256

static struct http_request *take_request(struct http_server *server) {
    struct http_request *r = server->idle;
    if (r) {
        server->idle = r->next;
        server->idle_count--;
        return r;
    }
    r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    arena_init(&r->arena, ARENA_MAX_BYTES);
    buf_init(&r->body, MIB);
    return r;
}

static void link_live(struct http_server *server, struct http_request *r) {
    r->server = server;
    r->loop = server->loop;
    r->prev = NULL;
    r->next = server->live;
    if (r->next)
        r->next->prev = r;
    server->live = r;
}

static void unlink_live(struct http_request *r) {
    if (r->prev)
        r->prev->next = r->next;
    else
        r->server->live = r->next;
    if (r->next)
        r->next->prev = r->prev;
}

static void free_request(struct http_request *r) {
    arena_done(&r->arena);
    buf_done(&r->body);
    free(r);
}

void http_request_drop_response(struct http_request *r) {
    if (r->response && r->response != r->server->no_memory)
        MHD_destroy_response(r->response);
    r->response = NULL;
}

static void release_request(struct http_request *r) {
    struct http_server *server = r->server;
    struct http_request *outer = r->outer;
    if (r->release)
        r->release(r->data);
    if (server) {
        http_request_drop_response(r);
        unlink_live(r);
    }
    if (!server || server->idle_count >= KEEP_REQUESTS) {
        free_request(r);
    } else {
        struct arena arena = r->arena;
        struct buf body = r->body;
        arena_reset(&arena);
        buf_reset(&body);
        buf_shrink(&body, KEEP_BODY_BYTES);
        *r = (struct http_request){.arena = arena, .body = body, .next = server->idle};
        server->idle = r;
        server->idle_count++;
    }
    http_request_unref(outer);
}

void http_request_free_pool(struct http_server *server) {
    while (server->idle) {
        struct http_request *r = server->idle;
        server->idle = r->next;
        free_request(r);
    }
    for (struct http_request *r = server->live; r; r = r->next) {
        http_request_drop_response(r);
        r->server = NULL;
    }
}

struct http_request *http_request_new(struct http_server *server, struct http_conn *conn, const char *target) {
    struct http_request *r = take_request(server);
    if (!r)
        return NULL;
    link_live(server, r);
    r->refs = 1;
    r->metrics = &server->metrics[server->route_count];
    r->timer.cb = http_request_deadline_passed;
    r->deadline = USEC_NEVER;
    r->raw_target = target;
    r->target_len = target ? strlen(target) : 0;
    r->target = arena_strndup(&r->arena, target ? target : "", r->target_len);
    if (!r->target) {
        release_request(r);
        return NULL;
    }
    r->conn = conn;
    conn->request = r;
    r->counted = true;
    server->active++;
    return r;
}

struct http_request *http_request_inner(struct http_request *outer, unsigned number, http_inner_reply *reply, void *data) {
    struct http_request *r = outer->server ? take_request(outer->server) : NULL;
    if (!r)
        return NULL;
    link_live(outer->server, r);
    r->refs = 1;
    r->outer = http_request_ref(outer);
    r->inner_reply = reply;
    r->inner_data = data;
    r->method = outer->method;
    r->route = outer->route;
    r->trace = outer->trace;
    r->scopes = outer->scopes;
    r->deadline = outer->deadline;
    snprintf(r->id, sizeof(r->id), "%.52s-%u", outer->id, number);
    return r;
}

struct http_request *http_request_outer(struct http_request *r) {
    return r->outer ? http_request_outer(r->outer) : r;
}

struct http_request *http_request_ref(struct http_request *r) {
    r->refs++;
    return r;
}

void http_request_unref(struct http_request *r) {
    if (r && --r->refs == 0)
        release_request(r);
}

/* -- the head -- */

static bool list_append(struct arena *arena, struct uri_pair **list, size_t *count, size_t *room, struct slice key,
                        struct slice value) {
    if (*count == *room) {
        size_t longer = *room ? *room * 2 : 16;
        struct uri_pair *copy = arena_alloc(arena, longer * sizeof(*copy));
        if (!copy)
            return false;
        if (*count)
            memcpy(copy, *list, *count * sizeof(*copy));
        *list = copy;
        *room = longer;
    }
    const char *k = arena_strndup(arena, key.data, key.len), *v = arena_strndup(arena, value.data, value.len);
    if (!k || !v)
        return false;
    (*list)[(*count)++] = (struct uri_pair){{k, key.len}, {v, value.len}};
    return true;
}

static enum MHD_Result copy_header(void *cls, enum MHD_ValueKind kind, const char *key, size_t key_size,
                                   const char *value, size_t value_size) {
    struct http_request *r = cls;
    (void)kind;
    struct slice v = {value ? value : "", value ? value_size : 0};
    return list_append(&r->arena, &r->headers, &r->header_count, &r->header_room, (struct slice){key, key_size}, v)
               ? MHD_YES
               : MHD_NO;
}

static bool id_is_usable(struct slice id) {
    if (!id.len || id.len >= REQUEST_ID_SIZE)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.data[i];
        bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!word && !strchr("-_.:=+/", c))
            return false;
    }
    return true;
}

static void identify(struct http_request *r) {
    struct trace caller;
    struct slice parent = http_request_header(r, "traceparent"), id = http_request_header(r, "X-Request-Id");
    if (parent.data && trace_parse(parent.data, parent.len, &caller))
        trace_child(&caller, &r->trace);
    else
        trace_new(&r->trace);
    if (id_is_usable(id)) {
        memcpy(r->id, id.data, id.len);
        r->id[id.len] = '\0';
    } else {
        char hex[TRACE_ID_HEX_SIZE];
        trace_id_hex(&r->trace, hex);
        memcpy(r->id, hex, sizeof(hex));
    }
}

static void split_target(struct http_request *r) {
    const char *path = r->target;
    /* The absolute form of RFC 9112 3.2.2, which every server must take. */
    if (strncasecmp(path, "http://", 7) == 0 || strncasecmp(path, "https://", 8) == 0) {
        path = strstr(path, "://") + 3;
        path += strcspn(path, "/?");
    }
    size_t len = strcspn(path, "?#");
    r->path = len ? (struct slice){path, len} : SLICE("/");
    if (path[len] == '?') {
        const char *query = path + len + 1;
        r->query = (struct slice){query, strcspn(query, "#")};
    }
}

bool http_request_read_head(struct http_request *r, const char *method, const char *version) {
    struct MHD_Connection *mhd = r->conn->mhd;
    r->head_seen = true;
    r->method = arena_strdup(&r->arena, method);
    if (!r->method || MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, NULL, NULL) < 0)
        return false;
    int expected = MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, NULL, NULL);
    MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, copy_header, r);
    if (r->header_count != (size_t)expected)
        return false;
    split_target(r);
    identify(r);
    /* The version stands right behind the target in MHD's buffer: a gap means a NUL inside the target. */
    const char *end = r->raw_target ? r->raw_target + r->target_len : NULL;
    if (end && version - end != 1)
        r->path = (struct slice){NULL, 0};
    r->raw_target = NULL;
    return true;
}

/* -- the end -- */

void http_request_detach(struct http_request *r) {
    struct http_server *server = r->server;
    loop_timer_cancel(server->loop, &r->timer);
    if (!r->replied && !r->gone) {
        r->gone = true;
        http_request_count(r, STATUS_ABORTED);
    }
    if (r->counted) {
        r->counted = false;
        server->active--;
    }
    r->paused = r->suspended = false;
    r->conn->request = NULL;
    r->conn = NULL;
    if (r->streaming) {
        r->streaming = false;
        r->gone = r->gone || !r->complete;
        (void)r->route->on_body(r, NULL, 0, server->options.ctx);
    }
    http_request_unref(r);
}

bool http_request_aborted(const struct http_request *r) {
    if (r->outer)
        return http_request_aborted(r->outer);
    if (r->gone || r->timed_out)
        return true;
    if (!r->conn)
        return false;
    /* MHD does not look at a suspended connection; a half-closed one is still waiting for its answer. */
    struct pollfd p = {.fd = r->conn->fd};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

/* -- accessors -- */

struct loop *http_request_loop(const struct http_request *r) {
    return r->loop;
}

struct arena *http_request_arena(struct http_request *r) {
    return &r->arena;
}

const char *http_request_method(const struct http_request *r) {
    return r->method;
}

const struct http_route *http_request_route(const struct http_request *r) {
    return r->route;
}

const struct http_server_options *http_request_server_options(const struct http_request *r) {
    return &r->server->options;
}

struct slice http_request_path(const struct http_request *r) {
    return r->path;
}

struct slice http_request_query(const struct http_request *r) {
    return r->query;
}

struct slice http_request_param(const struct http_request *r, const char *name) {
    for (size_t i = 0; i < r->param_count; i++)
        if (slice_eq(r->params[i].key, slice_str(name)))
            return r->params[i].value;
    return (struct slice){NULL, 0};
}

struct slice http_request_header(const struct http_request *r, const char *name) {
    size_t len = strlen(name);
    for (size_t i = 0; i < r->header_count; i++)
        if (r->headers[i].key.len == len && strncasecmp(r->headers[i].key.data, name, len) == 0)
            return r->headers[i].value;
    return (struct slice){NULL, 0};
}

struct slice http_request_body(const struct http_request *r) {
    return (struct slice){r->body.data, r->body.len};
}

const struct trace *http_request_trace(const struct http_request *r) {
    return &r->trace;
}

unsigned http_request_scopes(const struct http_request *r) {
    return r->scopes;
}

void http_request_set_scopes(struct http_request *r, unsigned scopes) {
    r->scopes = scopes;
}

struct slice http_request_peer(struct http_request *r) {
    const union MHD_ConnectionInfo *info =
        r->conn && !r->peer_len ? MHD_get_connection_info(r->conn->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS) : NULL;
    const struct sockaddr *addr = info ? info->client_addr : NULL;
    if (addr && addr->sa_family == AF_INET)
        memcpy(r->peer, &((const struct sockaddr_in *)(const void *)addr)->sin_addr, r->peer_len = 4);
    else if (addr && addr->sa_family == AF_INET6)
        memcpy(r->peer, &((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr, r->peer_len = 16);
    return (struct slice){r->peer_len ? r->peer : NULL, r->peer_len};
}

const char *http_request_id(const struct http_request *r) {
    return r->id;
}

usec_t http_request_deadline(const struct http_request *r) {
    return r->deadline;
}

void http_request_put_off(struct http_request *r, usec_t deadline) {
    r->deadline = deadline > r->deadline ? deadline : r->deadline;
}

void *http_request_data(const struct http_request *r) {
    return r->data;
}

void http_request_set_data(struct http_request *r, void *data, void (*release)(void *data)) {
    r->data = data;
    r->release = release;
}

void http_reply_header(struct http_request *r, const char *name, const char *value) {
    if (r->replied || strpbrk(value, "\r\n"))
        return;
    (void)list_append(&r->arena, &r->reply_headers, &r->reply_header_count, &r->reply_header_room, slice_str(name),
                      slice_str(value));
}
