/* group_internal.h - a member of the consumer group, shared by its parts: group.c (membership and polling),
 * group_term.c (what an assignment's term needs). The group's thread only, where nothing else is said. */
#pragma once
#include "core/daemon.h"
#include "projector/servers.h"
#include "projector/sources/group.h"
#include "projector/sources/source_kafka.h"
#include "projector/term.h"
#include <pthread.h>
#include <stdatomic.h>

struct group_term {
    struct term base;
    struct engine *engine;
    struct engine_feed feed;
    struct source_kafka *source;
    pthread_t thread; /* engine_run */
    bool runs;
    int64_t asked_revision; /* a revision of the targets that a mark asked for and that does not exist */
    atomic_bool ended; /* engine_run returned, with: */
    enum engine_end end;
    struct error error;
};

struct group_metrics {
    struct metric *assignments, *partitions, *lost;
    struct metric **lag; /* by number of the partition */
    size_t lag_count;
};

struct group {
    const struct projector_options *options;
    struct loop *loop;
    void (*on_end)(void *ctx, int code);
    void *ctx;
    pthread_t thread;
    struct window stop; /* any thread: its pauses end when we are told to stop */
    mongoc_client_pool_t *pool;
    mongoc_client_t *client;
    struct mysql_session *mysql;
    struct lease *lease; /* of our assignment: epochs and proofs */
    struct lease *maker; /* the owner's: held for a moment by who makes a missing index */
    struct daemon_condition *condition;
    struct kafka_consumer *consumer;
    struct group_term term;
    size_t partition_count;
    bool assigned, paused;
    bool blocked; /* a fence read failed: nothing more is read until it works */
    bool restart; /* the term begins anew, from the offsets that are done */
    bool rejoin;  /* so does the membership */
    unsigned failures;
    usec_t prepare_at, commit_at, alive_at, metrics_at, targets_at;
    struct group_metrics metrics;
    struct mail end_mail;
    int code;
};

/* group_term.c */
bool group_term_begin(struct group *g, struct error *reterr); /* CONFLICT: the assignment is lost */
/* lost: what is under way is dropped; else what is in flight is waited for. Does nothing without a term. */
void group_term_end(struct group *g, bool lost);
/* Is there another set of indexes to write than the term began with? Looks about once a second. */
bool group_targets_changed(struct group *g, usec_t now);
/* Do the marks that were gathered ask for no newer set of indexes than the term's? */
bool group_targets_suffice(struct group *g, bool *ret_suffice, struct error *reterr);
/* Offsets that the topic no longer has: asks the owner of the sources for a full scan. */
void group_marks_lost(struct group *g, unsigned partitions);
void group_register_metrics(struct group *g);
void group_gauges(struct group *g);
void group_free_metrics(struct group *g);
