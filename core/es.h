/* es.h - Elasticsearch and OpenSearch sessions: options, addresses, error mapping. On http_client.
 *
 * Several URLs may be given (comma-separated): calls go round-robin and skip a node for a while after a call that it
 * did not answer: it refused the connection, hung up, or was silent for a second or more until the time was up.
 * Thread: an es belongs to its loop; es_call is blocking and for any thread without a loop. */
#pragma once
#include "core/conf.h"
#include "core/http_client.h"
#include "core/json_read.h"
#include "core/link.h"

struct es_conf {
    char *url; /* "http://127.0.0.1:9200[,http://...]"; https:// speaks TLS */
    char *user, *password, *api_key;
    struct link_tls tls; /* `on` is of no account: the URL says it */
    usec_t timeout_usec;
};
extern const struct option es_option_table[]; /* section [elasticsearch] */
extern const size_t es_option_count;

/* INVALID for a configuration that can never work: an address that is none, api_key beside user, a key alone. */
bool es_check(const struct es_conf *conf, struct error *reterr);

struct es;
struct es *es_new(struct loop *loop, const struct es_conf *conf, unsigned connections_max, struct error *reterr);
void es_free(struct es *es);

/* path begins with '/'; the rest as http_client_start. body is not copied. timeout 0: conf's. */
struct http_call *es_start(struct es *es, const char *method, const char *path, const char *content_type,
                           struct slice body, const char *traceparent, usec_t timeout_usec,
                           http_client_callback *callback, void *ctx, struct error *reterr);
void es_cancel(struct es *es, struct http_call *call);

/* Blocking. True if a 2xx arrived (or 404 with *ret_status given): ret_body holds the answer. Otherwise reterr
 * by es_error(). ret_status may be NULL. */
bool es_call(const struct es_conf *conf, const char *method, const char *path, struct slice body, usec_t timeout_usec,
             int *ret_status, struct buf *ret_body, struct error *reterr);

/* Maps an answer to an error: 404 NOT_FOUND, 409 CONFLICT, 400 INVALID (but CONFLICT for an index that exists), 401/403 UNAVAILABLE (with the way out),
 * 413 INVALID, 429 OVERLOADED, 5xx UNAVAILABLE, no answer: the transport's error. The message holds
 * Elasticsearch's type and reason, cut. False always; for answers that are not 2xx. */
bool es_error(const struct http_response *response, struct error *reterr);
/* The same of one answer in that to an _msearch, whose status the response has been given. Always false. */
bool es_error_part(const struct http_response *response, const struct json *part, struct error *reterr);
/* Waits until the cluster answers, with backoff; on_wait (may be NULL) is called before each retry, and stops
 * the wait by returning false. */
bool es_wait(const struct es_conf *conf, bool (*on_wait)(void *ctx, const struct error *why, usec_t retry_in),
             void *ctx, struct error *reterr);
