#include "core/json_write.h"
#include "core/json_escape.h"
#include "core/utf8.h"
#include <assert.h>
#include <math.h>

enum { WORD_BITS = 64 };

bool json_write_init(struct json_write *w, struct buf *out) {
    *w = (struct json_write){.out = out};
    return true;
}

void json_write_restart(struct json_write *w, struct buf *out) {
    *w = (struct json_write){.out = out};
}

bool json_write_ok(const struct json_write *w) {
    return !w->failed && buf_ok(w->out);
}

bool json_write_finish(struct json_write *w) {
    return json_write_ok(w) && w->depth == 0 && !w->value_due;
}

static bool is_object(const struct json_write *w, unsigned depth) {
    unsigned i = depth - 1;
    return depth > 0 && (w->objects[i / WORD_BITS] >> (i % WORD_BITS) & 1);
}

/* May a value stand here? Then *ret_comma says whether a comma has to stand before it. */
static bool next_value(struct json_write *w, bool *ret_comma) {
    if (!(w->depth == 0 ? !w->comma : w->value_due || !w->object))
        w->failed = true;
    if (w->failed)
        return false;
    *ret_comma = w->comma && !w->value_due;
    w->comma = true;
    w->value_due = false;
    return true;
}

static inline void append_char(struct json_write *w, char c) {
    struct buf *out = w->out;
    if (!buf_reserve(out, 1)) {
        w->failed = true;
        return;
    }
    out->data[out->len++] = c;
    out->data[out->len] = '\0';
}

static bool begin_value(struct json_write *w) {
    bool comma;
    if (next_value(w, &comma) && comma)
        append_char(w, ',');
    return !w->failed;
}

static void check(struct json_write *w, bool ok) {
    if (!ok)
        w->failed = true;
}

static bool push(struct json_write *w, bool object) {
    if (w->depth == JSON_WRITE_DEPTH_MAX)
        return false;
    unsigned i = w->depth++;
    uint64_t bit = UINT64_C(1) << (i % WORD_BITS);
    if (object)
        w->objects[i / WORD_BITS] |= bit;
    else
        w->objects[i / WORD_BITS] &= ~bit;
    w->object = object;
    return true;
}

static void open_container(struct json_write *w, char bracket, bool object) {
    bool comma;
    if (!next_value(w, &comma))
        return;
    check(w, push(w, object));
    w->comma = false;
    if (comma)
        append_char(w, ',');
    append_char(w, bracket);
}

static void close_container(struct json_write *w, char bracket, bool object) {
    if (w->depth == 0 || w->value_due || w->object != object)
        w->failed = true;
    if (w->failed)
        return;
    w->object = is_object(w, --w->depth);
    w->comma = true;
    append_char(w, bracket);
}

void json_write_object(struct json_write *w) {
    open_container(w, '{', true);
}

void json_write_object_end(struct json_write *w) {
    close_container(w, '}', true);
}

void json_write_array(struct json_write *w) {
    open_container(w, '[', false);
}

void json_write_array_end(struct json_write *w) {
    close_container(w, ']', false);
}

/* Copies s if it is plain ASCII; the last block overlaps the one before. */
static inline bool copy_plain(char *to, const char *s, size_t len) {
    if (len < JSON_ESCAPE_BLOCK)
        return json_escape_copy_short(to, s, len);
    size_t last = len - JSON_ESCAPE_BLOCK;
    for (size_t i = 0;; i = i + JSON_ESCAPE_BLOCK < last ? i + JSON_ESCAPE_BLOCK : last) {
        json_escape_block b = json_escape_load(s + i);
        if (json_escape_found(b) | json_escape_high(b))
            return false;
        memcpy(to + i, s + i, JSON_ESCAPE_BLOCK);
        if (i == last)
            return true;
    }
}

static size_t put_escape(char *to, unsigned char c) {
    static const char digits[] = "0123456789abcdef";
    static const char letters[0x20] = {['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    char letter = c < 0x20 ? letters[c] : (char)c;
    if (letter) {
        memcpy(to, (char[2]){'\\', letter}, 2);
        return 2;
    }
    memcpy(to, (char[6]){'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]}, 6);
    return 6;
}

/* Appends s, for which there is room already, escaped; keeps room for tail more bytes. */
static bool append_escaped(struct buf *out, const char *s, size_t len, size_t tail) {
    const char *end = s + len;
    json_escape_bits high = 0;
    if (!utf8_valid(s, len))
        return false;
    for (;;) {
        const char *stop = json_escape_skip(s, end, &high);
        memcpy(out->data + out->len, s, (size_t)(stop - s));
        out->len += (size_t)(stop - s);
        if (stop == end)
            return true;
        char escape[6];
        size_t n = put_escape(escape, (unsigned char)*stop);
        s = stop + 1;
        if (!buf_reserve(out, n + (size_t)(end - s) + tail))
            return false;
        memcpy(out->data + out->len, escape, n);
        out->len += n;
    }
}

/* [,]"s"[:] into exactly the room that it takes. */
static bool append_quoted_exactly(struct buf *out, bool comma, const char *s, size_t len, bool colon) {
    size_t tail = colon ? 2 : 1, before = out->len;
    if (len > SIZE_MAX / 2 || !buf_reserve(out, comma + 1 + len + tail))
        return false;
    if (comma)
        out->data[out->len++] = ',';
    out->data[out->len++] = '"';
    bool ok = append_escaped(out, s, len, tail);
    if (out->failed)
        return false;
    memcpy(out->data + out->len, "\":", 2);
    out->len = ok ? out->len + tail : before;
    out->data[out->len] = '\0';
    return ok;
}

/* The same with one look at the room, if that is plenty and s is plain. */
static inline bool append_quoted(struct buf *out, bool comma, const char *s, size_t len, bool colon) {
    enum { AROUND = 4 };
    size_t room = out->cap - out->len;
    if (room <= AROUND || len >= room - AROUND)
        return append_quoted_exactly(out, comma, s, len, colon);
    char *to = out->data + out->len;
    *to = ',';
    to += comma;
    *to++ = '"';
    if (!copy_plain(to, s, len)) {
        out->data[out->len] = '\0';
        return append_quoted_exactly(out, comma, s, len, colon);
    }
    to += len;
    memcpy(to, "\":", 2);
    to += colon ? 2 : 1;
    *to = '\0';
    out->len = (size_t)(to - out->data);
    return true;
}

bool json_append_string(struct buf *out, const char *s, size_t len) {
    return append_quoted(out, false, s, len, false);
}

void json_write_key_slice(struct json_write *w, struct slice key) {
    if (!w->object || w->value_due)
        w->failed = true;
    if (w->failed)
        return;
    check(w, append_quoted(w->out, w->comma, key.data, key.len, true));
    w->value_due = true;
}

void json_write_key_plain(struct json_write *w, const char *key, size_t len) {
    struct buf *out = w->out;
    assert(json_escape_skip(key, key + len, &(json_escape_bits){0}) == key + len);
    if (!w->object || w->value_due || !buf_reserve(out, len + 4))
        w->failed = true;
    if (w->failed)
        return;
    char *to = out->data + out->len;
    *to = ',';
    to += w->comma;
    *to++ = '"';
    memcpy(to, key, len);
    memcpy(to + len, "\":", 3);
    out->len = (size_t)(to + len + 2 - out->data);
    w->value_due = true;
}

void json_write_string(struct json_write *w, const char *s, size_t len) {
    bool comma;
    if (next_value(w, &comma))
        check(w, append_quoted(w->out, comma, s, len, false));
}

void json_write_str(struct json_write *w, const char *s) {
    if (s)
        json_write_string(w, s, strlen(s));
    else
        json_write_null(w);
}

void json_write_slice(struct json_write *w, struct slice s) {
    json_write_string(w, s.data, s.len);
}

void json_write_int(struct json_write *w, int64_t v) {
    if (begin_value(w))
        check(w, buf_append_i64(w->out, v));
}

void json_write_uint(struct json_write *w, uint64_t v) {
    if (begin_value(w))
        check(w, buf_append_u64(w->out, v));
}

void json_write_double(struct json_write *w, double v) {
    char text[JSON_DOUBLE_SIZE];
    if (!isfinite(v))
        w->failed = true;
    if (begin_value(w))
        check(w, buf_append(w->out, text, json_format_double(v, text)));
}

/* One value, or the inside of a string, that stands in JSON as it is. */
static inline void write_token(struct json_write *w, const char *s, size_t len, bool quoted) {
    struct buf *out = w->out;
    size_t quotes = quoted ? 2 : 0;
    bool comma;
    if (!next_value(w, &comma))
        return;
    if (len > SIZE_MAX / 2 || !buf_reserve(out, comma + len + quotes)) {
        w->failed = true;
        return;
    }
    char *to = out->data + out->len;
    *to = ',';
    to += comma;
    if (quoted)
        *to++ = '"';
    memcpy(to, s, len);
    to += len;
    if (quoted)
        *to++ = '"';
    *to = '\0';
    out->len = (size_t)(to - out->data);
}

void json_write_bool(struct json_write *w, bool v) {
    json_write_raw(w, v ? "true" : "false", v ? 4 : 5);
}

void json_write_null(struct json_write *w) {
    json_write_raw(w, "null", 4);
}

void json_write_raw(struct json_write *w, const char *json, size_t len) {
    if (len == 0)
        w->failed = true;
    write_token(w, json, len, false);
}

/* Appends the text, and tells from its last byte what may follow. */
static void append_text(struct json_write *w, struct slice text, bool comma) {
    char last = text.data[text.len - 1];
    if (comma)
        append_char(w, ',');
    check(w, buf_append(w->out, text.data, text.len));
    w->value_due = last == ':';
    w->comma = last != '{' && last != '[';
}

void json_write_open(struct json_write *w, struct slice text, const char *levels) {
    bool key = w->object && !w->value_due, comma = w->comma && !w->value_due;
    if (key != (text.data[0] == '"') || (w->depth == 0 && w->comma))
        w->failed = true;
    for (; *levels && !w->failed; levels++)
        check(w, push(w, *levels == '{'));
    if (!w->failed)
        append_text(w, text, comma);
}

void json_write_close(struct json_write *w, struct slice text, unsigned levels) {
    if (w->depth < levels || w->value_due)
        w->failed = true;
    if (w->failed)
        return;
    w->object = is_object(w, w->depth -= levels);
    append_text(w, text, false);
}

struct buf *json_write_pieces(struct json_write *w) {
    return begin_value(w) ? w->out : NULL;
}

/* Calls itself once per level, at most JSON_WRITE_DEPTH_MAX times: deeper the writer has failed. */
void json_write_json(struct json_write *w, const struct json *v) {
    if (w->failed)
        return;
    switch (v->type) {
    case JSON_NULL:
        json_write_null(w);
        return;
    case JSON_BOOL:
        json_write_bool(w, v->boolean);
        return;
    case JSON_NUMBER:
        json_write_raw(w, v->text.data, v->text.len);
        return;
    case JSON_STRING:
        if (v->plain)
            write_token(w, v->text.data, v->text.len, true);
        else
            json_write_slice(w, v->text);
        return;
    case JSON_BUCKET:
        json_write_object(w);
        json_write_key(w, "key");
        json_write_slice(w, v->text);
        json_write_key(w, "doc_count");
        json_write_uint(w, v->count);
        json_write_object_end(w);
        return;
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    bool object = v->type == JSON_OBJECT;
    open_container(w, object ? '{' : '[', object);
    for (const struct json *m = v->child; m && !w->failed; m = m->next) {
        if (object)
            json_write_key_slice(w, m->key);
        json_write_json(w, m);
    }
    close_container(w, object ? '}' : ']', object);
}
