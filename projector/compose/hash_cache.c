#include "projector/compose/hash_cache.h"
#include <stdlib.h>
#include <string.h>

enum { WAYS = 8 };

/* Most recently used first; key 0 is an empty place, and empty places are at the end. */
struct hash_cache_set {
    uint64_t keys[WAYS];
    uint64_t hashes[WAYS];
};

bool hash_cache_init(struct hash_cache *cache, size_t capacity, struct error *reterr) {
    *cache = (struct hash_cache){0};
    if (capacity == 0)
        return true;
    size_t sets = 1;
    while (sets * WAYS < capacity && sets <= SIZE_MAX / sizeof(struct hash_cache_set) / 4)
        sets *= 2;
    cache->sets = calloc(sets, sizeof(*cache->sets));
    if (!cache->sets)
        return error_nomem(reterr);
    cache->set_count = sets;
    return true;
}

void hash_cache_done(struct hash_cache *cache) {
    free(cache->sets);
    *cache = (struct hash_cache){0};
}

uint64_t hash_cache_key(uint64_t target, uint64_t id_hash) {
    uint64_t key = target ^ id_hash;
    return key ? key : 1;
}

static struct hash_cache_set *set_of(struct hash_cache *cache, uint64_t key) {
    return cache->sets ? &cache->sets[key & (cache->set_count - 1)] : NULL;
}

/* Puts (key, hash) first and moves what stood before `way` one place back. */
static void move_to_front(struct hash_cache_set *set, unsigned way, uint64_t key, uint64_t hash) {
    memmove(set->keys + 1, set->keys, way * sizeof(set->keys[0]));
    memmove(set->hashes + 1, set->hashes, way * sizeof(set->hashes[0]));
    set->keys[0] = key;
    set->hashes[0] = hash;
}

static unsigned find_way(const struct hash_cache_set *set, uint64_t key) {
    unsigned way = 0;
    while (way < WAYS && set->keys[way] != key)
        way++;
    return way;
}

void hash_cache_prefetch(const struct hash_cache *cache, uint64_t key) {
    const struct hash_cache_set *set = cache->sets ? &cache->sets[key & (cache->set_count - 1)] : NULL;
    __builtin_prefetch(set ? set->keys : NULL);
    __builtin_prefetch(set ? set->hashes : NULL);
}

bool hash_cache_get(struct hash_cache *cache, uint64_t key, uint64_t *ret_content_hash) {
    struct hash_cache_set *set = set_of(cache, key);
    unsigned way = set ? find_way(set, key) : WAYS;
    if (way == WAYS)
        return false;
    uint64_t hash = set->hashes[way];
    move_to_front(set, way, key, hash);
    *ret_content_hash = hash;
    return true;
}

void hash_cache_put(struct hash_cache *cache, uint64_t key, uint64_t content_hash) {
    struct hash_cache_set *set = set_of(cache, key);
    if (!set)
        return;
    unsigned way = find_way(set, key);
    if (way == WAYS) {
        way = find_way(set, 0);
        if (way == WAYS)
            way--; /* the least recently used one goes */
        else
            cache->used++;
    }
    move_to_front(set, way, key, content_hash);
}

void hash_cache_remove(struct hash_cache *cache, uint64_t key) {
    struct hash_cache_set *set = set_of(cache, key);
    unsigned way = set ? find_way(set, key) : WAYS;
    if (way == WAYS)
        return;
    unsigned behind = WAYS - 1 - way;
    memmove(set->keys + way, set->keys + way + 1, behind * sizeof(set->keys[0]));
    memmove(set->hashes + way, set->hashes + way + 1, behind * sizeof(set->hashes[0]));
    set->keys[WAYS - 1] = 0;
    cache->used--;
}

void hash_cache_clear(struct hash_cache *cache) {
    if (cache->used == 0)
        return;
    /* Fresh zero pages give the memory back; without them the old ones are wiped. */
    struct hash_cache_set *sets = calloc(cache->set_count, sizeof(*sets));
    if (sets) {
        free(cache->sets);
        cache->sets = sets;
    } else {
        memset(cache->sets, 0, cache->set_count * sizeof(*cache->sets));
    }
    cache->used = 0;
}
