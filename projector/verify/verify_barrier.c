#include "core/cleanup.h"
#include "core/hash.h"
#include "projector/verify/verify_barrier.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { STAGE_STREAM, STAGE_QUEUE, STAGE_JOBS_FIRST, STAGE_JOBS };

void verify_barrier_init(struct verify_barrier *b, const struct verify_moment *moment) {
    *b = (struct verify_barrier){.moment = *moment};
}

void verify_barrier_done(struct verify_barrier *b) {
    if (b->jobs)
        bson_destroy(b->jobs);
    b->jobs = NULL;
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

uint64_t verify_token_time(const char *data) {
    uint64_t time = 0;
    if (!data || data[0] != '8' || data[1] != '2')
        return 0;
    for (int i = 2; i < 18; i++) {
        int digit = hex_digit(data[i]);
        if (digit < 0)
            return 0;
        time = time << 4 | (unsigned)digit;
    }
    return time;
}

/* -- the change stream -- */

static bool ask_stream(struct verify_barrier *b, mongoc_client_t *client, const char *database, bool *ret,
                       struct error *reterr) {
    bson_t *query = BCON_NEW("_id", "checkpoint:stream");
    bson_t doc;
    bool found = false, ok = state_find_one(client, database, STATE_COLLECTION, query, &doc, &found, reterr);
    uint64_t position = ok && found ? verify_token_time(state_string(&doc, "token._data")) : 0;
    if (ok && found && position == 0) {
        position = state_timestamp(&doc, "start_at");
        position -= position > 0; /* it begins there, so it has seen what is before */
    }
    b->progress = position;
    *ret = position > b->moment.cluster_time;
    if (!found)
        snprintf(b->why, sizeof(b->why), "no projector has stored a position yet");
    else
        snprintf(b->why, sizeof(b->why), "the projector's position in the change stream is %" PRIu64 " s behind",
                 (b->moment.cluster_time >> 32) - (position < b->moment.cluster_time ? position >> 32
                                                                                     : b->moment.cluster_time >> 32));
    bson_destroy(query);
    bson_destroy(&doc);
    return ok;
}

/* -- the queue -- */

struct rows {
    uint64_t count, lowest;
};

static bool count_row(void *ctx, char **columns, const unsigned long *lengths, unsigned count) {
    struct rows *rows = ctx;
    (void)lengths;
    if (count > 1 && columns[0])
        rows->count = strtoull(columns[0], NULL, 10);
    if (count > 1 && columns[1])
        rows->lowest = strtoull(columns[1], NULL, 10);
    return false;
}

static bool ask_queue(struct verify_barrier *b, struct mysql_session *mysql, bool *ret, struct error *reterr) {
    struct rows rows = {0};
    if (b->moment.queue_id &&
        !mysql_session_query(mysql, count_row, &rows, reterr, "SELECT COUNT(*), MIN(id) FROM projection_queue WHERE id <= ?",
                             MYSQL_U64(b->moment.queue_id)))
        return false;
    *ret = rows.count == 0;
    b->progress = rows.count ^ rows.lowest << 24;
    snprintf(b->why, sizeof(b->why), "%" PRIu64 " rows of projection_queue are not done", rows.count);
    return true;
}

/* -- jobs -- */

static bool is_running(const char *state) {
    return state && strcmp(state, "running") == 0;
}

static void say_job(struct verify_barrier *b, const bson_t *job, const char *id) {
    int64_t done = state_i64(job, "done"), total = state_i64(job, "total");
    bool begun = done > 0 || total > 0 || state_bool(job, "begun");
    if (state_bool(job, "paused"))
        snprintf(b->why, sizeof(b->why), "the job %.60s is paused", id);
    else if (!begun && b->why[0]) /* another one says more */
        return;
    else if (!begun)
        snprintf(b->why, sizeof(b->why), "the job %.60s has not begun", id);
    else if (total == 0)
        snprintf(b->why, sizeof(b->why), "the job %.60s is at %" PRId64, id, done);
    else
        snprintf(b->why, sizeof(b->why), "the job %.60s is at %" PRId64 " of %" PRId64, id, done, total);
}

/* The jobs of `query`; those that run, and those that came in the place of others, are listed in b->jobs anew. *ret_lost: it
 * is not known what came in the place of one. */
static bool list_jobs(struct verify_barrier *b, mongoc_client_t *client, const char *database, const bson_t *query,
                      bool *ret_lost, struct error *reterr) {
    mongoc_collection_t *c = mongoc_client_get_collection(client, database, STATE_JOBS);
    bson_t *opts = BCON_NEW("readConcern", "{", "level", "majority", "}");
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(c, query, opts, NULL);
    bson_t *running = bson_new();
    const bson_t *doc;
    bson_error_t error;
    uint32_t n = 0;
    b->progress = 0;
    b->why[0] = '\0';
    *ret_lost = false;
    while (mongoc_cursor_next(cursor, &doc)) {
        const char *id = state_string(doc, "_id"), *state = state_string(doc, "state");
        bool superseded = state && strcmp(state, "superseded") == 0;
        if (superseded && !(id = state_string(doc, "superseded_by")))
            *ret_lost = true; /* an older projector does not store it */
        if (!id || (!superseded && !is_running(state)))
            continue;
        char scratch[16];
        const char *key;
        size_t len = bson_uint32_to_string(n++, &key, scratch, sizeof(scratch));
        bson_append_utf8(running, key, (int)len, id, -1);
        b->progress = hash_combine(b->progress, (uint64_t)state_i64(doc, "done") + 1);
        say_job(b, doc, id);
    }
    bool failed = mongoc_cursor_error(cursor, &error);
    mongoc_cursor_destroy(cursor);
    mongoc_collection_destroy(c);
    bson_destroy(opts);
    verify_barrier_done(b);
    b->jobs = running;
    return failed ? mongo_error("read jobs", &error, NULL, reterr) : true;
}

static bool ask_jobs(struct verify_barrier *b, mongoc_client_t *client, const char *database, bool first, bool *ret,
                     struct error *reterr) {
    bool lost = false;
    bson_t *query = first ? BCON_NEW("state", "running", "type", "{", "$in", "[", "scan", "fanout", "]", "}")
                          : BCON_NEW("_id", "{", "$in", BCON_ARRAY(b->jobs), "}");
    bool ok = list_jobs(b, client, database, query, &lost, reterr);
    bson_destroy(query);
    if (!ok)
        return false;
    if (lost)
        return ask_jobs(b, client, database, true, ret, reterr);
    *ret = bson_count_keys(b->jobs) == 0;
    return true;
}

bool verify_barrier_ask(struct verify_barrier *b, mongoc_client_t *client, const char *database,
                        struct mysql_session *mysql, bool *ret_passed, struct error *reterr) {
    bool passed = true;
    *ret_passed = false;
    while (passed) {
        switch (b->stage) {
        case STAGE_STREAM:
            if (!ask_stream(b, client, database, &passed, reterr))
                return false;
            break;
        case STAGE_QUEUE:
            if (!ask_queue(b, mysql, &passed, reterr))
                return false;
            break;
        default:
            if (!ask_jobs(b, client, database, b->stage == STAGE_JOBS_FIRST, &passed, reterr))
                return false;
            if (b->stage == STAGE_JOBS_FIRST && !passed) {
                b->stage = STAGE_JOBS;
                return true;
            }
            *ret_passed = passed;
            return true;
        }
        if (passed)
            b->stage++;
    }
    return true;
}

/* -- the topic -- */

static bool mark_topic(struct verify_topic *t, const struct projector_options *o, mongoc_client_t *client, struct error *reterr) {
    static const char prefix[] = "kafka:";
    if (t->known)
        snprintf(t->sink, sizeof(t->sink), "%s", t->known);
    else if (!state_sink_get(client, o->mongo.database, t->sink, reterr))
        return false;
    if (strncmp(t->sink, prefix, sizeof(prefix) - 1) != 0)
        return true;
    t->lag = kafka_lag_new(&o->kafka, o->projector.marks_group, t->sink + sizeof(prefix) - 1, reterr);
    if (t->lag && kafka_lag_mark(t->lag, reterr))
        return true;
    verify_topic_done(t);
    return false;
}

bool verify_topic_ask(struct verify_topic *t, const struct projector_options *options, mongoc_client_t *client,
                      int64_t *ret_behind, struct error *reterr) {
    *ret_behind = 0;
    if (!t->lag && !mark_topic(t, options, client, reterr))
        return false;
    return !t->lag || kafka_lag_ask(t->lag, ret_behind, reterr);
}

void verify_topic_done(struct verify_topic *t) {
    kafka_lag_free(TAKE(t->lag));
}

bool verify_projector_runs(mongoc_client_t *client, const char *database, bool *ret, struct error *reterr) {
    bson_t *query = BCON_NEW("_id", "lease");
    bson_t doc;
    bool found = false, ok = state_find_one(client, database, STATE_COLLECTION, query, &doc, &found, reterr);
    *ret = ok && found && !state_bool(&doc, "released");
    bson_destroy(query);
    bson_destroy(&doc);
    return ok;
}
