/* search_result.h - Elasticsearch's answer -> the body that the storefront gets. Pure: no I/O. Thread: any.
 *
 * What Elasticsearch sends is checked, not trusted: an answer of another shape is ERROR_CORRUPT, a partial one
 * (time-out, failed shards) ERROR_UNAVAILABLE; its error texts never reach the client. */
#pragma once
#include "query-api/browse/category_list.h"
#include "query-api/search/search_query.h"

/* Counts that need a second question. A value's count is the sum of a flat and a varied list, each of the most
 * frequent values only; if a list is cut off and does not have a value that is shown, its part is not known. The
 * first pass collects such terms in `doubts`; search_counts_write() asks for exactly them; the second pass gets the
 * first answer again and the aggregations of the second in `second`. A list that several attributes share and that was cut off
 * (*ret_crowded) says nothing for sure: then the search is asked once more with params->apart. So it is with sets of categories,
 * prices and stocks, and params->by_paths (*ret_sets): they were cut off, or one is too long for a term, which they will be
 * again (SETS_CUT), or there are none, as in an index that was made before there were sets: of what was found (SETS_MISSING), or of the
 * products beside it that a facet with a choice of its own counts (SETS_MISSING_BESIDE). */
enum sets_lack { SETS_WHOLE, SETS_MISSING, SETS_MISSING_BESIDE, SETS_CUT };

struct search_result_context {
    struct arena *arena;                    /* scratch */
    const struct category_list *categories; /* may be NULL: names are null then */
    uint64_t took_ms;
    const char *query_id;
    struct search_terms *doubts;   /* may be NULL: nobody will ask */
    const struct json *second;     /* aggregations, or NULL */
    bool *ret_crowded;             /* may be NULL; set to true or left */
    enum sets_lack *ret_sets;      /* may be NULL; set to the worst or left */
    const char *degraded;          /* NULL: it is as it should be */
    size_t *ret_common_len;        /* may be NULL: how much of what is appended is the same for everybody who asks so: all
                                      but degraded, took_ms and query_id at the end */
};

/* Did all of the index answer? UNAVAILABLE if not. */
bool search_result_whole(const struct json *answer, struct error *reterr);
/* Is this the complete answer to a search? CORRUPT or UNAVAILABLE if not. */
bool search_result_check(const struct json *answer, struct error *reterr);

/* Appends the body of GET|POST /v1/search. */
bool search_result_write(const struct search_params *params, const struct json *answer,
                         const struct search_result_context *context, struct buf *out, struct error *reterr);
