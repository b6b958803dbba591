/* projector jobs: what is under way, and what shall become of it. */
#include "core/cleanup.h"
#include "projector/commands/command_progress.h"
#include "projector/commands/command_wait.h"
#include "projector/lease.h"
#include <stdio.h>

#define THROTTLE_MAX INT64_C(100000000)

enum {
    SETTLE_USEC = 15 * 1000 * 1000, /* how long a wish is waited for */
    POLL_USEC = 100 * 1000,
};

static const char help[] =
    "  list [--all]          the jobs that are under way; with --all those of the last week too\n"
    "  pause JOB             rest until it is resumed\n"
    "  resume JOB\n"
    "  cancel JOB            end it; a half-built index is deleted. What a scan or a fan-out has not done stays undone\n"
    "  confirm JOB           let it go on that waits for a person's word\n"
    "  throttle JOB N|off    at most N documents per second\n"
    "  wait JOB              show its progress until it is over; Ctrl-C detaches, a second one within 2 s cancels the job\n"
    "  --json                JSON lines on stdout\n"
    "\n"
    "Exit codes here: 0 done, 1 there is no such job (wait: it failed), 4 asked for, but no projector has seen it yet,\n"
    "5 detached.\n";

struct request {
    const char *verb, *id, *value;
    bool all, json;
    size_t shown;
};

/* -- list -- */

static void print_job(void *ctx, struct job_record *job) {
    struct request *request = ctx;
    if (request->all || !job_is_over(job)) {
        request->shown++;
        if (request->json) {
            command_print_job_json(job, "job");
        } else {
            _cleanup_(buf_done) struct buf line = BUF_INIT(4096);
            buf_printf(&line, "%-34s %-10s %-7s ", job->id, job_state_word(job), job_phase_names[job->phase]);
            command_format_count(&line, job->done);
            if (job->total > 0) {
                buf_append_str(&line, " of ");
                command_format_count(&line, job->total > job->done ? job->total : job->done);
            }
            if (job->throttle > 0)
                buf_printf(&line, ", at most %lld/s", (long long)job->throttle);
            if (job->index[0])
                buf_printf(&line, "  %s", job->index);
            if (job->error[0])
                buf_printf(&line, "  %s", job->error);
            if (job->note[0])
                buf_printf(&line, "  (%s)", job->note);
            if (buf_ok(&line))
                printf("%s\n", line.data);
        }
    }
    job_record_done(job);
}

static int list(struct command_session *session, struct request *request) {
    struct error error = {0};
    if (!jobs_visit(session->client, session->database, NULL, print_job, request, &error))
        return command_error(&command_jobs, &error);
    if (!request->shown && !request->json)
        printf("no job %s\n", request->all ? "of the last week" : "is under way");
    return COMMAND_OK;
}

/* -- wishes -- */

static void say_unreadable(const struct request *request, const char *what, const struct error *error) {
    fprintf(stderr, "projector jobs: %s of job %s is %s, but the job cannot be read: %s\n", request->verb, request->id, what,
            error->message);
}

/* Until the owner has ended it, or nobody does. */
static int settle(struct command_session *session, const struct request *request) {
    struct error error = {0};
    for (usec_t until = clock_now_usec() + SETTLE_USEC; clock_now_usec() < until; command_sleep(POLL_USEC)) {
        struct job_record job;
        if (!job_control_find(session->client, session->database, request->id, &job, &error)) {
            say_unreadable(request, "asked for", &error);
            return COMMAND_UNREACHABLE;
        }
        bool over = job_is_over(&job);
        if (over && request->json)
            command_print_job_json(&job, "result");
        else if (over)
            printf("job %s is %s\n", job.id, job_state_names[job.state]);
        job_record_done(&job);
        if (over)
            return COMMAND_OK;
    }
    fprintf(stderr, "projector jobs: asked for; it takes effect when a projector runs\n");
    return COMMAND_UNREACHABLE;
}

/* What was asked for is done: that the job cannot be read is no failure of that. */
static int show(struct command_session *session, struct request *request) {
    struct error error = {0};
    struct job_record job;
    if (job_control_find(session->client, session->database, request->id, &job, &error))
        print_job(request, &job);
    else
        say_unreadable(request, "done", &error);
    return COMMAND_OK;
}

static int wish(struct command_session *session, struct request *request, enum job_wish what, int64_t throttle) {
    struct error error = {0};
    if (!job_control_wish(session->client, session->database, request->id, what, throttle, &error))
        return command_error(&command_jobs, &error);
    if (what == JOB_WISH_CANCEL)
        return settle(session, request);
    return show(session, request);
}

static int confirm(struct command_session *session, struct request *request) {
    struct error error = {0};
    if (!jobs_confirm(session->client, session->database, request->id, &error))
        return command_error(&command_jobs, &error);
    if (!request->json) {
        printf("job %s goes on\n", request->id);
        return COMMAND_OK;
    }
    request->all = true; /* it may be over already */
    return show(session, request);
}

static int throttle(struct command_session *session, struct request *request) {
    struct error error = {0};
    int64_t n = 0;
    if (strcmp(request->value, "off") != 0 &&
        !command_number("throttle", request->value, 1, THROTTLE_MAX, &n, &error))
        return command_usage_error(&command_jobs, "%s", error.message);
    return wish(session, request, JOB_WISH_THROTTLE, n);
}

/* -- the command -- */

static int dispatch(const struct projector_options *options, struct command_session *session, struct request *request) {
    const char *verb = request->verb;
    if (strcmp(verb, "list") == 0)
        return list(session, request);
    if (strcmp(verb, "pause") == 0)
        return wish(session, request, JOB_WISH_PAUSE, 0);
    if (strcmp(verb, "resume") == 0)
        return wish(session, request, JOB_WISH_RESUME, 0);
    if (strcmp(verb, "cancel") == 0)
        return wish(session, request, JOB_WISH_CANCEL, 0);
    if (strcmp(verb, "confirm") == 0)
        return confirm(session, request);
    if (strcmp(verb, "throttle") == 0)
        return throttle(session, request);
    struct command_wait wait = {.command = &command_jobs, .options = options, .session = session, .id = request->id,
                                .json = request->json};
    return command_wait(&wait);
}

enum { OPT_ALL, OPT_JSON };

static bool take_option(void *ctx, int option, const char *value, struct error *reterr) {
    struct request *request = ctx;
    (void)value, (void)reterr;
    *(option == OPT_ALL ? &request->all : &request->json) = true;
    return true;
}

static bool take_word(void *ctx, const char *word, struct error *reterr) {
    struct request *request = ctx;
    const char **words[] = {&request->verb, &request->id, &request->value};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (!*words[i]) {
            *words[i] = word;
            return true;
        }
    return error_set(reterr, ERROR_INVALID, "it takes no argument %.100s", word);
}

static bool parse(int argc, char **argv, struct request *ret, struct error *reterr) {
    static const struct command_option table[] = {{"all", OPT_ALL, false}, {"json", OPT_JSON, false}, {NULL, 0, false}};
    static const struct {
        const char *verb, *takes;
        unsigned words;
    } verbs[] = {{"list", "no job", 0},   {"pause", "one job", 1},   {"resume", "one job", 1}, {"cancel", "one job", 1},
                 {"confirm", "one job", 1}, {"wait", "one job", 1}, {"throttle", "a job and a number, or off", 2}};
    if (!command_parse(table, argc, argv, take_option, take_word, ret, reterr))
        return false;
    if (!ret->verb)
        ret->verb = "list";
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (strcmp(ret->verb, verbs[i].verb) != 0)
            continue;
        unsigned words = ret->value ? 2 : ret->id ? 1 : 0;
        return words == verbs[i].words ||
               error_set(reterr, ERROR_INVALID, "%s takes %s", verbs[i].verb, verbs[i].takes);
    }
    return error_set(reterr, ERROR_INVALID, "unknown: %.60s", ret->verb);
}

static int jobs(const struct projector_options *options, int argc, char **argv) {
    struct request request = {0};
    struct command_session session;
    struct error error = {0};
    if (!parse(argc, argv, &request, &error))
        return command_usage_error(&command_jobs, "%s", error.message);
    if (!command_session_open(options, &session, &error))
        return command_error(&command_jobs, &error);
    int code = dispatch(options, &session, &request);
    command_session_close(&session);
    return code;
}

const struct command command_jobs = {
    .name = "jobs",
    .usage = "[list [--all] | pause JOB | resume JOB | cancel JOB | confirm JOB | throttle JOB N | wait JOB] [--json]",
    .summary = "list, pause, resume, cancel, confirm and throttle long work",
    .help = help,
    .run = jobs,
};
