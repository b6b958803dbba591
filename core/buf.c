#include "core/buf.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_CAP = 64 };

void buf_init(struct buf *b, size_t max_bytes) {
    *b = BUF_INIT(max_bytes);
}

void buf_done(struct buf *b) {
    free(b->data);
    *b = BUF_INIT(b->max);
}

void buf_reset(struct buf *b) {
    b->len = 0;
    b->failed = false;
    if (b->data)
        b->data[0] = '\0';
}

void buf_shrink(struct buf *b, size_t keep_bytes) {
    if (b->len == 0 && b->cap > keep_bytes) {
        free(b->data);
        b->data = NULL;
        b->cap = 0;
    }
}

static bool fail(struct buf *b) {
    free(b->data);
    b->data = NULL;
    b->len = b->cap = 0;
    b->failed = true;
    return false;
}

bool buf_grow(struct buf *b, size_t more) {
    if (b->failed)
        return false;
    if (more > b->max - b->len)
        return fail(b);
    size_t need = b->len + more + 1;
    if (need == 0) /* max is SIZE_MAX and all of it is asked for */
        return fail(b);
    size_t cap = b->cap ? b->cap : FIRST_CAP;
    while (cap < need && cap <= SIZE_MAX / 2)
        cap *= 2;
    if (cap < need)
        cap = need;
    if (b->max < SIZE_MAX && cap > b->max + 1)
        cap = b->max + 1;
    char *data = realloc(b->data, cap);
    if (!data)
        return fail(b);
    if (!b->data)
        data[0] = '\0';
    b->data = data;
    b->cap = cap;
    return true;
}

bool buf_append(struct buf *b, const void *data, size_t len) {
    if (!buf_reserve(b, len))
        return false;
    if (len)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
    return true;
}

bool buf_append_str(struct buf *b, const char *s) {
    return buf_append(b, s, strlen(s));
}

bool buf_append_char(struct buf *b, char c) {
    if (!buf_reserve(b, 1))
        return false;
    b->data[b->len++] = c;
    b->data[b->len] = '\0';
    return true;
}

static unsigned count_digits(uint64_t v) {
    unsigned n = 1;
    for (; v >= 10000; v /= 10000)
        n += 4;
    return n + (v >= 10) + (v >= 100) + (v >= 1000);
}

bool buf_append_u64(struct buf *b, uint64_t v) {
    static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748"
                                "4950515253545556575859606162636465666768697071727374757677787980818283848586878889909192939495969798"
                                "99";
    unsigned n = count_digits(v);
    if (!buf_reserve(b, n))
        return false;
    char *at = b->data + (b->len += n);
    *at = '\0';
    for (; v >= 100; v /= 100)
        memcpy(at -= 2, pairs + v % 100 * 2, 2);
    if (v >= 10)
        memcpy(at - 2, pairs + v * 2, 2);
    else
        at[-1] = (char)('0' + v);
    return true;
}

bool buf_append_i64(struct buf *b, int64_t v) {
    if (v < 0)
        return buf_append_char(b, '-') && buf_append_u64(b, 0 - (uint64_t)v);
    return buf_append_u64(b, (uint64_t)v);
}

bool buf_vprintf(struct buf *b, const char *format, va_list args) {
    if (!buf_reserve(b, 1))
        return false;
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(b->data + b->len, b->cap - b->len, format, args);
    bool ok = n >= 0;
    if (ok && (size_t)n >= b->cap - b->len) {
        b->data[b->len] = '\0';
        ok = buf_reserve(b, (size_t)n);
        if (ok)
            vsnprintf(b->data + b->len, b->cap - b->len, format, again);
    } else if (!ok) {
        fail(b);
    }
    va_end(again);
    if (ok)
        b->len += (size_t)n;
    return ok;
}

bool buf_printf(struct buf *b, const char *format, ...) {
    va_list args;
    va_start(args, format);
    bool ok = buf_vprintf(b, format, args);
    va_end(args);
    return ok;
}

void buf_truncate(struct buf *b, size_t len) {
    if (len < b->len) {
        b->len = len;
        b->data[len] = '\0';
    }
}

char *buf_steal(struct buf *b) {
    char *data = NULL;
    if (!b->failed && buf_reserve(b, 0)) {
        data = b->data;
        b->data = NULL;
    }
    buf_done(b);
    return data;
}

bool path_next(struct slice path, struct slice *step) {
    if (step->len >= path.len)
        return false;
    const char *slash = memchr(path.data + step->len + 1, '/', path.len - step->len - 1);
    *step = (struct slice){path.data, slash ? (size_t)(slash - path.data) : path.len};
    return true;
}

size_t path_level(struct slice path) {
    size_t level = 0;
    for (size_t i = 0; i < path.len; i++)
        level += path.data[i] == '/';
    return level;
}
