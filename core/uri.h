/* uri.h - percent coding and query strings (RFC 3986, and '+' for a space in queries). Pure. */
#pragma once
#include "core/arena.h"
#include "core/error.h"

struct uri_pair {
    struct slice key, value; /* decoded, in the arena; value is empty without '=' */
};

/* Splits and decodes "a=1&b=%20&a=2" (without '?') in order; repeated keys stay apart; empty pieces are
 * skipped. INVALID names the pair for a bad escape, invalid UTF-8, a NUL or more than max_pairs. */
bool uri_parse_query(struct arena *arena, const char *query, size_t len, size_t max_pairs,
                     struct uri_pair **ret_pairs, size_t *ret_count, struct error *reterr);
/* Decodes one path segment ('+' stays). INVALID as above. */
bool uri_decode_segment(struct arena *arena, const char *s, size_t len, struct slice *ret, struct error *reterr);
/* Appends one or several comma-separated URIs with everything between "://" and the last '@' as "***", and the values
 * of parameters whose names speak of passwords, keys and tokens. Never shows less than is safe: made for messages and
 * for --print-config, not for calls. */
bool uri_redact(struct buf *out, const char *uris);
/* Appends s with everything outside unreserved characters (RFC 3986 2.3) escaped. */
bool uri_encode(struct buf *out, const char *s, size_t len);
