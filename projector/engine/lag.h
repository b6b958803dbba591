/* lag.h - the projector's metrics: how far the shopper's view is behind, and why.
 *
 * Registered once at start; updates are lock-free and for any thread. */
#pragma once
#include "core/metrics.h"
#include "projector/compose/bulk_result.h"
#include "projector/engine/mark.h"
#include "projector/verify/verify_diff.h"

enum { LAG_JOB_TYPES_MAX = 8, LAG_JOB_STATES_MAX = 12 };
struct lag_job_metrics {
    struct metric *states[LAG_JOB_STATES_MAX]; /* how many, by enum job_state; NULL for those that are over */
    struct metric *done, *expected;            /* documents of the active ones */
    struct metric *documents;                  /* finished, since the start */
};

struct lag_metrics {
    struct metric *commit_to_indexed[MARK_SOURCE_COUNT]; /* stream and queue; NULL for jobs */
    struct metric *commit_to_searchable[MARK_SOURCE_COUNT]; /* the same */
    struct metric *marks[MARK_SOURCE_COUNT];
    struct metric *lag_seconds[MARK_SOURCE_COUNT];
    struct metric *unfinished[MARK_SOURCE_COUNT], *unfinished_limit[MARK_SOURCE_COUNT];
    struct metric *queue_rows;
    struct metric *outcomes[2][BULK_OUTCOMES]; /* by enum bulk_op */
    struct metric *suppressed, *ignored_values, *ignored_events;
    struct metric *bulk_bytes, *bulk_documents, *bulks, *bulk_seconds, *load_seconds, *refresh_seconds;
    struct metric *bulk_size_bytes, *bulk_size_documents;
    struct metric *retries[BULK_OUTCOMES];
    struct metric *retries_load, *retries_tree;
    struct metric *dead_letters, *dead_letters_kept;
    struct metric *oplog_headroom, *stream_position;
    struct metric *checkpoint_saved_at;
    struct metric *lease_owner, *lease_epoch;
    struct metric *targets[3], *targets_flawed[3]; /* by enum target_role */
    struct metric *target_paused, *bulks_in_flight, *bulk_concurrency, *background_bytes;
    struct metric *category_revision;
    struct metric *history_lost;
    struct metric *foreign_documents;
    struct metric *verified_as_of;                 /* set by what verifies the whole index, again and again */
    struct metric *verify_repaired, *verify_passes;
    struct metric *verify_compared, *verify_differences[VERIFY_KINDS];
    struct lag_job_metrics jobs[LAG_JOB_TYPES_MAX]; /* by enum job_type */
};
extern struct lag_metrics lag_metrics;

void lag_register(void);

#define LAG_LANES_MAX 64
struct lag_lane_metrics {
    struct metric *live, *background, *delayed, *in_flight;
};
/* Of one lane; the same for the same number. */
void lag_register_lane(unsigned lane, struct lag_lane_metrics *ret);

/* Observes now - commit, not below 0. */
void lag_observe(struct metric *m, int64_t commit_wall_usec, int64_t now_wall_usec);
