#include "core/hash.h"
#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h> /* AVX2 and AVX-512 where the processor has them */
#else
#include <xxhash.h>
#endif

uint64_t hash_bytes(const void *data, size_t len) {
    return XXH3_64bits(data, len);
}

uint64_t hash_bytes_seeded(const void *data, size_t len, uint64_t seed) {
    return XXH3_64bits_withSeed(data, len, seed);
}

uint64_t hash_combine(uint64_t a, uint64_t b) {
    /* The FNV-1 step (http://www.isthe.com/chongo/tech/comp/fnv/) with a whole hash in place of an octet. */
    return a * 0x100000001B3u ^ b;
}
