/*
 * Memory and strings of the generator.
 *
 * The tables are read once at start and live until exit, so everything comes from one chain of
 * chunks that mem_done() frees. Running out of memory ends the program with a message (exit 1):
 * there is nothing a generator could do instead.
 */
#ifndef CATALOGUE_MEM_H
#define CATALOGUE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A piece of text somebody else owns; not NUL-terminated. */
struct str {
    const char *ptr;
    uint32_t len;
};

/* A growing array; items move when it grows. */
struct vec {
    void *items;
    uint32_t count, capacity;
};

/* Zeroed memory that lives until mem_done(). */
void *mem_alloc(size_t size);
void mem_done(void);

/* Room for one more item of item_size bytes, zeroed. One vec always has the same item_size. */
void *vec_add(struct vec *v, size_t item_size);
/* A copy that grows on its own. */
struct vec vec_copy(const struct vec *v, size_t item_size);

struct str str_from(const char *text);
struct str str_trim(struct str s);
bool str_equal(struct str a, struct str b);
bool str_is(struct str a, const char *b);
/* Cuts the part before the next separator off *rest, trimmed; false when nothing is left. */
bool str_next(struct str *rest, const char *separator, struct str *ret);
/* Cuts the next blank-separated token off *rest; false when nothing is left. */
bool str_token(struct str *rest, struct str *ret);
/* The offset of needle in s, or -1. */
int64_t str_find(struct str s, const char *needle);
struct str str_slice(struct str s, uint32_t from, uint32_t to);
/* A new string of two parts. */
struct str str_concat(struct str a, struct str b);
/* The whole of s as a decimal number with up to max_decimals places, scaled by 10^max_decimals. */
bool str_to_scaled(struct str s, unsigned max_decimals, int64_t *ret);
uint64_t str_hash(struct str s);

#define STR_LITERAL(text) ((struct str){(text), sizeof(text) - 1})

#endif
