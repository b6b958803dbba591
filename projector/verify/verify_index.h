/* verify_index.h - verify's look at the index: ids and hashes in the order of the ids, and single documents as they are
 * now (realtime, refreshed or not).
 *
 * Sorted by the id keyword and, behind it, by content_hash: so the hash comes with the sort values and no document is
 * fetched at all. With deep, _source comes too and is hashed here; an item whose content does not belong to its hash
 * is VERIFY_BAD.
 * Thread: a session belongs to its thread. Calls block. */
#pragma once
#include "core/es.h"
#include "projector/verify/verify_diff.h"
#include "projector/verify/verify_hits.h"

struct verify_index {
    const struct es_conf *es;
    const char *index;
    bool deep;
    size_t page_max; /* documents asked for at once; halved when an answer is too large */
    struct buf path, body, answer;
    struct verify_hits hits;
    struct verify_item *items; /* of the last search */
    size_t count, capacity;
    /* deep: ids of documents whose _id is another than the id they say. */
    struct slice *strangers;
    size_t stranger_count, stranger_capacity;
};
void verify_index_init(struct verify_index *index, const struct es_conf *es, const char *name, bool deep);
void verify_index_done(struct verify_index *index);

/* Documents with after < id <= until (an empty one is no bound), `expected` of them or so. *ret_all: those were all; if
 * not, go on after the last item. Slices are valid until the next call. */
bool verify_index_range(struct verify_index *index, struct slice after, struct slice until, size_t expected,
                        bool *ret_all, struct error *reterr);
/* The documents that say one of these ids; at most 10,000 ids. */
bool verify_index_terms(struct verify_index *index, const struct slice *ids, size_t count, struct error *reterr);
/* n documents at random: items, not sorted. Documents that say no id at all: strangers, by _id. At most 10,000. */
bool verify_index_sample(struct verify_index *index, int64_t n, struct error *reterr);
bool verify_index_nameless(struct verify_index *index, struct error *reterr);

/* One look at each id, in their order. */
bool verify_index_look(struct verify_index *index, const struct slice *ids, size_t count, struct verify_look *ret,
                       struct error *reterr);
/* How many documents there are. */
bool verify_index_count(struct verify_index *index, int64_t *ret, struct error *reterr);
