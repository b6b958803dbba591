#include "query-api/browse/category_forest.h"
#include "query-api/search/facet_result.h"
#include "query-api/search/facet_sets.h"
#include "query-api/search/search_aggs.h"
#include "query-api/text/search_pattern.h"
#include <math.h>
#include <stdlib.h>

enum { ATTR_FACETS_MAX = 50 }; /* of attr.* */

enum { FORMS = 2 }; /* FORM_FLAT, FORM_VARIED */

struct value_count {
    struct slice value;
    struct slice term; /* of an attribute: name=value */
    uint64_t count;
    bool in[FORMS];
    bool doubt; /* in one list only, and the other one was cut off */
};

struct values {
    struct value_count *items;
    size_t count, cap;
};

/* Where an answer has a facet's aggregations, f<index>... or s<index>...; NULL: nowhere. */
struct place {
    const struct json *forms[FORMS];
};

struct source {
    char kind;
    size_t index;
    struct place first, second; /* answers */
    bool cut[FORMS];            /* there are more values than were asked for */
    bool rough[FORMS];          /* so are counts, of what a shard did not send */
    struct values again;        /* counts of the second answer, by term */
};

struct facets {
    struct json_write *w;
    const struct search_params *p;
    const struct json *aggs;
    const struct search_result_context *context;
    bool out_of_memory;
};

static struct value_count *add_value(struct facets *s, struct values *v, struct slice value, uint64_t count) {
    struct value_count *items = arena_grow(s->context->arena, v->items, v->count, &v->cap, sizeof(*items));
    if (!items) {
        s->out_of_memory = true;
        return NULL;
    }
    v->items = items;
    v->items[v->count] = (struct value_count){.value = value, .term = value, .count = count};
    return &v->items[v->count++];
}

static struct value_count *find_value(struct value_count *items, size_t count, struct slice value) {
    for (size_t i = 0; i < count; i++)
        if (slice_eq(items[i].value, value))
            return &items[i];
    return NULL;
}

static int compare_text(struct slice a, struct slice b) {
    size_t n = a.len < b.len ? a.len : b.len;
    int r = n ? memcmp(a.data, b.data, n) : 0;
    return r ? r : (a.len > b.len) - (a.len < b.len);
}

static int by_value(const void *a, const void *b) {
    return compare_text(((const struct value_count *)a)->value, ((const struct value_count *)b)->value);
}

static int by_count(const void *a, const void *b) {
    const struct value_count *x = a, *y = b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return compare_text(x->value, y->value);
}

static void collect_buckets(struct facets *s, struct values *v, const struct json *buckets, enum form form) {
    if (json_is(buckets, JSON_ARRAY))
        for (const struct json *b = buckets->child; b; b = b->next) {
            struct bucket bucket = facet_bucket(b);
            struct value_count *added = add_value(s, v, bucket.key, bucket.count);
            if (added)
                added->in[form] = true;
        }
}

/* The same key of the flat and of the varied list is two disjoint sets of products: their sum. Sorted by key. */
static void merge_values(struct values *v) {
    if (v->count == 0)
        return;
    qsort(v->items, v->count, sizeof(*v->items), by_value);
    size_t n = 0;
    for (size_t i = 1; i < v->count; i++)
        if (slice_eq(v->items[n].value, v->items[i].value)) {
            v->items[n].count += v->items[i].count;
            v->items[n].in[FORM_FLAT] |= v->items[i].in[FORM_FLAT];
            v->items[n].in[FORM_VARIED] |= v->items[i].in[FORM_VARIED];
        } else {
            v->items[++n] = v->items[i];
        }
    v->count = n + 1;
}

/* The scope of the facet: of its own, that of all without a filter of their own, or none (search_aggs.h). */
static struct place place_of(const struct json *aggs, const struct source *source, bool own) {
    struct search_agg_name name = search_agg_name("o", source->kind, source->index, "");
    const struct json *scope = json_get_slice(aggs, (struct slice){name.text, name.len});
    if (!scope && !own)
        scope = json_get(aggs, "o");
    if (!scope)
        scope = aggs;
    return (struct place){{[FORM_FLAT] = scope, [FORM_VARIED] = json_get(json_get(scope, "varied"), "o")}};
}

static struct source source_of(const struct facets *s, char kind, size_t index, bool own) {
    struct source source = {.kind = kind, .index = index};
    source.first = place_of(s->aggs, &source, own);
    source.second = place_of(s->context->second, &source, own);
    return source;
}

/* The facet's aggregation, or that with this suffix to its name. */
static const struct json *counted(const struct source *source, const struct place *place, enum form form,
                                  const char *suffix) {
    struct search_agg_name name = search_agg_name("", source->kind, source->index, suffix);
    return json_get_slice(place->forms[form], (struct slice){name.text, name.len});
}

static const struct json *buckets_of(const struct source *source, const struct place *place, enum form form) {
    return json_get(counted(source, place, form, ""), "buckets");
}

/* What the second answer says of a term. False if it does not. */
static bool asked_again(const struct source *source, struct slice term, uint64_t *ret) {
    struct value_count wanted = {.value = term};
    const struct value_count *found = NULL;
    if (source->again.count)
        found = bsearch(&wanted, source->again.items, source->again.count, sizeof(wanted), by_value);
    if (found)
        *ret = found->count;
    return found != NULL;
}

static bool is_selected(const struct filter *own, struct slice value) {
    for (size_t i = 0; own && i < own->value_count; i++)
        if (slice_eq(own->values[i], value))
            return true;
    return false;
}

static void write_value(struct facets *s, struct slice value, uint64_t count, bool selected) {
    json_write_object(s->w);
    json_write_key(s->w, "value");
    json_write_slice(s->w, value);
    json_write_key(s->w, "count");
    json_write_uint(s->w, count);
    if (selected) {
        json_write_key(s->w, "selected");
        json_write_bool(s->w, true);
    }
    json_write_object_end(s->w);
}

/* The count of a term that is shown has to be asked for. */
static void note_doubt(struct facets *s, const struct source *source, struct slice term) {
    struct search_terms *terms = s->context->doubts;
    if (!terms)
        return;
    struct search_term *items = arena_grow(s->context->arena, terms->items, terms->count, &terms->cap, sizeof(*items));
    if (!items) {
        s->out_of_memory = true;
        return;
    }
    terms->items = items;
    terms->items[terms->count++] = (struct search_term){source->kind, source->index, term};
}

static bool of_attribute(const struct facets *s, const struct source *source) {
    return source->kind == 's' || s->p->facets[source->index].dim == DIM_ATTR;
}

/* Selected, but in none of the lists: 0, unless a list of an attribute's values was cut off. */
static void write_absent(struct facets *s, const struct source *source, const struct filter *own, struct slice value) {
    uint64_t count = 0;
    if (of_attribute(s, source) && (source->cut[FORM_FLAT] || source->cut[FORM_VARIED])) {
        const char *term = arena_printf(s->context->arena, "%.*s=%.*s", (int)own->name.len, own->name.data,
                                        (int)value.len, value.data);
        if (!term)
            s->out_of_memory = true;
        else if (!asked_again(source, slice_str(term), &count))
            note_doubt(s, source, slice_str(term));
    }
    write_value(s, value, count, true);
}

/* Values that are looked for: of a long text the engine was asked for the beginning only (search_query). */
static size_t drop_others(const struct facets *s, struct value_count *items, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (!s->p->facet_find.data || search_pattern_matches(s->p->facet_find, items[i].value))
            items[kept++] = items[i];
    return kept;
}

/* Of an attribute the smallest and the largest value, if all values came and are numbers. */
static void write_ends(struct facets *s, const struct value_count *items, size_t count, const struct source *source) {
    double min = 0, max = 0, v;
    if (count == 0 || source->cut[FORM_FLAT] || source->cut[FORM_VARIED] || !of_attribute(s, source))
        return;
    for (size_t i = 0; i < count; i++) {
        if (!json_text_double(items[i].value, &v))
            return;
        min = i == 0 || v < min ? v : min;
        max = i == 0 || v > max ? v : max;
    }
    json_write_key(s->w, "min");
    json_write_double(s->w, min);
    json_write_key(s->w, "max");
    json_write_double(s->w, max);
}

/* The facet_size most frequent values, then what is selected but not among them. */
static void write_values(struct facets *s, struct value_count *items, size_t count, const struct filter *own,
                         uint64_t other, const struct source *source) {
    json_write_object(s->w);
    json_write_key(s->w, "type");
    json_write_str(s->w, "value");
    json_write_key(s->w, "values");
    json_write_array(s->w);
    count = drop_others(s, items, count);
    if (count)
        qsort(items, count, sizeof(*items), by_count);
    for (size_t i = 0; i < count; i++) {
        bool selected = is_selected(own, items[i].value);
        if (i >= s->p->facet_size && !selected) {
            other += items[i].count;
            continue;
        }
        if (items[i].doubt)
            note_doubt(s, source, items[i].term);
        write_value(s, items[i].value, items[i].count, selected);
    }
    for (size_t k = 0; own && k < own->value_count; k++)
        if (!find_value(items, count, own->values[k]))
            write_absent(s, source, own, own->values[k]);
    json_write_array_end(s->w);
    json_write_key(s->w, "other");
    json_write_uint(s->w, other);
    write_ends(s, items, count, source);
    json_write_object_end(s->w);
}

/* The exact count of a value that a list may have too low. */
static void settle(struct value_count *item, uint64_t count, uint64_t *other) {
    uint64_t missed = count > item->count ? count - item->count : 0;
    *other -= *other < missed ? *other : missed;
    item->count = count;
    item->doubt = false;
}

/* What a list says of its values, and the second answer of those in doubt. */
static void resolve(struct values *v, struct source *source, uint64_t *other) {
    merge_values(v);
    merge_values(&source->again);
    for (size_t i = 0; i < v->count; i++) {
        struct value_count *item = &v->items[i];
        uint64_t count;
        for (size_t form = 0; form < FORMS; form++)
            item->doubt |= item->in[form] ? source->rough[form] : source->cut[form];
        if (item->doubt && asked_again(source, item->term, &count))
            settle(item, count, other);
    }
}

static void collect(struct facets *s, struct values *v, struct source *source, const struct json *list, enum form form,
                    uint64_t *other) {
    uint64_t more = facet_count(json_get(list, "sum_other_doc_count"));
    collect_buckets(s, v, json_get(list, "buckets"), form);
    source->cut[form] = more > 0;
    source->rough[form] = facet_count(json_get(list, "doc_count_error_upper_bound")) > 0;
    *other += more;
    collect_buckets(s, &source->again, buckets_of(source, &source->second, form), form);
}

static void write_brand(struct facets *s, const struct source *asked, const struct filter *own) {
    struct source source = *asked;
    struct values v = {0};
    uint64_t other = 0;
    collect(s, &v, &source, counted(&source, &source.first, FORM_FLAT, ""), FORM_FLAT, &other);
    resolve(&v, &source, &other);
    const struct json *selected = json_get(counted(&source, &source.first, FORM_FLAT, "sel"), "buckets");
    for (const struct json *b = json_is(selected, JSON_ARRAY) ? selected->child : NULL; b; b = b->next) {
        struct bucket bucket = facet_bucket(b);
        struct value_count *item = find_value(v.items, v.count, bucket.key);
        if (item || (item = add_value(s, &v, bucket.key, 0)))
            settle(item, bucket.count, &other);
    }
    write_values(s, v.items, v.count, own, other, &source);
}

/* Strips "name=" from the values; true if the value is of that attribute. */
static bool split_attr(struct slice text, struct slice *ret_name, struct slice *ret_value) {
    const char *sign = text.len ? memchr(text.data, '=', text.len) : NULL;
    if (!sign)
        return false;
    *ret_name = (struct slice){text.data, (size_t)(sign - text.data)};
    *ret_value = (struct slice){sign + 1, text.len - ret_name->len - 1};
    return true;
}

/* One of the two lists of an attribute. It may stand among those of others, all in one: that one cut off, nothing is known of
 * any of them. */
static const struct json *attr_list(const struct facets *s, const struct source *source, enum form form) {
    const struct json *list = counted(source, &source->first, form, "");
    if (list)
        return list;
    list = json_get(source->first.forms[form], "attrs");
    if (s->context->ret_crowded && facet_count(json_get(list, "sum_other_doc_count")))
        *s->context->ret_crowded = true;
    return list;
}

static void collect_attr(struct facets *s, struct values *v, struct source *source, uint64_t *ret_other) {
    for (size_t i = 0; i < FORMS; i++)
        collect(s, v, source, attr_list(s, source, (enum form)i), (enum form)i, ret_other);
    resolve(v, source, ret_other);
}

static void write_attr(struct facets *s, struct source source, struct slice name, const struct filter *own) {
    struct values v = {0};
    uint64_t other = 0;
    collect_attr(s, &v, &source, &other);
    size_t n = 0;
    for (size_t i = 0; i < v.count; i++) {
        struct value_count *item = &v.items[i];
        struct slice attr;
        if (split_attr(item->term, &attr, &item->value) && slice_eq(attr, name))
            v.items[n++] = *item;
    }
    write_values(s, v.items, n, own, other, &source);
}

static void write_attr_key(struct facets *s, struct slice name) {
    char key[SEARCH_ATTR_NAME_MAX_BYTES + 8];
    size_t n = name.len < SEARCH_ATTR_NAME_MAX_BYTES ? name.len : SEARCH_ATTR_NAME_MAX_BYTES;
    memcpy(key, "attr.", 5);
    memcpy(key + 5, name.data, n);
    json_write_key_slice(s->w, (struct slice){key, n + 5});
}

struct group {
    struct slice name;
    size_t first, count;
    uint64_t products;
};

static int by_products(const void *a, const void *b) {
    const struct group *x = a, *y = b;
    if (x->products != y->products)
        return x->products > y->products ? -1 : 1;
    return compare_text(x->name, y->name);
}

/* Values in order of name=value -> one group per name; the values lose their name. */
static size_t group_by_name(struct facets *s, struct values *v, struct group **ret_groups) {
    struct group *groups = arena_alloc(s->context->arena, (v->count + 1) * sizeof(*groups));
    size_t n = 0;
    if (!groups) {
        s->out_of_memory = true;
        return 0;
    }
    for (size_t i = 0; i < v->count; i++) {
        struct slice name, value;
        if (!split_attr(v->items[i].value, &name, &value))
            continue;
        if (n == 0 || !slice_eq(groups[n - 1].name, name))
            groups[n++] = (struct group){.name = name, .first = i};
        v->items[i].value = value;
        groups[n - 1].count = i + 1 - groups[n - 1].first;
        groups[n - 1].products += v->items[i].count;
    }
    *ret_groups = groups;
    return n;
}

/* Nearly every product has a value of its own: a code or a measure, and no list to choose from. */
static bool is_code(const struct facets *s, const struct group *g) {
    return g->count > s->p->facet_size && g->products < g->count + g->count / 2;
}

/* attr.*: selected attributes come from their own aggregation, the rest from the common one. */
static void write_all_attrs(struct facets *s, struct source source) {
    struct values v = {0};
    struct group *groups = NULL;
    uint64_t other = 0;
    for (size_t k = 0; k < s->p->filter_count; k++) {
        const struct filter *f = &s->p->filters[k];
        if (f->dim != DIM_ATTR || f->strict || search_params_names_attr(s->p, f->name))
            continue;
        write_attr_key(s, f->name);
        write_attr(s, source_of(s, 's', k, true), f->name, f);
    }
    collect_attr(s, &v, &source, &other);
    size_t n = group_by_name(s, &v, &groups);
    if (n)
        qsort(groups, n, sizeof(*groups), by_products);
    size_t written = 0;
    for (size_t i = 0; i < n && written < ATTR_FACETS_MAX; i++) {
        if (search_params_names_attr(s->p, groups[i].name) || search_params_filter(s->p, DIM_ATTR, groups[i].name) ||
            is_code(s, &groups[i]))
            continue;
        write_attr_key(s, groups[i].name);
        write_values(s, v.items + groups[i].first, groups[i].count, NULL, 0, &source);
        written++;
    }
}

/* own: the choice that the facet leaves out, or NULL. A scope says how many products it has. */
static void note_sets(struct facets *s, enum sets_lack lack, const struct source *source, const struct filter *own) {
    const struct json *products = json_get(source->first.forms[FORM_FLAT], "doc_count");
    if (lack == SETS_MISSING && (products || own))
        lack = products && !facet_count(products) ? SETS_WHOLE : SETS_MISSING_BESIDE;
    if (s->context->ret_sets && lack > *s->context->ret_sets)
        *s->context->ret_sets = lack;
}

/* Both lists of a facet of price or stock, and what stands in their place where any SKU counts. */
static struct facet_offer_lists offer_lists(const struct facets *s, const struct source *source) {
    bool asked = !s->p->facets[source->index].bounds;
    return (struct facet_offer_lists){.sets = asked ? json_get(source->first.forms[FORM_FLAT], "offers") : NULL,
                                      .flat = buckets_of(source, &source->first, FORM_FLAT),
                                      .varied = buckets_of(source, &source->first, FORM_VARIED)};
}

static void write_stock(struct facets *s, const struct source *source, const struct filter *own) {
    static const struct slice keys[] = {{"true", 4}, {"false", 5}};
    uint64_t counts[2];
    note_sets(s, facet_offers_stock(offer_lists(s, source), counts), source, own);
    json_write_object(s->w);
    json_write_key(s->w, "type");
    json_write_str(s->w, "value");
    json_write_key(s->w, "values");
    json_write_array(s->w);
    for (size_t i = 0; i < 2; i++)
        write_value(s, keys[i], counts[i], is_selected(own, keys[i]));
    json_write_array_end(s->w);
    json_write_key(s->w, "other");
    json_write_int(s->w, 0);
    json_write_object_end(s->w);
}

/* The lowest ("min") or highest price of both forms, or NAN. */
static double bound_of(const struct source *source, const char *which, bool greater) {
    double bound = NAN, v;
    for (size_t i = 0; i < FORMS; i++)
        if (json_double(json_get(counted(source, &source->first, (enum form)i, which), "value"), &v) &&
            (isnan(bound) || (v > bound) == greater))
            bound = v;
    return bound;
}

static void write_bound_or_null(struct facets *s, const char *key, double v) {
    json_write_key(s->w, key);
    if (isnan(v) || isinf(v))
        json_write_null(s->w);
    else if (fabs(v) < 9e15)
        json_write_int(s->w, (int64_t)v);
    else
        json_write_double(s->w, v);
}

/* Both ends belong to the bucket, as in price=from..to: asking for it gives the count. */
static void write_histogram(struct facets *s, const uint64_t counts[PRICE_STEP_COUNT]) {
    json_write_key(s->w, "histogram");
    json_write_array(s->w);
    for (size_t i = 0; i < PRICE_STEP_COUNT; i++) {
        if (counts[i] == 0)
            continue;
        json_write_object(s->w);
        json_write_key(s->w, "from");
        json_write_int(s->w, price_steps[i]);
        json_write_key(s->w, "to");
        if (i + 1 < PRICE_STEP_COUNT)
            json_write_int(s->w, price_steps[i + 1] - 1);
        else
            json_write_null(s->w);
        json_write_key(s->w, "count");
        json_write_uint(s->w, counts[i]);
        json_write_object_end(s->w);
    }
    json_write_array_end(s->w);
}

static void write_price(struct facets *s, const struct source *source, const struct filter *own) {
    json_write_object(s->w);
    json_write_key(s->w, "type");
    json_write_str(s->w, "range");
    write_bound_or_null(s, "min", bound_of(source, "min", false));
    write_bound_or_null(s, "max", bound_of(source, "max", true));
    uint64_t counts[PRICE_STEP_COUNT];
    note_sets(s, facet_offers_steps(offer_lists(s, source), counts), source, own);
    write_histogram(s, counts);
    json_write_key(s->w, "selected");
    json_write_array(s->w);
    for (size_t i = 0; own && i < own->range_count; i++) {
        json_write_object(s->w);
        write_bound_or_null(s, "from", own->ranges[i].from);
        write_bound_or_null(s, "to", own->ranges[i].to);
        json_write_object_end(s->w);
    }
    json_write_array_end(s->w);
    json_write_object_end(s->w);
}

/* A node for each category that is counted, and for each selected path that is not. */
static bool collect_forest(struct facets *s, const struct source *source, const struct filter *own, struct category_forest *forest) {
    const struct json *sets = counted(source, &source->first, FORM_FLAT, "set");
    const struct json *buckets = buckets_of(source, &source->first, FORM_FLAT);
    bool ok = category_forest_init(forest, s->context->categories, s->context->arena);
    enum sets_lack lack = SETS_WHOLE;
    ok = ok && facet_sets_categories(sets, forest, &lack);
    note_sets(s, lack, source, own);
    for (const struct json *b = json_is(buckets, JSON_ARRAY) ? buckets->child : NULL; b && ok; b = b->next) {
        struct bucket bucket = facet_bucket(b);
        ok = category_forest_add(forest, bucket.key, bucket.count);
    }
    for (size_t k = 0; ok && own && k < own->value_count; k++)
        ok = category_forest_select(forest, own->values[k]);
    return ok;
}

static void write_categories(struct facets *s, const struct source *source, const struct filter *own) {
    struct category_forest forest;
    if (!collect_forest(s, source, own, &forest)) {
        s->out_of_memory = true;
        return;
    }
    json_write_object(s->w);
    json_write_key(s->w, "type");
    json_write_str(s->w, "tree");
    json_write_key(s->w, "nodes");
    category_forest_write(s->w, &forest, s->p->lang);
    json_write_object_end(s->w);
}

bool facet_result_write(struct json_write *w, const struct search_params *params, const struct json *aggregations,
                        const struct search_result_context *context) {
    static const struct {
        const char *key;
        void (*write)(struct facets *s, const struct source *source, const struct filter *own);
    } kinds[] = {[DIM_CATEGORY] = {"category", write_categories},
                 [DIM_BRAND] = {"brand", write_brand},
                 [DIM_PRICE] = {"price", write_price},
                 [DIM_STOCK] = {"in_stock", write_stock}};
    struct facets s = {.w = w, .p = params, .aggs = aggregations, .context = context};
    json_write_object(w);
    for (size_t i = 0; i < params->facet_count; i++) {
        const struct facet *facet = &params->facets[i];
        const struct filter *own = search_params_filter(params, facet->dim, facet->name);
        struct source source = source_of(&s, 'f', i, own != NULL);
        if (facet->dim != DIM_ATTR) {
            json_write_key(w, kinds[facet->dim].key);
            kinds[facet->dim].write(&s, &source, own);
        } else if (slice_eq(facet->name, SLICE("*"))) {
            write_all_attrs(&s, source);
        } else {
            write_attr_key(&s, facet->name);
            write_attr(&s, source, facet->name, own);
        }
    }
    json_write_object_end(w);
    return !s.out_of_memory;
}
