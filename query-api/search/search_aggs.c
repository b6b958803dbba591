#include "core/price_steps.h"
#include "query-api/search/index_facts.h"
#include "query-api/search/search_aggs.h"
#include "query-api/text/search_pattern.h"
#include "query-api/text/search_text.h"

#define RANGE(from, to) "{\"from\":" #from ",\"to\":" #to "},"
#define OPEN_RANGE(from) "{\"from\":" #from "}"

static const char price_ranges[] = "[" PRICE_STEPS(RANGE, OPEN_RANGE) "]";

/* A facet that is counted, and what its aggregations are called. */
struct counted {
    const struct facet *facet;
    char kind;
    size_t index;
};

/* Facets that leave out the same filter: they count the same products. */
struct scope {
    const struct filter *own; /* NULL: none is left out */
    struct counted facets[SEARCH_FACETS_MAX];
    size_t count;
};

static void scope_add(struct scope *scope, char kind, size_t index, const struct facet *facet) {
    scope->facets[scope->count++] = (struct counted){facet, kind, index};
}

struct search_agg_name search_agg_name(const char *before, char kind, size_t index, const char *after) {
    struct search_agg_name name;
    char digits[20];
    size_t at = sizeof(digits), before_len = strlen(before), after_len = strlen(after);
    do
        digits[--at] = (char)('0' + index % 10);
    while (index /= 10);
    memcpy(name.text, before, before_len);
    name.text[before_len] = kind;
    name.len = before_len + 1;
    memcpy(name.text + name.len, digits + at, sizeof(digits) - at);
    name.len += sizeof(digits) - at;
    memcpy(name.text + name.len, after, after_len);
    name.len += after_len;
    return name;
}

/* "varied":{ */
static void write_agg(struct json_write *w, const char *name) {
    json_write_key(w, name);
    json_write_object(w);
}

/* "f0min":{ */
static void write_agg_of(struct json_write *w, const char *before, const struct counted *c, const char *after) {
    struct search_agg_name name = search_agg_name(before, c->kind, c->index, after);
    json_write_key_slice(w, (struct slice){name.text, name.len});
    json_write_object(w);
}

/* "terms":{"field":"brand","size":10 */
static void write_terms(struct json_write *w, const char *field, size_t size) {
    json_write_open(w, SLICE("\"terms\":{\"field\":"), "{");
    json_write_str(w, field);
    json_write_key(w, "size");
    json_write_uint(w, size);
}

/* The same for the most frequent values of a facet. */
static void write_top(struct search_writer *q, const char *field, size_t size) {
    write_terms(&q->w, field, size);
    if (!q->p->index || !q->p->index->sharded || size >= SEARCH_SHARD_VALUES)
        return;
    json_write_key(&q->w, "shard_size");
    json_write_uint(&q->w, SEARCH_SHARD_VALUES);
}

/* In Lucene's regular expressions every character that could mean something is escaped. */
static void append_escaped(struct buf *pattern, struct slice text) {
    for (size_t i = 0; i < text.len && i < SEARCH_VALUE_MAX_BYTES; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool plain =
            c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!plain)
            buf_append_char(pattern, '\\');
        buf_append_char(pattern, (char)c);
    }
}

/* OpenSearch 2.16 to 2.19.3 takes a plain text and ".*" for a prefix and fails with 500 if it sorts behind every term of the
 * field (its issue 19636); it does not look so closely at ".{0,}", which is the same. */
static const char ANY_VALUE[] = "=.{0,}";

static void write_pattern(struct json_write *w, const struct buf *pattern) {
    json_write_key(w, "include");
    json_write_string(w, buf_ok(pattern) ? pattern->data : NULL, buf_ok(pattern) ? pattern->len : 0);
}

/* OpenSearch refuses a pattern here, too, that is longer than index.max_regex_length; and there is no limit to how long a
 * value may be. So it is asked for what fits, and facet_result leaves out what is not meant. */
static void append_find(struct buf *pattern, struct slice find) {
    size_t n = search_pattern_cut(find, pattern->len);
    buf_append(pattern, find.data, n);
    if (n < find.len)
        buf_append_str(pattern, ".*");
}

/* Values of this attribute, all or those that are looked for. */
static void write_include(struct search_writer *q, struct slice attr) {
    struct buf pattern = BUF_INIT(SEARCH_VALUE_MAX_BYTES * 2 + 6 + SEARCH_FIND_MAX_BYTES);
    append_escaped(&pattern, attr);
    if (q->p->facet_find.data) {
        buf_append_char(&pattern, '=');
        append_find(&pattern, q->p->facet_find);
    } else {
        buf_append_str(&pattern, ANY_VALUE);
    }
    write_pattern(&q->w, &pattern);
    buf_done(&pattern);
}

static void write_reverse_nested(struct json_write *w) {
    static const char raw[] = "{\"p\":{\"reverse_nested\":{}}}";
    json_write_key(w, "aggs");
    json_write_raw(w, raw, sizeof(raw) - 1);
}

/* The terms whose counts are in doubt, and no others. */
static void write_these(struct search_writer *q, const char *field) {
    write_terms(&q->w, field, q->term_count);
    json_write_key(&q->w, "include");
    json_write_array(&q->w);
    for (size_t i = 0; i < q->term_count; i++)
        json_write_slice(&q->w, q->terms[i].term);
    json_write_array_end(&q->w);
}

static bool is_code(const struct search_writer *q, const struct facet *facet) {
    return q->p->index && code_names_has(&q->p->index->codes, facet->name);
}

static void write_attr(struct search_writer *q, enum form form, const struct counted *c) {
    struct json_write *w = &q->w;
    bool all = slice_eq(c->facet->name, SLICE("*"));
    const char *field = search_filter_attr_field(form, !all && is_code(q, c->facet));
    write_agg_of(w, "", c, "");
    if (q->terms)
        write_these(q, field);
    else
        write_top(q, field, all ? SEARCH_ATTR_VALUES_ALL : SEARCH_ATTR_VALUES);
    if (!q->terms && !all)
        write_include(q, c->facet->name);
    json_write_object_end(w);
    if (form == FORM_VARIED)
        write_reverse_nested(w);
    json_write_object_end(w);
}

/* One term says all of a product's categories, and another what its SKUs are in price and stock: a term is counted in a third
 * of the time that several take, or ranges. A view may be that of an older index. */
static bool by_sets(const struct search_writer *q) {
    return q->p->index && q->p->index->sets && !q->p->by_paths && !q->p->view.len;
}

static void write_offers(struct search_writer *q) {
    write_agg(&q->w, "offers");
    write_terms(&q->w, "offers", SEARCH_SETS);
    json_write_object_end(&q->w);
    json_write_object_end(&q->w);
}

static bool is_of_offers(const struct facet *facet) {
    return facet->dim == DIM_STOCK || (facet->dim == DIM_PRICE && !facet->bounds);
}

static void write_stock(struct search_writer *q, enum form form, const struct counted *c) {
    struct json_write *w = &q->w;
    const char *field = search_filter_field(form, DIM_STOCK);
    write_agg_of(w, "", c, "");
    json_write_key(w, "filters");
    json_write_object(w);
    json_write_key(w, "filters");
    json_write_object(w);
    json_write_key(w, "true");
    if (form == FORM_ANY)
        search_filter_in_stock(w);
    else
        search_filter_terms(w, field, (const struct slice[]){{"in", 2}, {"low", 3}}, 2);
    json_write_key(w, "false");
    search_filter_terms(w, field, (const struct slice[]){{"out", 3}}, 1);
    json_write_object_end(w);
    json_write_object_end(w);
    if (form == FORM_VARIED)
        write_reverse_nested(w);
    json_write_object_end(w);
}

/* Of all SKUs together the product itself says it. */
static void write_bound(struct json_write *w, enum form form, const struct counted *c, const char *which) {
    write_agg_of(w, "", c, which);
    json_write_key(w, which);
    json_write_object(w);
    json_write_key(w, "field");
    json_write_str(w, form != FORM_ANY                       ? search_filter_field(form, DIM_PRICE)
                      : slice_eq(slice_str(which), SLICE("min")) ? "price_min"
                                                                 : "price_max");
    json_write_object_end(w);
    json_write_object_end(w);
}

static void write_bounds(struct json_write *w, enum form form, const struct counted *c) {
    write_bound(w, form, c, "min");
    write_bound(w, form, c, "max");
}

static void write_histogram(struct search_writer *q, enum form form, const struct counted *c) {
    struct json_write *w = &q->w;
    write_agg_of(w, "", c, "");
    json_write_open(w, SLICE("\"range\":{\"field\":"), "{");
    json_write_str(w, search_filter_field(form, DIM_PRICE));
    json_write_key(w, "ranges");
    json_write_raw(w, price_ranges, sizeof(price_ranges) - 1);
    json_write_object_end(w);
    if (form == FORM_VARIED)
        write_reverse_nested(w);
    json_write_object_end(w);
}

static void write_brand(struct search_writer *q, const struct counted *c, const struct filter *own) {
    struct json_write *w = &q->w;
    write_agg_of(w, "", c, "");
    if (q->terms)
        write_these(q, "brand");
    else
        write_top(q, "brand", q->p->facet_size);
    if (q->p->facet_find.data && !q->terms) {
        struct buf pattern = BUF_INIT(SEARCH_FIND_MAX_BYTES);
        append_find(&pattern, q->p->facet_find);
        write_pattern(w, &pattern);
        buf_done(&pattern);
    }
    json_write_object_end(w);
    json_write_object_end(w);
    if (!own || q->terms)
        return;
    write_agg_of(w, "", c, "sel");
    write_terms(w, "brand", own->value_count);
    json_write_key(w, "include");
    json_write_array(w);
    for (size_t i = 0; i < own->value_count; i++)
        json_write_slice(w, own->values[i]);
    json_write_array_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
}

/* Sets are asked for in order: those that begin with the same path come one after the other, and it is looked up once. */
static void write_categories(struct search_writer *q, const struct counted *c) {
    static const char by_key[] = "{\"_key\":\"asc\"}";
    bool sets = by_sets(q);
    write_agg_of(&q->w, "", c, sets ? "set" : "");
    write_terms(&q->w, sets ? "category_set" : "category_paths", SEARCH_SETS);
    if (sets) {
        json_write_key(&q->w, "order");
        json_write_raw(&q->w, by_key, sizeof(by_key) - 1);
    }
    json_write_object_end(&q->w);
    json_write_object_end(&q->w);
}

static bool is_named_attr(const struct search_writer *q, const struct facet *facet) {
    return facet->dim == DIM_ATTR && !slice_eq(facet->name, SLICE("*")) && !is_code(q, facet);
}

/* (a|b)=.{0,} of the attributes asked for by name that are no codes. Returns their number; 0 if there are less than two or too many of them. */
static size_t attrs_pattern(const struct search_writer *q, const struct scope *scope, struct buf *pattern) {
    size_t n = 0;
    for (size_t i = 0; i < scope->count; i++)
        if (is_named_attr(q, scope->facets[i].facet)) {
            buf_append_char(pattern, n++ ? '|' : '(');
            append_escaped(pattern, scope->facets[i].facet->name);
        }
    buf_append_char(pattern, ')');
    buf_append_str(pattern, ANY_VALUE);
    return n < 2 || !buf_ok(pattern) ? 0 : n;
}

/* One pass over the attributes of all products, or variants, instead of one for each facet: it is what most pages cost. */
static bool write_attrs(struct search_writer *q, enum form form, const struct scope *scope) {
    struct buf pattern = BUF_INIT(SEARCH_PATTERN_MAX);
    size_t n = !q->p->apart && !q->terms && !q->p->facet_find.data ? attrs_pattern(q, scope, &pattern) : 0;
    if (n) {
        write_agg(&q->w, "attrs");
        write_top(q, search_filter_field(form, DIM_ATTR), n * SEARCH_ATTR_VALUES);
        write_pattern(&q->w, &pattern);
        json_write_object_end(&q->w);
        if (form == FORM_VARIED)
            write_reverse_nested(&q->w);
        json_write_object_end(&q->w);
    }
    buf_done(&pattern);
    return n > 0;
}

/* The facets of a scope as they are counted in one form; of variants only what is theirs. */
static void write_form(struct search_writer *q, enum form form, const struct scope *scope) {
    bool together = write_attrs(q, form, scope), offers = false;
    for (size_t i = 0; i < scope->count; i++) {
        const struct counted *c = &scope->facets[i];
        if (c->facet->dim == DIM_PRICE)
            write_bounds(&q->w, form, c);
        if (is_of_offers(c->facet) && form == FORM_ANY && by_sets(q)) {
            if (!offers)
                write_offers(q);
            offers = true;
        } else if (c->facet->dim == DIM_STOCK)
            write_stock(q, form, c);
        else if (c->facet->dim == DIM_PRICE && !c->facet->bounds)
            write_histogram(q, form, c);
        else if (c->facet->dim == DIM_ATTR && !(together && is_named_attr(q, c->facet)))
            write_attr(q, form, c);
        else if (c->facet->dim == DIM_BRAND && form != FORM_VARIED)
            write_brand(q, c, scope->own);
        else if (c->facet->dim == DIM_CATEGORY && form != FORM_VARIED)
            write_categories(q, c);
    }
}

/* The variants that meet every condition on them. */
static void write_varied(struct search_writer *q, const struct scope *scope) {
    static const char nested[] = "{\"path\":\"variants\"}";
    struct json_write *w = &q->w;
    size_t i = 0;
    while (i < scope->count && !dimension_is_variant(scope->facets[i].facet->dim))
        i++;
    if (i == scope->count)
        return;
    write_agg(w, "varied");
    json_write_key(w, "nested");
    json_write_raw(w, nested, sizeof(nested) - 1);
    json_write_key(w, "aggs");
    json_write_object(w);
    write_agg(w, "o");
    json_write_key(w, "filter");
    search_filter_begin(w);
    search_filter_sku(q, FORM_VARIED, VISIBLE_ALL, scope->own);
    search_filter_end(w);
    json_write_key(w, "aggs");
    json_write_object(w);
    write_form(q, FORM_VARIED, scope);
    json_write_object_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
}

/* The facets of a scope, under those of its filters that `query` has not. own: it is that of one facet, and bears its name. */
static void write_scope(struct search_writer *q, const struct scope *scope, bool own) {
    struct json_write *w = &q->w;
    if (scope->count == 0)
        return;
    bool forms = search_filter_any_variant(q, VISIBLE_ALL, scope->own);
    bool narrowed = forms || search_filter_any_product(q, VISIBLE_SHOWN, scope->own);
    if (narrowed) {
        if (own)
            write_agg_of(w, "o", &scope->facets[0], "");
        else
            write_agg(w, "o");
        json_write_key(w, "filter");
        search_filter_begin(w);
        search_filter_products(q, VISIBLE_SHOWN, scope->own);
        if (search_filter_any_variant(q, VISIBLE_SHOWN, scope->own))
            search_filter_condition(q, VISIBLE_ALL, scope->own);
        search_filter_end(w);
        json_write_key(w, "aggs");
        json_write_object(w);
    }
    write_form(q, forms ? FORM_FLAT : FORM_ANY, scope);
    if (forms)
        write_varied(q, scope);
    if (narrowed) {
        json_write_object_end(w);
        json_write_object_end(w);
    }
}

/* A scope of one facet's own. */
static void write_facet(struct search_writer *q, char kind, size_t index, const struct facet *facet,
                        const struct filter *own) {
    struct scope scope = {.own = own};
    scope_add(&scope, kind, index, facet);
    write_scope(q, &scope, true);
}

/* How many products have all words, and how many of them by a code, whatever the filters and the page: neither may make
 * them few. */
static void write_strict_count(struct search_writer *q) {
    struct json_write *w = &q->w;
    static const char global[] = "{}";
    const struct search_text *strict = q->p->text->first;
    json_write_key(w, "strict");
    json_write_object(w);
    json_write_key(w, "global");
    json_write_raw(w, global, sizeof(global) - 1);
    json_write_key(w, "aggs");
    json_write_object(w);
    json_write_key(w, "n");
    json_write_object(w);
    json_write_key(w, "filter");
    search_text_write(w, strict);
    json_write_key(w, "aggs");
    json_write_object(w);
    json_write_key(w, "code");
    json_write_object(w);
    json_write_key(w, "filter");
    search_text_write_codes(w, strict);
    json_write_object_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
}

void search_aggs_write(struct search_writer *q) {
    const struct search_params *p = q->p;
    bool strict = p->text && p->text->first;
    if (p->facet_count == 0 && !strict)
        return;
    json_write_key(&q->w, "aggs");
    json_write_object(&q->w);
    if (strict)
        write_strict_count(q);
    struct scope all = {0};
    for (size_t i = 0; i < p->facet_count; i++) {
        const struct facet *facet = &p->facets[i];
        const struct filter *own = search_params_filter(p, facet->dim, facet->name);
        if (facet->elsewhere)
            continue;
        if (own)
            write_facet(q, 'f', i, facet, own);
        else
            scope_add(&all, 'f', i, facet);
        if (facet->dim != DIM_ATTR || !slice_eq(facet->name, SLICE("*")))
            continue;
        for (size_t k = 0; k < p->filter_count; k++)
            if (p->filters[k].dim == DIM_ATTR && !p->filters[k].strict && !search_params_names_attr(p, p->filters[k].name)) {
                struct facet selected = {.dim = DIM_ATTR, .name = p->filters[k].name};
                write_facet(q, 's', k, &selected, &p->filters[k]);
            }
    }
    write_scope(q, &all, false);
    json_write_object_end(&q->w);
}

void search_aggs_write_counts(struct search_writer *q, const struct search_term *term) {
    const struct search_params *p = q->p;
    if (term->kind == 'f') {
        const struct facet *facet = &p->facets[term->index];
        write_facet(q, 'f', term->index, facet, search_params_filter(p, facet->dim, facet->name));
        return;
    }
    const struct filter *f = &p->filters[term->index];
    struct facet selected = {.dim = DIM_ATTR, .name = f->name};
    write_facet(q, 's', term->index, &selected, f);
}
