#include "core/cleanup.h"
#include "core/log.h"
#include "projector/jobs/job_fill.h"
#include "projector/jobs/job_reindex.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    FEW_PRODUCTS = 10000, /* so few are soon there: the last ones shall be searchable when the job is done */
    RETRY_MIN_USEC = 1000 * 1000,
    RETRY_MAX_USEC = 60 * 1000 * 1000,
};
#define SECOND INT64_C(1000000)

int64_t job_fill_interval(const char *text) {
    static const struct {
        const char *name;
        int64_t usec;
    } units[] = {{"micros", 1}, {"ms", 1000}, {"s", SECOND}, {"m", 60 * SECOND}, {"h", 3600 * SECOND}, {"d", 86400 * SECOND}};
    char *end;
    if (!*text)
        return SECOND;
    long long n = strtoll(text, &end, 10);
    if (n < 0)
        return -1;
    for (size_t i = 0; n <= 1000000 && i < ARRAY_LEN(units); i++)
        if (strcmp(end, units[i].name) == 0)
            return n * units[i].usec;
    return 0;
}

static const char *index_of(const struct job_runner *r, const struct job_run *run) {
    return run->record.type == JOB_REINDEX ? run->record.index : r->conf->index;
}

/* A scan that sweeps afterwards has found documents in the index. */
static bool from_nothing(const struct job_record *job) {
    return job->type == JOB_REINDEX || (job->type == JOB_SCAN && !job->sweep);
}

static bool fills(struct job_runner *r, const struct job_run *run) {
    const struct job_record *job = &run->record;
    bool is_written = job->type == JOB_SCAN || job_reindex_may_mark(r, run);
    return from_nothing(job) && is_written && !run->gone && job->state == JOB_RUNNING && job->phase == JOB_PHASE_MARK && !job->paused &&
           !job->cancel && !job->error[0] && !run->produced && job->total - job_run_done(r, run) > FEW_PRODUCTS;
}

static bool is_filled(struct job_runner *r, const char *index) {
    for (const struct job_run *run = r->runs; run; run = run->next)
        if (fills(r, run) && strcmp(index_of(r, run), index) == 0)
            return true;
    return false;
}

/* A scan only at its beginning: while it runs, an index that was not empty may come to serve. */
static struct job_run *next_to_ask(struct job_runner *r) {
    for (struct job_run *run = r->runs; run; run = run->next)
        if (!run->asked && fills(r, run) && (run->record.type == JOB_REINDEX || job_run_done(r, run) == 0))
            return run;
    return NULL;
}

static void note_serving(struct job_runner *r) {
    atomic_store(&r->fills_serving, strcmp(r->fill.index, r->conf->index) == 0);
}

bool job_runner_fills_serving(const struct job_runner *r) {
    return atomic_load(&r->fills_serving);
}

static bool save(struct job_runner *r, const struct state_fill *fill, struct error *reterr) {
    if (!state_fill_save(r->client, r->conf->options->mongo.database, lease_epoch(r->conf->lease), fill, reterr))
        return false;
    r->fill = *fill;
    note_serving(r);
    return true;
}

static bool slow_down(struct job_runner *r, struct job_run *run, struct error *reterr) {
    const struct es_conf *es = &r->conf->options->es;
    usec_t wanted = r->conf->options->projector.fill_refresh_usec;
    struct state_fill fill = {0};
    run->asked = true;
    snprintf(fill.index, sizeof(fill.index), "%s", index_of(r, run));
    snprintf(fill.given, sizeof(fill.given), "%" PRIu64 "ms", (uint64_t)(wanted / USEC_PER_MSEC));
    if (!index_admin_refresh_interval(es, fill.index, fill.own, sizeof(fill.own), reterr))
        return false;
    int64_t own = job_fill_interval(fill.own);
    if (own <= 0 || own >= (int64_t)wanted)
        return true;
    if (!save(r, &fill, reterr))
        return false;
    if (!lease_is_valid(r->conf->lease)) /* who has it by now would not see this change */
        return true;
    if (!index_admin_set_refresh_interval(es, fill.index, fill.given, reterr))
        return false;
    log_info("fill.begins", LOG_STR("index", fill.index), LOG_STR("job", run->record.id),
             LOG_STR("refresh_interval", fill.given), LOG_STR("own", fill.own));
    return true;
}

/* An index that is gone has nothing to get back; one with another interval got that from somebody who has the last word. */
static bool give_back(struct job_runner *r, struct error *reterr) {
    const struct es_conf *es = &r->conf->options->es;
    const struct state_fill fill = r->fill;
    char now[sizeof(fill.own)];
    struct error error = {0};
    bool found = index_admin_refresh_interval(es, fill.index, now, sizeof(now), &error);
    if (!found && error.code != ERROR_NOT_FOUND)
        return error_set(reterr, error.code, "%s", error.message);
    bool ours = found && strcmp(now, fill.given) == 0;
    if ((ours && !index_admin_set_refresh_interval(es, fill.index, fill.own, reterr)) ||
        !save(r, &(struct state_fill){0}, reterr))
        return false;
    log_info("fill.ends", LOG_STR("index", fill.index), LOG_STR("refresh_interval", !found ? "gone" : ours ? fill.own : now));
    return true;
}

static bool look(struct job_runner *r, struct error *reterr) {
    if (!r->fill_known) {
        if (!state_fill_load(r->client, r->conf->options->mongo.database, &r->fill, reterr))
            return false;
        r->fill_known = true;
        note_serving(r);
    }
    bool wanted = r->conf->options->projector.fill_refresh_usec > 0;
    if (r->fill.index[0] && !(wanted && is_filled(r, r->fill.index)) && !give_back(r, reterr))
        return false;
    struct job_run *run = wanted && !r->fill.index[0] ? next_to_ask(r) : NULL;
    return !run || slow_down(r, run, reterr);
}

void job_fill_refresh(struct job_runner *r) {
    struct error error = {.code = ERROR_INTERNAL, .message = ""};
    if (clock_now_usec() < r->fill_at || !lease_is_valid(r->conf->lease))
        return;
    if (look(r, &error)) {
        r->fill_failures = 0;
        return;
    }
    log_warn("fill.trouble", LOG_STR("index", r->fill.index), LOG_ERR(&error));
    r->fill_at = clock_now_usec() + clock_backoff_usec(r->fill_failures++, RETRY_MIN_USEC, RETRY_MAX_USEC);
}

void job_fill_merge(struct job_runner *r, const struct job_run *run) {
    struct error error = {.code = ERROR_INTERNAL, .message = ""};
    int64_t segments;
    if (r->conf->relay || !r->conf->options->projector.fill_merge || !from_nothing(&run->record) || run->record.total <= FEW_PRODUCTS)
        return;
    if (index_admin_merge(&r->conf->options->es, index_of(r, run), &segments, &error))
        log_info("fill.merges", LOG_STR("index", index_of(r, run)), LOG_INT("segments", segments));
    else
        log_warn("fill.not_merged", LOG_STR("index", index_of(r, run)), LOG_ERR(&error),
                 LOG_STR("consequence", "searches are slower until the server has merged it by itself; POST INDEX/_forcemerge does it"));
}
