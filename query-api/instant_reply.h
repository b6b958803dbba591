/* instant_reply.h - what the endpoints of the InstantSearch protocol share. Thread: the loop's. */
#pragma once
#include "query-api/instant.h"
#include "query-api/query_api.h"

/* The body, an object; an empty one stands for {}. NULL: answered. */
const struct json *instant_body(struct http_request *request);
/* Its list of requests. NULL: answered. */
const struct json *instant_requests(struct http_request *request);

/* out as w has written it (moved), or an error if w has failed. */
void instant_reply(struct http_request *request, struct json_write *w, struct buf *out);
/* {"message","status"} */
void instant_refuse(struct http_request *request, const struct error *error);

/* Questions to this program's own handlers, on behalf of one request:
 *
 *   instant_parts_init(&p, request, count, done, data);
 *   for each: inner = instant_part_begin(&p, i); if (inner) { ... start something that answers inner; unref }
 *   instant_parts_one_less(&p);      answers may come at once: done is called now at the earliest
 *
 * done is called once, when all are answered, and must reply. */
struct instant_parts;
struct instant_part {
    struct instant_parts *all;
    struct buf text;
    const struct json *answer; /* what was replied; NULL if it is no JSON */
    int status;                /* 0: could not be asked */
};
typedef void instant_parts_done(void *data);
struct instant_parts {
    struct http_request *request;
    struct instant_part *items;
    size_t count, waiting;
    instant_parts_done *done;
    void *data;
};
/* p lives as long as the request, whose data (http_request_set_data) it becomes. False without memory. */
bool instant_parts_init(struct instant_parts *p, struct http_request *request, size_t count, instant_parts_done *done, void *data);
/* The caller drops the reference. NULL without memory: it counts as answered. */
struct http_request *instant_part_begin(struct instant_parts *p, size_t index);
void instant_parts_one_less(struct instant_parts *p);
/* If a part has failed, it answers for all: true. A part with the status `but` has not. */
bool instant_parts_failed(struct instant_parts *p, int but);
