#include "core/cleanup.h"
#include "query-api/search/matched_variants.h"
#include "query-api/search/search_filter.h"
#include "query-api/text/search_text.h"
#include <stdlib.h>

enum { SHOWN_MAX = 20 };

static bool chooses_variants(const struct search_params *p) {
    for (size_t i = 0; i < p->filter_count; i++)
        if (dimension_is_variant(p->filters[i].dim))
            return true;
    return false;
}

void matched_variants_fields(struct json_write *w, const struct search_params *p) {
    bool chosen = chooses_variants(p), code = !chosen && search_text_may_be_code(p->text);
    bool price = false, stock = false, values = false, numbers = false;
    for (size_t i = 0; i < p->filter_count; i++) {
        const struct filter *f = &p->filters[i];
        price |= f->dim == DIM_PRICE;
        stock |= f->dim == DIM_STOCK;
        values |= f->dim == DIM_ATTR && f->value_count;
        numbers |= f->dim == DIM_ATTR && f->range_count;
    }
    const struct {
        const char *name;
        bool wanted;
    } fields[] = {
        {"flat.sku", chosen},
        {"variants.sku", chosen || code},
        {"variants.price", price},
        {"variants.stock", stock},
        {"variants.names", values || numbers},
        {"variants.attrs", values},
        {"variants.code_attrs", values || code},
        {"variants.numbers", numbers},
    };
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (fields[i].wanted)
            json_write_str(w, fields[i].name);
}

/* Is the text the SKU of this variant, or a code that it has as an attribute? */
static bool is_asked_for(const struct search_text *text, const struct json *variant) {
    const struct json *sku = json_get(variant, "sku");
    if (!json_is(sku, JSON_STRING))
        return false;
    bool found = search_text_is_code(text, sku->text);
    for (const struct json *term = json_first(json_get(variant, "code_attrs")); term && !found; term = term->next) {
        const char *sign = json_is(term, JSON_STRING) && term->text.len ? memchr(term->text.data, '=', term->text.len) : NULL;
        found = sign && search_text_is_code(text, (struct slice){sign + 1, (size_t)(term->text.data + term->text.len - sign - 1)});
    }
    return found;
}

/* Of the term "name=value" of this attribute the value; data NULL: it is of another one. */
static struct slice value_of(const struct json *term, struct slice name) {
    if (!json_is(term, JSON_STRING) || term->text.len <= name.len || term->text.data[name.len] != '=' ||
        memcmp(term->text.data, name.data, name.len) != 0)
        return (struct slice){NULL, 0};
    return (struct slice){term->text.data + name.len + 1, term->text.len - name.len - 1};
}

static bool has_name(const struct json *variant, struct slice name) {
    for (const struct json *v = json_first(json_get(variant, "names")); v; v = v->next)
        if (json_is(v, JSON_STRING) && slice_eq(v->text, name))
            return true;
    return false;
}

static bool has_value(const struct json *variant, const char *field, const struct filter *f) {
    for (const struct json *term = json_first(json_get(variant, field)); term; term = term->next) {
        struct slice value = value_of(term, f->name);
        for (size_t i = 0; value.data && i < f->value_count; i++)
            if (slice_eq(value, f->values[i]))
                return true;
    }
    return false;
}

/* Numbers are compared as the index orders them. */
static bool has_number(const struct json *variant, const struct filter *f) {
    for (const struct json *term = json_first(json_get(variant, "numbers")); term; term = term->next) {
        struct slice value = value_of(term, f->name);
        uint64_t number = value.len == 16 ? strtoull(value.data, NULL, 16) : 0;
        for (size_t i = 0; value.len == 16 && i < f->range_count; i++)
            if (number >= search_number_order(f->ranges[i].from) && number <= search_number_order(f->ranges[i].to))
                return true;
    }
    return false;
}

static bool meets_price(const struct json *variant, const struct filter *f) {
    int64_t price;
    if (!json_int64(json_get(variant, "price"), &price))
        return false;
    for (size_t i = 0; i < f->range_count; i++)
        if ((long double)price >= f->ranges[i].from && (long double)price <= f->ranges[i].to)
            return true;
    return false;
}

static bool meets_stock(const struct json *variant, const struct filter *f) {
    const struct json *state = json_get(variant, "stock");
    if (!json_is(state, JSON_STRING))
        return false;
    bool out = slice_eq(state->text, SLICE("out"));
    for (size_t i = 0; i < f->value_count; i++)
        if (slice_eq(f->values[i], SLICE("true")) != out)
            return true;
    return false;
}

/* As search_filter_sku() asks for it; what stands with the product was found there. */
static bool meets(const struct json *variant, const struct filter *f) {
    if (f->dim == DIM_PRICE)
        return meets_price(variant, f);
    if (f->dim == DIM_STOCK)
        return meets_stock(variant, f);
    return f->dim != DIM_ATTR || !has_name(variant, f->name) || has_value(variant, "attrs", f) ||
           has_value(variant, "code_attrs", f) || has_number(variant, f);
}

static bool meets_all(const struct json *variant, const struct search_params *p) {
    for (size_t i = 0; i < p->filter_count; i++)
        if (!meets(variant, &p->filters[i]))
            return false;
    return true;
}

void matched_variants_write(struct json_write *w, const struct search_params *p, const struct json *source, bool known) {
    bool chosen = chooses_variants(p);
    size_t shown = 0;
    const struct json *flat = chosen ? json_path(source, "flat.sku") : NULL;
    json_write_array(w);
    if (json_is(flat, JSON_STRING))
        json_write_json(w, flat); /* its only SKU: the product was found by it */
    bool look = chosen ? known : search_text_may_be_code(p->text);
    for (const struct json *v = look ? json_first(json_get(source, "variants")) : NULL; v && shown < SHOWN_MAX; v = v->next) {
        const struct json *sku = json_get(v, "sku");
        if (!json_is(sku, JSON_STRING) || !(chosen ? meets_all(v, p) : is_asked_for(p->text, v)))
            continue;
        json_write_json(w, sku);
        shown++;
    }
    json_write_array_end(w);
}
