/* category_names.h - which categories a name names: by key (search_name_key), in any language, whole or as one of the
 * parts of "Laptops & tablets". Pure. Thread: one owner; immutable once built. */
#pragma once
#include "core/arena.h"

struct category;
struct category_name {
    struct slice key;
    struct slice typed; /* the keys that type it (core/hangul.h) */
    uint32_t index; /* of the category in its list */
    bool part;      /* of a name with several */
};
struct category_names {
    struct category_name *items; /* in order of key */
    size_t count, cap;
};

/* Keys live in the arena. False without memory. */
bool category_names_build(struct category_names *names, struct arena *arena, const struct category *categories,
                          size_t count);
void category_names_done(struct category_names *names);
enum category_likeness {
    CATEGORY_BEGUN,    /* text, as typed, begins the name; of several the shortest */
    CATEGORY_STARTS,   /* text, as typed, begins the name */
    CATEGORY_MISTAKE,  /* text, as typed, has five keys or more and is one key off */
    CATEGORY_INITIALS, /* text is the name's initials */
    CATEGORY_INITIALS_START, /* the name's initials begin with text */
};
/* Indexes of the categories whose names are like the text, at most max. */
size_t category_names_like(const struct category_names *names, enum category_likeness how, struct slice text, uint32_t *ret,
                           size_t max);
/* The first entry with this key and how many follow it; NULL if there is none. */
const struct category_name *category_names_find(const struct category_names *names, struct slice key, size_t *ret_count);
