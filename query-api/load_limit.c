#include "query-api/load_limit.h"

enum {
    START = 4,
    TOLERANCE_PERCENT = 150, /* of how long a search takes alone */
    QUEUE_FACTOR = 2, /* how many may wait for each that is at the engine */
    QUEUE_MIN = 4,
    BURST_FACTOR = 8, /* in a burst */
    WINDOW_SEARCHES = 32,
    ALONE_SEARCHES = 16,
    ALONE_WEIGHT = 8, /* a new mean counts as one of so many */
};
static const usec_t window_usec = 100 * USEC_PER_MSEC, burst_usec = 100 * USEC_PER_MSEC;
static const usec_t probe_every_usec = 60 * USEC_PER_SEC, probe_usec = 100 * USEC_PER_MSEC;

static void begin_window(struct load_limit *l, usec_t now) {
    l->begun = now;
    l->sum = 0;
    l->count = l->peak = 0;
}

void load_limit_init(struct load_limit *l, unsigned max, unsigned burst, usec_t wait, usec_t now) {
    *l = (struct load_limit){.max = max, .burst = burst, .wait = wait, .limit = max < START ? max : START};
    begin_window(l, now);
}

unsigned load_limit_now(struct load_limit *l, usec_t now, int64_t wall) {
    bool probe = (usec_t)wall % probe_every_usec < probe_usec;
    if (l->probing && !probe)
        begin_window(l, now);
    l->probing = probe;
    return probe || !l->alone ? 1 : l->limit;
}

static void learn_alone(struct load_limit *l, usec_t took) {
    l->alone_sum += took;
    if (++l->alone_count < ALONE_SEARCHES)
        return;
    usec_t mean = l->alone_sum / l->alone_count;
    l->alone = l->alone ? l->alone - l->alone / ALONE_WEIGHT + mean / ALONE_WEIGHT : mean;
    l->alone = l->alone ? l->alone : 1;
    l->alone_sum = 0;
    l->alone_count = 0;
}

static void adapt(struct load_limit *l, usec_t mean) {
    usec_t most = l->alone * TOLERANCE_PERCENT / 100;
    if (mean > most) {
        unsigned target = (unsigned)(l->limit * most / mean), half = l->limit / 2;
        target = target > half ? target : half; /* one bad window is not the truth */
        l->limit = target ? target : 1;
    } else if (l->peak >= l->limit) {
        unsigned step = l->limit / 8;
        l->limit += step ? step : 1;
        l->limit = l->limit < l->max ? l->limit : l->max;
    }
}

void load_limit_done(struct load_limit *l, usec_t took, unsigned at_engine, usec_t now) {
    if (at_engine <= 1)
        learn_alone(l, took);
    if (l->probing || !l->alone)
        return;
    l->sum += took;
    l->count++;
    l->peak = at_engine > l->peak ? at_engine : l->peak;
    if (l->count < WINDOW_SEARCHES || now < l->begun + window_usec)
        return;
    l->mean = l->sum / l->count;
    adapt(l, l->mean);
    begin_window(l, now);
}

bool load_limit_may_wait(struct load_limit *l, unsigned waiting, usec_t now) {
    if (waiting == 0)
        l->emptied = now;
    bool burst = (l->probing || now < l->emptied + burst_usec) && now >= l->refused + burst_usec;
    unsigned most = l->limit * (burst ? BURST_FACTOR : QUEUE_FACTOR);
    most = most > QUEUE_MIN ? most : QUEUE_MIN;
    bool soon = waiting * (l->mean ? l->mean : l->alone) < l->wait * l->limit;
    if (waiting < l->burst && (waiting < most || soon))
        return true;
    l->refused = now;
    return false;
}
