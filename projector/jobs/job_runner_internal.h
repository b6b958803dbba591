/* job_runner_internal.h - the jobs' thread, shared by job_runner.c (which jobs there are, pages of marks),
 * job_reindex.c (the phases of reindex and rollback), job_fill.c and job_report.c. Thread: the runner's; under the lock where it says so. */
#pragma once
#include "projector/jobs/job_runner.h"
#include "projector/jobs/jobs.h"
#include <pthread.h>
#include <stdatomic.h>

/* One active job: how far it has been read (ahead), and how far it is done (record). What acks change is under the runner's
 * lock, and in words of its own: compilers read flags that are neighbours at once. */
struct job_run {
    struct job_run *next;
    uint64_t number; /* older ones have lower ones, and stand behind in the list */
    struct job_record record; /* as far as it is acked; cursor and done under the lock */
    struct job_cursor ahead;
    int64_t walked;    /* documents of the index looked at, in this phase */
    int64_t recounted; /* orphans among them, while it waits */
    unsigned flying;   /* segments that are not acked; under the lock, as the next two */
    bool phase_acked;  /* all pages of this phase are out and finished */
    bool changed;      /* since it was stored */
    usec_t recount_at, recount_begun;
    usec_t saved_at, said_at, started_at;
    int64_t started_done;
    usec_t next_at; /* throttled: when the next page is due */
    usec_t rests_until; /* after trouble */
    unsigned failures;  /* since a step that went well */
    bool produced;  /* all pages of this phase are out */
    bool gone;      /* done or superseded: kept for the segments that point here */
    bool seen;      /* in the last reload */
    size_t counted; /* fan-out: so many of its categories, with so many products to visit; -1: nobody knows */
    int64_t visits;
    bool asked;     /* job_fill.h: the interval of its index was looked at */
    unsigned rounds;         /* of verification and repair */
    bool swapping;           /* the alias may lead to its index, whatever the set of targets says */
    struct job_check *check; /* reindex: the verification under way */
    struct buf repairs;      /* ids that differ: each a byte of length and so many bytes */
};

struct job_position {
    struct job_run *run;
    struct job_cursor cursor;
    unsigned marks;
    bool last;
};

struct job_runner {
    struct engine *engine;
    const struct engine_conf *conf;
    struct window *window;
    mongoc_client_t *client;
    pthread_mutex_t lock;
    struct job_run *runs;
    usec_t reload_at;
    bool unadopted; /* the last reload saw a job that is not of our epoch yet */
    unsigned failures;
    usec_t wake_at;  /* the next thing that is due by time */
    bool wants_room; /* a job has marks for which the window has no room yet */
    uint64_t numbers, turn; /* given so far; of the run that had the last page */
    usec_t sweep_at;
    struct targets stored; /* the set as it is stored, read once a second */
    struct state_fill fill; /* the index that refreshes seldom, as it is stored */
    atomic_bool fills_serving;
    bool fill_known;        /* it was read */
    usec_t fill_at;         /* after trouble with it: when to try again */
    unsigned fill_failures;
    pthread_t thread;
};

/* Stores it; a job that was taken from us is gone then. */
bool job_run_save(struct job_runner *r, struct job_run *run, struct error *reterr);
bool job_run_enter_phase(struct job_runner *r, struct job_run *run, enum job_phase phase, struct error *reterr);
/* done, failed or cancelled. */
bool job_run_finish(struct job_runner *r, struct job_run *run, enum job_state state, struct error *reterr);
/* Takes the segment; `last`: the phase is over once it is acked. */
bool job_run_post(struct job_runner *r, struct job_run *run, struct segment *segment, bool last, struct error *reterr);
/* How much of its phase is acked, and how fast that has come. */
int64_t job_run_done(struct job_runner *r, const struct job_run *run);
double job_run_rate(const struct job_run *run, int64_t done);
/* Once a second: the status and the gauges. */
void job_report_publish(struct job_runner *r);
/* A line in the log, every few seconds. */
void job_report_say(struct job_runner *r, struct job_run *run);
/* There is something to save. */
void job_run_changed(struct job_runner *r, struct job_run *run);
/* Why it does not get on, stored with its progress; "": it does. */
void job_run_note(struct job_runner *r, struct job_run *run, const char *note);
/* What was written to the index before is seen by searches afterwards. */
bool job_run_refresh(struct job_runner *r, const char *index, struct error *reterr);
