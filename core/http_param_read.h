/* http_param_read.h - a query string read by its table of parameters. Pure. Thread: any. */
#pragma once
#include "core/arena.h"
#include "core/field_error.h"
#include "core/http_param.h"

/* ret_values[i] is the value of params[i] without blanks at its ends, data NULL if it is not given. For tables without
 * `repeated` and open names. False: *ret_bad says what is wrong with which; its field is NULL if memory is out. Limits,
 * enums and integers are checked; nothing else is. */
bool http_params_read(struct arena *arena, const struct http_param *params, struct slice query, struct slice *ret_values,
                      struct field_error *ret_bad);
/* Without the blanks and controls at its ends. */
struct slice http_param_trim(struct slice s);
bool http_param_has_control(struct slice s); /* below U+0020, or U+007F */
/* The integer of a value that http_params_read has let pass; otherwise if it was not given. */
int64_t http_param_integer(struct slice value, int64_t otherwise);
