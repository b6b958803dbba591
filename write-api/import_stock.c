/* Lines that are stock: {"sku": "...", "available": 12}. A batch is one transaction: the rows are locked in the order
 * of SKUs, what changes goes into one INSERT ... ON DUPLICATE KEY UPDATE and one INSERT of movements. */
#include "core/cleanup.h"
#include "write-api/import.h"
#include "write-api/stock_store.h"
#include "write-api/transaction.h"

#define TRANSACTION_USEC (30 * USEC_PER_SEC)
enum { SQL_MAX = 16 << 20 };

/* ---- prepare --------------------------------------------------------------------------------------------- */

static void read_line(struct import_batch *batch, struct import_line *line, const struct json *tree,
                      struct problems *problems) {
    if (tree->type != JSON_OBJECT) {
        problems_add(problems, NULL, "must be a JSON object");
        return;
    }
    for (const struct json *m = tree->child; m; m = m->next) {
        struct field_path here = FIELD(NULL, m->key);
        if (!slice_eq(m->key, SLICE("sku")) && !slice_eq(m->key, SLICE("available")))
            problems_add(problems, &here, "is not a field here");
    }
    const struct json *sku = json_get(tree, "sku");
    const char *problem = !sku                          ? "is required"
                          : sku->type != JSON_STRING ? "must be a string"
                                                     : sku_problem(sku->text);
    if (problem) {
        problems_add_field(problems, "sku", "%s", problem);
    } else {
        const char *key = arena_strndup(&batch->arena, sku->text.data, sku->text.len);
        line->key = (struct slice){key, key ? sku->text.len : 0};
    }
    stock_read_available(json_get(tree, "available"), &line->available, problems);
}

static bool prepare(struct import_batch *batch, struct session *s, struct error *reterr) {
    struct problems problems;
    bool ok = true;
    problems_init(&problems);
    for (size_t i = 0; ok && i < batch->count; i++) {
        struct import_line *line = &batch->lines[i];
        const struct json *tree = import_line_json(batch, line, s, &problems);
        if (!tree)
            continue;
        read_line(batch, line, tree, &problems);
        if (problems_any(&problems))
            import_line_fail(batch, line, 400, &problems);
        else if (!line->key.data)
            ok = error_nomem(reterr);
    }
    problems_done(&problems);
    return ok;
}

/* ---- write ----------------------------------------------------------------------------------------------- */

struct row {
    struct import_line *line; /* the last one of its SKU: the one that counts */
    int64_t old;
    bool exists;
};

struct writing {
    struct import_batch *batch;
    struct import_sorted sorted;
    struct row *rows; /* one per SKU, ascending */
    size_t count;
    struct buf sql;
};

static void make_rows(struct writing *w) {
    for (size_t i = 0; i < w->sorted.count; i++) {
        struct import_line *line = w->sorted.lines[i];
        bool same = i > 0 && line->round > 0;
        if (same)
            w->rows[w->count - 1].line = line;
        else
            w->rows[w->count++] = (struct row){.line = line};
    }
}

static int compare_sku(const void *key, const void *row) {
    const struct slice *sku = key;
    const struct slice *other = &((const struct row *)row)->line->key;
    size_t len = sku->len < other->len ? sku->len : other->len;
    int order = memcmp(sku->data, other->data, len);
    return order ? order : (sku->len > other->len) - (sku->len < other->len);
}

static bool read_old(void *ctx, char **columns, const unsigned long *lengths, unsigned count) {
    (void)count;
    struct writing *w = ctx;
    struct slice sku = {columns[0], lengths[0]};
    struct row *row = bsearch(&sku, w->rows, w->count, sizeof(*w->rows), compare_sku);
    if (row) {
        row->exists = true;
        row->old = strtoll(columns[1], NULL, 10);
    }
    return true;
}

static bool run_sql(struct writing *w, struct session *s, uint64_t *ret_affected, struct error *reterr) {
    if (!buf_ok(&w->sql))
        return error_nomem(reterr);
    struct mysql_result result;
    /* All values are numbers or quoted: there are no places for '?' values here, but a SKU may hold a '?' inside
     * its quotes, which is no place either. */
    if (!mysql_session_exec(s->mysql, &result, reterr, w->sql.data))
        return false;
    *ret_affected = result.affected;
    return true;
}

static bool lock_rows(struct writing *w, struct session *s, struct error *reterr) {
    buf_reset(&w->sql);
    buf_append_str(&w->sql, "SELECT sku, available FROM stock WHERE sku IN (");
    for (size_t i = 0; i < w->count; i++) {
        w->rows[i].exists = false;
        w->rows[i].old = 0;
        if (i)
            buf_append_char(&w->sql, ',');
        mysql_session_quote(s->mysql, &w->sql, w->rows[i].line->key.data, w->rows[i].line->key.len);
    }
    buf_append_str(&w->sql, ") ORDER BY sku FOR UPDATE");
    if (!buf_ok(&w->sql))
        return error_nomem(reterr);
    return mysql_session_query_raw(s->mysql, (struct slice){w->sql.data, w->sql.len}, read_old, w, reterr);
}

static bool changes(const struct row *row) {
    return !row->exists || row->old != row->line->available;
}

/* MySQL counts 1 for an inserted and 2 for an updated row: another count than expected means that somebody inserted
 * one of the SKUs after the look, and the deltas below would be wrong. */
static bool upsert_rows(struct writing *w, struct session *s, size_t *ret_changed, struct error *reterr) {
    uint64_t expected = 0, affected;
    size_t changed = 0;
    buf_reset(&w->sql);
    buf_append_str(&w->sql, "INSERT INTO stock (sku, available) VALUES ");
    for (size_t i = 0; i < w->count; i++) {
        const struct row *row = &w->rows[i];
        if (!changes(row))
            continue;
        expected += row->exists ? 2 : 1;
        buf_append_str(&w->sql, changed++ ? ",(" : "(");
        mysql_session_quote(s->mysql, &w->sql, row->line->key.data, row->line->key.len);
        buf_append_char(&w->sql, ',');
        buf_append_i64(&w->sql, row->line->available);
        buf_append_char(&w->sql, ')');
    }
    buf_append_str(&w->sql, " ON DUPLICATE KEY UPDATE available=VALUES(available)");
    *ret_changed = changed;
    if (changed == 0)
        return true;
    if (!run_sql(w, s, &affected, reterr))
        return false;
    return affected == expected ||
           error_set(reterr, ERROR_OVERLOADED, "somebody else imports the same new SKUs; try again");
}

static bool add_movements(struct writing *w, struct session *s, struct error *reterr) {
    uint64_t affected;
    bool first = true;
    buf_reset(&w->sql);
    buf_append_str(&w->sql, "INSERT INTO stock_movements (sku, delta, reason, created_at) VALUES ");
    for (size_t i = 0; i < w->count; i++) {
        const struct row *row = &w->rows[i];
        int64_t delta = row->line->available - row->old;
        if (delta == 0)
            continue;
        buf_append_str(&w->sql, first ? "(" : ",(");
        first = false;
        mysql_session_quote(s->mysql, &w->sql, row->line->key.data, row->line->key.len);
        buf_append_char(&w->sql, ',');
        buf_append_i64(&w->sql, delta);
        buf_append_str(&w->sql, ",'import',UTC_TIMESTAMP(6))");
    }
    return first || run_sql(w, s, &affected, reterr);
}

static bool write_rows(struct session *s, void *ctx, struct error *reterr) {
    struct writing *w = ctx;
    size_t changed;
    return lock_rows(w, s, reterr) && upsert_rows(w, s, &changed, reterr) &&
           (changed == 0 || add_movements(w, s, reterr));
}

/* The first line of a SKU tells whether it was new; later ones in the same batch count as updates. */
static void decide(struct writing *w) {
    size_t row = 0;
    for (size_t i = 0; i < w->sorted.count; i++) {
        struct import_line *line = w->sorted.lines[i];
        if (line->round > 0) {
            line->status = 200;
            continue;
        }
        line->status = w->rows[row++].exists ? 200 : 201;
    }
}

static bool write_lines(struct import_batch *batch, struct session *s, struct error *reterr) {
    struct writing w = {.batch = batch, .sql = BUF_INIT(SQL_MAX)};
    arena_reset(&s->arena);
    if (!import_batch_sort(batch, s, &w.sorted, reterr))
        return false;
    if (w.sorted.count == 0)
        return true;
    w.rows = arena_alloc(&s->arena, w.sorted.count * sizeof(*w.rows));
    if (!w.rows)
        return error_nomem(reterr);
    make_rows(&w);
    bool ok = transaction_run(s, clock_now_usec() + TRANSACTION_USEC, write_rows, &w, reterr);
    if (ok)
        decide(&w);
    buf_done(&w.sql);
    return ok;
}

const struct import_kind import_stock = {.needs = HEALTH_MYSQL, .key = "sku", .prepare = prepare, .write = write_lines};
