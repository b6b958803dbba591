/* json_read.c - trees on top of json_sax. */
#include "core/json_read.h"
#include "core/clock.h"
#include "core/hash.h"
#include "core/utf8.h"

enum { DEFAULT_VALUES = 100000, LINEAR_KEYS = 16, FIRST_TABLE = 64 };

/* An array or object that is still open. Levels are kept and used again for the next one at the same depth. */
struct level {
    struct level *outer, *inner;
    struct json *container, *last;
    /* The keys of an object with more than LINEAR_KEYS members: open addressing, at most half full. */
    struct json **table;
    size_t table_size, table_room; /* used now; allocated */
};

struct builder {
    struct arena *arena;
    struct level *level; /* innermost open one, NULL outside */
    struct level *first;
    struct json *root;
    struct slice key;
    unsigned values, values_max;
    uint64_t seed;
    struct error error;
};

static bool no_memory(struct builder *b, size_t size) {
    if (size < b->arena->max && b->arena->used < b->arena->max - size)
        return error_nomem(&b->error);
    return error_set(&b->error, ERROR_INVALID, "the JSON text needs more than the %zu bytes of memory allowed for it",
                     b->arena->max);
}

static bool copy_slice(struct builder *b, struct slice s, struct slice *ret) {
    char *copy = arena_strndup(b->arena, s.data, s.len);
    if (!copy)
        return no_memory(b, s.len + 1);
    *ret = (struct slice){copy, s.len};
    return true;
}

static bool duplicate_key(struct builder *b, struct slice key) {
    return error_set(&b->error, ERROR_INVALID, "JSON key \"%.*s\" stands twice in one object",
                     (int)utf8_cut(key.data, key.len, 100), key.data);
}

/* The place of key in the table: its member, or the free one where it would go. */
static struct json **table_place(const struct builder *b, const struct level *l, struct slice key) {
    size_t mask = l->table_size - 1;
    size_t at = (size_t)hash_bytes_seeded(key.data, key.len, b->seed) & mask;
    while (l->table[at] && !slice_eq(l->table[at]->key, key))
        at = (at + 1) & mask;
    return &l->table[at];
}

static bool table_build(struct builder *b, struct level *l) {
    size_t size = l->table_size ? l->table_size * 2 : FIRST_TABLE;
    if (size > l->table_room) {
        struct json **table = arena_alloc(b->arena, size * sizeof(struct json *));
        if (!table)
            return no_memory(b, size * sizeof(struct json *));
        l->table = table;
        l->table_room = size;
    }
    l->table_size = size;
    memset(l->table, 0, size * sizeof(struct json *));
    for (struct json *m = l->container->child; m; m = m->next)
        *table_place(b, l, m->key) = m;
    return true;
}

/* Called before member m is linked. */
static bool check_key(struct builder *b, struct level *l, struct json *m) {
    if (l->container->count < LINEAR_KEYS) {
        for (const struct json *other = l->container->child; other; other = other->next)
            if (slice_eq(other->key, m->key))
                return duplicate_key(b, m->key);
        return true;
    }
    if (l->container->count >= l->table_size / 2 && !table_build(b, l))
        return false;
    struct json **place = table_place(b, l, m->key);
    if (*place)
        return duplicate_key(b, m->key);
    *place = m;
    return true;
}

static struct json *add_value(struct builder *b, enum json_type type) {
    if (b->values >= b->values_max) {
        error_set(&b->error, ERROR_INVALID, "the JSON text has more than %u values", b->values_max);
        return NULL;
    }
    b->values++;
    struct json *v = arena_zalloc(b->arena, sizeof(*v));
    if (!v) {
        no_memory(b, sizeof(*v));
        return NULL;
    }
    v->type = type;
    struct level *l = b->level;
    if (!l) {
        b->root = v;
        return v;
    }
    if (l->container->type == JSON_OBJECT) {
        v->key = b->key;
        if (!check_key(b, l, v))
            return NULL;
    }
    if (l->last)
        l->last->next = v;
    else
        l->container->child = v;
    l->last = v;
    l->container->count++;
    return v;
}

static bool add_text(struct builder *b, enum json_type type, struct slice text) {
    struct json *v = add_value(b, type);
    return v && copy_slice(b, text, &v->text);
}

static bool open_level(struct builder *b, enum json_type type) {
    struct json *v = add_value(b, type);
    if (!v)
        return false;
    struct level *l = b->level ? b->level->inner : b->first;
    if (!l) {
        l = arena_zalloc(b->arena, sizeof(*l));
        if (!l)
            return no_memory(b, sizeof(*l));
        l->outer = b->level;
        if (b->level)
            b->level->inner = l;
        else
            b->first = l;
    }
    l->container = v;
    l->last = NULL;
    l->table_size = 0;
    b->level = l;
    return true;
}

static bool close_level(void *ctx) {
    struct builder *b = ctx;
    b->level = b->level->outer;
    return true;
}

static bool on_null(void *ctx) {
    return add_value(ctx, JSON_NULL) != NULL;
}

static bool on_boolean(void *ctx, bool boolean) {
    struct json *v = add_value(ctx, JSON_BOOL);
    if (v)
        v->boolean = boolean;
    return v != NULL;
}

static bool on_number(void *ctx, struct slice text) {
    return add_text(ctx, JSON_NUMBER, text);
}

static bool on_string(void *ctx, struct slice text) {
    return add_text(ctx, JSON_STRING, text);
}

static bool on_key(void *ctx, struct slice key) {
    struct builder *b = ctx;
    return copy_slice(b, key, &b->key);
}

static bool on_object(void *ctx) {
    return open_level(ctx, JSON_OBJECT);
}

static bool on_array(void *ctx) {
    return open_level(ctx, JSON_ARRAY);
}

struct json *json_parse(struct arena *arena, const char *text, size_t len, const struct json_limits *limits,
                        struct error *reterr) {
    static const struct json_sax handlers = {
        .null = on_null,
        .boolean = on_boolean,
        .number = on_number,
        .string = on_string,
        .key = on_key,
        .object_begin = on_object,
        .object_end = close_level,
        .array_begin = on_array,
        .array_end = close_level,
    };
    struct builder b = {
        .arena = arena,
        .values_max = limits && limits->values_max ? limits->values_max : DEFAULT_VALUES,
        .seed = clock_random_u64(),
    };
    bool stopped = false;
    if (!json_sax(&handlers, &b, text, len, limits ? limits->depth_max : 0, &stopped, reterr))
        return NULL;
    if (stopped) {
        if (reterr)
            *reterr = b.error;
        return NULL;
    }
    return b.root;
}

const struct json *json_get_slice(const struct json *v, struct slice key) {
    if (!json_is(v, JSON_OBJECT))
        return NULL;
    char first = key.len ? key.data[0] : '\0';
    for (const struct json *m = v->child; m; m = m->next)
        if (m->key.len == key.len && (key.len == 0 || (m->key.data[0] == first && memcmp(m->key.data, key.data, key.len) == 0)))
            return m;
    return NULL;
}

/* The place of the key among those behind `from`, then among those before it; count: nowhere. */
static size_t place_of(const struct slice keys[], size_t count, size_t from, struct slice key) {
    for (size_t i = from; i < count; i++)
        if (slice_eq(keys[i], key))
            return i;
    for (size_t i = 0; i < from; i++)
        if (slice_eq(keys[i], key))
            return i;
    return count;
}

void json_pick(const struct json *v, const struct slice keys[], size_t count, const struct json *ret[]) {
    size_t from = 0;
    memset(ret, 0, count * sizeof(*ret));
    for (const struct json *m = json_is(v, JSON_OBJECT) ? v->child : NULL; m; m = m->next) {
        size_t i = place_of(keys, count, from, m->key);
        if (i == count)
            continue;
        if (!ret[i])
            ret[i] = m;
        from = i + 1;
    }
}

bool json_bucket(const struct json *v, struct slice *ret_key, int64_t *ret_count) {
    if (json_is(v, JSON_BUCKET)) {
        *ret_key = v->text;
        *ret_count = v->count;
        return true;
    }
    const struct json *key = json_get(v, "key");
    if (!json_is(key, JSON_STRING) || !json_int64(json_get(v, "doc_count"), ret_count))
        return false;
    *ret_key = key->text;
    return true;
}

const struct json *json_path(const struct json *v, const char *dotted) {
    while (v) {
        const char *dot = strchr(dotted, '.');
        size_t len = dot ? (size_t)(dot - dotted) : strlen(dotted);
        v = json_get_slice(v, (struct slice){dotted, len});
        if (!dot)
            return v;
        dotted = dot + 1;
    }
    return NULL;
}

bool json_int64(const struct json *v, int64_t *ret) {
    return json_is(v, JSON_NUMBER) && json_text_int64(v->text, ret);
}

bool json_double(const struct json *v, double *ret) {
    return json_is(v, JSON_NUMBER) && json_text_double(v->text, ret);
}

bool json_string_is(const struct json *v, const char *s) {
    return json_is(v, JSON_STRING) && slice_eq(v->text, slice_str(s));
}
