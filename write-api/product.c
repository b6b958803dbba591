#include "write-api/product.h"
#include "core/cleanup.h"
#include "write-api/product_attributes.h"

const struct product_limits product_limits_default = {
    .variants_max = 1000, .categories_max = 100, .attributes_max = 1000, .values_max = 1000};

enum field {
    FIELD_ID,
    FIELD_NAME,
    FIELD_DESCRIPTION,
    FIELD_BRAND,
    FIELD_PRICE,
    FIELD_CURRENCY,
    FIELD_ATTRIBUTES,
    FIELD_VARIANTS,
    FIELD_CATEGORIES,
    FIELD_PRIMARY_CATEGORY,
    FIELD_COUNT
};

static const char *const field_names[FIELD_COUNT] = {
    "id",         "name",     "description", "brand",      "price",
    "currency",   "attributes", "variants",  "categories", "primary_category_id"};
static const char *const server_fields[] = {"version", "created_at", "updated_at"};

/* One run of product_from_json. */
struct reader {
    const struct product_stamp *stamp;
    const struct product_limits *limits;
    struct arena *arena;
    struct problems *problems;
    struct product *product;
    const struct json *fields[FIELD_COUNT];
};

static struct field_path top(enum field f) {
    return FIELD(NULL, slice_str(field_names[f]));
}

static bool append_text(bson_t *out, const char *key, struct slice text) {
    return bson_append_utf8(out, key, -1, text.data, (int)text.len);
}

static bool is_server_field(struct slice key) {
    for (size_t i = 0; i < ARRAY_LEN(server_fields); i++) {
        if (slice_eq(key, slice_str(server_fields[i])))
            return true;
    }
    return false;
}

static void find_fields(struct reader *r, const struct json *tree) {
    for (const struct json *m = tree->child; m; m = m->next) {
        size_t f = 0;
        while (f < FIELD_COUNT && !slice_eq(m->key, slice_str(field_names[f])))
            f++;
        struct field_path here = FIELD(NULL, m->key);
        if (f < FIELD_COUNT)
            r->fields[f] = m;
        else if (!is_server_field(m->key))
            problems_add(r->problems, &here, "is not a field of a product; put free fields into \"attributes\"");
    }
}

/* ---- texts ----------------------------------------------------------------------------------------------- */

static bool check_string(struct reader *r, const struct field_path *at, const struct json *v, bool empty_allowed) {
    if (v->type != JSON_STRING)
        return problems_add(r->problems, at, "must be a string");
    if (memchr(v->text.data, '\0', v->text.len))
        return problems_add(r->problems, at, "must not contain NUL characters");
    if (v->text.len == 0 && !empty_allowed)
        return problems_add(r->problems, at, "must not be empty");
    return true;
}

static bool is_language(struct slice s) {
    if (s.len < 2 || s.len > 3)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < 'a' || s.data[i] > 'z')
            return false;
    }
    return true;
}

/* string | {lang: string} */
static void read_localized(struct reader *r, enum field f, bool empty_allowed, bson_t *out) {
    const struct json *v = r->fields[f];
    struct field_path at = top(f);
    if (v->type == JSON_STRING) {
        if (check_string(r, &at, v, empty_allowed))
            append_text(out, field_names[f], v->text);
        return;
    }
    if (v->type != JSON_OBJECT) {
        problems_add(r->problems, &at, "must be a string or an object of one string per language");
        return;
    }
    if (v->count == 0)
        problems_add(r->problems, &at, "must have at least one language");
    bson_t texts;
    bson_append_document_begin(out, field_names[f], -1, &texts);
    for (const struct json *m = v->child; m; m = m->next) {
        struct field_path here = FIELD(&at, m->key);
        if (!is_language(m->key))
            problems_add(r->problems, &here, "is no language: use 2 or 3 lower-case letters such as \"ko\"");
        else if (check_string(r, &here, m, empty_allowed))
            bson_append_utf8(&texts, m->key.data, (int)m->key.len, m->text.data, (int)m->text.len);
    }
    bson_append_document_end(out, &texts);
}

static void read_id(struct reader *r, bson_t *out) {
    const struct json *v = r->fields[FIELD_ID];
    struct field_path at = top(FIELD_ID);
    struct slice required = r->stamp->required_id, id = required;
    if (v) {
        if (v->type != JSON_STRING) {
            problems_add(r->problems, &at, "must be a string");
            return;
        }
        id = v->text;
        if (required.len && !slice_eq(id, required))
            problems_add(r->problems, &at, "must be the id in the URL, or be left out");
    } else if (!required.len) {
        id = slice_str(r->stamp->default_id);
        if (!id.data) {
            problems_add(r->problems, &at, "is required");
            return;
        }
    }
    const char *problem = product_id_problem(id);
    if (problem) {
        problems_add(r->problems, &at, "%s", problem);
        return;
    }
    r->product->id = id;
    append_text(out, "_id", id);
}

/* ---- price and currency ---------------------------------------------------------------------------------- */

static bool read_price(struct problems *problems, const struct field_path *at, const struct json *v, int64_t *ret) {
    if (!json_int64(v, ret) || *ret < 0 || *ret > PRICE_MAX)
        return problems_add(problems, at, "must be a whole number from 0 to %lld in the currency's minor unit",
                            (long long)PRICE_MAX);
    return true;
}

static void read_money(struct reader *r, bson_t *out) {
    const struct json *price = r->fields[FIELD_PRICE], *currency = r->fields[FIELD_CURRENCY];
    struct field_path price_at = top(FIELD_PRICE), currency_at = top(FIELD_CURRENCY);
    int64_t value;
    if (price && read_price(r->problems, &price_at, price, &value))
        bson_append_int64(out, "price", -1, value);
    if (!currency)
        append_text(out, "currency", SLICE("KRW"));
    else if (currency->type != JSON_STRING || !currency_known(currency->text))
        problems_add(r->problems, &currency_at, "must be an ISO 4217 code such as \"KRW\" or \"USD\"");
    else
        append_text(out, "currency", currency->text);
}

/* ---- variants -------------------------------------------------------------------------------------------- */

static bool sku_seen(const struct slice *skus, unsigned count, struct slice sku) {
    for (unsigned i = 0; i < count; i++) {
        if (slice_eq(skus[i], sku))
            return true;
    }
    return false;
}

static void read_sku(struct reader *r, const struct field_path *variant, const struct json *v, struct slice *skus,
                     unsigned index, bson_t *out) {
    struct field_path at = FIELD(variant, SLICE("sku"));
    skus[index] = (struct slice){0};
    if (!v) {
        problems_add(r->problems, &at, "is required");
        return;
    }
    if (v->type != JSON_STRING) {
        problems_add(r->problems, &at, "must be a string");
        return;
    }
    const char *problem = sku_problem(v->text);
    if (problem)
        problems_add(r->problems, &at, "%s", problem);
    else if (sku_seen(skus, index, v->text))
        problems_add(r->problems, &at, "stands twice in this product");
    skus[index] = v->text;
    append_text(out, "sku", v->text);
}

static void read_variant(struct reader *r, const struct field_path *at, const struct json *v, struct slice *skus,
                         unsigned index, bson_t *out) {
    const struct json *sku = NULL, *price = NULL, *attributes = NULL;
    for (const struct json *m = v->child; m; m = m->next) {
        struct field_path here = FIELD(at, m->key);
        if (slice_eq(m->key, SLICE("sku")))
            sku = m;
        else if (slice_eq(m->key, SLICE("price")))
            price = m;
        else if (slice_eq(m->key, SLICE("attributes")))
            attributes = m;
        else
            problems_add(r->problems, &here, "is not a field of a variant; put free fields into its \"attributes\"");
    }
    read_sku(r, at, sku, skus, index, out);
    struct field_path price_at = FIELD(at, SLICE("price")), attributes_at = FIELD(at, SLICE("attributes"));
    int64_t value;
    if (price && read_price(r->problems, &price_at, price, &value))
        bson_append_int64(out, "price", -1, value);
    if (attributes)
        product_attributes_read(&attributes_at, attributes, r->limits, out, r->problems);
}

static void read_variants(struct reader *r, bson_t *out) {
    const struct json *list = r->fields[FIELD_VARIANTS];
    struct field_path at = top(FIELD_VARIANTS);
    if (list->type != JSON_ARRAY) {
        problems_add(r->problems, &at, "must be an array of objects");
        return;
    }
    if (list->count > r->limits->variants_max) {
        problems_add(r->problems, &at, "must not have more than %u elements", r->limits->variants_max);
        return;
    }
    struct slice *skus = arena_alloc(r->arena, (list->count + 1) * sizeof(*skus));
    if (!skus) {
        problems_add(r->problems, &at, "needs more memory than a request may use");
        return;
    }
    bson_t variants;
    unsigned i = 0;
    bson_append_array_begin(out, "variants", -1, &variants);
    for (const struct json *v = list->child; v; v = v->next, i++) {
        struct field_path here = ELEMENT(&at, i);
        skus[i] = (struct slice){0};
        if (v->type != JSON_OBJECT) {
            problems_add(r->problems, &here, "must be an object");
            continue;
        }
        char text[16];
        const char *key;
        size_t len = bson_uint32_to_string(i, &key, text, sizeof(text));
        bson_t variant;
        bson_append_document_begin(&variants, key, (int)len, &variant);
        read_variant(r, &here, v, skus, i, &variant);
        bson_append_document_end(&variants, &variant);
    }
    bson_append_array_end(out, &variants);
}

/* ---- categories ------------------------------------------------------------------------------------------ */

static bool read_category(struct problems *problems, const struct field_path *at, const struct json *v, int64_t *ret) {
    if (!json_int64(v, ret) || *ret < 1 || *ret > UINT32_MAX)
        return problems_add(problems, at, "must be the id of a category, a whole number from 1 to %u", UINT32_MAX);
    return true;
}

static bool has_category(const int64_t *ids, unsigned count, int64_t id) {
    for (unsigned i = 0; i < count; i++) {
        if (ids[i] == id)
            return true;
    }
    return false;
}

/* The ids keep their places, so that a caller can name categories[i]; a bad one makes problems anyway. */
static bool read_category_list(struct reader *r, bson_t *out) {
    const struct json *list = r->fields[FIELD_CATEGORIES];
    struct field_path at = top(FIELD_CATEGORIES);
    if (list->type != JSON_ARRAY)
        return problems_add(r->problems, &at, "must be an array of category ids");
    if (list->count > r->limits->categories_max)
        return problems_add(r->problems, &at, "must not have more than %u elements", r->limits->categories_max);
    int64_t *ids = arena_alloc(r->arena, (list->count + 1) * sizeof(*ids));
    if (!ids)
        return problems_add(r->problems, &at, "needs more memory than a request may use");
    bson_t array;
    unsigned i = 0;
    bson_append_array_begin(out, "categories", -1, &array);
    for (const struct json *v = list->child; v; v = v->next, i++) {
        struct field_path here = ELEMENT(&at, i);
        ids[i] = 0;
        if (!read_category(r->problems, &here, v, &ids[i]))
            continue;
        if (has_category(ids, i, ids[i]))
            problems_add(r->problems, &here, "stands twice");
        char text[16];
        const char *key;
        size_t len = bson_uint32_to_string(i, &key, text, sizeof(text));
        bson_append_int64(&array, key, (int)len, ids[i]);
    }
    bson_append_array_end(out, &array);
    r->product->categories = ids;
    r->product->category_count = i;
    return true;
}

static void read_categories(struct reader *r, bson_t *out) {
    const struct json *primary = r->fields[FIELD_PRIMARY_CATEGORY];
    struct field_path at = top(FIELD_PRIMARY_CATEGORY);
    bool listed = r->fields[FIELD_CATEGORIES] && read_category_list(r, out);
    const int64_t *ids = r->product->categories;
    unsigned count = r->product->category_count;
    int64_t id;
    if (!primary) {
        if (listed && count > 0)
            bson_append_int64(out, "primary_category_id", -1, ids[0]);
        return;
    }
    if (!read_category(r->problems, &at, primary, &id))
        return;
    if (!has_category(ids, count, id))
        problems_add(r->problems, &at, "must be one of \"categories\"");
    bson_append_int64(out, "primary_category_id", -1, id);
}

/* ---- the whole ------------------------------------------------------------------------------------------- */

static void read_fields(struct reader *r, bson_t *out) {
    read_id(r, out);
    struct field_path name_at = top(FIELD_NAME), brand_at = top(FIELD_BRAND), attributes_at = top(FIELD_ATTRIBUTES);
    if (r->fields[FIELD_NAME])
        read_localized(r, FIELD_NAME, false, out);
    else
        problems_add(r->problems, &name_at, "is required");
    if (r->fields[FIELD_DESCRIPTION])
        read_localized(r, FIELD_DESCRIPTION, true, out);
    if (r->fields[FIELD_BRAND] && check_string(r, &brand_at, r->fields[FIELD_BRAND], false))
        append_text(out, "brand", r->fields[FIELD_BRAND]->text);
    read_money(r, out);
    if (r->fields[FIELD_ATTRIBUTES])
        product_attributes_read(&attributes_at, r->fields[FIELD_ATTRIBUTES], r->limits, out, r->problems);
    if (r->fields[FIELD_VARIANTS])
        read_variants(r, out);
    read_categories(r, out);
}

bool product_from_json(const struct json *tree, const struct product_stamp *stamp, const struct product_limits *limits,
                       struct arena *arena, bson_t *ret, struct product *ret_product, struct problems *problems) {
    *ret_product = (struct product){0};
    if (tree->type != JSON_OBJECT)
        return problems_add(problems, NULL, "a product must be a JSON object");
    struct reader r = {.stamp = stamp,
                       .limits = limits ? limits : &product_limits_default,
                       .arena = arena,
                       .problems = problems,
                       .product = ret_product};
    find_fields(&r, tree);
    read_fields(&r, ret);
    bson_append_int64(ret, "version", -1, stamp->version);
    bson_append_date_time(ret, "created_at", -1, stamp->created_wall_usec / 1000);
    bson_append_date_time(ret, "updated_at", -1, stamp->updated_wall_usec / 1000);
    if (stamp->traceparent)
        bson_append_utf8(ret, "traceparent", -1, stamp->traceparent, -1);
    return !problems_any(problems);
}
