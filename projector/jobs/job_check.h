/* job_check.h - a verification that runs on a thread of its own, for the jobs' thread to look at.
 *
 * Protocol: job_check_start, job_check_is_over until it is, job_check_take; or job_check_stop at any time.
 * Thread: one owner. */
#pragma once
#include "projector/verify/verify.h"

struct job_check;

struct job_check_result {
    int64_t compared, different, dead, unsettled;
    bool overflow;     /* more differ than were noted */
    char example[200]; /* "p17 (stale)" */
};

/* conf: everything but the callbacks; what it points to outlives the check. ids: only these, each a byte of length
 * and so many bytes; empty: all. */
struct job_check *job_check_start(const struct verify_conf *conf, const struct buf *ids, struct error *reterr);
bool job_check_is_over(const struct job_check *check);
int64_t job_check_compared(const struct job_check *check);
/* What it has been waiting for, for some seconds; "": it gets on. */
enum { JOB_CHECK_WAITS_SIZE = 200 };
void job_check_waits_for(struct job_check *check, char ret[JOB_CHECK_WAITS_SIZE]);
/* Frees it. *ret_ids: those that differ. False: it could not be finished. */
bool job_check_take(struct job_check *check, struct buf *ret_ids, struct job_check_result *ret, struct error *reterr);
void job_check_stop(struct job_check *check); /* waits for it, and frees it; NULL is fine */
