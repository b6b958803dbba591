/* utf8.h - UTF-8 as of RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. Pure. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool utf8_valid(const char *s, size_t len);
/* Decodes one code point at s (len > 0). Returns the bytes read, 0 if invalid. */
size_t utf8_decode(const char *s, size_t len, uint32_t *ret);
/* Encodes; returns 1-4 bytes written, 0 if cp is no scalar value. */
size_t utf8_encode(uint32_t cp, char ret[4]);
/* The largest n <= len that does not cut a code point of valid text. */
size_t utf8_cut(const char *s, size_t len, size_t n);
size_t utf8_count(const char *s, size_t len); /* code points of valid text */
