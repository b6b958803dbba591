/* category_tree.h - the category tree of MySQL as an immutable snapshot at one revision.
 *
 * Usage: category_tree_builder_new, one category_tree_builder_add per row of `categories` (any order, all rows
 * read by one statement), category_tree_build, then share it: ref/unref are atomic, everything else only reads.
 * A row whose path names a category that has no row is kept; only the names of the missing one are left out, so
 * that one damaged row never stops the projection.
 *
 * Paths have no last slash here ("1/4/13"), as in the search documents; the builder accepts MySQL's "1/4/13/".
 * Thread: a builder has one owner; a finished tree may be read by any thread. Pure: no I/O. */
#pragma once
#include "core/buf.h"
#include "core/error.h"

#define CATEGORY_LEVELS_MAX 32 /* deeper paths are refused by the builder */

struct category_name {
    char lang[4];       /* "ko", "en"; "" for a plain name without a language */
    uint32_t language;  /* projection_language_code() of it */
    struct slice text;  /* UTF-8 */
    struct slice json;  /* the same as a quoted JSON string */
    bool hangul;        /* text has a Hangul syllable or jamo */
};

struct category {
    int64_t id;
    int64_t parent_id; /* 0: top level */
    unsigned level;    /* 1 for the top level: the number of ids in path */
    unsigned position; /* place in a depth-first walk with siblings by id, from 0 */
    struct slice path; /* "1/4/13" */
    struct slice name; /* the row's name, for display */
    struct slice names_json; /* the localized object as compact JSON, or empty */
    const struct category_name *names;
    unsigned name_count;
    /* Every prefix of path as quoted JSON strings: "1" "1/4" "1/4/13"; level entries. */
    const struct slice *path_terms;
    /* Ancestors and self that have rows, top first. */
    const struct category *const *lineage;
    unsigned lineage_count;
};

struct category_tree;
struct category_tree_builder;

struct category_row {
    int64_t id, parent_id; /* parent_id 0 for NULL */
    struct slice path;     /* "1/4/13/" or "1/4/13" */
    struct slice name;
    struct slice names;    /* JSON object {lang: string}, or empty for NULL */
};

struct category_tree_builder *category_tree_builder_new(struct error *reterr);
void category_tree_builder_free(struct category_tree_builder *builder);
/* Copies the row. INVALID names the category for an id <= 0, a path that does not end in the id, or names that
 * are no object of strings; the row is not added then and the caller may go on. */
bool category_tree_builder_add(struct category_tree_builder *builder, const struct category_row *row,
                               struct error *reterr);
/* The finished tree with one reference. The builder is empty afterwards and may be used again. NULL: no memory,
 * or CORRUPT for an id given twice. */
struct category_tree *category_tree_build(struct category_tree_builder *builder, uint64_t revision,
                                          struct error *reterr);

struct category_tree *category_tree_ref(struct category_tree *tree);
void category_tree_unref(struct category_tree *tree); /* NULL is fine */

uint64_t category_tree_revision(const struct category_tree *tree);
size_t category_tree_count(const struct category_tree *tree);
/* NULL if there is no such category. Valid as long as the tree. */
const struct category *category_tree_find(const struct category_tree *tree, int64_t id);

/* All categories in order of their path (compared as numbers, so parents stand before their children). */
const struct category *const *category_tree_all(const struct category_tree *tree, size_t *ret_count);
/* A category and everything below it: a run of category_tree_all. NULL and 0 if there is no such category. */
const struct category *const *category_tree_subtree(const struct category_tree *tree, int64_t id, size_t *ret_count);

/* Appends the body of a _bulk request that brings the index of categories from `previous` to `tree`: one document
 * per category that is new or differs {id,parent_id,path,level,name,names,revision}, one delete per
 * category that is gone, and last the document "_meta" {revision}. previous NULL: all documents. Every action
 * carries `version` with external_gte. Returns how many actions were written, the _meta one included; ask
 * buf_ok(out) afterwards. */
size_t category_tree_write_bulk(const struct category_tree *tree, const struct category_tree *previous,
                                uint64_t version, struct buf *out);
