/* projector reindex, projector rollback: jobs of the daemon; --dry-run changes nothing. */
#include "core/cleanup.h"
#include "projector/commands/command_wait.h"
#include "projector/commands/reindex_plan.h"
#include "projector/jobs/targets.h"
#include "projector/verify/verify_barrier.h"
#include <stdio.h>

#define THROTTLE_MAX INT64_C(100000000)

struct request {
    const char *mapping;
    int64_t throttle;
    bool dry_run, no_swap, keep_index, detach, wait, force, json, cancel_on_interrupt;
};

static const char reindex_help[] =
    "A new index is made from the mapping, written beside the one that serves, compared with the databases, and then the\n"
    "alias is swapped. Searches and writes go on meanwhile.\n"
    "\n"
    "  --mapping F           products-v1, products-v1-plain, auto or a file; default: [projector] mapping\n"
    "  --dry-run             print what would change, how much there is to do and how long it takes; change nothing\n"
    "  --throttle N          at most N documents per second (projector jobs throttle changes it under way)\n"
    "  --no-swap             stop before the swap; projector jobs confirm JOB swaps\n"
    "  --wait                with --no-swap: wait until it is confirmed and swapped\n"
    "  --detach              hand the job over and return\n"
    "  --keep-index          do not delete the new index if the job fails or is cancelled\n"
    "  --cancel-on-interrupt the first Ctrl-C cancels the job; otherwise it detaches, and a second one within 2 s cancels\n"
    "  --json                JSON lines on stdout\n"
    "\n"
    "Exit codes here: 0 swapped (or verified, with --no-swap), 1 refused, failed or cancelled, 5 detached.\n";

static const char rollback_help[] =
    "The index that served before the last reindex gets every change for [projector] rollback_keep; it is compared with the\n"
    "databases, and then the alias is swapped back.\n"
    "\n"
    "  --force               swap at once, even to an index that lacks changes; a full scan follows then\n"
    "  --detach              hand the job over and return\n"
    "  --cancel-on-interrupt the first Ctrl-C cancels the job; otherwise it detaches, and a second one within 2 s cancels\n"
    "  --json                JSON lines on stdout\n"
    "\n"
    "Exit codes here: 0 swapped, 1 there is nothing to go back to, it failed or was cancelled, 5 detached.\n";

enum { OPT_MAPPING = 1, OPT_DRY, OPT_THROTTLE, OPT_NO_SWAP, OPT_WAIT, OPT_DETACH, OPT_KEEP, OPT_CANCEL, OPT_JSON, OPT_FORCE };

static bool take_option(void *ctx, int option, const char *value, struct error *reterr) {
    struct request *request = ctx;
    switch (option) {
    case OPT_MAPPING:
        request->mapping = value;
        return true;
    case OPT_THROTTLE:
        return command_number("--throttle", value, 1, THROTTLE_MAX, &request->throttle, reterr);
    case OPT_DRY:
        request->dry_run = true;
        return true;
    case OPT_NO_SWAP:
        request->no_swap = true;
        return true;
    case OPT_WAIT:
        request->wait = true;
        return true;
    case OPT_DETACH:
        request->detach = true;
        return true;
    case OPT_KEEP:
        request->keep_index = true;
        return true;
    case OPT_CANCEL:
        request->cancel_on_interrupt = true;
        return true;
    case OPT_JSON:
        request->json = true;
        return true;
    case OPT_FORCE:
        request->force = true;
        return true;
    }
    return true;
}

static bool parse(const struct command_option *table, int argc, char **argv, struct request *ret,
                  struct error *reterr) {
    if (!command_parse(table, argc, argv, take_option, NULL, ret, reterr))
        return false;
    if (ret->detach && ret->wait)
        return error_set(reterr, ERROR_INVALID, "--detach and --wait exclude each other");
    return true;
}

static int follow(const struct command *command, const struct projector_options *options,
                  struct command_session *session, const struct request *request, const char *id) {
    if (request->detach) {
        bool runs;
        if (request->json)
            printf("{\"event\":\"job\",\"id\":\"%s\"}\n", id);
        else
            printf("job %s\n", id);
        if (verify_projector_runs(session->client, session->database, &runs, NULL) && !runs)
            fprintf(stderr, "projector %s: no projector is running: the job begins when one does\n", command->name);
        return COMMAND_OK;
    }
    struct command_wait wait = {.command = command, .options = options, .session = session, .id = id,
                                .json = request->json, .cancel_on_interrupt = request->cancel_on_interrupt,
                                .until_over = request->wait};
    if (!request->json)
        fprintf(stderr, "job %s\n", id);
    return command_wait(&wait);
}

/* -- reindex -- */

struct active {
    char id[JOB_ID_SIZE];
};

static void note_active(void *ctx, struct job_record *job) {
    struct active *active = ctx;
    if (job->type == JOB_REINDEX || job->type == JOB_ROLLBACK)
        snprintf(active->id, sizeof(active->id), "%s", job->id);
    job_record_done(job);
}

static bool ask(struct command_session *session, const struct request *request, const struct index_mapping *mapping,
                char ret_id[JOB_ID_SIZE], struct error *reterr) {
    struct active active = {""};
    struct job_reindex_wish wish = {.mapping = mapping, .throttle = request->throttle, .no_swap = request->no_swap,
                                    .keep_index = request->keep_index};
    if (!jobs_active(session->client, session->database, note_active, &active, reterr))
        return false;
    if (active.id[0])
        return error_set(reterr, ERROR_CONFLICT, "job %s is under way (projector jobs wait, cancel)", active.id);
    command_watch_interrupts(); /* a job that goes on without us has been named before */
    return job_control_reindex(session->client, session->database, &wish, ret_id, reterr);
}

static int reindex_with(const struct projector_options *options, const struct request *request,
                        const struct index_mapping *mapping) {
    struct command_session session;
    struct error error = {0};
    char id[JOB_ID_SIZE];
    int code;
    if (!command_session_open(options, &session, &error))
        return command_error(&command_reindex, &error);
    if (request->dry_run)
        code = reindex_plan_print(options, &session, mapping, request->throttle, request->json, &error)
                   ? COMMAND_OK
                   : command_error(&command_reindex, &error);
    else if (!ask(&session, request, mapping, id, &error))
        code = command_error(&command_reindex, &error);
    else
        code = follow(&command_reindex, options, &session, request, id);
    command_session_close(&session);
    return code;
}

static int reindex(const struct projector_options *options, int argc, char **argv) {
    static const struct command_option table[] = {
        {"mapping", OPT_MAPPING, true}, {"dry-run", OPT_DRY, false},       {"throttle", OPT_THROTTLE, true},
        {"no-swap", OPT_NO_SWAP, false}, {"wait", OPT_WAIT, false},        {"detach", OPT_DETACH, false},
        {"keep-index", OPT_KEEP, false}, {"cancel-on-interrupt", OPT_CANCEL, false}, {"json", OPT_JSON, false},
        {NULL, 0, false},
    };
    struct request request = {.mapping = options->projector.mapping};
    struct index_mapping mapping = {0};
    struct error error = {0};
    if (!parse(table, argc, argv, &request, &error))
        return command_usage_error(&command_reindex, "%s", error.message);
    if (!index_mapping_load(&options->es, request.mapping, &mapping, &error))
        return command_error(&command_reindex, &error);
    int code = reindex_with(options, &request, &mapping);
    index_mapping_done(&mapping);
    return code;
}

const struct command command_reindex = {
    .name = "reindex",
    .usage = "[--mapping F] [--dry-run] [--throttle DOCS/S] [--no-swap] [--wait | --detach] [--json]",
    .summary = "build a new index beside the serving one and swap the alias",
    .help = reindex_help,
    .run = reindex,
};

/* -- rollback -- */

static int rollback(const struct projector_options *options, int argc, char **argv) {
    static const struct command_option table[] = {
        {"force", OPT_FORCE, false}, {"detach", OPT_DETACH, false}, {"wait", OPT_WAIT, false},
        {"cancel-on-interrupt", OPT_CANCEL, false}, {"json", OPT_JSON, false}, {NULL, 0, false},
    };
    struct request request = {0};
    struct command_session session;
    struct targets targets;
    struct error error = {0};
    char id[JOB_ID_SIZE];
    int code;
    if (!parse(table, argc, argv, &request, &error))
        return command_usage_error(&command_rollback, "%s", error.message);
    if (!command_session_open(options, &session, &error))
        return command_error(&command_rollback, &error);
    bool ok = targets_load(session.client, session.database, &targets, &error);
    if (ok && !targets_find(&targets, TARGET_OLD))
        ok = error_set(&error, ERROR_NOT_FOUND, "no index of before is kept; projector reindex with the mapping of then "
                                                "makes one");
    command_watch_interrupts(); /* as above */
    if (ok && job_control_rollback(session.client, session.database, request.force, id, &error))
        code = follow(&command_rollback, options, &session, &request, id);
    else
        code = command_error(&command_rollback, &error);
    command_session_close(&session);
    return code;
}

const struct command command_rollback = {
    .name = "rollback",
    .usage = "[--force] [--detach] [--json]",
    .summary = "swap the alias back to the index that served before",
    .help = rollback_help,
    .run = rollback,
};
