/* search_rank.h - what shoppers do with a product, and how new it is, as a factor on what its words score.
 *
 *   factor = 1 + sales * s + popularity * p + recency * r      weights in hundredths; s, p and r within 0..1
 *
 * The factor is bounded (search_rank_most), and stands around the score of the words alone, below the floors of the
 * layers: it reorders what is found in the same way and never lifts a product over a layer, an exact code among them.
 * A product of which nobody has bought or looked at anything has s = p = 0, one without created_at r = 0. Pure. Thread: any. */
#pragma once
#include "core/json_write.h"
#include <stdint.h>

struct search_signal_weights {
    int64_t sales, popularity, recency;
};

/* The sort keys of hits without words: what is looked at most first. */
#define SEARCH_RANK_SALES_KEY "{\"sales\":{\"order\":\"desc\",\"missing\":0,\"unmapped_type\":\"short\"}}"
#define SEARCH_RANK_POPULARITY_KEY "{\"popularity\":{\"order\":\"desc\",\"missing\":0,\"unmapped_type\":\"short\"}}"

/* The largest factor. */
double search_rank_most(const struct search_signal_weights *weights);
/* Between the two the caller writes one query clause. */
void search_rank_begin(struct json_write *w, const struct search_signal_weights *weights);
void search_rank_end(struct json_write *w, const struct search_signal_weights *weights);
