/* BSON -> JSON of a stored product. */
#include "core/cleanup.h"
#include "core/clock.h"
#include "write-api/product.h"

static void write_date(struct json_write *w, int64_t msec) {
    char text[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(msec * 1000, text);
    json_write_str(w, text);
}

static void write_value(struct json_write *w, const bson_iter_t *it);

static void write_members(struct json_write *w, const bson_iter_t *it, bool keys) {
    bson_iter_t inner;
    if (!bson_iter_recurse(it, &inner))
        return;
    while (bson_iter_next(&inner)) {
        if (keys)
            json_write_key_slice(w, (struct slice){bson_iter_key(&inner), bson_iter_key_len(&inner)});
        write_value(w, &inner);
    }
}

static void write_value(struct json_write *w, const bson_iter_t *it) {
    uint32_t len;
    const char *text;
    switch (bson_iter_type(it)) {
    case BSON_TYPE_UTF8:
        text = bson_iter_utf8(it, &len);
        json_write_string(w, text, len);
        break;
    case BSON_TYPE_INT32:
    case BSON_TYPE_INT64:
        json_write_int(w, bson_iter_as_int64(it));
        break;
    case BSON_TYPE_DOUBLE:
        json_write_double(w, bson_iter_double(it));
        break;
    case BSON_TYPE_BOOL:
        json_write_bool(w, bson_iter_bool(it));
        break;
    case BSON_TYPE_DATE_TIME:
        write_date(w, bson_iter_date_time(it));
        break;
    case BSON_TYPE_DOCUMENT:
        json_write_object(w);
        write_members(w, it, true);
        json_write_object_end(w);
        break;
    case BSON_TYPE_ARRAY:
        json_write_array(w);
        write_members(w, it, false);
        json_write_array_end(w);
        break;
    default: /* nothing that this program stores */
        json_write_null(w);
    }
}

void product_write_json(struct json_write *w, const bson_t *product) {
    static const char *const shown[] = {"name",       "description", "brand",
                                        "price",      "currency",    "attributes",
                                        "variants",   "categories",  "primary_category_id",
                                        "version",    "created_at",  "updated_at"};
    bson_iter_t it;
    json_write_object(w);
    if (bson_iter_init_find(&it, product, "_id")) {
        json_write_key(w, "id");
        write_value(w, &it);
    }
    if (bson_iter_init(&it, product)) {
        while (bson_iter_next(&it)) {
            struct slice key = {bson_iter_key(&it), bson_iter_key_len(&it)};
            for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
                if (!slice_eq(key, slice_str(shown[i])))
                    continue;
                json_write_key_slice(w, key);
                write_value(w, &it);
                break;
            }
        }
    }
    json_write_object_end(w);
}

int64_t product_version(const bson_t *product) {
    bson_iter_t it;
    return bson_iter_init_find(&it, product, "version") ? bson_iter_as_int64(&it) : 0;
}
