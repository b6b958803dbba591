#include "core/arena.h"
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_BLOCK = 4096, LARGEST_BLOCK = 256 * 1024, ALIGNMENT = alignof(max_align_t) };

/* head is the newest block; the first one is the last of the chain. */
struct arena_block {
    struct arena_block *older;
    size_t size;
    size_t used;
    alignas(max_align_t) char bytes[];
};

void arena_init(struct arena *a, size_t max_bytes) {
    *a = (struct arena){.max = max_bytes};
}

static void free_down_to(struct arena *a, const struct arena_block *keep) {
    while (a->head && a->head != keep) {
        struct arena_block *older = a->head->older;
        free(a->head);
        a->head = older;
    }
}

void arena_done(struct arena *a) {
    free_down_to(a, NULL);
    a->used = 0;
}

void arena_reset(struct arena *a) {
    struct arena_block *first = a->head;
    while (first && first->older)
        first = first->older;
    free_down_to(a, first);
    if (first)
        first->used = 0;
    a->used = 0;
}

static struct arena_block *add_block(struct arena *a, size_t size) {
    size_t block_size = a->head ? a->head->size * 2 : FIRST_BLOCK;
    if (block_size > LARGEST_BLOCK)
        block_size = LARGEST_BLOCK;
    if (block_size < size)
        block_size = size;
    struct arena_block *block = malloc(sizeof(*block) + block_size);
    if (!block)
        return NULL;
    block->size = block_size;
    block->used = 0;
    block->older = a->head;
    a->head = block;
    return block;
}

void *arena_alloc(struct arena *a, size_t size) {
    if (size > a->max)
        return NULL;
    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (size == 0)
        size = ALIGNMENT; /* distinct pointers, also for nothing */
    if (a->used > a->max || size > a->max - a->used)
        return NULL;
    struct arena_block *block = a->head;
    if (!block || size > block->size - block->used) {
        block = add_block(a, size);
        if (!block)
            return NULL;
    }
    void *p = block->bytes + block->used;
    block->used += size;
    a->used += size;
    return p;
}

void *arena_zalloc(struct arena *a, size_t size) {
    void *p = arena_alloc(a, size);
    return p ? memset(p, 0, size) : NULL;
}

void *arena_grow(struct arena *a, void *items, size_t count, size_t *cap, size_t size) {
    if (count < *cap)
        return items;
    size_t more = *cap ? *cap * 2 : 64;
    void *grown = more <= SIZE_MAX / size ? arena_alloc(a, more * size) : NULL;
    if (!grown)
        return NULL;
    if (count)
        memcpy(grown, items, count * size);
    *cap = more;
    return grown;
}

char *arena_strndup(struct arena *a, const char *s, size_t len) {
    if (len == SIZE_MAX)
        return NULL;
    char *p = arena_alloc(a, len + 1);
    if (!p)
        return NULL;
    if (len)
        memcpy(p, s, len);
    p[len] = '\0';
    return p;
}

char *arena_strdup(struct arena *a, const char *s) {
    return arena_strndup(a, s, strlen(s));
}

char *arena_printf(struct arena *a, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0)
        return NULL;
    char *p = arena_alloc(a, (size_t)n + 1);
    if (!p)
        return NULL;
    va_start(args, format);
    vsnprintf(p, (size_t)n + 1, format, args);
    va_end(args);
    return p;
}
