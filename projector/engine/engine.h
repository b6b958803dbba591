/* engine.h - the one loop that owns all state of an owner: segments, lanes, flights, retries, checkpoints, pauses.
 *
 * Sources are threads that post segments; each lane has a worker thread that loads and composes; a store worker
 * writes checkpoints, dead letters and queue deletes. Everything they know comes and goes by mail, so the state
 * has one writer and no lock. The bulk requests run on this loop too.
 *
 * One engine is one term as owner: when the lease is lost the engine ends and the caller goes back to standby.
 * Protocol: engine_new, engine_run on the owner's thread, engine_free. Other calls: any thread. */
#pragma once
#include "projector/engine/mark.h"
#include "projector/engine/window.h"
#include "projector/jobs/index_admin.h"
#include "projector/jobs/targets.h"
#include "projector/lease.h"
#include "projector/options.h"
#include "projector/state.h"

struct engine;

/* Marks that somebody else posts, and positions that are somebody else's: no source of ours runs. */
struct engine_feed {
    void (*acked)(void *ctx, const struct segment *segment); /* in the order of each source; engine loop */
    usec_t (*progress_at)(void *ctx);                        /* when it was last known to be alive; engine loop */
    void *ctx;
};

struct engine_conf {
    const struct projector_options *options;
    mongoc_client_pool_t *pool;
    struct lease *lease;
    /* What is written: the serving index first, those that are gone left out; and the projection of each. Outlives the
     * engine. */
    const struct targets *targets;
    const struct projection *projections[TARGETS_MAX];
    const char *index; /* physical, the serving one */
    struct category_tree *tree; /* the engine takes a reference */
    struct stream_position position; /* where the change stream begins; copied */
    bool frozen;                     /* nothing is written to the serving index (term.h) */
    const char *sink;                /* where marks go, as the checkpoint has it; NULL: it is not ours */
    bool relay;                      /* marks become messages of a topic: there are no lanes */
    const struct engine_feed *feed;  /* NULL: the databases are followed */
};

/* RETARGET: the set of indexes to write has changed; begin a new term with it. */
enum engine_end { ENGINE_STOPPED, ENGINE_RETARGET, ENGINE_LEASE_LOST, ENGINE_FAILED };

struct engine *engine_new(const struct engine_conf *conf, struct error *reterr);
enum engine_end engine_run(struct engine *engine, struct error *reterr); /* reterr with ENGINE_FAILED */
bool engine_topic_is_gone(const struct engine *engine); /* after engine_run: the relay's topic, with what nobody has read */
void engine_free(struct engine *engine);
void engine_stop(struct engine *engine); /* drains, then engine_run returns */

/* Takes the segment. The caller has added count + 1 to the source's window. */
void engine_post_segment(struct engine *engine, struct segment *segment);
struct window *engine_window(struct engine *engine, enum mark_source source);
/* Takes the reference. Composing uses it from now on. */
void engine_post_tree(struct engine *engine, struct category_tree *tree);
void engine_poke_jobs(struct engine *engine);
/* Counted, and said in the log. */
void engine_note_history_lost(const char *reason);
/* The set of targets that is stored is another one now. Drains, then engine_run returns ENGINE_RETARGET. */
void engine_post_retarget(struct engine *engine);
/* A source found that the lease belongs to somebody else. */
void engine_post_lease_lost(struct engine *engine);
