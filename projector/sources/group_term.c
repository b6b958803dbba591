/* What a member's term needs: the index, the tree, an epoch, an engine on a thread of its own; and the group's gauges. */
#include "core/cleanup.h"
#include "projector/compose/category_load.h"
#include "projector/engine/lag.h"
#include "projector/jobs/jobs.h"
#include "projector/sources/group_internal.h"
#include <stdlib.h>

enum { TARGETS_USEC = 1000 * 1000, PARTITIONS_MAX = 1024 };

/* -- the index ---------------------------------------------------------------------------------------------- */

/* An index is made by one process only: by whoever holds the lease. */
static bool make_index(struct group *g, char **ret_index, struct error *reterr) {
    const struct projector_options *o = g->options;
    if (!lease_try(g->maker, g->client, reterr))
        return error_prefix(reterr, "the index %s is not there, and another process is to make it", o->projector.index);
    struct index_mapping mapping = {0};
    enum index_guard guard;
    bool ok = index_mapping_load(&o->es, o->projector.mapping, &mapping, reterr) &&
              index_admin_guard(&o->es, o->projector.index, &guard, reterr) &&
              index_admin_ensure(&o->es, o->projector.index, &mapping, ret_index, NULL, reterr) &&
              index_admin_categories_ensure(&o->es, o->projector.categories_index, reterr);
    index_mapping_done(&mapping);
    lease_release(g->maker, g->client);
    if (ok)
        log_info("index.created", LOG_STR("index", *ret_index));
    return ok;
}

static bool find_index(struct group *g, char **ret_index, struct error *reterr) {
    _cleanup_(index_names_done) struct index_names names = {0};
    const char *alias = g->options->projector.index;
    if (!index_admin_resolve(&g->options->es, alias, &names, reterr))
        return false;
    if (names.count == 0)
        return make_index(g, ret_index, reterr);
    if (names.count > 1)
        return error_set(reterr, ERROR_INVALID, "the alias %s has %zu indexes and must have one", alias, names.count);
    *ret_index = strdup(names.names[0]);
    return *ret_index ? true : error_nomem(reterr);
}

bool group_targets_changed(struct group *g, usec_t now) {
    int64_t stored;
    struct error error;
    if (now < g->targets_at)
        return false;
    g->targets_at = now + TARGETS_USEC;
    return targets_revision(g->client, g->options->mongo.database, &stored, &error) &&
           stored != g->term.base.targets.revision;
}

bool group_targets_suffice(struct group *g, bool *ret_suffice, struct error *reterr) {
    int64_t stored, ours = g->term.base.targets.revision;
    int64_t asked = (int64_t)source_kafka_target_revision(g->term.source);
    *ret_suffice = asked <= ours || asked == g->term.asked_revision;
    if (*ret_suffice)
        return true;
    if (!targets_revision(g->client, g->options->mongo.database, &stored, reterr))
        return false;
    *ret_suffice = stored == ours; /* what it asks for does not exist: it is from another database, or damaged */
    if (*ret_suffice)
        g->term.asked_revision = asked;
    return true;
}

/* -- a term ------------------------------------------------------------------------------------------------- */

static void feed_acked(void *ctx, const struct segment *segment) {
    source_kafka_acked(ctx, segment);
}

static usec_t feed_progress(void *ctx) {
    return source_kafka_progress_at(ctx);
}

static void *term_main(void *arg) {
    struct group_term *t = arg;
    pthread_setname_np(pthread_self(), "owner");
    t->end = engine_run(t->engine, &t->error);
    atomic_store(&t->ended, true);
    return NULL;
}

static void group_term_done(struct group_term *t) {
    engine_free(t->engine);
    source_kafka_free(t->source);
    term_done(&t->base);
    *t = (struct group_term){0};
}

static bool start_engine(struct group *g, struct error *reterr) {
    struct group_term *t = &g->term;
    const struct projector_options *o = g->options;
    t->feed = (struct engine_feed){.acked = feed_acked, .progress_at = feed_progress};
    struct engine_conf conf = {.options = o, .pool = g->pool, .lease = g->lease, .targets = &t->base.targets,
                               .index = t->base.targets.list[0].index, .tree = t->base.tree, .feed = &t->feed,
                               .frozen = t->base.frozen};
    memcpy(conf.projections, t->base.projections, sizeof(conf.projections));
    if (!(t->engine = engine_new(&conf, reterr)))
        return false;
    struct source_kafka_conf source = {.engine = t->engine, .consumer = g->consumer, .client = g->client, .mysql = g->mysql,
                                       .database = o->mongo.database, .topic = o->projector.marks_topic,
                                       .format = (enum marks_format)o->projector.marks_format,
                                       .timeout_usec = o->mongo.timeout_usec};
    if (!(t->source = source_kafka_new(&source, reterr)))
        return false;
    t->feed.ctx = t->source;
    t->runs = pthread_create(&t->thread, NULL, term_main, t) == 0;
    return t->runs ? true : error_set(reterr, ERROR_INTERNAL, "cannot start the engine's thread");
}

/* CONFLICT of these means something else than that of the assignment. */
static bool prepare(struct group *g, struct error *reterr) {
    struct group_term *t = &g->term;
    _cleanup_(freep) char *serving = NULL;
    t->base.follows = true;
    if (find_index(g, &serving, reterr) &&
        term_prepare_targets(&t->base, g->options, g->client, serving, NULL, NULL, reterr) &&
        (t->base.tree = category_load(g->mysql, NULL, reterr)))
        return true;
    if (reterr->code == ERROR_CONFLICT)
        reterr->code = ERROR_UNAVAILABLE;
    return false;
}

bool group_term_begin(struct group *g, struct error *reterr) {
    struct group_term *t = &g->term;
    bool ok = prepare(g, reterr) && lease_raise(g->lease, g->client, NULL, 0, reterr) &&
              kafka_consumer_rewind(g->consumer, reterr);
    if (ok)
        lease_hold(g->lease);
    if (!ok || !start_engine(g, reterr)) {
        lease_drop(g->lease);
        group_term_done(t);
        return false;
    }
    metric_set(lag_metrics.lease_epoch, (double)lease_epoch(g->lease));
    log_info("group.term", LOG_INT("epoch", lease_epoch(g->lease)), LOG_STR("index", t->base.targets.list[0].index),
             LOG_INT("targets", t->base.targets.count), LOG_INT("partitions", g->partition_count),
             LOG_INT("category_revision", category_tree_revision(t->base.tree)));
    return true;
}

void group_term_end(struct group *g, bool lost) {
    struct group_term *t = &g->term;
    if (!t->runs)
        return;
    if (lost)
        engine_post_lease_lost(t->engine);
    else
        engine_stop(t->engine);
    pthread_join(t->thread, NULL);
    lease_drop(g->lease);
    g->blocked = false;
    group_term_done(t);
}

/* -- marks that are gone ------------------------------------------------------------------------------------ */

void group_marks_lost(struct group *g, unsigned partitions) {
    struct error error = {0};
    metric_add(g->metrics.lost, partitions);
    bool asked = jobs_request_scan(g->client, g->options->mongo.database, NULL, "marks expired in the topic", &error);
    log_error("group.marks_lost", LOG_INT("partitions", partitions),
              LOG_STR("consequence", asked ? "the owner of the sources is asked for a full scan"
                                           : "what they said is unknown: start projector relay anew without its checkpoint"));
    if (!asked)
        log_warn("group.no_scan", LOG_ERR(&error));
}

/* -- gauges ------------------------------------------------------------------------------------------------- */

void group_register_metrics(struct group *g) {
    struct group_metrics *m = &g->metrics;
    m->assignments = metrics_counter("readside_projector_kafka_assignments_total", "Times that partitions were assigned.", "");
    m->partitions = metrics_gauge("readside_projector_kafka_partitions", "Partitions that this consumer has.", "");
    m->lost = metrics_counter("readside_projector_kafka_offsets_lost_total",
                              "Partitions whose stored offset was not in the topic any more.", "");
}

static struct metric *lag_of(struct group *g, int32_t partition) {
    struct group_metrics *m = &g->metrics;
    if (partition < 0 || partition >= PARTITIONS_MAX)
        return NULL;
    if ((size_t)partition >= m->lag_count) {
        struct metric **grown = realloc(m->lag, ((size_t)partition + 1) * sizeof(struct metric *));
        if (!grown)
            return NULL;
        for (m->lag = grown; m->lag_count <= (size_t)partition; m->lag_count++)
            m->lag[m->lag_count] = NULL;
    }
    if (!m->lag[partition]) {
        struct buf labels = BUF_INIT(64);
        buf_printf(&labels, "partition=\"%d\"", (int)partition);
        m->lag[partition] = metrics_gauge("readside_projector_kafka_lag_messages",
                                          "Messages behind the last finished one; 0 for a partition of another consumer.",
                                          buf_ok(&labels) ? labels.data : "");
        buf_done(&labels);
    }
    return m->lag[partition];
}

void group_gauges(struct group *g) {
    struct kafka_partition partitions[PARTITIONS_MAX];
    size_t count = kafka_consumer_partitions(g->consumer, partitions, PARTITIONS_MAX);
    metric_set(g->metrics.partitions, (double)count);
    for (size_t i = 0; i < g->metrics.lag_count; i++)
        metric_set(g->metrics.lag[i], 0);
    for (size_t i = 0; i < count && i < PARTITIONS_MAX; i++) {
        int64_t lag = partitions[i].end >= 0 ? partitions[i].end - partitions[i].done : 0;
        metric_set(lag_of(g, partitions[i].number), (double)(lag > 0 ? lag : 0));
    }
}

void group_free_metrics(struct group *g) {
    free(g->metrics.lag);
}
