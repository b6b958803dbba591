#include "query-api/browse/category_list.h"
#include <stdlib.h>

enum { CATEGORY_ARENA_MAX_BYTES = 64 << 20, HEAD_MAX_BYTES = 2 << 20 };

struct category_list {
    uint64_t revision;
    struct arena arena;
    struct buf scratch;
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
    buf_init(&list->scratch, HEAD_MAX_BYTES);
    return list;
}

void category_list_free(struct category_list *list) {
    if (!list)
        return;
    arena_done(&list->arena);
    buf_done(&list->scratch);
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

static bool prepare_head(struct category_list *list, const struct category *c, struct slice name, struct slice *ret) {
    struct json_write w;
    buf_reset(&list->scratch);
    json_write_init(&w, &list->scratch);
    json_write_object(&w);
    json_write_key(&w, "path");
    json_write_slice(&w, c->path);
    json_write_key(&w, "id");
    json_write_int(&w, c->id);
    json_write_key(&w, "name");
    json_write_slice(&w, name);
    json_write_key(&w, "count");
    if (!json_write_ok(&w))
        return false;
    *ret = copy_slice(&list->arena, (struct slice){list->scratch.data, list->scratch.len});
    return ret->data != NULL;
}

/* {lang: name} in the list's own arena, and the heads with these names; anything but strings is left out. False without
 * memory. */
static bool copy_names(struct category_list *list, const struct json *names, struct category *c) {
    if (!json_is(names, JSON_OBJECT))
        return true;
    struct json *plain = arena_zalloc(&list->arena, sizeof(*plain)),
                *heads = arena_zalloc(&list->arena, sizeof(*heads));
    if (!plain || !heads)
        return false;
    plain->type = heads->type = JSON_OBJECT;
    struct json **plain_tail = &plain->child, **heads_tail = &heads->child;
    for (const struct json *m = names->child; m; m = m->next) {
        struct slice head;
        if (m->type == JSON_STRING &&
            (!prepare_head(list, c, m->text, &head) || !add_member(&list->arena, plain, &plain_tail, m->key, m->text) ||
             !add_member(&list->arena, heads, &heads_tail, m->key, head)))
            return false;
    }
    c->names = plain;
    c->heads = heads;
    return true;
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
                !prepare_head(list, &c, c.name, &c.head) || !push(list, c))
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
    return category_names_build(&list->names, &list->arena, list->items, list->count);
}

/* In order of path a category's descendants follow it. */
static size_t add_subtree(const struct category_list *list, size_t index, int64_t *ret, size_t count, size_t max) {
    struct slice path = list->items[index].path;
    for (size_t i = index; i < list->count && count < max; i++) {
        struct slice other = list->items[i].path;
        bool inside = other.len > path.len && other.data[path.len] == '/' && memcmp(other.data, path.data, path.len) == 0;
        if (i > index && !inside)
            break;
        ret[count++] = list->items[i].id;
    }
    return count;
}

size_t category_list_named(const struct category_list *list, struct slice key, int64_t *ret, size_t max) {
    size_t entries = 0, count = 0;
    const struct category_name *name = list && key.len ? category_names_find(&list->names, key, &entries) : NULL;
    bool whole = false;
    for (size_t i = 0; i < entries; i++)
        whole = whole || !name[i].part;
    /* 가방 is the category of that name rather than 가방/잡화. */
    for (size_t i = 0; i < entries; i++)
        if (!whole || !name[i].part)
            count = add_subtree(list, name[i].index, ret, count, max);
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

static size_t level_of(struct slice path) {
    size_t level = 0;
    for (size_t i = 0; i < path.len; i++)
        level += path.data[i] == '/';
    return level;
}

size_t category_list_starting(const struct category_list *list, enum category_likeness how, struct slice text,
                              int64_t *ret, size_t max) {
    enum { NAMES = 64 };
    uint32_t found[NAMES];
    size_t count = 0, names = list ? category_names_like(&list->names, how, text, found, NAMES) : 0;
    for (size_t i = 1; i < names; i++) /* by level, the names' order within one */
        for (size_t k = i; k > 0 && level_of(list->items[found[k]].path) < level_of(list->items[found[k - 1]].path); k--) {
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

static int64_t last_id(struct slice path) {
    int64_t id = 0;
    size_t i = path.len;
    while (i > 0 && path.data[i - 1] != '/')
        i--;
    for (; i < path.len; i++)
        id = (id * 10 + (path.data[i] - '0')) & INT32_MAX;
    return id;
}

const struct category *category_list_by_id(const struct category_list *list, int64_t id) {
    uint32_t index = list && list->count ? *slot_of(list, id) : 0;
    return index ? &list->items[index - 1] : NULL;
}

const struct category *category_list_by_path(const struct category_list *list, struct slice path) {
    const struct category *found = category_list_by_id(list, last_id(path));
    return found && slice_eq(found->path, path) ? found : NULL;
}

struct slice category_name(const struct category *category, const char *lang) {
    const struct json *name = json_get(category->names, lang);
    return name ? name->text : category->name;
}

/* ---- the forest ---- */

static int compare_nodes(const void *a, const void *b) {
    return category_path_compare(((const struct category_node *)a)->path, ((const struct category_node *)b)->path);
}

/* The list is in order: nodes that are in it only have to take their places. */
static bool sort_by_place(const struct category_list *list, struct category_node *nodes, size_t count,
                          struct arena *scratch) {
    uint32_t *places = arena_zalloc(scratch, list->count * sizeof(*places));
    struct category_node *copy = arena_alloc(scratch, count * sizeof(*copy));
    if (!places || !copy)
        return false;
    memcpy(copy, nodes, count * sizeof(*copy));
    for (size_t i = 0; i < count; i++)
        places[nodes[i].category - list->items] = (uint32_t)i + 1;
    size_t n = 0;
    for (size_t i = 0; i < list->count; i++)
        if (places[i])
            nodes[n++] = copy[places[i] - 1];
    return true;
}

bool category_nodes_sort(const struct category_list *list, struct category_node *nodes, size_t count,
                         struct arena *scratch) {
    size_t known = 0;
    for (size_t i = 0; i < count; i++) {
        nodes[i].category = category_list_by_path(list, nodes[i].path);
        known += nodes[i].category != NULL;
    }
    if (count == 0)
        return true;
    if (known == count)
        return sort_by_place(list, nodes, count, scratch);
    qsort(nodes, count, sizeof(*nodes), compare_nodes);
    return true;
}

static bool is_below(struct slice path, struct slice parent) {
    return path.len > parent.len && path.data[parent.len] == '/' && memcmp(path.data, parent.data, parent.len) == 0;
}

static struct slice head_of(const struct category *category, struct slice lang) {
    const struct json *head = json_get_slice(category->heads, lang);
    return head ? head->text : category->head;
}

static void append(struct buf *out, struct slice s) {
    memcpy(out->data + out->len, s.data, s.len);
    out->len += s.len;
}

/* What a node takes beside its head, its closing brackets included. */
enum { NODE_BYTES = 96 };

/* {...,"children":[ */
static bool node_begin(struct buf *out, const struct category_node *node, struct slice lang) {
    if (node->category) {
        struct slice head = head_of(node->category, lang);
        if (!buf_reserve(out, head.len + NODE_BYTES))
            return false;
        append(out, head);
    } else {
        buf_append_str(out, "{\"path\":");
        json_append_string(out, node->path.data, node->path.len);
        buf_append_str(out, ",\"id\":");
        buf_append_i64(out, last_id(node->path));
        buf_append_str(out, ",\"name\":null,\"count\":");
        if (!buf_reserve(out, NODE_BYTES))
            return false;
    }
    if (node->count == CATEGORY_COUNT_UNKNOWN)
        append(out, SLICE("null"));
    else
        buf_append_u64(out, node->count);
    if (node->selected)
        append(out, SLICE(",\"selected\":true"));
    append(out, SLICE(",\"children\":["));
    return true;
}

/* The nodes come in tree order, so a stack of open ancestors is enough; its depth is the depth of a path. */
void category_nodes_write(struct json_write *w, const struct category_node *nodes, size_t count, const char *lang) {
    enum { DEPTH_MAX = 48, BRACKETS = DEPTH_MAX * 2 + 2 };
    struct slice open[DEPTH_MAX], language = slice_str(lang);
    struct buf *out = json_write_pieces(w);
    size_t depth = 0;
    bool again = false;
    if (!out || !buf_reserve(out, BRACKETS))
        return;
    append(out, SLICE("["));
    for (size_t i = 0; i < count; i++) {
        for (; depth && !is_below(nodes[i].path, open[depth - 1]); depth--) {
            append(out, SLICE("]}"));
            again = true;
        }
        if (depth == DEPTH_MAX)
            continue;
        if (again)
            append(out, SLICE(","));
        if (!node_begin(out, &nodes[i], language) || !buf_reserve(out, BRACKETS))
            return;
        again = false;
        open[depth++] = nodes[i].path;
    }
    while (depth--)
        append(out, SLICE("]}"));
    append(out, SLICE("]"));
    out->data[out->len] = '\0';
}
