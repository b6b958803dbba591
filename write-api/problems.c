#include "write-api/problems.h"
#include "core/utf8.h"
#include <stdio.h>

enum { ARENA_MAX = 64 << 10, NAME_MAX_SHOWN = 80, PATH_MAX_SHOWN = 300, DEPTH_SHOWN = 16 };

void problems_init(struct problems *p) {
    arena_init(&p->arena, ARENA_MAX);
    p->count = p->more = 0;
}

void problems_reset(struct problems *p) {
    if (p->count)
        arena_reset(&p->arena);
    p->count = p->more = 0;
}

void problems_done(struct problems *p) {
    arena_done(&p->arena);
    p->count = p->more = 0;
}

/* Names come from the client: cut, and without bytes that would end a C string or a log line. */
static void append_name(struct buf *out, struct slice name) {
    size_t len = utf8_cut(name.data, name.len, NAME_MAX_SHOWN);
    for (size_t i = 0; i < len; i++)
        buf_append_char(out, (unsigned char)name.data[i] < ' ' ? '?' : name.data[i]);
    if (len < name.len)
        buf_append_str(out, "...");
}

static const char *render(struct problems *p, const struct field_path *path) {
    const struct field_path *steps[DEPTH_SHOWN];
    unsigned depth = 0;
    for (; path && depth < DEPTH_SHOWN; path = path->up)
        steps[depth++] = path;
    struct buf text = BUF_INIT(PATH_MAX_SHOWN + DEPTH_SHOWN * (NAME_MAX_SHOWN + 4));
    if (path)
        buf_append_str(&text, "...");
    for (unsigned i = depth; i-- > 0;) {
        if (!steps[i]->name.data) {
            buf_printf(&text, "[%u]", steps[i]->index);
            continue;
        }
        if (text.len)
            buf_append_char(&text, '.');
        append_name(&text, steps[i]->name);
    }
    const char *copy = buf_ok(&text) && text.data ? arena_strndup(&p->arena, text.data, text.len) : NULL;
    buf_done(&text);
    return copy ? copy : "";
}

static bool add(struct problems *p, const char *field, const char *format, va_list args) {
    char text[400];
    vsnprintf(text, sizeof(text), format, args);
    size_t len = strlen(text);
    if (len == sizeof(text) - 1) /* cut: not in the middle of a character */
        text[utf8_cut(text, len, len - 4)] = '\0';
    const char *message = arena_strdup(&p->arena, text);
    p->errors[p->count++] = (struct field_error){field, message ? message : "is wrong"};
    return false;
}

bool problems_add(struct problems *p, const struct field_path *path, const char *format, ...) {
    if (p->count == PROBLEMS_MAX) {
        p->more++;
        return false;
    }
    va_list args;
    va_start(args, format);
    add(p, render(p, path), format, args);
    va_end(args);
    return false;
}

bool problems_add_field(struct problems *p, const char *field, const char *format, ...) {
    if (p->count == PROBLEMS_MAX) {
        p->more++;
        return false;
    }
    va_list args;
    va_start(args, format);
    const char *copy = arena_strdup(&p->arena, field);
    add(p, copy ? copy : "", format, args);
    va_end(args);
    return false;
}
