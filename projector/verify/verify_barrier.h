/* verify_barrier.h - "everything committed until now is in the index", seen from outside of the engine: by the positions
 * that the projector stores once what they stand for is acknowledged.
 *
 *   1. the change stream's stored position is behind the moment's cluster time
 *   2. no row of projection_queue up to the moment's highest is left
 *   3. the scans and fan-outs that run then are done (a row of a category becomes a job before it goes; a position that
 *      was lost moves on together with a scan); one that is superseded hands over to those that run then
 *
 * In this order. Jobs that wait for a person are not waited for: what they leave undone is a difference. One that a person
 * has paused is, and `why` names it.
 * Thread: the sessions'. */
#pragma once
#include "core/kafka_lag.h"
#include "core/mongo.h"
#include "core/mysql.h"
#include "projector/state.h"
#include "projector/verify/verify.h"

struct verify_barrier {
    struct verify_moment moment;
    int stage;
    bson_t *jobs;        /* ids that are waited for */
    uint64_t progress;   /* changes whenever the projector gets on */
    char why[160];
};
void verify_barrier_init(struct verify_barrier *barrier, const struct verify_moment *moment);
void verify_barrier_done(struct verify_barrier *barrier);
/* Asks once. *ret_passed, or barrier->why says what is missing. */
bool verify_barrier_ask(struct verify_barrier *barrier, mongoc_client_t *client, const char *database,
                        struct mysql_session *mysql, bool *ret_passed, struct error *reterr);

/* Behind the positions, and the jobs, of a relay stands a topic: what they say is done has reached the index once the group is
 * past what was in the topic when it was first asked. *ret_behind: messages to go; 0 without a relay. Begins as {0}, or with the
 * sink where that is known: what is stored says "none" of a relay that leaves the serving index out. */
struct verify_topic {
    const char *known;
    struct kafka_lag *lag; /* marked, or NULL */
    char sink[STATE_SINK_SIZE];
};
bool verify_topic_ask(struct verify_topic *topic, const struct projector_options *options, mongoc_client_t *client,
                      int64_t *ret_behind, struct error *reterr);
void verify_topic_done(struct verify_topic *topic);

/* The cluster time in a resume token: its _data is a hex KeyString that begins with a timestamp (type byte 0x82, eight
 * bytes big-endian; MongoDB's resume_token.cpp and key_string.h). 0: it is no such token. Everything before that time
 * has been seen, but at that very time there may be more. Pure. */
uint64_t verify_token_time(const char *data);

/* Does anybody hold the lease? Somebody whose process was killed looks like a holder until the lease's TTL is over. */
bool verify_projector_runs(mongoc_client_t *client, const char *database, bool *ret, struct error *reterr);
