/* search_params.h - what a search asks for, validated: the one gate between a client's words and a query.
 *
 * GET /v1/search?q=...&brand=LG&attr.color=black and POST /v1/search with {"q":...,"brand":["LG"]} give the same
 * struct. A repeated key is OR, different keys are AND. Every mistake is collected as a field error that names the
 * parameter. Pure: no I/O; all memory is in the arena given. Thread: any. */
#pragma once
#include "core/arena.h"
#include "core/error.h"
#include "core/field_error.h"
#include "core/http_param.h"
#include "core/json_read.h"
#include "core/uri.h"

/* What a filter or a facet is about. Price, stock and attributes are dimensions of a variant: all of them must
 * hold for one and the same variant of a product. Category and brand belong to the product. */
enum dimension { DIM_CATEGORY, DIM_BRAND, DIM_PRICE, DIM_STOCK, DIM_ATTR };
static inline bool dimension_is_variant(enum dimension d) {
    return d >= DIM_PRICE;
}

struct range {
    double from, to; /* both inclusive; -INFINITY and INFINITY: open */
};

/* All values given for one key: any of them may match. */
struct filter {
    enum dimension dim;
    struct slice name;    /* DIM_ATTR: the attribute's name */
    struct slice *values; /* DIM_STOCK: "true", "false" */
    size_t value_count;
    struct range *ranges; /* DIM_PRICE, and DIM_ATTR given as 13..14 */
    size_t range_count;
    bool strict; /* counts for its own facet, too: not disjunctive. There may be several of one name */
};

/* What filters cannot say: not, or one of several dimensions. A product meets one of the literals; each is a condition of
 * its own, which any variant may meet. */
struct search_literal {
    struct filter filter;
    bool negated; /* the product does not meet the filter at all */
};
struct search_clause {
    struct search_literal *literals;
    size_t count;
};

struct facet {
    enum dimension dim;
    struct slice name; /* DIM_ATTR: the name, or "*" for every attribute */
    bool bounds;       /* DIM_PRICE: lowest and highest, no histogram */
    bool elsewhere;    /* counted by another search (search_parts.h): to this one it is not shown */
};

enum sort_order { SORT_RELEVANCE, SORT_PRICE_ASC, SORT_PRICE_DESC, SORT_NEWEST, SORT_BEST_SELLING };

enum {
    SEARCH_Q_MAX_BYTES = 512,
    SEARCH_VALUE_MAX_BYTES = 256,
    SEARCH_ATTR_NAME_MAX_BYTES = 256, /* a flattened name: width of {size:{width}} is size.width */
    SEARCH_FILTERS_MAX = 32,
    SEARCH_VALUES_MAX = 256, /* in all filters together */
    SEARCH_FACETS_MAX = 32,
    SEARCH_FIELDS_MAX = 32,
    SEARCH_CONTEXTS_MAX = 10,
    SEARCH_SIZE_MAX = 100,
    SEARCH_FACET_SIZE_MAX = 1000,
    SEARCH_WINDOW_MAX = 10000, /* Elasticsearch's index.max_result_window */
    SEARCH_PAIRS_MAX = 512,
    SEARCH_CURSOR_MAX_BYTES = 4096,
    SEARCH_LIST_MAX_BYTES = 16384,
    SEARCH_ERRORS_MAX = 16,
};

/* One entry of search_param_table each. */
enum search_param {
    SEARCH_PARAM_Q,
    SEARCH_PARAM_LANG,
    SEARCH_PARAM_CATEGORY,
    SEARCH_PARAM_BRAND,
    SEARCH_PARAM_PRICE,
    SEARCH_PARAM_IN_STOCK,
    SEARCH_PARAM_SORT,
    SEARCH_PARAM_PAGE,
    SEARCH_PARAM_SIZE,
    SEARCH_PARAM_CURSOR,
    SEARCH_PARAM_FACETS,
    SEARCH_PARAM_FACET_SIZE,
    SEARCH_PARAM_FIELDS,
    SEARCH_PARAM_TYPO,
    SEARCH_PARAM_CONTEXT,
    SEARCH_PARAM_EXPLAIN,
    SEARCH_PARAM_ATTR,
    SEARCH_PARAM_COUNT
};
extern const struct http_param search_param_table[SEARCH_PARAM_COUNT + 1];
extern const struct http_param facet_values_param_table[];

struct search_text;
struct index_facts;

struct search_params {
    struct slice q; /* trimmed; may be empty */
    const struct search_text *text; /* q as search_text_read reads it; set before a query is written */
    const struct index_facts *index; /* set before a query is written; NULL: nothing is known of it */
    char lang[4];   /* "ko", "en", ... */
    struct filter *filters;
    size_t filter_count;
    struct search_clause *clauses; /* all of them hold */
    size_t clause_count;
    struct facet *facets;
    size_t facet_count;
    unsigned facet_size;
    struct slice facet_find; /* a regular expression: values of the facets that match it; data NULL: all */
    enum sort_order sort;
    unsigned page; /* from 1 */
    unsigned size;
    struct slice cursor;      /* as the client sent it; "*" begins; data NULL: none */
    struct slice view;        /* of a walk by cursor: the engine's name of its view of the index; may be empty */
    const struct json *after; /* the sort values to go on behind, or NULL */
    struct slice *fields; /* further fields of the search document wanted in each hit */
    size_t field_count;
    struct slice *contexts; /* what the rules that name contexts hold in */
    size_t context_count;
    bool apart; /* attributes are counted each by itself: a list that several shared was cut off */
    bool by_paths; /* categories, price and stock are not counted by sets: a list of them did not say all */
    bool typo;
    bool uncounted; /* no part of what shoppers are said to search for */
    bool explain; /* for administrators: the caller checks */
};

struct search_errors {
    struct field_error items[SEARCH_ERRORS_MAX];
    size_t count;
};

/* True if the parameters are fine. False: `ret_errors` says what is wrong (at least one), or it is empty when
 * the arena is exhausted. */
bool search_params_from_query(struct arena *arena, struct slice query, struct search_params *ret,
                              struct search_errors *ret_errors);
bool search_params_from_pairs(struct arena *arena, const struct uri_pair *pairs, size_t count, struct search_params *ret,
                              struct search_errors *ret_errors);
bool search_params_from_json(struct arena *arena, const struct json *body, struct search_params *ret,
                             struct search_errors *ret_errors);

/* The filter of a dimension (and attribute name) that is not strict, or NULL. */
const struct filter *search_params_filter(const struct search_params *p, enum dimension dim, struct slice name);
bool search_params_names_attr(const struct search_params *p, struct slice name); /* as a facet by its own name */
/* Is the facet of this filter shown, by its own name or as attr.*? Never that of a strict one: it stands in the query. */
bool search_params_shows(const struct search_params *p, const struct filter *f);
