/* instant.h - the InstantSearch protocol: what InstantSearch.js and its clients send, and what they get.
 *
 *   instant_query_read    one request of a batch, validated
 *   instant_filter        its facetFilters, numericFilters and filters
 *   instant_plan_make     the batch as few searches: what can be read off another one's answer is not asked
 *   instant_result_write  one result, cut out of the answer of its search
 *
 * A search is asked as GET /v1/search asks it (search_start), through the same cache, so its answer is that endpoint's
 * body. Everything here is pure but instant.c. All memory is in the arena given. Thread: any. */
#pragma once
#include "query-api/browse/category_list.h"
#include "query-api/search/search_params.h"

enum {
    INSTANT_REQUESTS_MAX = 50,
    INSTANT_LEVELS = 10, /* cat.lvl0 to cat.lvl9 */
    INSTANT_TAG_MAX_BYTES = 128,
    INSTANT_SIZE_DEFAULT = 20,
    INSTANT_FACET_SIZE_DEFAULT = 100,
    INSTANT_FACET_HITS_DEFAULT = 10,
    INSTANT_FACET_HITS_MAX = 100,
    INSTANT_DEPTH_MAX = 16, /* of JSON */
};

/* brand, price, in_stock, cat.lvl0 and so on; any other name, with or without "attr.", is an attribute's. */
struct instant_attribute {
    struct slice asked; /* as the client calls it */
    enum dimension dim;
    struct slice name; /* DIM_ATTR */
    unsigned level;    /* DIM_CATEGORY */
};

struct instant_filters {
    struct filter *filters; /* one dimension each; several of one name may hold together */
    size_t filter_count;
    struct search_clause *clauses; /* the rest */
    size_t clause_count;
};

struct instant_query {
    struct slice index;     /* as asked: echoed */
    char lang[4];
    enum sort_order sort;
    struct slice q;
    unsigned page, size;    /* page from 0 */
    unsigned asked_page, asked_size, skip; /* the same, unless offset and length lie across pages: behind skip hits of this one */
    bool no_hits;           /* hits are not looked at: hitsPerPage 0, or 1 with attributesToRetrieve [] */
    bool uncounted;         /* analytics: false */
    bool typo;
    bool facets_all;        /* ["*"] */
    struct instant_attribute *facets;
    size_t facet_count;
    unsigned facet_size;    /* maxValuesPerFacet */
    struct slice pre, post; /* highlight tags */
    struct slice *contexts; /* of ruleContexts */
    size_t context_count;
    struct slice *fields;   /* of attributesToRetrieve that a hit does not have anyway */
    size_t field_count;
    bool attributes;        /* of attributesToRetrieve: image or attributes */
    struct instant_filters refined; /* facetFilters, numericFilters */
    struct instant_filters fixed;   /* filters */
    struct slice filters_text;
    bool facet_search;              /* type "facet" */
    struct instant_attribute facet;
    struct slice facet_query;
    unsigned facet_hits;
};

struct instant_context {
    struct arena *arena;
    const struct category_list *categories; /* may be NULL */
    const char *index;                      /* the name that is served beside "products" */
};

/* Reads {"indexName":…,"params":"a=b&…"} with params as text, as an object or flat. index: of the path, or data NULL. False:
 * INVALID with what to change, NOT_FOUND for an index that is not served, INTERNAL without memory,
 * UNAVAILABLE for a category as long as there is no list of them. */
bool instant_query_read(const struct instant_context *context, struct slice index, const struct json *request,
                        struct instant_query *ret, struct error *reterr);
/* False: INVALID. */
bool instant_attribute_read(struct slice name, struct instant_attribute *ret);

/* products, products_en, products_price_asc, products_en_newest: NAME[_LANGUAGE][_SORT]. False: it is not served. */
bool instant_index_read(const char *index, struct slice name, char ret_lang[4], enum sort_order *ret_sort);

/* ---- filters ---- */

struct instant_parser;
struct instant_parser *instant_parser_new(const struct instant_context *context, const char *lang);
/* facetFilters: "a:b", or ["a:b",["c:d","c:-e"]]: the outer list is AND, an inner one OR. */
bool instant_read_facet_filters(struct instant_parser *p, const struct json *v, struct error *reterr);
/* numericFilters: "price>=5", in the same lists. */
bool instant_read_numeric_filters(struct instant_parser *p, const struct json *v, struct error *reterr);
/* filters: a:b AND (c:d OR NOT e:"f g") AND price >= 5 AND price:5 TO 10. ANDs of ORs. */
bool instant_read_filters(struct instant_parser *p, struct slice text, struct error *reterr);
/* What was read since the last call. */
bool instant_parser_take(struct instant_parser *p, struct instant_filters *ret, struct error *reterr);

/* ---- plan ---- */

struct instant_search {
    struct search_params params;
    const struct instant_query *main;
};
struct instant_plan {
    struct instant_search *searches;
    size_t search_count;
    size_t *search_of; /* for each query: which search answers it */
};
/* False without memory. Queries with facet_search are left out (SIZE_MAX). */
bool instant_plan_make(struct arena *arena, const struct instant_query *queries, size_t count, struct instant_plan *ret);

/* ---- search inside a facet ---- */

/* The facet that a query with facet_search looks into. */
bool instant_facet_read(struct slice name, struct instant_query *query, struct error *reterr);
/* The search whose only facet it is; its own selection does not count. False without memory. */
bool instant_facet_params(struct arena *arena, const struct instant_query *query, struct search_params *ret);
/* {"facetHits":[…]}. answer: of facet_values_start, or of the search for a category's level. */
void instant_facet_hits_write(struct json_write *w, const struct instant_context *context, const struct instant_query *query,
                              const struct json *answer);

/* ---- results ---- */

/* Writes one result. answer: the body of /v1/search that the plan's search got. */
void instant_result_write(struct json_write *w, const struct instant_context *context, const struct instant_query *query,
                          const struct instant_search *search, const struct json *answer);
/* Each category of one level that has products, by count; the array lives in the arena, NULL without memory. Used by facet
 * search. */
struct instant_value {
    struct slice value;
    uint64_t count;
};
size_t instant_level_values(const struct instant_context *context, const struct instant_query *query, const struct json *facets,
                            unsigned level, struct instant_value **ret);
/* facets, facets_stats and renderingContent of a result. total: of the products found; UINT64_MAX: not known. */
void instant_facets_write(struct json_write *w, const struct instant_context *context, const struct instant_query *query,
                          const struct json *facets, uint64_t total);
/* The hit's fields, without objectID and _highlightResult, from a hit of /v1/search or of similar products. */
void instant_hit_write(struct json_write *w, const struct instant_context *context, const char *lang, const struct json *hit);
