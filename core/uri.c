#include "core/uri.h"
#include "core/utf8.h"

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static const char no_memory[] = "does not fit into memory";

/* Decodes into an arena copy. What is wrong, for the message (or no_memory), or NULL if nothing. */
static const char *decode(struct arena *arena, struct slice raw, bool plus_is_space, struct slice *ret) {
    char *to = arena_strndup(arena, raw.data, raw.len);
    if (!to)
        return no_memory;
    size_t len = 0;
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.data[i];
        if (c == '%') {
            int high = raw.len - i > 2 ? hex_value(raw.data[i + 1]) : -1;
            int low = high >= 0 ? hex_value(raw.data[i + 2]) : -1;
            if (low < 0)
                return "has a '%' without two hex digits (write '%' itself as %25)";
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c == '\0')
            return "holds a NUL byte";
        to[len++] = c;
    }
    to[len] = '\0';
    if (!utf8_valid(to, len))
        return "is not UTF-8";
    *ret = (struct slice){to, len};
    return NULL;
}

/* At most 40 bytes of s, for a message; what is not printable ASCII becomes '?'. */
static const char *excerpt(struct slice s, char ret[44]) {
    size_t n = s.len < 40 ? s.len : 40;
    for (size_t i = 0; i < n; i++)
        ret[i] = s.data[i] >= ' ' && s.data[i] <= '~' ? s.data[i] : '?';
    memcpy(ret + n, s.len > n ? "..." : "", s.len > n ? 4 : 1);
    return ret;
}

static size_t count_pieces(const char *query, size_t len) {
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += query[i] != '&' && (i == 0 || query[i - 1] == '&');
    return count;
}

static bool parse_pair(struct arena *arena, struct slice piece, size_t number, struct uri_pair *ret,
                       struct error *reterr) {
    const char *equals = memchr(piece.data, '=', piece.len);
    size_t key_len = equals ? (size_t)(equals - piece.data) : piece.len;
    struct slice key = {piece.data, key_len};
    struct slice value = {piece.data + piece.len, 0};
    if (equals)
        value = (struct slice){equals + 1, piece.len - key_len - 1};
    char text[44];
    const char *wrong = decode(arena, key, true, &ret->key);
    if (!wrong)
        wrong = decode(arena, value, true, &ret->value);
    if (wrong == no_memory)
        return error_nomem(reterr);
    if (wrong)
        return error_set(reterr, ERROR_INVALID, "query parameter %zu, '%s', %s", number, excerpt(piece, text), wrong);
    return true;
}

bool uri_parse_query(struct arena *arena, const char *query, size_t len, size_t max_pairs, struct uri_pair **ret_pairs,
                     size_t *ret_count, struct error *reterr) {
    size_t count = count_pieces(query, len);
    if (count > max_pairs)
        return error_set(reterr, ERROR_INVALID, "the query has %zu parameters, more than the %zu that are allowed",
                         count, max_pairs);
    struct uri_pair *pairs = arena_zalloc(arena, count * sizeof(*pairs));
    if (!pairs)
        return error_nomem(reterr);
    size_t at = 0;
    for (size_t n = 0; n < count; n++) {
        while (query[at] == '&')
            at++;
        const char *end = memchr(query + at, '&', len - at);
        struct slice piece = {query + at, end ? (size_t)(end - query) - at : len - at};
        if (!parse_pair(arena, piece, n + 1, &pairs[n], reterr))
            return false;
        at += piece.len;
    }
    *ret_pairs = pairs;
    *ret_count = count;
    return true;
}

bool uri_decode_segment(struct arena *arena, const char *s, size_t len, struct slice *ret, struct error *reterr) {
    char text[44];
    struct slice raw = {s, len};
    const char *wrong = decode(arena, raw, false, ret);
    if (wrong == no_memory)
        return error_nomem(reterr);
    if (wrong)
        return error_set(reterr, ERROR_INVALID, "path segment '%s' %s", excerpt(raw, text), wrong);
    return true;
}

static bool is_unreserved(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

bool uri_encode(struct buf *out, const char *s, size_t len) {
    static const char digits[] = "0123456789ABCDEF";
    size_t plain = 0; /* start of a run that needs no escape */
    for (size_t i = 0; i < len; i++) {
        if (is_unreserved(s[i]))
            continue;
        unsigned char c = (unsigned char)s[i];
        char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
        if (!buf_append(out, s + plain, i - plain) || !buf_append(out, escape, sizeof(escape)))
            return false;
        plain = i + 1;
    }
    return buf_append(out, s + plain, len - plain);
}
