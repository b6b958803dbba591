/* job_control.h - what somebody who is not the owner does to jobs: asks for one, and says what shall become of it. The
 * owner reads it once a second.
 *
 * Thread: any, with a client of its own. */
#pragma once
#include "projector/jobs/index_admin.h"
#include "projector/jobs/jobs.h"

struct job_reindex_wish {
    const struct index_mapping *mapping;
    int64_t throttle; /* documents per second; 0: none */
    bool no_swap, keep_index;
};
bool job_control_reindex(mongoc_client_t *client, const char *database, const struct job_reindex_wish *wish,
                         char ret_id[JOB_ID_SIZE], struct error *reterr);
bool job_control_rollback(mongoc_client_t *client, const char *database, bool force, char ret_id[JOB_ID_SIZE],
                          struct error *reterr);

/* The mapping that a reindex was asked for with. */
bool job_control_mapping(mongoc_client_t *client, const char *database, const char *id, struct index_mapping *ret,
                         struct error *reterr);

enum job_wish { JOB_WISH_PAUSE, JOB_WISH_RESUME, JOB_WISH_CANCEL, JOB_WISH_THROTTLE };
/* NOT_FOUND: there is no such active job. throttle: of JOB_WISH_THROTTLE. */
bool job_control_wish(mongoc_client_t *client, const char *database, const char *id, enum job_wish wish, int64_t throttle,
                      struct error *reterr);
/* NOT_FOUND: there is no such job. job_record_done it. */
bool job_control_find(mongoc_client_t *client, const char *database, const char *id, struct job_record *ret,
                      struct error *reterr);
/* It is over, whatever came of it. */
bool job_is_over(const struct job_record *job);
/* "running", "paused", "waiting", ... as people should read it. */
const char *job_state_word(const struct job_record *job);
