/* compose_bson.h - compose's way through BSON (https://bsonspec.org/spec.html, version 1.1): every element is checked
 * to lie inside its document before anything looks at it, strings end in a NUL, and nothing is copied.
 *
 * Not libbson's iterator because that one looks for the end of each key byte by byte and needs a call per piece:
 * measured, a fifth of all of compose's instructions.
 *   struct elements it = elements_of_document(bson_get_data(b), b->len);  struct element e;
 *   while (elements_next(&it, &e)) ...;   if (it.corrupt) ...
 * Internal to compose. Pure. */
#pragma once
#include "core/bson.h"
#include "core/buf.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

struct element {
    struct slice key; /* without its NUL, which is there */
    const uint8_t *value;
    uint32_t value_len;
    uint8_t type; /* bson_type_t */
};

struct elements {
    const uint8_t *p, *end; /* end: the document's last byte, its NUL */
    bool corrupt;
};

static inline uint32_t element_u32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return BSON_UINT32_FROM_LE(v);
}
static inline int64_t element_i64(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    v = BSON_UINT64_FROM_LE(v);
    return (int64_t)v;
}

static inline struct elements elements_of_document(const uint8_t *data, size_t len) {
    bool ok = len >= 5 && element_u32(data) == len && data[len - 1] == 0;
    return ok ? (struct elements){data + 4, data + len - 1, false} : (struct elements){NULL, NULL, true};
}
/* The members of an object or array element. */
static inline struct elements elements_in(const struct element *e) {
    return elements_of_document(e->value, e->value_len);
}

/* Bytes of a value of `type` at p with `left` bytes up to the document's end; UINT32_MAX if it does not fit. */
uint32_t element_size_any(uint8_t type, const uint8_t *p, size_t left);

static inline uint32_t element_size(uint8_t type, const uint8_t *p, size_t left) {
    if (type == BSON_TYPE_UTF8 && left >= 5) {
        uint32_t len = element_u32(p);
        return len >= 1 && len <= left - 4 && p[len + 3] == 0 ? len + 4 : UINT32_MAX;
    }
    if ((type == BSON_TYPE_DOCUMENT || type == BSON_TYPE_ARRAY) && left >= 5) {
        uint32_t len = element_u32(p);
        return len >= 5 && len <= left && p[len - 1] == 0 ? len : UINT32_MAX;
    }
    if (type == BSON_TYPE_INT32 && left >= 4)
        return 4;
    if ((type == BSON_TYPE_INT64 || type == BSON_TYPE_DOUBLE || type == BSON_TYPE_DATE_TIME) && left >= 8)
        return 8;
    return element_size_any(type, p, left);
}

/* The first NUL from p on; `end` is one. In blocks (of eight: Bit Twiddling Hacks, "haszero"; the lowest is exact). */
static inline const uint8_t *element_key_end(const uint8_t *p, const uint8_t *end) {
#ifdef __SSE2__
    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)p);
        unsigned zero = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_setzero_si128()));
        if (zero)
            return p + __builtin_ctz(zero);
    }
#else
    for (; end - p >= 8; p += 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        w = BSON_UINT64_FROM_LE(w);
        uint64_t zero = (w - 0x0101010101010101u) & ~w & 0x8080808080808080u;
        if (zero)
            return p + (size_t)__builtin_ctzll(zero) / 8;
    }
#endif
    while (*p)
        p++;
    return p;
}

__attribute__((always_inline)) static inline bool elements_next(struct elements *it, struct element *ret) {
    if (it->p == it->end)
        return false;
    const uint8_t *key = it->p + 1, *nul = element_key_end(key, it->end);
    /* The search ends at the document's own NUL at the latest. */
    uint32_t size = nul == it->end ? UINT32_MAX : element_size(*it->p, nul + 1, (size_t)(it->end - nul - 1));
    if (size == UINT32_MAX) {
        it->corrupt = true;
        it->p = it->end;
        return false;
    }
    *ret = (struct element){{(const char *)key, (size_t)(nul - key)}, nul + 1, size, *it->p};
    it->p = nul + 1 + size;
    return true;
}

static inline bool element_is_null(const struct element *e) {
    return e->type == BSON_TYPE_NULL || e->type == BSON_TYPE_UNDEFINED;
}
/* Of a string. */
static inline struct slice element_text(const struct element *e) {
    return (struct slice){(const char *)e->value + 4, e->value_len - 5};
}
/* Of an int32 or an int64. */
static inline int64_t element_int(const struct element *e) {
    return e->type == BSON_TYPE_INT32 ? (int32_t)element_u32(e->value) : element_i64(e->value);
}
static inline double element_double(const struct element *e) {
    int64_t bits = element_i64(e->value);
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}
/* The member of that name; false if there is none. */
static inline bool elements_find(struct elements *it, struct slice key, struct element *ret) {
    while (elements_next(it, ret))
        if (slice_eq(ret->key, key))
            return true;
    return false;
}
