#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES ((size_t)1 << 18)

struct chunk {
    struct chunk *next;
    size_t used, size;
    _Alignas(16) unsigned char bytes[];
};

static struct chunk *chunks;

void *mem_alloc(size_t size) {
    size = (size + 15) & ~(size_t)15;
    if (!chunks || chunks->size - chunks->used < size) {
        size_t want = size > CHUNK_BYTES ? size : CHUNK_BYTES;
        struct chunk *fresh = calloc(1, sizeof *fresh + want);
        if (!fresh) {
            fputs("catalogue: out of memory\n", stderr);
            exit(1);
        }
        fresh->size = want;
        fresh->next = chunks;
        chunks = fresh;
    }
    void *p = chunks->bytes + chunks->used;
    chunks->used += size;
    return p;
}

void mem_done(void) {
    while (chunks) {
        struct chunk *next = chunks->next;
        free(chunks);
        chunks = next;
    }
}

void *vec_add(struct vec *v, size_t item_size) {
    if (v->count == v->capacity) {
        uint32_t capacity = v->capacity ? v->capacity * 2 : 8;
        void *items = mem_alloc(capacity * item_size);
        if (v->count > 0)
            memcpy(items, v->items, v->count * item_size);
        v->items = items;
        v->capacity = capacity;
    }
    return (unsigned char *)v->items + item_size * v->count++;
}

struct vec vec_copy(const struct vec *v, size_t item_size) {
    struct vec copy = {NULL, 0, 0};
    for (uint32_t i = 0; i < v->count; i++)
        memcpy(vec_add(&copy, item_size), (const unsigned char *)v->items + i * item_size, item_size);
    return copy;
}

struct str str_from(const char *text) {
    return (struct str){text, (uint32_t)strlen(text)};
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s) {
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

bool str_equal(struct str a, struct str b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool str_is(struct str a, const char *b) {
    return str_equal(a, str_from(b));
}

int64_t str_find(struct str s, const char *needle) {
    uint32_t n = (uint32_t)strlen(needle);
    for (uint32_t i = 0; i + n <= s.len; i++)
        if (memcmp(s.ptr + i, needle, n) == 0)
            return i;
    return -1;
}

struct str str_slice(struct str s, uint32_t from, uint32_t to) {
    return (struct str){s.ptr + from, to - from};
}

bool str_next(struct str *rest, const char *separator, struct str *ret) {
    if (!rest->ptr)
        return false;
    int64_t at = str_find(*rest, separator);
    if (at < 0) {
        *ret = str_trim(*rest);
        *rest = (struct str){NULL, 0};
        return true;
    }
    *ret = str_trim(str_slice(*rest, 0, (uint32_t)at));
    *rest = str_slice(*rest, (uint32_t)at + (uint32_t)strlen(separator), rest->len);
    return true;
}

bool str_token(struct str *rest, struct str *ret) {
    *rest = str_trim(*rest);
    if (rest->len == 0)
        return false;
    uint32_t end = 0;
    while (end < rest->len && !is_blank(rest->ptr[end]))
        end++;
    *ret = str_slice(*rest, 0, end);
    *rest = str_slice(*rest, end, rest->len);
    return true;
}

struct str str_concat(struct str a, struct str b) {
    char *p = mem_alloc((size_t)a.len + b.len + 1);
    if (a.len > 0)
        memcpy(p, a.ptr, a.len);
    if (b.len > 0)
        memcpy(p + a.len, b.ptr, b.len);
    return (struct str){p, a.len + b.len};
}

bool str_to_scaled(struct str s, unsigned max_decimals, int64_t *ret) {
    int64_t value = 0;
    unsigned decimals = 0;
    bool point = false, negative = false;
    if (s.len > 1 && s.ptr[0] == '-') {
        negative = true;
        s = str_slice(s, 1, s.len);
    }
    if (s.len == 0 || s.len > 12)
        return false;
    for (uint32_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '.' && !point && i > 0 && i + 1 < s.len) {
            point = true;
        } else if (s.ptr[i] >= '0' && s.ptr[i] <= '9') {
            value = value * 10 + (s.ptr[i] - '0');
            decimals += point;
        } else {
            return false;
        }
    }
    if (decimals > max_decimals)
        return false;
    for (; decimals < max_decimals; decimals++)
        value *= 10;
    *ret = negative ? -value : value;
    return true;
}

uint64_t str_hash(struct str s) {
    /* FNV-1a, 64 bits: http://www.isthe.com/chongo/tech/comp/fnv/ */
    uint64_t h = 0xcbf29ce484222325ULL;
    for (uint32_t i = 0; i < s.len; i++)
        h = (h ^ (unsigned char)s.ptr[i]) * 0x100000001b3ULL;
    return h;
}
