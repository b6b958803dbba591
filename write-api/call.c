#include "write-api/call.h"
#include "core/cleanup.h"
#include "core/log.h"
#include <stdio.h>

enum { BODY_MAX = 256 << 20, LOCATION_MAX = 1024 };

/* ---- loop thread ----------------------------------------------------------------------------------------- */

static void log_answer(const struct call *call, int status) {
    char trace[TRACE_ID_HEX_SIZE];
    trace_id_hex(http_request_trace(call->request), trace);
    const struct http_route *route = http_request_route(call->request);
    if (status >= 500)
        log_warn("request.failed", LOG_STR("method", route->method), LOG_STR("route", route->path),
                 LOG_INT("status", status), LOG_ERR(&call->error), LOG_STR("trace_id", trace),
                 LOG_STR("request_id", http_request_id(call->request)));
    else
        log_debug("request", LOG_STR("method", route->method), LOG_STR("route", route->path),
                  LOG_INT("status", status), LOG_STR("trace_id", trace),
                  LOG_STR("request_id", http_request_id(call->request)));
}

static void answer(struct call *call) {
    struct http_request *request = call->request;
    if (call->location.len)
        http_reply_header(request, "Location", call->location.data);
    if (call->etag[0])
        http_reply_header(request, "ETag", call->etag);
    if (call->accept_patch)
        http_reply_header(request, "Accept-Patch", call->accept_patch);
    if (call->status == 0)
        http_reply_error(request, &call->error);
    else if (call->status >= 400)
        http_reply_problem(request, call->status, call->detail, call->problems.errors, call->problems.count);
    else if (call->body.len)
        http_reply(request, call->status, NULL, &call->body);
    else
        http_reply_empty(request, call->status);
}

static void finish(struct job *job) {
    struct call *call = CONTAINER_OF(job, struct call, job);
    int status = call->status ? call->status : error_http_status(call->error.code);
    answer(call);
    log_answer(call, status);
    problems_done(&call->problems);
    buf_done(&call->body);
    buf_done(&call->location);
    http_request_unref(call->request);
}

/* ---- worker thread --------------------------------------------------------------------------------------- */

static void doubt(const struct call *call) {
    if (call->status == 0 && (call->error.code == ERROR_UNAVAILABLE || call->error.code == ERROR_TIMEOUT))
        health_doubt(call->service->health);
}

static void run(struct job *job, void *session) {
    struct call *call = CONTAINER_OF(job, struct call, job);
    session_reset(session);
    /* The client has been answered with 503 already: a write that nobody asks for any more is not made. */
    if (clock_now_usec() >= http_request_deadline(call->request)) {
        error_set(&call->error, ERROR_OVERLOADED, "the request waited for a worker until its deadline");
        return;
    }
    error_set(&call->error, ERROR_INTERNAL, "the request was not answered");
    call->run(call, session);
    doubt(call);
}

void call_start(struct http_request *request, void *service_ctx, unsigned needs,
                void (*run_call)(struct call *call, struct session *s)) {
    struct service *service = service_ctx;
    struct error error;
    if (!health_allows(service->health, needs, &error)) {
        http_reply_error(request, &error);
        return;
    }
    struct call *call = arena_zalloc(http_request_arena(request), sizeof(*call));
    if (!call) {
        error_nomem(&error);
        http_reply_error(request, &error);
        return;
    }
    call->job.run = run;
    call->job.done = finish;
    call->service = service;
    call->request = http_request_ref(request);
    call->run = run_call;
    buf_init(&call->body, BODY_MAX);
    buf_init(&call->location, LOCATION_MAX);
    problems_init(&call->problems);
    if (workers_submit(service->workers, http_request_loop(request), &call->job))
        return;
    error_set(&error, ERROR_OVERLOADED, "too many requests wait already; try again in a moment");
    http_reply_error(request, &error);
    http_request_unref(request);
}

bool call_invalid(struct call *call) {
    call->status = 400;
    for (unsigned i = 0; i < call->problems.count; i++)
        if (call->problems.errors[i].field[0] == '\0')
            call->problems.errors[i].field = "body";
    if (call->problems.more)
        snprintf(call->detail, sizeof(call->detail), "the input is not valid; %u more problems are not listed",
                 call->problems.more);
    else
        snprintf(call->detail, sizeof(call->detail), "the input is not valid");
    return false;
}

bool call_fail(struct call *call, const struct error *error) {
    call->status = 0;
    call->error = *error;
    return false;
}

bool call_refuse(struct call *call, int status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(call->detail, sizeof(call->detail), format, args);
    va_end(args);
    call->status = status;
    return false;
}

struct json_write *call_body(struct call *call, struct session *s) {
    buf_reset(&call->body);
    json_write_restart(&s->json, &call->body);
    return &s->json;
}

void call_reply(struct call *call, struct session *s, int status, int64_t version) {
    if (!json_write_ok(&s->json) || !buf_ok(&call->body)) {
        error_set(&call->error, ERROR_INTERNAL, "the answer could not be written: out of memory");
        call->status = 0;
        return;
    }
    call->status = status;
    if (version > 0)
        etag_format(version, call->etag);
}

void call_reply_empty(struct call *call, int status) {
    buf_reset(&call->body);
    call->status = status;
}

void call_location(struct call *call, const char *prefix, struct slice id) {
    buf_append_str(&call->location, prefix);
    uri_encode(&call->location, id.data, id.len);
}

/* What could not be read: the client's mistake in `field`, or a failure of ours. */
static bool unreadable(struct call *call, const char *field, const struct error *error) {
    if (error->code != ERROR_INVALID)
        return call_fail(call, error);
    problems_add_field(&call->problems, field, "%s", error->message);
    return call_invalid(call);
}

struct json *call_json(struct call *call, struct session *s) {
    struct slice body = http_request_body(call->request);
    struct error error;
    struct json *tree = NULL;
    if (body.len == 0)
        error_set(&error, ERROR_INVALID, "the request has no body; send a JSON object");
    else
        tree = json_parse(&s->arena, body.data, body.len, &call->service->json_limits, &error);
    if (!tree)
        unreadable(call, "body", &error);
    return tree;
}

static bool is_known(struct slice name, const char *const *known) {
    for (; *known; known++) {
        if (slice_eq(name, slice_str(*known)))
            return true;
    }
    return false;
}

struct json *call_object(struct call *call, struct session *s, const char *const *fields) {
    struct json *tree = call_json(call, s);
    if (!tree)
        return NULL;
    if (tree->type != JSON_OBJECT) {
        problems_add(&call->problems, NULL, "must be a JSON object");
        call_invalid(call);
        return NULL;
    }
    for (const struct json *m = tree->child; m; m = m->next) {
        struct field_path here = FIELD(NULL, m->key);
        if (!is_known(m->key, fields))
            problems_add(&call->problems, &here, "is not a field here");
    }
    return tree;
}

bool call_precondition(struct call *call, const char *header, struct precondition *ret) {
    struct error error;
    bool weak = strcmp(header, "If-None-Match") == 0;
    return precondition_parse(header, http_request_header(call->request, header), weak, ret, &error) ||
           unreadable(call, header, &error);
}

bool call_query(struct call *call, struct session *s, const char *const *known, struct uri_pair **ret,
                size_t *ret_count) {
    struct slice query = http_request_query(call->request);
    struct error error;
    if (!uri_parse_query(&s->arena, query.data, query.len, 16, ret, ret_count, &error))
        return unreadable(call, "query", &error);
    for (size_t i = 0; i < *ret_count; i++) {
        struct field_path here = FIELD(NULL, (*ret)[i].key);
        if (!is_known((*ret)[i].key, known))
            problems_add(&call->problems, &here, "is not a parameter of this endpoint");
        for (size_t j = 0; j < i; j++) {
            if (slice_eq((*ret)[i].key, (*ret)[j].key))
                problems_add(&call->problems, &here, "is given twice");
        }
    }
    return !problems_any(&call->problems) || call_invalid(call);
}

void call_traceparent(const struct call *call, char ret[TRACEPARENT_SIZE]) {
    struct trace child;
    trace_child(http_request_trace(call->request), &child);
    trace_format(&child, ret);
}
