/* field_error.h - one mistake in a request: which field, and what is wrong with it. For validators, which do no
 * I/O; http_reply_problem() sends them. */
#pragma once

struct field_error {
    const char *field; /* "price", "variants[2].sku", "q" */
    const char *message;
};
