/* json_read.h - reading JSON (RFC 8259) with yajl underneath: the only place that includes yajl's parser.
 *
 * Strict beyond yajl: UTF-8 is checked, depth is bounded, numbers stay text until asked for, NaN and infinities
 * are refused, trailing bytes are refused, duplicate keys of one object are refused (in json_parse).
 *
 * Two ways: json_parse makes a tree in an arena (requests, small answers); json_sax calls back without keeping
 * anything (bulk and search answers). Errors are ERROR_INVALID and name line/column or the key.
 * Thread: pure, any. */
#pragma once
#include "core/arena.h"
#include "core/error.h"

/* JSON_BUCKET: {"key":text,"doc_count":count}, an object in one node, in which "from" and "to" may have stood, too; made by
 * answer_json_parse only, read by json_bucket. */
enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT, JSON_BUCKET };

struct json {
    enum json_type type;
    struct slice key;  /* if it is a member of an object; may hold NUL bytes from \u0000 */
    struct slice text; /* JSON_STRING: decoded; JSON_NUMBER: as written; both also NUL-terminated */
    bool boolean;
    bool plain;         /* JSON_STRING: known to stand in a JSON text as it is; written without another look */
    unsigned count;     /* members or elements; JSON_BUCKET: its doc_count */
    struct json *child; /* first member or element */
    struct json *next;  /* next sibling */
};

struct json_limits {
    unsigned depth_max;  /* default 32 if 0: arrays and objects inside each other */
    unsigned values_max; /* default 100,000 if 0: values in the whole text */
};

/* The tree lives in the arena. NULL on failure. limits may be NULL. */
struct json *json_parse(struct arena *arena, const char *text, size_t len, const struct json_limits *limits,
                        struct error *reterr);

/* NULL if v is no object or has no such key. */
const struct json *json_get_slice(const struct json *v, struct slice key);
static inline const struct json *json_get(const struct json *v, const char *key) {
    return json_get_slice(v, slice_str(key));
}
/* Several members at once, NULL for those that are not there; in the order of the object they cost a look each. */
void json_pick(const struct json *v, const struct slice keys[], size_t count, const struct json *ret[]);
/* One of the buckets that Elasticsearch counts in: its key, if that is a string, and its doc_count. */
bool json_bucket(const struct json *v, struct slice *ret_key, int64_t *ret_count);
/* "a.b.c" through objects. */
const struct json *json_path(const struct json *v, const char *dotted);
/* Whole number within int64: true for 12 and 12.0 and 1.2e1, false for 1.5, overflow and other types. */
bool json_int64(const struct json *v, int64_t *ret);
/* Finite double; false for other types and overflow. */
bool json_double(const struct json *v, double *ret);
static inline bool json_is(const struct json *v, enum json_type type) {
    return v && v->type == type;
}
bool json_string_is(const struct json *v, const char *s);
/* The first element of an array; NULL if it is none, or empty. */
static inline const struct json *json_first(const struct json *v) {
    return json_is(v, JSON_ARRAY) ? v->child : NULL;
}

/* Return false from any callback to stop (json_sax then returns true with *ret_stopped = true). Callbacks may
 * be NULL. Slices are valid during the call only. */
struct json_sax {
    bool (*null)(void *ctx);
    bool (*boolean)(void *ctx, bool v);
    bool (*number)(void *ctx, struct slice text);
    bool (*string)(void *ctx, struct slice text);
    bool (*key)(void *ctx, struct slice key);
    bool (*object_begin)(void *ctx);
    bool (*object_end)(void *ctx);
    bool (*array_begin)(void *ctx);
    bool (*array_end)(void *ctx);
};
bool json_sax(const struct json_sax *handlers, void *ctx, const char *text, size_t len, unsigned depth_max,
              bool *ret_stopped, struct error *reterr);

/* number text -> int64 / double with the rules above */
bool json_text_int64(struct slice text, int64_t *ret);
bool json_text_double(struct slice text, double *ret);
