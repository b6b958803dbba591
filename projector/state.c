#include "core/clock.h"
#include "projector/lease.h"
#include "projector/state.h"
#include <inttypes.h>
#include <stdio.h>

#define CHECKPOINT_ID "checkpoint:stream"
#define FILL_ID "fill"

/* -- documents in general -- */

static bool find_path(const bson_t *doc, const char *path, bson_iter_t *ret) {
    bson_iter_t at;
    return bson_iter_init(&at, doc) && bson_iter_find_descendant(&at, path, ret);
}

const char *state_string(const bson_t *doc, const char *path) {
    bson_iter_t at;
    return find_path(doc, path, &at) && BSON_ITER_HOLDS_UTF8(&at) ? bson_iter_utf8(&at, NULL) : NULL;
}

int64_t state_i64(const bson_t *doc, const char *path) {
    bson_iter_t at;
    return find_path(doc, path, &at) && BSON_ITER_HOLDS_NUMBER(&at) ? bson_iter_as_int64(&at) : 0;
}

bool state_bool(const bson_t *doc, const char *path) {
    bson_iter_t at;
    return find_path(doc, path, &at) && BSON_ITER_HOLDS_BOOL(&at) && bson_iter_bool(&at);
}

uint64_t state_timestamp(const bson_t *doc, const char *path) {
    bson_iter_t at;
    if (!find_path(doc, path, &at) || !BSON_ITER_HOLDS_TIMESTAMP(&at))
        return 0;
    uint32_t seconds, increment;
    bson_iter_timestamp(&at, &seconds, &increment);
    return (uint64_t)seconds << 32 | increment;
}

bool state_command(mongoc_client_t *client, const char *database, const bson_t *command, const char *what,
                   bson_t *ret_reply, struct error *reterr) {
    bson_t reply;
    bson_error_t error;
    bool ok = mongoc_client_command_simple(client, database, command, NULL, &reply, &error);
    if (!ok)
        mongo_error(what, &error, &reply, reterr);
    if (!ret_reply)
        bson_destroy(&reply);
    else if (!bson_steal(ret_reply, &reply))
        bson_copy_to(&reply, ret_reply), bson_destroy(&reply);
    return ok;
}

bool state_find_one(mongoc_client_t *client, const char *database, const char *collection, const bson_t *query,
                    bson_t *ret, bool *ret_found, struct error *reterr) {
    bson_init(ret);
    *ret_found = false;
    mongoc_collection_t *c = mongoc_client_get_collection(client, database, collection);
    bson_t *opts = BCON_NEW("limit", BCON_INT64(1), "readConcern", "{", "level", "majority", "}");
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(c, query, opts, NULL);
    const bson_t *doc;
    bson_error_t error;
    if (mongoc_cursor_next(cursor, &doc)) {
        bson_destroy(ret);
        bson_copy_to(doc, ret);
        *ret_found = true;
    }
    bool failed = mongoc_cursor_error(cursor, &error);
    mongoc_cursor_destroy(cursor);
    mongoc_collection_destroy(c);
    bson_destroy(opts);
    return failed ? mongo_error(collection, &error, NULL, reterr) : true;
}

bool state_update(mongoc_client_t *client, const char *database, const char *collection, const bson_t *query,
                  const bson_t *update, bool upsert, int64_t *ret_matched, struct error *reterr) {
    mongoc_collection_t *c = mongoc_client_get_collection(client, database, collection);
    bson_t *opts = BCON_NEW("upsert", BCON_BOOL(upsert));
    bson_t reply;
    bson_error_t error;
    bool ok = mongoc_collection_update_one(c, query, update, opts, &reply, &error);
    if (ok && ret_matched)
        *ret_matched = state_i64(&reply, "matchedCount") + state_i64(&reply, "upsertedCount");
    if (!ok)
        mongo_error(collection, &error, &reply, reterr);
    bson_destroy(&reply);
    bson_destroy(opts);
    mongoc_collection_destroy(c);
    return ok;
}

uint64_t state_operation_time(const bson_t *reply) {
    return state_timestamp(reply, "operationTime");
}

static bool update_many(mongoc_client_t *client, const char *database, const char *collection, const bson_t *query,
                        const bson_t *update, struct error *reterr) {
    mongoc_collection_t *c = mongoc_client_get_collection(client, database, collection);
    bson_t reply;
    bson_error_t error;
    bool ok = mongoc_collection_update_many(c, query, update, NULL, &reply, &error);
    if (!ok)
        mongo_error(collection, &error, &reply, reterr);
    bson_destroy(&reply);
    mongoc_collection_destroy(c);
    return ok;
}

/* What holds another number than an epoch, or none at all, was damaged and is nobody's: it is ours to write. */
static void append_epoch_is_ours(bson_t *query, uint64_t epoch) {
    BCON_APPEND(query, "$or", "[", "{", "epoch", "{", "$type", "array", "}", "}", "{", "$nor", "[", "{", "epoch", "{", "$gt",
                BCON_INT64((int64_t)epoch), "$lte", BCON_INT64((int64_t)LEASE_EPOCH_MAX), "}", "}", "]", "}", "]");
}

bool state_claim(mongoc_client_t *client, const char *database, uint64_t epoch, struct error *reterr) {
    bson_t *mine = BCON_NEW("$set", "{", "epoch", BCON_INT64((int64_t)epoch), "}");
    bson_t *states = BCON_NEW("_id", "{", "$in", "[", CHECKPOINT_ID, FILL_ID, "]", "}");
    append_epoch_is_ours(states, epoch);
    bson_t *jobs = BCON_NEW("state", "{", "$in", "[", "running", "waiting", "]", "}", "epoch", "{", "$lt",
                            BCON_INT64((int64_t)epoch), "}");
    bool ok = update_many(client, database, STATE_COLLECTION, states, mine, reterr) &&
              update_many(client, database, STATE_JOBS, jobs, mine, reterr);
    bson_destroy(mine);
    bson_destroy(states);
    bson_destroy(jobs);
    return ok;
}

/* Fan-out pages through the products of one category in order of their ids, whatever their number; finished jobs
 * are kept for a week. */
bool state_ensure_indexes(mongoc_client_t *client, const char *database, struct error *reterr) {
    bson_t *command = BCON_NEW("createIndexes", STATE_PRODUCTS, "indexes", "[", "{", "key", "{", "categories",
                               BCON_INT32(1), "_id", BCON_INT32(1), "}", "name", "categories_1__id_1", "}", "]");
    bson_t *finished = BCON_NEW("createIndexes", STATE_JOBS, "indexes", "[", "{", "key", "{", "finished_at",
                                BCON_INT32(1), "}", "name", "finished_at_1", "expireAfterSeconds",
                                BCON_INT32(7 * 86400), "}", "]");
    bool ok = state_command(client, database, command, "create indexes of products", NULL, reterr) &&
              state_command(client, database, finished, "create indexes of jobs", NULL, reterr);
    bson_destroy(command);
    bson_destroy(finished);
    return ok;
}

/* -- the position in the change stream -- */

void stream_position_done(struct stream_position *position) {
    if (position->token)
        bson_destroy(position->token);
    position->token = NULL;
}

static void position_read(const bson_t *doc, struct stream_position *ret) {
    bson_iter_t at;
    *ret = (struct stream_position){.start_at = state_timestamp(doc, "start_at"),
                                    .generation = state_i64(doc, "generation")};
    if (bson_iter_init_find(&at, doc, "token") && BSON_ITER_HOLDS_DOCUMENT(&at)) {
        uint32_t len;
        const uint8_t *data;
        bson_iter_document(&at, &len, &data);
        ret->token = bson_new_from_data(data, len);
    }
}

bool state_checkpoint_load(mongoc_client_t *client, const char *database, struct stream_position *ret, bool *ret_found,
                           struct error *reterr) {
    bson_t *query = BCON_NEW("_id", CHECKPOINT_ID);
    bson_t doc;
    bool ok = state_find_one(client, database, STATE_COLLECTION, query, &doc, ret_found, reterr);
    *ret = (struct stream_position){0};
    if (ok && *ret_found) {
        position_read(&doc, ret);
        *ret_found = ret->token || ret->start_at; /* a checkpoint without a position is none */
    }
    bson_destroy(query);
    bson_destroy(&doc);
    return ok;
}

bool state_checkpoint_save(mongoc_client_t *client, const char *database, uint64_t epoch, int64_t generation,
                           const bson_t *token, struct error *reterr) {
    bson_t *query = BCON_NEW("_id", CHECKPOINT_ID, "epoch", BCON_INT64((int64_t)epoch), "generation",
                             BCON_INT64(generation));
    bson_t *update = BCON_NEW("$set", "{", "token", BCON_DOCUMENT(token), "}", "$unset", "{", "start_at", "", "}",
                              "$currentDate", "{", "updated_at", BCON_BOOL(true), "}");
    int64_t matched = 0;
    bool ok = state_update(client, database, STATE_COLLECTION, query, update, false, &matched, reterr);
    bson_destroy(query);
    bson_destroy(update);
    if (ok && matched != 1)
        return error_set(reterr, ERROR_CONFLICT, "the checkpoint belongs to another epoch or generation");
    return ok;
}

static bool is_whole(const bson_t *doc, const char *field, int64_t max) {
    bson_iter_t at;
    return bson_iter_init_find(&at, doc, field) && (BSON_ITER_HOLDS_INT64(&at) || BSON_ITER_HOLDS_INT32(&at)) &&
           bson_iter_as_int64(&at) >= 0 && bson_iter_as_int64(&at) <= max;
}

static bool can_be_saved(const bson_t *doc, uint64_t epoch, int64_t generation) {
    return is_whole(doc, "epoch", (int64_t)LEASE_EPOCH_MAX) && is_whole(doc, "generation", INT64_MAX) &&
           (state_i64(doc, "epoch") != (int64_t)epoch || state_i64(doc, "generation") >= generation);
}

bool state_checkpoint_mend(mongoc_client_t *client, const char *database, uint64_t epoch, int64_t generation,
                           const bson_t *token, bool *ret_mended, struct error *reterr) {
    bson_t *query = BCON_NEW("_id", CHECKPOINT_ID);
    bson_t doc;
    bool found;
    *ret_mended = false;
    bool ok = state_find_one(client, database, STATE_COLLECTION, query, &doc, &found, reterr);
    bool mend = ok && (!found || !can_be_saved(&doc, epoch, generation));
    bson_destroy(&doc);
    if (mend) {
        append_epoch_is_ours(query, epoch);
        bson_t *update = BCON_NEW("$set", "{", "epoch", BCON_INT64((int64_t)epoch), "generation", BCON_INT64(generation),
                                  "token", BCON_DOCUMENT(token), "}", "$unset", "{", "start_at", "", "}", "$currentDate",
                                  "{", "updated_at", BCON_BOOL(true), "}");
        ok = state_update(client, database, STATE_COLLECTION, query, update, true, NULL, reterr);
        bson_destroy(update);
        *ret_mended = ok;
    }
    bson_destroy(query);
    return ok;
}

/* -- starting over -- */

struct start_over {
    mongoc_client_t *client;
    const char *database, *reason;
    uint64_t epoch, now; /* the full scan sees everything up to now, the stream begins right after */
    bool sweep;
    char job_id[64];
    int64_t generation;
};

static bool start_over_job(const struct start_over *s, mongoc_collection_t *jobs, const bson_t *session_opts,
                           bson_t **reply, bson_error_t *error) {
    bson_t reply_each;
    bson_t *active = BCON_NEW("type", "scan", "state", "{", "$in", "[", "running", "waiting", "]", "}", "epoch", "{",
                              "$lte", BCON_INT64((int64_t)s->epoch), "}");
    bson_t *superseded = BCON_NEW("$set", "{", "state", "superseded", "superseded_by", BCON_UTF8(s->job_id), "}",
                                  "$currentDate", "{", "finished_at", BCON_BOOL(true), "}");
    bool ok = mongoc_collection_update_many(jobs, active, superseded, session_opts, &reply_each, error);
    bson_destroy(active);
    bson_destroy(superseded);
    if (ok) {
        bson_destroy(&reply_each);
        bson_t *job = BCON_NEW("_id", BCON_UTF8(s->job_id), "type", "scan", "state", "running", "phase", "mark", "epoch",
                               BCON_INT64((int64_t)s->epoch), "reason", BCON_UTF8(s->reason), "sweep",
                               BCON_BOOL(s->sweep), "after", BCON_TIMESTAMP((int32_t)(s->now >> 32), (int32_t)s->now),
                               "done", BCON_INT64(0), "created_at", BCON_DATE_TIME(clock_wall_usec() / 1000));
        ok = mongoc_collection_insert_one(jobs, job, session_opts, &reply_each, error);
        bson_destroy(job);
    }
    if (ok)
        bson_destroy(&reply_each);
    else
        *reply = bson_copy(&reply_each), bson_destroy(&reply_each);
    return ok;
}

static bool start_over_position(struct start_over *s, mongoc_collection_t *states, const bson_t *session_opts,
                                bson_t **reply, bson_error_t *error) {
    bson_t reply_each, opts = BSON_INITIALIZER;
    bson_concat(&opts, session_opts);
    BSON_APPEND_BOOL(&opts, "upsert", true);
    bson_t *query = BCON_NEW("_id", CHECKPOINT_ID);
    append_epoch_is_ours(query, s->epoch);
    bson_t *update = BCON_NEW("$set", "{", "epoch", BCON_INT64((int64_t)s->epoch), "start_at",
                              BCON_TIMESTAMP((int32_t)(s->now >> 32), (int32_t)s->now + 1), "generation",
                              BCON_INT64(s->generation), "}", "$unset", "{", "token", "", "}", "$currentDate", "{",
                              "updated_at", BCON_BOOL(true), "}");
    bool ok = mongoc_collection_update_one(states, query, update, &opts, &reply_each, error);
    if (!ok)
        *reply = bson_copy(&reply_each);
    bson_destroy(&reply_each);
    bson_destroy(query);
    bson_destroy(update);
    bson_destroy(&opts);
    return ok;
}

static bool start_over_transaction(mongoc_client_session_t *session, void *ctx, bson_t **reply, bson_error_t *error) {
    struct start_over *s = ctx;
    bson_t opts = BSON_INITIALIZER;
    if (!mongoc_client_session_append(session, &opts, error))
        return false;
    mongoc_collection_t *jobs = mongoc_client_get_collection(s->client, s->database, STATE_JOBS);
    mongoc_collection_t *states = mongoc_client_get_collection(s->client, s->database, STATE_COLLECTION);
    bool ok = start_over_job(s, jobs, &opts, reply, error) && start_over_position(s, states, &opts, reply, error);
    mongoc_collection_destroy(jobs);
    mongoc_collection_destroy(states);
    bson_destroy(&opts);
    return ok;
}

static bool cluster_time_now(mongoc_client_t *client, const char *database, uint64_t *ret, struct error *reterr) {
    bson_t *ping = BCON_NEW("ping", BCON_INT32(1));
    bson_t reply;
    bool ok = state_command(client, database, ping, "ping", &reply, reterr);
    *ret = state_operation_time(&reply);
    bson_destroy(&reply);
    bson_destroy(ping);
    if (ok && *ret == 0)
        return error_set(reterr, ERROR_UNAVAILABLE, "MongoDB gives no operationTime: is it a replica set?");
    return ok;
}

bool state_start_over(mongoc_client_t *client, const char *database, uint64_t epoch, const char *reason, bool sweep,
                      struct stream_position *ret, struct error *reterr) {
    struct start_over s = {.client = client, .database = database, .reason = reason, .epoch = epoch, .sweep = sweep};
    struct stream_position old;
    bool found;
    if (!cluster_time_now(client, database, &s.now, reterr) ||
        !state_checkpoint_load(client, database, &old, &found, reterr))
        return false;
    s.generation = (old.generation > 0 ? old.generation : 0) + 1;
    stream_position_done(&old);
    /* With the time: where the generation was damaged, one of this epoch may come a second time. */
    snprintf(s.job_id, sizeof(s.job_id), "scan-%" PRIu64 "-%" PRId64 "-%" PRIu64, epoch, s.generation, s.now >> 32);
    bson_error_t error;
    mongoc_client_session_t *session = mongoc_client_start_session(client, NULL, &error);
    if (!session)
        return mongo_error("start a session", &error, NULL, reterr);
    bson_t reply;
    bool ok = mongoc_client_session_with_transaction(session, start_over_transaction, NULL, &s, &reply, &error);
    if (!ok)
        mongo_error("store the new position and the full scan", &error, &reply, reterr);
    bson_destroy(&reply);
    mongoc_client_session_destroy(session);
    *ret = (struct stream_position){.start_at = s.now + 1, .generation = s.generation};
    return ok;
}

/* -- where marks go -- */

bool state_sink_get(mongoc_client_t *client, const char *database, char ret[STATE_SINK_SIZE], struct error *reterr) {
    bson_t *query = BCON_NEW("_id", CHECKPOINT_ID);
    bson_t doc;
    bool found, ok = state_find_one(client, database, STATE_COLLECTION, query, &doc, &found, reterr);
    const char *sink = ok && found ? state_string(&doc, "sink") : NULL;
    snprintf(ret, STATE_SINK_SIZE, "%s", sink ? sink : "");
    bson_destroy(query);
    bson_destroy(&doc);
    return ok;
}

bool state_sink_moved(mongoc_client_t *client, const char *database, const char *sink, bool *ret_moved,
                      struct error *reterr) {
    char before[STATE_SINK_SIZE];
    if (!state_sink_get(client, database, before, reterr))
        return false;
    *ret_moved = *before && strcmp(before, "index") != 0 && strcmp(before, sink) != 0;
    return true;
}

bool state_sink_set(mongoc_client_t *client, const char *database, uint64_t epoch, const char *sink,
                    struct error *reterr) {
    bson_t *query = BCON_NEW("_id", CHECKPOINT_ID, "epoch", BCON_INT64((int64_t)epoch));
    bson_t *update = BCON_NEW("$set", "{", "sink", BCON_UTF8(sink), "}");
    int64_t matched = 0;
    bool ok = state_update(client, database, STATE_COLLECTION, query, update, false, &matched, reterr);
    bson_destroy(query);
    bson_destroy(update);
    return ok && matched != 1 ? error_set(reterr, ERROR_CONFLICT, "the checkpoint belongs to another epoch") : ok;
}

bool state_sink_forget(mongoc_client_t *client, const char *database, struct error *reterr) {
    bson_t *query = BCON_NEW("_id", CHECKPOINT_ID);
    bson_t *update = BCON_NEW("$set", "{", "sink", BCON_UTF8(STATE_SINK_NONE), "}");
    bool ok = state_update(client, database, STATE_COLLECTION, query, update, false, NULL, reterr);
    bson_destroy(query);
    bson_destroy(update);
    return ok;
}

/* -- the index that refreshes seldom -- */

static bool copy_string(const bson_t *doc, const char *path, char *ret, size_t size) {
    const char *text = state_string(doc, path);
    return text && (size_t)snprintf(ret, size, "%s", text) < size;
}

bool state_fill_load(mongoc_client_t *client, const char *database, struct state_fill *ret, struct error *reterr) {
    bson_t *query = BCON_NEW("_id", FILL_ID);
    bson_t doc;
    bool found, ok = state_find_one(client, database, STATE_COLLECTION, query, &doc, &found, reterr);
    if (!ok || !found || !copy_string(&doc, "index", ret->index, sizeof(ret->index)) ||
        !copy_string(&doc, "own", ret->own, sizeof(ret->own)) || !copy_string(&doc, "given", ret->given, sizeof(ret->given)))
        *ret = (struct state_fill){0};
    bson_destroy(query);
    bson_destroy(&doc);
    return ok;
}

bool state_fill_save(mongoc_client_t *client, const char *database, uint64_t epoch, const struct state_fill *fill,
                     struct error *reterr) {
    bson_t *query = BCON_NEW("_id", FILL_ID, "epoch", BCON_INT64((int64_t)epoch));
    bson_t *update = BCON_NEW("$set", "{", "index", BCON_UTF8(fill->index), "own", BCON_UTF8(fill->own), "given",
                              BCON_UTF8(fill->given), "}");
    /* Where it stands with another epoch, the upsert is of an _id that is taken: CONFLICT. */
    bool ok = state_update(client, database, STATE_COLLECTION, query, update, true, NULL, reterr);
    bson_destroy(query);
    bson_destroy(update);
    return ok;
}
