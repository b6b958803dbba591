/* code_names.h - which attributes are codes (mappings/README.md): they stand in fields of their own. The index says it, in
 * mappings._meta.readside.projection.code_attributes.
 * Pure. Thread: that of the loop it belongs to. */
#pragma once
#include "core/json_read.h"

enum { CODE_NAMES_MAX = 64, CODE_NAME_MAX_BYTES = 63 };

struct code_names {
    size_t count;
    struct {
        uint8_t len;
        char text[CODE_NAME_MAX_BYTES];
    } names[CODE_NAMES_MAX];
};

/* From a list of strings; anything else is none. Names beyond the limits, which no projection has, are left out. */
void code_names_read(struct code_names *names, const struct json *list);
/* attribute: "model", or "maker.model": the last step of it counts. names may be NULL: none. */
bool code_names_has(const struct code_names *names, struct slice attribute);
