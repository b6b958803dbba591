/* What the world sees of the jobs: the section of the status, the gauges, a line in the log now and then. */
#include "core/log.h"
#include "projector/engine/lag.h"
#include "projector/jobs/job_runner_internal.h"
#include "projector/status.h"
#include <stdio.h>

enum { SAY_USEC = 5 * 1000 * 1000 };

int64_t job_run_done(struct job_runner *r, const struct job_run *run) {
    pthread_mutex_lock(&r->lock);
    int64_t done = run->record.done;
    pthread_mutex_unlock(&r->lock);
    return done;
}

double job_run_rate(const struct job_run *run, int64_t done) {
    double seconds = (double)(clock_now_usec() - run->started_at) / 1e6;
    return seconds > 0 ? (double)(done - run->started_done) / seconds : 0;
}

void job_run_changed(struct job_runner *r, struct job_run *run) {
    pthread_mutex_lock(&r->lock);
    run->changed = true;
    pthread_mutex_unlock(&r->lock);
}

void job_run_note(struct job_runner *r, struct job_run *run, const char *note) {
    if (strcmp(run->record.note, note) == 0)
        return;
    snprintf(run->record.note, sizeof(run->record.note), "%s", note);
    job_run_changed(r, run);
}

static void write_job(struct json_write *w, const struct job_run *run, int64_t done) {
    const struct job_record *job = &run->record;
    double rate = job_run_rate(run, done);
    json_write_object(w);
    json_write_key(w, "id");
    json_write_str(w, job->id);
    json_write_key(w, "type");
    json_write_str(w, job_type_names[job->type]);
    json_write_key(w, "state");
    json_write_str(w, job->paused && job->state == JOB_RUNNING ? "paused" : job_state_names[job->state]);
    json_write_key(w, "phase");
    json_write_str(w, job_phase_names[job->phase]);
    json_write_key(w, "done");
    json_write_int(w, done);
    json_write_key(w, "total");
    json_write_int(w, job->total);
    json_write_key(w, "orphans");
    json_write_int(w, job->orphans);
    if (job->note[0]) {
        json_write_key(w, "note");
        json_write_str(w, job->note);
    }
    json_write_key(w, "docs_per_second");
    json_write_double(w, rate);
    json_write_key(w, "eta_seconds");
    if (rate > 0 && job->total >= done)
        json_write_double(w, (double)(job->total - done) / rate);
    else
        json_write_null(w);
    json_write_object_end(w);
}

void job_report_publish(struct job_runner *r) {
    double count[LAG_JOB_TYPES_MAX][LAG_JOB_STATES_MAX] = {0}, done[LAG_JOB_TYPES_MAX] = {0},
           expected[LAG_JOB_TYPES_MAX] = {0};
    struct status_section section;
    struct json_write *w = status_begin(&section, "jobs");
    json_write_array(w);
    for (struct job_run *run = r->runs; run; run = run->next) {
        if (run->gone)
            continue;
        int64_t finished = job_run_done(r, run);
        write_job(w, run, finished);
        count[run->record.type][run->record.state] += 1;
        done[run->record.type] += (double)finished;
        expected[run->record.type] += (double)run->record.total;
    }
    json_write_array_end(w);
    status_publish(&section);
    for (int t = 0; t < LAG_JOB_TYPES_MAX; t++) {
        for (int s = 0; s < LAG_JOB_STATES_MAX; s++)
            metric_set(lag_metrics.jobs[t].states[s], count[t][s]);
        metric_set(lag_metrics.jobs[t].done, done[t]);
        metric_set(lag_metrics.jobs[t].expected, expected[t]);
    }
}

void job_report_say(struct job_runner *r, struct job_run *run) {
    usec_t now = clock_now_usec();
    if (now - run->said_at < SAY_USEC)
        return;
    run->said_at = now;
    int64_t done = job_run_done(r, run), left = run->record.total - done;
    double rate = job_run_rate(run, done);
    log_info("job.progress", LOG_STR("job", run->record.id), LOG_STR("phase", job_phase_names[run->record.phase]),
             LOG_INT("done", done), LOG_INT("total", run->record.total), LOG_INT("docs_per_second", (int64_t)rate),
             LOG_INT("eta_seconds", rate > 0 && left > 0 ? (int64_t)((double)left / rate) : 0));
}
