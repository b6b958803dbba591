#include "core/utf8.h"
#include "projector/engine/dead_letter.h"
#include "projector/state.h"

enum { DOCUMENT_MAX = 1 << 20, REMOVALS_AT_ONCE = 1000 };

/* The words of a shell that replay it. */
static void write_replay(struct buf *out, struct slice id) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/@%+,=-";
    bool quoted = false;
    for (size_t i = 0; i < id.len; i++)
        quoted = quoted || !id.data[i] || !strchr(plain, id.data[i]);
    buf_append_str(out, "projector dead-letters replay ");
    if (id.len && id.data[0] == '-')
        buf_append_str(out, "-- ");
    if (quoted)
        buf_append_char(out, '\'');
    for (size_t i = 0; i < id.len; i++)
        if (id.data[i] == '\'')
            buf_append_str(out, "'\\''");
        else
            buf_append_char(out, id.data[i]);
    if (quoted)
        buf_append_char(out, '\'');
}

/* What makes a letter another one. */
static void append_identity(bson_t *out, const struct dead_letter *letter) {
    BSON_APPEND_UTF8(out, "index", letter->index);
    BSON_APPEND_UTF8(out, "reason", letter->reason);
    BSON_APPEND_INT32(out, "status", letter->status);
    BSON_APPEND_INT64(out, "content_hash", (int64_t)letter->content_hash);
}

static void write_letter(bson_t *update, const struct dead_letter *letter) {
    bson_t set;
    struct buf replay = BUF_INIT(1024);
    write_replay(&replay, letter->id);
    BSON_APPEND_DOCUMENT_BEGIN(update, "$set", &set);
    append_identity(&set, letter);
    BSON_APPEND_INT64(&set, "version", (int64_t)letter->version);
    BSON_APPEND_INT64(&set, "epoch", (int64_t)letter->epoch);
    BSON_APPEND_UTF8(&set, "replay", buf_ok(&replay) ? replay.data : "projector dead-letters replay");
    if (letter->document.len) {
        size_t len = utf8_cut(letter->document.data, letter->document.len, DOCUMENT_MAX);
        bson_append_utf8(&set, "document", -1, letter->document.data, (int)len);
        BSON_APPEND_UTF8(&set, "document_is", letter->document_is_product ? "product" : "document");
    }
    bson_append_document_end(update, &set);
    if (!letter->document.len) /* one of an earlier failure says nothing about this one */
        BCON_APPEND(update, "$unset", "{", "document", "", "document_is", "", "}");
    BCON_APPEND(update, "$inc", "{", "times", BCON_INT64(1), "}", "$currentDate", "{", "last_at", BCON_BOOL(true), "}",
                "$setOnInsert", "{", "first_at", BCON_DATE_TIME(clock_wall_usec() / 1000), "}");
    buf_done(&replay);
}

bool dead_letter_store(mongoc_client_t *client, const char *database, const struct dead_letter *letter, bool *ret_new,
                       struct error *reterr) {
    bson_t query = BSON_INITIALIZER, same = BSON_INITIALIZER, update = BSON_INITIALIZER;
    int64_t matched = 0;
    bson_append_utf8(&query, "_id", -1, letter->id.data, (int)letter->id.len);
    bson_append_utf8(&same, "_id", -1, letter->id.data, (int)letter->id.len);
    append_identity(&same, letter);
    write_letter(&update, letter);
    bool ok = state_update(client, database, DEAD_LETTER_COLLECTION, &same, &update, false, &matched, reterr);
    if (ok && matched == 0)
        ok = state_update(client, database, DEAD_LETTER_COLLECTION, &query, &update, true, NULL, reterr);
    *ret_new = ok && matched == 0;
    bson_destroy(&query);
    bson_destroy(&same);
    bson_destroy(&update);
    return ok;
}

bool dead_letter_list(mongoc_client_t *client, const char *database, size_t max,
                      bool (*fn)(void *ctx, struct slice id), void *ctx, struct error *reterr) {
    mongoc_collection_t *c = mongoc_client_get_collection(client, database, DEAD_LETTER_COLLECTION);
    bson_t query = BSON_INITIALIZER;
    bson_t *opts = BCON_NEW("projection", "{", "_id", BCON_INT32(1), "}", "limit", BCON_INT64((int64_t)max));
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(c, &query, opts, NULL);
    const bson_t *doc;
    bson_error_t error;
    bool go = true;
    while (go && mongoc_cursor_next(cursor, &doc)) {
        bson_iter_t at;
        uint32_t len;
        if (!bson_iter_init_find(&at, doc, "_id") || !BSON_ITER_HOLDS_UTF8(&at))
            continue;
        const char *id = bson_iter_utf8(&at, &len);
        go = fn(ctx, (struct slice){id, len});
    }
    bool failed = mongoc_cursor_error(cursor, &error);
    mongoc_cursor_destroy(cursor);
    mongoc_collection_destroy(c);
    bson_destroy(opts);
    bson_destroy(&query);
    return failed ? mongo_error("list dead letters", &error, NULL, reterr) : true;
}

bool dead_letter_pack(struct buf *out, struct slice id, uint64_t version) {
    uint8_t len = (uint8_t)id.len;
    buf_append(out, &version, sizeof(version));
    buf_append(out, &len, 1);
    return buf_append(out, id.data, id.len);
}

static void append_removal(bson_t *list, uint32_t n, struct slice id, uint64_t version) {
    char scratch[16];
    const char *key;
    size_t key_len = bson_uint32_to_string(n, &key, scratch, sizeof(scratch));
    bson_t each, query;
    bson_append_document_begin(list, key, (int)key_len, &each);
    BSON_APPEND_DOCUMENT_BEGIN(&each, "q", &query);
    bson_append_utf8(&query, "_id", -1, id.data, (int)id.len);
    BCON_APPEND(&query, "version", "{", "$lte", BCON_INT64((int64_t)version), "}");
    bson_append_document_end(&each, &query);
    BSON_APPEND_INT32(&each, "limit", 1);
    bson_append_document_end(list, &each);
}

bool dead_letter_remove(mongoc_client_t *client, const char *database, struct slice packed, struct error *reterr) {
    const char *p = packed.data, *end = packed.data + packed.len;
    bool ok = true;
    while (ok && p < end) {
        bson_t command = BSON_INITIALIZER, list;
        BSON_APPEND_UTF8(&command, "delete", DEAD_LETTER_COLLECTION);
        BSON_APPEND_BOOL(&command, "ordered", false);
        BSON_APPEND_ARRAY_BEGIN(&command, "deletes", &list);
        for (uint32_t n = 0; p < end && n < REMOVALS_AT_ONCE; n++) {
            uint64_t version;
            memcpy(&version, p, sizeof(version));
            uint8_t len = (uint8_t)p[sizeof(version)];
            p += sizeof(version) + 1;
            append_removal(&list, n, (struct slice){p, len}, version);
            p += len;
        }
        bson_append_array_end(&command, &list);
        ok = state_command(client, database, &command, "remove dead letters", NULL, reterr);
        bson_destroy(&command);
    }
    return ok;
}
