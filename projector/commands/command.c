#include "core/cleanup.h"
#include "projector/commands/command.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

const struct command *const projector_commands[] = {
    &command_run,
    &command_relay,
    &command_reindex,
    &command_rollback,
    &command_jobs,
    &command_verify,
    &command_status,
    &command_dead_letters,
    NULL,
};

const struct command *command_find(const char *name) {
    for (size_t i = 0; projector_commands[i]; i++)
        if (strcmp(projector_commands[i]->name, name) == 0)
            return projector_commands[i];
    return NULL;
}

void command_write_list(struct buf *out) {
    buf_append_str(out, "Commands (projector COMMAND --help says more):\n");
    for (size_t i = 0; projector_commands[i]; i++)
        buf_printf(out, "  %-14s%s\n", projector_commands[i]->name, projector_commands[i]->summary);
    buf_append_str(out, "\nExit codes:\n"
                        "  0    done, or stopped as told\n"
                        "  1    it was tried and failed\n"
                        "  2    wrong usage or configuration; nothing was tried\n"
                        "  3    done, and what was found needs somebody's attention\n"
                        "  4    a server or the daemon that it needs does not answer\n"
                        "  5    detached: the job that was waited for goes on\n"
                        "  130  interrupted\n");
}

static int print_help(const struct command *command) {
    printf("projector %s - %s\n\nUsage: projector [options] %s%s%s\n", command->name, command->summary, command->name,
           *command->usage ? " " : "", command->usage);
    if (command->help)
        printf("\n%s", command->help);
    printf("\nOptions of the configuration and exit codes: projector --help\n");
    return fflush(stdout) == 0 ? COMMAND_OK : COMMAND_FAILED;
}

int command_dispatch(const struct projector_options *options, int argc, char **argv) {
    const struct command *command = argc > 0 ? command_find(argv[0]) : NULL;
    if (!command) {
        if (argc == 0)
            fprintf(stderr, "projector: no command given\nTry 'projector --help'.\n");
        else
            fprintf(stderr, "projector: unknown command %s\nTry 'projector --help'.\n", argv[0]);
        return COMMAND_USAGE;
    }
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return print_help(command);
    if (!command->daemon && options->core.log_level == LOG_INFO)
        log_set_level(LOG_WARN);
    int code = command->run(options, argc, argv);
    bool said = fflush(stdout) == 0 && !ferror(stdout);
    if (said || (code != COMMAND_OK && code != COMMAND_DIFFERENCES))
        return code;
    fprintf(stderr, "projector %s: cannot write to stdout\n", command->name);
    return COMMAND_FAILED;
}

int command_usage_error(const struct command *command, const char *format, ...) {
    struct error error = {0};
    va_list args;
    va_start(args, format);
    error_setv(&error, ERROR_INVALID, format, args);
    va_end(args);
    fprintf(stderr, "projector %s: %s\nTry 'projector %s --help'.\n", command->name, error.message, command->name);
    return COMMAND_USAGE;
}

int command_error(const struct command *command, const struct error *error) {
    fprintf(stderr, "projector %s: %s\n", command->name, error->message);
    return error_is_retriable(error) ? COMMAND_UNREACHABLE : COMMAND_FAILED;
}

static const struct command_option *option_of(const struct command_option *table, const char *arg, size_t len) {
    for (; table->name; table++)
        if (strlen(table->name) == len && memcmp(table->name, arg, len) == 0)
            return table;
    return NULL;
}

bool command_parse(const struct command_option *table, int argc, char **argv,
                   bool (*option)(void *ctx, int id, const char *value, struct error *reterr),
                   bool (*word)(void *ctx, const char *word, struct error *reterr), void *ctx, struct error *reterr) {
    bool words_only = false;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (!words_only && strcmp(arg, "--") == 0) {
            words_only = true;
            continue;
        }
        if (words_only || arg[0] != '-' || !arg[1]) {
            if (!word)
                return error_set(reterr, ERROR_INVALID, "it takes no argument %.100s", arg);
            if (!word(ctx, arg, reterr))
                return false;
            continue;
        }
        size_t len = strcspn(arg, "=");
        const struct command_option *o = strncmp(arg, "--", 2) == 0 ? option_of(table, arg + 2, len - 2) : NULL;
        const char *value = arg[len] ? arg + len + 1 : NULL;
        if (!o)
            return error_set(reterr, ERROR_INVALID, "unknown option %.100s", arg);
        if (value && !o->takes_value)
            return error_set(reterr, ERROR_INVALID, "--%s takes no value", o->name);
        if (o->takes_value && !value && !(value = i + 1 < argc ? argv[++i] : NULL))
            return error_set(reterr, ERROR_INVALID, "--%s needs a value", o->name);
        if (!option(ctx, o->id, value, reterr))
            return false;
    }
    return true;
}

bool command_number(const char *option, const char *text, int64_t min, int64_t max, int64_t *ret,
                    struct error *reterr) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || errno || value < min || value > max)
        return error_set(reterr, ERROR_INVALID, "%s takes a whole number from %lld to %lld, not %.40s", option,
                         (long long)min, (long long)max, text);
    *ret = value;
    return true;
}

/* -- Ctrl-C -- */

static volatile sig_atomic_t interrupts, terminated;

static void count_interrupt(int signal) {
    if (signal == SIGTERM)
        terminated = 1;
    else
        interrupts = interrupts + 1;
}

void command_watch_interrupts(void) {
    struct sigaction action = {.sa_handler = count_interrupt};
    sigset_t set;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

unsigned command_interrupts(void) {
    return (unsigned)interrupts + (unsigned)terminated;
}

bool command_terminated(void) {
    return terminated;
}

void command_sleep(usec_t usec) {
    struct timespec pause = {.tv_sec = (time_t)(usec / USEC_PER_SEC),
                             .tv_nsec = (long)(usec % USEC_PER_SEC) * 1000};
    nanosleep(&pause, NULL);
}
