/* query_counts.h - counters by text in a table of fixed size. Open addressing; a text that finds the table three quarters
 * full is not taken. Texts are kept as the people typed them, but for capitals of ASCII and blanks at the ends and in a
 * row. Pure. Thread: one owner. */
#pragma once
#include "core/buf.h"
#include <stdint.h>

enum { QUERY_COUNTS_SLOTS = 4096, QUERY_COUNTS_TEXT_BYTES = 116 };

struct query_count {
    uint32_t searches, clicks;
    int64_t results; /* of the last search without filters; -1: there was none */
    uint8_t len;     /* 0: the slot is free */
    char text[QUERY_COUNTS_TEXT_BYTES];
};

struct query_counts {
    struct query_count slots[QUERY_COUNTS_SLOTS];
    uint64_t seed;
    size_t used;
};

void query_counts_init(struct query_counts *c, uint64_t seed);
/* A text as it is kept, with counters at 0 and without results; len 0: it is empty. */
void query_count_init(struct query_count *ret, struct slice text);
/* The counters of a text, new ones at 0. NULL: an empty text, or no room. Longer texts are cut at a code point. */
struct query_count *query_counts_of(struct query_counts *c, struct slice text);
/* Those that there are already; NULL: none. */
struct query_count *query_counts_find(struct query_counts *c, struct slice text);
/* Adds one table to another. Returns how many of its searches found no room. */
uint64_t query_counts_merge(struct query_counts *into, const struct query_counts *from);
