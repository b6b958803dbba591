/* json_number.c - numbers between JSON text and C types, independent of the process's locale. */
#include "core/json_read.h"
#include "core/json_write.h"
#include <float.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* A JSON number taken apart: value = (-1)^negative * digits * 10^exponent, where digits is what stands in
 * text[first..last] without the point; count is how many digits that is, without leading and trailing zeros. */
struct decimal {
    bool negative;
    const char *first, *end; /* from the first to behind the last digit that is not zero; may hold the point */
    int64_t count;           /* 0: the value is zero */
    int64_t exponent;
};

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* [eE][+-]?digits; saturates far outside of what any double or int64 has. */
static bool scan_exponent(const char *s, const char *end, int64_t *ret) {
    bool negative = s < end && *s == '-';
    if (s < end && (*s == '-' || *s == '+'))
        s++;
    if (s == end)
        return false;
    int64_t v = 0;
    for (; s < end; s++) {
        if (!is_digit(*s))
            return false;
        if (v < INT64_C(1000000000000000))
            v = v * 10 + (*s - '0');
    }
    *ret = negative ? -v : v;
    return true;
}

/* The grammar of RFC 8259 section 6: -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? */
static bool scan_decimal(struct slice text, struct decimal *ret) {
    struct decimal d = {0};
    const char *s = text.data, *end = text.data + text.len, *point = NULL, *start;
    if (s < end && *s == '-') {
        d.negative = true;
        s++;
    }
    start = s;
    while (s < end && is_digit(*s))
        s++;
    if (s == start || (*start == '0' && s - start > 1))
        return false;
    if (s < end && *s == '.') {
        point = s++;
        while (s < end && is_digit(*s))
            s++;
        if (s == point + 1)
            return false;
    }
    const char *digits_end = s;
    int64_t exponent = 0;
    if (s < end && ((*s != 'e' && *s != 'E') || !scan_exponent(s + 1, end, &exponent)))
        return false;
    for (const char *at = start; at < digits_end; at++) {
        if (is_digit(*at) && *at != '0') {
            d.first = d.first ? d.first : at;
            d.end = at + 1;
        }
    }
    if (d.first) {
        const char *units = point ? point : digits_end; /* behind the digit that stands for 10^0 */
        bool point_inside = point && d.first < point && d.end > point;
        d.count = d.end - d.first - point_inside;
        d.exponent = exponent + (d.end <= units ? units - d.end : units - d.end + 1);
    }
    *ret = d;
    return true;
}

static uint64_t decimal_digits(const struct decimal *d) {
    uint64_t v = 0;
    for (const char *s = d->first; s < d->end; s++)
        if (is_digit(*s))
            v = v * 10 + (uint64_t)(*s - '0');
    return v;
}

/* Up to 18 digits and nothing else, which is what most numbers are. */
static bool plain_int64(struct slice text, int64_t *ret) {
    if (text.len == 0 || text.len > 18 || (text.data[0] == '0' && text.len > 1))
        return false;
    int64_t v = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.data[i]))
            return false;
        v = v * 10 + (text.data[i] - '0');
    }
    *ret = v;
    return true;
}

bool json_text_int64(struct slice text, int64_t *ret) {
    struct decimal d;
    if (plain_int64(text, ret))
        return true;
    if (!scan_decimal(text, &d))
        return false;
    if (d.count == 0) {
        *ret = 0;
        return true;
    }
    /* The last digit is not zero: below 10^0 there is a fraction. Up to 19 digits fit into 64 bits. */
    if (d.exponent < 0 || d.exponent > 18 || d.count + d.exponent > 19)
        return false;
    uint64_t v = decimal_digits(&d);
    for (int64_t i = 0; i < d.exponent; i++)
        v *= 10;
    if (v > (uint64_t)INT64_MAX + d.negative)
        return false;
    *ret = d.negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

/* Powers of ten that a double holds exactly. */
static const double exact_powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                      1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static locale_t c_locale;

static void make_c_locale(void) {
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

static locale_t get_c_locale(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_c_locale);
    return c_locale;
}

static bool slow_double(struct slice text, double *ret) {
    char small[64], *s = small;
    if (text.len >= sizeof(small)) {
        s = malloc(text.len + 1);
        if (!s)
            return false;
    }
    memcpy(s, text.data, text.len);
    s[text.len] = '\0';
    double v = strtod_l(s, NULL, get_c_locale());
    if (s != small)
        free(s);
    if (!isfinite(v))
        return false;
    *ret = v;
    return true;
}

bool json_text_double(struct slice text, double *ret) {
    struct decimal d;
    if (!scan_decimal(text, &d))
        return false;
    if (d.count == 0) {
        *ret = d.negative ? -0.0 : 0.0;
        return true;
    }
    /* Clinger, "How to Read Floating Point Numbers Accurately" (1990): digits and power are both exact, so the
     * one multiplication or division rounds correctly. */
    if (d.count <= 15 && d.exponent >= -22 && d.exponent <= 22) {
        double v = (double)decimal_digits(&d);
        v = d.exponent < 0 ? v / exact_powers[-d.exponent] : v * exact_powers[d.exponent];
        *ret = d.negative ? -v : v;
        return true;
    }
    return slow_double(text, ret);
}

/* Writes digits * 10^-places, digits < 10^15. */
static size_t write_fixed(uint64_t digits, unsigned places, bool negative, char *ret) {
    char reverse[JSON_DOUBLE_SIZE];
    size_t n = 0, len = 0;
    for (unsigned i = 0; digits || i <= places; i++) {
        if (i == places && places)
            reverse[n++] = '.';
        reverse[n++] = (char)('0' + digits % 10);
        digits /= 10;
    }
    if (negative)
        ret[len++] = '-';
    while (n)
        ret[len++] = reverse[--n];
    ret[len] = '\0';
    return len;
}

/* Prices and sizes: at most 15 digits without an exponent. A decimal of at most 15 digits that reads back to v
 * is the only one, so what is found here is what "%.15g" would say. 0 if there is none. */
static size_t format_short(double v, char ret[JSON_DOUBLE_SIZE]) {
    double abs = fabs(v);
    if (abs >= 1e15 || abs < 1e-4)
        return 0;
    for (unsigned places = 0; places <= 19; places++) {
        double scaled = abs * exact_powers[places];
        if (scaled >= 1e15)
            return 0;
        uint64_t digits = (uint64_t)(scaled + 0.5);
        if (digits < 1000000000000000u && (double)digits / exact_powers[places] == abs)
            return write_fixed(digits, places, v < 0, ret);
    }
    return 0;
}

/* 15 digits, or as many more as it takes. */
static size_t format_long(double v, char ret[JSON_DOUBLE_SIZE]) {
    size_t len = 0;
    locale_t before = uselocale(get_c_locale());
    /* Subnormal numbers have fewer than 15 digits. */
    for (int precision = fabs(v) < DBL_MIN ? 1 : 15; precision <= 17; precision++) {
        int n = snprintf(ret, JSON_DOUBLE_SIZE, "%.*g", precision, v);
        len = n > 0 ? (size_t)n : 0;
        if (strtod(ret, NULL) == v)
            break;
    }
    uselocale(before);
    return len;
}

/* Such numbers are weights of a query, the same in every one: each thread keeps the last few. */
size_t json_format_double(double v, char ret[JSON_DOUBLE_SIZE]) {
    enum { KEPT = 8 };
    static _Thread_local struct {
        double v; /* 0: nothing */
        size_t len;
        char text[JSON_DOUBLE_SIZE];
    } kept[KEPT];
    static _Thread_local unsigned oldest;
    if (v == 0)
        return write_fixed(0, 0, signbit(v) != 0, ret);
    size_t len = format_short(v, ret);
    if (len)
        return len;
    for (unsigned i = 0; i < KEPT; i++)
        if (kept[i].v == v) {
            memcpy(ret, kept[i].text, JSON_DOUBLE_SIZE);
            return kept[i].len;
        }
    len = format_long(v, ret);
    unsigned at = oldest++ % KEPT;
    kept[at].v = v;
    kept[at].len = len;
    memcpy(kept[at].text, ret, len + 1);
    return len;
}
