/* hash_cache.h - the content hashes of the last acknowledged writes, so that a write that changes nothing is
 * suppressed.
 *
 * Bounded: a set-associative table (8 ways, least recently used goes), 16 bytes an entry, memory touched only as
 * it fills. Protocol: get before a write; equal -> suppress; else remove, send, and put on its ack. Clear at every
 * change of epoch. A 64-bit key stands for (target, id): two products of one lane would have to agree in 64
 * bits, and their documents in their hash too, for a wrong suppression.
 * Thread: one owner (a lane has its own). */
#pragma once
#include "core/buf.h"
#include "core/error.h"

struct hash_cache {
    struct hash_cache_set *sets; /* NULL: capacity 0, nothing is remembered */
    size_t set_count;            /* a power of two */
    size_t used;                 /* entries that hold something */
};

/* capacity in entries, rounded up to a power of two; 0 turns it off. */
bool hash_cache_init(struct hash_cache *cache, size_t capacity, struct error *reterr);
void hash_cache_done(struct hash_cache *cache);

/* target: hash_bytes of the index's name; id_hash: of the id. */
uint64_t hash_cache_key(uint64_t target, uint64_t id_hash);
bool hash_cache_get(struct hash_cache *cache, uint64_t key, uint64_t *ret_content_hash);
/* Soon there will be a get or a put. */
void hash_cache_prefetch(const struct hash_cache *cache, uint64_t key);
void hash_cache_put(struct hash_cache *cache, uint64_t key, uint64_t content_hash);
void hash_cache_remove(struct hash_cache *cache, uint64_t key);
void hash_cache_clear(struct hash_cache *cache);
