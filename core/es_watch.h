/* es_watch.h - keeps what a small index of Elasticsearch holds in memory: asks for its revision again and again, and reads
 * all of it when that has changed. So every process that watches has a change within a poll and an answer, with no word
 * between them.
 *
 * The revision is the number of documents and the sequence number of the last write: together they change with every change.
 * What was read counts as that revision only if it shows the same two. The index has one shard, and documents with a keyword
 * field of distinct values by which they are read in pages.
 * Thread: that of the loop. */
#pragma once
#include "core/es.h"

struct es_watch;

struct es_watch_options {
    const char *index;     /* copied; so are the others */
    const char *sort;      /* the keyword field */
    struct slice mapping;  /* makes the index if it is missing; empty: a missing index holds nothing. Kept */
    usec_t every_usec, timeout_usec;
    /* A reading begins, goes on with the hits of each page, and ends; not complete: what was read is to be forgotten. False
     * ends it. page: *ret_last is the sort field of the last hit, valid as long as hits. */
    bool (*begin)(void *ctx);
    bool (*page)(void *ctx, const struct json *hits, size_t *ret_added, struct slice *ret_last);
    void (*end)(void *ctx, bool complete);
    void *ctx;
};

/* First asks when the loop runs. */
struct es_watch *es_watch_new(struct loop *loop, struct es *es, const struct es_watch_options *options, struct error *reterr);
void es_watch_free(struct es_watch *watch);      /* before es */
void es_watch_now(struct es_watch *watch);       /* something has just changed */
bool es_watch_is_there(const struct es_watch *watch); /* has the index been seen? */
