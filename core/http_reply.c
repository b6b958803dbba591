/* Replies: what the handlers answer, turned into MHD's responses. */
#include "core/cleanup.h"
#include "core/http_server_internal.h"
#include "core/json_write.h"
#include "core/utf8.h"
#include <stdio.h>
#include <unistd.h>

#define PROBLEM_MAX_BYTES ((size_t)256 << 10)
#define RETRY_AFTER_SEC "1"

void http_request_count(struct http_request *r, enum http_status_class status_class) {
    metric_inc(r->metrics->requests[status_class]);
    if (r->completed_at)
        metric_observe(r->metrics->duration, clock_now_usec() - r->completed_at);
}

static enum http_status_class class_of(int status) {
    return status < 300 ? STATUS_2XX : status < 400 ? STATUS_3XX : status < 500 ? STATUS_4XX : STATUS_5XX;
}

bool http_request_is_open(const struct http_request *r) {
    const char *below = r->server->options.open_below;
    return below && r->path.data && r->path.len >= strlen(below) && memcmp(r->path.data, below, strlen(below)) == 0;
}

/* What a browser asks for before it shows an answer, or sends a request, to another site's page. */
static bool allow_origins(const struct http_request *r, struct MHD_Response *response) {
    const char *names = r->server->options.open_headers;
    bool asked_before = r->method && strcmp(r->method, "OPTIONS") == 0;
    return MHD_add_response_header(response, "Access-Control-Allow-Origin", "*") == MHD_YES &&
           MHD_add_response_header(response, "Access-Control-Expose-Headers", "Retry-After, X-Request-Id") == MHD_YES &&
           (!asked_before ||
            (MHD_add_response_header(response, "Access-Control-Allow-Methods", "GET, POST, PUT, DELETE") == MHD_YES &&
             MHD_add_response_header(response, "Access-Control-Max-Age", "86400") == MHD_YES &&
             (!names || MHD_add_response_header(response, "Access-Control-Allow-Headers", names) == MHD_YES)));
}

static bool add_headers(struct http_request *r, struct MHD_Response *response, const char *content_type) {
    char traceparent[TRACEPARENT_SIZE];
    trace_format(&r->trace, traceparent);
    bool ok = (!content_type || MHD_add_response_header(response, "Content-Type", content_type) == MHD_YES) &&
              MHD_add_response_header(response, "X-Request-Id", r->id) == MHD_YES &&
              MHD_add_response_header(response, "traceparent", traceparent) == MHD_YES;
    if (ok && http_request_is_open(r))
        ok = allow_origins(r, response);
    if (ok && r->server->draining)
        ok = MHD_add_response_header(response, "Connection", "close") == MHD_YES;
    for (size_t i = 0; ok && i < r->reply_header_count; i++)
        /* MHD refuses what is no valid header (a value of only blanks): left out rather than failing the reply. */
        (void)MHD_add_response_header(response, r->reply_headers[i].key.data, r->reply_headers[i].value.data);
    return ok;
}

void http_request_set_response(struct http_request *r, int status, const char *content_type,
                               struct MHD_Response *response) {
    struct http_server *server = r->server;
    if (!response || !add_headers(r, response, content_type)) {
        if (response)
            MHD_destroy_response(response);
        response = server->no_memory;
        status = 503;
    }
    r->replied = true;
    r->status = status;
    r->response = response;
    http_request_count(r, class_of(status));
    if (r->counted) {
        r->counted = false;
        server->active--;
    }
    loop_timer_cancel(server->loop, &r->timer);
    if (r->suspended || r->paused) {
        r->suspended = r->paused = false;
        MHD_resume_connection(r->conn->mhd);
        http_server_wake(server);
    }
}

/* False: a later reply, or one that nobody waits for. */
static bool may_reply(const struct http_request *r) {
    return !r->replied && (r->outer || (r->conn && !r->gone));
}

/* Hands the reply to who asked; body is empty afterwards. */
static void reply_inner(struct http_request *r, int status, struct buf *body) {
    r->replied = true;
    r->status = status;
    r->inner_reply(r->inner_data, status, body);
    buf_done(body);
}

/* Our free(), not MHD's: the allocator of a test is between. */
static void free_body(void *data) {
    free(data);
}

void http_reply(struct http_request *r, int status, const char *content_type, struct buf *body) {
    if (!may_reply(r)) {
        buf_done(body);
        return;
    }
    if (r->outer) {
        reply_inner(r, buf_ok(body) ? status : 503, body);
        return;
    }
    size_t len = body->len;
    char *data = buf_ok(body) ? buf_steal(body) : NULL;
    struct MHD_Response *response =
        data ? MHD_create_response_from_buffer_with_free_callback(len, data, free_body) : NULL;
    if (!response)
        free(data);
    buf_done(body);
    r->reply_bytes = len;
    http_request_set_response(r, status, content_type ? content_type : "application/json", response);
}

void http_reply_static(struct http_request *r, int status, const char *content_type, const char *data, size_t len) {
    if (!may_reply(r))
        return;
    if (r->outer) {
        struct buf body = BUF_INIT(len + 1);
        buf_append(&body, data, len);
        http_reply(r, status, content_type, &body);
        return;
    }
    r->reply_bytes = len;
    union {
        const char *constant;
        void *plain;
    } bytes = {.constant = data}; /* MHD takes a void pointer and only reads */
    http_request_set_response(r, status, content_type ? content_type : "application/json",
                              MHD_create_response_from_buffer(len, bytes.plain, MHD_RESPMEM_PERSISTENT));
}

void http_reply_empty(struct http_request *r, int status) {
    struct buf none = BUF_INIT(1);
    if (!may_reply(r))
        return;
    if (r->outer)
        reply_inner(r, status, &none);
    else
        http_request_set_response(r, status, NULL, MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT));
}

void http_reply_file(struct http_request *r, int status, const char *content_type, int fd, uint64_t size) {
    if (!may_reply(r) || r->outer) {
        close(fd);
        if (r->outer)
            http_reply_empty(r, 500); /* a file is for a client */
        return;
    }
    r->reply_bytes = size;
    struct MHD_Response *response = MHD_create_response_from_fd64(size, fd);
    if (!response)
        close(fd);
    http_request_set_response(r, status, content_type ? content_type : "application/octet-stream", response);
}

/* -- problem+json -- */

/* Text from a request may be anything; JSON is UTF-8. */
static void write_text(struct json_write *w, const char *s) {
    if (utf8_valid(s, strlen(s)))
        json_write_str(w, s);
    else
        json_write_str(w, "(not UTF-8)");
}

static bool write_problem(const struct http_request *r, struct buf *out, int status, const char *detail,
                          const struct field_error *errors, size_t count) {
    struct json_write w;
    if (!json_write_init(&w, out))
        return false;
    json_write_object(&w);
    json_write_key(&w, "type");
    json_write_str(&w, "about:blank");
    json_write_key(&w, "title");
    json_write_str(&w, MHD_get_reason_phrase_for((unsigned)status));
    json_write_key(&w, "status");
    json_write_int(&w, status);
    if (detail && *detail) {
        json_write_key(&w, "detail");
        write_text(&w, detail);
    }
    json_write_key(&w, "request_id");
    json_write_str(&w, r->id);
    if (count) {
        json_write_key(&w, "errors");
        json_write_array(&w);
        for (size_t i = 0; i < count; i++) {
            json_write_object(&w);
            json_write_key(&w, "field");
            write_text(&w, errors[i].field);
            json_write_key(&w, "message");
            write_text(&w, errors[i].message);
            json_write_object_end(&w);
        }
        json_write_array_end(&w);
    }
    json_write_object_end(&w);
    return json_write_finish(&w) && buf_append_char(out, '\n');
}

static bool write_message(struct buf *out, int status, const char *detail) {
    struct json_write w;
    if (!json_write_init(&w, out))
        return false;
    json_write_object(&w);
    json_write_key(&w, "message");
    write_text(&w, detail && *detail ? detail : MHD_get_reason_phrase_for((unsigned)status));
    json_write_key(&w, "status");
    json_write_int(&w, status);
    json_write_object_end(&w);
    return json_write_finish(&w);
}

void http_reply_problem(struct http_request *r, int status, const char *detail, const struct field_error *errors,
                        size_t count) {
    if (!may_reply(r))
        return;
    struct buf out = BUF_INIT(PROBLEM_MAX_BYTES);
    bool open = !r->outer && http_request_is_open(r);
    if (!(open ? write_message(&out, status, detail) : write_problem(r, &out, status, detail, errors, count))) {
        buf_done(&out);
        if (r->outer)
            http_reply_empty(r, status);
        else
            http_request_set_response(r, status, NULL, NULL);
        return;
    }
    http_reply(r, status, open ? NULL : "application/problem+json", &out);
}

static bool has_reply_header(const struct http_request *r, struct slice name) {
    for (size_t i = 0; i < r->reply_header_count; i++)
        if (slice_eq(r->reply_headers[i].key, name))
            return true;
    return false;
}

void http_reply_error(struct http_request *r, const struct error *error) {
    if (error_is_retriable(error) && !has_reply_header(r, SLICE("Retry-After")))
        http_reply_header(r, "Retry-After", RETRY_AFTER_SEC);
    http_reply_problem(r, error_http_status(error->code), error->message, NULL, 0);
}
