/* Lines that are products. New ones are inserted many at a time; those that exist already are put in their place by
 * the same pipeline as PUT. An insert costs the least, so it is tried first, unless the last batch was mostly of
 * products that exist (a repeated import). Measured: see README.md. */
#include "core/cleanup.h"
#include "core/clock.h"
#include "write-api/import.h"
#include "write-api/product_store.h"

DEFINE_CLEANUP(mongoc_bulk_operation_t *, mongoc_bulk_operation_destroy);
DEFINE_CLEANUP(mongoc_cursor_t *, mongoc_cursor_destroy);

enum { DUPLICATE_KEY = 11000, UPSERT_ATTEMPTS = 4 };

/* ---- prepare --------------------------------------------------------------------------------------------- */

static bool check_categories(struct import_batch *batch, struct import_line *line, const struct product *product,
                             struct session *s, struct problems *problems, struct error *reterr) {
    if (product->category_count == 0)
        return true;
    bool *known = arena_alloc(&s->arena, product->category_count * sizeof(*known));
    if (!known)
        return error_nomem(reterr);
    if (!category_ids_check(s, product->categories, product->category_count, known, reterr))
        return false;
    if (!batch->category_revision)
        batch->category_revision = s->category_ids.revision;
    struct field_path categories = FIELD(NULL, SLICE("categories"));
    for (unsigned i = 0; i < product->category_count; i++) {
        struct field_path here = ELEMENT(&categories, i);
        if (!known[i])
            problems_add(problems, &here, "there is no category %lld", (long long)product->categories[i]);
    }
    if (problems_any(problems)) {
        import_line_fail(batch, line, 400, problems);
        if (line->tried) { /* it may be stored already, and is decided once that is known */
            line->gone = true;
            line->status = 0;
        }
    }
    return true;
}

static bool keep(struct import_batch *batch, struct import_line *line, const struct product *product,
                 const bson_t *document, struct error *reterr) {
    const char *key = arena_strndup(&batch->arena, product->id.data, product->id.len);
    line->doc = batch->docs.len;
    line->doc_len = document->len;
    if (!key || !buf_append(&batch->docs, bson_get_data(document), document->len))
        return error_nomem(reterr);
    line->key = (struct slice){key, product->id.len};
    return true;
}

static bool prepare_line(struct import_batch *batch, struct import_line *line, struct product_stamp *stamp,
                         struct session *s, struct problems *problems, struct error *reterr) {
    struct product product;
    const struct json *tree = import_line_json(batch, line, s, problems);
    if (!tree)
        return true;
    bson_reinit(s->document);
    bool ok = product_from_json(tree, stamp, &s->service->product_limits, &s->arena, s->document, &product, problems);
    if (!ok)
        import_line_fail(batch, line, 400, problems);
    else if (!check_categories(batch, line, &product, s, problems, reterr))
        return false;
    if (line->status == 0)
        return keep(batch, line, &product, s->document, reterr);
    const char *key = arena_strndup(&batch->arena, product.id.data, product.id.len);
    line->key = (struct slice){key, key ? product.id.len : 0};
    return true;
}

static bool prepare(struct import_batch *batch, struct session *s, struct error *reterr) {
    int64_t now = clock_wall_usec();
    struct product_stamp stamp = {
        .version = 1, .created_wall_usec = now, .updated_wall_usec = now, .traceparent = batch->traceparent};
    struct problems problems;
    bool ok = true;
    problems_init(&problems);
    for (size_t i = 0; ok && i < batch->count; i++)
        ok = prepare_line(batch, &batch->lines[i], &stamp, s, &problems, reterr);
    problems_done(&problems);
    return ok;
}

/* ---- write ----------------------------------------------------------------------------------------------- */

/* Some lines of a batch, as the driver wants them. */
struct group {
    struct import_line **lines;
    bson_t *docs;
    const bson_t **pointers;
    size_t count;
};

static bool group_init(struct group *g, size_t room, struct session *s, struct error *reterr) {
    g->count = 0;
    g->lines = arena_alloc(&s->arena, (room + 1) * sizeof(*g->lines));
    g->docs = arena_alloc(&s->arena, (room + 1) * sizeof(*g->docs));
    g->pointers = arena_alloc(&s->arena, (room + 1) * sizeof(*g->pointers));
    return (g->lines && g->docs && g->pointers) || error_nomem(reterr);
}

static void group_add(struct group *g, const struct import_batch *batch, struct import_line *line) {
    const uint8_t *data = (const uint8_t *)batch->docs.data + line->doc;
    if (!bson_init_static(&g->docs[g->count], data, line->doc_len))
        return;
    g->pointers[g->count] = &g->docs[g->count];
    g->lines[g->count++] = line;
}

static void refuse_duplicate(struct import_batch *batch, struct import_line *line, const bson_t *error) {
    struct product_conflict c;
    char message[240];
    product_conflict_read(error, &c);
    if (c.sku)
        snprintf(message, sizeof(message), "the SKU \"%s\" belongs to another product", c.value);
    else
        snprintf(message, sizeof(message), "a product with this id exists already");
    import_line_fail_text(batch, line, 409, c.sku ? "variants" : "id", message);
}

/* What a write error means for its line. duplicates_wait: leave a duplicate key undecided. */
static void take_write_error(struct import_batch *batch, struct import_line *line, const bson_t *error,
                             bool duplicates_wait) {
    bson_iter_t it;
    int64_t code = bson_iter_init_find(&it, error, "code") ? bson_iter_as_int64(&it) : 0;
    if (code == DUPLICATE_KEY) {
        if (!duplicates_wait)
            refuse_duplicate(batch, line, error);
        return;
    }
    const char *message = bson_iter_init_find(&it, error, "errmsg") && BSON_ITER_HOLDS_UTF8(&it)
                              ? bson_iter_utf8(&it, NULL)
                              : "MongoDB refuses the product";
    import_line_fail_text(batch, line, 400, "", message);
}

/* Marks the lines of reply.writeErrors in `failed`. */
static void take_write_errors(struct import_batch *batch, const struct group *g, const bson_t *reply, bool *failed,
                              bool (*waits)(const bson_t *error)) {
    bson_iter_t it, list, index;
    bson_t error;
    const uint8_t *data;
    uint32_t len;
    if (!bson_iter_init_find(&it, reply, "writeErrors") || !bson_iter_recurse(&it, &list))
        return;
    while (bson_iter_next(&list)) {
        if (!BSON_ITER_HOLDS_DOCUMENT(&list))
            continue;
        bson_iter_document(&list, &len, &data);
        if (!bson_init_static(&error, data, len) || !bson_iter_init_find(&index, &error, "index"))
            continue;
        int64_t i = bson_iter_as_int64(&index);
        if (i < 0 || (size_t)i >= g->count)
            continue;
        failed[i] = true;
        take_write_error(batch, g->lines[i], &error, waits && waits(&error));
    }
}

static bool always(const bson_t *error) {
    (void)error;
    return true;
}

static bool is_id_conflict(const bson_t *error) {
    struct product_conflict c;
    product_conflict_read(error, &c);
    return !c.sku;
}

static int64_t array_length(const bson_t *reply, const char *key) {
    bson_iter_t it, list;
    int64_t n = 0;
    if (bson_iter_init_find(&it, reply, key) && bson_iter_recurse(&it, &list)) {
        while (bson_iter_next(&list))
            n++;
    }
    return n;
}

static int64_t count_of(const bson_t *reply, const char *key) {
    bson_iter_t it;
    return bson_iter_init_find(&it, reply, key) ? bson_iter_as_int64(&it) : 0;
}

/* The server has spoken about every line, and a majority has what it took. Else the batch is written again. */
static bool is_complete(const bson_t *reply, int64_t done, const struct group *g) {
    return array_length(reply, "writeConcernErrors") == 0 &&
           done + array_length(reply, "writeErrors") == (int64_t)g->count;
}

static bool insert_group(struct import_batch *batch, struct group *g, struct session *s, struct error *reterr) {
    bool upsert = import_mode(batch->import) == IMPORT_UPSERT;
    bool *failed = arena_zalloc(&s->arena, g->count * sizeof(*failed));
    bson_t opts = BSON_INITIALIZER, reply;
    bson_error_t e;
    if (!failed)
        return error_nomem(reterr);
    BSON_APPEND_BOOL(&opts, "ordered", false);
    BSON_APPEND_BOOL(&opts, "validate", false); /* product_from_json has done it */
    bool ok = mongoc_collection_insert_many(s->products, g->pointers, g->count, &opts, &reply, &e);
    bson_destroy(&opts);
    if (!ok && !is_complete(&reply, count_of(&reply, "insertedCount"), g)) {
        mongo_error("import products", &e, &reply, reterr);
        bson_destroy(&reply);
        return false;
    }
    take_write_errors(batch, g, &reply, failed, upsert ? always : NULL);
    for (size_t i = 0; i < g->count; i++) {
        if (!failed[i])
            g->lines[i]->status = 201;
    }
    bson_destroy(&reply);
    return true;
}

static bool add_upserts(mongoc_bulk_operation_t *bulk, const struct group *g, struct error *reterr) {
    bson_t opts = BSON_INITIALIZER;
    bson_error_t e;
    bool ok = true;
    BSON_APPEND_BOOL(&opts, "upsert", true);
    for (size_t i = 0; ok && i < g->count; i++) {
        bson_t selector = BSON_INITIALIZER, pipeline = BSON_INITIALIZER;
        bson_append_utf8(&selector, "_id", 3, g->lines[i]->key.data, (int)g->lines[i]->key.len);
        product_store_put_pipeline(g->pointers[i], &pipeline);
        ok = mongoc_bulk_operation_update_one_with_opts(bulk, &selector, &pipeline, &opts, &e) ||
             mongo_error("import products", &e, NULL, reterr);
        bson_destroy(&selector);
        bson_destroy(&pipeline);
    }
    bson_destroy(&opts);
    return ok;
}

static void take_upserted(const struct group *g, const bson_t *reply, const bool *failed) {
    bson_iter_t it, list, entry, index;
    for (size_t i = 0; i < g->count; i++) {
        if (!failed[i])
            g->lines[i]->status = 200;
    }
    if (!bson_iter_init_find(&it, reply, "upserted") || !bson_iter_recurse(&it, &list))
        return;
    while (bson_iter_next(&list)) {
        if (!bson_iter_recurse(&list, &entry) || !bson_iter_find_descendant(&entry, "index", &index))
            continue;
        int64_t i = bson_iter_as_int64(&index);
        if (i >= 0 && (size_t)i < g->count)
            g->lines[i]->status = 201;
    }
}

/* Lines whose id was inserted by somebody else in between stay undecided. */
static bool upsert_group(struct import_batch *batch, struct group *g, struct session *s, struct error *reterr) {
    bool *failed = arena_zalloc(&s->arena, g->count * sizeof(*failed));
    bson_t opts = BSON_INITIALIZER, reply;
    bson_error_t e;
    if (!failed)
        return error_nomem(reterr);
    BSON_APPEND_BOOL(&opts, "ordered", false);
    _cleanup_(mongoc_bulk_operation_destroyp) mongoc_bulk_operation_t *bulk =
        mongoc_collection_create_bulk_operation_with_opts(s->products, &opts);
    bson_destroy(&opts);
    if (!add_upserts(bulk, g, reterr))
        return false;
    bool ok = mongoc_bulk_operation_execute(bulk, &reply, &e) != 0;
    int64_t done = count_of(&reply, "nMatched") + count_of(&reply, "nUpserted");
    if (!ok && !is_complete(&reply, done, g)) {
        mongo_error("import products", &e, &reply, reterr);
        bson_destroy(&reply);
        return false;
    }
    take_write_errors(batch, g, &reply, failed, is_id_conflict);
    take_upserted(g, &reply, failed);
    bson_destroy(&reply);
    return true;
}

static bool is_known_stored(const struct import_batch *batch, struct slice id) {
    for (size_t i = 0; i < batch->count; i++)
        if (batch->lines[i].status / 100 == 2 && slice_eq(batch->lines[i].key, id))
            return true;
    return false;
}

/* The batch itself has stored a product of this id, by which of its lines? In an insert by one that is known, or else by the
 * first that was tried and not refused. Otherwise, of several, the span does not tell: all of them are done again, which ends
 * in the same state. Either way it is too late to refuse them for a category that has gone since. */
static void take_own(const struct import_batch *batch, const struct import_sorted *sorted, struct slice id, int status) {
    bool insert = import_mode(batch->import) == IMPORT_INSERT, taken = insert && is_known_stored(batch, id);
    for (size_t i = 0; i < sorted->count; i++) {
        struct import_line *line = sorted->lines[i];
        if (!line->tried || !slice_eq(line->key, id))
            continue;
        if (insert ? !taken : !line->repeated)
            line->status = status;
        taken = true;
        if (!insert || line->status) {
            line->gone = false;
            line->error_count = 0;
        }
    }
}

/* A batch that is sent again after a failure may be stored in part: its own products bear its span. Without this an
 * insert would be refused by itself, and a product would be counted twice. */
static bool find_own(struct import_batch *batch, const struct import_sorted *sorted, struct session *s,
                     struct error *reterr) {
    bson_t selector = BSON_INITIALIZER, opts = BSON_INITIALIZER, in, ids, projection;
    BSON_APPEND_DOCUMENT_BEGIN(&selector, "_id", &in);
    BSON_APPEND_ARRAY_BEGIN(&in, "$in", &ids);
    for (size_t i = 0; i < sorted->count; i++) {
        char text[16];
        const char *key;
        size_t len = bson_uint32_to_string((uint32_t)i, &key, text, sizeof(text));
        bson_append_utf8(&ids, key, (int)len, sorted->lines[i]->key.data, (int)sorted->lines[i]->key.len);
    }
    bson_append_array_end(&in, &ids);
    bson_append_document_end(&selector, &in);
    BSON_APPEND_UTF8(&selector, "traceparent", batch->traceparent);
    BSON_APPEND_DOCUMENT_BEGIN(&opts, "projection", &projection);
    BSON_APPEND_INT32(&projection, "version", 1);
    bson_append_document_end(&opts, &projection);
    _cleanup_(mongoc_cursor_destroyp) mongoc_cursor_t *cursor =
        mongoc_collection_find_with_opts(s->products, &selector, &opts, NULL);
    const bson_t *found;
    bson_iter_t it;
    bson_error_t e;
    while (mongoc_cursor_next(cursor, &found)) {
        if (!bson_iter_init_find(&it, found, "_id"))
            continue;
        take_own(batch, sorted, slice_str(bson_iter_utf8(&it, NULL)), product_version(found) == 1 ? 201 : 200);
    }
    bool ok = !mongoc_cursor_error(cursor, &e) || mongo_error("find products of the import", &e, NULL, reterr);
    bson_destroy(&selector);
    bson_destroy(&opts);
    return ok;
}

static bool collect(struct import_batch *batch, const struct import_sorted *sorted, unsigned round, struct group *g,
                    struct session *s, struct error *reterr) {
    if (!group_init(g, sorted->count, s, reterr))
        return false;
    for (size_t i = 0; i < sorted->count; i++) {
        if (sorted->lines[i]->round == round && sorted->lines[i]->status == 0)
            group_add(g, batch, sorted->lines[i]);
    }
    return true;
}

static bool write_round(struct import_batch *batch, const struct import_sorted *sorted, unsigned round,
                        struct session *s, struct error *reterr) {
    bool upsert = import_mode(batch->import) == IMPORT_UPSERT;
    bool *mostly_updates = import_mostly_updates(batch->import);
    struct group g;
    if (!collect(batch, sorted, round, &g, s, reterr))
        return false;
    size_t all = g.count;
    if (g.count && (!upsert || !*mostly_updates) && !insert_group(batch, &g, s, reterr))
        return false;
    for (int i = 0; upsert && i < UPSERT_ATTEMPTS; i++) {
        if (!collect(batch, sorted, round, &g, s, reterr))
            return false;
        if (i == 0 && !*mostly_updates && round == 0)
            *mostly_updates = all > 0 && g.count > all / 2;
        if (g.count == 0)
            break;
        if (!upsert_group(batch, &g, s, reterr))
            return false;
    }
    return true;
}

static bool write_lines(struct import_batch *batch, struct session *s, struct error *reterr) {
    struct import_sorted sorted;
    arena_reset(&s->arena);
    if (!import_batch_sort(batch, s, &sorted, reterr))
        return false;
    if (batch->attempts > 1 && sorted.count && !find_own(batch, &sorted, s, reterr))
        return false;
    for (size_t i = 0; i < sorted.count; i++) {
        struct import_line *line = sorted.lines[i];
        if (line->gone)
            line->status = 400; /* no attempt before has stored it */
        else
            line->tried = true;
    }
    for (unsigned round = 0; round < sorted.rounds; round++) {
        if (!write_round(batch, &sorted, round, s, reterr))
            return false;
    }
    for (size_t i = 0; i < sorted.count; i++) {
        if (sorted.lines[i]->status == 0)
            return error_set(reterr, ERROR_OVERLOADED, "a product is being changed too often; try again");
    }
    return true;
}

const struct import_kind import_products = {
    .needs = HEALTH_MONGO, .modes = true, .key = "id", .prepare = prepare, .write = write_lines};
