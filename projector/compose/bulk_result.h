/* bulk_result.h - what became of each item of a _bulk request. No I/O.
 *
 * There is no flag for the bulk as a whole: the caller looks at every item. An answer that is cut, malformed, of
 * another length or in another order than the request says nothing about any item: all are BULK_RETRY (a resend
 * with the same bytes and versions is harmless).
 * Thread: one owner; memory is reused from answer to answer. */
#pragma once
#include "core/arena.h"
#include "core/error.h"
#include "projector/compose/bulk.h"

enum bulk_outcome {
    BULK_DONE,      /* 2xx: the document is what we sent */
    BULK_GONE,      /* 404 to a delete: there was nothing to delete */
    BULK_CONFLICT,  /* 409: somebody wrote with a higher version */
    BULK_TOO_LARGE, /* 413, or the search engine's own 400 to the request as a whole: split; a single item: dead letter */
    BULK_RETRY,     /* 429, 5xx, no answer, an answer that cannot be read, a 400 of somebody else */
    BULK_REJECTED,  /* 400 and other 4xx to the item: never as it is */
    BULK_DENIED,    /* 401, 403: pause the target */
    BULK_NO_INDEX,  /* 404 with index_not_found: pause the target */
};
#define BULK_OUTCOMES 8

struct bulk_item_result {
    enum bulk_outcome outcome;
    int status;         /* 0: unknown */
    const char *type;   /* "" if there is no error; valid until the next read or done */
    const char *reason; /* cut at 500 bytes */
};

struct bulk_result {
    struct bulk_item_result *items; /* as many as the bulk has, in its order */
    size_t count, capacity;
    size_t outcomes[BULK_OUTCOMES]; /* how many of each */
    int64_t took_ms;                /* as Elasticsearch says; -1 unknown */
    struct arena arena;
};

void bulk_result_init(struct bulk_result *r);
void bulk_result_done(struct bulk_result *r);

/* Reads the answer to `bulk`: status is the HTTP status (0: none arrived). True if the answer is complete and
 * says something about each item, or is a whole-request refusal that does. False: reterr says why nothing is
 * known; items are BULK_RETRY even then, unless memory ran out (count is 0). */
bool bulk_result_read(struct bulk_result *r, const struct bulk *bulk, int status, struct slice body,
                      struct error *reterr);
/* "done", "conflict", ... for logs and metrics. */
const char *bulk_outcome_name(enum bulk_outcome outcome);
