#include "core/cleanup.h"
#include "core/json_write.h"
#include "core/utf8.h"
#include "projector/jobs/job_scan.h"
#include <stdlib.h>

enum {
    ANSWER_MAX_BYTES = 32 << 20,
    ARENA_MAX_BYTES = 64 << 20,
    COUNT_MSEC = 1000,
};

static void append_concern(bson_t *command, uint64_t after) {
    bson_t concern;
    BSON_APPEND_DOCUMENT_BEGIN(command, "readConcern", &concern);
    BSON_APPEND_UTF8(&concern, "level", "majority");
    if (after)
        BSON_APPEND_TIMESTAMP(&concern, "afterClusterTime", (uint32_t)(after >> 32), (uint32_t)after);
    bson_append_document_end(command, &concern);
}

/* The least bytes behind all that begin with the cursor's; false: there are none. */
static bool behind_prefix(const struct job_cursor *cursor, struct job_cursor *ret) {
    *ret = *cursor;
    while (ret->id_len && (unsigned char)ret->id[ret->id_len - 1] == 0xff)
        ret->id_len--;
    if (ret->id_len)
        ret->id[ret->id_len - 1]++;
    return ret->id_len > 0;
}

/* What begins with a full cursor and goes on is longer than any id of ours: a page of such ones is passed over. */
static void append_after(bson_t *id, const struct job_cursor *cursor) {
    struct job_cursor next;
    if (cursor->id_len == MARK_ID_MAX && behind_prefix(cursor, &next))
        bson_append_utf8(id, "$gte", -1, next.id, next.id_len);
    else
        bson_append_utf8(id, "$gt", -1, cursor->id, cursor->id_len);
}

static bool at_end(const struct job_cursor *cursor) {
    struct job_cursor next;
    return cursor->id_len == MARK_ID_MAX && !behind_prefix(cursor, &next);
}

static void build_page(bson_t *command, const int64_t *category, const struct job_cursor *cursor,
                       int64_t limit, uint64_t after) {
    bson_t filter, id;
    BSON_APPEND_UTF8(command, "find", STATE_PRODUCTS);
    BSON_APPEND_DOCUMENT_BEGIN(command, "filter", &filter);
    if (category)
        BSON_APPEND_INT64(&filter, "categories", *category);
    BSON_APPEND_DOCUMENT_BEGIN(&filter, "_id", &id);
    append_after(&id, cursor);
    bson_append_document_end(&filter, &id);
    bson_append_document_end(command, &filter);
    BCON_APPEND(command, "sort", "{", "_id", BCON_INT32(1), "}", "projection", "{", "_id", BCON_INT32(1), "}");
    BSON_APPEND_INT64(command, "limit", limit);
    BSON_APPEND_INT64(command, "batchSize", limit);
    BSON_APPEND_BOOL(command, "singleBatch", true);
    append_concern(command, after);
}

/* The first bytes of an id that is too long for one of ours are before the next one of ours as well. */
static void cursor_set(struct job_cursor *cursor, const char *id, size_t len) {
    len = len < MARK_ID_MAX ? len : MARK_ID_MAX;
    memcpy(cursor->id, id, len);
    cursor->id_len = (uint8_t)len;
}

bool job_scan_products(mongoc_client_t *client, const char *database, const int64_t *category,
                       uint64_t after, int64_t limit, struct job_cursor *cursor, struct segment *segment,
                       bool *ret_last, struct error *reterr) {
    bson_t command = BSON_INITIALIZER, reply;
    build_page(&command, category, cursor, limit, after);
    bool ok = state_command(client, database, &command, "scan products", &reply, reterr);
    bson_destroy(&command);
    bson_iter_t at, batch, each, id;
    int64_t count = 0;
    if (ok && bson_iter_init(&at, &reply) && bson_iter_find_descendant(&at, "cursor.firstBatch", &batch) &&
        bson_iter_recurse(&batch, &each)) {
        for (; bson_iter_next(&each); count++) {
            uint32_t len = 0;
            if (!bson_iter_recurse(&each, &id) || !bson_iter_find(&id, "_id") || !BSON_ITER_HOLDS_UTF8(&id))
                continue;
            const char *text = bson_iter_utf8(&id, &len);
            segment_add(segment, text, len, 0);
            cursor_set(cursor, text, len);
        }
    }
    segment->cluster_time = state_operation_time(&reply);
    *ret_last = count < limit || at_end(cursor);
    bson_destroy(&reply);
    return ok && !buf_ok(&segment->marks) ? error_nomem(reterr) : ok;
}

/* -- what the index has and the source has not -- */

/* As in append_after: what begins with a full cursor, which may end within a character, is not ours. */
static void append_place(struct buf *body, const struct job_cursor *cursor) {
    size_t len = cursor->id_len;
    if (!len)
        return;
    if (len == MARK_ID_MAX) {
        while (!utf8_valid(cursor->id, len))
            len--;
        buf_append_str(body, ",\"query\":{\"bool\":{\"must_not\":{\"prefix\":{\"id\":");
        json_append_string(body, cursor->id, len);
        buf_append_str(body, "}}}}");
    }
    buf_append_str(body, ",\"search_after\":[");
    json_append_string(body, cursor->id, len);
    buf_append_char(body, ']');
}

static bool index_page(const struct es_conf *es, const char *index, const struct job_cursor *cursor, int64_t limit,
                       struct arena *arena, const struct json **ret_hits, struct error *reterr) {
    _cleanup_(buf_done) struct buf body = BUF_INIT(4096);
    _cleanup_(buf_done) struct buf path = BUF_INIT(1024);
    _cleanup_(buf_done) struct buf answer = BUF_INIT(ANSWER_MAX_BYTES);
    buf_printf(&path, "/%s/_search?allow_partial_search_results=false&filter_path=hits.hits.sort", index);
    buf_printf(&body, "{\"size\":%lld,\"_source\":false,\"track_total_hits\":false,\"sort\":[{\"id\":\"asc\"}]",
               (long long)limit);
    append_place(&body, cursor);
    buf_append_char(&body, '}');
    if (!buf_ok(&body) || !buf_ok(&path))
        return error_nomem(reterr);
    if (!es_call(es, "POST", path.data, (struct slice){body.data, body.len}, 30 * USEC_PER_SEC, NULL, &answer, reterr))
        return false;
    const struct json *root = json_parse(arena, answer.data, answer.len, NULL, reterr);
    *ret_hits = root ? json_path(root, "hits.hits") : NULL;
    return root != NULL;
}

static void append_ids(bson_t *list, const struct json *hits) {
    uint32_t n = 0;
    for (const struct json *hit = hits ? hits->child : NULL; hit; hit = hit->next) {
        const struct json *sort = json_get(hit, "sort");
        if (!sort || !json_is(sort->child, JSON_STRING))
            continue;
        char scratch[16];
        const char *key;
        size_t len = bson_uint32_to_string(n++, &key, scratch, sizeof(scratch));
        bson_append_utf8(list, key, (int)len, sort->child->text.data, (int)sort->child->text.len);
    }
}

/* Both lists are in the order of their bytes: what the second lacks is an orphan. */
static void add_missing(const struct json *hits, bson_iter_t *found, struct segment *segment) {
    bson_iter_t id;
    const char *have = NULL;
    uint32_t have_len = 0;
    bool more = true;
    for (const struct json *hit = hits->child; hit; hit = hit->next) {
        const struct json *sort = json_get(hit, "sort");
        if (!sort || !json_is(sort->child, JSON_STRING))
            continue;
        struct slice want = sort->child->text;
        int order = 1;
        while (more) {
            if (have) {
                size_t len = have_len < want.len ? have_len : want.len;
                order = memcmp(have, want.data, len);
                if (order == 0)
                    order = have_len < want.len ? -1 : have_len > want.len;
                if (order >= 0)
                    break;
            }
            more = bson_iter_next(found);
            have = more && bson_iter_recurse(found, &id) && bson_iter_find(&id, "_id") && BSON_ITER_HOLDS_UTF8(&id)
                       ? bson_iter_utf8(&id, &have_len)
                       : NULL;
        }
        if (!more || !have || order > 0)
            segment_add(segment, want.data, want.len, 0);
    }
}

/* False: only documents without an id are left. */
static bool move_behind(const struct json *hits, struct job_cursor *cursor, size_t *ret_ours) {
    bool moved = false;
    for (const struct json *hit = hits->child; hit; hit = hit->next) {
        const struct json *sort = json_get(hit, "sort");
        if (!sort || !json_is(sort->child, JSON_STRING))
            continue;
        cursor_set(cursor, sort->child->text.data, sort->child->text.len);
        *ret_ours += mark_id_ok(sort->child->text);
        moved = true;
    }
    return moved;
}

static bool source_page(mongoc_client_t *client, const char *database, const struct json *hits, uint64_t after,
                        int64_t limit, bson_t *reply, struct error *reterr) {
    bson_t command = BSON_INITIALIZER, list = BSON_INITIALIZER;
    append_ids(&list, hits);
    BSON_APPEND_UTF8(&command, "find", STATE_PRODUCTS);
    BCON_APPEND(&command, "filter", "{", "_id", "{", "$in", BCON_ARRAY(&list), "}", "}", "sort", "{", "_id",
                BCON_INT32(1), "}", "projection", "{", "_id", BCON_INT32(1), "}");
    BSON_APPEND_INT64(&command, "batchSize", limit + 1);
    append_concern(&command, after);
    bool ok = state_command(client, database, &command, "look for products of the index", reply, reterr);
    bson_destroy(&command);
    bson_destroy(&list);
    return ok;
}

bool job_scan_orphans(mongoc_client_t *client, const char *database, const struct es_conf *es, const char *index,
                      uint64_t after, int64_t limit, struct job_cursor *cursor, struct segment *segment,
                      size_t *ret_seen, bool *ret_last, struct error *reterr) {
    struct arena arena;
    arena_init(&arena, ARENA_MAX_BYTES);
    const struct json *hits = NULL;
    *ret_seen = 0;
    *ret_last = true;
    bool ok = index_page(es, index, cursor, limit, &arena, &hits, reterr);
    if (ok && hits && hits->count > 0) {
        bson_t reply;
        bson_iter_t at, batch, found;
        ok = source_page(client, database, hits, after, limit, &reply, reterr);
        if (ok && bson_iter_init(&at, &reply) && bson_iter_find_descendant(&at, "cursor.firstBatch", &batch) &&
            bson_iter_recurse(&batch, &found)) {
            add_missing(hits, &found, segment);
            *ret_last = !move_behind(hits, cursor, ret_seen) || hits->count < (unsigned)limit;
        }
        segment->cluster_time = state_operation_time(&reply);
        bson_destroy(&reply);
    }
    arena_done(&arena);
    return ok && !buf_ok(&segment->marks) ? error_nomem(reterr) : ok;
}

int64_t job_scan_estimate(mongoc_client_t *client, const char *database) {
    mongoc_collection_t *c = mongoc_client_get_collection(client, database, STATE_PRODUCTS);
    int64_t n = mongoc_collection_estimated_document_count(c, NULL, NULL, NULL, NULL);
    mongoc_collection_destroy(c);
    return n > 0 ? n : 0;
}

int64_t job_scan_count(mongoc_client_t *client, const char *database, int64_t category) {
    bson_t *command = BCON_NEW("count", STATE_PRODUCTS, "query", "{", "categories", BCON_INT64(category), "}", "maxTimeMS",
                               BCON_INT32(COUNT_MSEC));
    bson_t reply;
    bool ok = state_command(client, database, command, "count products", &reply, &(struct error){0});
    int64_t n = ok ? state_i64(&reply, "n") : -1;
    bson_destroy(command);
    bson_destroy(&reply);
    return n;
}
