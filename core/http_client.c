#include "core/http_client.h"
#include "core/cleanup.h"
#include <curl/curl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define DEFAULT_CONNECTIONS 16
#define DEFAULT_CONNECT_TIMEOUT_USEC (2 * USEC_PER_SEC)
#define DEFAULT_RESPONSE_MAX ((size_t)64 << 20)
#define UPLOAD_BUFFER_BYTES (512L << 10)   /* fewer, larger writes of a bulk body */
#define UPLOAD_BUFFER_FROM ((size_t)64 << 10) /* curl sends smaller bodies together with the header, unbuffered */
#define RECEIVE_BUFFER_BYTES (64L << 10)
#define RESERVE_MAX ((curl_off_t)16 << 20) /* how much of an announced length is believed at once */
#define KEEP_BODY_BYTES ((size_t)256 << 10)
#define KEEP_CALLS 256

/* An answer being read: shared by calls of the loop and the blocking call. */
struct receiver {
    CURL *easy;
    struct buf *body;
    bool too_large;
    char detail[CURL_ERROR_SIZE];
};

struct http_call {
    struct http_client *client;
    struct http_call *next, *prev; /* active: doubly linked; idle: a stack by next */
    struct receiver receiver;
    struct buf body;
    http_client_callback *callback;
    void *ctx;
    /* Header lines in front of the client's shared list. Nodes are ours, so the usual call allocates none. */
    struct curl_slist traceparent_node, content_type_node;
    char traceparent[80], content_type[128];
    struct curl_slist *extra; /* of request->headers */
    /* Ours rather than CURLOPT_TIMEOUT_MS: curl 7.88 does not time out a call that waits for a free connection, and
     * it is one entry less in curl's own timer tree for every call. */
    struct loop_timer timer;
    usec_t timeout_usec;
    bool large_upload;
};

/* One socket of curl's; kept by curl_multi_assign, so a reused descriptor number cannot mix up two of them. */
struct client_socket {
    struct loop_fd watch;
    struct http_client *client;
    struct client_socket *next; /* idle */
};

struct http_client {
    struct loop *loop;
    CURLM *multi;
    struct loop_timer timer;
    struct http_call *active, *idle;
    unsigned active_count, idle_count;
    struct client_socket *idle_sockets;
    bool collecting; /* inside collect_finished */
    struct curl_slist *json_headers, *plain_headers; /* with and without Content-Type: application/json */
    unsigned connections_max;
    long connect_timeout_msec;
    bool tls_verify_off;
    char *user, *password, *ca_file, *cert_file, *key_file;
};

/* -- set-up -- */

static void init_curl(void) {
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void global_init(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_curl);
}

static bool append_header(struct curl_slist **list, const char *line) {
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (longer)
        *list = longer;
    return longer != NULL;
}

static bool copy_string(char **ret, const char *s) {
    return !s || (*ret = strdup(s)) != NULL;
}

static bool copy_options(struct http_client *client, const struct http_client_options *o) {
    client->connections_max = o->connections_max ? o->connections_max : DEFAULT_CONNECTIONS;
    usec_t connect = o->connect_timeout_usec ? o->connect_timeout_usec : DEFAULT_CONNECT_TIMEOUT_USEC;
    client->connect_timeout_msec = (long)((connect + USEC_PER_MSEC - 1) / USEC_PER_MSEC);
    client->tls_verify_off = o->tls_verify_off;
    /* "Expect:" switches curl's wait for 100 Continue off: it costs a round trip for every bulk above 1 MiB. */
    if (!append_header(&client->plain_headers, "Expect:") || !append_header(&client->json_headers, "Expect:") ||
        !append_header(&client->json_headers, "Content-Type: application/json"))
        return false;
    if (o->api_key) {
        struct buf line = BUF_INIT(8192);
        buf_printf(&line, "Authorization: ApiKey %s", o->api_key);
        bool ok = buf_ok(&line) && append_header(&client->plain_headers, line.data) &&
                  append_header(&client->json_headers, line.data);
        buf_done(&line);
        if (!ok)
            return false;
    }
    return copy_string(&client->user, o->user) && copy_string(&client->password, o->password) &&
           copy_string(&client->ca_file, o->ca_file) && copy_string(&client->cert_file, o->cert_file) &&
           copy_string(&client->key_file, o->key_file);
}

static void free_options(struct http_client *client) {
    curl_slist_free_all(client->json_headers);
    curl_slist_free_all(client->plain_headers);
    free(client->user);
    free(client->password);
    free(client->ca_file);
    free(client->cert_file);
    free(client->key_file);
}

static size_t on_data(char *data, size_t size, size_t count, void *ctx) {
    struct receiver *r = ctx;
    size_t len = size * count;
    curl_off_t announced = -1;
    if (r->body->len == 0 && curl_easy_getinfo(r->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced) == CURLE_OK &&
        announced > (curl_off_t)len && announced <= RESERVE_MAX)
        (void)buf_reserve(r->body, (size_t)announced);
    if (buf_append(r->body, data, len))
        return len;
    r->too_large = true;
    return 0;
}

/* What stays the same for every call of a handle. */
static CURL *new_easy(struct http_client *client, struct receiver *receiver) {
    CURL *easy = curl_easy_init();
    if (!easy)
        return NULL;
    receiver->easy = easy;
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* servers are named by the configuration, never by http_proxy */
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER_BYTES);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, client->connect_timeout_msec);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, receiver);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, receiver->detail);
    if (client->user) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(easy, CURLOPT_USERNAME, client->user);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, client->password ? client->password : "");
    }
    if (client->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, client->ca_file);
    if (client->cert_file)
        curl_easy_setopt(easy, CURLOPT_SSLCERT, client->cert_file);
    if (client->key_file)
        curl_easy_setopt(easy, CURLOPT_SSLKEY, client->key_file);
    if (client->tls_verify_off) {
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    return easy;
}

static void free_call(struct http_call *call) {
    if (!call)
        return;
    curl_easy_cleanup(call->receiver.easy);
    curl_slist_free_all(call->extra);
    buf_done(&call->body);
    free(call);
}

static struct http_call *new_call(struct http_client *client) {
    struct http_call *call = calloc(1, sizeof(*call));
    if (!call)
        return NULL;
    call->client = client;
    buf_init(&call->body, DEFAULT_RESPONSE_MAX);
    call->receiver.body = &call->body;
    if (!new_easy(client, &call->receiver)) {
        free_call(call);
        return NULL;
    }
    curl_easy_setopt(call->receiver.easy, CURLOPT_PRIVATE, call);
    return call;
}

/* -- one request -- */

static void set_method(CURL *easy, const struct http_client_request *request) {
    const char *method = request->method ? request->method : "GET";
    bool post = strcmp(method, "POST") == 0;
    curl_easy_setopt(easy, CURLOPT_NOBODY, 0L);
    if (request->body.len || post) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body.len ? request->body.data : "");
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, post ? NULL : method);
    } else if (strcmp(method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, NULL);
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, strcmp(method, "GET") == 0 ? NULL : method);
    }
}

/* Writes "name: value" into a node's own memory and puts the node before the list. False if it does not fit. */
static bool push_header(struct curl_slist **list, struct curl_slist *node, char *line, size_t size, const char *name,
                        const char *value) {
    size_t name_len = strlen(name), value_len = strlen(value);
    if (name_len + value_len + 1 > size)
        return false;
    memcpy(line, name, name_len);
    memcpy(line + name_len, value, value_len + 1);
    node->data = line;
    node->next = *list;
    *list = node;
    return true;
}

static bool set_headers(struct http_call *call, const struct http_client_request *request, struct error *reterr) {
    struct http_client *client = call->client;
    const char *type = request->content_type;
    bool json = request->body.len > 0 && (!type || strcmp(type, "application/json") == 0);
    struct curl_slist *list = json ? client->json_headers : client->plain_headers;
    if (!json && type &&
        !push_header(&list, &call->content_type_node, call->content_type, sizeof(call->content_type),
                     "Content-Type: ", type))
        return error_set(reterr, ERROR_INVALID, "content type is longer than %zu bytes: %s", sizeof(call->content_type),
                         type);
    /* Without it curl would send its own "application/x-www-form-urlencoded" for an empty POST. */
    if (!json && !type)
        push_header(&list, &call->content_type_node, call->content_type, sizeof(call->content_type),
                    "Content-Type:", "");
    if (request->traceparent &&
        !push_header(&list, &call->traceparent_node, call->traceparent, sizeof(call->traceparent), "traceparent: ",
                     request->traceparent))
        return error_set(reterr, ERROR_INVALID, "traceparent is too long: %s", request->traceparent);
    for (const char *const *line = request->headers; line && *line; line++)
        if (!append_header(&call->extra, *line))
            return error_nomem(reterr);
    if (call->extra) {
        struct curl_slist *last = call->extra;
        while (last->next)
            last = last->next;
        last->next = list;
        list = call->extra;
    }
    if (curl_easy_setopt(call->receiver.easy, CURLOPT_HTTPHEADER, list) != CURLE_OK)
        return error_nomem(reterr);
    return true;
}

/* Cuts the borrowed nodes off the call's own header lines, then frees those. */
static void drop_extra_headers(struct http_call *call) {
    const struct http_client *client = call->client;
    for (struct curl_slist *node = call->extra; node; node = node->next)
        if (node->next == &call->traceparent_node || node->next == &call->content_type_node ||
            node->next == client->json_headers || node->next == client->plain_headers)
            node->next = NULL;
    curl_slist_free_all(call->extra);
    call->extra = NULL;
}

static bool prepare(struct http_call *call, const struct http_client_request *request, struct error *reterr) {
    CURL *easy = call->receiver.easy;
    if (!request->timeout_usec)
        return error_set(reterr, ERROR_INVALID, "call of %s without a timeout", request->url);
    CURLcode code = curl_easy_setopt(easy, CURLOPT_URL, request->url);
    if (code != CURLE_OK)
        return error_set(reterr, code == CURLE_OUT_OF_MEMORY ? ERROR_INTERNAL : ERROR_INVALID, "URL %.120s: %s",
                         request->url, curl_easy_strerror(code));
    set_method(easy, request);
    if (!set_headers(call, request, reterr))
        return false;
    bool large = request->body.len > UPLOAD_BUFFER_FROM;
    if (large && !call->large_upload)
        curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER_BYTES);
    call->large_upload = call->large_upload || large;
    call->timeout_usec = request->timeout_usec;
    call->receiver.too_large = false;
    call->receiver.detail[0] = '\0';
    buf_reset(&call->body);
    call->body.max = request->response_max_bytes ? request->response_max_bytes : DEFAULT_RESPONSE_MAX;
    return true;
}

/* "host:port" of a URL, for messages; user information is left out. */
static struct slice authority(const char *url) {
    const char *start = strstr(url, "://");
    start = start ? start + 3 : url;
    size_t len = strcspn(start, "/?#");
    for (size_t i = len; i-- > 0;)
        if (start[i] == '@')
            return (struct slice){start + i + 1, len - i - 1};
    return (struct slice){start, len};
}

/* Fills response->error and ->sent from what curl says. */
static void judge(const struct receiver *receiver, CURLcode code, usec_t timeout_usec, struct http_response *response) {
    long status = 0, request_bytes = 0;
    char *url = NULL;
    curl_easy_getinfo(receiver->easy, CURLINFO_REQUEST_SIZE, &request_bytes);
    curl_easy_getinfo(receiver->easy, CURLINFO_EFFECTIVE_URL, &url);
    struct slice host = authority(url ? url : "");
    int host_len = host.len > 80 ? 80 : (int)host.len;
    response->sent = request_bytes > 0;
    if (code == CURLE_OK) {
        curl_easy_getinfo(receiver->easy, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(receiver->easy, CURLINFO_CONTENT_TYPE, &response->content_type);
        response->status = (int)status;
        return;
    }
    struct error *error = &response->error;
    const char *detail = receiver->detail[0] ? receiver->detail : curl_easy_strerror(code);
    if (receiver->too_large)
        error_set(error, ERROR_INVALID, "%.*s: the answer is larger than %zu bytes, or there is no memory for it",
                  host_len, host.data, receiver->body->max);
    else if (code == CURLE_OPERATION_TIMEDOUT && response->sent)
        error_set(error, ERROR_TIMEOUT, "%.*s: no answer within %llu ms", host_len, host.data,
                  (unsigned long long)(timeout_usec / USEC_PER_MSEC));
    else if (code == CURLE_OPERATION_TIMEDOUT)
        error_set(error, ERROR_UNAVAILABLE, "%.*s: no connection in time: %.120s", host_len, host.data, detail);
    else if (code == CURLE_OUT_OF_MEMORY)
        error_nomem(error);
    else if ((code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL) && !response->sent)
        error_set(error, ERROR_INVALID, "URL %.100s: %.100s", url ? url : "", detail);
    else
        error_set(error, ERROR_UNAVAILABLE, "%.*s: %.140s", host_len, host.data, detail);
}

/* -- calls under way -- */

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
    drop_extra_headers(call);
    buf_reset(&call->body);
    buf_shrink(&call->body, KEEP_BODY_BYTES);
    if (client->idle_count >= KEEP_CALLS) {
        free_call(call);
        return;
    }
    call->next = client->idle;
    client->idle = call;
    client->idle_count++;
}

static void finish(struct http_call *call, CURLcode code) {
    struct http_response response = {.body = &call->body};
    judge(&call->receiver, code, call->timeout_usec, &response);
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

static struct client_socket *take_socket(struct http_client *client) {
    struct client_socket *s = client->idle_sockets;
    if (s)
        client->idle_sockets = s->next;
    else
        s = malloc(sizeof(*s));
    if (s)
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
    if (s)
        return loop_fd_set(client->loop, &s->watch, events, NULL) ? 0 : -1;
    s = take_socket(client);
    if (!s)
        return -1;
    s->watch = (struct loop_fd){.fd = fd, .cb = on_socket_ready};
    if (!loop_fd_add(client->loop, &s->watch, events, NULL)) {
        s->next = client->idle_sockets;
        client->idle_sockets = s;
        return -1;
    }
    curl_multi_assign(client->multi, fd, s);
    return 0;
}

struct http_client *http_client_new(struct loop *loop, const struct http_client_options *options,
                                    struct error *reterr) {
    global_init();
    struct http_client *client = calloc(1, sizeof(*client));
    if (!client || !copy_options(client, options) || !(client->multi = curl_multi_init())) {
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
        free_call(call);
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
    free_options(client);
    free(client);
}

struct http_call *http_client_start(struct http_client *client, const struct http_client_request *request,
                                    http_client_callback *callback, void *ctx, struct error *reterr) {
    struct http_call *call = client->idle;
    if (call) {
        client->idle = call->next;
        client->idle_count--;
    } else if (!(call = new_call(client))) {
        error_nomem(reterr);
        return NULL;
    }
    if (!prepare(call, request, reterr)) {
        recycle(call);
        return NULL;
    }
    call->callback = callback;
    call->ctx = ctx;
    call->timer.cb = on_call_timeout;
    if (curl_multi_add_handle(client->multi, call->receiver.easy) != CURLM_OK) {
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
    global_init();
    const struct http_client_options none = {0};
    struct http_client client = {0};
    struct http_call *call = copy_options(&client, options ? options : &none) ? new_call(&client) : NULL;
    if (!call) {
        free_options(&client);
        return error_nomem(reterr);
    }
    bool ok = prepare(call, request, reterr);
    if (ok) {
        call->receiver.body = ret_body;
        curl_easy_setopt(call->receiver.easy, CURLOPT_TIMEOUT_MS,
                         (long)((request->timeout_usec + USEC_PER_MSEC - 1) / USEC_PER_MSEC));
        struct http_response response = {.body = ret_body};
        judge(&call->receiver, curl_easy_perform(call->receiver.easy), request->timeout_usec, &response);
        ok = response.error.code == ERROR_NONE;
        if (ok)
            *ret_status = response.status;
        else if (reterr)
            *reterr = response.error;
    }
    drop_extra_headers(call);
    free_call(call);
    free_options(&client);
    return ok;
}

const char *http_client_library_version(void) {
    return curl_version();
}
