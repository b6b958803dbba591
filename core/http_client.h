/* http_client.h - the HTTP client of one loop (curl multi on its epoll), and a blocking call for start-up,
 * command lines and threads without a loop.
 *
 * Connections are kept alive and reused per client. Thread: all calls and callbacks on the loop's thread. */
#pragma once
#include "core/buf.h"
#include "core/error.h"
#include "core/loop.h"

struct http_client;
struct http_call;

struct http_client_options {
    unsigned connections_max; /* per host; more calls wait inside curl. Default 16 if 0 */
    usec_t connect_timeout_usec; /* default 2 s if 0 */
    /* Link security and identity, copied; NULL: none. */
    const char *user, *password; /* basic authentication */
    const char *api_key;         /* Authorization: ApiKey ... */
    const char *ca_file, *cert_file, *key_file, *key_password;
    bool tls_verify_off; /* take any certificate */
    bool tls_any_host;   /* take a certificate for another host */
};

struct http_client_request {
    const char *method; /* "POST" */
    const char *url;    /* copied */
    const char *content_type; /* NULL: application/json if there is a body */
    const char *traceparent;  /* NULL: none; copied */
    const char *const *headers; /* further "Name: value" lines, NULL-terminated, or NULL; copied */
    struct slice body;  /* NOT copied: must live until the callback */
    usec_t timeout_usec; /* from now; mandatory */
    size_t response_max_bytes; /* default 64 MiB if 0; more: ERROR_INVALID */
};

struct http_response {
    int status;       /* 0 if there was no complete answer: see error */
    struct buf *body; /* owned by the call; steal it with TAKE-like buf moves if needed beyond the callback */
    const char *content_type; /* may be NULL */
    struct error error; /* code ERROR_NONE if an answer of any status arrived; else TIMEOUT, UNAVAILABLE ... */
    char server[80];  /* "host:port" that was asked, for messages */
    bool sent;        /* the request may have reached the server */
};

/* Called exactly once, on the loop's thread, unless the call was cancelled. */
typedef void http_client_callback(void *ctx, struct http_response *response);

struct http_client *http_client_new(struct loop *loop, const struct http_client_options *options,
                                    struct error *reterr);
void http_client_free(struct http_client *client); /* calls under way are dropped without a callback */

/* Starts a call. NULL (and no callback) only without memory or with a bad URL. The handle is valid until the callback. */
struct http_call *http_client_start(struct http_client *client, const struct http_client_request *request,
                                    http_client_callback *callback, void *ctx, struct error *reterr);
void http_client_cancel(struct http_client *client, struct http_call *call);

/* Blocking, on any thread without a loop of its own. ret_body is initialised by the caller. True if an answer
 * of any status arrived. */
bool http_client_call_blocking(const struct http_client_options *options, const struct http_client_request *request,
                               int *ret_status, struct buf *ret_body, struct error *reterr);

/* "libcurl/7.88.1 OpenSSL/3.0 ...": of the library that runs. */
const char *http_client_library_version(void);
