#include "write-api/import.h"
#include "core/cleanup.h"

/* Keys and errors: a batch of nothing but mistakes needs the most. */
enum { ARENA_MAX = 32 << 20, DOCS_FACTOR = 8 };

struct import_batch *import_batch_new(struct import *import, const struct write_conf *conf) {
    struct import_batch *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    b->lines = calloc((size_t)conf->import_batch_lines, sizeof(*b->lines));
    if (!b->lines) {
        free(b);
        return NULL;
    }
    size_t longest = (size_t)(conf->import_batch_bytes > conf->import_line_max_bytes ? conf->import_batch_bytes
                                                                                    : conf->import_line_max_bytes);
    b->import = import;
    buf_init(&b->text, longest + 1);
    buf_init(&b->docs, longest * DOCS_FACTOR + (size_t)conf->import_batch_lines * 1024);
    arena_init(&b->arena, ARENA_MAX);
    return b;
}

void import_batch_free(struct import_batch *b) {
    if (!b)
        return;
    buf_done(&b->text);
    buf_done(&b->docs);
    arena_done(&b->arena);
    free(b->lines);
    free(b);
}

bool import_batch_has_room(const struct import_batch *b, const struct write_conf *conf, size_t bytes) {
    return b->count < (size_t)conf->import_batch_lines &&
           (b->count == 0 || b->text.len + bytes <= (size_t)conf->import_batch_bytes);
}

void import_line_fail(struct import_batch *batch, struct import_line *line, int status,
                      const struct problems *problems) {
    line->status = status;
    line->error_count = 0;
    line->errors = arena_alloc(&batch->arena, problems->count * sizeof(*line->errors));
    if (!line->errors)
        return;
    for (unsigned i = 0; i < problems->count; i++) {
        const char *field = arena_strdup(&batch->arena, problems->errors[i].field);
        const char *message = arena_strdup(&batch->arena, problems->errors[i].message);
        if (!field || !message)
            return;
        line->errors[line->error_count++] = (struct field_error){field, message};
    }
}

void import_line_fail_text(struct import_batch *batch, struct import_line *line, int status, const char *field,
                           const char *message) {
    struct problems problems = {.errors = {{field, message}}, .count = 1};
    import_line_fail(batch, line, status, &problems);
}

/* By key, then by place in the upload. */
static int compare(const void *a, const void *b) {
    const struct import_line *x = *(struct import_line *const *)a, *y = *(struct import_line *const *)b;
    size_t len = x->key.len < y->key.len ? x->key.len : y->key.len;
    int order = memcmp(x->key.data, y->key.data, len);
    if (order)
        return order;
    if (x->key.len != y->key.len)
        return x->key.len < y->key.len ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

bool import_batch_sort(struct import_batch *batch, struct session *s, struct import_sorted *ret, struct error *reterr) {
    struct import_line **sorted = arena_alloc(&s->arena, (batch->count + 1) * sizeof(struct import_line *));
    if (!sorted)
        return error_nomem(reterr);
    *ret = (struct import_sorted){.lines = sorted};
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->lines[i].status == 0)
            sorted[ret->count++] = &batch->lines[i];
    }
    if (ret->count)
        qsort(sorted, ret->count, sizeof(struct import_line *), compare);
    for (size_t i = 0; i < ret->count; i++) {
        bool same = i > 0 && slice_eq(sorted[i]->key, sorted[i - 1]->key);
        sorted[i]->round = same ? sorted[i - 1]->round + 1 : 0;
        if (same)
            sorted[i]->repeated = sorted[i - 1]->repeated = true;
        if (sorted[i]->round >= ret->rounds)
            ret->rounds = sorted[i]->round + 1;
    }
    return true;
}

const struct json *import_line_json(struct import_batch *batch, struct import_line *line, struct session *s,
                                    struct problems *problems) {
    struct error error = {0};
    problems_reset(problems);
    arena_reset(&s->arena);
    if (line->too_long) {
        import_line_fail_text(batch, line, 413, "", "the line is longer than [write-api] import_line_max");
        return NULL;
    }
    const struct json *tree = json_parse(&s->arena, batch->text.data + line->offset, line->len,
                                         &s->service->json_limits, &error);
    if (!tree)
        import_line_fail_text(batch, line, error_http_status(error.code), "", error.message);
    return tree;
}

void import_batch_restart(struct import_batch *batch) {
    buf_reset(&batch->docs);
    arena_reset(&batch->arena);
    batch->category_revision = 0;
    for (size_t i = 0; i < batch->count; i++) {
        struct import_line *line = &batch->lines[i];
        *line = (struct import_line){.offset = line->offset,
                                     .len = line->len,
                                     .number = line->number,
                                     .repeated = line->repeated,
                                     .tried = line->tried && line->status < 400,
                                     .too_long = line->too_long};
    }
}
