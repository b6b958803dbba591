#include "query-api/browse/category_forest.h"
#include <stdlib.h>

struct category_other {
    struct slice path;
    uint64_t count;
    unsigned char mark;
};

bool category_forest_init(struct category_forest *forest, const struct category_list *list, struct arena *arena) {
    size_t count = category_list_count(list);
    *forest = (struct category_forest){.list = list,
                                   .arena = arena,
                                   .marks = arena_zalloc(arena, count),
                                   .counts = arena_alloc(arena, count * sizeof(*forest->counts))};
    return forest->marks && forest->counts;
}

static bool add_other(struct category_forest *forest, struct slice path, uint64_t count, unsigned char mark) {
    if (forest->other_count == forest->other_room) {
        size_t room = forest->other_room ? forest->other_room * 2 : 16;
        struct category_other *longer = arena_alloc(forest->arena, room * sizeof(*longer));
        if (!longer)
            return false;
        if (forest->other_count)
            memcpy(longer, forest->others, forest->other_count * sizeof(*longer));
        forest->others = longer;
        forest->other_room = room;
    }
    forest->others[forest->other_count++] = (struct category_other){path, count, mark};
    return true;
}

static const struct category *find(struct category_forest *forest, struct slice path) {
    if (!forest->last || !slice_eq(forest->last->path, path)) {
        const struct category *c = category_list_by_path(forest->list, path);
        if (!c)
            return NULL;
        forest->last = c;
    }
    return forest->last;
}

static size_t place_of(const struct category_forest *forest, const struct category *c) {
    return (size_t)(c - category_list_at(forest->list, 0));
}

static void add_at(struct category_forest *forest, size_t place, uint64_t count) {
    if (!forest->marks[place])
        forest->counts[place] = 0;
    forest->counts[place] += count;
    forest->marks[place] |= CATEGORY_SHOWN;
}

bool category_forest_add(struct category_forest *forest, struct slice path, uint64_t count) {
    const struct category *c = find(forest, path);
    if (!c)
        return add_other(forest, path, count, CATEGORY_SHOWN);
    add_at(forest, place_of(forest, c), count);
    return true;
}

static bool has(struct slice before, struct slice path) {
    return before.len && (slice_eq(before, path) || path_is_below(before, path));
}

bool category_forest_add_line(struct category_forest *forest, struct slice path, struct slice before, uint64_t count) {
    const struct category *c = find(forest, path);
    if (c && c->whole) {
        const struct category *items = category_list_at(forest->list, 0);
        for (size_t i = (size_t)(c - items); i != CATEGORY_NONE && !has(before, items[i].path); i = items[i].above)
            add_at(forest, i, count);
        return true;
    }
    for (struct slice step = {0}; path_next(path, &step);)
        if (!has(before, step) && !category_forest_add(forest, step, count))
            return false;
    return true;
}

bool category_forest_select(struct category_forest *forest, struct slice path) {
    const struct category *c = find(forest, path);
    if (c) {
        add_at(forest, place_of(forest, c), 0);
        forest->marks[place_of(forest, c)] |= CATEGORY_SELECTED;
        return true;
    }
    return add_other(forest, path, 0, CATEGORY_SHOWN | CATEGORY_SELECTED);
}

/* ---- writing ---- */

static int compare_others(const void *a, const void *b) {
    return category_path_compare(((const struct category_other *)a)->path, ((const struct category_other *)b)->path);
}

/* In order, each path once. */
static void settle_others(struct category_forest *forest) {
    struct category_other *others = forest->others;
    size_t n = 0;
    if (forest->other_count == 0)
        return;
    qsort(others, forest->other_count, sizeof(*others), compare_others);
    for (size_t i = 1; i < forest->other_count; i++)
        if (slice_eq(others[n].path, others[i].path)) {
            others[n].count += others[i].count;
            others[n].mark |= others[i].mark;
        } else {
            others[++n] = others[i];
        }
    forest->other_count = n + 1;
}

/* What is written next: a category of the list, or one of the others. */
struct node {
    const struct category_other *other;
    uint32_t place, end; /* in the list: it and its descendants */
};

struct writer {
    const struct category_forest *forest;
    const struct category *items;
    const struct category_heads *heads; /* NULL: not prepared */
    const char *lang;
    struct buf *out;
    size_t count, place, other; /* of the list; behind what has been taken */
};

/* In the order of category_path_compare, in which the list is already. */
static bool next_node(struct writer *t, struct node *ret) {
    const struct category_forest *f = t->forest;
    const struct category_other *o = t->other < f->other_count ? &f->others[t->other] : NULL;
    while (t->place < t->count && !f->marks[t->place])
        t->place++;
    size_t i = t->place;
    if (i < t->count && (!o || category_path_compare(t->items[i].path, o->path) <= 0)) {
        t->place++;
        *ret = (struct node){NULL, (uint32_t)i, t->items[i].end};
        return true;
    }
    if (!o)
        return false;
    t->other++;
    *ret = (struct node){.other = o};
    return true;
}

static struct slice path_of(const struct writer *t, const struct node *node) {
    return node->other ? node->other->path : t->items[node->place].path;
}

static bool is_below(const struct writer *t, const struct node *node, const struct node *above) {
    if (!node->other && !above->other)
        return node->place < above->end;
    return path_is_below(path_of(t, node), path_of(t, above));
}

static inline void append(struct buf *out, struct slice s) {
    memcpy(out->data + out->len, s.data, s.len);
    out->len += s.len;
}

/* DEPTH_MAX levels may be closed before a node, and what it takes beside its head. */
enum { DEPTH_MAX = 48, NODE_BYTES = DEPTH_MAX * 2 + 96 };

/* {"path":…,"count": and room for the rest. */
static bool append_head(const struct writer *t, const struct node *node) {
    if (node->other) {
        struct slice path = node->other->path;
        return category_head_append(t->out, path, category_path_id(path), NULL) && buf_reserve(t->out, NODE_BYTES);
    }
    if (!t->heads) {
        const struct category *c = &t->items[node->place];
        struct slice name = category_name(c, t->lang);
        return category_head_append(t->out, c->path, c->id, &name) && buf_reserve(t->out, NODE_BYTES);
    }
    const uint32_t *at = t->heads->at + node->place;
    if (!buf_reserve(t->out, at[1] - at[0] + NODE_BYTES))
        return false;
    append(t->out, (struct slice){t->heads->text + at[0], at[1] - at[0]});
    return true;
}

/* {...,"children":[ */
static bool node_begin(const struct writer *t, const struct node *node) {
    uint64_t count = node->other ? node->other->count : t->forest->counts[node->place];
    unsigned mark = node->other ? node->other->mark : t->forest->marks[node->place];
    if (!append_head(t, node))
        return false;
    if (count == CATEGORY_COUNT_UNKNOWN)
        append(t->out, SLICE("null"));
    else
        buf_append_u64(t->out, count);
    if (mark & CATEGORY_SELECTED)
        append(t->out, SLICE(",\"selected\":true"));
    append(t->out, SLICE(",\"children\":["));
    return true;
}

/* The nodes come in tree order, so a stack of open ancestors is enough; its depth is the depth of a path. */
static void write_nodes(struct writer *t) {
    struct node open[DEPTH_MAX], node;
    struct buf *out = t->out;
    size_t depth = 0;
    bool again = false;
    append(out, SLICE("["));
    while (next_node(t, &node)) {
        for (; depth && !is_below(t, &node, &open[depth - 1]); depth--) {
            append(out, SLICE("]}"));
            again = true;
        }
        if (depth == DEPTH_MAX)
            continue;
        if (again)
            append(out, SLICE(","));
        if (!node_begin(t, &node))
            return;
        again = false;
        open[depth++] = node;
    }
    while (depth--)
        append(out, SLICE("]}"));
    append(out, SLICE("]"));
    out->data[out->len] = '\0';
}

void category_forest_write(struct json_write *w, struct category_forest *forest, const char *lang) {
    struct writer t = {.forest = forest, .lang = lang, .out = json_write_pieces(w), .count = category_list_count(forest->list)};
    if (t.count) {
        t.items = category_list_at(forest->list, 0);
        t.heads = category_list_heads(forest->list, slice_str(lang));
    }
    settle_others(forest);
    if (t.out && buf_reserve(t.out, NODE_BYTES))
        write_nodes(&t);
}
