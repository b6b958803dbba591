#include "query-api/browse/category_list.h"
#include "core/cleanup.h"
#include <stdlib.h>

enum { CATEGORY_ARENA_MAX_BYTES = 64 << 20, LANGUAGES_MAX = 8 };

struct category_list {
    uint64_t revision;
    struct arena arena;
    struct category_heads heads[1 + LANGUAGES_MAX]; /* the first is of no particular language */
    size_t heads_count;
    bool heads_full; /* there are more languages */
    struct category *items; /* in order of path */
    uint32_t *slots;        /* hash of the ids: index + 1, or 0; twice as many as items, at least */
    size_t slot_mask;
    size_t count, cap;
    struct category_names names;
};

struct category_list *category_list_new(uint64_t revision) {
    struct category_list *list = calloc(1, sizeof(*list));
    if (!list)
        return NULL;
    list->revision = revision;
    arena_init(&list->arena, CATEGORY_ARENA_MAX_BYTES);
    return list;
}

void category_list_free(struct category_list *list) {
    if (!list)
        return;
    arena_done(&list->arena);
    free(list->items);
    free(list->slots);
    category_names_done(&list->names);
    free(list);
}

static struct slice copy_slice(struct arena *arena, struct slice s) {
    char *data = arena_strndup(arena, s.data ? s.data : "", s.len);
    return (struct slice){data, data ? s.len : 0};
}

/* Appends a member to an object of the list's own arena. */
static bool add_member(struct arena *arena, struct json *object, struct json ***tail, struct slice key,
                       struct slice text) {
    struct json *m = arena_zalloc(arena, sizeof(*m));
    if (!m)
        return false;
    m->type = JSON_STRING;
    m->key = copy_slice(arena, key);
    m->text = copy_slice(arena, text);
    **tail = m;
    *tail = &m->next;
    object->count++;
    return m->key.data && m->text.data;
}

/* {lang: name} in the list's own arena; anything but strings is left out. False without memory. */
static bool copy_names(struct category_list *list, const struct json *names, struct category *c) {
    if (!json_is(names, JSON_OBJECT))
        return true;
    struct json *plain = arena_zalloc(&list->arena, sizeof(*plain));
    if (!plain)
        return false;
    plain->type = JSON_OBJECT;
    struct json **tail = &plain->child;
    for (const struct json *m = names->child; m; m = m->next)
        if (m->type == JSON_STRING && !add_member(&list->arena, plain, &tail, m->key, m->text))
            return false;
    c->names = plain;
    return true;
}

static struct slice category_name_in(const struct category *category, struct slice lang) {
    const struct json *name = json_get_slice(category->names, lang);
    return name ? name->text : category->name;
}

struct slice category_name(const struct category *category, const char *lang) {
    return category_name_in(category, slice_str(lang));
}

void category_list_write_names(const struct category_list *list, struct slice path, const char *lang, struct json_write *w) {
    json_write_array(w);
    for (struct slice step = {0}; path_next(path, &step);) {
        const struct category *c = category_list_by_path(list, step);
        if (c)
            json_write_slice(w, category_name(c, lang));
    }
    json_write_array_end(w);
}

static struct slice string_of(const struct json *v) {
    return json_is(v, JSON_STRING) ? v->text : (struct slice){"", 0};
}

static bool push(struct category_list *list, struct category category) {
    if (list->count == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 256;
        struct category *items = realloc(list->items, cap * sizeof(*items));
        if (!items)
            return false;
        list->items = items;
        list->cap = cap;
    }
    list->items[list->count++] = category;
    return true;
}

bool category_list_add(struct category_list *list, const struct json *hits, size_t *ret_added, int64_t *ret_last_id) {
    size_t added = 0;
    if (json_is(hits, JSON_ARRAY))
        for (const struct json *hit = hits->child; hit; hit = hit->next) {
            const struct json *source = json_get(hit, "_source");
            struct category c = {0};
            struct slice path = string_of(json_get(source, "path"));
            if (!json_int64(json_get(source, "id"), &c.id) || path.len == 0)
                continue;
            if (path.data[path.len - 1] == '/')
                path.len--;
            c.path = copy_slice(&list->arena, path);
            c.name = copy_slice(&list->arena, string_of(json_get(source, "name")));
            if (!c.path.data || !c.name.data || !copy_names(list, json_get(source, "names"), &c) ||
                !push(list, c))
                return false;
            *ret_last_id = c.id;
            added++;
        }
    *ret_added = added;
    return true;
}

int category_path_compare(struct slice a, struct slice b) {
    size_t i = 0, k = 0;
    while (i < a.len && k < b.len) {
        uint64_t x = 0, y = 0;
        for (; i < a.len && a.data[i] != '/'; i++)
            x = x * 10 + (uint64_t)((unsigned char)a.data[i] - '0');
        for (; k < b.len && b.data[k] != '/'; k++)
            y = y * 10 + (uint64_t)((unsigned char)b.data[k] - '0');
        if (x != y)
            return x < y ? -1 : 1;
        i++;
        k++;
    }
    return (i < a.len) - (k < b.len);
}

static int compare_items(const void *a, const void *b) {
    return category_path_compare(((const struct category *)a)->path, ((const struct category *)b)->path);
}

static uint32_t *slot_of(const struct category_list *list, int64_t id) {
    size_t i = (size_t)(((uint64_t)id * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & list->slot_mask;
    while (list->slots[i] && list->items[list->slots[i] - 1].id != id)
        i = (i + 1) & list->slot_mask;
    return &list->slots[i];
}

/* In order of path a category's descendants follow it. */
static void find_ends(struct category_list *list) {
    for (size_t i = list->count; i-- > 0;) {
        size_t end = i + 1;
        while (end < list->count && path_is_below(list->items[end].path, list->items[i].path))
            end = list->items[end].end;
        list->items[i].end = (uint32_t)end;
    }
}

/* In order of path the one before a category is above it, or below what is. */
static void find_above(struct category_list *list) {
    uint32_t above = CATEGORY_NONE;
    for (size_t i = 0; i < list->count; i++) {
        struct category *c = &list->items[i];
        while (above != CATEGORY_NONE && !path_is_below(c->path, list->items[above].path))
            above = list->items[above].above;
        size_t known = above == CATEGORY_NONE ? 0 : list->items[above].path.len + 1;
        c->above = above;
        c->whole = !memchr(c->path.data + known, '/', c->path.len - known) && (above == CATEGORY_NONE || list->items[above].whole);
        above = (uint32_t)i;
    }
}

/* Side by side, as they are compared with the paths of an answer. */
static bool gather_paths(struct category_list *list) {
    size_t len = 0;
    for (size_t i = 0; i < list->count; i++)
        len += list->items[i].path.len;
    char *text = arena_alloc(&list->arena, len);
    for (size_t i = 0; text && i < list->count; i++) {
        struct slice *path = &list->items[i].path;
        memcpy(text, path->data, path->len);
        path->data = text;
        text += path->len;
    }
    return text != NULL;
}

bool category_head_append(struct buf *out, struct slice path, int64_t id, const struct slice *name) {
    bool ok = buf_append_str(out, "{\"path\":") && json_append_string(out, path.data, path.len) &&
              buf_append_str(out, ",\"id\":") && buf_append_i64(out, id) && buf_append_str(out, ",\"name\":");
    ok = ok && (name ? json_append_string(out, name->data, name->len) : buf_append_str(out, "null"));
    return ok && buf_append_str(out, ",\"count\":");
}

static bool prepare_heads(struct category_list *list, struct slice lang) {
    _cleanup_(buf_done) struct buf text = BUF_INIT(CATEGORY_ARENA_MAX_BYTES);
    uint32_t *at = arena_alloc(&list->arena, (list->count + 1) * sizeof(*at));
    for (size_t i = 0; at && i < list->count; i++) {
        const struct category *c = &list->items[i];
        struct slice name = category_name_in(c, lang);
        at[i] = (uint32_t)text.len;
        if (!category_head_append(&text, c->path, c->id, &name))
            return false;
    }
    char *copy = arena_strndup(&list->arena, text.data, text.len);
    if (!at || !copy)
        return false;
    at[list->count] = (uint32_t)text.len;
    list->heads[list->heads_count++] = (struct category_heads){lang, copy, at};
    return true;
}

static const struct category_heads *heads_in(const struct category_list *list, struct slice lang) {
    for (size_t i = 0; i < list->heads_count; i++)
        if (slice_eq(list->heads[i].lang, lang))
            return &list->heads[i];
    return NULL;
}

static bool prepare_languages(struct category_list *list) {
    if (!prepare_heads(list, SLICE("")))
        return false;
    for (size_t i = 0; i < list->count; i++) {
        const struct json *names = list->items[i].names;
        for (const struct json *m = names ? names->child : NULL; m; m = m->next) {
            if (heads_in(list, m->key))
                continue;
            list->heads_full = list->heads_count == 1 + LANGUAGES_MAX;
            if (list->heads_full)
                return true;
            if (!prepare_heads(list, m->key))
                return false;
        }
    }
    return true;
}

const struct category_heads *category_list_heads(const struct category_list *list, struct slice lang) {
    const struct category_heads *heads = list->count ? heads_in(list, lang) : NULL;
    return heads || list->heads_full || list->count == 0 ? heads : &list->heads[0];
}

bool category_list_finish(struct category_list *list) {
    size_t size = 16;
    if (list->count == 0)
        return true;
    qsort(list->items, list->count, sizeof(*list->items), compare_items);
    while (size < list->count * 2)
        size *= 2;
    list->slots = calloc(size, sizeof(*list->slots));
    if (!list->slots)
        return false;
    list->slot_mask = size - 1;
    for (size_t i = 0; i < list->count; i++)
        *slot_of(list, list->items[i].id) = (uint32_t)i + 1;
    find_ends(list);
    find_above(list);
    return gather_paths(list) && prepare_languages(list) && category_names_build(&list->names, &list->arena, list->items, list->count);
}

static size_t add_subtree(const struct category_list *list, size_t index, int64_t *ret, size_t count, size_t max) {
    for (size_t i = index; i < list->items[index].end && count < max; i++)
        ret[count++] = list->items[i].id;
    return count;
}

size_t category_list_named(const struct category_list *list, struct slice key, int64_t *ret, size_t max) {
    size_t entries = 0, count = 0;
    const struct category_name *name = list && key.len ? category_names_find(&list->names, key, &entries) : NULL;
    size_t end = 0; /* of those that are in already: names stand in the order of the list, and one may be the same in two languages */
    bool whole = false;
    for (size_t i = 0; i < entries; i++)
        whole = whole || !name[i].part;
    /* 가방 is the category of that name rather than 가방/잡화. */
    for (size_t i = 0; i < entries; i++) {
        if ((whole && name[i].part) || name[i].index < end)
            continue;
        count = add_subtree(list, name[i].index, ret, count, max);
        end = list->items[name[i].index].end;
    }
    return count;
}

size_t category_list_like(const struct category_list *list, enum category_likeness how, struct slice text, int64_t *ret,
                          size_t max) {
    uint32_t found[16];
    size_t count = 0, names = list ? category_names_like(&list->names, how, text, found, 16) : 0;
    for (size_t i = 0; i < names; i++)
        count = add_subtree(list, found[i], ret, count, max);
    return count;
}

size_t category_list_starting(const struct category_list *list, enum category_likeness how, struct slice text,
                              int64_t *ret, size_t max) {
    enum { NAMES = 64 };
    uint32_t found[NAMES];
    size_t count = 0, names = list ? category_names_like(&list->names, how, text, found, NAMES) : 0;
    for (size_t i = 1; i < names; i++) /* by level, the names' order within one */
        for (size_t k = i; k > 0 && path_level(list->items[found[k]].path) < path_level(list->items[found[k - 1]].path); k--) {
            uint32_t other = found[k];
            found[k] = found[k - 1];
            found[k - 1] = other;
        }
    for (size_t i = 0; i < names && count < max; i++) {
        bool again = false;
        for (size_t k = 0; k < count && !again; k++)
            again = ret[k] == list->items[found[i]].id;
        if (!again)
            ret[count++] = list->items[found[i]].id;
    }
    return count;
}

uint64_t category_list_revision(const struct category_list *list) {
    return list->revision;
}

size_t category_list_count(const struct category_list *list) {
    return list ? list->count : 0;
}

const struct category *category_list_at(const struct category_list *list, size_t index) {
    return &list->items[index];
}

int64_t category_path_id(struct slice path) {
    uint32_t id = 0, power = 1;
    for (size_t i = path.len; i > 0 && path.data[i - 1] != '/'; i--, power *= 10)
        id += power * (uint32_t)(path.data[i - 1] - '0');
    return id & INT32_MAX;
}

const struct category *category_list_by_id(const struct category_list *list, int64_t id) {
    uint32_t index = list && list->count ? *slot_of(list, id) : 0;
    return index ? &list->items[index - 1] : NULL;
}

const struct category *category_list_by_path(const struct category_list *list, struct slice path) {
    const struct category *found = category_list_by_id(list, category_path_id(path));
    return found && slice_eq(found->path, path) ? found : NULL;
}
