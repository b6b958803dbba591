#include "query-api/search/search_parts.h"
#include "query-api/search/search_result.h"

/* The first is the page; a facet is counted by the part whose number it has. */
struct parts {
    unsigned of[SEARCH_FACETS_MAX];
    unsigned count;
};

static bool is_whole_shop(const struct search_params *p) {
    return p->filter_count + p->clause_count == 0;
}

/* What it costs to count one, in the time that the hits take: README.md, Counts that are right. */
static unsigned cost_of(enum dimension dim) {
    static const unsigned costs[] = {[DIM_CATEGORY] = 2, [DIM_BRAND] = 1, [DIM_PRICE] = 3, [DIM_STOCK] = 1, [DIM_ATTR] = 3};
    return costs[dim];
}

/* The dearest first, each to the part that has less to do. All attributes stay together: they share one pass. */
static void halve(const struct search_params *p, struct parts *parts) {
    static const enum dimension order[] = {DIM_ATTR, DIM_PRICE, DIM_CATEGORY, DIM_BRAND, DIM_STOCK};
    unsigned load[2] = {1, 0}; /* the first has the hits */
    for (size_t k = 0; k < sizeof(order) / sizeof(order[0]); k++) {
        unsigned part = load[1] < load[0], found = 0;
        for (size_t i = 0; i < p->facet_count; i++)
            if (p->facets[i].dim == order[k]) {
                parts->of[i] = part;
                found = 1;
            }
        load[part] += found * cost_of(order[k]);
        if (found && part)
            parts->count = 2;
    }
}

static struct parts divide(const struct search_params *p) {
    struct parts parts = {.count = 1};
    if (is_whole_shop(p) && p->facet_count > 1)
        halve(p, &parts);
    else
        for (size_t i = 0; i < p->facet_count; i++)
            if (search_params_filter(p, p->facets[i].dim, p->facets[i].name))
                parts.of[i] = parts.count++;
    return parts;
}

bool search_parts_wanted(const struct search_params *p) {
    return p->q.len == 0 && !p->cursor.data && !p->explain && divide(p).count > 1;
}

bool search_parts_write(const struct search_params *p, struct buf *out) {
    static const struct slice header = {"{}\n", 3};
    struct parts parts = divide(p);
    struct facet facets[SEARCH_FACETS_MAX];
    struct search_params part = *p;
    part.facets = facets;
    bool ok = true;
    for (unsigned k = 0; k < parts.count && ok; k++) {
        for (size_t i = 0; i < p->facet_count; i++) {
            facets[i] = p->facets[i];
            facets[i].elsewhere = parts.of[i] != k;
        }
        buf_append(out, header.data, header.len);
        ok = k == 0 ? search_query_write(&part, out) : search_facets_write(&part, out);
        buf_append_char(out, '\n');
    }
    return ok && buf_ok(out);
}

/* ---- the answer ---- */

struct list {
    struct arena *arena;
    struct json **end;
    unsigned count;
    bool failed;
};

/* Copies of the members; what is in them stays where it is. */
static void append_members(struct list *list, const struct json *object) {
    for (const struct json *v = json_is(object, JSON_OBJECT) ? object->child : NULL; v && !list->failed; v = v->next) {
        struct json *copy = arena_alloc(list->arena, sizeof(*copy));
        if (!copy) {
            list->failed = true;
            return;
        }
        *copy = *v;
        copy->next = NULL;
        *list->end = copy;
        list->end = &copy->next;
        list->count++;
    }
}

const struct json *search_parts_join(struct arena *arena, const struct json *answer, struct error *reterr) {
    const struct json *responses = json_get(answer, "responses");
    const struct json *page = json_is(responses, JSON_ARRAY) ? responses->child : NULL;
    struct json *root = arena_zalloc(arena, sizeof(*root)), *counts = arena_zalloc(arena, sizeof(*counts));
    if (!root || !counts) {
        error_nomem(reterr);
        return NULL;
    }
    *counts = (struct json){.type = JSON_OBJECT, .key = SLICE("aggregations")};
    *root = (struct json){.type = JSON_OBJECT, .child = counts};
    struct list members = {.arena = arena, .end = &counts->next, .count = 1}, all = {.arena = arena, .end = &counts->child};
    append_members(&members, page);
    root->count = members.count;
    for (const struct json *part = page; part; part = part->next) {
        const struct json *some = json_get(part, "aggregations");
        if (!search_result_whole(part, reterr))
            return NULL;
        if (part != page && !json_is(some, JSON_OBJECT)) {
            error_set(reterr, ERROR_CORRUPT, "the search engine's answer lacks facets");
            return NULL;
        }
        append_members(&all, some);
    }
    counts->count = all.count;
    if (members.failed || all.failed) {
        error_nomem(reterr);
        return NULL;
    }
    return root;
}
