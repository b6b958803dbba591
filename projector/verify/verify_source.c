#include "core/cleanup.h"
#include "projector/compose/category_load.h"
#include "projector/engine/dead_letter.h"
#include "projector/engine/load.h"
#include "projector/engine/mark.h"
#include "projector/state.h"
#include "projector/verify/verify_ids.h"
#include "projector/verify/verify_source.h"
#include <stdlib.h>

enum {
    ARENA_MAX_BYTES = 64 << 20,
    DOCUMENT_KEEP_BYTES = 1 << 20,
};

struct verify_source {
    struct verify_source_conf conf;
    mongoc_client_t *client;
    struct mysql_session *mysql;
    struct composer *composer;
    struct category_tree *tree;
    struct load_rows rows;
    struct buf document;
};

/* -- the tree, one for all threads -- */

void verify_tree_init(struct verify_tree *shared) {
    shared->tree = NULL;
    pthread_mutex_init(&shared->lock, NULL);
}

void verify_tree_done(struct verify_tree *shared) {
    category_tree_unref(shared->tree);
    pthread_mutex_destroy(&shared->lock);
}

static bool number_row(void *ctx, char **columns, const unsigned long *lengths, unsigned count) {
    (void)lengths;
    if (count && columns[0])
        *(uint64_t *)ctx = strtoull(columns[0], NULL, 10);
    return false;
}

/* The tree as it is now. */
static bool tree_now(struct verify_source *s, struct error *reterr) {
    uint64_t revision = 0;
    if (!mysql_session_query(s->mysql, number_row, &revision, reterr, "SELECT revision FROM category_revision WHERE id = 1"))
        return false;
    if (s->tree && category_tree_revision(s->tree) == revision)
        return true;
    struct verify_tree *shared = s->conf.tree;
    bool ok = true;
    pthread_mutex_lock(&shared->lock);
    if (!shared->tree || category_tree_revision(shared->tree) < revision) {
        struct category_tree *fresh = category_load(s->mysql, NULL, reterr);
        ok = fresh != NULL;
        if (ok) {
            category_tree_unref(shared->tree);
            shared->tree = fresh;
        }
    }
    if (ok) {
        category_tree_unref(s->tree);
        s->tree = category_tree_ref(shared->tree);
    }
    pthread_mutex_unlock(&shared->lock);
    return ok;
}

/* -- sessions and pages -- */

struct verify_source *verify_source_new(const struct verify_source_conf *conf, struct error *reterr) {
    struct verify_source *s = calloc(1, sizeof(*s));
    if (!s) {
        error_nomem(reterr);
        return NULL;
    }
    s->conf = *conf;
    buf_init(&s->document, conf->document_max_bytes + COMPOSE_SLACK_BYTES);
    load_rows_init(&s->rows);
    s->mysql = mysql_session_new(conf->mysql, reterr);
    s->composer = s->mysql ? composer_new(conf->projection, reterr) : NULL;
    if (!s->composer) {
        verify_source_free(s);
        return NULL;
    }
    s->client = mongoc_client_pool_pop(conf->pool);
    return s;
}

void verify_source_free(struct verify_source *s) {
    if (!s)
        return;
    if (s->client)
        mongoc_client_pool_push(s->conf.pool, s->client);
    mysql_session_free(s->mysql);
    composer_free(s->composer);
    category_tree_unref(s->tree);
    load_rows_done(&s->rows);
    buf_done(&s->document);
    free(s);
}

mongoc_client_t *verify_source_client(struct verify_source *s) {
    return s->client;
}

struct mysql_session *verify_source_mysql(struct verify_source *s) {
    return s->mysql;
}

void verify_page_init(struct verify_page *page) {
    *page = (struct verify_page){0};
    arena_init(&page->arena, ARENA_MAX_BYTES);
}

static void drop_reply(struct verify_page *page) {
    if (page->has_reply)
        bson_destroy(&page->reply);
    page->has_reply = false;
}

void verify_page_done(struct verify_page *page) {
    drop_reply(page);
    free(page->items);
    free(page->reasons);
    arena_done(&page->arena);
}

static void page_begin(struct verify_page *page) {
    arena_reset(&page->arena);
    page->count = 0;
    page->cluster_time = 0;
}

/* -- reading products -- */

static void append_concern(bson_t *command) {
    bson_t concern;
    BSON_APPEND_DOCUMENT_BEGIN(command, "readConcern", &concern);
    BSON_APPEND_UTF8(&concern, "level", "majority");
    bson_append_document_end(command, &concern);
}

static bool run(struct verify_source *s, bson_t *command, const char *batch, struct verify_page *page,
                struct error *reterr) {
    drop_reply(page);
    page->products = page->named = 0;
    page->cursor_id = 0;
    page->last = page->last_named = (struct slice){0};
    bool ok = state_command(s->client, s->conf.database, command, "read products", &page->reply, reterr);
    page->has_reply = true;
    if (!ok)
        return false;
    bson_iter_t at, docs, walk, id;
    if (!bson_iter_init(&at, &page->reply) || !bson_iter_find_descendant(&at, batch, &docs) ||
        !BSON_ITER_HOLDS_ARRAY(&docs) || !bson_iter_recurse(&docs, &page->docs))
        return error_set(reterr, ERROR_UNAVAILABLE, "read products: the answer has no cursor");
    page->cursor_id = state_i64(&page->reply, "cursor.id");
    uint64_t time = state_operation_time(&page->reply);
    page->cluster_time = time > page->cluster_time ? time : page->cluster_time;
    for (walk = page->docs; bson_iter_next(&walk);) {
        uint32_t len = 0;
        if (!bson_iter_recurse(&walk, &id) || !bson_iter_find(&id, "_id") || !BSON_ITER_HOLDS_UTF8(&id))
            continue;
        const char *text = bson_iter_utf8(&id, &len);
        page->last = (struct slice){text, len};
        page->products++;
        if (mark_id_ok(page->last)) {
            page->last_named = page->last;
            page->named++;
        }
    }
    return true;
}

bool verify_source_read(struct verify_source *s, struct slice after, int64_t limit, int64_t since_msec,
                        struct verify_page *page, struct error *reterr) {
    bson_t command = BSON_INITIALIZER, filter, id, since;
    page_begin(page);
    BSON_APPEND_UTF8(&command, "find", STATE_PRODUCTS);
    BSON_APPEND_DOCUMENT_BEGIN(&command, "filter", &filter);
    BSON_APPEND_DOCUMENT_BEGIN(&filter, "_id", &id);
    bson_append_utf8(&id, "$gt", -1, after.len ? after.data : "", (int)after.len);
    bson_append_document_end(&filter, &id);
    if (since_msec) {
        BSON_APPEND_DOCUMENT_BEGIN(&filter, "updated_at", &since);
        BSON_APPEND_DATE_TIME(&since, "$gte", since_msec);
        bson_append_document_end(&filter, &since);
    }
    bson_append_document_end(&command, &filter);
    BCON_APPEND(&command, "sort", "{", "_id", BCON_INT32(1), "}");
    BSON_APPEND_INT64(&command, "limit", limit);
    BSON_APPEND_INT64(&command, "batchSize", limit);
    BSON_APPEND_BOOL(&command, "singleBatch", true);
    if (!since_msec) /* a page of many that match nothing may take its time */
        BSON_APPEND_INT64(&command, "maxTimeMS", (int64_t)(s->conf.timeout_usec / USEC_PER_MSEC));
    append_concern(&command);
    bool ok = run(s, &command, "cursor.firstBatch", page, reterr);
    bson_destroy(&command);
    return ok;
}

static void append_ids(bson_t *list, const struct slice *ids, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char scratch[16];
        const char *key;
        size_t key_len = bson_uint32_to_string((uint32_t)i, &key, scratch, sizeof(scratch));
        bson_append_utf8(list, key, (int)key_len, ids[i].data, (int)ids[i].len);
    }
}

bool verify_source_find(struct verify_source *s, const struct slice *ids, size_t count, struct verify_page *page,
                        struct error *reterr) {
    bson_t command = BSON_INITIALIZER, filter, id, in;
    page_begin(page);
    BSON_APPEND_UTF8(&command, "find", STATE_PRODUCTS);
    BSON_APPEND_DOCUMENT_BEGIN(&command, "filter", &filter);
    BSON_APPEND_DOCUMENT_BEGIN(&filter, "_id", &id);
    BSON_APPEND_ARRAY_BEGIN(&id, "$in", &in);
    append_ids(&in, ids, count);
    bson_append_array_end(&id, &in);
    bson_append_document_end(&filter, &id);
    bson_append_document_end(&command, &filter);
    BCON_APPEND(&command, "sort", "{", "_id", BCON_INT32(1), "}");
    BSON_APPEND_INT64(&command, "batchSize", (int64_t)count + 1);
    BSON_APPEND_INT64(&command, "maxTimeMS", (int64_t)(s->conf.timeout_usec / USEC_PER_MSEC));
    append_concern(&command);
    bool ok = run(s, &command, "cursor.firstBatch", page, reterr);
    bson_destroy(&command);
    return ok;
}

bool verify_source_more(struct verify_source *s, struct verify_page *page, struct error *reterr) {
    bson_t command = BSON_INITIALIZER;
    BSON_APPEND_INT64(&command, "getMore", page->cursor_id);
    BSON_APPEND_UTF8(&command, "collection", STATE_PRODUCTS);
    bool ok = run(s, &command, "cursor.nextBatch", page, reterr);
    bson_destroy(&command);
    return ok;
}

/* -- composing -- */

static bool room(struct verify_page *page) {
    size_t need = page->count + page->products;
    if (need <= page->capacity)
        return true;
    struct verify_item *items = realloc(page->items, need * sizeof(*items));
    if (items)
        page->items = items;
    const char **reasons = items ? realloc(page->reasons, need * sizeof(*reasons)) : NULL;
    if (!reasons)
        return false;
    page->reasons = reasons;
    page->capacity = need;
    return true;
}

/* A product that no write could name has no document: it is passed over. */
static bool compose_one(struct verify_source *s, struct verify_page *page, const bson_t *product, struct error *reterr) {
    struct slice id;
    if (!compose_product_id(product, &id) || !mark_id_ok(id))
        return true;
    struct compose_input input = {.product = product, .categories = s->tree, .stock = &s->rows.stock,
                                  .skip_unknown_categories = true, .signals = signal_rows_get(&s->rows.signals, id),
                                  .bytes_max = s->conf.document_max_bytes};
    struct compose_result result;
    struct error why = {0};
    buf_reset(&s->document);
    enum compose_status status = compose_product(s->composer, &input, &s->document, &result, &why);
    if (status == COMPOSE_NOMEM)
        return error_nomem(reterr);
    char *copy = arena_strndup(&page->arena, id.data, id.len);
    if (!copy)
        return error_nomem(reterr);
    page->reasons[page->count] = NULL;
    if (status == COMPOSE_OK) {
        page->items[page->count++] = (struct verify_item){{copy, id.len}, VERIFY_PRESENT, result.content_hash};
        return true;
    }
    page->reasons[page->count] = arena_strdup(&page->arena, why.message);
    page->items[page->count++] = (struct verify_item){{copy, id.len}, VERIFY_BAD, 0};
    return true;
}

bool verify_source_compose(struct verify_source *s, struct verify_page *page, struct error *reterr) {
    bson_iter_t walk = page->docs;
    bson_t product;
    struct slice id;
    if (page->products == 0)
        return true;
    if (!room(page))
        return error_nomem(reterr);
    load_rows_reset(&s->rows);
    while (load_next_product(&walk, &product))
        if (compose_product_id(&product, &id) && !load_rows_want(&s->rows, &product, id))
            return error_nomem(reterr);
    if (!tree_now(s, reterr) || !load_rows_read(&s->rows, s->mysql, reterr))
        return false;
    size_t before = page->count;
    for (walk = page->docs; load_next_product(&walk, &product);)
        if (!compose_one(s, page, &product, reterr)) {
            page->count = before;
            return false;
        }
    buf_reset(&s->document);
    buf_shrink(&s->document, DOCUMENT_KEEP_BYTES);
    return true;
}

/* -- the rest -- */

bool verify_source_sample(struct verify_source *s, int64_t n, struct verify_ids *ret, struct error *reterr) {
    bson_t command = BSON_INITIALIZER, reply;
    BCON_APPEND(&command, "aggregate", STATE_PRODUCTS, "pipeline", "[", "{", "$sample", "{", "size", BCON_INT64(n), "}",
                "}", "{", "$project", "{", "_id", BCON_INT32(1), "}", "}", "]");
    BCON_APPEND(&command, "cursor", "{", "batchSize", BCON_INT64(n + 1), "}");
    append_concern(&command);
    bool ok = state_command(s->client, s->conf.database, &command, "choose products", &reply, reterr);
    bson_iter_t at, docs, each, id;
    if (ok && bson_iter_init(&at, &reply) && bson_iter_find_descendant(&at, "cursor.firstBatch", &docs) &&
        bson_iter_recurse(&docs, &each))
        while (ok && bson_iter_next(&each)) {
            uint32_t len = 0;
            if (!bson_iter_recurse(&each, &id) || !bson_iter_find(&id, "_id") || !BSON_ITER_HOLDS_UTF8(&id))
                continue;
            const char *text = bson_iter_utf8(&id, &len);
            if (mark_id_ok((struct slice){text, len}))
                ok = verify_ids_add(ret, (struct slice){text, len}) || error_nomem(reterr);
        }
    bson_destroy(&reply);
    bson_destroy(&command);
    return ok;
}

bool verify_source_queue_id(struct verify_source *s, uint64_t *ret, struct error *reterr) {
    *ret = 0;
    return mysql_session_query(s->mysql, number_row, ret, reterr, "SELECT MAX(id) FROM projection_queue");
}

bool verify_source_dead(struct verify_source *s, const struct slice *ids, size_t count,
                        void (*fn)(void *ctx, struct slice id, const char *reason), void *ctx, struct error *reterr) {
    bson_t list = BSON_INITIALIZER;
    append_ids(&list, ids, count);
    bson_t *query = BCON_NEW("_id", "{", "$in", BCON_ARRAY(&list), "}");
    bson_t *opts = BCON_NEW("projection", "{", "reason", BCON_INT32(1), "}", "readConcern", "{", "level", "majority", "}");
    mongoc_collection_t *c = mongoc_client_get_collection(s->client, s->conf.database, DEAD_LETTER_COLLECTION);
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(c, query, opts, NULL);
    const bson_t *doc;
    bson_error_t error;
    while (mongoc_cursor_next(cursor, &doc)) {
        bson_iter_t at;
        uint32_t len = 0;
        if (!bson_iter_init_find(&at, doc, "_id") || !BSON_ITER_HOLDS_UTF8(&at))
            continue;
        const char *id = bson_iter_utf8(&at, &len);
        fn(ctx, (struct slice){id, len}, state_string(doc, "reason"));
    }
    bool failed = mongoc_cursor_error(cursor, &error);
    mongoc_cursor_destroy(cursor);
    mongoc_collection_destroy(c);
    bson_destroy(opts);
    bson_destroy(query);
    bson_destroy(&list);
    return failed ? mongo_error("look for dead letters", &error, NULL, reterr) : true;
}

int64_t verify_source_estimate(struct verify_source *s) {
    mongoc_collection_t *c = mongoc_client_get_collection(s->client, s->conf.database, STATE_PRODUCTS);
    int64_t n = mongoc_collection_estimated_document_count(c, NULL, NULL, NULL, NULL);
    mongoc_collection_destroy(c);
    return n > 0 ? n : 0;
}
