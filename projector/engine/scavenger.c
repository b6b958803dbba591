#include "projector/engine/scavenger.h"

void scavenger_init(struct scavenger *s, size_t max) {
    *s = (struct scavenger){.bytes = max, .max = max};
}

static size_t within(const struct scavenger *s, size_t bytes) {
    size_t least = s->max < SCAVENGER_MIN_BYTES ? s->max : SCAVENGER_MIN_BYTES;
    return bytes < least ? least : bytes > s->max ? s->max : bytes;
}

bool scavenger_is_live(const struct scavenger *s, usec_t now) {
    return now < s->live_until;
}

size_t scavenger_bytes(const struct scavenger *s, usec_t now) {
    return scavenger_is_live(s, now) ? s->bytes : s->max;
}

void scavenger_hold(struct scavenger *s, bool held) {
    s->held = held;
}

bool scavenger_allows(const struct scavenger *s, usec_t now, size_t under_way, size_t bytes) {
    if (s->held && scavenger_is_live(s, now))
        return false;
    return under_way == 0 || under_way + bytes <= scavenger_bytes(s, now);
}

size_t scavenger_bulk_bytes(const struct scavenger *s, usec_t now, unsigned bulks) {
    size_t bytes = scavenger_bytes(s, now), share = bytes / bulks;
    if (share >= SCAVENGER_SINGLE_BYTES)
        return share;
    return bytes < SCAVENGER_SINGLE_BYTES ? bytes : SCAVENGER_SINGLE_BYTES;
}

void scavenger_live_came(struct scavenger *s, usec_t now) {
    if (!scavenger_is_live(s, now))
        s->bytes = within(s, SCAVENGER_BEGIN_BYTES);
    s->live_until = now + SCAVENGER_LIVE_USEC;
}

/* The shortest of one to two periods: what a change takes with nothing in its way, or as near to it as was seen. */
static usec_t shortest(struct scavenger *s, usec_t now, usec_t took) {
    if (now >= s->period_end) {
        s->shortest[1] = now < s->period_end + SCAVENGER_BASE_USEC ? s->shortest[0] : 0;
        s->shortest[0] = 0;
        s->period_end = now + SCAVENGER_BASE_USEC;
    }
    if (s->shortest[0] == 0 || took < s->shortest[0])
        s->shortest[0] = took;
    return s->shortest[1] && s->shortest[1] < s->shortest[0] ? s->shortest[1] : s->shortest[0];
}

void scavenger_live_took(struct scavenger *s, usec_t now, usec_t took) {
    usec_t waited = took - shortest(s, now, took);
    if (waited <= SCAVENGER_TARGET_USEC) {
        s->bytes = within(s, s->bytes + SCAVENGER_STEP_BYTES * (SCAVENGER_TARGET_USEC - waited) / SCAVENGER_TARGET_USEC);
        return;
    }
    if (now < s->decreased_at + took)
        return;
    s->decreased_at = now;
    /* By the half at twice the target and beyond. */
    usec_t above = waited - SCAVENGER_TARGET_USEC;
    usec_t most = above < SCAVENGER_TARGET_USEC ? above : SCAVENGER_TARGET_USEC;
    s->bytes = within(s, s->bytes - (size_t)(s->bytes / 2 * most / SCAVENGER_TARGET_USEC));
}
