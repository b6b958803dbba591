/* call.h - one API request on its way: handler (loop) -> run (worker) -> reply (loop).
 *
 *   void products_handle_get(struct http_request *request, void *ctx) {
 *       call_start(request, ctx, HEALTH_MONGO, run_get);
 *   }
 *   static void run_get(struct call *call, struct session *s) { ... fills the call's answer ... }
 *
 * run() fills in exactly one answer: call_reply with a body, call_fail, or problems followed by call_invalid. The
 * call lives in its request's arena; scratch memory comes from the session. */
#pragma once
#include "core/http_server.h"
#include "write-api/precondition.h"
#include "write-api/problems.h"
#include "write-api/service.h"

struct call {
    struct job job;
    struct service *service;
    struct http_request *request;
    void (*run)(struct call *call, struct session *s);
    /* the answer */
    int status;
    struct buf body;
    struct buf location; /* empty: none */
    char etag[ETAG_SIZE]; /* "": none */
    struct error error;  /* status 0: answered from this */
    char detail[240];    /* status >= 400: of the problem */
    struct problems problems;
    const char *accept_patch; /* for 415 */
};

/* Loop thread. needs: HEALTH_*: what must be up, else 503 at once; so does a full queue. */
void call_start(struct http_request *request, void *service, unsigned needs,
                void (*run)(struct call *call, struct session *s));

/* Everything below: worker thread, inside run(). Those that return bool return false for `return call_fail(...)`. */

/* 400 with what is in call->problems. */
bool call_invalid(struct call *call);
bool call_fail(struct call *call, const struct error *error);
bool call_refuse(struct call *call, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Begins the JSON body of an answer; end it with call_reply. */
struct json_write *call_body(struct call *call, struct session *s);
/* version 0: no ETag. */
void call_reply(struct call *call, struct session *s, int status, int64_t version);
void call_reply_empty(struct call *call, int status);
/* Location: prefix and id, escaped. */
void call_location(struct call *call, const char *prefix, struct slice id);

/* The parsed request body, a tree in the session's arena. NULL: the call is answered. */
struct json *call_json(struct call *call, struct session *s);
/* The same, which must be an object with no members but `fields` (NULL-terminated); unknown ones are refused. */
struct json *call_object(struct call *call, struct session *s, const char *const *fields);
/* A header as a precondition; false: answered with 400. */
bool call_precondition(struct call *call, const char *header, struct precondition *ret);
/* The decoded query, in the session's arena. Parameters that are not in `known` (NULL-terminated) are refused. */
bool call_query(struct call *call, struct session *s, const char *const *known, struct uri_pair **ret, size_t *ret_count);
/* traceparent of a child span, to be stored with what is written. */
void call_traceparent(const struct call *call, char ret[TRACEPARENT_SIZE]);
