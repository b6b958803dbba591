#include "core/cleanup.h"
#include "core/log.h"
#include "projector/engine/dead_letter.h"
#include "projector/jobs/job_check.h"
#include "projector/jobs/job_control.h"
#include "projector/jobs/job_reindex.h"
#include "projector/jobs/job_scan.h"
#include "projector/verify/verify_ids.h"
#include <stdio.h>

enum {
    GARBAGE_AGE_USEC = 3 * 1000 * 1000, /* writers read the set once a second */
    SWEEP_AGAIN_USEC = 60 * 1000 * 1000,
    REFRESH_USEC = 60 * 1000 * 1000,
    ROUNDS_MAX = 4, /* of comparing; three of repairing */
    LETTERS_MAX_BYTES = 256 << 20,
};

static const char *database(const struct job_runner *r) {
    return r->conf->options->mongo.database;
}

static const struct es_conf *es(const struct job_runner *r) {
    return &r->conf->options->es;
}

/* -- the set of targets -- */

/* The place in this term's set; -1: it is not in it. */
static int place_of(const struct job_runner *r, const char *index) {
    for (size_t t = 0; t < r->conf->targets->count; t++)
        if (*index && strcmp(r->conf->targets->list[t].index, index) == 0)
            return (int)t;
    return -1;
}

static const struct target *stored_target(const struct job_runner *r, const char *index) {
    for (size_t t = 0; t < r->stored.count; t++)
        if (strcmp(r->stored.list[t].index, index) == 0)
            return &r->stored.list[t];
    return NULL;
}

static bool delete_index(void *ctx, const char *index, struct error *reterr) {
    const struct job_runner *r = ctx;
    if (place_of(r, index) >= 0) /* this very term still has it */
        return error_set(reterr, ERROR_OVERLOADED, "index %s is still written", index);
    if (!index_admin_delete(es(r), index, reterr))
        return false;
    log_info("index.deleted", LOG_STR("index", index));
    return true;
}

/* What Elasticsearch does not delete holds up no job. */
static void sweep(struct job_runner *r) {
    struct error error = {.code = ERROR_INTERNAL, .message = "no reason given"};
    if (!r->stored.garbage || clock_now_usec() < r->sweep_at ||
        targets_sweep(r->client, database(r), GARBAGE_AGE_USEC, delete_index, r, &error))
        return;
    r->sweep_at = clock_now_usec() + SWEEP_AGAIN_USEC;
    log_warn("index.not_deleted", LOG_ERR(&error));
}

bool job_reindex_targets(struct job_runner *r, struct error *reterr) {
    if (!targets_load(r->client, database(r), &r->stored, reterr))
        return false;
    const struct target *old = targets_find(&r->stored, TARGET_OLD);
    if (old && clock_wall_usec() >= r->stored.old_until_wall_usec) {
        log_info("index.retired", LOG_STR("index", old->index));
        if (!targets_drop(r->client, database(r), &r->stored, old->index, true, reterr))
            return false;
    }
    if (r->stored.revision != r->conf->targets->revision) {
        engine_post_retarget(r->engine);
        return true;
    }
    sweep(r);
    return true;
}

bool job_reindex_may_mark(struct job_runner *r, const struct job_run *run) {
    return place_of(r, run->record.index) > 0;
}

uint8_t job_reindex_targets_of(struct job_runner *r, const struct job_run *run) {
    int place = job_is_reindex(&run->record) ? place_of(r, run->record.index) : -1;
    if (place <= 0)
        return 0;
    return (uint8_t)(1u << place);
}

/* Stored before anything is cleaned up, so that a kill does not lose it. */
static bool fail(struct job_runner *r, struct job_run *run, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool fail(struct job_runner *r, struct job_run *run, const char *format, ...) {
    struct error error = {0};
    va_list args;
    va_start(args, format);
    vsnprintf(run->record.error, sizeof(run->record.error), format, args);
    va_end(args);
    return job_run_save(r, run, &error);
}

/* -- create -- */

static bool other_reindex(const struct job_runner *r, const struct job_run *run) {
    for (const struct job_run *other = r->runs; other; other = other->next)
        if (other != run && !other->gone && job_is_reindex(&other->record) && other->record.index[0])
            return true;
    return false;
}

static bool choose_name(struct job_runner *r, struct job_run *run, struct error *reterr) {
    _cleanup_(freep) char *name = NULL;
    if (run->record.index[0])
        return true;
    if (!index_admin_name(r->conf->options->projector.index, &name, reterr))
        return false;
    snprintf(run->record.index, sizeof(run->record.index), "%s", name);
    return job_run_save(r, run, reterr);
}

/* True with *ret_made false: refused; the job has the reason. */
static bool make_index(struct job_runner *r, struct job_run *run, bool *ret_made, struct error *reterr) {
    struct index_mapping mapping = {0};
    struct error error = {0};
    *ret_made = false;
    if (!job_control_mapping(r->client, database(r), run->record.id, &mapping, &error))
        return error_is_retriable(&error) ? error_set(reterr, error.code, "%s", error.message)
                                          : fail(r, run, "%s", error.message);
    *ret_made = index_admin_create_as(es(r), run->record.index, &mapping, &error) || error.code == ERROR_CONFLICT;
    if (!*ret_made && error_is_retriable(&error)) {
        index_mapping_done(&mapping);
        return error_set(reterr, error.code, "%s", error.message);
    }
    if (!*ret_made)
        fail(r, run, "mapping %.80s is refused: %.200s", mapping.name, error.message);
    else
        log_info("index.created", LOG_STR("index", run->record.index), LOG_STR("mapping", mapping.name),
                 LOG_STR("job", run->record.id));
    index_mapping_done(&mapping);
    return true;
}

/* An index that no job builds any more: somebody has removed its job by hand. */
static bool drop_abandoned(struct job_runner *r, const struct job_run *run, struct error *reterr) {
    const struct target *building = targets_find(&r->stored, TARGET_BUILDING);
    if (!building || strcmp(building->index, run->record.index) == 0)
        return true;
    log_warn("index.abandoned", LOG_STR("index", building->index), LOG_STR("next", "it is deleted"));
    return targets_drop(r->client, database(r), &r->stored, building->index, true, reterr);
}

static bool create(struct job_runner *r, struct job_run *run, struct error *reterr) {
    bool made = true;
    if (place_of(r, run->record.index) > 0) /* a kill came between */
        return job_run_enter_phase(r, run, JOB_PHASE_MARK, reterr);
    if (other_reindex(r, run))
        return fail(r, run, "another reindex or rollback is under way");
    if (!choose_name(r, run, reterr) || run->gone || !make_index(r, run, &made, reterr))
        return false;
    if (!made)
        return true;
    if (!drop_abandoned(r, run, reterr) || !targets_add_building(r->client, database(r), &r->stored, run->record.index, reterr))
        return false;
    run->record.total = job_scan_estimate(r->client, database(r));
    if (!job_run_enter_phase(r, run, JOB_PHASE_MARK, reterr))
        return false;
    engine_post_retarget(r->engine);
    return true;
}

static bool is_unfit(const struct job_record *job, const struct target *target) {
    return target->gone || (target->flawed && !job->force);
}

/* Of a rollback. */
static bool choose_old(struct job_runner *r, struct job_run *run, struct error *reterr) {
    const struct target *old = targets_find(&r->stored, TARGET_OLD);
    if (!old)
        return fail(r, run, "no index of before is kept; a reindex with the mapping of then makes one");
    if (other_reindex(r, run))
        return fail(r, run, "another reindex or rollback is under way");
    if (old->gone)
        return fail(r, run, "index %.80s cannot be written any more (%.150s)", old->index, old->flaw);
    if (is_unfit(&run->record, old))
        return fail(r, run, "index %.80s lacks changes (%.150s); rollback --force takes it as it is", old->index, old->flaw);
    snprintf(run->record.index, sizeof(run->record.index), "%s", old->index);
    return job_run_enter_phase(r, run, run->record.force ? JOB_PHASE_SWAP : JOB_PHASE_VERIFY, reterr);
}

/* -- verify -- */

bool job_run_refresh(struct job_runner *r, const char *index, struct error *reterr) {
    _cleanup_(buf_done) struct buf path = BUF_INIT(512), answer = BUF_INIT(1 << 20);
    buf_printf(&path, "/%s/_refresh", index);
    return buf_ok(&path) && es_call(es(r), "POST", path.data, (struct slice){0}, REFRESH_USEC, NULL, &answer, reterr);
}

static bool begin_check(struct job_runner *r, struct job_run *run, struct error *reterr) {
    int place = place_of(r, run->record.index);
    if (place < 0)
        return true; /* the next term has it */
    if (!job_run_refresh(r, run->record.index, reterr))
        return false;
    if (run->rounds == 0) {
        run->record.total = job_scan_estimate(r->client, database(r));
        run->record.done = 0;
    }
    struct verify_conf conf = {.options = r->conf->options, .pool = r->conf->pool, .index = run->record.index,
                               .sink = r->conf->sink, .projection = r->conf->projections[place], .threads = 2,
                               .rate = run->record.throttle};
    run->check = job_check_start(&conf, &run->repairs, reterr);
    return run->check != NULL;
}

/* The products that differ are marked for this index alone. */
static bool repair(struct job_runner *r, struct job_run *run, struct error *reterr) {
    struct segment *segment = segment_new(MARK_JOB, MARK_BACKGROUND, run->repairs.max * 2);
    if (!segment)
        return error_nomem(reterr);
    segment->force = true;
    segment->targets = job_reindex_targets_of(r, run);
    for (size_t at = 0; at < run->repairs.len; at += 1 + (uint8_t)run->repairs.data[at])
        segment_add(segment, run->repairs.data + at + 1, (uint8_t)run->repairs.data[at], 0);
    if (!buf_ok(&segment->marks)) {
        segment_free(segment);
        return error_nomem(reterr);
    }
    run->phase_acked = false;
    return job_run_post(r, run, segment, true, reterr);
}

static bool checked(struct job_runner *r, struct job_run *run, struct error *reterr) {
    struct job_check_result result;
    bool ok = job_check_take(TAKE(run->check), &run->repairs, &result, reterr);
    if (!ok)
        return false;
    run->rounds++;
    log_info("job.verified", LOG_STR("job", run->record.id), LOG_INT("compared", result.compared),
             LOG_INT("different", result.different), LOG_INT("dead_letters", result.dead),
             LOG_INT("unsettled", result.unsettled), LOG_INT("round", run->rounds));
    if (result.different == 0)
        return job_run_enter_phase(r, run, JOB_PHASE_SWAP, reterr);
    if (result.overflow || run->rounds >= ROUNDS_MAX)
        return fail(r, run, "%lld products differ from the sources%s, for example %s", (long long)result.different,
                    run->rounds > 1 ? " after repairs" : "", result.example);
    return repair(r, run, reterr);
}

static bool verify(struct job_runner *r, struct job_run *run, bool *busy, struct error *reterr) {
    if (run->check) {
        char waits_for[JOB_CHECK_WAITS_SIZE];
        job_check_waits_for(run->check, waits_for);
        job_run_note(r, run, waits_for);
        run->record.done = job_check_compared(run->check);
        run->changed = run->changed || run->record.done > 0;
        if (!job_check_is_over(run->check)) {
            r->wake_at = clock_now_usec() + 100 * USEC_PER_MSEC;
            return true;
        }
        *busy = true;
        return checked(r, run, reterr);
    }
    pthread_mutex_lock(&r->lock);
    bool repairing = run->produced && !run->phase_acked;
    pthread_mutex_unlock(&r->lock);
    return repairing || begin_check(r, run, reterr);
}

/* -- swap -- */

/* What the index of before refused, this one may refuse as well: it is written once more, and has a letter again then. */
static bool repair_letters(struct job_runner *r, mongoc_collection_t *c, const bson_t *query, struct error *reterr) {
    _cleanup_(verify_ids_done) struct verify_ids ids;
    bson_t *opts = BCON_NEW("projection", "{", "_id", BCON_INT32(1), "}");
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(c, query, opts, NULL);
    const bson_t *letter;
    bson_error_t error;
    bool ok = true;
    verify_ids_init(&ids, LETTERS_MAX_BYTES);
    while (ok && mongoc_cursor_next(cursor, &letter)) {
        const char *id = state_string(letter, "_id");
        ok = !id || verify_ids_add(&ids, slice_str(id)) || error_nomem(reterr);
    }
    if (ok && mongoc_cursor_error(cursor, &error))
        ok = mongo_error(DEAD_LETTER_COLLECTION, &error, NULL, reterr);
    mongoc_cursor_destroy(cursor);
    bson_destroy(opts);
    ok = ok && (verify_ids_sort(&ids) || error_nomem(reterr));
    for (size_t at = 0; ok && at < ids.slice_count; at += JOB_REPAIR_MAX) {
        size_t left = ids.slice_count - at;
        char job[JOB_ID_SIZE];
        ok = jobs_insert_repair(r->client, database(r), "letters of the index before", ids.slices + at,
                                left < JOB_REPAIR_MAX ? left : JOB_REPAIR_MAX, false, job, reterr);
    }
    return ok;
}

/* A document that only the index of before refused is no dead letter any more. */
static bool forget_dead_letters(struct job_runner *r, const char *index, struct error *reterr) {
    mongoc_collection_t *c = mongoc_client_get_collection(r->client, database(r), DEAD_LETTER_COLLECTION);
    bson_t *query = BCON_NEW("index", BCON_UTF8(index), "status", "{", "$gt", BCON_INT32(0), "}");
    bson_error_t error;
    bool ok = repair_letters(r, c, query, reterr);
    if (ok && !mongoc_collection_delete_many(c, query, NULL, NULL, &error))
        ok = mongo_error(DEAD_LETTER_COLLECTION, &error, NULL, reterr);
    bson_destroy(query);
    mongoc_collection_destroy(c);
    return ok;
}

/* What the swap brings with it is stored before: afterwards neither the set of targets nor the term tells what was. */
static bool note_before(struct job_runner *r, struct job_run *run, const struct target *target, struct error *reterr) {
    struct job_record *job = &run->record;
    bool swapped = strcmp(r->conf->index, job->index) == 0;
    if (swapped || (strcmp(job->before, r->conf->index) == 0 && job->owes_scan >= target->flawed))
        return true;
    snprintf(job->before, sizeof(job->before), "%s", r->conf->index);
    job->owes_scan = job->owes_scan || target->flawed;
    if (job_run_save(r, run, reterr))
        return true;
    job->before[0] = '\0';
    return false;
}

/* The index serves: what is owed since, each of which may be repeated. */
static bool after_swap(struct job_runner *r, struct job_run *run, struct error *reterr) {
    const struct job_record *job = &run->record;
    if ((r->conf->frozen && !state_sink_set(r->client, database(r), lease_epoch(r->conf->lease), r->conf->sink, reterr)) ||
        (job->before[0] && !forget_dead_letters(r, job->before, reterr)) ||
        (job->owes_scan &&
         !jobs_request_scan(r->client, database(r), job->id, "rollback to an index that lacks changes", reterr)) ||
        !job_run_finish(r, run, JOB_DONE, reterr))
        return false;
    log_info("index.swapped", LOG_STR("alias", r->conf->options->projector.index), LOG_STR("index", job->index),
             LOG_STR("before", job->before));
    engine_post_retarget(r->engine);
    return true;
}

/* The alias may have been swapped and the set not, because a flaw came between: which index serves, and what it lacks then, is
 * found by targets_settle. */
static bool leave_to_next_term(struct job_runner *r) {
    engine_post_retarget(r->engine);
    return true;
}

static bool swap(struct job_runner *r, struct job_run *run, struct error *reterr) {
    struct job_record *job = &run->record;
    bool ours = false;
    if (job->no_swap && !job->confirmed) {
        job->state = JOB_WAITING;
        log_info("job.waits", LOG_STR("job", job->id), LOG_STR("index", job->index),
                 LOG_STR("advice", "it is verified and gets every change; projector jobs confirm swaps the alias"));
        return job_run_save(r, run, reterr);
    }
    if (!targets_load(r->client, database(r), &r->stored, reterr) ||
        !lease_check(r->conf->lease, r->client, &ours, reterr))
        return false;
    if (!ours) {
        engine_post_lease_lost(r->engine);
        return true;
    }
    const struct target *target = stored_target(r, job->index);
    if (run->swapping && (!target || is_unfit(job, target)))
        return leave_to_next_term(r);
    if (!target || is_unfit(job, target))
        return fail(r, run, "index %.80s: %.150s", job->index, target ? target->flaw : "it left the set of targets");
    if (!note_before(r, run, target, reterr))
        return false;
    if (run->gone)
        return true;
    run->swapping = true;
    return index_admin_alias(es(r), r->conf->options->projector.index, job->index, reterr) &&
           targets_serve(r->client, database(r), &r->stored, job->index, r->conf->options->projector.rollback_keep_usec,
                         reterr) &&
           after_swap(r, run, reterr);
}

/* -- the other end -- */

bool job_reindex_end(struct job_runner *r, struct job_run *run, struct error *reterr) {
    const struct job_record *job = &run->record;
    job_check_stop(TAKE(run->check));
    const struct target *target = stored_target(r, job->index);
    if (job_is_reindex(job) && target && target->role == TARGET_SERVING) /* too late to cancel: it serves */
        return after_swap(r, run, reterr);
    if (run->swapping)
        return leave_to_next_term(r);
    if (job->type == JOB_REINDEX && job->index[0]) {
        if (!targets_drop(r->client, database(r), &r->stored, job->index, !job->keep_index, reterr))
            return false;
        if (!target && !job->keep_index && place_of(r, job->index) < 0 &&
            !index_admin_delete(es(r), job->index, reterr))
            return false;
    }
    if (!job_run_finish(r, run, job->error[0] ? JOB_FAILED : JOB_CANCELLED, reterr))
        return false;
    if (r->stored.revision != r->conf->targets->revision || r->conf->frozen)
        engine_post_retarget(r->engine);
    return true;
}

/* -- steps -- */

/* False: it has failed, or waits for the next term. */
static bool index_is_fit(struct job_runner *r, struct job_run *run) {
    const struct job_record *job = &run->record;
    const struct target *target = stored_target(r, job->index);
    if (run->swapping)
        return target && place_of(r, job->index) >= 0;
    if (target && is_unfit(job, target)) {
        job_check_stop(TAKE(run->check));
        fail(r, run, "index %.80s refuses a document: %.200s", job->index, target->flaw);
        return false;
    }
    if (!target && r->stored.revision == r->conf->targets->revision) {
        job_check_stop(TAKE(run->check));
        fail(r, run, "index %.80s is not among those that are written any more", job->index);
        return false;
    }
    return target && place_of(r, job->index) >= 0;
}

bool job_reindex_ready(struct job_runner *r, struct job_run *run, bool *busy, struct error *reterr) {
    if (run->record.phase == JOB_PHASE_CREATE)
        return run->record.type == JOB_ROLLBACK ? choose_old(r, run, reterr) : create(r, run, reterr);
    if (!index_is_fit(r, run))
        return true;
    if (run->record.phase == JOB_PHASE_VERIFY)
        return verify(r, run, busy, reterr);
    if (run->record.phase == JOB_PHASE_SWAP)
        return swap(r, run, reterr);
    return true;
}

void job_reindex_stop(struct job_runner *r) {
    for (struct job_run *run = r->runs; run; run = run->next)
        job_check_stop(TAKE(run->check));
}
