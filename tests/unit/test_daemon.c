/* What the programs share, seen from outside: the test runs itself as a program (child_main) and looks at what it
 * prints, answers and returns. */
#include "tests/unit/http_fixture.h"
#include "core/daemon.h"
#include "core/http_client.h"
#include "core/metrics.h"
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define CHILD_VARIABLE "READSIDE_TEST_DAEMON_CHILD"

/* -- the child -- */

struct child_conf {
    char *listen, *port_file, *token;
    int64_t limit;
    usec_t pause;
    bool on;
};

static const struct option child_options[] = {
    {.section = "query-api",
     .key = "listen",
     .type = OPTION_STRING,
     .value = "127.0.0.1:0",
     .help = "Where to listen.",
     .offset = offsetof(struct child_conf, listen)},
    {.section = "query-api",
     .key = "port_file",
     .type = OPTION_STRING,
     .value = "",
     .help = "Gets the port.",
     .offset = offsetof(struct child_conf, port_file)},
    {.section = "query-api",
     .key = "token",
     .type = OPTION_SECRET,
     .value = "",
     .help = "A secret.",
     .offset = offsetof(struct child_conf, token)},
    {.section = "query-api",
     .key = "limit",
     .type = OPTION_INT,
     .value = "10",
     .min = 1,
     .max = 100,
     .help = "A limit.",
     .offset = offsetof(struct child_conf, limit),
     .reload = true},
    {.section = "query-api",
     .key = "pause",
     .type = OPTION_DURATION,
     .value = "5s",
     .help = "A pause.",
     .offset = offsetof(struct child_conf, pause),
     .reload = true},
    {.section = "query-api",
     .key = "on",
     .type = OPTION_BOOL,
     .value = "false",
     .help = "A switch.",
     .offset = offsetof(struct child_conf, on),
     .reload = true},
};

static struct {
    struct core_conf core;
    struct child_conf conf;
    struct daemon_program program;
    struct loop *loop;
    struct daemon_condition *condition;
} child;

static void on_stop(void *ctx) {
    assert_ptr_equal(ctx, &child);
    log_info("stopping");
    if (child.conf.on)
        return; /* hangs: only the second signal ends it */
    loop_stop(child.loop);
}

static void on_reload(void *ctx) {
    (void)ctx;
    struct error error = {0};
    unsigned changed = 0;
    if (daemon_reload(&child.program, &changed, &error))
        log_warn("reloaded", LOG_INT("changed", changed), LOG_INT("limit", child.conf.limit),
                 LOG_STR("listen", child.conf.listen));
    else
        log_warn("reload.failed", LOG_ERR(&error));
}

static void handle_condition(struct http_request *request, void *ctx) {
    (void)ctx;
    bool ready = slice_eq(http_request_query(request), SLICE("ready"));
    daemon_condition_set(child.condition, ready, ready ? NULL : "the index is missing");
    http_reply_empty(request, 204);
}

static const struct http_route child_routes[] = {
    DAEMON_ROUTES,
    {.method = "POST", .path = "/condition", .handler = handle_condition},
    {0},
};

static bool child_serve(struct error *reterr) {
    struct http_server_options options = {.name = "query-api", .routes = child_routes};
    child.condition = daemon_condition_new("elasticsearch", false, "not asked yet");
    if (daemon_condition_new("elasticsearch", false, "not asked yet") != child.condition || daemon_ready())
        return error_set(reterr, ERROR_INTERNAL, "conditions");
    child.loop = loop_new("main", reterr);
    struct http_server *server = http_server_new(child.loop, &options, reterr);
    struct acceptor *acceptor = acceptor_new(child.loop, child.conf.listen, &child.loop, &server, 1, reterr);
    bool ok = acceptor && daemon_watch_signals(child.loop, on_stop, on_reload, &child, reterr) &&
              daemon_announce(child.conf.listen, acceptor_port(acceptor), child.conf.port_file, reterr);
    if (ok)
        loop_run(child.loop);
    acceptor_free(acceptor);
    http_server_free(server);
    loop_free(child.loop);
    return ok;
}

static int child_main(int argc, char **argv) {
    static const struct conf_group groups[] = {
        {core_option_table, 2, &child.core},
        {child_options, ARRAY_LEN(child_options), &child.conf},
    };
    struct error error = {0};
    int code = 0;
    child.program = (struct daemon_program){.name = "query-api",
                                            .summary = "A test.",
                                            .commands = "  dance   dances",
                                            .groups = groups,
                                            .group_count = 2,
                                            .core = &child.core};
    if (!daemon_start(&child.program, argc, argv, &code))
        return code;
    if (child.program.argc) {
        for (int i = 0; i < child.program.argc; i++)
            printf("argument %s\n", child.program.argv[i]);
        daemon_finish(&child.program);
        return 0;
    }
    if (!child_serve(&error)) {
        log_error("start.failed", LOG_ERR(&error));
        code = 1;
    }
    daemon_finish(&child.program);
    return code;
}

/* -- running it -- */

static char *arguments[20];
static char directory[] = "/tmp/readside-daemon-XXXXXX";

static pid_t spawn(int *ret_out, const char *const *args) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    int count = 0;
    static char name[] = "query-api";
    arguments[count++] = name;
    for (; args && *args; args++)
        arguments[count++] = strdup(*args);
    arguments[count] = NULL;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], 1);
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
        setenv(CHILD_VARIABLE, "1", 1);
        execv("/proc/self/exe", arguments);
        _exit(99);
    }
    close(ends[1]);
    while (count > 1)
        free(arguments[--count]);
    *ret_out = ends[0];
    return pid;
}

/* Appends what comes until `until` appears (NULL: until it ends). */
static void read_output(int fd, struct buf *out, const char *until) {
    usec_t deadline = clock_now_usec() + WAIT_SEC * USEC_PER_SEC;
    while (!until || !out->data || !strstr(out->data, until)) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        usec_t now = clock_now_usec();
        if (now > deadline || poll(&p, 1, (int)((deadline - now) / USEC_PER_MSEC)) != 1)
            fail_msg("'%s' does not come; there is: %s", until ? until : "the end", out->data ? out->data : "");
        char block[4096];
        ssize_t n = read(fd, block, sizeof(block));
        if (n <= 0) {
            if (until)
                fail_msg("'%s' does not come before the end; there is: %s", until, out->data ? out->data : "");
            return;
        }
        buf_append(out, block, (size_t)n);
    }
}

static int wait_exit(pid_t pid) {
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static void write_file(const char *name, const char *text, char *ret_path, size_t size) {
    snprintf(ret_path, size, "%s/%s", directory, name);
    FILE *f = fopen(ret_path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

#define OUTPUT _cleanup_(buf_done) struct buf output = BUF_INIT(1 << 20)

/* Runs to the end; returns its exit code. */
static int run(struct buf *output, const char *const *args) {
    int fd;
    pid_t pid = spawn(&fd, args);
    read_output(fd, output, NULL);
    close(fd);
    return wait_exit(pid);
}

static void contains(const struct buf *output, const char *text) {
    if (!output->data || !strstr(output->data, text))
        fail_msg("'%s' is not in: %s", text, output->data ? output->data : "");
}

/* -- tests -- */

static void test_help_and_version(void **state) {
    (void)state;
    OUTPUT;
    assert_int_equal(run(&output, (const char *[]){"--help", NULL}), 0);
    contains(&output, "query-api " READSIDE_VERSION " - A test.");
    contains(&output, "dance   dances");
    contains(&output, "--check-config");
    contains(&output, "limit");
    buf_reset(&output);
    assert_int_equal(run(&output, (const char *[]){"--version", NULL}), 0);
    contains(&output, "query-api " READSIDE_VERSION "\n");
    contains(&output, "libmicrohttpd/");
    contains(&output, "libcurl/");
    contains(&output, "libmongoc/");
    buf_reset(&output);
    assert_int_equal(run(&output, (const char *[]){"--print-options", "markdown", NULL}), 0);
    contains(&output, "|");
    contains(&output, "pause");
}

static void test_print_config(void **state) {
    (void)state;
    OUTPUT;
    char path[100], printed[100];
    write_file("a.ini", "[core]\nlog_level = warn\n[query-api]\nlimit = 20\ntoken = hush\n[mysql]\nhost = x\n", path,
               sizeof(path));
    assert_int_equal(run(&output, (const char *[]){"--config", path, "--query-api.pause=7ms", "--print-config", NULL}),
                     0);
    contains(&output, "[core]");
    contains(&output, "log_level = warn");
    contains(&output, "limit = 20");
    contains(&output, "pause = 7ms");
    contains(&output, "token = ***");
    assert_null(strstr(output.data, "hush"));
    write_file("b.ini", output.data, printed, sizeof(printed));
    buf_reset(&output);
    char option[120];
    snprintf(option, sizeof(option), "--config=%s", printed);
    assert_int_equal(run(&output, (const char *[]){option, "--check-config", NULL}), 0);
    assert_string_equal(output.data, "configuration ok\n");
    buf_reset(&output);
    setenv("READSIDE_CONFIG", path, 1);
    setenv("READSIDE_QUERY_API_LIMIT", "30", 1);
    assert_int_equal(run(&output, (const char *[]){"--print-config", NULL}), 0);
    unsetenv("READSIDE_CONFIG");
    unsetenv("READSIDE_QUERY_API_LIMIT");
    contains(&output, "log_level = warn");
    contains(&output, "limit = 30");
}

static void test_usage_errors(void **state) {
    (void)state;
    char bad[100];
    write_file("bad.ini", "[query-api]\n\nlimit = 1000\n", bad, sizeof(bad));
    const struct {
        const char *args[4];
        const char *message;
    } cases[] = {
        {{"--nonsense"}, "--nonsense"},
        {{"-x"}, "-x"},
        {{"--config"}, "--config"},
        {{"--print-options"}, "markdown"},
        {{"--print-options", "html"}, "markdown"},
        {{"--query-api.limit=0"}, "limit"},
        {{"--query-api.nothing=0"}, "nothing"},
        {{"--nowhere.limit=1"}, "--nowhere"},
        {{"--config", "/nonexistent/readside.ini"}, "/nonexistent/readside.ini"},
        {{"--config", bad}, "1000"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        OUTPUT;
        int code = run(&output, cases[i].args);
        if (code != 2)
            fail_msg("%s: exit %d, %s", cases[i].args[0], code, output.data ? output.data : "");
        contains(&output, cases[i].message);
        contains(&output, "query-api: ");
        contains(&output, "Try 'query-api --help'.");
    }
}

static void test_arguments(void **state) {
    (void)state;
    OUTPUT;
    assert_int_equal(run(&output, (const char *[]){"--query-api.limit=3", "dance", "--fast", "-", "--query-api.limit=4",
                                                   "--", "--help", NULL}),
                     0);
    assert_string_equal(output.data, "argument dance\nargument --fast\nargument -\nargument --\nargument --help\n");
}

static int ask_child(struct fixture *f, const char *line, struct answer *a) {
    char text[200];
    snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: x\r\n\r\n", line);
    return ask(f, text, a);
}

static unsigned announced_port(const struct buf *output) {
    const char *at = strstr(output->data, "address=127.0.0.1:");
    assert_non_null(at);
    return (unsigned)strtoul(at + 18, NULL, 10);
}

static void test_serving(void **state) {
    (void)state;
    OUTPUT;
    char port_file[100], option[150], config[100];
    int fd;
    write_file("serve.ini", "[query-api]\nlimit = 5\n", config, sizeof(config));
    snprintf(port_file, sizeof(port_file), "%s/port", directory);
    snprintf(option, sizeof(option), "--query-api.port_file=%s", port_file);
    pid_t pid = spawn(&fd, (const char *[]){"--config", config, option, NULL});
    read_output(fd, &output, "event=listening");
    read_output(fd, &output, "\n");
    struct fixture f = {.port = announced_port(&output)};
    FILE *file = fopen(port_file, "r");
    unsigned port = 0;
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%u", &port), 1);
    fclose(file);
    assert_int_equal(port, f.port);

    struct answer a;
    assert_int_equal(ask_child(&f, "GET /healthz", &a), 200);
    assert_non_null(strstr(a.body, "\"program\":\"query-api\""));
    assert_int_equal(ask_child(&f, "GET /readyz", &a), 503);
    assert_string_equal(a.body, "{\"ready\":false,\"degraded\":false,\"conditions\":[{\"name\":\"elasticsearch\",\"ready\":false,"
                                "\"reason\":\"not asked yet\"}]}\n");
    assert_string_equal(answer_header(&a, "Retry-After"), "1");
    assert_int_equal(ask_child(&f, "POST /condition?ready", &a), 204);
    assert_int_equal(ask_child(&f, "GET /readyz", &a), 200);
    assert_string_equal(a.body, "{\"ready\":true,\"degraded\":false,\"conditions\":[{\"name\":\"elasticsearch\",\"ready\":true}]}\n");
    assert_int_equal(ask_child(&f, "POST /condition", &a), 204);
    assert_int_equal(ask_child(&f, "GET /readyz", &a), 503);
    assert_non_null(strstr(a.body, "the index is missing"));
    assert_int_equal(ask_child(&f, "GET /metrics", &a), 200);
    assert_string_equal(answer_header(&a, "Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
    assert_non_null(strstr(a.body, "readside_build_info{program=\"query-api\""));
    assert_non_null(strstr(a.body, "process_resident_memory_bytes"));
    assert_non_null(strstr(a.body, "readside_http_requests_total{server=\"query-api\",route=\"/readyz\",method=\"GET\","
                                   "status=\"5xx\"} 2"));

    /* SIGHUP takes over what may change, keeps the rest, and survives a broken file. */
    write_file("serve.ini",
               "[core]\nlog_level = warn\n[query-api]\nlimit = 6\npause = 1s\non = yes\nlisten = 127.0.0.1:1\n", config,
               sizeof(config));
    kill(pid, SIGHUP);
    read_output(fd, &output, "changed=4 limit=6 listen=127.0.0.1:0");
    contains(&output, "event=reload.needs_restart section=query-api option=listen\n"); /* and nothing else does */
    assert_null(strstr(strstr(output.data, "reload.needs_restart") + 1, "reload.needs_restart"));
    write_file("serve.ini", "[query-api]\nlimit = many\n", config, sizeof(config));
    kill(pid, SIGHUP);
    read_output(fd, &output, "event=reload.failed");
    write_file("serve.ini", "[query-api]\nlimit = 7\n", config, sizeof(config));
    kill(pid, SIGHUP);
    read_output(fd, &output, "changed=4 limit=7");
    kill(pid, SIGTERM);
    read_output(fd, &output, NULL);
    contains(&output, "event=stopping"); /* at level info again */
    close(fd);
    assert_int_equal(wait_exit(pid), 0);
}

/* Who asks twice does not want to wait. */
static void test_second_signal(void **state) {
    (void)state;
    OUTPUT;
    int fd;
    pid_t pid = spawn(&fd, (const char *[]){"--query-api.on=true", "--core.log_format=json", NULL});
    read_output(fd, &output, "\"event\":\"listening\"");
    kill(pid, SIGINT);
    read_output(fd, &output, "\"event\":\"stopping\"");
    kill(pid, SIGTERM);
    assert_int_equal(wait_exit(pid), 130);
    close(fd);
}

static void test_start_failure(void **state) {
    (void)state;
    OUTPUT;
    assert_int_equal(run(&output, (const char *[]){"--query-api.listen=nonsense", NULL}), 1);
    contains(&output, "event=start.failed");
    contains(&output, "nonsense");
    buf_reset(&output);
    assert_int_equal(run(&output, (const char *[]){"--query-api.port_file=/nonexistent/port", NULL}), 1);
    contains(&output, "/nonexistent/port");
}

static int make_directory(void **state) {
    (void)state;
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state) {
    (void)state;
    static const char *const names[] = {"a.ini", "b.ini", "bad.ini", "serve.ini", "port"};
    char path[100];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        unlink(path);
    }
    return rmdir(directory);
}

int main(int argc, char **argv) {
    if (getenv(CHILD_VARIABLE))
        return child_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help_and_version), cmocka_unit_test(test_print_config),
        cmocka_unit_test(test_usage_errors),     cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_serving),          cmocka_unit_test(test_second_signal),
        cmocka_unit_test(test_start_failure),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
