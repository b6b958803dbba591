/* engine_internal.h - the engine's state, shared by its parts: engine.c (term, mail, ticks), pump.c (batches out),
 * answer.c (answers in), store.c (what the store worker does), refresh.c (when the index is refreshed),
 * sample.c (commit to searchable). Engine loop only, where nothing else is said. */
#pragma once
#include "core/es.h"
#include "core/workers.h"
#include "projector/compose/hash_cache.h"
#include "projector/engine/batch.h"
#include "projector/engine/checkpoint.h"
#include "projector/engine/concurrency.h"
#include "projector/engine/engine.h"
#include "projector/engine/lag.h"
#include "projector/engine/load.h"
#include "projector/engine/scavenger.h"
#include "projector/jobs/job_runner.h"
#include "projector/sources/relay.h"
#include "projector/sources/source_mongo.h"
#include "projector/sources/source_mysql.h"
#include <stdatomic.h>

enum { LOOK_AHEAD = 8 }; /* items: what is touched then is asked for of the memory now */

/* Each priority of a lane has bulks of its own, so that a live change never waits behind a large background
 * bulk: one batch that fills, one in flight. */
struct engine_pipe {
    struct batch *next;   /* composing, or ready and waiting for the flight or a slot */
    struct batch *flight;
    bool composing;       /* the worker has `next` */
    bool waits_for_slot;
    size_t docs_cap;      /* halved by 413, doubles again with each good answer */
};

struct engine_lane {
    struct engine *engine;
    unsigned number;
    struct lane lane;
    struct workers *worker;
    struct engine_pipe pipes[MARK_PRIORITY_COUNT];
    /* Of a product as it is read, and of a document as it is written: up at once, down slowly, so that a round is not
     * sized by small products while large ones are about. */
    size_t read_bytes, document_bytes;
    struct loop_timer retry_timer;
    usec_t retry_at;
    struct lag_lane_metrics metrics;
};

/* An index that is written. The first one serves: while it refuses everything the engine waits for it. The others
 * (one that is being built, one that served before) never hold it up for long: what they do not take becomes a flaw of
 * theirs, stored before the change is acked. */
struct engine_target {
    struct engine *engine;
    const struct target *conf;
    uint64_t number; /* of its name, for the hash cache */
    bool flawed;        /* stored: what it refuses is of no further interest */
    bool flaw_is_stored; /* being stored */
    usec_t trouble_at, trouble_seen_at; /* since when, and of late, it did not take trouble_of; 0: it takes what comes */
    uint64_t trouble_of;                /* the hash of a product */
    /* Of the serving one. */
    bool paused;     /* it refuses everything; probed */
    bool trial;      /* a probe went well: one bulk may try */
    unsigned failures;
    struct loop_timer probe_timer;
    struct http_call *probe;
};

struct engine_refresh {
    struct loop_timer timer;
    struct http_call *call;
    usec_t since;              /* when the oldest write was sent that no refresh has begun after; 0: there is none */
    usec_t begun_at, ended_at; /* the last one */
    usec_t took;               /* of late: up at once, down slowly */
    usec_t noted_at;
    unsigned failures;
};

struct engine_sample {
    bool active;
    char id[MARK_ID_MAX];
    size_t id_len;
    uint64_t version;
    enum mark_source source;
    int64_t commit_wall_usec;
    usec_t started_at, next_at[MARK_SOURCE_COUNT];
    struct loop_timer timer;
    struct http_call *call;
    struct buf body;
};

struct engine {
    struct engine_conf conf;
    const struct projector_conf *options;
    struct loop *loop;
    struct loop_hook hook;
    struct loop_timer tick_timer;
    struct es *es;
    struct buf path; /* scratch */
    struct bulk_result result;

    struct engine_lane *lanes;
    unsigned lane_count;
    struct lane_entry **scratch; /* bulk_max_docs entries */
    struct batch *spare;         /* batches with warm buffers */
    unsigned spare_count, batches_out; /* out: composing or in flight */
    struct concurrency concurrency;
    unsigned in_flight, slot_turn;
    unsigned live_in_row; /* live bulks sent since the last background one */
    struct scavenger scavenger;
    struct hash_cache hashes;
    struct engine_target targets[TARGETS_MAX], *serving;
    unsigned target_count;

    struct checkpoint checkpoints[MARK_SOURCE_COUNT];
    struct window windows[MARK_SOURCE_COUNT];
    struct source_mongo *source_mongo;
    struct source_mysql *source_mysql;
    struct job_runner *job_runner;

    struct relay *relay; /* instead of lanes; or NULL */

    struct workers *store;
    unsigned store_jobs;     /* submitted and not done */
    atomic_bool store_closed; /* the loop has ended: what waits there is not begun any more */
    struct segment *acked;   /* newest popped segment of the change stream, not stored yet */
    bool checkpoint_saving;
    usec_t checkpoint_at;    /* when it may be stored next */
    uint64_t *queue_done;    /* row ids to delete */
    size_t queue_done_count, queue_done_capacity;
    bool queue_deleting;
    usec_t queue_delete_at;

    struct category_tree *tree;
    uint32_t tree_refreshes; /* begun */
    bool tree_refreshing, tree_wanted;
    usec_t tree_retry_at;

    bool raising;            /* a 409 was seen: nothing new is read or sent until the epoch is above it */
    bool raise_submitted;
    usec_t raise_at;
    uint64_t conflict_version;

    size_t dead_bytes;      /* of documents on their way there */
    struct buf gone;        /* letters to remove, dead_letter_pack */
    bool gone_saving;
    usec_t gone_at;
    struct hash_cache dead;  /* ids that have a dead letter */
    usec_t headroom_at;
    usec_t published_at; /* the status; and what the counters showed then */
    double published_documents, published_bytes;
    struct engine_refresh refresh;
    struct engine_sample sample;
    struct error failure;
    bool ending;
    enum engine_end end;
    usec_t drain_until;
    struct mail stop_mail, lost_mail, retarget_mail;
    atomic_bool stop_posted, lost_posted, retarget_posted;
};

/* It ends in good order: what is in flight is finished, positions are stored. */
static inline bool engine_drains(const struct engine *e) {
    return e->end == ENGINE_STOPPED || e->end == ENGINE_RETARGET;
}
static inline usec_t engine_now(const struct engine *e) {
    return loop_now(e->loop);
}

/* engine.c */
void engine_finish(struct engine *e, enum engine_end end); /* begins the end; a lost lease beats a stop */
void engine_fail(struct engine *e, const struct error *error);
/* After a pause that grows with the attempts. *due: 0 before the first entry of a batch; they share the pause, so that
 * what failed together is read and sent together again. NULL: on its own. */
void engine_retry_later(struct engine *e, struct engine_lane *l, struct lane_entry *entry, usec_t *due);
void engine_delay(struct engine_lane *l, struct lane_entry *entry, usec_t due);
void engine_written(struct engine_lane *l, struct lane_entry *entry); /* may free the entry, or let it rest */
struct engine_lane *engine_lane_of(struct engine *e, uint64_t id_hash);

/* pump.c */
void pump_lane(struct engine_lane *l);
void pump_all(struct engine *e);
/* This flight's copies are done with. True: the product has others to come, and goes on with them. */
bool pump_next_piece(struct engine_lane *l, struct lane_entry *entry);
void pump_slot_free(struct engine *e);
void pump_batch_release(struct engine *e, struct batch *batch);
void pump_cancel_all(struct engine *e);

/* answer.c */
void answer_arrived(void *ctx, struct http_response *response); /* ctx: the batch */
void answer_target_init(struct engine *e);
/* A product that has a dead letter: the serving index has not got it either, so that it is no flaw of another one. */
bool answer_is_dead(struct engine *e, const struct lane_entry *entry);
/* Another target than the serving one does not take this product. Until that is stored as its flaw the product has to
 * be tried again. */
void answer_target_refused(struct engine *e, unsigned target, const struct lane_entry *entry, const char *reason,
                           bool gone);

/* store.c */
bool store_start(struct engine *e, struct error *reterr);
void store_save_checkpoint(struct engine *e);
void store_delete_rows(struct engine *e);
bool store_dead_letter(struct engine_lane *l, struct lane_entry *entry, const char *reason, int status,
                       uint64_t version, struct slice document, uint64_t content_hash); /* false: try later */
/* Its product is in the index by this version, or is gone: a letter of before is removed by store_letters_gone. */
void store_dead_letter_gone(struct engine *e, const struct lane_entry *entry, uint64_t version);
void store_letters_gone(struct engine *e);
bool store_flaw(struct engine *e, unsigned target, const struct lane_entry *entry, const char *reason, bool gone);
void store_refresh_tree(struct engine *e);
void store_raise(struct engine *e);
void store_headroom(struct engine *e);

/* engine_status.c */
void engine_publish(struct engine *e); /* the sections of the status that the loop knows; about once a second */
void engine_unpublish(void);

/* refresh.c */
void refresh_note(struct engine *e, usec_t written_at); /* the serving index has something new, sent then */
void refresh_cancel(struct engine *e);

/* sample.c */
void sample_offer(struct engine *e, const struct lane_entry *entry, uint64_t version, enum mark_source source,
                  int64_t commit_wall_usec);
void sample_cancel(struct engine *e);
