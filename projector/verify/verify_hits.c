#include "core/json_read.h"
#include "projector/verify/verify_hits.h"
#include <stdlib.h>

enum { ARENA_BYTES_MAX = 64 << 20 };

void verify_hits_init(struct verify_hits *hits) {
    *hits = (struct verify_hits){0};
    arena_init(&hits->arena, ARENA_BYTES_MAX);
}

void verify_hits_done(struct verify_hits *hits) {
    free(hits->items);
    arena_done(&hits->arena);
    *hits = (struct verify_hits){0};
}

/* -- a walk over JSON that keeps places, which a reader that decodes does not -- */

struct scan {
    const char *p, *end;
    bool bad; /* sticky */
};

static char peek(struct scan *s) {
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
    return s->p < s->end && !s->bad ? *s->p : '\0';
}

static bool take(struct scan *s, char c) {
    if (peek(s) != c) {
        s->bad = true;
        return false;
    }
    s->p++;
    return true;
}

/* The bytes between the quotes, as they stand there. */
static struct slice take_string(struct scan *s) {
    if (!take(s, '"'))
        return (struct slice){0};
    const char *begin = s->p;
    for (; s->p < s->end; s->p++) {
        if (*s->p == '"')
            return (struct slice){begin, (size_t)(s->p++ - begin)};
        if (*s->p == '\\')
            s->p++;
    }
    s->bad = true;
    return (struct slice){0};
}

static void skip_nested(struct scan *s) {
    size_t depth = 0;
    do {
        char c = *s->p;
        if (c == '"') {
            take_string(s);
            continue;
        }
        if (c == '{' || c == '[')
            depth++;
        else if (c == '}' || c == ']')
            depth--;
        s->p++;
    } while (depth > 0 && s->p < s->end && !s->bad);
    s->bad = s->bad || depth > 0;
}

/* A whole value, quotes or brackets included. */
static struct slice take_value(struct scan *s) {
    char c = peek(s);
    const char *begin = s->p;
    if (c == '"')
        take_string(s);
    else if (c == '{' || c == '[')
        skip_nested(s);
    else
        while (s->p < s->end && *s->p != ',' && *s->p != '}' && *s->p != ']' && *s->p != ' ' && *s->p != '\n')
            s->p++;
    s->bad = s->bad || s->p == begin;
    return s->bad ? (struct slice){0} : (struct slice){begin, (size_t)(s->p - begin)};
}

/* Before each element or member: true if there is one. *begun starts false. */
static bool next(struct scan *s, char close, bool *begun) {
    char c = peek(s);
    if (c == close)
        s->p++;
    else if (c == '\0')
        s->bad = true;
    if (c == close || s->bad || (*begun && !take(s, ',')))
        return false;
    *begun = true;
    return true;
}

static bool next_member(struct scan *s, bool *begun, struct slice *ret_key) {
    if (!next(s, '}', begun))
        return false;
    *ret_key = take_string(s);
    return take(s, ':');
}

static bool is(struct slice key, const char *name) {
    return slice_eq(key, slice_str(name));
}

/* -- hits -- */

/* Text without escapes is taken where it stands. */
static bool decode(struct verify_hits *hits, struct slice raw, struct slice *ret) {
    *ret = raw;
    if (!raw.len || !memchr(raw.data, '\\', raw.len))
        return true;
    const struct json *v = json_parse(&hits->arena, raw.data - 1, raw.len + 2, NULL, NULL);
    if (!json_is(v, JSON_STRING))
        return false;
    *ret = v->text;
    return true;
}

static void take_id(struct verify_hits *hits, struct scan *s, struct slice *ret) {
    if (peek(s) != '"' || !decode(hits, take_string(s), ret))
        s->bad = true;
}

static bool take_int(struct scan *s, int64_t *ret) {
    return json_text_int64(take_value(s), ret);
}

static void take_sort(struct verify_hits *hits, struct scan *s, struct verify_hit *hit) {
    bool begun = false;
    int64_t v;
    take(s, '[');
    for (int i = 0; next(s, ']', &begun); i++) {
        if (i == 0) {
            take_id(hits, s, &hit->id);
        } else if (take_int(s, &v) && i == 1) {
            hit->hash = (uint64_t)v;
            hit->has_hash = true;
        }
    }
}

static void take_source(struct scan *s, struct verify_hit *hit) {
    hit->source = take_value(s);
    struct scan in = {hit->source.data, hit->source.data + hit->source.len, s->bad};
    struct slice key;
    bool begun = false;
    int64_t v;
    if (!take(&in, '{'))
        return;
    while (next_member(&in, &begun, &key)) {
        if (!is(key, "content_hash"))
            take_value(&in);
        else if (take_int(&in, &v)) {
            hit->hash = (uint64_t)v;
            hit->has_hash = true;
        }
    }
}

static struct verify_hit *add(struct verify_hits *hits) {
    if (hits->count == hits->capacity) {
        size_t capacity = hits->capacity ? hits->capacity * 2 : 1024;
        struct verify_hit *items = realloc(hits->items, capacity * sizeof(*items));
        if (!items)
            return NULL;
        hits->items = items;
        hits->capacity = capacity;
    }
    hits->items[hits->count] = (struct verify_hit){0};
    return &hits->items[hits->count++];
}

static bool corrupt(const char *what, struct error *reterr) {
    return error_set(reterr, ERROR_CORRUPT, "the answer to %s cannot be read", what);
}

static void take_search_hit(struct verify_hits *hits, struct scan *s, struct verify_hit *hit) {
    struct slice key;
    bool begun = false;
    struct slice doc_id = {0};
    take(s, '{');
    while (next_member(s, &begun, &key)) {
        if (is(key, "sort"))
            take_sort(hits, s, hit);
        else if (is(key, "_id"))
            take_id(hits, s, &doc_id);
        else if (is(key, "_source"))
            hit->source = take_value(s);
        else
            take_value(s);
    }
    hit->found = true;
    hit->doc_id = doc_id;
}

/* Goes to the array at top.name1[.name2]; false: it is not there, or the text is bad. */
static bool enter(struct scan *s, const char *name) {
    struct slice key;
    bool begun = false;
    if (!take(s, '{'))
        return false;
    while (next_member(s, &begun, &key)) {
        if (is(key, name))
            return true;
        take_value(s);
    }
    return false;
}

bool verify_hits_read_search(struct verify_hits *hits, struct slice answer, struct error *reterr) {
    struct scan s = {answer.data, answer.data + answer.len, answer.len == 0};
    bool begun = false;
    hits->count = 0;
    arena_reset(&hits->arena);
    if (!enter(&s, "hits") || !enter(&s, "hits") || !take(&s, '['))
        return s.bad ? corrupt("a search", reterr) : true;
    while (next(&s, ']', &begun)) {
        struct verify_hit *hit = add(hits);
        if (!hit)
            return error_nomem(reterr);
        take_search_hit(hits, &s, hit);
        if (s.bad)
            break;
    }
    return s.bad || s.p == s.end ? corrupt("a search", reterr) : true;
}

static bool take_document(struct verify_hits *hits, struct scan *s, struct verify_hit *hit, struct error *reterr) {
    struct slice key, failure = {0};
    bool begun = false;
    int64_t v;
    take(s, '{');
    while (next_member(s, &begun, &key)) {
        if (is(key, "_id"))
            take_id(hits, s, &hit->id);
        else if (is(key, "found"))
            hit->found = is(take_value(s), "true");
        else if (is(key, "_source"))
            take_source(s, hit);
        else if (is(key, "error"))
            failure = take_value(s);
        else if (!is(key, "_version"))
            take_value(s);
        else if (take_int(s, &v))
            hit->version = (uint64_t)v;
    }
    if (failure.len && !s->bad)
        return error_set(reterr, ERROR_UNAVAILABLE, "read a document: %.*s", failure.len < 150 ? (int)failure.len : 150,
                         failure.data);
    return true;
}

bool verify_hits_read_mget(struct verify_hits *hits, struct slice answer, struct error *reterr) {
    struct scan s = {answer.data, answer.data + answer.len, answer.len == 0};
    bool begun = false;
    hits->count = 0;
    arena_reset(&hits->arena);
    if (!enter(&s, "docs") || !take(&s, '['))
        return corrupt("_mget", reterr);
    while (next(&s, ']', &begun)) {
        struct verify_hit *hit = add(hits);
        if (!hit)
            return error_nomem(reterr);
        if (!take_document(hits, &s, hit, reterr))
            return false;
        if (s.bad)
            break;
    }
    return s.bad || s.p == s.end ? corrupt("_mget", reterr) : true;
}
