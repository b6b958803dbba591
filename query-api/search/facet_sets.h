/* facet_sets.h - counts of sets -> counts of what is in them. A product has one term for all of its categories and one for what
 * its SKUs are in price and stock (category_set and offers, mappings/README.md), which is what the engine counts.
 * Pure. Thread: any. */
#pragma once
#include "core/price_steps.h"
#include "query-api/browse/category_forest.h"
#include "query-api/search/search_result.h"

/* A count as an answer has it; 0 of anything else, and of NULL. */
uint64_t facet_count(const struct json *v);

struct bucket {
    struct slice key;
    uint64_t count; /* of products: through reverse_nested if the bucket counts variants */
};
/* An element of "buckets", as answer_json.h or another reader has it. NULL counts nothing. */
struct bucket facet_bucket(const struct json *bucket);

/* Adds each category in the sets of `list` (an aggregation; NULL: there are none), and those above it. False: no memory. */
bool facet_sets_categories(const struct json *list, struct category_forest *forest, enum sets_lack *ret_lack);

/* Where an answer counts what SKUs are: by sets, or in the lists of flat and of varied products, which are disjoint. Each may be
 * NULL: nothing is counted there. */
struct facet_offer_lists {
    const struct json *sets;          /* an aggregation */
    const struct json *flat, *varied; /* buckets: of the filters "true" and "false", or of the steps in their order */
};
/* Products with a SKU that is in stock, and with one that is not; in each step of price. */
enum sets_lack facet_offers_stock(struct facet_offer_lists lists, uint64_t ret[2]);
enum sets_lack facet_offers_steps(struct facet_offer_lists lists, uint64_t ret[PRICE_STEP_COUNT]);
