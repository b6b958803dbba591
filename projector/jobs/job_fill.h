/* job_fill.h - an index that a job fills from nothing refreshes seldom meanwhile.
 *
 * A refresh each second cuts what is written into many small segments, which are merged afterwards: on 200,000 products
 * that was a seventh of the time (projector/README.md). So an index that a reindex builds, or that a first scan found
 * empty, gets [projector] fill_refresh as its index.refresh_interval, and its own one back a little before the end.
 *
 * That is one index at a time, and stored (state_fill) from before its interval is changed until after it is changed back,
 * apart from the job: whatever becomes of that, and of us, this owner or the next one gives it back, unless somebody else
 * has set another interval by then.
 * Once everything is written, the server is asked to merge it into few segments, unless [projector] fill_merge is false:
 * every search asks every segment for every word, and every refresh numbers the terms of all of them. That is not stored:
 * after a kill just then the server merges as it does anyway.
 * Thread: the runner's. */
#pragma once
#include "projector/jobs/job_runner_internal.h"

/* Looks at what the jobs are at: slows the refreshes of an index, or gives it its own interval back. Nothing fails by it:
 * what did not work is said in the log, and tried again if it is the way back. */
void job_fill_refresh(struct job_runner *r);

/* A reindex or a scan has written all that there was. If it began with nothing, and there was much, the index is merged. */
void job_fill_merge(struct job_runner *r, const struct job_run *run);

/* The text of a time unit as Elasticsearch has it ("500ms", "1s", "-1") in microseconds; "": the server's own. Negative:
 * never; 0: none that we know. */
int64_t job_fill_interval(const char *text);
