/* projector run: follows the databases and keeps the index true. */
#include "core/acceptor.h"
#include "core/cleanup.h"
#include "projector/command.h"
#include "projector/lag.h"
#include "projector/owner.h"
#include "projector/routes.h"

struct program {
    const struct projector_options *options;
    struct loop *loop;
    struct http_server *server;
    struct acceptor *acceptor;
    struct routes routes;
    struct owner *owner;
    int code;
};

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
    const struct projector_conf *conf = &p->options->projector;
    return routes_init(&p->routes, p->options, reterr) &&
           (p->server = http_server_new(p->loop, &options, reterr)) &&
           (p->acceptor = acceptor_new(p->loop, conf->listen, &p->loop, &p->server, 1, reterr)) &&
           daemon_announce(conf->listen, acceptor_port(p->acceptor), conf->port_file, reterr);
}

static bool start(struct program *p, struct error *reterr) {
    lag_register();
    return (p->loop = loop_new("http", reterr)) && daemon_watch_signals(p->loop, on_stop, NULL, p, reterr) &&
           open_server(p, reterr) && (p->owner = owner_start(p->options, p->loop, on_end, p, reterr));
}

static void shut(struct program *p) {
    owner_free(p->owner);
    acceptor_free(p->acceptor);
    routes_done(&p->routes);
    http_server_free(p->server);
    loop_free(p->loop);
}

static int run(const struct projector_options *options, int argc, char **argv) {
    static struct program program;
    struct program *p = &program;
    struct error error = {0};
    if (argc > 1)
        return command_usage_error(&command_run, "it takes no argument %s", argv[1]);
    p->options = options;
    if (start(p, &error)) {
        loop_run(p->loop);
    } else {
        log_error("start.failed", LOG_ERR(&error));
        p->code = COMMAND_FAILED;
    }
    shut(p);
    if (p->code == 0)
        log_info("stopped");
    return p->code;
}

const struct command command_run = {
    .name = "run",
    .usage = "",
    .summary = "follow MongoDB and MySQL and keep the index true, until SIGTERM",
    .daemon = true,
    .run = run,
};
