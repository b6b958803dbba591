#include "core/http_param_read.h"
#include "core/uri.h"
#include "core/utf8.h"

enum { PAIRS_MAX = 64, INTEGER_DIGITS_MAX = 18, NAME_SHOWN_BYTES = 80 };

struct slice http_param_trim(struct slice s) {
    while (s.len && (unsigned char)s.data[0] <= ' ')
        s.data++, s.len--;
    while (s.len && (unsigned char)s.data[s.len - 1] <= ' ')
        s.len--;
    return s;
}

bool http_param_has_control(struct slice s) {
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.data[i] < 0x20 || s.data[i] == 0x7f)
            return true;
    return false;
}

static bool read_integer(struct slice s, int64_t *ret) {
    bool negative = s.len && s.data[0] == '-';
    int64_t v = 0;
    if (s.len == (size_t)negative || s.len > INTEGER_DIGITS_MAX)
        return false;
    for (size_t i = negative; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
        v = v * 10 + (s.data[i] - '0');
    }
    *ret = negative ? -v : v;
    return true;
}

static bool is_one_of(struct slice value, const char *const *values) {
    for (; *values; values++)
        if (slice_eq(value, slice_str(*values)))
            return true;
    return false;
}

/* What is wrong with a value; NULL: nothing. */
static const char *check(struct arena *arena, const struct http_param *param, struct slice value) {
    int64_t v;
    if (http_param_has_control(value))
        return "holds a control character";
    if (param->type == HTTP_PARAM_INTEGER && (!read_integer(value, &v) || v < param->min || v > param->max))
        return arena_printf(arena, "must be a whole number from %lld to %lld", (long long)param->min,
                            (long long)param->max);
    if (param->type == HTTP_PARAM_STRING && param->max && value.len > (size_t)param->max)
        return arena_printf(arena, "is longer than %lld bytes", (long long)param->max);
    if (param->values && !is_one_of(value, param->values))
        return "is none of the values it can have";
    return param->required && value.len == 0 ? "is empty" : NULL;
}

static bool refuse(struct arena *arena, struct slice field, const char *message, struct field_error *ret_bad) {
    const char *name = arena_strndup(arena, field.len ? field.data : "", utf8_cut(field.data, field.len, NAME_SHOWN_BYTES));
    *ret_bad = (struct field_error){message ? name : NULL, message};
    return false;
}

bool http_params_read(struct arena *arena, const struct http_param *params, struct slice query, struct slice *ret_values,
                      struct field_error *ret_bad) {
    struct uri_pair *pairs = NULL;
    size_t count = 0, param_count = 0;
    struct error error = {0};
    for (; params[param_count].name; param_count++)
        ret_values[param_count] = (struct slice){NULL, 0};
    if (!uri_parse_query(arena, query.data, query.len, PAIRS_MAX, &pairs, &count, &error))
        return refuse(arena, SLICE("query"), arena_strdup(arena, error.message), ret_bad);
    for (size_t i = 0; i < count; i++) {
        size_t p = 0;
        while (p < param_count && !slice_eq(pairs[i].key, slice_str(params[p].name)))
            p++;
        if (p == param_count)
            return refuse(arena, pairs[i].key, "is no parameter of this endpoint", ret_bad);
        if (ret_values[p].data)
            return refuse(arena, pairs[i].key, "is given more than once", ret_bad);
        struct slice value = http_param_trim(pairs[i].value);
        const char *wrong = check(arena, &params[p], value);
        if (wrong)
            return refuse(arena, pairs[i].key, wrong, ret_bad);
        ret_values[p] = (struct slice){value.data ? value.data : "", value.len};
    }
    for (size_t p = 0; p < param_count; p++)
        if (params[p].required && !ret_values[p].data)
            return refuse(arena, slice_str(params[p].name), "is missing", ret_bad);
    return true;
}

int64_t http_param_integer(struct slice value, int64_t otherwise) {
    int64_t v;
    return value.data && read_integer(value, &v) ? v : otherwise;
}
