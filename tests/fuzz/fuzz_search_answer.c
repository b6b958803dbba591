/* Two readers of JSON must agree: what json_parse takes, answer_json_parse takes as the same tree; what it refuses is
 * refused, unless a key that stands twice is why. */
#include "query-api/search/answer_json.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(const struct json *a, const struct json *b) {
    for (; a && b; a = a->next, b = b->next)
        if (a->type != b->type || !slice_eq(a->key, b->key) || !slice_eq(a->text, b->text) || a->boolean != b->boolean ||
            a->count != b->count || !same(a->child, b->child) ||
            ((a->type == JSON_NUMBER || a->type == JSON_STRING) && a->text.data[a->text.len] != '\0'))
            return false;
    return !a && !b;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena one, other;
    struct error error = {0};
    char *copy = malloc(size + 1);
    if (!copy)
        abort();
    if (size)
        memcpy(copy, data, size);
    copy[size] = '\0';
    arena_init(&one, 64 << 20);
    arena_init(&other, 64 << 20);
    const struct json *wanted = json_parse(&one, copy, size, &(struct json_limits){.depth_max = 48, .values_max = 1000000}, &error);
    const struct json *v = answer_json_parse(&other, copy, size, 48, NULL);
    if (wanted ? !v || !same(wanted, v) : v && !strstr(error.message, "stands twice"))
        abort();
    arena_done(&one);
    arena_done(&other);
    free(copy);
    return 0;
}
