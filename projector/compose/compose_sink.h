/* compose_sink.h - compose's way of writing JSON: straight into a buf's memory, one bounds check per value.
 *
 * A sink borrows the buf's memory between sink_open and sink_close; nobody else may append meanwhile. Unlike
 * buf's own appends it never loses what is in the buf when the maximum is reached: `full` is set instead, later
 * writes do nothing, and the caller truncates to where it began. `invalid` is set by text that is not UTF-8.
 * Internal to compose and bulk. Thread: one owner. */
#pragma once
#include "core/buf.h"
#include <stdbool.h>
#include <stdint.h>

struct sink {
    char *p, *end; /* free bytes; end leaves room for the NUL */
    struct buf *buf;
    bool full;    /* over buf->max */
    bool nomem;   /* the buf is lost */
    bool invalid; /* a string was not valid UTF-8 */
    bool bad;     /* any of these */
    struct slice source; /* texts inside it may be read in blocks of 16, past their ends */
};

void sink_open(struct sink *s, struct buf *buf);
void sink_close(struct sink *s);
bool sink_grow(struct sink *s, size_t n);

static inline bool sink_ok(const struct sink *s) {
    return !s->bad;
}
static inline size_t sink_len(const struct sink *s) {
    return s->p ? (size_t)(s->p - s->buf->data) : 0;
}
static inline bool sink_room(struct sink *s, size_t n) {
    return (size_t)(s->end - s->p) >= n || sink_grow(s, n);
}
static inline void sink_put(struct sink *s, const void *data, size_t len) {
    if (len == 0 || !sink_room(s, len))
        return;
    memcpy(s->p, data, len);
    s->p += len;
}
static inline void sink_slice(struct sink *s, struct slice v) {
    sink_put(s, v.data, v.len);
}
static inline void sink_char(struct sink *s, char c) {
    if (sink_room(s, 1))
        *s->p++ = c;
}
/* Takes back what was written since sink_len() was `len`. */
static inline void sink_cut(struct sink *s, size_t len) {
    if (s->p)
        s->p = s->buf->data + len;
}
/* Copies in steps of 16 bytes, up to 15 more than len on both sides: for short texts in memory of our own. */
static inline char *sink_copy_short(char *out, const char *in, size_t len) {
    size_t n = 0;
    do
        memcpy(out + n, in + n, 16);
    while ((n += 16) < len);
    return out + len;
}
/* A text in an arena: its last block of 16 bytes is the arena's too. */
static inline void sink_arena(struct sink *s, struct slice v) {
    if (sink_room(s, v.len + 15))
        s->p = sink_copy_short(s->p, v.data, v.len);
}
#define SINK_LITERAL(s, literal) sink_put((s), (literal), sizeof(literal) - 1)

/* The text as it stands inside a JSON string, without quotes. */
void sink_escaped(struct sink *s, struct slice text);
static inline void sink_string(struct sink *s, struct slice text) {
    sink_char(s, '"');
    sink_escaped(s, text);
    sink_char(s, '"');
}
void sink_int(struct sink *s, int64_t v);
void sink_u64(struct sink *s, uint64_t v);
/* The shortest form that reads back the same; whole numbers below 1e15 without point or exponent. v is finite. */
void sink_number(struct sink *s, double v);
/* 16 lower-case hex digits in the order of the numbers: IEEE-754 bits with the sign bit flipped, all bits flipped
 * for negative ones; -0 counts as 0. */
void sink_ordered_hex(struct sink *s, double v);
/* "2026-01-02T03:04:05.678Z" with quotes, from milliseconds since 1970. Within SINK_DATE_MIN..MAX. */
#define SINK_DATE_MIN (INT64_C(-62167219200000)) /* 0000-01-01 */
#define SINK_DATE_MAX (INT64_C(253402300799999)) /* 9999-12-31 */
void sink_date(struct sink *s, int64_t msec);
