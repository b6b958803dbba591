/* workers.h - a bounded pool of threads for blocking drivers (libmysqlclient, libmongoc) and heavy CPU work.
 *
 * Each worker owns one session, made on its own thread by session_new and handed to every job it runs.
 * Protocol: workers_submit from a loop; run() on a worker thread; done() back on that loop. A full queue
 * answers false at once (the caller says 503): a loop never blocks. workers_free lets queued jobs finish and
 * posts their done(): whoever frees a pool runs its loops once more (loop_run_once) before freeing them. */
#pragma once
#include "core/loop.h"

struct workers;

struct job {
    struct mail mail; /* owned by the pool while submitted */
    void (*run)(struct job *job, void *session);
    void (*done)(struct job *job); /* may free the job; may submit it again */
    struct loop *loop;             /* set by workers_submit */
};

struct workers_options {
    const char *name; /* thread name, at most 15 bytes */
    unsigned threads;
    unsigned queue_max; /* jobs waiting, beyond those that run; at least 1 */
    /* NULL: jobs get ctx itself as session. A session_new that returns NULL makes workers_new fail. Sessions
     * connect lazily and repair themselves, so that a server that is down does not stop the start. */
    void *(*session_new)(void *ctx, struct error *reterr);
    void (*session_free)(void *session);
    void *ctx;
};

struct workers *workers_new(const struct workers_options *options, struct error *reterr);
void workers_free(struct workers *workers);
/* False: refused. NULL, a pool that is gone, refuses. */
bool workers_submit(struct workers *workers, struct loop *loop, struct job *job);
unsigned workers_queued(const struct workers *workers); /* any thread, for metrics */
