/* recommend.h - products for a shopper: what is bought together with a product, what is like it, what fits what the shopper
 * has looked at, and what sells best, in this order; each list fills what the ones before have left. Pure. Thread: any.
 *
 * Three rounds of questions (_msearch), each leaving out what there is nothing to ask for:
 *   history      of the product: what else stood in its orders, who bought it; of the shopper: the last events
 *   neighbours   what those people have bought; brands and categories of what the shopper has looked at
 *   candidates   the products themselves, in stock only
 * A part that is missing (no events yet, an unknown shopper or product) is no error: the others answer. */
#pragma once
#include "core/arena.h"
#include "core/json_write.h"

enum {
    RECOMMEND_SIZE_MAX = 50,
    RECOMMEND_TOGETHER_MAX = 50,
    RECOMMEND_USERS_MAX = 100,
    RECOMMEND_SEEN_MAX = 50,
    RECOMMEND_FEATURES_MAX = 32,
};

enum recommend_reason { RECOMMEND_TOGETHER, RECOMMEND_SIMILAR, RECOMMEND_FOR_YOU, RECOMMEND_BEST_SELLING, RECOMMEND_NEWEST };

struct recommend_weight {
    struct slice id; /* of a product; of a feature: the brand, or empty */
    int64_t category;
    double weight;
};

struct recommend {
    struct arena *arena;
    const char *index, *events_index;
    char lang[4];
    unsigned size;
    struct slice user_id, product_id; /* data NULL: not given */
    struct recommend_weight together[RECOMMEND_TOGETHER_MAX]; /* best first after recommend_read_neighbours */
    size_t together_count;
    struct slice users[RECOMMEND_USERS_MAX];
    size_t user_count;
    struct recommend_weight seen[RECOMMEND_SEEN_MAX];
    size_t seen_count;
    struct slice bought[RECOMMEND_SEEN_MAX]; /* by the shopper: not offered again */
    size_t bought_count;
    struct recommend_weight features[RECOMMEND_FEATURES_MAX];
    size_t feature_count;
};

/* Bodies of _msearch; an empty body: nothing to ask. False: no memory. */
bool recommend_write_history(const struct recommend *r, struct buf *out);
bool recommend_write_neighbours(const struct recommend *r, struct buf *out);
bool recommend_write_candidates(const struct recommend *r, struct buf *out);
/* Their answers; what is not as expected is passed over. Slices of the answer are kept. */
void recommend_read_history(struct recommend *r, const struct json *answer);
void recommend_read_neighbours(struct recommend *r, const struct json *answer);
/* Writes the list of hits, each with its reason. False: the last list, which is always there, is not in the answer. */
bool recommend_write_hits(const struct recommend *r, const struct json *answer, struct json_write *w);
/* Writes the list of hits of a search for what is newest (NULL: none), without the product itself. */
void recommend_write_newest(const struct recommend *r, const struct json *answer, struct json_write *w);
