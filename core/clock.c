#include "core/clock.h"
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static const int64_t wall_sec = 1000000;
static const int64_t day_sec = 86400;

usec_t clock_now_usec(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (usec_t)ts.tv_sec * USEC_PER_SEC + (usec_t)ts.tv_nsec / 1000;
}

int64_t clock_wall_usec(void) {
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * wall_sec + ts.tv_nsec / 1000;
}

/* Days since 1970-01-01 <-> proleptic Gregorian date: Howard Hinnant, "chrono-Compatible Low-Level Date
 * Algorithms" (days_from_civil, civil_from_days). gmtime_r would do, but takes the time zone lock. */
static int64_t days_from_civil(int64_t y, int64_t m, int64_t d) {
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

static void civil_from_days(int64_t days, int64_t *ret_y, int64_t *ret_m, int64_t *ret_d) {
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t doe = days - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *ret_d = doy - (153 * mp + 2) / 5 + 1;
    *ret_m = mp < 10 ? mp + 3 : mp - 9;
    *ret_y = yoe + era * 400 + (*ret_m <= 2);
}

static void put_digits(char *to, int64_t v, int digits) {
    while (digits-- > 0) {
        to[digits] = (char)('0' + v % 10);
        v /= 10;
    }
}

/* RFC 3339 has years 0000 to 9999 only; times outside are shown as the nearest one inside. */
static int64_t clamp_to_four_digit_years(int64_t wall_usec) {
    const int64_t first = days_from_civil(0, 1, 1) * day_sec * wall_sec;
    const int64_t last = days_from_civil(10000, 1, 1) * day_sec * wall_sec - 1;
    return wall_usec < first ? first : wall_usec > last ? last : wall_usec;
}

void clock_format_rfc3339(int64_t wall_usec, char ret[CLOCK_RFC3339_SIZE]) {
    wall_usec = clamp_to_four_digit_years(wall_usec);
    int64_t days = wall_usec / (day_sec * wall_sec);
    int64_t rest = wall_usec % (day_sec * wall_sec);
    if (rest < 0) {
        rest += day_sec * wall_sec;
        days--;
    }
    int64_t y, m, d, sec = rest / wall_sec;
    civil_from_days(days, &y, &m, &d);
    memcpy(ret, "0000-00-00T00:00:00.000000Z", 28);
    put_digits(ret, y, 4);
    put_digits(ret + 5, m, 2);
    put_digits(ret + 8, d, 2);
    put_digits(ret + 11, sec / 3600, 2);
    put_digits(ret + 14, sec / 60 % 60, 2);
    put_digits(ret + 17, sec % 60, 2);
    put_digits(ret + 20, rest % wall_sec, 6);
}

struct scan {
    const char *at, *end;
};

static bool scan_digits(struct scan *s, int count, int64_t min, int64_t max, int64_t *ret) {
    int64_t v = 0;
    for (int i = 0; i < count; i++, s->at++) {
        if (s->at == s->end || *s->at < '0' || *s->at > '9')
            return false;
        v = v * 10 + (*s->at - '0');
    }
    *ret = v;
    return v >= min && v <= max;
}

static bool scan_any(struct scan *s, const char *chars, char *ret) {
    if (s->at == s->end || *s->at == '\0' || !strchr(chars, *s->at))
        return false;
    *ret = *s->at++;
    return true;
}

static bool scan_fraction(struct scan *s, int64_t *ret_usec) {
    char dot;
    *ret_usec = 0;
    if (!scan_any(s, ".", &dot))
        return true;
    int digits = 0;
    for (; s->at < s->end && *s->at >= '0' && *s->at <= '9'; s->at++, digits++)
        if (digits < 6)
            *ret_usec = *ret_usec * 10 + (*s->at - '0');
    for (int i = digits; i < 6; i++)
        *ret_usec *= 10;
    return digits >= 1 && digits <= 9;
}

static bool scan_offset(struct scan *s, int64_t *ret_sec) {
    char sign;
    int64_t h, m;
    *ret_sec = 0;
    if (!scan_any(s, "Zz+-", &sign))
        return false;
    if (sign == 'Z' || sign == 'z')
        return true;
    char colon;
    if (!scan_digits(s, 2, 0, 23, &h) || !scan_any(s, ":", &colon) || !scan_digits(s, 2, 0, 59, &m))
        return false;
    *ret_sec = (h * 60 + m) * (sign == '-' ? -60 : 60);
    return true;
}

static int64_t days_in_month(int64_t y, int64_t m) {
    static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return days[m - 1] + (m == 2 && leap);
}

bool clock_parse_rfc3339(const char *str, size_t len, int64_t *ret_wall_usec) {
    struct scan s = {str, str + len};
    int64_t y, m, d, hour, min, sec, usec, offset;
    char c;
    /* Second 60 is a leap second: it becomes the first second of the next minute, as in POSIX time. */
    if (!scan_digits(&s, 4, 0, 9999, &y) || !scan_any(&s, "-", &c) || !scan_digits(&s, 2, 1, 12, &m) ||
        !scan_any(&s, "-", &c) || !scan_digits(&s, 2, 1, days_in_month(y, m), &d) || !scan_any(&s, "Tt", &c) ||
        !scan_digits(&s, 2, 0, 23, &hour) || !scan_any(&s, ":", &c) || !scan_digits(&s, 2, 0, 59, &min) ||
        !scan_any(&s, ":", &c) || !scan_digits(&s, 2, 0, 60, &sec) || !scan_fraction(&s, &usec) ||
        !scan_offset(&s, &offset) || s.at != s.end)
        return false;
    int64_t total = days_from_civil(y, m, d) * day_sec + hour * 3600 + min * 60 + sec - offset;
    *ret_wall_usec = total * wall_sec + usec;
    return true;
}

/* splitmix64 (Steele, Lea, Flood 2014), one state per thread, seeded by the kernel. */
uint64_t clock_random_u64(void) {
    static _Thread_local uint64_t state;
    static _Thread_local bool seeded;
    if (!seeded) {
        if (getrandom(&state, sizeof(state), GRND_NONBLOCK) != (ssize_t)sizeof(state))
            state = clock_now_usec() * 0x9E3779B97F4A7C15u ^ (uint64_t)(uintptr_t)&state;
        seeded = true;
    }
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

usec_t clock_backoff_usec(unsigned attempt, usec_t min_usec, usec_t max_usec) {
    usec_t high = min_usec;
    for (unsigned i = 0; i < attempt && high < max_usec; i++)
        high = high > UINT64_MAX / 2 ? max_usec : high * 2;
    if (high > max_usec)
        high = max_usec;
    usec_t low = min_usec / 2 < high ? min_usec / 2 : high;
    usec_t span = high - low;
    return low + (span == UINT64_MAX ? clock_random_u64() : clock_random_u64() % (span + 1));
}
