#include "projector/engine/lag.h"
#include "projector/jobs/jobs.h"
#include "projector/jobs/targets.h"
#include <stdio.h>

struct lag_metrics lag_metrics;

#define PREFIX "readside_projector_"

static void register_sources(struct lag_metrics *m) {
    for (int s = 0; s < MARK_SOURCE_COUNT; s++) {
        char labels[64];
        snprintf(labels, sizeof(labels), "source=\"%s\"", mark_source_names[s]);
        m->marks[s] = metrics_counter(PREFIX "marks_total", "Marks received.", labels);
        m->unfinished[s] = metrics_gauge(PREFIX "unfinished_marks",
                                         "Marks and segments taken from the source and not finished: its queue here.", labels);
        m->unfinished_limit[s] = metrics_gauge(PREFIX "unfinished_marks_limit",
                                               "Unfinished marks from which on the source is not read.", labels);
        if (s == MARK_JOB)
            continue;
        m->commit_to_indexed[s] =
            metrics_histogram(PREFIX "commit_to_indexed_seconds",
                              "From the commit in the source to the acknowledged write in the index.", labels);
        m->commit_to_searchable[s] = metrics_histogram(PREFIX "commit_to_searchable_seconds",
                                                       "From the commit until a search finds it (sampled).", labels);
        m->lag_seconds[s] = metrics_gauge(PREFIX "lag_seconds", "Age of the oldest unfinished change.", labels);
    }
    m->queue_rows = metrics_gauge(PREFIX "queue_rows", "Rows in projection_queue, counted up to 100,000.", "");
}

static void register_bulks(struct lag_metrics *m) {
    static const char *const ops[] = {[BULK_INDEX] = "index", [BULK_DELETE] = "delete"};
    for (int o = 0; o < BULK_OUTCOMES; o++) {
        const char *outcome = bulk_outcome_name((enum bulk_outcome)o);
        char labels[96];
        for (int op = 0; op < 2; op++) {
            snprintf(labels, sizeof(labels), "op=\"%s\",outcome=\"%s\"", ops[op], outcome);
            m->outcomes[op][o] = metrics_counter(PREFIX "documents_total", "Answers per document.", labels);
        }
        if (o == BULK_DONE || o == BULK_GONE)
            continue;
        snprintf(labels, sizeof(labels), "class=\"%s\"", outcome);
        m->retries[o] = metrics_counter(PREFIX "retries_total", "Documents that are tried again, by reason.", labels);
    }
    m->retries_load = metrics_counter(PREFIX "retries_total", "Documents that are tried again, by reason.",
                                      "class=\"load\"");
    m->retries_tree = metrics_counter(PREFIX "retries_total", "Documents that are tried again, by reason.",
                                      "class=\"categories\"");
    m->suppressed = metrics_counter(PREFIX "suppressed_total", "Writes left out because nothing changed.", "");
    m->bulks = metrics_counter(PREFIX "bulks_total", "Bulk requests answered.", "");
    m->bulk_bytes = metrics_counter(PREFIX "bulk_bytes_total", "Bytes of bulk bodies sent.", "");
    m->bulk_documents = metrics_counter(PREFIX "bulk_documents_total", "Documents in bulks sent.", "");
    m->bulk_size_bytes = metrics_histogram_of(PREFIX "bulk_size_bytes", "Size of a bulk body.", "", METRIC_BYTES);
    m->bulk_size_documents = metrics_histogram_of(PREFIX "bulk_size_documents", "Documents in a bulk.", "", METRIC_COUNTS);
    m->bulk_seconds = metrics_histogram(PREFIX "bulk_seconds", "From sending a bulk to its answer.", "");
    m->refresh_seconds = metrics_histogram(PREFIX "refresh_seconds", "A refresh of the index, as the projector asks for it.", "");
    m->load_seconds = metrics_histogram(PREFIX "load_seconds", "Reading the sources and composing one batch.", "");
    m->dead_letters = metrics_counter(PREFIX "dead_letters_total", "Documents put aside; again with the same reason and content, not counted.", "");
    m->dead_letters_kept = metrics_gauge(PREFIX "dead_letters", "Documents that are aside now, counted every 10 s.", "");
    m->bulks_in_flight = metrics_gauge(PREFIX "bulks_in_flight", "Bulk requests under way.", "");
    m->bulk_concurrency = metrics_gauge(PREFIX "bulk_concurrency", "Bulk requests allowed at once.", "");
    m->background_bytes = metrics_gauge(PREFIX "background_bytes_allowed",
                                        "Bytes of background bulks allowed at once: fewer while live changes wait for them.", "");
    m->target_paused = metrics_gauge(PREFIX "target_paused", "1 while the index refuses all writes.", "");
}

static void register_verification(struct lag_metrics *m) {
    m->verified_as_of = metrics_gauge(PREFIX "verified_as_of_timestamp_seconds",
                                      "Everything committed until then was compared with the index; 0: not yet.", "");
    m->foreign_documents = metrics_gauge(PREFIX "foreign_documents",
                                         "Documents in the index whose ids no product can have, by the last walk.", "");
    m->verify_compared = metrics_counter(PREFIX "verify_compared_total",
                                         "Products and documents that verification has compared.", "");
    m->verify_repaired = metrics_counter(PREFIX "verify_repaired_total",
                                         "Differences that are gone after continuous verification had them repaired.", "");
    m->verify_passes = metrics_counter(PREFIX "verify_passes_total", "Walks of continuous verification over the whole index.", "");
    for (int k = 0; k < VERIFY_KINDS; k++) {
        char labels[64];
        snprintf(labels, sizeof(labels), "kind=\"%s\"", verify_kind_names[k]);
        m->verify_differences[k] = metrics_counter(PREFIX "verify_differences_total",
                                                   "Settled differences that verification has found.", labels);
    }
}

/* Jobs that are over are counted by nobody: they are a list in MongoDB. */
static bool state_is_active(int state) {
    return state == JOB_RUNNING || state == JOB_WAITING;
}

static void register_jobs(struct lag_metrics *m) {
    for (int t = 0; t < LAG_JOB_TYPES_MAX && job_type_names[t]; t++) {
        struct lag_job_metrics *j = &m->jobs[t];
        char labels[96];
        for (int s = 0; s < LAG_JOB_STATES_MAX && job_state_names[s]; s++) {
            snprintf(labels, sizeof(labels), "type=\"%s\",state=\"%s\"", job_type_names[t], job_state_names[s]);
            if (state_is_active(s))
                j->states[s] = metrics_gauge(PREFIX "jobs", "Active jobs by type and state.", labels);
        }
        snprintf(labels, sizeof(labels), "type=\"%s\",progress=\"done\"", job_type_names[t]);
        j->done = metrics_gauge(PREFIX "job_documents", "Documents of active jobs: done, and expected in all.", labels);
        snprintf(labels, sizeof(labels), "type=\"%s\",progress=\"expected\"", job_type_names[t]);
        j->expected = metrics_gauge(PREFIX "job_documents", "", labels);
        snprintf(labels, sizeof(labels), "type=\"%s\"", job_type_names[t]);
        j->documents = metrics_counter(PREFIX "job_documents_total", "Documents that jobs have finished.", labels);
    }
}

static void register_targets(struct lag_metrics *m) {
    for (size_t role = 0; role < sizeof(m->targets) / sizeof(m->targets[0]); role++) {
        char labels[64];
        snprintf(labels, sizeof(labels), "role=\"%s\"", target_role_names[role]);
        m->targets[role] = metrics_gauge(PREFIX "targets", "Indexes that are written, by role.", labels);
        m->targets_flawed[role] = metrics_gauge(PREFIX "targets_flawed",
                                                "Of them, those that lack a change because they refused it.", labels);
    }
}

void lag_register(void) {
    struct lag_metrics *m = &lag_metrics;
    register_sources(m);
    register_bulks(m);
    m->ignored_values = metrics_counter(PREFIX "ignored_values_total",
                                        "Values of products that cannot be shown in a search document (dates out of "
                                        "range, NaN, nesting too deep) and were left out.", "");
    m->ignored_events = metrics_counter(PREFIX "ignored_events_total",
                                        "Change events of documents whose _id is no product id.", "");
    m->oplog_headroom = metrics_gauge(PREFIX "oplog_headroom_seconds",
                                      "Seconds between our position and the oldest oplog entry.", "");
    m->stream_position = metrics_gauge(PREFIX "stream_position_timestamp_seconds",
                                       "Cluster time up to which the change stream has been read.", "");
    m->checkpoint_saved_at = metrics_gauge(PREFIX "checkpoint_saved_timestamp_seconds",
                                           "When the stream's position was last stored.", "");
    m->lease_owner = metrics_gauge(PREFIX "lease_owner", "1 on the owner, 0 on a standby.", "");
    m->lease_epoch = metrics_gauge(PREFIX "lease_epoch", "Epoch of the last lease held.", "");
    m->category_revision = metrics_gauge(PREFIX "category_revision", "Revision of the category tree in use.", "");
    m->history_lost = metrics_counter(PREFIX "history_lost_total",
                                      "Times that the position to resume from was gone.", "");
    register_targets(m);
    register_verification(m);
    register_jobs(m);
}

void lag_register_lane(unsigned lane, struct lag_lane_metrics *ret) {
    static const char help[] = "Products in a lane.";
    struct metric **gauges[] = {&ret->live, &ret->background, &ret->delayed, &ret->in_flight};
    static const char *const states[] = {"live", "background", "delayed", "in_flight"};
    for (int i = 0; i < 4; i++) {
        char labels[64];
        snprintf(labels, sizeof(labels), "lane=\"%u\",state=\"%s\"", lane, states[i]);
        *gauges[i] = metrics_gauge(PREFIX "lane_products", help, labels);
    }
}

void lag_observe(struct metric *m, int64_t commit_wall_usec, int64_t now_wall_usec) {
    if (m && commit_wall_usec)
        metric_observe(m, now_wall_usec > commit_wall_usec ? (usec_t)(now_wall_usec - commit_wall_usec) : 0);
}
