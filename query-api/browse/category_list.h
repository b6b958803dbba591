/* category_list.h - the categories of the shop as the query side knows them: an immutable snapshot of the index
 * `categories`, held in memory so that names are resolved at query time (a rename needs no reindex of products).
 *
 * One snapshot belongs to one loop; it is built page by page and then replaces the one before. Pure: no I/O. */
#pragma once
#include "core/arena.h"
#include "core/json_write.h"
#include "query-api/browse/category_names.h"

struct category {
    int64_t id;
    struct slice path; /* "1/4/13", without the last slash */
    struct slice name; /* of no particular language */
    const struct json *names; /* object lang -> name, or NULL */
    uint32_t end;             /* the place in the list behind its last descendant; all between are below it */
    uint32_t above;           /* the place of the next category above it in the list, or CATEGORY_NONE */
    bool whole;               /* all above it are in the list */
};

#define CATEGORY_NONE UINT32_MAX

struct category_list;

/* What category_forest writes of every category in one language, one behind the other in the list's order. */
struct category_heads {
    struct slice lang;  /* empty: with the names of no particular language */
    const char *text;   /* {"path":"1/4/13","id":13,"name":"…","count": */
    const uint32_t *at; /* where each begins; one more where the last one ends */
};

struct category_list *category_list_new(uint64_t revision);
void category_list_free(struct category_list *list);
/* Adds the hits of one search page (hits.hits[]._source). Hits that are no category are skipped. *ret_last_id is
 * the greatest id, for search_after. False without memory. */
bool category_list_add(struct category_list *list, const struct json *hits, size_t *ret_added, int64_t *ret_last_id);
/* Sorts; after this the list is complete and read-only. */
bool category_list_finish(struct category_list *list);

uint64_t category_list_revision(const struct category_list *list);
size_t category_list_count(const struct category_list *list);
const struct category *category_list_at(const struct category_list *list, size_t index); /* in order of path */
const struct category *category_list_by_id(const struct category_list *list, int64_t id);
const struct category *category_list_by_path(const struct category_list *list, struct slice path);
/* Ids of the categories with this name (key: search_name_key), and of all below them; at most max. */
size_t category_list_named(const struct category_list *list, struct slice key, int64_t *ret, size_t max);
/* The same for names that are like the text (category_names.h). */
size_t category_list_like(const struct category_list *list, enum category_likeness how, struct slice text, int64_t *ret,
                          size_t max);
/* Ids of the categories (CATEGORY_STARTS or _INITIALS_START) themselves, each once, those higher up in the tree first. */
size_t category_list_starting(const struct category_list *list, enum category_likeness how, struct slice text,
                              int64_t *ret, size_t max);
struct slice category_name(const struct category *category, const char *lang);
/* An array of the names from the root to that path; what is not in the list is left out. */
void category_list_write_names(const struct category_list *list, struct slice path, const char *lang, struct json_write *w);

/* Paths in the order of a tree walk: ids compared as numbers, a parent before its children. */
int category_path_compare(struct slice a, struct slice b);
/* The id at the end of a path. */
int64_t category_path_id(struct slice path);

/* NULL: none are prepared. */
const struct category_heads *category_list_heads(const struct category_list *list, struct slice lang);
/* Writes such a text. name NULL: null. */
bool category_head_append(struct buf *out, struct slice path, int64_t id, const struct slice *name);
