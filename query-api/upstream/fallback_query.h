/* fallback_query.h - search parameters -> filters for MongoDB, while there is no search engine. Pure. Thread: any.
 *
 * A search is tried in steps until one finds something: the text as an id or a SKU; products whose names and brand have
 * all its words (index FALLBACK_INDEX); names that have them anywhere, which reads every product. Category, brand, price
 * and attributes are honoured in every step; stock is not, MongoDB does not know it. */
#pragma once
#include "core/bson.h"
#include "query-api/browse/category_list.h"
#include "query-api/search/search_params.h"

#define FALLBACK_INDEX "fallback_words"

enum fallback_step { FALLBACK_CODE, FALLBACK_WORDS, FALLBACK_INSIDE, FALLBACK_STEPS };

/* Fills an empty document. False: this step says nothing about such a search. Without words only FALLBACK_WORDS does:
 * all products that pass the filters. categories may be NULL: a category finds nothing then. */
bool fallback_query_write(enum fallback_step step, const struct search_params *p, const struct category_list *categories,
                          bson_t *ret);
