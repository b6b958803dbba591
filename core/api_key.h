/* api_key.h - API keys: what is known of each, and the immutable set of those that are valid. Pure.
 *
 * A key is known by its SHA-256 alone. That is enough: secrets are made here, of 192 random bits, so that neither a slow
 * hash nor salt would make guessing harder. The set is searched by hash; what the time of a search tells about stored
 * hashes does not lead to a secret.
 * Thread: one owner; a finished set does not change. */
#pragma once
#include "core/http_server.h"
#include "core/json_read.h"
#include "core/json_write.h"

enum {
    API_KEY_HASH_BYTES = 32,
    API_KEY_SECRET_SIZE = 53, /* "rsk_" and 48 hexadecimal digits, and the NUL */
    API_KEY_ID_MAX_BYTES = 64,
    API_KEY_GIVEN_MAX_BYTES = 256, /* of what a request may bring */
    API_KEY_RATE_MAX = 1000000,
    API_KEY_ERRORS_MAX = 8,
    API_KEYS_MAX = 10000,
};

struct api_key_hash {
    unsigned char bytes[API_KEY_HASH_BYTES];
};

struct api_key {
    char id[API_KEY_ID_MAX_BYTES + 1];
    struct api_key_hash hash;
    unsigned scopes;              /* sum of enum http_scope */
    int64_t rate, burst;          /* requests per second and at once; rate 0: no limit */
    int64_t expires_at_wall_usec; /* 0: never */
};

void api_key_hash(struct slice secret, struct api_key_hash *ret);
/* Takes the same time wherever the difference is. */
bool api_key_hash_equal(const struct api_key_hash *a, const struct api_key_hash *b);
/* A new secret from the system's random source. False if that fails. */
bool api_key_make_secret(char ret[API_KEY_SECRET_SIZE]);
/* Letters, digits and "-_.": at most API_KEY_ID_MAX_BYTES of them. */
bool api_key_id_valid(struct slice id);

struct api_key_errors {
    struct field_error items[API_KEY_ERRORS_MAX];
    size_t count;
};
/* {"scopes": ["search"], "rate": 100, "burst": 200, "expires_at": "2027-01-01T00:00:00Z"}: all but scopes may be left out or
 * null. Mistakes name their fields. id and hash of *ret stay as they are. */
bool api_key_read(const struct json *body, struct api_key *ret, struct api_key_errors *errors);
/* The members of an open object that api_key_read reads, in their full form. */
void api_key_write(struct json_write *w, const struct api_key *key);
/* What is stored: as api_key_write, with id and the hash in hexadecimal digits. */
void api_key_write_stored(struct json_write *w, const struct api_key *key);
/* False for what is no stored key. */
bool api_key_read_stored(const struct json *source, struct api_key *ret);

struct api_keys;
struct api_keys *api_keys_new(void);
void api_keys_free(struct api_keys *keys);
bool api_keys_add(struct api_keys *keys, const struct api_key *key); /* false without memory or room */
void api_keys_finish(struct api_keys *keys);                         /* after this it is complete and read-only */
size_t api_keys_count(const struct api_keys *keys);
/* May a key with this id be set? A new one must find room below API_KEYS_MAX. */
bool api_keys_has_room(const struct api_keys *keys, const char *id);
/* NULL: there is no such key. It may have expired. */
const struct api_key *api_keys_find(const struct api_keys *keys, const struct api_key_hash *hash);
