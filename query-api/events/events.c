/* POST /v1/events: what shoppers do, written to an index of its own.
 *
 * 202 means written. Events of a loop's requests go out together: at once if no bulk is under way, else in the next one,
 * which fills meanwhile up to events_buffer. So there is one bulk at a time, no timer, and a bound on what waits. While
 * the index is being made, that bulk waits for it, for events_timeout at most. */
#include "core/cleanup.h"
#include "core/embed.h"
#include "core/log.h"
#include "query-api/events/event_read.h"
#include "query-api/events/query_analytics.h"
#include "query-api/search/answer_json.h"
#include "query-api/upstream/own_index.h"

EMBED(events_mapping, "mappings/events-v1.json");

/* An event takes more than a hundred bytes of a bulk, and its item three to five values of 64 in the answer. */
enum { ANSWER_DEPTH_MAX = 16, ANSWER_BYTES_PER_BYTE = 4, ANSWER_BYTES_MORE = 16 << 20 };

/* A request waits for the bulk that is under way, or for the index, and for its own. */
enum { TURNS = 2 };
#define REPLY_MARGIN_USEC USEC_PER_SEC

static const char NOT_THERE[] = "the index of events is not there yet";

/* A request whose events are in the bulk: `count` items, behind those of the requests before it. */
struct event_waiter {
    struct http_request *request;
    const struct json *events; /* in the request's arena */
    size_t count;
    usec_t since;
    struct event_waiter *next;
};

struct event_bulk {
    struct buf body;
    struct event_waiter *first, **last;
};

struct event_log {
    struct query_loop *q;
    struct own_index index;
    struct event_bulk filling, sent;
    struct http_call *call;
    struct buf path;
    struct metric *written, *repeated, *refused;
};

static void bulk_empty(struct event_bulk *bulk) {
    while (bulk->first) {
        struct event_waiter *w = bulk->first;
        bulk->first = w->next;
        http_request_unref(w->request);
        free(w);
    }
    bulk->last = &bulk->first;
    buf_reset(&bulk->body);
}

static void on_index_attempted(void *ctx);

struct event_log *event_log_new(struct query_loop *q, struct error *reterr) {
    struct event_log *log = calloc(1, sizeof(*log));
    if (!log) {
        error_nomem(reterr);
        return NULL;
    }
    log->q = q;
    log->written = metrics_counter("readside_query_api_events_total", "Events by what became of them", "result=\"written\"");
    log->repeated = metrics_counter("readside_query_api_events_total", "Events by what became of them", "result=\"repeated\"");
    log->refused = metrics_counter("readside_query_api_events_total", "Events by what became of them", "result=\"refused\"");
    buf_init(&log->filling.body, (size_t)q->conf->events_buffer_bytes);
    buf_init(&log->sent.body, (size_t)q->conf->events_buffer_bytes);
    bulk_empty(&log->filling);
    bulk_empty(&log->sent);
    buf_init(&log->path, 1024);
    own_index_init(&log->index, q, q->conf->events_index, (struct slice){events_mapping, events_mapping_size});
    log->index.attempted = on_index_attempted;
    log->index.ctx = log;
    own_index_path(&log->index, &log->path);
    buf_append_str(&log->path, "/_bulk?filter_path=items.*.status,items.*.error.type");
    if (buf_ok(&log->path))
        return log;
    event_log_free(log);
    error_nomem(reterr);
    return NULL;
}

void event_log_free(struct event_log *log) {
    if (!log)
        return;
    own_index_done(&log->index);
    if (log->call)
        es_cancel(log->q->es, log->call);
    bulk_empty(&log->filling);
    bulk_empty(&log->sent);
    buf_done(&log->filling.body);
    buf_done(&log->sent.body);
    buf_done(&log->path);
    free(log);
}

/* ---- answers ---- */

static void reply_later(struct event_log *log, struct http_request *request, size_t count, enum error_code code, const char *why) {
    struct error error = {0};
    metric_add(log->refused, count);
    error_set(&error, code, "%s; try again shortly", why);
    upstream_reply_error(log->q, request, &error);
}

static void reply_written(struct event_log *log, struct http_request *request, size_t written, size_t repeated) {
    struct buf out = BUF_INIT(256);
    metric_add(log->written, written);
    metric_add(log->repeated, repeated);
    buf_printf(&out, "{\"accepted\":%zu,\"repeated\":%zu}", written, repeated);
    http_reply(request, 202, NULL, &out);
}

/* The items of one request, from *item on: 201 written, 409 there already. A click counts once it is written. */
static void settle(struct event_log *log, const struct event_waiter *w, const struct json **item) {
    size_t written = 0, repeated = 0;
    const struct json *event = w->events;
    struct slice query;
    for (size_t i = 0; i < w->count; i++, event = event->next, *item = *item ? (*item)->next : NULL) {
        int64_t status = 0;
        const struct json *action = json_is(*item, JSON_OBJECT) ? (*item)->child : NULL;
        json_int64(json_get(action, "status"), &status);
        written += status == 201;
        repeated += status == 409;
        if (status == 201 && event_read_click(event, &query))
            query_analytics_click(log->q->analytics, query);
        if (status == 404)
            own_index_lost(&log->index);
    }
    if (written + repeated == w->count)
        reply_written(log, w->request, written, repeated);
    else
        reply_later(log, w->request, w->count, ERROR_UNAVAILABLE, "not all events could be written");
}

static void refuse_all(struct event_log *log, struct event_bulk *bulk, const char *why) {
    for (const struct event_waiter *w = bulk->first; w; w = w->next)
        reply_later(log, w->request, w->count, ERROR_UNAVAILABLE, why);
    bulk_empty(bulk);
}

static void send_next(struct event_log *log);

static void on_written(void *ctx, struct http_response *response) {
    struct event_log *log = ctx;
    struct error error = response->error;
    struct arena arena;
    const struct json *answer = NULL;
    log->call = NULL;
    arena_init(&arena, ANSWER_BYTES_MORE + log->sent.body.max * ANSWER_BYTES_PER_BYTE);
    if (error.code == ERROR_NONE && response->status == 200 && response->body->data)
        answer = answer_json_parse(&arena, response->body->data, response->body->len, ANSWER_DEPTH_MAX, &error);
    else if (error.code == ERROR_NONE)
        es_error(response, &error);
    const struct json *items = json_get(answer, "items"), *item = json_is(items, JSON_ARRAY) ? items->child : NULL;
    if (!item)
        log_warn("events.failed", LOG_INT("status", response->status), LOG_ERR(&error));
    for (const struct event_waiter *w = log->sent.first; w; w = w->next)
        settle(log, w, &item);
    arena_done(&arena);
    bulk_empty(&log->sent);
    if (log->index.there)
        send_next(log);
}

static void send_next(struct event_log *log) {
    struct error error = {0};
    struct event_bulk next = log->filling;
    if (!next.first)
        return;
    log->filling = log->sent;
    log->filling.last = &log->filling.first;
    log->sent = next;
    log->call = es_start(log->q->es, "POST", log->path.data, "application/x-ndjson",
                         (struct slice){next.body.data, next.body.len}, NULL, log->q->conf->events_timeout_usec, on_written, log,
                         &error);
    if (!log->call)
        refuse_all(log, &log->sent, "the events could not be sent");
}

/* The index is there, or an attempt to make it has failed: the first in the line has waited longest. */
static void on_index_attempted(void *ctx) {
    struct event_log *log = ctx;
    if (log->call || !log->filling.first)
        return;
    if (log->index.there)
        send_next(log);
    else if (!own_index_coming(&log->index) ||
             clock_now_usec() - log->filling.first->since >= log->q->conf->events_timeout_usec)
        refuse_all(log, &log->filling, NOT_THERE);
}

/* ---- the request ---- */

/* Lines are copied behind those that wait. False: there is no room. */
static bool add(struct event_log *log, struct http_request *request, const struct json *body, const struct buf *lines,
                size_t count) {
    struct event_bulk *bulk = &log->filling;
    usec_t now = clock_now_usec();
    if (lines->len > bulk->body.max - bulk->body.len)
        return false;
    struct event_waiter *w = malloc(sizeof(*w));
    if (!w || !buf_reserve(&bulk->body, lines->len)) {
        free(w);
        return false;
    }
    buf_append(&bulk->body, lines->data, lines->len);
    *w = (struct event_waiter){.request = http_request_ref(request), .events = event_read_first(body), .count = count, .since = now};
    *bulk->last = w;
    bulk->last = &w->next;
    http_request_put_off(request, now + TURNS * log->q->conf->events_timeout_usec + REPLY_MARGIN_USEC);
    return true;
}

void handle_events(struct http_request *request, void *ctx) {
    struct query_loop *q = ctx;
    struct event_log *log = q->events;
    struct arena *arena = http_request_arena(request);
    struct slice body = http_request_body(request);
    struct event_errors errors;
    struct error error = {0};
    const struct json *json = json_parse(arena, body.data ? body.data : "", body.len,
                                         &(struct json_limits){.depth_max = 8, .values_max = 20000}, &error);
    if (!json) {
        struct field_error field = {"body", error.message};
        http_reply_problem(request, 400, "the body is no JSON", &field, 1);
        return;
    }
    struct buf lines = BUF_INIT((size_t)q->conf->events_buffer_bytes);
    size_t count = 0;
    bool ok = event_read(arena, json, clock_wall_usec(), &lines, &count, &errors);
    if (errors.count) {
        http_reply_problem(request, 400, "the events are invalid; none was taken", errors.items, errors.count);
    } else if (!ok) {
        reply_later(log, request, count, ERROR_OVERLOADED, "there is no room for the events");
    } else if (!log->index.there && !own_index_coming(&log->index)) {
        reply_later(log, request, count, ERROR_UNAVAILABLE, NOT_THERE);
    } else if (!add(log, request, json, &lines, count)) {
        reply_later(log, request, count, ERROR_OVERLOADED, "too many events wait to be written");
    } else if (!log->call && log->index.there) {
        send_next(log);
    }
    buf_done(&lines);
}
