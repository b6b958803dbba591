/* price_steps.h - the ladder of prices in which products are counted: 0, then 1-2-5 steps. A step goes from its own limit
 * to just below the next one's; the last is open. Changing it takes a reindex: documents have steps by their index.
 * Thread: any, pure. */
#pragma once
#include <stdint.h>

/* STEP(from, to) of every step, as literals; OPEN(from) of the last. */
#define PRICE_STEPS(STEP, OPEN)                                                                                        \
    STEP(0, 100) STEP(100, 200) STEP(200, 500) STEP(500, 1000) STEP(1000, 2000) STEP(2000, 5000) STEP(5000, 10000)     \
    STEP(10000, 20000) STEP(20000, 50000) STEP(50000, 100000) STEP(100000, 200000) STEP(200000, 500000)                \
    STEP(500000, 1000000) STEP(1000000, 2000000) STEP(2000000, 5000000) STEP(5000000, 10000000)                        \
    STEP(10000000, 20000000) STEP(20000000, 50000000) STEP(50000000, 100000000) OPEN(100000000)

enum { PRICE_STEP_COUNT = 20 };
extern const int64_t price_steps[PRICE_STEP_COUNT];

/* The index of the step that a price >= 0 stands in. */
unsigned price_step(int64_t price);
