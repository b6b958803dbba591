/* fallback_document.h - a product as MongoDB has it -> a search document, as far as the answers of this program need one.
 *
 * Stock is left out: it is not in MongoDB, so an answer says null. Products may come from any writer: what has another
 * shape than expected is left out. Pure. Thread: any. */
#pragma once
#include "core/bson.h"
#include "core/json_write.h"

/* Writes one object. */
void fallback_document_write(struct json_write *w, const bson_t *product);
/* Milliseconds since 1970 and the lowest and highest price; false: it has none. For sorting. */
bool fallback_document_created(const bson_t *product, int64_t *ret);
bool fallback_document_prices(const bson_t *product, int64_t *ret_min, int64_t *ret_max);
