/* projector dead-letters: looks at the products that could not be written, and has them tried again or forgets them. It
 * reads MongoDB itself; what is to be tried again is handed to the running projector as a repair. */
#include "core/cleanup.h"
#include "core/json_write.h"
#include "core/utf8.h"
#include "projector/commands/command.h"
#include "projector/commands/command_progress.h"
#include "projector/engine/dead_letter.h"
#include "projector/engine/mark.h"
#include "projector/jobs/jobs.h"
#include "projector/verify/verify_barrier.h"
#include <inttypes.h>
#include <stdlib.h>

enum {
    LIMIT_DEFAULT = 100,
    REASON_COLUMNS = 100,
    LINE_BYTES_MAX = 8 << 20,
    POLL_USEC = 200 * 1000,
};
#define PATIENCE_USEC (60 * USEC_PER_SEC)

struct arguments {
    const char *action, *reason;
    bool all, json, no_wait;
    int64_t limit;
    const char **ids;
    size_t id_count;
};

struct dead_letters {
    const struct projector_options *options;
    const char *database;
    struct arguments args;
    mongoc_client_pool_t *pool;
    mongoc_client_t *client;
    struct command_progress progress;
    /* What is replayed. */
    struct slice *ids;
    int64_t *times;
    size_t count, capacity;
    int64_t written, failed;
};

/* -- arguments -- */

enum option_id { OPTION_ALL, OPTION_JSON, OPTION_NO_WAIT, OPTION_REASON, OPTION_LIMIT };

static const struct command_option options_table[] = {
    {"all", OPTION_ALL, false},      {"json", OPTION_JSON, false},   {"no-wait", OPTION_NO_WAIT, false},
    {"reason", OPTION_REASON, true}, {"limit", OPTION_LIMIT, true}, {0},
};

static bool take_option(void *ctx, int id, const char *value, struct error *reterr) {
    struct arguments *a = ctx;
    switch (id) {
    case OPTION_ALL:
        return a->all = true;
    case OPTION_JSON:
        return a->json = true;
    case OPTION_NO_WAIT:
        return a->no_wait = true;
    case OPTION_LIMIT:
        return command_number("--limit", value, 1, 1000000, &a->limit, reterr);
    default:
        a->reason = value;
        return *value || error_set(reterr, ERROR_INVALID, "--reason takes a piece of the reason");
    }
}

static bool take_word(void *ctx, const char *word, struct error *reterr) {
    struct arguments *a = ctx;
    (void)reterr;
    if (!*a->action)
        a->action = word;
    else
        a->ids[a->id_count++] = word; /* never more than there are arguments */
    return true;
}

static bool check(const struct arguments *a, struct error *reterr) {
    bool list = strcmp(a->action, "list") == 0, show = strcmp(a->action, "show") == 0;
    if (!list && !show && strcmp(a->action, "replay") != 0 && strcmp(a->action, "drop") != 0)
        return error_set(reterr, ERROR_INVALID, "what is %.40s? list, show, replay or drop", a->action);
    if (list || show)
        return show && a->id_count == 0 ? error_set(reterr, ERROR_INVALID, "show takes the ids of products") : true;
    if (a->id_count == 0 && !a->all && !a->reason)
        return error_set(reterr, ERROR_INVALID, "%s takes ids of products, --reason TEXT or --all", a->action);
    if (a->id_count > 0 && (a->all || a->reason))
        return error_set(reterr, ERROR_INVALID, "either ids, or --reason and --all");
    return true;
}

static bool parse(struct arguments *a, int argc, char **argv, struct error *reterr) {
    *a = (struct arguments){.action = "", .limit = LIMIT_DEFAULT, .ids = calloc((size_t)argc, sizeof(*a->ids))};
    if (!a->ids)
        return error_nomem(reterr);
    return command_parse(options_table, argc, argv, take_option, take_word, a, reterr) && check(a, reterr);
}

/* -- which letters -- */

static void escape_regex(struct buf *out, const char *text) {
    for (const char *p = text; *p; p++) {
        if (strchr("\\^$.|?*+()[]{}", *p))
            buf_append_char(out, '\\');
        buf_append_char(out, *p);
    }
}

static void append_ids(bson_t *query, const char *const *texts, const struct slice *slices, size_t count) {
    bson_t in, list;
    BSON_APPEND_DOCUMENT_BEGIN(query, "_id", &in);
    BSON_APPEND_ARRAY_BEGIN(&in, "$in", &list);
    for (size_t i = 0; i < count; i++) {
        char scratch[16];
        const char *key;
        size_t len = bson_uint32_to_string((uint32_t)i, &key, scratch, sizeof(scratch));
        struct slice id = texts ? slice_str(texts[i]) : slices[i];
        bson_append_utf8(&list, key, (int)len, id.data, (int)id.len);
    }
    bson_append_array_end(&in, &list);
    bson_append_document_end(query, &in);
}

static bool build_query(const struct arguments *a, bson_t *query, struct error *reterr) {
    for (size_t i = 0; i < a->id_count; i++)
        if (!utf8_valid(a->ids[i], strlen(a->ids[i])))
            return error_set(reterr, ERROR_INVALID, "an id that is no UTF-8");
    if (a->id_count)
        append_ids(query, a->ids, NULL, a->id_count);
    if (!a->reason)
        return true;
    _cleanup_(buf_done) struct buf regex = BUF_INIT(1 << 20);
    escape_regex(&regex, a->reason);
    if (!buf_ok(&regex) || !utf8_valid(regex.data, regex.len))
        return error_set(reterr, ERROR_INVALID, "a --reason that is no UTF-8");
    BSON_APPEND_REGEX(query, "reason", regex.data, "i");
    return true;
}

/* Calls fn for each letter; ret_count may be NULL. */
static bool each(struct dead_letters *d, const bson_t *query, const bson_t *opts,
                 bool (*fn)(struct dead_letters *d, const bson_t *letter), int64_t *ret_count, struct error *reterr) {
    mongoc_collection_t *c = mongoc_client_get_collection(d->client, d->database, DEAD_LETTER_COLLECTION);
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(c, query, opts, NULL);
    const bson_t *letter;
    bson_error_t e;
    int64_t n = 0;
    bool ok = true;
    for (; ok && mongoc_cursor_next(cursor, &letter); n++)
        ok = fn(d, letter);
    if (!ok)
        error_nomem(reterr);
    else if (mongoc_cursor_error(cursor, &e))
        ok = mongo_error("read dead letters", &e, NULL, reterr);
    mongoc_cursor_destroy(cursor);
    mongoc_collection_destroy(c);
    if (ret_count)
        *ret_count = n;
    return ok;
}

/* -- looking -- */

static void write_text(struct json_write *w, const bson_t *letter, const char *field) {
    const char *text = state_string(letter, field);
    if (!text)
        return;
    json_write_key(w, field);
    json_write_str(w, text);
}

static void write_date(struct json_write *w, const bson_t *letter, const char *field) {
    bson_iter_t at;
    char text[CLOCK_RFC3339_SIZE];
    if (!bson_iter_init_find(&at, letter, field) || !BSON_ITER_HOLDS_DATE_TIME(&at))
        return;
    clock_format_rfc3339(bson_iter_date_time(&at) * 1000, text);
    json_write_key(w, field);
    json_write_str(w, text);
}

static bool print_json(const bson_t *letter) {
    _cleanup_(buf_done) struct buf line = BUF_INIT(LINE_BYTES_MAX);
    struct json_write w;
    json_write_init(&w, &line);
    json_write_object(&w);
    json_write_key(&w, "id");
    json_write_str(&w, state_string(letter, "_id"));
    write_text(&w, letter, "index");
    write_text(&w, letter, "reason");
    json_write_key(&w, "status");
    json_write_int(&w, state_i64(letter, "status"));
    json_write_key(&w, "times");
    json_write_int(&w, state_i64(letter, "times"));
    write_date(&w, letter, "first_at");
    write_date(&w, letter, "last_at");
    write_text(&w, letter, "replay");
    write_text(&w, letter, "document_is");
    write_text(&w, letter, "document");
    json_write_object_end(&w);
    if (!json_write_finish(&w))
        return false;
    printf("%s\n", line.data);
    return true;
}

/* In one line, without what would play tricks on a terminal. */
static void print_plain(const char *text, size_t max) {
    size_t len = strlen(text), keep = utf8_cut(text, len, max);
    for (size_t i = 0; i < keep; i++)
        putchar((unsigned char)text[i] < 0x20 || text[i] == 0x7F ? ' ' : text[i]);
    if (keep < len)
        fputs("...", stdout);
}

static bool print_line(struct dead_letters *d, const bson_t *letter) {
    if (d->args.json)
        return print_json(letter);
    bson_iter_t at;
    char last[CLOCK_RFC3339_SIZE] = "-";
    if (bson_iter_init_find(&at, letter, "last_at") && BSON_ITER_HOLDS_DATE_TIME(&at))
        clock_format_rfc3339(bson_iter_date_time(&at) * 1000, last);
    const char *id = state_string(letter, "_id"), *reason = state_string(letter, "reason");
    printf("%.19sZ  %3" PRId64 "x  %3" PRId64 "  ", last, state_i64(letter, "times"), state_i64(letter, "status"));
    print_plain(id ? id : "?", MARK_ID_MAX);
    fputs("  ", stdout);
    print_plain(reason ? reason : "", REASON_COLUMNS);
    putchar('\n');
    return true;
}

static bool print_all(struct dead_letters *d, const bson_t *letter) {
    if (d->args.json)
        return print_json(letter);
    static const struct {
        const char *name, *field;
    } texts[] = {{"product", "_id"}, {"index", "index"}, {"reason", "reason"}, {"again", "replay"}};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        const char *text = state_string(letter, texts[i].field);
        printf("%-9s", texts[i].name);
        print_plain(text ? text : "-", 1 << 16);
        putchar('\n');
    }
    printf("%-9s%" PRId64 "\n%-9s%" PRId64 "\n", "status", state_i64(letter, "status"), "times", state_i64(letter, "times"));
    const char *document = state_string(letter, "document"), *is = state_string(letter, "document_is");
    printf("%-9s", is ? is : "document");
    print_plain(document ? document : "-", 1 << 21);
    fputs("\n\n", stdout);
    return true;
}

static int list(struct dead_letters *d, const struct command *command) {
    struct error error;
    bson_t query = BSON_INITIALIZER;
    bson_t *opts = BCON_NEW("sort", "{", "last_at", BCON_INT32(-1), "_id", BCON_INT32(1), "}", "limit",
                            BCON_INT64(d->args.limit), "projection", "{", "document", BCON_INT32(0), "}");
    int64_t shown = 0, all = 0;
    bool ok = build_query(&d->args, &query, &error) && each(d, &query, opts, print_line, &shown, &error);
    if (ok && !d->args.json) {
        mongoc_collection_t *c = mongoc_client_get_collection(d->client, d->database, DEAD_LETTER_COLLECTION);
        all = mongoc_collection_count_documents(c, &query, NULL, NULL, NULL, NULL);
        mongoc_collection_destroy(c);
        if (shown < all)
            printf("%" PRId64 " of %" PRId64 " dead letters, the newest first; --limit shows more\n", shown, all);
        else
            printf("%" PRId64 " dead letter%s\n", shown, shown == 1 ? "" : "s");
    }
    bson_destroy(&query);
    bson_destroy(opts);
    return ok ? COMMAND_OK : command_error(command, &error);
}

static int show(struct dead_letters *d, const struct command *command) {
    struct error error;
    bson_t query = BSON_INITIALIZER;
    int64_t found = 0;
    bool ok = build_query(&d->args, &query, &error) && each(d, &query, NULL, print_all, &found, &error);
    bson_destroy(&query);
    if (ok && found == 0)
        ok = error_set(&error, ERROR_NOT_FOUND, "no dead letter of %.80s", d->args.ids[0]);
    return ok ? COMMAND_OK : command_error(command, &error);
}

/* -- forgetting -- */

static int drop(struct dead_letters *d, const struct command *command) {
    struct error error;
    bson_error_t e;
    bson_t query = BSON_INITIALIZER, reply = BSON_INITIALIZER;
    bool ok = build_query(&d->args, &query, &error);
    int64_t dropped = 0;
    if (ok) {
        mongoc_collection_t *c = mongoc_client_get_collection(d->client, d->database, DEAD_LETTER_COLLECTION);
        bson_destroy(&reply);
        ok = mongoc_collection_delete_many(c, &query, NULL, &reply, &e);
        if (!ok)
            mongo_error("drop dead letters", &e, &reply, &error);
        dropped = state_i64(&reply, "deletedCount");
        mongoc_collection_destroy(c);
    }
    bson_destroy(&query);
    bson_destroy(&reply);
    if (ok && dropped == 0 && d->args.id_count)
        ok = error_set(&error, ERROR_NOT_FOUND, "no dead letter of %.80s", d->args.ids[0]);
    if (!ok)
        return command_error(command, &error);
    if (d->args.json)
        printf("{\"event\":\"dropped\",\"letters\":%" PRId64 "}\n", dropped);
    else
        printf("%" PRId64 " dropped; a product that still cannot be written comes back with its next change\n", dropped);
    return COMMAND_OK;
}

/* -- trying again -- */

static bool remember(struct dead_letters *d, const bson_t *letter) {
    const char *id = state_string(letter, "_id");
    if (!id || !*id || strlen(id) > MARK_ID_MAX)
        return true;
    if (d->count == d->capacity) {
        size_t capacity = d->capacity ? d->capacity * 2 : 256;
        struct slice *ids = realloc(d->ids, capacity * sizeof(*ids));
        d->ids = ids ? ids : d->ids;
        int64_t *times = ids ? realloc(d->times, capacity * sizeof(*times)) : NULL;
        d->times = times ? times : d->times;
        if (!ids || !times)
            return false;
        d->capacity = capacity;
    }
    char *copy = strdup(id);
    if (!copy)
        return false;
    d->ids[d->count] = (struct slice){copy, strlen(copy)};
    d->times[d->count++] = state_i64(letter, "times");
    return true;
}

/* Under a relay the job is over when its marks are in the topic: those who read them are waited for as well. */
static bool look(struct dead_letters *d, const char *job, struct verify_topic *topic, bool *ret_over, int64_t *ret_done,
                 struct error *reterr) {
    int64_t behind = 0;
    if (!jobs_look(d->client, d->database, job, ret_over, ret_done, reterr) ||
        (*ret_over && !verify_topic_ask(topic, d->options, d->client, &behind, reterr)))
        return false;
    *ret_over = *ret_over && behind == 0;
    *ret_done -= behind;
    return true;
}

static bool wait_in(struct dead_letters *d, const char *job, int64_t before, struct verify_topic *topic, struct error *reterr) {
    int64_t seen = -1;
    for (usec_t moved = clock_now_usec();;) {
        int64_t done;
        bool over;
        if (command_interrupts())
            return error_set(reterr, ERROR_CONFLICT, "the replay %.80s goes on without us", job);
        if (!look(d, job, topic, &over, &done, reterr))
            return false;
        if (over)
            return true;
        command_progress_update(&d->progress, "replay", before + (done > 0 ? done : 0), (int64_t)d->count, "products", NULL);
        if (done != seen) {
            seen = done;
            moved = clock_now_usec();
        }
        if (clock_now_usec() - moved > PATIENCE_USEC)
            return error_set(reterr, ERROR_TIMEOUT, "the projector does not work on the replay %.80s; %s", job,
                             topic->lag ? "does projector run --from kafka run?" : "is it running?");
        command_sleep(POLL_USEC);
    }
}

static bool wait_for(struct dead_letters *d, const char *job, int64_t before, struct error *reterr) {
    struct verify_topic topic = {0};
    bool ok = wait_in(d, job, before, &topic, reterr);
    verify_topic_done(&topic);
    return ok;
}

/* A letter that was not written again since is one of a product that now is in the index: the projector removes it, but
 * it may not know of all. */
static bool settle(struct dead_letters *d, size_t at, struct error *reterr) {
    bson_t query = BSON_INITIALIZER;
    bson_append_utf8(&query, "_id", -1, d->ids[at].data, (int)d->ids[at].len);
    bson_t letter;
    bool found, ok = state_find_one(d->client, d->database, DEAD_LETTER_COLLECTION, &query, &letter, &found, reterr);
    if (ok && found && state_i64(&letter, "times") > d->times[at]) {
        d->failed++;
        ok = print_line(d, &letter) || error_nomem(reterr);
    } else if (ok) {
        d->written++;
        bson_error_t e;
        BSON_APPEND_INT64(&query, "times", d->times[at]);
        mongoc_collection_t *c = mongoc_client_get_collection(d->client, d->database, DEAD_LETTER_COLLECTION);
        if (found && !mongoc_collection_delete_one(c, &query, NULL, NULL, &e))
            ok = mongo_error("remove a dead letter", &e, NULL, reterr);
        mongoc_collection_destroy(c);
    }
    bson_destroy(&query);
    bson_destroy(&letter);
    return ok;
}

static bool replay_piece(struct dead_letters *d, size_t first, size_t n, struct error *reterr) {
    char job[JOB_ID_SIZE];
    if (!jobs_insert_repair(d->client, d->database, "projector dead-letters replay", d->ids + first, n, false, job, reterr))
        return false;
    if (d->args.no_wait)
        return true;
    if (!wait_for(d, job, (int64_t)first, reterr))
        return false;
    command_progress_done(&d->progress);
    for (size_t i = first; i < first + n; i++)
        if (!settle(d, i, reterr))
            return false;
    return true;
}

static bool replay_all(struct dead_letters *d, struct error *reterr) {
    bson_t query = BSON_INITIALIZER;
    bson_t *opts = BCON_NEW("projection", "{", "times", BCON_INT32(1), "}");
    bool runs = false, ok = build_query(&d->args, &query, reterr) && each(d, &query, opts, remember, NULL, reterr) &&
                            verify_projector_runs(d->client, d->database, &runs, reterr);
    bson_destroy(&query);
    bson_destroy(opts);
    if (ok && d->count == 0 && d->args.id_count)
        return error_set(reterr, ERROR_NOT_FOUND, "no dead letter of %.80s", d->args.ids[0]);
    if (ok && !runs)
        return error_set(reterr, ERROR_UNAVAILABLE, "products are written by a running projector; start one with: projector run");
    for (size_t at = 0; ok && at < d->count; at += JOB_REPAIR_MAX) {
        size_t left = d->count - at;
        ok = replay_piece(d, at, left < JOB_REPAIR_MAX ? left : JOB_REPAIR_MAX, reterr);
    }
    return ok;
}

static int replay(struct dead_letters *d, const struct command *command) {
    struct error error;
    command_watch_interrupts();
    bool ok = replay_all(d, &error);
    command_progress_done(&d->progress);
    if (!ok && command_interrupts()) {
        fprintf(stderr, "%s\n", error.message);
        return COMMAND_DETACHED;
    }
    if (!ok)
        return command_error(command, &error);
    if (d->args.json)
        printf("{\"event\":\"replayed\",\"products\":%zu,\"written\":%" PRId64 ",\"failed\":%" PRId64 "}\n", d->count, d->written,
               d->failed);
    else if (d->args.no_wait)
        printf("%zu handed to the projector\n", d->count);
    else
        printf("%zu replayed: %" PRId64 " written, %" PRId64 " failed again\n", d->count, d->written, d->failed);
    return d->failed ? COMMAND_DIFFERENCES : COMMAND_OK;
}

/* -- the command -- */

static int act(struct dead_letters *d, const struct command *command) {
    static const struct {
        const char *name;
        int (*fn)(struct dead_letters *d, const struct command *command);
    } actions[] = {{"list", list}, {"show", show}, {"replay", replay}, {"drop", drop}};
    for (size_t i = 0; i < ARRAY_LEN(actions); i++)
        if (strcmp(actions[i].name, d->args.action) == 0)
            return actions[i].fn(d, command);
    return COMMAND_USAGE;
}

static int act_with_client(struct dead_letters *d) {
    struct error error = {0};
    d->pool = mongo_pool_new(&d->options->mongo, "projector-dead-letters", 1, &error);
    if (!d->pool)
        return command_error(&command_dead_letters, &error);
    d->client = mongoc_client_pool_pop(d->pool);
    int code = act(d, &command_dead_letters);
    mongoc_client_pool_push(d->pool, d->client);
    mongoc_client_pool_destroy(d->pool);
    return code;
}

static int run(const struct projector_options *options, int argc, char **argv) {
    struct dead_letters d = {.options = options, .database = options->mongo.database};
    struct error error = {0};
    int code;
    if (parse(&d.args, argc, argv, &error)) {
        command_progress_init(&d.progress, d.args.json);
        code = act_with_client(&d);
    } else {
        code = command_usage_error(&command_dead_letters, "%s", error.message);
    }
    for (size_t i = 0; i < d.count; i++)
        free((char *)d.ids[i].data);
    free(d.ids);
    free(d.times);
    free(d.args.ids);
    return code;
}

const struct command command_dead_letters = {
    .name = "dead-letters",
    .usage = "list|show|replay|drop [ID...] [--reason TEXT] [--all] [--limit N] [--no-wait] [--json]",
    .summary = "products that could not be written: look at them, try again, forget them",
    .help = "  list             the newest 100, a line each\n"
            "  show ID...       everything that is kept of them, the document too\n"
            "  replay ID...     have the running projector write them again, and say which failed again\n"
            "  drop ID...       forget them\n"
            "\n"
            "  --reason TEXT    those whose reason holds TEXT (list, replay, drop)\n"
            "  --all            all of them (replay, drop)\n"
            "  --limit N        show at most N (list)\n"
            "  --no-wait        do not wait for what becomes of them (replay)\n"
            "  --json           JSON lines\n"
            "  --               what follows are ids, whatever they begin with\n"
            "\n"
            "Exit code 3: some of what was replayed failed again. 5: Ctrl-C; the replay goes on.\n",
    .run = run,
};
