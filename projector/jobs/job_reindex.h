/* job_reindex.h - reindex and rollback: the steps that are not pages of marks.
 *
 * reindex:  create   makes the index from the job's mapping; then it joins the set of targets, which begins a new term
 *           mark     walks all products; the marks ask for the new index alone. Live changes go to both meanwhile
 *           verify   compares it with the sources, repairs what differs, compares that again
 *           swap     points the alias at it; with no_swap only once somebody confirms
 * rollback: the same from verify on, with the index that served before
 *
 * Every step may be repeated, so a kill at any moment costs one step. What the new index refuses fails the job, and
 * so does its loss; the serving index never notices. An index that fails or is cancelled leaves the set, and is deleted
 * (unless keep_index) once no writer has it in its set any more.
 *
 * Thread: the runner's. */
#pragma once
#include "projector/jobs/job_runner_internal.h"

static inline bool job_is_reindex(const struct job_record *job) {
    return job->type == JOB_REINDEX || job->type == JOB_ROLLBACK;
}
static inline bool job_makes_marks(const struct job_record *job) {
    return job->phase == JOB_PHASE_MARK || job->phase == JOB_PHASE_COUNT || job->phase == JOB_PHASE_SWEEP;
}

/* Once a second: ends the term if the set of targets is another one, retires the old index when its time is over,
 * deletes what left the set. */
bool job_reindex_targets(struct job_runner *r, struct error *reterr);
/* Takes the next step, if it is one of those above. */
bool job_reindex_ready(struct job_runner *r, struct job_run *run, bool *busy, struct error *reterr);
/* Is its index written by this term? */
bool job_reindex_may_mark(struct job_runner *r, const struct job_run *run);
/* Which targets its marks ask for; 0: all. */
uint8_t job_reindex_targets_of(struct job_runner *r, const struct job_run *run);
/* Ends a job (of any type) that is cancelled or has an error. */
bool job_reindex_end(struct job_runner *r, struct job_run *run, struct error *reterr);
/* The term is over: verifications stop, to be begun again in the next one. */
void job_reindex_stop(struct job_runner *r);
