/* search_filter.h - the filters of a search as clauses of its query, for search_query.c. Pure. Thread: any. */
#pragma once
#include "query-api/search/search_query.h"

/* Where a variant dimension is looked for; FORM_ANY, where it does not matter: all SKUs of a product, for counting. */
enum form { FORM_FLAT, FORM_VARIED, FORM_ANY };

/* Which filters take part: by visibility of their facet. */
enum visible { VISIBLE_SHOWN = 1, VISIBLE_HIDDEN = 2, VISIBLE_ALL = 3 };

struct search_writer {
    const struct search_params *p;
    struct json_write w;
    const struct search_term *terms; /* count these only; or NULL */
    size_t term_count;
};

/* The field of DIM_PRICE, DIM_STOCK or DIM_ATTR in one form. */
const char *search_filter_field(enum form form, enum dimension dim);
/* The same of an attribute's values: codes stand apart. */
const char *search_filter_attr_field(enum form form, bool code);
/* A product with a SKU in stock. */
void search_filter_in_stock(struct json_write *w);
/* {"terms":{field:[values]}} */
void search_filter_terms(struct json_write *w, const char *field, const struct slice *values, size_t count);
/* {"bool":{"filter":[ ... ]}} */
void search_filter_begin(struct json_write *w);
void search_filter_end(struct json_write *w);

/* All of these write clauses into an open list, and leave out the filter `but` (may be NULL). */
void search_filter_products(struct search_writer *q, enum visible which, const struct filter *but);
/* Price and stock of the only SKU (flat), or price, stock and attributes of one variant (varied); there, an attribute
 * that stands with the product passes. */
void search_filter_sku(struct search_writer *q, enum form form, enum visible which, const struct filter *but);
/* What stands with the product matches, and so does one SKU of it: flat.* all, or one variant all. */
void search_filter_condition(struct search_writer *q, enum visible which, const struct filter *but);
/* The clauses, one filter each. */
void search_filter_clauses(struct search_writer *q);
/* Leaves out products that miss two or more of the filters whose facets are shown: they are no hits, and no facet counts them,
 * as each leaves out its own filter alone. Nothing if there are fewer than two. */
void search_filter_all_but_one(struct search_writer *q);
bool search_filter_any_product(const struct search_writer *q, enum visible which, const struct filter *but);
bool search_filter_any_variant(const struct search_writer *q, enum visible which, const struct filter *but);
