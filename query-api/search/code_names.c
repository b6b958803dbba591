#include "query-api/search/code_names.h"
#include <string.h>

void code_names_read(struct code_names *names, const struct json *list) {
    names->count = 0;
    for (const struct json *n = json_is(list, JSON_ARRAY) ? list->child : NULL; n && names->count < CODE_NAMES_MAX; n = n->next) {
        if (!json_is(n, JSON_STRING) || n->text.len == 0 || n->text.len > CODE_NAME_MAX_BYTES)
            continue;
        names->names[names->count].len = (uint8_t)n->text.len;
        memcpy(names->names[names->count++].text, n->text.data, n->text.len);
    }
}

bool code_names_has(const struct code_names *names, struct slice attribute) {
    const char *dot = attribute.len ? memrchr(attribute.data, '.', attribute.len) : NULL;
    if (dot)
        attribute = (struct slice){dot + 1, attribute.len - (size_t)(dot + 1 - attribute.data)};
    for (size_t i = 0; names && i < names->count; i++)
        if (slice_eq(attribute, (struct slice){names->names[i].text, names->names[i].len}))
            return true;
    return false;
}
