/* facet_result.h - aggregations -> facets, by the names that search_aggs.h gives them. Pure. Thread: any. */
#pragma once
#include "query-api/search/search_result.h"

/* Writes the value of "facets": an object with one member per facet asked for. False without memory. */
bool facet_result_write(struct json_write *w, const struct search_params *params, const struct json *aggregations,
                        const struct search_result_context *context);
