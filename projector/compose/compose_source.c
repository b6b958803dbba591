#include "core/price_steps.h"
#include "core/utf8.h"
#include "projector/compose/compose_source.h"
#include <stdlib.h>

bool compose_bad(struct composer *c, const char *field, long index, const char *why) {
    c->status = COMPOSE_BAD;
    return index < 0 ? error_set(c->reterr, ERROR_INVALID, "%s: %s", field, why)
                     : error_set(c->reterr, ERROR_INVALID, "%s[%ld]: %s", field, index, why);
}

bool compose_nomem(struct composer *c) {
    c->status = COMPOSE_NOMEM;
    return error_nomem(c->reterr);
}

const struct element *compose_value(const struct composer *c, uint8_t source) {
    return source != PROJECTION_NO_SOURCE && (c->present >> source & 1) ? &c->sources[source] : NULL;
}

bool compose_int(const struct element *it, int64_t *ret) {
    double d;
    switch (it->type) {
    case BSON_TYPE_INT32:
    case BSON_TYPE_INT64:
        *ret = element_int(it);
        return *ret >= -COMPOSE_PRICE_MAX && *ret <= COMPOSE_PRICE_MAX;
    case BSON_TYPE_DOUBLE:
        d = element_double(it);
        if (!(d >= -(double)COMPOSE_PRICE_MAX && d <= (double)COMPOSE_PRICE_MAX) || d != (double)(int64_t)d)
            return false;
        *ret = (int64_t)d;
        return true;
    default:
        return false;
    }
}

/* Room for one more item in a growing array that the composer keeps. */
static bool grow(struct composer *c, void **items, size_t *capacity, size_t count, size_t size) {
    if (count < *capacity)
        return true;
    size_t more = *capacity ? *capacity * 2 : 16;
    void *grown = realloc(*items, more * size);
    if (!grown)
        return compose_nomem(c);
    *items = grown;
    *capacity = more;
    return true;
}

bool compose_push_slice(struct composer *c, struct slice s) {
    if (!grow(c, (void **)&c->slices, &c->slice_capacity, c->slice_count, sizeof(*c->slices)))
        return false;
    c->slices[c->slice_count++] = s;
    return true;
}

struct slice compose_bytes(const struct composer *c) {
    return (struct slice){(const char *)bson_get_data(c->input->product), c->input->product->len};
}

static uint8_t find_source(const struct projection *p, struct slice name) {
    uint8_t i = 0;
    while (i < p->source_count && !slice_eq(p->sources[i], name))
        i++;
    return i;
}

/* Products mostly have their fields in the same order: then the source that followed the last one is the one. */
static bool read_fields(struct composer *c) {
    const struct projection *p = c->projection;
    struct elements it = elements_of_document(bson_get_data(c->input->product), c->input->product->len);
    struct element e;
    uint8_t *next = &c->follows[PROJECTION_SOURCES_MAX];
    c->present = 0;
    while (elements_next(&it, &e)) {
        if (element_is_null(&e))
            continue;
        uint8_t i = slice_eq(p->sources[*next], e.key) ? *next : find_source(p, e.key);
        if (i == p->source_count)
            continue;
        c->sources[i] = e;
        c->present |= UINT32_C(1) << i;
        *next = i;
        next = &c->follows[i];
    }
    return !it.corrupt || compose_bad(c, "product", -1, "is damaged BSON");
}

static bool read_id(struct composer *c) {
    const struct element *it = compose_value(c, c->projection->source_id);
    if (!it || it->type != BSON_TYPE_UTF8)
        return compose_bad(c, "_id", -1, "must be a string");
    c->id = element_text(it);
    if (c->id.len == 0 || c->id.len > COMPOSE_ID_BYTES_MAX || !utf8_valid(c->id.data, c->id.len))
        return compose_bad(c, "_id", -1, "must be 1 to 512 bytes of UTF-8");
    return true;
}

/* ---- categories ---- */

static int compare_ids(const void *a, const void *b) {
    int64_t x = (*(const struct category *const *)a)->id, y = (*(const struct category *const *)b)->id;
    return (x > y) - (x < y);
}

/* By id, each once. */
static size_t sort_categories(const struct category **items, size_t count) {
    size_t kept = 0;
    for (size_t i = 1; i < count && count <= 16; i++) {
        const struct category *item = items[i];
        size_t at = i;
        for (; at > 0 && items[at - 1]->id > item->id; at--)
            items[at] = items[at - 1];
        items[at] = item;
    }
    if (count > 16)
        qsort(items, count, sizeof(*items), compare_ids);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || items[kept - 1] != items[i])
            items[kept++] = items[i];
    return kept;
}

static bool add_category(struct composer *c, int64_t id) {
    const struct category *category = c->input->categories ? category_tree_find(c->input->categories, id) : NULL;
    if (!category) {
        if (c->input->skip_unknown_categories) {
            c->ignored++;
            return true;
        }
        c->status = COMPOSE_UNKNOWN_CATEGORY;
        c->unknown_category = id;
        return error_set(c->reterr, ERROR_NOT_FOUND, "categories: there is no category %lld", (long long)id);
    }
    if (!grow(c, (void **)&c->categories, &c->category_capacity, c->category_count, sizeof(*c->categories)))
        return false;
    c->categories[c->category_count++] = category;
    c->first_category = c->first_category ? c->first_category : id;
    return true;
}

static bool add_lineages(struct composer *c) {
    for (size_t i = 0; i < c->category_count; i++)
        for (unsigned k = 0; k < c->categories[i]->lineage_count; k++) {
            if (!grow(c, (void **)&c->lineage, &c->lineage_capacity, c->lineage_count, sizeof(*c->lineage)))
                return false;
            c->lineage[c->lineage_count++] = c->categories[i]->lineage[k];
        }
    c->lineage_count = sort_categories(c->lineage, c->lineage_count);
    return true;
}

static bool read_categories(struct composer *c) {
    const struct element *it = compose_value(c, c->projection->source_categories);
    struct element element;
    int64_t id = 0;
    c->category_count = c->lineage_count = 0;
    c->first_category = 0;
    if (!it)
        return true;
    if (it->type != BSON_TYPE_ARRAY)
        return compose_bad(c, "categories", -1, "must be an array of category ids");
    struct elements all = elements_in(it);
    for (long i = 0; elements_next(&all, &element); i++) {
        if (i == COMPOSE_CATEGORIES_MAX)
            return compose_bad(c, "categories", -1, "has more than 1000 elements");
        if (!compose_int(&element, &id) || id <= 0 || id > INT32_MAX)
            return compose_bad(c, "categories", i, "must be a category id");
        if (!add_category(c, id))
            return false;
    }
    c->category_count = sort_categories(c->categories, c->category_count);
    return add_lineages(c) && (!all.corrupt || compose_bad(c, "categories", -1, "is damaged BSON"));
}

/* ---- attributes and variants ---- */

static bool check_terms(struct composer *c, const char *field, long index) {
    const struct terms *t = &c->terms;
    if (terms_ok(t))
        return true;
    if (t->sink.nomem)
        return compose_nomem(c);
    return compose_bad(c, field, index,
                       t->sink.invalid ? "a name or value is not valid UTF-8"
                       : t->corrupt    ? "is damaged BSON"
                                       : "is too large");
}

static bool read_attributes(struct composer *c) {
    const struct element *it = compose_value(c, c->projection->source_attributes);
    struct terms *t = &c->terms;
    terms_code(t, c->id);
    if (it && it->type != BSON_TYPE_DOCUMENT)
        return compose_bad(c, "attributes", -1, "must be an object");
    if (it)
        terms_walk(t, it);
    c->attrs = (struct term_range){0, t->attrs.count};
    c->numbers = (struct term_range){0, t->numbers.count};
    return check_terms(c, "attributes", -1);
}

static bool read_price(struct composer *c, const struct element *it, const char *field, long index, int64_t *ret) {
    if (!compose_int(it, ret) || *ret < 0)
        return compose_bad(c, field, index, "price must be a whole number from 0 to 9e15, in minor units");
    return true;
}

static bool read_variant(struct composer *c, const struct element *object, long index, struct variant *v) {
    struct element e;
    struct terms *t = &c->terms;
    uint32_t attrs = t->attrs.count, numbers = t->numbers.count;
    if (object->type != BSON_TYPE_DOCUMENT)
        return compose_bad(c, "variants", index, "must be an object");
    struct elements it = elements_in(object);
    while (elements_next(&it, &e)) {
        if (element_is_null(&e))
            continue;
        if (slice_eq(e.key, SLICE("sku")) && e.type == BSON_TYPE_UTF8) {
            v->sku = element_text(&e);
        } else if (slice_eq(e.key, SLICE("price"))) {
            if (!read_price(c, &e, "variants", index, &v->price))
                return false;
            v->has_price = true;
        } else if (slice_eq(e.key, SLICE("attributes"))) {
            if (e.type != BSON_TYPE_DOCUMENT)
                return compose_bad(c, "variants", index, "attributes must be an object");
            terms_walk(t, &e);
        }
    }
    if (it.corrupt)
        return compose_bad(c, "variants", index, "is damaged BSON");
    if (v->sku.len == 0 || v->sku.len > COMPOSE_SKU_BYTES_MAX || !utf8_valid(v->sku.data, v->sku.len))
        return compose_bad(c, "variants", index, "sku must be a string of 1 to 256 bytes of UTF-8");
    terms_code(t, v->sku);
    v->attrs = (struct term_range){attrs, t->attrs.count};
    v->numbers = (struct term_range){numbers, t->numbers.count};
    return check_terms(c, "variants", index);
}

static struct variant *add_variant(struct composer *c) {
    if (!grow(c, (void **)&c->variants, &c->variant_capacity, c->variant_count, sizeof(*c->variants)))
        return NULL;
    struct variant *v = &c->variants[c->variant_count++];
    *v = (struct variant){0};
    return v;
}

/* Price and stock of a variant, and what they make of the product's. */
static void settle_variant(struct composer *c, struct variant *v, bool has_price, int64_t price) {
    if (!v->has_price && has_price) {
        v->has_price = true;
        v->price = price;
    }
    if (v->has_price && !(c->has_price && v->price == c->price_max)) {
        c->price_min = c->has_price && c->price_min < v->price ? c->price_min : v->price;
        c->price_max = c->has_price && c->price_max > v->price ? c->price_max : v->price;
        c->price_steps |= UINT32_C(1) << price_step(v->price);
        c->has_price = true;
    }
    v->stock = c->input->stock ? stock_states_get(c->input->stock, v->sku) : STOCK_OUT;
    c->stock = v->stock > c->stock ? v->stock : c->stock;
    c->stocks |= 1U << v->stock;
    c->is_flat = c->is_flat && v->attrs.first == v->attrs.end;
}

/* Where names stand in variants, the terms of a name are looked for: in order they are found fast. Else the order of
 * the source is as good as any. */
static void sort_by_name(struct composer *c) {
    struct terms *t = &c->terms;
    for (size_t i = 0; i < c->variant_count; i++) {
        terms_sort(t, &t->attrs, c->variants[i].attrs);
        terms_sort(t, &t->numbers, c->variants[i].numbers);
        c->variants[i].names = terms_add_names(t, c->variants[i].attrs);
    }
    if (t->names.count == 0)
        return;
    terms_sort(t, &t->attrs, c->attrs);
    terms_sort(t, &t->numbers, c->numbers);
    terms_sort_names(t, c->attrs);
}

static bool read_variants(struct composer *c) {
    const struct element *it = compose_value(c, c->projection->source_variants);
    const struct element *price_it = compose_value(c, c->projection->source_price);
    struct elements all = {0};
    struct element element;
    int64_t price = 0;
    c->variant_count = 0;
    c->has_price = false;
    c->stock = STOCK_OUT;
    c->price_steps = c->stocks = 0;
    if (price_it && !read_price(c, price_it, "product", -1, &price))
        return false;
    if (it && it->type != BSON_TYPE_ARRAY)
        return compose_bad(c, "variants", -1, "must be an array");
    if (it)
        all = elements_in(it);
    for (long i = 0; elements_next(&all, &element); i++) {
        struct variant *v = add_variant(c);
        if (!v || !read_variant(c, &element, i, v))
            return false;
    }
    if (all.corrupt)
        return compose_bad(c, "variants", -1, "is damaged BSON");
    if (c->variant_count == 0) {
        struct variant *v = add_variant(c);
        if (!v)
            return false;
        v->sku = c->id; /* the one implicit SKU */
    }
    c->is_flat = c->variant_count == 1;
    for (size_t i = 0; i < c->variant_count; i++)
        settle_variant(c, &c->variants[i], price_it != NULL, price);
    sort_by_name(c);
    return check_terms(c, "variants", -1);
}

bool compose_read(struct composer *c) {
    terms_reset(&c->terms);
    c->terms.sink.source = compose_bytes(c);
    if (!read_fields(c) || !read_id(c) || !read_categories(c) || !read_attributes(c) || !read_variants(c))
        return false;
    c->codes = (struct term_range){0, c->terms.codes.count};
    c->ignored += c->terms.ignored;
    return true;
}
