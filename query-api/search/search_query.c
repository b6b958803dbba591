#include "query-api/search/search_filter.h"
#include "query-api/text/search_rank.h"
#include "query-api/text/search_spelling.h"
#include "query-api/text/search_text.h"
#include <stdio.h>

const int64_t search_price_steps[] = {0,       100,     200,      500,      1000,     2000,     5000,
                                      10000,   20000,   50000,    100000,   200000,   500000,   1000000,
                                      2000000, 5000000, 10000000, 20000000, 50000000, 100000000};
const size_t search_price_step_count = sizeof(search_price_steps) / sizeof(search_price_steps[0]);
/* ---- facets ---- */

static void write_terms_agg(struct json_write *w, const char *name, const char *field, unsigned size) {
    json_write_key(w, name);
    json_write_object(w);
    json_write_key(w, "terms");
    json_write_object(w);
    json_write_key(w, "field");
    json_write_str(w, field);
    json_write_key(w, "size");
    json_write_uint(w, size);
}

/* Values of this attribute, all or those that are looked for. In Lucene's regular expressions every character that could
 * mean something is escaped. OpenSearch 2.16 to 2.19.3 takes a plain text and ".*" for a prefix and fails with 500 if it sorts
 * behind every term of the field (its issue 19636); it does not look so closely at ".{0,}", which is the same. */
static void write_include(struct search_writer *q, struct slice attr) {
    struct buf pattern = BUF_INIT(SEARCH_VALUE_MAX_BYTES * 2 + 6 + SEARCH_FIND_MAX_BYTES);
    for (size_t i = 0; i < attr.len && i < SEARCH_VALUE_MAX_BYTES; i++) {
        unsigned char c = (unsigned char)attr.data[i];
        bool plain =
            c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!plain)
            buf_append_char(&pattern, '\\');
        buf_append_char(&pattern, (char)c);
    }
    buf_append_char(&pattern, '=');
    if (q->p->facet_find.data)
        buf_append(&pattern, q->p->facet_find.data, q->p->facet_find.len);
    else
        buf_append_str(&pattern, ".{0,}");
    json_write_key(&q->w, "include");
    json_write_string(&q->w, buf_ok(&pattern) ? pattern.data : NULL, buf_ok(&pattern) ? pattern.len : 0);
    buf_done(&pattern);
}

static void write_reverse_nested(struct json_write *w) {
    static const char raw[] = "{\"p\":{\"reverse_nested\":{}}}";
    json_write_key(w, "aggs");
    json_write_raw(w, raw, sizeof(raw) - 1);
}

static void write_included_terms(struct search_writer *q) {
    json_write_key(&q->w, "include");
    json_write_array(&q->w);
    for (size_t i = 0; i < q->term_count; i++)
        json_write_slice(&q->w, q->terms[i].term);
    json_write_array_end(&q->w);
}

static void write_attr_values(struct search_writer *q, enum form form, struct slice attr) {
    struct json_write *w = &q->w;
    bool all = slice_eq(attr, SLICE("*"));
    size_t size = q->terms ? q->term_count : all ? SEARCH_ATTR_VALUES_ALL : SEARCH_ATTR_VALUES;
    write_terms_agg(w, "v", search_filter_field(form, DIM_ATTR), (unsigned)size);
    if (q->terms)
        write_included_terms(q);
    else if (!all)
        write_include(q, attr);
    json_write_object_end(w);
    if (form == FORM_VARIED)
        write_reverse_nested(w);
    json_write_object_end(w);
}

static void write_stock_buckets(struct json_write *w, enum form form) {
    const char *field = search_filter_field(form, DIM_STOCK);
    json_write_key(w, "v");
    json_write_object(w);
    json_write_key(w, "filters");
    json_write_object(w);
    json_write_key(w, "filters");
    json_write_object(w);
    json_write_key(w, "true");
    search_filter_terms(w, field, (const struct slice[]){{"in", 2}, {"low", 3}}, 2);
    json_write_key(w, "false");
    search_filter_terms(w, field, (const struct slice[]){{"out", 3}}, 1);
    json_write_object_end(w);
    json_write_object_end(w);
    if (form == FORM_VARIED)
        write_reverse_nested(w);
    json_write_object_end(w);
}

static void write_metric_agg(struct json_write *w, const char *name, const char *field) {
    json_write_key(w, name);
    json_write_object(w);
    json_write_key(w, name);
    json_write_object(w);
    json_write_key(w, "field");
    json_write_str(w, field);
    json_write_object_end(w);
    json_write_object_end(w);
}

static void write_price_buckets(struct json_write *w, enum form form, bool bounds) {
    const char *field = search_filter_field(form, DIM_PRICE);
    write_metric_agg(w, "min", field);
    write_metric_agg(w, "max", field);
    if (bounds)
        return;
    json_write_key(w, "v");
    json_write_object(w);
    json_write_key(w, "range");
    json_write_object(w);
    json_write_key(w, "field");
    json_write_str(w, field);
    json_write_key(w, "ranges");
    json_write_array(w);
    for (size_t i = 0; i < search_price_step_count; i++) {
        json_write_object(w);
        json_write_key(w, "from");
        json_write_int(w, search_price_steps[i]);
        if (i + 1 < search_price_step_count) {
            json_write_key(w, "to");
            json_write_int(w, search_price_steps[i + 1]);
        }
        json_write_object_end(w);
    }
    json_write_array_end(w);
    json_write_object_end(w);
    if (form == FORM_VARIED)
        write_reverse_nested(w);
    json_write_object_end(w);
}

static void write_variant_buckets(struct search_writer *q, enum form form, const struct facet *facet) {
    if (facet->dim == DIM_ATTR)
        write_attr_values(q, form, facet->name);
    else if (facet->dim == DIM_STOCK)
        write_stock_buckets(&q->w, form);
    else
        write_price_buckets(&q->w, form, facet->bounds);
}

/* {"o":{"filter":<other selections>,"aggs":{...}}} within one form. An attribute that stands with the product is
 * counted there, whatever its SKUs: they had their say in the filter around this. */
static void write_others(struct search_writer *q, enum form form, const struct facet *facet, const struct filter *own) {
    struct json_write *w = &q->w;
    json_write_key(w, "aggs");
    json_write_object(w);
    json_write_key(w, "o");
    json_write_object(w);
    json_write_key(w, "filter");
    search_filter_begin(w);
    if (form == FORM_VARIED || facet->dim != DIM_ATTR)
        search_filter_sku(q, form, VISIBLE_ALL, own);
    search_filter_end(w);
    json_write_key(w, "aggs");
    json_write_object(w);
    write_variant_buckets(q, form, facet);
    json_write_object_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
}

/* Without another condition on SKUs any of them counts: one list instead of two, and no look at nested documents. */
static void write_whole_facet(struct search_writer *q, const struct facet *facet) {
    json_write_key(&q->w, "aggs");
    json_write_object(&q->w);
    write_variant_buckets(q, FORM_ANY, facet);
    json_write_object_end(&q->w);
}

static void write_variant_facet(struct search_writer *q, const struct facet *facet, const struct filter *own) {
    struct json_write *w = &q->w;
    static const char flat[] = "{\"exists\":{\"field\":\"flat.sku\"}}", varied[] = "{\"path\":\"variants\"}";
    json_write_key(w, "aggs");
    json_write_object(w);
    json_write_key(w, "flat");
    json_write_object(w);
    json_write_key(w, "filter");
    if (facet->dim == DIM_ATTR) {
        search_filter_begin(w);
        search_filter_any_sku(q, VISIBLE_ALL, own, false);
        search_filter_end(w);
    } else {
        json_write_raw(w, flat, sizeof(flat) - 1);
    }
    write_others(q, FORM_FLAT, facet, own);
    json_write_object_end(w);
    json_write_key(w, "varied");
    json_write_object(w);
    json_write_key(w, "nested");
    json_write_raw(w, varied, sizeof(varied) - 1);
    write_others(q, FORM_VARIED, facet, own);
    json_write_object_end(w);
    json_write_object_end(w);
}

static void write_product_facet(struct search_writer *q, const struct facet *facet, const struct filter *own) {
    struct json_write *w = &q->w;
    bool brand = facet->dim == DIM_BRAND;
    json_write_key(w, "aggs");
    json_write_object(w);
    write_terms_agg(w, "v", brand ? "brand" : "category_paths", brand ? q->p->facet_size : SEARCH_CATEGORY_NODES);
    if (brand && q->p->facet_find.data) {
        json_write_key(w, "include");
        json_write_slice(w, q->p->facet_find);
    }
    json_write_object_end(w);
    json_write_object_end(w);
    if (brand && own) {
        write_terms_agg(w, "sel", "brand", (unsigned)own->value_count);
        json_write_key(w, "include");
        json_write_array(w);
        for (size_t i = 0; i < own->value_count; i++)
            json_write_slice(w, own->values[i]);
        json_write_array_end(w);
        json_write_object_end(w);
        json_write_object_end(w);
    }
    json_write_object_end(w);
}

/* A facet with every selection but its own. The conditions on SKUs stand inside the forms of a variant facet. */
static void write_facet(struct search_writer *q, char kind, size_t index, const struct facet *facet,
                        const struct filter *own) {
    struct json_write *w = &q->w;
    char name[24];
    snprintf(name, sizeof(name), "%c%zu", kind, index);
    json_write_key(w, name);
    json_write_object(w);
    json_write_key(w, "filter");
    search_filter_begin(w);
    search_filter_products(q, VISIBLE_SHOWN, own);
    search_filter_attrs(q, VISIBLE_ALL, own);
    if (!dimension_is_variant(facet->dim))
        search_filter_any_sku(q, VISIBLE_ALL, own, false);
    search_filter_end(w);
    if (!dimension_is_variant(facet->dim))
        write_product_facet(q, facet, own);
    else if (search_filter_any_variant(q, VISIBLE_ALL, own))
        write_variant_facet(q, facet, own);
    else
        write_whole_facet(q, facet);
    json_write_object_end(w);
}

/* How many products have all words, whatever the filters: a filter must not make them few. */
static void write_strict_count(struct search_writer *q) {
    struct json_write *w = &q->w;
    static const char global[] = "{}";
    struct search_text strict = *q->p->text;
    strict.some = false;
    json_write_key(w, "strict");
    json_write_object(w);
    json_write_key(w, "global");
    json_write_raw(w, global, sizeof(global) - 1);
    json_write_key(w, "aggs");
    json_write_object(w);
    json_write_key(w, "n");
    json_write_object(w);
    json_write_key(w, "filter");
    search_text_write(w, &strict);
    json_write_object_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
}

static void write_facets(struct search_writer *q) {
    const struct search_params *p = q->p;
    bool strict = p->text && p->text->some && p->filter_count > 0;
    if (p->facet_count == 0 && !strict)
        return;
    json_write_key(&q->w, "aggs");
    json_write_object(&q->w);
    if (strict)
        write_strict_count(q);
    for (size_t i = 0; i < p->facet_count; i++) {
        const struct facet *facet = &p->facets[i];
        write_facet(q, 'f', i, facet, search_params_filter(p, facet->dim, facet->name));
        if (facet->dim != DIM_ATTR || !slice_eq(facet->name, SLICE("*")))
            continue;
        for (size_t k = 0; k < p->filter_count; k++)
            if (p->filters[k].dim == DIM_ATTR && !p->filters[k].strict) {
                struct facet selected = {.dim = DIM_ATTR, .name = p->filters[k].name};
                write_facet(q, 's', k, &selected, &p->filters[k]);
            }
    }
    json_write_object_end(&q->w);
}

/* ---- the request ---- */

static void write_sort(struct search_writer *q) {
    static const char *const orders[] = {
        [SORT_RELEVANCE] = "[{\"in_stock\":\"desc\"},\"_score\",{\"id\":\"asc\"}]",
        [SORT_PRICE_ASC] = "[{\"in_stock\":\"desc\"},{\"price_min\":\"asc\"},{\"id\":\"asc\"}]",
        [SORT_PRICE_DESC] = "[{\"in_stock\":\"desc\"},{\"price_max\":\"desc\"},{\"id\":\"asc\"}]",
        [SORT_NEWEST] = "[{\"in_stock\":\"desc\"},{\"created_at\":\"desc\"},{\"id\":\"asc\"}]",
        [SORT_BEST_SELLING] = "[{\"in_stock\":\"desc\"}," SEARCH_RANK_SALES_KEY ",{\"id\":\"asc\"}]",
    };
    /* Without words every score is the same. */
    static const char popular[] = "[{\"in_stock\":\"desc\"}," SEARCH_RANK_POPULARITY_KEY ",{\"id\":\"asc\"}]";
    const char *order = q->p->sort == SORT_RELEVANCE && q->p->q.len == 0 ? popular : orders[q->p->sort];
    json_write_key(&q->w, "sort");
    json_write_raw(&q->w, order, strlen(order));
}

static void write_source(struct search_writer *q) {
    static const char *const always[] = {"id",       "name",  "brand",      "price_min",        "price_max", "currency",
                                         "in_stock", "stock", "categories", "primary_category", "flat.sku"};
    struct json_write *w = &q->w;
    json_write_key(w, "_source");
    json_write_array(w);
    for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
        json_write_str(w, always[i]);
    for (size_t i = 0; i < q->p->field_count; i++)
        json_write_slice(w, q->p->fields[i]);
    json_write_array_end(w);
}

static void write_query(struct search_writer *q) {
    struct json_write *w = &q->w;
    json_write_key(w, "query");
    json_write_object(w);
    json_write_key(w, "bool");
    json_write_object(w);
    if (q->p->q.len) {
        json_write_key(w, "must");
        search_text_write(w, q->p->text);
    }
    json_write_key(w, "filter");
    json_write_array(w);
    search_filter_products(q, VISIBLE_HIDDEN, NULL);
    /* When nothing of the variants is shown as a facet the whole condition stands here, else in post_filter. */
    search_filter_condition(q, VISIBLE_HIDDEN, NULL, !q->terms && !search_filter_any_variant(q, VISIBLE_SHOWN, NULL));
    search_filter_clauses(q);
    search_filter_all_but_one(q);
    json_write_array_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
}

static void write_post_filter(struct search_writer *q) {
    bool variant = search_filter_any_variant(q, VISIBLE_SHOWN, NULL);
    if (!variant && !search_filter_any_product(q, VISIBLE_SHOWN, NULL))
        return;
    json_write_key(&q->w, "post_filter");
    search_filter_begin(&q->w);
    search_filter_products(q, VISIBLE_SHOWN, NULL);
    if (variant)
        search_filter_condition(q, VISIBLE_ALL, NULL, true);
    search_filter_end(&q->w);
}

/* With a query of its own: fuzzy words are compared with each hit by an automaton built for that hit, which took ten
 * times as long as the search itself. What was found by a typing mistake is not marked. */
static void write_highlight(struct search_writer *q) {
    static const char fields[] = "{\"name.ko\":{},\"name.en\":{}}", names[] = "[\"name.ko\",\"name.en\"]";
    struct json_write *w = &q->w;
    if (q->p->q.len == 0)
        return;
    json_write_key(w, "highlight");
    json_write_object(w);
    json_write_key(w, "encoder");
    json_write_str(w, "html");
    json_write_key(w, "number_of_fragments");
    json_write_int(w, 0);
    json_write_key(w, "fields");
    json_write_raw(w, fields, sizeof(fields) - 1);
    json_write_key(w, "highlight_query");
    json_write_object(w);
    json_write_key(w, "multi_match");
    json_write_object(w);
    json_write_key(w, "query");
    json_write_slice(w, search_text_marked(q->p->text));
    json_write_key(w, "fields");
    json_write_raw(w, names, sizeof(names) - 1);
    json_write_object_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
}

/* Which hits: a page, or those behind a cursor. */
static void write_position(struct search_writer *q) {
    const struct search_params *p = q->p;
    if (!p->after) {
        json_write_key(&q->w, "from");
        json_write_uint(&q->w, (uint64_t)(p->page - 1) * p->size);
    } else {
        json_write_key(&q->w, "search_after");
        json_write_json(&q->w, p->after);
    }
    if (p->view.len == 0)
        return;
    json_write_key(&q->w, "pit");
    json_write_object(&q->w);
    json_write_key(&q->w, "id");
    json_write_slice(&q->w, p->view);
    json_write_key(&q->w, "keep_alive");
    json_write_str(&q->w, SEARCH_VIEW_KEEP);
    json_write_object_end(&q->w);
}

bool search_query_write(const struct search_params *p, struct buf *out) {
    struct search_writer q = {.p = p};
    if ((p->q.len && !p->text) || !json_write_init(&q.w, out))
        return false;
    json_write_object(&q.w);
    write_position(&q);
    json_write_key(&q.w, "size");
    json_write_uint(&q.w, p->size);
    json_write_key(&q.w, "track_total_hits");
    json_write_bool(&q.w, true);
    write_source(&q);
    if (p->explain) {
        json_write_key(&q.w, "explain");
        json_write_bool(&q.w, true);
    }
    write_query(&q);
    write_post_filter(&q);
    write_sort(&q);
    write_highlight(&q);
    search_spelling_write(&q.w, p->text);
    write_facets(&q);
    json_write_object_end(&q.w);
    return json_write_finish(&q.w);
}

static void write_counts(struct search_writer *q, const struct search_term *term) {
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

bool search_counts_write(const struct search_params *p, const struct search_terms *terms, struct buf *out) {
    struct search_writer q = {.p = p, .terms = terms->items};
    if (!json_write_init(&q.w, out))
        return false;
    json_write_object(&q.w);
    json_write_key(&q.w, "size");
    json_write_int(&q.w, 0);
    write_query(&q);
    json_write_key(&q.w, "aggs");
    json_write_object(&q.w);
    for (size_t i = 0; i < terms->count; i += q.term_count) {
        const struct search_term *first = &terms->items[i];
        q.terms = first;
        q.term_count = 1;
        while (i + q.term_count < terms->count && first[q.term_count].kind == first->kind &&
               first[q.term_count].index == first->index)
            q.term_count++;
        write_counts(&q, first);
    }
    json_write_object_end(&q.w);
    json_write_object_end(&q.w);
    return json_write_finish(&q.w);
}
