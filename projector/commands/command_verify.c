/* projector verify: compares the index with the sources; what to do about it is handed to the running projector. */
#include "core/cleanup.h"
#include "core/json_write.h"
#include "projector/commands/command.h"
#include "projector/commands/command_progress.h"
#include "projector/engine/mark.h"
#include "projector/jobs/index_admin.h"
#include "projector/jobs/jobs.h"
#include "projector/verify/verify.h"
#include "projector/verify/verify_barrier.h"
#include "projector/verify/verify_ids.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    THREADS_DEFAULT_MAX = 4,
    SHOWN_MAX = 20, /* differences that are said one by one, unless --all */
    REPAIR_IDS_BYTES = 1 << 30,
    REPAIR_POLL_USEC = 200 * 1000,
    PATIENCE_SECONDS = 60,
};

struct verify_arguments {
    bool repair, deep, json, all;
    int64_t sample, since_wall_usec, threads, rate, patience_seconds;
};

struct verify_command {
    const struct projector_options *options;
    struct verify_arguments args;
    mongoc_client_pool_t *pool;
    mongoc_client_t *client;
    char *index;
    struct projection *projection;
    bool projector_runs;
    struct command_progress progress;
    struct verify_ids repairs, orphans; /* what a mark can mend */
    int64_t shown;
    struct verify_counts counts, after; /* after the repair: only what was repaired */
    const char *phase;
    usec_t begun;
    bool detached; /* from repairs that go on */
};

/* -- arguments -- */

/* "2026-01-02T03:04:05Z", or so long ago: "90s", "15m", "2h", "3d". */
static bool parse_since(const char *text, int64_t *ret, struct error *reterr) {
    if (clock_parse_rfc3339(text, strlen(text), ret) && *ret > 0)
        return true;
    static const struct {
        const char *unit;
        int64_t seconds;
    } units[] = {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    for (size_t i = 0; end != text && !errno && n > 0 && n < 100000000 && i < ARRAY_LEN(units); i++)
        if (strcmp(end, units[i].unit) == 0) {
            *ret = clock_wall_usec() - n * units[i].seconds * 1000000;
            return *ret > 0 || error_set(reterr, ERROR_INVALID, "--since %.40s is before 1970", text);
        }
    return error_set(reterr, ERROR_INVALID, "--since takes a time such as 2026-01-02T03:04:05Z, or 90s, 15m, 2h, 3d, not %.40s",
                     text);
}

/* "--name VALUE" or "--name=VALUE" at argv[*at]: the value, and *at on its last word. NULL: it is another word. */
static const char *value_of(int argc, char **argv, int *at, const char *name) {
    size_t len = strlen(name);
    if (strncmp(argv[*at], name, len) != 0)
        return NULL;
    if (argv[*at][len] == '=')
        return argv[*at] + len + 1;
    if (argv[*at][len])
        return NULL;
    return *at + 1 < argc ? argv[++*at] : "";
}

static bool parse_value(struct verify_arguments *a, int argc, char **argv, int *at, struct error *reterr) {
    const char *value;
    if ((value = value_of(argc, argv, at, "--sample")))
        return command_number("--sample", value, 1, 10000, &a->sample, reterr);
    if ((value = value_of(argc, argv, at, "--since")))
        return parse_since(value, &a->since_wall_usec, reterr);
    if ((value = value_of(argc, argv, at, "--threads")))
        return command_number("--threads", value, 1, 64, &a->threads, reterr);
    if ((value = value_of(argc, argv, at, "--rate")))
        return command_number("--rate", value, 1, 10000000, &a->rate, reterr);
    if ((value = value_of(argc, argv, at, "--patience")))
        return command_number("--patience", value, 1, 86400, &a->patience_seconds, reterr);
    return error_set(reterr, ERROR_INVALID, "what is %.40s?", argv[*at]);
}

static bool parse(struct verify_arguments *a, int argc, char **argv, struct error *reterr) {
    const struct {
        const char *name;
        bool *on;
    } flags[] = {{"--repair", &a->repair}, {"--deep", &a->deep}, {"--json", &a->json}, {"--all", &a->all}};
    a->patience_seconds = PATIENCE_SECONDS;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    a->threads = cpus < 2 ? 2 : cpus < THREADS_DEFAULT_MAX ? cpus + 1 : THREADS_DEFAULT_MAX;
    for (int i = 1; i < argc; i++) {
        bool *on = NULL;
        for (size_t f = 0; f < ARRAY_LEN(flags); f++)
            on = strcmp(argv[i], flags[f].name) == 0 ? flags[f].on : on;
        if (on)
            *on = true;
        else if (!parse_value(a, argc, argv, &i, reterr))
            return false;
    }
    if (a->sample && a->since_wall_usec)
        return error_set(reterr, ERROR_INVALID, "--sample and --since exclude each other");
    return true;
}

/* -- what is found -- */

static bool cancelled(void *ctx) {
    (void)ctx;
    return command_interrupts() > 0;
}

static void on_progress(void *ctx, const struct verify_progress *p) {
    struct verify_command *v = ctx;
    char note[200] = "";
    const int64_t *found = p->counts->found;
    int64_t differences = found[VERIFY_MISSING] + found[VERIFY_STALE] + found[VERIFY_ORPHANED];
    if (p->waiting)
        snprintf(note, sizeof(note), "%" PRId64 " to settle: %.150s", p->pending, p->waiting);
    else if (differences)
        snprintf(note, sizeof(note), "%" PRId64 " differ", differences);
    command_progress_update(&v->progress, v->phase, p->counts->compared, p->total, "documents", *note ? note : NULL);
}

static void write_difference(struct json_write *w, const struct verify_difference *d) {
    json_write_object(w);
    json_write_key(w, "event");
    json_write_str(w, "difference");
    json_write_key(w, "kind");
    json_write_str(w, verify_kind_names[d->kind]);
    json_write_key(w, "id");
    json_write_string(w, d->id.data, d->id.len);
    if (d->in_index) {
        json_write_key(w, "version");
        json_write_int(w, (int64_t)d->version);
        json_write_key(w, "index_hash");
        json_write_int(w, (int64_t)d->index_hash);
    }
    if (d->in_source && d->source_hash) {
        json_write_key(w, "source_hash");
        json_write_int(w, (int64_t)d->source_hash);
    }
    if (d->altered) {
        json_write_key(w, "altered");
        json_write_bool(w, true);
    }
    if (d->reason) {
        json_write_key(w, "reason");
        json_write_str(w, d->reason);
    }
    json_write_object_end(w);
}

static void say_json(const struct verify_difference *d) {
    _cleanup_(buf_done) struct buf line = BUF_INIT(64 << 10);
    struct json_write w;
    if (!json_write_init(&w, &line))
        return;
    write_difference(&w, d);
    if (json_write_finish(&w))
        printf("%s\n", line.data);
}

static void say_text(struct verify_command *v, const struct verify_difference *d) {
    if (v->shown == SHOWN_MAX && !v->args.all)
        command_progress_say(&v->progress, "further differences are only counted; --all says them, --json too");
    if (v->shown++ >= SHOWN_MAX && !v->args.all)
        return;
    command_progress_done(&v->progress);
    printf("%-13s %.*s%s%s%s\n", verify_kind_names[d->kind], (int)d->id.len, d->id.data,
           d->altered ? "  (content altered under its hash)" : "", d->reason ? "  " : "", d->reason ? d->reason : "");
}

static bool on_difference(void *ctx, const struct verify_difference *d) {
    struct verify_command *v = ctx;
    if (v->args.json)
        say_json(d);
    else
        say_text(v, d);
    if (!v->args.repair || d->kind == VERIFY_DEAD || !mark_id_ok(d->id))
        return true;
    return verify_ids_add(d->kind == VERIFY_ORPHANED ? &v->orphans : &v->repairs, d->id);
}

/* -- runs -- */

static bool passed_at_once(void *ctx, const struct verify_moment *moment, bool *ret_passed, const char **ret_why,
                           struct error *reterr) {
    (void)ctx, (void)moment, (void)ret_why, (void)reterr;
    *ret_passed = true;
    return true;
}

static usec_t patience(const struct verify_command *v) {
    return (usec_t)v->args.patience_seconds * USEC_PER_SEC;
}

static struct verify_conf conf_of(struct verify_command *v) {
    return (struct verify_conf){.options = v->options, .pool = v->pool, .index = v->index, .projection = v->projection,
                                .threads = (unsigned)v->args.threads, .rate = v->args.rate, .deep = v->args.deep,
                                .patience_usec = patience(v), .ctx = v, .cancelled = cancelled,
                                .progress = on_progress,
                                .barrier = v->projector_runs ? NULL : passed_at_once};
}

static bool compare(struct verify_command *v, struct error *reterr) {
    struct verify_conf conf = conf_of(v);
    conf.sample = v->args.sample;
    conf.since_wall_usec = v->args.since_wall_usec;
    conf.difference = on_difference;
    v->phase = "compare";
    return verify_run(&conf, &v->counts, reterr);
}

/* -- repairing -- */

static bool hand_over(struct verify_command *v, struct verify_ids *ids, bool waiting, char (**ret)[JOB_ID_SIZE],
                      size_t *ret_count, struct error *reterr) {
    if (!verify_ids_sort(ids))
        return error_nomem(reterr);
    for (size_t at = 0; at < ids->slice_count; at += JOB_REPAIR_MAX) {
        size_t left = ids->slice_count - at, n = left < JOB_REPAIR_MAX ? left : JOB_REPAIR_MAX;
        char(*jobs)[JOB_ID_SIZE] = realloc(*ret, (*ret_count + 1) * sizeof(*jobs));
        if (!jobs)
            return error_nomem(reterr);
        *ret = jobs;
        if (!jobs_insert_repair(v->client, v->options->mongo.database, "projector verify --repair", ids->slices + at, n,
                                waiting, jobs[*ret_count], reterr))
            return false;
        ++*ret_count;
    }
    return true;
}

static bool wait_for_jobs(struct verify_command *v, char (*jobs)[JOB_ID_SIZE], size_t count, int64_t total,
                          struct error *reterr) {
    int64_t done = 0, seen = -1;
    usec_t moved = clock_now_usec();
    for (size_t i = 0; i < count;) {
        int64_t of_job;
        bool over;
        if ((v->detached = command_interrupts()))
            return error_set(reterr, ERROR_CONFLICT, "the repair %s goes on without us", jobs[i]);
        if (!jobs_look(v->client, v->options->mongo.database, jobs[i], &over, &of_job, reterr))
            return false;
        if (over) {
            done += of_job;
            i++;
            continue;
        }
        command_progress_update(&v->progress, "repair", done + of_job, total, "documents", NULL);
        if (done + of_job != seen) {
            seen = done + of_job;
            moved = clock_now_usec();
        }
        if (clock_now_usec() - moved > patience(v))
            return error_set(reterr, ERROR_TIMEOUT, "the projector does not work on the repair %s; is it running?", jobs[i]);
        command_sleep(REPAIR_POLL_USEC);
    }
    return true;
}

/* Looks at what was repaired once more. */
static bool compare_again(struct verify_command *v, struct error *reterr) {
    _cleanup_(verify_ids_done) struct verify_ids all;
    verify_ids_init(&all, REPAIR_IDS_BYTES);
    for (size_t i = 0; i < v->repairs.slice_count; i++)
        if (!verify_ids_add(&all, v->repairs.slices[i]))
            return error_nomem(reterr);
    for (size_t i = 0; i < v->orphans.slice_count; i++)
        if (!verify_ids_add(&all, v->orphans.slices[i]))
            return error_nomem(reterr);
    if (!verify_ids_sort(&all))
        return error_nomem(reterr);
    struct verify_conf conf = conf_of(v);
    conf.ids = all.slices;
    conf.id_count = all.slice_count;
    v->phase = "check";
    return all.slice_count == 0 || verify_run(&conf, &v->after, reterr);
}

static int64_t repairable(const struct verify_counts *counts) {
    return counts->found[VERIFY_MISSING] + counts->found[VERIFY_STALE] + counts->found[VERIFY_ORPHANED];
}

static int64_t removable(const struct verify_counts *counts) {
    return counts->found[VERIFY_ORPHANED] - counts->foreign;
}

/* More orphans than half of what was looked at: rather the source is not what it should be. A person decides. */
static bool many_orphans(const struct verify_command *v) {
    return removable(&v->counts) * 2 > v->counts.documents && removable(&v->counts) > 1;
}

static bool repair(struct verify_command *v, struct error *reterr) {
    char(*jobs)[JOB_ID_SIZE] = NULL, (*held)[JOB_ID_SIZE] = NULL;
    size_t count = 0, held_count = 0;
    bool ask = many_orphans(v);
    bool ok = hand_over(v, &v->repairs, false, &jobs, &count, reterr) &&
              (ask ? hand_over(v, &v->orphans, true, &held, &held_count, reterr)
                   : hand_over(v, &v->orphans, false, &jobs, &count, reterr));
    if (ok && ask) {
        for (size_t i = 0; i < held_count; i++)
            command_progress_say(&v->progress, "%" PRId64 " of %" PRId64 " documents have no product: the removal %s waits for "
                                 "a person: projector jobs confirm %s", removable(&v->counts), v->counts.documents, held[i],
                                 held[i]);
        verify_ids_reset(&v->orphans);
    }
    int64_t left = ask ? v->counts.found[VERIFY_ORPHANED] : v->counts.foreign;
    ok = ok && wait_for_jobs(v, jobs, count, repairable(&v->counts) - left, reterr) && compare_again(v, reterr);
    v->after.found[VERIFY_ORPHANED] += left;
    free(jobs);
    free(held);
    return ok;
}

/* -- the result -- */

/* Products of which nobody knows: what the first walk could not settle is not repaired. */
static int64_t unsettled(const struct verify_command *v) {
    return v->counts.unsettled + v->after.unsettled;
}

static bool is_equal(const struct verify_command *v) {
    if (!v->args.repair)
        return verify_is_equal(&v->counts);
    return verify_is_equal(&v->after) && v->counts.found[VERIFY_DEAD] + v->counts.unsettled == 0;
}

static void print_json(const struct verify_command *v, bool equal) {
    _cleanup_(buf_done) struct buf line = BUF_INIT(16 << 10);
    struct json_write w;
    if (!json_write_init(&w, &line))
        return;
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"compared", v->counts.compared},
        {"documents", v->counts.documents},
        {"candidates", v->counts.candidates},
        {"missing", v->counts.found[VERIFY_MISSING]},
        {"stale", v->counts.found[VERIFY_STALE]},
        {"orphaned", v->counts.found[VERIFY_ORPHANED]},
        {"dead_lettered", v->counts.found[VERIFY_DEAD]},
        {"unsettled", unsettled(v)},
        {"repaired", v->args.repair ? repairable(&v->counts) - repairable(&v->after) : 0},
    };
    double seconds = (double)(clock_now_usec() - v->begun) / 1e6;
    json_write_object(&w);
    json_write_key(&w, "event");
    json_write_str(&w, "result");
    json_write_key(&w, "equal");
    json_write_bool(&w, equal);
    json_write_key(&w, "index");
    json_write_str(&w, v->index);
    json_write_key(&w, "projector_runs");
    json_write_bool(&w, v->projector_runs);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        json_write_key(&w, numbers[i].name);
        json_write_int(&w, numbers[i].value);
    }
    json_write_key(&w, "seconds");
    json_write_double(&w, seconds);
    json_write_object_end(&w);
    if (json_write_finish(&w))
        printf("%s\n", line.data);
}

static void print_text(const struct verify_command *v, bool equal) {
    _cleanup_(buf_done) struct buf count = BUF_INIT(64);
    double seconds = (double)(clock_now_usec() - v->begun) / 1e6;
    command_format_count(&count, v->counts.compared);
    printf("%s documents compared in %.1f s: ", count.data ? count.data : "", seconds);
    if (verify_is_equal(&v->counts)) {
        printf("equal\n");
        return;
    }
    printf("%" PRId64 " missing, %" PRId64 " stale, %" PRId64 " orphaned, %" PRId64 " dead-lettered",
           v->counts.found[VERIFY_MISSING], v->counts.found[VERIFY_STALE], v->counts.found[VERIFY_ORPHANED],
           v->counts.found[VERIFY_DEAD]);
    if (unsettled(v))
        printf(", %" PRId64 " never at rest", unsettled(v));
    if (v->args.repair)
        printf("; %" PRId64 " repaired", repairable(&v->counts) - repairable(&v->after));
    printf("\n");
    if (!equal && !v->args.repair && repairable(&v->counts) > v->counts.foreign)
        printf("projector verify --repair mends them\n");
    if (v->counts.foreign)
        printf("%" PRId64 " of the orphaned have an id that no product can have, so no repair removes them: "
               "curl -X DELETE \"$ELASTICSEARCH/%s/_doc/ID\"\n", v->counts.foreign, v->index);
    if (unsettled(v))
        printf("what is never at rest could not be compared: run this again when it is written less often\n");
    if (v->counts.found[VERIFY_DEAD])
        printf("projector dead-letters list says why products were put aside\n");
}

static bool prepare(struct verify_command *v, struct error *reterr) {
    const struct projector_options *options = v->options;
    v->pool = mongo_pool_new(&options->mongo, "projector-verify", (unsigned)v->args.threads + 3, reterr);
    if (!v->pool)
        return false;
    v->client = mongoc_client_pool_pop(v->pool);
    struct index_names names;
    if (!index_admin_resolve(&options->es, options->projector.index, &names, reterr))
        return false;
    bool one = names.count == 1;
    if (one)
        v->index = TAKE(names.names[0]);
    index_names_done(&names);
    if (!one)
        return error_set(reterr, names.count ? ERROR_CONFLICT : ERROR_NOT_FOUND, "the alias %.80s has no single index; %s",
                         options->projector.index, "projector run makes one");
    return index_admin_projection(&options->es, v->index, &v->projection, reterr) &&
           verify_projector_runs(v->client, options->mongo.database, &v->projector_runs, reterr);
}

static void finish(struct verify_command *v) {
    free(v->index);
    projection_free(v->projection);
    verify_ids_done(&v->repairs);
    verify_ids_done(&v->orphans);
    if (v->client)
        mongoc_client_pool_push(v->pool, v->client);
    if (v->pool)
        mongoc_client_pool_destroy(v->pool);
}

static int work(struct verify_command *v, const struct command *command) {
    struct error error = {0};
    if (!prepare(v, &error))
        return command_error(command, &error);
    if (!v->projector_runs) {
        command_progress_say(&v->progress, "no projector is running: what it has not written yet differs too; start one with: "
                                           "projector run");
        if (v->args.repair) {
            error_set(&error, ERROR_UNAVAILABLE, "repairs are done by a running projector; start one with: projector run");
            return command_error(command, &error);
        }
    }
    bool ok = compare(v, &error) && (!v->args.repair || repairable(&v->counts) == 0 || repair(v, &error));
    command_progress_done(&v->progress);
    if (v->detached) {
        fprintf(stderr, "%s\n", error.message);
        return COMMAND_DETACHED;
    }
    if (!ok && command_interrupts())
        return COMMAND_INTERRUPTED;
    if (!ok)
        return command_error(command, &error);
    bool equal = is_equal(v);
    if (v->args.json)
        print_json(v, equal);
    else
        print_text(v, equal);
    return equal ? COMMAND_OK : COMMAND_DIFFERENCES;
}

static int run(const struct projector_options *options, int argc, char **argv) {
    struct verify_command v = {.options = options, .begun = clock_now_usec()};
    struct error error = {0};
    if (!parse(&v.args, argc, argv, &error))
        return command_usage_error(&command_verify, "%s", error.message);
    verify_ids_init(&v.repairs, REPAIR_IDS_BYTES);
    verify_ids_init(&v.orphans, REPAIR_IDS_BYTES);
    command_watch_interrupts();
    command_progress_init(&v.progress, v.args.json);
    int code = work(&v, &command_verify);
    command_progress_done(&v.progress);
    finish(&v);
    return code;
}

const struct command command_verify = {
    .name = "verify",
    .usage = "[--repair] [--deep] [--sample N | --since T] [--rate N] [--all] [--json]",
    .summary = "compare the index with the sources, document by document",
    .help = "  --repair     let the running projector write what differs again, and look once more\n"
            "  --deep       hash the stored documents too, instead of trusting their content_hash\n"
            "  --sample N   only N products and N documents at random, up to 10,000\n"
            "  --since T    only products changed since 2026-01-02T03:04:05Z, or 90s, 15m, 2h, 3d ago;\n"
            "               documents without a product are not looked for. updated_at has no index: MongoDB reads through all\n"
            "               products, and may need longer than [mongo] timeout to find the next ones\n"
            "  --rate N     at most N documents a second\n"
            "  --threads N  threads that read and compose\n"
            "  --patience S seconds that a server may be away, or the projector stand still; 60 by default\n"
            "  --all        say every difference, not only the first 20\n"
            "  --json       JSON lines: progress, differences, result\n"
            "\n"
            "Exit code 0: equal, or made so by --repair. 3: differences are left, or products that were never at rest.\n"
            "5: Ctrl-C; the repair goes on. 130: Ctrl-C before.\n",
    .run = run,
};
