#include "core/api_key.h"
#include "core/cleanup.h"
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

enum { SECRET_BYTES = 24 };

static const struct {
    const char *name;
    enum http_scope scope;
} scope_names[] = {{"search", HTTP_SCOPE_SEARCH}, {"write", HTTP_SCOPE_WRITE}, {"admin", HTTP_SCOPE_ADMIN}};

void api_key_hash(struct slice secret, struct api_key_hash *ret) {
    SHA256((const unsigned char *)(secret.data ? secret.data : ""), secret.len, ret->bytes);
}

bool api_key_hash_equal(const struct api_key_hash *a, const struct api_key_hash *b) {
    return CRYPTO_memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static void write_hex(const unsigned char *bytes, size_t count, char *ret) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        ret[2 * i] = digits[bytes[i] >> 4];
        ret[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret[2 * count] = '\0';
}

static int digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(struct slice text, unsigned char *ret, size_t count) {
    if (text.len != 2 * count)
        return false;
    for (size_t i = 0; i < count; i++) {
        int high = digit(text.data[2 * i]), low = digit(text.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

bool api_key_make_secret(char ret[API_KEY_SECRET_SIZE]) {
    unsigned char bytes[SECRET_BYTES];
    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return false;
    memcpy(ret, "rsk_", 4);
    write_hex(bytes, sizeof(bytes), ret + 4);
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return true;
}

bool api_key_id_valid(struct slice id) {
    if (id.len == 0 || id.len > API_KEY_ID_MAX_BYTES)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.data[i];
        bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!word && c != '-' && c != '_' && c != '.')
            return false;
    }
    return true;
}

/* ---- as JSON ---- */

static bool bad(struct api_key_errors *errors, const char *field, const char *message) {
    if (errors->count < API_KEY_ERRORS_MAX)
        errors->items[errors->count++] = (struct field_error){field, message};
    return false;
}

static bool is_given(const struct json *v) {
    return v && v->type != JSON_NULL;
}

static bool read_scopes(const struct json *list, unsigned *ret) {
    *ret = 0;
    for (const struct json *m = json_is(list, JSON_ARRAY) ? list->child : NULL; m; m = m->next) {
        unsigned one = 0;
        for (size_t i = 0; i < ARRAY_LEN(scope_names); i++)
            if (json_string_is(m, scope_names[i].name))
                one = scope_names[i].scope;
        if (!one)
            return false;
        *ret |= one;
    }
    return *ret != 0;
}

static bool read_members(const struct json *body, struct api_key *ret, struct api_key_errors *errors) {
    const struct json *rate = json_get(body, "rate"), *burst = json_get(body, "burst"), *end = json_get(body, "expires_at");
    if (!read_scopes(json_get(body, "scopes"), &ret->scopes))
        bad(errors, "scopes", "must be a list of one or more of search, write, admin");
    ret->rate = ret->burst = ret->expires_at_wall_usec = 0;
    if (is_given(rate) && (!json_int64(rate, &ret->rate) || ret->rate < 1 || ret->rate > API_KEY_RATE_MAX))
        bad(errors, "rate", "must be a whole number of requests per second, 1 to 1000000; left out: no limit");
    if (!is_given(burst))
        ret->burst = ret->rate;
    else if (!ret->rate || !json_int64(burst, &ret->burst) || ret->burst < 1 || ret->burst > API_KEY_RATE_MAX)
        bad(errors, "burst", "must be a whole number of requests at once, 1 to 1000000, beside a rate");
    if (is_given(end) && (!json_is(end, JSON_STRING) ||
                          !clock_parse_rfc3339(end->text.data, end->text.len, &ret->expires_at_wall_usec) ||
                          ret->expires_at_wall_usec <= 0))
        bad(errors, "expires_at", "must be a time like 2027-01-01T00:00:00Z");
    return errors->count == 0;
}

bool api_key_read(const struct json *body, struct api_key *ret, struct api_key_errors *errors) {
    static const char *const names[] = {"scopes", "rate", "burst", "expires_at"};
    errors->count = 0;
    if (!json_is(body, JSON_OBJECT))
        return bad(errors, "body", "must be a JSON object");
    for (const struct json *m = body->child; m; m = m->next) {
        bool known = false;
        for (size_t i = 0; i < ARRAY_LEN(names) && !known; i++)
            known = slice_eq(m->key, slice_str(names[i]));
        if (!known)
            bad(errors, m->key.data, "is not a member of this");
    }
    return read_members(body, ret, errors);
}

static void write_limit(struct json_write *w, const char *name, int64_t value) {
    json_write_key(w, name);
    if (value)
        json_write_int(w, value);
    else
        json_write_null(w);
}

void api_key_write(struct json_write *w, const struct api_key *key) {
    char time[CLOCK_RFC3339_SIZE];
    json_write_key(w, "scopes");
    json_write_array(w);
    for (size_t i = 0; i < ARRAY_LEN(scope_names); i++)
        if (key->scopes & scope_names[i].scope)
            json_write_str(w, scope_names[i].name);
    json_write_array_end(w);
    write_limit(w, "rate", key->rate);
    write_limit(w, "burst", key->burst);
    json_write_key(w, "expires_at");
    if (key->expires_at_wall_usec)
        clock_format_rfc3339(key->expires_at_wall_usec, time);
    json_write_str(w, key->expires_at_wall_usec ? time : NULL);
}

void api_key_write_stored(struct json_write *w, const struct api_key *key) {
    char hex[2 * API_KEY_HASH_BYTES + 1];
    write_hex(key->hash.bytes, sizeof(key->hash.bytes), hex);
    json_write_object(w);
    json_write_key(w, "id");
    json_write_str(w, key->id);
    json_write_key(w, "hash");
    json_write_str(w, hex);
    api_key_write(w, key);
    json_write_object_end(w);
}

bool api_key_read_stored(const struct json *source, struct api_key *ret) {
    const struct json *id = json_get(source, "id"), *hash = json_get(source, "hash");
    struct api_key_errors errors = {.count = 0};
    *ret = (struct api_key){.scopes = 0};
    if (!json_is(id, JSON_STRING) || !api_key_id_valid(id->text) || !json_is(hash, JSON_STRING) ||
        !read_hex(hash->text, ret->hash.bytes, sizeof(ret->hash.bytes)))
        return false;
    memcpy(ret->id, id->text.data, id->text.len);
    return read_members(source, ret, &errors);
}

/* ---- the set ---- */

struct api_keys {
    struct api_key *items; /* by hash once finished */
    size_t count, room;
};

struct api_keys *api_keys_new(void) {
    return calloc(1, sizeof(struct api_keys));
}

void api_keys_free(struct api_keys *keys) {
    if (!keys)
        return;
    free(keys->items);
    free(keys);
}

bool api_keys_add(struct api_keys *keys, const struct api_key *key) {
    if (keys->count == keys->room) {
        size_t room = keys->room ? keys->room * 2 : 16;
        struct api_key *items = room <= 2 * (size_t)API_KEYS_MAX ? realloc(keys->items, room * sizeof(*items)) : NULL;
        if (!items)
            return false;
        keys->items = items;
        keys->room = room;
    }
    keys->items[keys->count++] = *key;
    return true;
}

static int by_hash(const void *a, const void *b) {
    const struct api_key *x = a, *y = b;
    return memcmp(x->hash.bytes, y->hash.bytes, sizeof(x->hash.bytes));
}

void api_keys_finish(struct api_keys *keys) {
    if (keys->count)
        qsort(keys->items, keys->count, sizeof(*keys->items), by_hash);
}

size_t api_keys_count(const struct api_keys *keys) {
    return keys ? keys->count : 0;
}

bool api_keys_has_room(const struct api_keys *keys, const char *id) {
    if (api_keys_count(keys) < API_KEYS_MAX)
        return true;
    for (size_t i = 0; i < keys->count; i++)
        if (strcmp(keys->items[i].id, id) == 0)
            return true;
    return false;
}

const struct api_key *api_keys_find(const struct api_keys *keys, const struct api_key_hash *hash) {
    struct api_key wanted = {.hash = *hash};
    return api_keys_count(keys) ? bsearch(&wanted, keys->items, keys->count, sizeof(*keys->items), by_hash) : NULL;
}
