#include "core/utf8.h"
#include "projector/jobs/jobs.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { JOB_ID_BYTES = 128 }; /* of a product's id */

const char *const job_type_names[] = {"scan", "fanout", "repair", "reindex", "rollback", NULL};
const char *const job_state_names[] = {"running", "waiting", "done", "superseded", "failed", "cancelled", NULL};
const char *const job_phase_names[] = {"mark", "count", "sweep", "create", "verify", "swap", NULL};

void job_record_done(struct job_record *job) {
    free(job->categories);
    free(job->ids);
    job->categories = NULL;
    job->ids = NULL;
}

static int name_index(const char *const *names, const char *name) {
    for (int i = 0; name && names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

static bool read_categories(const bson_t *doc, struct job_record *job) {
    bson_iter_t at, each;
    if (!bson_iter_init_find(&at, doc, "categories") || !BSON_ITER_HOLDS_ARRAY(&at))
        return true;
    size_t count = 0;
    for (bson_iter_recurse(&at, &each); bson_iter_next(&each);)
        count++;
    if (count == 0)
        return true;
    job->categories = malloc(count * sizeof(*job->categories));
    if (!job->categories)
        return false;
    for (bson_iter_recurse(&at, &each); bson_iter_next(&each);)
        job->categories[job->category_count++] = bson_iter_as_int64(&each);
    return true;
}

static bool read_ids(const bson_t *doc, struct job_record *job) {
    bson_iter_t at, each;
    uint32_t len;
    if (!bson_iter_init_find(&at, doc, "ids") || !BSON_ITER_HOLDS_ARRAY(&at))
        return true;
    size_t bytes = 0;
    for (bson_iter_recurse(&at, &each); bson_iter_next(&each);)
        if (BSON_ITER_HOLDS_UTF8(&each) && bson_iter_utf8(&each, &len) && len > 0 && len <= JOB_ID_BYTES)
            bytes += len + 1;
    char *to = job->ids = bytes ? malloc(bytes) : NULL;
    if (bytes && !to)
        return false;
    for (bson_iter_recurse(&at, &each); bson_iter_next(&each);) {
        const char *id = BSON_ITER_HOLDS_UTF8(&each) ? bson_iter_utf8(&each, &len) : NULL;
        if (!id || len == 0 || len > JOB_ID_BYTES)
            continue;
        *to++ = (char)len;
        memcpy(to, id, len);
        to += len;
    }
    job->ids_bytes = bytes;
    return true;
}

static void read_text(const bson_t *doc, const char *path, char *ret, size_t size) {
    const char *text = state_string(doc, path);
    snprintf(ret, size, "%s", text ? text : "");
}

static void read_wishes(const bson_t *doc, struct job_record *job) {
    read_text(doc, "index", job->index, sizeof(job->index));
    read_text(doc, "before", job->before, sizeof(job->before));
    read_text(doc, "error", job->error, sizeof(job->error));
    read_text(doc, "note", job->note, sizeof(job->note));
    job->owes_scan = state_bool(doc, "owes_scan");
    job->no_swap = state_bool(doc, "no_swap");
    job->keep_index = state_bool(doc, "keep_index");
    job->force = state_bool(doc, "force");
    job->paused = state_bool(doc, "paused");
    job->cancel = state_bool(doc, "cancel");
    job->throttle = state_i64(doc, "throttle");
    job->rate = state_i64(doc, "rate");
}

static void read_place(const bson_t *doc, const char *path, struct job_cursor *ret) {
    const char *id = state_string(doc, path);
    size_t len = id ? strlen(id) : 0;
    if (len > sizeof(ret->id))
        return;
    ret->id_len = (uint8_t)len;
    if (len)
        memcpy(ret->id, id, len);
}

static bool read_record(const bson_t *doc, struct job_record *job) {
    const char *id = state_string(doc, "_id");
    int type = name_index(job_type_names, state_string(doc, "type"));
    int state = name_index(job_state_names, state_string(doc, "state"));
    int phase = name_index(job_phase_names, state_string(doc, "phase"));
    if (!id || strlen(id) >= JOB_ID_SIZE || type < 0 || state < 0 || phase < 0)
        return false;
    *job = (struct job_record){.type = (enum job_type)type, .state = (enum job_state)state,
                               .phase = (enum job_phase)phase, .epoch = (uint64_t)state_i64(doc, "epoch"),
                               .sweep = state_bool(doc, "sweep"), .confirmed = state_bool(doc, "confirmed"),
                               .after = state_timestamp(doc, "after"),
                               .revision = (uint64_t)state_i64(doc, "revision"), .done = state_i64(doc, "done"),
                               .total = state_i64(doc, "total"), .orphans = state_i64(doc, "orphans")};
    snprintf(job->id, sizeof(job->id), "%s", id);
    read_wishes(doc, job);
    job->cursor.category = (uint32_t)state_i64(doc, "cursor.category");
    read_place(doc, "cursor.id", &job->cursor);
    job->begun = state_bool(doc, "begun");
    return read_categories(doc, job) && read_ids(doc, job);
}

static bson_t *active_query(void) {
    return BCON_NEW("state", "{", "$in", "[", "running", "waiting", "]", "}");
}

static bool visit(mongoc_client_t *client, const char *database, bson_t *query, int order,
                  void (*fn)(void *ctx, struct job_record *job), void *ctx, struct error *reterr) {
    mongoc_collection_t *c = mongoc_client_get_collection(client, database, STATE_JOBS);
    bson_t *opts = BCON_NEW("sort", "{", "created_at", BCON_INT32(order), "}", "readConcern", "{", "level", "majority", "}");
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(c, query, opts, NULL);
    const bson_t *doc;
    bson_error_t error;
    while (mongoc_cursor_next(cursor, &doc)) {
        struct job_record job = {0};
        if (read_record(doc, &job))
            fn(ctx, &job);
        else
            job_record_done(&job);
    }
    bool failed = mongoc_cursor_error(cursor, &error);
    mongoc_cursor_destroy(cursor);
    mongoc_collection_destroy(c);
    bson_destroy(query);
    bson_destroy(opts);
    return failed ? mongo_error("read jobs", &error, NULL, reterr) : true;
}

bool jobs_active(mongoc_client_t *client, const char *database, void (*fn)(void *ctx, struct job_record *job), void *ctx,
                 struct error *reterr) {
    return visit(client, database, active_query(), 1, fn, ctx, reterr);
}

bool jobs_visit(mongoc_client_t *client, const char *database, const char *id,
                void (*fn)(void *ctx, struct job_record *job), void *ctx, struct error *reterr) {
    return visit(client, database, id ? BCON_NEW("_id", BCON_UTF8(id)) : bson_new(), -1, fn, ctx, reterr);
}

static void append_numbers(bson_t *list, const int64_t *numbers, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char scratch[16];
        const char *index;
        size_t len = bson_uint32_to_string((uint32_t)i, &index, scratch, sizeof(scratch));
        bson_append_int64(list, index, (int)len, numbers[i]);
    }
}

/* The place as it is stored. A scan may stand at an _id that is not UTF-8, which tools do not read: then at what is before. */
static struct job_cursor stored_place(const struct job_cursor *at) {
    struct job_cursor place = *at;
    while (!utf8_valid(place.id, place.id_len))
        place.id_len--;
    return place;
}

bool jobs_save(mongoc_client_t *client, const char *database, uint64_t epoch, const struct job_record *job,
               struct error *reterr) {
    bson_t query = BSON_INITIALIZER, update = BSON_INITIALIZER, set, cursor;
    BSON_APPEND_UTF8(&query, "_id", job->id);
    BSON_APPEND_INT64(&query, "epoch", (int64_t)epoch);
    BCON_APPEND(&query, "state", "{", "$in", "[", "running", "waiting", "]", "}");
    BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
    BSON_APPEND_UTF8(&set, "state", job_state_names[job->state]);
    BSON_APPEND_UTF8(&set, "phase", job_phase_names[job->phase]);
    BSON_APPEND_DOCUMENT_BEGIN(&set, "cursor", &cursor);
    BSON_APPEND_INT64(&cursor, "category", job->cursor.category);
    struct job_cursor place = stored_place(&job->cursor);
    bson_append_utf8(&cursor, "id", -1, place.id, place.id_len);
    bson_append_document_end(&set, &cursor);
    BSON_APPEND_INT64(&set, "done", job->done);
    BSON_APPEND_INT64(&set, "total", job->total);
    BSON_APPEND_INT64(&set, "orphans", job->orphans);
    BSON_APPEND_INT64(&set, "rate", job->rate);
    if (job->index[0])
        BSON_APPEND_UTF8(&set, "index", job->index);
    if (job->before[0]) {
        BSON_APPEND_UTF8(&set, "before", job->before);
        BSON_APPEND_BOOL(&set, "owes_scan", job->owes_scan);
    }
    if (job->error[0])
        BSON_APPEND_UTF8(&set, "error", job->error);
    BSON_APPEND_UTF8(&set, "note", job->note);
    if (job->begun)
        BSON_APPEND_BOOL(&set, "begun", true);
    bson_append_document_end(&update, &set);
    if (job->state == JOB_DONE || job->state == JOB_FAILED || job->state == JOB_CANCELLED)
        BCON_APPEND(&update, "$currentDate", "{", "updated_at", BCON_BOOL(true), "finished_at", BCON_BOOL(true), "}");
    else
        BCON_APPEND(&update, "$currentDate", "{", "updated_at", BCON_BOOL(true), "}");
    int64_t matched = 0;
    bool ok = state_update(client, database, STATE_JOBS, &query, &update, false, &matched, reterr);
    bson_destroy(&query);
    bson_destroy(&update);
    if (ok && matched != 1)
        return error_set(reterr, ERROR_CONFLICT, "job %s is superseded or belongs to another epoch", job->id);
    return ok;
}

/* -- fan-out -- */

static size_t place_of(const struct job_record *job, int64_t category) {
    size_t at = 0;
    while (at < job->category_count && job->categories[at] != category)
        at++;
    return at;
}

bool job_take_wishes(struct job_record *known, const struct job_record *stored) {
    bool more = stored->cancel > known->cancel || stored->confirmed > known->confirmed || stored->paused < known->paused;
    known->paused = stored->paused;
    known->cancel = stored->cancel;
    known->throttle = stored->throttle;
    return more;
}

bool jobs_covers(const struct job_record *job, const struct job_record *other) {
    if (job->type != JOB_FANOUT || other->type != JOB_FANOUT)
        return false;
    for (size_t i = 0; i < other->category_count; i++)
        if (place_of(job, other->categories[i]) == job->category_count)
            return false;
    return true;
}

static bool supersede_covered(mongoc_client_t *client, const char *database, uint64_t epoch, const char *id,
                              const bson_t *categories, struct error *reterr) {
    bson_t query = BSON_INITIALIZER;
    BSON_APPEND_UTF8(&query, "type", "fanout");
    BCON_APPEND(&query, "_id", "{", "$ne", BCON_UTF8(id), "}", "epoch", BCON_INT64((int64_t)epoch), "state", "{", "$in",
                "[", "running", "waiting", "]", "}", "begun", "{", "$ne", BCON_BOOL(true), "}", "categories", "{", "$not", "{", "$elemMatch", "{", "$nin",
                BCON_ARRAY(categories), "}", "}", "}");
    bson_t *update = BCON_NEW("$set", "{", "state", "superseded", "superseded_by", BCON_UTF8(id), "}", "$currentDate", "{",
                              "finished_at", BCON_BOOL(true), "}");
    mongoc_collection_t *c = mongoc_client_get_collection(client, database, STATE_JOBS);
    bson_error_t error;
    bool ok = mongoc_collection_update_many(c, &query, update, NULL, NULL, &error);
    mongoc_collection_destroy(c);
    bson_destroy(&query);
    bson_destroy(update);
    return ok ? true : mongo_error("supersede jobs", &error, NULL, reterr);
}

bool jobs_upsert_fanout(mongoc_client_t *client, const char *database, uint64_t epoch, const char *key,
                        uint64_t revision, const int64_t *categories, size_t count, struct error *reterr) {
    char id[JOB_ID_SIZE];
    snprintf(id, sizeof(id), "fanout-%s", key);
    bson_t list = BSON_INITIALIZER;
    append_numbers(&list, categories, count);
    bson_t *query = BCON_NEW("_id", BCON_UTF8(id));
    bson_t *update = BCON_NEW("$setOnInsert", "{", "type", "fanout", "state", "running", "phase", "mark", "epoch",
                              BCON_INT64((int64_t)epoch), "reason", "categories changed", "revision",
                              BCON_INT64((int64_t)revision), "categories", BCON_ARRAY(&list), "done", BCON_INT64(0),
                              "created_at", BCON_DATE_TIME(clock_wall_usec() / 1000), "}");
    bool ok = state_update(client, database, STATE_JOBS, query, update, true, NULL, reterr) &&
              supersede_covered(client, database, epoch, id, &list, reterr);
    bson_destroy(query);
    bson_destroy(update);
    bson_destroy(&list);
    return ok;
}

bool jobs_confirm(mongoc_client_t *client, const char *database, const char *id, struct error *reterr) {
    bson_t *query = BCON_NEW("_id", BCON_UTF8(id), "state", "waiting");
    bson_t *update = BCON_NEW("$set", "{", "confirmed", BCON_BOOL(true), "state", "running", "}");
    int64_t matched = 0;
    bool ok = state_update(client, database, STATE_JOBS, query, update, false, &matched, reterr);
    bson_destroy(query);
    bson_destroy(update);
    if (ok && matched != 1)
        return error_set(reterr, ERROR_NOT_FOUND, "no job %s waits for a confirmation", id);
    return ok;
}

/* -- repair -- */

bool jobs_insert_repair(mongoc_client_t *client, const char *database, const char *reason, const struct slice *ids,
                        size_t count, bool waiting, char ret_id[JOB_ID_SIZE], struct error *reterr) {
    bson_t job = BSON_INITIALIZER, list;
    int64_t n = 0, now = clock_wall_usec();
    snprintf(ret_id, JOB_ID_SIZE, "repair-%" PRId64 "-%04x", now / 1000, (unsigned)(clock_random_u64() & 0xffff));
    BSON_APPEND_UTF8(&job, "_id", ret_id);
    BCON_APPEND(&job, "type", "repair", "state", BCON_UTF8(job_state_names[waiting ? JOB_WAITING : JOB_RUNNING]), "phase",
                "mark", "epoch", BCON_INT64(0), "reason", BCON_UTF8(reason), "done", BCON_INT64(0));
    BSON_APPEND_ARRAY_BEGIN(&job, "ids", &list);
    for (size_t i = 0; i < count && i < JOB_REPAIR_MAX; i++) {
        char scratch[16];
        const char *key;
        if (ids[i].len == 0 || ids[i].len > JOB_ID_BYTES)
            continue;
        size_t len = bson_uint32_to_string((uint32_t)n++, &key, scratch, sizeof(scratch));
        bson_append_utf8(&list, key, (int)len, ids[i].data, (int)ids[i].len);
    }
    bson_append_array_end(&job, &list);
    BSON_APPEND_INT64(&job, "total", n);
    BSON_APPEND_DATE_TIME(&job, "created_at", now / 1000);
    mongoc_collection_t *c = mongoc_client_get_collection(client, database, STATE_JOBS);
    bson_error_t error;
    bool ok = mongoc_collection_insert_one(c, &job, NULL, NULL, &error);
    mongoc_collection_destroy(c);
    bson_destroy(&job);
    return ok ? true : mongo_error("store the repair", &error, NULL, reterr);
}

bool jobs_adopt(mongoc_client_t *client, const char *database, uint64_t epoch, struct error *reterr) {
    bson_t *query = active_query();
    BCON_APPEND(query, "epoch", "{", "$lt", BCON_INT64((int64_t)epoch), "}");
    bson_t *update = BCON_NEW("$set", "{", "epoch", BCON_INT64((int64_t)epoch), "}");
    mongoc_collection_t *c = mongoc_client_get_collection(client, database, STATE_JOBS);
    bson_error_t error;
    bool ok = mongoc_collection_update_many(c, query, update, NULL, NULL, &error);
    mongoc_collection_destroy(c);
    bson_destroy(query);
    bson_destroy(update);
    return ok ? true : mongo_error("adopt jobs", &error, NULL, reterr);
}

bool jobs_state_of(mongoc_client_t *client, const char *database, const char *id, enum job_state *ret, int64_t *ret_done,
                   struct error *reterr) {
    bson_t *query = BCON_NEW("_id", BCON_UTF8(id));
    bson_t doc;
    bool found = false, ok = state_find_one(client, database, STATE_JOBS, query, &doc, &found, reterr);
    int state = ok && found ? name_index(job_state_names, state_string(&doc, "state")) : JOB_DONE;
    *ret = state < 0 ? JOB_RUNNING : (enum job_state)state;
    *ret_done = ok && found ? state_i64(&doc, "done") : 0;
    bson_destroy(query);
    bson_destroy(&doc);
    return ok;
}

bool jobs_look(mongoc_client_t *client, const char *database, const char *id, bool *ret_over, int64_t *ret_done,
               struct error *reterr) {
    enum job_state state;
    if (!jobs_state_of(client, database, id, &state, ret_done, reterr))
        return false;
    *ret_over = state == JOB_DONE || state == JOB_SUPERSEDED;
    if (state != JOB_CANCELLED && state != JOB_FAILED)
        return true;
    return error_set(reterr, ERROR_CONFLICT, "the job %s %s after %" PRId64 " products", id,
                     state == JOB_FAILED ? "has failed" : "was cancelled", *ret_done);
}

/* -- asked for by others than the owner -- */

bool jobs_request_scan(mongoc_client_t *client, const char *database, const char *key, const char *reason,
                       struct error *reterr) {
    char id[JOB_ID_SIZE];
    if (key)
        snprintf(id, sizeof(id), "scan-%s", key);
    else
        snprintf(id, sizeof(id), "scan-asked-%016" PRIx64, clock_random_u64());
    bson_t *query = BCON_NEW("_id", BCON_UTF8(id));
    bson_t *update = BCON_NEW("$setOnInsert", "{", "type", "scan", "state", "running", "phase", "mark", "epoch",
                              BCON_INT64(0), "reason", BCON_UTF8(reason), "sweep", BCON_BOOL(true), "done",
                              BCON_INT64(0), "created_at", BCON_DATE_TIME(clock_wall_usec() / 1000), "}");
    bool ok = state_update(client, database, STATE_JOBS, query, update, true, NULL, reterr);
    bson_destroy(query);
    bson_destroy(update);
    return ok;
}
