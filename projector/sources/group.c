#include "core/cleanup.h"
#include "projector/engine/lag.h"
#include "projector/sources/group.h"
#include "projector/sources/group_internal.h"
#include "projector/status.h"
#include <stdlib.h>

enum {
    WAIT_MIN_USEC = 100 * 1000,
    WAIT_MAX_USEC = 2 * 1000 * 1000,
    POLL_USEC = 100 * 1000,
    POLL_PAUSED_USEC = 10 * 1000,
    BATCH_MESSAGES = 2000,
    ALIVE_USEC = 3 * 1000 * 1000, /* how often a commit asks the coordinator whether we are still a member */
    GAUGES_USEC = 1000 * 1000,
    EXTRA_CLIENTS = 8,
};

static void say(struct group *g, bool ready, const char *reason) {
    daemon_condition_set(g->condition, ready, reason);
}

/* -- waiting for the servers -- */

static bool attempt_servers(struct group *g, struct error *reterr) {
    return servers_try_mongo(g->client, reterr) && servers_try_mysql(g->mysql, reterr) &&
           servers_try_es(&g->options->es, reterr);
}

/* False: told to stop. */
static bool wait_for_servers(struct group *g) {
    for (unsigned n = 0; !window_stopped(&g->stop); n++) {
        struct error error = {.code = ERROR_INTERNAL, .message = "no reason given"};
        if (attempt_servers(g, &error))
            return true;
        if (n == 0 || n % 10 == 9)
            log_warn("waiting", LOG_ERR(&error));
        say(g, false, error.message);
        window_sleep(&g->stop, clock_backoff_usec(n < 6 ? n : 6, WAIT_MIN_USEC, WAIT_MAX_USEC));
    }
    return false;
}

/* -- the term of an assignment -- */

static void pause_all(struct group *g, bool paused) {
    struct error error;
    if (g->paused == paused)
        return;
    g->paused = paused;
    if (kafka_consumer_pause(g->consumer, paused, &error))
        return;
    g->paused = true;
    if (error.code == ERROR_CONFLICT) /* the group's next word is a revocation */
        return;
    log_warn("group.failed", LOG_ERR(&error));
    g->rejoin = true;
}

/* Begins the term if it can be; else again after a pause, while events go on being polled. */
static void try_term(struct group *g) {
    struct error error = {.code = ERROR_INTERNAL, .message = "no reason given"};
    if (clock_now_usec() < g->prepare_at)
        return;
    if (group_term_begin(g, &error)) {
        g->failures = 0;
        g->paused = false;
        say(g, true, NULL);
        status_publish_instance("consumer", lease_epoch(g->lease));
        return;
    }
    if (error.code == ERROR_CONFLICT) { /* the group's next word is a revocation */
        g->prepare_at = clock_now_usec() + WAIT_MAX_USEC;
    } else {
        log_warn("start.failed", LOG_ERR(&error));
        g->prepare_at = clock_now_usec() + clock_backoff_usec(g->failures++ < 6 ? g->failures : 6, WAIT_MIN_USEC, WAIT_MAX_USEC);
    }
    say(g, false, error.message);
}

static void assigned(struct group *g) {
    struct error error;
    unsigned lost = 0;
    if (!kafka_consumer_accept(g->consumer, &lost, &error)) {
        log_warn("group.failed", LOG_ERR(&error));
        say(g, false, error.message);
        g->rejoin = true;
        return;
    }
    g->paused = g->assigned = true;
    g->partition_count = kafka_consumer_partitions(g->consumer, NULL, 0);
    g->prepare_at = 0;
    metric_inc(g->metrics.assignments);
    log_info("group.assigned", LOG_STR("group", g->options->projector.marks_group),
             LOG_INT("partitions", g->partition_count));
    if (lost)
        group_marks_lost(g, lost);
    if (g->partition_count > 0)
        return;
    say(g, false, "stands by: the group has more members than the topic has partitions");
    status_publish_instance("standby", lease_epoch(g->lease));
}

static void revoked(struct group *g, bool lost) {
    struct error error;
    log_info("group.revoked", LOG_INT("partitions", g->partition_count), LOG_STR("how", lost ? "lost" : "asked for"));
    group_term_end(g, lost);
    if (!lost && g->assigned && !kafka_consumer_commit(g->consumer, true, false, &error))
        log_warn("group.not_committed", LOG_ERR(&error));
    kafka_consumer_release(g->consumer);
    g->assigned = g->restart = false;
    g->partition_count = 0;
    g->metrics_at = 0;
    say(g, false, "no partitions are assigned yet");
}

static void trouble(struct group *g, const struct error *error) {
    if (error->code == ERROR_HISTORY_LOST || (error->code == ERROR_NOT_FOUND && g->assigned))
        g->rejoin = true; /* which finds out what is there */
    if (error->code == ERROR_NOT_FOUND)
        say(g, false, "the topic of marks is not there: start projector relay, it makes it");
    if (error->code != ERROR_CONFLICT)
        log_warn("group.trouble", LOG_STR("topic", g->options->projector.marks_topic), LOG_ERR(error));
}

/* -- one round -- */

/* What is gathered goes to the engine, unless it asks for more than this term can give. */
static void flush(struct group *g) {
    struct error error;
    bool suffice = true;
    if (!g->term.source || source_kafka_gathered(g->term.source) == 0 || g->restart)
        return;
    g->blocked = !group_targets_suffice(g, &suffice, &error) ||
                 (suffice && !source_kafka_flush(g->term.source, &error));
    g->restart = !suffice;
    if (!g->blocked)
        return;
    log_warn("fence.failed", LOG_ERR(&error));
    window_sleep(&g->stop, WAIT_MIN_USEC);
}

static void handle(struct group *g, const struct kafka_event *event) {
    switch (event->type) {
    case KAFKA_MESSAGE:
        /* Without a term it is read again when there is one. */
        if (g->term.source && !source_kafka_add(g->term.source, event)) {
            log_error("group.no_memory");
            g->restart = true;
        }
        break;
    case KAFKA_ASSIGNED:
        assigned(g);
        break;
    case KAFKA_REVOKED:
        revoked(g, event->lost);
        break;
    case KAFKA_TROUBLE:
        trouble(g, &event->error);
        break;
    case KAFKA_NOTHING:
        break;
    }
}

/* A term that ended by itself: the partitions are somebody else's, or it cannot go on. */
static void term_ended(struct group *g) {
    struct error error = g->term.error;
    enum engine_end end = g->term.end;
    group_term_end(g, true);
    pause_all(g, true);
    if (end == ENGINE_FAILED) {
        log_error("engine.failed", LOG_ERR(&error));
        g->code = 1;
        window_stop(&g->stop);
        return;
    }
    if (end == ENGINE_RETARGET) {
        g->prepare_at = 0;
        return;
    }
    say(g, false, "the partitions were lost");
    /* If the group says nothing of a revocation until then, it was a mistake: another term, another epoch. */
    g->prepare_at = clock_now_usec() + g->options->projector.group_session_usec;
}

static void store_offsets(struct group *g, usec_t now) {
    struct error error;
    if (!g->assigned || now < g->commit_at)
        return;
    bool ask = now >= g->alive_at;
    g->commit_at = now + g->options->projector.checkpoint_interval_usec;
    if (ask)
        g->alive_at = now + ALIVE_USEC;
    if (!kafka_consumer_commit(g->consumer, false, ask, &error) && error.code != ERROR_CONFLICT)
        log_warn("group.not_committed", LOG_ERR(&error));
}

static void look_after(struct group *g) {
    usec_t now = clock_now_usec();
    if (g->term.runs && atomic_load(&g->term.ended))
        term_ended(g);
    if (g->term.runs && group_targets_changed(g, now))
        g->restart = true;
    if (g->restart) {
        group_term_end(g, false);
        pause_all(g, true);
        g->restart = false;
        g->prepare_at = 0;
    }
    if (g->assigned && g->partition_count > 0 && !g->term.runs)
        try_term(g);
    if (g->term.runs)
        pause_all(g, g->blocked || !source_kafka_has_room(g->term.source));
    store_offsets(g, now);
    if (now >= g->metrics_at) {
        g->metrics_at = now + GAUGES_USEC;
        group_gauges(g);
        if (g->term.runs)
            say(g, true, NULL);
    }
}

static void round_once(struct group *g) {
    struct kafka_event event;
    struct source_kafka *source = g->term.source;
    size_t gathered = source ? source_kafka_gathered(source) : 0;
    kafka_consumer_poll(g->consumer, gathered && !g->blocked ? 0 : g->paused ? POLL_PAUSED_USEC : POLL_USEC, &event);
    handle(g, &event);
    source = g->term.source;
    gathered = source ? source_kafka_gathered(source) : 0;
    if (gathered >= BATCH_MESSAGES || (gathered && event.type != KAFKA_MESSAGE))
        flush(g);
    if (event.type != KAFKA_MESSAGE || gathered == 0 || gathered >= BATCH_MESSAGES)
        look_after(g);
}

/* -- a membership -- */

static void member(struct group *g) {
    const struct projector_conf *o = &g->options->projector;
    struct kafka_consumer_conf conf = {.client_id = "readside-projector", .group = o->marks_group,
                                       .topic = o->marks_topic, .session_timeout_usec = o->group_session_usec};
    struct error error;
    g->rejoin = g->blocked = g->restart = false;
    g->consumer = kafka_consumer_new(&g->options->kafka, &conf, &error);
    if (!g->consumer) {
        log_error("group.failed", LOG_ERR(&error));
        g->code = 1;
        window_stop(&g->stop);
        return;
    }
    log_info("group.joining", LOG_STR("group", o->marks_group), LOG_STR("topic", o->marks_topic));
    say(g, false, "joining the group");
    status_publish_instance("joining", lease_epoch(g->lease));
    while (!window_stopped(&g->stop) && !g->rejoin)
        round_once(g);
    if (g->assigned)
        revoked(g, false);
    kafka_consumer_free(g->consumer);
    g->consumer = NULL;
}

/* -- the thread -- */

static bool prove(void *ctx, struct error *reterr) {
    struct group *g = ctx;
    return kafka_consumer_prove(g->consumer, reterr);
}

static bool open_sessions(struct group *g, struct error *reterr) {
    const struct projector_options *o = g->options;
    g->pool = mongo_pool_new(&o->mongo, "projector", (unsigned)o->projector.lane_count + EXTRA_CLIENTS, reterr);
    if (!g->pool)
        return false;
    g->client = mongoc_client_pool_pop(g->pool);
    g->mysql = mysql_session_new(&o->mysql, reterr);
    struct lease_conf maker = {.pool = g->pool, .database = o->mongo.database, .ttl_usec = o->projector.lease_ttl_usec,
                               .renew_usec = o->projector.lease_renew_usec};
    struct lease_conf member_conf = maker;
    member_conf.prove = prove;
    member_conf.prove_ctx = g;
    return g->mysql && (g->maker = lease_new(&maker, reterr)) && (g->lease = lease_new(&member_conf, reterr));
}

static void close_sessions(struct group *g) {
    lease_free(g->lease);
    lease_free(g->maker);
    mysql_session_free(g->mysql);
    if (g->client)
        mongoc_client_pool_push(g->pool, g->client);
    if (g->pool)
        mongoc_client_pool_destroy(g->pool);
}

static void end_arrived(struct mail *mail) {
    struct group *g = CONTAINER_OF(mail, struct group, end_mail);
    g->on_end(g->ctx, g->code);
}

static void *group_main(void *arg) {
    struct group *g = arg;
    struct error error;
    pthread_setname_np(pthread_self(), "group");
    if (open_sessions(g, &error)) {
        for (unsigned n = 0; wait_for_servers(g); n++) {
            if (n > 0) /* joining makes all the others begin anew */
                window_sleep(&g->stop, clock_backoff_usec(n < 6 ? n : 6, WAIT_MIN_USEC, WAIT_MAX_USEC));
            if (!window_stopped(&g->stop))
                member(g);
        }
    } else {
        log_error("start.failed", LOG_ERR(&error));
        g->code = 1;
    }
    close_sessions(g);
    loop_post(g->loop, &g->end_mail);
    return NULL;
}

struct group *group_start(const struct projector_options *options, struct loop *loop, void (*on_end)(void *ctx, int code),
                          void *ctx, struct error *reterr) {
    struct group *g = calloc(1, sizeof(*g));
    if (!g) {
        error_nomem(reterr);
        return NULL;
    }
    *g = (struct group){.options = options, .loop = loop, .on_end = on_end, .ctx = ctx, .end_mail.deliver = end_arrived};
    g->condition = daemon_condition_new("group", false, "starting");
    group_register_metrics(g);
    window_init(&g->stop, 1);
    if (pthread_create(&g->thread, NULL, group_main, g) == 0)
        return g;
    error_set(reterr, ERROR_INTERNAL, "cannot start the group's thread");
    window_done(&g->stop);
    free(g);
    return NULL;
}

void group_stop(struct group *g) {
    window_stop(&g->stop);
}

void group_free(struct group *g) {
    if (!g)
        return;
    pthread_join(g->thread, NULL);
    group_free_metrics(g);
    window_done(&g->stop);
    free(g);
}
