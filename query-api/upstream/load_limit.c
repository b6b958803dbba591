#include "query-api/upstream/load_limit.h"

enum {
    START = 6, /* on two cores Elasticsearch spent 8.0 ms on a search with two at a time, 7.6 with four, 7.1 with eight */
    LIMIT_MIN = 3, /* while somebody is refused; else START: waiting here makes nobody quicker */
    TOLERANCE_PERCENT = 150, /* of how long a search takes alone */
    QUEUE_PERCENT = 50,  /* of those that may be at the engine may wait */
    BURST_PERCENT = 800, /* in a burst */
    WINDOW_SEARCHES = 64,
    ALONE_SEARCHES = 32,
    ALONE_WEIGHT = 16, /* a new mean counts as one of so many */
    PROBE_SEARCHES = 4,
    PROBE_WEIGHT = 4,
};
static const usec_t window_usec = 100 * USEC_PER_MSEC, burst_usec = 100 * USEC_PER_MSEC;
static const usec_t probe_every_usec = 10 * USEC_PER_SEC, probe_usec = 200 * USEC_PER_MSEC;
static const usec_t drain_usec = 100 * USEC_PER_MSEC; /* of a probe: what went out before comes back */
static const usec_t lately_usec = USEC_PER_SEC; /* refusals: then it is load, and others have some too */

static void begin_window(struct load_limit *l, usec_t now) {
    l->begun = now;
    l->sum = 0;
    l->count = l->peak = 0;
}

void load_limit_init(struct load_limit *l, _Atomic usec_t *alone, unsigned max, unsigned burst, usec_t wait, usec_t now) {
    *l = (struct load_limit){.alone = alone, .max = max, .burst = burst, .wait = wait, .limit = max < START ? max : START};
    begin_window(l, now);
}

static bool refuses(const struct load_limit *l, usec_t now) {
    return l->refused && now < l->refused + lately_usec;
}

static usec_t alone_of(const struct load_limit *l) {
    return atomic_load_explicit(l->alone, memory_order_relaxed);
}

/* The searches that were alone have this mean, of which a new one is worth 1/weight. */
static void learn_alone(struct load_limit *l, unsigned weight) {
    usec_t mean = l->alone_sum / l->alone_count, known = alone_of(l), now = known ? known - known / weight + mean / weight : mean;
    atomic_store_explicit(l->alone, now ? now : 1, memory_order_relaxed);
    l->alone_sum = 0;
    l->alone_count = 0;
}

unsigned load_limit_now(struct load_limit *l, usec_t now, int64_t wall) {
    usec_t moment = (usec_t)wall % probe_every_usec, alone = alone_of(l);
    bool probe = alone && refuses(l, now) && moment < probe_usec;
    if (probe && !l->probing)
        l->drained = now + drain_usec;
    if (probe != l->probing) {
        if (l->probing && l->alone_count >= PROBE_SEARCHES)
            learn_alone(l, PROBE_WEIGHT);
        l->alone_sum = 0;
        l->alone_count = 0;
        begin_window(l, now);
    }
    l->probing = probe;
    return probe || !alone ? 1 : l->limit;
}

static void adapt(struct load_limit *l, usec_t mean, unsigned least) {
    usec_t most = alone_of(l) * TOLERANCE_PERCENT / 100;
    if (mean > most) {
        unsigned target = (unsigned)((l->limit * most + mean / 2) / mean), half = l->limit / 2;
        target = target > half ? target : half; /* one bad window is not the truth */
        l->limit = target > least ? target : least;
    } else if (l->peak >= l->limit) {
        l->limit += l->limit / 8 ? l->limit / 8 : 1;
    }
    l->limit = l->limit < l->max ? l->limit : l->max;
}

void load_limit_done(struct load_limit *l, usec_t took, unsigned at_engine, usec_t now) {
    bool known = alone_of(l) != 0;
    bool telling = l->probing ? now - took >= l->drained : !known || !refuses(l, now);
    if (at_engine <= 1 && telling) {
        l->alone_sum += took;
        l->alone_count++;
    }
    if (!l->probing && l->alone_count >= ALONE_SEARCHES)
        learn_alone(l, ALONE_WEIGHT);
    if (l->probing || !known)
        return;
    l->sum += took;
    l->count++;
    l->peak = at_engine > l->peak ? at_engine : l->peak;
    if (l->count < WINDOW_SEARCHES || now < l->begun + window_usec)
        return;
    l->mean = l->sum / l->count;
    adapt(l, l->mean, refuses(l, now) ? LIMIT_MIN : START);
    begin_window(l, now);
}

bool load_limit_may_wait(struct load_limit *l, unsigned at_engine, unsigned waiting, usec_t now) {
    if (waiting == 0)
        l->emptied = now;
    bool burst = now < l->emptied + burst_usec && now >= l->refused + burst_usec;
    unsigned percent = burst ? BURST_PERCENT : QUEUE_PERCENT, most = l->limit + l->limit * percent / 100;
    bool soon = waiting * (l->mean ? l->mean : alone_of(l)) < l->wait * l->limit;
    if (waiting < l->burst && (at_engine + waiting < most || soon))
        return true;
    l->refused = now;
    return false;
}
