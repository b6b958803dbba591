#include "write-api/product_store.h"
#include "core/cleanup.h"
#include <stdio.h>

#define _cleanup_bson_ _cleanup_(bson_destroy)
DEFINE_CLEANUP(mongoc_cursor_t *, mongoc_cursor_destroy);
DEFINE_CLEANUP(mongoc_find_and_modify_opts_t *, mongoc_find_and_modify_opts_destroy);

enum { PUT_ATTEMPTS = 8 };

static void append_id(bson_t *selector, struct slice id) {
    bson_append_utf8(selector, "_id", 3, id.data, (int)id.len);
}

static void append_version(bson_t *selector, const struct precondition *match) {
    if (!match->present || match->any)
        return;
    bson_t in, list;
    BSON_APPEND_DOCUMENT_BEGIN(selector, "version", &in);
    BSON_APPEND_ARRAY_BEGIN(&in, "$in", &list);
    for (unsigned i = 0; i < match->count; i++) {
        char text[16];
        const char *key;
        size_t len = bson_uint32_to_string(i, &key, text, sizeof(text));
        bson_append_int64(&list, key, (int)len, match->versions[i]);
    }
    bson_append_array_end(&in, &list);
    bson_append_document_end(selector, &in);
}

/* ---- errors ---------------------------------------------------------------------------------------------- */

void product_conflict_read(const bson_t *error, struct product_conflict *ret) {
    bson_iter_t it, inner;
    *ret = (struct product_conflict){0};
    if (!bson_iter_init_find(&it, error, "keyValue") || !bson_iter_recurse(&it, &inner) || !bson_iter_next(&inner))
        return;
    ret->sku = strcmp(bson_iter_key(&inner), "variants.sku") == 0;
    if (BSON_ITER_HOLDS_UTF8(&inner))
        snprintf(ret->value, sizeof(ret->value), "%s", bson_iter_utf8(&inner, NULL));
}

/* The first entry of writeErrors in a reply, or the reply itself for commands that fail as a whole. */
static void read_conflict(const bson_t *reply, struct product_conflict *ret) {
    bson_iter_t it, list;
    bson_t error;
    const uint8_t *data;
    uint32_t len;
    if (bson_iter_init_find(&it, reply, "writeErrors") && bson_iter_recurse(&it, &list) && bson_iter_next(&list) &&
        BSON_ITER_HOLDS_DOCUMENT(&list)) {
        bson_iter_document(&list, &len, &data);
        if (bson_init_static(&error, data, len))
            product_conflict_read(&error, ret);
        return;
    }
    product_conflict_read(reply, ret);
}

static enum store_result failed(const char *what, const bson_error_t *e, const bson_t *reply,
                                struct product_conflict *ret_conflict, struct error *reterr) {
    struct error error = {0};
    mongo_error(what, e, reply, &error);
    if (error.code == ERROR_CONFLICT && ret_conflict) {
        read_conflict(reply, ret_conflict);
        return STORE_CONFLICT;
    }
    if (reterr)
        *reterr = error;
    return STORE_FAILED;
}

/* ---- reading --------------------------------------------------------------------------------------------- */

enum store_result product_store_get(struct session *s, struct slice id, bson_t *ret_product, struct error *reterr) {
    _cleanup_bson_ bson_t selector = BSON_INITIALIZER, opts = BSON_INITIALIZER;
    append_id(&selector, id);
    BSON_APPEND_INT32(&opts, "limit", 1);
    BSON_APPEND_BOOL(&opts, "singleBatch", true);
    _cleanup_(mongoc_cursor_destroyp) mongoc_cursor_t *cursor =
        mongoc_collection_find_with_opts(s->products, &selector, &opts, NULL);
    const bson_t *found;
    bson_error_t e;
    if (mongoc_cursor_next(cursor, &found)) {
        bson_copy_to(found, ret_product);
        return STORE_DONE;
    }
    if (!mongoc_cursor_error(cursor, &e))
        return STORE_MISSING;
    return failed("find product", &e, NULL, NULL, reterr);
}

bool product_store_has_category(struct session *s, uint32_t id, bool *ret, struct error *reterr) {
    _cleanup_bson_ bson_t selector = BSON_INITIALIZER, opts = BSON_INITIALIZER, projection;
    BSON_APPEND_INT64(&selector, "categories", id);
    BSON_APPEND_INT32(&opts, "limit", 1);
    BSON_APPEND_BOOL(&opts, "singleBatch", true);
    BSON_APPEND_DOCUMENT_BEGIN(&opts, "projection", &projection);
    BSON_APPEND_INT32(&projection, "_id", 1);
    bson_append_document_end(&opts, &projection);
    _cleanup_(mongoc_cursor_destroyp) mongoc_cursor_t *cursor =
        mongoc_collection_find_with_opts(s->products, &selector, &opts, NULL);
    const bson_t *found;
    bson_error_t e;
    *ret = mongoc_cursor_next(cursor, &found);
    if (!*ret && mongoc_cursor_error(cursor, &e))
        return mongo_error("find products of category", &e, NULL, reterr);
    return true;
}

/* ---- writing --------------------------------------------------------------------------------------------- */

enum store_result product_store_insert(struct session *s, const bson_t *product, struct product_conflict *ret_conflict,
                                       struct error *reterr) {
    _cleanup_bson_ bson_t opts = BSON_INITIALIZER;
    bson_t reply;
    bson_error_t e;
    BSON_APPEND_BOOL(&opts, "validate", false); /* product_from_json has done it */
    bool ok = mongoc_collection_insert_one(s->products, product, &opts, &reply, &e);
    enum store_result result = ok ? STORE_CREATED : failed("insert product", &e, &reply, ret_conflict, reterr);
    bson_destroy(&reply);
    return result;
}

/* {version: {$add: [{$ifNull: ["$version", 0]}, 1]}, created_at: {$ifNull: ["$created_at", <product's>]}} */
static void append_carried_over(const bson_t *product, bson_t *out) {
    bson_t add, terms, old;
    BSON_APPEND_DOCUMENT_BEGIN(out, "version", &add);
    BSON_APPEND_ARRAY_BEGIN(&add, "$add", &terms);
    bson_t first;
    BSON_APPEND_DOCUMENT_BEGIN(&terms, "0", &first);
    BSON_APPEND_ARRAY_BEGIN(&first, "$ifNull", &old);
    BSON_APPEND_UTF8(&old, "0", "$version");
    BSON_APPEND_INT64(&old, "1", 0);
    bson_append_array_end(&first, &old);
    bson_append_document_end(&terms, &first);
    BSON_APPEND_INT64(&terms, "1", 1);
    bson_append_array_end(&add, &terms);
    bson_append_document_end(out, &add);

    bson_t created, pair;
    bson_iter_t it;
    BSON_APPEND_DOCUMENT_BEGIN(out, "created_at", &created);
    BSON_APPEND_ARRAY_BEGIN(&created, "$ifNull", &pair);
    BSON_APPEND_UTF8(&pair, "0", "$created_at");
    if (bson_iter_init_find(&it, product, "created_at"))
        BSON_APPEND_DATE_TIME(&pair, "1", bson_iter_date_time(&it));
    bson_append_array_end(&created, &pair);
    bson_append_document_end(out, &created);
}

/* [{$replaceWith: {$mergeObjects: [{$literal: product}, {version: ..., created_at: ...}]}}]
 * $literal: a text of the product that begins with '$' is a text, not a field of the old document. */
void product_store_put_pipeline(const bson_t *product, bson_t *pipeline) {
    bson_t stage, replace, list, literal, carried;
    BSON_APPEND_DOCUMENT_BEGIN(pipeline, "0", &stage);
    BSON_APPEND_DOCUMENT_BEGIN(&stage, "$replaceWith", &replace);
    BSON_APPEND_ARRAY_BEGIN(&replace, "$mergeObjects", &list);
    BSON_APPEND_DOCUMENT_BEGIN(&list, "0", &literal);
    BSON_APPEND_DOCUMENT(&literal, "$literal", product);
    bson_append_document_end(&list, &literal);
    BSON_APPEND_DOCUMENT_BEGIN(&list, "1", &carried);
    append_carried_over(product, &carried);
    bson_append_document_end(&list, &carried);
    bson_append_array_end(&replace, &list);
    bson_append_document_end(&stage, &replace);
    bson_append_document_end(pipeline, &stage);
}

/* STORE_DONE or STORE_CREATED with the new document, STORE_MISSING. */
static enum store_result read_modified(const bson_t *reply, bson_t *ret_product) {
    bson_iter_t it, value, existing;
    bson_t found;
    const uint8_t *data;
    uint32_t len;
    if (!bson_iter_init_find(&value, reply, "value") || !BSON_ITER_HOLDS_DOCUMENT(&value))
        return STORE_MISSING;
    bson_iter_document(&value, &len, &data);
    if (!bson_init_static(&found, data, len))
        return STORE_MISSING;
    bson_copy_to(&found, ret_product);
    bool updated = bson_iter_init(&it, reply) &&
                   bson_iter_find_descendant(&it, "lastErrorObject.updatedExisting", &existing) &&
                   bson_iter_as_bool(&existing);
    return updated ? STORE_DONE : STORE_CREATED;
}

static enum store_result put_once(struct session *s, const bson_t *selector,
                                  const mongoc_find_and_modify_opts_t *opts, bson_t *ret_product,
                                  struct product_conflict *ret_conflict, struct error *reterr) {
    bson_t reply;
    bson_error_t e;
    bool ok = mongoc_collection_find_and_modify_with_opts(s->products, selector, opts, &reply, &e);
    enum store_result result = ok ? read_modified(&reply, ret_product)
                                  : failed("replace product", &e, &reply, ret_conflict, reterr);
    bson_destroy(&reply);
    return result;
}

enum store_result product_store_put(struct session *s, struct slice id, const bson_t *product,
                                    const struct precondition *match, bson_t *ret_product,
                                    struct product_conflict *ret_conflict, struct error *reterr) {
    _cleanup_bson_ bson_t selector = BSON_INITIALIZER, pipeline = BSON_INITIALIZER;
    _cleanup_(mongoc_find_and_modify_opts_destroyp) mongoc_find_and_modify_opts_t *opts =
        mongoc_find_and_modify_opts_new();
    append_id(&selector, id);
    append_version(&selector, match);
    product_store_put_pipeline(product, &pipeline);
    mongoc_find_and_modify_opts_set_update(opts, &pipeline);
    mongoc_find_and_modify_opts_set_flags(
        opts, MONGOC_FIND_AND_MODIFY_RETURN_NEW | (match->present ? 0 : MONGOC_FIND_AND_MODIFY_UPSERT));
    enum store_result result = STORE_CONFLICT;
    /* Two upserts of one new id: the loser gets a duplicate key and finds the product at its next attempt. */
    for (int i = 0; i < PUT_ATTEMPTS && result == STORE_CONFLICT; i++) {
        result = put_once(s, &selector, opts, ret_product, ret_conflict, reterr);
        if (result == STORE_CONFLICT && ret_conflict->sku)
            break;
    }
    return result;
}

enum store_result product_store_replace(struct session *s, struct slice id, int64_t version, const bson_t *product,
                                        struct product_conflict *ret_conflict, struct error *reterr) {
    _cleanup_bson_ bson_t selector = BSON_INITIALIZER, opts = BSON_INITIALIZER;
    bson_t reply, absent;
    bson_error_t e;
    bson_iter_t it;
    append_id(&selector, id);
    if (version) {
        BSON_APPEND_INT64(&selector, "version", version);
    } else {
        BSON_APPEND_DOCUMENT_BEGIN(&selector, "version", &absent);
        BSON_APPEND_BOOL(&absent, "$exists", false);
        bson_append_document_end(&selector, &absent);
    }
    BSON_APPEND_BOOL(&opts, "validate", false);
    enum store_result result;
    if (!mongoc_collection_replace_one(s->products, &selector, product, &opts, &reply, &e))
        result = failed("replace product", &e, &reply, ret_conflict, reterr);
    else
        result = bson_iter_init_find(&it, &reply, "matchedCount") && bson_iter_as_int64(&it) > 0 ? STORE_DONE
                                                                                                : STORE_MISSING;
    bson_destroy(&reply);
    return result;
}

enum store_result product_store_delete(struct session *s, struct slice id, const struct precondition *match,
                                       struct error *reterr) {
    _cleanup_bson_ bson_t selector = BSON_INITIALIZER;
    bson_t reply;
    bson_error_t e;
    bson_iter_t it;
    append_id(&selector, id);
    append_version(&selector, match);
    enum store_result result;
    if (!mongoc_collection_delete_one(s->products, &selector, NULL, &reply, &e))
        result = failed("delete product", &e, &reply, NULL, reterr);
    else
        result = bson_iter_init_find(&it, &reply, "deletedCount") && bson_iter_as_int64(&it) > 0 ? STORE_DONE
                                                                                                : STORE_MISSING;
    bson_destroy(&reply);
    return result;
}
