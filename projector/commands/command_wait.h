/* command_wait.h - commands that hand a job to the daemon and look at it until it is over.
 *
 * Command and daemon meet in MongoDB: the command stores the job and reads its progress there. If nobody holds the lease
 * the command is the projector itself until the job is over, and says so; it does what `run` does meanwhile.
 *
 * Ctrl-C detaches after two seconds, SIGTERM at once: the job goes on without us if there is a daemon, and stays where it
 * is if not. A second Ctrl-C within them, or the first one with cancel_on_interrupt, cancels the job.
 * Thread: main. */
#pragma once
#include "projector/commands/command.h"
#include "projector/jobs/job_control.h"

struct command_session {
    mongoc_client_pool_t *pool;
    mongoc_client_t *client;
    const char *database;
};
bool command_session_open(const struct projector_options *options, struct command_session *ret, struct error *reterr);
void command_session_close(struct command_session *session);

struct command_wait {
    const struct command *command;
    const struct projector_options *options;
    struct command_session *session;
    const char *id;
    bool json;
    bool cancel_on_interrupt;
    bool until_over; /* also while it waits for a confirmation */
};
/* Returns the command's exit code; the result is said on stdout. */
int command_wait(const struct command_wait *wait);
/* {"event":"job", id, type, state, phase, done, total, ...} as a line on stdout. */
void command_print_job_json(const struct job_record *job, const char *event);
