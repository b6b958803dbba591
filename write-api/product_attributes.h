/* product_attributes.h - the schemaless part of a product: {name: string | number | bool | array of those | object
 * of all these}. Pure. */
#pragma once
#include "write-api/product.h"

/* Appends v as the document "attributes" to out; `at` is its path for problems. */
void product_attributes_read(const struct field_path *at, const struct json *v, const struct product_limits *limits,
                             bson_t *out, struct problems *problems);
