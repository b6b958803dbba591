/* rate_table.h - rate limits for any number of names (API keys, client addresses) in memory of a fixed size.
 *
 * A token bucket as the generic cell rate algorithm (ITU-T I.371, 1996): its state is one number, the time at which the
 * bucket would be full again. So a bucket is one atomic word that all loops share without a lock, and one whose time has
 * passed is as good as none: its place is free for another name. Where too many names meet in one place, the one that is
 * nearest to a full bucket is forgotten, which lets it through early and never refuses anybody wrongly.
 * Thread: any. */
#pragma once
#include "core/clock.h"
#include <stddef.h>

struct rate_table;

struct rate_table *rate_table_new(void); /* 1 MiB, touched as it fills; NULL without memory */
void rate_table_free(struct rate_table *table);

/* May `name` do one thing more at `now` (monotonic)? On average `rate` per second, `burst` at once (both at least 1).
 * False: *ret_wait says after how long it may. */
bool rate_table_take(struct rate_table *table, const void *name, size_t len, uint64_t rate, uint64_t burst, usec_t now,
                     usec_t *ret_wait);
