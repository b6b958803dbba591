#include "core/cleanup.h"
#include "core/json_write.h"
#include "projector/commands/command_progress.h"
#include "projector/commands/command_wait.h"
#include "projector/engine/lag.h"
#include "projector/lease.h"
#include "projector/owner.h"
#include <stdio.h>

enum {
    POLL_USEC = 150 * 1000,
    LEASE_USEC = 500 * 1000,
    TROUBLE_USEC = 60 * 1000 * 1000, /* MongoDB may be away so long */
    SECOND_USEC = 2 * 1000 * 1000,   /* after a Ctrl-C, for another one */
    CLIENTS = 2,
};

bool command_session_open(const struct projector_options *options, struct command_session *ret, struct error *reterr) {
    *ret = (struct command_session){.database = options->mongo.database};
    ret->pool = mongo_pool_new(&options->mongo, "projector-command", CLIENTS, reterr);
    if (!ret->pool)
        return false;
    ret->client = mongoc_client_pool_pop(ret->pool);
    return true;
}

void command_session_close(struct command_session *session) {
    if (session->client)
        mongoc_client_pool_push(session->pool, session->client);
    if (session->pool)
        mongoc_client_pool_destroy(session->pool);
    *session = (struct command_session){0};
}

/* -- being the projector ourselves -- */

struct own {
    struct loop *loop;
    struct owner *owner;
    bool ended;
    int code;
};

static void own_ended(void *ctx, int code) {
    struct own *own = ctx;
    own->ended = true;
    own->code = code;
    loop_stop(own->loop);
}

static bool own_start(struct own *own, const struct projector_options *options, struct error *reterr) {
    lag_register();
    return (own->loop = loop_new("command", reterr)) &&
           (own->owner = owner_start(options, false, own->loop, own_ended, own, reterr));
}

static void own_stop(struct own *own) {
    if (own->owner) {
        owner_stop(own->owner);
        if (!own->ended)
            loop_run(own->loop);
        owner_free(own->owner);
    }
    if (own->loop)
        loop_free(own->loop);
    *own = (struct own){0};
}

/* -- what is shown -- */

void command_print_job_json(const struct job_record *job, const char *event) {
    _cleanup_(buf_done) struct buf line = BUF_INIT(64 << 10);
    struct json_write w;
    json_write_init(&w, &line);
    json_write_object(&w);
    const char *const texts[][2] = {{"event", event}, {"id", job->id}, {"type", job_type_names[job->type]},
                                    {"state", job_state_word(job)}, {"phase", job_phase_names[job->phase]},
                                    {"index", job->index}, {"error", job->error}, {"note", job->note}};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (!*texts[i][1])
            continue;
        json_write_key(&w, texts[i][0]);
        json_write_str(&w, texts[i][1]);
    }
    json_write_key(&w, "done");
    json_write_int(&w, job->done);
    json_write_key(&w, "total");
    json_write_int(&w, job->total);
    json_write_key(&w, "rate");
    json_write_int(&w, job->rate);
    json_write_key(&w, "throttle");
    json_write_int(&w, job->throttle);
    json_write_object_end(&w);
    if (json_write_finish(&w))
        printf("%s\n", line.data);
    fflush(stdout);
}

static int result(const struct command_wait *wait, const struct job_record *job) {
    if (wait->json)
        command_print_job_json(job, "result");
    if (job->state == JOB_FAILED || job->state == JOB_CANCELLED || job->state == JOB_SUPERSEDED) {
        fprintf(stderr, "projector %s: job %s %s%s%s\n", wait->command->name, job->id, job_state_names[job->state],
                job->error[0] ? ": " : "", job->error);
        return COMMAND_FAILED;
    }
    if (wait->json)
        return COMMAND_OK;
    if (job->state == JOB_WAITING)
        printf("index %s is verified and gets every change; to swap the alias: projector jobs confirm %s\n", job->index,
               job->id);
    else if (job->index[0])
        printf("alias %s -> %s\n", wait->options->projector.index, job->index);
    else
        printf("job %s is done\n", job->id);
    return COMMAND_OK;
}

static int detached(const struct command_wait *wait, struct command_progress *progress, bool own) {
    command_progress_done(progress);
    fprintf(stderr,
            "detached; the job %s\n"
            "  see it:     projector jobs list\n"
            "  wait again: projector jobs wait %s\n"
            "  cancel it:  projector jobs cancel %s\n",
            own ? "rests until a projector runs" : "goes on", wait->id, wait->id);
    return COMMAND_DETACHED;
}

/* -- waiting -- */

struct waiting {
    const struct command_wait *wait;
    struct command_progress progress;
    struct lease *lease;
    struct own own;
    usec_t lease_at, trouble_at, detach_at;
    bool cancelling;
};

static void show(struct waiting *w, const struct job_record *job) {
    char note[sizeof(job->note)];
    bool counts = job->phase == JOB_PHASE_MARK || job->phase == JOB_PHASE_VERIFY;
    snprintf(note, sizeof(note), "%s%s", job->paused ? "paused" : job->state == JOB_WAITING ? "waits for a confirmation" : "",
             job->cancel ? "cancelling" : "");
    if (!note[0])
        snprintf(note, sizeof(note), "%s", job->note);
    if (!note[0] && job->throttle > 0)
        snprintf(note, sizeof(note), "at most %lld/s", (long long)job->throttle);
    command_progress_update(&w->progress, job_phase_names[job->phase], counts ? job->done : 0, counts ? job->total : 0,
                            "documents", note);
}

/* Without an owner nothing would ever come of the job. */
static bool see_to_an_owner(struct waiting *w, struct error *reterr) {
    const struct command_wait *wait = w->wait;
    bool is_free = false;
    usec_t now = clock_now_usec();
    if (w->own.owner || now < w->lease_at)
        return true;
    w->lease_at = now + LEASE_USEC;
    char sink[STATE_SINK_SIZE];
    if (!lease_is_free(w->lease, wait->session->client, &is_free, NULL) || !is_free)
        return true;
    if (!state_sink_get(wait->session->client, wait->session->database, sink, reterr))
        return false;
    /* Writing the index ourselves would be another way of running all this. */
    if (strncmp(sink, "kafka:", 6) == 0 || strcmp(sink, STATE_SINK_LOST) == 0)
        return error_set(reterr, ERROR_INVALID, "no projector is running, and marks go through Kafka: the job rests until "
                                                "projector relay runs again");
    command_progress_say(&w->progress, "no projector is running: this command does its work until the job is over");
    return own_start(&w->own, wait->options, reterr);
}

static bool may_still_cancel(struct waiting *w) {
    usec_t now = clock_now_usec();
    if (command_terminated())
        return false;
    if (!w->detach_at) {
        w->detach_at = now + SECOND_USEC;
        command_progress_say(&w->progress, "detaching; Ctrl-C once more within %d s cancels the job", SECOND_USEC / (int)USEC_PER_SEC);
    }
    return now < w->detach_at;
}

/* Ctrl-C. Returns an exit code, or negative: go on. */
static int interrupted(struct waiting *w) {
    const struct command_wait *wait = w->wait;
    unsigned n = command_interrupts();
    if (n == 0 || w->cancelling)
        return n >= 3 ? COMMAND_INTERRUPTED : -1;
    if (!wait->cancel_on_interrupt && (n == 1 || command_terminated()))
        return may_still_cancel(w) ? -1 : detached(wait, &w->progress, w->own.owner != NULL);
    struct error error = {0};
    w->cancelling = true;
    command_progress_say(&w->progress, "cancelling the job");
    if (!job_control_wish(wait->session->client, wait->session->database, wait->id, JOB_WISH_CANCEL, 0, &error) &&
        error.code != ERROR_NOT_FOUND)
        command_progress_say(&w->progress, "%s", error.message);
    return -1;
}

/* One look. Returns an exit code, or negative: go on. */
static int look(struct waiting *w, struct error *reterr) {
    const struct command_wait *wait = w->wait;
    struct job_record job;
    if (!job_control_find(wait->session->client, wait->session->database, wait->id, &job, reterr))
        return error_is_retriable(reterr) ? -2 : command_error(wait->command, reterr);
    if (!job_is_over(&job) && !see_to_an_owner(w, reterr)) {
        job_record_done(&job);
        return error_is_retriable(reterr) ? -2 : command_error(wait->command, reterr);
    }
    int code = -1;
    show(w, &job);
    if (job_is_over(&job) || (job.state == JOB_WAITING && job.no_swap && !wait->until_over)) {
        command_progress_done(&w->progress);
        code = result(wait, &job);
    } else if (w->own.ended) { /* the log says why */
        command_progress_done(&w->progress);
        fprintf(stderr, "projector %s: its work cannot go on here; the job %s rests until a projector runs\n",
                wait->command->name, wait->id);
        code = COMMAND_FAILED;
    }
    job_record_done(&job);
    return code;
}

static int wait_loop(struct waiting *w) {
    for (;;) {
        struct error error = {0};
        if (w->own.loop) /* where our own projector says that it has ended */
            (void)loop_run_once(w->own.loop, 0);
        int code = look(w, &error);
        usec_t now = clock_now_usec();
        if (code >= 0)
            return code;
        if (code == -2 && !w->trouble_at)
            command_progress_say(&w->progress, "%s; trying again for a minute", error.message);
        w->trouble_at = code == -1 ? 0 : w->trouble_at ? w->trouble_at : now;
        if (w->trouble_at && now - w->trouble_at > TROUBLE_USEC) {
            command_progress_done(&w->progress);
            return command_error(w->wait->command, &error);
        }
        if ((code = interrupted(w)) >= 0)
            return code;
        command_sleep(POLL_USEC);
    }
}

int command_wait(const struct command_wait *wait) {
    struct waiting w = {.wait = wait};
    struct error error = {0};
    struct lease_conf lease = {.pool = wait->session->pool, .database = wait->session->database,
                               .ttl_usec = wait->options->projector.lease_ttl_usec,
                               .renew_usec = wait->options->projector.lease_renew_usec};
    command_progress_init(&w.progress, wait->json);
    if (!(w.lease = lease_new(&lease, &error)))
        return command_error(wait->command, &error);
    command_watch_interrupts();
    int code = wait_loop(&w);
    command_progress_done(&w.progress);
    own_stop(&w.own);
    lease_free(w.lease);
    return code;
}
