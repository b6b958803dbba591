/* What the loop knows for GET /v1/status: sources, lanes, bulks, target, dead letters. */
#include "core/cleanup.h"
#include "projector/engine/engine_internal.h"
#include "projector/status.h"

enum { PUBLISH_USEC = 1000 * 1000 };

static void write_number(struct json_write *w, const char *key, double v) {
    json_write_key(w, key);
    json_write_double(w, v);
}

static void write_metric(struct json_write *w, const char *key, const struct metric *m) {
    write_number(w, key, metric_value(m));
}

/* Since the start of the process: Prometheus knows the last minutes. */
static void write_histogram(struct json_write *w, const char *key, const struct metric *m) {
    json_write_key(w, key);
    json_write_object(w);
    write_metric(w, "count", m);
    write_number(w, "p50_seconds", metric_quantile_usec(m, 0.5) / 1e6);
    write_number(w, "p99_seconds", metric_quantile_usec(m, 0.99) / 1e6);
    json_write_object_end(w);
}

static void write_stream(struct json_write *w, const struct engine *e) {
    status_write_time(w, "position", (int64_t)(source_mongo_position_time(e->source_mongo) >> 32) * 1000000);
    status_write_time(w, "checkpoint_saved_at", (int64_t)(metric_value(lag_metrics.checkpoint_saved_at) * 1e6));
    write_metric(w, "oplog_headroom_seconds", lag_metrics.oplog_headroom);
}

static void write_source(struct json_write *w, struct engine *e, enum mark_source s) {
    json_write_object(w);
    json_write_key(w, "source");
    json_write_str(w, mark_source_names[s]);
    write_metric(w, "marks", lag_metrics.marks[s]);
    write_number(w, "unfinished", (double)window_used(&e->windows[s]));
    write_number(w, "unfinished_limit", (double)e->windows[s].limit);
    if (s != MARK_JOB) {
        write_metric(w, "lag_seconds", lag_metrics.lag_seconds[s]);
        write_histogram(w, "commit_to_indexed", lag_metrics.commit_to_indexed[s]);
        write_histogram(w, "commit_to_searchable", lag_metrics.commit_to_searchable[s]);
    }
    if (s == MARK_STREAM)
        write_stream(w, e);
    if (s == MARK_QUEUE)
        write_metric(w, "rows", lag_metrics.queue_rows);
    json_write_object_end(w);
}

static void publish_sources(struct engine *e) {
    struct status_section section;
    struct json_write *w = status_begin(&section, "sources");
    json_write_array(w);
    for (int s = 0; s < MARK_SOURCE_COUNT; s++)
        write_source(w, e, (enum mark_source)s);
    json_write_array_end(w);
    status_publish(&section);
}

static void publish_lanes(const struct engine *e) {
    struct status_section section;
    struct json_write *w = status_begin(&section, "lanes");
    json_write_array(w);
    for (unsigned i = 0; i < e->lane_count; i++) {
        const struct lane *lane = &e->lanes[i].lane;
        json_write_object(w);
        write_number(w, "lane", i);
        write_number(w, "live", (double)lane->queues[LANE_QUEUE_LIVE].count);
        write_number(w, "background", (double)lane->queues[LANE_QUEUE_BACKGROUND].count);
        write_number(w, "delayed", (double)lane->queues[LANE_QUEUE_DELAYED].count);
        write_number(w, "in_flight", (double)lane->in_flight);
        json_write_object_end(w);
    }
    json_write_array_end(w);
    status_publish(&section);
}

static double rate(double now, double *before, double seconds) {
    double grown = now - *before;
    *before = now;
    return seconds > 0 ? grown / seconds : 0;
}

static void publish_bulks(struct engine *e, double seconds) {
    struct status_section section;
    struct json_write *w = status_begin(&section, "bulks");
    json_write_object(w);
    write_number(w, "in_flight", e->in_flight);
    write_number(w, "limit", e->concurrency.limit);
    write_number(w, "limit_max", e->concurrency.max);
    write_number(w, "documents_per_second",
                 rate(metric_value(lag_metrics.bulk_documents), &e->published_documents, seconds));
    write_number(w, "bytes_per_second", rate(metric_value(lag_metrics.bulk_bytes), &e->published_bytes, seconds));
    json_write_key(w, "raising_epoch");
    json_write_bool(w, e->raising);
    json_write_object_end(w);
    status_publish(&section);
}

static void publish_targets(const struct engine *e) {
    struct status_section section;
    struct json_write *w = status_begin(&section, "targets");
    json_write_array(w);
    for (unsigned t = 0; t < e->target_count; t++) {
        const struct engine_target *target = &e->targets[t];
        json_write_object(w);
        json_write_key(w, "index");
        json_write_str(w, target->conf->index);
        json_write_key(w, "role");
        json_write_str(w, target_role_names[target->conf->role]);
        if (t == 0) {
            json_write_key(w, "alias");
            json_write_str(w, e->options->index);
        }
        json_write_key(w, "paused");
        json_write_bool(w, target->paused || target->trouble_at != 0);
        json_write_key(w, "flawed");
        json_write_bool(w, target->flawed);
        json_write_object_end(w);
    }
    json_write_array_end(w);
    status_publish(&section);
}

static void publish_dead_letters(void) {
    struct status_section section;
    struct json_write *w = status_begin(&section, "dead_letters");
    json_write_object(w);
    write_metric(w, "kept", lag_metrics.dead_letters_kept);
    write_metric(w, "since_start", lag_metrics.dead_letters);
    json_write_object_end(w);
    status_publish(&section);
}

static void gauge_targets(const struct engine *e) {
    for (unsigned role = 0; role < ARRAY_LEN(lag_metrics.targets); role++) {
        double count = 0, flawed = 0;
        for (unsigned t = 0; t < e->target_count; t++) {
            bool is_it = (unsigned)e->targets[t].conf->role == role;
            count += is_it;
            flawed += is_it && e->targets[t].flawed;
        }
        metric_set(lag_metrics.targets[role], count);
        metric_set(lag_metrics.targets_flawed[role], flawed);
    }
}

void engine_publish(struct engine *e) {
    usec_t now = engine_now(e);
    if (now - e->published_at < PUBLISH_USEC)
        return;
    double seconds = e->published_at ? (double)(now - e->published_at) / 1e6 : 0;
    e->published_at = now;
    publish_sources(e);
    publish_lanes(e);
    publish_bulks(e, seconds);
    publish_targets(e);
    gauge_targets(e);
    publish_dead_letters();
}

void engine_unpublish(void) {
    static const char *const sections[] = {"sources", "lanes", "bulks", "targets", "dead_letters", "jobs"};
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
        status_remove(sections[i]);
}
