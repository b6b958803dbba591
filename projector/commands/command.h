/* command.h - the commands of the program: one table, from which main dispatches and --help is printed.
 *
 * A command lives in command_NAME.c, which defines `const struct command command_NAME`, parses its own options
 * (command_parse; argv[0] is the command's name) and returns one of enum command_exit. The options of
 * the configuration (--config, --SECTION.KEY=VALUE) are taken out before, and the drivers are initialised.
 *
 * Output: the result goes to stdout, what is said on the way (command_progress.h) to stderr; with
 * --json everything is JSON lines on stdout. The log stands on stderr and begins at warn for a command, at info for
 * a daemon, unless core.log_level says debug or error.
 *
 * Thread: main. */
#pragma once
#include "core/daemon.h"
#include "projector/options.h"

/* The one list of exit codes; projector/README.md explains them. */
enum command_exit {
    COMMAND_OK = 0,
    COMMAND_FAILED = 1,      /* it was tried and did not work */
    COMMAND_USAGE = 2,       /* wrong usage or configuration; nothing was tried */
    COMMAND_DIFFERENCES = 3, /* it worked, and what it found needs somebody's attention */
    COMMAND_UNREACHABLE = 4, /* a server or the daemon that it needs does not answer */
    COMMAND_DETACHED = 5,    /* the job that was waited for goes on without us */
    COMMAND_INTERRUPTED = 130,
};

struct command {
    const char *name;
    const char *usage;   /* what stands after "projector NAME": "[--json]" */
    const char *summary; /* one line for --help */
    const char *help;    /* the options, one per line, for `projector NAME --help`; may be NULL */
    bool daemon;         /* runs until SIGTERM: signals stay blocked (daemon_watch_signals), logs begin at info */
    int (*run)(const struct projector_options *options, int argc, char **argv);
};

extern const struct command command_run, command_dead_letters, command_jobs, command_reindex, command_relay,
    command_rollback, command_status, command_verify;

/* In the order of --help; NULL ends it. */
extern const struct command *const projector_commands[];

const struct command *command_find(const char *name); /* NULL: there is none */
/* The commands and the exit codes, for the program's --help. */
void command_write_list(struct buf *out);
/* argv[0] is the command's name. Handles --help and an unknown name. */
int command_dispatch(const struct projector_options *options, int argc, char **argv);

/* "projector NAME: message" and a hint at --help on stderr; returns COMMAND_USAGE. */
int command_usage_error(const struct command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "projector NAME: message" on stderr; returns COMMAND_UNREACHABLE if a retry may help, else COMMAND_FAILED. */
int command_error(const struct command *command, const struct error *error);
/* The arguments from argv[1] on: "--name", "--name=value" or "--name value" as the table says, everything else is a word
 * (all after "--" is). INVALID names what is wrong. */
struct command_option {
    const char *name; /* without the dashes; NULL ends the table */
    int id;
    bool takes_value;
};
bool command_parse(const struct command_option *table, int argc, char **argv,
                   bool (*option)(void *ctx, int id, const char *value, struct error *reterr),
                   bool (*word)(void *ctx, const char *word, struct error *reterr), void *ctx, struct error *reterr);
/* A whole decimal number, or INVALID with the option's name. */
bool command_number(const char *option, const char *text, int64_t min, int64_t max, int64_t *ret, struct error *reterr);

/* -- Ctrl-C: from command_watch_interrupts on, SIGINT and SIGTERM are only counted -- */
void command_watch_interrupts(void);
unsigned command_interrupts(void);
bool command_terminated(void); /* one of them was a SIGTERM, which no keyboard sends */
/* Returns early when a signal arrives. */
void command_sleep(usec_t usec);
