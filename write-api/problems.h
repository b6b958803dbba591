/* problems.h - everything that is wrong with one input, each with the path of its field.
 *
 * A validator goes on after a mistake, so that a client sees all of them at once (PROBLEMS_MAX; the rest is
 * counted). Where it stands is a chain of field_path on the validators' own stack frames: a path becomes text
 * only when something is wrong. Thread: one owner at a time. */
#pragma once
#include "core/arena.h"
#include "core/http_server.h"

enum { PROBLEMS_MAX = 20 };

/* One step: a member (name) or an element (name.data is NULL). The outermost step has up = NULL. */
struct field_path {
    const struct field_path *up;
    struct slice name;
    unsigned index;
};
#define FIELD(outer, member) ((struct field_path){.up = (outer), .name = (member)})
#define ELEMENT(outer, i) ((struct field_path){.up = (outer), .index = (i)})

struct problems {
    struct arena arena; /* holds the texts; allocated with the first problem */
    struct field_error errors[PROBLEMS_MAX];
    unsigned count;
    unsigned more; /* found beyond PROBLEMS_MAX */
};

void problems_init(struct problems *p);
void problems_reset(struct problems *p); /* memory kept */
void problems_done(struct problems *p);

/* Both return false, so that `return problems_add(...)` reads well. path NULL: the input as a whole. */
bool problems_add(struct problems *p, const struct field_path *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool problems_add_field(struct problems *p, const char *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static inline bool problems_any(const struct problems *p) {
    return p->count > 0;
}
