/* search_query.h - search parameters -> one Elasticsearch search (query DSL). A page may be several: search_parts.h.
 *
 * Facets are disjunctive: filters whose facet is not shown go into `query`, those of shown facets into
 * `post_filter`, and each shown facet is a filter aggregation with every selection but its own.
 *
 * Price, stock and attributes are dimensions of a variant. A product stands in the index in one of two forms
 * (mappings/README.md): "flat" (its only SKU in flat.*) or "varied" (nested variants.*), never in both. An attribute
 * stands in one of two places: with the product (attrs), or in all of its variants (its name is then in `varied`). So
 * a condition is: every attribute matches at the product or is varied, AND flat.* matches or one nested variant
 * matches in everything that is not with the product. A count under such conditions is the sum of two disjoint counts
 * (nested ones counted as products by reverse_nested): of a price by the form of the product, of an attribute by where it
 * stands. Without them every SKU counts, and any.* has all of a product's in one place.
 *
 * What the aggregations are called: search_aggs.h.
 * Pure. Thread: any. */
#pragma once
#include "core/json_write.h"
#include "query-api/search/search_params.h"

enum {
    /* Values asked of one attribute, so that the flat and the varied list can be added without a gap. */
    SEARCH_ATTR_VALUES = 1000,
    SEARCH_ATTR_VALUES_ALL = 2000, /* of attr.*: values of all attributes together */
    SEARCH_SETS = 10000, /* categories, or sets of them; what SKUs are in price and stock */
    SEARCH_SHARD_VALUES = 10000, /* of a list: from each of several shards, of which any may have what is rare in the others */
    SEARCH_FIND_MAX_BYTES = 8192, /* of facet_find */
};

/* How long the engine keeps a view of the index for somebody who walks over it, from one page to the next. */
#define SEARCH_VIEW_KEEP "2m"

/* Writes the request body. False only if out failed (too large, no memory). */
bool search_query_write(const struct search_params *p, struct buf *out);

/* The same search asked for nothing but its facets. */
bool search_facets_write(const struct search_params *p, struct buf *out);

/* Terms (name=value) of the aggregation f<index> or s<index>. */
struct search_term {
    char kind;
    size_t index;
    struct slice term;
};
struct search_terms {
    struct search_term *items;
    size_t count, cap;
};
/* The same search asked for nothing but the counts of these terms. Those of one aggregation stand together. */
bool search_counts_write(const struct search_params *p, const struct search_terms *terms, struct buf *out);

/* number -> what has the order of the numbers, and its 16 hex digits (mappings/README.md). */
uint64_t search_number_order(double v);
void search_number_key(double v, char ret[17]);
