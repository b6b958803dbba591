#include "core/utf8.h"
#include "query-api/upstream/fallback_document.h"
#include <stdio.h>
#include <time.h>

enum { DEPTH_MAX = 8, TERM_MAX_BYTES = 1024 };
#define PRICE_LIMIT INT64_C(9000000000000000)

static bool text_of(const bson_iter_t *it, struct slice *ret) {
    uint32_t len;
    if (!BSON_ITER_HOLDS_UTF8(it))
        return false;
    ret->data = bson_iter_utf8(it, &len);
    ret->len = len;
    return utf8_valid(ret->data, ret->len);
}

static bool whole_of(const bson_iter_t *it, int64_t *ret) {
    if (!BSON_ITER_HOLDS_NUMBER(it))
        return false;
    double v = bson_iter_as_double(it);
    if (!(v >= -(double)PRICE_LIMIT && v <= (double)PRICE_LIMIT))
        return false;
    *ret = bson_iter_as_int64(it);
    return true;
}

static void write_text(struct json_write *w, const bson_t *product, const char *field) {
    bson_iter_t it;
    struct slice text;
    if (!bson_iter_init_find(&it, product, field) || !text_of(&it, &text))
        return;
    json_write_key(w, field);
    json_write_slice(w, text);
}

/* {lang: text}, or one text, which stands for all languages. */
static void write_localized(struct json_write *w, const bson_t *product, const char *field) {
    bson_iter_t it, inner;
    struct slice text;
    if (!bson_iter_init_find(&it, product, field))
        return;
    bool several = BSON_ITER_HOLDS_DOCUMENT(&it) && bson_iter_recurse(&it, &inner);
    if (!several && !text_of(&it, &text))
        return;
    json_write_key(w, field);
    json_write_object(w);
    if (!several) {
        json_write_key(w, "ko");
        json_write_slice(w, text);
    }
    while (several && bson_iter_next(&inner)) {
        if (!text_of(&inner, &text) || !utf8_valid(bson_iter_key(&inner), strlen(bson_iter_key(&inner))))
            continue;
        json_write_key_slice(w, slice_str(bson_iter_key(&inner)));
        json_write_slice(w, text);
    }
    json_write_object_end(w);
}

static void write_date(struct json_write *w, const bson_t *product, const char *field) {
    bson_iter_t it;
    struct tm tm;
    char text[40];
    if (!bson_iter_init_find(&it, product, field) || !BSON_ITER_HOLDS_DATE_TIME(&it))
        return;
    int64_t msec = bson_iter_date_time(&it), rest = (msec % 1000 + 1000) % 1000;
    time_t seconds = (time_t)((msec - rest) / 1000);
    if (!gmtime_r(&seconds, &tm) || tm.tm_year < -1900 || tm.tm_year > 8099)
        return;
    size_t len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + len, sizeof(text) - len, ".%03dZ", (int)rest);
    json_write_key(w, field);
    json_write_str(w, text);
}

static void write_categories(struct json_write *w, const bson_t *product) {
    bson_iter_t it, inner;
    int64_t id, primary = 0;
    if (!bson_iter_init_find(&it, product, "categories") || !BSON_ITER_HOLDS_ARRAY(&it) || !bson_iter_recurse(&it, &inner))
        return;
    json_write_key(w, "categories");
    json_write_array(w);
    while (bson_iter_next(&inner)) {
        if (!whole_of(&inner, &id))
            continue;
        primary = primary ? primary : id;
        json_write_int(w, id);
    }
    json_write_array_end(w);
    if (bson_iter_init_find(&it, product, "primary_category_id") && whole_of(&it, &id))
        primary = id;
    if (primary) {
        json_write_key(w, "primary_category");
        json_write_int(w, primary);
    }
}

/* ---- attributes: {"size":{"width_mm":354.5},"ports":["usb-c"]} -> "size.width_mm=354.5","ports=usb-c" ---- */

static bool append_value(struct buf *out, const bson_iter_t *it) {
    struct slice text;
    char number[JSON_DOUBLE_SIZE];
    if (text_of(it, &text))
        return text.len && buf_append(out, text.data, text.len);
    if (BSON_ITER_HOLDS_BOOL(it))
        return buf_append_str(out, bson_iter_bool(it) ? "true" : "false");
    if (BSON_ITER_HOLDS_INT(it))
        return buf_append_i64(out, bson_iter_as_int64(it));
    if (!BSON_ITER_HOLDS_DOUBLE(it))
        return false;
    double v = bson_iter_double(it);
    return v - v == 0 && buf_append(out, number, json_format_double(v, number)); /* finite */
}

/* name: what stands before '='; as long as before after the call. */
static void write_terms(struct json_write *w, bson_iter_t *it, struct buf *name, bool in_array, unsigned depth) {
    size_t before = name->len;
    for (; bson_iter_next(it); buf_truncate(name, before)) {
        bson_iter_t inner;
        const char *key = bson_iter_key(it);
        bool array = BSON_ITER_HOLDS_ARRAY(it);
        if (!utf8_valid(key, strlen(key)) || strlen(key) > TERM_MAX_BYTES / 2 || name->len > TERM_MAX_BYTES)
            continue;
        if (!in_array)
            buf_printf(name, "%s%s", before ? "." : "", key);
        if (array || BSON_ITER_HOLDS_DOCUMENT(it)) {
            if (depth < DEPTH_MAX && !(in_array && !array) && bson_iter_recurse(it, &inner))
                write_terms(w, &inner, name, array, depth + 1);
            continue;
        }
        buf_append_char(name, '=');
        if (append_value(name, it) && buf_ok(name))
            json_write_string(w, name->data, name->len);
    }
}

static void write_attributes(struct json_write *w, bson_iter_t *attributes) {
    struct buf name = BUF_INIT(16 << 20); /* a document's own limit: never reached */
    bson_iter_t inner;
    json_write_key(w, "attrs");
    json_write_array(w);
    if (BSON_ITER_HOLDS_DOCUMENT(attributes) && bson_iter_recurse(attributes, &inner))
        write_terms(w, &inner, &name, false, 0);
    json_write_array_end(w);
    buf_done(&name);
}

/* ---- variants ---- */

static bool product_price(const bson_t *product, int64_t *ret) {
    bson_iter_t it;
    return bson_iter_init_find(&it, product, "price") && whole_of(&it, ret);
}

static bool variants_of(const bson_t *product, bson_iter_t *ret) {
    bson_iter_t it, look;
    if (!bson_iter_init_find(&it, product, "variants") || !BSON_ITER_HOLDS_ARRAY(&it) || !bson_iter_recurse(&it, ret))
        return false;
    look = *ret;
    return bson_iter_next(&look);
}

static bool variant_price(const bson_iter_t *variant, int64_t *price) {
    bson_iter_t it;
    return BSON_ITER_HOLDS_DOCUMENT(variant) && bson_iter_recurse(variant, &it) && bson_iter_find(&it, "price") && whole_of(&it, price);
}

bool fallback_document_prices(const bson_t *product, int64_t *ret_min, int64_t *ret_max) {
    int64_t own = 0, price;
    bson_iter_t variant;
    bool has_own = product_price(product, &own), any = false;
    if (!variants_of(product, &variant)) {
        *ret_min = *ret_max = own;
        return has_own;
    }
    while (bson_iter_next(&variant)) {
        price = own;
        if (!variant_price(&variant, &price) && !has_own)
            continue;
        *ret_min = any && *ret_min < price ? *ret_min : price;
        *ret_max = any && *ret_max > price ? *ret_max : price;
        any = true;
    }
    return any;
}

bool fallback_document_created(const bson_t *product, int64_t *ret) {
    bson_iter_t it;
    if (!bson_iter_init_find(&it, product, "created_at") || !BSON_ITER_HOLDS_DATE_TIME(&it))
        return false;
    *ret = bson_iter_date_time(&it);
    return true;
}

static void write_price(struct json_write *w, const char *key, bool there, int64_t price) {
    if (!there)
        return;
    json_write_key(w, key);
    json_write_int(w, price);
}

static void write_variant(struct json_write *w, const bson_iter_t *variant, bool has_price, int64_t price) {
    bson_iter_t it;
    struct slice sku;
    json_write_object(w);
    if (bson_iter_recurse(variant, &it) && bson_iter_find(&it, "sku") && text_of(&it, &sku)) {
        json_write_key(w, "sku");
        json_write_slice(w, sku);
    }
    bool own = variant_price(variant, &price);
    write_price(w, "price", own || has_price, price);
    if (bson_iter_recurse(variant, &it) && bson_iter_find(&it, "attributes"))
        write_attributes(w, &it);
    json_write_object_end(w);
}

static void write_skus(struct json_write *w, const bson_t *product) {
    int64_t price = 0;
    bson_iter_t variant, id;
    struct slice sku;
    bool has_price = product_price(product, &price);
    if (variants_of(product, &variant)) {
        json_write_key(w, "variants");
        json_write_array(w);
        while (bson_iter_next(&variant))
            if (BSON_ITER_HOLDS_DOCUMENT(&variant))
                write_variant(w, &variant, has_price, price);
        json_write_array_end(w);
    } else if (bson_iter_init_find(&id, product, "_id") && text_of(&id, &sku)) {
        json_write_key(w, "flat");
        json_write_object(w);
        json_write_key(w, "sku");
        json_write_slice(w, sku);
        write_price(w, "price", has_price, price);
        json_write_object_end(w);
    }
}

void fallback_document_write(struct json_write *w, const bson_t *product) {
    bson_iter_t it;
    struct slice id;
    int64_t min, max;
    json_write_object(w);
    if (bson_iter_init_find(&it, product, "_id") && text_of(&it, &id)) {
        json_write_key(w, "id");
        json_write_slice(w, id);
    }
    write_localized(w, product, "name");
    write_localized(w, product, "description");
    write_text(w, product, "brand");
    bool priced = fallback_document_prices(product, &min, &max);
    write_price(w, "price_min", priced, priced ? min : 0);
    write_price(w, "price_max", priced, priced ? max : 0);
    write_text(w, product, "currency");
    write_categories(w, product);
    if (bson_iter_init_find(&it, product, "attributes"))
        write_attributes(w, &it);
    write_skus(w, product);
    write_date(w, product, "created_at");
    write_date(w, product, "updated_at");
    json_write_object_end(w);
}
