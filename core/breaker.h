/* breaker.h - circuit breaker (Nygard, "Release It!"): closed -> open after failures -> half-open probe.
 * Pure: time is passed in. Thread: one owner (a loop). */
#pragma once
#include "core/clock.h"

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

struct breaker {
    unsigned failures_to_open; /* consecutive failures that open it */
    usec_t open_min_usec, open_max_usec; /* the pause doubles with every failed probe, with jitter */
    enum breaker_state state;
    unsigned failures, probes_failed;
    usec_t probe_at;
};

void breaker_init(struct breaker *b, unsigned failures_to_open, usec_t open_min_usec, usec_t open_max_usec);
/* May a call go out now? In half-open exactly one may, until its result is reported. */
bool breaker_allow(struct breaker *b, usec_t now);
/* Every call that was allowed reports one of these. While it is open both are ignored: they come from calls that
 * went out before, and only the probe decides. */
void breaker_success(struct breaker *b);
void breaker_failure(struct breaker *b, usec_t now);
/* Opens it if it is closed: the server is known not to be fit, whatever the calls have reported. */
void breaker_trip(struct breaker *b, usec_t now);
/* Until when it refuses, for Retry-After; 0 if closed. */
usec_t breaker_retry_at(const struct breaker *b);
