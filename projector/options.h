/* options.h - what [projector] configures. Filled before threads start, read-only afterwards. */
#pragma once
#include "core/daemon.h"
#include "core/es.h"
#include "core/kafka.h"
#include "core/mongo.h"
#include "core/mysql.h"

struct projector_conf {
    char *listen, *port_file, *admin_key;
    char *index, *categories_index, *mapping;
    int64_t lanes;
    int64_t lane_count; /* of projector_options_settle: lanes, or by the cores */
    int64_t bulk_max_bytes, bulk_max_docs, document_max_bytes;
    usec_t bulk_timeout_usec;
    int64_t window_marks, background_window_marks;
    int64_t hash_cache_entries;
    usec_t checkpoint_interval_usec;
    usec_t lease_ttl_usec, lease_renew_usec;
    usec_t stream_await_usec;
    int64_t stream_batch;
    usec_t queue_poll_min_usec, queue_poll_max_usec, queue_rescan_usec;
    int64_t scan_page;
    usec_t searchable_within_usec;
    usec_t fill_refresh_usec;
    bool fill_merge;
    usec_t sweep_recount_usec;
    usec_t retry_min_usec, retry_max_usec;
    int64_t max_attempts;
    usec_t target_patience_usec, rollback_keep_usec;
    usec_t drain_timeout_usec;
    usec_t ready_lag_usec;
    usec_t searchable_sample_usec;
    int64_t verify_rate;
    bool verify_repair;
    usec_t verify_pause_usec;
    char *events_index, *queries_index;
    usec_t signals_interval_usec, events_keep_usec;
    int64_t signals_rate;
    char *marks_topic, *marks_group; /* section [kafka], with those below */
    int marks_format; /* enum marks_format */
    int64_t marks_partitions, marks_replicas;
    usec_t group_session_usec;
};

extern const struct option projector_option_table[];
extern const size_t projector_option_count;
/* Whether they go together; ctx is a projector_options. */
bool projector_options_check(const void *ctx, struct error *reterr);
/* Fills in what depends on the machine: lane_count. */
void projector_options_settle(struct projector_conf *options);

/* Everything that `projector` reads its configuration into. */
struct projector_options {
    struct core_conf core;
    struct mongo_conf mongo;
    struct mysql_conf mysql;
    struct es_conf es;
    struct kafka_conf kafka;
    struct projector_conf projector;
};
