/* arena.h - bump allocation for what lives exactly as long as one request or one batch.
 *
 * Nothing is freed alone; arena_reset() keeps the first block. A maximum is mandatory: past it, or without
 * memory, arena_alloc() returns NULL. Thread: one owner at a time. */
#pragma once
#include "core/buf.h"
#include <stdarg.h>

struct arena_block;
struct arena {
    struct arena_block *head;
    size_t used; /* bytes handed out since init or reset, alignment included */
    size_t max;
};

void arena_init(struct arena *a, size_t max_bytes);
void arena_done(struct arena *a);
void arena_reset(struct arena *a);

/* Aligned for any type, so in blocks of 16 bytes that may be read to their end; contents undefined. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_zalloc(struct arena *a, size_t size); /* zeroed */
/* Room for one more of `count` items of this size, of which there is room for *cap: the items, moved if there was none; NULL
 * without memory. The first time items is NULL and *cap 0. */
void *arena_grow(struct arena *a, void *items, size_t count, size_t *cap, size_t size);
char *arena_strndup(struct arena *a, const char *s, size_t len); /* NUL-terminated copy */
char *arena_strdup(struct arena *a, const char *s);
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
