/* Answers of bulks: each item by itself. */
#include "core/cleanup.h"
#include "core/hash.h"
#include "projector/engine/engine_internal.h"
#include <inttypes.h>
#include <stdlib.h>

enum {
    PROBE_MIN_USEC = 200 * 1000,
    PROBE_MAX_USEC = 5 * 1000 * 1000,
};

/* -- a target that refuses everything -- */

static void probe_done(void *ctx, struct http_response *response) {
    struct engine *e = ctx;
    e->serving->probe = NULL;
    if (response->status == 200) {
        e->serving->trial = true;
        pump_all(e);
        return;
    }
    e->serving->failures++;
    loop_timer_set(e->loop, &e->serving->probe_timer,
                   engine_now(e) + clock_backoff_usec(e->serving->failures, PROBE_MIN_USEC, PROBE_MAX_USEC));
}

static void probe(struct loop_timer *timer) {
    struct engine *e = CONTAINER_OF(timer, struct engine_target, probe_timer)->engine;
    if (e->serving->probe || e->ending)
        return;
    buf_reset(&e->path);
    buf_printf(&e->path, "/%s?filter_path=*.aliases", e->conf.index);
    e->serving->probe = es_start(e->es, "GET", e->path.data, NULL, (struct slice){0}, NULL, 5 * USEC_PER_SEC, probe_done,
                               e, NULL);
    if (!e->serving->probe)
        loop_timer_set(e->loop, timer, engine_now(e) + PROBE_MAX_USEC);
}

void answer_target_init(struct engine *e) {
    e->target_count = (unsigned)e->conf.targets->count;
    e->serving = &e->targets[0];
    for (unsigned t = 0; t < e->target_count; t++) {
        const struct target *conf = &e->conf.targets->list[t];
        e->targets[t] = (struct engine_target){.engine = e, .conf = conf, .flawed = conf->flawed,
                                               .number = hash_bytes(conf->index, strlen(conf->index)),
                                               .probe_timer.cb = probe};
    }
}

static void target_pause(struct engine *e, const struct bulk_item_result *r) {
    if (!e->serving->paused)
        log_error("target.paused", LOG_STR("index", e->conf.index), LOG_INT("status", r->status),
                  LOG_STR("type", r->type), LOG_STR("reason", r->reason),
                  LOG_STR("advice", "nothing is lost: it is probed, and goes on once the index takes writes"));
    e->serving->paused = true;
    e->serving->trial = false;
    e->serving->failures++;
    metric_set(lag_metrics.target_paused, 1);
    loop_timer_set(e->loop, &e->serving->probe_timer,
                   engine_now(e) + clock_backoff_usec(e->serving->failures, PROBE_MIN_USEC, PROBE_MAX_USEC));
}

/* True if it was paused: then every lane has something to do again. */
static bool target_works(struct engine *e) {
    if (!e->serving->paused)
        return false;
    log_info("target.resumed", LOG_STR("index", e->conf.index));
    e->serving->paused = e->serving->trial = false;
    e->serving->failures = 0;
    metric_set(lag_metrics.target_paused, 0);
    return true;
}

bool answer_is_dead(struct engine *e, const struct lane_entry *entry) {
    uint64_t unused;
    return e->dead.used > 0 && hash_cache_get(&e->dead, entry->hash, &unused);
}

void answer_target_refused(struct engine *e, unsigned target, const struct lane_entry *entry, const char *reason,
                           bool gone) {
    struct engine_target *t = &e->targets[target];
    if (t->flaw_is_stored || e->ending || (t->flawed && !gone))
        return;
    /* A reindex ends with the first product that the new index refuses. */
    t->flaw_is_stored = store_flaw(e, target, entry, reason, gone || t->conf->role == TARGET_BUILDING);
}

/* -- items -- */

/* What an item's answer means for its product; the largest of its items' decides. */
enum verdict {
    VERDICT_DONE,
    VERDICT_DEAD,  /* the serving index refuses the document */
    VERDICT_AGAIN, /* at once */
    VERDICT_LATER, /* after a pause */
};

struct answer {
    struct engine *engine;
    struct engine_lane *lane;
    struct batch *batch;
    int64_t wall_usec;
    usec_t retry_at; /* of the items that failed; 0 if none did */
    bool overload, denied, too_large;
    bool nobody; /* answers: nothing is known of any index */
    bool timed_out;
    bool dead; /* the serving index refuses this very product */
    bool wrote; /* the serving index has something new */
};

static enum verdict item_done(struct answer *a, const struct bulk_item *item) {
    struct engine *e = a->engine;
    const struct lane_entry *entry = item->ctx;
    struct engine_target *target = &e->targets[item->target];
    if (item->op == BULK_INDEX)
        hash_cache_put(&e->hashes, hash_cache_key(target->number, item->id_hash), item->content_hash);
    if (target->trouble_of == item->id_hash)
        target->trouble_at = 0;
    if (target != e->serving)
        return VERDICT_DONE;
    a->wrote = true;
    for (int s = 0; s < MARK_JOB; s++) {
        int64_t wall = entry->flight.commit_wall_usec[s];
        if (wall == 0)
            continue;
        lag_observe(lag_metrics.commit_to_indexed[s], wall, a->wall_usec);
        if (item->op == BULK_INDEX)
            sample_offer(e, entry, item->version, (enum mark_source)s, wall);
    }
    store_dead_letter_gone(e, entry, item->version);
    return VERDICT_DONE;
}

/* "version conflict, current version [123] is higher or equal than the one provided [122]" */
static uint64_t conflicting_version(const char *reason) {
    static const char before[] = "current version [";
    const char *at = strstr(reason, before);
    return at ? strtoull(at + sizeof(before) - 1, NULL, 10) : 0;
}

static enum verdict item_conflict(struct answer *a, const struct bulk_item *item, const struct bulk_item_result *r) {
    struct engine *e = a->engine;
    uint64_t version = conflicting_version(r->reason);
    if (!e->raising)
        log_warn("version.conflict", LOG_STR("reason", r->reason), LOG_INT("ours", item->version));
    e->raising = true;
    if (version > e->conflict_version)
        e->conflict_version = version;
    return VERDICT_LATER;
}

static enum verdict item_retry(struct answer *a, const struct bulk_item *item, const struct bulk_item_result *r) {
    int64_t max = a->engine->options->max_attempts;
    const struct lane_entry *entry = item->ctx;
    a->overload = true;
    return max > 0 && entry->attempts >= max && r->status >= 500 && item->target == 0 ? VERDICT_DEAD : VERDICT_LATER;
}

static enum verdict item_denied(struct answer *a, const struct bulk_item_result *r) {
    if (!a->denied)
        target_pause(a->engine, r);
    a->denied = true;
    return VERDICT_AGAIN;
}

/* It is not the document that is wrong: a closed index answers 400; one that is blocked because the disk is full 429, but
 * reading and sending everything again does not make the disk any emptier. */
static bool index_refuses_all(const struct bulk_item_result *r) {
    return strcmp(r->type, "index_closed_exception") == 0 || strcmp(r->type, "cluster_block_exception") == 0;
}

/* Whether what was sent can go in smaller requests: fewer products, or the copies of one by themselves. */
static bool can_be_smaller(struct answer *a, struct lane_entry *entry) {
    const struct bulk *bulk = &a->batch->bulk;
    if (bulk->count == 1)
        return false;
    if (bulk_group(bulk, bulk->count) == 0)
        entry->apart = LANE_ALL_TARGETS;
    a->too_large = true;
    return true;
}

static enum verdict serving_verdict(struct answer *a, size_t i, const struct bulk_item_result *r) {
    const struct bulk_item *item = &a->batch->bulk.items[i];
    switch (r->outcome) {
    case BULK_DONE:
    case BULK_GONE:
        return item_done(a, item);
    case BULK_CONFLICT:
        return item_conflict(a, item, r);
    case BULK_TOO_LARGE:
        return can_be_smaller(a, item->ctx) ? VERDICT_AGAIN : VERDICT_DEAD;
    case BULK_RETRY:
        return index_refuses_all(r) ? item_denied(a, r) : item_retry(a, item, r);
    case BULK_REJECTED:
        return index_refuses_all(r) ? item_denied(a, r) : VERDICT_DEAD;
    case BULK_DENIED:
    case BULK_NO_INDEX:
        return item_denied(a, r);
    }
    return VERDICT_LATER;
}

/* One product at a time tells how long an index has taken nothing, so that one of its shards is enough. That product may have
 * gone another way meanwhile: then the next one does. */
static bool tells_of_trouble(struct engine *e, struct engine_target *target, const struct bulk_item *item,
                             const struct bulk_item_result *r) {
    usec_t now = engine_now(e);
    usec_t overdue = e->options->target_patience_usec + e->options->bulk_timeout_usec + e->options->retry_max_usec;
    if (target->trouble_at != 0 && now - target->trouble_seen_at <= overdue)
        return target->trouble_of == item->id_hash;
    target->trouble_at = now;
    target->trouble_of = item->id_hash;
    log_warn("target.trouble", LOG_STR("index", target->conf->index), LOG_INT("status", r->status),
             LOG_STR("reason", r->reason));
    return true;
}

/* It takes nothing, but may recover; for how long is it waited for? Time in which nobody answers, or the serving index takes
 * nothing either, is not its own. */
static enum verdict other_in_trouble(struct answer *a, const struct bulk_item *item, const struct bulk_item_result *r) {
    struct engine *e = a->engine;
    struct engine_target *target = &e->targets[item->target];
    if (a->nobody)
        return VERDICT_LATER;
    if (e->serving->paused) {
        target->trouble_at = 0;
    } else if (tells_of_trouble(e, target, item, r)) {
        target->trouble_seen_at = engine_now(e);
        if (engine_now(e) - target->trouble_at > e->options->target_patience_usec)
            answer_target_refused(e, item->target, item->ctx, *r->reason ? r->reason : "it does not answer", true);
    }
    return VERDICT_LATER;
}

/* What the serving index refuses as well is no flaw of another. */
static bool serving_is_to_come(const struct engine *e, const struct lane_entry *entry) {
    return entry->apart && !e->conf.frozen && entry->flight.targets & 1;
}

static enum verdict other_verdict(struct answer *a, size_t i, const struct bulk_item_result *r) {
    const struct bulk_item *item = &a->batch->bulk.items[i];
    struct engine *e = a->engine;
    switch (r->outcome) {
    case BULK_DONE:
    case BULK_GONE:
        return item_done(a, item);
    case BULK_CONFLICT:
        return item_conflict(a, item, r);
    case BULK_RETRY:
        a->overload = true;
        return other_in_trouble(a, item, r);
    case BULK_DENIED:
        return other_in_trouble(a, item, r);
    case BULK_TOO_LARGE:
        if (can_be_smaller(a, item->ctx))
            return VERDICT_AGAIN;
        break;
    case BULK_REJECTED:
    case BULK_NO_INDEX:
        break;
    }
    if (r->outcome != BULK_NO_INDEX && index_refuses_all(r))
        return other_in_trouble(a, item, r);
    if (r->outcome != BULK_NO_INDEX && (e->targets[item->target].flawed || a->dead || answer_is_dead(e, item->ctx)))
        return VERDICT_DONE;
    if (r->outcome != BULK_NO_INDEX && serving_is_to_come(e, item->ctx))
        return VERDICT_AGAIN;
    answer_target_refused(e, item->target, item->ctx, r->reason, r->outcome == BULK_NO_INDEX);
    return VERDICT_LATER;
}

static void entry_dead(struct answer *a, size_t i, const struct bulk_item_result *r) {
    const struct bulk_item *item = &a->batch->bulk.items[i];
    struct buf reason = BUF_INIT(4096);
    buf_printf(&reason, "%d %s: %s", r->status, r->type, r->reason);
    if (!store_dead_letter(a->lane, item->ctx, buf_ok(&reason) ? reason.data : "rejected", r->status, item->version,
                           bulk_document(&a->batch->bulk, i), item->content_hash))
        engine_retry_later(a->engine, a->lane, item->ctx, &a->retry_at);
    buf_done(&reason);
}

/* The items [first, end) are one product's; the serving index's, if there is one, is the first of them. */
static void entry_answer(struct answer *a, size_t first, size_t end, const struct bulk_item_result *results) {
    static const struct bulk_item_result unknown = {.outcome = BULK_RETRY, .type = "", .reason = ""};
    struct lane_entry *entry = a->batch->bulk.items[first].ctx;
    enum verdict verdict = VERDICT_DONE;
    a->dead = false;
    if (a->timed_out && end - first > 1) /* whose fault it is shows when each goes by itself */
        entry->apart = LANE_ALL_TARGETS;
    for (size_t i = first; i < end; i++) {
        const struct bulk_item_result *r = results ? &results[i] : &unknown;
        const struct bulk_item *item = &a->batch->bulk.items[i];
        metric_inc(lag_metrics.outcomes[item->op][r->outcome]);
        if (r->outcome != BULK_DONE && r->outcome != BULK_GONE)
            metric_inc(lag_metrics.retries[r->outcome]);
        enum verdict one = item->target == 0 ? serving_verdict(a, i, r) : other_verdict(a, i, r);
        a->dead = a->dead || one == VERDICT_DEAD;
        verdict = one > verdict ? one : verdict;
    }
    if (verdict == VERDICT_DONE) {
        if (!pump_next_piece(a->lane, entry))
            engine_written(a->lane, entry);
    } else if (verdict == VERDICT_DEAD) {
        entry_dead(a, first, results ? &results[first] : &unknown);
    } else if (verdict == VERDICT_AGAIN) {
        lane_fail(&a->lane->lane, entry, 0);
    } else {
        engine_retry_later(a->engine, a->lane, entry, &a->retry_at);
    }
}

static const struct bulk_item_result *read_answer(struct engine *e, struct batch *batch,
                                                  const struct http_response *response) {
    struct error error = {.code = ERROR_NONE};
    struct slice body = {response->body ? response->body->data : NULL, response->body ? response->body->len : 0};
    if (!bulk_result_read(&e->result, &batch->bulk, response->status, body, &error))
        log_warn("bulk.failed", LOG_INT("lane", batch->lane->number), LOG_INT("documents", batch->bulk.count),
                 LOG_INT("status", response->status),
                 LOG_ERR(response->error.code != ERROR_NONE ? &response->error : &error));
    return e->result.count == batch->bulk.count ? e->result.items : NULL;
}

static size_t serving_items(const struct bulk *bulk) {
    size_t n = 0;
    for (size_t i = 0; i < bulk->count; i++)
        n += bulk->items[i].target == 0;
    return n;
}

/* Whether the answer says nothing of an index beside: the link is broken, or whoever answers has no server behind it, or the
 * serving index may be what takes so long. If that is certain, it ends the time for which one was in trouble. */
static bool nobody_answers(struct engine *e, const struct bulk *bulk, const struct http_response *response) {
    bool silent = response->status == 0;
    bool away = response->status == 502 || response->status == 503 || (silent && response->error.code == ERROR_UNAVAILABLE);
    size_t serving = silent && !away ? serving_items(bulk) : 0;
    bool certain = away || (serving > 0 && serving == bulk->count);
    for (unsigned t = 0; certain && t < e->target_count; t++)
        e->targets[t].trouble_at = 0;
    return away || serving > 0;
}

/* A small bulk that waited for no other live one says how much background work is in the way. */
static void make_way(const struct answer *a) {
    struct engine *e = a->engine;
    const struct batch *batch = a->batch;
    if (batch->pipe == MARK_LIVE && !a->overload && !a->denied && batch->begun_at != 0 && batch->bulk.body.len <= SCAVENGER_MIN_BYTES)
        scavenger_live_took(&e->scavenger, engine_now(e), engine_now(e) - batch->begun_at);
    metric_set(lag_metrics.background_bytes, (double)scavenger_bytes(&e->scavenger, engine_now(e)));
}

/* Returns whether the target works again. */
static bool adapt(struct answer *a, struct engine_pipe *p) {
    struct engine *e = a->engine;
    if (a->too_large) {
        p->docs_cap = a->batch->bulk.count > 1 ? a->batch->bulk.count / 2 : 1;
    } else if (p->docs_cap < (size_t)e->options->bulk_max_docs) {
        size_t doubled = p->docs_cap * 2, max = (size_t)e->options->bulk_max_docs;
        p->docs_cap = doubled < max ? doubled : max;
    }
    if (!a->overload) {
        concurrency_success(&e->concurrency);
    } else if (concurrency_overload(&e->concurrency, engine_now(e))) {
        log_warn("bulk.concurrency", LOG_INT("limit", e->concurrency.limit));
    }
    metric_set(lag_metrics.bulk_concurrency, e->concurrency.limit);
    return !a->denied && (a->wrote || !a->overload) && target_works(e);
}

/* What an answer touches lies all over the memory: asked for early, it is there when its turn comes. */
static void look_ahead(const struct engine *e, const struct lane *lane, const struct bulk_item *item) {
    const struct lane_entry *entry = item->ctx;
    __builtin_prefetch(entry);
    __builtin_prefetch(&entry->flight);
    lane_prefetch(lane, item->id_hash);
    hash_cache_prefetch(&e->hashes, hash_cache_key(e->targets[item->target].number, item->id_hash));
}

void answer_arrived(void *ctx, struct http_response *response) {
    struct batch *batch = ctx;
    struct engine_lane *l = batch->lane;
    struct engine *e = l->engine;
    struct engine_pipe *p = &l->pipes[batch->pipe];
    struct answer a = {.engine = e, .lane = l, .batch = batch, .wall_usec = clock_wall_usec(),
                       .nobody = nobody_answers(e, &batch->bulk, response),
                       .timed_out = response->status == 0 && response->error.code == ERROR_TIMEOUT};
    p->flight = NULL;
    e->in_flight--;
    e->batches_out--;
    metric_inc(lag_metrics.bulks);
    metric_observe(lag_metrics.bulk_seconds, clock_now_usec() - batch->sent_at);
    const struct bulk_item_result *results = read_answer(e, batch, response);
    for (size_t end = batch->bulk.count, first; end > 0; end = first) {
        if (end > LOOK_AHEAD)
            look_ahead(e, &l->lane, &batch->bulk.items[end - 1 - LOOK_AHEAD]);
        first = bulk_group(&batch->bulk, end);
        entry_answer(&a, first, end, results);
    }
    if (a.wrote)
        refresh_note(e, batch->sent_at);
    make_way(&a);
    bool works_again = adapt(&a, p);
    pump_batch_release(e, batch);
    if (e->raising)
        store_raise(e);
    pump_slot_free(e); /* those that wait for the slot come before this lane's next bulk */
    if (works_again)
        pump_all(e);
    else
        pump_lane(l);
}
