/* instant_reply.h - what the endpoints of the InstantSearch protocol share. Thread: the loop's. */
#pragma once
#include "query-api/instant/instant.h"
#include "query-api/query_api.h"

/* The body, an object; an empty one stands for {}. NULL: answered. */
const struct json *instant_body(struct http_request *request);
/* Its list of requests. NULL: answered. */
const struct json *instant_requests(struct http_request *request);

/* out as w has written it (moved), or an error if w has failed. */
void instant_reply(struct http_request *request, struct json_write *w, struct buf *out);
/* An error in one of a batch's requests. */
void instant_refuse_one(struct http_request *request, size_t index, struct error *error);

/* Questions to this program's own handlers, on behalf of one request: a few at a time, so that a batch takes its turns like
 * the single searches beside it.
 *
 *   instant_parts_init(&p, request, count, ask, done, data);
 *   instant_parts_start(&p);         ask is called for each, then done once: perhaps all of it at once
 *
 * ask starts something that answers inner; done must reply. */
struct instant_parts;
struct instant_part {
    struct instant_parts *all;
    struct buf text;
    const struct json *answer; /* what was replied; NULL if it is no JSON */
    int status;                /* 0: could not be asked */
    size_t asked_by;           /* which of the batch's requests, the first of them; by default its own place */
};
typedef void instant_part_ask(void *data, struct http_request *inner, size_t index);
typedef void instant_parts_done(void *data);
struct instant_parts {
    struct http_request *request;
    struct instant_part *items;
    size_t count, next, under_way, answered;
    bool alone; /* there is no batch whose request an error could name */
    instant_part_ask *ask;
    instant_parts_done *done;
    void *data;
};
/* p lives as long as the request, whose data (http_request_set_data) it becomes. False without memory. */
bool instant_parts_init(struct instant_parts *p, struct http_request *request, size_t count, instant_part_ask *ask,
                        instant_parts_done *done, void *data);
void instant_parts_start(struct instant_parts *p);
/* If a part has failed, it answers for all: true. A part with the status `but` has not. */
bool instant_parts_failed(struct instant_parts *p, int but);
