#include "query-api/search/search_key.h"
#include <stdlib.h>

/* With its length before it, so that no text runs into the next. */
static void put(struct buf *out, struct slice s) {
    buf_append_u64(out, s.len);
    buf_append_char(out, ':');
    if (s.len)
        buf_append(out, s.data, s.len);
}

static int compare_slices(const void *a, const void *b) {
    const struct slice *x = a, *y = b;
    size_t n = x->len < y->len ? x->len : y->len;
    int order = n ? memcmp(x->data, y->data, n) : 0;
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

/* Sorted, each once. */
static void put_set(struct buf *out, struct slice *items, size_t count) {
    if (count)
        qsort(items, count, sizeof(*items), compare_slices);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || compare_slices(&items[i - 1], &items[i]) != 0)
            put(out, items[i]);
    buf_append_char(out, ';');
}

static bool put_copied_set(struct arena *arena, struct buf *out, const struct slice *items, size_t count) {
    struct slice *copy = arena_alloc(arena, (count + 1) * sizeof(*copy));
    if (!copy)
        return false;
    if (count)
        memcpy(copy, items, count * sizeof(*copy));
    put_set(out, copy, count);
    return true;
}

/* A member of a set of filters or facets, as text in the arena. */
static bool keep(struct arena *arena, struct buf *text, struct slice *ret) {
    char *copy = buf_ok(text) ? arena_strndup(arena, text->data ? text->data : "", text->len) : NULL;
    *ret = (struct slice){copy, text->len};
    buf_reset(text);
    return copy != NULL;
}

static bool write_filter(struct arena *arena, const struct filter *f, struct buf *text, struct buf *range, struct slice *ret) {
    struct slice *ranges = arena_alloc(arena, (f->range_count + 1) * sizeof(*ranges));
    bool ok = ranges != NULL;
    buf_append_u64(text, f->dim * 2u + f->strict);
    put(text, f->name);
    ok = ok && put_copied_set(arena, text, f->values, f->value_count);
    for (size_t i = 0; ok && i < f->range_count; i++) {
        buf_printf(range, "%a..%a", f->ranges[i].from + 0.0, f->ranges[i].to + 0.0);
        ok = keep(arena, range, &ranges[i]);
    }
    if (ok)
        put_set(text, ranges, f->range_count);
    return ok && keep(arena, text, ret);
}

static bool write_clauses(struct arena *arena, const struct search_params *p, struct buf *out) {
    struct buf text = BUF_INIT(1 << 20), range = BUF_INIT(256);
    bool ok = true;
    for (size_t i = 0; ok && i < p->clause_count; i++) {
        const struct search_clause *clause = &p->clauses[i];
        struct slice *literals = arena_alloc(arena, (clause->count + 1) * sizeof(*literals));
        ok = literals != NULL;
        for (size_t k = 0; ok && k < clause->count; k++) {
            if (clause->literals[k].negated)
                buf_append_char(&text, '-');
            ok = write_filter(arena, &clause->literals[k].filter, &text, &range, &literals[k]);
        }
        if (ok)
            put_set(out, literals, clause->count);
    }
    buf_done(&text);
    buf_done(&range);
    return ok;
}

bool search_key_write(struct arena *arena, const struct search_params *p, struct buf *out) {
    struct slice *filters = arena_alloc(arena, (p->filter_count + 1) * sizeof(*filters));
    struct slice *facets = arena_alloc(arena, (p->facet_count + 1) * sizeof(*facets));
    struct buf text = BUF_INIT(1 << 20), range = BUF_INIT(256);
    bool ok = filters && facets;
    put(out, p->q);
    put(out, slice_str(p->lang));
    buf_printf(out, "%d,%u,%u,%u,%d;", (int)p->sort, p->page, p->size, p->facet_size, p->typo);
    for (size_t i = 0; ok && i < p->filter_count; i++)
        ok = write_filter(arena, &p->filters[i], &text, &range, &filters[i]);
    for (size_t i = 0; ok && i < p->facet_count; i++) {
        buf_append_u64(&text, p->facets[i].dim * 2u + p->facets[i].bounds);
        put(&text, p->facets[i].name);
        ok = keep(arena, &text, &facets[i]);
    }
    if (ok) {
        put_set(out, filters, p->filter_count);
        put_set(out, facets, p->facet_count);
        ok = put_copied_set(arena, out, p->fields, p->field_count) &&
             put_copied_set(arena, out, p->contexts, p->context_count) && write_clauses(arena, p, out);
    }
    buf_done(&text);
    buf_done(&range);
    return ok && buf_ok(out);
}
