#include "core/clock.h"
#include "projector/jobs/job_control.h"
#include <inttypes.h>
#include <stdio.h>

/* -- asking for a job -- */

static void begin(bson_t *job, const char *type, const char *phase, const char *reason, char ret_id[JOB_ID_SIZE]) {
    int64_t now = clock_wall_usec() / 1000;
    snprintf(ret_id, JOB_ID_SIZE, "%s-%" PRId64 "-%04x", type, now, (unsigned)(clock_random_u64() & 0xffff));
    BCON_APPEND(job, "_id", BCON_UTF8(ret_id), "type", BCON_UTF8(type), "state", "running", "phase", BCON_UTF8(phase),
                "epoch", BCON_INT64(0), "reason", BCON_UTF8(reason), "done", BCON_INT64(0), "created_at",
                BCON_DATE_TIME(now));
}

static bool insert(mongoc_client_t *client, const char *database, const bson_t *job, struct error *reterr) {
    mongoc_collection_t *c = mongoc_client_get_collection(client, database, STATE_JOBS);
    bson_error_t error;
    bool ok = mongoc_collection_insert_one(c, job, NULL, NULL, &error);
    mongoc_collection_destroy(c);
    return ok ? true : mongo_error("store the job", &error, NULL, reterr);
}

bool job_control_reindex(mongoc_client_t *client, const char *database, const struct job_reindex_wish *wish,
                         char ret_id[JOB_ID_SIZE], struct error *reterr) {
    bson_t job = BSON_INITIALIZER, mapping;
    begin(&job, "reindex", "create", "asked for", ret_id);
    BSON_APPEND_INT64(&job, "throttle", wish->throttle);
    BSON_APPEND_BOOL(&job, "no_swap", wish->no_swap);
    BSON_APPEND_BOOL(&job, "keep_index", wish->keep_index);
    BSON_APPEND_DOCUMENT_BEGIN(&job, "mapping", &mapping);
    BSON_APPEND_UTF8(&mapping, "name", wish->mapping->name);
    bson_append_utf8(&mapping, "text", -1, wish->mapping->text.data, (int)wish->mapping->text.len);
    bson_append_document_end(&job, &mapping);
    bool ok = insert(client, database, &job, reterr);
    bson_destroy(&job);
    return ok;
}

bool job_control_rollback(mongoc_client_t *client, const char *database, bool force, char ret_id[JOB_ID_SIZE],
                          struct error *reterr) {
    bson_t job = BSON_INITIALIZER;
    begin(&job, "rollback", "create", "asked for", ret_id);
    BSON_APPEND_BOOL(&job, "force", force);
    bool ok = insert(client, database, &job, reterr);
    bson_destroy(&job);
    return ok;
}

bool job_control_mapping(mongoc_client_t *client, const char *database, const char *id, struct index_mapping *ret,
                         struct error *reterr) {
    bson_t *query = BCON_NEW("_id", BCON_UTF8(id));
    bson_t doc;
    bool found, ok = state_find_one(client, database, STATE_JOBS, query, &doc, &found, reterr);
    const char *name = ok && found ? state_string(&doc, "mapping.name") : NULL;
    const char *text = ok && found ? state_string(&doc, "mapping.text") : NULL;
    if (ok && (!name || !text))
        ok = error_set(reterr, ERROR_CORRUPT, "job %s has no mapping", id);
    ok = ok && index_mapping_from_text(name, text, strlen(text), ret, reterr);
    bson_destroy(query);
    bson_destroy(&doc);
    return ok;
}

/* -- what shall become of it -- */

static bson_t *update_of(enum job_wish wish, int64_t throttle) {
    switch (wish) {
    case JOB_WISH_PAUSE:
        return BCON_NEW("$set", "{", "paused", BCON_BOOL(true), "}");
    case JOB_WISH_RESUME:
        return BCON_NEW("$set", "{", "paused", BCON_BOOL(false), "}");
    case JOB_WISH_CANCEL:
        return BCON_NEW("$set", "{", "cancel", BCON_BOOL(true), "}");
    case JOB_WISH_THROTTLE:
        return BCON_NEW("$set", "{", "throttle", BCON_INT64(throttle), "}");
    }
    return bson_new();
}

bool job_control_wish(mongoc_client_t *client, const char *database, const char *id, enum job_wish wish, int64_t throttle,
                      struct error *reterr) {
    bson_t *query = BCON_NEW("_id", BCON_UTF8(id), "state", "{", "$in", "[", "running", "waiting", "]", "}");
    bson_t *update = update_of(wish, throttle);
    int64_t matched = 0;
    bool ok = state_update(client, database, STATE_JOBS, query, update, false, &matched, reterr);
    bson_destroy(query);
    bson_destroy(update);
    if (ok && matched != 1)
        return error_set(reterr, ERROR_NOT_FOUND, "there is no active job %s (projector jobs list)", id);
    return ok;
}

struct found {
    struct job_record *to;
    bool any;
};

static void take(void *ctx, struct job_record *job) {
    struct found *found = ctx;
    if (found->any) {
        job_record_done(job);
        return;
    }
    *found->to = *job;
    found->any = true;
}

bool job_control_find(mongoc_client_t *client, const char *database, const char *id, struct job_record *ret,
                      struct error *reterr) {
    struct found found = {.to = ret};
    if (!jobs_visit(client, database, id, take, &found, reterr))
        return false;
    return found.any || error_set(reterr, ERROR_NOT_FOUND, "there is no job %s (projector jobs list)", id);
}

bool job_is_over(const struct job_record *job) {
    return job->state != JOB_RUNNING && job->state != JOB_WAITING;
}

const char *job_state_word(const struct job_record *job) {
    return job->paused && !job_is_over(job) ? "paused" : job_state_names[job->state];
}
