#include "core/cleanup.h"
#include "core/kafka_consumer.h"
#include "projector/compose/category_load.h"
#include "projector/engine/engine.h"
#include "projector/engine/lag.h"
#include "projector/jobs/signals_job.h"
#include "projector/owner.h"
#include "projector/servers.h"
#include "projector/sources/source_mysql.h"
#include "projector/status.h"
#include "projector/term.h"
#include "projector/verify/verifier.h"
#include <pthread.h>
#include <stdlib.h>

enum {
    WAIT_MIN_USEC = 100 * 1000,
    WAIT_MAX_USEC = 2 * 1000 * 1000,
    EXTRA_CLIENTS = 18, /* store, lease, three sources, six of verifications, this thread, and some at the change of terms */
};

struct owner {
    const struct projector_options *options;
    struct loop *loop;
    void (*on_end)(void *ctx, int code);
    void *ctx;
    bool relay; /* marks go to a topic, not to the index */
    char sink[STATE_SINK_SIZE]; /* where marks go, as the checkpoint has it: a position means that they arrived there */
    pthread_t thread;
    struct window stop; /* its pauses end when we are told to stop */
    mongoc_client_pool_t *pool;
    mongoc_client_t *client;
    struct mysql_session *mysql;
    struct lease *lease;
    struct daemon_condition *condition;
    bool indexes_are_made; /* by a term of this lease */
    bool topic_is_gone;    /* of a relay: and it is not stored yet that marks are lost */
    pthread_mutex_t lock;
    struct engine *engine; /* under the lock: the one to stop */
    struct mail end_mail;
    int code;
};

/* -- what the status says of us -- */

static void say_role(const struct owner *o, const char *role) {
    status_publish_instance(role, o->lease ? lease_epoch(o->lease) : 0);
}

/* -- waiting -- */

typedef bool owner_attempt(struct owner *o, struct error *reterr);

/* Tries until it works; false: told to stop. What is waited for is said at once and then at times. */
static bool wait_for(struct owner *o, const char *what, owner_attempt *attempt) {
    for (unsigned n = 0; !window_stopped(&o->stop); n++) {
        struct error error = {.code = ERROR_INTERNAL, .message = "no reason given"};
        if (attempt(o, &error)) {
            if (n > 0)
                log_info("reached", LOG_STR("server", what));
            return true;
        }
        if (n == 0 || n % 10 == 9)
            log_warn("waiting", LOG_STR("server", what), LOG_ERR(&error));
        if (n == 0)
            say_role(o, "waiting");
        daemon_condition_set(o->condition, false, error.message);
        window_sleep(&o->stop, clock_backoff_usec(n < 6 ? n : 6, WAIT_MIN_USEC, WAIT_MAX_USEC));
    }
    return false;
}

static bool attempt_mongo(struct owner *o, struct error *reterr) {
    return servers_try_mongo(o->client, reterr);
}

static bool attempt_mysql(struct owner *o, struct error *reterr) {
    return servers_try_mysql(o->mysql, reterr);
}

static bool attempt_es(struct owner *o, struct error *reterr) {
    return servers_try_es(&o->options->es, reterr);
}

/* Where a relay writes to; another sink needs no Kafka. */
static bool attempt_kafka(struct owner *o, struct error *reterr) {
    return !o->relay || kafka_try(&o->options->kafka, reterr);
}

/* -- standing by -- */

/* False: told to stop. */
static bool stand_by(struct owner *o) {
    bool said = false;
    say_role(o, "standby");
    for (unsigned failures = 0; !window_stopped(&o->stop);) {
        struct error error;
        if (lease_try(o->lease, o->client, &error)) {
            say_role(o, "preparing");
            return true;
        }
        usec_t pause = o->options->projector.lease_renew_usec / 4;
        daemon_condition_set(o->condition, false, error.message);
        if (error.code == ERROR_CONFLICT) {
            if (!said)
                log_info("standby", LOG_STR("reason", error.message));
            said = true;
        } else {
            log_warn("lease.failed", LOG_ERR(&error));
            pause = clock_backoff_usec(failures++, WAIT_MIN_USEC, WAIT_MAX_USEC);
        }
        window_sleep(&o->stop, pause);
    }
    return false;
}

/* -- preparing a term -- */

/* Makes the index if there is none, and sees to it that nothing else does. */
static bool make_serving(struct owner *o, char **ret_index, struct error *reterr) {
    const struct projector_options *options = o->options;
    struct index_mapping mapping = {0};
    if (!index_mapping_load(&options->es, options->projector.mapping, &mapping, reterr))
        return false;
    enum index_guard guard;
    bool created = false, ok = index_admin_guard(&options->es, options->projector.index, &guard, reterr) &&
                               index_admin_ensure(&options->es, options->projector.index, &mapping, ret_index, &created,
                                                  reterr) &&
                               index_admin_categories_ensure(&options->es, options->projector.categories_index, reterr);
    if (ok && guard == INDEX_GUARD_NONE)
        log_warn("index.no_guard", LOG_STR("advice", "set action.auto_create_index to false for the product indexes"));
    if (ok && created)
        log_info("index.created", LOG_STR("index", *ret_index), LOG_STR("mapping", mapping.name));
    index_mapping_done(&mapping);
    return ok;
}

/* The index behind the alias. Templates are changes of the cluster's state, which may wait for others of them: a new
 * term of the same lease leaves out what the one before has seen to. */
static bool prepare_serving(struct owner *o, char **ret_index, struct error *reterr) {
    _cleanup_(index_names_done) struct index_names names = {0};
    if (!o->indexes_are_made) {
        o->indexes_are_made = make_serving(o, ret_index, reterr);
        return o->indexes_are_made;
    }
    if (!index_admin_resolve(&o->options->es, o->options->projector.index, &names, reterr))
        return false;
    if (names.count != 1)
        return make_serving(o, ret_index, reterr);
    *ret_index = TAKE(names.names[0]);
    return *ret_index || error_nomem(reterr);
}

/* While nobody ran, MySQL was set back to a copy of before. This term raises the fence, so that it is stored first. */
static bool look_at_fence(struct owner *o, struct error *reterr) {
    bool behind;
    if (!lease_fence_is_behind(o->lease, o->client, o->mysql, &behind, reterr))
        return false;
    if (!behind)
        return true;
    log_error("queue.set_back", LOG_STR("reason", "projector_fence is below the epoch that a position was stored with"),
              LOG_STR("next", "all products are read anew"));
    return state_sink_forget(o->client, o->options->mongo.database, reterr);
}

static bool prepare_index(struct owner *o, struct term *term, bool *ret_empty, struct error *reterr) {
    const struct projector_options *options = o->options;
    _cleanup_(freep) char *serving = NULL;
    uint64_t highest = 0;
    return prepare_serving(o, &serving, reterr) &&
           term_prepare_targets(term, options, o->client, serving, &highest, ret_empty, reterr) && look_at_fence(o, reterr) &&
           lease_raise(o->lease, o->client, o->mysql, highest >> LEASE_COUNTER_BITS, reterr);
}

static bool prepare_categories(struct owner *o, struct term *term, struct error *reterr) {
    size_t refused = 0;
    term->tree = category_load(o->mysql, &refused, reterr);
    if (!term->tree)
        return false;
    if (refused)
        log_warn("categories.refused", LOG_INT("rows", refused), LOG_STR("advice", "their path or names are damaged"));
    return index_admin_categories_write(&o->options->es, o->options->projector.categories_index, term->tree, NULL,
                                        lease_next_version(o->lease), reterr);
}

/* A first start after a large load finds a row for every SKU: the scan makes them superfluous. Those that cannot be
 * deleted now are worked off. */
static void drop_covered(struct owner *o, const struct term *term) {
    uint64_t rows = 0;
    struct error error;
    if (!source_mysql_drop_covered(o->mysql, lease_epoch(o->lease), category_tree_revision(term->tree), &rows, &error))
        log_warn("queue.not_dropped", LOG_ERR(&error));
    if (rows)
        log_info("queue.covered_by_scan", LOG_INT("rows", rows));
}

/* Marks went into our topic, and it is gone: whoever begins a term next scans, whoever makes the topic again. */
static bool store_loss(struct owner *o, struct error *reterr) {
    const char *database = o->options->mongo.database;
    char before[STATE_SINK_SIZE];
    if (!state_sink_get(o->client, database, before, reterr) ||
        (strcmp(before, o->sink) == 0 && !state_sink_set(o->client, database, lease_epoch(o->lease), STATE_SINK_LOST, reterr)))
        return false;
    o->topic_is_gone = false;
    return true;
}

/* A consumer that reads nothing just now, since it is behind, sees only when it looks for its topic that it is gone: else it would
 * go on in the new one at the place where it was in the old one. */
static bool make_topic(struct owner *o, struct error *reterr) {
    const struct projector_conf *p = &o->options->projector;
    char before[STATE_SINK_SIZE];
    if (!state_sink_get(o->client, o->options->mongo.database, before, reterr))
        return false;
    if (strcmp(before, STATE_SINK_LOST) == 0 && !window_sleep(&o->stop, KAFKA_LOOK_USEC * 3 / 2))
        return error_set(reterr, ERROR_UNAVAILABLE, "the projector stops");
    return kafka_topic_make(&o->options->kafka, p->marks_topic, (int)p->marks_partitions, (int)p->marks_replicas, reterr);
}

/* The topic that a relay writes to. What its absence means is stored before it is made: a request that we hear no more of may be
 * carried out. */
static bool prepare_topic(struct owner *o, struct error *reterr) {
    const struct projector_conf *p = &o->options->projector;
    int partitions = 0;
    if (!o->relay)
        return true;
    if (!kafka_topic_find(&o->options->kafka, p->marks_topic, &partitions, reterr) ||
        ((partitions < 0 || o->topic_is_gone) && !store_loss(o, reterr)) ||
        (partitions < 0 && !make_topic(o, reterr)))
        return false;
    log_info("relay.topic", LOG_STR("topic", p->marks_topic),
             LOG_INT("partitions", partitions < 0 ? p->marks_partitions : partitions));
    return true;
}

static bool prepare_position(struct owner *o, struct term *term, bool index_is_empty, struct error *reterr) {
    const char *database = o->options->mongo.database;
    char before[STATE_SINK_SIZE];
    bool found, lost;
    const char *sink = term->frozen ? STATE_SINK_NONE : o->sink; /* who comes back to that index has to scan */
    if (!state_ensure_indexes(o->client, database, reterr) ||
        !state_checkpoint_load(o->client, database, &term->position, &found, reterr) ||
        !state_sink_moved(o->client, database, o->sink, &lost, reterr) ||
        !state_sink_get(o->client, database, before, reterr))
        return false;
    /* An empty index beside a checkpoint was made anew: what is behind the position is missing in it. And marks that
     * went into a topic may not have been read by anybody. */
    if (found && !index_is_empty && (!lost || term->frozen))
        return state_sink_set(o->client, database, lease_epoch(o->lease), sink, reterr);
    const char *reason = !found                                 ? "there is no checkpoint"
                         : strcmp(before, STATE_SINK_LOST) == 0 ? "the topic was deleted, perhaps with marks that nobody had read"
                         : lost                                 ? "marks went into another topic or index before, or into none"
                                                                : "the index is empty";
    log_info("start.full_scan", LOG_STR("reason", reason));
    stream_position_done(&term->position);
    if (!state_start_over(o->client, database, lease_epoch(o->lease), reason, !index_is_empty, &term->position, reterr) ||
        !state_sink_set(o->client, database, lease_epoch(o->lease), sink, reterr))
        return false;
    if (!found && !index_is_empty)
        engine_note_history_lost(reason);
    drop_covered(o, term);
    return true;
}

static bool prepare(struct owner *o, struct term *term, struct error *reterr) {
    bool index_is_empty;
    return prepare_index(o, term, &index_is_empty, reterr) && prepare_categories(o, term, reterr) && prepare_topic(o, reterr) &&
           prepare_position(o, term, index_is_empty, reterr);
}

/* -- a term -- */

static void set_engine(struct owner *o, struct engine *engine) {
    pthread_mutex_lock(&o->lock);
    o->engine = engine;
    if (engine && window_stopped(&o->stop))
        engine_stop(engine);
    pthread_mutex_unlock(&o->lock);
}

static struct engine_conf conf_of(const struct owner *o, const struct term *term) {
    struct engine_conf conf = {.options = o->options, .pool = o->pool, .lease = o->lease,
                               .targets = &term->targets, .index = term->targets.list[0].index, .tree = term->tree,
                               .position = term->position, .frozen = term->frozen, .sink = o->sink,
                               .relay = o->relay};
    memcpy(conf.projections, term->projections, sizeof(conf.projections));
    return conf;
}

/* Prepares a term and its engine until it works. NULL: the lease went away or we are told to stop (reterr has no code),
 * or the engine can never be made. */
static struct engine *begin(struct owner *o, struct term *term, struct error *reterr) {
    for (unsigned n = 0; !window_stopped(&o->stop) && lease_is_valid(o->lease); n++) {
        struct error error = {.code = ERROR_INTERNAL, .message = "no reason given"};
        if (prepare(o, term, &error)) {
            struct engine_conf conf = conf_of(o, term);
            struct engine *engine = engine_new(&conf, &error);
            if (!engine && !error_is_retriable(&error))
                *reterr = error;
            if (engine || !error_is_retriable(&error))
                return engine;
        }
        term_done(term);
        log_warn("start.failed", LOG_ERR(&error));
        daemon_condition_set(o->condition, false, error.message);
        window_sleep(&o->stop, clock_backoff_usec(n < 6 ? n : 6, WAIT_MIN_USEC, WAIT_MAX_USEC));
    }
    return NULL;
}

static enum engine_end serve(struct owner *o, const struct term *term, struct engine *engine, struct error *reterr) {
    struct engine_conf conf = conf_of(o, term);
    metric_set(lag_metrics.lease_owner, 1);
    metric_set(lag_metrics.lease_epoch, (double)lease_epoch(o->lease));
    daemon_condition_set(o->condition, true, NULL);
    log_info("owner", LOG_INT("epoch", lease_epoch(o->lease)), LOG_STR("index", conf.index),
             LOG_INT("targets", term->targets.count), LOG_INT("categories", category_tree_count(term->tree)),
             LOG_INT("category_revision", category_tree_revision(term->tree)));
    say_role(o, "owner");
    set_engine(o, engine);
    struct error error;
    struct verifier *verifier = term->frozen ? NULL : verifier_start(&conf, &error);
    if (term->frozen)
        log_warn("index.frozen", LOG_STR("index", conf.index), LOG_STR("until", "the reindex is done"));
    else if (!verifier)
        log_warn("verify.failed", LOG_ERR(&error));
    bool wants_signals = o->options->projector.signals_interval_usec > 0;
    struct signals_job *signals = wants_signals ? signals_job_start(&conf, &error) : NULL;
    if (wants_signals && !signals)
        log_warn("signals.failed", LOG_ERR(&error));
    enum engine_end end = engine_run(engine, reterr);
    o->topic_is_gone = o->topic_is_gone || engine_topic_is_gone(engine);
    if (o->topic_is_gone && !store_loss(o, &error))
        log_warn("relay.loss_not_stored", LOG_ERR(&error));
    signals_job_stop(signals);
    verifier_stop(verifier);
    set_engine(o, NULL);
    metric_set(lag_metrics.lease_owner, 0);
    say_role(o, end == ENGINE_LEASE_LOST ? "standby" : "stopping");
    daemon_condition_set(o->condition, false, "not the owner of the lease");
    engine_free(engine);
    return end;
}

/* Serves, and begins anew whenever the set of indexes to write has changed. */
static enum engine_end serve_until(struct owner *o, struct error *reterr) {
    enum engine_end end = ENGINE_RETARGET;
    while (end == ENGINE_RETARGET && !window_stopped(&o->stop)) {
        struct term term = {0};
        struct engine *engine = begin(o, &term, reterr);
        end = engine ? serve(o, &term, engine, reterr) : reterr->code ? ENGINE_FAILED : ENGINE_LEASE_LOST;
        term_done(&term);
    }
    return end;
}

static bool one_term(struct owner *o) {
    struct error error = {.code = ERROR_NONE};
    o->indexes_are_made = false;
    enum engine_end end = serve_until(o, &error);
    if (end == ENGINE_FAILED)
        log_error("engine.failed", LOG_ERR(&error));
    if (lease_is_valid(o->lease) && (end != ENGINE_LEASE_LOST || window_stopped(&o->stop)))
        lease_release(o->lease, o->client);
    else
        lease_drop(o->lease);
    if (end == ENGINE_FAILED)
        o->code = 1;
    return end == ENGINE_LEASE_LOST;
}

static bool open_sessions(struct owner *o, struct error *reterr) {
    const struct projector_options *options = o->options;
    o->pool = mongo_pool_new(&options->mongo, "projector", (unsigned)options->projector.lane_count + EXTRA_CLIENTS, reterr);
    if (!o->pool)
        return false;
    o->client = mongoc_client_pool_pop(o->pool);
    o->mysql = mysql_session_new(&options->mysql, reterr);
    struct lease_conf lease = {.pool = o->pool, .database = options->mongo.database,
                               .ttl_usec = options->projector.lease_ttl_usec,
                               .renew_usec = options->projector.lease_renew_usec};
    return o->mysql && (o->lease = lease_new(&lease, reterr));
}

static void close_sessions(struct owner *o) {
    lease_free(o->lease);
    mysql_session_free(o->mysql);
    if (o->client)
        mongoc_client_pool_push(o->pool, o->client);
    if (o->pool)
        mongoc_client_pool_destroy(o->pool);
}

static void end_arrived(struct mail *mail) {
    struct owner *o = CONTAINER_OF(mail, struct owner, end_mail);
    o->on_end(o->ctx, o->code);
}

static void *owner_main(void *arg) {
    struct owner *o = arg;
    pthread_setname_np(pthread_self(), "owner");
    struct error error;
    if (open_sessions(o, &error)) {
        while (wait_for(o, "MongoDB", attempt_mongo) && wait_for(o, "MySQL", attempt_mysql) &&
               wait_for(o, "Elasticsearch", attempt_es) && wait_for(o, "Kafka", attempt_kafka) && stand_by(o) && one_term(o))
            ;
    } else {
        log_error("start.failed", LOG_ERR(&error));
        o->code = 1;
    }
    close_sessions(o);
    loop_post(o->loop, &o->end_mail);
    return NULL;
}

struct owner *owner_start(const struct projector_options *options, bool relay, struct loop *loop,
                          void (*on_end)(void *ctx, int code), void *ctx, struct error *reterr) {
    struct owner *o = calloc(1, sizeof(*o));
    if (!o) {
        error_nomem(reterr);
        return NULL;
    }
    *o = (struct owner){.options = options, .relay = relay, .loop = loop, .on_end = on_end, .ctx = ctx,
                        .end_mail.deliver = end_arrived};
    snprintf(o->sink, sizeof(o->sink), relay ? "kafka:%.150s" : "index", options->projector.marks_topic);
    o->condition = daemon_condition_new("owner", false, "starting");
    say_role(o, "starting");
    window_init(&o->stop, 1);
    pthread_mutex_init(&o->lock, NULL);
    if (pthread_create(&o->thread, NULL, owner_main, o) == 0)
        return o;
    error_set(reterr, ERROR_INTERNAL, "cannot start the owner's thread");
    window_done(&o->stop);
    pthread_mutex_destroy(&o->lock);
    free(o);
    return NULL;
}

void owner_stop(struct owner *o) {
    pthread_mutex_lock(&o->lock);
    window_stop(&o->stop);
    if (o->engine)
        engine_stop(o->engine);
    pthread_mutex_unlock(&o->lock);
}

void owner_free(struct owner *o) {
    if (!o)
        return;
    pthread_join(o->thread, NULL);
    window_done(&o->stop);
    pthread_mutex_destroy(&o->lock);
    free(o);
}
