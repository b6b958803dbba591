/* Calls on the loop: curl multi with its sockets and its timer in our epoll. */
#include "core/cleanup.h"
#include "core/http_client_internal.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define KEEP_BODY_BYTES ((size_t)256 << 10)
#define KEEP_CALLS 256
#define SOCKETS_PER_CALL 4 /* two of a connect by both IP versions, the name resolver's pair */

static void link_active(struct http_call *call) {
    struct http_client *client = call->client;
    loop_timer_set(client->loop, &call->timer, clock_now_usec() + call->timeout_usec);
    call->prev = NULL;
    call->next = client->active;
    if (client->active)
        client->active->prev = call;
    client->active = call;
    client->active_count++;
}

static void unlink_active(struct http_call *call) {
    struct http_client *client = call->client;
    loop_timer_cancel(client->loop, &call->timer);
    if (call->prev)
        call->prev->next = call->next;
    else
        client->active = call->next;
    if (call->next)
        call->next->prev = call->prev;
    client->active_count--;
}

static void recycle(struct http_call *call) {
    struct http_client *client = call->client;
    http_call_drop_headers(call);
    buf_reset(&call->body);
    buf_shrink(&call->body, KEEP_BODY_BYTES);
    if (client->idle_count >= KEEP_CALLS) {
        http_call_free(call);
        return;
    }
    call->next = client->idle;
    client->idle = call;
    client->idle_count++;
}

static void finish(struct http_call *call, CURLcode code) {
    struct http_response response = {.body = &call->body};
    http_call_judge(&call->receiver, code, call->timeout_usec, &response);
    curl_multi_remove_handle(call->client->multi, call->receiver.easy);
    unlink_active(call);
    call->callback(call->ctx, &response);
    recycle(call);
}

static void on_call_timeout(struct loop_timer *timer) {
    finish(CONTAINER_OF(timer, struct http_call, timer), CURLE_OPERATION_TIMEDOUT);
}

/* Never called from inside curl. A callback may start and cancel calls; what finishes by that is collected by
 * this same run. */
static void collect_finished(struct http_client *client) {
    if (client->collecting)
        return;
    client->collecting = true;
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(client->multi, &left));) {
        if (m->msg != CURLMSG_DONE)
            continue;
        CURLcode code = m->data.result; /* m dies with curl_multi_remove_handle */
        struct http_call *call = NULL;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &call);
        finish(call, code);
    }
    client->collecting = false;
}

static void on_timer(struct loop_timer *timer) {
    struct http_client *client = CONTAINER_OF(timer, struct http_client, timer);
    int running;
    curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect_finished(client);
}

static int on_curl_timer(CURLM *multi, long msec, void *ctx) {
    (void)multi;
    struct http_client *client = ctx;
    if (msec < 0)
        loop_timer_cancel(client->loop, &client->timer);
    else
        loop_timer_set(client->loop, &client->timer, clock_now_usec() + (usec_t)msec * USEC_PER_MSEC);
    return 0;
}

static void on_socket_ready(struct loop_fd *watch, uint32_t events) {
    struct http_client *client = CONTAINER_OF(watch, struct client_socket, watch)->client;
    int bits = (events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) | (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
               (events & EPOLLERR ? CURL_CSELECT_ERR : 0);
    int running;
    curl_multi_socket_action(client->multi, watch->fd, bits, &running);
    collect_finished(client);
}

/* The socket callback must not fail: curl 7.88 then takes the whole multi handle for dead, for good. So there is
 * memory for the sockets of a call before it starts; if epoll refuses one, that call runs into its timeout. */
static bool reserve_sockets(struct http_client *client) {
    while (client->sockets < (client->active_count + 1) * SOCKETS_PER_CALL) {
        struct client_socket *s = malloc(sizeof(*s));
        if (!s)
            return false;
        s->next = client->idle_sockets;
        client->idle_sockets = s;
        client->sockets++;
    }
    return true;
}

static struct client_socket *take_socket(struct http_client *client) {
    struct client_socket *s = client->idle_sockets;
    if (!s)
        return NULL;
    client->idle_sockets = s->next;
    *s = (struct client_socket){.client = client};
    return s;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket) {
    (void)easy;
    struct http_client *client = ctx;
    struct client_socket *s = socket;
    if (what == CURL_POLL_REMOVE) {
        if (s) {
            loop_fd_remove(client->loop, &s->watch);
            curl_multi_assign(client->multi, fd, NULL);
            s->next = client->idle_sockets;
            client->idle_sockets = s;
        }
        return 0;
    }
    uint32_t events = (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) | (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
    if (s) {
        (void)loop_fd_set(client->loop, &s->watch, events, NULL);
        return 0;
    }
    s = take_socket(client);
    if (!s)
        return 0;
    s->watch = (struct loop_fd){.fd = fd, .cb = on_socket_ready};
    if (!loop_fd_add(client->loop, &s->watch, events, NULL)) {
        s->next = client->idle_sockets;
        client->idle_sockets = s;
        return 0;
    }
    curl_multi_assign(client->multi, fd, s);
    return 0;
}

struct http_client *http_client_new(struct loop *loop, const struct http_client_options *options,
                                    struct error *reterr) {
    http_client_init_library();
    struct http_client *client = calloc(1, sizeof(*client));
    if (!client || !http_client_copy_options(client, options) || !(client->multi = curl_multi_init())) {
        error_nomem(reterr);
        http_client_free(client);
        return NULL;
    }
    client->loop = loop;
    client->timer.cb = on_timer;
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    curl_multi_setopt(client->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)client->connections_max);
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)client->connections_max);
    return client;
}

void http_client_free(struct http_client *client) {
    if (!client)
        return;
    while (client->active) {
        struct http_call *call = client->active;
        curl_multi_remove_handle(client->multi, call->receiver.easy);
        unlink_active(call);
        recycle(call);
    }
    while (client->idle) {
        struct http_call *call = client->idle;
        client->idle = call->next;
        http_call_free(call);
    }
    if (client->multi)
        curl_multi_cleanup(client->multi); /* closes kept connections; reports their sockets as removed */
    while (client->idle_sockets) {
        struct client_socket *s = client->idle_sockets;
        client->idle_sockets = s->next;
        free(s);
    }
    if (client->loop)
        loop_timer_cancel(client->loop, &client->timer);
    http_client_free_options(client);
    free(client);
}

struct http_call *http_client_start(struct http_client *client, const struct http_client_request *request,
                                    http_client_callback *callback, void *ctx, struct error *reterr) {
    struct http_call *call = client->idle;
    if (call) {
        client->idle = call->next;
        client->idle_count--;
    } else if (!(call = http_call_new(client))) {
        error_nomem(reterr);
        return NULL;
    }
    if (!http_call_prepare(call, request, reterr)) {
        recycle(call);
        return NULL;
    }
    call->callback = callback;
    call->ctx = ctx;
    call->timer.cb = on_call_timeout;
    if (!reserve_sockets(client) || curl_multi_add_handle(client->multi, call->receiver.easy) != CURLM_OK) {
        error_nomem(reterr);
        recycle(call);
        return NULL;
    }
    link_active(call);
    /* Sends now rather than in the next round. Whatever ends by this (a refused connection) is collected from the
     * timer, so that no callback runs before the caller has the handle. */
    int running = 0;
    curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    if ((unsigned)running < client->active_count && !client->collecting)
        loop_timer_set(client->loop, &client->timer, loop_now(client->loop));
    return call;
}

void http_client_cancel(struct http_client *client, struct http_call *call) {
    curl_multi_remove_handle(client->multi, call->receiver.easy);
    unlink_active(call);
    recycle(call);
}

bool http_client_call_blocking(const struct http_client_options *options, const struct http_client_request *request,
                               int *ret_status, struct buf *ret_body, struct error *reterr) {
    http_client_init_library();
    const struct http_client_options none = {0};
    struct http_client client = {0};
    struct http_call *call =
        http_client_copy_options(&client, options ? options : &none) ? http_call_new(&client) : NULL;
    if (!call) {
        http_client_free_options(&client);
        return error_nomem(reterr);
    }
    bool ok = http_call_prepare(call, request, reterr);
    if (ok) {
        call->receiver.body = ret_body;
        curl_easy_setopt(call->receiver.easy, CURLOPT_TIMEOUT_MS,
                         (long)((request->timeout_usec + USEC_PER_MSEC - 1) / USEC_PER_MSEC));
        struct http_response response = {.body = ret_body};
        http_call_judge(&call->receiver, curl_easy_perform(call->receiver.easy), request->timeout_usec, &response);
        ok = response.error.code == ERROR_NONE;
        if (ok)
            *ret_status = response.status;
        else if (reterr)
            *reterr = response.error;
    }
    http_call_drop_headers(call);
    http_call_free(call);
    http_client_free_options(&client);
    return ok;
}

const char *http_client_library_version(void) {
    return curl_version();
}
