/* lag.h - the projector's metrics: how far the shopper's view is behind, and why.
 *
 * Registered once at start; updates are lock-free and for any thread. */
#pragma once
#include "core/metrics.h"
#include "projector/bulk_result.h"
#include "projector/mark.h"

struct lag_metrics {
    struct metric *commit_to_indexed[MARK_SOURCE_COUNT]; /* stream and queue; NULL for jobs */
    struct metric *commit_to_searchable;
    struct metric *marks[MARK_SOURCE_COUNT];
    struct metric *lag_seconds[MARK_SOURCE_COUNT];
    struct metric *outcomes[2][BULK_OUTCOMES]; /* by enum bulk_op */
    struct metric *suppressed, *ignored_events;
    struct metric *bulk_bytes, *bulk_documents, *bulks, *bulk_seconds, *load_seconds;
    struct metric *retries[BULK_OUTCOMES];
    struct metric *retries_load, *retries_tree;
    struct metric *dead_letters;
    struct metric *oplog_headroom, *stream_position;
    struct metric *checkpoint_saved_at;
    struct metric *lease_owner, *lease_epoch;
    struct metric *target_paused, *bulks_in_flight, *bulk_concurrency;
    struct metric *category_revision;
    struct metric *history_lost;
    struct metric *jobs_running, *jobs_waiting, *job_done, *job_total;
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
