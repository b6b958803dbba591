/* product.h - the product: JSON as clients write it, BSON as MongoDB stores it. Pure.
 *
 * product_from_json checks everything that can be checked without a database and collects all mistakes; ids of
 * categories come back for the caller to look up. Integers become int64, other numbers double, order of the
 * stored fields is always the same. The stamp holds what only the server sets.
 * Fields that the server sets (version, created_at, updated_at) are accepted in the input and ignored, so that
 * what GET answered can be sent back; every other unknown field is refused by name. */
#pragma once
#include "core/json_read.h"
#include "core/json_write.h"
#include "core/mongo.h"
#include "core/trace.h"
#include "write-api/problems.h"

enum { PRODUCT_ID_MAX = 128, SKU_MAX = 128, ATTRIBUTE_NAME_MAX = 64 };
#define PRICE_MAX INT64_C(9000000000000000)

struct product_limits {
    unsigned variants_max;   /* default 1000 */
    unsigned categories_max; /* default 100 */
    unsigned attributes_max; /* members of one attributes object, nested ones included; default 1000 */
    unsigned values_max;     /* elements of one attribute's array; default 1000 */
};
extern const struct product_limits product_limits_default;

/* What the server adds to what the client wrote. */
struct product_stamp {
    const char *default_id;  /* used if the body has no id; NULL: an id is required */
    struct slice required_id; /* from the URL: the body's id must be this one or absent; empty: any */
    int64_t version;
    int64_t created_wall_usec, updated_wall_usec;
    const char *traceparent; /* NULL: none */
};

/* What the caller needs to know about a product beside its BSON. */
struct product {
    struct slice id;
    const int64_t *categories; /* in the arena */
    unsigned category_count;
};

/* Appends the product to the empty document ret. False if anything was added to problems (ret is then incomplete).
 * Slices of ret_product point into the tree or the stamp. */
bool product_from_json(const struct json *tree, const struct product_stamp *stamp, const struct product_limits *limits,
                       struct arena *arena, bson_t *ret, struct product *ret_product, struct problems *problems);

/* Writes the stored product as one JSON object; fields that are not part of a product are left out. */
void product_write_json(struct json_write *w, const bson_t *product);

/* The version of a stored product, 0 if it has none. */
int64_t product_version(const bson_t *product);

/* Why a text cannot be a product id or a SKU: NULL if it can, else a message for people ("must not ..."). */
const char *product_id_problem(struct slice id);
const char *sku_problem(struct slice sku);

/* Known to ISO 4217 as an active code. */
bool currency_known(struct slice code);

/* A new id: ULID (26 characters, time-ordered, Crockford's base 32). */
#define PRODUCT_NEW_ID_SIZE 27
void product_new_id(char ret[PRODUCT_NEW_ID_SIZE]);
