#include "core/cleanup.h"
#include "core/hash.h"
#include "core/log.h"
#include "projector/compose/category_load.h"
#include "projector/engine/id_set.h"
#include "projector/engine/lag.h"
#include "projector/jobs/jobs.h"
#include "projector/sources/source_mysql.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PAGE = 1000,
    DROP_PIECE = 20000,
    BACKOFF_MIN_USEC = 100 * 1000,
    BACKOFF_MAX_USEC = 3 * 1000 * 1000,
    SEGMENT_MAX_BYTES = 64 << 20,
    REF_BYTES_MAX = 128 * 4, /* projection_queue.ref has 128 characters */
};

struct queue_row {
    uint64_t id, revision;
    int64_t created_usec;
    bool category;
    uint16_t len;
    char ref[REF_BYTES_MAX];
};

struct source_mysql {
    struct engine *engine;
    const struct engine_conf *conf;
    const struct projector_conf *options;
    struct window *window;
    mongoc_client_t *client;
    struct mysql_session *mysql;
    pthread_mutex_t lock;
    struct id_set held; /* under the lock */
    uint64_t cursor;    /* read on from here; 0 at a rescan */
    usec_t rescan_at, pause;
    unsigned failures;
    struct category_tree *written; /* what the index of categories has from us */
    struct queue_row rows[PAGE];
    size_t count, seen; /* rows that were new, rows that the page had */
    pthread_t thread;
};

/* -- rows -- */

static bool epoch_row(void *ctx, char **columns, const unsigned long *lengths, unsigned count) {
    (void)lengths;
    if (count && columns[0])
        *(uint64_t *)ctx = strtoull(columns[0], NULL, 10);
    return true;
}

/* Runs one statement in a transaction that holds the fence and requires our epoch in it. */
static bool fenced(struct mysql_session *mysql, uint64_t epoch, const char *sql, struct mysql_result *ret,
                   struct error *reterr) {
    uint64_t fence = 0;
    if (!mysql_session_begin(mysql, reterr))
        return false;
    bool ok = mysql_session_query(mysql, epoch_row, &fence, reterr,
                                  "SELECT epoch FROM projector_fence WHERE id = 1 FOR UPDATE");
    if (ok && fence != epoch)
        ok = error_set(reterr, fence < epoch ? ERROR_HISTORY_LOST : ERROR_CONFLICT,
                       "projector_fence is at epoch %" PRIu64 ", ours is %" PRIu64, fence, epoch);
    ok = ok && mysql_session_execv(mysql, ret, reterr, sql, NULL, 0) && mysql_session_commit(mysql, reterr);
    if (!ok)
        mysql_session_rollback(mysql);
    return ok;
}

bool source_mysql_delete_rows(struct mysql_session *mysql, uint64_t epoch, const uint64_t *rows, size_t count,
                              struct error *reterr) {
    _cleanup_(buf_done) struct buf sql = BUF_INIT(1 << 20);
    buf_append_str(&sql, "DELETE FROM projection_queue WHERE id IN (");
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_append_char(&sql, ',');
        buf_append_u64(&sql, rows[i]);
    }
    buf_append_char(&sql, ')');
    return buf_ok(&sql) ? fenced(mysql, epoch, sql.data, NULL, reterr) : error_nomem(reterr);
}

bool source_mysql_set_back(struct engine *engine, mongoc_client_t *client, const struct engine_conf *conf, const struct error *why) {
    const char *database = conf->options->mongo.database;
    int64_t revision = conf->targets->revision;
    struct error error;
    /* The next term scans, not this one, with what it knows; and whoever begins it. */
    bool ok = state_sink_forget(client, database, &error) && targets_renew(client, database, revision, &error);
    if (ok)
        engine_post_retarget(engine);
    log_error("queue.set_back", LOG_STR("reason", why->message),
              LOG_STR("next", ok ? "all products are read anew" : error.message));
    return ok;
}

/* In pieces, so that no transaction grows large. A row that commits while this runs may go as well: nothing has been
 * read for the scan yet. */
bool source_mysql_drop_covered(struct mysql_session *mysql, uint64_t epoch, uint64_t revision, uint64_t *ret_rows,
                               struct error *reterr) {
    _cleanup_(buf_done) struct buf sql = BUF_INIT(1024);
    buf_printf(&sql, "DELETE FROM projection_queue WHERE kind = 'stock' OR revision <= %" PRIu64 " LIMIT %d", revision,
               DROP_PIECE);
    *ret_rows = 0;
    for (struct mysql_result result = {.affected = DROP_PIECE}; result.affected == DROP_PIECE;) {
        if (!buf_ok(&sql) || !fenced(mysql, epoch, sql.data, &result, reterr))
            return false;
        *ret_rows += result.affected;
    }
    return true;
}

void source_mysql_deleted(struct source_mysql *s, const uint64_t *rows, size_t count) {
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < count; i++)
        id_set_remove(&s->held, rows[i]);
    pthread_mutex_unlock(&s->lock);
}

static bool hold(struct source_mysql *s, uint64_t id) {
    pthread_mutex_lock(&s->lock);
    bool held = id_set_add(&s->held, id);
    pthread_mutex_unlock(&s->lock);
    return held;
}

static bool is_held(struct source_mysql *s, uint64_t id) {
    pthread_mutex_lock(&s->lock);
    bool held = id_set_has(&s->held, id);
    pthread_mutex_unlock(&s->lock);
    return held;
}

/* Columns: id, kind, ref, revision, microseconds since 1970. */
static bool queue_row(void *ctx, char **columns, const unsigned long *lengths, unsigned count) {
    struct source_mysql *s = ctx;
    if (count < 5 || !columns[0] || !columns[1])
        return true;
    uint64_t id = strtoull(columns[0], NULL, 10);
    s->seen++;
    s->cursor = id;
    if (id == 0 || is_held(s, id))
        return true;
    struct queue_row *row = &s->rows[s->count++];
    *row = (struct queue_row){.id = id, .category = strcmp(columns[1], "category") == 0};
    if (columns[2] && lengths[2] <= sizeof(row->ref)) {
        row->len = (uint16_t)lengths[2];
        memcpy(row->ref, columns[2], lengths[2]);
    }
    row->revision = columns[3] ? strtoull(columns[3], NULL, 10) : 0;
    row->created_usec = columns[4] ? (int64_t)strtoll(columns[4], NULL, 10) : 0;
    return true;
}

static bool read_page(struct source_mysql *s, struct error *reterr) {
    s->count = s->seen = 0;
    return mysql_session_query(s->mysql, queue_row, s, reterr,
                               "SELECT id, kind, ref, revision, "
                               "CAST(UNIX_TIMESTAMP(created_at) * 1000000 AS SIGNED) FROM projection_queue "
                               "WHERE id > ? ORDER BY id LIMIT ?",
                               MYSQL_U64(s->cursor), MYSQL_I64(PAGE));
}

/* -- stock -- */

static bool same_ref(const struct queue_row *row, const char *sku, uint32_t len) {
    return row->len == len && memcmp(row->ref, sku, len) == 0;
}

/* When the oldest row that names one of the product's SKUs (or its id) was written. */
static int64_t commit_of(const struct source_mysql *s, const bson_t *product) {
    int64_t oldest = 0;
    bson_iter_t at, variants, sku;
    for (size_t i = 0; i < s->count; i++) {
        const struct queue_row *row = &s->rows[i];
        if (row->category || (oldest && row->created_usec >= oldest))
            continue;
        bool found = false;
        uint32_t len;
        if (bson_iter_init_find(&at, product, "_id") && BSON_ITER_HOLDS_UTF8(&at)) {
            const char *id = bson_iter_utf8(&at, &len);
            found = same_ref(row, id, len);
        }
        if (!found && bson_iter_init_find(&at, product, "variants") && BSON_ITER_HOLDS_ARRAY(&at) &&
            bson_iter_recurse(&at, &variants)) {
            while (!found && bson_iter_next(&variants)) {
                if (!BSON_ITER_HOLDS_DOCUMENT(&variants) || !bson_iter_recurse(&variants, &sku) ||
                    !bson_iter_find(&sku, "sku") || !BSON_ITER_HOLDS_UTF8(&sku))
                    continue;
                const char *text = bson_iter_utf8(&sku, &len);
                found = same_ref(row, text, len);
            }
        }
        if (found)
            oldest = row->created_usec;
    }
    return oldest;
}

static void append_skus(const struct source_mysql *s, bson_t *filter) {
    bson_t list = BSON_INITIALIZER;
    uint32_t n = 0;
    for (size_t i = 0; i < s->count; i++) {
        char scratch[16];
        const char *key;
        if (s->rows[i].category)
            continue;
        size_t len = bson_uint32_to_string(n++, &key, scratch, sizeof(scratch));
        bson_append_utf8(&list, key, (int)len, s->rows[i].ref, s->rows[i].len);
    }
    BCON_APPEND(filter, "$or", "[", "{", "_id", "{", "$in", BCON_ARRAY(&list), "}", "}", "{", "variants.sku", "{",
                "$in", BCON_ARRAY(&list), "}", "}", "]");
    bson_destroy(&list);
}

/* Marks the products of an answer's batch. */
static void mark_batch(const struct source_mysql *s, const bson_t *reply, const char *name, struct segment *segment) {
    bson_iter_t at, batch, each;
    if (!bson_iter_init(&at, reply) || !bson_iter_find_descendant(&at, name, &batch) || !bson_iter_recurse(&batch, &each))
        return;
    while (bson_iter_next(&each)) {
        uint32_t len, id_len;
        const uint8_t *data;
        bson_t product;
        bson_iter_document(&each, &len, &data);
        if (!bson_init_static(&product, data, len) || !bson_iter_init_find(&at, &product, "_id") ||
            !BSON_ITER_HOLDS_UTF8(&at))
            continue;
        const char *id = bson_iter_utf8(&at, &id_len);
        segment_add(segment, id, id_len, commit_of(s, &product));
    }
}

/* SKUs are unique, so a page of rows cannot name more products than twice its length; with many variants each they need
 * more than one answer all the same. */
static bool mark_rest(struct source_mysql *s, int64_t cursor, struct segment *segment, struct error *reterr) {
    while (cursor != 0) {
        bson_t *command = BCON_NEW("getMore", BCON_INT64(cursor), "collection", STATE_PRODUCTS);
        bson_t reply;
        bool ok = state_command(s->client, s->conf->options->mongo.database, command, "find products by SKU", &reply, reterr);
        bson_destroy(command);
        if (ok)
            mark_batch(s, &reply, "cursor.nextBatch", segment);
        cursor = ok ? state_i64(&reply, "cursor.id") : 0;
        bson_destroy(&reply);
        if (!ok)
            return false;
    }
    return true;
}

static bool mark_products(struct source_mysql *s, struct segment *segment, struct error *reterr) {
    bson_t filter = BSON_INITIALIZER;
    append_skus(s, &filter);
    bson_t *command = BCON_NEW("find", STATE_PRODUCTS, "filter", BCON_DOCUMENT(&filter), "projection", "{", "_id",
                               BCON_INT32(1), "variants.sku", BCON_INT32(1), "}", "batchSize", BCON_INT32(2 * PAGE + 1),
                               "readConcern", "{", "level", "majority", "}");
    bson_t reply;
    bool ok = state_command(s->client, s->conf->options->mongo.database, command, "find products by SKU", &reply, reterr);
    bson_destroy(command);
    bson_destroy(&filter);
    if (ok)
        mark_batch(s, &reply, "cursor.firstBatch", segment);
    segment->cluster_time = state_operation_time(&reply);
    ok = ok && mark_rest(s, state_i64(&reply, "cursor.id"), segment, reterr);
    bson_destroy(&reply);
    return ok && !buf_ok(&segment->marks) ? error_nomem(reterr) : ok;
}

static bool take_stock(struct source_mysql *s, size_t stock_rows, struct error *reterr) {
    if (stock_rows == 0)
        return true;
    struct segment *segment = segment_new(MARK_QUEUE, MARK_LIVE, SEGMENT_MAX_BYTES);
    struct queue_rows *rows = calloc(1, sizeof(*rows) + stock_rows * sizeof(rows->ids[0]));
    if (!segment || !rows || !mark_products(s, segment, reterr)) {
        bool memory = segment && rows;
        segment_free(segment);
        free(rows);
        return memory ? false : error_nomem(reterr);
    }
    segment->position = rows;
    segment->position_free = free;
    for (size_t i = 0; i < s->count; i++) {
        if (s->rows[i].category)
            continue;
        if (!hold(s, s->rows[i].id)) /* no memory: it is read again later, and its marks are done twice */
            continue;
        rows->ids[rows->count++] = s->rows[i].id;
    }
    window_add(s->window, segment->count + 1);
    engine_post_segment(s->engine, segment);
    return true;
}

/* -- categories -- */

struct id_list {
    int64_t *ids;
    size_t count;
};

static int compare_ids(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* All categories that the rows touch, with everything below them; sorted, without doubles. */
static bool collect_subtrees(const struct source_mysql *s, const struct category_tree *tree, struct id_list *list) {
    size_t capacity = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (!s->rows[i].category)
            continue;
        char text[24];
        snprintf(text, sizeof(text), "%.*s", (int)s->rows[i].len, s->rows[i].ref);
        int64_t id = strtoll(text, NULL, 10);
        size_t below;
        const struct category *const *subtree = category_tree_subtree(tree, id, &below);
        if (list->count + below + 1 > capacity) {
            capacity = (list->count + below + 1) * 2;
            int64_t *ids = realloc(list->ids, capacity * sizeof(*ids));
            if (!ids)
                return false;
            list->ids = ids;
        }
        list->ids[list->count++] = id; /* it may be gone from the tree: its products must lose it */
        for (size_t k = 0; k < below; k++)
            list->ids[list->count++] = subtree[k]->id;
    }
    qsort(list->ids, list->count, sizeof(*list->ids), compare_ids);
    size_t kept = 0;
    for (size_t k = 0; k < list->count; k++)
        if (k == 0 || list->ids[k] != list->ids[kept - 1])
            list->ids[kept++] = list->ids[k];
    list->count = kept;
    return true;
}

/* The index of categories first, so that a rename is seen at once; then the job, the row's end, the marks. */
static bool store_categories(struct source_mysql *s, struct category_tree *tree, struct error *reterr) {
    const struct projector_options *o = s->conf->options;
    if (!index_admin_categories_write(&o->es, o->projector.categories_index, tree, s->written,
                                      lease_next_version(s->conf->lease), reterr))
        return false;
    category_tree_unref(s->written);
    s->written = category_tree_ref(tree);
    struct id_list list = {0};
    char key[64] = "";
    uint64_t rows[PAGE];
    size_t row_count = 0;
    int64_t first_usec = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (!s->rows[i].category)
            continue;
        if (row_count == 0)
            first_usec = s->rows[i].created_usec;
        rows[row_count++] = s->rows[i].id;
    }
    /* All rows, not only the first: if they cannot be deleted now, more will stand beside them the next time, and
     * that must be another job. */
    snprintf(key, sizeof(key), "%" PRIu64 "-%" PRId64 "-%016" PRIx64, rows[0], first_usec,
             hash_bytes(rows, row_count * sizeof(rows[0])));
    bool ok = collect_subtrees(s, tree, &list) ? true : error_nomem(reterr);
    uint64_t epoch = lease_epoch(s->conf->lease);
    ok = ok && jobs_upsert_fanout(s->client, o->mongo.database, epoch, key, category_tree_revision(tree), list.ids,
                                  list.count, reterr) &&
         source_mysql_delete_rows(s->mysql, epoch, rows, row_count, reterr);
    if (ok)
        log_info("categories.changed", LOG_INT("revision", category_tree_revision(tree)), LOG_INT("rows", row_count),
                 LOG_INT("categories", list.count));
    free(list.ids);
    engine_poke_jobs(s->engine);
    return ok;
}

static bool take_categories(struct source_mysql *s, struct error *reterr) {
    struct category_tree *tree = category_load(s->mysql, NULL, reterr);
    if (!tree)
        return false;
    if (category_tree_revision(tree) < category_tree_revision(s->written)) {
        error_set(reterr, ERROR_HISTORY_LOST, "the categories are at revision %" PRIu64 ", and were at %" PRIu64,
                  category_tree_revision(tree), category_tree_revision(s->written));
        category_tree_unref(tree);
        return false;
    }
    engine_post_tree(s->engine, category_tree_ref(tree));
    bool ok = store_categories(s, tree, reterr);
    category_tree_unref(tree);
    return ok;
}

/* -- the thread -- */

static bool take_page(struct source_mysql *s, struct error *reterr) {
    size_t stock_rows = 0;
    for (size_t i = 0; i < s->count; i++)
        stock_rows += !s->rows[i].category;
    bool ok = take_stock(s, stock_rows, reterr);
    return (s->count == stock_rows || take_categories(s, reterr)) && ok;
}

static void failed(struct source_mysql *s, const struct error *error) {
    bool ours = true;
    s->cursor = 0;
    if (error->code == ERROR_CONFLICT && lease_check(s->conf->lease, s->client, &ours, NULL) && !ours)
        engine_post_lease_lost(s->engine);
    if (error->code == ERROR_HISTORY_LOST)
        source_mysql_set_back(s->engine, s->client, s->conf, error);
    if (s->failures++ > 0)
        log_warn("queue.failed", LOG_ERR(error));
    window_sleep(s->window, clock_backoff_usec(s->failures, BACKOFF_MIN_USEC, BACKOFF_MAX_USEC));
}

/* Polls often while rows come and less so while none do. A rescan takes its share of time only: a long one makes
 * the next one later. What is long in it is to read pages that are held, not what new rows cost, or a wait for room. */
static void poll_once(struct source_mysql *s) {
    struct error error = {.code = ERROR_INTERNAL, .message = ""};
    bool rescan = clock_now_usec() >= s->rescan_at, any = false;
    usec_t again = 0;
    if (rescan)
        s->cursor = 0;
    do {
        usec_t begun = clock_now_usec();
        bool ok = read_page(s, &error);
        again += s->count == 0 ? clock_now_usec() - begun : 0;
        if (!ok || !take_page(s, &error)) {
            failed(s, &error);
            return;
        }
        any = any || s->count > 0;
    } while (s->seen == PAGE && window_wait(s->window));
    s->failures = 0;
    if (rescan)
        s->rescan_at = clock_now_usec() + s->options->queue_rescan_usec + 10 * again;
    s->pause = any ? s->options->queue_poll_min_usec : s->pause * 3 / 2;
    if (s->pause > s->options->queue_poll_max_usec)
        s->pause = s->options->queue_poll_max_usec;
    window_sleep(s->window, s->pause);
}

static void *source_main(void *arg) {
    struct source_mysql *s = arg;
    pthread_setname_np(pthread_self(), "queue");
    s->client = mongoc_client_pool_pop(s->conf->pool);
    while (window_wait(s->window))
        poll_once(s);
    mongoc_client_pool_push(s->conf->pool, s->client);
    return NULL;
}

struct source_mysql *source_mysql_start(struct engine *engine, const struct engine_conf *conf, struct error *reterr) {
    struct source_mysql *s = calloc(1, sizeof(*s));
    if (!s) {
        error_nomem(reterr);
        return NULL;
    }
    s->engine = engine;
    s->conf = conf;
    s->options = &conf->options->projector;
    s->window = engine_window(engine, MARK_QUEUE);
    s->pause = s->options->queue_poll_min_usec;
    s->written = category_tree_ref(conf->tree);
    pthread_mutex_init(&s->lock, NULL);
    s->mysql = mysql_session_new(&conf->options->mysql, reterr);
    if (s->mysql && pthread_create(&s->thread, NULL, source_main, s) == 0)
        return s;
    if (s->mysql)
        error_set(reterr, ERROR_INTERNAL, "cannot start the queue's thread");
    mysql_session_free(s->mysql);
    category_tree_unref(s->written);
    pthread_mutex_destroy(&s->lock);
    free(s);
    return NULL;
}

void source_mysql_stop(struct source_mysql *s) {
    if (!s)
        return;
    pthread_join(s->thread, NULL);
    mysql_session_free(s->mysql);
    category_tree_unref(s->written);
    id_set_done(&s->held);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
