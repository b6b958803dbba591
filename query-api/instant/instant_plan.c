/* instant_plan.c - a batch as few searches.
 *
 * InstantSearch sends, besides the query for the hits, one more for each chosen facet: the same without that facet's own
 * selection, to count its other values. A search of ours counts its facets that way in one request, so such a query is
 * read off the answer of the one for the hits. Only then is the selection disjunctive; any other selection counts for its
 * own facet, too, as the protocol has it. Of a category tree, every level under every selection on the way up to the
 * root can be read off the one tree that is counted without the selection (instant_facets.c). */
#include "query-api/instant/instant.h"

/* What a search is made of while queries join it. */
struct draft {
    const struct instant_query *main;
    bool *loose; /* for each of main's refined filters: somebody asks for its facet without it */
    struct facet facets[SEARCH_FACETS_MAX];
    size_t facet_count;
    unsigned facet_size;
};

static bool values_equal(const struct slice *a, size_t a_count, const struct slice *b, size_t b_count) {
    bool same = a_count == b_count;
    for (size_t i = 0; same && i < a_count; i++) {
        size_t k = 0;
        while (k < b_count && !slice_eq(a[i], b[k]))
            k++;
        same = k < b_count;
    }
    return same;
}

static bool same_kind(const struct filter *a, const struct filter *b) {
    return a->dim == b->dim && slice_eq(a->name, b->name);
}

static bool filter_equal(const struct filter *a, const struct filter *b) {
    bool same = same_kind(a, b) && a->range_count == b->range_count &&
                values_equal(a->values, a->value_count, b->values, b->value_count);
    for (size_t i = 0; same && i < a->range_count; i++)
        same = a->ranges[i].from <= b->ranges[i].from && a->ranges[i].from >= b->ranges[i].from &&
               a->ranges[i].to <= b->ranges[i].to && a->ranges[i].to >= b->ranges[i].to;
    return same;
}

static bool clauses_equal(const struct instant_filters *a, const struct instant_filters *b) {
    bool same = a->clause_count == b->clause_count;
    for (size_t i = 0; same && i < a->clause_count; i++) {
        const struct search_clause *x = &a->clauses[i], *y = &b->clauses[i];
        same = x->count == y->count;
        for (size_t k = 0; same && k < x->count; k++)
            same = x->literals[k].negated == y->literals[k].negated &&
                   filter_equal(&x->literals[k].filter, &y->literals[k].filter);
    }
    return same;
}

/* Are there several filters of this kind? They hold together then, and none is disjunctive. */
static bool is_alone(const struct instant_filters *filters, const struct filter *f) {
    size_t count = 0;
    for (size_t i = 0; i < filters->filter_count; i++)
        count += same_kind(&filters->filters[i], f);
    return count == 1;
}

static const struct filter *find(const struct instant_filters *filters, const struct filter *like) {
    for (size_t i = 0; i < filters->filter_count; i++)
        if (same_kind(&filters->filters[i], like))
            return &filters->filters[i];
    return NULL;
}

/* Every chosen category lies in one of the other filter's. */
static bool holds_category(const struct filter *wide, const struct filter *narrow) {
    for (size_t i = 0; i < narrow->value_count; i++) {
        size_t k = 0;
        while (k < wide->value_count && !slice_eq(wide->values[k], narrow->values[i]) &&
               !path_is_below(narrow->values[i], wide->values[k]))
            k++;
        if (k == wide->value_count)
            return false;
    }
    return true;
}

/* SIZE_MAX - 1: the same filters. Else the one of main's filters that q does not have, or has wider; SIZE_MAX if there are
 * more differences. */
static size_t difference(const struct instant_query *main, const struct instant_query *q) {
    size_t missing = SIZE_MAX - 1, found = 0;
    for (size_t i = 0; i < main->refined.filter_count; i++) {
        const struct filter *f = &main->refined.filters[i], *other = find(&q->refined, f);
        if (!is_alone(&main->refined, f) || (other && !is_alone(&q->refined, other)))
            return SIZE_MAX;
        found += other != NULL;
        if (other && filter_equal(f, other))
            continue;
        bool wider = !other || (f->dim == DIM_CATEGORY && holds_category(other, f));
        if (!wider || missing != SIZE_MAX - 1)
            return SIZE_MAX;
        missing = i;
    }
    return found == q->refined.filter_count ? missing : SIZE_MAX;
}

static bool facet_is_about(const struct instant_attribute *facet, const struct filter *f) {
    return facet->dim == f->dim && (f->dim != DIM_ATTR || slice_eq(facet->name, f->name));
}

/* Can q be read off the answer for main? *ret_loose: the filter that becomes disjunctive, or SIZE_MAX - 1. */
static bool folds(const struct instant_query *main, const struct instant_query *q, size_t *ret_loose) {
    if (!q->no_hits || q->facets_all || q->facet_search || strcmp(q->lang, main->lang) != 0 || q->typo != main->typo ||
        !slice_eq(q->q, main->q) ||
        !values_equal(q->contexts, q->context_count, main->contexts, main->context_count) || !slice_eq(q->filters_text, main->filters_text) ||
        !clauses_equal(&q->refined, &main->refined))
        return false;
    size_t missing = difference(main, q);
    if (missing == SIZE_MAX)
        return false;
    *ret_loose = missing;
    for (size_t i = 0; i < q->facet_count; i++)
        if (missing == SIZE_MAX - 1 || !facet_is_about(&q->facets[i], &main->refined.filters[missing]))
            return false;
    return q->facet_count > 0;
}

static struct facet facet_of(const struct instant_attribute *a) {
    return (struct facet){.dim = a->dim, .name = a->dim == DIM_ATTR ? a->name : SLICE(""), .bounds = a->dim == DIM_PRICE};
}

static bool has_facet(const struct draft *d, struct facet f) {
    for (size_t i = 0; i < d->facet_count; i++)
        if (d->facets[i].dim == f.dim && slice_eq(d->facets[i].name, f.name))
            return true;
    return false;
}

static void add_facet(struct draft *d, struct facet f) {
    if (!has_facet(d, f) && d->facet_count < SEARCH_FACETS_MAX)
        d->facets[d->facet_count++] = f;
}

static void add_query(struct draft *d, const struct instant_query *q) {
    if (q->facets_all) {
        static const enum dimension dims[] = {DIM_CATEGORY, DIM_BRAND, DIM_PRICE, DIM_STOCK};
        for (size_t i = 0; i < sizeof(dims) / sizeof(dims[0]); i++)
            add_facet(d, (struct facet){.dim = dims[i], .name = SLICE(""), .bounds = dims[i] == DIM_PRICE});
        add_facet(d, (struct facet){.dim = DIM_ATTR, .name = SLICE("*")});
    }
    for (size_t i = 0; i < q->facet_count; i++)
        add_facet(d, facet_of(&q->facets[i]));
    if (q->facet_count || q->facets_all)
        d->facet_size = q->facet_size > d->facet_size ? q->facet_size : d->facet_size;
}

static bool join(struct draft *d, const struct instant_query *q) {
    size_t loose = 0, more = 0;
    if (!folds(d->main, q, &loose))
        return false;
    for (size_t i = 0; i < q->facet_count; i++)
        more += !has_facet(d, facet_of(&q->facets[i]));
    if (d->facet_count + more > SEARCH_FACETS_MAX)
        return false;
    add_query(d, q);
    if (loose != SIZE_MAX - 1)
        d->loose[loose] = true;
    return true;
}

/* Refined filters, then fixed ones; all but the disjunctive ones and the category's are strict. */
static bool write_filters(struct arena *arena, const struct draft *d, struct search_params *p) {
    const struct instant_filters *refined = &d->main->refined, *fixed = &d->main->fixed;
    p->filters = arena_alloc(arena, (refined->filter_count + fixed->filter_count + 1) * sizeof(*p->filters));
    p->clauses = arena_alloc(arena, (refined->clause_count + fixed->clause_count + 1) * sizeof(*p->clauses));
    if (!p->filters || !p->clauses)
        return false;
    for (size_t i = 0; i < refined->filter_count; i++) {
        struct filter *f = &p->filters[p->filter_count++];
        *f = refined->filters[i];
        f->strict = !d->loose[i] && !(f->dim == DIM_CATEGORY && is_alone(refined, f));
    }
    for (size_t i = 0; i < fixed->filter_count; i++) {
        p->filters[p->filter_count] = fixed->filters[i];
        p->filters[p->filter_count++].strict = true;
    }
    for (size_t i = 0; i < refined->clause_count; i++)
        p->clauses[p->clause_count++] = refined->clauses[i];
    for (size_t i = 0; i < fixed->clause_count; i++)
        p->clauses[p->clause_count++] = fixed->clauses[i];
    return true;
}

static bool write_fields(struct arena *arena, const struct instant_query *q, struct search_params *p) {
    if (!q->field_count && !q->attributes)
        return true;
    p->fields = arena_alloc(arena, (q->field_count + 2) * sizeof(*p->fields));
    if (!p->fields)
        return false;
    for (size_t i = 0; i < q->field_count; i++)
        p->fields[p->field_count++] = q->fields[i];
    if (q->attributes) {
        p->fields[p->field_count++] = SLICE("attrs");
        p->fields[p->field_count++] = SLICE("code_attrs");
    }
    return true;
}

static bool write_search(struct arena *arena, const struct draft *d, struct instant_search *ret) {
    const struct instant_query *q = d->main;
    *ret = (struct instant_search){.main = q};
    struct search_params *p = &ret->params;
    *p = (struct search_params){.q = q->q, .sort = q->sort, .page = q->asked_page + 1, .size = q->no_hits ? 0 : q->asked_size,
                                .uncounted = q->uncounted,
                                .facet_size = d->facet_size ? d->facet_size : 1, .typo = q->typo,
                                .facet_count = d->facet_count,
                                .contexts = q->contexts, .context_count = q->context_count};
    memcpy(p->lang, q->lang, sizeof(p->lang));
    if (p->size == 0 || (uint64_t)p->page * p->size > SEARCH_WINDOW_MAX) { /* past the last page there are no hits */
        p->page = 1;
        p->size = 0;
    }
    p->facets = arena_alloc(arena, (d->facet_count + 1) * sizeof(*p->facets));
    if (!p->facets)
        return false;
    memcpy(p->facets, d->facets, d->facet_count * sizeof(*p->facets));
    return write_filters(arena, d, p) && write_fields(arena, q, p);
}

bool instant_facet_params(struct arena *arena, const struct instant_query *query, struct search_params *ret) {
    struct draft d = {.main = query, .facet_size = query->facet_hits ? query->facet_hits : 1};
    struct instant_search search;
    size_t kept = 0;
    add_facet(&d, facet_of(&query->facet));
    d.loose = arena_zalloc(arena, (query->refined.filter_count + 1) * sizeof(bool));
    if (!d.loose || !write_search(arena, &d, &search))
        return false;
    *ret = search.params;
    ret->page = 1;
    ret->size = 0;
    for (size_t i = 0; i < ret->filter_count; i++)
        if (i >= query->refined.filter_count || !facet_is_about(&query->facet, &ret->filters[i]))
            ret->filters[kept++] = ret->filters[i];
    ret->filter_count = kept;
    return true;
}

bool instant_plan_make(struct arena *arena, const struct instant_query *queries, size_t count, struct instant_plan *ret) {
    struct draft *drafts = arena_alloc(arena, (count + 1) * sizeof(*drafts));
    *ret = (struct instant_plan){.searches = arena_alloc(arena, (count + 1) * sizeof(*ret->searches)),
                                 .search_of = arena_alloc(arena, (count + 1) * sizeof(*ret->search_of))};
    if (!drafts || !ret->searches || !ret->search_of)
        return false;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        ret->search_of[i] = SIZE_MAX;
        if (queries[i].facet_search)
            continue;
        size_t k = 0;
        while (k < n && !join(&drafts[k], &queries[i]))
            k++;
        ret->search_of[i] = k;
        if (k < n)
            continue;
        drafts[n] = (struct draft){.main = &queries[i],
                                   .loose = arena_zalloc(arena, (queries[i].refined.filter_count + 1) * sizeof(bool))};
        if (!drafts[n].loose)
            return false;
        add_query(&drafts[n++], &queries[i]);
    }
    for (size_t k = 0; k < n; k++)
        if (!write_search(arena, &drafts[k], &ret->searches[k]))
            return false;
    ret->search_count = n;
    return true;
}
