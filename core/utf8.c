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

bool utf8_valid(const char *s, size_t len) {
    const unsigned char *p = (const unsigned char *)s;
    size_t i = 0;
    while (i < len) {
        uint64_t word;
        if (len - i >= sizeof(word)) {
            memcpy(&word, p + i, sizeof(word));
            if (!(word & 0x8080808080808080u)) {
                i += sizeof(word);
                continue;
            }
        }
        size_t n = sequence(p + i, len - i);
        if (n == 0)
            return false;
        i += n;
        /* Text in one script has its multi-byte characters in a row: no word test between them. */
        while (n > 1 && i < len && p[i] >= 0x80) {
            n = sequence(p + i, len - i);
            if (n == 0)
                return false;
            i += n;
        }
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
