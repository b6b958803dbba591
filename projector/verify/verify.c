#include "core/cleanup.h"
#include "projector/verify/verify.h"
#include "projector/verify/verify_walk.h"
#include <stdio.h>
#include <stdlib.h>

enum {
    PAGE_DEFAULT = 1000,
    CURSOR_MAX_BYTES = 1 << 20,
    IDS_MAX_BYTES = 256 << 20,
    SAMPLE_MAX = 10000,
    PENDING_MAX = 20000, /* candidates before the threads wait */
    TELL_USEC = 250 * 1000,
    RETRY_MIN_USEC = 100 * 1000,
    RETRY_MAX_USEC = 3 * 1000 * 1000,
    NAP_USEC = 100 * 1000,
    RATE_PAGES = 4, /* at a bounded rate a page is at most a quarter of a second's worth */
};

static void nap(usec_t usec) {
    struct timespec pause = {.tv_sec = (time_t)(usec / USEC_PER_SEC), .tv_nsec = (long)(usec % USEC_PER_SEC) * 1000};
    nanosleep(&pause, NULL);
}

/* A pause that ends early when everything stops. */
static void rest(struct verify_walk *w, usec_t until) {
    for (usec_t now; !atomic_load(&w->stop) && (now = clock_now_usec()) < until;)
        nap(until - now < NAP_USEC ? until - now : NAP_USEC);
}

bool verify_walk_fail(struct verify_walk *w, const struct error *error) {
    pthread_mutex_lock(&w->lock);
    if (w->error.code == ERROR_NONE)
        w->error = error->code ? *error : (struct error){.code = ERROR_INTERNAL, .message = "verify failed"};
    atomic_store(&w->stop, true);
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    return false;
}

bool verify_walk_retry(struct verify_walk *w, const struct error *error, usec_t *since, unsigned *attempt) {
    usec_t now = clock_now_usec();
    if (*since == 0) {
        *since = now;
        *attempt = 0;
    }
    if (!error_is_retriable(error) || (w->conf->patience_usec && now - *since >= w->conf->patience_usec))
        return verify_walk_fail(w, error);
    unsigned n = (*attempt)++;
    rest(w, now + clock_backoff_usec(n < 8 ? n : 8, RETRY_MIN_USEC, RETRY_MAX_USEC));
    return !atomic_load(&w->stop);
}

bool verify_walk_suspect(struct verify_walk *w, struct slice id, bool only_orphan) {
    struct verify_candidate *c = malloc(sizeof(*c) + id.len);
    if (!c)
        return false;
    *c = (struct verify_candidate){.id_len = id.len, .only_orphan = only_orphan};
    memcpy(c->id, id.data, id.len);
    pthread_mutex_lock(&w->lock);
    c->next = w->candidates;
    w->candidates = c;
    w->pending++;
    w->counts.candidates++;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    return true;
}

/* -- callbacks -- */

static bool cancelled(struct verify_walk *w) {
    if (w->conf->cancelled && w->conf->cancelled(w->conf->ctx))
        return !verify_walk_fail(w, &(struct error){.code = ERROR_CONFLICT, .message = "cancelled"});
    return false;
}

static void count_all(struct verify_walk *w) {
    if (w->by_ids)
        w->total = (int64_t)w->ids.slice_count;
    else if (w->conf->limit)
        w->total = w->conf->limit;
    else if (!w->conf->since_wall_usec)
        w->total = verify_source_estimate(w->source);
}

bool verify_walk_tell(struct verify_walk *w) {
    usec_t now = clock_now_usec();
    if (cancelled(w) || atomic_load(&w->stop))
        return false;
    if (!w->conf->progress || now - w->told_at < TELL_USEC)
        return true;
    w->told_at = now;
    pthread_mutex_lock(&w->lock);
    struct verify_counts counts = w->counts;
    struct verify_progress progress = {.counts = &counts, .total = w->total, .pending = (int64_t)w->pending,
                                       .waiting = w->waiting};
    pthread_mutex_unlock(&w->lock);
    w->conf->progress(w->conf->ctx, &progress);
    return true;
}

/* -- a page: handed out, then compared -- */

struct walker {
    struct verify_walk *walk;
    struct verify_source *source;
    struct verify_index index;
    struct verify_page page;
    struct buf after, until; /* what the index is asked for: after < id <= until; until empty: to the end */
    const struct slice *ids; /* or these */
    size_t id_count;
    bool begun, composed; /* of the page: composing was tried, all of it is in page.items */
    pthread_t thread;
};

static struct slice view(const struct buf *b) {
    return (struct slice){b->data, b->len};
}

static bool set(struct buf *b, struct slice value) {
    buf_reset(b);
    return value.len == 0 || buf_append(b, value.data, value.len);
}

static int64_t page_size(const struct verify_conf *conf) {
    int64_t page = conf->page ? conf->page : PAGE_DEFAULT;
    if (conf->rate && page > conf->rate / RATE_PAGES)
        page = conf->rate / RATE_PAGES > 10 ? conf->rate / RATE_PAGES : 10;
    return page;
}

/* Under `turn`. */
static bool next_ids(struct walker *r, struct error *reterr) {
    struct verify_walk *w = r->walk;
    size_t left = w->ids.slice_count - w->next_id, n = (size_t)page_size(w->conf);
    r->ids = w->ids.slices + w->next_id;
    r->id_count = n < left ? n : left;
    if (r->id_count && !verify_source_find(r->source, r->ids, r->id_count, &r->page, reterr))
        return false;
    w->next_id += r->id_count;
    w->ended = w->next_id == w->ids.slice_count;
    return true;
}

static bool next_range(struct walker *r, struct error *reterr) {
    struct verify_walk *w = r->walk;
    const struct verify_conf *conf = w->conf;
    int64_t since = conf->since_wall_usec / 1000;
    if (!verify_source_read(r->source, view(&w->cursor), page_size(conf), since, &r->page, reterr))
        return false;
    if (!set(&r->after, view(&w->named)) || !set(&r->until, r->page.last_named))
        return error_nomem(reterr);
    if (r->page.products == 0)
        w->ended = true;
    else if (!set(&w->cursor, r->page.last) || (r->page.named && !set(&w->named, r->page.last_named)))
        return error_nomem(reterr);
    return true;
}

/* *ret_any: there is a page. */
static bool take_page(struct walker *r, bool *ret_any, struct error *reterr) {
    struct verify_walk *w = r->walk;
    bool ok = true;
    *ret_any = false;
    pthread_mutex_lock(&w->turn);
    usec_t due = w->rate_due;
    if (!w->ended && !(w->conf->limit && w->handed >= w->conf->limit)) {
        ok = w->by_ids ? next_ids(r, reterr) : next_range(r, reterr);
        *ret_any = ok;
        if (ok) {
            int64_t n = w->by_ids ? (int64_t)r->id_count : (int64_t)r->page.named;
            w->handed += n;
            usec_t now = clock_now_usec();
            if (w->conf->rate)
                w->rate_due = (due > now ? due : now) + (usec_t)n * USEC_PER_SEC / (usec_t)w->conf->rate;
        }
    }
    pthread_mutex_unlock(&w->turn);
    if (*ret_any)
        rest(w, due);
    return ok;
}

struct comparing {
    struct verify_walk *walk;
    bool no_orphans;
};

static bool differs(void *ctx, struct slice id, const struct verify_item *source, const struct verify_item *index) {
    const struct comparing *c = ctx;
    (void)index;
    return (c->no_orphans && !source) || verify_walk_suspect(c->walk, id, false);
}

static bool compare(struct walker *r, const struct verify_item *source, size_t count, size_t *ret_compared,
                    struct error *reterr) {
    struct comparing c = {r->walk, r->walk->conf->since_wall_usec != 0};
    if (!verify_diff(source, count, r->index.items, r->index.count, differs, &c, ret_compared))
        return error_nomem(reterr);
    for (size_t i = 0; i < r->index.stranger_count; i++)
        if (!verify_walk_suspect(r->walk, r->index.strangers[i], true))
            return error_nomem(reterr);
    return true;
}

/* An answer that is full is followed by others, and a cursor that failed is gone: then the ids are asked for anew. A range is
 * one answer, which is still there. */
static bool compose_all(struct walker *r, struct error *reterr) {
    if (r->composed)
        return true;
    if (r->begun && r->walk->by_ids && !verify_source_find(r->source, r->ids, r->id_count, &r->page, reterr))
        return false;
    r->begun = true;
    if (!verify_source_compose(r->source, &r->page, reterr))
        return false;
    while (r->page.cursor_id)
        if (!verify_source_more(r->source, &r->page, reterr) || !verify_source_compose(r->source, &r->page, reterr))
            return false;
    r->composed = true;
    return true;
}

/* Before more is looked at: candidates take memory until they are settled. False: everything stops. */
static bool wait_for_room(struct verify_walk *w) {
    pthread_mutex_lock(&w->lock);
    while (w->pending > PENDING_MAX && !atomic_load(&w->stop))
        pthread_cond_wait(&w->changed, &w->lock);
    pthread_mutex_unlock(&w->lock);
    return !atomic_load(&w->stop);
}

/* What was compared so far is not compared again when the index fails in the middle: after moves on. */
static bool compare_range(struct walker *r, size_t *at, size_t *compared, size_t *documents, struct error *reterr) {
    for (bool all = false; !all;) {
        if (!verify_index_range(&r->index, view(&r->after), view(&r->until), r->page.count - *at, &all, reterr))
            return false;
        size_t end = r->page.count, n = 0;
        struct slice last = {0};
        if (!all) {
            last = r->index.hits.items[r->index.hits.count - 1].id;
            for (end = *at; end < r->page.count && verify_compare_ids(r->page.items[end].id, last) <= 0;)
                end++;
        }
        if (!compare(r, r->page.items + *at, end - *at, &n, reterr))
            return false;
        *at = end;
        *compared += n;
        *documents += r->index.count;
        if (!all && !set(&r->after, last))
            return error_nomem(reterr);
        if (!all && !wait_for_room(r->walk)) /* a range may hold any number of orphans */
            return error_set(reterr, ERROR_CONFLICT, "stopped");
    }
    return true;
}

static bool compare_ids(struct walker *r, size_t *compared, size_t *documents, struct error *reterr) {
    struct slice *ids = NULL;
    if (!r->walk->by_ids) {
        ids = malloc((r->page.count + 1) * sizeof(*ids));
        if (!ids)
            return error_nomem(reterr);
        for (size_t i = 0; i < r->page.count; i++)
            ids[i] = r->page.items[i].id;
    }
    size_t count = ids ? r->page.count : r->id_count;
    bool ok = count == 0 || (verify_index_terms(&r->index, ids ? ids : r->ids, count, reterr) &&
                             compare(r, r->page.items, r->page.count, compared, reterr));
    if (ok && count)
        *documents += r->index.count;
    if (ok && r->walk->by_ids)
        *compared = count;
    free(ids);
    return ok;
}

/* With the last page of everything: documents that say no id are in no range. */
static bool nameless(struct walker *r, struct error *reterr) {
    if (!verify_index_nameless(&r->index, reterr))
        return false;
    for (size_t i = 0; i < r->index.stranger_count; i++)
        if (!verify_walk_suspect(r->walk, r->index.strangers[i], true))
            return error_nomem(reterr);
    return true;
}

static bool finish_page(struct walker *r) {
    struct verify_walk *w = r->walk;
    bool by_range = !w->by_ids && !w->conf->since_wall_usec, done = false;
    bool last = by_range && r->page.products == 0;
    if (by_range && !last && r->page.named == 0)
        return true; /* no document can stand for any of these; what the index has there belongs to the next page */
    size_t at = 0, compared = 0, documents = 0, seen = 0;
    usec_t since = 0;
    unsigned attempt = 0;
    r->begun = r->composed = false;
    while (!done) {
        struct error error = {0};
        done = compose_all(r, &error) && (by_range ? compare_range(r, &at, &compared, &documents, &error)
                                                   : compare_ids(r, &compared, &documents, &error)) &&
               (!last || nameless(r, &error));
        if (documents > seen) { /* it is not the same failure that goes on */
            since = 0;
            seen = documents;
        }
        if (!done && !verify_walk_retry(w, &error, &since, &attempt))
            return false;
    }
    pthread_mutex_lock(&w->lock);
    w->counts.compared += (int64_t)compared;
    w->counts.documents += (int64_t)documents;
    pthread_mutex_unlock(&w->lock);
    return true;
}

/* -- threads -- */

static void *walker_main(void *arg) {
    struct walker *r = arg;
    struct verify_walk *w = r->walk;
    pthread_setname_np(pthread_self(), "verify");
    usec_t since = 0;
    unsigned attempt = 0;
    for (bool any = true; any && wait_for_room(w);) {
        struct error error = {0};
        if (!take_page(r, &any, &error)) {
            any = verify_walk_retry(w, &error, &since, &attempt);
            continue;
        }
        since = 0;
        if (any && (atomic_load(&w->stop) || !finish_page(r)))
            break;
    }
    pthread_mutex_lock(&w->lock);
    w->running--;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static struct verify_source *source_new(struct verify_walk *w, struct error *reterr) {
    const struct projector_options *options = w->conf->options;
    struct verify_source_conf conf = {.pool = w->conf->pool, .mysql = &options->mysql, .database = options->mongo.database,
                                      .projection = w->conf->projection, .tree = &w->tree,
                                      .document_max_bytes = (size_t)options->projector.document_max_bytes,
                                      .timeout_usec = options->mongo.timeout_usec};
    return verify_source_new(&conf, reterr);
}

static bool walker_init(struct walker *r, struct verify_walk *w, struct error *reterr) {
    *r = (struct walker){.walk = w, .after = BUF_INIT(CURSOR_MAX_BYTES), .until = BUF_INIT(CURSOR_MAX_BYTES)};
    verify_index_init(&r->index, &w->conf->options->es, w->conf->index, w->conf->deep);
    verify_page_init(&r->page);
    return (r->source = source_new(w, reterr)) != NULL;
}

static void walker_done(struct walker *r) {
    verify_source_free(r->source);
    verify_index_done(&r->index);
    verify_page_done(&r->page);
    buf_done(&r->after);
    buf_done(&r->until);
}

static bool walk(struct verify_walk *w) {
    unsigned wanted = w->conf->threads ? w->conf->threads : 1, made = 0, started = 0;
    struct walker *walkers = calloc(wanted, sizeof(*walkers));
    struct error error = {0};
    bool ok = walkers || error_nomem(&error);
    while (ok && made < wanted)
        ok = walker_init(&walkers[made++], w, &error);
    for (; ok && started < wanted; started += ok) {
        pthread_mutex_lock(&w->lock);
        w->running++;
        ok = pthread_create(&walkers[started].thread, NULL, walker_main, &walkers[started]) == 0;
        w->running -= !ok;
        pthread_mutex_unlock(&w->lock);
        if (!ok)
            error_set(&error, ERROR_INTERNAL, "cannot start a thread");
    }
    if (!ok)
        verify_walk_fail(w, &error);
    verify_settle_all(w);
    for (unsigned i = 0; i < started; i++)
        pthread_join(walkers[i].thread, NULL);
    for (unsigned i = 0; i < made; i++)
        walker_done(&walkers[i]);
    free(walkers);
    return !atomic_load(&w->stop);
}

/* -- a run -- */

static bool choose(struct verify_walk *w, struct error *reterr) {
    const struct verify_conf *conf = w->conf;
    w->by_ids = conf->ids || conf->sample;
    for (size_t i = 0; conf->ids && i < conf->id_count; i++)
        if (!verify_ids_add(&w->ids, conf->ids[i]))
            return error_nomem(reterr);
    if (conf->sample) {
        int64_t n = conf->sample < SAMPLE_MAX ? conf->sample : SAMPLE_MAX;
        if (!verify_source_sample(w->source, n, &w->ids, reterr) || !verify_index_sample(&w->index, n, reterr))
            return false;
        for (size_t i = 0; i < w->index.stranger_count; i++)
            if (!verify_ids_add(&w->ids, w->index.strangers[i]))
                return error_nomem(reterr);
    }
    return verify_ids_sort(&w->ids) || error_nomem(reterr);
}

static bool prepare(struct verify_walk *w) {
    usec_t since = 0;
    unsigned attempt = 0;
    struct error error = {0};
    if (!(w->source = source_new(w, &error)) || !set(&w->cursor, w->conf->after) || !set(&w->named, w->conf->after))
        return verify_walk_fail(w, &error);
    for (;;) {
        verify_ids_reset(&w->ids);
        if (choose(w, &error))
            break;
        if (cancelled(w) || !verify_walk_retry(w, &error, &since, &attempt))
            return false;
    }
    count_all(w);
    return true;
}

static void walk_init(struct verify_walk *w, const struct verify_conf *conf) {
    *w = (struct verify_walk){.conf = conf, .cursor = BUF_INIT(CURSOR_MAX_BYTES), .named = BUF_INIT(CURSOR_MAX_BYTES)};
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&w->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&w->lock, NULL);
    pthread_mutex_init(&w->turn, NULL);
    verify_tree_init(&w->tree);
    verify_ids_init(&w->ids, IDS_MAX_BYTES);
    verify_index_init(&w->index, &conf->options->es, conf->index, conf->deep);
    verify_page_init(&w->page);
}

static void walk_done(struct verify_walk *w) {
    for (struct verify_candidate *c = w->candidates, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    verify_source_free(w->source);
    verify_index_done(&w->index);
    verify_page_done(&w->page);
    verify_ids_done(&w->ids);
    verify_tree_done(&w->tree);
    buf_done(&w->cursor);
    buf_done(&w->named);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    pthread_mutex_destroy(&w->turn);
}

bool verify_is_equal(const struct verify_counts *counts) {
    int64_t open = counts->unsettled;
    for (int k = 0; k < VERIFY_KINDS; k++)
        open += counts->found[k];
    return open == 0;
}

bool verify_run(const struct verify_conf *conf, struct verify_counts *ret, struct error *reterr) {
    struct verify_walk w;
    walk_init(&w, conf);
    bool ok = prepare(&w) && walk(&w);
    if (ok && conf->progress) {
        w.told_at = 0;
        verify_walk_tell(&w);
    }
    w.counts.complete = ok && w.ended;
    if (w.named.len) {
        w.counts.last_len = (uint16_t)w.named.len;
        memcpy(w.counts.last, w.named.data, w.named.len);
    }
    *ret = w.counts;
    if (!ok && reterr)
        *reterr = w.error;
    walk_done(&w);
    return ok;
}
