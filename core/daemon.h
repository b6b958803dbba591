/* daemon.h - what all three programs do alike: command line, signals, health, metrics, logs.
 *
 *   int main(int argc, char **argv) {
 *       struct daemon_program p = {...};
 *       int code;
 *       if (!daemon_start(&p, argc, argv, &code)) return code;    // --help, --version, --check-config, bad options
 *       ... build loops ...; daemon_watch_signals(loop, on_stop, on_reload, ctx); loop_run(loop);
 *       daemon_finish(&p);
 *   }
 */
#pragma once
#include "core/conf.h"
#include "core/http_server.h"
#include "core/log.h"

#ifndef READSIDE_VERSION
#define READSIDE_VERSION "0.1.0"
#endif

/* [core]: every program has it. */
struct core_conf {
    int log_level;  /* enum log_level */
    int log_format; /* enum log_format */
};
extern const struct option core_option_table[];
extern const size_t core_option_count;

struct daemon_program {
    const char *name;    /* "projector" */
    const char *summary; /* one line for --help */
    const char *commands; /* further usage text for --help, or NULL */
    bool commands_have_help; /* --help after a command is left to the program */
    const struct conf_group *groups;
    size_t group_count;
    struct core_conf *core;
    /* What options say together, once each of them is fine; NULL: nothing. check_ctx is what they were read into. */
    bool (*check)(const void *check_ctx, struct error *reterr);
    const void *check_ctx;
    int argc;            /* out: what is left after the options, argv[0] excluded; see daemon_start */
    char **argv;
};

/* Parses options (--config FILE or READSIDE_CONFIG, --<section>.<key>=V, --help, --version, --check-config,
 * --print-config, --print-options markdown), loads the configuration, starts the log, ignores SIGPIPE, blocks
 * the signals that daemon_watch_signals reads. Arguments of a command are left to the program: from the first
 * argument without dashes on, what is none of the options above goes to program->argv; and all after "--", with the
 * "--" itself if it stands behind a first argument. False: exit now with *ret_code (0, or 2 for a usage or configuration
 * error already said on stderr). */
bool daemon_start(struct daemon_program *program, int argc, char **argv, int *ret_code);
/* Frees the configuration, the conditions and the metrics; the other threads have ended by then. */
void daemon_finish(struct daemon_program *program);

/* Reads the configuration again from the same sources and takes over the options with `reload` that are numbers,
 * durations, flags or enums (texts need a restart: other threads hold their pointers), and the log level. On an
 * error nothing changes. For on_reload; *ret_changed counts what is different now. What is new in the
 * configuration and needs a restart is named in the log. */
bool daemon_reload(struct daemon_program *program, unsigned *ret_changed, struct error *reterr);

/* Says that the program accepts connections: logs event=listening address=<host of listen>:<port> and writes the
 * port into port_file (NULL or "": none), in one step, so that a reader sees the whole number or no file. */
bool daemon_announce(const char *listen, unsigned port, const char *port_file, struct error *reterr);

/* SIGTERM and SIGINT call on_stop (a second one exits at once with 130), SIGHUP on_reload, on the loop's thread
 * through signalfd. on_reload NULL: daemon_reload, and a line in the log about what came of it. */
bool daemon_watch_signals(struct loop *loop, void (*on_stop)(void *ctx), void (*on_reload)(void *ctx), void *ctx,
                          struct error *reterr);

/* /healthz, /readyz, /metrics and /openapi.json for a route table: put DAEMON_ROUTES into it. readyz answers 503 with the
 * reasons while any condition is false. */
void daemon_handle_healthz(struct http_request *request, void *ctx);
void daemon_handle_readyz(struct http_request *request, void *ctx);
void daemon_handle_metrics(struct http_request *request, void *ctx);
void daemon_handle_openapi(struct http_request *request, void *ctx);
#define DAEMON_ROUTES                                                                              \
    {.method = "GET", .path = "/healthz", .scope = HTTP_SCOPE_PUBLIC, .handler = daemon_handle_healthz, .summary = "Is the process alive?"}, \
    {.method = "GET", .path = "/readyz", .scope = HTTP_SCOPE_PUBLIC, .handler = daemon_handle_readyz, .summary = "Is it fit for traffic? 503 with the reasons if not"}, \
    {.method = "GET", .path = "/metrics", .scope = HTTP_SCOPE_PUBLIC, .handler = daemon_handle_metrics, .summary = "Metrics in Prometheus text format"}, \
    {.method = "GET", .path = "/openapi.json", .scope = HTTP_SCOPE_PUBLIC, .handler = daemon_handle_openapi, .summary = "This description of all endpoints, as OpenAPI 3.1"}

/* A readiness condition, set from any thread; `name` is unique and static. reason is copied; NULL keeps it. */
struct daemon_condition;
struct daemon_condition *daemon_condition_new(const char *name, bool ready, const char *reason);
void daemon_condition_set(struct daemon_condition *condition, bool ready, const char *reason);
/* Fit for traffic, but less than it should be: /readyz answers 200 and says why. Ends with daemon_condition_set. */
void daemon_condition_set_degraded(struct daemon_condition *condition, const char *reason);
bool daemon_ready(void);
/* One JSON array of {name, ready, degraded, reason}, as /readyz has it; the last two only if they say something. */
struct json_write;
void daemon_write_conditions(struct json_write *w);
