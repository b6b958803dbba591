/* cleanup.h - scope-bound destruction, so that an early return needs no goto ladder.
 *
 *   _cleanup_(buf_done) struct buf b = BUF_INIT(1 << 20);
 *   _cleanup_(freep) char *s = strdup(...);
 *
 * Destructors accept NULL and half-built objects. DEFINE_CLEANUP(T, f) makes fp(T *p) that calls f(*p). */
#pragma once
#include <stdlib.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

#define DEFINE_CLEANUP(type, func)                                                                 \
    static inline void func##p(type *p) {                                                          \
        if (*p)                                                                                    \
            func(*p);                                                                              \
    }                                                                                              \
    struct func##p_needs_semicolon

static inline void freep(void *p) {
    free(*(void **)p);
}

/* Give up ownership of a pointer: TAKE(p) is p's value, and p becomes NULL. */
#define TAKE(p)                                                                                    \
    ({                                                                                             \
        __typeof__(p) take_ = (p);                                                                 \
        (p) = NULL;                                                                                \
        take_;                                                                                     \
    })

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
