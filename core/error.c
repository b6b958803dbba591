#include "core/error.h"
#include <stdio.h>
#include <string.h>

/* Takes away the incomplete UTF-8 sequence that cutting at a byte may have left at the end. */
static void trim_cut_sequence(char *s, size_t len) {
    size_t lead = len;
    while (lead > 0 && len - lead < 4) {
        unsigned char c = (unsigned char)s[--lead];
        if ((c & 0xC0) == 0x80)
            continue;
        size_t need = c < 0x80 ? 1 : (c & 0xE0) == 0xC0 ? 2 : (c & 0xF0) == 0xE0 ? 3 : (c & 0xF8) == 0xF0 ? 4 : 1;
        if (lead + need > len)
            s[lead] = '\0';
        return;
    }
}

static void format_message(char ret[sizeof(((struct error *)0)->message)], const char *format, va_list args) {
    size_t size = sizeof(((struct error *)0)->message);
    int n = vsnprintf(ret, size, format, args);
    if (n < 0)
        ret[0] = '\0';
    else if ((size_t)n >= size)
        trim_cut_sequence(ret, size - 1);
}

bool error_setv(struct error *reterr, enum error_code code, const char *format, va_list args) {
    if (!reterr)
        return false;
    /* Not written in place: an argument may be reterr->message itself. */
    struct error made = {.code = code};
    format_message(made.message, format, args);
    *reterr = made;
    return false;
}

bool error_set(struct error *reterr, enum error_code code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    error_setv(reterr, code, format, args);
    va_end(args);
    return false;
}

bool error_prefix(struct error *reterr, const char *format, ...) {
    if (!reterr)
        return false;
    char prefix[sizeof(reterr->message)];
    va_list args;
    va_start(args, format);
    format_message(prefix, format, args);
    va_end(args);
    return error_set(reterr, reterr->code, "%s: %s", prefix, reterr->message);
}

bool error_nomem(struct error *reterr) {
    return error_set(reterr, ERROR_INTERNAL, "out of memory");
}

bool error_is_retriable(const struct error *error) {
    return error->code == ERROR_OVERLOADED || error->code == ERROR_TIMEOUT || error->code == ERROR_UNAVAILABLE;
}

/* A failure that forgot its code must not look like a success: ERROR_NONE is 500 here. */
static const struct {
    const char *name;
    int http_status;
} code_table[] = {
    [ERROR_NONE] = {"NONE", 500},
    [ERROR_INVALID] = {"INVALID", 400},
    [ERROR_NOT_FOUND] = {"NOT_FOUND", 404},
    [ERROR_CONFLICT] = {"CONFLICT", 409},
    [ERROR_OVERLOADED] = {"OVERLOADED", 503},
    [ERROR_TIMEOUT] = {"TIMEOUT", 504},
    [ERROR_UNAVAILABLE] = {"UNAVAILABLE", 503},
    [ERROR_HISTORY_LOST] = {"HISTORY_LOST", 503},
    [ERROR_CORRUPT] = {"CORRUPT", 500},
    [ERROR_INTERNAL] = {"INTERNAL", 500},
};

static bool code_known(enum error_code code) {
    return (size_t)code < sizeof(code_table) / sizeof(code_table[0]);
}

const char *error_code_name(enum error_code code) {
    return code_known(code) ? code_table[code].name : "UNKNOWN";
}

int error_http_status(enum error_code code) {
    return code_known(code) ? code_table[code].http_status : 500;
}
