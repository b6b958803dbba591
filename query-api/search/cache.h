/* cache.h - answers kept in memory within a bound of bytes, least recently used ones dropped first. Pure: time is
 * passed in. One cache belongs to one loop: no lock.
 *
 * Every entry carries the epoch in which its question was asked. The owner raises the epoch when what answers depend on
 * has changed (index, categories, overrides): entries of another epoch are good for nothing but an outage. */
#pragma once
#include "core/buf.h"
#include "core/clock.h"

struct cache;

/* How long after it was asked for an answer is given out: without question; while it is asked for again; if asking fails. */
struct cache_ages {
    usec_t fresh, stale, stale_if_error;
};

enum cache_state { CACHE_MISS, CACHE_FRESH, CACHE_STALE, CACHE_OLD /* only if asking fails */ };

struct cache_hit {
    enum cache_state state;
    struct slice body; /* valid until the next cache_put or cache_free */
    uint64_t tag;      /* hash of body */
    usec_t asked_at;
};

struct cache_stats {
    size_t bytes, entries; /* bytes: all memory of the cache, the table included */
    uint64_t evicted;
};

/* NULL without memory. max_bytes 0: a cache that keeps nothing. */
struct cache *cache_new(size_t max_bytes);
void cache_free(struct cache *c);
struct cache_hit cache_get(struct cache *c, struct slice key, const struct cache_ages *ages, uint64_t epoch, usec_t now);
/* Copies both; takes the place of what the key has. What is larger than an eighth of the cache, or finds no memory, is not
 * kept. asked_at: when the question went out, so that an answer is never taken for younger than it is. */
void cache_put(struct cache *c, struct slice key, struct slice body, uint64_t epoch, usec_t asked_at);
struct cache_stats cache_stats(const struct cache *c);

uint64_t cache_tag(struct slice body);
/* W/"0123456789abcdef" */
#define CACHE_ETAG_SIZE 24
void cache_etag_format(uint64_t tag, char ret[CACHE_ETAG_SIZE]);
/* Does an If-None-Match name the tag? RFC 9110 13.1.2: a list or *, compared weakly. */
bool cache_etag_matches(struct slice if_none_match, uint64_t tag);
