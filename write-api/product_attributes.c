#include "write-api/product_attributes.h"

struct reader {
    const struct product_limits *limits;
    struct problems *problems;
    unsigned left; /* members that may still come */
};

/* '$' and '.' are operators to MongoDB, '=' separates name and value in the search index's terms. */
static bool check_name(struct reader *r, const struct field_path *at) {
    struct slice name = at->name;
    if (name.len == 0)
        return problems_add(r->problems, at, "an attribute name must not be empty");
    if (name.len > ATTRIBUTE_NAME_MAX)
        return problems_add(r->problems, at, "an attribute name must not be longer than %d bytes", ATTRIBUTE_NAME_MAX);
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.data[i];
        if (c == '$' || c == '.' || c == '=')
            return problems_add(r->problems, at, "an attribute name must not contain '%c'", c);
        if (c < ' ' || c == 0x7f)
            return problems_add(r->problems, at, "an attribute name must not contain control characters");
    }
    return true;
}

static bool is_fraction(struct slice number) {
    for (size_t i = 0; i < number.len; i++) {
        if (number.data[i] == '.' || number.data[i] == 'e' || number.data[i] == 'E')
            return true;
    }
    return false;
}

/* It is written without a fraction, and read as a whole number again. */
static bool is_whole(double v) {
    return v >= -0x1p63 && v < 0x1p63 && v == (double)(int64_t)v;
}

static void append_number(struct reader *r, const struct field_path *at, const struct json *v, const char *key,
                          int key_len, bson_t *out) {
    int64_t whole;
    double fraction;
    if (json_int64(v, &whole))
        bson_append_int64(out, key, key_len, whole);
    else if (!is_fraction(v->text)) /* as a double it would silently be another number */
        problems_add(r->problems, at, "is too large a whole number: at most 64 bits");
    else if (!json_double(v, &fraction))
        problems_add(r->problems, at, "is too large a number");
    else if (is_whole(fraction))
        bson_append_int64(out, key, key_len, (int64_t)fraction);
    else
        bson_append_double(out, key, key_len, fraction);
}

static bool append_scalar(struct reader *r, const struct field_path *at, const struct json *v, const char *key,
                          int key_len, bson_t *out) {
    switch (v->type) {
    case JSON_STRING:
        if (memchr(v->text.data, '\0', v->text.len))
            problems_add(r->problems, at, "must not contain NUL characters");
        else
            bson_append_utf8(out, key, key_len, v->text.data, (int)v->text.len);
        return true;
    case JSON_NUMBER:
        append_number(r, at, v, key, key_len, out);
        return true;
    case JSON_BOOL:
        bson_append_bool(out, key, key_len, v->boolean);
        return true;
    default:
        return false;
    }
}

static void append_array(struct reader *r, const struct field_path *at, const struct json *v, bson_t *out) {
    if (v->count > r->limits->values_max) {
        problems_add(r->problems, at, "must not have more than %u elements", r->limits->values_max);
        return;
    }
    bson_t array;
    unsigned i = 0;
    bson_append_array_begin(out, at->name.data, (int)at->name.len, &array);
    for (const struct json *e = v->child; e; e = e->next, i++) {
        struct field_path here = ELEMENT(at, i);
        char text[16];
        const char *key;
        size_t len = bson_uint32_to_string(i, &key, text, sizeof(text));
        if (!append_scalar(r, &here, e, key, (int)len, &array))
            problems_add(r->problems, &here, "must be a string, a number or true or false");
    }
    bson_append_array_end(out, &array);
}

/* Recursion is bounded by the JSON reader's depth limit. */
static void append_object(struct reader *r, const struct field_path *at, const struct json *v, bson_t *out) {
    bson_t document;
    bson_append_document_begin(out, at->name.data, (int)at->name.len, &document);
    for (const struct json *m = v->child; m; m = m->next) {
        struct field_path here = FIELD(at, m->key);
        if (r->left == 0) {
            problems_add(r->problems, at, "has more than %u attributes in all", r->limits->attributes_max);
            break;
        }
        r->left--;
        if (!check_name(r, &here))
            continue;
        if (m->type == JSON_OBJECT)
            append_object(r, &here, m, &document);
        else if (m->type == JSON_ARRAY)
            append_array(r, &here, m, &document);
        else if (!append_scalar(r, &here, m, m->key.data, (int)m->key.len, &document))
            problems_add(r->problems, &here, "must not be null: leave an attribute out that has no value");
    }
    bson_append_document_end(out, &document);
}

void product_attributes_read(const struct field_path *at, const struct json *v, const struct product_limits *limits,
                             bson_t *out, struct problems *problems) {
    if (v->type != JSON_OBJECT) {
        problems_add(problems, at, "must be an object");
        return;
    }
    struct reader r = {limits, problems, limits->attributes_max};
    append_object(&r, at, v, out);
}
