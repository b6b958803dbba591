#include "core/cleanup.h"
#include "core/hash.h"
#include "projector/control.h"
#include "projector/engine/dead_letter.h"
#include "projector/engine/engine.h"
#include "projector/engine/engine_internal.h"
#include <stdlib.h>

enum {
    TICK_USEC = 100 * 1000,
    HEADROOM_USEC = 10 * 1000 * 1000,
    DEAD_IDS_MAX = 65536,
    GONE_BYTES_MAX = 1 << 20,
    READ_BYTES_GUESS = 16384, /* the first rounds are small */
    DOCUMENT_BYTES_GUESS = 2048,
    OVERLOAD_HOLD_USEC = 500 * 1000,
    STREAM_STALLED_USEC = 15 * 1000 * 1000,
};

static struct daemon_condition *stream_condition, *lag_condition, *target_condition;

/* -- small things -- */

struct window *engine_window(struct engine *e, enum mark_source source) {
    return &e->windows[source];
}

struct engine_lane *engine_lane_of(struct engine *e, uint64_t id_hash) {
    return &e->lanes[(id_hash >> 40) % e->lane_count];
}

static void retry_due(struct loop_timer *timer) {
    struct engine_lane *l = CONTAINER_OF(timer, struct engine_lane, retry_timer);
    l->retry_at = lane_run_due(&l->lane, engine_now(l->engine));
    loop_timer_set(l->engine->loop, &l->retry_timer, l->retry_at);
    pump_lane(l);
}

static void wake_at(struct engine_lane *l, usec_t due) {
    if (due < l->retry_at || l->retry_timer.index == 0) {
        l->retry_at = due;
        loop_timer_set(l->engine->loop, &l->retry_timer, due);
    }
}

void engine_delay(struct engine_lane *l, struct lane_entry *entry, usec_t due) {
    lane_fail(&l->lane, entry, due);
    wake_at(l, due);
}

void engine_written(struct engine_lane *l, struct lane_entry *entry) {
    usec_t due = lane_rest(&l->lane, entry, engine_now(l->engine));
    if (due)
        wake_at(l, due);
}

void engine_retry_later(struct engine *e, struct engine_lane *l, struct lane_entry *entry, usec_t *due) {
    usec_t own = 0;
    due = due ? due : &own;
    if (*due == 0)
        *due = engine_now(e) +
               clock_backoff_usec(entry->attempts, e->options->retry_min_usec, e->options->retry_max_usec);
    engine_delay(l, entry, *due);
}

/* -- mail -- */

/* The negative control: this position is stored although nothing of the segment is acked. */
static void store_unacked(struct engine *e, struct segment *segment) {
    struct segment *shadow = segment->position ? segment_new(MARK_STREAM, segment->priority, 1) : NULL;
    if (!shadow)
        return;
    shadow->position = TAKE(segment->position);
    shadow->position_free = segment->position_free;
    segment_free(e->acked);
    e->acked = shadow;
}

/* Nothing is lost: the segment stays unfinished, and whoever starts next reads it again. */
static void no_memory_for(struct engine *e, struct segment *segment) {
    segment->pending++;
    engine_fail(e, &(struct error){.code = ERROR_INTERNAL, .message = "out of memory for marks"});
}

/* A product that enters a category after a fan-out has asked who stands in it is marked by its own change alone: whoever
 * reads that mark is told of the tree that was known here, which is no older than the fan-out's. */
static void relay_segment(struct engine *e, struct segment *segment) {
    uint64_t revision = category_tree_revision(e->tree);
    if (segment->category_revision < revision)
        segment->category_revision = revision;
    if (segment->count)
        refresh_note(e, engine_now(e));
    if (relay_take(e->relay, segment))
        buf_done(&segment->marks);
    else
        no_memory_for(e, segment);
}

static void segment_arrived(struct mail *mail) {
    struct segment *segment = CONTAINER_OF(mail, struct segment, mail);
    struct engine *e = segment->owner;
    if (e->ending) {
        segment_free(segment);
        return;
    }
    metric_add(lag_metrics.marks[segment->source], segment->count);
    checkpoint_push(&e->checkpoints[segment->source], segment);
    if (CONTROL_CHECKPOINT && segment->source == MARK_STREAM && !e->conf.feed)
        store_unacked(e, segment);
    if (e->relay) {
        relay_segment(e, segment);
        return;
    }
    if (segment->priority == MARK_LIVE && segment->count)
        scavenger_live_came(&e->scavenger, engine_now(e));
    struct mark mark;
    for (size_t offset = 0; segment_next(segment, &offset, &mark);) {
        uint64_t hash = hash_bytes(mark.id, mark.len);
        struct engine_lane *l = engine_lane_of(e, hash);
        if (!lane_mark(&l->lane, mark.id, mark.len, hash, mark.commit_wall_usec, segment)) {
            no_memory_for(e, segment);
            return;
        }
    }
    buf_done(&segment->marks);
    pump_all(e);
}

void engine_post_segment(struct engine *e, struct segment *segment) {
    segment->owner = e;
    segment->mail.deliver = segment_arrived;
    loop_post(e->loop, &segment->mail);
}

struct tree_mail {
    struct mail mail;
    struct engine *engine;
    struct category_tree *tree;
};

static void tree_arrived(struct mail *mail) {
    struct tree_mail *m = CONTAINER_OF(mail, struct tree_mail, mail);
    struct engine *e = m->engine;
    if (category_tree_revision(m->tree) >= category_tree_revision(e->tree)) {
        struct category_tree *old = e->tree;
        e->tree = m->tree;
        m->tree = old;
        metric_set(lag_metrics.category_revision, (double)category_tree_revision(e->tree));
    }
    category_tree_unref(m->tree);
    free(m);
}

void engine_post_tree(struct engine *e, struct category_tree *tree) {
    struct tree_mail *m = malloc(sizeof(*m));
    if (!m) { /* marks that need it make the engine read it */
        category_tree_unref(tree);
        return;
    }
    *m = (struct tree_mail){.mail.deliver = tree_arrived, .engine = e, .tree = tree};
    loop_post(e->loop, &m->mail);
}

void engine_poke_jobs(struct engine *e) {
    job_runner_poke(e->job_runner);
}

void engine_note_history_lost(const char *reason) {
    metric_inc(lag_metrics.history_lost);
    log_error("stream.history_lost", LOG_STR("reason", reason),
              LOG_STR("consequence", "a full scan brings the index up to date; serving goes on"));
}

static void on_stop(struct mail *mail) {
    engine_finish(CONTAINER_OF(mail, struct engine, stop_mail), ENGINE_STOPPED);
}

static void on_retarget(struct mail *mail) {
    engine_finish(CONTAINER_OF(mail, struct engine, retarget_mail), ENGINE_RETARGET);
}

static void on_lost(struct mail *mail) {
    engine_finish(CONTAINER_OF(mail, struct engine, lost_mail), ENGINE_LEASE_LOST);
}

void engine_stop(struct engine *e) {
    if (!atomic_exchange(&e->stop_posted, true))
        loop_post(e->loop, &e->stop_mail);
}

void engine_post_retarget(struct engine *e) {
    if (!atomic_exchange(&e->retarget_posted, true))
        loop_post(e->loop, &e->retarget_mail);
}

void engine_post_lease_lost(struct engine *e) {
    if (!atomic_exchange(&e->lost_posted, true))
        loop_post(e->loop, &e->lost_mail);
}

void engine_finish(struct engine *e, enum engine_end end) {
    if (e->ending && (!engine_drains(e) || end == ENGINE_STOPPED || end == ENGINE_RETARGET))
        return;
    if (end == ENGINE_LEASE_LOST)
        log_warn("lease.lost", LOG_INT("epoch", lease_epoch(e->conf.lease)));
    e->ending = true;
    e->end = end;
    scavenger_hold(&e->scavenger, false);
    e->checkpoint_at = 0; /* at once, and after a pause if that fails */
    e->drain_until = engine_now(e) + e->options->drain_timeout_usec;
    for (int s = 0; s < MARK_SOURCE_COUNT; s++)
        window_stop(&e->windows[s]);
    if (!engine_drains(e))
        pump_cancel_all(e);
}

void engine_fail(struct engine *e, const struct error *error) {
    if (e->failure.code == ERROR_NONE)
        e->failure = *error;
    engine_finish(e, ENGINE_FAILED);
}

/* -- what is done moves the positions -- */

static void keep_rows(struct engine *e, const struct queue_rows *rows) {
    size_t need = e->queue_done_count + rows->count;
    if (need > e->queue_done_capacity) {
        size_t capacity = need * 2;
        uint64_t *ids = realloc(e->queue_done, capacity * sizeof(*ids));
        if (!ids)
            return; /* the rows stay in the table until the next start */
        e->queue_done = ids;
        e->queue_done_capacity = capacity;
    }
    memcpy(e->queue_done + e->queue_done_count, rows->ids, rows->count * sizeof(*rows->ids));
    e->queue_done_count = need;
}

static void popped(struct engine *e, struct segment *segment) {
    if (e->conf.feed) {
        e->conf.feed->acked(e->conf.feed->ctx, segment);
        segment_free(segment);
        return;
    }
    switch (segment->source) {
    case MARK_STREAM:
        if (segment->position) {
            segment_free(e->acked);
            e->acked = TAKE(segment);
        }
        break;
    case MARK_QUEUE:
        keep_rows(e, segment->position);
        break;
    case MARK_JOB:
        job_runner_acked(e->job_runner, segment);
        break;
    default:
        break;
    }
    segment_free(segment);
}

static void advance(struct engine *e) {
    for (int s = 0; s < MARK_SOURCE_COUNT; s++) {
        size_t released = e->relay ? relay_released(e->relay, (enum mark_source)s) : 0;
        for (unsigned i = 0; i < e->lane_count; i++) {
            released += e->lanes[i].lane.released[s];
            e->lanes[i].lane.released[s] = 0;
        }
        for (struct segment *segment; (segment = checkpoint_pop(&e->checkpoints[s])); released++)
            popped(e, segment);
        if (released)
            window_release(&e->windows[s], released);
    }
}

static bool drained(const struct engine *e) {
    if (e->batches_out > 0 || e->store_jobs > 0)
        return false;
    if (e->relay && engine_drains(e) && relay_pending(e->relay) > 0)
        return false;
    for (unsigned i = 0; engine_drains(e) && i < e->lane_count; i++)
        for (int p = 0; p < MARK_PRIORITY_COUNT; p++)
            if (e->lanes[i].pipes[p].next && e->lanes[i].pipes[p].waits_for_slot)
                return false;
    return !engine_drains(e) || (!e->acked && e->queue_done_count == 0 && e->gone.len == 0);
}

/* Before each wait: positions follow what this round finished; what is due is stored. */
static usec_t before_wait(struct loop_hook *hook) {
    struct engine *e = CONTAINER_OF(hook, struct engine, hook);
    usec_t now = clock_now_usec(), wake = USEC_NEVER;
    advance(e);
    if (e->tree_wanted)
        store_refresh_tree(e);
    if (e->raising && !e->ending)
        store_raise(e);
    if (e->acked && !e->checkpoint_saving) {
        if (now >= e->checkpoint_at)
            store_save_checkpoint(e);
        else
            wake = e->checkpoint_at;
    }
    if (e->queue_done_count && now >= e->queue_delete_at)
        store_delete_rows(e);
    store_letters_gone(e);
    if (e->ending && (drained(e) || now >= e->drain_until))
        loop_stop(e->loop);
    return wake;
}

/* -- the tick: gauges, readiness, the lease -- */

static double lag_of(struct engine *e, enum mark_source source) {
    const struct segment *head = e->checkpoints[source].head;
    if (!head || head->last_wall_usec == 0)
        return 0;
    double lag = (double)(clock_wall_usec() - head->last_wall_usec) / 1e6;
    return lag > 0 ? lag : 0;
}

static void lane_gauges(struct engine *e) {
    for (unsigned i = 0; i < e->lane_count; i++) {
        const struct engine_lane *l = &e->lanes[i];
        metric_set(l->metrics.live, (double)l->lane.queues[LANE_QUEUE_LIVE].count);
        metric_set(l->metrics.background, (double)l->lane.queues[LANE_QUEUE_BACKGROUND].count);
        metric_set(l->metrics.delayed, (double)l->lane.queues[LANE_QUEUE_DELAYED].count);
        metric_set(l->metrics.in_flight, (double)l->lane.in_flight);
    }
    for (int s = 0; s < MARK_SOURCE_COUNT; s++) {
        metric_set(lag_metrics.unfinished[s], (double)window_used(&e->windows[s]));
        metric_set(lag_metrics.unfinished_limit[s], (double)e->windows[s].limit);
    }
    metric_set(lag_metrics.bulks_in_flight, e->in_flight);
    metric_set(lag_metrics.bulk_concurrency, e->concurrency.limit);
    metric_set(lag_metrics.stream_position, (double)(source_mongo_position_time(e->source_mongo) >> 32));
}

/* A topic that somebody has deleted is made again by the next term. */
static void look_after_relay(struct engine *e) {
    struct error error;
    if (!e->relay || relay_tick(e->relay, &error))
        return;
    if (error.code != ERROR_NOT_FOUND) {
        engine_fail(e, &error);
        return;
    }
    log_error("relay.topic_gone", LOG_STR("topic", e->options->marks_topic), LOG_ERR(&error),
              LOG_STR("next", "it is made again"));
    engine_finish(e, ENGINE_RETARGET);
}

static void readiness(struct engine *e) {
    double worst = 0;
    for (int s = 0; s < MARK_JOB; s++) {
        double lag = lag_of(e, (enum mark_source)s);
        metric_set(lag_metrics.lag_seconds[s], lag);
        worst = lag > worst ? lag : worst;
    }
    const struct engine_feed *feed = e->conf.feed;
    usec_t quiet = clock_now_usec() - (feed ? feed->progress_at(feed->ctx) : source_mongo_progress_at(e->source_mongo));
    daemon_condition_set(stream_condition, quiet < STREAM_STALLED_USEC,
                         feed ? "Kafka does not answer" : "the change stream does not progress");
    look_after_relay(e);
    daemon_condition_set(lag_condition, worst * 1e6 < (double)e->options->ready_lag_usec,
                         "changes are older than [projector] ready_lag");
    daemon_condition_set(target_condition, !e->serving->paused, "the index refuses writes");
}

static void tick(struct loop_timer *timer) {
    struct engine *e = CONTAINER_OF(timer, struct engine, tick_timer);
    loop_timer_set(e->loop, timer, engine_now(e) + TICK_USEC);
    pump_slot_free(e); /* background that was held beside live changes, which come no more */
    if (e->ending)
        return;
    if (!lease_is_valid(e->conf.lease)) {
        engine_finish(e, ENGINE_LEASE_LOST);
        return;
    }
    lane_gauges(e);
    readiness(e);
    engine_publish(e);
    if (!e->conf.feed && engine_now(e) >= e->headroom_at) {
        e->headroom_at = engine_now(e) + HEADROOM_USEC;
        store_headroom(e);
    }
}

/* -- a term -- */

static void *lane_session_new(void *ctx, struct error *reterr) {
    struct engine *e = ctx;
    struct load_conf conf = {.pool = e->conf.pool, .mysql = &e->conf.options->mysql,
                             .database = e->conf.options->mongo.database, .target_count = e->target_count,
                             .timeout_usec = e->conf.options->mongo.timeout_usec,
                             .document_max_bytes = (size_t)e->options->document_max_bytes};
    memcpy(conf.projections, e->conf.projections, sizeof(conf.projections));
    return load_session_new(&conf, reterr);
}

static void lane_session_free(void *session) {
    load_session_free(session);
}

static bool lanes_new(struct engine *e, struct error *reterr) {
    e->lanes = calloc((size_t)e->options->lane_count, sizeof(*e->lanes));
    e->scratch = calloc((size_t)e->options->bulk_max_docs, sizeof(struct lane_entry *));
    if (!e->lanes || !e->scratch)
        return error_nomem(reterr);
    unsigned count = e->conf.relay ? 0 : (unsigned)e->options->lane_count;
    for (; e->lane_count < count; e->lane_count++) {
        struct engine_lane *l = &e->lanes[e->lane_count];
        l->engine = e;
        l->number = e->lane_count;
        l->read_bytes = READ_BYTES_GUESS;
        l->document_bytes = DOCUMENT_BYTES_GUESS;
        l->retry_timer.cb = retry_due;
        l->retry_at = USEC_NEVER;
        lane_init(&l->lane);
        for (int p = 0; p < MARK_PRIORITY_COUNT; p++)
            l->pipes[p].docs_cap = (size_t)e->options->bulk_max_docs;
        lag_register_lane(l->number, &l->metrics);
        l->worker = workers_new(&(struct workers_options){.name = "lane", .threads = 1, .queue_max = 4,
                                                          .session_new = lane_session_new,
                                                          .session_free = lane_session_free, .ctx = e},
                                reterr);
        if (!l->worker)
            return false;
    }
    return true;
}

static void windows_init(struct engine *e) {
    for (int s = 0; s < MARK_SOURCE_COUNT; s++) {
        checkpoint_init(&e->checkpoints[s]);
        window_init(&e->windows[s], (size_t)(s == MARK_JOB ? e->options->background_window_marks
                                                           : e->options->window_marks));
    }
}

static bool note_dead(void *ctx, struct slice id) {
    hash_cache_put(ctx, hash_bytes(id.data, id.len), 1);
    return true;
}

static bool load_dead_ids(struct engine *e, struct error *reterr) {
    mongoc_client_t *client = mongoc_client_pool_pop(e->conf.pool);
    bool ok = dead_letter_list(client, e->conf.options->mongo.database, DEAD_IDS_MAX, note_dead, &e->dead, reterr);
    mongoc_client_pool_push(e->conf.pool, client);
    return ok;
}

struct engine *engine_new(const struct engine_conf *conf, struct error *reterr) {
    struct engine *e = calloc(1, sizeof(*e));
    if (!e) {
        error_nomem(reterr);
        return NULL;
    }
    e->conf = *conf;
    e->options = &conf->options->projector;
    e->tree = category_tree_ref(conf->tree);
    e->conf.position.token = conf->position.token ? bson_copy(conf->position.token) : NULL;
    e->hook.cb = before_wait;
    e->tick_timer.cb = tick;
    e->stop_mail.deliver = on_stop;
    e->lost_mail.deliver = on_lost;
    e->retarget_mail.deliver = on_retarget;
    buf_init(&e->path, 4096);
    buf_init(&e->gone, GONE_BYTES_MAX);
    bulk_result_init(&e->result);
    windows_init(e);
    answer_target_init(e);
    concurrency_init(&e->concurrency, (unsigned)e->options->lane_count * MARK_PRIORITY_COUNT, OVERLOAD_HOLD_USEC);
    scavenger_init(&e->scavenger, (size_t)e->options->bulk_max_bytes * (size_t)e->options->lane_count * 2);
    bool ok = (e->loop = loop_new("engine", reterr)) &&
              (e->es = es_new(e->loop, &conf->options->es, (unsigned)e->options->lane_count * MARK_PRIORITY_COUNT + 3, reterr)) &&
              hash_cache_init(&e->hashes, (size_t)e->options->hash_cache_entries, reterr) &&
              hash_cache_init(&e->dead, DEAD_IDS_MAX, reterr) && load_dead_ids(e, reterr) && lanes_new(e, reterr) &&
              store_start(e, reterr) &&
              (!conf->relay || (e->relay = relay_new(conf->options, conf->targets->revision, e->loop, reterr)));
    if (!ok) {
        engine_free(e);
        return NULL;
    }
    return e;
}

static bool start_sources(struct engine *e, struct error *reterr) {
    if (e->conf.feed)
        return true;
    return (e->job_runner = job_runner_start(e, &e->conf, reterr)) &&
           (e->source_mysql = source_mysql_start(e, &e->conf, reterr)) &&
           (e->source_mongo = source_mongo_start(e, &e->conf, reterr));
}

enum engine_end engine_run(struct engine *e, struct error *reterr) {
    if (!stream_condition) {
        stream_condition = daemon_condition_new("stream", true, NULL);
        lag_condition = daemon_condition_new("lag", true, NULL);
        target_condition = daemon_condition_new("index", true, NULL);
    }
    metric_set(lag_metrics.category_revision, (double)category_tree_revision(e->tree));
    loop_hook_add(e->loop, &e->hook);
    loop_timer_set(e->loop, &e->tick_timer, clock_now_usec());
    struct error error = {.code = ERROR_NONE};
    if (!start_sources(e, &error))
        engine_fail(e, &error);
    loop_run(e->loop);
    if (e->end == ENGINE_FAILED && reterr)
        *reterr = e->failure;
    return e->end;
}

static void stop_threads(struct engine *e) {
    atomic_store(&e->store_closed, true);
    for (int s = 0; s < MARK_SOURCE_COUNT; s++)
        window_stop(&e->windows[s]);
    source_mongo_stop(e->source_mongo);
    source_mysql_stop(e->source_mysql);
    job_runner_stop(e->job_runner);
    e->source_mongo = NULL;
    e->source_mysql = NULL;
    for (unsigned i = 0; i < e->lane_count; i++)
        workers_free(e->lanes[i].worker);
    workers_free(e->store);
    e->store = NULL;
}

bool engine_topic_is_gone(const struct engine *e) {
    return e->relay && relay_topic_is_gone(e->relay);
}

void engine_free(struct engine *e) {
    if (!e)
        return;
    e->ending = true;
    e->end = ENGINE_FAILED; /* whatever comes back now is not sent on */
    stop_threads(e);
    if (e->loop) {
        loop_hook_remove(e->loop, &e->hook);
        loop_run_once(e->loop, 0); /* mail that came after the loop had stopped */
    }
    if (e->es) {
        sample_cancel(e);
        refresh_cancel(e);
        pump_cancel_all(e);
        if (e->serving->probe)
            es_cancel(e->es, e->serving->probe);
        es_free(e->es);
    }
    relay_free(e->relay);
    for (unsigned i = 0; i < e->lane_count; i++) {
        for (int p = 0; p < MARK_PRIORITY_COUNT; p++)
            batch_free(e->lanes[i].pipes[p].next);
        lane_done_all(&e->lanes[i].lane);
    }
    for (struct batch *batch; (batch = e->spare);) {
        e->spare = batch->next;
        batch_free(batch);
    }
    for (int s = 0; s < MARK_SOURCE_COUNT; s++) {
        checkpoint_done(&e->checkpoints[s]);
        window_done(&e->windows[s]);
    }
    job_runner_free(e->job_runner);
    engine_unpublish();
    segment_free(e->acked);
    category_tree_unref(e->tree);
    stream_position_done(&e->conf.position);
    hash_cache_done(&e->hashes);
    hash_cache_done(&e->dead);
    bulk_result_done(&e->result);
    buf_done(&e->path);
    buf_done(&e->gone);
    free(e->queue_done);
    free(e->lanes);
    free(e->scratch);
    loop_free(e->loop);
    free(e);
}
