#include "core/cleanup.h"
#include "core/clock.h"
#include "projector/commands/command_progress.h"
#include "projector/commands/status_text.h"
#include <math.h>
#include <stdio.h>

enum { LABEL_COLUMNS = 14 };

/* -- reading -- */

static double number(const struct json *v, const char *path) {
    double d = 0;
    const struct json *found = json_path(v, path);
    return found && json_double(found, &d) ? d : 0;
}

static bool has_number(const struct json *v, const char *path) {
    double d;
    const struct json *found = json_path(v, path);
    return found && json_double(found, &d);
}

static const char *text(const struct json *v, const char *path) {
    const struct json *found = json_path(v, path);
    return json_is(found, JSON_STRING) ? found->text.data : "";
}

static bool flag(const struct json *v, const char *path) {
    const struct json *found = json_path(v, path);
    return json_is(found, JSON_BOOL) && found->boolean;
}

static const struct json *children(const struct json *v, const char *path) {
    const struct json *found = json_path(v, path);
    return found && (found->type == JSON_ARRAY || found->type == JSON_OBJECT) ? found->child : NULL;
}

/* -- writing -- */

enum style { PLAIN, BOLD, DIM, GOOD, BAD };

static void put(struct status_text *t, enum style style, const char *words) {
    static const char *const codes[] = {"", "\033[1m", "\033[2m", "\033[32m", "\033[1;31m"};
    bool colored = t->color && style != PLAIN;
    buf_printf(t->out, "%s%s%s", colored ? codes[style] : "", words, colored ? "\033[0m" : "");
}

static void label(struct status_text *t, const char *words) {
    put(t, BOLD, words);
    for (size_t n = strlen(words); n < LABEL_COLUMNS; n++)
        buf_append_char(t->out, ' ');
}

static void indent(struct status_text *t) {
    buf_printf(t->out, "%*s", LABEL_COLUMNS, "");
}

/* Right-aligned. */
static void cell(struct status_text *t, int columns, const struct buf *words) {
    buf_printf(t->out, "%*s", columns, buf_ok(words) && words->data ? words->data : "");
}

static void format_seconds(struct buf *out, double s) {
    if (s < 0.9995)
        buf_printf(out, "%.*f ms", s > 0 && s < 0.01 ? 1 : 0, s * 1000);
    else if (s < 60)
        buf_printf(out, "%.1f s", s);
    else
        command_format_seconds(out, s);
}

static void format_bytes(struct buf *out, double n) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
    size_t u = 0;
    for (; n >= 1024 && u + 1 < ARRAY_LEN(units); u++)
        n /= 1024;
    buf_printf(out, "%.*f %s", u ? 1 : 0, n, units[u]);
}

static void put_seconds_cell(struct status_text *t, int columns, const struct json *v, const char *path) {
    _cleanup_(buf_done) struct buf words = BUF_INIT(64);
    if (has_number(v, path))
        format_seconds(&words, number(v, path));
    else
        buf_append_char(&words, '-');
    cell(t, columns, &words);
}

static void put_histogram_cells(struct status_text *t, int columns, const struct json *v, const char *path) {
    static const char *const quantiles[] = {"p50_seconds", "p99_seconds"};
    const struct json *histogram = json_path(v, path);
    bool empty = number(histogram, "count") == 0;
    for (size_t i = 0; i < ARRAY_LEN(quantiles); i++)
        put_seconds_cell(t, i ? 12 : columns, empty ? NULL : histogram, quantiles[i]);
}

static void put_count_cell(struct status_text *t, int columns, const struct json *v, const char *path) {
    _cleanup_(buf_done) struct buf words = BUF_INIT(64);
    command_format_count(&words, (int64_t)number(v, path));
    cell(t, columns, &words);
}

static void put_count(struct status_text *t, double n) {
    command_format_count(t->out, (int64_t)(n + 0.5));
}

/* "2026-01-02T03:04:05Z": nobody reads microseconds. */
static void put_time(struct status_text *t, const char *rfc3339) {
    size_t len = strcspn(rfc3339, ".");
    buf_append(t->out, rfc3339, len);
    if (rfc3339[len])
        buf_append_char(t->out, 'Z');
}

/* "12.3 s ago"; nothing without a time. */
static void put_ago(struct status_text *t, const char *rfc3339) {
    int64_t at;
    if (t->now_wall_usec == 0 || !clock_parse_rfc3339(rfc3339, strlen(rfc3339), &at))
        return;
    double seconds = (double)(t->now_wall_usec - at) / 1e6;
    format_seconds(t->out, seconds > 0 ? seconds : 0);
    buf_append_str(t->out, " ago");
}

/* -- sections -- */

static void write_head(struct status_text *t, const struct json *status) {
    const struct json *daemon = json_get(status, "daemon");
    label(t, "projector");
    if (daemon) {
        put(t, BAD, "no daemon answers");
        buf_printf(t->out, " at %s: %s\n", text(daemon, "url"), text(daemon, "error"));
        indent(t);
        buf_append_str(t->out, "what follows is stored in MongoDB, and as old as its last write\n");
        return;
    }
    put(t, flag(status, "ready") ? GOOD : BAD, text(status, "instance.role"));
    buf_printf(t->out, ", epoch %lld, %s", (long long)number(status, "instance.epoch"),
               flag(status, "ready") ? "ready" : "not ready");
    buf_printf(t->out, "  (version %s, pid %lld on %s, since ", text(status, "version"),
               (long long)number(status, "instance.pid"), text(status, "instance.host"));
    put_time(t, text(status, "instance.since"));
    buf_append_str(t->out, ")\n");
    for (const struct json *c = children(status, "conditions"); c; c = c->next) {
        if (flag(c, "ready"))
            continue;
        indent(t);
        put(t, BAD, text(c, "name"));
        buf_printf(t->out, ": %s\n", text(c, "reason"));
    }
}

static void write_lease(struct status_text *t, const struct json *lease) {
    label(t, "lease");
    if (!*text(lease, "holder.id")) {
        buf_append_str(t->out, "never taken\n");
        return;
    }
    buf_printf(t->out, "epoch %lld, %s by pid %lld on %s", (long long)number(lease, "epoch"),
               flag(lease, "released") ? "released" : "held", (long long)number(lease, "holder.pid"),
               text(lease, "holder.host"));
    if (*text(lease, "renewed_at")) {
        buf_append_str(t->out, ", renewed ");
        put_ago(t, text(lease, "renewed_at"));
    }
    buf_append_char(t->out, '\n');
}

static void write_position(struct status_text *t, const struct json *s) {
    if (*text(s, "position")) {
        indent(t);
        buf_printf(t->out, "%s: read up to ", text(s, "source"));
        put_time(t, text(s, "position"));
        if (has_number(s, "oplog_headroom_seconds")) {
            buf_append_str(t->out, ", oplog headroom ");
            format_seconds(t->out, number(s, "oplog_headroom_seconds"));
        }
        if (*text(s, "checkpoint_saved_at")) {
            buf_append_str(t->out, ", position stored ");
            put_ago(t, text(s, "checkpoint_saved_at"));
        }
        buf_append_char(t->out, '\n');
    }
    if (number(s, "rows") > 0) {
        indent(t);
        buf_printf(t->out, "%s: ", text(s, "source"));
        put_count(t, number(s, "rows"));
        buf_append_str(t->out, " rows in the table\n");
    }
}

static void write_sources(struct status_text *t, const struct json *sources) {
    bool live = has_number(sources->child, "unfinished");
    label(t, "sources");
    if (live)
        put(t, DIM, "              lag   unfinished    indexed p50         p99    searchable p50         p99");
    buf_append_char(t->out, '\n');
    for (const struct json *s = sources->child; live && s; s = s->next) {
        buf_printf(t->out, "  %-*s", LABEL_COLUMNS, text(s, "source"));
        put_seconds_cell(t, 15, s, "lag_seconds");
        put_count_cell(t, 13, s, "unfinished");
        put_histogram_cells(t, 15, s, "commit_to_indexed");
        put_histogram_cells(t, 18, s, "commit_to_searchable");
        buf_append_char(t->out, '\n');
    }
    for (const struct json *s = sources->child; s; s = s->next)
        write_position(t, s);
}

static void write_bulks(struct status_text *t, const struct json *b) {
    label(t, "bulks");
    put_count(t, number(b, "documents_per_second"));
    buf_append_str(t->out, " documents/s, ");
    format_bytes(t->out, number(b, "bytes_per_second"));
    buf_printf(t->out, "/s, %lld under way, %lld allowed (at most %lld)\n", (long long)number(b, "in_flight"),
               (long long)number(b, "limit"), (long long)number(b, "limit_max"));
}

static void write_targets(struct status_text *t, const struct json *targets) {
    for (const struct json *one = targets->child; one; one = one->next) {
        label(t, one == targets->child ? "targets" : "");
        buf_printf(t->out, "%s", text(one, "index"));
        if (*text(one, "alias"))
            buf_printf(t->out, " (alias %s)", text(one, "alias"));
        buf_printf(t->out, ": %s", text(one, "role"));
        if (json_is(json_get(one, "paused"), JSON_BOOL)) {
            buf_append_str(t->out, ", ");
            put(t, flag(one, "paused") ? BAD : GOOD, flag(one, "paused") ? "PAUSED, it refuses writes" : "takes writes");
        }
        if (flag(one, "flawed")) {
            buf_append_str(t->out, ", ");
            put(t, BAD, "lacks a change that it refused");
        }
        buf_append_char(t->out, '\n');
    }
}

static void write_lanes(struct status_text *t, const struct json *lanes) {
    static const char *const states[] = {"live", "background", "delayed", "in_flight"};
    label(t, "lanes");
    put(t, DIM, "    live   background   delayed   in flight");
    buf_append_char(t->out, '\n');
    for (const struct json *lane = lanes->child; lane; lane = lane->next) {
        buf_printf(t->out, "  %-*lld", LABEL_COLUMNS - 2, (long long)number(lane, "lane"));
        for (size_t i = 0; i < ARRAY_LEN(states); i++) {
            static const int columns[] = {8, 13, 10, 12};
            put_count_cell(t, columns[i], lane, states[i]);
        }
        buf_append_char(t->out, '\n');
    }
}

static void write_jobs(struct status_text *t, const struct json *jobs) {
    if (!jobs->child) {
        label(t, "jobs");
        buf_append_str(t->out, "none\n");
    }
    for (const struct json *job = jobs->child; job; job = job->next) {
        const char *state = text(job, "state");
        label(t, job == jobs->child ? "jobs" : "");
        buf_printf(t->out, "%s: ", text(job, "id"));
        put(t, strcmp(state, "waiting") == 0 ? BAD : PLAIN, state);
        buf_append_str(t->out, ", ");
        command_format_progress(t->out, 0, text(job, "phase"), (int64_t)number(job, "done"),
                                (int64_t)number(job, "total"), "products", number(job, "docs_per_second"), text(job, "note"));
        if (number(job, "orphans") > 0) {
            buf_append_str(t->out, ", orphans ");
            put_count(t, number(job, "orphans"));
        }
        buf_append_char(t->out, '\n');
    }
}

static void write_dead_letters(struct status_text *t, const struct json *d) {
    label(t, "dead letters");
    double kept = number(d, "kept");
    _cleanup_(buf_done) struct buf words = BUF_INIT(64);
    command_format_count(&words, (int64_t)kept);
    put(t, kept > 0 ? BAD : GOOD, words.data ? words.data : "");
    if (kept > 0)
        buf_append_str(t->out, " put aside: projector dead-letters list");
    buf_append_char(t->out, '\n');
}

static void write_verification(struct status_text *t, const struct json *v) {
    static const char *const found[] = {"missing", "stale", "orphaned", "unsettled", "repaired", "left", "foreign"};
    label(t, "verified");
    if (!*text(v, "verified_as_of")) {
        buf_append_str(t->out, "not yet");
    } else {
        buf_append_str(t->out, "as of ");
        put_time(t, text(v, "verified_as_of"));
        buf_append_str(t->out, ", ");
        put_ago(t, text(v, "verified_as_of"));
    }
    buf_append_str(t->out, "; this pass: ");
    put_count(t, number(v, "compared"));
    buf_append_str(t->out, " compared");
    for (size_t i = 0; i < ARRAY_LEN(found); i++) {
        if (number(v, found[i]) == 0)
            continue;
        buf_append_str(t->out, ", ");
        put_count(t, number(v, found[i]));
        buf_printf(t->out, " %s", found[i]);
    }
    buf_append_char(t->out, '\n');
}

/* -- sections that this file does not know -- */

static bool is_scalar(const struct json *v) {
    return v->type != JSON_ARRAY && v->type != JSON_OBJECT;
}

static void put_scalar(struct status_text *t, const struct json *v) {
    double d;
    if (v->type == JSON_BOOL)
        buf_append_str(t->out, v->boolean ? "yes" : "no");
    else if (v->type == JSON_NULL)
        buf_append_char(t->out, '-');
    else if (v->type == JSON_NUMBER && json_double(v, &d) && fabs(d) < 1e15 && d == floor(d))
        command_format_count(t->out, (int64_t)d);
    else
        buf_append(t->out, v->text.data, v->text.len);
}

static void put_members(struct status_text *t, const struct json *object) {
    bool first = true;
    for (const struct json *m = object->child; m; m = m->next) {
        if (!is_scalar(m))
            continue;
        buf_append_str(t->out, first ? "" : ", ");
        for (size_t i = 0; i < m->key.len; i++)
            buf_append_char(t->out, m->key.data[i] == '_' ? ' ' : m->key.data[i]);
        buf_append_char(t->out, ' ');
        put_scalar(t, m);
        first = false;
    }
    buf_append_char(t->out, '\n');
}

static void write_other(struct status_text *t, const struct json *section) {
    char name[64];
    snprintf(name, sizeof(name), "%.*s", (int)section->key.len, section->key.data);
    for (char *c = name; *c; c++)
        *c = *c == '_' ? ' ' : *c;
    if (section->type == JSON_ARRAY) {
        for (const struct json *one = section->child; one; one = one->next) {
            label(t, one == section->child ? name : "");
            if (one->type == JSON_OBJECT)
                put_members(t, one);
        }
        return;
    }
    label(t, name);
    if (section->type == JSON_OBJECT) {
        put_members(t, section);
        return;
    }
    put_scalar(t, section);
    buf_append_char(t->out, '\n');
}

/* -- the whole -- */

static const struct {
    const char *name;
    void (*write)(struct status_text *t, const struct json *section);
} sections[] = {{"lease", write_lease},     {"sources", write_sources},           {"bulks", write_bulks},
                {"targets", write_targets}, {"lanes", write_lanes},               {"jobs", write_jobs},
                {"dead_letters", write_dead_letters}, {"verification", write_verification}};

static bool is_known(const struct json *section) {
    static const char *const head[] = {"program", "version",    "from",   "time",
                                       "ready",   "conditions", "daemon", "instance"};
    for (size_t i = 0; i < ARRAY_LEN(head); i++)
        if (slice_eq(section->key, slice_str(head[i])))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(sections); i++)
        if (slice_eq(section->key, slice_str(sections[i].name)))
            return true;
    return false;
}

void status_text_write(struct status_text *t, const struct json *status) {
    const char *time = text(status, "time");
    if (!clock_parse_rfc3339(time, strlen(time), &t->now_wall_usec))
        t->now_wall_usec = 0;
    write_head(t, status);
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        const struct json *section = json_get(status, sections[i].name);
        if (section && !is_scalar(section))
            sections[i].write(t, section);
    }
    for (const struct json *section = status->child; section; section = section->next)
        if (!is_known(section))
            write_other(t, section);
}

unsigned status_text_problems(const struct json *status) {
    bool standby = strcmp(text(status, "instance.role"), "standby") == 0;
    unsigned n = number(status, "dead_letters.kept") > 0;
    n += json_get(status, "ready") && !flag(status, "ready") && !standby;
    for (const struct json *one = children(status, "targets"); one; one = one->next)
        n += flag(one, "paused");
    for (const struct json *job = children(status, "jobs"); job; job = job->next)
        n += strcmp(text(job, "state"), "waiting") == 0;
    return n;
}
