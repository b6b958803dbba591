#include "core/hangul.h"
#include "core/hash.h"
#include "query-api/events/query_bursts.h"
#include <pthread.h>
#include <stdlib.h>

enum { SETS = 256, WAYS = 4, SYLLABLE_BYTES = 3, KEYS_MAX_BYTES = 4 * QUERY_COUNTS_TEXT_BYTES /* a syllable of three bytes is five keys at most */ };

struct burst {
    uint64_t sender;
    usec_t at;
    bool grown; /* since it was sent last: the blank behind it is next */
    size_t left; /* keys of it, where it is taken back: what has more, or as many, is no step of that */
    struct query_count count; /* of the longest text so far; len 0: the place is free */
};

/* No search waits for a lock: one that finds its set taken is counted by itself. */
struct set {
    pthread_mutex_t lock;
    struct burst ways[WAYS];
};

struct query_bursts {
    uint64_t seed;
    struct set sets[SETS]; /* by sender */
};

struct query_bursts *query_bursts_new(void) {
    struct query_bursts *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    for (int i = 0; i < SETS; i++)
        pthread_mutex_init(&b->sets[i].lock, NULL);
    b->seed = clock_random_u64();
    return b;
}

void query_bursts_free(struct query_bursts *b) {
    if (!b)
        return;
    for (int i = 0; i < SETS; i++)
        pthread_mutex_destroy(&b->sets[i].lock);
    free(b);
}

static struct slice text_of(const struct query_count *count) {
    return (struct slice){count->text, count->len};
}

/* May one be the beginning of the other? By keys they are the same up to the shorter one's last syllable. */
static bool may_go_on(struct slice a, struct slice b) {
    size_t less = a.len < b.len ? a.len : b.len, same = 0;
    while (same < less && a.data[same] == b.data[same])
        same++;
    return less - same <= SYLLABLE_BYTES;
}

/* -1, 1: one is the beginning of the other, as it is typed; 0: neither, or they are the same. *ret_keys: of b, if not 0. */
static int longer(struct slice a, struct slice b, size_t *ret_keys) {
    if (!may_go_on(a, b))
        return 0;
    struct buf x = BUF_INIT(KEYS_MAX_BYTES), y = BUF_INIT(KEYS_MAX_BYTES);
    int which = 0;
    if (hangul_append_keys(&x, a) && hangul_append_keys(&y, b) && x.len != y.len &&
        memcmp(x.data, y.data, x.len < y.len ? x.len : y.len) == 0)
        which = x.len > y.len ? -1 : 1;
    *ret_keys = y.len;
    buf_done(&x);
    buf_done(&y);
    return which;
}

static uint64_t end(struct burst *burst, struct query_counts *counts) {
    struct query_count *sum = burst->count.len ? query_counts_of(counts, text_of(&burst->count)) : NULL;
    uint64_t lost = burst->count.len && !sum;
    if (sum) {
        sum->searches++;
        sum->results = burst->count.results < 0 ? sum->results : burst->count.results;
    }
    burst->count.len = 0;
    return lost;
}

static struct set *set_of(struct query_bursts *b, uint64_t sender) {
    return &b->sets[sender % SETS];
}

/* False: nobody has begun it. */
static bool go_on(struct set *set, uint64_t sender, const struct query_count *next, usec_t now) {
    for (int i = 0; i < WAYS; i++) {
        struct burst *burst = &set->ways[i];
        if (!burst->count.len || burst->sender != sender || burst->at + QUERY_BURSTS_USEC < now)
            continue;
        size_t keys = 0;
        int which = longer(text_of(&burst->count), text_of(next), &keys);
        bool blank = burst->grown && slice_eq(text_of(&burst->count), text_of(next));
        bool back = which < 0 && keys < burst->left;
        if (which <= 0 && !back && !blank)
            continue;
        if (which > 0)
            burst->count = *next;
        burst->left = back ? keys : SIZE_MAX;
        burst->grown = which > 0;
        burst->at = now;
        return true;
    }
    return false;
}

static uint64_t begin(struct set *set, uint64_t sender, const struct query_count *next, usec_t now, struct query_counts *counts) {
    struct burst *oldest = set->ways;
    for (int i = 1; i < WAYS && oldest->count.len; i++)
        if (!set->ways[i].count.len || set->ways[i].at < oldest->at)
            oldest = &set->ways[i];
    uint64_t lost = end(oldest, counts);
    *oldest = (struct burst){.sender = sender, .at = now, .left = SIZE_MAX, .count = *next};
    return lost;
}

uint64_t query_bursts_search(struct query_bursts *b, struct slice sender, struct slice text, usec_t now,
                             struct query_counts *counts) {
    struct query_count next;
    uint64_t who = hash_bytes_seeded(sender.data, sender.len, b->seed), lost = 0;
    struct set *set = set_of(b, who);
    query_count_init(&next, text);
    if (!next.len)
        return 0;
    if (pthread_mutex_trylock(&set->lock) != 0)
        return end(&(struct burst){.count = next}, counts);
    if (!go_on(set, who, &next, now))
        lost = begin(set, who, &next, now, counts);
    pthread_mutex_unlock(&set->lock);
    return lost;
}

bool query_bursts_results(struct query_bursts *b, struct slice sender, struct slice text, int64_t results) {
    struct query_count wanted;
    uint64_t who = hash_bytes_seeded(sender.data, sender.len, b->seed);
    struct set *set = set_of(b, who);
    bool found = false;
    query_count_init(&wanted, text);
    if (pthread_mutex_trylock(&set->lock) != 0)
        return false;
    for (int i = 0; i < WAYS; i++) {
        struct burst *burst = &set->ways[i];
        if (burst->count.len && burst->sender == who && slice_eq(text_of(&burst->count), text_of(&wanted))) {
            burst->count.results = results;
            found = true;
        }
    }
    pthread_mutex_unlock(&set->lock);
    return found;
}

uint64_t query_bursts_end(struct query_bursts *b, usec_t since, struct query_counts *counts) {
    uint64_t lost = 0;
    for (int i = 0; i < SETS; i++) {
        pthread_mutex_lock(&b->sets[i].lock);
        for (int k = 0; k < WAYS; k++)
            if (b->sets[i].ways[k].at < since)
                lost += end(&b->sets[i].ways[k], counts);
        pthread_mutex_unlock(&b->sets[i].lock);
    }
    return lost;
}
