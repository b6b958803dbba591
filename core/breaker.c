#include "core/breaker.h"

void breaker_init(struct breaker *b, unsigned failures_to_open, usec_t open_min_usec, usec_t open_max_usec) {
    *b = (struct breaker){
        .failures_to_open = failures_to_open ? failures_to_open : 1,
        .open_min_usec = open_min_usec,
        .open_max_usec = open_max_usec < open_min_usec ? open_min_usec : open_max_usec,
    };
}

/* min * 2^probes_failed within [min, max], a quarter more or less, so that many clients do not probe at once. */
static usec_t pause_usec(const struct breaker *b) {
    usec_t pause = b->open_min_usec;
    for (unsigned i = 0; i < b->probes_failed && pause < b->open_max_usec; i++)
        pause = pause > UINT64_MAX / 4 ? b->open_max_usec : pause * 2;
    if (pause > b->open_max_usec)
        pause = b->open_max_usec;
    usec_t low = pause - pause / 4, high = pause + pause / 4;
    if (low < b->open_min_usec)
        low = b->open_min_usec;
    if (high > b->open_max_usec)
        high = b->open_max_usec;
    return low + clock_random_u64() % (high - low + 1);
}

static void open_until_probe(struct breaker *b, usec_t now) {
    b->state = BREAKER_OPEN;
    b->probe_at = now + pause_usec(b);
}

bool breaker_allow(struct breaker *b, usec_t now) {
    if (b->state == BREAKER_OPEN && now >= b->probe_at) {
        b->state = BREAKER_HALF_OPEN;
        return true;
    }
    return b->state == BREAKER_CLOSED;
}

void breaker_success(struct breaker *b) {
    if (b->state == BREAKER_OPEN)
        return;
    b->state = BREAKER_CLOSED;
    b->failures = b->probes_failed = 0;
    b->probe_at = 0;
}

void breaker_failure(struct breaker *b, usec_t now) {
    if (b->state == BREAKER_HALF_OPEN) {
        b->probes_failed++;
        open_until_probe(b, now);
    } else if (b->state == BREAKER_CLOSED && ++b->failures >= b->failures_to_open) {
        open_until_probe(b, now);
    }
}

void breaker_trip(struct breaker *b, usec_t now) {
    if (b->state == BREAKER_CLOSED)
        open_until_probe(b, now);
}

usec_t breaker_retry_at(const struct breaker *b) {
    return b->state == BREAKER_CLOSED ? 0 : b->probe_at;
}
