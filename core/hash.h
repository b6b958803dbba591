/* hash.h - XXH3 (libxxhash), 64 bits, seed 0. Stable on every machine: stored in the index as content_hash. */
#pragma once
#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(const void *data, size_t len);
/* For tables in memory whose keys come from outside: with a random seed nobody can prepare collisions. */
uint64_t hash_bytes_seeded(const void *data, size_t len, uint64_t seed);
/* FNV-style combination of two hashes, order matters. */
uint64_t hash_combine(uint64_t a, uint64_t b);
