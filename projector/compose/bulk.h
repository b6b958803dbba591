/* bulk.h - builds the body of one _bulk request for one index, or for up to BULK_TARGETS_MAX of them. No I/O.
 *
 *   bulk_begin(b, id, version, ctx) -> compose_product(..., &b->body, ...) -> bulk_commit(b, hash)
 *                                                                          or bulk_drop(b)   (suppressed, bad)
 *   bulk_delete(b, id, version, ctx)
 *   bulk_begin_for(b, target, ...), bulk_delete_for(b, target, ...): the same for another index (bulk_target)
 *   POST bulk_path() with bulk_body(); bulk_result_read() says what became of each item.
 *
 * Items keep their bytes and their version, so whatever is sent again (bulk_copy, bulk_split) is what was sent
 * before, and external_gte accepts it. One item's bytes are its action line and, for an index action, its
 * document. Thread: one owner. */
#pragma once
#include "core/buf.h"
#include "core/error.h"

#define BULK_INDEX_NAME_MAX 255 /* Elasticsearch's limit in bytes */
#define BULK_ID_BYTES_MAX 512   /* Elasticsearch's limit for _id */
#define BULK_TARGETS_MAX 3
/* What stands around a document at most: an id grows sixfold when it is all control characters (\u0001), and so does
 * the name of an index. */
#define BULK_AROUND_BYTES_MAX (BULK_ID_BYTES_MAX * 6 + BULK_INDEX_NAME_MAX * 6 + 256)

enum bulk_op { BULK_INDEX, BULK_DELETE };

struct bulk_item {
    size_t offset, len; /* in body */
    uint64_t id_hash;   /* hash_bytes of the id */
    uint64_t version;
    uint64_t content_hash; /* 0 for a delete */
    void *ctx;             /* the caller's */
    enum bulk_op op;
    uint8_t target; /* 0: the index of bulk_init */
};

struct bulk {
    struct buf body;
    struct bulk_item *items;
    size_t count, capacity;
    size_t bytes_soft, items_max;
    bool open; /* between begin and commit or drop; items[count] is being written */
    char index[BULK_INDEX_NAME_MAX + 1];
    const char *others[BULK_TARGETS_MAX]; /* names of targets 1 and on; borrowed */
};

/* bytes_soft: bulk_full() from there on. bytes_max: never larger; one document may be that large. index is
 * copied. False if the name is too long. */
bool bulk_init(struct bulk *b, const char *index, size_t bytes_soft, size_t bytes_max, size_t items_max);
/* Names another index; its action lines carry the name, those of target 0 do not. */
void bulk_target(struct bulk *b, unsigned target, const char *index);
void bulk_done(struct bulk *b);
void bulk_reset(struct bulk *b); /* empty; memory kept */
void bulk_shrink(struct bulk *b, size_t keep_bytes); /* after a reset */

/* Starts an index action and leaves b->body ready for the document. False (nothing changed): no room for the
 * action, no memory, or an id that is empty or over 512 bytes or not valid UTF-8. */
bool bulk_begin(struct bulk *b, struct slice id, uint64_t version, void *ctx);
bool bulk_begin_for(struct bulk *b, unsigned target, struct slice id, uint64_t version, void *ctx);
/* Closes the document with content_hash and version. False (dropped): no room or no memory. */
bool bulk_commit(struct bulk *b, uint64_t content_hash);
void bulk_drop(struct bulk *b);
/* A whole delete action. */
bool bulk_delete(struct bulk *b, struct slice id, uint64_t version, void *ctx);
bool bulk_delete_for(struct bulk *b, unsigned target, struct slice id, uint64_t version, void *ctx);
/* Takes the items from `count` on back. */
void bulk_rewind(struct bulk *b, size_t count);
/* The first of the items before `end` that belong to the same ctx as the one right before it. */
size_t bulk_group(const struct bulk *b, size_t end);

/* False once memory ran out while growing: the bytes are gone, the items are still there to be marked again. */
bool bulk_ok(const struct bulk *b);
/* Nothing more should be added: over bytes_soft or items_max. */
bool bulk_full(const struct bulk *b);
static inline struct slice bulk_body(const struct bulk *b) {
    return (struct slice){b->body.data, b->body.len};
}
/* The document of an item (for a dead letter), without the action line; empty for a delete. */
struct slice bulk_document(const struct bulk *b, size_t item);

/* Appends item `item` of src to dst (same index), bytes and version as they are. False: no room or no memory. */
bool bulk_copy(struct bulk *dst, const struct bulk *src, size_t item);
/* Moves the second half of the items (at least one stays, at least one goes) to dst, which must be empty. False
 * (nothing changed) with fewer than two items or without memory. For 413. */
bool bulk_split(struct bulk *src, struct bulk *dst);

/* "/<index>/_bulk?filter_path=..." such that answers are short and every item still has its status. */
bool bulk_path(const struct bulk *b, struct buf *ret);
