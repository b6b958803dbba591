/* product_view.h - the search document of a product -> what the storefront gets. Pure. Thread: any. */
#pragma once
#include "query-api/browse/category_list.h"

/* The member of {lang: text} that is shown in lang: that language, else Korean, English or any. NULL if there is none. */
const struct json *product_view_localized(const struct json *object, const char *lang);

/* The members "_source" and "sort" of a search whose hits are shown as summaries: in stock first, then by this key. */
#define PRODUCT_VIEW_BEST "\"_score\""
void product_view_ask_summaries(struct json_write *w, const char *key);
/* Members of an open object: id, name (in lang, else another), brand, price {min,max}, currency, in_stock, stock,
 * categories and primary_category. */
void product_view_write_summary(struct json_write *w, const struct json *source, const char *lang);

/* Appends the body of GET /v1/products/{id}. attributes are lists of texts by name, for every SKU its own.
 * degraded: NULL if it comes from the index. */
bool product_view_write(const struct json *source, const struct category_list *categories, const char *lang,
                        const char *degraded, struct buf *out);
