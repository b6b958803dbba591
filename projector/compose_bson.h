/* compose_bson.h - reading an element that bson_iter_next() has just accepted (it has checked that lengths stay
 * inside the document and that strings end in a NUL), without a call into the library for each piece.
 * Internal to compose. */
#pragma once
#include "core/buf.h"
#include "core/bson.h"

static inline bson_type_t element_type(const bson_iter_t *it) {
    return (bson_type_t)it->raw[it->type];
}
static inline struct slice element_key(const bson_iter_t *it) {
    /* The value begins behind the key's NUL. */
    return (struct slice){(const char *)it->raw + it->key, it->d1 - it->key - 1};
}
/* Of a BSON_TYPE_UTF8 element. */
static inline struct slice element_text(const bson_iter_t *it) {
    return (struct slice){(const char *)it->raw + it->d2, bson_iter_utf8_len_unsafe(it)};
}
static inline bool element_is_null(const bson_iter_t *it) {
    return element_type(it) == BSON_TYPE_NULL || element_type(it) == BSON_TYPE_UNDEFINED;
}
