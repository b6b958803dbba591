#include "projector/compose_sink.h"
#include "core/json_write.h"
#include "core/utf8.h"

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
        s->full = true;
        return false;
    }
    size_t room = buf->max - buf->len < FIRST_BYTES ? buf->max - buf->len : FIRST_BYTES;
    if (!buf_reserve(buf, n > room ? n : room)) {
        s->nomem = true;
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

/* Copies the plain bytes at the start of [in, end) and returns how many. There is room for end - in + 8 bytes. */
static inline size_t copy_plain(char *out, const unsigned char *in, const unsigned char *end) {
    const unsigned char *start = in;
    uint64_t w;
    while (end - in >= 8) {
        memcpy(&w, in, 8);
        memcpy(out, &w, 8);
        uint64_t odd = sink_odd_bytes(w);
        if (odd)
            return (size_t)(in - start) + (size_t)__builtin_ctzll(odd) / 8;
        in += 8;
        out += 8;
    }
    if (in > start && in < end) { /* the last eight bytes, some of them again */
        memcpy(&w, end - 8, 8);
        if (sink_odd_bytes(w) == 0) {
            memcpy(out - (8 - (end - in)), &w, 8);
            return (size_t)(end - start);
        }
    }
    while (in < end && is_plain(*in))
        *out++ = (char)*in++;
    return (size_t)(in - start);
}

/* Copies the well-formed multi-byte characters at the start of [in, end) and returns their bytes. */
static inline size_t copy_wide(char *out, const unsigned char *in, const unsigned char *end) {
    const unsigned char *start = in;
    while (in < end && *in >= 0x80) {
        uint32_t cp;
        size_t n = 3;
        /* U+1000..CFFF: most of Korean, Japanese and Chinese text; no overlong form or surrogate among them. */
        if (*in >= 0xE1 && *in <= 0xEC && end - in >= 3 && (in[1] & 0xC0) == 0x80 && (in[2] & 0xC0) == 0x80) {
            memcpy(out, in, 3);
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

void sink_escaped(struct sink *s, struct slice text) {
    const unsigned char *in = (const unsigned char *)text.data, *end = in + text.len;
    while (in < end) {
        if (!sink_room(s, (size_t)(end - in) + 8))
            return;
        size_t run = *in >= 0x80 ? copy_wide(s->p, in, end) : copy_plain(s->p, in, end);
        if (run == 0 && *in >= 0x80) {
            s->invalid = true;
            return;
        }
        s->p += run;
        if (run == 0)
            s->p = put_escape(s->p, in[run++]);
        in += run;
    }
}

static char *put_u64(char *out, uint64_t v) {
    char digits[20];
    size_t at = sizeof(digits);
    do
        digits[--at] = (char)('0' + v % 10);
    while (v /= 10);
    memcpy(out, digits + at, sizeof(digits) - at);
    return out + sizeof(digits) - at;
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
    static const char hex[] = "0123456789abcdef";
    uint64_t bits;
    double positive_zero = v == 0 ? 0.0 : v;
    memcpy(&bits, &positive_zero, sizeof(bits));
    bits = bits >> 63 ? ~bits : bits ^ (UINT64_C(1) << 63);
    if (!sink_room(s, 16))
        return;
    for (int i = 15; i >= 0; i--, bits >>= 4)
        s->p[i] = hex[bits & 15];
    s->p += 16;
}

static char *put_digits(char *out, unsigned v, unsigned count) {
    for (unsigned i = count; i > 0; i--, v /= 10)
        out[i - 1] = (char)('0' + v % 10);
    return out + count;
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
    p = put_digits(p, (unsigned)year, 4);
    *p++ = '-';
    p = put_digits(p, month, 2);
    *p++ = '-';
    p = put_digits(p, doy - (153 * mp + 2) / 5 + 1, 2);
    *p++ = 'T';
    p = put_digits(p, t / 3600000, 2);
    *p++ = ':';
    p = put_digits(p, t / 60000 % 60, 2);
    *p++ = ':';
    p = put_digits(p, t / 1000 % 60, 2);
    *p++ = '.';
    p = put_digits(p, t % 1000, 3);
    *p++ = 'Z';
    *p++ = '"';
    s->p = p;
}
