#include "core/cleanup.h"
#include "projector/engine/lag.h"
#include "projector/engine/mark.h"
#include "projector/jobs/jobs.h"
#include "projector/status.h"
#include "projector/verify/verifier.h"
#include "projector/verify/verify.h"
#include "projector/verify/verify_ids.h"
#include <pthread.h>
#include <stdlib.h>

enum {
    SLICE_SECONDS = 10,         /* of walking between two stored positions */
    SLICE_MIN = 1000,
    IDS_MAX_BYTES = 64 << 20,
    SAID_PER_SLICE = 10,
    POLL_USEC = 250 * 1000,
    SCAN_POLL_MIN_USEC = 250 * 1000,
    SCAN_POLL_MAX_USEC = 4 * 1000 * 1000,
    RETRY_MIN_USEC = 1000 * 1000,
    RETRY_MAX_USEC = 30 * 1000 * 1000,
    JOBS_MAX = 64,              /* repairs of one slice */
};

struct pass {
    int64_t begun_wall_usec;
    int64_t compared, found[VERIFY_KINDS], unsettled, repaired, left, passes; /* found: of our ids */
    int64_t foreign, foreign_before; /* documents that none of ours can be; the pass before this one had so many */
    int64_t verified_wall_usec; /* 0: never yet */
    char cursor[VERIFY_ID_MAX];
    size_t cursor_len;
};

struct verifier {
    const struct engine_conf *conf;
    mongoc_client_t *client;
    struct window stop;
    struct pass pass;
    struct verify_ids repairs, orphans;
    unsigned said;
    pthread_t thread;
};

static const char *database(const struct verifier *v) {
    return v->conf->options->mongo.database;
}

/* -- what is stored -- */

static int64_t wall_of(const bson_t *doc, const char *name) {
    bson_iter_t at;
    return bson_iter_init_find(&at, doc, name) && BSON_ITER_HOLDS_DATE_TIME(&at) ? bson_iter_date_time(&at) * 1000 : 0;
}

static void read_pass(struct verifier *v, const bson_t *doc) {
    const char *index = state_string(doc, "index"), *cursor = state_string(doc, "cursor");
    struct pass *p = &v->pass;
    if (!index || strcmp(index, v->conf->index) != 0)
        return; /* of another index: nothing of it is true of this one */
    p->verified_wall_usec = wall_of(doc, "verified_as_of");
    p->passes = state_i64(doc, "passes");
    p->foreign_before = state_i64(doc, "foreign_before");
    p->cursor_len = cursor ? strlen(cursor) : 0;
    if (p->cursor_len == 0 || p->cursor_len > sizeof(p->cursor)) {
        p->cursor_len = 0;
        return;
    }
    memcpy(p->cursor, cursor, p->cursor_len);
    p->begun_wall_usec = wall_of(doc, "begun_at");
    p->compared = state_i64(doc, "compared");
    p->found[VERIFY_MISSING] = state_i64(doc, "missing");
    p->found[VERIFY_STALE] = state_i64(doc, "stale");
    p->found[VERIFY_ORPHANED] = state_i64(doc, "orphaned");
    p->found[VERIFY_DEAD] = state_i64(doc, "dead");
    p->unsettled = state_i64(doc, "unsettled");
    p->repaired = state_i64(doc, "repaired");
    p->left = state_i64(doc, "left");
    p->foreign = state_i64(doc, "foreign");
}

static bool load(struct verifier *v, struct error *reterr) {
    bson_t *query = BCON_NEW("_id", "verify");
    bson_t doc;
    bool found = false, ok = state_find_one(v->client, database(v), STATE_COLLECTION, query, &doc, &found, reterr);
    if (ok && found)
        read_pass(v, &doc);
    bson_destroy(query);
    bson_destroy(&doc);
    if (v->pass.begun_wall_usec == 0)
        v->pass.begun_wall_usec = clock_wall_usec();
    return ok;
}

static bool save(struct verifier *v, struct error *reterr) {
    const struct pass *p = &v->pass;
    int64_t epoch = (int64_t)lease_epoch(v->conf->lease);
    bson_t *query = BCON_NEW("_id", "verify", "epoch", "{", "$lte", BCON_INT64(epoch), "}");
    bson_t update = BSON_INITIALIZER, set;
    BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
    BSON_APPEND_UTF8(&set, "index", v->conf->index);
    BSON_APPEND_INT64(&set, "epoch", epoch);
    bson_append_utf8(&set, "cursor", -1, p->cursor, (int)p->cursor_len);
    BSON_APPEND_DATE_TIME(&set, "begun_at", p->begun_wall_usec / 1000);
    BSON_APPEND_INT64(&set, "compared", p->compared);
    BSON_APPEND_INT64(&set, "missing", p->found[VERIFY_MISSING]);
    BSON_APPEND_INT64(&set, "stale", p->found[VERIFY_STALE]);
    BSON_APPEND_INT64(&set, "orphaned", p->found[VERIFY_ORPHANED]);
    BSON_APPEND_INT64(&set, "dead", p->found[VERIFY_DEAD]);
    BSON_APPEND_INT64(&set, "unsettled", p->unsettled);
    BSON_APPEND_INT64(&set, "repaired", p->repaired);
    BSON_APPEND_INT64(&set, "left", p->left);
    BSON_APPEND_INT64(&set, "foreign", p->foreign);
    BSON_APPEND_INT64(&set, "foreign_before", p->foreign_before);
    BSON_APPEND_INT64(&set, "passes", p->passes);
    if (p->verified_wall_usec)
        BSON_APPEND_DATE_TIME(&set, "verified_as_of", p->verified_wall_usec / 1000);
    bson_append_document_end(&update, &set);
    if (!p->verified_wall_usec)
        BCON_APPEND(&update, "$unset", "{", "verified_as_of", "", "}");
    bool ok = state_update(v->client, database(v), STATE_COLLECTION, query, &update, true, NULL, reterr);
    bson_destroy(query);
    bson_destroy(&update);
    return ok;
}

/* -- what is shown -- */

static void publish(struct verifier *v) {
    const struct pass *p = &v->pass;
    int64_t foreign = p->foreign > p->foreign_before ? p->foreign : p->foreign_before;
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"compared", p->compared},   {"missing", p->found[VERIFY_MISSING]},       {"stale", p->found[VERIFY_STALE]},
        {"unsettled", p->unsettled}, {"orphaned", p->found[VERIFY_ORPHANED]},     {"dead_lettered", p->found[VERIFY_DEAD]},
        {"repaired", p->repaired},   {"left", p->left},                           {"passes", p->passes},
        {"foreign", foreign},        {"rate", v->conf->options->projector.verify_rate},
    };
    struct status_section section;
    struct json_write *w = status_begin(&section, "verification");
    json_write_object(w);
    status_write_time(w, "verified_as_of", p->verified_wall_usec);
    status_write_time(w, "pass_begun_at", p->begun_wall_usec);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        json_write_key(w, numbers[i].name);
        json_write_int(w, numbers[i].value);
    }
    json_write_object_end(w);
    status_publish(&section);
    metric_set(lag_metrics.verified_as_of, (double)p->verified_wall_usec / 1e6);
    metric_set(lag_metrics.foreign_documents, (double)foreign);
}

/* -- a slice -- */

static bool cancelled(void *ctx) {
    struct verifier *v = ctx;
    return window_stopped(&v->stop) || !lease_is_valid(v->conf->lease);
}

static bool note(void *ctx, const struct verify_difference *d) {
    struct verifier *v = ctx;
    if (!d->foreign)
        metric_inc(lag_metrics.verify_differences[d->kind]);
    if (d->kind == VERIFY_DEAD)
        return true;
    char id[VERIFY_ID_MAX + 1];
    size_t len = d->id.len < VERIFY_ID_MAX ? d->id.len : VERIFY_ID_MAX;
    memcpy(id, d->id.data, len);
    id[len] = '\0';
    if (v->said++ < SAID_PER_SLICE)
        log_warn("verify.difference", LOG_STR("kind", d->foreign ? "foreign" : verify_kind_names[d->kind]), LOG_STR("id", id),
                 LOG_INT("version", d->version));
    return !mark_id_ok(d->id) || verify_ids_add(d->kind == VERIFY_ORPHANED ? &v->orphans : &v->repairs, d->id);
}

static struct verify_conf conf_of(struct verifier *v) {
    return (struct verify_conf){.options = v->conf->options, .pool = v->conf->pool, .index = v->conf->index,
                                .projection = v->conf->projections[0], .threads = 1,
                                .rate = v->conf->options->projector.verify_rate, .ctx = v, .cancelled = cancelled};
}

static bool compare(struct verifier *v, struct verify_counts *counts, struct error *reterr) {
    struct verify_conf conf = conf_of(v);
    conf.after = (struct slice){v->pass.cursor, v->pass.cursor_len};
    conf.limit = conf.rate * SLICE_SECONDS > SLICE_MIN ? conf.rate * SLICE_SECONDS : SLICE_MIN;
    conf.difference = note;
    verify_ids_reset(&v->repairs);
    verify_ids_reset(&v->orphans);
    v->said = 0;
    return verify_run(&conf, counts, reterr);
}

/* -- repairing what it found -- */

struct scans {
    bool waiting, running;
};

static void note_scan(void *ctx, struct job_record *job) {
    struct scans *scans = ctx;
    scans->waiting = scans->waiting || (job->type == JOB_SCAN && job->state == JOB_WAITING);
    scans->running = scans->running || (job->type == JOB_SCAN && job->state == JOB_RUNNING);
    job_record_done(job);
}

/* Whether orphans may go without a person's word. */
static bool may_remove(struct verifier *v, const struct verify_counts *counts, struct error *reterr, bool *ret) {
    struct scans scans = {false, false};
    int64_t orphans = counts->found[VERIFY_ORPHANED];
    *ret = true;
    if (orphans == 0)
        return true;
    if (!jobs_active(v->client, database(v), note_scan, &scans, reterr))
        return false;
    *ret = !scans.waiting && (orphans == 1 || orphans * 2 <= counts->documents);
    if (!*ret)
        log_error("verify.orphans_kept", LOG_INT("orphans", orphans), LOG_INT("documents", counts->documents),
                  LOG_STR("advice", "if their products are gone for good: projector verify --repair"));
    return true;
}

static bool wait_for(struct verifier *v, char (*jobs)[JOB_ID_SIZE], size_t count, struct error *reterr) {
    for (size_t i = 0; i < count;) {
        enum job_state state;
        int64_t done;
        if (!jobs_state_of(v->client, database(v), jobs[i], &state, &done, reterr))
            return false;
        if (state != JOB_RUNNING && state != JOB_WAITING)
            i++;
        else if (cancelled(v) || !window_sleep(&v->stop, POLL_USEC))
            return error_set(reterr, ERROR_CONFLICT, "stopped");
    }
    return true;
}

/* Everything in v->repairs; true with *ret_left: what differs even then, or is not known to be equal. */
static bool mend(struct verifier *v, int64_t *ret_left, struct error *reterr) {
    char(*jobs)[JOB_ID_SIZE] = calloc(JOBS_MAX, sizeof(*jobs));
    size_t count = 0;
    bool ok = (jobs && verify_ids_sort(&v->repairs)) || error_nomem(reterr);
    for (size_t at = 0; ok && at < v->repairs.slice_count && count < JOBS_MAX; at += JOB_REPAIR_MAX, count++) {
        size_t left = v->repairs.slice_count - at;
        ok = jobs_insert_repair(v->client, database(v), "continuous verification", v->repairs.slices + at,
                                left < JOB_REPAIR_MAX ? left : JOB_REPAIR_MAX, false, jobs[count], reterr);
    }
    struct verify_counts counts = {0};
    struct verify_conf conf = conf_of(v);
    conf.ids = v->repairs.slices;
    conf.id_count = v->repairs.slice_count;
    ok = ok && wait_for(v, jobs, count, reterr) && verify_run(&conf, &counts, reterr);
    free(jobs);
    *ret_left = counts.found[VERIFY_MISSING] + counts.found[VERIFY_STALE] + counts.found[VERIFY_ORPHANED] +
                counts.unsettled - counts.followed;
    return ok;
}

static bool repair(struct verifier *v, const struct verify_counts *counts, struct error *reterr) {
    int64_t kept = counts->found[VERIFY_ORPHANED], left = 0, wanted = counts->found[VERIFY_MISSING] + counts->found[VERIFY_STALE];
    bool remove;
    if (!may_remove(v, counts, reterr, &remove) || !verify_ids_sort(&v->orphans))
        return false;
    for (size_t i = 0; remove && i < v->orphans.slice_count; i++)
        if (!verify_ids_add(&v->repairs, v->orphans.slices[i]))
            return error_nomem(reterr);
    if (remove) {
        wanted += kept;
        kept = 0;
    }
    if (wanted && !mend(v, &left, reterr))
        return false;
    v->pass.left += kept + left;
    v->pass.repaired += wanted - left;
    metric_add(lag_metrics.verify_repaired, wanted > left ? (uint64_t)(wanted - left) : 0);
    if (wanted)
        log_warn("verify.repaired", LOG_INT("documents", wanted - left), LOG_INT("left", kept + left));
    return true;
}

static void add_counts(struct pass *p, const struct verify_counts *counts) {
    p->compared += counts->compared;
    p->unsettled += counts->unsettled;
    p->left += counts->unsettled - counts->followed;
    p->foreign += counts->foreign;
    for (int k = 0; k < VERIFY_KINDS; k++)
        p->found[k] += counts->found[k];
    p->cursor_len = counts->last_len;
    memcpy(p->cursor, counts->last, counts->last_len);
}

static void pass_done(struct verifier *v) {
    struct pass *p = &v->pass;
    p->passes++;
    if (p->left == 0)
        p->verified_wall_usec = p->begun_wall_usec;
    metric_inc(lag_metrics.verify_passes);
    log_info("verify.pass", LOG_INT("compared", p->compared), LOG_INT("missing", p->found[VERIFY_MISSING]),
             LOG_INT("stale", p->found[VERIFY_STALE]), LOG_INT("orphaned", p->found[VERIFY_ORPHANED]),
             LOG_INT("dead_lettered", p->found[VERIFY_DEAD]), LOG_INT("repaired", p->repaired), LOG_INT("left", p->left),
             LOG_INT("unsettled", p->unsettled), LOG_INT("foreign", p->foreign));
    *p = (struct pass){.begun_wall_usec = clock_wall_usec(), .passes = p->passes, .verified_wall_usec = p->verified_wall_usec,
                       .foreign_before = p->foreign};
}

/* *ret_complete: the pass ended with this slice. What fails is walked again as a whole. */
static bool slice(struct verifier *v, bool *ret_complete, struct error *reterr) {
    struct verify_counts counts;
    if (!compare(v, &counts, reterr))
        return false;
    metric_add(lag_metrics.verify_compared, (uint64_t)counts.compared);
    counts.found[VERIFY_ORPHANED] -= counts.foreign;
    int64_t differ = counts.found[VERIFY_MISSING] + counts.found[VERIFY_STALE] + counts.found[VERIFY_ORPHANED];
    if (differ && !v->conf->options->projector.verify_repair)
        v->pass.left += differ;
    else if (differ && !repair(v, &counts, reterr))
        return false;
    add_counts(&v->pass, &counts);
    *ret_complete = counts.complete;
    if (counts.complete)
        pass_done(v);
    publish(v);
    return save(v, reterr);
}

/* A full scan looks at everything itself; what is verified meanwhile would have to wait for its end. */
static bool let_scans_pass(struct verifier *v, struct error *reterr) {
    for (usec_t pause = SCAN_POLL_MIN_USEC;; pause = pause < SCAN_POLL_MAX_USEC ? pause * 2 : pause) {
        struct scans scans = {false, false};
        if (!jobs_active(v->client, database(v), note_scan, &scans, reterr))
            return false;
        if (!scans.running)
            return true;
        if (cancelled(v) || !window_sleep(&v->stop, pause))
            return error_set(reterr, ERROR_CONFLICT, "stopped");
    }
}

static void *verifier_main(void *arg) {
    struct verifier *v = arg;
    const struct projector_conf *options = &v->conf->options->projector;
    bool loaded = false;
    pthread_setname_np(pthread_self(), "verifier");
    v->client = mongoc_client_pool_pop(v->conf->pool);
    for (unsigned failures = 0; !cancelled(v);) {
        struct error error = {.code = ERROR_INTERNAL, .message = "no reason given"};
        bool complete = false;
        if (!loaded && (loaded = load(v, &error)))
            publish(v);
        if (loaded && options->verify_rate == 0) {
            window_sleep(&v->stop, RETRY_MAX_USEC);
        } else if (loaded && let_scans_pass(v, &error) && slice(v, &complete, &error)) {
            failures = 0;
            if (complete && window_sleep(&v->stop, options->verify_pause_usec))
                v->pass.begun_wall_usec = clock_wall_usec();
        } else if (!cancelled(v)) {
            log_warn("verify.failed", LOG_ERR(&error));
            window_sleep(&v->stop, clock_backoff_usec(failures < 8 ? failures : 8, RETRY_MIN_USEC, RETRY_MAX_USEC));
            failures++;
        }
    }
    status_remove("verification");
    metric_set(lag_metrics.foreign_documents, 0); /* the next owner counts them */
    mongoc_client_pool_push(v->conf->pool, v->client);
    return NULL;
}

struct verifier *verifier_start(const struct engine_conf *conf, struct error *reterr) {
    struct verifier *v = calloc(1, sizeof(*v));
    if (!v) {
        error_nomem(reterr);
        return NULL;
    }
    *v = (struct verifier){.conf = conf};
    window_init(&v->stop, 1);
    verify_ids_init(&v->repairs, IDS_MAX_BYTES);
    verify_ids_init(&v->orphans, IDS_MAX_BYTES);
    if (pthread_create(&v->thread, NULL, verifier_main, v) == 0)
        return v;
    error_set(reterr, ERROR_INTERNAL, "cannot start the thread of verification");
    window_done(&v->stop);
    free(v);
    return NULL;
}

void verifier_stop(struct verifier *v) {
    if (!v)
        return;
    window_stop(&v->stop);
    pthread_join(v->thread, NULL);
    window_done(&v->stop);
    verify_ids_done(&v->repairs);
    verify_ids_done(&v->orphans);
    free(v);
}
