/* load_limit.h - how many searches one loop has at the engine at once, and how many may wait for their turn: learnt from how
 * long they take, so that an overload is met by refusals at once and not by a queue. Pure: time is passed in.
 *
 * At the engine: as many as make a search take half as long again as it does alone (a gradient, as TCP Vegas follows:
 * Brakmo and Peterson 1995), but a few in any case. How long one takes alone is the mean of those that found nobody else
 * there, while nobody is refused. So that this stays known under load, the limit is then 1 for a fifth of a second every
 * ten: by the wall clock, so that all loops and instances before one engine do it together (compare ProbeRTT of BBR,
 * Cardwell et al. 2016); each for itself would take the others' load for the engine's own time, and raise its limit without
 * end.
 *
 * Waiting: half as many as may be at the engine, so that one waits for about half as long as a search takes (Little's law).
 * But a queue that was empty a moment ago may become sixteen times as long: a burst passes, a standing queue does not
 * (controlled delay: Nichols and Jacobson 2012, Maurer 2015). Refusals end a burst, and for as long as there are any there is
 * no other. */
#pragma once
#include "core/clock.h"
#include <stdatomic.h>

struct load_limit {
    _Atomic usec_t *alone; /* a search takes so long alone; 0: not known yet. Shared by the loops, so that all of them
                              have the same measure */
    unsigned max;   /* at the engine */
    unsigned burst; /* waiting */
    usec_t wait;    /* whoever has to wait no longer than this waits, in a burst or not; 0: as above */
    unsigned limit; /* at the engine, as learnt */
    usec_t emptied, refused;
    bool probing;
    usec_t drained;
    usec_t mean; /* of the last window */
    usec_t alone_sum;
    unsigned alone_count;
    /* the window that is being measured */
    usec_t begun, sum;
    unsigned count, peak;
};

/* *alone is 0 at first and lives longer. */
void load_limit_init(struct load_limit *l, _Atomic usec_t *alone, unsigned max, unsigned burst, usec_t wait, usec_t now);
/* How many may be at the engine now. wall: clock_wall_usec(). */
unsigned load_limit_now(struct load_limit *l, usec_t now, int64_t wall);
/* A search was answered after `took`; when it went out, `at_engine` were there, itself included. */
void load_limit_done(struct load_limit *l, usec_t took, unsigned at_engine, usec_t now);
/* May one more wait behind `waiting` others and those at the engine? Asked for each that has to. */
bool load_limit_may_wait(struct load_limit *l, unsigned at_engine, unsigned waiting, usec_t now);
