/* product_store.h - products in MongoDB. Every write is one atomic command: what it depends on (absence, a version)
 * is part of the command's condition, never checked beforehand. Worker threads. */
#pragma once
#include "write-api/precondition.h"
#include "write-api/service.h"

/* What a unique index has refused. */
struct product_conflict {
    bool sku;        /* a variant's SKU belongs to another product; else the id exists */
    char value[160]; /* the SKU; cut */
};

enum store_result {
    STORE_DONE,
    STORE_CREATED,  /* done, and it was not there before */
    STORE_MISSING,  /* nothing has this id (and version) */
    STORE_CONFLICT, /* see product_conflict */
    STORE_FAILED,   /* see the error */
};

/* ret_product is initialized only with STORE_DONE; bson_destroy it. */
enum store_result product_store_get(struct session *s, struct slice id, bson_t *ret_product, struct error *reterr);

enum store_result product_store_insert(struct session *s, const bson_t *product, struct product_conflict *ret_conflict,
                                       struct error *reterr);

/* Puts the product in place of what has its id: version is the old one + 1, created_at stays. `match` present: only
 * if the stored version matches, else STORE_MISSING; without it a missing product is created. ret_product as above,
 * with STORE_DONE and STORE_CREATED. */
enum store_result product_store_put(struct session *s, struct slice id, const bson_t *product,
                                    const struct precondition *match, bson_t *ret_product,
                                    struct product_conflict *ret_conflict, struct error *reterr);

/* Replaces exactly the version given (0: a product without one). */
enum store_result product_store_replace(struct session *s, struct slice id, int64_t version, const bson_t *product,
                                        struct product_conflict *ret_conflict, struct error *reterr);

enum store_result product_store_delete(struct session *s, struct slice id, const struct precondition *match,
                                       struct error *reterr);

/* The update pipeline of product_store_put, for bulk writes: appended to the empty document `pipeline`. */
void product_store_put_pipeline(const bson_t *product, bson_t *pipeline);

/* Reads a duplicate key error: `error` is the document {code, keyPattern, keyValue, errmsg}. */
void product_conflict_read(const bson_t *error, struct product_conflict *ret);

/* Moves products from one category to another (to = 0: takes them out of it), in batches; counts them. */
bool product_store_reassign(struct session *s, uint32_t from, uint32_t to, uint64_t *ret_count, struct error *reterr);
/* Is any product in the category? */
bool product_store_has_category(struct session *s, uint32_t id, bool *ret, struct error *reterr);
