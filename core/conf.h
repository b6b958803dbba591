/* conf.h - configuration from option tables: one table gives type, default, range, unit and description, and
 * --help, --print-config, the parser and the generated docs all come from it.
 *
 * Order of precedence: built-in default < file (readside.ini, inih) < environment READSIDE_<SECTION>_<KEY>
 * (upper case, '-' becomes '_') < command line --<section>.<key>=VALUE. An unknown section or key in the file,
 * a key given twice or a bad value stops with ERROR_INVALID that names file, line, key, value and range.
 * A section or key that belongs to another of the three programs is accepted in a shared file: see `known`.
 * A secret or a URL may be given as <key>_file = PATH (and READSIDE_<SECTION>_<KEY>_FILE): the file's content without
 * its last newline. A PATH without '/' at its start is looked for in $CREDENTIALS_DIRECTORY first, where systemd puts
 * what LoadCredential= names. Secrets print as "***", URLs without user and password. On the command line, which every
 * user of the machine can read, neither a secret nor a URL with a password is taken.
 * Thread: load before threads start; the filled structs are read-only afterwards. */
#pragma once
#include "core/buf.h"
#include "core/clock.h"
#include "core/error.h"

enum option_type {
    OPTION_STRING,   /* char *  */
    OPTION_SECRET,   /* char *, never printed */
    OPTION_URL,      /* char *: one or several URLs; printed without what stands before their '@' */
    OPTION_PEM,      /* char *: path of a PEM file with a block of `values`, or empty; looked into when it is loaded */
    OPTION_INT,      /* int64_t in [min, max] */
    OPTION_BOOL,     /* bool: true/false/on/off/yes/no/1/0 */
    OPTION_DURATION, /* usec_t: 500us 20ms 3s 5m 2h 1d; min and max in microseconds */
    OPTION_BYTES,    /* int64_t: 4096 64k 16m 1g (powers of 1024); min and max in bytes */
    OPTION_ENUM,     /* int: index into the '|'-separated `values` */
};

struct option {
    const char *section;
    const char *key;
    enum option_type type;
    const char *value; /* the default, written as in the file */
    int64_t min, max;  /* both 0: no range; max of a secret: most bytes */
    const char *values; /* OPTION_ENUM: "logfmt|json"; OPTION_PEM: "CERTIFICATE" or "PRIVATE KEY" */
    const char *help;  /* one sentence */
    size_t offset;     /* of the field in the target struct */
    bool reload;       /* takes effect at SIGHUP */
};

/* One option table together with the struct that it fills. */
struct conf_group {
    const struct option *options;
    size_t count;
    void *target;
};

struct conf_sources {
    const char *file;          /* NULL: none. A missing file is an error. */
    char *const *environment;  /* environ, or NULL for none */
    const char *const *overrides; /* "section.key=value", NULL-terminated, or NULL */
};

/* Fills every target of the groups. Strings are malloc'ed and freed by conf_done(). On failure nothing in
 * the targets needs freeing. */
bool conf_load(const struct conf_group *groups, size_t count, const struct conf_sources *sources,
               struct error *reterr);
/* Parses an ini text in memory (same rules; `name` stands for the file in messages): for fuzzing and tests. */
bool conf_load_text(const struct conf_group *groups, size_t count, const char *name, const char *text,
                    size_t len, struct error *reterr);
void conf_done(const struct conf_group *groups, size_t count);

/* Sections that a shared readside.ini may hold although this program has no table for them. */
extern const char *const conf_known_sections[]; /* NULL-terminated */

/* The effective configuration as an ini file that loads back (secrets as "***"), each key under its comment. */
void conf_print(const struct conf_group *groups, size_t count, struct buf *ret);
/* The options part of --help. */
void conf_help(const struct conf_group *groups, size_t count, struct buf *ret);
/* The same as a Markdown table, for the docs. */
void conf_markdown(const struct conf_group *groups, size_t count, struct buf *ret);
