/* http_param.h - what an endpoint takes in its query string, as data: the same table reads requests (the endpoint's
 * own code), and documents them (openapi.h). Pure. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum http_param_type { HTTP_PARAM_STRING, HTTP_PARAM_INTEGER, HTTP_PARAM_BOOLEAN };

/* Tables end with a name of NULL. */
struct http_param {
    const char *name; /* "price"; "attr.{name}": every name that begins with "attr." */
    const char *about;
    const char *example;       /* a value that is accepted */
    const char *const *values; /* ends with NULL: one of these; or NULL */
    int64_t min, max;          /* INTEGER: its limits. STRING: most bytes, if max is not 0 */
    enum http_param_type type;
    bool repeated; /* may be given several times */
    bool required;
};
