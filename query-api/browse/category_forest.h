/* category_forest.h - categories with their counts, written as the forest that their paths make.
 *
 *   struct category_forest forest;
 *   if (category_forest_init(&forest, list, arena) && category_forest_add(&forest, path, count) ...)
 *       category_forest_write(w, &forest, "en");
 *
 * The forest lives in the arena and points to the list. Pure: no I/O. */
#pragma once
#include "query-api/browse/category_list.h"

enum { CATEGORY_SHOWN = 1, CATEGORY_SELECTED = 2 };

struct category_other;

struct category_forest {
    const struct category_list *list;
    struct arena *arena;
    unsigned char *marks; /* of the list's categories: 0 is not in the forest */
    uint64_t *counts;     /* of those in the forest; CATEGORY_COUNT_UNKNOWN is written as null */
    const struct category *last; /* what was found last, and is often looked for again; or NULL */
    struct category_other *others; /* paths that are not in the list; one may stand here several times */
    size_t other_count, other_room;
};

#define CATEGORY_COUNT_UNKNOWN UINT64_MAX

/* Empty. list may be NULL. False without memory in the arena; so do the next three. */
bool category_forest_init(struct category_forest *forest, const struct category_list *list, struct arena *arena);
/* Adds to the count of a path, which has to live as long as the forest. */
bool category_forest_add(struct category_forest *forest, struct slice path, uint64_t count);
/* The same for a path and all above it, but for what `before` has, which was added in this way just now; or empty. */
bool category_forest_add_line(struct category_forest *forest, struct slice path, struct slice before, uint64_t count);
/* Marks the path as selected; if it is not there it gets the count 0. */
bool category_forest_select(struct category_forest *forest, struct slice path);
/* Writes [{"path","id","name","count","children":[...]}]; what is not in the list has the name null. */
void category_forest_write(struct json_write *w, struct category_forest *forest, const char *lang);
