#include "core/json_escape.h"
#include "core/utf8.h"
#include "query-api/search/answer_json.h"
#include <stdio.h>

enum { BLOCK_NODES = 64, DEPTH_LIMIT = 128 };

struct frame {
    struct json *container;
    struct json **tail;
};

struct reader {
    struct arena *arena;
    char *p, *text, *end;
    struct json *nodes; /* of the block at hand */
    unsigned nodes_left;
    unsigned depth, depth_max;
    struct frame frames[DEPTH_LIMIT];
    struct error *reterr;
};

static bool bad(struct reader *r, const char *what) {
    return error_set(r->reterr, ERROR_INVALID, "JSON byte %zu: %s", (size_t)(r->p - r->text), what);
}

static struct json *new_node(struct reader *r) {
    if (r->nodes_left == 0) {
        r->nodes = arena_alloc(r->arena, BLOCK_NODES * sizeof(*r->nodes));
        if (!r->nodes) {
            error_nomem(r->reterr);
            return NULL;
        }
        r->nodes_left = BLOCK_NODES;
    }
    r->nodes_left--;
    struct json *node = r->nodes++;
    *node = (struct json){0};
    return node;
}

static char *skip_blanks(char *p) {
    while (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')
        p++;
    return p;
}

/* ---- strings ---- */

static bool plain(unsigned char c) {
    return c >= 0x20 && c != '"' && c != '\\';
}

/* Skips eight bytes at a time as long as each of them stands for itself. */
static char *skip_plain(char *p, const char *end) {
    for (; end - p >= 8; p += 8) {
        uint64_t v;
        memcpy(&v, p, 8);
        uint64_t marks = json_escape_marks(v);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        if (marks)
            return p + __builtin_ctzll(marks) / 8;
#else
        if (marks)
            break;
#endif
    }
    while (plain((unsigned char)*p))
        p++;
    return p;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits of a \u; -1 if they are none. A digit too few meets a quote or the final NUL. */
static int32_t hex4(const char *p) {
    int32_t v = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0)
            return -1;
        v = v * 16 + digit;
    }
    return v;
}

static char *put_utf8(char *out, uint32_t c) {
    if (c < 0x80) {
        *out++ = (char)c;
        return out;
    }
    if (c < 0x800) {
        *out++ = (char)(0xC0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *out++ = (char)(0xE0 | c >> 12);
        } else {
            *out++ = (char)(0xF0 | c >> 18);
            *out++ = (char)(0x80 | (c >> 12 & 0x3F));
        }
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
    }
    *out++ = (char)(0x80 | (c & 0x3F));
    return out;
}

/* p stands behind "\u". A pair of surrogates is one character; half a pair is none. */
static bool read_unicode(struct reader *r, char **out) {
    int32_t c = hex4(r->p);
    if (c < 0)
        return bad(r, "four hexadecimal digits must follow \\u");
    r->p += 4;
    if (c >= 0xDC00 && c <= 0xDFFF)
        return bad(r, "half a pair of surrogates");
    if (c >= 0xD800 && c <= 0xDBFF) {
        int32_t low = r->p[0] == '\\' && r->p[1] == 'u' ? hex4(r->p + 2) : -1;
        if (low < 0xDC00 || low > 0xDFFF)
            return bad(r, "half a pair of surrogates");
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        r->p += 6;
    }
    *out = put_utf8(*out, (uint32_t)c);
    return true;
}

/* p stands on a backslash; what is decoded is never longer than what stood there. */
static bool read_escape(struct reader *r, char **out) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = r->p[1];
    const char *at = c ? strchr(from, c) : NULL;
    if (at) {
        *(*out)++ = to[at - from];
        r->p += 2;
        return true;
    }
    if (c != 'u')
        return bad(r, "no such escape");
    r->p += 2;
    return read_unicode(r, out);
}

/* p stands behind the opening quote, and behind the closing one afterwards. */
static bool read_string(struct reader *r, struct slice *ret) {
    char *start = r->p, *out;
    r->p = out = skip_plain(r->p, r->end);
    while (*r->p == '\\') {
        if (!read_escape(r, &out))
            return false;
        char *from = r->p;
        r->p = skip_plain(r->p, r->end);
        memmove(out, from, (size_t)(r->p - from));
        out += r->p - from;
    }
    if (*r->p != '"')
        return bad(r, "a string does not end, or holds a control character");
    r->p++;
    *out = '\0';
    *ret = (struct slice){start, (size_t)(out - start)};
    return true;
}

/* ---- the other values ---- */

static char *skip_digits(char *p) {
    while (*p >= '0' && *p <= '9')
        p++;
    return p;
}

/* -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? ; the NUL behind it is set once what stands there has been read. */
static bool read_number(struct reader *r, struct json *node) {
    char *p = r->p, *start;
    if (*p == '-')
        p++;
    start = p;
    p = skip_digits(p);
    bool ok = p > start && (*start != '0' || p == start + 1);
    if (ok && *p == '.') {
        start = ++p;
        p = skip_digits(p);
        ok = p > start;
    }
    if (ok && (*p | 0x20) == 'e') {
        p += p[1] == '+' || p[1] == '-' ? 2 : 1;
        start = p;
        p = skip_digits(p);
        ok = p > start;
    }
    if (!ok)
        return bad(r, "no value");
    node->type = JSON_NUMBER;
    node->text = (struct slice){r->p, (size_t)(p - r->p)};
    r->p = p;
    if (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')
        *r->p++ = '\0';
    return true;
}

static bool read_word(struct reader *r, const char *word, size_t len) {
    if ((size_t)(r->end - r->p) < len || memcmp(r->p, word, len) != 0)
        return bad(r, "no value");
    r->p += len;
    return true;
}

static bool open_container(struct reader *r, struct json *node, enum json_type type) {
    if (r->depth == r->depth_max)
        return bad(r, "too many arrays and objects inside each other");
    node->type = type;
    r->p++;
    r->frames[r->depth++] = (struct frame){node, &node->child};
    return true;
}

static bool read_value(struct reader *r, struct json *node) {
    switch (*r->p) {
    case '{':
        return open_container(r, node, JSON_OBJECT);
    case '[':
        return open_container(r, node, JSON_ARRAY);
    case '"':
        node->type = JSON_STRING;
        r->p++;
        return read_string(r, &node->text);
    case 't':
        node->type = JSON_BOOL;
        node->boolean = true;
        return read_word(r, "true", 4);
    case 'f':
        node->type = JSON_BOOL;
        return read_word(r, "false", 5);
    case 'n':
        node->type = JSON_NULL;
        return read_word(r, "null", 4);
    default:
        return read_number(r, node);
    }
}

/* A member or element of the innermost container. */
static bool read_item(struct reader *r) {
    struct frame *frame = &r->frames[r->depth - 1];
    struct json *node = new_node(r);
    if (!node)
        return false;
    if (frame->container->type == JSON_OBJECT) {
        if (*r->p != '"')
            return bad(r, "a key must stand here");
        r->p++;
        if (!read_string(r, &node->key))
            return false;
        r->p = skip_blanks(r->p);
        if (*r->p != ':')
            return bad(r, "a colon must follow the key");
        r->p = skip_blanks(r->p + 1);
    }
    *frame->tail = node;
    frame->tail = &node->next;
    frame->container->count++;
    return read_value(r, node);
}

/* Between two values. The byte that is used up may end a number: it becomes its NUL. */
static bool read_rest(struct reader *r) {
    while (r->depth) {
        const struct json *container = r->frames[r->depth - 1].container;
        char close = container->type == JSON_OBJECT ? '}' : ']';
        r->p = skip_blanks(r->p);
        if (*r->p == close) {
            *r->p++ = '\0';
            r->depth--;
            continue;
        }
        if (container->count) {
            if (*r->p != ',')
                return bad(r, "a comma or the end of the list must stand here");
            *r->p++ = '\0';
            r->p = skip_blanks(r->p);
        }
        if (!read_item(r))
            return false;
    }
    return true;
}

const struct json *answer_json_parse(struct arena *arena, char *text, size_t len, unsigned depth_max,
                                     struct error *reterr) {
    struct reader r = {.arena = arena, .p = text, .text = text, .end = text + len, .reterr = reterr};
    r.depth_max = depth_max < DEPTH_LIMIT ? depth_max : DEPTH_LIMIT;
    if (!utf8_valid(text, len)) {
        error_set(reterr, ERROR_INVALID, "the JSON text is not valid UTF-8");
        return NULL;
    }
    struct json *root = new_node(&r);
    if (!root)
        return NULL;
    r.p = skip_blanks(r.p);
    if (!read_value(&r, root) || !read_rest(&r))
        return NULL;
    r.p = skip_blanks(r.p);
    if (r.p != r.end) {
        bad(&r, "something follows the value");
        return NULL;
    }
    return root;
}
