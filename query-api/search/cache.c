#include "core/hash.h"
#include "query-api/search/cache.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUCKETS_MIN = 64, BUCKETS_MAX = 1 << 20, ENTRY_BYTES_USUAL = 8192, ALLOCATION_BYTES = 16, SHARE_MAX = 8 };

struct entry {
    struct entry *chain;         /* in its bucket */
    struct entry *newer, *older; /* by last use */
    uint64_t hash, epoch, tag;
    usec_t asked_at;
    size_t key_len, body_len;
    char bytes[]; /* key, body */
};

struct cache {
    size_t max_bytes;
    uint64_t seed;
    struct cache_stats stats;
    struct entry *newest, *oldest;
    size_t bucket_count; /* a power of two; 0: keeps nothing */
    struct entry *buckets[];
};

struct cache *cache_new(size_t max_bytes) {
    size_t count = max_bytes ? BUCKETS_MIN : 0;
    while (count && count < BUCKETS_MAX && count < max_bytes / ENTRY_BYTES_USUAL)
        count *= 2;
    size_t bytes = sizeof(struct cache) + count * sizeof(struct entry *);
    struct cache *c = calloc(1, bytes);
    if (!c)
        return NULL;
    c->max_bytes = max_bytes;
    c->seed = clock_random_u64();
    c->bucket_count = count;
    c->stats.bytes = bytes;
    return c;
}

static size_t entry_bytes(size_t key_len, size_t body_len) {
    return sizeof(struct entry) + key_len + body_len + ALLOCATION_BYTES;
}

static struct entry **bucket_of(struct cache *c, uint64_t hash) {
    return &c->buckets[hash & (c->bucket_count - 1)];
}

static void unlink_use(struct cache *c, struct entry *e) {
    *(e->newer ? &e->newer->older : &c->newest) = e->older;
    *(e->older ? &e->older->newer : &c->oldest) = e->newer;
}

static void link_use(struct cache *c, struct entry *e) {
    e->newer = NULL;
    e->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
}

static void drop(struct cache *c, struct entry *e) {
    struct entry **at = bucket_of(c, e->hash);
    while (*at != e)
        at = &(*at)->chain;
    *at = e->chain;
    unlink_use(c, e);
    c->stats.bytes -= entry_bytes(e->key_len, e->body_len);
    c->stats.entries--;
    free(e);
}

void cache_free(struct cache *c) {
    while (c && c->oldest)
        drop(c, c->oldest);
    free(c);
}

static struct entry *find(struct cache *c, struct slice key, uint64_t hash) {
    for (struct entry *e = *bucket_of(c, hash); e; e = e->chain)
        if (e->hash == hash && slice_eq((struct slice){e->bytes, e->key_len}, key))
            return e;
    return NULL;
}

static enum cache_state state_of(const struct entry *e, const struct cache_ages *ages, uint64_t epoch, usec_t now) {
    usec_t age = now > e->asked_at ? now - e->asked_at : 0;
    if (e->epoch == epoch && age < ages->fresh)
        return CACHE_FRESH;
    if (e->epoch == epoch && age < ages->stale)
        return CACHE_STALE;
    return age < ages->stale_if_error ? CACHE_OLD : CACHE_MISS;
}

struct cache_hit cache_get(struct cache *c, struct slice key, const struct cache_ages *ages, uint64_t epoch, usec_t now) {
    struct cache_hit hit = {.state = CACHE_MISS};
    struct entry *e = c->bucket_count ? find(c, key, hash_bytes_seeded(key.data, key.len, c->seed)) : NULL;
    if (!e)
        return hit;
    hit.state = state_of(e, ages, epoch, now);
    if (hit.state == CACHE_MISS) {
        drop(c, e);
        return hit;
    }
    unlink_use(c, e);
    link_use(c, e);
    hit.body = (struct slice){e->bytes + e->key_len, e->body_len};
    hit.tag = e->tag;
    hit.asked_at = e->asked_at;
    return hit;
}

void cache_put(struct cache *c, struct slice key, struct slice body, uint64_t epoch, usec_t asked_at) {
    if (!c->bucket_count)
        return;
    uint64_t hash = hash_bytes_seeded(key.data, key.len, c->seed);
    struct entry *e = find(c, key, hash);
    if (e && e->asked_at > asked_at && e->epoch >= epoch)
        return; /* an answer that was overtaken */
    if (e)
        drop(c, e);
    if (body.len > c->max_bytes || key.len > c->max_bytes)
        return;
    size_t bytes = entry_bytes(key.len, body.len);
    if (bytes > c->max_bytes / SHARE_MAX)
        return;
    for (; c->oldest && c->stats.bytes + bytes > c->max_bytes; c->stats.evicted++)
        drop(c, c->oldest);
    if (c->stats.bytes + bytes > c->max_bytes || !(e = malloc(sizeof(*e) + key.len + body.len)))
        return;
    *e = (struct entry){.hash = hash, .epoch = epoch, .tag = cache_tag(body), .asked_at = asked_at, .key_len = key.len, .body_len = body.len};
    if (key.len)
        memcpy(e->bytes, key.data, key.len);
    if (body.len)
        memcpy(e->bytes + key.len, body.data, body.len);
    struct entry **bucket = bucket_of(c, hash);
    e->chain = *bucket;
    *bucket = e;
    link_use(c, e);
    c->stats.bytes += bytes;
    c->stats.entries++;
}

struct cache_stats cache_stats(const struct cache *c) {
    return c->stats;
}

uint64_t cache_tag(struct slice body) {
    return hash_bytes(body.len ? body.data : "", body.len);
}

void cache_etag_format(uint64_t tag, char ret[CACHE_ETAG_SIZE]) {
    snprintf(ret, CACHE_ETAG_SIZE, "W/\"%016" PRIx64 "\"", tag);
}

bool cache_etag_matches(struct slice header, uint64_t tag) {
    char own[CACHE_ETAG_SIZE];
    cache_etag_format(tag, own);
    size_t i = 0;
    while (i < header.len) {
        while (i < header.len && (header.data[i] == ' ' || header.data[i] == '\t' || header.data[i] == ','))
            i++;
        size_t begin = i;
        bool quoted = false;
        for (; i < header.len && (quoted || header.data[i] != ','); i++)
            quoted ^= header.data[i] == '"';
        size_t end = i;
        while (end > begin && (header.data[end - 1] == ' ' || header.data[end - 1] == '\t'))
            end--;
        struct slice one = {header.data + begin, end - begin};
        if (slice_eq(one, SLICE("*")) || slice_eq(one, slice_str(own)) || slice_eq(one, slice_str(own + 2)))
            return true;
    }
    return false;
}
