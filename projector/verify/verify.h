/* verify.h - compares one index with the sources, document by document, and says what differs. Changes nothing.
 *
 * The walk: pages of products in the order of their ids are handed to threads. Each reads the products of a page, the
 * stock of their SKUs and the category tree, composes them by the index's projection, reads the same range of ids from
 * the index (sorted by the id keyword, as MongoDB sorts them: by bytes) and compares hashes (verify_diff.h).
 *
 * What differs is only a candidate: search is a second behind, and writers go on. A candidate is settled by
 *
 *     index (realtime _mget) - source - wait until everything committed until now is in the index - index - source
 *
 * and is a difference only if both looks at the source say the same, both looks at the index show the same version,
 * and the index still says something else. A product that changes meanwhile goes round again; one that is never at rest
 * while its document changes too is counted as unsettled. So a live writer causes no false alarm.
 *
 * "In the index" is judged by the stored positions (verify_barrier.h): whoever asks may be another process than the
 * projector. verify_conf.barrier replaces that.
 *
 *     struct verify_conf conf = {...};
 *     ok = verify_run(&conf, &counts, &error);
 *
 * Thread: verify_run blocks its caller and uses conf.threads more, each with sessions of its own (one client of the
 * pool each, and one for the caller). Callbacks come on the calling thread. */
#pragma once
#include "projector/compose/projection.h"
#include "projector/options.h"
#include "projector/verify/verify_diff.h"

struct verify_difference {
    enum verify_kind kind;
    struct slice id;
    bool in_source, in_index;
    uint64_t source_hash; /* composed; 0 if it could not be or is not there */
    uint64_t index_hash;  /* the document's content_hash */
    uint64_t version;     /* the document's; 0 if it is not there */
    bool foreign;         /* orphaned, and none of ours can be (mark_id_ok): no mark removes it */
    bool altered;         /* deep: the content does not belong to the content_hash beside it */
    const char *reason;   /* why the product cannot be composed or marked, or the dead letter's; may be NULL */
};

struct verify_counts {
    int64_t compared; /* ids, of either side */
    int64_t documents; /* of the index, among them */
    int64_t candidates;
    int64_t found[VERIFY_KINDS];
    int64_t foreign;   /* of the orphaned */
    int64_t unsettled; /* never at rest while we looked */
    int64_t followed;  /* of these: the document was written between the last looks, by a write that began after the first round, so
                        * that it has everything committed before the walk */
    bool complete;     /* walked to the end */
    uint16_t last_len; /* the last id that was compared, where a next call goes on (conf.after) */
    char last[VERIFY_ID_MAX];
};

/* Nothing differs, and nothing is unknown. */
bool verify_is_equal(const struct verify_counts *counts);

struct verify_progress {
    const struct verify_counts *counts;
    int64_t total;       /* products there are, about; 0 unknown */
    int64_t pending;     /* candidates not settled yet */
    const char *waiting; /* what the settling waits for, for people; NULL if it does not */
};

/* Something that was committed: everything up to it counts. */
struct verify_moment {
    uint64_t cluster_time; /* MongoDB's: seconds << 32 | increment */
    uint64_t queue_id;     /* the highest row of projection_queue; 0 none */
};

struct verify_conf {
    const struct projector_options *options;
    mongoc_client_pool_t *pool;
    const char *index; /* physical */
    const char *sink;  /* where marks go (state.h); NULL: as it is stored */
    const struct projection *projection; /* the index's */
    unsigned threads;  /* 0: 1 */
    int64_t page;      /* products a thread reads at once; 0: 1000 */
    int64_t rate;      /* products per second, 0: as fast as it goes */
    bool deep;         /* hash the stored documents too, and do not trust their content_hash */
    /* What to look at. By default everything. */
    struct slice after;      /* ids behind this one */
    int64_t limit;           /* stop after about so many products; 0: none */
    int64_t since_wall_usec; /* only products with updated_at from then on; no orphans; 0: all */
    int64_t sample;          /* so many products and documents at random; 0: all */
    const struct slice *ids; /* or exactly these */
    size_t id_count;
    usec_t patience_usec; /* how long a server may be away before it is a failure; 0: for ever */
    /* Callbacks; any may be NULL. */
    void *ctx;
    bool (*cancelled)(void *ctx); /* asked several times a second */
    void (*progress)(void *ctx, const struct verify_progress *progress); /* a few times a second */
    bool (*difference)(void *ctx, const struct verify_difference *difference); /* false: stop with an error */
    /* True with *ret_passed once everything up to `moment` is in the index. Asked until it has passed. *ret_why (literal
     * or static) says what is missing. NULL: the stored positions. */
    bool (*barrier)(void *ctx, const struct verify_moment *moment, bool *ret_passed, const char **ret_why,
                    struct error *reterr);
};

/* False: a server failed for longer than patience, a callback refused, or cancelled (CONFLICT). *ret says how far it
 * came in any case. */
bool verify_run(const struct verify_conf *conf, struct verify_counts *ret, struct error *reterr);
