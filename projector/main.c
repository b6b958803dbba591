/* projector: keeps the search index true. */
#include "core/acceptor.h"
#include "core/cleanup.h"
#include "projector/lag.h"
#include "projector/owner.h"
#include "projector/routes.h"
#include <malloc.h>
#include <stdio.h>
#include <string.h>

static const char commands[] =
    "Commands:\n"
    "  run      follow MongoDB and MySQL and keep the index true, until SIGTERM\n"
    "\n"
    "Exit codes: 0 stopped as told, 1 it could not go on, 2 wrong usage or configuration.\n";

struct program {
    struct projector_options options;
    struct loop *loop;
    struct http_server *server;
    struct acceptor *acceptor;
    struct routes routes;
    struct owner *owner;
    int code;
};

/* Many threads that allocate a little: few arenas, and freed memory goes back, so that memory stays small. */
static void tune_malloc(void) {
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_TRIM_THRESHOLD, 1 << 20);
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
}

static void on_stop(void *ctx) {
    struct program *p = ctx;
    log_info("stopping");
    owner_stop(p->owner);
}

static void on_end(void *ctx, int code) {
    struct program *p = ctx;
    p->code = code;
    loop_stop(p->loop);
}

static bool open_server(struct program *p, struct error *reterr) {
    struct http_server_options options = {.name = "projector", .routes = projector_routes, .ctx = &p->routes};
    const struct projector_conf *conf = &p->options.projector;
    return routes_init(&p->routes, &p->options, reterr) &&
           (p->server = http_server_new(p->loop, &options, reterr)) &&
           (p->acceptor = acceptor_new(p->loop, conf->listen, &p->loop, &p->server, 1, reterr)) &&
           daemon_announce(conf->listen, acceptor_port(p->acceptor), conf->port_file, reterr);
}

static bool start(struct program *p, struct error *reterr) {
    lag_register();
    return (p->loop = loop_new("http", reterr)) && daemon_watch_signals(p->loop, on_stop, NULL, p, reterr) &&
           open_server(p, reterr) && (p->owner = owner_start(&p->options, p->loop, on_end, p, reterr));
}

static void shut(struct program *p) {
    owner_free(p->owner);
    acceptor_free(p->acceptor);
    routes_done(&p->routes);
    http_server_free(p->server);
    loop_free(p->loop);
}

static int run(struct program *p) {
    struct error error = {0};
    mongo_global_init();
    mysql_global_init();
    if (start(p, &error)) {
        loop_run(p->loop);
    } else {
        log_error("start.failed", LOG_ERR(&error));
        p->code = 1;
    }
    shut(p);
    if (p->code == 0)
        log_info("stopped");
    mysql_global_done();
    mongo_global_done();
    return p->code;
}

int main(int argc, char **argv) {
    static struct program p;
    const struct conf_group groups[] = {
        {core_option_table, core_option_count, &p.options.core},
        {mongo_option_table, mongo_option_count, &p.options.mongo},
        {mysql_option_table, mysql_option_count, &p.options.mysql},
        {es_option_table, es_option_count, &p.options.es},
        {projector_option_table, projector_option_count, &p.options.projector},
    };
    struct daemon_program program = {.name = "projector",
                                     .summary = "Keeps the search index in step with MongoDB and MySQL.",
                                     .commands = commands,
                                     .groups = groups,
                                     .group_count = ARRAY_LEN(groups),
                                     .core = &p.options.core};
    int code = 0;
    tune_malloc();
    if (!daemon_start(&program, argc, argv, &code))
        return code;
    if (program.argc != 1 || strcmp(program.argv[0], "run") != 0) {
        fprintf(stderr, "projector: %s; the command is: projector run (see --help)\n",
                program.argc == 0 ? "no command given" : "unknown command or extra words");
        code = 2;
    } else {
        code = run(&p);
    }
    metrics_done();
    daemon_finish(&program);
    return code;
}
