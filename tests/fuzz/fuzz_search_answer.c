/* Two readers of JSON must agree: what json_parse takes, answer_json_parse takes as the same tree; what it refuses is
 * refused, unless a key that stands twice is why. */
#include "query-api/search/answer_json.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* key, perhaps from, perhaps to, doc_count */
static bool same_bucket(const struct json *object, const struct json *bucket) {
    const struct json *key = object->child, *at = key ? key->next : NULL;
    static const char *const ends[] = {"from", "to"};
    int64_t n;
    for (size_t i = 0; i < 2; i++)
        if (at && at->type == JSON_NUMBER && slice_eq(at->key, slice_str(ends[i])))
            at = at->next;
    return object->type == JSON_OBJECT && key && slice_eq(key->key, SLICE("key")) && key->type == JSON_STRING &&
           slice_eq(key->text, bucket->text) && at && !at->next && slice_eq(at->key, SLICE("doc_count")) && json_int64(at, &n) &&
           n == bucket->count && bucket->text.data[bucket->text.len] == '\0';
}

static bool same(const struct json *a, const struct json *b) {
    for (; a && b; a = a->next, b = b->next)
        if (b->type == JSON_BUCKET ? !same_bucket(a, b) :
            a->type != b->type || !slice_eq(a->key, b->key) || !slice_eq(a->text, b->text) || a->boolean != b->boolean ||
            a->count != b->count || !same(a->child, b->child) ||
            ((a->type == JSON_NUMBER || a->type == JSON_STRING) && a->text.data[a->text.len] != '\0'))
            return false;
    return !a && !b;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena one, other;
    struct error error = {0};
    char *copy = fuzz_text(data, size);
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
