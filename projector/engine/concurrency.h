/* concurrency.h - how many bulks may be under way at once, learnt from the answers: additive increase,
 * multiplicative decrease (Chiu and Jain 1989, as TCP does). Never below 1: there is no global pause. Pure. */
#pragma once
#include "core/clock.h"
#include <stdbool.h>

struct concurrency {
    unsigned limit, max;
    unsigned successes;  /* since the limit last changed */
    usec_t decreased_at; /* one decrease per round of bulks: those that were under way failed for the same reason */
    usec_t hold_usec;
};

void concurrency_init(struct concurrency *c, unsigned max, usec_t hold_usec);
void concurrency_success(struct concurrency *c);
/* An answer said "too much" (429, 503, timeout). True if the limit went down. */
bool concurrency_overload(struct concurrency *c, usec_t now);
