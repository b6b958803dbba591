#include "core/rate_table.h"
#include "core/cleanup.h"
#include "core/hash.h"
#include <stdatomic.h>

enum { SETS = 8192, WAYS = 8, NSEC_PER_USEC = 1000 };
#define NSEC_PER_SEC UINT64_C(1000000000)

struct place {
    _Atomic uint64_t name; /* hash; 0: never used */
    _Atomic uint64_t full; /* when the bucket is full again, in nanoseconds: a rate of a million has whole ones */
};

struct rate_table {
    uint64_t seed;
    struct place places[SETS][WAYS];
};

struct rate_table *rate_table_new(void) {
    struct rate_table *table = calloc(1, sizeof(*table));
    if (table)
        table->seed = clock_random_u64();
    return table;
}

void rate_table_free(struct rate_table *table) {
    free(table);
}

/* The place of a name, or one that it may have now. Two threads that bring the same new name at once may take two places;
 * everybody finds the first of them from then on. */
static struct place *find(struct rate_table *table, uint64_t name, uint64_t now) {
    struct place *set = table->places[name % SETS], *best = set;
    uint64_t best_full = UINT64_MAX;
    for (int i = 0; i < WAYS; i++) {
        if (atomic_load_explicit(&set[i].name, memory_order_relaxed) == name)
            return &set[i];
        uint64_t full = atomic_load_explicit(&set[i].full, memory_order_relaxed);
        if (full < best_full) {
            best_full = full;
            best = &set[i];
        }
    }
    atomic_store_explicit(&best->name, name, memory_order_relaxed);
    if (best_full > now)
        atomic_store_explicit(&best->full, now, memory_order_relaxed);
    return best;
}

bool rate_table_take(struct rate_table *table, const void *name, size_t len, uint64_t rate, uint64_t burst, usec_t now,
                     usec_t *ret_wait) {
    uint64_t hash = hash_bytes_seeded(name, len, table->seed), now_nsec = now * NSEC_PER_USEC;
    struct place *place = find(table, hash ? hash : 1, now_nsec);
    uint64_t one = NSEC_PER_SEC / rate, room = burst * one;
    uint64_t full = atomic_load_explicit(&place->full, memory_order_relaxed), then;
    do {
        then = (full > now_nsec ? full : now_nsec) + one;
        if (then > now_nsec + room) {
            *ret_wait = (then - now_nsec - room + NSEC_PER_USEC - 1) / NSEC_PER_USEC;
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&place->full, &full, then, memory_order_relaxed, memory_order_relaxed));
    return true;
}
