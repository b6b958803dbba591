#include "core/cleanup.h"
#include "query-api/search/search_parts.h"
#include "query-api/search/search_result.h"

struct parts {
    bool second[SEARCH_FACETS_MAX]; /* facets that are not counted with the page */
    bool any;
};

static bool is_whole_shop(const struct search_params *p) {
    return p->filter_count + p->clause_count == 0;
}

/* Facets that share one pass, and what that costs beside the hits (4): README.md, Counts that are right. */
static const struct pass {
    unsigned dims, cost;
} passes[] = {{1 << DIM_ATTR, 12}, {1 << DIM_PRICE | 1 << DIM_STOCK, 7}, {1 << DIM_CATEGORY, 3}, {1 << DIM_BRAND, 2}};

/* The dearest first, each to the part that has less to do. */
static void halve(const struct search_params *p, struct parts *parts) {
    unsigned load[2] = {4, 0}; /* the first has the hits */
    for (size_t k = 0; k < ARRAY_LEN(passes); k++) {
        bool second = load[1] < load[0], found = false;
        for (size_t i = 0; i < p->facet_count; i++)
            if (passes[k].dims & 1U << p->facets[i].dim) {
                parts->second[i] = second;
                found = true;
            }
        load[second] += found ? passes[k].cost : 0;
        parts->any |= found && second;
    }
}

/* The facet of the choice that leaves fewest products, going by its kind, or NULL: counted with the page, it would have the page
 * go through all that the other choices leave. */
static bool *of_narrowest_choice(const struct search_params *p, struct parts *parts) {
    static const enum dimension narrowest[] = {DIM_CATEGORY, DIM_BRAND, DIM_ATTR, DIM_PRICE, DIM_STOCK};
    for (size_t k = 0; k < ARRAY_LEN(narrowest); k++)
        for (size_t i = 0; i < p->facet_count; i++)
            if (p->facets[i].dim == narrowest[k] && search_params_filter(p, p->facets[i].dim, p->facets[i].name))
                return &parts->second[i];
    return NULL;
}

static struct parts divide(const struct search_params *p) {
    struct parts parts = {.any = false};
    if (p->q.len || p->cursor.data || p->explain)
        return parts;
    bool *choice = of_narrowest_choice(p, &parts);
    if (choice)
        *choice = parts.any = true;
    else if (is_whole_shop(p) && p->facet_count > 1)
        halve(p, &parts);
    return parts;
}

static bool write_part(const struct search_params *p, const struct parts *parts, bool second, struct buf *out) {
    struct facet facets[SEARCH_FACETS_MAX];
    struct search_params part = *p;
    part.facets = facets;
    for (size_t i = 0; i < p->facet_count; i++) {
        facets[i] = p->facets[i];
        facets[i].elsewhere = parts->second[i] != second;
    }
    return buf_append_str(out, "{}\n") && (second ? search_facets_write(&part, out) : search_query_write(&part, out)) &&
           buf_append_char(out, '\n');
}

bool search_parts_write(const struct search_params *p, struct buf *out, bool *ret_parts) {
    struct parts parts = divide(p);
    *ret_parts = parts.any;
    return parts.any ? write_part(p, &parts, false, out) && write_part(p, &parts, true, out) : search_query_write(p, out);
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
