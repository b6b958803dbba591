/* Prices in won: spread log-normally between a category's bounds and rounded as shops do. Integers only. */
#ifndef CATALOGUE_PRICE_H
#define CATALOGUE_PRICE_H

#include "model.h"

/* Fills leaf->price with the geometric steps from low over middle to high. */
void price_prepare(struct leaf *leaf);

/* A price before rounding; factor in thousandths. */
uint64_t price_draw(const struct leaf *leaf, uint64_t random, uint64_t factor);

/* Within the leaf's bounds and rounded: 12,900, 39,000, 1,290,000. */
uint32_t price_round(const struct leaf *leaf, uint64_t won, uint64_t random);

#endif
