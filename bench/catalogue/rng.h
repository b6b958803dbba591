/*
 * Random numbers that can be asked for in any order: each is a pure function of a key.
 *
 * The mixing function is the output step of SplitMix64 (Guy L. Steele Jr., Doug Lea and
 * Christine H. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014; constants
 * as in Sebastiano Vigna's public-domain splitmix64.c). Used with a key instead of a running
 * state, a product's draw does not depend on how many draws were made before it, so product i
 * is the same in every catalogue, whatever its size.
 */
#ifndef CATALOGUE_RNG_H
#define CATALOGUE_RNG_H

#include <stdint.h>

static inline uint64_t rng_mix(uint64_t key) {
    uint64_t z = key + 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

/* Evenly in 0..n-1 from the upper half of r; n > 0. */
static inline uint32_t rng_below(uint64_t r, uint32_t n) {
    return (uint32_t)(((r >> 32) * n) >> 32);
}

/* The same from the lower half, independent of rng_below() of the same r. */
static inline uint32_t rng_below_low(uint64_t r, uint32_t n) {
    return (uint32_t)(((r & 0xffffffffU) * n) >> 32);
}

#endif
