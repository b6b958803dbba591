#include "projector/compose/compose_bson.h"

/* A length in front: `extra` bytes besides the length that it counts, at least `min` and NUL-terminated if `nul`. */
static uint32_t counted(const uint8_t *p, size_t left, uint32_t extra, uint32_t min, bool nul) {
    if (left < 4)
        return UINT32_MAX;
    uint32_t len = element_u32(p);
    if (len < min || len > INT32_MAX - 32 || len + extra > left)
        return UINT32_MAX;
    return nul && p[len + extra - 1] != 0 ? UINT32_MAX : len + extra;
}

static uint32_t two_strings(const uint8_t *p, size_t left) {
    const uint8_t *first = memchr(p, 0, left);
    const uint8_t *second = first ? memchr(first + 1, 0, left - (size_t)(first + 1 - p)) : NULL;
    return second ? (uint32_t)(second + 1 - p) : UINT32_MAX;
}

static uint32_t fixed(uint32_t size, size_t left) {
    return size <= left ? size : UINT32_MAX;
}

uint32_t element_size_any(uint8_t type, const uint8_t *p, size_t left) {
    switch (type) {
    case BSON_TYPE_UTF8:
    case BSON_TYPE_CODE:
    case BSON_TYPE_SYMBOL:
        return counted(p, left, 4, 1, true);
    case BSON_TYPE_DOCUMENT:
    case BSON_TYPE_ARRAY:
        return counted(p, left, 0, 5, true);
    case BSON_TYPE_INT32:
        return fixed(4, left);
    case BSON_TYPE_DOUBLE:
    case BSON_TYPE_INT64:
    case BSON_TYPE_DATE_TIME:
    case BSON_TYPE_TIMESTAMP:
        return fixed(8, left);
    case BSON_TYPE_BOOL:
        return fixed(1, left);
    case BSON_TYPE_NULL:
    case BSON_TYPE_UNDEFINED:
    case BSON_TYPE_MAXKEY:
    case (uint8_t)BSON_TYPE_MINKEY: /* 0xFF */
        return 0;
    case BSON_TYPE_OID:
        return fixed(12, left);
    case BSON_TYPE_DECIMAL128:
        return fixed(16, left);
    case BSON_TYPE_BINARY:
        return counted(p, left, 5, 0, false);
    case BSON_TYPE_DBPOINTER:
        return counted(p, left, 16, 1, false);
    case BSON_TYPE_CODEWSCOPE:
        return counted(p, left, 0, 14, true);
    case BSON_TYPE_REGEX:
        return two_strings(p, left);
    default:
        return UINT32_MAX;
    }
}
