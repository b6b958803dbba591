/* json_write.h - writing JSON into a buf (yajl_gen underneath, the only place that includes it).
 *
 * Failure is sticky like buf's: write everything, ask json_write_ok() once. Doubles are written in the shortest
 * form that reads back the same (19.99, not 19.989999999999998437); NaN and infinities fail. Strings must be
 * valid UTF-8. Commas and colons come by themselves.
 *
 *   struct json_write w; json_write_init(&w, &buf);
 *   json_write_object(&w); json_write_key(&w, "id"); json_write_string(&w, id, len); json_write_object_end(&w);
 *   if (!json_write_finish(&w)) ...
 *
 * Thread: one owner. */
#pragma once
#include "core/buf.h"
#include "core/json_read.h"

struct json_write {
    struct buf *out;
    void *gen; /* yajl_gen */
    bool failed;
};

bool json_write_init(struct json_write *w, struct buf *out);
/* Frees the generator. True if everything was written and all objects and arrays are closed. Must be called. */
bool json_write_finish(struct json_write *w);
void json_write_restart(struct json_write *w, struct buf *out); /* for the next document, memory kept */
bool json_write_ok(const struct json_write *w);

void json_write_object(struct json_write *w);
void json_write_object_end(struct json_write *w);
void json_write_array(struct json_write *w);
void json_write_array_end(struct json_write *w);
void json_write_key(struct json_write *w, const char *key);
void json_write_key_slice(struct json_write *w, struct slice key);
void json_write_string(struct json_write *w, const char *s, size_t len);
void json_write_str(struct json_write *w, const char *s); /* NULL writes null */
void json_write_slice(struct json_write *w, struct slice s);
void json_write_int(struct json_write *w, int64_t v);
void json_write_uint(struct json_write *w, uint64_t v);
void json_write_double(struct json_write *w, double v);
void json_write_bool(struct json_write *w, bool v);
void json_write_null(struct json_write *w);
/* A JSON text that is known to be valid, as one value. */
void json_write_raw(struct json_write *w, const char *json, size_t len);
void json_write_json(struct json_write *w, const struct json *v); /* a parsed tree */

/* The shortest round-trip form of a finite double ("19.99", "1e+300"); returns its length. */
#define JSON_DOUBLE_SIZE 32
size_t json_format_double(double v, char ret[JSON_DOUBLE_SIZE]);
/* Appends s as a quoted JSON string. */
bool json_append_string(struct buf *out, const char *s, size_t len);
