#include "core/utf8.h"
#include <string.h>

/* RFC 3629 section 4 by lead byte: length, and the range of the second byte (which is where overlong forms,
 * surrogates and values above U+10FFFF are excluded). */
static size_t sequence(const unsigned char *s, size_t len) {
    unsigned char c = s[0], low = 0x80, high = 0xBF;
    size_t n;
    if (c < 0x80)
        return 1;
    if (c < 0xC2 || c > 0xF4)
        return 0;
    n = c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    if (c == 0xE0)
        low = 0xA0;
    else if (c == 0xED)
        high = 0x9F;
    else if (c == 0xF0)
        low = 0x90;
    else if (c == 0xF4)
        high = 0x8F;
    if (len < n || s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    return n;
}

/* The first byte that is not ASCII, or end. */
static const unsigned char *skip_ascii(const unsigned char *p, const unsigned char *end) {
    for (; (size_t)(end - p) >= sizeof(uint64_t); p += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, p, sizeof(word));
        if (word & 0x8080808080808080u)
            break;
    }
    while (p < end && *p < 0x80)
        p++;
    return p;
}

/* Do four bytes begin with a character of three? So most of Korean, Japanese and Chinese text. An E0 before 80..9F is
 * overlong, an ED before A0..BF half a pair of surrogates. */
static bool begins_with_three(const unsigned char *p) {
    uint32_t w = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24, edge = w & 0x200F;
    return (w & 0xC0C0F0) == 0x8080E0 && edge != 0 && edge != 0x200D;
}

bool utf8_valid(const char *s, size_t len) {
    const unsigned char *p = (const unsigned char *)s, *end = p + len;
    if (len == 0)
        return true;
    while ((p = skip_ascii(p, end)) < end)
        /* Text in one script has its multi-byte characters in a row. */
        while (p < end && *p >= 0x80) {
            size_t left = (size_t)(end - p), n = left >= 4 && begins_with_three(p) ? 3 : sequence(p, left);
            if (n == 0)
                return false;
            p += n;
        }
    return true;
}

size_t utf8_decode(const char *s, size_t len, uint32_t *ret) {
    const unsigned char *p = (const unsigned char *)s;
    size_t n = len ? sequence(p, len) : 0;
    switch (n) {
    case 1:
        *ret = p[0];
        break;
    case 2:
        *ret = (uint32_t)(p[0] & 0x1F) << 6 | (uint32_t)(p[1] & 0x3F);
        break;
    case 3:
        *ret = (uint32_t)(p[0] & 0x0F) << 12 | (uint32_t)(p[1] & 0x3F) << 6 | (uint32_t)(p[2] & 0x3F);
        break;
    case 4:
        *ret = (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3F) << 12 | (uint32_t)(p[2] & 0x3F) << 6 |
               (uint32_t)(p[3] & 0x3F);
        break;
    default:
        break;
    }
    return n;
}

size_t utf8_encode(uint32_t cp, char ret[4]) {
    if (cp < 0x80) {
        ret[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        ret[0] = (char)(0xC0 | cp >> 6);
        ret[1] = (char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        if (cp >= 0xD800 && cp <= 0xDFFF)
            return 0;
        ret[0] = (char)(0xE0 | cp >> 12);
        ret[1] = (char)(0x80 | (cp >> 6 & 0x3F));
        ret[2] = (char)(0x80 | (cp & 0x3F));
        return 3;
    }
    if (cp > 0x10FFFF)
        return 0;
    ret[0] = (char)(0xF0 | cp >> 18);
    ret[1] = (char)(0x80 | (cp >> 12 & 0x3F));
    ret[2] = (char)(0x80 | (cp >> 6 & 0x3F));
    ret[3] = (char)(0x80 | (cp & 0x3F));
    return 4;
}

static bool is_continuation(char c) {
    return ((unsigned char)c & 0xC0) == 0x80;
}

size_t utf8_cut(const char *s, size_t len, size_t n) {
    if (n >= len)
        return len;
    while (n > 0 && is_continuation(s[n]))
        n--;
    return n;
}

size_t utf8_count(const char *s, size_t len) {
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += !is_continuation(s[i]);
    return count;
}
