/* mark.h - "this product may have changed", and the segment that a batch of marks arrived in.
 *
 * A segment is one batch received from one source: its marks, its resume position and a count of unfinished
 * marks. Source threads build segments and post them to the engine's loop; from then on the engine owns them.
 * Position is the source's own (a resume token, row ids, a job's cursor) and opaque here.
 *
 * Thread: a segment has one owner at a time: its source until posted, then the engine. Pure. */
#pragma once
#include "core/buf.h"
#include "core/mailbox.h"

#define MARK_ID_MAX 128 /* bytes of a product id */

/* What a document can stand under: 1 to MARK_ID_MAX bytes of UTF-8. MongoDB takes any _id; a product with another one
 * is none, for no write of ours could name it. */
bool mark_id_ok(struct slice id);

enum mark_source {
    MARK_STREAM, /* change stream of MongoDB */
    MARK_QUEUE,  /* projection_queue of MySQL */
    MARK_JOB,    /* full scan, category fan-out, sweep; later reindex and repair */
    MARK_SOURCE_COUNT,
};
extern const char *const mark_source_names[MARK_SOURCE_COUNT]; /* "stream", "queue", "job" */

enum mark_priority { MARK_LIVE, MARK_BACKGROUND, MARK_PRIORITY_COUNT };

struct segment {
    struct mail mail; /* from the source to the engine */
    void *owner;      /* the engine it is posted to */
    struct segment *next; /* in its checkpoint's list */
    enum mark_source source;
    enum mark_priority priority;
    bool force;                 /* write even if the hash says that nothing changed */
    uint8_t targets;            /* a bit for each target to write; 0: all of them */
    uint64_t seq;               /* per source, given by checkpoint_push: smaller is older */
    uint64_t cluster_time;      /* seconds << 32 | increment: products are read after this; 0 none */
    uint64_t category_revision; /* composed with a tree at least this new; 0 any */
    unsigned pending;           /* counted marks that are not finished */
    unsigned count;             /* marks in the buffer */
    int64_t last_wall_usec;     /* newest commit in it, 0 unknown: how far the source is */
    struct buf marks;           /* packed; freed once the engine has taken them */
    void *position;
    void (*position_free)(void *position);
};

/* max_bytes bounds the packed marks. NULL without memory. */
struct segment *segment_new(enum mark_source source, enum mark_priority priority, size_t max_bytes);
void segment_free(struct segment *segment); /* NULL is fine; frees the position too */

/* Adds a mark; commit_wall_usec 0 if unknown. False: not an id (mark_id_ok), or no memory. */
bool segment_add(struct segment *segment, const char *id, size_t len, int64_t commit_wall_usec);

struct mark {
    const char *id; /* in the segment's buffer */
    size_t len;
    int64_t commit_wall_usec;
};
/* Walks the marks: *offset starts at 0. False at the end. */
bool segment_next(const struct segment *segment, size_t *offset, struct mark *ret);
