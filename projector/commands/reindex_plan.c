#include "core/cleanup.h"
#include "core/json_write.h"
#include "projector/commands/command_progress.h"
#include "projector/commands/json_diff.h"
#include "projector/commands/reindex_plan.h"
#include "projector/jobs/job_scan.h"
#include <stdio.h>

#define ANSWER_MAX_BYTES ((size_t)32 << 20)

struct plan {
    char *index; /* that serves; NULL: none does */
    struct json_lines before, after;
    int64_t documents, bytes, rate;
    size_t differences;
    struct arena arena;
    struct buf answer, stats;
    struct buf *out;
    struct json_write *json;
};

static void plan_done(struct plan *plan) {
    free(plan->index);
    json_lines_done(&plan->before);
    json_lines_done(&plan->after);
    arena_done(&plan->arena);
    buf_done(&plan->answer);
    buf_done(&plan->stats);
}

/* -- what is there -- */

/* What the server adds by itself says nothing about the mapping file. */
static void add_settings(struct json_lines *lines, const struct json *index) {
    static const char *const own[] = {"uuid", "version", "creation_date", "provided_name", "routing", "resize",
                                      "history", "replication"};
    for (const struct json *m = index ? index->child : NULL; m; m = m->next) {
        bool skip = false;
        for (size_t i = 0; i < ARRAY_LEN(own); i++)
            skip = skip || slice_eq(m->key, slice_str(own[i]));
        char prefix[128];
        snprintf(prefix, sizeof(prefix), "settings.%.*s", (int)(m->key.len < 100 ? m->key.len : 100), m->key.data);
        if (!skip)
            json_lines_add(lines, prefix, m);
    }
}

static void add_mappings(struct json_lines *lines, const struct json *mappings) {
    for (const struct json *m = mappings ? mappings->child : NULL; m; m = m->next) {
        char prefix[128];
        snprintf(prefix, sizeof(prefix), "mappings.%.*s", (int)(m->key.len < 100 ? m->key.len : 100), m->key.data);
        if (!slice_eq(m->key, SLICE("_meta")))
            json_lines_add(lines, prefix, m);
    }
}

static bool get(const struct es_conf *es, struct plan *plan, struct buf *answer, const char *after,
                const struct json **ret, struct error *reterr) {
    _cleanup_(buf_done) struct buf path = BUF_INIT(1024);
    buf_printf(&path, "/%s%s", plan->index, after);
    if (!es_call(es, "GET", path.data, (struct slice){0}, 0, NULL, answer, reterr))
        return false;
    *ret = json_parse(&plan->arena, answer->data ? answer->data : "", answer->len, NULL, reterr);
    return *ret != NULL;
}

static bool read_index(const struct es_conf *es, struct plan *plan, struct error *reterr) {
    const struct json *answer, *stats;
    if (!plan->index)
        return true;
    if (!get(es, plan, &plan->answer, "", &answer, reterr) ||
        !get(es, plan, &plan->stats, "/_stats/docs,store?filter_path=_all.primaries", &stats, reterr))
        return false;
    add_settings(&plan->before, json_path(answer->child, "settings.index"));
    add_mappings(&plan->before, json_get(answer->child, "mappings"));
    json_lines_add(&plan->before, "projection", json_path(answer->child, "mappings._meta.readside.projection"));
    int64_t store = 0, documents = 0;
    json_int64(json_path(stats, "_all.primaries.store.size_in_bytes"), &store);
    json_int64(json_path(stats, "_all.primaries.docs.count"), &documents);
    plan->bytes = documents > 0 ? (int64_t)((double)store / (double)documents * (double)plan->documents) : 0;
    return true;
}

static bool read_file(struct plan *plan, const struct index_mapping *mapping, struct error *reterr) {
    const struct json *file = json_parse(&plan->arena, mapping->text.data, mapping->text.len, NULL, reterr);
    if (!file)
        return false;
    const struct json *settings = json_get(file, "settings");
    for (const struct json *m = settings ? settings->child : NULL; m; m = m->next) {
        char prefix[128];
        bool index = slice_eq(m->key, SLICE("index")), full = m->key.len > 6 && memcmp(m->key.data, "index.", 6) == 0;
        int len = (int)(m->key.len < 100 ? m->key.len : 100);
        snprintf(prefix, sizeof(prefix), "settings.%.*s", full ? len - 6 : len, m->key.data + (full ? 6 : 0));
        if (index) /* "index": {"x": ...}, "index.x" and "x" all mean the same */
            add_settings(&plan->after, m);
        else
            json_lines_add(&plan->after, prefix, m);
    }
    add_mappings(&plan->after, json_get(file, "mappings"));
    json_lines_add(&plan->after, "projection", json_get(file, "projection"));
    return true;
}

/* -- how long -- */

static void note_rate(void *ctx, struct job_record *job) {
    struct plan *plan = ctx;
    if (plan->rate == 0 && job->rate > 0 && (job->type == JOB_REINDEX || job->type == JOB_SCAN) && job->throttle == 0)
        plan->rate = job->rate;
    job_record_done(job);
}

/* -- output -- */

/* The server says how many replicas there are even if nobody asked for any. */
static bool by_default(const char *path, const char *after) {
    return !after && strcmp(path, "settings.number_of_replicas") == 0;
}

static void print_text(void *ctx, const char *path, const char *before, const char *after) {
    struct plan *plan = ctx;
    if (by_default(path, after))
        return;
    plan->differences++;
    if (!before)
        buf_printf(plan->out, "+ %s = %s\n", path, after);
    else if (!after)
        buf_printf(plan->out, "- %s = %s\n", path, before);
    else
        buf_printf(plan->out, "~ %s = %s -> %s\n", path, before, after);
}

static void print_json(void *ctx, const char *path, const char *before, const char *after) {
    struct plan *plan = ctx;
    if (by_default(path, after))
        return;
    plan->differences++;
    json_write_object(plan->json);
    json_write_key(plan->json, "path");
    json_write_str(plan->json, path);
    json_write_key(plan->json, "before");
    json_write_str(plan->json, before);
    json_write_key(plan->json, "after");
    json_write_str(plan->json, after);
    json_write_object_end(plan->json);
}

static int64_t seconds_of(const struct plan *plan, int64_t throttle) {
    int64_t rate = plan->rate;
    if (throttle > 0 && (rate == 0 || throttle < rate))
        rate = throttle;
    return rate > 0 ? (plan->documents + rate - 1) / rate : -1;
}

static void write_text(struct plan *plan, const struct index_mapping *mapping, int64_t throttle) {
    struct buf *out = plan->out;
    buf_printf(out, "serving: %s\nmapping: %s\n\n", plan->index ? plan->index : "no index yet", mapping->name);
    json_lines_diff(&plan->before, &plan->after, print_text, plan);
    if (plan->differences == 0)
        buf_append_str(out, "no difference\n");
    buf_append_str(out, "\nproducts to write: ");
    command_format_count(out, plan->documents);
    buf_append_str(out, "\nsize of the new index, about: ");
    command_format_count(out, plan->bytes / 1024);
    buf_append_str(out, " KiB, beside the one that serves\n");
    int64_t seconds = seconds_of(plan, throttle);
    buf_append_str(out, "time, about: ");
    if (seconds < 0) {
        buf_append_str(out, "not known, nothing was measured in the last week\n");
    } else {
        command_format_seconds(out, (double)seconds);
        buf_printf(out, ", and the verification (at %s)\n",
                   throttle > 0 && (plan->rate == 0 || throttle < plan->rate) ? "the throttle" : "the rate of the last scan");
    }
}

static bool write_json(struct plan *plan, const struct index_mapping *mapping, int64_t throttle) {
    struct json_write w;
    plan->json = &w;
    json_write_init(&w, plan->out);
    json_write_object(&w);
    json_write_key(&w, "serving");
    json_write_str(&w, plan->index);
    json_write_key(&w, "mapping");
    json_write_str(&w, mapping->name);
    json_write_key(&w, "differences");
    json_write_array(&w);
    json_lines_diff(&plan->before, &plan->after, print_json, plan);
    json_write_array_end(&w);
    json_write_key(&w, "documents");
    json_write_int(&w, plan->documents);
    json_write_key(&w, "bytes");
    json_write_int(&w, plan->bytes);
    json_write_key(&w, "seconds");
    int64_t seconds = seconds_of(plan, throttle);
    if (seconds < 0)
        json_write_null(&w);
    else
        json_write_int(&w, seconds);
    json_write_object_end(&w);
    buf_append_char(plan->out, '\n');
    return json_write_finish(&w);
}

bool reindex_plan_print(const struct projector_options *options, struct command_session *session,
                        const struct index_mapping *mapping, int64_t throttle, bool json, struct error *reterr) {
    _cleanup_(buf_done) struct buf out = BUF_INIT(ANSWER_MAX_BYTES);
    _cleanup_(index_names_done) struct index_names names = {0};
    _cleanup_(plan_done) struct plan plan = {.before = JSON_LINES_INIT, .after = JSON_LINES_INIT, .out = &out,
                                             .arena = {.max = ANSWER_MAX_BYTES * 8},
                                             .answer = BUF_INIT(ANSWER_MAX_BYTES), .stats = BUF_INIT(ANSWER_MAX_BYTES)};
    if (!index_admin_resolve(&options->es, options->projector.index, &names, reterr) ||
        !jobs_visit(session->client, session->database, NULL, note_rate, &plan, reterr))
        return false;
    plan.index = names.count ? strdup(names.names[0]) : NULL;
    plan.documents = job_scan_estimate(session->client, session->database);
    if (!read_index(&options->es, &plan, reterr) || !read_file(&plan, mapping, reterr))
        return false;
    json_lines_sort(&plan.before);
    json_lines_sort(&plan.after);
    if (plan.before.failed || plan.after.failed)
        return error_nomem(reterr);
    if (json)
        write_json(&plan, mapping, throttle);
    else
        write_text(&plan, mapping, throttle);
    return (buf_ok(&out) && fputs(out.data, stdout) >= 0 && fflush(stdout) == 0) || error_nomem(reterr);
}
