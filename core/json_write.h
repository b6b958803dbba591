/* json_write.h - writing JSON into a buf.
 *
 * Failure is sticky like buf's: write everything, ask json_write_ok() once. Doubles are written in the shortest
 * form that reads back the same (19.99, not 19.989999999999998437); NaN and infinities fail. Strings must be
 * valid UTF-8. Commas and colons come by themselves. What would not be JSON fails too: a value without a key in
 * an object, a second value at the top, a bracket that does not match, more than JSON_WRITE_DEPTH_MAX levels.
 *
 *   struct json_write w; json_write_init(&w, &buf);
 *   json_write_object(&w); json_write_key(&w, "id"); json_write_string(&w, id, len); json_write_object_end(&w);
 *   if (!json_write_finish(&w)) ...
 *
 * Thread: one owner. */
#pragma once
#include "core/buf.h"
#include "core/json_read.h"

#define JSON_WRITE_DEPTH_MAX 128

struct json_write {
    struct buf *out;
    uint64_t objects[JSON_WRITE_DEPTH_MAX / 64]; /* bit i: level i is an object, not an array */
    unsigned depth;
    bool object;    /* the level at hand is one */
    bool comma;     /* something stands before in this object or array */
    bool value_due; /* after a key */
    bool failed;
};

bool json_write_init(struct json_write *w, struct buf *out); /* always true; owns no memory */
/* True if everything was written and all objects and arrays are closed. */
bool json_write_finish(struct json_write *w);
/* For the next document, into the same buf or another one. Forgets a failure of the document before (the buf
 * does not forget its own). */
void json_write_restart(struct json_write *w, struct buf *out);
bool json_write_ok(const struct json_write *w);

void json_write_object(struct json_write *w);
void json_write_object_end(struct json_write *w);
void json_write_array(struct json_write *w);
void json_write_array_end(struct json_write *w);
void json_write_key_slice(struct json_write *w, struct slice key);
void json_write_key_plain(struct json_write *w, const char *key, size_t len);
/* A key that the program names: it stands in a JSON string as it is, and is not looked at. */
static inline void json_write_key(struct json_write *w, const char *key) {
    json_write_key_plain(w, key, strlen(key));
}
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
/* Text of the program that goes over levels: one value or a key, what it opens, and in the innermost level perhaps members; a colon
 * at its end waits for a value. levels: the brackets that are open at its end, such as "{{[" of {"bool":{"must":[ . */
void json_write_open(struct json_write *w, struct slice text, const char *levels);
/* Text that closes so many levels, and may go on with members and a colon. */
void json_write_close(struct json_write *w, struct slice text, unsigned levels);
/* One value in pieces: what the caller appends to the buf has to be the JSON text of one value. NULL after a failure. */
struct buf *json_write_pieces(struct json_write *w);

/* The shortest round-trip form of a finite double ("19.99", "1e+300"); returns its length. */
#define JSON_DOUBLE_SIZE 32
size_t json_format_double(double v, char ret[JSON_DOUBLE_SIZE]);
/* Appends s as a quoted JSON string. */
bool json_append_string(struct buf *out, const char *s, size_t len);
