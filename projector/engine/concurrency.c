#include "projector/engine/concurrency.h"

void concurrency_init(struct concurrency *c, unsigned max, usec_t hold_usec) {
    *c = (struct concurrency){.limit = max, .max = max, .hold_usec = hold_usec};
}

void concurrency_success(struct concurrency *c) {
    if (c->limit == c->max)
        return;
    /* One more per round of `limit` good answers. */
    if (++c->successes < c->limit)
        return;
    c->successes = 0;
    c->limit++;
}

bool concurrency_overload(struct concurrency *c, usec_t now) {
    c->successes = 0;
    if (c->limit == 1 || (c->decreased_at != 0 && now < c->decreased_at + c->hold_usec))
        return false;
    c->decreased_at = now;
    c->limit /= 2;
    return true;
}
