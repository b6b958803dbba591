/* http_client_internal.h - what http_client.c (calls on the loop) and http_call.c (one call as curl sees it) share.
 * The only place that includes libcurl. */
#pragma once
#include "core/http_client.h"
#include <curl/curl.h>

#define DEFAULT_CONNECTIONS 16
#define DEFAULT_CONNECT_TIMEOUT_USEC (2 * USEC_PER_SEC)
#define DEFAULT_RESPONSE_MAX ((size_t)64 << 20)

/* An answer being read: shared by calls of the loop and the blocking call. */
struct receiver {
    CURL *easy;
    char *url; /* of the last call, and what curl makes of it; most calls are for the same one */
    CURLU *parsed;
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
    unsigned sockets;                                /* in use or idle */
    bool collecting;                                 /* inside collect_finished */
    struct curl_slist *json_headers, *plain_headers; /* with and without Content-Type: application/json */
    unsigned connections_max;
    long connect_timeout_msec;
    bool tls_verify_off, tls_any_host;
    char *user, *password, *ca_file, *cert_file, *key_file, *key_password;
};

/* http_call.c */
void http_client_init_library(void);
bool http_client_copy_options(struct http_client *client, const struct http_client_options *options);
void http_client_free_options(struct http_client *client);
struct http_call *http_call_new(struct http_client *client);
void http_call_free(struct http_call *call);
/* Sets the handle up for one request. */
bool http_call_prepare(struct http_call *call, const struct http_client_request *request, struct error *reterr);
void http_call_drop_headers(struct http_call *call);
/* Fills the response's status, content type, error and `sent` from what curl says. */
void http_call_judge(const struct receiver *receiver, CURLcode code, usec_t timeout_usec,
                     struct http_response *response);
