#include "core/json_escape.h"
#include "core/json_write.h"
#include "core/utf8.h"
#include "projector/compose/compose_sink.h"

enum { FIRST_BYTES = 4096 };

void sink_open(struct sink *s, struct buf *buf) {
    *s = (struct sink){.buf = buf};
    if (buf->data) {
        s->p = buf->data + buf->len;
        s->end = buf->data + buf->cap - 1;
    }
}

void sink_close(struct sink *s) {
    if (s->nomem || !s->buf->data)
        return;
    s->buf->len = sink_len(s);
    *s->p = '\0';
}

bool sink_grow(struct sink *s, size_t n) {
    struct buf *buf = s->buf;
    if (s->full || s->nomem)
        return false;
    if (buf->data)
        buf->len = sink_len(s);
    if (n > buf->max - buf->len) {
        s->full = s->bad = true;
        return false;
    }
    size_t room = buf->max - buf->len < FIRST_BYTES ? buf->max - buf->len : FIRST_BYTES;
    if (!buf_reserve(buf, n > room ? n : room)) {
        s->nomem = s->bad = true;
        s->p = s->end = NULL;
        return false;
    }
    s->p = buf->data + buf->len;
    s->end = buf->data + buf->cap - 1;
    return true;
}

static inline bool is_plain(unsigned char c) {
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static char *put_escape(char *out, unsigned char c) {
    static const char hex[] = "0123456789abcdef";
    static const char letters[] = "btn\0fr"; /* of 8, 9, 10, 12 and 13 */
    *out++ = '\\';
    if (c == '"' || c == '\\') {
        *out++ = (char)c;
    } else if (c >= 8 && c <= 13 && letters[c - 8]) {
        *out++ = letters[c - 8];
    } else {
        memcpy(out, "u00", 3);
        out[3] = hex[c >> 4];
        out[4] = hex[c & 15];
        out += 5;
    }
    return out;
}

#ifdef JSON_ESCAPE_SSE2
/* How many of the first bytes, some of which are odd, are plain or of whole three-byte characters, neither overlong (E0) nor
 * surrogates (ED A0..): most of Korean, Japanese and Chinese text. A bit for each byte; mask: those that count, from the first on. */
static inline size_t wide_prefix(__m128i v, unsigned odd, unsigned mask) {
    __m128i high = _mm_and_si128(v, _mm_set1_epi8((char)0xF0));
    unsigned lead = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(high, _mm_set1_epi8((char)0xE0))) & mask;
    unsigned next = (unsigned)_mm_movemask_epi8(_mm_cmplt_epi8(v, _mm_set1_epi8((char)0xC0))) & mask;
    unsigned e0 = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8((char)0xE0)));
    unsigned ed = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8((char)0xED)));
    unsigned from_a0 = (unsigned)_mm_movemask_epi8(_mm_cmpgt_epi8(v, _mm_set1_epi8((char)0x9F)));
    unsigned bad = (odd & ~(lead | next)) | (next ^ (lead << 1 | lead << 2)) | e0 | (ed << 1 & from_a0);
    size_t n = (size_t)__builtin_ctz(bad | (mask + 1));
    return lead << 1 >> n & 1 ? n - 1 : lead << 2 >> n & 1 ? n - 2 : n;
}

/* Like copy_block, for what may be less than 16 bytes of them: no branch goes by the length. */
static inline size_t copy_part(char *out, const unsigned char *in, size_t len) {
    unsigned mask = len < 16 ? (1u << len) - 1 : 0xFFFF;
    __m128i v = _mm_loadu_si128((const __m128i *)in);
    _mm_storeu_si128((__m128i *)out, v);
    unsigned odd = json_escape_odd(v) & mask;
    return odd ? wide_prefix(v, odd, mask) : len < 16 ? len : 16;
}
#endif

/* Copies 16 bytes and returns how many of the first of them are whole characters that stand as they are; fewer if these are
 * not seen at once. */
static inline size_t copy_block(char *out, const unsigned char *in) {
#ifdef JSON_ESCAPE_SSE2
    __m128i v = _mm_loadu_si128((const __m128i *)in);
    _mm_storeu_si128((__m128i *)out, v);
    unsigned odd = json_escape_odd(v);
    return odd ? wide_prefix(v, odd, 0xFFFF) : 16;
#else
    uint64_t w[2];
    memcpy(w, in, 16);
    memcpy(out, w, 16);
    uint64_t first = json_escape_odd_marks(w[0]), second = json_escape_odd_marks(w[1]);
    return first    ? (size_t)__builtin_ctzll(first) / 8
           : second ? 8 + (size_t)__builtin_ctzll(second) / 8
                    : 16;
#endif
}

/* Fewer than 16 bytes: copies the plain ones at their start and returns how many. There is room for 8 more. */
static inline size_t copy_tail(char *out, const unsigned char *in, size_t len) {
    size_t n = 0;
    if (json_escape_copy_short(out, (const char *)in, len))
        return len;
    for (; n < len && is_plain(in[n]); n++)
        out[n] = (char)in[n];
    return n;
}

/* Copies the well-formed multi-byte characters at the start of [in, end) and returns their bytes. There is room for
 * one byte more. */
static inline size_t copy_wide(char *out, const unsigned char *in, const unsigned char *end) {
    const unsigned char *start = in;
    while (in < end && *in >= 0x80) {
        uint32_t w = 0, cp;
        size_t n = 3;
        if (end - in >= 4)
            memcpy(&w, in, 4);
        /* Three bytes, and neither E0 (which may be overlong) nor a surrogate (ED A0..): most of Korean, Japanese and
         * Chinese text. */
        if ((w & 0xC0C0F0) == 0x8080E0 && (w & 0x0F) != 0 && (w & 0x200F) != 0x200D) {
            memcpy(out, &w, 4);
        } else {
            n = utf8_decode((const char *)in, (size_t)(end - in), &cp);
            if (n == 0)
                break;
            memcpy(out, in, n);
        }
        in += n;
        out += n;
    }
    return (size_t)(in - start);
}

#ifdef JSON_ESCAPE_SSE2
static inline bool has_block_behind(struct slice source, struct slice text) {
    uintptr_t at = (uintptr_t)text.data, from = (uintptr_t)source.data;
    return at >= from && at + text.len + 16 <= from + source.len;
}
#else
static inline bool has_block_behind(struct slice source, struct slice text) {
    (void)source, (void)text;
    return false;
}
static inline size_t copy_part(char *out, const unsigned char *in, size_t len) {
    return copy_tail(out, in, len);
}
#endif

/* parts: there is a block behind the text. */
__attribute__((always_inline)) static inline void escape(struct sink *s, struct slice text, const bool parts) {
    const unsigned char *in = (const unsigned char *)text.data, *end = in + text.len;
    if (in == end || !sink_room(s, text.len + 16))
        return;
    char *out = s->p;
    for (;;) {
        const bool block = parts || end - in >= 16;
        size_t n = parts   ? copy_part(out, in, (size_t)(end - in))
                   : block ? copy_block(out, in)
                           : copy_tail(out, in, (size_t)(end - in));
        in += n;
        out += n;
        if (in == end)
            break;
        if (block && n > 0)
            continue;
        if (*in >= 0x80) {
            n = copy_wide(out, in, end);
            if (n == 0) {
                s->invalid = s->bad = true;
                return;
            }
            in += n;
            out += n;
        } else {
            out = put_escape(out, *in++);
            s->p = out;
            if (!sink_room(s, (size_t)(end - in) + 16))
                return;
            out = s->p;
        }
        if (in == end)
            break;
    }
    s->p = out;
}

void sink_escaped(struct sink *s, struct slice text) {
    if (has_block_behind(s->source, text))
        escape(s, text, true);
    else
        escape(s, text, false);
}

static const char DIGIT_PAIRS[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748"
                                  "4950515253545556575859606162636465666768697071727374757677787980818283848586878889909192939495969798"
                                  "99";

static char *put_pair(char *out, unsigned v) {
    memcpy(out, DIGIT_PAIRS + (size_t)v * 2, 2);
    return out + 2;
}

static char *put_eight(char *out, uint32_t v) {
    uint32_t high = v / 10000, low = v % 10000;
    out = put_pair(put_pair(out, high / 100), high % 100);
    return put_pair(put_pair(out, low / 100), low % 100);
}

/* Below 1e8. */
static inline char *put_small(char *out, uint32_t v) {
    char *end = out + (v < 10000 ? (v < 100 ? 1 + (v >= 10) : 3 + (v >= 1000))
                                 : (v < 1000000 ? 5 + (v >= 100000) : 7 + (v >= 10000000)));
    char *p = end;
    for (; v >= 100; v /= 100)
        put_pair(p -= 2, v % 100);
    if (v >= 10)
        put_pair(out, v);
    else
        *out = (char)('0' + v);
    return end;
}

static char *put_u64(char *out, uint64_t v) {
    const uint64_t unit = 100000000;
    if (v < unit)
        return put_small(out, (uint32_t)v);
    uint64_t high = v / unit;
    if (high < unit)
        out = put_small(out, (uint32_t)high);
    else
        out = put_eight(put_small(out, (uint32_t)(high / unit)), (uint32_t)(high % unit));
    return put_eight(out, (uint32_t)(v % unit));
}

void sink_u64(struct sink *s, uint64_t v) {
    if (sink_room(s, 20))
        s->p = put_u64(s->p, v);
}

void sink_int(struct sink *s, int64_t v) {
    if (!sink_room(s, 21))
        return;
    if (v < 0)
        *s->p++ = '-';
    s->p = put_u64(s->p, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

/* Most attribute values are decimals with few places: if v is the double nearest to r / 10^places for a whole
 * r < 1e15, then "r with a point" reads back as v (two exact numbers divided, rounded once), and with 15 digits or
 * less no shorter text does. False: leave it to the general way. */
static bool put_short_decimal(struct sink *s, double v) {
    static const double powers[] = {1, 10, 100, 1000, 10000};
    double magnitude = v < 0 ? -v : v;
    if (magnitude >= 1e10 || magnitude < 1e-4)
        return false;
    for (unsigned places = 1; places < 5; places++) {
        uint64_t r = (uint64_t)(magnitude * powers[places] + 0.5);
        if ((double)r / powers[places] != magnitude)
            continue;
        uint64_t unit = (uint64_t)powers[places], fraction = r % unit;
        if (v < 0)
            *s->p++ = '-';
        s->p = put_u64(s->p, r / unit);
        *s->p++ = '.';
        for (unsigned i = places; i > 0; i--) {
            s->p[i - 1] = (char)('0' + fraction % 10);
            fraction /= 10;
        }
        s->p += places;
        return true;
    }
    return false;
}

void sink_number(struct sink *s, double v) {
    if (v > -1e15 && v < 1e15 && v == (double)(int64_t)v) {
        sink_int(s, (int64_t)v);
        return;
    }
    if (!sink_room(s, JSON_DOUBLE_SIZE) || put_short_decimal(s, v))
        return;
    s->p += json_format_double(v, s->p);
}

void sink_ordered_hex(struct sink *s, double v) {
    uint64_t bits;
    double positive_zero = v == 0 ? 0.0 : v;
    memcpy(&bits, &positive_zero, sizeof(bits));
    bits = bits >> 63 ? ~bits : bits ^ (UINT64_C(1) << 63);
    if (!sink_room(s, 16))
        return;
    /* Nibbles apart, one to a byte; a letter is 39 further from '0' than its value. */
    for (unsigned half = 0; half < 2; half++) {
        uint64_t n = half == 0 ? bits >> 32 : bits & UINT32_MAX;
        n = (n | n << 16) & 0x0000FFFF0000FFFFu;
        n = (n | n << 8) & 0x00FF00FF00FF00FFu;
        n = (n | n << 4) & 0x0F0F0F0F0F0F0F0Fu;
        n += 0x3030303030303030u + ((n + 0x0606060606060606u) >> 4 & 0x0101010101010101u) * 39;
        n = __builtin_bswap64(n);
        memcpy(s->p + half * 8, &n, 8);
    }
    s->p += 16;
}

void sink_date(struct sink *s, int64_t msec) {
    const int64_t day_msec = 86400000;
    int64_t day = msec / day_msec, rest = msec % day_msec;
    if (rest < 0) {
        rest += day_msec;
        day--;
    }
    /* Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days. */
    int64_t z = day + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
    unsigned doe = (unsigned)(z - era * 146097), yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    unsigned month = mp < 10 ? mp + 3 : mp - 9;
    int64_t year = (int64_t)yoe + era * 400 + (month <= 2);
    unsigned t = (unsigned)rest;
    if (!sink_room(s, 26))
        return;
    char *p = s->p;
    *p++ = '"';
    p = put_pair(p, (unsigned)year / 100);
    p = put_pair(p, (unsigned)year % 100);
    *p++ = '-';
    p = put_pair(p, month);
    *p++ = '-';
    p = put_pair(p, doy - (153 * mp + 2) / 5 + 1);
    *p++ = 'T';
    p = put_pair(p, t / 3600000);
    *p++ = ':';
    p = put_pair(p, t / 60000 % 60);
    *p++ = ':';
    p = put_pair(p, t / 1000 % 60);
    *p++ = '.';
    *p++ = (char)('0' + t % 1000 / 100);
    p = put_pair(p, t % 100);
    *p++ = 'Z';
    *p++ = '"';
    s->p = p;
}
