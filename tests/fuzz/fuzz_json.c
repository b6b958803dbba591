/* JSON text -> tree -> JSON text: whatever is accepted is written again, and reads back as the same tree. */
#include "core/json_read.h"
#include "core/json_write.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(const struct json *a, const struct json *b) {
    if (a->type != b->type || a->count != b->count || a->boolean != b->boolean || !slice_eq(a->key, b->key) ||
        !slice_eq(a->text, b->text))
        return false;
    const struct json *x = a->child, *y = b->child;
    for (; x && y; x = x->next, y = y->next)
        if (!same(x, y))
            return false;
    return !x && !y;
}

/* A number that is an int64 and a double is the same in both, and a double's text reads back. */
static void check_numbers(const struct json *v) {
    int64_t i;
    double d, back;
    if (json_double(v, &d)) {
        char text[JSON_DOUBLE_SIZE];
        size_t len = json_format_double(d, text);
        if (!json_text_double((struct slice){text, len}, &back) || back != d)
            abort();
        if (json_int64(v, &i) && (double)i != d)
            abort();
    }
    for (const struct json *m = v->child; m; m = m->next)
        check_numbers(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct error error = {0};
    arena_init(&arena, 4 << 20);
    const struct json *v = json_parse(&arena, (const char *)data, size, NULL, &error);
    if (!v && (error.code == ERROR_NONE || error.message[0] == '\0'))
        abort();
    if (v) {
        struct buf out = BUF_INIT(4 << 20);
        struct json_write w;
        json_write_init(&w, &out);
        json_write_json(&w, v);
        if (!json_write_finish(&w))
            abort();
        const struct json *again = json_parse(&arena, out.data, out.len, NULL, &error);
        if (!again || !same(v, again))
            abort();
        check_numbers(v);
        buf_done(&out);
    }
    arena_done(&arena);
    return 0;
}
