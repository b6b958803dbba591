#include "core/cleanup.h"
#include "core/json_write.h"
#include "projector/commands/json_diff.h"

enum { TEXT_BYTES_MAX = 1 << 20 };

void json_lines_done(struct json_lines *lines) {
    for (size_t i = 0; i < lines->count; i++) {
        free(lines->lines[i].path);
        free(lines->lines[i].value);
    }
    free(lines->lines);
    *lines = JSON_LINES_INIT;
}

/* Takes both. */
static void append(struct json_lines *lines, char *path, char *value) {
    if (path && value && lines->count == lines->capacity) {
        size_t capacity = lines->capacity ? lines->capacity * 2 : 64;
        struct json_line *grown = realloc(lines->lines, capacity * sizeof(*grown));
        if (grown) {
            lines->lines = grown;
            lines->capacity = capacity;
        }
    }
    if (!path || !value || lines->count == lines->capacity) {
        lines->failed = true;
        free(path);
        free(value);
        return;
    }
    lines->lines[lines->count++] = (struct json_line){path, value};
}

static void append_value(struct buf *out, const struct json *value) {
    if (json_is(value, JSON_STRING)) {
        buf_append(out, value->text.data, value->text.len);
        return;
    }
    if (json_is(value, JSON_ARRAY) && value->count == 1) { /* to Elasticsearch "x" and ["x"] are the same */
        append_value(out, value->child);
        return;
    }
    if (json_is(value, JSON_ARRAY)) {
        buf_append_char(out, '[');
        for (const struct json *item = value->child; item; item = item->next) {
            append_value(out, item);
            if (item->next)
                buf_append_str(out, ", ");
        }
        buf_append_char(out, ']');
        return;
    }
    struct json_write w;
    json_write_init(&w, out);
    json_write_json(&w, value);
    json_write_finish(&w);
}

/* An array whose items are objects with a "field". */
static bool has_fields(const struct json *tree) {
    if (!json_is(tree, JSON_ARRAY) || !tree->child)
        return false;
    for (const struct json *item = tree->child; item; item = item->next)
        if (!json_is(item, JSON_OBJECT) || !json_is(json_get(item, "field"), JSON_STRING))
            return false;
    return true;
}

static void flatten(struct json_lines *lines, struct buf *path, const struct json *tree) {
    size_t len = path->len;
    bool fields = has_fields(tree);
    if (len == 0 && !tree->child)
        return;
    if (!fields && (!json_is(tree, JSON_OBJECT) || !tree->child)) {
        struct buf value = BUF_INIT(TEXT_BYTES_MAX);
        append_value(&value, tree);
        append(lines, buf_ok(path) && path->data ? strdup(path->data) : NULL,
               buf_ok(&value) ? strdup(value.data ? value.data : "") : NULL);
        buf_done(&value);
        return;
    }
    for (const struct json *m = tree->child; m; m = m->next) {
        struct slice key = fields ? json_get(m, "field")->text : m->key;
        if (len)
            buf_append_char(path, '.');
        buf_append(path, key.data, key.len);
        if (!buf_ok(path)) {
            lines->failed = true;
            return;
        }
        flatten(lines, path, m);
        if (!buf_ok(path))
            return;
        buf_truncate(path, len);
    }
}

void json_lines_add(struct json_lines *lines, const char *prefix, const struct json *tree) {
    _cleanup_(buf_done) struct buf path = BUF_INIT(TEXT_BYTES_MAX);
    if (!tree)
        return;
    if (prefix)
        buf_append_str(&path, prefix);
    flatten(lines, &path, tree);
}

static int compare(const void *a, const void *b) {
    return strcmp(((const struct json_line *)a)->path, ((const struct json_line *)b)->path);
}

void json_lines_sort(struct json_lines *lines) {
    if (lines->count)
        qsort(lines->lines, lines->count, sizeof(lines->lines[0]), compare);
}

void json_lines_diff(const struct json_lines *before, const struct json_lines *after,
                     void (*fn)(void *ctx, const char *path, const char *before, const char *after), void *ctx) {
    for (size_t i = 0, j = 0; i < before->count || j < after->count;) {
        const struct json_line *a = i < before->count ? &before->lines[i] : NULL;
        const struct json_line *b = j < after->count ? &after->lines[j] : NULL;
        int order = !a ? 1 : !b ? -1 : strcmp(a->path, b->path);
        if (order != 0 || strcmp(a->value, b->value) != 0)
            fn(ctx, order <= 0 ? a->path : b->path, order <= 0 ? a->value : NULL, order >= 0 ? b->value : NULL);
        i += order <= 0;
        j += order >= 0;
    }
}
