/* query_bursts.h - searches while somebody types: "l", "la", "lap", … "laptop" are one search, for "laptop".
 *
 * The last searches of each sender are kept back for a while. One that another of the same sender goes on from is never
 * counted; the others are once nobody has gone on from them for QUERY_BURSTS_USEC, or when newer ones need their place. So memory is
 * bounded, and where many share one address too few are joined rather than too many. Whether a text goes on from another
 * one is looked at key by key: 놑 becomes 노트. A text that is taken back letter by letter stays the search that it was;
 * a shorter one that comes again, or grows again, is a search of its own: somebody else's, where many share one address.
 * One table of all loops, since a browser's and a proxy's requests go to any of them. Thread: any. */
#pragma once
#include "core/clock.h"
#include "query-api/events/query_counts.h"

#define QUERY_BURSTS_USEC (5 * USEC_PER_SEC)

struct query_bursts;
struct query_bursts *query_bursts_new(void); /* NULL without memory */
void query_bursts_free(struct query_bursts *bursts);
/* A search has come. Those that are over because of it are added to counts; returns how many found no room there. */
uint64_t query_bursts_search(struct query_bursts *bursts, struct slice sender, struct slice text, usec_t now,
                             struct query_counts *counts);
/* So many products were found for the sender's search. False: it is not kept back, or no longer. */
bool query_bursts_results(struct query_bursts *bursts, struct slice sender, struct slice text, int64_t results);
/* Adds those that nobody has gone on from since then. Returns how many found no room. */
uint64_t query_bursts_end(struct query_bursts *bursts, usec_t since, struct query_counts *counts);
