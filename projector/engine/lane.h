/* lane.h - the ordered shard: which products are dirty, which are in flight, and what each still has to ack.
 *
 * A product has at most one entry. Its dirty side gathers marks until a batch takes it; then they are its
 * flight side, and a mark that comes from then on (the load has started, so the load may have missed it) makes it
 * dirty again without being sendable until the flight is over: never the same id in two batches.
 *
 *   lane_mark    a mark arrives: joins the dirty side
 *   lane_take    a batch starts: dirty -> flight
 *   lane_done    written, suppressed or dead-lettered: the flight's marks are finished
 *   lane_rest    the same; a product that changes all the time rests before its next flight, be it dirty already or not
 *   lane_fail    not written: flight and dirty merge, oldest segments kept, and it is read anew when due
 *
 * A side holds at most one segment per source, the oldest: a mark that joins an older segment of its own source
 * is not counted in its own.
 *
 * Live marks are taken from one queue and background marks from another, so that each can have bulks of its own.
 * Pure: time is passed in, nothing is sent. Thread: the engine's. */
#pragma once
#include "core/clock.h"
#include "projector/engine/mark.h"

enum lane_queue { LANE_QUEUE_NONE, LANE_QUEUE_LIVE, LANE_QUEUE_BACKGROUND, LANE_QUEUE_DELAYED, LANE_QUEUE_COUNT };

struct mark_set {
    struct segment *segments[MARK_SOURCE_COUNT];       /* the oldest of each source; counted in it */
    int64_t commit_wall_usec[MARK_JOB];                /* the oldest of each live source; 0 unknown */
    uint64_t cluster_time, category_revision;          /* the highest asked for */
    enum mark_priority priority;                       /* the highest asked for */
    bool force;
    uint8_t targets;                                   /* a bit for each target asked for */
};

struct lane_entry {
    struct lane_entry *chain;       /* in its bucket */
    struct lane_entry *prev, *next; /* in its queue */
    uint64_t hash;
    struct mark_set dirty, flight;
    usec_t due; /* in the delayed queue; USEC_NEVER: until lane_wake */
    uint8_t queue;                  /* enum lane_queue */
    bool is_dirty, in_flight;
    uint8_t hash_known;   /* the engine's: a bit for each target whose last acknowledged hash is in its cache */
    bool tree_is_fresh;   /* the category tree was read after a load of these very marks */
    uint16_t attempts;    /* failures since the last success */
    uint8_t heat;         /* flights during which it changed again, since it was last forgotten */
    uint32_t tree_asked;  /* waits: the first refresh of the tree that will have begun after its load */
    uint8_t apart;        /* the engine's: the copies do not fit into one request; a bit for each target whose turn comes */
    uint8_t piece;        /* the engine's: a bit for each target that this flight writes */
    uint8_t id_len;
    char id[];
};

struct lane_list {
    struct lane_entry *head, *tail;
    size_t count;
};

#define LANE_ALL_TARGETS UINT8_MAX

enum { LANE_ID_STEP = 16, LANE_ID_CLASSES = MARK_ID_MAX / LANE_ID_STEP };

struct lane {
    struct lane_entry **buckets;
    size_t bucket_count, entry_count;
    struct lane_list queues[LANE_QUEUE_COUNT];
    size_t in_flight;
    /* Entries to use again, by the room they have for an id, linked by chain: the last one is warm in the cache. */
    struct lane_entry *unused[LANE_ID_CLASSES];
    size_t unused_count;
    /* Marks finished or found to need no work of their own, since somebody last looked, by source: for the
     * sources' windows. */
    unsigned released[MARK_SOURCE_COUNT];
};

void lane_init(struct lane *lane);
void lane_done_all(struct lane *lane); /* frees everything */

/* False only without memory (the mark is then not counted). */
bool lane_mark(struct lane *lane, const char *id, size_t len, uint64_t hash, int64_t commit_wall_usec,
               struct segment *segment);

/* Moves up to max entries of a queue into flight; returns how many. */
size_t lane_take(struct lane *lane, enum mark_priority priority, size_t max, struct lane_entry **ret);

void lane_done(struct lane *lane, struct lane_entry *entry); /* may free the entry */
/* As lane_done. One that changed again during each of LANE_HOT_FLIGHTS flights in a row rests after this and every further
 * one, longer each time that it did so again, up to LANE_REST_MAX_USEC: its changes meanwhile cost one write. A rest
 * without a change is the last. Returns until when (it stands in the delayed queue); 0: it does not. */
enum { LANE_HOT_FLIGHTS = 3, LANE_REST_MIN_USEC = 100 * 1000, LANE_REST_MAX_USEC = 1000 * 1000 };
usec_t lane_rest(struct lane *lane, struct lane_entry *entry, usec_t now);
/* due 0: at once, before everything else of its queue (it was not tried); else counts as an attempt. */
void lane_fail(struct lane *lane, struct lane_entry *entry, usec_t due);

/* Moves what is due into the queues; returns when the next is due (USEC_NEVER: none by time). */
usec_t lane_run_due(struct lane *lane, usec_t now);
/* Refresh number `refresh` of the category tree is there: moves the entries that wait with USEC_NEVER into the
 * queues; those that asked for it or an earlier one know from now on that the tree is fresh. */
void lane_wake(struct lane *lane, uint32_t refresh);

/* Soon the entry of that hash will be looked for, or end. */
static inline void lane_prefetch(const struct lane *lane, uint64_t hash) {
    __builtin_prefetch(lane->bucket_count ? &lane->buckets[hash & (lane->bucket_count - 1)] : NULL);
}
struct lane_entry *lane_find(const struct lane *lane, const char *id, size_t len, uint64_t hash);
static inline size_t lane_queued(const struct lane *lane, enum mark_priority priority) {
    return lane->queues[priority == MARK_LIVE ? LANE_QUEUE_LIVE : LANE_QUEUE_BACKGROUND].count;
}
