/* Candidates: whether what two pages did not agree on is a difference. */
#include "core/cleanup.h"
#include "projector/engine/mark.h"
#include "projector/state.h"
#include "projector/verify/verify_walk.h"
#include <stdlib.h>

enum {
    GROUP = 500,                 /* candidates looked at in one request */
    BATCH_MAX = 20000,           /* candidates that share one wait */
    ROUNDS_MAX = 20,             /* of a product that is never at rest */
    GATHER_USEC = 300 * 1000,    /* so that candidates share their wait */
    AGAIN_USEC = 250 * 1000,
    ASK_USEC = 40 * 1000,
    IDLE_USEC = 200 * 1000,
};

struct batch {
    struct verify_candidate **items;
    size_t count;
    struct verify_moment moment;
};

/* -- waiting -- */

static void doze(struct verify_walk *w, usec_t usec) {
    usec_t until = clock_now_usec() + usec;
    struct timespec deadline = {.tv_sec = (time_t)(until / USEC_PER_SEC), .tv_nsec = (long)(until % USEC_PER_SEC) * 1000};
    pthread_mutex_lock(&w->lock);
    pthread_cond_timedwait(&w->changed, &w->lock, &deadline);
    pthread_mutex_unlock(&w->lock);
}

static void sleep_until(struct verify_walk *w, usec_t until) {
    for (usec_t now; (now = clock_now_usec()) < until && verify_walk_tell(w);) {
        usec_t left = until - now < IDLE_USEC ? until - now : IDLE_USEC;
        struct timespec pause = {.tv_nsec = (long)left * 1000};
        nanosleep(&pause, NULL);
    }
}

static bool ask(struct verify_walk *w, struct verify_barrier *barrier, bool *ret_passed, struct error *reterr) {
    const struct verify_conf *conf = w->conf;
    if (conf->barrier)
        return conf->barrier(conf->ctx, &barrier->moment, ret_passed, &w->waiting, reterr);
    bool ok = verify_barrier_ask(barrier, verify_source_client(w->source), conf->options->mongo.database,
                                 verify_source_mysql(w->source), ret_passed, reterr);
    w->waiting = ok && *ret_passed ? NULL : barrier->why;
    return ok;
}

static bool ask_group(struct verify_walk *w, struct verify_topic *topic, struct verify_barrier *barrier, bool *ret_passed,
                      struct error *reterr) {
    int64_t behind = 0;
    if (w->conf->barrier) /* nobody is waited for */
        return true;
    if (!verify_topic_ask(topic, w->conf->options, verify_source_client(w->source), &behind, reterr))
        return false;
    *ret_passed = behind == 0;
    if (behind > 0) {
        w->waiting = "consumers of the topic of marks are behind";
        barrier->progress = ~(uint64_t)behind;
    }
    return true;
}

/* Until everything up to the moment is in the index. The projector may take its time as long as it gets on. */
static bool wait_for_projector(struct verify_walk *w, const struct verify_moment *moment) {
    struct verify_barrier barrier;
    usec_t since = 0, still = clock_now_usec();
    unsigned attempt = 0;
    uint64_t progress = 0;
    bool passed = false, go = true;
    struct verify_topic topic = {.known = w->conf->sink};
    verify_barrier_init(&barrier, moment);
    while (go && !passed) {
        struct error error = {0};
        if (!ask(w, &barrier, &passed, &error) || (passed && !ask_group(w, &topic, &barrier, &passed, &error))) {
            passed = false;
            go = verify_walk_tell(w) && verify_walk_retry(w, &error, &since, &attempt);
            continue;
        }
        since = 0;
        if (passed)
            break;
        usec_t now = clock_now_usec();
        if (barrier.progress != progress) {
            progress = barrier.progress;
            still = now;
        }
        if (w->conf->patience_usec && now - still > w->conf->patience_usec) {
            error_set(&error, ERROR_TIMEOUT, "the projector does not get on, so that nothing can be said about %zu ids: %s",
                      w->pending, w->waiting ? w->waiting : "no reason given");
            go = verify_walk_fail(w, &error);
        }
        if (go)
            sleep_until(w, now + ASK_USEC);
        go = go && verify_walk_tell(w);
    }
    w->waiting = NULL;
    verify_topic_done(&topic);
    verify_barrier_done(&barrier);
    return passed;
}

/* -- looks -- */

static size_t slices_of(struct verify_candidate *const *items, size_t count, struct slice *ret) {
    for (size_t i = 0; i < count; i++)
        ret[i] = (struct slice){items[i]->id, items[i]->id_len};
    return count;
}

static bool read_sources(struct verify_walk *w, const struct slice *ids, size_t count, struct error *reterr) {
    if (!verify_source_find(w->source, ids, count, &w->page, reterr) ||
        !verify_source_compose(w->source, &w->page, reterr))
        return false;
    while (w->page.cursor_id)
        if (!verify_source_more(w->source, &w->page, reterr) || !verify_source_compose(w->source, &w->page, reterr))
            return false;
    return true;
}

/* ids in any order; the page is in the order of ids. */
static void look_up(const struct verify_page *page, struct slice id, struct verify_look *ret, const char **ret_reason) {
    size_t low = 0, high = page->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (verify_compare_ids(page->items[middle].id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret = (struct verify_look){.state = VERIFY_ABSENT};
    *ret_reason = NULL;
    if (low < page->count && slice_eq(page->items[low].id, id)) {
        *ret = (struct verify_look){.state = page->items[low].state, .hash = page->items[low].hash};
        *ret_reason = page->reasons[low];
    }
}

struct looks {
    struct slice ids[GROUP];
    struct verify_look index[GROUP], source[GROUP];
    const char *reasons[GROUP];
    bool dead[GROUP];
    const char *letters[GROUP]; /* malloc'ed */
    size_t count;
};

/* The index, then the sources. */
static bool look_once(struct verify_walk *w, struct looks *l, struct error *reterr) {
    if (!verify_index_look(&w->index, l->ids, l->count, l->index, reterr) ||
        !read_sources(w, l->ids, l->count, reterr))
        return false;
    for (size_t i = 0; i < l->count; i++)
        look_up(&w->page, l->ids[i], &l->source[i], &l->reasons[i]);
    return true;
}

static bool look(struct verify_walk *w, struct looks *l, struct verify_candidate *const *items, size_t count) {
    usec_t since = 0;
    unsigned attempt = 0;
    l->count = slices_of(items, count, l->ids);
    while (verify_walk_tell(w)) {
        struct error error = {0};
        if (look_once(w, l, &error))
            return true;
        if (!verify_walk_retry(w, &error, &since, &attempt))
            return false;
    }
    return false;
}

/* -- a round -- */

static void finished(struct verify_walk *w, struct verify_candidate *c) {
    pthread_mutex_lock(&w->lock);
    w->pending--;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    free(c);
}

/* The first looks: most candidates of a busy shop agree by now. The others stay in the batch. */
static bool first_looks(struct verify_walk *w, struct batch *b, struct looks *l) {
    size_t kept = 0;
    for (size_t at = 0; at < b->count; at += l->count) {
        size_t n = b->count - at < GROUP ? b->count - at : GROUP;
        if (!look(w, l, b->items + at, n)) {
            memmove(b->items + kept, b->items + at, (b->count - at) * sizeof(*b->items));
            b->count = kept + b->count - at;
            return false;
        }
        if (w->page.cluster_time > b->moment.cluster_time)
            b->moment.cluster_time = w->page.cluster_time;
        for (size_t i = 0; i < n; i++) {
            struct verify_candidate *c = b->items[at + i];
            c->index = l->index[i];
            c->source = l->source[i];
            if (verify_judge(&c->index, &c->source, &c->index, &c->source) == VERIFY_EQUAL)
                finished(w, c);
            else
                b->items[kept++] = c;
        }
    }
    b->count = kept;
    return true;
}

static bool take_moment(struct verify_walk *w, struct batch *b) {
    usec_t since = 0;
    unsigned attempt = 0;
    for (;;) {
        struct error error = {0};
        if (verify_source_queue_id(w->source, &b->moment.queue_id, &error))
            return true;
        if (!verify_walk_tell(w) || !verify_walk_retry(w, &error, &since, &attempt))
            return false;
    }
}

struct letters {
    struct looks *looks;
};

static void letter(void *ctx, struct slice id, const char *reason) {
    struct looks *l = ((struct letters *)ctx)->looks;
    for (size_t i = 0; i < l->count; i++)
        if (slice_eq(l->ids[i], id) && !l->dead[i]) {
            l->dead[i] = true;
            l->letters[i] = reason ? strdup(reason) : NULL;
        }
}

static bool read_letters(struct verify_walk *w, struct looks *l, const bool *different) {
    struct slice ids[GROUP];
    struct letters ctx = {l};
    size_t count = 0;
    usec_t since = 0;
    unsigned attempt = 0;
    memset(l->dead, 0, sizeof(l->dead));
    memset(l->letters, 0, sizeof(l->letters));
    for (size_t i = 0; i < l->count; i++)
        if (different[i])
            ids[count++] = l->ids[i];
    while (count) {
        struct error error = {0};
        if (verify_source_dead(w->source, ids, count, letter, &ctx, &error))
            return true;
        if (!verify_walk_tell(w) || !verify_walk_retry(w, &error, &since, &attempt))
            return false;
    }
    return true;
}

static bool report(struct verify_walk *w, const struct looks *l, size_t i) {
    const struct verify_look *index = &l->index[i], *source = &l->source[i];
    struct verify_difference d = {.kind = l->dead[i] ? VERIFY_DEAD : verify_kind_of(source, index), .id = l->ids[i],
                                  .in_source = source->state != VERIFY_ABSENT, .in_index = index->state != VERIFY_ABSENT,
                                  .source_hash = source->hash, .index_hash = index->hash, .version = index->version,
                                  .altered = w->conf->deep && index->state == VERIFY_BAD,
                                  .reason = l->dead[i] ? l->letters[i] : l->reasons[i]};
    d.foreign = d.kind == VERIFY_ORPHANED && !mark_id_ok(d.id);
    if (d.foreign)
        d.reason = "an id of more than 128 bytes is none of a product: delete the document from the index";
    pthread_mutex_lock(&w->lock);
    w->counts.found[d.kind]++;
    w->counts.foreign += d.foreign;
    pthread_mutex_unlock(&w->lock);
    if (!w->conf->difference || w->conf->difference(w->conf->ctx, &d))
        return true;
    return verify_walk_fail(w, &(struct error){.code = ERROR_INTERNAL, .message = "the caller could not take a difference"});
}

static void again(struct verify_walk *w, struct verify_candidate *c, bool followed) {
    if (++c->rounds >= ROUNDS_MAX) {
        pthread_mutex_lock(&w->lock);
        w->counts.unsettled++;
        w->counts.followed += followed;
        pthread_mutex_unlock(&w->lock);
        finished(w, c);
        return;
    }
    c->due = clock_now_usec() + AGAIN_USEC;
    pthread_mutex_lock(&w->lock);
    c->next = w->candidates;
    w->candidates = c;
    pthread_mutex_unlock(&w->lock);
}

static bool judge_group(struct verify_walk *w, struct looks *l, struct verify_candidate **items) {
    bool different[GROUP] = {false}, ok = true;
    enum verify_verdict verdicts[GROUP];
    for (size_t i = 0; i < l->count; i++) {
        verdicts[i] = verify_judge(&items[i]->index, &items[i]->source, &l->index[i], &l->source[i]);
        if (verdicts[i] == VERIFY_DIFFERENT && items[i]->only_orphan && l->source[i].state != VERIFY_ABSENT)
            verdicts[i] = VERIFY_EQUAL;
        different[i] = verdicts[i] == VERIFY_DIFFERENT;
    }
    if (!read_letters(w, l, different))
        return false;
    for (size_t i = 0; i < l->count; i++) {
        if (different[i] && ok)
            ok = report(w, l, i);
        free((char *)l->letters[i]);
        if (verdicts[i] == VERIFY_AGAIN)
            again(w, items[i], l->index[i].version != items[i]->index.version);
        else
            finished(w, items[i]);
        items[i] = NULL;
    }
    return ok;
}

static bool second_looks(struct verify_walk *w, struct batch *b, struct looks *l) {
    for (size_t at = 0, n; at < b->count; at += n) {
        n = b->count - at < GROUP ? b->count - at : GROUP;
        if (!look(w, l, b->items + at, n) || !judge_group(w, l, b->items + at))
            return false;
    }
    b->count = 0;
    return true;
}

static int compare_candidates(const void *a, const void *b) {
    const struct verify_candidate *x = *(struct verify_candidate *const *)a, *y = *(struct verify_candidate *const *)b;
    int order = verify_compare_ids((struct slice){x->id, x->id_len}, (struct slice){y->id, y->id_len});
    return order ? order : x->only_orphan - y->only_orphan;
}

/* What is due, sorted, each id once. */
static bool take_batch(struct verify_walk *w, struct batch *b) {
    usec_t now = clock_now_usec();
    size_t taken = 0;
    b->count = 0;
    b->moment = (struct verify_moment){0};
    pthread_mutex_lock(&w->lock);
    for (struct verify_candidate **at = &w->candidates; *at && taken < BATCH_MAX;) {
        struct verify_candidate *c = *at;
        if (c->due > now) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        b->items[taken++] = c;
    }
    pthread_mutex_unlock(&w->lock);
    qsort(b->items, taken, sizeof(*b->items), compare_candidates);
    for (size_t i = 0; i < taken; i++) {
        const struct verify_candidate *last = b->count ? b->items[b->count - 1] : NULL;
        if (last && last->id_len == b->items[i]->id_len && memcmp(last->id, b->items[i]->id, last->id_len) == 0)
            finished(w, b->items[i]);
        else
            b->items[b->count++] = b->items[i];
    }
    return b->count > 0;
}

static void settle_batch(struct verify_walk *w, struct batch *b, struct looks *l) {
    bool ok = first_looks(w, b, l);
    if (ok && b->count)
        ok = take_moment(w, b) && wait_for_projector(w, &b->moment) && second_looks(w, b, l);
    for (size_t i = 0; i < b->count; i++)
        if (b->items[i])
            finished(w, b->items[i]);
}

static bool walking(struct verify_walk *w, size_t *ret_pending) {
    pthread_mutex_lock(&w->lock);
    bool running = w->running > 0;
    *ret_pending = w->pending;
    pthread_mutex_unlock(&w->lock);
    return running;
}

void verify_settle_all(struct verify_walk *w) {
    struct batch b = {.items = calloc(BATCH_MAX, sizeof(*b.items))};
    struct looks *l = calloc(1, sizeof(*l));
    usec_t gathered = 0;
    if (!b.items || !l)
        verify_walk_fail(w, &(struct error){.code = ERROR_INTERNAL, .message = "out of memory"});
    for (size_t pending;;) {
        bool running = walking(w, &pending), go = verify_walk_tell(w);
        if (!running && (!go || pending == 0))
            break;
        usec_t now = clock_now_usec();
        bool due = pending > 0 && (!running || pending > BATCH_MAX / 2 || now >= gathered + GATHER_USEC);
        if (!go || !due) {
            doze(w, pending ? ASK_USEC : IDLE_USEC);
            continue;
        }
        gathered = now;
        if (take_batch(w, &b))
            settle_batch(w, &b, l);
        else
            doze(w, ASK_USEC);
    }
    free(b.items);
    free(l);
}
