/* category.h - categories: validation (pure) and rows in MySQL (worker threads).
 *
 * Locks: every change first locks the row of category_revision, which its triggers increment anyway. So changes of
 * the tree run one after the other, whatever rows they touch, and cannot deadlock among write-apis; a writer with
 * plain SQL may, and the transaction is then repeated. */
#pragma once
#include "core/json_read.h"
#include "core/json_write.h"
#include "write-api/problems.h"
#include "write-api/product_store.h"
#include "write-api/service.h"

enum {
    CATEGORY_PATH_MAX = 255,
    CATEGORY_ID_GIVEN_MAX = 2000000000, /* the index takes ids up to INT32_MAX, and MySQL counts on from the largest */
    CATEGORY_LEVELS_MAX = 23, /* so many ids of ten digits fit into a path */
    CATEGORY_NAME_MAX = 255   /* characters */
};

struct category {
    uint32_t id, parent_id; /* parent_id 0: a root */
    int64_t level;          /* number of ids in the path: 1 for a root */
    int64_t version;
    struct slice path;  /* "1/4/13/" */
    struct slice name;  /* for display */
    struct slice names; /* JSON object of all languages; empty: name is all there is */
    struct slice created_at, updated_at; /* "2026-01-02 03:04:05.678901", UTC */
};

/* ---- pure ---- */
/* "1".."4294967295" without sign or leading zeros. */
bool category_parse_id(struct slice text, uint32_t *ret);
/* A member that must be such an id. */
bool category_read_id(const struct json *v, const char *field, uint32_t *ret, struct problems *problems);
/* string | {lang: string} -> name (ko, else the first language, else the string) and names, in the arena. */
bool category_read_name(const struct json *v, struct arena *arena, struct slice *ret_name, struct slice *ret_names,
                        struct problems *problems);
void category_write_json(struct json_write *w, const struct category *c);
/* Is the category with this path `outer` itself or below it? */
bool category_path_within(struct slice path, struct slice outer);

/* ---- MySQL; strings of ret are in the session's arena ---- */
enum store_result category_get(struct session *s, uint32_t id, bool lock, struct category *ret, struct error *reterr);
/* Rows in an arena array; at most max + 1 are read. */
bool category_list(struct session *s, const char *where_order, struct mysql_value value, size_t max,
                   struct category **ret, size_t *ret_count, struct error *reterr);
/* Serializes the changes of the tree; first in a transaction. */
bool category_lock_tree(struct session *s, struct error *reterr);
/* After a commit: the caches of this process look again. */
void category_changed(struct session *s);

/* Puts what is below `from` (and `from` itself if with_root) under `to` (NULL: as roots): one UPDATE of all paths. */
enum category_move { CATEGORY_MOVED, CATEGORY_TOO_DEEP, CATEGORY_NAME_TAKEN, CATEGORY_MOVE_FAILED };
enum category_move category_rewrite(struct session *s, const struct category *from, bool with_root,
                                    const struct category *to, struct error *reterr);
