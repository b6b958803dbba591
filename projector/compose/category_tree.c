#include "core/arena.h"
#include "core/json_read.h"
#include "core/json_write.h"
#include "core/utf8.h"
#include "projector/compose/category_tree.h"
#include "projector/compose/projection.h"
#include <stdatomic.h>
#include <stdlib.h>

enum {
    ARENA_BYTES_MAX = 512 << 20,
    NAMES_MAX = 50, /* languages: as many as the write-api takes */
    NAMES_JSON_MAX = 64 << 10,
};

struct category_tree {
    atomic_uint references;
    uint64_t revision;
    struct arena arena;
    struct category **by_path; /* in order of path */
    size_t count;
    uint32_t *slots; /* open addressing by id: index into by_path + 1 */
    size_t slot_count;
};

struct category_tree_builder {
    struct category_tree *tree; /* NULL between trees; by_path is in the order of the rows */
    size_t capacity;
};

struct category_tree_builder *category_tree_builder_new(struct error *reterr) {
    struct category_tree_builder *builder = calloc(1, sizeof(*builder));
    if (!builder)
        error_nomem(reterr);
    return builder;
}

void category_tree_builder_free(struct category_tree_builder *builder) {
    if (!builder)
        return;
    category_tree_unref(builder->tree);
    free(builder);
}

struct category_tree *category_tree_ref(struct category_tree *tree) {
    if (tree)
        atomic_fetch_add_explicit(&tree->references, 1, memory_order_relaxed);
    return tree;
}

void category_tree_unref(struct category_tree *tree) {
    if (!tree || atomic_fetch_sub_explicit(&tree->references, 1, memory_order_acq_rel) != 1)
        return;
    arena_done(&tree->arena);
    free(tree->by_path);
    free(tree->slots);
    free(tree);
}

static struct category_tree *tree_new(void) {
    struct category_tree *tree = calloc(1, sizeof(*tree));
    if (tree) {
        atomic_init(&tree->references, 1);
        arena_init(&tree->arena, ARENA_BYTES_MAX);
    }
    return tree;
}

static bool copy(struct arena *arena, struct slice s, struct slice *ret) {
    char *data = arena_strndup(arena, s.data ? s.data : "", s.len);
    *ret = (struct slice){data, s.len};
    return data != NULL;
}

static bool quote(struct arena *arena, struct slice s, struct slice *ret) {
    struct buf b = BUF_INIT(1 << 20);
    bool ok = json_append_string(&b, s.data, s.len) && copy(arena, (struct slice){b.data, b.len}, ret);
    buf_done(&b);
    return ok;
}

/* "1/4/13/": ids by '/', the last of them is the category's own. Returns the levels, 0 if it is no such path. */
static unsigned parse_path(struct slice path, int64_t ids[CATEGORY_LEVELS_MAX]) {
    unsigned levels = 0;
    for (size_t at = 0; at < path.len; at++) {
        int64_t id = 0;
        size_t start = at;
        for (; at < path.len && path.data[at] >= '0' && path.data[at] <= '9' && id <= INT32_MAX; at++)
            id = id * 10 + (path.data[at] - '0');
        bool end = at == path.len || path.data[at] == '/';
        if (at == start || !end || id == 0 || path.data[start] == '0' || levels == CATEGORY_LEVELS_MAX)
            return 0;
        ids[levels++] = id;
    }
    return levels;
}

static bool add_name(struct category_tree *tree, struct category_name *name, struct slice lang, struct slice text) {
    *name = (struct category_name){.hangul = projection_has_hangul(text)};
    memcpy(name->lang, lang.data, lang.len);
    name->language = projection_language_code(lang);
    return copy(&tree->arena, text, &name->text) && quote(&tree->arena, text, &name->json);
}

static int compare_names(const void *a, const void *b) {
    return memcmp(((const struct category_name *)a)->lang, ((const struct category_name *)b)->lang, 4);
}

/* The localized object, or the plain name if there is none. */
static bool read_names(struct category_tree *tree, const struct category_row *row, struct category *c,
                       struct error *reterr) {
    struct arena scratch;
    arena_init(&scratch, 4 * NAMES_JSON_MAX);
    const struct json *names = NULL;
    bool given = row->names.len > 0 && !slice_eq(row->names, SLICE("null"));
    bool ok = !given || (names = json_parse(&scratch, row->names.data, row->names.len, NULL, reterr)) != NULL;
    unsigned count = names ? names->count : 1;
    if (ok && given && (names->type != JSON_OBJECT || count == 0 || count > NAMES_MAX))
        ok = error_set(reterr, ERROR_INVALID, "its names are no object of 1 to %d languages", NAMES_MAX);
    struct category_name *list = ok ? arena_zalloc(&tree->arena, count * sizeof(*list)) : NULL;
    unsigned n = 0;
    if (list && !given)
        n = add_name(tree, &list[0], SLICE(""), row->name);
    for (const struct json *m = list && given ? names->child : NULL; m && ok; m = m->next) {
        if (m->type != JSON_STRING || m->key.len < 2 || m->key.len > 3)
            ok = error_set(reterr, ERROR_INVALID, "its names are not {language: string}");
        else
            n += add_name(tree, &list[n], m->key, m->text);
    }
    if (ok && n != count)
        ok = error_nomem(reterr);
    if (ok) {
        qsort(list, n, sizeof(*list), compare_names);
        c->names = list;
        c->name_count = n;
    }
    arena_done(&scratch);
    return ok;
}

/* {"en":"..","ko":".."} from the sorted names. */
static bool write_names(struct category_tree *tree, struct category *c) {
    struct buf b = BUF_INIT(1 << 20);
    if (c->names[0].lang[0] == '\0') {
        c->names_json = (struct slice){"", 0};
        return true;
    }
    for (unsigned i = 0; i < c->name_count; i++) {
        buf_append_char(&b, i ? ',' : '{');
        json_append_string(&b, c->names[i].lang, strlen(c->names[i].lang));
        buf_append_char(&b, ':');
        buf_append(&b, c->names[i].json.data, c->names[i].json.len);
    }
    buf_append_char(&b, '}');
    bool ok = buf_ok(&b) && copy(&tree->arena, (struct slice){b.data, b.len}, &c->names_json);
    buf_done(&b);
    return ok;
}

static bool make_path_terms(struct category_tree *tree, struct category *c) {
    struct slice *terms = arena_alloc(&tree->arena, c->level * sizeof(*terms));
    unsigned n = 0;
    for (struct slice step = {0}; terms && path_next(c->path, &step);)
        if (!quote(&tree->arena, step, &terms[n++]))
            return false;
    c->path_terms = terms;
    return terms != NULL;
}

static bool push(struct category_tree_builder *builder, struct category *c) {
    struct category_tree *tree = builder->tree;
    if (tree->count == builder->capacity) {
        size_t capacity = builder->capacity ? builder->capacity * 2 : 256;
        struct category **by_path = realloc(tree->by_path, capacity * sizeof(struct category *));
        if (!by_path)
            return false;
        tree->by_path = by_path;
        builder->capacity = capacity;
    }
    tree->by_path[tree->count++] = c;
    return true;
}

static bool check_row(const struct category_row *row, unsigned *ret_level, struct error *reterr) {
    int64_t ids[CATEGORY_LEVELS_MAX];
    unsigned level = parse_path(row->path, ids);
    if (row->id <= 0 || row->id > INT32_MAX)
        return error_set(reterr, ERROR_INVALID, "its id is not within 1..%d", INT32_MAX);
    if (level == 0 || ids[level - 1] != row->id)
        return error_set(reterr, ERROR_INVALID, "its path \"%.*s\" is not ids by '/' that end in its own id",
                         (int)(row->path.len < 60 ? row->path.len : 60), row->path.data);
    if (row->names.len > NAMES_JSON_MAX || row->name.len > NAMES_JSON_MAX ||
        !utf8_valid(row->name.data ? row->name.data : "", row->name.len))
        return error_set(reterr, ERROR_INVALID, "its name is too long or not valid UTF-8");
    *ret_level = level;
    return true;
}

bool category_tree_builder_add(struct category_tree_builder *builder, const struct category_row *row,
                               struct error *reterr) {
    unsigned level = 0;
    if (!check_row(row, &level, reterr))
        return error_prefix(reterr, "category %lld", (long long)row->id);
    if (!builder->tree && !(builder->tree = tree_new()))
        return error_nomem(reterr);
    struct category_tree *tree = builder->tree;
    struct category *c = arena_zalloc(&tree->arena, sizeof(*c));
    if (!c)
        return error_nomem(reterr);
    c->id = row->id;
    c->parent_id = row->parent_id;
    c->level = level;
    struct slice path = row->path;
    if (path.data[path.len - 1] == '/')
        path.len--;
    if (!read_names(tree, row, c, reterr))
        return error_prefix(reterr, "category %lld", (long long)row->id);
    if (!copy(&tree->arena, path, &c->path) || !copy(&tree->arena, row->name, &c->name) || !write_names(tree, c) ||
        !make_path_terms(tree, c) || !push(builder, c))
        return error_nomem(reterr);
    return true;
}

/* Like the numbers they are, level by level: "2" before "10", "1" before "1/4". */
static int compare_paths(const void *a, const void *b) {
    int64_t x[CATEGORY_LEVELS_MAX], y[CATEGORY_LEVELS_MAX];
    unsigned n = parse_path((*(struct category *const *)a)->path, x);
    unsigned m = parse_path((*(struct category *const *)b)->path, y);
    for (unsigned i = 0; i < n && i < m; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return (n > m) - (n < m);
}

static uint32_t *slot_of(const struct category_tree *tree, int64_t id) {
    size_t at = ((uint64_t)id * UINT64_C(0x9E3779B97F4A7C15) >> 32) & (tree->slot_count - 1);
    while (tree->slots[at] && tree->by_path[tree->slots[at] - 1]->id != id)
        at = (at + 1) & (tree->slot_count - 1);
    return &tree->slots[at];
}

static bool index_ids(struct category_tree *tree, struct error *reterr) {
    tree->slot_count = 16;
    while (tree->slot_count < tree->count * 2)
        tree->slot_count *= 2;
    tree->slots = calloc(tree->slot_count, sizeof(*tree->slots));
    if (!tree->slots)
        return error_nomem(reterr);
    for (size_t i = 0; i < tree->count; i++) {
        struct category *c = tree->by_path[i];
        uint32_t *slot = slot_of(tree, c->id);
        if (*slot)
            return error_set(reterr, ERROR_CORRUPT, "category %lld is there twice", (long long)c->id);
        *slot = (uint32_t)i + 1;
        c->position = (unsigned)i;
    }
    return true;
}

static bool link_lineage(struct category_tree *tree, struct category *c) {
    int64_t ids[CATEGORY_LEVELS_MAX];
    unsigned levels = parse_path(c->path, ids);
    const struct category **lineage = arena_alloc(&tree->arena, levels * sizeof(struct category *));
    if (!lineage)
        return false;
    for (unsigned i = 0; i < levels; i++) {
        const struct category *found = category_tree_find(tree, ids[i]);
        if (found)
            lineage[c->lineage_count++] = found;
    }
    c->lineage = lineage;
    return true;
}

struct category_tree *category_tree_build(struct category_tree_builder *builder, uint64_t revision,
                                          struct error *reterr) {
    struct category_tree *tree = builder->tree ? builder->tree : tree_new();
    builder->tree = NULL;
    builder->capacity = 0;
    if (!tree) {
        error_nomem(reterr);
        return NULL;
    }
    tree->revision = revision;
    if (tree->count)
        qsort(tree->by_path, tree->count, sizeof(struct category *), compare_paths);
    bool ok = index_ids(tree, reterr);
    for (size_t i = 0; ok && i < tree->count; i++)
        ok = link_lineage(tree, tree->by_path[i]) || error_nomem(reterr);
    if (ok)
        return tree;
    category_tree_unref(tree);
    return NULL;
}

uint64_t category_tree_revision(const struct category_tree *tree) {
    return tree->revision;
}

size_t category_tree_count(const struct category_tree *tree) {
    return tree->count;
}

const struct category *category_tree_find(const struct category_tree *tree, int64_t id) {
    uint32_t index = tree->count ? *slot_of(tree, id) : 0;
    return index ? tree->by_path[index - 1] : NULL;
}

const struct category *const *category_tree_all(const struct category_tree *tree, size_t *ret_count) {
    *ret_count = tree->count;
    return (const struct category *const *)tree->by_path;
}

const struct category *const *category_tree_subtree(const struct category_tree *tree, int64_t id, size_t *ret_count) {
    const struct category *top = category_tree_find(tree, id);
    *ret_count = 0;
    if (!top)
        return NULL;
    size_t first = top->position, end = first + 1;
    while (end < tree->count && path_is_below(tree->by_path[end]->path, top->path))
        end++;
    *ret_count = end - first;
    return (const struct category *const *)(tree->by_path + first);
}

static void write_action(struct buf *out, const char *op, const struct category *c, uint64_t version) {
    buf_append_str(out, "{\"");
    buf_append_str(out, op);
    buf_append_str(out, "\":{\"_id\":\"");
    if (c)
        buf_append_i64(out, c->id);
    else
        buf_append_str(out, "_meta");
    buf_append_str(out, "\",\"version\":");
    buf_append_u64(out, version);
    buf_append_str(out, ",\"version_type\":\"external_gte\"}}\n");
}

static void write_document(struct buf *out, const struct category *c, uint64_t revision) {
    buf_append_str(out, "{\"id\":");
    buf_append_i64(out, c->id);
    if (c->parent_id) {
        buf_append_str(out, ",\"parent_id\":");
        buf_append_i64(out, c->parent_id);
    }
    buf_append_str(out, ",\"path\":");
    buf_append(out, c->path_terms[c->level - 1].data, c->path_terms[c->level - 1].len);
    buf_append_str(out, ",\"level\":");
    buf_append_u64(out, c->level);
    buf_append_str(out, ",\"name\":");
    json_append_string(out, c->name.data, c->name.len);
    if (c->names_json.len) {
        buf_append_str(out, ",\"names\":");
        buf_append(out, c->names_json.data, c->names_json.len);
    }
    buf_append_str(out, ",\"revision\":");
    buf_append_u64(out, revision);
    buf_append_str(out, "}\n");
}

static bool same(const struct category *a, const struct category *b) {
    return b && a->parent_id == b->parent_id && slice_eq(a->path, b->path) &&
           slice_eq(a->name, b->name) && slice_eq(a->names_json, b->names_json);
}

size_t category_tree_write_bulk(const struct category_tree *tree, const struct category_tree *previous,
                                uint64_t version, struct buf *out) {
    size_t actions = 1;
    for (size_t i = 0; i < tree->count; i++) {
        const struct category *c = tree->by_path[i];
        if (previous && same(c, category_tree_find(previous, c->id)))
            continue;
        write_action(out, "index", c, version);
        write_document(out, c, tree->revision);
        actions++;
    }
    for (size_t i = 0; previous && i < previous->count; i++) {
        if (category_tree_find(tree, previous->by_path[i]->id))
            continue;
        write_action(out, "delete", previous->by_path[i], version);
        actions++;
    }
    write_action(out, "index", NULL, version);
    buf_append_str(out, "{\"revision\":");
    buf_append_u64(out, tree->revision);
    buf_append_str(out, "}\n");
    return actions;
}
