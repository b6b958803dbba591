/* conf_value.h - one option's value between text and its C type; shared by conf.c and conf_print.c only. */
#pragma once
#include "core/conf.h"

union conf_value {
    char *string;    /* STRING, SECRET, URL, PEM: malloc'ed */
    int64_t integer; /* INT, BYTES */
    usec_t duration;
    bool boolean;
    int index; /* ENUM */
};

bool conf_value_is_string(const struct option *option); /* its value is a malloc'ed text */
/* May its value come from a file of its own, <key>_file? */
bool conf_value_has_file(const struct option *option);
/* Parses text by the option's type and range. On failure the error says only what was expected
 * ("expected a duration from 1ms to 1h, such as 500ms"). The caller owns the string. */
bool conf_value_parse(const struct option *option, const char *text, union conf_value *ret, struct error *reterr);
void conf_value_store(const struct option *option, void *target, union conf_value value);
/* Appends the value that stands in target as text that parses back; a secret as it is. */
bool conf_value_format(const struct option *option, const void *target, struct buf *out);
/* Appends "whole number 1 to 64", "duration 1ms to 1h", "logfmt|json", ... */
bool conf_value_describe(const struct option *option, struct buf *out);
