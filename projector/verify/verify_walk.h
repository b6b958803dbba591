/* verify_walk.h - one run of verify, shared by verify.c (threads and pages) and verify_settle.c (candidates).
 * Internal to verify; everything below `lock` is under it. */
#pragma once
#include "projector/verify/verify.h"
#include "projector/verify/verify_barrier.h"
#include "projector/verify/verify_ids.h"
#include "projector/verify/verify_index.h"
#include "projector/verify/verify_source.h"
#include <pthread.h>
#include <stdatomic.h>

/* An id on which a page of both sides did not agree. */
struct verify_candidate {
    struct verify_candidate *next;
    usec_t due;         /* not before */
    unsigned rounds;
    bool only_orphan;   /* found by _id: whether its product has a right document was looked at elsewhere */
    bool done;
    struct verify_look index, source; /* the first looks of a round */
    size_t id_len;
    char id[];
};

struct verify_walk {
    const struct verify_conf *conf;
    struct verify_tree tree;
    struct verify_ids ids;  /* what to look at, if that is not everything */
    bool by_ids;
    atomic_bool stop;
    /* Handing out pages: one thread at a time reads the products of the next one. */
    pthread_mutex_t turn;
    struct buf cursor; /* the last id handed out, whatever its bytes */
    struct buf named;  /* the last that a document can stand for: the index is cut into pages at these */
    size_t next_id;    /* in ids */
    int64_t handed;
    bool ended, nameless_done;
    usec_t rate_due;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct verify_candidate *candidates;
    size_t pending;
    unsigned running; /* threads */
    struct verify_counts counts;
    struct error error; /* the first */
    /* The caller's thread. */
    struct verify_source *source;
    struct verify_index index;
    struct verify_page page;
    int64_t total;
    usec_t told_at, counted_at;
    const char *waiting;
};

/* Keeps the first error and stops everybody. Returns false. */
bool verify_walk_fail(struct verify_walk *w, const struct error *error);
/* Adds a candidate; false without memory. */
bool verify_walk_suspect(struct verify_walk *w, struct slice id, bool only_orphan);
/* After a failure: false if it is final (then verify_walk_fail was called), true after a pause. *since 0 before the
 * first failure; the caller sets it back to 0 after a success. */
bool verify_walk_retry(struct verify_walk *w, const struct error *error, usec_t *since, unsigned *attempt);
/* Calls the callbacks that are due; false: stop. The caller's thread. */
bool verify_walk_tell(struct verify_walk *w);

/* Settles candidates until none is left and all threads have ended. The caller's thread. */
void verify_settle_all(struct verify_walk *w);
