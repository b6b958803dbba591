#include "core/conf.h"
#include "core/cleanup.h"
#include "core/conf_value.h"
#include "core/uri.h"
#include "core/utf8.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const char *const conf_known_sections[] = {"core",      "mongo",     "mysql", "elasticsearch", "kafka", "write-api",
                                           "projector", "query-api", NULL};

enum { FILE_MAX_BYTES = 1 << 20, SECRET_MAX_BYTES = 64 << 10, ORIGIN_BYTES = 160, NAME_BYTES = 128 };
enum rank { RANK_DEFAULT, RANK_FILE, RANK_ENVIRONMENT, RANK_OVERRIDE };

/* What is known so far about one option. */
struct setting {
    const struct option *option;
    void *target;
    enum rank rank;
    char *text;   /* as given; NULL: the default */
    bool is_path; /* text names the file that holds the secret */
    char origin[ORIGIN_BYTES];
    union conf_value value; /* parsed; taken over by the target at the end */
    bool parsed;
};

struct loader {
    struct setting *settings;
    size_t count;
    struct error *reterr;
    bool failed;
    const char *credentials; /* systemd's folder of secrets, or NULL */
    /* While an ini text is read: */
    const char *name;
    struct slice rest;
    int line;
};

static void loader_done(struct loader *l) {
    for (size_t i = 0; i < l->count; i++) {
        struct setting *s = &l->settings[i];
        free(s->text);
        if (s->parsed && conf_value_is_string(s->option))
            free(s->value.string);
    }
    free(l->settings);
}

static bool loader_init(struct loader *l, const struct conf_group *groups, size_t count, struct error *reterr) {
    *l = (struct loader){.reterr = reterr};
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += groups[i].count;
    l->settings = calloc(total ? total : 1, sizeof(*l->settings));
    if (!l->settings)
        return error_nomem(reterr);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < groups[i].count; j++)
            l->settings[l->count++] = (struct setting){.option = &groups[i].options[j], .target = groups[i].target};
    return true;
}

static bool has_table(const struct loader *l, const char *section) {
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->settings[i].option->section, section) == 0)
            return true;
    return false;
}

static bool is_known_section(const char *section) {
    for (size_t i = 0; conf_known_sections[i]; i++)
        if (strcmp(conf_known_sections[i], section) == 0)
            return true;
    return false;
}

/* Levenshtein distance, of names of at most 31 bytes; a large number otherwise. */
static size_t distance(const char *a, const char *b) {
    enum { MAX = 31 };
    size_t n = strlen(a), m = strlen(b), row[MAX + 1];
    if (n > MAX || m > MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[m];
}

struct nearest {
    const char *wanted, *best;
    size_t best_distance;
};

static void consider(struct nearest *n, const char *candidate) {
    size_t d = distance(n->wanted, candidate);
    size_t limit = strlen(n->wanted) / 3 > 2 ? strlen(n->wanted) / 3 : 2;
    if (d <= limit && (!n->best || d < n->best_distance)) {
        n->best = candidate;
        n->best_distance = d;
    }
}

static bool unknown_section(struct loader *l, const char *origin, const char *section) {
    if (is_known_section(section))
        return error_set(l->reterr, ERROR_INVALID, "%s: this program has no options in [%s]", origin, section);
    struct nearest n = {.wanted = section};
    for (size_t i = 0; i < l->count; i++)
        consider(&n, l->settings[i].option->section);
    for (size_t i = 0; conf_known_sections[i]; i++)
        consider(&n, conf_known_sections[i]);
    if (n.best)
        return error_set(l->reterr, ERROR_INVALID, "%s: there is no section [%s]; did you mean [%s]?", origin, section,
                         n.best);
    return error_set(l->reterr, ERROR_INVALID, "%s: there is no section [%s]", origin, section);
}

static bool unknown_key(struct loader *l, const char *origin, const char *section, const char *key) {
    struct nearest n = {.wanted = key};
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->settings[i].option->section, section) == 0)
            consider(&n, l->settings[i].option->key);
    if (n.best)
        return error_set(l->reterr, ERROR_INVALID, "%s: [%s] has no option '%s'; did you mean '%s'?", origin, section,
                         key, n.best);
    return error_set(l->reterr, ERROR_INVALID, "%s: [%s] has no option '%s'", origin, section, key);
}

/* key is an option's key, or a secret's key with "_file" behind it. */
static struct setting *find_setting(struct loader *l, const char *section, const char *key, bool *ret_is_path) {
    size_t len = strlen(key);
    size_t base = len > 5 && strcmp(key + len - 5, "_file") == 0 ? len - 5 : 0;
    struct setting *secret = NULL;
    for (size_t i = 0; i < l->count; i++) {
        struct setting *s = &l->settings[i];
        if (strcmp(s->option->section, section) != 0)
            continue;
        if (strcmp(s->option->key, key) == 0) {
            *ret_is_path = false;
            return s;
        }
        if (base && conf_value_has_file(s->option) && strlen(s->option->key) == base &&
            memcmp(s->option->key, key, base) == 0)
            secret = s;
    }
    *ret_is_path = true;
    return secret;
}

static bool assign(struct loader *l, struct setting *s, enum rank rank, bool is_path, const char *value,
                   const char *origin) {
    char *text = strdup(value);
    if (!text)
        return error_nomem(l->reterr);
    free(s->text);
    s->text = text;
    s->rank = rank;
    s->is_path = is_path;
    snprintf(s->origin, sizeof(s->origin), "%s", origin);
    return true;
}

/* ---- the ini text ---- */

static void line_origin(const struct loader *l, char ret[ORIGIN_BYTES]) {
    snprintf(ret, ORIGIN_BYTES, "%.120s:%d", l->name, l->line);
}

static void line_error(struct loader *l, const char *what) {
    char origin[ORIGIN_BYTES];
    line_origin(l, origin);
    error_set(l->reterr, ERROR_INVALID, "%s: %s", origin, what);
    l->failed = true;
}

static bool check_section(struct loader *l, struct slice line) {
    char section[64], origin[ORIGIN_BYTES];
    const char *end = memchr(line.data, ']', line.len);
    size_t len = end ? (size_t)(end - line.data) - 1 : 0;
    if (!end || len >= sizeof(section)) {
        line_error(l, end ? "the section's name is too long" : "a section without its ']'");
        return false;
    }
    memcpy(section, line.data + 1, len);
    section[len] = '\0';
    if (has_table(l, section) || is_known_section(section))
        return true;
    line_origin(l, origin);
    l->failed = true;
    return unknown_section(l, origin, section);
}

static bool has_control_character(struct slice s) {
    for (size_t i = 0; i < s.len; i++)
        if (((unsigned char)s.data[i] < 0x20 && s.data[i] != '\t') || s.data[i] == 0x7F)
            return true;
    return false;
}

static struct slice next_line(struct loader *l) {
    const char *newline = memchr(l->rest.data, '\n', l->rest.len);
    struct slice line = {l->rest.data, newline ? (size_t)(newline - l->rest.data) : l->rest.len};
    size_t taken = newline ? line.len + 1 : line.len;
    l->rest = (struct slice){l->rest.data + taken, l->rest.len - taken};
    l->line++;
    while (line.len && isspace((unsigned char)line.data[0]))
        line = (struct slice){line.data + 1, line.len - 1};
    while (line.len && isspace((unsigned char)line.data[line.len - 1]))
        line.len--;
    return line;
}

/* inih's reader: one line at a time, so that its number is known. Spaces in front go, or inih would take the line
 * as a continuation of the one before. A comment goes too: it may be longer than inih's lines. */
static char *read_line(char *str, int size, void *stream) {
    struct loader *l = stream;
    if (l->failed || l->rest.len == 0)
        return NULL;
    struct slice line = next_line(l);
    if (line.len && (line.data[0] == '#' || line.data[0] == ';'))
        line.len = 0;
    if (size < 4 || line.len > (size_t)size - 3) {
        char what[128];
        snprintf(what, sizeof(what), "the line has %zu bytes, more than %d; give a long value by environment", line.len,
                 size - 3);
        line_error(l, what);
        return NULL;
    }
    if (has_control_character(line)) {
        line_error(l, "a control character; give such a value by environment");
        return NULL;
    }
    if (line.len && line.data[0] == '[' && !check_section(l, line))
        return NULL;
    memcpy(str, line.data, line.len);
    memcpy(str + line.len, "\n", 2);
    return str;
}

static int on_pair(void *user, const char *section, const char *key, const char *value) {
    struct loader *l = user;
    char origin[ORIGIN_BYTES];
    bool is_path;
    if (l->failed)
        return 0;
    if (section[0] == '\0') {
        line_error(l, "a key before the first [section]");
        return 0;
    }
    struct setting *s = find_setting(l, section, key, &is_path);
    line_origin(l, origin);
    if (!s && !has_table(l, section))
        return 1; /* another program's */
    if (!s) {
        unknown_key(l, origin, section, key);
        l->failed = true;
    } else if (s->rank == RANK_FILE) {
        error_set(l->reterr, ERROR_INVALID, "%s: [%s] %s is given twice, first at %s", origin, section, key, s->origin);
        l->failed = true;
    } else if (!assign(l, s, RANK_FILE, is_path, value, origin)) {
        l->failed = true;
    }
    return !l->failed;
}

static bool parse_text(struct loader *l, const char *name, const char *text, size_t len) {
    static const char bom[] = "\xEF\xBB\xBF";
    if (len >= 3 && memcmp(text, bom, 3) == 0) {
        text += 3;
        len -= 3;
    }
    if (!utf8_valid(text, len) || memchr(text, '\0', len))
        return error_set(l->reterr, ERROR_INVALID, "%s: is not a text in UTF-8", name);
    l->name = name;
    l->rest = (struct slice){text, len};
    l->line = 0;
    int wrong_line = ini_parse_stream(read_line, l, on_pair, l);
    if (l->failed)
        return false;
    if (wrong_line < 0)
        return error_nomem(l->reterr);
    if (wrong_line > 0)
        return error_set(l->reterr, ERROR_INVALID, "%s:%d: neither [section] nor key = value", name, wrong_line);
    return true;
}

/* ---- files ---- */

static bool read_file(const char *path, size_t max, struct buf *ret, struct error *reterr) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(reterr, ERROR_INVALID, "cannot open '%s': %s", path, strerror(errno));
    ssize_t n;
    do {
        n = buf_reserve(ret, 4096) ? read(fd, ret->data + ret->len, 4096) : 0;
        if (n > 0)
            ret->len += (size_t)n;
    } while (n > 0 && ret->len <= max);
    int read_errno = errno;
    close(fd);
    if (ret->failed)
        return error_nomem(reterr);
    if (n < 0)
        return error_set(reterr, ERROR_INVALID, "cannot read '%s': %s", path, strerror(read_errno));
    if (ret->len > max)
        return error_set(reterr, ERROR_INVALID, "'%s' is larger than %zu bytes", path, max);
    ret->data[ret->len] = '\0';
    return true;
}

static bool load_file(struct loader *l, const char *path) {
    _cleanup_(buf_done) struct buf text = BUF_INIT(FILE_MAX_BYTES + 8192);
    return read_file(path, FILE_MAX_BYTES, &text, l->reterr) && parse_text(l, path, text.data, text.len);
}

/* A name alone is one of systemd's credentials, if it is there. */
static bool find_secret_file(const char *credentials, const char *path, struct buf *ret) {
    if (credentials && path[0] != '/') {
        buf_printf(ret, "%s/%s", credentials, path);
        if (!buf_ok(ret) || access(ret->data, F_OK) == 0)
            return buf_ok(ret);
        buf_reset(ret);
    }
    return buf_append_str(ret, path);
}

/* Puts the file's content, without its last newline, in place of its path. */
static bool read_secret(struct setting *s, const char *credentials, struct error *reterr) {
    _cleanup_(buf_done) struct buf text = BUF_INIT(SECRET_MAX_BYTES + 8192), path = BUF_INIT(8192);
    if (!find_secret_file(credentials, s->text, &path))
        return error_set(reterr, ERROR_INVALID, "%s: the path is too long", s->origin);
    if (!read_file(path.data, SECRET_MAX_BYTES, &text, reterr))
        return error_prefix(reterr, "%s: [%s] %s_file", s->origin, s->option->section, s->option->key);
    if (memchr(text.data, '\0', text.len))
        return error_set(reterr, ERROR_INVALID, "%s: the secret in '%s' holds a NUL byte", s->origin, s->text);
    if (text.len && text.data[text.len - 1] == '\n')
        buf_truncate(&text, text.len - 1);
    if (text.len && text.data[text.len - 1] == '\r')
        buf_truncate(&text, text.len - 1);
    char *secret = buf_steal(&text);
    if (!secret)
        return error_nomem(reterr);
    free(s->text);
    s->text = secret;
    s->is_path = false;
    return true;
}

/* ---- environment and command line ---- */

static const char *find_variable(char *const *environment, const char *name) {
    size_t len = strlen(name);
    for (size_t i = 0; environment[i]; i++)
        if (strncmp(environment[i], name, len) == 0 && environment[i][len] == '=')
            return environment[i] + len + 1;
    return NULL;
}

static bool apply_variable(struct loader *l, struct setting *s, const char *name, bool is_path,
                           char *const *environment) {
    char origin[ORIGIN_BYTES];
    const char *value = find_variable(environment, name);
    if (!value)
        return true;
    snprintf(origin, sizeof(origin), "environment %s", name);
    if (s->rank == RANK_ENVIRONMENT)
        return error_set(l->reterr, ERROR_INVALID, "%s: the same is given by %s", origin, s->origin);
    if (!utf8_valid(value, strlen(value)))
        return error_set(l->reterr, ERROR_INVALID, "%s: is not UTF-8", origin);
    return assign(l, s, RANK_ENVIRONMENT, is_path, value, origin);
}

static bool apply_environment(struct loader *l, char *const *environment) {
    for (size_t i = 0; i < l->count; i++) {
        struct setting *s = &l->settings[i];
        char name[NAME_BYTES];
        int n = snprintf(name, sizeof(name) - 8, "READSIDE_%s_%s", s->option->section, s->option->key);
        for (char *c = name; *c; c++)
            *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
        if (n < 0 || (size_t)n >= sizeof(name) - 8)
            return error_set(l->reterr, ERROR_INTERNAL, "the name of option %s is too long", s->option->key);
        if (!apply_variable(l, s, name, false, environment))
            return false;
        if (!conf_value_has_file(s->option))
            continue;
        memcpy(name + n, "_FILE", 6);
        if (!apply_variable(l, s, name, true, environment))
            return false;
    }
    return true;
}

static bool is_confidential(const struct option *o, const char *value) {
    if (o->type != OPTION_URL)
        return o->type == OPTION_SECRET && value[0];
    _cleanup_(buf_done) struct buf shown = BUF_INIT(1 << 20);
    return !uri_redact(&shown, value) || strcmp(shown.data, value) != 0;
}

/* "section.key=value"; given twice, the last one counts, as usual on a command line. */
static bool apply_override(struct loader *l, const char *override) {
    char name[NAME_BYTES], origin[ORIGIN_BYTES];
    const char *equals = strchr(override, '='), *dot = strchr(override, '.');
    size_t len = equals ? (size_t)(equals - override) : 0;
    if (!equals || !dot || dot > equals || len >= sizeof(name))
        return error_set(l->reterr, ERROR_INVALID, "command line: '%.*s' is not section.key=value",
                         (int)strcspn(override, "="), override);
    memcpy(name, override, len);
    name[len] = '\0';
    snprintf(origin, sizeof(origin), "command line --%s", name);
    name[dot - override] = '\0';
    const char *section = name, *key = name + (dot - override) + 1;
    bool is_path;
    struct setting *s = find_setting(l, section, key, &is_path);
    if (!s)
        return has_table(l, section) ? unknown_key(l, origin, section, key) : unknown_section(l, origin, section);
    if (!utf8_valid(equals + 1, strlen(equals + 1)))
        return error_set(l->reterr, ERROR_INVALID, "%s: the value is not UTF-8", origin);
    if (!is_path && is_confidential(s->option, equals + 1))
        return error_set(l->reterr, ERROR_INVALID,
                         "%s: every user of the machine can read a command line; give the secret by %s_file or the environment",
                         origin, s->option->key);
    return assign(l, s, RANK_OVERRIDE, is_path, equals + 1, origin);
}

/* ---- the end ---- */

static bool parse_setting(struct setting *s, const char *credentials, struct error *reterr) {
    if (s->is_path && !read_secret(s, credentials, reterr))
        return false;
    const struct option *o = s->option;
    const char *text = s->text ? s->text : o->value ? o->value : "";
    struct error why;
    s->parsed = conf_value_parse(o, text, &s->value, &why);
    if (s->parsed)
        return true;
    if (why.code != ERROR_INVALID) {
        if (reterr)
            *reterr = why;
        return false;
    }
    if (!s->text)
        return error_set(reterr, ERROR_INTERNAL, "default of [%s] %s = '%s': %s", o->section, o->key, text,
                         why.message);
    if (o->type == OPTION_SECRET)
        text = "***";
    return error_set(reterr, ERROR_INVALID, "%s: [%s] %s = '%.*s': %s", s->origin, o->section, o->key,
                     (int)utf8_cut(text, strlen(text), 40), text, why.message);
}

static bool finish(struct loader *l) {
    for (size_t i = 0; i < l->count; i++)
        if (!parse_setting(&l->settings[i], l->credentials, l->reterr))
            return false;
    for (size_t i = 0; i < l->count; i++) {
        struct setting *s = &l->settings[i];
        conf_value_store(s->option, s->target, s->value);
        s->parsed = false; /* the target owns it now */
    }
    return true;
}

static bool load_sources(struct loader *l, const struct conf_sources *sources) {
    l->credentials = sources->environment ? find_variable(sources->environment, "CREDENTIALS_DIRECTORY") : NULL;
    if (sources->file && !load_file(l, sources->file))
        return false;
    if (sources->environment && !apply_environment(l, sources->environment))
        return false;
    for (size_t i = 0; sources->overrides && sources->overrides[i]; i++)
        if (!apply_override(l, sources->overrides[i]))
            return false;
    return finish(l);
}

bool conf_load(const struct conf_group *groups, size_t count, const struct conf_sources *sources,
               struct error *reterr) {
    _cleanup_(loader_done) struct loader l = {0};
    return loader_init(&l, groups, count, reterr) && load_sources(&l, sources);
}

bool conf_load_text(const struct conf_group *groups, size_t count, const char *name, const char *text, size_t len,
                    struct error *reterr) {
    _cleanup_(loader_done) struct loader l = {0};
    return loader_init(&l, groups, count, reterr) && parse_text(&l, name, text, len) && finish(&l);
}

void conf_done(const struct conf_group *groups, size_t count) {
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < groups[i].count; j++) {
            const struct option *o = &groups[i].options[j];
            if (!conf_value_is_string(o))
                continue;
            char **field = (char **)(void *)((char *)groups[i].target + o->offset);
            free(*field);
            *field = NULL;
        }
    }
}
