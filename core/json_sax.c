/* json_sax.c - yajl's parser behind json_read.h: the only source file that includes it. */
#include "core/json_read.h"
#include "core/utf8.h"
#include <setjmp.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <yajl/yajl_parse.h>

enum { DEFAULT_DEPTH = 32, SCRATCH_BYTES = 4096 };

/* yajl 2.1 writes through the pointers of allocations that failed (yajl_lex_alloc, yajl_buf_alloc). So its memory
 * comes from here: from a scratch on the stack (enough for most texts: no malloc at all), then from malloc'ed
 * blocks, and without memory parsing is left by longjmp, after which all blocks are freed. No callback of ours is
 * on the stack at that time, because yajl does not allocate around a callback. */
struct block {
    struct block *next, **link; /* link: the pointer that points here */
    alignas(max_align_t) char bytes[];
};
struct piece {
    size_t size;
    alignas(max_align_t) char bytes[];
};
struct scratch {
    jmp_buf no_memory;
    struct block *blocks;
    size_t used;
    alignas(max_align_t) char bytes[SCRATCH_BYTES];
};

static bool in_scratch(const struct scratch *s, const void *p) {
    return (uintptr_t)p >= (uintptr_t)s->bytes && (uintptr_t)p < (uintptr_t)s->bytes + sizeof(s->bytes);
}

static struct block *block_of(void *p) {
    return (struct block *)(void *)((char *)p - offsetof(struct block, bytes));
}

static void block_link(struct scratch *s, struct block *b) {
    b->next = s->blocks;
    b->link = &s->blocks;
    if (b->next)
        b->next->link = &b->next;
    s->blocks = b;
}

static void block_unlink(struct block *b) {
    *b->link = b->next;
    if (b->next)
        b->next->link = b->link;
}

static void *scratch_malloc(void *ctx, size_t size) {
    struct scratch *s = ctx;
    size_t align = alignof(max_align_t);
    if (size > SIZE_MAX / 2)
        longjmp(s->no_memory, 1);
    size_t total = sizeof(struct piece) + (size + align - 1) / align * align;
    if (total <= sizeof(s->bytes) - s->used) {
        struct piece *piece = (struct piece *)(void *)(s->bytes + s->used);
        piece->size = size;
        s->used += total;
        return piece->bytes;
    }
    struct block *b = malloc(sizeof(*b) + size);
    if (!b)
        longjmp(s->no_memory, 1);
    block_link(s, b);
    return b->bytes;
}

static void scratch_free(void *ctx, void *p) {
    if (!p || in_scratch(ctx, p))
        return;
    struct block *b = block_of(p);
    block_unlink(b);
    free(b);
}

static void *scratch_realloc(void *ctx, void *p, size_t size) {
    struct scratch *s = ctx;
    if (!p || in_scratch(s, p)) {
        size_t had = p ? ((struct piece *)(void *)((char *)p - offsetof(struct piece, bytes)))->size : 0;
        if (p && size <= had)
            return p;
        void *moved = scratch_malloc(s, size);
        return had ? memcpy(moved, p, had) : moved;
    }
    struct block *b = block_of(p);
    block_unlink(b);
    struct block *moved = size <= SIZE_MAX / 2 ? realloc(b, sizeof(*b) + size) : NULL;
    if (!moved) {
        free(b);
        longjmp(s->no_memory, 1);
    }
    block_link(s, moved);
    return moved->bytes;
}

static void scratch_done(struct scratch *s) {
    while (s->blocks) {
        struct block *next = s->blocks->next;
        free(s->blocks);
        s->blocks = next;
    }
}

struct parse {
    const struct json_sax *handlers;
    void *ctx;
    unsigned depth, depth_max;
    bool too_deep;
    struct scratch scratch;
};

static int on_null(void *ctx) {
    struct parse *p = ctx;
    return !p->handlers->null || p->handlers->null(p->ctx);
}

static int on_boolean(void *ctx, int v) {
    struct parse *p = ctx;
    return !p->handlers->boolean || p->handlers->boolean(p->ctx, v != 0);
}

static int on_number(void *ctx, const char *text, size_t len) {
    struct parse *p = ctx;
    return !p->handlers->number || p->handlers->number(p->ctx, (struct slice){text, len});
}

static int on_string(void *ctx, const unsigned char *text, size_t len) {
    struct parse *p = ctx;
    return !p->handlers->string || p->handlers->string(p->ctx, (struct slice){(const char *)text, len});
}

static int on_key(void *ctx, const unsigned char *text, size_t len) {
    struct parse *p = ctx;
    return !p->handlers->key || p->handlers->key(p->ctx, (struct slice){(const char *)text, len});
}

static bool enter(struct parse *p) {
    if (p->depth < p->depth_max) {
        p->depth++;
        return true;
    }
    p->too_deep = true;
    return false;
}

static int on_object_begin(void *ctx) {
    struct parse *p = ctx;
    return enter(p) && (!p->handlers->object_begin || p->handlers->object_begin(p->ctx));
}

static int on_object_end(void *ctx) {
    struct parse *p = ctx;
    p->depth--;
    return !p->handlers->object_end || p->handlers->object_end(p->ctx);
}

static int on_array_begin(void *ctx) {
    struct parse *p = ctx;
    return enter(p) && (!p->handlers->array_begin || p->handlers->array_begin(p->ctx));
}

static int on_array_end(void *ctx) {
    struct parse *p = ctx;
    p->depth--;
    return !p->handlers->array_end || p->handlers->array_end(p->ctx);
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_object_begin,
    .yajl_map_key = on_key,
    .yajl_end_map = on_object_end,
    .yajl_start_array = on_array_begin,
    .yajl_end_array = on_array_end,
};

static bool error_at(struct error *reterr, const char *text, size_t at, const char *what) {
    size_t line = 1, start = 0;
    for (size_t i = 0; i < at; i++) {
        if (text[i] == '\n') {
            line++;
            start = i + 1;
        }
    }
    return error_set(reterr, ERROR_INVALID, "JSON line %zu column %zu: %s", line, at - start + 1, what);
}

/* The value of \uXXXX at s, or -1. */
static int escaped_unit(const char *s, const char *end) {
    int v = 0;
    if (end - s < 6 || s[0] != '\\' || s[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        char c = s[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (digit < 0)
            return -1;
        v = v << 4 | digit;
    }
    return v;
}

/* yajl turns half a surrogate pair into '?' or into three bytes that are no UTF-8. A backslash is legal only
 * inside strings, so they can be looked for without knowing where strings begin. NULL if there is none. */
static const char *find_lone_surrogate(const char *text, size_t len) {
    const char *end = text + len, *s = text;
    while (s < end && (s = memchr(s, '\\', (size_t)(end - s)))) {
        int unit = escaped_unit(s, end);
        if (unit >= 0xD800 && unit <= 0xDBFF) {
            int low = escaped_unit(s + 6, end);
            if (low < 0xDC00 || low > 0xDFFF)
                return s;
            s += 12;
        } else if (unit >= 0xDC00 && unit <= 0xDFFF) {
            return s;
        } else {
            s += 2;
        }
    }
    return NULL;
}

static size_t valid_prefix(const char *text, size_t len) {
    uint32_t cp;
    size_t at = 0, n;
    while (at < len && (n = utf8_decode(text + at, len - at, &cp)) > 0)
        at += n;
    return at;
}

static bool check_text(const char *text, size_t len, struct error *reterr) {
    if (!utf8_valid(text, len))
        return error_at(reterr, text, valid_prefix(text, len), "not UTF-8");
    const char *lone = find_lone_surrogate(text, len);
    if (lone)
        return error_at(reterr, text, (size_t)(lone - text), "half of a surrogate pair in a \\u escape");
    /* yajl takes these two for blanks; RFC 8259 has them nowhere. */
    const char *blank = len ? memchr(text, '\v', len) : NULL;
    if (!blank && len)
        blank = memchr(text, '\f', len);
    if (blank)
        return error_at(reterr, text, (size_t)(blank - text), "a control character that is no blank");
    return true;
}

static bool syntax_error(yajl_handle handle, const char *text, size_t at, struct error *reterr) {
    unsigned char *what = yajl_get_error(handle, 0, (const unsigned char *)text, at);
    char line[160];
    size_t n = 0;
    for (; what && what[n] && what[n] != '\n' && n < sizeof(line) - 1; n++)
        line[n] = (char)what[n];
    line[n] = '\0';
    return error_at(reterr, text, at, n ? line : "not JSON");
}

static bool run(struct parse *p, const char *text, size_t len, bool *ret_stopped, struct error *reterr) {
    yajl_alloc_funcs functions = {scratch_malloc, scratch_realloc, scratch_free, &p->scratch};
    if (setjmp(p->scratch.no_memory))
        return error_nomem(reterr);
    yajl_handle handle = yajl_alloc(&callbacks, &functions, p);
    yajl_status status = yajl_parse(handle, (const unsigned char *)text, len);
    size_t at = yajl_get_bytes_consumed(handle);
    if (status == yajl_status_ok) {
        at = len;
        status = yajl_complete_parse(handle);
        /* yajl overlooks a string behind the value that does not end. A quote ends it, and then it is seen. */
        if (status == yajl_status_ok)
            status = yajl_parse(handle, (const unsigned char *)"\"", 1);
    }
    if (at > len)
        at = len;
    if (p->too_deep) {
        char what[64];
        snprintf(what, sizeof(what), "arrays and objects lie deeper than %u", p->depth_max);
        return error_at(reterr, text, at, what);
    }
    if (status == yajl_status_error)
        return syntax_error(handle, text, at, reterr);
    *ret_stopped = status == yajl_status_client_canceled;
    return true;
}

bool json_sax(const struct json_sax *handlers, void *ctx, const char *text, size_t len, unsigned depth_max,
              bool *ret_stopped, struct error *reterr) {
    if (!check_text(text, len, reterr))
        return false;
    struct parse p;
    p.handlers = handlers;
    p.ctx = ctx;
    p.depth = 0;
    p.depth_max = depth_max ? depth_max : DEFAULT_DEPTH;
    p.too_deep = false;
    p.scratch.blocks = NULL;
    p.scratch.used = 0;
    bool stopped = false;
    bool ok = run(&p, text, len, &stopped, reterr);
    scratch_done(&p.scratch);
    if (ok && ret_stopped)
        *ret_stopped = stopped;
    return ok;
}
