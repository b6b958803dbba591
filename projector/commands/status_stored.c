#include "projector/commands/status_stored.h"
#include "projector/engine/dead_letter.h"
#include "projector/jobs/jobs.h"
#include "projector/jobs/targets.h"
#include "projector/status.h"

struct look {
    mongoc_client_t *client;
    const char *database;
    struct json_write *w;
};

static void write_str(struct json_write *w, const char *key, const char *value) {
    json_write_key(w, key);
    json_write_str(w, value);
}

static void write_int(struct json_write *w, const char *key, int64_t value) {
    json_write_key(w, key);
    json_write_int(w, value);
}

static int64_t date_usec(const bson_t *doc, const char *key) {
    bson_iter_t at;
    return bson_iter_init_find(&at, doc, key) && BSON_ITER_HOLDS_DATE_TIME(&at) ? bson_iter_date_time(&at) * 1000 : 0;
}

static void write_lease(struct json_write *w, const bson_t *doc) {
    json_write_key(w, "lease");
    json_write_object(w);
    write_int(w, "epoch", state_i64(doc, "epoch"));
    json_write_key(w, "released");
    json_write_bool(w, state_bool(doc, "released"));
    status_write_time(w, "renewed_at", date_usec(doc, "renewed_at"));
    json_write_key(w, "holder");
    json_write_object(w);
    write_str(w, "id", state_string(doc, "holder.id"));
    write_str(w, "host", state_string(doc, "holder.host"));
    write_int(w, "pid", state_i64(doc, "holder.pid"));
    json_write_object_end(w);
    json_write_object_end(w);
}

/* A resume token is a KeyString in hex: type 0x82 (timestamp), then four bytes of seconds, big-endian
 * (mongo/db/pipeline/resume_token.h). */
static int64_t token_seconds(const char *data) {
    unsigned seconds = 0;
    return data && strncmp(data, "82", 2) == 0 && sscanf(data + 2, "%8x", &seconds) == 1 ? (int64_t)seconds : 0;
}

static int64_t oldest_seconds(const struct look *l) {
    bson_t *command = BCON_NEW("find", "oplog.rs", "sort", "{", "$natural", BCON_INT32(1), "}", "limit", BCON_INT32(1),
                               "projection", "{", "ts", BCON_INT32(1), "}", "singleBatch", BCON_BOOL(true));
    bson_t reply;
    struct error error;
    bool ok = state_command(l->client, "local", command, "read the oplog's start", &reply, &error);
    int64_t seconds = ok ? (int64_t)(state_timestamp(&reply, "cursor.firstBatch.0.ts") >> 32) : 0;
    bson_destroy(&reply);
    bson_destroy(command);
    return seconds;
}

static void write_checkpoint(const struct look *l, const bson_t *doc) {
    struct json_write *w = l->w;
    int64_t at = token_seconds(state_string(doc, "token._data"));
    if (at == 0)
        at = (int64_t)(state_timestamp(doc, "start_at") >> 32);
    int64_t oldest = oldest_seconds(l);
    json_write_key(w, "sources");
    json_write_array(w);
    json_write_object(w);
    write_str(w, "source", "stream");
    status_write_time(w, "position", at * 1000000);
    status_write_time(w, "checkpoint_saved_at", date_usec(doc, "updated_at"));
    if (at && oldest)
        write_int(w, "oplog_headroom_seconds", at - oldest);
    json_write_object_end(w);
    json_write_array_end(w);
}

static void write_job(void *ctx, struct job_record *job) {
    struct json_write *w = ctx;
    json_write_object(w);
    write_str(w, "id", job->id);
    write_str(w, "type", job_type_names[job->type]);
    write_str(w, "state", job_state_names[job->state]);
    write_str(w, "phase", job_phase_names[job->phase]);
    write_int(w, "done", job->done);
    write_int(w, "total", job->total);
    write_int(w, "orphans", job->orphans);
    if (job->note[0])
        write_str(w, "note", job->note);
    json_write_object_end(w);
    job_record_done(job);
}

static void write_verification(struct json_write *w, const bson_t *doc) {
    json_write_key(w, "verification");
    json_write_object(w);
    status_write_time(w, "verified_as_of", date_usec(doc, "verified_as_of"));
    write_int(w, "compared", state_i64(doc, "compared"));
    json_write_object_end(w);
}

static bool write_state(const struct look *l, const char *id, struct error *reterr) {
    bson_t doc, *query = BCON_NEW("_id", BCON_UTF8(id));
    bool found, ok = state_find_one(l->client, l->database, STATE_COLLECTION, query, &doc, &found, reterr);
    bson_destroy(query);
    if (ok && strcmp(id, "lease") == 0)
        write_lease(l->w, &doc);
    else if (ok && found && strcmp(id, "verify") == 0)
        write_verification(l->w, &doc);
    else if (ok && found)
        write_checkpoint(l, &doc);
    bson_destroy(&doc);
    return ok;
}

static bool write_dead_letters(const struct look *l, struct error *reterr) {
    bson_t reply, *command = BCON_NEW("count", DEAD_LETTER_COLLECTION);
    bool ok = state_command(l->client, l->database, command, "count dead letters", &reply, reterr);
    json_write_key(l->w, "dead_letters");
    json_write_object(l->w);
    write_int(l->w, "kept", ok ? state_i64(&reply, "n") : 0);
    json_write_object_end(l->w);
    bson_destroy(&reply);
    bson_destroy(command);
    return ok;
}

static bool write_targets(const struct look *l, struct error *reterr) {
    struct targets targets;
    if (!targets_load(l->client, l->database, &targets, reterr))
        return false;
    json_write_key(l->w, "targets");
    json_write_array(l->w);
    for (size_t i = 0; i < targets.count; i++) {
        json_write_object(l->w);
        write_str(l->w, "index", targets.list[i].index);
        write_str(l->w, "role", target_role_names[targets.list[i].role]);
        json_write_key(l->w, "flawed");
        json_write_bool(l->w, targets.list[i].flawed);
        json_write_object_end(l->w);
    }
    json_write_array_end(l->w);
    return true;
}

static bool write_all(const struct look *l, struct error *reterr) {
    if (!write_state(l, "lease", reterr) || !write_state(l, "checkpoint:stream", reterr) ||
        !write_targets(l, reterr))
        return false;
    json_write_key(l->w, "jobs");
    json_write_array(l->w);
    bool ok = jobs_active(l->client, l->database, write_job, l->w, reterr);
    json_write_array_end(l->w);
    return ok && write_dead_letters(l, reterr) && write_state(l, "verify", reterr);
}

bool status_stored_write(const struct projector_options *options, const char *url, const struct error *no_answer,
                         struct json_write *w, struct error *reterr) {
    mongoc_client_pool_t *pool = mongo_pool_new(&options->mongo, "projector-status", 1, reterr);
    if (!pool)
        return false;
    struct look look = {.client = mongoc_client_pool_pop(pool), .database = options->mongo.database, .w = w};
    json_write_object(w);
    write_str(w, "program", "projector");
    write_str(w, "from", "mongodb");
    status_write_time(w, "time", clock_wall_usec());
    json_write_key(w, "daemon");
    json_write_object(w);
    write_str(w, "url", url);
    write_str(w, "error", no_answer->message);
    json_write_object_end(w);
    bool ok = write_all(&look, reterr);
    json_write_object_end(w);
    mongoc_client_pool_push(pool, look.client);
    mongoc_client_pool_destroy(pool);
    return ok;
}
