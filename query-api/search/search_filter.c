#include "query-api/search/search_filter.h"
#include <math.h>
#include <stdio.h>

const char *search_filter_field(enum form form, enum dimension dim) {
    static const char *const names[][3] = {[FORM_FLAT] = {"flat.price", "flat.stock", "attrs"},
                                           [FORM_VARIED] = {"variants.price", "variants.stock", "variants.attrs"},
                                           [FORM_ANY] = {"any.price", "any.stock", "any.attrs"}};
    return names[form][dim - DIM_PRICE];
}

const char *search_filter_attr_field(enum form form, bool code) {
    static const char *const names[] = {
        [FORM_FLAT] = "code_attrs", [FORM_VARIED] = "variants.code_attrs", [FORM_ANY] = "any.code_attrs"};
    return code ? names[form] : search_filter_field(form, DIM_ATTR);
}

uint64_t search_number_order(double v) {
    uint64_t bits;
    if (v == 0)
        v = 0; /* -0 and 0 are one number */
    memcpy(&bits, &v, sizeof(bits));
    return bits >> 63 ? ~bits : bits ^ (UINT64_C(1) << 63);
}

void search_number_key(double v, char ret[17]) {
    snprintf(ret, 17, "%016llx", (unsigned long long)search_number_order(v));
}

void search_filter_terms(struct json_write *w, const char *field, const struct slice *values, size_t count) {
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
    json_write_key(w, form == FORM_FLAT ? "numbers" : "variants.numbers");
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
    json_write_key(w, search_filter_field(form, DIM_PRICE));
    json_write_object(w);
    if (r->from > 0) {
        json_write_key(w, "gte");
        json_write_double(w, r->from < 9.2e18 ? ceil(r->from) : 9.2e18);
    }
    if (r->to < 9.2e18) {
        json_write_key(w, "lte");
        json_write_double(w, r->to > -9.2e18 ? floor(r->to) : -9.2e18);
    }
    json_write_object_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
}

void search_filter_in_stock(struct json_write *w) {
    static const char raw[] = "{\"term\":{\"in_stock\":true}}";
    json_write_raw(w, raw, sizeof(raw) - 1);
}

static void write_stock_values(struct json_write *w, enum form form, const struct filter *f) {
    static const struct slice states[] = {{"in", 2}, {"low", 3}, {"out", 3}};
    bool in = false, out = false; /* a value may be given more than once */
    for (size_t i = 0; i < f->value_count; i++) {
        bool yes = slice_eq(f->values[i], SLICE("true"));
        in |= yes;
        out |= !yes;
    }
    if (form == FORM_ANY && in && !out)
        search_filter_in_stock(w);
    else
        search_filter_terms(w, search_filter_field(form, DIM_STOCK), in ? states : states + 2, in && out ? 3 : in ? 2 : 1);
}

static void should_begin(struct json_write *w) {
    json_write_object(w);
    json_write_key(w, "bool");
    json_write_object(w);
    json_write_key(w, "should");
    json_write_array(w);
}

static void should_end(struct json_write *w, unsigned at_least) {
    json_write_array_end(w);
    json_write_key(w, "minimum_should_match");
    json_write_uint(w, at_least);
    json_write_object_end(w);
    json_write_object_end(w);
}

static void write_ranges(struct json_write *w, enum form form, const struct filter *f) {
    for (size_t i = 0; i < f->range_count; i++)
        if (f->dim == DIM_PRICE)
            write_price_range(w, form, &f->ranges[i]);
        else
            write_attr_range(w, form, f->name, &f->ranges[i]);
}

/* {"term":{field:name}} */
static void write_name(struct json_write *w, const char *field, struct slice name) {
    json_write_object(w);
    json_write_key(w, "term");
    json_write_object(w);
    json_write_key(w, field);
    json_write_slice(w, name);
    json_write_object_end(w);
    json_write_object_end(w);
}

static void write_no_name(struct json_write *w, struct slice name) {
    json_write_object(w);
    json_write_key(w, "bool");
    json_write_object(w);
    json_write_key(w, "must_not");
    write_name(w, "variants.names", name);
    json_write_object_end(w);
    json_write_object_end(w);
}

static void write_attr_terms(struct json_write *w, const char *field, const struct filter *f) {
    json_write_object(w);
    json_write_key(w, "terms");
    json_write_object(w);
    json_write_key(w, field);
    json_write_array(w);
    for (size_t i = 0; i < f->value_count; i++)
        write_attr_term(w, f->name, f->values[i]);
    json_write_array_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
}

/* Any of the values or ranges of an attribute. An attribute stands either with the product or in all of its variants:
 * the other place has no say. Both fields are asked, so that no filter depends on what is known of codes: a term that a
 * field does not have costs a look into its dictionary. */
static void write_attr_values(struct json_write *w, enum form form, const struct filter *f) {
    if (f->value_count) {
        write_attr_terms(w, search_filter_attr_field(form, false), f);
        write_attr_terms(w, search_filter_attr_field(form, true), f);
    }
    write_ranges(w, form, f);
}

static void write_attr_filter(struct json_write *w, enum form form, const struct filter *f) {
    should_begin(w);
    write_attr_values(w, form, f);
    if (form == FORM_FLAT)
        write_name(w, "varied", f->name);
    else
        write_no_name(w, f->name);
    should_end(w, 1);
}

static void write_price_filter(struct json_write *w, enum form form, const struct filter *f) {
    should_begin(w);
    write_ranges(w, form, f);
    should_end(w, 1);
}

static bool takes_part(const struct search_writer *q, const struct filter *f, enum visible which,
                       const struct filter *but) {
    if (f == but)
        return false;
    return (search_params_shows(q->p, f) ? VISIBLE_SHOWN : VISIBLE_HIDDEN) & which;
}

bool search_filter_any_variant(const struct search_writer *q, enum visible which, const struct filter *but) {
    for (size_t i = 0; i < q->p->filter_count; i++)
        if (dimension_is_variant(q->p->filters[i].dim) && takes_part(q, &q->p->filters[i], which, but))
            return true;
    return false;
}

static void write_attrs(struct search_writer *q, enum visible which, const struct filter *but) {
    for (size_t i = 0; i < q->p->filter_count; i++)
        if (q->p->filters[i].dim == DIM_ATTR && takes_part(q, &q->p->filters[i], which, but))
            write_attr_filter(&q->w, FORM_FLAT, &q->p->filters[i]);
}

void search_filter_sku(struct search_writer *q, enum form form, enum visible which, const struct filter *but) {
    for (size_t i = 0; i < q->p->filter_count; i++) {
        const struct filter *f = &q->p->filters[i];
        if (!dimension_is_variant(f->dim) || !takes_part(q, f, which, but))
            continue;
        if (f->dim == DIM_STOCK)
            write_stock_values(&q->w, form, f);
        else if (f->dim == DIM_PRICE)
            write_price_filter(&q->w, form, f);
        else if (form == FORM_VARIED)
            write_attr_filter(&q->w, form, f);
    }
}

void search_filter_begin(struct json_write *w) {
    json_write_object(w);
    json_write_key(w, "bool");
    json_write_object(w);
    json_write_key(w, "filter");
    json_write_array(w);
}

void search_filter_end(struct json_write *w) {
    json_write_array_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
}

/* "nested":{"path":"variants","query": */
static void nested_begin(struct json_write *w) {
    json_write_object(w);
    json_write_key(w, "nested");
    json_write_object(w);
    json_write_key(w, "path");
    json_write_str(w, "variants");
    json_write_key(w, "query");
}

static void nested_end(struct json_write *w) {
    json_write_object_end(w);
    json_write_object_end(w);
}

/* flat.* all match, or one variant matches all. */
static void write_any_sku(struct search_writer *q, enum visible which, const struct filter *but) {
    static const char flat[] = "{\"exists\":{\"field\":\"flat.sku\"}}";
    struct json_write *w = &q->w;
    if (!search_filter_any_variant(q, which, but))
        return;
    should_begin(w);
    search_filter_begin(w);
    json_write_raw(w, flat, sizeof(flat) - 1);
    search_filter_sku(q, FORM_FLAT, which, but);
    search_filter_end(w);
    nested_begin(w);
    search_filter_begin(w);
    search_filter_sku(q, FORM_VARIED, which, but);
    search_filter_end(w);
    nested_end(w);
    should_end(w, 1);
}

/* The one filter on variants that takes part, or NULL. */
static const struct filter *only_variant_filter(const struct search_writer *q, enum visible which,
                                                const struct filter *but) {
    const struct filter *only = NULL;
    for (size_t i = 0; i < q->p->filter_count; i++) {
        const struct filter *f = &q->p->filters[i];
        if (!dimension_is_variant(f->dim) || !takes_part(q, f, which, but))
            continue;
        if (only)
            return NULL;
        only = f;
    }
    return only;
}

static void write_values(struct json_write *w, enum form form, const struct filter *f) {
    if (f->dim == DIM_ATTR)
        write_attr_values(w, form, f);
    else
        write_ranges(w, form, f);
}

/* A filter that no other stands beside is met by a value of the product's, wherever it stands. */
static void write_only(struct search_writer *q, const struct filter *f) {
    struct json_write *w = &q->w;
    if (f->dim == DIM_STOCK) {
        write_stock_values(w, FORM_ANY, f);
        return;
    }
    should_begin(w);
    write_values(w, FORM_FLAT, f);
    nested_begin(w);
    should_begin(w);
    write_values(w, FORM_VARIED, f);
    should_end(w, 1);
    nested_end(w);
    should_end(w, 1);
}

void search_filter_condition(struct search_writer *q, enum visible which, const struct filter *but) {
    const struct filter *only = only_variant_filter(q, which, but);
    if (only) {
        write_only(q, only);
        return;
    }
    write_attrs(q, which, but);
    write_any_sku(q, which, but);
}

void search_filter_products(struct search_writer *q, enum visible which, const struct filter *but) {
    for (size_t i = 0; i < q->p->filter_count; i++) {
        const struct filter *f = &q->p->filters[i];
        if (!dimension_is_variant(f->dim) && takes_part(q, f, which, but))
            search_filter_terms(&q->w, f->dim == DIM_BRAND ? "brand" : "category_paths", f->values, f->value_count);
    }
}

bool search_filter_any_product(const struct search_writer *q, enum visible which, const struct filter *but) {
    for (size_t i = 0; i < q->p->filter_count; i++)
        if (!dimension_is_variant(q->p->filters[i].dim) && takes_part(q, &q->p->filters[i], which, but))
            return true;
    return false;
}

/* A filter alone, as if there were no other: any variant may meet it. */
static void write_alone(struct search_writer *q, struct filter *f) {
    struct search_params alone = {.filters = f, .filter_count = 1};
    struct search_writer one = {.p = &alone, .w = q->w};
    search_filter_begin(&one.w);
    search_filter_products(&one, VISIBLE_ALL, NULL);
    search_filter_condition(&one, VISIBLE_ALL, NULL);
    search_filter_end(&one.w);
    q->w = one.w;
}

static void write_literal(struct search_writer *q, struct search_literal *literal) {
    if (!literal->negated) {
        write_alone(q, &literal->filter);
        return;
    }
    json_write_object(&q->w);
    json_write_key(&q->w, "bool");
    json_write_object(&q->w);
    json_write_key(&q->w, "must_not");
    write_alone(q, &literal->filter);
    json_write_object_end(&q->w);
    json_write_object_end(&q->w);
}

void search_filter_clauses(struct search_writer *q) {
    for (size_t i = 0; i < q->p->clause_count; i++) {
        const struct search_clause *clause = &q->p->clauses[i];
        should_begin(&q->w);
        for (size_t k = 0; k < clause->count; k++)
            write_literal(q, &clause->literals[k]);
        should_end(&q->w, 1);
    }
}

void search_filter_all_but_one(struct search_writer *q) {
    const struct search_params *p = q->p;
    unsigned shown = 0;
    for (size_t i = 0; i < p->filter_count; i++)
        shown += search_params_shows(p, &p->filters[i]);
    if (shown < 2)
        return;
    should_begin(&q->w);
    for (size_t i = 0; i < p->filter_count; i++)
        if (search_params_shows(p, &p->filters[i]))
            write_alone(q, &p->filters[i]);
    should_end(&q->w, shown - 1);
}
