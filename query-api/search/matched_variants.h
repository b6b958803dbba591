/* matched_variants.h - which SKUs of a hit were meant: those that meet every chosen price, stock and attribute, or without
 * such a choice the one whose code the text is. They are found in the hit itself: asking Elasticsearch for them (inner_hits)
 * takes it a search of its own per hit, a tenth of what a page costs.
 * Pure. Thread: any. */
#pragma once
#include "core/json_write.h"
#include "query-api/search/search_params.h"

/* Writes the names of the fields of a search document that matched_variants_write() looks at into an open list. */
void matched_variants_fields(struct json_write *w, const struct search_params *p);

/* Writes the list of SKUs, at most 20. source: the document of a hit; `known`: it has all those fields, else nothing is
 * said of variants that filters chose. */
void matched_variants_write(struct json_write *w, const struct search_params *p, const struct json *source, bool known);
