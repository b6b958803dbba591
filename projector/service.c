#include "core/acceptor.h"
#include "core/api_guard.h"
#include "core/cleanup.h"
#include "projector/commands/command.h"
#include "projector/engine/lag.h"
#include "projector/owner.h"
#include "projector/routes.h"
#include "projector/service.h"
#include "projector/sources/group.h"

struct program {
    const struct projector_options *options;
    struct loop *loop;
    struct http_server *server;
    struct acceptor *acceptor;
    struct routes routes;
    struct api_guard *guard; /* NULL without an admin_key */
    enum service_kind kind;
    struct owner *owner;
    struct group *group;
    int code;
};

static void on_stop(void *ctx) {
    struct program *p = ctx;
    log_info("stopping");
    if (p->group)
        group_stop(p->group);
    else
        owner_stop(p->owner);
}

static void on_end(void *ctx, int code) {
    struct program *p = ctx;
    p->code = code;
    loop_stop(p->loop);
}

static bool open_server(struct program *p, struct error *reterr) {
    const struct projector_conf *conf = &p->options->projector;
    bool guarded = *conf->admin_key != '\0';
    if (guarded && !(p->guard = api_guard_new(&(struct api_guard_conf){.admin_key = conf->admin_key}, NULL, "projector", reterr)))
        return false;
    struct http_server_options options = {.name = "projector",
                                          .routes = projector_routes,
                                          .ctx = &p->routes,
                                          .guard = guarded ? api_guard_admit : NULL,
                                          .guard_ctx = p->guard,
                                          .default_scope = HTTP_SCOPE_ADMIN};
    return routes_init(&p->routes, p->options, reterr) &&
           (p->server = http_server_new(p->loop, &options, reterr)) &&
           (p->acceptor = acceptor_new(p->loop, conf->listen, &p->loop, &p->server, 1, reterr)) &&
           daemon_announce(conf->listen, acceptor_port(p->acceptor), conf->port_file, reterr);
}

static bool start_life(struct program *p, struct error *reterr) {
    if (p->kind == SERVICE_GROUP)
        return (p->group = group_start(p->options, p->loop, on_end, p, reterr)) != NULL;
    return (p->owner = owner_start(p->options, p->kind == SERVICE_RELAY, p->loop, on_end, p, reterr)) != NULL;
}

static bool start(struct program *p, struct error *reterr) {
    lag_register();
    return (p->loop = loop_new("http", reterr)) && daemon_watch_signals(p->loop, on_stop, NULL, p, reterr) &&
           open_server(p, reterr) && start_life(p, reterr);
}

/* The server first: a kept-alive connection may bring a last request until it is gone. */
static void shut(struct program *p) {
    acceptor_free(p->acceptor);
    http_server_free(p->server);
    routes_done(&p->routes);
    if (p->loop)
        (void)loop_run_once(p->loop, 0); /* what the routes' last jobs held is let go of */
    owner_free(p->owner);
    group_free(p->group);
    api_guard_free(p->guard);
    loop_free(p->loop);
}

int service_run(const struct projector_options *options, enum service_kind kind) {
    static struct program program;
    struct program *p = &program;
    struct error error = {0};
    p->options = options;
    p->kind = kind;
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
