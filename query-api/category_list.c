#include "query-api/category_list.h"
#include "core/cleanup.h"

enum { CATEGORY_ARENA_MAX_BYTES = 64 << 20 };

struct category_list {
    uint64_t revision;
    struct arena arena;
    struct category *items; /* in order of path */
    struct category **by_id;
    size_t count, cap;
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
    free(list->by_id);
    free(list);
}

static struct slice copy_slice(struct arena *arena, struct slice s) {
    char *data = arena_strndup(arena, s.data ? s.data : "", s.len);
    return (struct slice){data, data ? s.len : 0};
}

/* {lang: name} in the list's own arena; anything but strings is left out. False without memory. */
static bool copy_names(struct arena *arena, const struct json *names, const struct json **ret) {
    if (!json_is(names, JSON_OBJECT))
        return true;
    struct json *object = arena_zalloc(arena, sizeof(*object));
    if (!object)
        return false;
    object->type = JSON_OBJECT;
    struct json **tail = &object->child;
    for (const struct json *m = names->child; m; m = m->next) {
        if (m->type != JSON_STRING)
            continue;
        struct json *copy = arena_zalloc(arena, sizeof(*copy));
        if (!copy)
            return false;
        copy->type = JSON_STRING;
        copy->key = copy_slice(arena, m->key);
        copy->text = copy_slice(arena, m->text);
        if (!copy->key.data || !copy->text.data)
            return false;
        *tail = copy;
        tail = &copy->next;
        object->count++;
    }
    *ret = object;
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
            if (!c.path.data || !c.name.data || !copy_names(&list->arena, json_get(source, "names"), &c.names) || !push(list, c))
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

static int compare_ids(const void *a, const void *b) {
    int64_t x = (*(struct category *const *)a)->id, y = (*(struct category *const *)b)->id;
    return (x > y) - (x < y);
}

bool category_list_finish(struct category_list *list) {
    if (list->count == 0)
        return true;
    qsort(list->items, list->count, sizeof(*list->items), compare_items);
    list->by_id = malloc(list->count * sizeof(struct category *));
    if (!list->by_id)
        return false;
    for (size_t i = 0; i < list->count; i++)
        list->by_id[i] = &list->items[i];
    qsort(list->by_id, list->count, sizeof(struct category *), compare_ids);
    return true;
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

const struct category *category_list_by_id(const struct category_list *list, int64_t id) {
    struct category key = {.id = id}, *p = &key;
    if (!list || list->count == 0)
        return NULL;
    struct category **found = bsearch(&p, list->by_id, list->count, sizeof(p), compare_ids);
    return found ? *found : NULL;
}

const struct category *category_list_by_path(const struct category_list *list, struct slice path) {
    struct category key = {.path = path};
    if (!list || list->count == 0)
        return NULL;
    return bsearch(&key, list->items, list->count, sizeof(key), compare_items);
}

struct slice category_name(const struct category *category, const char *lang) {
    const struct json *name = json_get(category->names, lang);
    return name ? name->text : category->name;
}

static bool is_below(struct slice path, struct slice parent) {
    return path.len > parent.len && path.data[parent.len] == '/' && memcmp(path.data, parent.data, parent.len) == 0;
}

static int64_t last_id(struct slice path) {
    int64_t id = 0;
    for (size_t i = 0; i < path.len; i++)
        id = path.data[i] == '/' ? 0 : (id * 10 + (path.data[i] - '0')) & INT32_MAX;
    return id;
}

static void node_begin(struct json_write *w, const struct category_list *list, const struct category_node *node,
                       const char *lang) {
    const struct category *category = category_list_by_path(list, node->path);
    json_write_object(w);
    json_write_key(w, "path");
    json_write_slice(w, node->path);
    json_write_key(w, "id");
    json_write_int(w, category ? category->id : last_id(node->path));
    json_write_key(w, "name");
    if (category)
        json_write_slice(w, category_name(category, lang));
    else
        json_write_null(w);
    json_write_key(w, "count");
    json_write_uint(w, node->count);
    if (node->selected) {
        json_write_key(w, "selected");
        json_write_bool(w, true);
    }
    json_write_key(w, "children");
    json_write_array(w);
}

/* The nodes come in tree order, so a stack of open ancestors is enough; its depth is the depth of a path. */
void category_nodes_write(struct json_write *w, const struct category_list *list, const struct category_node *nodes,
                          size_t count, const char *lang) {
    enum { DEPTH_MAX = 48 };
    struct slice open[DEPTH_MAX];
    size_t depth = 0;
    json_write_array(w);
    for (size_t i = 0; i < count; i++) {
        while (depth && !is_below(nodes[i].path, open[depth - 1])) {
            json_write_array_end(w);
            json_write_object_end(w);
            depth--;
        }
        if (depth == DEPTH_MAX)
            continue;
        node_begin(w, list, &nodes[i], lang);
        open[depth++] = nodes[i].path;
    }
    while (depth--) {
        json_write_array_end(w);
        json_write_object_end(w);
    }
    json_write_array_end(w);
}
