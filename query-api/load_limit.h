/* load_limit.h - how many searches one loop has at the engine at once, and how many may wait for their turn: learnt from how
 * long they take, so that an overload is met by refusals at once and not by a queue. Pure: time is passed in.
 *
 * At the engine: as many as make a search take half as long again as it does alone (a gradient, as TCP Vegas follows: Brakmo and
 * Peterson 1995). How long one takes alone is the mean of those that found nobody else there. So that this stays known
 * under load, the limit is 1 for a tenth of a second each minute: by the wall clock, so that all loops and instances before
 * one engine do it together (compare ProbeRTT of BBR, Cardwell et al. 2016).
 *
 * Waiting: behind twice as many as there are at the engine, one waits for about two searches (Little's law), and nobody
 * waits longer. But a queue that was empty a moment ago may become four times as long: a burst passes, a standing queue
 * does not (controlled delay: Nichols and Jacobson 2012, Maurer 2015). Refusals end a burst, and for as long as there are
 * any there is no other. */
#pragma once
#include "core/clock.h"

struct load_limit {
    unsigned max;   /* at the engine */
    unsigned burst; /* waiting */
    usec_t wait;    /* whoever has to wait no longer than this waits, in a burst or not; 0: as above */
    unsigned limit; /* at the engine, as learnt */
    usec_t alone;   /* a search takes so long alone; 0: not known yet */
    usec_t emptied, refused;
    bool probing;
    usec_t mean; /* of the last window */
    usec_t alone_sum;
    unsigned alone_count;
    /* the window that is being measured */
    usec_t begun, sum;
    unsigned count, peak;
};

void load_limit_init(struct load_limit *l, unsigned max, unsigned burst, usec_t wait, usec_t now);
/* How many may be at the engine now. wall: clock_wall_usec(). */
unsigned load_limit_now(struct load_limit *l, usec_t now, int64_t wall);
/* A search was answered after `took`; when it went out, `at_engine` were there, itself included. */
void load_limit_done(struct load_limit *l, usec_t took, unsigned at_engine, usec_t now);
/* May one more wait behind `waiting` others? Asked for each that has to. */
bool load_limit_may_wait(struct load_limit *l, unsigned waiting, usec_t now);
