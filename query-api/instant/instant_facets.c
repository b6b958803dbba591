/* instant_facets.c - the facets of a result, out of those of /v1/search. */
#include "core/cleanup.h"
#include "query-api/instant/instant.h"
#include <stdlib.h>

enum { NAMES_MAX = SEARCH_FACETS_MAX + INSTANT_LEVELS + 64 };

/* A category of the tree, counted under the query's own choice of categories. */
struct node {
    unsigned level;
    struct slice name; /* TV > OLED */
    uint64_t count;
};

struct stats {
    struct slice name;
    double min, max, sum;
    uint64_t count; /* 0: no sum */
};

struct facets {
    struct json_write *w;
    struct arena *arena;
    const struct instant_query *q;
    const struct json *answer;
    const struct filter *chosen; /* categories, or NULL */
    uint64_t total;              /* products found; UINT64_MAX: not known */
    struct node *nodes;          /* once the tree has been read */
    size_t node_count;
    bool nodes_read;
    struct slice names[NAMES_MAX]; /* facets that have values, in order */
    size_t name_count;
    struct stats stats[NAMES_MAX];
    size_t stats_count;
};

static uint64_t count_of(const struct json *v) {
    int64_t n;
    return json_int64(json_get(v, "count"), &n) && n > 0 ? (uint64_t)n : 0;
}

static struct slice text_of(const struct json *v) {
    return json_is(v, JSON_STRING) ? v->text : (struct slice){"", 0};
}

/* ---- the tree ---- */

static uint64_t tree_count(const struct json *nodes, struct slice path) {
    for (const struct json *n = nodes; n; n = n->next) {
        struct slice at = text_of(json_get(n, "path"));
        if (slice_eq(at, path))
            return count_of(n);
        if (path_is_below(path, at))
            return tree_count(json_first(json_get(n, "children")), path);
    }
    return 0;
}

/* Is it chosen before, or lies in another one that is? */
static bool is_counted_there(const struct filter *chosen, size_t index) {
    for (size_t i = 0; i < chosen->value_count; i++)
        if (path_is_below(chosen->values[index], chosen->values[i]) || (i < index && slice_eq(chosen->values[i], chosen->values[index])))
            return true;
    return false;
}

/* The tree is counted without the choice of a category. Under it, what lies in the chosen one keeps its count, and those above
 * it have what it has; above several no more than all that is found, for a product may be in more than one of them. */
static uint64_t count_chosen(const struct facets *s, const struct json *tree, const struct json *node, struct slice path) {
    uint64_t above = 0;
    if (!s->chosen)
        return count_of(node);
    for (size_t i = 0; i < s->chosen->value_count; i++) {
        struct slice chosen = s->chosen->values[i];
        if (slice_eq(path, chosen) || path_is_below(path, chosen))
            return count_of(node);
        if (path_is_below(chosen, path) && !is_counted_there(s->chosen, i))
            above += tree_count(tree, chosen);
    }
    uint64_t most = count_of(node) < s->total ? count_of(node) : s->total;
    return above < most ? above : most;
}

static size_t count_nodes(const struct json *nodes) {
    size_t n = 0;
    for (; nodes; nodes = nodes->next)
        n += 1 + count_nodes(json_first(json_get(nodes, "children")));
    return n;
}

static void read_nodes(struct facets *s, const struct json *tree, const struct json *nodes, unsigned level, struct slice parent) {
    for (const struct json *n = nodes; n && level < INSTANT_LEVELS; n = n->next) {
        struct slice own = text_of(json_get(n, "name"));
        uint64_t count = count_chosen(s, tree, n, text_of(json_get(n, "path")));
        if (!own.len || count == 0)
            continue;
        struct slice name = own;
        if (parent.len) {
            char *joined = arena_alloc(s->arena, parent.len + 3 + own.len);
            if (!joined) {
                s->w->failed = true;
                return;
            }
            memcpy(joined, parent.data, parent.len);
            memcpy(joined + parent.len, " > ", 3);
            memcpy(joined + parent.len + 3, own.data, own.len);
            name = (struct slice){joined, parent.len + 3 + own.len};
        }
        s->nodes[s->node_count++] = (struct node){level, name, count};
        read_nodes(s, tree, json_first(json_get(n, "children")), level + 1, name);
    }
}

static int by_level_and_count(const void *a, const void *b) {
    const struct node *x = a, *y = b;
    if (x->level != y->level)
        return x->level < y->level ? -1 : 1;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    size_t n = x->name.len < y->name.len ? x->name.len : y->name.len;
    int order = n ? memcmp(x->name.data, y->name.data, n) : 0;
    return order ? order : (x->name.len > y->name.len) - (x->name.len < y->name.len);
}

static void read_tree(struct facets *s) {
    const struct json *tree = json_first(json_get(json_get(s->answer, "category"), "nodes"));
    if (s->nodes_read)
        return;
    s->nodes_read = true;
    s->nodes = arena_alloc(s->arena, (count_nodes(tree) + 1) * sizeof(*s->nodes));
    if (!s->nodes) {
        s->w->failed = true;
        return;
    }
    read_nodes(s, tree, tree, 0, (struct slice){"", 0});
    if (s->node_count)
        qsort(s->nodes, s->node_count, sizeof(*s->nodes), by_level_and_count);
}

/* Two categories of the same name under the same parent are one value to the client. */
static uint64_t take_namesakes(struct facets *s, size_t at) {
    uint64_t count = s->nodes[at].count;
    for (size_t i = at + 1; i < s->node_count && s->nodes[i].level == s->nodes[at].level; i++)
        if (slice_eq(s->nodes[i].name, s->nodes[at].name)) {
            count += s->nodes[i].count;
            s->nodes[i].count = 0;
        }
    return count;
}

static void write_level(struct facets *s, unsigned level) {
    size_t written = 0;
    for (size_t i = 0; i < s->node_count && written < s->q->facet_size; i++) {
        if (s->nodes[i].level != level || s->nodes[i].count == 0)
            continue;
        json_write_key_slice(s->w, s->nodes[i].name);
        json_write_uint(s->w, take_namesakes(s, i));
        written++;
    }
}

/* ---- values ---- */

/* Attributes whose values are all numbers, and all there. */
/* A facet of numbers has its ends; sum and mean are known if all of its values are shown. */
static void note_stats(struct facets *s, struct slice name, const struct json *facet) {
    struct stats stats = {.name = name};
    int64_t other = 0;
    double v;
    if (!json_double(json_get(facet, "min"), &stats.min) || !json_double(json_get(facet, "max"), &stats.max))
        return;
    json_int64(json_get(facet, "other"), &other);
    for (const struct json *item = json_first(json_get(facet, "values")); item && other == 0; item = item->next)
        if (json_text_double(text_of(json_get(item, "value")), &v)) {
            stats.sum += v * (double)count_of(item);
            stats.count += count_of(item);
        }
    s->stats[s->stats_count++] = stats;
}

/* True if there are any. */
static bool write_values(struct facets *s, const struct json *facet) {
    size_t written = 0;
    for (const struct json *item = json_first(json_get(facet, "values")); item && written < s->q->facet_size; item = item->next) {
        uint64_t count = count_of(item);
        if (count == 0)
            continue;
        json_write_key_slice(s->w, text_of(json_get(item, "value")));
        json_write_uint(s->w, count);
        written++;
    }
    return written > 0;
}

static bool is_written(const struct facets *s, struct slice name) {
    for (size_t i = 0; i < s->name_count; i++)
        if (slice_eq(s->names[i], name))
            return true;
    return false;
}

static const struct json *answer_of(const struct facets *s, const struct instant_attribute *a) {
    static const char *const keys[] = {[DIM_CATEGORY] = "category", [DIM_BRAND] = "brand", [DIM_PRICE] = "price", [DIM_STOCK] = "in_stock"};
    if (a->dim != DIM_ATTR)
        return json_get(s->answer, keys[a->dim]);
    for (const struct json *m = s->answer ? s->answer->child : NULL; m; m = m->next)
        if (m->key.len == a->name.len + 5 && memcmp(m->key.data, "attr.", 5) == 0 &&
            memcmp(m->key.data + 5, a->name.data, a->name.len) == 0)
            return m;
    return NULL;
}

static void write_facet(struct facets *s, const struct instant_attribute *a) {
    const struct json *facet = answer_of(s, a);
    if (s->name_count == NAMES_MAX || is_written(s, a->asked) || !facet)
        return;
    s->names[s->name_count++] = a->asked;
    json_write_key_slice(s->w, a->asked);
    json_write_object(s->w);
    if (a->dim == DIM_CATEGORY) {
        read_tree(s);
        write_level(s, a->level);
    } else if (a->dim == DIM_PRICE) {
        note_stats(s, a->asked, facet);
    } else {
        write_values(s, facet);
        if (a->dim == DIM_ATTR)
            note_stats(s, a->asked, facet);
    }
    json_write_object_end(s->w);
}

/* Everything that the answer has. */
static void write_all(struct facets *s) {
    static const char *const levels[INSTANT_LEVELS] = {"cat.lvl0", "cat.lvl1", "cat.lvl2", "cat.lvl3", "cat.lvl4",
                                                       "cat.lvl5", "cat.lvl6", "cat.lvl7", "cat.lvl8", "cat.lvl9"};
    static const char *const names[] = {"brand", "price", "in_stock"};
    struct instant_attribute a;
    read_tree(s);
    unsigned depth = s->node_count ? s->nodes[s->node_count - 1].level + 1 : 0;
    for (unsigned i = 0; i < depth; i++)
        if (instant_attribute_read(slice_str(levels[i]), &a))
            write_facet(s, &a);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (instant_attribute_read(slice_str(names[i]), &a))
            write_facet(s, &a);
    for (const struct json *m = s->answer ? s->answer->child : NULL; m; m = m->next)
        if (m->key.len > 5 && memcmp(m->key.data, "attr.", 5) == 0 && instant_attribute_read(m->key, &a))
            write_facet(s, &a);
}

static void write_stats(struct facets *s) {
    json_write_key(s->w, "facets_stats");
    json_write_object(s->w);
    for (size_t i = 0; i < s->stats_count; i++) {
        const struct stats *v = &s->stats[i];
        json_write_key_slice(s->w, v->name);
        json_write_object(s->w);
        json_write_key(s->w, "min");
        json_write_double(s->w, v->min);
        json_write_key(s->w, "max");
        json_write_double(s->w, v->max);
        if (v->count) {
            json_write_key(s->w, "avg");
            json_write_double(s->w, v->sum / (double)v->count);
            json_write_key(s->w, "sum");
            json_write_double(s->w, v->sum);
        }
        json_write_object_end(s->w);
    }
    json_write_object_end(s->w);
}

/* Which facets a page shows, and in which order: dynamicWidgets asks for it. */
static void write_order(struct facets *s) {
    json_write_key(s->w, "renderingContent");
    json_write_object(s->w);
    json_write_key(s->w, "facetOrdering");
    json_write_object(s->w);
    json_write_key(s->w, "facets");
    json_write_object(s->w);
    json_write_key(s->w, "order");
    json_write_array(s->w);
    for (size_t i = 0; i < s->name_count; i++)
        json_write_slice(s->w, s->names[i]);
    json_write_array_end(s->w);
    json_write_object_end(s->w);
    json_write_object_end(s->w);
    json_write_object_end(s->w);
}

static struct facets *facets_new(struct json_write *w, const struct instant_context *context, const struct instant_query *query,
                                 const struct json *facets, uint64_t total) {
    struct facets *s = arena_zalloc(context->arena, sizeof(*s));
    size_t categories = 0;
    if (!s)
        return NULL;
    *s = (struct facets){
        .w = w, .arena = context->arena, .q = query, .answer = json_is(facets, JSON_OBJECT) ? facets : NULL, .total = total};
    for (size_t i = 0; i < query->refined.filter_count; i++)
        if (query->refined.filters[i].dim == DIM_CATEGORY) {
            s->chosen = &query->refined.filters[i];
            categories++;
        }
    if (categories > 1) /* they count for the tree, too */
        s->chosen = NULL;
    return s;
}

size_t instant_level_values(const struct instant_context *context, const struct instant_query *query, const struct json *facets,
                            unsigned level, struct instant_value **ret) {
    struct json_write nothing = {0};
    struct facets *s = facets_new(&nothing, context, query, facets, UINT64_MAX);
    size_t count = 0;
    *ret = NULL;
    if (!s)
        return 0;
    s->chosen = NULL;
    read_tree(s);
    if (!nothing.failed)
        *ret = arena_alloc(context->arena, (s->node_count + 1) * sizeof(**ret));
    for (size_t i = 0; *ret && i < s->node_count; i++)
        if (s->nodes[i].level == level && s->nodes[i].count)
            (*ret)[count++] = (struct instant_value){s->nodes[i].name, take_namesakes(s, i)};
    return count;
}

void instant_facets_write(struct json_write *w, const struct instant_context *context, const struct instant_query *query,
                          const struct json *facets, uint64_t total) {
    struct facets *s = facets_new(w, context, query, facets, total);
    if (!s) {
        w->failed = true;
        return;
    }
    json_write_key(w, "facets");
    json_write_object(w);
    if (query->facets_all)
        write_all(s);
    for (size_t i = 0; i < query->facet_count; i++)
        write_facet(s, &query->facets[i]);
    json_write_object_end(w);
    write_stats(s);
    write_order(s);
}
