#include "core/conf_value.h"
#include "core/link.h"
#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

struct unit {
    const char *name;
    int64_t factor;
};
/* From small to large: the largest that divides a value is the one it is printed in. */
static const struct unit duration_units[] = {{"us", 1},       {"ms", 1000},      {"s", 1000000},
                                             {"m", 60000000}, {"h", 3600000000}, {"d", 86400000000}};
static const struct unit bytes_units[] = {{"", 1}, {"k", 1 << 10}, {"m", 1 << 20}, {"g", 1 << 30}};
enum {
    DURATION_UNITS = sizeof(duration_units) / sizeof(struct unit),
    BYTES_UNITS = sizeof(bytes_units) / sizeof(struct unit)
};

/* [-]digits at the start of text; *ret_rest is what follows. */
static bool scan_int(const char *text, int64_t *ret, const char **ret_rest) {
    bool negative = *text == '-';
    const char *s = text + negative;
    int64_t v = 0;
    if (*s < '0' || *s > '9')
        return false;
    for (; *s >= '0' && *s <= '9'; s++) {
        int digit = *s - '0';
        if (__builtin_mul_overflow(v, (int64_t)10, &v) || __builtin_sub_overflow(v, (int64_t)digit, &v))
            return false;
    }
    if (!negative && __builtin_sub_overflow((int64_t)0, v, &v)) /* counted downwards: INT64_MIN has no positive */
        return false;
    *ret = v;
    *ret_rest = s;
    return true;
}

static bool scan_quantity(const char *text, const struct unit *units, size_t count, int64_t *ret) {
    const char *rest;
    int64_t v;
    if (!scan_int(text, &v, &rest) || v < 0)
        return false;
    if (v == 0 && *rest == '\0') {
        *ret = 0;
        return true;
    }
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(rest, units[i].name) == 0)
            return !__builtin_mul_overflow(v, units[i].factor, ret);
    return false;
}

static bool format_quantity(struct buf *out, int64_t v, const struct unit *units, size_t count) {
    const struct unit *unit = &units[0];
    for (size_t i = 1; i < count; i++)
        if (v != 0 && v % units[i].factor == 0)
            unit = &units[i];
    return buf_append_i64(out, v / unit->factor) && buf_append_str(out, unit->name);
}

static bool format_number(const struct option *option, struct buf *out, int64_t v) {
    if (option->type == OPTION_DURATION)
        return format_quantity(out, v, duration_units, DURATION_UNITS);
    if (option->type == OPTION_BYTES)
        return format_quantity(out, v, bytes_units, BYTES_UNITS);
    return buf_append_i64(out, v);
}

static bool has_range(const struct option *option) {
    return option->min != 0 || option->max != 0;
}

bool conf_value_describe(const struct option *option, struct buf *out) {
    static const char *const names[] = {
        [OPTION_STRING] = "text",     [OPTION_SECRET] = "secret",     [OPTION_URL] = "URL",
        [OPTION_PEM] = "PEM file",    [OPTION_INT] = "whole number",  [OPTION_BOOL] = "true|false",
        [OPTION_DURATION] = "duration", [OPTION_BYTES] = "bytes",     [OPTION_ENUM] = "",
    };
    buf_append_str(out, option->type == OPTION_ENUM ? option->values : names[option->type]);
    if (has_range(option) &&
        (option->type == OPTION_INT || option->type == OPTION_DURATION || option->type == OPTION_BYTES)) {
        buf_append_char(out, ' ');
        format_number(option, out, option->min);
        buf_append_str(out, " to ");
        format_number(option, out, option->max);
    }
    if (option->type == OPTION_SECRET && option->max)
        buf_printf(out, " of at most %lld bytes", (long long)option->max);
    return buf_ok(out);
}

static bool expected(const struct option *option, struct error *reterr) {
    static const char *const examples[] = {
        [OPTION_DURATION] = ", written as 500us 20ms 3s 5m 2h or 1d",
        [OPTION_BYTES] = ", written as 4096 64k 16m or 1g",
        [OPTION_ENUM] = NULL,
    };
    struct buf b = BUF_INIT(1024);
    bool described = conf_value_describe(option, &b);
    const char *example = examples[option->type];
    if (described)
        error_set(reterr, ERROR_INVALID, "expected %s%s", b.data, example ? example : "");
    else
        error_nomem(reterr);
    buf_done(&b);
    return false;
}

static bool scan_bool(const char *text, bool *ret) {
    static const char *const words[] = {"false", "true", "off", "on", "no", "yes", "0", "1"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *ret = i % 2 == 1;
            return true;
        }
    }
    return false;
}

static bool scan_enum(const char *values, const char *text, int *ret) {
    size_t len = strlen(text);
    for (int i = 0;; i++) {
        size_t n = strcspn(values, "|");
        if (n == len && memcmp(values, text, n) == 0) {
            *ret = i;
            return true;
        }
        if (values[n] == '\0')
            return false;
        values += n + 1;
    }
}

static bool in_range(const struct option *option, int64_t v) {
    return !has_range(option) || (v >= option->min && v <= option->max);
}

bool conf_value_is_string(const struct option *option) {
    return option->type == OPTION_STRING || option->type == OPTION_SECRET || option->type == OPTION_URL ||
           option->type == OPTION_PEM;
}

bool conf_value_has_file(const struct option *option) {
    return option->type == OPTION_SECRET || option->type == OPTION_URL;
}

static bool parse_string(const struct option *option, const char *text, char **ret, struct error *reterr) {
    if (option->type == OPTION_PEM && text[0] && !link_check_pem(text, option->values, reterr))
        return false;
    if (option->type == OPTION_SECRET && option->max && strlen(text) > (size_t)option->max)
        return expected(option, reterr);
    *ret = strdup(text);
    return *ret || error_nomem(reterr);
}

bool conf_value_parse(const struct option *option, const char *text, union conf_value *ret, struct error *reterr) {
    const char *rest = "";
    int64_t v = 0;
    bool ok = false;
    switch (option->type) {
    case OPTION_STRING:
    case OPTION_SECRET:
    case OPTION_URL:
    case OPTION_PEM:
        return parse_string(option, text, &ret->string, reterr);
    case OPTION_INT:
        ok = scan_int(text, &v, &rest) && *rest == '\0' && in_range(option, v);
        ret->integer = v;
        break;
    case OPTION_BYTES:
        ok = scan_quantity(text, bytes_units, BYTES_UNITS, &v) && in_range(option, v);
        ret->integer = v;
        break;
    case OPTION_DURATION:
        ok = scan_quantity(text, duration_units, DURATION_UNITS, &v) && in_range(option, v);
        ret->duration = (usec_t)v;
        break;
    case OPTION_BOOL:
        ok = scan_bool(text, &ret->boolean);
        break;
    case OPTION_ENUM:
        ok = scan_enum(option->values, text, &ret->index);
        break;
    }
    return ok || expected(option, reterr);
}

void conf_value_store(const struct option *option, void *target, union conf_value value) {
    void *field = (char *)target + option->offset;
    switch (option->type) {
    case OPTION_STRING:
    case OPTION_SECRET:
    case OPTION_URL:
    case OPTION_PEM:
        *(char **)field = value.string;
        break;
    case OPTION_INT:
    case OPTION_BYTES:
        *(int64_t *)field = value.integer;
        break;
    case OPTION_DURATION:
        *(usec_t *)field = value.duration;
        break;
    case OPTION_BOOL:
        *(bool *)field = value.boolean;
        break;
    case OPTION_ENUM:
        *(int *)field = value.index;
        break;
    }
}

static bool format_enum(const char *values, int index, struct buf *out) {
    for (; index > 0; index--)
        values += strcspn(values, "|") + 1;
    return buf_append(out, values, strcspn(values, "|"));
}

bool conf_value_format(const struct option *option, const void *target, struct buf *out) {
    const void *field = (const char *)target + option->offset;
    const char *string;
    switch (option->type) {
    case OPTION_STRING:
    case OPTION_SECRET:
    case OPTION_URL:
    case OPTION_PEM:
        string = *(char *const *)field;
        return buf_append_str(out, string ? string : "");
    case OPTION_INT:
    case OPTION_BYTES:
        return format_number(option, out, *(const int64_t *)field);
    case OPTION_DURATION:
        return format_number(option, out, (int64_t) * (const usec_t *)field);
    case OPTION_BOOL:
        return buf_append_str(out, *(const bool *)field ? "true" : "false");
    case OPTION_ENUM:
        return format_enum(option->values, *(const int *)field, out);
    }
    return false;
}
