/* What the store worker does for the engine: each job is one try, the engine decides about the next. */
#include "core/cleanup.h"
#include "projector/compose/category_load.h"
#include "projector/engine/dead_letter.h"
#include "projector/engine/engine_internal.h"
#include <inttypes.h>
#include <stdlib.h>

enum {
    STORE_QUEUE_MAX = 512,
    STORE_RETRY_USEC = 300 * 1000,
    ROWS_PER_DELETE = 2000,
    DEAD_BYTES_MAX = 16 << 20, /* of documents that wait to be stored */
};

struct store_session {
    mongoc_client_t *client;
    mongoc_client_pool_t *pool;
    struct mysql_session *mysql;
};

struct store_job {
    struct job job;
    struct engine *engine;
    void (*run)(struct store_job *job, struct store_session *s);
    void (*done)(struct store_job *job); /* engine loop; the job is freed afterwards */
    struct error error;                  /* ERROR_NONE: it worked */
    bool lost;                           /* the lease is somebody else's */
    /* What the job is about. */
    struct segment *segment;
    uint64_t epoch;
    uint64_t *rows;
    size_t row_count;
    struct engine_lane *lane;
    struct lane_entry *entry;
    struct engine_target *target;
    bool target_is_gone, letter_is_new, other_targets;
    char *reason, *document;
    size_t document_len;
    int status;
    uint64_t version, content_hash;
    struct category_tree *tree;
    uint32_t refresh;
    uint64_t oldest_time;
    int64_t dead_letters, queue_rows; /* -1 unknown */
    char id[MARK_ID_MAX];
    size_t id_len;
};

static void *session_new(void *ctx, struct error *reterr) {
    struct engine *e = ctx;
    struct store_session *s = calloc(1, sizeof(*s));
    if (!s || !(s->mysql = mysql_session_new(&e->conf.options->mysql, reterr))) {
        free(s);
        return NULL;
    }
    s->pool = e->conf.pool;
    s->client = mongoc_client_pool_pop(s->pool);
    return s;
}

static void session_free(void *session) {
    struct store_session *s = session;
    mongoc_client_pool_push(s->pool, s->client);
    mysql_session_free(s->mysql);
    free(s);
}

bool store_start(struct engine *e, struct error *reterr) {
    e->store = workers_new(&(struct workers_options){.name = "store", .threads = 1, .queue_max = STORE_QUEUE_MAX,
                                                     .session_new = session_new, .session_free = session_free,
                                                     .ctx = e},
                           reterr);
    return e->store != NULL;
}

static const char *database(const struct store_job *job) {
    return job->engine->conf.options->mongo.database;
}

static void job_free(struct store_job *job) {
    segment_free(job->segment);
    category_tree_unref(job->tree);
    free(job->rows);
    free(job->reason);
    free(job->document);
    free(job);
}

/* With a server away each job takes as long as it is waited for, and hundreds may stand in line when the time to drain is
 * over. What they are about is still unfinished, so whoever starts next does it. */
static void job_run(struct job *base, void *session) {
    struct store_job *job = CONTAINER_OF(base, struct store_job, job);
    if (atomic_load(&job->engine->store_closed))
        error_set(&job->error, ERROR_UNAVAILABLE, "the projector stops");
    else
        job->run(job, session);
}

static void job_done(struct job *base) {
    struct store_job *job = CONTAINER_OF(base, struct store_job, job);
    struct engine *e = job->engine;
    e->store_jobs--;
    if (job->lost)
        engine_finish(e, ENGINE_LEASE_LOST);
    job->done(job);
    job_free(job);
}

static struct store_job *job_new(struct engine *e, void (*run)(struct store_job *, struct store_session *),
                                 void (*done)(struct store_job *)) {
    struct store_job *job = calloc(1, sizeof(*job));
    if (!job)
        return NULL;
    job->job.run = job_run;
    job->job.done = job_done;
    job->engine = e;
    job->run = run;
    job->done = done;
    job->epoch = lease_epoch(e->conf.lease);
    return job;
}

static bool submit(struct store_job *job) {
    if (!job->engine->store || !workers_submit(job->engine->store, job->engine->loop, &job->job))
        return false;
    job->engine->store_jobs++;
    return true;
}

static void warn(const struct store_job *job, const char *event) {
    if (!atomic_load(&job->engine->store_closed))
        log_warn(event, LOG_ERR(&job->error));
}

/* A write that matched nothing: somebody else's epoch, or only an older generation of our own? */
static void check_lease(struct store_job *job, struct store_session *s) {
    bool ours = true;
    if (lease_check(job->engine->conf.lease, s->client, &ours, NULL) && !ours)
        job->lost = true;
}

/* -- the position in the change stream -- */

static void checkpoint_run(struct store_job *job, struct store_session *s) {
    const struct stream_token *token = job->segment->position;
    if (state_checkpoint_save(s->client, database(job), job->epoch, token->generation, token->token, &job->error) ||
        job->error.code != ERROR_CONFLICT)
        return;
    check_lease(job, s);
    bool mended = false;
    struct error error;
    if (!job->lost && state_checkpoint_mend(s->client, database(job), job->epoch, token->generation, token->token, &mended,
                                            &error) && mended) {
        log_warn("checkpoint.mended", LOG_STR("reason", "it was deleted or damaged; our position is stored again"));
        job->error.code = ERROR_NONE;
    }
}

static void checkpoint_done_cb(struct store_job *job) {
    struct engine *e = job->engine;
    e->checkpoint_saving = false;
    if (job->error.code == ERROR_NONE) {
        metric_set(lag_metrics.checkpoint_saved_at, (double)clock_wall_usec() / 1e6);
        return;
    }
    if (job->error.code == ERROR_CONFLICT) /* a position of before history was lost, or an epoch just raised */
        return;
    warn(job, "checkpoint.not_saved");
    e->checkpoint_at = engine_now(e) + STORE_RETRY_USEC;
    if (!e->acked)
        e->acked = TAKE(job->segment);
}

void store_save_checkpoint(struct engine *e) {
    if (!e->acked || e->checkpoint_saving)
        return;
    struct store_job *job = job_new(e, checkpoint_run, checkpoint_done_cb);
    if (!job)
        return;
    job->segment = TAKE(e->acked);
    e->checkpoint_saving = true;
    e->checkpoint_at = e->ending ? 0 : engine_now(e) + e->options->checkpoint_interval_usec;
    if (submit(job))
        return;
    e->checkpoint_saving = false;
    e->acked = TAKE(job->segment);
    job_free(job);
}

/* -- rows of projection_queue that are done -- */

static void delete_run(struct store_job *job, struct store_session *s) {
    if (source_mysql_delete_rows(s->mysql, job->epoch, job->rows, job->row_count, &job->error))
        return;
    if (job->error.code == ERROR_CONFLICT || job->error.code == ERROR_HISTORY_LOST)
        check_lease(job, s);
    if (job->error.code == ERROR_HISTORY_LOST && !job->lost &&
        !source_mysql_set_back(job->engine, s->client, &job->engine->conf, &job->error))
        job->error.code = ERROR_UNAVAILABLE; /* found out again with the next try */
}

static void delete_done(struct store_job *job) {
    struct engine *e = job->engine;
    e->queue_deleting = false;
    if (job->error.code == ERROR_NONE) {
        source_mysql_deleted(e->source_mysql, job->rows, job->row_count);
        return;
    }
    if (job->error.code == ERROR_HISTORY_LOST) /* the next term reads them again */
        return;
    warn(job, "queue.not_deleted");
    e->queue_delete_at = engine_now(e) + STORE_RETRY_USEC;
    size_t need = e->queue_done_count + job->row_count;
    if (need > e->queue_done_capacity) {
        uint64_t *rows = realloc(e->queue_done, need * sizeof(*rows));
        if (!rows)
            return; /* they stay in the table and held until the next start */
        e->queue_done = rows;
        e->queue_done_capacity = need;
    }
    memcpy(e->queue_done + e->queue_done_count, job->rows, job->row_count * sizeof(*job->rows));
    e->queue_done_count = need;
}

void store_delete_rows(struct engine *e) {
    if (e->queue_done_count == 0 || e->queue_deleting)
        return;
    struct store_job *job = job_new(e, delete_run, delete_done);
    if (!job)
        return;
    size_t count = e->queue_done_count < ROWS_PER_DELETE ? e->queue_done_count : ROWS_PER_DELETE;
    job->rows = malloc(count * sizeof(*job->rows));
    if (!job->rows) {
        job_free(job);
        return;
    }
    memcpy(job->rows, e->queue_done + (e->queue_done_count - count), count * sizeof(*job->rows));
    job->row_count = count;
    if (!submit(job)) {
        job_free(job);
        return;
    }
    e->queue_done_count -= count;
    e->queue_deleting = true;
}

/* -- dead letters -- */

static void dead_run(struct store_job *job, struct store_session *s) {
    const struct engine *e = job->engine;
    bool ours = true;
    /* A version that is too old and a document that is wrong both answer 400. */
    if (!lease_check(e->conf.lease, s->client, &ours, &job->error))
        return;
    if (!ours) {
        job->lost = true;
        error_set(&job->error, ERROR_CONFLICT, "the lease is not ours");
        return;
    }
    struct dead_letter letter = {.id = {job->entry->id, job->entry->id_len}, .index = e->conf.index,
                                 .reason = job->reason, .status = job->status, .version = job->version,
                                 .epoch = job->epoch, .document = {job->document, job->document_len},
                                 .content_hash = job->content_hash,
                                 .document_is_product = job->status == 0}; /* never sent: it could not be composed */
    /* Another index may serve since, which takes the product: whoever knows of it tries again, and what this one lacks is its flaw. */
    if (dead_letter_store(s->client, database(job), &letter, &job->letter_is_new, &job->error) &&
        !targets_check(s->client, database(job), e->conf.targets->revision, &job->error))
        job->other_targets = job->error.code == ERROR_CONFLICT;
}

static void dead_done(struct store_job *job) {
    struct engine *e = job->engine;
    struct engine_lane *l = job->lane;
    e->dead_bytes -= job->document_len;
    if (job->error.code != ERROR_NONE) {
        warn(job, "dead_letter.not_stored");
        if (job->other_targets)
            engine_post_retarget(e);
        engine_retry_later(e, l, job->entry, NULL);
    } else {
        char id[MARK_ID_MAX + 1];
        memcpy(id, job->entry->id, job->entry->id_len);
        id[job->entry->id_len] = '\0';
        if (job->letter_is_new)
            metric_inc(lag_metrics.dead_letters);
        log_warn("dead_letter", LOG_STR("id", id), LOG_STR("reason", job->reason));
        hash_cache_put(&e->dead, job->entry->hash, 1);
        lane_done(&l->lane, job->entry);
    }
    pump_lane(l);
}

bool store_dead_letter(struct engine_lane *l, struct lane_entry *entry, const char *reason, int status,
                       uint64_t version, struct slice document, uint64_t content_hash) {
    if (l->engine->dead_bytes >= DEAD_BYTES_MAX)
        return false;
    struct store_job *job = job_new(l->engine, dead_run, dead_done);
    if (!job)
        return false;
    job->lane = l;
    job->entry = entry;
    job->reason = strdup(reason);
    job->status = status;
    job->version = version;
    job->content_hash = content_hash;
    size_t keep = document.len < (1 << 20) ? document.len : (1 << 20);
    job->document = keep ? malloc(keep) : NULL;
    if (job->document) {
        memcpy(job->document, document.data, keep);
        job->document_len = keep;
    }
    if (job->reason && submit(job)) {
        l->engine->dead_bytes += job->document_len;
        return true;
    }
    job_free(job);
    return false;
}

static void gone_run(struct store_job *job, struct store_session *s) {
    dead_letter_remove(s->client, database(job), (struct slice){job->document, job->document_len}, &job->error);
}

static void gone_done(struct store_job *job) {
    struct engine *e = job->engine;
    e->gone_saving = false;
    if (job->error.code == ERROR_NONE)
        return;
    warn(job, "dead_letter.not_removed");
    e->gone_at = engine_now(e) + STORE_RETRY_USEC;
    if (e->gone.len + job->document_len <= e->gone.max)
        buf_append(&e->gone, job->document, job->document_len);
}

void store_letters_gone(struct engine *e) {
    if (e->gone.len == 0 || e->gone_saving || engine_now(e) < e->gone_at)
        return;
    struct store_job *job = job_new(e, gone_run, gone_done);
    if (!job)
        return;
    job->document = malloc(e->gone.len);
    if (job->document) {
        memcpy(job->document, e->gone.data, e->gone.len);
        job->document_len = e->gone.len;
    }
    if (!job->document || !submit(job)) {
        job_free(job);
        return;
    }
    buf_reset(&e->gone);
    e->gone_saving = true;
}

void store_dead_letter_gone(struct engine *e, const struct lane_entry *entry, uint64_t version) {
    uint64_t unused;
    if (e->dead.used == 0 || !hash_cache_get(&e->dead, entry->hash, &unused))
        return;
    /* A letter too many is removed with the next write of its product, or by a replay. */
    if (e->gone.len + DEAD_LETTER_PACKED_MAX <= e->gone.max &&
        dead_letter_pack(&e->gone, (struct slice){entry->id, entry->id_len}, version))
        hash_cache_remove(&e->dead, entry->hash);
}

/* -- an index beside the serving one that lacks a change -- */

static void flaw_run(struct store_job *job, struct store_session *s) {
    const struct engine *e = job->engine;
    char id[MARK_ID_MAX + 1];
    bool ours = true;
    memcpy(id, job->id, job->id_len);
    id[job->id_len] = '\0';
    if (!lease_check(e->conf.lease, s->client, &ours, &job->error))
        return;
    if (!ours)
        job->lost = true;
    else
        targets_flaw(s->client, database(job), e->conf.targets->revision, job->target->conf->index, id, job->reason,
                     job->target_is_gone, &job->error);
}

static void flaw_done(struct store_job *job) {
    struct engine *e = job->engine;
    struct engine_target *target = job->target;
    target->flaw_is_stored = false;
    if (job->error.code == ERROR_CONFLICT) {
        engine_post_retarget(e);
        return;
    }
    if (job->error.code != ERROR_NONE) {
        warn(job, "target.flaw_not_stored");
        return;
    }
    target->flawed = true;
    log_error("target.flawed", LOG_STR("index", target->conf->index),
              LOG_STR("role", target_role_names[target->conf->role]), LOG_STR("reason", job->reason),
              LOG_STR("consequence", target->conf->role == TARGET_BUILDING ? "the reindex fails; the serving index goes on"
                                                                           : "there is no way back to it without --force"));
    if (job->target_is_gone)
        engine_post_retarget(e);
}

/* False: try later. */
bool store_flaw(struct engine *e, unsigned target, const struct lane_entry *entry, const char *reason, bool gone) {
    struct store_job *job = job_new(e, flaw_run, flaw_done);
    if (!job)
        return false;
    memcpy(job->id, entry->id, entry->id_len);
    job->id_len = entry->id_len;
    job->reason = strdup(reason);
    job->target = &e->targets[target];
    job->target_is_gone = gone;
    if (job->reason && submit(job))
        return true;
    job_free(job);
    return false;
}

/* -- the category tree -- */

static void tree_run(struct store_job *job, struct store_session *s) {
    job->tree = category_load(s->mysql, NULL, &job->error);
}

static void tree_done(struct store_job *job) {
    struct engine *e = job->engine;
    e->tree_refreshing = false;
    if (!job->tree) {
        warn(job, "categories.not_read");
        e->tree_wanted = true;
        e->tree_retry_at = engine_now(e) + STORE_RETRY_USEC;
        return;
    }
    if (category_tree_revision(job->tree) >= category_tree_revision(e->tree)) {
        category_tree_unref(e->tree);
        e->tree = TAKE(job->tree);
        metric_set(lag_metrics.category_revision, (double)category_tree_revision(e->tree));
    }
    for (unsigned i = 0; i < e->lane_count; i++)
        lane_wake(&e->lanes[i].lane, job->refresh);
    pump_all(e);
}

void store_refresh_tree(struct engine *e) {
    if (!e->tree_wanted || e->tree_refreshing || engine_now(e) < e->tree_retry_at)
        return;
    struct store_job *job = job_new(e, tree_run, tree_done);
    if (!job)
        return;
    job->refresh = e->tree_refreshes + 1;
    if (!submit(job)) {
        job_free(job);
        return;
    }
    e->tree_refreshes++;
    e->tree_refreshing = true;
    e->tree_wanted = false;
}

/* -- a version that is above ours -- */

static void raise_run(struct store_job *job, struct store_session *s) {
    struct engine *e = job->engine;
    uint64_t highest = job->version;
    for (size_t t = 0; job->version == 0 && t < e->conf.targets->count; t++) {
        uint64_t version;
        if (!index_admin_highest_version(&e->conf.options->es, e->conf.targets->list[t].index, &version, &job->error))
            return;
        highest = version > highest ? version : highest;
    }
    bool ours = true;
    if (!lease_check(e->conf.lease, s->client, &ours, &job->error))
        return;
    if (!ours)
        job->lost = true;
    else if (!lease_raise(e->conf.lease, s->client, s->mysql, highest >> LEASE_COUNTER_BITS, &job->error) &&
             job->error.code == ERROR_CONFLICT)
        check_lease(job, s);
}

static void raise_done(struct store_job *job) {
    struct engine *e = job->engine;
    e->raise_submitted = false;
    if (job->error.code != ERROR_NONE) {
        warn(job, "epoch.not_raised");
        e->raise_at = engine_now(e) + STORE_RETRY_USEC;
        return;
    }
    e->raising = false;
    e->conflict_version = 0;
    hash_cache_clear(&e->hashes);
    metric_set(lag_metrics.lease_epoch, (double)lease_epoch(e->conf.lease));
    log_warn("epoch.raised", LOG_INT("epoch", lease_epoch(e->conf.lease)));
    pump_all(e);
}

void store_raise(struct engine *e) {
    if (e->raise_submitted || engine_now(e) < e->raise_at)
        return;
    struct store_job *job = job_new(e, raise_run, raise_done);
    if (!job)
        return;
    job->version = e->conflict_version;
    if (submit(job))
        e->raise_submitted = true;
    else
        job_free(job);
}

/* -- what is only known by asking: how far the oplog reaches back, dead letters, rows of the queue -- */

#define QUEUE_ROWS_MAX "100000"

static int64_t count_dead_letters(const struct store_job *job, struct store_session *s) {
    bson_t *command = BCON_NEW("count", DEAD_LETTER_COLLECTION);
    bson_t reply;
    struct error error;
    int64_t n = state_command(s->client, database(job), command, "count dead letters", &reply, &error)
                    ? state_i64(&reply, "n")
                    : -1;
    bson_destroy(&reply);
    bson_destroy(command);
    return n;
}

static bool read_count(void *ctx, char **columns, const unsigned long *lengths, unsigned count) {
    (void)lengths;
    if (count && columns[0])
        *(int64_t *)ctx = strtoll(columns[0], NULL, 10);
    return true;
}

static void headroom_run(struct store_job *job, struct store_session *s) {
    bson_t *command = BCON_NEW("find", "oplog.rs", "sort", "{", "$natural", BCON_INT32(1), "}", "limit", BCON_INT32(1),
                               "projection", "{", "ts", BCON_INT32(1), "}", "singleBatch", BCON_BOOL(true));
    bson_t reply;
    if (state_command(s->client, "local", command, "read the oplog's start", &reply, &job->error))
        job->oldest_time = state_timestamp(&reply, "cursor.firstBatch.0.ts");
    bson_destroy(&reply);
    bson_destroy(command);
    job->dead_letters = count_dead_letters(job, s);
    struct error error;
    if (!mysql_session_query(s->mysql, read_count, &job->queue_rows, &error,
                             "SELECT COUNT(*) FROM (SELECT id FROM projection_queue LIMIT " QUEUE_ROWS_MAX ") counted"))
        job->queue_rows = -1;
}

static void headroom_done(struct store_job *job) {
    uint64_t position = source_mongo_position_time(job->engine->source_mongo);
    if (job->error.code == ERROR_NONE && job->oldest_time && position)
        metric_set(lag_metrics.oplog_headroom, (double)(position >> 32) - (double)(job->oldest_time >> 32));
    if (job->dead_letters >= 0)
        metric_set(lag_metrics.dead_letters_kept, (double)job->dead_letters);
    if (job->queue_rows >= 0)
        metric_set(lag_metrics.queue_rows, (double)job->queue_rows);
}

void store_headroom(struct engine *e) {
    struct store_job *job = job_new(e, headroom_run, headroom_done);
    if (!job)
        return;
    job->dead_letters = job->queue_rows = -1;
    if (!submit(job))
        job_free(job);
}
