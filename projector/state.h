/* state.h - what the projector keeps in MongoDB besides the products: small documents, matched on the epoch.
 *
 * projector_state: {_id: "lease", ...} (lease.h), {_id: "checkpoint:stream", epoch, generation, token | start_at},
 *                  {_id: "targets", ...} (targets.h) and {_id: "fill", epoch, index, own, given} (jobs/job_fill.h)
 * projector_jobs:  one document per job (jobs.h)
 * dead_letters:    one document per product that could not be written (dead_letter.h)
 *
 * Everything but the lease is written only where its epoch is the writer's: an owner that lost its lease and wakes
 * up changes nothing. Thread: any, with a client of its own. */
#pragma once
#include "core/mongo.h"

#define STATE_COLLECTION "projector_state"
#define STATE_JOBS "projector_jobs"
#define STATE_PRODUCTS "products"

/* -- documents in general; dotted paths -- */
const char *state_string(const bson_t *doc, const char *path); /* NULL if it is no string; points into doc */
int64_t state_i64(const bson_t *doc, const char *path);        /* 0 if it is no number */
bool state_bool(const bson_t *doc, const char *path);
uint64_t state_timestamp(const bson_t *doc, const char *path); /* seconds << 32 | increment; 0 */

/* *ret is always initialised. */
bool state_find_one(mongoc_client_t *client, const char *database, const char *collection, const bson_t *query,
                    bson_t *ret, bool *ret_found, struct error *reterr);
/* ret_matched (may be NULL) counts an upserted document too. */
bool state_update(mongoc_client_t *client, const char *database, const char *collection, const bson_t *query,
                  const bson_t *update, bool upsert, int64_t *ret_matched, struct error *reterr);
/* Runs a command; *ret_reply (may be NULL) is always initialised. `what` stands in the error. */
bool state_command(mongoc_client_t *client, const char *database, const bson_t *command, const char *what,
                   bson_t *ret_reply, struct error *reterr);
/* Ids of a find reply's first batch are visited; the operationTime is returned. */
uint64_t state_operation_time(const bson_t *reply);

/* Takes checkpoint, fill and unfinished jobs over for a new epoch. */
bool state_claim(mongoc_client_t *client, const char *database, uint64_t epoch, struct error *reterr);
/* The indexes that the projector itself reads by. */
bool state_ensure_indexes(mongoc_client_t *client, const char *database, struct error *reterr);

/* -- the position in the change stream -- */
struct stream_position {
    bson_t *token;     /* resume after it, or NULL: */
    uint64_t start_at; /* start at this cluster time */
    int64_t generation; /* grows whenever history was lost: a position of before is not stored any more */
};
void stream_position_done(struct stream_position *position);

bool state_checkpoint_load(mongoc_client_t *client, const char *database, struct stream_position *ret, bool *ret_found,
                           struct error *reterr);
/* CONFLICT: not our epoch, or an older generation. */
bool state_checkpoint_save(mongoc_client_t *client, const char *database, uint64_t epoch, int64_t generation,
                           const bson_t *token, struct error *reterr);
/* For the owner that a save tells CONFLICT: a checkpoint that is gone, damaged or of an older generation than ours is
 * written anew. One that can be saved is left alone. */
bool state_checkpoint_mend(mongoc_client_t *client, const char *database, uint64_t epoch, int64_t generation,
                           const bson_t *token, bool *ret_mended, struct error *reterr);
/* Our position is lost or was never there: in one transaction, a full-scan job and the position to read on from
 * (now). sweep: afterwards look for documents in the index that the source has not. */
bool state_start_over(mongoc_client_t *client, const char *database, uint64_t epoch, const char *reason, bool sweep,
                      struct stream_position *ret, struct error *reterr);

/* -- where marks go: a position means that everything before it arrived there -- */

#define STATE_SINK_NONE "none" /* what changed went into no index that serves */
#define STATE_SINK_LOST "lost" /* it went into a topic that was deleted */
/* *ret_moved: the position was stored by somebody whose marks went into a topic other than this sink. */
bool state_sink_moved(mongoc_client_t *client, const char *database, const char *sink, bool *ret_moved,
                      struct error *reterr);
/* As stored: "index", "kafka:TOPIC", "" if nothing is. */
#define STATE_SINK_SIZE 160
bool state_sink_get(mongoc_client_t *client, const char *database, char ret[STATE_SINK_SIZE], struct error *reterr);
bool state_sink_set(mongoc_client_t *client, const char *database, uint64_t epoch, const char *sink,
                    struct error *reterr); /* CONFLICT: not our epoch */
/* Another index serves, which somebody else has filled: whoever becomes owner next scans. */
bool state_sink_forget(mongoc_client_t *client, const char *database, struct error *reterr);

/* -- the index that refreshes seldom while it is filled (jobs/job_fill.h) -- */
struct state_fill {
    char index[256]; /* "": there is none */
    char own[24];    /* its own interval; "": none of its own, so the server's */
    char given[24];  /* the one that it was given */
};
/* None is stored, or what is stored makes no sense: ret->index is "". */
bool state_fill_load(mongoc_client_t *client, const char *database, struct state_fill *ret, struct error *reterr);
/* CONFLICT: not our epoch. */
bool state_fill_save(mongoc_client_t *client, const char *database, uint64_t epoch, const struct state_fill *fill,
                     struct error *reterr);
