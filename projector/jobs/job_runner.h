/* job_runner.h - the thread that turns jobs into background marks, page by page, all active jobs in turn.
 *
 * Each page is a segment; when the engine has finished it (and all before it), job_runner_acked() moves the job's
 * stored cursor. A phase is over when its last page is acked. Progress is stored once a second and said in the
 * log every 5 s. Thread: its own, from start to stop; job_runner_acked and job_runner_poke: any. */
#pragma once
#include "projector/engine/engine.h"

struct job_runner;
struct job_runner *job_runner_start(struct engine *engine, const struct engine_conf *conf, struct error *reterr);
/* Joins (the window must have been stopped). The runs stay until job_runner_free: segments point to them. */
void job_runner_stop(struct job_runner *runner);
void job_runner_free(struct job_runner *runner); /* NULL is fine */
void job_runner_acked(struct job_runner *runner, const struct segment *segment);
void job_runner_poke(struct job_runner *runner);
/* The index that serves refreshes seldom, because a job fills it (job_fill.h). Any thread. */
bool job_runner_fills_serving(const struct job_runner *runner);
