#include "core/hangul.h"
#include "query-api/browse/category_list.h"
#include "query-api/browse/category_names.h"
#include "query-api/text/search_words.h"
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

static bool add(struct category_names *names, struct arena *arena, struct slice text, size_t index,
                bool part) {
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
    struct buf typed = BUF_INIT(4096);
    hangul_append_keys(&typed, key);
    char *copy = buf_ok(&typed) && typed.len ? arena_strndup(arena, typed.data, typed.len) : NULL;
    names->items[names->count++] =
        (struct category_name){.key = key, .typed = {copy, copy ? typed.len : 0}, .index = (uint32_t)index, .part = part};
    buf_done(&typed);
    return copy != NULL;
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
        if (!add(names, arena, (struct slice){name.data + start, i - start}, index, true))
            return false;
        parts = true;
        start = i + len;
        i = start - 1;
    }
    return (!parts || add(names, arena, (struct slice){name.data + start, name.len - start}, index, true)) &&
           add(names, arena, name, index, false);
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

static bool begins(struct slice name, struct slice text) {
    return text.len && name.len >= text.len && memcmp(name.data, text.data, text.len) == 0;
}

/* One key added, missing, or another. */
static bool one_off(struct slice a, struct slice b) {
    if (a.len > b.len) {
        struct slice other = a;
        a = b;
        b = other;
    }
    size_t same = 0;
    if (b.len - a.len > 1 || a.len < 5)
        return false;
    while (same < a.len && a.data[same] == b.data[same])
        same++;
    size_t skip = a.len == b.len;
    return same + skip <= a.len && memcmp(a.data + same + skip, b.data + same + 1, a.len - same - skip) == 0;
}

static bool has_initials(struct slice key, struct slice text, bool whole) {
    struct buf b = BUF_INIT(4096);
    bool ok = hangul_append_initials(&b, key);
    struct slice initials = {b.data, b.len};
    bool same = ok && (whole ? slice_eq(initials, text) : begins(initials, text));
    buf_done(&b);
    return same;
}

size_t category_names_like(const struct category_names *names, enum category_likeness how, struct slice text, uint32_t *ret,
                           size_t max) {
    size_t count = 0, shortest = SIZE_MAX;
    for (size_t i = 0; i < names->count; i++) {
        const struct category_name *name = &names->items[i];
        bool like = how == CATEGORY_BEGUN     ? name->typed.len <= shortest && begins(name->typed, text)
                    : how == CATEGORY_STARTS  ? begins(name->typed, text)
                    : how == CATEGORY_MISTAKE ? one_off(name->typed, text)
                                              : has_initials(name->key, text, how == CATEGORY_INITIALS);
        if (!like)
            continue;
        if (how == CATEGORY_BEGUN && name->typed.len < shortest)
            count = 0;
        shortest = name->typed.len;
        if (count < max)
            ret[count++] = name->index;
    }
    return count;
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
