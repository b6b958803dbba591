/* facet_values_params.h - the values of one facet are a search with nothing else to it. Pure. Thread: any. */
#pragma once
#include "query-api/search/search_params.h"

/* Reads a query by facet_values_param_table. facet: "brand" or "attr.color"; its own filter is left out. *ret_find is what
 * the values are to hold; may be empty. False: as search_params_from_query. */
bool facet_values_params_read(struct arena *arena, struct slice facet, struct slice query, struct search_params *ret,
                              struct slice *ret_find, struct search_errors *ret_errors);
