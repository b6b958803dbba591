/* search_key.h - the canonical form of a validated search: two searches that must be answered alike have the same one.
 * Order and repetition of filters, values, facets and fields do not count, nor whether it came as GET or POST. Pure. */
#pragma once
#include "query-api/search/search_params.h"

/* Appends it; scratch from the arena. False without memory. Not for a walk by cursor, which belongs to one client. */
bool search_key_write(struct arena *arena, const struct search_params *p, struct buf *out);
