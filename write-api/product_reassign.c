/* Products of a category that is going away. */
#include "core/cleanup.h"
#include "core/clock.h"
#include "write-api/product_store.h"
#include <inttypes.h>

DEFINE_CLEANUP(mongoc_cursor_t *, mongoc_cursor_destroy);

enum { BATCH = 1000, JSON_MAX = 2048 };

/* Elements stay in order; an element that would stand twice is left out. */
static const char replace_json[] =
    "{\"$reduce\":{\"input\":\"$categories\",\"initialValue\":[],\"in\":{\"$let\":{"
    "\"vars\":{\"c\":{\"$cond\":[{\"$eq\":[\"$$this\",%" PRIu32 "]},{\"$toLong\":%" PRIu32 "},\"$$this\"]}},"
    "\"in\":{\"$cond\":[{\"$in\":[\"$$c\",\"$$value\"]},\"$$value\",{\"$concatArrays\":[\"$$value\",[\"$$c\"]]}]}}}}}";
static const char remove_json[] =
    "{\"$filter\":{\"input\":\"$categories\",\"cond\":{\"$ne\":[\"$$this\",%" PRIu32 "]}}}";

/* The primary category follows; where it is removed, the first one left takes its place, or the field goes. */
static const char tail_json[] =
    "[{\"$set\":{\"categories\":%s}},{\"$set\":{"
    "\"primary_category_id\":{\"$cond\":[{\"$eq\":[\"$primary_category_id\",%" PRIu32 "]},%s,"
    "{\"$ifNull\":[\"$primary_category_id\",\"$$REMOVE\"]}]},"
    "\"version\":{\"$add\":[{\"$ifNull\":[\"$version\",{\"$toLong\":0}]},{\"$toLong\":1}]},"
    "\"updated_at\":{\"$toDate\":{\"$toLong\":\"%" PRId64 "\"}}}}]";

static bool make_pipeline(uint32_t from, uint32_t to, bson_t *ret, struct error *reterr) {
    struct buf list = BUF_INIT(JSON_MAX), primary = BUF_INIT(JSON_MAX), text = BUF_INIT(JSON_MAX);
    bson_error_t e;
    if (to) {
        buf_printf(&list, replace_json, from, to);
        buf_printf(&primary, "{\"$toLong\":%" PRIu32 "}", to);
    } else {
        buf_printf(&list, remove_json, from);
        buf_append_str(&primary, "{\"$ifNull\":[{\"$arrayElemAt\":[\"$categories\",0]},\"$$REMOVE\"]}");
    }
    bool ok = buf_ok(&list) && buf_ok(&primary) &&
              buf_printf(&text, tail_json, list.data, from, primary.data, clock_wall_usec() / 1000) &&
              bson_init_from_json(ret, text.data, (ssize_t)text.len, &e);
    buf_done(&list);
    buf_done(&primary);
    buf_done(&text);
    return ok || error_set(reterr, ERROR_INTERNAL, "the update of a category's products could not be built");
}

/* Appends the ids of up to BATCH products of the category to `ids` ({"0": ..., "1": ...}). */
static bool find_batch(struct session *s, uint32_t category, bson_t *ids, uint32_t *ret_count, struct error *reterr) {
    _cleanup_(bson_destroy) bson_t selector = BSON_INITIALIZER, opts = BSON_INITIALIZER;
    bson_t projection;
    const bson_t *found;
    bson_iter_t it;
    bson_error_t e;
    BSON_APPEND_INT64(&selector, "categories", category);
    BSON_APPEND_INT32(&opts, "limit", BATCH);
    BSON_APPEND_DOCUMENT_BEGIN(&opts, "projection", &projection);
    BSON_APPEND_INT32(&projection, "_id", 1);
    bson_append_document_end(&opts, &projection);
    _cleanup_(mongoc_cursor_destroyp) mongoc_cursor_t *cursor =
        mongoc_collection_find_with_opts(s->products, &selector, &opts, NULL);
    uint32_t count = 0;
    while (mongoc_cursor_next(cursor, &found)) {
        char text[16];
        const char *key;
        size_t len = bson_uint32_to_string(count, &key, text, sizeof(text));
        if (bson_iter_init_find(&it, found, "_id") && bson_append_iter(ids, key, (int)len, &it))
            count++;
    }
    if (mongoc_cursor_error(cursor, &e))
        return mongo_error("find products of category", &e, NULL, reterr);
    *ret_count = count;
    return true;
}

static bool update_batch(struct session *s, uint32_t from, const bson_t *ids, const bson_t *pipeline,
                         struct error *reterr) {
    _cleanup_(bson_destroy) bson_t selector = BSON_INITIALIZER, reply = BSON_INITIALIZER;
    bson_t in;
    bson_error_t e;
    BSON_APPEND_DOCUMENT_BEGIN(&selector, "_id", &in);
    BSON_APPEND_ARRAY(&in, "$in", ids);
    bson_append_document_end(&selector, &in);
    BSON_APPEND_INT64(&selector, "categories", from);
    bson_destroy(&reply);
    return mongoc_collection_update_many(s->products, &selector, pipeline, NULL, &reply, &e) ||
           mongo_error("reassign products of category", &e, &reply, reterr);
}

bool product_store_reassign(struct session *s, uint32_t from, uint32_t to, uint64_t *ret_count, struct error *reterr) {
    *ret_count = 0;
    for (;;) {
        _cleanup_(bson_destroy) bson_t ids = BSON_INITIALIZER, pipeline = BSON_INITIALIZER;
        uint32_t count = 0;
        if (!find_batch(s, from, &ids, &count, reterr))
            return false;
        if (count == 0)
            return true;
        bson_destroy(&pipeline);
        if (!make_pipeline(from, to, &pipeline, reterr)) {
            bson_init(&pipeline);
            return false;
        }
        if (!update_batch(s, from, &ids, &pipeline, reterr))
            return false;
        *ret_count += count;
    }
}
