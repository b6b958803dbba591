/* write-api: the only writer of products, categories and stock. */
#include "core/acceptor.h"
#include "core/api_key_watch.h"
#include "core/cleanup.h"
#include "core/daemon.h"
#include "write-api/routes.h"
#include "write-api/service.h"
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

/* glibc raises its mmap threshold after the first large block is freed, and keeps such blocks in each thread's arena
 * from then on: one hostile request per worker and the program stays large for good. Fixed, large blocks go back. */
enum { MMAP_THRESHOLD = 128 << 10 };

#define DRAIN_USEC (30 * USEC_PER_SEC)
#define DRAIN_LOOK_USEC (20 * USEC_PER_MSEC)

struct program {
    struct core_conf core;
    struct mongo_conf mongo;
    struct mysql_conf mysql;
    struct es_conf es_conf; /* only for the keys */
    struct write_conf conf;
    struct rate_table *rates;
    struct api_guard *guard; /* NULL: no keys are configured, everybody may write */
    struct es *es;
    struct api_key_watch *key_watch;
    struct service service;
    struct loop *loop;
    struct http_server *server;
    struct acceptor *acceptor;
    struct loop_timer drain;
    usec_t drain_until;
    int code;
};

static void look_drained(struct loop_timer *timer) {
    struct program *p = CONTAINER_OF(timer, struct program, drain);
    usec_t now = clock_now_usec();
    bool busy = http_server_active(p->server) > 0 || p->service.imports > 0;
    if (!busy || now >= p->drain_until)
        loop_stop(p->loop);
    else
        loop_timer_set(p->loop, timer, now + DRAIN_LOOK_USEC);
}

/* No new connections; what is under way is finished and answered. */
static void on_stop(void *ctx) {
    struct program *p = ctx;
    if (p->drain_until)
        return;
    log_info("stopping", LOG_INT("active", p->server ? http_server_active(p->server) : 0));
    p->drain_until = clock_now_usec() + DRAIN_USEC;
    acceptor_free(TAKE(p->acceptor));
    http_server_drain(p->server);
    look_drained(&p->drain);
}

static void on_fatal(void *ctx, const struct error *why) {
    struct program *p = ctx;
    log_error("schema.failed", LOG_ERR(why));
    p->code = 1;
    on_stop(p);
}

#define KEYS_TIMEOUT_USEC (3 * USEC_PER_SEC)

static bool open_guard(struct program *p, struct error *reterr) {
    const struct api_guard_conf conf = {.admin_key = p->conf.admin_key, .has_keys = *p->conf.keys_index != '\0'};
    if (!*p->conf.admin_key && !conf.has_keys)
        return true;
    if (!(p->rates = rate_table_new()))
        return error_nomem(reterr);
    p->guard = api_guard_new(&conf, p->rates, "write-api", reterr);
    explicit_bzero(p->conf.admin_key, strlen(p->conf.admin_key)); /* the guard has its hash */
    if (!p->guard || !conf.has_keys)
        return p->guard != NULL;
    return (p->es = es_new(p->loop, &p->es_conf, 1, reterr)) &&
           (p->key_watch = api_key_watch_new(p->loop, p->es, p->guard, p->conf.keys_index, (struct slice){NULL, 0},
                                             p->conf.keys_poll_usec, KEYS_TIMEOUT_USEC, reterr));
}

static bool open_server(struct program *p, struct error *reterr) {
    struct http_server_options options = {.name = "write-api",
                                          .routes = write_routes,
                                          .ctx = &p->service,
                                          .guard = p->guard ? api_guard_admit : NULL,
                                          .guard_ctx = p->guard,
                                          .default_scope = HTTP_SCOPE_WRITE,
                                          .body_max_bytes = (size_t)p->conf.body_max_bytes,
                                          .header_max_bytes = (size_t)p->conf.header_max_bytes,
                                          .connections_max = (unsigned)p->conf.connections_max,
                                          .deadline_usec = p->conf.deadline_usec,
                                          .read_timeout_usec = p->conf.read_timeout_usec};
    p->server = http_server_new(p->loop, &options, reterr);
    if (!p->server)
        return false;
    p->acceptor = acceptor_new(p->loop, p->conf.listen, &p->loop, &p->server, 1, reterr);
    return p->acceptor && daemon_announce(p->conf.listen, acceptor_port(p->acceptor), p->conf.port_file, reterr);
}

static bool start(struct program *p, struct error *reterr) {
    p->drain.cb = look_drained;
    p->loop = loop_new("http", reterr);
    if (!p->loop || !daemon_watch_signals(p->loop, on_stop, NULL, p, reterr) ||
        !service_init(&p->service, &p->conf, &p->mongo, &p->mysql, reterr))
        return false;
    p->service.health = health_new(&p->service, p->loop, on_fatal, p, reterr);
    return p->service.health && open_guard(p, reterr) && open_server(p, reterr);
}

/* From the outside inwards: a kept-alive connection may bring a last request until the server is gone, and a job may
 * doubt a server until its pool is gone. */
static void stop(struct program *p) {
    acceptor_free(p->acceptor);
    http_server_free(p->server);
    service_stop(&p->service, p->loop);
    health_free(p->service.health);
    service_done(&p->service);
    api_key_watch_free(p->key_watch);
    es_free(p->es);
    api_guard_free(p->guard);
    rate_table_free(p->rates);
    loop_free(p->loop);
}

static bool check(const void *ctx, struct error *reterr) {
    const struct program *p = ctx;
    return acceptor_check(p->conf.listen, reterr) && es_check(&p->es_conf, reterr) &&
           mongo_check(&p->mongo, reterr);
}

int main(int argc, char **argv) {
    struct program p = {0};
    const struct conf_group groups[] = {
        {core_option_table, core_option_count, &p.core},
        {mongo_option_table, mongo_option_count, &p.mongo},
        {mysql_option_table, mysql_option_count, &p.mysql},
        {es_option_table, es_option_count, &p.es_conf},
        {write_option_table, write_option_count, &p.conf},
    };
    struct daemon_program program = {.name = "write-api",
                                     .summary = "Takes products, categories and stock over HTTP",
                                     .groups = groups,
                                     .group_count = ARRAY_LEN(groups),
                                     .core = &p.core,
                                     .check = check,
                                     .check_ctx = &p};
    struct error error = {0};
    if (!daemon_start(&program, argc, argv, &p.code))
        return p.code;
    if (program.argc > 0) {
        fprintf(stderr, "write-api: unexpected argument '%s'; see write-api --help\n", program.argv[0]);
        daemon_finish(&program);
        return 2;
    }
    mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
    mongo_global_init();
    mysql_global_init();
    if (start(&p, &error)) {
        loop_run(p.loop);
    } else {
        log_error("start.failed", LOG_ERR(&error));
        p.code = 1;
    }
    stop(&p);
    mysql_global_done();
    mongo_global_done();
    metrics_done();
    daemon_finish(&program);
    return p.code;
}
