#include "core/json_escape.h"
#include "core/utf8.h"
#include "query-api/search/answer_json.h"

enum { BLOCK_NODES = 64 };

struct reader {
    struct arena *arena;
    char *text, *end;
    struct json *nodes, *nodes_end; /* of the block at hand */
    unsigned depth_max;
    struct error *reterr;
};

/* What reads a part of the text returns where it ends, or NULL after a failure. */
static char *bad(const struct reader *r, const char *p, const char *what) {
    error_set(r->reterr, ERROR_INVALID, "JSON byte %zu: %s", (size_t)(p - r->text), what);
    return NULL;
}

static bool add_nodes(struct reader *r) {
    r->nodes = arena_alloc(r->arena, BLOCK_NODES * sizeof(*r->nodes));
    if (!r->nodes)
        return error_nomem(r->reterr);
    r->nodes_end = r->nodes + BLOCK_NODES;
    return true;
}

static inline struct json *new_node(struct reader *r) {
    if (r->nodes == r->nodes_end && !add_nodes(r))
        return NULL;
    struct json *node = r->nodes++;
    *node = (struct json){0};
    return node;
}

static inline char *skip_blanks(char *p) {
    while ((unsigned char)*p <= ' ' && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

/* ---- strings ---- */

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
static char *read_unicode(const struct reader *r, char *p, char **out) {
    int32_t c = hex4(p);
    if (c < 0)
        return bad(r, p, "four hexadecimal digits must follow \\u");
    p += 4;
    if (c >= 0xDC00 && c <= 0xDFFF)
        return bad(r, p, "half a pair of surrogates");
    if (c >= 0xD800 && c <= 0xDBFF) {
        int32_t low = p[0] == '\\' && p[1] == 'u' ? hex4(p + 2) : -1;
        if (low < 0xDC00 || low > 0xDFFF)
            return bad(r, p, "half a pair of surrogates");
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        p += 6;
    }
    *out = put_utf8(*out, (uint32_t)c);
    return p;
}

/* p stands on a backslash; what is decoded is never longer than what stood there. */
static char *read_escape(const struct reader *r, char *p, char **out) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = p[1];
    const char *at = c ? strchr(from, c) : NULL;
    if (at) {
        *(*out)++ = to[at - from];
        return p + 2;
    }
    return c == 'u' ? read_unicode(r, p + 2, out) : bad(r, p, "no such escape");
}

/* A stretch of a string up to what does not stand for itself. Outside of strings nothing but ASCII is JSON. */
static inline char *read_plain(const struct reader *r, char *p) {
    json_escape_bits high = 0;
    char *stop = p + (json_escape_skip(p, r->end, &high) - p);
    if (high && !utf8_valid(p, (size_t)(stop - p)))
        return bad(r, p, "the text is not valid UTF-8");
    return stop;
}

/* p stands on the first backslash of the string that begins at start. */
static char *read_escaped(const struct reader *r, char *start, char *p, struct slice *ret) {
    char *out = p;
    while (*p == '\\') {
        char *from = read_escape(r, p, &out);
        p = from ? read_plain(r, from) : NULL;
        if (!p)
            return NULL;
        memmove(out, from, (size_t)(p - from));
        out += p - from;
    }
    if (*p != '"')
        return bad(r, p, "a string does not end, or holds a control character");
    *out = '\0';
    *ret = (struct slice){start, (size_t)(out - start)};
    return p + 1;
}

/* start is behind the opening quote. *ret_plain: nothing in it was escaped; else left alone. */
static inline char *read_string(const struct reader *r, char *start, struct slice *ret, bool *ret_plain) {
    char *p = read_plain(r, start);
    if (!p || *p != '"')
        return p ? read_escaped(r, start, p, ret) : NULL;
    *p = '\0';
    *ret = (struct slice){start, (size_t)(p - start)};
    *ret_plain = true;
    return p + 1;
}

/* ---- the other values ---- */

static char *skip_digits(char *p) {
    while (*p >= '0' && *p <= '9')
        p++;
    return p;
}

/* The end of -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? , or NULL. */
static inline char *number_end(char *p) {
    char *start;
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
    return ok ? p : NULL;
}

/* The NUL behind it is set once what stands there has been read. */
static inline char *read_number(const struct reader *r, char *begin, struct json *node) {
    char *p = number_end(begin);
    if (!p)
        return bad(r, begin, "no value");
    node->type = JSON_NUMBER;
    node->text = (struct slice){begin, (size_t)(p - begin)};
    if (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')
        *p++ = '\0';
    return p;
}

static char *read_word(const struct reader *r, char *p, const char *word, size_t len) {
    if ((size_t)(r->end - p) < len || memcmp(p, word, len) != 0)
        return bad(r, p, "no value");
    return p + len;
}

static inline char *read_number_or_word(const struct reader *r, char *p, struct json *node) {
    switch (*p) {
    case 't':
        node->type = JSON_BOOL;
        node->boolean = true;
        return read_word(r, p, "true", 4);
    case 'f':
        node->type = JSON_BOOL;
        return read_word(r, p, "false", 5);
    case 'n':
        node->type = JSON_NULL;
        return read_word(r, p, "null", 4);
    default:
        return read_number(r, p, node);
    }
}

/* Up to the value behind it. */
static inline char *read_key(const struct reader *r, char *p, struct slice *ret) {
    bool plain;
    if (*p != '"')
        return bad(r, p, "a key must stand here");
    p = read_string(r, p + 1, ret, &plain);
    if (p && *p != ':')
        p = skip_blanks(p);
    if (p && *p != ':')
        return bad(r, p, "a colon must follow the key");
    return p ? skip_blanks(p + 1) : NULL;
}

/* The comma between two values. The byte that is used up may end a number: it becomes its NUL. */
static inline char *read_comma(const struct reader *r, char *p) {
    if (*p != ',')
        return bad(r, p, "a comma or the end of the list must stand here");
    *p = '\0';
    return skip_blanks(p + 1);
}

static char closing(const struct json *container) {
    return container && container->type == JSON_OBJECT ? '}' : ']';
}

/* Behind the text if it stands at p, else NULL. */
static inline char *after(const struct reader *r, char *p, struct slice text) {
    return (size_t)(r->end - p) >= text.len && memcmp(p, text.data, text.len) == 0 ? p + text.len : NULL;
}

/* Behind "name":number, if that stands at p, else p. */
static inline char *skip_end(const struct reader *r, char *p, struct slice name) {
    char *end = after(r, p, name);
    end = end ? number_end(end) : NULL;
    return end && *end == ',' ? end + 1 : p;
}

/* Behind {"key":"…","from":x,"to":x,"doc_count":n}, of which from and to may be missing; NULL if that is not what stands at p,
 * and nothing is changed then. */
static inline char *read_bucket(const struct reader *r, char *p, struct slice *ret_key, unsigned *ret_count) {
    enum { DIGITS_MAX = 9 };
    char *key = after(r, p, SLICE("{\"key\":\""));
    if (!key)
        return NULL;
    json_escape_bits high = 0;
    char *key_end = key + (json_escape_skip(key, r->end, &high) - key);
    p = after(r, key_end, SLICE("\","));
    if (!p || (high && !utf8_valid(key, (size_t)(key_end - key))))
        return NULL;
    p = skip_end(r, p, SLICE("\"from\":"));
    p = skip_end(r, p, SLICE("\"to\":"));
    char *digits = p = after(r, p, SLICE("\"doc_count\":"));
    if (!digits)
        return NULL;
    for (*ret_count = 0; *p >= '0' && *p <= '9' && p - digits < DIGITS_MAX; p++)
        *ret_count = *ret_count * 10 + (unsigned)(*p - '0');
    if (*p != '}' || p == digits || (*digits == '0' && p - digits > 1))
        return NULL;
    *key_end = '\0';
    *ret_key = (struct slice){key, (size_t)(key_end - key)};
    return p + 1;
}

/* The buckets that an array of them begins with, hundreds in most answers. Up to the comma behind the last one, or whatever
 * stands there; p if there are none. */
static char *read_buckets(struct reader *r, char *p, struct json *array, struct json ***tail) {
    struct slice key;
    unsigned count;
    for (char *at = p, *end; (end = read_bucket(r, at, &key, &count)); at = end + 1) {
        struct json *node = new_node(r);
        if (!node)
            return NULL;
        node->type = JSON_BUCKET;
        node->text = key;
        node->plain = true;
        node->count = count;
        **tail = node;
        *tail = &node->next;
        array->count++;
        p = end;
        if (*end != ',')
            break;
    }
    return p;
}

/* The value at p and all that is in it. An array or object that is still open has the one around it for its `next`. */
static char *read_tree(struct reader *r, char *p, struct json *node) {
    struct json *open = NULL, **tail = NULL;
    unsigned depth = 0;
    char close = '\0';
    for (;;) {
        if (*p == '"') {
            node->type = JSON_STRING;
            p = read_string(r, p + 1, &node->text, &node->plain);
        } else if (*p != '{' && *p != '[') {
            p = read_number_or_word(r, p, node);
        } else {
            if (depth++ == r->depth_max)
                return bad(r, p, "too many arrays and objects inside each other");
            node->type = *p++ == '{' ? JSON_OBJECT : JSON_ARRAY;
            node->next = open;
            open = node;
            tail = &node->child;
            close = closing(node);
            if (close == ']' && depth < r->depth_max && slice_eq(node->key, SLICE("buckets")))
                p = read_buckets(r, p, node, &tail);
        }
        if (!p)
            return NULL;
        while (*p != ',' && open && *(p = skip_blanks(p)) == close) {
            *p++ = '\0'; /* as a comma does */
            node = open;
            open = node->next;
            node->next = NULL;
            tail = &node->next;
            close = closing(open);
            depth--;
        }
        if (!open)
            return p;
        if (open->count++ && !(p = read_comma(r, p)))
            return NULL;
        node = new_node(r);
        if (!node || (close == '}' && !(p = read_key(r, p, &node->key))))
            return NULL;
        *tail = node;
        tail = &node->next;
    }
}

const struct json *answer_json_parse(struct arena *arena, char *text, size_t len, unsigned depth_max,
                                     struct error *reterr) {
    struct reader r = {.arena = arena, .text = text, .end = text + len, .depth_max = depth_max, .reterr = reterr};
    struct json *root = new_node(&r);
    char *p = root ? read_tree(&r, skip_blanks(text), root) : NULL;
    if (!p)
        return NULL;
    p = skip_blanks(p);
    if (p != r.end) {
        bad(&r, p, "something follows the value");
        return NULL;
    }
    return root;
}
