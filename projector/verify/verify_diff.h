/* verify_diff.h - the pure part of verify: two sorted pages, what differs between them, and when a candidate is settled.
 *
 * Ids are compared by their bytes: MongoDB's order of strings and Elasticsearch's order of keywords. Pure: no I/O.
 * Thread: any. */
#pragma once
#include "core/buf.h"
#include "core/error.h"

#define VERIFY_ID_MAX 512 /* bytes; a document by hand may have an id that no product can have */

enum verify_kind {
    VERIFY_MISSING,  /* a product without a document */
    VERIFY_STALE,    /* a document that says something else than the sources */
    VERIFY_ORPHANED, /* a document without a product */
    VERIFY_DEAD,     /* differs, and there is a dead letter that says why */
    VERIFY_KINDS,
};
extern const char *const verify_kind_names[]; /* "missing", "stale", "orphaned", "dead-lettered" */

/* What one side says about an id. */
enum verify_state {
    VERIFY_ABSENT,
    VERIFY_PRESENT,
    VERIFY_BAD, /* source: cannot be composed. index: the content does not belong to its hash (deep) */
};

struct verify_item {
    struct slice id;
    enum verify_state state;
    uint64_t hash;
};

/* Calls fn for every id that the pages do not agree on. Both are sorted by id; an id that stands twice in the index is
 * called once more with in_source ABSENT. *ret_compared: different ids. False if fn said so. */
typedef bool verify_diff_fn(void *ctx, struct slice id, const struct verify_item *source,
                            const struct verify_item *index);
bool verify_diff(const struct verify_item *source, size_t source_count, const struct verify_item *index,
                 size_t index_count, verify_diff_fn *fn, void *ctx, size_t *ret_compared);

int verify_compare_ids(struct slice a, struct slice b);

/* One look at an id: on the index's side with the version that a write would have to beat. */
struct verify_look {
    enum verify_state state;
    uint64_t hash;
    uint64_t version; /* of the index; 0 absent */
};

enum verify_verdict {
    VERIFY_EQUAL,     /* they agree now */
    VERIFY_DIFFERENT, /* at rest on both sides, and different */
    VERIFY_AGAIN,     /* something moved: look again */
};
/* In the order of the looks: index, source, (everything committed is in the index), index, source. */
enum verify_verdict verify_judge(const struct verify_look *index_before, const struct verify_look *source_before,
                                 const struct verify_look *index_after, const struct verify_look *source_after);
enum verify_kind verify_kind_of(const struct verify_look *source, const struct verify_look *index);
