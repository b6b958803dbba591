/* json_escape.h - which bytes of a text cannot stand in a JSON string as they are (RFC 8259 section 7), many at a time.
 * In a word the marks are bit 7 of each such byte; the lowest is exact, above it one may be too many (Bit Twiddling Hacks,
 * "haszero" and "hasless"). A block is sixteen bytes where the machine has SSE2, else a word. Pure. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__SSE2__) && !defined(JSON_ESCAPE_WORDS)
#define JSON_ESCAPE_SSE2
#include <emmintrin.h>
#endif

#define JSON_ESCAPE_ONES UINT64_C(0x0101010101010101)

/* Controls, quote and backslash. */
static inline uint64_t json_escape_marks(uint64_t w) {
    uint64_t quote = w ^ (JSON_ESCAPE_ONES * '"'), backslash = w ^ (JSON_ESCAPE_ONES * '\\');
    return (((w - JSON_ESCAPE_ONES * 0x20) & ~w) | ((quote - JSON_ESCAPE_ONES) & ~quote) |
            ((backslash - JSON_ESCAPE_ONES) & ~backslash)) &
           (JSON_ESCAPE_ONES * 0x80);
}

/* These, and what is not ASCII. */
static inline uint64_t json_escape_odd_marks(uint64_t w) {
    return json_escape_marks(w) | (w & (JSON_ESCAPE_ONES * 0x80));
}

static inline bool json_escape_needed(unsigned char c) {
    return c < 0x20 || c == '"' || c == '\\';
}

#ifdef JSON_ESCAPE_SSE2
enum { JSON_ESCAPE_BLOCK = 16 };
typedef __m128i json_escape_block;
typedef unsigned json_escape_bits; /* a bit for each byte */

static inline json_escape_block json_escape_load(const char *s) {
    return _mm_loadu_si128((const __m128i *)s);
}

static inline json_escape_bits json_escape_high(json_escape_block b) {
    return (unsigned)_mm_movemask_epi8(b);
}

static inline json_escape_bits json_escape_found(json_escape_block b) {
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(b, _mm_set1_epi8(0x1F)), b);
    __m128i quote = _mm_cmpeq_epi8(b, _mm_set1_epi8('"')), backslash = _mm_cmpeq_epi8(b, _mm_set1_epi8('\\'));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(control, _mm_or_si128(quote, backslash)));
}

static inline size_t json_escape_first(json_escape_bits found) {
    return (size_t)__builtin_ctz(found);
}

/* Those found, and what is not ASCII: below a space as signed bytes are controls and everything from 0x80 on. */
static inline json_escape_bits json_escape_odd(json_escape_block b) {
    __m128i escape = _mm_or_si128(_mm_cmpeq_epi8(b, _mm_set1_epi8('"')), _mm_cmpeq_epi8(b, _mm_set1_epi8('\\')));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_cmplt_epi8(b, _mm_set1_epi8(' ')), escape));
}

/* Are these sixteen bytes plain ASCII? */
static inline bool json_escape_plain_pair(uint64_t a, uint64_t b) {
    return json_escape_odd(_mm_set_epi64x((long long)b, (long long)a)) == 0;
}
#else
enum { JSON_ESCAPE_BLOCK = 8 };
typedef uint64_t json_escape_block;
typedef uint64_t json_escape_bits; /* bit 7 of each byte, from the lowest on */

static inline json_escape_block json_escape_load(const char *s) {
    uint64_t w;
    memcpy(&w, s, sizeof(w));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    return w;
}

static inline json_escape_bits json_escape_high(json_escape_block b) {
    return b & (JSON_ESCAPE_ONES * 0x80);
}

static inline json_escape_bits json_escape_found(json_escape_block b) {
    return json_escape_marks(b);
}

static inline size_t json_escape_first(json_escape_bits found) {
    return (size_t)__builtin_ctzll(found) / 8;
}

static inline bool json_escape_plain_pair(uint64_t a, uint64_t b) {
    return (json_escape_odd_marks(a) | json_escape_odd_marks(b)) == 0;
}
#endif

/* Copies s, of fewer than sixteen bytes, and says whether it is plain ASCII; its two halves may overlap. */
static inline bool json_escape_copy_short(char *to, const char *s, size_t len) {
    if (len >= 8) {
        uint64_t first, last;
        memcpy(&first, s, 8);
        memcpy(&last, s + len - 8, 8);
        memcpy(to, &first, 8);
        memcpy(to + len - 8, &last, 8);
        return json_escape_plain_pair(first, last);
    }
    if (len >= 4) {
        uint32_t first, last;
        memcpy(&first, s, 4);
        memcpy(&last, s + len - 4, 4);
        memcpy(to, &first, 4);
        memcpy(to + len - 4, &last, 4);
        uint64_t w = first | (uint64_t)last << 32;
        return json_escape_plain_pair(w, w);
    }
    if (len >= 2) {
        uint16_t first, last;
        memcpy(&first, s, 2);
        memcpy(&last, s + len - 2, 2);
        memcpy(to, &first, 2);
        memcpy(to + len - 2, &last, 2);
        uint64_t w = (first | (uint64_t)last << 16) * UINT64_C(0x100000001);
        return json_escape_plain_pair(w, w);
    }
    if (len == 1)
        *to = *s;
    return len == 0 || (!json_escape_needed((unsigned char)*s) && (unsigned char)*s < 0x80);
}

/* The first byte from s on that cannot stand as it is, or end. *high is set to something if a byte before it is not
 * ASCII, else left alone. */
static inline const char *json_escape_skip(const char *s, const char *end, json_escape_bits *high) {
    for (; end - s >= JSON_ESCAPE_BLOCK; s += JSON_ESCAPE_BLOCK) {
        json_escape_block b = json_escape_load(s);
        json_escape_bits found = json_escape_found(b);
        if (found) {
            *high |= json_escape_high(b) & (found ^ (found - 1)); /* of the bytes up to the first one */
            return s + json_escape_first(found);
        }
        *high |= json_escape_high(b);
    }
    for (; s < end && !json_escape_needed((unsigned char)*s); s++)
        *high |= (unsigned char)*s & 0x80;
    return s;
}
