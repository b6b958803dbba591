#include "projector/compose/category_load.h"
#include <stdlib.h>

#define SELECT_REVISION "SELECT revision FROM category_revision WHERE id = 1"

struct reading {
    struct category_tree_builder *builder;
    uint64_t revision;
    size_t refused;
};

static bool revision_row(void *ctx, char **columns, const unsigned long *lengths, unsigned count) {
    struct reading *r = ctx;
    (void)lengths;
    if (count && columns[0])
        r->revision = strtoull(columns[0], NULL, 10);
    return true;
}

static struct slice column(char **columns, const unsigned long *lengths, unsigned i) {
    return columns[i] ? (struct slice){columns[i], lengths[i]} : (struct slice){0};
}

static bool category_row(void *ctx, char **columns, const unsigned long *lengths, unsigned count) {
    struct reading *r = ctx;
    if (count < 5 || !columns[0])
        return true;
    struct category_row row = {.id = strtoll(columns[0], NULL, 10),
                               .parent_id = columns[1] ? strtoll(columns[1], NULL, 10) : 0,
                               .path = column(columns, lengths, 2), .name = column(columns, lengths, 3),
                               .names = column(columns, lengths, 4)};
    if (!category_tree_builder_add(r->builder, &row, NULL))
        r->refused++;
    return true;
}

/* READ COMMITTED would let the rows be newer than the revision that stands for them; the first read makes the
 * snapshot. */
static bool read_snapshot(struct mysql_session *mysql, struct reading *r, struct error *reterr) {
    if (!mysql_session_exec(mysql, NULL, reterr, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ") ||
        !mysql_session_begin(mysql, reterr))
        return false;
    bool ok = mysql_session_query(mysql, revision_row, r, reterr, SELECT_REVISION) &&
              mysql_session_query(mysql, category_row, r, reterr,
                                  "SELECT id, parent_id, path, name, names FROM categories");
    mysql_session_rollback(mysql);
    return ok;
}

bool category_load_revision(struct mysql_session *mysql, uint64_t *ret, struct error *reterr) {
    struct reading r = {0};
    bool ok = mysql_session_connect(mysql, reterr) &&
              mysql_session_query(mysql, revision_row, &r, reterr, SELECT_REVISION);
    *ret = r.revision;
    return ok;
}

struct category_tree *category_load(struct mysql_session *mysql, size_t *ret_refused, struct error *reterr) {
    struct reading r = {.builder = category_tree_builder_new(reterr)};
    if (!r.builder)
        return NULL;
    struct category_tree *tree =
        read_snapshot(mysql, &r, reterr) ? category_tree_build(r.builder, r.revision, reterr) : NULL;
    category_tree_builder_free(r.builder);
    if (ret_refused)
        *ret_refused = r.refused;
    return tree;
}
