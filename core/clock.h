/* clock.h - time. usec_t is CLOCK_MONOTONIC in microseconds: for intervals and deadlines. Wall time is its
 * own type, int64_t microseconds since 1970-01-01 UTC, named *_wall_usec: for people and other machines only. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t usec_t;
#define USEC_PER_MSEC ((usec_t)1000)
#define USEC_PER_SEC ((usec_t)1000000)
#define USEC_NEVER UINT64_MAX

usec_t clock_now_usec(void);
int64_t clock_wall_usec(void);

/* RFC 3339 UTC with microseconds, "2026-01-02T03:04:05.678901Z". ret has CLOCK_RFC3339_SIZE bytes. */
#define CLOCK_RFC3339_SIZE 32
void clock_format_rfc3339(int64_t wall_usec, char ret[CLOCK_RFC3339_SIZE]);
/* Accepts "Z" or an offset, 0-9 fraction digits; false if s is not such a time. */
bool clock_parse_rfc3339(const char *s, size_t len, int64_t *ret_wall_usec);

/* Exponential backoff with full jitter: a random wait in [min/2, min * 2^attempt], capped at max.
 * attempt counts from 0. Thread-safe. */
usec_t clock_backoff_usec(unsigned attempt, usec_t min_usec, usec_t max_usec);

/* A thread-safe random number, not for secrets. */
uint64_t clock_random_u64(void);
