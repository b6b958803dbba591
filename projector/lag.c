#include "projector/lag.h"
#include <stdio.h>

struct lag_metrics lag_metrics;

#define PREFIX "readside_projector_"

static void register_sources(struct lag_metrics *m) {
    for (int s = 0; s < MARK_SOURCE_COUNT; s++) {
        char labels[64];
        snprintf(labels, sizeof(labels), "source=\"%s\"", mark_source_names[s]);
        m->marks[s] = metrics_counter(PREFIX "marks_total", "Marks received.", labels);
        if (s == MARK_JOB)
            continue;
        m->commit_to_indexed[s] =
            metrics_histogram(PREFIX "commit_to_indexed_seconds",
                              "From the commit in the source to the acknowledged write in the index.", labels);
        m->lag_seconds[s] = metrics_gauge(PREFIX "lag_seconds", "Age of the oldest unfinished change.", labels);
    }
    m->commit_to_searchable = metrics_histogram(PREFIX "commit_to_searchable_seconds",
                                                "From the commit until a search finds it (sampled).", "");
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
    m->bulk_seconds = metrics_histogram(PREFIX "bulk_seconds", "From sending a bulk to its answer.", "");
    m->load_seconds = metrics_histogram(PREFIX "load_seconds", "Reading the sources and composing one batch.", "");
    m->dead_letters = metrics_counter(PREFIX "dead_letters_total", "Documents put aside.", "");
    m->bulks_in_flight = metrics_gauge(PREFIX "bulks_in_flight", "Bulk requests under way.", "");
    m->bulk_concurrency = metrics_gauge(PREFIX "bulk_concurrency", "Bulk requests allowed at once.", "");
    m->target_paused = metrics_gauge(PREFIX "target_paused", "1 while the index refuses all writes.", "");
}

void lag_register(void) {
    struct lag_metrics *m = &lag_metrics;
    register_sources(m);
    register_bulks(m);
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
    m->jobs_running = metrics_gauge(PREFIX "jobs", "Jobs by state.", "state=\"running\"");
    m->jobs_waiting = metrics_gauge(PREFIX "jobs", "Jobs by state.", "state=\"waiting\"");
    m->job_done = metrics_gauge(PREFIX "job_documents", "Documents of running jobs.", "state=\"done\"");
    m->job_total = metrics_gauge(PREFIX "job_documents", "Documents of running jobs.", "state=\"expected\"");
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
