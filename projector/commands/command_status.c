/* projector status: asks the daemon; without one, shows what MongoDB holds. */
#include "core/cleanup.h"
#include "core/http_client.h"
#include "projector/commands/command.h"
#include "projector/commands/status_stored.h"
#include "projector/commands/status_text.h"
#include <stdio.h>
#include <unistd.h>

#define ANSWER_MAX_BYTES ((size_t)8 << 20)

struct request {
    bool json;
    int64_t timeout_seconds;
    char url[300]; /* of the daemon, without a path */
};

static const char help[] =
    "  --json         the document as GET /v1/status gives it\n"
    "  --url URL      of the daemon; otherwise from projector.port_file, else projector.listen\n"
    "  --timeout S    how long the daemon may take to answer (5)\n"
    "\n"
    "Exit codes here:\n"
    "  0    the daemon answers, and nothing needs attention; a standby is well too\n"
    "  3    something needs attention: not ready, dead letters, a paused target, a job that waits\n"
    "  4    no daemon answers: what MongoDB holds is shown\n"
    "  1    MongoDB does not answer either, or the daemon refuses our key ([projector] admin_key)\n";

static unsigned read_port(const char *path) {
    unsigned port = 0;
    FILE *f = path && *path ? fopen(path, "re") : NULL;
    if (!f)
        return 0;
    if (fscanf(f, "%5u", &port) != 1)
        port = 0;
    fclose(f);
    return port;
}

/* The daemon listens where its configuration says; a wildcard address is asked on loopback. */
static bool default_url(const struct projector_conf *conf, struct request *ret, struct error *reterr) {
    const char *colon = strrchr(conf->listen, ':');
    if (!colon)
        return error_set(reterr, ERROR_INVALID, "projector.listen is %.100s, not HOST:PORT", conf->listen);
    int host = (int)(colon - conf->listen);
    const char *name = conf->listen;
    if (host == 0 || (host == 7 && strncmp(name, "0.0.0.0", 7) == 0)) {
        name = "127.0.0.1";
        host = 9;
    } else if (host == 4 && strncmp(name, "[::]", 4) == 0) {
        name = "[::1]";
        host = 5;
    }
    unsigned port = read_port(conf->port_file);
    if (port == 0 && strcmp(colon, ":0") == 0)
        return error_set(reterr, ERROR_UNAVAILABLE, "projector.listen has port 0 and projector.port_file names no port");
    if (port)
        snprintf(ret->url, sizeof(ret->url), "http://%.*s:%u", host, name, port);
    else
        snprintf(ret->url, sizeof(ret->url), "http://%.*s%s", host, name, colon);
    return true;
}

/* *ret_refused: it answers, but not to us. */
static bool ask(const struct projector_conf *conf, const struct request *request, struct buf *ret, bool *ret_refused,
                struct error *reterr) {
    char url[340];
    int status = 0;
    _cleanup_(buf_done) struct buf key = BUF_INIT(4096);
    buf_printf(&key, "Authorization: Bearer %s", conf->admin_key);
    const char *headers[] = {*conf->admin_key && buf_ok(&key) ? key.data : NULL, NULL};
    snprintf(url, sizeof(url), "%s/v1/status", request->url);
    struct http_client_request call = {.method = "GET", .url = url, .headers = headers,
                                       .timeout_usec = (usec_t)request->timeout_seconds * USEC_PER_SEC,
                                       .response_max_bytes = ANSWER_MAX_BYTES};
    if (!http_client_call_blocking(&(struct http_client_options){0}, &call, &status, ret, reterr))
        return false;
    *ret_refused = status == 401 || status == 403;
    if (*ret_refused)
        return error_set(reterr, ERROR_INVALID, "%s answers %d: check [projector] admin_key", url, status);
    if (status != 200)
        return error_set(reterr, ERROR_UNAVAILABLE, "%s answers %d: is that a projector?", url, status);
    return true;
}

static bool show(const struct request *request, const struct buf *answer, unsigned *ret_problems,
                 struct error *reterr) {
    struct arena arena;
    arena_init(&arena, 32 * ANSWER_MAX_BYTES);
    _cleanup_(buf_done) struct buf out = BUF_INIT(ANSWER_MAX_BYTES);
    const struct json *status = json_parse(&arena, answer->data, answer->len, NULL, reterr);
    bool ok = status != NULL;
    if (ok) {
        *ret_problems = status_text_problems(status);
        struct status_text text = {.out = &out, .color = isatty(STDOUT_FILENO) && !getenv("NO_COLOR")};
        if (request->json)
            buf_printf(&out, "%s%s", answer->data, answer->data[answer->len - 1] == '\n' ? "" : "\n");
        else
            status_text_write(&text, status);
        ok = buf_ok(&out) && fputs(out.data, stdout) >= 0 && fflush(stdout) == 0;
        if (!ok)
            error_set(reterr, ERROR_INTERNAL, "cannot write to stdout");
    }
    arena_done(&arena);
    return ok;
}

/* 0, or the exit code of wrong usage. */
static int parse(int argc, char **argv, struct request *ret) {
    *ret = (struct request){.timeout_seconds = 5};
    for (int i = 1; i < argc; i++) {
        bool url = strcmp(argv[i], "--url") == 0, timeout = strcmp(argv[i], "--timeout") == 0;
        struct error error;
        if ((url || timeout) && i + 1 >= argc)
            return command_usage_error(&command_status, "%s needs a value", argv[i]);
        if (strcmp(argv[i], "--json") == 0)
            ret->json = true;
        else if (url)
            snprintf(ret->url, sizeof(ret->url), "%s", argv[++i]);
        else if (!timeout)
            return command_usage_error(&command_status, "unknown argument %.100s", argv[i]);
        else if (!command_number("--timeout", argv[++i], 1, 600, &ret->timeout_seconds, &error))
            return command_usage_error(&command_status, "%s", error.message);
    }
    for (size_t n = strlen(ret->url); n > 0 && ret->url[n - 1] == '/'; n--)
        ret->url[n - 1] = '\0';
    return 0;
}

static int without_daemon(const struct projector_options *options, const struct request *request,
                          const struct error *no_answer) {
    _cleanup_(buf_done) struct buf stored = BUF_INIT(ANSWER_MAX_BYTES);
    struct json_write w;
    struct error error = {.code = ERROR_INTERNAL, .message = "out of memory"};
    unsigned problems;
    json_write_init(&w, &stored);
    if (status_stored_write(options, request->url, no_answer, &w, &error) && json_write_finish(&w) &&
        show(request, &stored, &problems, &error))
        return COMMAND_UNREACHABLE;
    fprintf(stderr, "projector status: no daemon answers: %s\nprojector status: %s\n", no_answer->message,
            error.message);
    return COMMAND_FAILED;
}

static int run(const struct projector_options *options, int argc, char **argv) {
    struct request request;
    int code = parse(argc, argv, &request);
    if (code)
        return code;
    _cleanup_(buf_done) struct buf answer = BUF_INIT(ANSWER_MAX_BYTES);
    struct error error;
    unsigned problems = 0;
    bool refused = false;
    if ((!*request.url && !default_url(&options->projector, &request, &error)) ||
        !ask(&options->projector, &request, &answer, &refused, &error))
        return refused ? command_error(&command_status, &error) : without_daemon(options, &request, &error);
    if (!show(&request, &answer, &problems, &error))
        return command_error(&command_status, &error);
    return problems ? COMMAND_DIFFERENCES : COMMAND_OK;
}

const struct command command_status = {
    .name = "status",
    .usage = "[--json] [--url URL] [--timeout S]",
    .summary = "show sources, lag, headroom, lanes, jobs, targets, dead letters",
    .help = help,
    .run = run,
};
