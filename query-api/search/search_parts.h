/* search_parts.h - a page without words as several searches, which the engine answers side by side: one _msearch.
 *
 * A facet with a choice of its own counts other products than the hits are among, often those of the whole shop. In one
 * search both go through all that either of them may be, each with a filter around it; without words, that is what such a page
 * costs. As a search of its own each goes through its own products alone. Of several choices that is the one that leaves fewest,
 * going by its kind; the others are counted with the page, which goes through what has that one and misses another at most. The
 * facets of a whole shop are two searches, so that two threads count them: the engine takes one per search. With words it is one:
 * to find what they mean is the greater part of it.
 * Pure. Thread: any. */
#pragma once
#include "query-api/search/search_query.h"

/* Writes the search of a page, or where that is better (*ret_parts) an _msearch of two: the page first, then facets. Which it
 * is depends on nothing but the parameters. False only if out failed. */
bool search_parts_write(const struct search_params *p, struct buf *out, bool *ret_parts);

/* The answer to those two -> as if it had been one search. NULL on failure: CORRUPT, UNAVAILABLE if a part is not complete, or
 * no memory. */
const struct json *search_parts_join(struct arena *arena, const struct json *answer, struct error *reterr);
