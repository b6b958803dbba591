#include "write-api/health.h"
#include "core/cleanup.h"
#include "core/daemon.h"
#include "write-api/migrate.h"
#include "write-api/service.h"

enum { DOUBT_MIN_MSEC = 50, BACKOFF_MIN_MSEC = 200, BACKOFF_MAX_MSEC = 5000, SAID_MAX = 240 };

struct server {
    const char *name, *title; /* in the log, in messages */
    struct daemon_condition *condition;
    bool up;          /* atomic */
    bool prepared;    /* atomic: it has its tables or indexes */
    bool known;       /* it has answered or failed before; probe thread */
    unsigned failures;
};

struct health {
    struct service *service;
    struct loop *loop;
    struct workers *worker;
    struct job job;
    struct loop_timer timer;
    struct mail doubt;
    int doubt_posted; /* atomic */
    bool running;     /* a probe is with the worker */
    struct server mongo, mysql;
    struct daemon_condition *migrations;
    unsigned schema_failures;
    bool fatal;
    struct error error; /* of the migrations */
    void (*on_fatal)(void *ctx, const struct error *why);
    void *ctx;
};

static bool load_bool(const bool *b) {
    return __atomic_load_n(b, __ATOMIC_ACQUIRE);
}

static void store_bool(bool *b, bool v) {
    __atomic_store_n(b, v, __ATOMIC_RELEASE);
}

static bool is_fit(const struct server *server, struct error *reterr) {
    if (!load_bool(&server->up))
        return error_set(reterr, ERROR_UNAVAILABLE, "%s does not answer; try again in a moment", server->title);
    return load_bool(&server->prepared) ||
           error_set(reterr, ERROR_UNAVAILABLE, "the database schema is not ready yet; try again in a moment");
}

bool health_allows(const struct health *h, unsigned needs, struct error *reterr) {
    return (!(needs & HEALTH_MONGO) || is_fit(&h->mongo, reterr)) &&
           (!(needs & HEALTH_MYSQL) || is_fit(&h->mysql, reterr));
}

/* ---- on the probe's thread ------------------------------------------------------------------------------- */

static bool stop_waiting(void *ctx, const struct error *why, usec_t retry_in) {
    (void)retry_in;
    *(struct error *)ctx = *why;
    return false;
}

static void note(struct server *server, bool up, const struct error *why) {
    if (up && (!server->up || !server->known))
        log_info("connected", LOG_STR("to", server->name));
    if (!up) {
        server->failures++;
        log_warn("waiting", LOG_STR("what", server->name), LOG_STR("why", why->message),
                 LOG_INT("attempt", server->failures));
    } else {
        server->failures = 0;
    }
    server->known = true;
    store_bool(&server->up, up);
    daemon_condition_set(server->condition, up, up ? "" : why->message);
}

static void probe_mongo(struct health *h, struct session *s) {
    struct error why = {0};
    bool up = mongo_wait(s->client, stop_waiting, &why, &why);
    note(&h->mongo, up, &why);
}

static void probe_mysql(struct health *h, struct session *s) {
    struct error why = {0};
    bool up = mysql_wait(s->mysql, stop_waiting, &why, &why);
    note(&h->mysql, up, &why);
}

static bool schema_ready(const struct health *h) {
    return h->mongo.prepared && h->mysql.prepared;
}

static void note_schema(struct health *h, struct server *server, bool prepared, const struct error *why) {
    if (prepared) {
        store_bool(&server->prepared, true);
        return;
    }
    h->schema_failures++;
    h->error = *why;
    h->fatal = !error_is_retriable(why);
    daemon_condition_set(h->migrations, false, why->message);
    log_warn("waiting", LOG_STR("what", "migrations"), LOG_STR("why", why->message));
}

/* Each server as soon as it is there: what needs only the other one does not wait for it. */
static void prepare_schema(struct health *h, struct session *s) {
    struct error why = {0};
    if (h->mysql.up && !h->mysql.prepared)
        note_schema(h, &h->mysql, migrate_mysql(s->mysql, h->service->mysql_conf->database, &why), &why);
    if (h->mongo.up && !h->mongo.prepared && !h->fatal)
        note_schema(h, &h->mongo, migrate_mongo(s->products, &why), &why);
    if (!schema_ready(h))
        return;
    log_info("schema.ready");
    daemon_condition_set(h->migrations, true, "");
}

static void probe(struct job *job, void *session) {
    struct health *h = CONTAINER_OF(job, struct health, job);
    session_reset(session);
    probe_mongo(h, session);
    probe_mysql(h, session);
    if (!schema_ready(h))
        prepare_schema(h, session);
}

/* ---- on the loop ----------------------------------------------------------------------------------------- */

static void start_probe(struct loop_timer *timer) {
    struct health *h = CONTAINER_OF(timer, struct health, timer);
    if (!h->running)
        h->running = workers_submit(h->worker, h->loop, &h->job);
}

static void probed(struct job *job) {
    struct health *h = CONTAINER_OF(job, struct health, job);
    h->running = false;
    if (h->fatal) {
        h->on_fatal(h->ctx, &h->error);
        return;
    }
    unsigned failures = h->mongo.failures > h->mysql.failures ? h->mongo.failures : h->mysql.failures;
    if (!schema_ready(h) && h->schema_failures > failures)
        failures = h->schema_failures;
    usec_t wait = h->service->conf->probe_interval_usec;
    if (failures)
        wait = clock_backoff_usec(failures - 1, BACKOFF_MIN_MSEC * USEC_PER_MSEC, BACKOFF_MAX_MSEC * USEC_PER_MSEC);
    loop_timer_set(h->loop, &h->timer, clock_now_usec() + wait);
}

static void doubted(struct mail *mail) {
    struct health *h = CONTAINER_OF(mail, struct health, doubt);
    __atomic_store_n(&h->doubt_posted, 0, __ATOMIC_RELEASE);
    usec_t soon = clock_now_usec() + DOUBT_MIN_MSEC * USEC_PER_MSEC;
    if (!h->running && h->timer.index && h->timer.at > soon)
        loop_timer_set(h->loop, &h->timer, soon);
}

void health_doubt(struct health *h) {
    if (__atomic_exchange_n(&h->doubt_posted, 1, __ATOMIC_ACQ_REL) == 0)
        loop_post(h->loop, &h->doubt);
}

static void *probe_session_new(void *ctx, struct error *reterr) {
    return session_new(ctx, reterr);
}

static void probe_session_free(void *session) {
    session_free(session);
}

struct health *health_new(struct service *service, struct loop *loop,
                          void (*on_fatal)(void *ctx, const struct error *why), void *ctx, struct error *reterr) {
    struct health *h = calloc(1, sizeof(*h));
    if (!h) {
        error_nomem(reterr);
        return NULL;
    }
    *h = (struct health){.service = service,
                         .loop = loop,
                         .job = {.run = probe, .done = probed},
                         .timer = {.cb = start_probe},
                         .doubt = {.deliver = doubted},
                         .mongo = {.name = "mongodb", .title = "MongoDB"},
                         .mysql = {.name = "mysql", .title = "MySQL"},
                         .on_fatal = on_fatal,
                         .ctx = ctx};
    h->mongo.condition = daemon_condition_new("mongo", false, "not asked yet");
    h->mysql.condition = daemon_condition_new("mysql", false, "not asked yet");
    h->migrations = daemon_condition_new("migrations", false, "waits for the servers");
    struct workers_options options = {.name = "health",
                                      .threads = 1,
                                      .queue_max = 1,
                                      .session_new = probe_session_new,
                                      .session_free = probe_session_free,
                                      .ctx = service};
    h->worker = workers_new(&options, reterr);
    if (!h->worker) {
        health_free(h);
        return NULL;
    }
    loop_timer_set(loop, &h->timer, clock_now_usec());
    return h;
}

void health_free(struct health *h) {
    if (!h)
        return;
    loop_timer_cancel(h->loop, &h->timer); /* no probe begins any more */
    workers_free(h->worker);
    (void)loop_run_once(h->loop, 0); /* the mail of the last one */
    loop_timer_cancel(h->loop, &h->timer);
    free(h);
}
