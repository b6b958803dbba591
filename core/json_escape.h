/* json_escape.h - which bytes of a text cannot stand in a JSON string as they are (RFC 8259 section 7), eight at a time.
 * The marks are bit 7 of each such byte; the lowest is exact, above it one may be too many (Bit Twiddling Hacks, "haszero"
 * and "hasless"). Pure. */
#pragma once
#include <stdint.h>

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
