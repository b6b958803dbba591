/* buf.h - a growing byte buffer with a mandatory maximum.
 *
 * Failure is sticky: an append that would pass `max` or finds no memory sets `failed`, drops the data, and
 * every later append fails; so a writer may append many times and ask once, buf_ok(), at the end.
 * data is always NUL-terminated at data[len] when data is not NULL (the NUL is not counted).
 * Thread: one owner at a time. Not copyable while it holds data. */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buf {
    char *data;
    size_t len;
    size_t cap; /* allocated bytes, the NUL included */
    size_t max; /* most bytes of len; set at init, never 0 */
    bool failed;
};

#define BUF_INIT(max_bytes) ((struct buf){.max = (max_bytes)})

void buf_init(struct buf *b, size_t max_bytes);
void buf_done(struct buf *b);  /* frees; b is as after buf_init with the same max */
void buf_reset(struct buf *b); /* len = 0, failed = false, memory kept */
void buf_shrink(struct buf *b, size_t keep_bytes); /* after a reset: frees memory above keep_bytes */

bool buf_grow(struct buf *b, size_t more); /* what buf_reserve does when there is no room */
/* Room for `more` bytes without another allocation. */
static inline bool buf_reserve(struct buf *b, size_t more) {
    return more < b->cap - b->len || buf_grow(b, more); /* after a failure cap is 0 */
}
bool buf_append(struct buf *b, const void *data, size_t len);
bool buf_append_str(struct buf *b, const char *s);
bool buf_append_char(struct buf *b, char c);
bool buf_append_i64(struct buf *b, int64_t v);
bool buf_append_u64(struct buf *b, uint64_t v);
bool buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool buf_vprintf(struct buf *b, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
void buf_truncate(struct buf *b, size_t len); /* len must be <= b->len */

static inline bool buf_ok(const struct buf *b) {
    return !b->failed;
}

/* The bytes as a malloc'ed NUL-terminated string that the caller owns; b is empty afterwards. NULL if failed. */
char *buf_steal(struct buf *b);

/* A view of bytes that somebody else owns; not NUL-terminated. */
struct slice {
    const char *data;
    size_t len;
};
#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})
static inline struct slice slice_str(const char *s) {
    return (struct slice){s, s ? strlen(s) : 0};
}
static inline bool slice_eq(struct slice a, struct slice b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}
/* Of materialised paths, "1/4/13" is below "1/4"; no path is below itself. */
static inline bool path_is_below(struct slice path, struct slice above) {
    return path.len > above.len && path.data[above.len] == '/' && memcmp(path.data, above.data, above.len) == 0;
}
/* *step begins empty: then it is "1", "1/4" and "1/4/13" of that path, one after another, and false is behind the last. */
bool path_next(struct slice path, struct slice *step);
/* How many are above it: 2. */
size_t path_level(struct slice path);
