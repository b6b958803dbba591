#include "query-api/search/product_view.h"
#include <stdlib.h>

const struct json *product_view_localized(const struct json *object, const char *lang) {
    const struct json *text = json_get(object, lang);
    if (!text)
        text = json_get(object, "ko");
    if (!text)
        text = json_get(object, "en");
    return text ? text : json_is(object, JSON_OBJECT) ? object->child : NULL;
}

/* A field that stands for several languages holds a list, its own language first. */
static const struct json *localized(const struct json *object, const char *lang) {
    const struct json *text = product_view_localized(object, lang);
    return json_is(text, JSON_ARRAY) ? text->child : text;
}

static void write_json_or_null(struct json_write *w, const char *key, const struct json *v) {
    json_write_key(w, key);
    if (v)
        json_write_json(w, v);
    else
        json_write_null(w);
}

void product_view_ask_summaries(struct json_write *w, const char *key) {
    static const char source[] = "[\"id\",\"name\",\"brand\",\"price_min\",\"price_max\",\"currency\",\"in_stock\",\"stock\","
                                 "\"categories\",\"primary_category\"]";
    static const char first[] = "{\"in_stock\":\"desc\"}", last[] = "{\"id\":\"asc\"}";
    json_write_key(w, "_source");
    json_write_raw(w, source, sizeof(source) - 1);
    json_write_key(w, "sort");
    json_write_array(w);
    json_write_raw(w, first, sizeof(first) - 1);
    json_write_raw(w, key, strlen(key));
    json_write_raw(w, last, sizeof(last) - 1);
    json_write_array_end(w);
}

void product_view_write_summary(struct json_write *w, const struct json *source, const char *lang) {
    enum { ID, NAME, BRAND, CATEGORIES, PRIMARY, MIN, MAX, CURRENCY, IN_STOCK, STOCK, FIELDS };
    /* In the order in which the projector writes them. */
    static const struct slice names[FIELDS] = {{"id", 2},         {"name", 4},      {"brand", 5},    {"categories", 10}, {"primary_category", 16},
                                               {"price_min", 9},  {"price_max", 9}, {"currency", 8}, {"in_stock", 8},    {"stock", 5}};
    static const struct json none = {.type = JSON_ARRAY};
    const struct json *at[FIELDS];
    json_pick(source, names, FIELDS, at);
    write_json_or_null(w, "id", at[ID]);
    write_json_or_null(w, "name", localized(at[NAME], lang));
    json_write_key(w, "price");
    json_write_object(w);
    write_json_or_null(w, "min", at[MIN]);
    write_json_or_null(w, "max", at[MAX]);
    json_write_object_end(w);
    write_json_or_null(w, "brand", at[BRAND]);
    write_json_or_null(w, "currency", at[CURRENCY]);
    write_json_or_null(w, "in_stock", at[IN_STOCK]);
    write_json_or_null(w, "stock", at[STOCK]);
    write_json_or_null(w, "categories", json_is(at[CATEGORIES], JSON_ARRAY) ? at[CATEGORIES] : &none);
    write_json_or_null(w, "primary_category", at[PRIMARY]);
}

static bool split(const struct json *term, struct slice *ret_name, struct slice *ret_value) {
    const char *sign =
        json_is(term, JSON_STRING) && term->text.len ? memchr(term->text.data, '=', term->text.len) : NULL;
    if (!sign)
        return false;
    *ret_name = (struct slice){term->text.data, (size_t)(sign - term->text.data)};
    *ret_value = (struct slice){sign + 1, term->text.len - ret_name->len - 1};
    return true;
}

struct pair {
    struct slice name, value;
};

static int compare_slices(struct slice a, struct slice b) {
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.data, b.data, len) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_pairs(const void *a, const void *b) {
    const struct pair *x = a, *y = b;
    int order = compare_slices(x->name, y->name);
    return order ? order : compare_slices(x->value, y->value);
}

static size_t add_pairs(const struct json *terms, struct pair *pairs, size_t count) {
    for (const struct json *t = json_is(terms, JSON_ARRAY) ? terms->child : NULL; t; t = t->next)
        count += split(t, &pairs[count].name, &pairs[count].value);
    return count;
}

/* {"attrs":["color=black","color=red"]} of the product and {"attrs":["size=M"],"code_attrs":["ean=880"]} of the SKU ->
 * {"color":["black","red"],"ean":["880"],"size":["M"]}. False: no memory. */
static bool write_attributes(struct json_write *w, const struct json *product, const struct json *sku) {
    const struct json *lists[] = {json_get(product, "attrs"), json_get(product, "code_attrs"), json_get(sku, "attrs"),
                                  json_get(sku, "code_attrs")};
    size_t room = 1, count = 0;
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        room += json_is(lists[i], JSON_ARRAY) ? lists[i]->count : 0;
    struct pair *pairs = malloc(room * sizeof(*pairs));
    if (!pairs)
        return false;
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        count = add_pairs(lists[i], pairs, count);
    qsort(pairs, count, sizeof(*pairs), compare_pairs);
    json_write_key(w, "attributes");
    json_write_object(w);
    for (size_t i = 0; i < count; i++) {
        bool begins = i == 0 || !slice_eq(pairs[i].name, pairs[i - 1].name);
        if (begins && i > 0)
            json_write_array_end(w);
        if (begins) {
            json_write_key_slice(w, pairs[i].name);
            json_write_array(w);
        }
        if (begins || !slice_eq(pairs[i].value, pairs[i - 1].value))
            json_write_slice(w, pairs[i].value);
    }
    if (count > 0)
        json_write_array_end(w);
    json_write_object_end(w);
    free(pairs);
    return true;
}

static bool write_sku(struct json_write *w, const struct json *sku, const struct json *product) {
    json_write_object(w);
    write_json_or_null(w, "sku", json_get(sku, "sku"));
    write_json_or_null(w, "price", json_get(sku, "price"));
    write_json_or_null(w, "stock", json_get(sku, "stock"));
    bool ok = write_attributes(w, product, sku);
    json_write_object_end(w);
    return ok;
}

static bool write_variants(struct json_write *w, const struct json *source) {
    const struct json *flat = json_get(source, "flat"), *variants = json_get(source, "variants");
    bool ok = true;
    json_write_key(w, "variants");
    json_write_array(w);
    if (flat)
        ok = write_sku(w, flat, source);
    for (const struct json *v = json_is(variants, JSON_ARRAY) ? variants->child : NULL; v && ok; v = v->next)
        ok = write_sku(w, v, source);
    json_write_array_end(w);
    return ok;
}

static void write_category_paths(struct json_write *w, const struct json *source,
                                 const struct category_list *categories, const char *lang) {
    const struct json *ids = json_get(source, "categories");
    json_write_key(w, "category_paths");
    json_write_array(w);
    for (const struct json *id = json_is(ids, JSON_ARRAY) ? ids->child : NULL; id; id = id->next) {
        int64_t n;
        const struct category *c = json_int64(id, &n) ? category_list_by_id(categories, n) : NULL;
        if (!c)
            continue;
        json_write_object(w);
        json_write_key(w, "path");
        json_write_slice(w, c->path);
        json_write_key(w, "names");
        category_list_write_names(categories, c->path, lang, w);
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

bool product_view_write(const struct json *source, const struct category_list *categories, const char *lang,
                        const char *degraded, struct buf *out) {
    struct json_write w;
    if (!json_write_init(&w, out))
        return false;
    json_write_object(&w);
    product_view_write_summary(&w, source, lang);
    write_json_or_null(&w, "description", localized(json_get(source, "description"), lang));
    write_category_paths(&w, source, categories, lang);
    bool ok = write_variants(&w, source);
    write_json_or_null(&w, "created_at", json_get(source, "created_at"));
    write_json_or_null(&w, "updated_at", json_get(source, "updated_at"));
    json_write_key(&w, "degraded");
    json_write_str(&w, degraded);
    json_write_object_end(&w);
    return json_write_finish(&w) && ok;
}
