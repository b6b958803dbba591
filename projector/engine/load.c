#include "core/cleanup.h"
#include "core/hash.h"
#include "projector/engine/lag.h"
#include "projector/engine/load.h"
#include <stdlib.h>

enum {
    STOCK_MAX_BYTES = 16 << 20,
    SQL_MAX_BYTES = 32 << 20,
    IDS_MAX_BYTES = 15 << 20, /* the command is a BSON document */
    SQL_KEEP_BYTES = 256 << 10,
    READ_AHEAD_BYTES = 8 << 10,
};

struct load_session {
    struct load_conf conf;
    mongoc_client_t *client;
    struct mysql_session *mysql;
    struct composer *composers[BULK_TARGETS_MAX];
    struct load_rows rows;
    struct buf ids;  /* BSON: what a round asks for */
    uint32_t *slots; /* id -> item + 1, open addressing */
    size_t slot_count;
    bool indexed; /* the slots are those of this round */
    size_t next;  /* the item behind the last one that was found */
};

struct load_session *load_session_new(const struct load_conf *conf, struct error *reterr) {
    struct load_session *s = calloc(1, sizeof(*s));
    if (!s) {
        error_nomem(reterr);
        return NULL;
    }
    s->conf = *conf;
    load_rows_init(&s->rows);
    buf_init(&s->ids, IDS_MAX_BYTES);
    s->mysql = mysql_session_new(conf->mysql, reterr);
    bool ok = s->mysql != NULL;
    for (unsigned t = 0; ok && t < conf->target_count; t++)
        ok = (s->composers[t] = composer_new(conf->projections[t], reterr)) != NULL;
    if (!ok) {
        load_session_free(s);
        return NULL;
    }
    s->client = mongoc_client_pool_pop(conf->pool);
    return s;
}

void load_session_free(struct load_session *s) {
    if (!s)
        return;
    if (s->client)
        mongoc_client_pool_push(s->conf.pool, s->client);
    mysql_session_free(s->mysql);
    for (unsigned t = 0; t < s->conf.target_count; t++)
        composer_free(s->composers[t]);
    load_rows_done(&s->rows);
    buf_done(&s->ids);
    free(s->slots);
    free(s);
}

/* -- which item a product belongs to -- */

static bool index_items(struct load_session *s, const struct batch *batch) {
    size_t need = 16;
    while (need < batch->count * 2)
        need *= 2;
    if (need > s->slot_count) {
        uint32_t *slots = realloc(s->slots, need * sizeof(*slots));
        if (!slots)
            return false;
        s->slots = slots;
        s->slot_count = need;
    }
    memset(s->slots, 0, s->slot_count * sizeof(*s->slots));
    for (size_t i = 0; i < batch->count; i++) {
        size_t at = batch->items[i].entry->hash & (s->slot_count - 1);
        while (s->slots[at])
            at = (at + 1) & (s->slot_count - 1);
        s->slots[at] = (uint32_t)i + 1;
    }
    return true;
}

static bool is_of(const struct batch_item *item, struct slice id) {
    return slice_eq(id, (struct slice){item->entry->id, item->entry->id_len});
}

static size_t look_up(const struct load_session *s, const struct batch *batch, struct slice id) {
    uint64_t hash = hash_bytes(id.data, id.len);
    for (size_t at = hash & (s->slot_count - 1); s->slots[at]; at = (at + 1) & (s->slot_count - 1)) {
        const struct batch_item *item = &batch->items[s->slots[at] - 1];
        if (item->entry->hash == hash && is_of(item, id))
            return s->slots[at] - 1;
    }
    return batch->count;
}

/* *ret: the product's item, or NULL. A scan marks products in the order of their ids, and the server answers in it: then
 * the next item is the one, and nothing is indexed. False: no memory. */
static bool find_item(struct load_session *s, const struct batch *batch, struct slice id, struct batch_item **ret) {
    size_t at = s->next;
    if (at >= batch->count || !is_of(&batch->items[at], id)) {
        if (!s->indexed && !(s->indexed = index_items(s, batch)))
            return false;
        at = look_up(s, batch, id);
    }
    *ret = at < batch->count ? &batch->items[at] : NULL;
    s->next = at < batch->count ? at + 1 : s->next;
    return true;
}

/* -- products -- */

/* An array of strings, written here since each call of bson_append_utf8 looks after the sizes of all that it is in. The ids are
 * valid. False: no memory. */
static bool write_ids(struct buf *out, const struct batch *batch) {
    buf_reset(out);
    size_t bytes = 5;
    for (size_t i = 0; i < batch->count; i++)
        bytes += batch->items[i].entry->id_len + 16u;
    if (!buf_reserve(out, bytes))
        return false;
    char *p = out->data + 4;
    for (size_t i = 0; i < batch->count; i++) {
        const struct lane_entry *e = batch->items[i].entry;
        char scratch[16];
        const char *key;
        size_t key_len = bson_uint32_to_string((uint32_t)i, &key, scratch, sizeof(scratch));
        uint32_t len = BSON_UINT32_TO_LE((uint32_t)e->id_len + 1);
        *p++ = BSON_TYPE_UTF8;
        memcpy(p, key, key_len + 1);
        memcpy(p + key_len + 1, &len, 4);
        memcpy(p + key_len + 5, e->id, e->id_len);
        p += key_len + 5 + e->id_len;
        *p++ = '\0';
    }
    *p++ = '\0';
    out->len = (size_t)(p - out->data);
    uint32_t size = BSON_UINT32_TO_LE((uint32_t)out->len);
    memcpy(out->data, &size, 4);
    return true;
}

/* More documents than ids, so that the server closes the cursor with its first answer unless the answer is full. */
static void build_find(const struct load_session *s, const struct batch *batch, const bson_t *ids, bson_t *command) {
    bson_t filter, id, concern;
    BSON_APPEND_UTF8(command, "find", "products");
    BSON_APPEND_DOCUMENT_BEGIN(command, "filter", &filter);
    BSON_APPEND_DOCUMENT_BEGIN(&filter, "_id", &id);
    BSON_APPEND_ARRAY(&id, "$in", ids);
    uint64_t after = 0;
    for (size_t i = 0; i < batch->count; i++)
        if (batch->items[i].entry->flight.cluster_time > after)
            after = batch->items[i].entry->flight.cluster_time;
    bson_append_document_end(&filter, &id);
    bson_append_document_end(command, &filter);
    BSON_APPEND_INT32(command, "batchSize", (int32_t)batch->count + 1);
    BSON_APPEND_INT64(command, "maxTimeMS", (int64_t)(s->conf.timeout_usec / USEC_PER_MSEC));
    BSON_APPEND_DOCUMENT_BEGIN(command, "readConcern", &concern);
    BSON_APPEND_UTF8(&concern, "level", "majority");
    if (after)
        BSON_APPEND_TIMESTAMP(&concern, "afterClusterTime", (uint32_t)(after >> 32), (uint32_t)after);
    bson_append_document_end(command, &concern);
}

static void kill_cursor(struct load_session *s, int64_t cursor_id) {
    bson_t command = BSON_INITIALIZER, cursors;
    BSON_APPEND_UTF8(&command, "killCursors", "products");
    BSON_APPEND_ARRAY_BEGIN(&command, "cursors", &cursors);
    BSON_APPEND_INT64(&cursors, "0", cursor_id);
    bson_append_array_end(&command, &cursors);
    mongoc_client_command_simple(s->client, s->conf.database, &command, NULL, NULL, NULL);
    bson_destroy(&command);
}

/* On success *ret_docs iterates cursor.firstBatch of *reply; *ret_complete: every product that exists is in it. */
static bool find_products(struct load_session *s, const struct batch *batch, bson_t *reply, bson_iter_t *ret_docs,
                          bool *ret_complete, struct error *reterr) {
    bson_t command = BSON_INITIALIZER, ids;
    if (!write_ids(&s->ids, batch) || !bson_init_static(&ids, (const uint8_t *)s->ids.data, s->ids.len))
        return error_nomem(reterr);
    build_find(s, batch, &ids, &command);
    bson_error_t error;
    bool ok = mongoc_client_command_simple(s->client, s->conf.database, &command, NULL, reply, &error);
    bson_destroy(&command);
    if (!ok)
        return mongo_error("find products", &error, reply, reterr);
    bson_iter_t at, id, docs;
    if (!bson_iter_init(&at, reply) || !bson_iter_find_descendant(&at, "cursor.id", &id) ||
        !bson_iter_init(&at, reply) || !bson_iter_find_descendant(&at, "cursor.firstBatch", &docs) ||
        !BSON_ITER_HOLDS_ARRAY(&docs) || !bson_iter_recurse(&docs, ret_docs))
        return error_set(reterr, ERROR_UNAVAILABLE, "find products: the answer has no cursor");
    int64_t cursor_id = bson_iter_as_int64(&id);
    *ret_complete = cursor_id == 0;
    if (cursor_id != 0)
        kill_cursor(s, cursor_id);
    return true;
}

bool load_next_product(bson_iter_t *docs, bson_t *ret) {
    while (bson_iter_next(docs)) {
        uint32_t len;
        const uint8_t *data;
        if (!BSON_ITER_HOLDS_DOCUMENT(docs))
            continue;
        bson_iter_document(docs, &len, &data);
        if (bson_init_static(ret, data, len))
            return true;
    }
    return false;
}

/* -- stock and signals -- */

void load_rows_init(struct load_rows *rows) {
    buf_init(&rows->sql, SQL_MAX_BYTES);
    stock_states_init(&rows->stock, STOCK_MAX_BYTES);
    signal_rows_init(&rows->signals, STOCK_MAX_BYTES);
}

void load_rows_done(struct load_rows *rows) {
    stock_states_done(&rows->stock);
    signal_rows_done(&rows->signals);
    buf_done(&rows->sql);
}

void load_rows_reset(struct load_rows *rows) {
    stock_states_reset(&rows->stock);
    signal_rows_reset(&rows->signals);
}

static bool want_sku(void *ctx, struct slice sku) {
    return stock_states_want(ctx, sku);
}

bool load_rows_want(struct load_rows *rows, const bson_t *product, struct slice id) {
    return compose_collect_skus(product, want_sku, &rows->stock) && signal_rows_want(&rows->signals, id);
}

/* Columns: a SKU, its state and NULL, or a product and its two signals. */
static bool take_row(void *ctx, char **columns, const unsigned long *lengths, unsigned count) {
    struct load_rows *rows = ctx;
    if (count < 3 || !columns[0] || !columns[1])
        return true;
    struct slice key = {columns[0], lengths[0]};
    if (!columns[2])
        stock_states_set(&rows->stock, key, lengths[1] == 1 ? columns[1][0] - '0' : -1);
    else if (!signal_rows_add(&rows->signals, key, strtol(columns[1], NULL, 10), strtol(columns[2], NULL, 10)))
        rows->failed = true;
    return true;
}

static bool write_select(struct load_rows *rows, struct mysql_session *mysql) {
    struct buf *sql = &rows->sql;
    size_t count;
    bool ok = true;
    const struct stock_entry *skus = stock_states_skus(&rows->stock, &count);
    buf_reset(sql);
    buf_append_str(sql, "SELECT sku, state, NULL FROM stock WHERE sku IN (''");
    for (size_t i = 0; ok && i < count; i++)
        ok = buf_append_char(sql, ',') && mysql_session_quote(mysql, sql, skus[i].sku.data, skus[i].sku.len);
    buf_append_str(sql, ") UNION ALL SELECT product_id, sales, popularity FROM product_signals WHERE product_id IN (''");
    for (size_t i = 0; ok && i < rows->signals.wanted_count; i++)
        ok = buf_append_char(sql, ',') &&
             mysql_session_quote(mysql, sql, rows->signals.wanted[i].data, rows->signals.wanted[i].len);
    buf_append_char(sql, ')');
    return ok && buf_ok(sql);
}

bool load_rows_read(struct load_rows *rows, struct mysql_session *mysql, struct error *reterr) {
    size_t count;
    stock_states_skus(&rows->stock, &count);
    if (count == 0 && rows->signals.wanted_count == 0)
        return true;
    rows->failed = false;
    if (!mysql_session_connect(mysql, reterr))
        return false;
    if (!write_select(rows, mysql))
        return error_nomem(reterr);
    bool ok = mysql_session_query_raw(mysql, (struct slice){rows->sql.data, rows->sql.len}, take_row, rows, reterr);
    if (ok && rows->failed)
        ok = error_nomem(reterr);
    buf_reset(&rows->sql);
    buf_shrink(&rows->sql, SQL_KEEP_BYTES);
    signal_rows_sort(&rows->signals);
    return ok;
}

/* -- composing -- */

static enum batch_item_state compose_bad(struct batch_item *item, unsigned target, const bson_t *product,
                                         const char *reason) {
    char *json = bson_as_relaxed_extended_json(product, NULL);
    item->target = (uint8_t)target;
    item->reason = strdup(reason);
    item->product = json ? strdup(json) : NULL;
    bson_free(json);
    return ITEM_BAD;
}

static bool wanted(const struct batch *batch, const struct lane_entry *entry, unsigned target) {
    return (batch->targets & entry->flight.targets & entry->piece) >> target & 1;
}

static bool tree_is_stale(const struct batch *batch, const struct lane_entry *entry) {
    return !entry->tree_is_fresh && entry->flight.category_revision > category_tree_revision(batch->tree);
}

static enum batch_item_state compose_for(struct load_session *s, struct batch *batch, struct batch_item *item,
                                         const bson_t *product, unsigned target) {
    struct lane_entry *entry = item->entry;
    if (!bulk_begin_for(&batch->bulk, target, (struct slice){entry->id, entry->id_len}, batch->version, entry))
        return ITEM_UNLOADED;
    struct compose_input input = {.product = product, .categories = batch->tree, .stock = &s->rows.stock,
                                  .skip_unknown_categories = entry->tree_is_fresh,
                                  .signals = signal_rows_get(&s->rows.signals, (struct slice){entry->id, entry->id_len}),
                                  .bytes_max = s->conf.document_max_bytes};
    struct compose_result result;
    struct error error;
    enum compose_status status =
        compose_product(s->composers[target], &input, &batch->bulk.body, &result, &error);
    if (status == COMPOSE_OK && result.ignored)
        metric_add(lag_metrics.ignored_values, result.ignored);
    bool known = item->known >> target & 1;
    if (status == COMPOSE_OK && known && !entry->flight.force && item->known_hash[target] == result.content_hash) {
        bulk_drop(&batch->bulk);
        return ITEM_SUPPRESSED;
    }
    if (status == COMPOSE_OK)
        return bulk_commit(&batch->bulk, result.content_hash) ? ITEM_COMPOSED : ITEM_UNLOADED;
    bulk_drop(&batch->bulk);
    if (status == COMPOSE_UNKNOWN_CATEGORY)
        return ITEM_STALE_TREE;
    if (status == COMPOSE_BAD || status == COMPOSE_TOO_LARGE)
        return compose_bad(item, target, product, error.message);
    return ITEM_UNLOADED;
}

static void compose_item(struct load_session *s, struct batch *batch, struct batch_item *item, const bson_t *product) {
    if (tree_is_stale(batch, item->entry)) {
        item->state = ITEM_STALE_TREE;
        return;
    }
    size_t before = batch->bulk.count;
    item->state = bulk_full(&batch->bulk) ? ITEM_UNLOADED : ITEM_SUPPRESSED;
    for (unsigned t = 0; item->state != ITEM_UNLOADED && t < s->conf.target_count; t++) {
        if (!wanted(batch, item->entry, t))
            continue;
        enum batch_item_state state = compose_for(s, batch, item, product, t);
        if (state == ITEM_COMPOSED) {
            item->state = ITEM_COMPOSED;
        } else if (state != ITEM_SUPPRESSED) {
            bulk_rewind(&batch->bulk, before);
            item->state = state;
            return;
        }
    }
}

static void compose_deletes(struct load_session *s, struct batch *batch, bool complete) {
    for (size_t i = 0; i < batch->count; i++) {
        struct batch_item *item = &batch->items[i];
        if (item->state != ITEM_NEW)
            continue;
        struct slice id = {item->entry->id, item->entry->id_len};
        size_t before = batch->bulk.count;
        bool written = complete && !bulk_full(&batch->bulk);
        for (unsigned t = 0; written && t < s->conf.target_count; t++)
            written = !wanted(batch, item->entry, t) ||
                      bulk_delete_for(&batch->bulk, t, id, batch->version, item->entry);
        if (!written)
            bulk_rewind(&batch->bulk, before);
        item->state = !written ? ITEM_UNLOADED : batch->bulk.count > before ? ITEM_COMPOSED : ITEM_SUPPRESSED;
    }
}

/* Each product to its item, and its SKUs and id to the rows that MySQL is asked for. */
static bool take_products(struct load_session *s, struct batch *batch, bson_iter_t *docs) {
    bson_t product;
    struct slice id;
    s->indexed = false;
    s->next = 0;
    load_rows_reset(&s->rows);
    for (; load_next_product(docs, &product); batch->read_count++, batch->read_bytes += product.len) {
        struct batch_item *item = NULL;
        if (!compose_product_id(&product, &id))
            continue;
        if (!find_item(s, batch, id, &item))
            return false;
        if (!item)
            continue;
        item->found = bson_get_data(&product);
        item->found_len = product.len;
        if (!load_rows_want(&s->rows, &product, id))
            return false;
    }
    return true;
}

/* The answer is larger than the nearest caches: while a product is composed the next one is brought near. */
static void read_ahead(const struct batch_item *item) {
    for (uint32_t at = 0; item->found && at < item->found_len && at < READ_AHEAD_BYTES; at += 64)
        __builtin_prefetch(item->found + at);
}

/* A write that went through the write-api stands in its product with its traceparent: its trace goes on with the bulk. Of many
 * the first product's does. */
static void take_trace(struct batch *batch) {
    const struct batch_item *item = batch->items, *end = item + batch->count;
    bson_t product;
    bson_iter_t it;
    struct trace trace;
    batch->traceparent[0] = '\0';
    while (item < end && item->state != ITEM_COMPOSED)
        item++;
    if (item == end || !item->found || item->entry->flight.priority != MARK_LIVE ||
        !item->entry->flight.segments[MARK_STREAM] ||
        !bson_init_static(&product, item->found, item->found_len) ||
        !bson_iter_init_find(&it, &product, "traceparent") || !BSON_ITER_HOLDS_UTF8(&it))
        return;
    uint32_t len;
    const char *text = bson_iter_utf8(&it, &len);
    if (!trace_parse(text, len, &trace))
        return;
    trace_child(&trace, &trace);
    trace_format(&trace, batch->traceparent);
}

static bool load_and_compose(struct load_session *s, struct batch *batch, bson_t *reply, struct error *reterr) {
    bson_iter_t docs;
    bson_t product;
    bool complete = false, first = batch->bulk.count == 0;
    if (!find_products(s, batch, reply, &docs, &complete, reterr))
        return false;
    if (!take_products(s, batch, &docs))
        return error_nomem(reterr);
    if (!load_rows_read(&s->rows, s->mysql, reterr))
        return false;
    for (size_t i = 0; i < batch->count; i++) {
        struct batch_item *item = &batch->items[i];
        if (i + 1 < batch->count)
            read_ahead(&batch->items[i + 1]);
        if (item->found && bson_init_static(&product, item->found, item->found_len))
            compose_item(s, batch, item, &product);
    }
    compose_deletes(s, batch, complete);
    if (first)
        take_trace(batch);
    return true;
}

void load_round(struct load_session *s, struct batch *batch) {
    usec_t begun = clock_now_usec();
    bson_t reply = BSON_INITIALIZER;
    batch->error.code = ERROR_NONE;
    batch->read_count = batch->read_bytes = 0;
    if (!load_and_compose(s, batch, &reply, &batch->error) && batch->error.code == ERROR_NONE)
        batch->error.code = ERROR_INTERNAL;
    bson_destroy(&reply);
    batch->took_usec = clock_now_usec() - begun;
}
