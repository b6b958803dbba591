/* Batches on their way out: dirty products -> a round of the lane's worker -> a bulk. */
#include "core/cleanup.h"
#include "core/hash.h"
#include "projector/engine/engine_internal.h"

enum {
    SPARE_BATCHES_MAX = 32,
    LIVE_IN_ROW_MAX = 8, /* live bulks while background work waits: then it has one, however many live changes come */
    READ_BYTES = 4 << 20, /* what a round should read at most: each lane holds one answer, and the driver a copy of it */
};

static void round_done(struct job *job);

static void round_run(struct job *job, void *session) {
    load_round(session, CONTAINER_OF(job, struct batch, job));
}

/* -- batches -- */

static struct batch *batch_take(struct engine *e) {
    struct batch *batch = e->spare;
    if (batch) {
        e->spare = batch->next;
        e->spare_count--;
        batch->next = NULL;
        return batch;
    }
    struct error error;
    /* Rounds are cut to bulk_max_bytes by an estimate; a quarter more keeps a wrong one from wasting reads. */
    size_t soft = (size_t)e->options->bulk_max_bytes / 4 * 5;
    /* A bulk that is not full has room for the largest document allowed, for every target. */
    size_t largest = (size_t)e->options->document_max_bytes + COMPOSE_SLACK_BYTES + BULK_AROUND_BYTES_MAX;
    batch = batch_new(e->conf.index, soft, soft + largest * e->target_count, (size_t)e->options->bulk_max_docs, &error);
    if (!batch)
        engine_fail(e, &error);
    for (unsigned t = 1; batch && t < e->target_count; t++)
        bulk_target(&batch->bulk, t, e->targets[t].conf->index);
    return batch;
}

void pump_batch_release(struct engine *e, struct batch *batch) {
    batch_reset_round(batch);
    bulk_reset(&batch->bulk);
    bulk_shrink(&batch->bulk, (size_t)e->options->bulk_max_bytes * 2);
    batch->call = NULL;
    if (e->spare_count >= SPARE_BATCHES_MAX) {
        batch_free(batch);
        return;
    }
    batch->next = e->spare;
    e->spare = batch;
    e->spare_count++;
}

/* -- rounds -- */

/* A live change waits for the lane's worker while a background round is composed, and at the server behind the bulks that
 * are in its hands: while there are live changes, background bulks are few, and small. */
static size_t full_bytes(const struct engine_lane *l, enum mark_priority priority) {
    const struct engine *e = l->engine;
    size_t most = (size_t)e->options->bulk_max_bytes;
    if (priority == MARK_LIVE)
        return most;
    size_t each = scavenger_bulk_bytes(&e->scavenger, engine_now(e), e->lane_count);
    return each < most ? each : most;
}

static bool may_send(const struct engine *e, const struct batch *batch) {
    if (batch->pipe == MARK_LIVE)
        return true;
    size_t under_way = 0;
    for (unsigned i = 0; i < e->lane_count; i++) {
        const struct batch *flight = e->lanes[i].pipes[MARK_BACKGROUND].flight;
        under_way += flight ? flight->bulk.body.len : 0;
    }
    return scavenger_allows(&e->scavenger, engine_now(e), under_way, batch->bulk.body.len);
}

/* How many more products the bulk has room for, going by what documents were like so far. */
static size_t room(const struct engine_lane *l, enum mark_priority priority) {
    const struct engine_pipe *p = &l->pipes[priority];
    const struct bulk *bulk = p->next ? &p->next->bulk : NULL;
    size_t count = bulk ? bulk->count : 0, bytes = bulk ? bulk->body.len : 0, full = full_bytes(l, priority);
    if (count >= p->docs_cap || bytes >= full)
        return 0;
    size_t each = l->engine->target_count;
    size_t by_bytes = (full - bytes) / (l->document_bytes * each) + 1;
    size_t by_count = (p->docs_cap - count + each - 1) / each;
    if (by_bytes < count / each / 4) /* nearly full: a round for a few documents more costs more than it brings */
        return 0;
    size_t by_read = READ_BYTES / l->read_bytes + 1;
    size_t n = by_bytes < by_count ? by_bytes : by_count;
    return n < by_read ? n : by_read;
}

static bool target_refuses(const struct engine *e) {
    return e->serving->paused && !e->serving->trial;
}

static bool may_read(const struct engine *e) {
    return !e->ending && !e->raising && !target_refuses(e);
}

static void look_up_hashes(struct engine *e, struct batch_item *item) {
    item->known = 0;
    for (unsigned t = 0; t < e->target_count; t++)
        if (hash_cache_get(&e->hashes, hash_cache_key(e->targets[t].number, item->entry->hash), &item->known_hash[t]))
            item->known |= (uint8_t)(1u << t);
    item->entry->hash_known = item->known;
}

static uint8_t written_targets(const struct engine *e) {
    return (uint8_t)((1u << e->target_count) - 1) & (uint8_t)~(e->conf.frozen ? 1u : 0u);
}

/* Copies that do not go together go one after another, in turn, so that none waits for one that fails; that of the serving
 * index comes last, because with what it refuses the product is over. */
static void choose_piece(struct lane_entry *entry, uint8_t written) {
    uint8_t wanted = written & entry->flight.targets, bit = 1u << (BULK_TARGETS_MAX - 1);
    entry->piece = LANE_ALL_TARGETS;
    if (!entry->apart || !wanted)
        return;
    if (!(wanted & entry->apart))
        entry->apart = LANE_ALL_TARGETS;
    while (!(wanted & entry->apart & bit))
        bit >>= 1;
    entry->piece = bit;
    entry->apart &= (uint8_t)~bit;
}

bool pump_next_piece(struct engine_lane *l, struct lane_entry *entry) {
    if (!entry->apart)
        return false;
    entry->flight.targets &= (uint8_t)~entry->piece;
    if (entry->flight.targets & written_targets(l->engine)) {
        lane_fail(&l->lane, entry, 0);
        return true;
    }
    entry->apart = 0;
    return false;
}

static void start_round(struct engine_lane *l, enum mark_priority priority, size_t n) {
    struct engine *e = l->engine;
    struct engine_pipe *p = &l->pipes[priority];
    bool first = !p->next;
    if (first && !(p->next = batch_take(e)))
        return;
    struct batch *batch = p->next;
    if (first)
        batch->begun_at = p->flight ? 0 : engine_now(e);
    batch_reset_round(batch);
    batch->lane = l;
    batch->pipe = priority;
    /* Taken before the sources are read: whoever reads later has the higher version. */
    batch->version = lease_next_version(e->conf.lease);
    batch->tree = category_tree_ref(e->tree);
    batch->targets = written_targets(e);
    n = lane_take(&l->lane, priority, n, e->scratch);
    for (size_t i = 0; i < n; i++) {
        if (i + LOOK_AHEAD < n)
            hash_cache_prefetch(&e->hashes, hash_cache_key(e->serving->number, e->scratch[i + LOOK_AHEAD]->hash));
        if (!batch_add(batch, e->scratch[i])) {
            lane_fail(&l->lane, e->scratch[i], 0);
            continue;
        }
        choose_piece(e->scratch[i], batch->targets);
        look_up_hashes(e, &batch->items[batch->count - 1]);
    }
    batch->job.run = round_run;
    batch->job.done = round_done;
    p->composing = true;
    e->batches_out++;
    if (workers_submit(l->worker, e->loop, &batch->job))
        return;
    p->composing = false; /* cannot happen with the queue's size; nothing is lost if it does */
    e->batches_out--;
    for (size_t i = 0; i < batch->count; i++)
        lane_fail(&l->lane, batch->items[i].entry, 0);
    batch_reset_round(batch);
}

static void wants_tree(struct engine *e, struct engine_lane *l, struct lane_entry *entry) {
    metric_inc(lag_metrics.retries_tree);
    entry->tree_asked = e->tree_refreshes + 1;
    lane_fail(&l->lane, entry, USEC_NEVER);
    e->tree_wanted = true;
}

/* Once that is known to be missing there, the product goes to the others alone. */
static void other_target_bad(struct engine *e, struct engine_lane *l, const struct batch_item *item, usec_t *retry_at) {
    struct lane_entry *entry = item->entry;
    if (e->targets[item->target].flawed || answer_is_dead(e, entry)) {
        entry->flight.targets &= (uint8_t)~(1u << item->target);
        lane_fail(&l->lane, entry, 0);
        return;
    }
    answer_target_refused(e, item->target, entry, item->reason ? item->reason : "cannot be composed", false);
    engine_retry_later(e, l, entry, retry_at);
}

static void item_bad(struct engine *e, struct engine_lane *l, const struct batch *batch, const struct batch_item *item,
                     usec_t *retry_at) {
    struct slice product = slice_str(item->product ? item->product : "");
    if (item->target > 0)
        other_target_bad(e, l, item, retry_at);
    else if (!store_dead_letter(l, item->entry, item->reason ? item->reason : "cannot be composed", 0, batch->version, product,
                                hash_bytes(product.data, product.len)))
        engine_retry_later(e, l, item->entry, retry_at);
}

static void item_composed(struct engine *e, struct engine_lane *l, struct batch *batch, struct batch_item *item,
                          usec_t *retry_at) {
    struct lane_entry *entry = item->entry;
    switch (item->state) {
    case ITEM_COMPOSED:
        break;
    case ITEM_SUPPRESSED:
        metric_inc(lag_metrics.suppressed);
        if (entry->flight.targets & entry->piece & 1) /* it is again as it was before it went bad */
            store_dead_letter_gone(e, entry, batch->version);
        if (!pump_next_piece(l, entry))
            lane_done(&l->lane, entry);
        break;
    case ITEM_STALE_TREE:
        wants_tree(e, l, entry);
        break;
    case ITEM_BAD:
        item_bad(e, l, batch, item, retry_at);
        break;
    case ITEM_UNLOADED:
        lane_fail(&l->lane, entry, 0);
        break;
    case ITEM_NEW:
        metric_inc(lag_metrics.retries_load);
        engine_retry_later(e, l, entry, retry_at);
        break;
    }
}

static void round_failed(const struct batch *batch) {
    if (batch->error.code != ERROR_NONE)
        log_warn("load.failed", LOG_INT("lane", batch->lane->number), LOG_INT("products", batch->count),
                 LOG_ERR(&batch->error));
}

static void read_again(struct engine *e, struct engine_lane *l, const struct bulk *bulk) {
    usec_t retry_at = 0;
    for (size_t end = bulk->count; end > 0; end = bulk_group(bulk, end))
        engine_retry_later(e, l, bulk->items[end - 1].ctx, &retry_at);
}

/* Memory ran out while the bulk grew: its bytes are gone, its products are read again. */
static void bulk_lost(struct engine *e, struct engine_lane *l, struct batch *batch) {
    read_again(e, l, &batch->bulk);
    bulk_reset(&batch->bulk);
}

static void learn(size_t *estimate, size_t bytes, size_t count) {
    if (count == 0)
        return;
    size_t now = bytes / count + 1;
    *estimate = now > *estimate ? now : *estimate - (*estimate - now) / 4;
}

static void learn_sizes(struct engine_lane *l, const struct batch *batch) {
    learn(&l->read_bytes, batch->read_bytes, batch->read_count);
    learn(&l->document_bytes, batch->bulk.body.len, batch->bulk.count);
}

static void round_done(struct job *job) {
    struct batch *batch = CONTAINER_OF(job, struct batch, job);
    struct engine_lane *l = batch->lane;
    struct engine *e = l->engine;
    struct engine_pipe *p = &l->pipes[batch->pipe];
    p->composing = false;
    e->batches_out--;
    metric_observe(lag_metrics.load_seconds, batch->took_usec);
    round_failed(batch);
    usec_t retry_at = 0;
    for (size_t i = batch->count; i-- > 0;) /* backwards: what is put back first stands first again */
        item_composed(e, l, batch, &batch->items[i], &retry_at);
    batch_reset_round(batch);
    if (!bulk_ok(&batch->bulk))
        bulk_lost(e, l, batch);
    learn_sizes(l, batch);
    pump_lane(l);
}

/* -- sending -- */

static bool take_slot(struct engine *e) {
    if (e->in_flight >= (e->serving->trial ? 1 : e->concurrency.limit))
        return false;
    e->in_flight++;
    return true;
}

static void send_failed(struct engine *e, struct engine_lane *l, struct batch *batch, const struct error *error) {
    log_error("bulk.not_started", LOG_INT("lane", l->number), LOG_ERR(error));
    read_again(e, l, &batch->bulk);
    pump_batch_release(e, batch);
    e->in_flight--;
}

static void send_batch(struct engine_lane *l, struct engine_pipe *p) {
    struct engine *e = l->engine;
    struct batch *batch = TAKE(p->next);
    struct error error = {.code = ERROR_INTERNAL, .message = "out of memory"};
    for (size_t i = 0; i < batch->bulk.count; i++) {
        const struct bulk_item *item = &batch->bulk.items[i];
        const struct lane_entry *entry = item->ctx;
        if (entry->hash_known >> item->target & 1)
            hash_cache_remove(&e->hashes, hash_cache_key(e->targets[item->target].number, entry->hash));
    }
    buf_reset(&e->path);
    batch->sent_at = engine_now(e);
    if (bulk_path(&batch->bulk, &e->path))
        batch->call = es_start(e->es, "POST", e->path.data, "application/x-ndjson", bulk_body(&batch->bulk),
                               batch->traceparent[0] ? batch->traceparent : NULL, e->options->bulk_timeout_usec,
                               answer_arrived, batch, &error);
    if (!batch->call) {
        send_failed(e, l, batch, &error);
        return;
    }
    p->flight = batch;
    e->live_in_row = batch->pipe == MARK_LIVE ? e->live_in_row + 1 : 0;
    e->batches_out++;
    metric_add(lag_metrics.bulk_bytes, batch->bulk.body.len);
    metric_add(lag_metrics.bulk_documents, batch->bulk.count);
    metric_observe(lag_metrics.bulk_size_bytes, batch->bulk.body.len);
    metric_observe(lag_metrics.bulk_size_documents, batch->bulk.count);
}

static void try_send(struct engine_lane *l, struct engine_pipe *p) {
    struct engine *e = l->engine;
    p->waits_for_slot = false;
    if (p->flight || e->raising || target_refuses(e) || (e->ending && !engine_drains(e)))
        return;
    if (!lease_is_valid(e->conf.lease)) {
        engine_finish(e, ENGINE_LEASE_LOST);
        return;
    }
    if (may_send(e, p->next) && take_slot(e))
        send_batch(l, p);
    else
        p->waits_for_slot = true;
}

/* -- the pump -- */

static bool is_background_turn(const struct engine *e) {
    return e->live_in_row >= LIVE_IN_ROW_MAX;
}

static size_t want(const struct engine_lane *l, enum mark_priority priority) {
    size_t queued = lane_queued(&l->lane, priority);
    /* Live marks go first: background work of this lane pauses while a full bulk of them waits. */
    if (priority == MARK_BACKGROUND && lane_queued(&l->lane, MARK_LIVE) >= l->pipes[MARK_LIVE].docs_cap &&
        !is_background_turn(l->engine))
        return 0;
    size_t free_room = room(l, priority);
    return queued < free_room ? queued : free_room;
}

static void pump_pipe(struct engine_lane *l, enum mark_priority priority) {
    struct engine *e = l->engine;
    struct engine_pipe *p = &l->pipes[priority];
    if (p->composing)
        return;
    if (p->next && p->next->bulk.count == 0) /* all of it was suppressed, or bad, or gone back */
        pump_batch_release(e, TAKE(p->next));
    if (p->next && !p->flight)
        try_send(l, p);
    size_t n = may_read(e) ? want(l, priority) : 0;
    if (n > 0)
        start_round(l, priority, n);
}

void pump_lane(struct engine_lane *l) {
    pump_pipe(l, MARK_LIVE);
    pump_pipe(l, MARK_BACKGROUND);
}

void pump_all(struct engine *e) {
    for (unsigned i = 0; i < e->lane_count; i++)
        pump_lane(&e->lanes[i]);
}

static void offer_slot(struct engine *e, enum mark_priority priority) {
    for (unsigned i = 0; i < e->lane_count; i++) {
        struct engine_lane *l = &e->lanes[(e->slot_turn + i) % e->lane_count];
        const struct engine_pipe *p = &l->pipes[priority];
        if (p->waits_for_slot && p->next && !p->composing)
            pump_pipe(l, priority);
    }
}

/* Live bulks first, but for the turn of a background one; then the lanes in turn. */
void pump_slot_free(struct engine *e) {
    if (is_background_turn(e))
        offer_slot(e, MARK_BACKGROUND);
    offer_slot(e, MARK_LIVE);
    offer_slot(e, MARK_BACKGROUND);
    e->slot_turn++;
}

void pump_cancel_all(struct engine *e) {
    for (unsigned i = 0; i < e->lane_count; i++) {
        for (int priority = 0; priority < MARK_PRIORITY_COUNT; priority++) {
            struct engine_pipe *p = &e->lanes[i].pipes[priority];
            if (!p->flight)
                continue;
            es_cancel(e->es, p->flight->call);
            pump_batch_release(e, TAKE(p->flight));
            e->batches_out--;
            e->in_flight--;
        }
    }
}
