#include "query-api/category_names.h"
#include "query-api/category_list.h"
#include "query-api/search_words.h"
#include <stdlib.h>

static int compare_keys(struct slice a, struct slice b) {
    int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_names(const void *a, const void *b) {
    const struct category_name *x = a, *y = b;
    int order = compare_keys(x->key, y->key);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

static bool add(struct category_names *names, struct arena *arena, struct slice text, size_t index) {
    struct slice key = search_name_key(arena, text);
    if (key.len == 0)
        return true;
    if (names->count == names->cap) {
        size_t cap = names->cap ? names->cap * 2 : 256;
        struct category_name *items = realloc(names->items, cap * sizeof(*items));
        if (!items)
            return false;
        names->items = items;
        names->cap = cap;
    }
    names->items[names->count++] = (struct category_name){key, (uint32_t)index};
    return true;
}

/* Length of what parts a name at s, or 0. */
static size_t separator(struct slice s) {
    static const char *const signs[] = {"/", "&", ",", "·", " 및 ", " and "};
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
        if (s.len >= strlen(signs[i]) && memcmp(s.data, signs[i], strlen(signs[i])) == 0)
            return strlen(signs[i]);
    return 0;
}

static bool add_name(struct category_names *names, struct arena *arena, struct slice name, size_t index) {
    size_t start = 0;
    bool parts = false;
    for (size_t i = 0; i < name.len; i++) {
        size_t len = separator((struct slice){name.data + i, name.len - i});
        if (!len)
            continue;
        if (!add(names, arena, (struct slice){name.data + start, i - start}, index))
            return false;
        parts = true;
        start = i + len;
        i = start - 1;
    }
    return (!parts || add(names, arena, (struct slice){name.data + start, name.len - start}, index)) &&
           add(names, arena, name, index);
}

bool category_names_build(struct category_names *names, struct arena *arena, const struct category *categories,
                          size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!add_name(names, arena, categories[i].name, i))
            return false;
        for (const struct json *m = categories[i].names ? categories[i].names->child : NULL; m; m = m->next)
            if (!add_name(names, arena, m->text, i))
                return false;
    }
    if (names->count)
        qsort(names->items, names->count, sizeof(*names->items), compare_names);
    return true;
}

void category_names_done(struct category_names *names) {
    free(names->items);
    *names = (struct category_names){0};
}

const struct category_name *category_names_find(const struct category_names *names, struct slice key, size_t *ret_count) {
    size_t low = 0, high = names->count, end;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_keys(names->items[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (end = low; end < names->count && slice_eq(names->items[end].key, key);)
        end++;
    *ret_count = end - low;
    return end > low ? &names->items[low] : NULL;
}
