/* One call as curl sees it: the easy handle, its headers and method, and what its end means. */
#include "core/cleanup.h"
#include "core/http_client_internal.h"
#include "core/uri.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UPLOAD_BUFFER_BYTES (512L << 10)      /* fewer, larger writes of a bulk body */
#define UPLOAD_BUFFER_FROM ((size_t)64 << 10) /* curl sends smaller bodies together with the header, unbuffered */
#define RECEIVE_BUFFER_BYTES (64L << 10)
#define RESERVE_MAX ((curl_off_t)16 << 20) /* how much of an announced length is believed at once */

static void init_curl(void) {
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

void http_client_init_library(void) {
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
    return !s || (*ret = strdup(s));
}

bool http_client_copy_options(struct http_client *client, const struct http_client_options *o) {
    client->connections_max = o->connections_max ? o->connections_max : DEFAULT_CONNECTIONS;
    usec_t connect = o->connect_timeout_usec ? o->connect_timeout_usec : DEFAULT_CONNECT_TIMEOUT_USEC;
    client->connect_timeout_msec = (long)((connect + USEC_PER_MSEC - 1) / USEC_PER_MSEC);
    client->tls_verify_off = o->tls_verify_off;
    client->tls_any_host = o->tls_any_host;
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
           copy_string(&client->key_file, o->key_file) && copy_string(&client->key_password, o->key_password);
}

void http_client_free_options(struct http_client *client) {
    curl_slist_free_all(client->json_headers);
    curl_slist_free_all(client->plain_headers);
    free(client->user);
    free(client->password);
    free(client->ca_file);
    free(client->cert_file);
    free(client->key_file);
    free(client->key_password);
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

/* Files are read at each new connection, so that renewed ones are used without a restart; without the zero, curl
 * would keep the authorities it has read for a day. */
static void set_tls(CURL *easy, const struct http_client *client) {
    if (client->ca_file) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, client->ca_file);
        curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
    }
    if (client->cert_file) {
        curl_easy_setopt(easy, CURLOPT_SSLCERT, client->cert_file);
        curl_easy_setopt(easy, CURLOPT_SSLKEY, client->key_file ? client->key_file : client->cert_file);
    }
    if (client->key_password)
        curl_easy_setopt(easy, CURLOPT_KEYPASSWD, client->key_password);
    if (client->tls_verify_off)
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    if (client->tls_verify_off || client->tls_any_host)
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
}

/* What stays the same for every call of a handle. */
static CURL *new_easy(struct http_client *client, struct receiver *receiver) {
    CURL *easy = curl_easy_init();
    if (!easy)
        return NULL;
    receiver->easy = easy;
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*"); /* servers are named by the configuration, never by http_proxy */
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
    set_tls(easy, client);
    return easy;
}

void http_call_free(struct http_call *call) {
    if (!call)
        return;
    curl_easy_cleanup(call->receiver.easy);
    curl_url_cleanup(call->receiver.parsed);
    free(call->receiver.url);
    curl_slist_free_all(call->extra);
    buf_done(&call->body);
    free(call);
}

struct http_call *http_call_new(struct http_client *client) {
    struct http_call *call = calloc(1, sizeof(*call));
    if (!call)
        return NULL;
    call->client = client;
    buf_init(&call->body, DEFAULT_RESPONSE_MAX);
    call->receiver.body = &call->body;
    if (!new_easy(client, &call->receiver)) {
        http_call_free(call);
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
    if (request->traceparent && !push_header(&list, &call->traceparent_node, call->traceparent,
                                             sizeof(call->traceparent), "traceparent: ", request->traceparent))
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
void http_call_drop_headers(struct http_call *call) {
    const struct http_client *client = call->client;
    for (struct curl_slist *node = call->extra; node; node = node->next)
        if (node->next == &call->traceparent_node || node->next == &call->content_type_node ||
            node->next == client->json_headers || node->next == client->plain_headers)
            node->next = NULL;
    curl_slist_free_all(call->extra);
    call->extra = NULL;
}

/* A URL may hold user and password. */
static bool url_error(const char *url, enum error_code code, const char *what, struct error *reterr) {
    struct buf shown = BUF_INIT(64 << 10);
    uri_redact(&shown, url);
    error_set(reterr, code, "URL %.100s: %.100s", buf_ok(&shown) && shown.len ? shown.data : "", what);
    buf_done(&shown);
    return false;
}

/* A URL that cannot be parsed is left to curl, which says so when the call starts. */
static CURLcode set_url(struct receiver *r, const char *url) {
    if (r->url && strcmp(r->url, url) == 0)
        return CURLE_OK;
    free(r->url);
    r->url = NULL;
    curl_easy_setopt(r->easy, CURLOPT_CURLU, NULL);
    curl_url_cleanup(r->parsed);
    r->parsed = curl_url();
    CURLcode code = curl_easy_setopt(r->easy, CURLOPT_URL, url);
    if (code != CURLE_OK ||
        curl_url_set(r->parsed, CURLUPART_URL, url, CURLU_GUESS_SCHEME | CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
        return code;
    r->url = strdup(url);
    return curl_easy_setopt(r->easy, CURLOPT_CURLU, r->parsed);
}

bool http_call_prepare(struct http_call *call, const struct http_client_request *request, struct error *reterr) {
    CURL *easy = call->receiver.easy;
    if (!request->timeout_usec)
        return error_set(reterr, ERROR_INVALID, "call of %.60s without a timeout",
                         request->method ? request->method : "");
    CURLcode code = set_url(&call->receiver, request->url);
    if (code != CURLE_OK)
        return url_error(request->url, code == CURLE_OUT_OF_MEMORY ? ERROR_INTERNAL : ERROR_INVALID,
                         curl_easy_strerror(code), reterr);
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

/* What to do about a link that could not be made. */
static const char *advice_of(CURLcode code) {
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
        return "; check ca_file, and the dates and names of the server's certificate";
    case CURLE_SSL_CACERT_BADFILE:
        return "; check ca_file";
    case CURLE_SSL_CERTPROBLEM:
        return "; check cert_file, key_file and key_password";
    case CURLE_SSL_CONNECT_ERROR:
        return "; does the server speak TLS at this port?";
    case CURLE_GOT_NOTHING:
        return "; if it speaks TLS at this port, write https://";
    default:
        return "";
    }
}

static void judge_failure(const struct receiver *receiver, CURLcode code, usec_t timeout_usec, const char *url,
                          const struct http_response *response, struct error *error) {
    const char *detail = receiver->detail[0] ? receiver->detail : curl_easy_strerror(code), *server = response->server;
    if (receiver->too_large)
        error_set(error, ERROR_INVALID, "%s: the answer is larger than %zu bytes, or there is no memory for it", server,
                  receiver->body->max);
    else if (code == CURLE_OPERATION_TIMEDOUT && response->sent)
        error_set(error, ERROR_TIMEOUT, "%s: no answer within %llu ms", server,
                  (unsigned long long)(timeout_usec / USEC_PER_MSEC));
    else if (code == CURLE_OPERATION_TIMEDOUT)
        error_set(error, ERROR_UNAVAILABLE, "%s: no connection in time: %.120s", server, detail);
    else if (code == CURLE_OUT_OF_MEMORY)
        error_nomem(error);
    else if ((code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL) && !response->sent)
        url_error(url, ERROR_INVALID, detail, error);
    else
        error_set(error, ERROR_UNAVAILABLE, "%s: %.120s%s", server, detail, advice_of(code));
}

/* Fills the response from what curl says. */
void http_call_judge(const struct receiver *receiver, CURLcode code, usec_t timeout_usec,
                     struct http_response *response) {
    long status = 0, request_bytes = 0;
    char *url = NULL;
    curl_easy_getinfo(receiver->easy, CURLINFO_REQUEST_SIZE, &request_bytes);
    curl_easy_getinfo(receiver->easy, CURLINFO_EFFECTIVE_URL, &url);
    struct slice host = authority(url ? url : "");
    snprintf(response->server, sizeof(response->server), "%.*s", (int)(host.len > 79 ? 79 : host.len), host.data);
    response->sent = request_bytes > 0;
    if (code != CURLE_OK) {
        judge_failure(receiver, code, timeout_usec, url ? url : "", response, &response->error);
        return;
    }
    curl_easy_getinfo(receiver->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(receiver->easy, CURLINFO_CONTENT_TYPE, &response->content_type);
    response->status = (int)status;
}
