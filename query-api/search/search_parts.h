/* search_parts.h - a page without words as several searches, which the engine answers side by side: one _msearch.
 *
 * A facet with a choice of its own counts other products than the hits are among. In one search both have to go through
 * all that either of them may be, each with a filter around it; without words, that is what such a page costs. As a search of
 * its own each goes through its own products alone. The facets of a whole shop are two searches, so that two threads count
 * them: the engine takes one per search. What is chosen of attr.* stays with the page, and so do choices beyond seven. With words it is one search: to find what they mean is the greater part of it.
 * Pure. Thread: any. */
#pragma once
#include "query-api/search/search_query.h"

/* Is this better asked in parts? Which they are depends on nothing but the parameters. */
bool search_parts_wanted(const struct search_params *p);

/* Writes the body of the _msearch: the page first, then facets. False only if out failed. */
bool search_parts_write(const struct search_params *p, struct buf *out);

/* The answer to that -> as if it had been one search. NULL on failure: CORRUPT, UNAVAILABLE if a part is not complete, or
 * no memory. */
const struct json *search_parts_join(struct arena *arena, const struct json *answer, struct error *reterr);
