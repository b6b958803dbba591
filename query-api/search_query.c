#include "query-api/search_query.h"
#include "query-api/search_text.h"
#include <math.h>
#include <stdio.h>

const int64_t search_price_steps[] = {0,       100,     200,      500,      1000,     2000,     5000,
                                      10000,   20000,   50000,    100000,   200000,   500000,   1000000,
                                      2000000, 5000000, 10000000, 20000000, 50000000, 100000000};
const size_t search_price_step_count = sizeof(search_price_steps) / sizeof(search_price_steps[0]);

/* Where a variant dimension is looked for. */
enum form { FORM_FLAT, FORM_VARIED };

struct query {
    const struct search_params *p;
    struct json_write w;
    const struct search_term *terms; /* count these only; or NULL */
    size_t term_count;
};

static const char *field_of(enum form form, enum dimension dim) {
    static const char *const names[2][3] = {{"flat.price", "flat.stock", "flat.attrs"},
                                            {"variants.price", "variants.stock", "variants.attrs"}};
    return names[form][dim - DIM_PRICE];
}

void search_number_key(double v, char ret[17]) {
    uint64_t bits;
    if (v == 0)
        v = 0; /* -0 and 0 are one number */
    memcpy(&bits, &v, sizeof(bits));
    bits = bits >> 63 ? ~bits : bits ^ (UINT64_C(1) << 63);
    snprintf(ret, 17, "%016llx", (unsigned long long)bits);
}

/* ---- filters ---- */

static void write_terms(struct json_write *w, const char *field, const struct slice *values, size_t count) {
    json_write_object(w);
    json_write_key(w, "terms");
    json_write_object(w);
    json_write_key(w, field);
    json_write_array(w);
    for (size_t i = 0; i < count; i++)
        json_write_slice(w, values[i]);
    json_write_array_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
}

static void write_attr_term(struct json_write *w, struct slice name, struct slice value) {
    char text[SEARCH_VALUE_MAX_BYTES * 2 + 2];
    size_t n = name.len < SEARCH_VALUE_MAX_BYTES ? name.len : SEARCH_VALUE_MAX_BYTES;
    size_t m = value.len < SEARCH_VALUE_MAX_BYTES ? value.len : SEARCH_VALUE_MAX_BYTES;
    memcpy(text, name.data, n);
    text[n] = '=';
    memcpy(text + n + 1, value.data, m);
    json_write_string(w, text, n + 1 + m);
}

static void write_bound(struct json_write *w, const char *op, struct slice name, double v) {
    char key[17];
    search_number_key(v, key);
    json_write_key(w, op);
    write_attr_term(w, name, (struct slice){key, 16});
}

/* A numeric range of an attribute: a range of terms name=<16 hex digits>. */
static void write_attr_range(struct json_write *w, enum form form, struct slice name, const struct range *r) {
    json_write_object(w);
    json_write_key(w, "range");
    json_write_object(w);
    json_write_key(w, form == FORM_FLAT ? "flat.numbers" : "variants.numbers");
    json_write_object(w);
    write_bound(w, "gte", name, r->from);
    write_bound(w, "lte", name, r->to);
    json_write_object_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
}

static void write_price_range(struct json_write *w, enum form form, const struct range *r) {
    json_write_object(w);
    json_write_key(w, "range");
    json_write_object(w);
    json_write_key(w, field_of(form, DIM_PRICE));
    json_write_object(w);
    if (r->from > 0) {
        json_write_key(w, "gte");
        json_write_double(w, r->from < 9.2e18 ? ceil(r->from) : 9.2e18);
    }
    if (r->to < 9.2e18) {
        json_write_key(w, "lte");
        json_write_double(w, floor(r->to));
    }
    json_write_object_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
}

static void write_stock_values(struct json_write *w, enum form form, const struct filter *f) {
    struct slice states[3];
    size_t n = 0;
    for (size_t i = 0; i < f->value_count; i++)
        if (slice_eq(f->values[i], SLICE("true"))) {
            states[n++] = SLICE("in");
            states[n++] = SLICE("low");
        } else {
            states[n++] = SLICE("out");
        }
    write_terms(w, field_of(form, DIM_STOCK), states, n);
}

static void should_begin(struct json_write *w) {
    json_write_object(w);
    json_write_key(w, "bool");
    json_write_object(w);
    json_write_key(w, "should");
    json_write_array(w);
}

static void should_end(struct json_write *w) {
    json_write_array_end(w);
    json_write_key(w, "minimum_should_match");
    json_write_int(w, 1);
    json_write_object_end(w);
    json_write_object_end(w);
}

/* One dimension of a variant, in one form: any of its values or ranges. */
static void write_variant_filter(struct json_write *w, enum form form, const struct filter *f) {
    if (f->dim == DIM_STOCK) {
        write_stock_values(w, form, f);
        return;
    }
    should_begin(w);
    if (f->value_count) {
        json_write_object(w);
        json_write_key(w, "terms");
        json_write_object(w);
        json_write_key(w, field_of(form, DIM_ATTR));
        json_write_array(w);
        for (size_t i = 0; i < f->value_count; i++)
            write_attr_term(w, f->name, f->values[i]);
        json_write_array_end(w);
        json_write_object_end(w);
        json_write_object_end(w);
    }
    for (size_t i = 0; i < f->range_count; i++)
        if (f->dim == DIM_PRICE)
            write_price_range(w, form, &f->ranges[i]);
        else
            write_attr_range(w, form, f->name, &f->ranges[i]);
    should_end(w);
}

/* Which filters take part: by visibility of their facet, all but one. */
enum visible { VISIBLE_SHOWN = 1, VISIBLE_HIDDEN = 2, VISIBLE_ALL = 3 };

static bool takes_part(const struct query *q, const struct filter *f, enum visible which, const struct filter *but) {
    if (f == but)
        return false;
    return (search_params_shows(q->p, f) ? VISIBLE_SHOWN : VISIBLE_HIDDEN) & which;
}

static bool any_variant(const struct query *q, enum visible which, const struct filter *but) {
    for (size_t i = 0; i < q->p->filter_count; i++)
        if (dimension_is_variant(q->p->filters[i].dim) && takes_part(q, &q->p->filters[i], which, but))
            return true;
    return false;
}

static void write_variant_filters(struct query *q, enum form form, enum visible which, const struct filter *but) {
    for (size_t i = 0; i < q->p->filter_count; i++) {
        const struct filter *f = &q->p->filters[i];
        if (dimension_is_variant(f->dim) && takes_part(q, f, which, but))
            write_variant_filter(&q->w, form, f);
    }
}

static void filter_begin(struct json_write *w) {
    json_write_object(w);
    json_write_key(w, "bool");
    json_write_object(w);
    json_write_key(w, "filter");
    json_write_array(w);
}

static void filter_end(struct json_write *w) {
    json_write_array_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
}

/* flat.* all match, or one variant matches all. inner_hits names the variants that matched. */
static void write_variant_condition(struct query *q, enum visible which, const struct filter *but, bool inner_hits) {
    struct json_write *w = &q->w;
    if (!any_variant(q, which, but))
        return;
    should_begin(w);
    filter_begin(w);
    write_variant_filters(q, FORM_FLAT, which, but);
    filter_end(w);
    json_write_object(w);
    json_write_key(w, "nested");
    json_write_object(w);
    json_write_key(w, "path");
    json_write_str(w, "variants");
    json_write_key(w, "query");
    filter_begin(w);
    write_variant_filters(q, FORM_VARIED, which, but);
    filter_end(w);
    if (inner_hits) {
        static const char raw[] =
            "{\"name\":\"matched\",\"size\":20,\"_source\":false,\"docvalue_fields\":[\"variants.sku\"]}";
        json_write_key(w, "inner_hits");
        json_write_raw(w, raw, sizeof(raw) - 1);
    }
    json_write_object_end(w);
    json_write_object_end(w);
    should_end(w);
}

static void write_product_filters(struct query *q, enum visible which, const struct filter *but) {
    for (size_t i = 0; i < q->p->filter_count; i++) {
        const struct filter *f = &q->p->filters[i];
        if (!dimension_is_variant(f->dim) && takes_part(q, f, which, but))
            write_terms(&q->w, f->dim == DIM_BRAND ? "brand" : "category_paths", f->values, f->value_count);
    }
}

static bool any_product(const struct query *q, enum visible which, const struct filter *but) {
    for (size_t i = 0; i < q->p->filter_count; i++)
        if (!dimension_is_variant(q->p->filters[i].dim) && takes_part(q, &q->p->filters[i], which, but))
            return true;
    return false;
}

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

/* Lucene's regular expressions: every character that could mean something is escaped. */
static void write_include(struct json_write *w, struct slice attr) {
    char pattern[SEARCH_VALUE_MAX_BYTES * 2 + 4];
    size_t n = 0;
    for (size_t i = 0; i < attr.len && i < SEARCH_VALUE_MAX_BYTES; i++) {
        unsigned char c = (unsigned char)attr.data[i];
        bool plain =
            c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!plain)
            pattern[n++] = '\\';
        pattern[n++] = (char)c;
    }
    memcpy(pattern + n, "=.*", 3);
    json_write_key(w, "include");
    json_write_string(w, pattern, n + 3);
}

static void write_reverse_nested(struct json_write *w) {
    static const char raw[] = "{\"p\":{\"reverse_nested\":{}}}";
    json_write_key(w, "aggs");
    json_write_raw(w, raw, sizeof(raw) - 1);
}

static void write_included_terms(struct query *q) {
    json_write_key(&q->w, "include");
    json_write_array(&q->w);
    for (size_t i = 0; i < q->term_count; i++)
        json_write_slice(&q->w, q->terms[i].term);
    json_write_array_end(&q->w);
}

static void write_attr_values(struct query *q, enum form form, struct slice attr) {
    struct json_write *w = &q->w;
    bool all = slice_eq(attr, SLICE("*"));
    size_t size = q->terms ? q->term_count : all ? SEARCH_ATTR_VALUES_ALL : SEARCH_ATTR_VALUES;
    write_terms_agg(w, "v", field_of(form, DIM_ATTR), (unsigned)size);
    if (q->terms)
        write_included_terms(q);
    else if (!all)
        write_include(w, attr);
    json_write_object_end(w);
    if (form == FORM_VARIED)
        write_reverse_nested(w);
    json_write_object_end(w);
}

static void write_stock_buckets(struct json_write *w, enum form form) {
    const char *field = field_of(form, DIM_STOCK);
    json_write_key(w, "v");
    json_write_object(w);
    json_write_key(w, "filters");
    json_write_object(w);
    json_write_key(w, "filters");
    json_write_object(w);
    json_write_key(w, "true");
    write_terms(w, field, (const struct slice[]){{"in", 2}, {"low", 3}}, 2);
    json_write_key(w, "false");
    write_terms(w, field, (const struct slice[]){{"out", 3}}, 1);
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

static void write_price_buckets(struct json_write *w, enum form form) {
    const char *field = field_of(form, DIM_PRICE);
    write_metric_agg(w, "min", field);
    write_metric_agg(w, "max", field);
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

static void write_variant_buckets(struct query *q, enum form form, const struct facet *facet) {
    if (facet->dim == DIM_ATTR)
        write_attr_values(q, form, facet->name);
    else if (facet->dim == DIM_STOCK)
        write_stock_buckets(&q->w, form);
    else
        write_price_buckets(&q->w, form);
}

/* {"o":{"filter":<other selections>,"aggs":{...}}} within one form */
static void write_others(struct query *q, enum form form, const struct facet *facet, const struct filter *own) {
    struct json_write *w = &q->w;
    json_write_key(w, "aggs");
    json_write_object(w);
    json_write_key(w, "o");
    json_write_object(w);
    json_write_key(w, "filter");
    filter_begin(w);
    write_variant_filters(q, form, VISIBLE_ALL, own);
    filter_end(w);
    json_write_key(w, "aggs");
    json_write_object(w);
    write_variant_buckets(q, form, facet);
    json_write_object_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
}

static void write_variant_facet(struct query *q, const struct facet *facet, const struct filter *own) {
    struct json_write *w = &q->w;
    static const char flat[] = "{\"exists\":{\"field\":\"flat.sku\"}}", varied[] = "{\"path\":\"variants\"}";
    json_write_key(w, "aggs");
    json_write_object(w);
    json_write_key(w, "flat");
    json_write_object(w);
    json_write_key(w, "filter");
    json_write_raw(w, flat, sizeof(flat) - 1);
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

static void write_product_facet(struct query *q, const struct facet *facet, const struct filter *own) {
    struct json_write *w = &q->w;
    bool brand = facet->dim == DIM_BRAND;
    json_write_key(w, "aggs");
    json_write_object(w);
    write_terms_agg(w, "v", brand ? "brand" : "category_paths", brand ? q->p->facet_size : SEARCH_CATEGORY_NODES);
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

/* A facet with every selection but its own. The variant conditions of a variant facet stand inside its forms. */
static void write_facet(struct query *q, char kind, size_t index, const struct facet *facet, const struct filter *own) {
    struct json_write *w = &q->w;
    char name[24];
    snprintf(name, sizeof(name), "%c%zu", kind, index);
    json_write_key(w, name);
    json_write_object(w);
    json_write_key(w, "filter");
    filter_begin(w);
    write_product_filters(q, VISIBLE_SHOWN, own);
    if (!dimension_is_variant(facet->dim))
        write_variant_condition(q, VISIBLE_ALL, own, false);
    filter_end(w);
    if (dimension_is_variant(facet->dim))
        write_variant_facet(q, facet, own);
    else
        write_product_facet(q, facet, own);
    json_write_object_end(w);
}

static void write_facets(struct query *q) {
    const struct search_params *p = q->p;
    if (p->facet_count == 0)
        return;
    json_write_key(&q->w, "aggs");
    json_write_object(&q->w);
    for (size_t i = 0; i < p->facet_count; i++) {
        const struct facet *facet = &p->facets[i];
        write_facet(q, 'f', i, facet, search_params_filter(p, facet->dim, facet->name));
        if (facet->dim != DIM_ATTR || !slice_eq(facet->name, SLICE("*")))
            continue;
        for (size_t k = 0; k < p->filter_count; k++)
            if (p->filters[k].dim == DIM_ATTR) {
                struct facet selected = {.dim = DIM_ATTR, .name = p->filters[k].name};
                write_facet(q, 's', k, &selected, &p->filters[k]);
            }
    }
    json_write_object_end(&q->w);
}

/* ---- the request ---- */

static void write_sort(struct query *q) {
    static const char *const orders[] = {
        [SORT_RELEVANCE] = "[{\"in_stock\":\"desc\"},\"_score\",{\"id\":\"asc\"}]",
        [SORT_PRICE_ASC] = "[{\"in_stock\":\"desc\"},{\"price_min\":\"asc\"},{\"id\":\"asc\"}]",
        [SORT_PRICE_DESC] = "[{\"in_stock\":\"desc\"},{\"price_max\":\"desc\"},{\"id\":\"asc\"}]",
        [SORT_NEWEST] = "[{\"in_stock\":\"desc\"},{\"created_at\":\"desc\"},{\"id\":\"asc\"}]",
    };
    const char *order = orders[q->p->sort];
    json_write_key(&q->w, "sort");
    json_write_raw(&q->w, order, strlen(order));
}

static void write_source(struct query *q) {
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

static void write_query(struct query *q) {
    struct json_write *w = &q->w;
    json_write_key(w, "query");
    json_write_object(w);
    json_write_key(w, "bool");
    json_write_object(w);
    if (q->p->q.len) {
        json_write_key(w, "must");
        search_text_write(w, q->p->q, q->p->typo);
    }
    json_write_key(w, "filter");
    json_write_array(w);
    write_product_filters(q, VISIBLE_HIDDEN, NULL);
    /* When nothing of the variants is shown as a facet the whole condition stands here, else in post_filter. */
    write_variant_condition(q, VISIBLE_HIDDEN, NULL, !q->terms && !any_variant(q, VISIBLE_SHOWN, NULL));
    json_write_array_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
}

static void write_post_filter(struct query *q) {
    bool variant = any_variant(q, VISIBLE_SHOWN, NULL);
    if (!variant && !any_product(q, VISIBLE_SHOWN, NULL))
        return;
    json_write_key(&q->w, "post_filter");
    filter_begin(&q->w);
    write_product_filters(q, VISIBLE_SHOWN, NULL);
    if (variant)
        write_variant_condition(q, VISIBLE_ALL, NULL, true);
    filter_end(&q->w);
}

static void write_highlight(struct query *q) {
    static const char raw[] =
        "{\"encoder\":\"html\",\"number_of_fragments\":0,\"fields\":{\"name.ko\":{},\"name.en\":{}}}";
    if (q->p->q.len == 0)
        return;
    json_write_key(&q->w, "highlight");
    json_write_raw(&q->w, raw, sizeof(raw) - 1);
}

bool search_query_write(const struct search_params *p, struct buf *out) {
    struct query q = {.p = p};
    if (!json_write_init(&q.w, out))
        return false;
    json_write_object(&q.w);
    json_write_key(&q.w, "from");
    json_write_uint(&q.w, (uint64_t)(p->page - 1) * p->size);
    json_write_key(&q.w, "size");
    json_write_uint(&q.w, p->size);
    json_write_key(&q.w, "track_total_hits");
    json_write_bool(&q.w, true);
    write_source(&q);
    write_query(&q);
    write_post_filter(&q);
    write_sort(&q);
    write_highlight(&q);
    write_facets(&q);
    json_write_object_end(&q.w);
    return json_write_finish(&q.w);
}

static void write_counts(struct query *q, const struct search_term *term) {
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
    struct query q = {.p = p, .terms = terms->items};
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
