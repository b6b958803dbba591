#include "core/daemon.h"
#include "core/cleanup.h"
#include "core/daemon_internal.h"
#include "core/http_client.h"
#include "core/kafka.h"
#include "core/metrics.h"
#include "core/mongo.h"
#include "core/mysql.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX_BYTES ((size_t)4 << 20)
#define EXIT_USAGE 2

const struct option core_option_table[] = {
    {.section = "core",
     .key = "log_level",
     .type = OPTION_ENUM,
     .value = "info",
     .values = "debug|info|warn|error",
     .help = "The least important events that are logged.",
     .offset = offsetof(struct core_conf, log_level),
     .reload = true},
    {.section = "core",
     .key = "log_format",
     .type = OPTION_ENUM,
     .value = "logfmt",
     .values = "logfmt|json",
     .help = "How a log line is written.",
     .offset = offsetof(struct core_conf, log_format)},
};
const size_t core_option_count = ARRAY_LEN(core_option_table);

enum action { ACTION_RUN, ACTION_HELP, ACTION_VERSION, ACTION_CHECK, ACTION_PRINT, ACTION_MARKDOWN };

/* What the command line said; kept for daemon_reload. There is one program in a process. */
static struct {
    const char *config_file;
    const char **overrides; /* NULL-terminated, into argv */
    size_t override_count;
    enum action action;
} command_line;

/* For SIGHUP; NULL before daemon_start has succeeded and after daemon_finish. */
static struct daemon_program *running;

/* -- command line -- */

static bool has_options(const struct daemon_program *p, const char *section, size_t len) {
    for (size_t i = 0; i < p->group_count; i++)
        for (size_t j = 0; j < p->groups[i].count; j++)
            if (strlen(p->groups[i].options[j].section) == len &&
                memcmp(p->groups[i].options[j].section, section, len) == 0)
                return true;
    for (size_t i = 0; conf_known_sections[i]; i++)
        if (strlen(conf_known_sections[i]) == len && memcmp(conf_known_sections[i], section, len) == 0)
            return true;
    return false;
}

/* "--section.key=value" with a section that exists. */
static bool is_override(const struct daemon_program *p, const char *arg) {
    size_t section = strcspn(arg + 2, ".=");
    return arg[2 + section] == '.' && strchr(arg, '=') && has_options(p, arg + 2, section);
}

static bool is_help(const char *arg) {
    return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

/* One argument that begins with dashes. Sets *ret_taken to how many arguments it used, 0 if it is unknown. */
static bool take_option(const struct daemon_program *p, char **args, int left, int *ret_taken, struct error *reterr) {
    const char *arg = args[0], *value = left > 1 ? args[1] : NULL;
    *ret_taken = 1;
    if (is_help(arg)) {
        command_line.action = ACTION_HELP;
    } else if (strcmp(arg, "--version") == 0) {
        command_line.action = ACTION_VERSION;
    } else if (strcmp(arg, "--check-config") == 0) {
        command_line.action = ACTION_CHECK;
    } else if (strcmp(arg, "--print-config") == 0) {
        command_line.action = ACTION_PRINT;
    } else if (strcmp(arg, "--print-options") == 0) {
        if (!value || strcmp(value, "markdown") != 0)
            return error_set(reterr, ERROR_INVALID, "--print-options needs a format: markdown");
        command_line.action = ACTION_MARKDOWN;
        *ret_taken = 2;
    } else if (strcmp(arg, "--config") == 0) {
        if (!value)
            return error_set(reterr, ERROR_INVALID, "--config needs a file name");
        command_line.config_file = value;
        *ret_taken = 2;
    } else if (strncmp(arg, "--config=", 9) == 0) {
        command_line.config_file = arg + 9;
    } else if (strncmp(arg, "--", 2) == 0 && is_override(p, arg)) {
        command_line.overrides[command_line.override_count++] = arg + 2;
    } else {
        *ret_taken = 0;
    }
    return true;
}

static bool parse_arguments(struct daemon_program *p, int argc, char **argv, struct error *reterr) {
    bool options_over = false;
    command_line.config_file = getenv("READSIDE_CONFIG");
    for (int i = 1; i < argc;) {
        int taken = 0;
        bool dashes = argv[i][0] == '-' && argv[i][1] != '\0';
        if (!options_over && strcmp(argv[i], "--") == 0) {
            options_over = true;
            if (p->argc > 0) /* a command's options end here too */
                p->argv[p->argc++] = argv[i];
            i++;
            continue;
        }
        bool own = !options_over && dashes && !(p->commands_have_help && p->argc > 0 && is_help(argv[i]));
        if (own && !take_option(p, argv + i, argc - i, &taken, reterr))
            return false;
        if (taken) {
            i += taken;
            continue;
        }
        if (!options_over && dashes && p->argc == 0)
            return error_set(reterr, ERROR_INVALID, "unknown option %.*s", (int)strcspn(argv[i], "="), argv[i]);
        p->argv[p->argc++] = argv[i++];
    }
    return true;
}

/* -- what the options print -- */

static void write_help(const struct daemon_program *p, struct buf *out) {
    buf_printf(out, "%s %s - %s\n\n", p->name, READSIDE_VERSION, p->summary);
    buf_printf(out, "Usage: %s [options]%s\n", p->name, p->commands ? " [command]" : "");
    if (p->commands)
        buf_printf(out, "\n%s\n", p->commands);
    buf_append_str(out,
                   "\nOptions:\n"
                   "  --config FILE               read FILE (readside.ini); default: READSIDE_CONFIG, else none\n"
                   "  --SECTION.KEY=VALUE         set one option; comes before READSIDE_SECTION_KEY in the\n"
                   "                              environment, which comes before the file\n"
                   "  --check-config              check the configuration and exit\n"
                   "  --print-config              print the configuration in effect as an ini file and exit\n"
                   "  --print-options markdown    print the table of all options and exit\n"
                   "  --version                   print the versions of the program and its libraries and exit\n"
                   "  --help                      print this and exit\n"
                   "\nSIGTERM and SIGINT finish what is under way and stop; SIGHUP reads the configuration again.\n"
                   "\nConfiguration:\n");
    conf_help(p->groups, p->group_count, out);
}

static void write_version(const struct daemon_program *p, struct buf *out) {
    buf_printf(out, "%s %s\n", p->name, READSIDE_VERSION);
    buf_printf(out, "libmicrohttpd/%s\n", http_server_library_version());
    buf_printf(out, "%s\n", http_client_library_version());
    buf_printf(out, "libmongoc/%s\n", mongoc_get_version());
    buf_printf(out, "mysql client/%s\n", mysql_get_client_info());
    buf_printf(out, "librdkafka/%s\n", kafka_library_version());
}

static int print_out(struct buf *out) {
    bool ok = buf_ok(out) && fwrite(out->data ? out->data : "", 1, out->len, stdout) == out->len && fflush(stdout) == 0;
    buf_done(out);
    return ok ? 0 : 1;
}

static int usage_error(const struct daemon_program *p, const struct error *error) {
    fprintf(stderr, "%s: %s\nTry '%s --help'.\n", p->name, error->message, p->name);
    return EXIT_USAGE;
}

/* -- start and end -- */

static struct conf_sources sources(void) {
    return (struct conf_sources){
        .file = command_line.config_file, .environment = environ, .overrides = command_line.overrides};
}

static void free_arguments(struct daemon_program *p) {
    free(p->argv);
    free(command_line.overrides);
    p->argv = NULL;
    p->argc = 0;
    command_line.overrides = NULL;
    command_line.override_count = 0;
}

static void block_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* inherited by every thread: only the signalfd sees them */
    signal(SIGPIPE, SIG_IGN);
}

/* Before the configuration is needed. False: exit with *ret_code. */
static bool print_and_exit(const struct daemon_program *p, int *ret_code) {
    struct buf out = BUF_INIT(TEXT_MAX_BYTES);
    switch (command_line.action) {
    case ACTION_HELP:
        write_help(p, &out);
        break;
    case ACTION_VERSION:
        write_version(p, &out);
        break;
    case ACTION_MARKDOWN:
        conf_markdown(p->groups, p->group_count, &out);
        break;
    default:
        return true;
    }
    *ret_code = print_out(&out);
    return false;
}

static bool print_config_and_exit(const struct daemon_program *p, int *ret_code) {
    struct buf out = BUF_INIT(TEXT_MAX_BYTES);
    if (command_line.action == ACTION_CHECK)
        buf_append_str(&out, "configuration ok\n");
    else if (command_line.action == ACTION_PRINT)
        conf_print(p->groups, p->group_count, &out);
    else
        return true;
    *ret_code = print_out(&out);
    return false;
}

bool daemon_start(struct daemon_program *p, int argc, char **argv, int *ret_code) {
    struct error error = {0};
    p->argc = 0;
    p->argv = calloc((size_t)argc + 1, sizeof(*p->argv));
    command_line.action = ACTION_RUN;
    command_line.override_count = 0;
    command_line.overrides = calloc((size_t)argc + 1, sizeof(*command_line.overrides));
    if (!p->argv || !command_line.overrides) {
        error_nomem(&error);
        *ret_code = usage_error(p, &error);
        free_arguments(p);
        return false;
    }
    if (!parse_arguments(p, argc, argv, &error)) {
        *ret_code = usage_error(p, &error);
        free_arguments(p);
        return false;
    }
    const struct conf_sources from = sources();
    bool run = print_and_exit(p, ret_code);
    if (run && !conf_load(p->groups, p->group_count, &from, &error)) {
        *ret_code = usage_error(p, &error);
        run = false;
    } else if (run && p->check && !p->check(p->check_ctx, &error)) {
        *ret_code = usage_error(p, &error);
        conf_done(p->groups, p->group_count);
        run = false;
    } else if (run && !print_config_and_exit(p, ret_code)) {
        conf_done(p->groups, p->group_count);
        run = false;
    }
    if (!run) {
        free_arguments(p);
        return false;
    }
    log_init(p->name, (enum log_level)p->core->log_level, (enum log_format)p->core->log_format);
    block_signals();
    daemon_health_start(p->name);
    running = p;
    return true;
}

void daemon_finish(struct daemon_program *p) {
    running = NULL;
    daemon_signals_done();
    daemon_health_done();
    conf_done(p->groups, p->group_count);
    free_arguments(p);
    metrics_done();
}

/* -- reload -- */

static size_t target_size(const struct conf_group *group) {
    size_t size = 0;
    for (size_t i = 0; i < group->count; i++)
        if (group->options[i].offset + sizeof(int64_t) > size)
            size = group->options[i].offset + sizeof(int64_t); /* no option type is larger */
    return size;
}

static void free_scratch(struct conf_group *scratch, size_t count) {
    for (size_t i = 0; scratch && i < count; i++)
        free(scratch[i].target);
    free(scratch);
}

static struct conf_group *new_scratch(const struct daemon_program *p) {
    struct conf_group *scratch = calloc(p->group_count ? p->group_count : 1, sizeof(*scratch));
    for (size_t i = 0; scratch && i < p->group_count; i++) {
        scratch[i] = p->groups[i];
        scratch[i].target = calloc(1, target_size(&p->groups[i]) + 1);
        if (!scratch[i].target) {
            free_scratch(scratch, i);
            return NULL;
        }
    }
    return scratch;
}

static bool differs(const struct option *o, const void *target, const void *fresh) {
    const char *at = (const char *)target + o->offset, *other = (const char *)fresh + o->offset;
    switch (o->type) {
    case OPTION_INT:
    case OPTION_BYTES:
    case OPTION_DURATION:
        return memcmp(at, other, sizeof(uint64_t)) != 0;
    case OPTION_BOOL:
        return memcmp(at, other, sizeof(bool)) != 0;
    case OPTION_ENUM:
        return memcmp(at, other, sizeof(int)) != 0;
    case OPTION_STRING:
    case OPTION_SECRET:
    case OPTION_URL:
    case OPTION_PEM:
        return strcmp(*(char *const *)(const void *)at, *(char *const *)(const void *)other) != 0;
    }
    return false;
}

/* Readers on other threads see the old or the new value. */
static void take_over(const struct option *o, void *target, void *fresh) {
    char *to = (char *)target + o->offset, *from = (char *)fresh + o->offset;
    if (o->type == OPTION_BOOL)
        __atomic_store_n((bool *)to, *(bool *)from, __ATOMIC_RELAXED);
    else if (o->type == OPTION_ENUM)
        __atomic_store_n((int *)(void *)to, *(int *)(void *)from, __ATOMIC_RELAXED);
    else /* a number; strings have owners */
        __atomic_store_n((uint64_t *)(void *)to, *(uint64_t *)(void *)from, __ATOMIC_RELAXED);
}

/* Returns how many options have a new value from now on; what else is new is named in the log. */
static unsigned take_over_group(const struct conf_group *group, const struct conf_group *fresh) {
    unsigned changed = 0;
    for (size_t i = 0; i < group->count; i++) {
        const struct option *o = &group->options[i];
        if (!differs(o, group->target, fresh->target))
            continue;
        if (o->reload)
            take_over(o, group->target, fresh->target);
        else
            log_warn("reload.needs_restart", LOG_STR("section", o->section), LOG_STR("option", o->key));
        changed += o->reload;
    }
    return changed;
}

bool daemon_reload(struct daemon_program *p, unsigned *ret_changed, struct error *reterr) {
    struct conf_group *scratch = new_scratch(p);
    if (!scratch)
        return error_nomem(reterr);
    const struct conf_sources from = sources();
    bool ok = conf_load(scratch, p->group_count, &from, reterr);
    unsigned changed = 0;
    for (size_t i = 0; ok && i < p->group_count; i++)
        changed += take_over_group(&p->groups[i], &scratch[i]);
    if (ok) {
        conf_done(scratch, p->group_count);
        log_set_level((enum log_level)p->core->log_level);
        *ret_changed = changed;
    }
    free_scratch(scratch, p->group_count);
    return ok;
}

void daemon_reload_running(void) {
    struct error error = {0};
    unsigned changed = 0;
    if (!running)
        return;
    if (daemon_reload(running, &changed, &error))
        log_info("reloaded", LOG_INT("changed", changed));
    else
        log_warn("reload.failed", LOG_ERR(&error));
}

/* -- listening -- */

static bool write_port(const char *path, unsigned port, struct error *reterr) {
    struct buf temporary = BUF_INIT(4096), text = BUF_INIT(16);
    buf_printf(&temporary, "%s.tmp", path);
    buf_printf(&text, "%u\n", port);
    FILE *f = buf_ok(&temporary) && buf_ok(&text) ? fopen(temporary.data, "w") : NULL;
    bool ok = f && fwrite(text.data, 1, text.len, f) == text.len;
    ok = (!f || fclose(f) == 0) && ok && rename(temporary.data, path) == 0;
    if (!ok)
        error_set(reterr, ERROR_INVALID, "port_file %.120s cannot be written: %s", path, strerror(errno));
    buf_done(&temporary);
    buf_done(&text);
    return ok;
}

bool daemon_announce(const char *listen, unsigned port, const char *port_file, struct error *reterr) {
    if (port_file && *port_file && !write_port(port_file, port, reterr))
        return false;
    const char *colon = strrchr(listen, ':');
    char address[96];
    (void)snprintf(address, sizeof(address), "%.*s:%u", colon ? (int)(colon - listen) : 0, listen, port);
    log_info("listening", LOG_STR("address", address));
    return true;
}
