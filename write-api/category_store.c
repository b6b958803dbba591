/* Categories in MySQL. */
#include "write-api/category.h"

#define COLUMNS "id, parent_id, level, path, name, names, version, created_at, updated_at"
enum { COLUMN_COUNT = 9 };

struct rows {
    struct arena *arena;
    struct category *list;
    size_t count, room;
    bool failed;
};

static struct slice copy(struct rows *r, const char *text, unsigned long len) {
    char *s = text ? arena_strndup(r->arena, text, len) : NULL;
    r->failed |= text && !s;
    return (struct slice){s, s ? len : 0};
}

static int64_t number(const char *text) {
    return text ? strtoll(text, NULL, 10) : 0;
}

static bool read_row(void *ctx, char **c, const unsigned long *len, unsigned count) {
    struct rows *r = ctx;
    if (r->count == r->room || count < COLUMN_COUNT) {
        r->failed = true;
        return false;
    }
    r->list[r->count++] = (struct category){.id = (uint32_t)number(c[0]),
                                            .parent_id = (uint32_t)number(c[1]),
                                            .level = number(c[2]),
                                            .path = copy(r, c[3], len[3]),
                                            .name = copy(r, c[4], len[4]),
                                            .names = copy(r, c[5], len[5]),
                                            .version = number(c[6]),
                                            .created_at = copy(r, c[7], len[7]),
                                            .updated_at = copy(r, c[8], len[8])};
    return !r->failed;
}

enum store_result category_get(struct session *s, uint32_t id, bool lock, struct category *ret, struct error *reterr) {
    struct category row;
    struct rows rows = {.arena = &s->arena, .list = &row, .room = 1};
    const char *sql = lock ? "SELECT " COLUMNS " FROM categories WHERE id=? FOR UPDATE"
                           : "SELECT " COLUMNS " FROM categories WHERE id=?";
    if (!mysql_session_query(s->mysql, read_row, &rows, reterr, sql, MYSQL_U64(id)))
        return STORE_FAILED;
    if (rows.failed) {
        error_nomem(reterr);
        return STORE_FAILED;
    }
    if (rows.count == 0)
        return STORE_MISSING;
    *ret = row;
    return STORE_DONE;
}

static bool read_count(void *ctx, char **columns, const unsigned long *lengths, unsigned count) {
    (void)lengths, (void)count;
    *(int64_t *)ctx = number(columns[0]);
    return false;
}

/* where_order is a literal of this program, never client text. */
bool category_list(struct session *s, const char *where_order, struct mysql_value value, size_t max,
                   struct category **ret, size_t *ret_count, struct error *reterr) {
    char sql[256];
    int64_t count = 0;
    snprintf(sql, sizeof(sql), "SELECT COUNT(*) FROM (SELECT 1 FROM categories %s LIMIT %zu) c", where_order, max + 1);
    if (!mysql_session_queryv(s->mysql, read_count, &count, reterr, sql, &value, 1))
        return false;
    /* Some more: others may be inserted between the two statements. */
    struct rows rows = {.arena = &s->arena, .room = (size_t)count + 64};
    if (rows.room > max + 1)
        rows.room = max + 1;
    rows.list = arena_alloc(&s->arena, rows.room * sizeof(*rows.list));
    if (!rows.list)
        return error_nomem(reterr);
    snprintf(sql, sizeof(sql), "SELECT " COLUMNS " FROM categories %s LIMIT %zu", where_order, rows.room);
    if (!mysql_session_queryv(s->mysql, read_row, &rows, reterr, sql, &value, 1))
        return false;
    if (rows.failed)
        return error_nomem(reterr);
    *ret = rows.list;
    *ret_count = rows.count;
    return true;
}

bool category_lock_tree(struct session *s, struct error *reterr) {
    int64_t revision;
    return mysql_session_query(s->mysql, read_count, &revision, reterr,
                               "SELECT revision FROM category_revision WHERE id=1 FOR UPDATE");
}

void category_changed(struct session *s) {
    __atomic_fetch_add(&s->service->category_changes, 1, __ATOMIC_ACQ_REL);
}

/* Locks what lies below in path order, and finds the deepest level there. */
static bool lock_below(struct session *s, const char *pattern, int64_t *ret_deepest, struct error *reterr) {
    int64_t locked;
    return mysql_session_query(s->mysql, read_count, &locked, reterr,
                               "SELECT id FROM categories WHERE path LIKE ? ORDER BY path FOR UPDATE",
                               MYSQL_STR(pattern)) &&
           mysql_session_query(s->mysql, read_count, ret_deepest, reterr,
                               "SELECT MAX(level) FROM categories WHERE path LIKE ?", MYSQL_STR(pattern));
}

enum category_move category_rewrite(struct session *s, const struct category *from, bool with_root,
                                    const struct category *to, struct error *reterr) {
    char pattern[CATEGORY_PATH_MAX + 2];
    int64_t deepest = 0;
    struct slice prefix = to ? to->path : SLICE("");
    /* Without the root the paths of its children lose it: '1/4/13/' below 1/4/ becomes prefix + '13/'. */
    size_t cut = from->path.len;
    int64_t level = (to ? to->level : 0) - from->level;
    if (with_root) {
        do
            cut--;
        while (cut > 0 && from->path.data[cut - 1] != '/');
        level++;
    }
    snprintf(pattern, sizeof(pattern), "%.*s%%", (int)from->path.len, from->path.data);
    struct error error = {0};
    if (!lock_below(s, pattern, &deepest, reterr))
        return CATEGORY_MOVE_FAILED;
    if (deepest + level > CATEGORY_LEVELS_MAX)
        return CATEGORY_TOO_DEEP;
    /* parent_id before path: the assignments of an UPDATE see each other's effects from left to right. */
    bool ok = mysql_session_exec(
        s->mysql, NULL, &error,
        "UPDATE categories SET parent_id=IF(IF(?, id=?, parent_id=?), ?, parent_id), level=level+?, "
        "path=CONCAT(?, SUBSTRING(path, ?)) WHERE path LIKE ? AND (? OR id<>?)",
        MYSQL_I64(with_root), MYSQL_U64(from->id), MYSQL_U64(from->id), to ? MYSQL_U64(to->id) : MYSQL_NULL_VALUE,
        MYSQL_I64(level), MYSQL_SLICE(prefix), MYSQL_U64(cut + 1), MYSQL_STR(pattern), MYSQL_I64(with_root),
        MYSQL_U64(from->id));
    if (ok)
        return CATEGORY_MOVED;
    if (error.code == ERROR_CONFLICT)
        return CATEGORY_NAME_TAKEN;
    *reterr = error;
    return CATEGORY_MOVE_FAILED;
}
