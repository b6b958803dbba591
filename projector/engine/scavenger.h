/* scavenger.h - how much background work may be under way while live changes come, learnt from how long those take: what
 * they wait beyond their shortest of late is held near a target, as LEDBAT (RFC 6817) does with the queue of a link that it
 * shares. Without live changes it is all that is allowed, and it is never nothing. Pure. */
#pragma once
#include "core/clock.h"
#include <stdbool.h>
#include <stddef.h>

enum {
    SCAVENGER_MIN_BYTES = 32 << 10,
    SCAVENGER_SINGLE_BYTES = 512 << 10, /* a bulk is not made smaller than this because there are several */
    SCAVENGER_BEGIN_BYTES = 512 << 10,  /* when live changes begin to come */
    SCAVENGER_STEP_BYTES = 1 << 10,     /* more after a live change that did not wait */
    SCAVENGER_TARGET_USEC = 40 * 1000,
    SCAVENGER_LIVE_USEC = 1000 * 1000, /* how long after a live change the next one is reckoned with */
    SCAVENGER_BASE_USEC = 60 * 1000 * 1000,
};

struct scavenger {
    size_t bytes, max;       /* of background bulks under way */
    usec_t live_until;
    bool held;               /* the index is being refreshed */
    usec_t shortest[2];      /* live changes of this period and of the one before; 0 none */
    usec_t period_end;
    usec_t decreased_at;     /* one decrease for the live changes that waited for the same bulks */
};

void scavenger_init(struct scavenger *s, size_t max);
void scavenger_live_came(struct scavenger *s, usec_t now);
/* A live change was written `took` after it could be read first. */
void scavenger_live_took(struct scavenger *s, usec_t now, usec_t took);
bool scavenger_is_live(const struct scavenger *s, usec_t now);
size_t scavenger_bytes(const struct scavenger *s, usec_t now);
/* While the index is refreshed no more background work is begun beside live changes: a refresh writes out what was indexed, has
 * threads that index something help with it, and they may be just those that the live changes need. */
void scavenger_hold(struct scavenger *s, bool held);
/* Whether a bulk may go beside those under way. One alone may, unless it is held; and there is one after the other before there
 * are several, so that a server with few threads has one left for live changes. */
bool scavenger_allows(const struct scavenger *s, usec_t now, size_t under_way, size_t bytes);
/* How large each of so many lanes' bulks should be: its share, but as large a bulk as SCAVENGER_SINGLE_BYTES is not cut for the
 * others' sake; below that all are what one may be. */
size_t scavenger_bulk_bytes(const struct scavenger *s, usec_t now, unsigned bulks);
