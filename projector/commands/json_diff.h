/* json_diff.h - what differs between two JSON trees, member by member. Pure.
 *
 * A tree is flattened to lines of a path and a value: {"a": {"b": [1, true]}} is a.b = [1, true]. Arrays are values (one of a single item is that item),
 * numbers and booleans are compared as their texts (Elasticsearch returns settings as strings). An array of objects
 * with a member "field" (the rules of a projection) is flattened by that member.
 *
 *   struct json_lines before = JSON_LINES_INIT, after = JSON_LINES_INIT;
 *   json_lines_add(&before, "mappings", tree) ...; json_lines_sort(&before); ...
 *   json_lines_diff(&before, &after, fn, ctx);
 *
 * Thread: one owner. */
#pragma once
#include "core/json_read.h"

struct json_line {
    char *path, *value;
};

struct json_lines {
    struct json_line *lines;
    size_t count, capacity;
    bool failed; /* no memory */
};
#define JSON_LINES_INIT                                                                            \
    (struct json_lines) {                                                                          \
        0                                                                                          \
    }

void json_lines_done(struct json_lines *lines);
/* prefix: stands before the path; NULL or "": none. */
void json_lines_add(struct json_lines *lines, const char *prefix, const struct json *tree);
void json_lines_sort(struct json_lines *lines);
/* Both sorted. before or after is NULL where the line is only on the other side. */
void json_lines_diff(const struct json_lines *before, const struct json_lines *after,
                     void (*fn)(void *ctx, const char *path, const char *before, const char *after), void *ctx);
