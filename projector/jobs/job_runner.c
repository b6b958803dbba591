#include "core/cleanup.h"
#include "core/log.h"
#include "projector/engine/dead_letter.h"
#include "projector/engine/lag.h"
#include "projector/jobs/job_check.h"
#include "projector/jobs/job_fill.h"
#include "projector/jobs/job_reindex.h"
#include "projector/jobs/job_runner_internal.h"
#include "projector/jobs/job_scan.h"
#include "projector/status.h"
#include <stdlib.h>

enum {
    RELOAD_USEC = 1000 * 1000,
    SAVE_USEC = 1000 * 1000,
    IDLE_USEC = 500 * 1000,
    BACKOFF_MAX_USEC = 3 * 1000 * 1000,
    REST_MAX_USEC = 60 * 1000 * 1000,
    SEGMENT_MAX_BYTES = 16 << 20,
    ORPHAN_PAGE = 1000,
    LETTERS_MAX = 65536,
    REPAIRS_MAX_BYTES = 4 << 20,
};

static void reload_soon(struct job_runner *r) {
    pthread_mutex_lock(&r->lock);
    r->reload_at = 0;
    pthread_mutex_unlock(&r->lock);
}

void job_runner_poke(struct job_runner *r) {
    if (!r)
        return;
    reload_soon(r);
    window_poke(r->window);
}

void job_runner_acked(struct job_runner *r, const struct segment *segment) {
    const struct job_position *position = segment->position;
    struct job_run *run = position->run;
    pthread_mutex_lock(&r->lock);
    run->flying--;
    run->record.cursor = position->cursor;
    run->record.done += position->marks;
    metric_add(lag_metrics.jobs[run->record.type].documents, position->marks);
    run->changed = true;
    if (position->last)
        run->phase_acked = true;
    pthread_mutex_unlock(&r->lock);
    if (position->last)
        window_poke(r->window);
}

/* -- which jobs there are -- */

static void add_or_update(void *ctx, struct job_record *job) {
    struct job_runner *r = ctx;
    r->unadopted = r->unadopted || job->epoch < lease_epoch(r->conf->lease);
    for (struct job_run *run = r->runs; run; run = run->next) {
        if (run->gone || strcmp(run->record.id, job->id) != 0)
            continue;
        run->seen = true;
        if (job_take_wishes(&run->record, job))
            run->rests_until = 0;
        if (job->confirmed && !run->record.confirmed) {
            run->record.confirmed = true;
            run->record.state = JOB_RUNNING;
            run->ahead = (struct job_cursor){0}; /* a count may have been under way */
        }
        job_record_done(job);
        return;
    }
    struct job_run *run = calloc(1, sizeof(*run));
    if (!run) {
        job_record_done(job);
        return;
    }
    run->record = *job;
    buf_init(&run->repairs, REPAIRS_MAX_BYTES);
    run->ahead = run->record.cursor;
    run->seen = true;
    run->started_at = run->said_at = clock_now_usec();
    run->started_done = job->done;
    if (job->total == 0 && job->phase == JOB_PHASE_MARK && job->type != JOB_FANOUT)
        run->record.total = job_scan_estimate(r->client, r->conf->options->mongo.database);
    run->number = ++r->numbers;
    run->next = r->runs;
    r->runs = run;
    job_run_note(r, run, ""); /* of whoever had it before: the trouble may be over */
    log_info("job.running", LOG_STR("job", job->id), LOG_STR("phase", job_phase_names[job->phase]),
             LOG_INT("done", job->done), LOG_INT("total", run->record.total));
}

static void run_free(struct job_run *run) {
    job_record_done(&run->record);
    buf_done(&run->repairs);
    free(run);
}

/* Jobs that are over, once no segment points at them. One that was taken from us while it was verified may be here a second
 * time by now, and verify anew. */
static void forget_gone(struct job_runner *r) {
    for (struct job_run **at = &r->runs; *at;) {
        struct job_run *run = *at;
        if (run->gone)
            job_check_stop(TAKE(run->check));
        pthread_mutex_lock(&r->lock);
        bool flies = run->flying > 0;
        pthread_mutex_unlock(&r->lock);
        if (!run->gone || flies) {
            at = &run->next;
            continue;
        }
        *at = run->next;
        run_free(run);
    }
}

/* A job that is not adopted cannot be saved: nothing is done for any before that. */
static bool read_jobs(struct job_runner *r, struct error *reterr) {
    const char *database = r->conf->options->mongo.database;
    r->unadopted = false;
    if (!jobs_active(r->client, database, add_or_update, r, reterr))
        return false;
    if (!r->unadopted || !lease_is_valid(r->conf->lease) ||
        jobs_adopt(r->client, database, lease_epoch(r->conf->lease), reterr))
        return true;
    reload_soon(r);
    return false;
}

static bool reload(struct job_runner *r, struct error *reterr) {
    pthread_mutex_lock(&r->lock);
    bool due = clock_now_usec() >= r->reload_at;
    if (due)
        r->reload_at = clock_now_usec() + RELOAD_USEC;
    pthread_mutex_unlock(&r->lock);
    if (!due)
        return true;
    for (struct job_run *run = r->runs; run; run = run->next)
        run->seen = false;
    if (!read_jobs(r, reterr))
        return false;
    for (struct job_run *run = r->runs; run; run = run->next)
        if (!run->seen && !run->gone) {
            run->gone = true;
            log_info("job.superseded", LOG_STR("job", run->record.id));
        }
    forget_gone(r);
    job_report_publish(r);
    return job_reindex_targets(r, reterr);
}

/* -- progress -- */

bool job_run_save(struct job_runner *r, struct job_run *run, struct error *reterr) {
    pthread_mutex_lock(&r->lock);
    struct job_record record = run->record;
    run->changed = false;
    pthread_mutex_unlock(&r->lock);
    run->saved_at = clock_now_usec();
    if (jobs_save(r->client, r->conf->options->mongo.database, lease_epoch(r->conf->lease), &record, reterr))
        return true;
    if (reterr->code == ERROR_CONFLICT) { /* superseded; or not our epoch, which the lease's own checks find */
        run->gone = true;
        return true;
    }
    job_run_changed(r, run);
    return false;
}

static bool has_changed(struct job_runner *r, const struct job_run *run) {
    pthread_mutex_lock(&r->lock);
    bool changed = run->changed;
    pthread_mutex_unlock(&r->lock);
    return changed;
}

bool job_run_finish(struct job_runner *r, struct job_run *run, enum job_state state, struct error *reterr) {
    enum job_state before = run->record.state;
    run->record.state = state;
    run->record.note[0] = '\0';
    if (!job_run_save(r, run, reterr)) {
        run->record.state = before;
        return false;
    }
    run->gone = true;
    double seconds = (double)(clock_now_usec() - run->started_at) / 1e6;
    if (state == JOB_FAILED)
        log_error("job.failed", LOG_STR("job", run->record.id), LOG_STR("reason", run->record.error));
    else
        log_info(state == JOB_CANCELLED ? "job.cancelled" : "job.done", LOG_STR("job", run->record.id),
                 LOG_INT("done", job_run_done(r, run)), LOG_INT("orphans", run->record.orphans),
                 LOG_DOUBLE("seconds", seconds));
    return true;
}

bool job_run_enter_phase(struct job_runner *r, struct job_run *run, enum job_phase phase, struct error *reterr) {
    pthread_mutex_lock(&r->lock);
    run->record.phase = phase;
    run->record.cursor = run->ahead = (struct job_cursor){0};
    run->produced = run->phase_acked = false;
    run->walked = 0;
    run->record.note[0] = '\0';
    if (phase == JOB_PHASE_COUNT)
        run->record.orphans = 0;
    pthread_mutex_unlock(&r->lock);
    return job_run_save(r, run, reterr);
}

static bool after_count(struct job_runner *r, struct job_run *run, struct error *reterr) {
    if (run->record.orphans == 0)
        return job_run_finish(r, run, JOB_DONE, reterr);
    if (run->record.orphans * 2 > run->walked && !run->record.confirmed) {
        run->record.state = JOB_WAITING;
        log_error("job.waits", LOG_STR("job", run->record.id), LOG_INT("orphans", run->record.orphans),
                  LOG_INT("documents", run->walked),
                  LOG_STR("advice", "more than half of the index has no product; if that is right: projector jobs "
                                    "confirm JOB"));
    }
    return job_run_enter_phase(r, run, JOB_PHASE_SWEEP, reterr);
}

static bool phase_over(struct job_runner *r, struct job_run *run, struct error *reterr) {
    switch (run->record.phase) {
    case JOB_PHASE_MARK:
        run->record.rate = (int64_t)job_run_rate(run, job_run_done(r, run));
        if (run->record.total == 0)
            run->record.total = job_run_done(r, run);
        job_fill_merge(r, run);
        if (run->record.type == JOB_REINDEX)
            return job_run_enter_phase(r, run, JOB_PHASE_VERIFY, reterr);
        return run->record.sweep ? job_run_enter_phase(r, run, JOB_PHASE_COUNT, reterr)
                                 : job_run_finish(r, run, JOB_DONE, reterr);
    case JOB_PHASE_COUNT:
        return after_count(r, run, reterr);
    case JOB_PHASE_SWEEP:
        return job_run_finish(r, run, JOB_DONE, reterr);
    default:
        return true;
    }
}

/* -- pages -- */

bool job_run_post(struct job_runner *r, struct job_run *run, struct segment *segment, bool last, struct error *reterr) {
    struct job_position *position = calloc(1, sizeof(*position));
    if (!position)
        return error_nomem(reterr);
    *position = (struct job_position){.run = run, .cursor = run->ahead, .marks = segment->count, .last = last};
    segment->position = position;
    segment->position_free = free;
    segment->category_revision = run->record.revision;
    run->produced = last;
    pthread_mutex_lock(&r->lock);
    run->flying++;
    pthread_mutex_unlock(&r->lock);
    window_add(r->window, segment->count + 1);
    engine_post_segment(r->engine, segment);
    return true;
}

/* A quarter of a second's worth at once, so that it runs evenly. */
static int64_t page_size(const struct job_runner *r, const struct job_run *run) {
    int64_t page = r->conf->options->projector.scan_page, share = run->record.throttle / 4;
    if (run->record.throttle <= 0 || share >= page)
        return page;
    return share > 1 ? share : 1;
}

/* The ids from the cursor's place on. */
static void repair_page(struct job_runner *r, struct job_run *run, struct segment *segment, bool *ret_last) {
    const char *at = run->record.ids, *end = at ? at + run->record.ids_bytes : NULL;
    uint32_t place = 0;
    segment->force = true;
    for (; at < end && segment->count < (unsigned)page_size(r, run); at += 1 + (uint8_t)*at)
        if (place++ >= run->ahead.category)
            segment_add(segment, at + 1, (uint8_t)*at, 0);
    run->ahead.category = place;
    *ret_last = at == end;
}

static bool mark_letter(void *ctx, struct slice id) {
    struct segment *segment = ctx;
    segment_add(segment, id.data, id.len, 0);
    return true;
}

/* A product with a dead letter may be gone, and was never in the index: neither side's walk would meet it, and its
 * letter would stay for ever if the history with its end is lost. */
static bool mark_letters(struct job_runner *r, struct segment *segment, struct error *reterr) {
    return dead_letter_list(r->client, r->conf->options->mongo.database, LETTERS_MAX, mark_letter, segment, reterr);
}

static bool scan_page(struct job_runner *r, struct job_run *run, struct segment *segment, bool *ret_last,
                      struct error *reterr) {
    const struct job_record *job = &run->record;
    const int64_t *category = NULL;
    if (job->type == JOB_REPAIR) {
        repair_page(r, run, segment, ret_last);
        return buf_ok(&segment->marks) || error_nomem(reterr);
    }
    if (job->type == JOB_FANOUT) {
        if (run->ahead.category >= job->category_count) {
            *ret_last = true;
            return true;
        }
        category = &job->categories[run->ahead.category];
    }
    if (job->type == JOB_SCAN && run->ahead.id_len == 0 && !mark_letters(r, segment, reterr))
        return false;
    if (!job_scan_products(r->client, r->conf->options->mongo.database, category, job->after, page_size(r, run), &run->ahead,
                           segment, ret_last, reterr))
        return false;
    if (*ret_last && category) {
        run->ahead = (struct job_cursor){.category = run->ahead.category + 1};
        *ret_last = run->ahead.category >= job->category_count;
    }
    return true;
}

/* Counting looks at the index while nothing is marked: its pages need no ack. */
static bool count_page(struct job_runner *r, struct job_run *run, struct segment *segment, bool *ret_last,
                       struct error *reterr) {
    size_t seen;
    if (run->walked == 0 && !job_run_refresh(r, r->conf->index, reterr)) /* what was just written shall be seen */
        return false;
    if (!job_scan_orphans(r->client, r->conf->options->mongo.database, &r->conf->options->es, r->conf->index,
                          run->record.after, ORPHAN_PAGE, &run->ahead, segment, &seen, ret_last, reterr))
        return false;
    run->walked += (int64_t)seen;
    if (run->record.phase == JOB_PHASE_COUNT) {
        run->record.orphans += segment->count;
        if (*ret_last)
            run->phase_acked = true;
    }
    return true;
}

/* When the next page is due, after one of so many marks. */
static void pace(struct job_run *run, size_t marks) {
    usec_t now = clock_now_usec();
    if (run->record.throttle <= 0)
        run->next_at = 0;
    else
        run->next_at = (run->next_at > now ? run->next_at : now) + marks * USEC_PER_SEC / (usec_t)run->record.throttle;
}

/* If it is not time yet, we are awake then. */
static bool is_time(struct job_runner *r, usec_t at) {
    bool is = clock_now_usec() >= at;
    r->wake_at = is || r->wake_at < at ? r->wake_at : at;
    return is;
}

static bool produce(struct job_runner *r, struct job_run *run, struct error *reterr) {
    struct job_cursor before = run->ahead;
    struct segment *segment = segment_new(MARK_JOB, MARK_BACKGROUND, SEGMENT_MAX_BYTES);
    if (!segment)
        return error_nomem(reterr);
    bool last = false;
    enum job_phase phase = run->record.phase;
    segment->targets = job_reindex_targets_of(r, run);
    bool ok = phase == JOB_PHASE_MARK ? scan_page(r, run, segment, &last, reterr)
                                      : count_page(r, run, segment, &last, reterr);
    if (ok && phase == JOB_PHASE_COUNT) {
        segment_free(segment);
        return true;
    }
    size_t marks = segment->count;
    if (ok && job_run_post(r, run, segment, last, reterr)) {
        pace(run, marks);
        return true;
    }
    run->ahead = before;
    segment_free(segment);
    return false;
}

/* -- a sweep that waits -- */

/* A collection that is rebuilt makes orphans fewer by itself: they are counted again at times, and a sweep that would no
 * longer remove most of the index needs no word. A count takes a small share of the time only. */
static bool recounted(struct job_runner *r, struct job_run *run, struct error *reterr) {
    usec_t now = clock_now_usec();
    bool still = run->recounted * 2 > run->walked;
    bool changed = run->record.orphans != run->recounted;
    pthread_mutex_lock(&r->lock);
    run->record.orphans = run->recounted;
    run->record.state = still ? JOB_WAITING : JOB_RUNNING;
    run->ahead = (struct job_cursor){0};
    pthread_mutex_unlock(&r->lock);
    run->recount_at = now + r->conf->options->projector.sweep_recount_usec + 20 * (now - run->recount_begun);
    if (!still)
        log_info("job.waits_no_more", LOG_STR("job", run->record.id), LOG_INT("orphans", run->recounted),
                 LOG_INT("documents", run->walked));
    run->walked = run->recounted = 0;
    return (still && !changed) || job_run_save(r, run, reterr);
}

static bool recount(struct job_runner *r, struct job_run *run, bool *busy, struct error *reterr) {
    usec_t now = clock_now_usec();
    if (run->recount_at == 0)
        run->recount_at = now + r->conf->options->projector.sweep_recount_usec;
    if (now < run->recount_at)
        return true;
    if (run->ahead.id_len == 0) {
        run->walked = run->recounted = 0;
        run->recount_begun = now;
    }
    struct segment *segment = segment_new(MARK_JOB, MARK_BACKGROUND, SEGMENT_MAX_BYTES);
    if (!segment)
        return error_nomem(reterr);
    *busy = true;
    bool last = false, ok = count_page(r, run, segment, &last, reterr);
    if (ok)
        run->recounted += segment->count;
    segment_free(segment);
    return ok && last ? recounted(r, run, reterr) : ok;
}

/* -- fan-outs begin -- */

/* An older one that somebody holds back is none of it, and newer ones are none: they could come without end. */
static bool is_in_the_way(const struct job_run *run, const struct job_run *older) {
    const struct job_record *job = &older->record;
    return !older->gone && job->begun && !older->produced && !job->paused && job->throttle == 0 &&
           jobs_covers(&run->record, job);
}

/* One that is begun is no longer superseded: what it covers is worth a second way through only when the first is over. */
static bool begin(struct job_runner *r, struct job_run *run, struct error *reterr) {
    for (const struct job_run *older = run->next; older; older = older->next)
        if (is_in_the_way(run, older))
            return true;
    run->record.begun = true;
    bool ok = job_run_save(r, run, reterr);
    run->record.begun = ok;
    run->started_at = run->said_at = clock_now_usec();
    return ok;
}

/* A category each time, so that other jobs do not wait for it. A product counts for each of its categories: it is visited
 * once for each. */
static void count_on(struct job_runner *r, struct job_run *run, bool *busy) {
    struct job_record *job = &run->record;
    if (job->type != JOB_FANOUT || job->total > 0 || run->visits < 0 || run->counted == job->category_count)
        return;
    int64_t n = job_scan_count(r->client, r->conf->options->mongo.database, job->categories[run->counted++]);
    run->visits = n < 0 || run->visits < 0 ? -1 : run->visits + n;
    *busy = true;
    if (run->counted < job->category_count || run->visits < 0)
        return;
    job->total = run->visits;
    job_run_changed(r, run);
    job_report_publish(r); /* a short job is over before the next reload */
}

static bool has_begun(const struct job_run *run) {
    return run->record.type != JOB_FANOUT || run->record.begun;
}

/* -- the thread -- */

static bool step(struct job_runner *r, struct job_run *run, bool *busy, struct error *reterr) {
    if (run->gone)
        return true;
    if (has_changed(r, run) && clock_now_usec() - run->saved_at >= SAVE_USEC && !job_run_save(r, run, reterr))
        return false;
    if (run->gone)
        return true;
    if (run->record.cancel || run->record.error[0])
        return job_reindex_end(r, run, reterr);
    if (run->record.state == JOB_WAITING && !job_is_reindex(&run->record))
        return recount(r, run, busy, reterr);
    if (run->record.state != JOB_RUNNING || run->record.paused)
        return true;
    if (!has_begun(run) && !begin(r, run, reterr))
        return false;
    if (run->gone || !has_begun(run))
        return true;
    count_on(r, run, busy);
    job_report_say(r, run);
    if (job_is_reindex(&run->record) && !job_reindex_ready(r, run, busy, reterr))
        return false;
    if (run->gone || !job_makes_marks(&run->record) || (job_is_reindex(&run->record) && !job_reindex_may_mark(r, run)))
        return true;
    pthread_mutex_lock(&r->lock);
    bool over = run->phase_acked;
    pthread_mutex_unlock(&r->lock);
    if (over) {
        *busy = true;
        return phase_over(r, run, reterr);
    }
    if (run->produced || (run->record.throttle > 0 && !is_time(r, run->next_at)))
        return true;
    if (!window_has_room(r->window)) {
        r->wants_room = true;
        return true;
    }
    *busy = true;
    r->turn = run->number;
    return produce(r, run, reterr);
}

/* What one job cannot do is no reason for the others to wait: it rests alone, as long as it kept them. False: it does now. */
static bool step_or_rest(struct job_runner *r, struct job_run *run, bool *busy) {
    struct error error = {.code = ERROR_INTERNAL, .message = ""};
    if (!is_time(r, run->rests_until))
        return true;
    usec_t began = clock_now_usec();
    if (step(r, run, busy, &error)) {
        if (run->failures)
            job_run_note(r, run, "");
        run->failures = 0;
        return true;
    }
    log_warn("job.trouble", LOG_STR("job", run->record.id), LOG_ERR(&error));
    job_run_note(r, run, error.message);
    usec_t now = clock_now_usec(), took = now - began, pause = clock_backoff_usec(run->failures++, IDLE_USEC, BACKOFF_MAX_USEC);
    run->rests_until = now + (took < pause ? pause : took < REST_MAX_USEC ? took : REST_MAX_USEC);
    return false;
}

/* Each once; first those behind the one that had the last page, so that all have their turn where there is little room. After
 * trouble, which may have taken long, it is looked first whether we are to stop. */
static void step_each(struct job_runner *r, bool *busy) {
    uint64_t turn = r->turn;
    bool ok = true;
    for (int others = 0; others < 2; others++)
        for (struct job_run *run = r->runs; ok && run; run = run->next)
            if ((run->number >= turn) == others)
                ok = step_or_rest(r, run, busy);
    *busy = *busy || !ok;
}

static void *runner_main(void *arg) {
    struct job_runner *r = arg;
    pthread_setname_np(pthread_self(), "jobs");
    r->client = mongoc_client_pool_pop(r->conf->pool);
    while (!window_stopped(r->window)) {
        struct error error = {.code = ERROR_INTERNAL, .message = ""};
        r->wake_at = clock_now_usec() + IDLE_USEC;
        r->wants_room = false;
        bool busy = false, ok = reload(r, &error);
        if (ok) {
            job_fill_refresh(r);
            step_each(r, &busy);
            r->failures = 0;
            usec_t now = clock_now_usec();
            if (!busy && r->wake_at > now)
                (r->wants_room ? window_sleep_for_room : window_sleep)(r->window, r->wake_at - now);
        } else {
            log_warn("jobs.trouble", LOG_ERR(&error));
            window_sleep(r->window, clock_backoff_usec(r->failures++, IDLE_USEC, BACKOFF_MAX_USEC));
        }
    }
    for (struct job_run *run = r->runs; run; run = run->next)
        if (!run->gone && has_changed(r, run) && lease_is_valid(r->conf->lease))
            job_run_save(r, run, &(struct error){0});
    job_reindex_stop(r);
    mongoc_client_pool_push(r->conf->pool, r->client);
    return NULL;
}

struct job_runner *job_runner_start(struct engine *engine, const struct engine_conf *conf, struct error *reterr) {
    struct job_runner *r = calloc(1, sizeof(*r));
    if (!r) {
        error_nomem(reterr);
        return NULL;
    }
    r->engine = engine;
    r->conf = conf;
    r->window = engine_window(engine, MARK_JOB);
    pthread_mutex_init(&r->lock, NULL);
    if (pthread_create(&r->thread, NULL, runner_main, r) == 0)
        return r;
    error_set(reterr, ERROR_INTERNAL, "cannot start the jobs' thread");
    pthread_mutex_destroy(&r->lock);
    free(r);
    return NULL;
}

void job_runner_stop(struct job_runner *r) {
    if (r)
        pthread_join(r->thread, NULL);
}

void job_runner_free(struct job_runner *r) {
    if (!r)
        return;
    for (struct job_run *run = r->runs, *next; run; run = next) {
        next = run->next;
        run_free(run);
    }
    pthread_mutex_destroy(&r->lock);
    free(r);
}
