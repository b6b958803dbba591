/* search_param_table.c - the parameters of a search, as they are read and as /openapi.json shows them. */
#include "query-api/search/search_params.h"

static const char *const sorts[] = {"relevance", "price:asc", "price:desc", "newest", "best_selling", NULL};
static const char *const switches[] = {"on", "off", "true", "false", "1", "0", NULL};

/* Of a search and of what else is narrowed down like one. */
#define LANG_PARAM \
    {.name = "lang", \
     .about = "Language of names in the answer, two or three letters; ko by default.", \
     .example = "en", \
     .max = 3}
#define CATEGORY_PARAM \
    {.name = "category", \
     .about = "A path of category ids; subcategories are included.", \
     .example = "1/4", \
     .max = SEARCH_VALUE_MAX_BYTES, \
     .repeated = true}
#define BRAND_PARAM \
    {.name = "brand", \
     .about = "Exact brand.", \
     .example = "LG", \
     .max = SEARCH_VALUE_MAX_BYTES, \
     .repeated = true}
#define PRICE_PARAM \
    {.name = "price", \
     .about = "A range in minor units; either end may be open.", \
     .example = "10000..50000", \
     .max = SEARCH_VALUE_MAX_BYTES, \
     .repeated = true}
#define IN_STOCK_PARAM \
    {.name = "in_stock", \
     .about = "true: a variant can be bought now; false: one is sold out.", \
     .example = "true", \
     .values = switches, \
     .repeated = true}
#define FACET_SIZE_PARAM \
    {.name = "facet_size", \
     .about = "Values per facet; 10 by default.", \
     .example = "20", \
     .type = HTTP_PARAM_INTEGER, \
     .min = 1, \
     .max = SEARCH_FACET_SIZE_MAX}
#define TYPO_PARAM \
    {.name = "typo", \
     .about = "off: no tolerance for typing mistakes.", \
     .example = "off", \
     .values = switches}
#define CONTEXT_PARAM \
    {.name = "context", \
     .about = "Where or for whom it is searched: rules that name contexts hold in these. At most 10.", \
     .example = "mobile", \
     .max = SEARCH_VALUE_MAX_BYTES, \
     .repeated = true}
#define ATTR_PARAM \
    {.name = "attr.{name}", \
     .about = "An attribute's value, or a range of numbers such as 13..14.5. A value in double " \
     "quotes is taken as it is: \"3..5\".", \
     .example = "black", \
     .max = SEARCH_VALUE_MAX_BYTES, \
     .repeated = true}

const struct http_param search_param_table[SEARCH_PARAM_COUNT + 1] = {
    [SEARCH_PARAM_Q] = {.name = "q",
                        .about = "Words, a SKU, an EAN, a model number.",
                        .example = "laptop",
                        .max = SEARCH_Q_MAX_BYTES},
    [SEARCH_PARAM_LANG] = LANG_PARAM,
    [SEARCH_PARAM_CATEGORY] = CATEGORY_PARAM,
    [SEARCH_PARAM_BRAND] = BRAND_PARAM,
    [SEARCH_PARAM_PRICE] = PRICE_PARAM,
    [SEARCH_PARAM_IN_STOCK] = IN_STOCK_PARAM,
    [SEARCH_PARAM_SORT] = {.name = "sort",
                           .about = "What is sold out comes last under every one; relevance by default.",
                           .example = "price:asc",
                           .values = sorts},
    [SEARCH_PARAM_PAGE] = {.name = "page",
                           .about = "From 1; page x size is at most 10,000.",
                           .example = "2",
                           .type = HTTP_PARAM_INTEGER,
                           .min = 1,
                           .max = SEARCH_WINDOW_MAX},
    [SEARCH_PARAM_SIZE] = {.name = "size",
                           .about = "Hits per page; 20 by default.",
                           .example = "10",
                           .type = HTTP_PARAM_INTEGER,
                           .max = SEARCH_SIZE_MAX},
    [SEARCH_PARAM_CURSOR] = {.name = "cursor",
                             .about = "* begins a walk over all hits, however many; next_cursor of an answer goes on. "
                                      "The other parameters stay as they were.",
                             .example = "*",
                             .max = SEARCH_CURSOR_MAX_BYTES},
    [SEARCH_PARAM_FACETS] = {.name = "facets",
                             .about = "Which to count: brand, category, price, in_stock, attr.NAME, attr.*; "
                                      "a list with commas.",
                             .example = "brand,price,attr.*",
                             .max = SEARCH_LIST_MAX_BYTES,
                             .repeated = true},
    [SEARCH_PARAM_FACET_SIZE] = FACET_SIZE_PARAM,
    [SEARCH_PARAM_FIELDS] = {.name = "fields",
                             .about = "Further fields of the search document in each hit; a list with commas.",
                             .example = "description,skus",
                             .max = SEARCH_LIST_MAX_BYTES,
                             .repeated = true},
    [SEARCH_PARAM_TYPO] = TYPO_PARAM,
    [SEARCH_PARAM_CONTEXT] = CONTEXT_PARAM,
    [SEARCH_PARAM_EXPLAIN] = {.name = "explain",
                              .about = "1, for administrators: how the text was read and what each score is made of.",
                              .example = "0",
                              .values = switches},
    [SEARCH_PARAM_ATTR] = ATTR_PARAM,
    {.name = NULL},
};

const struct http_param facet_values_param_table[] = {
    {.name = "q",
     .about = "What the values hold; Korean may be incomplete. Without it, the most frequent ones.",
     .example = "sam",
     .max = SEARCH_VALUE_MAX_BYTES},
    {.name = "search", .about = "The words of the search whose facet it is.", .example = "laptop", .max = SEARCH_Q_MAX_BYTES},
    LANG_PARAM,
    CATEGORY_PARAM,
    BRAND_PARAM,
    PRICE_PARAM,
    IN_STOCK_PARAM,
    FACET_SIZE_PARAM,
    TYPO_PARAM,
    CONTEXT_PARAM,
    ATTR_PARAM,
    {.name = NULL},
};
