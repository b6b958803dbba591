/* search_aggs.h - the facets of a search as aggregations of its query, for search_query.c.
 *
 * Facets that leave out the same filter are a scope: its filter is looked at once. Names of the aggregations, which
 * facet_result reads back:
 *   f<i>      values of facet i of the parameters; f<i>min, f<i>max: of a price; f<i>sel: of the selected brands
 *   s<i>      attr.*: those of the attribute of filter i, selected, with its own exclusion
 *   attrs     those of all attributes of the scope that are asked for by name, if they can be had in one pass and need not
 *             stand apart
 *   f<i>set   sets of categories, in the place of f<i>; offers: of the prices and stocks of SKUs, in the place of those of the
 *             scope where any SKU counts
 *   varied>o  the same names once more for the variants that meet all conditions; each bucket > p (reverse_nested)
 * They stand in o<f or s><i>, the scope of one facet that leaves out its own filter; in o, that of all others; or, where no
 * filter is left, in no aggregation at all.
 * Pure. Thread: any. */
#pragma once
#include "query-api/search/search_filter.h"

/* "o" "f" 12 "sel": before, kind, index, after. */
struct search_agg_name {
    char text[40];
    size_t len;
};
struct search_agg_name search_agg_name(const char *before, char kind, size_t index, const char *after);

/* "aggs":{...}, if there are any. */
void search_aggs_write(struct search_writer *q);
/* The aggregation of this term's facet or selected attribute alone, under its name. */
void search_aggs_write_counts(struct search_writer *q, const struct search_term *term);
