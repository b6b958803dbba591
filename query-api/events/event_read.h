/* event_read.h - the body of POST /v1/events -> lines of a bulk request. Pure. Thread: any.
 *
 *   {"events": [{"type": "click", "product_id": "p1", "user_id": "u", "query_id": "…", "query": "노트북", "position": 3,
 *                "event_id": "…", "time": "2026-01-02T03:04:05Z"}, …]}        or one event without the list
 *
 * A stored event also has a weight, 2^(weeks since 2026-01-01): a week later an event counts half of what a new one does,
 * whenever the weights are added up, because only their ratio counts (forward decay: Cormode et al., ICDE 2009). */
#pragma once
#include "core/buf.h"
#include "core/field_error.h"
#include "core/json_read.h"

enum {
    EVENTS_MAX = 100,
    EVENT_ID_MAX_BYTES = 128, /* of every id */
    EVENT_QUERY_MAX_BYTES = 512,
    EVENT_ERRORS_MAX = 20,
};

struct event_errors {
    struct field_error items[EVENT_ERRORS_MAX];
    size_t count;
};

/* Appends two lines for each event; *ret_count: how many events. False with errors, or without them if there is no memory.
 * now: wall time. */
bool event_read(struct arena *arena, const struct json *body, int64_t now_wall_usec, struct buf *out, size_t *ret_count,
                struct event_errors *errors);
/* The first event of a body that was read; the others follow it. */
const struct json *event_read_first(const struct json *body);
/* A click on a hit of a search whose text is known? */
bool event_read_click(const struct json *event, struct slice *ret_query);
