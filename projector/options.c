#include "core/acceptor.h"
#include "core/api_key.h"
#include "core/cleanup.h"
#include "projector/options.h"
#include "projector/sources/mark_message.h"
#include <stddef.h>
#include <unistd.h>

#define AT(field) offsetof(struct projector_conf, field)
#define SECTION "projector"
#define MS(n) ((int64_t)(n)*1000)
#define S(n) ((int64_t)(n)*1000000)

const struct option projector_option_table[] = {
    {SECTION, "listen", OPTION_STRING, "127.0.0.1:8082", 0, 0, NULL,
     "Address of health, readiness, metrics and job control; port 0 takes a free one.", AT(listen), false},
    {SECTION, "port_file", OPTION_STRING, "", 0, 0, NULL, "File that the port is written to once it is bound.",
     AT(port_file), false},
    {SECTION, "admin_key", OPTION_SECRET, "", 0, API_KEY_GIVEN_MAX_BYTES, NULL,
     "Key that /v1/status and job control need, sent as Authorization: Bearer KEY; empty: none.", AT(admin_key), false},
    {SECTION, "index", OPTION_STRING, "products", 0, 0, NULL, "Alias of the product index.", AT(index), false},
    {SECTION, "categories_index", OPTION_STRING, "categories", 0, 0, NULL, "Index of the category tree.",
     AT(categories_index), false},
    {SECTION, "mapping", OPTION_STRING, "auto", 0, 0, NULL,
     "Mapping for a new index: auto (nori where the server has it), products-v1, products-v1-plain or a file.",
     AT(mapping), false},
    {SECTION, "lanes", OPTION_INT, "0", 0, 64, NULL,
     "Ordered shards, each with a worker thread and sessions; 0: one for each core, 2 to 8.", AT(lanes), false},
    {SECTION, "bulk_max_bytes", OPTION_BYTES, "2m", 4096, 64 << 20, NULL, "A bulk is full from this size on.",
     AT(bulk_max_bytes), false},
    {SECTION, "bulk_max_docs", OPTION_INT, "2000", 1, 20000, NULL, "A bulk is full with this many documents.",
     AT(bulk_max_docs), false},
    {SECTION, "document_max_bytes", OPTION_BYTES, "8m", 65536, 90 << 20, NULL,
     "A larger search document is dead-lettered.", AT(document_max_bytes), false},
    {SECTION, "bulk_timeout", OPTION_DURATION, "60s", MS(100), S(600), NULL, "How long a bulk may take.",
     AT(bulk_timeout_usec), false},
    {SECTION, "window_marks", OPTION_INT, "20000", 100, 10000000, NULL,
     "Unfinished live marks per source before it stops reading.", AT(window_marks), false},
    {SECTION, "background_window_marks", OPTION_INT, "8000", 100, 10000000, NULL,
     "Unfinished marks of jobs before they stop scanning.", AT(background_window_marks), false},
    {SECTION, "hash_cache_entries", OPTION_INT, "262144", 0, 67108864, NULL,
     "Content hashes remembered to suppress writes that change nothing; 16 bytes each.", AT(hash_cache_entries),
     false},
    {SECTION, "checkpoint_interval", OPTION_DURATION, "500ms", MS(10), S(60), NULL,
     "How often an advanced position is stored.", AT(checkpoint_interval_usec), false},
    {SECTION, "lease_ttl", OPTION_DURATION, "10s", MS(500), S(300), NULL,
     "A standby takes over after seeing no renewal for so long; twice lease_renew at least.", AT(lease_ttl_usec), false},
    {SECTION, "lease_renew", OPTION_DURATION, "3s", MS(100), S(100), NULL, "How often the owner renews its lease.",
     AT(lease_renew_usec), false},
    {SECTION, "stream_await", OPTION_DURATION, "500ms", MS(10), S(30), NULL,
     "How long the server holds an idle change stream read open.", AT(stream_await_usec), false},
    {SECTION, "stream_batch", OPTION_INT, "2000", 1, 100000, NULL, "Most events of one change stream batch.",
     AT(stream_batch), false},
    {SECTION, "queue_poll_min", OPTION_DURATION, "5ms", MS(1), S(10), NULL,
     "Pause between reads of projection_queue while rows arrive.", AT(queue_poll_min_usec), false},
    {SECTION, "queue_poll_max", OPTION_DURATION, "250ms", MS(1), S(60), NULL,
     "Pause between reads of projection_queue while it is quiet.", AT(queue_poll_max_usec), false},
    {SECTION, "queue_rescan", OPTION_DURATION, "250ms", MS(10), S(60), NULL,
     "How often projection_queue is read from its start, for rows committed late.", AT(queue_rescan_usec), false},
    {SECTION, "scan_page", OPTION_INT, "2000", 10, 50000, NULL, "Ids that a job reads at once.", AT(scan_page), false},
    {SECTION, "searchable_within", OPTION_DURATION, "1s", 0, S(600), NULL,
     "A change is searchable so soon after it is written: the index is refreshed in time for that. 0: its refresh_interval decides.",
     AT(searchable_within_usec), false},
    {SECTION, "fill_refresh", OPTION_DURATION, "10s", 0, S(600), NULL,
     "Refresh interval of an index while a reindex or a first scan fills it; its own one is given back at the end. 0: leave it.",
     AT(fill_refresh_usec), false},
    {SECTION, "fill_merge", OPTION_BOOL, "true", 0, 0, NULL,
     "An index that a reindex or a first scan has filled is merged into as few segments as Elasticsearch has them: 5 GB each.",
     AT(fill_merge), false},
    {SECTION, "sweep_recount", OPTION_DURATION, "60s", MS(100), S(86400), NULL,
     "How often a sweep that waits for a word counts again whether it would still remove most of the index.",
     AT(sweep_recount_usec), false},
    {SECTION, "retry_min", OPTION_DURATION, "50ms", MS(1), S(60), NULL, "First pause before a failed item is retried.",
     AT(retry_min_usec), false},
    {SECTION, "retry_max", OPTION_DURATION, "5s", MS(10), S(600), NULL, "Longest pause between retries of an item.",
     AT(retry_max_usec), false},
    {SECTION, "max_attempts", OPTION_INT, "0", 0, 60000, NULL,
     "Dead-letter an item that Elasticsearch answered 5xx so often; 0: retry for ever.", AT(max_attempts), false},
    {SECTION, "target_patience", OPTION_DURATION, "30s", MS(100), S(3600), NULL,
     "An index that is being built, or kept for rollback, is given up after taking no writes for so long.",
     AT(target_patience_usec), false},
    {SECTION, "rollback_keep", OPTION_DURATION, "24h", 0, S(366 * 86400), NULL,
     "How long the index that served before a reindex gets every change, so that rollback is a swap of the alias.",
     AT(rollback_keep_usec), false},
    {SECTION, "drain_timeout", OPTION_DURATION, "10s", MS(100), S(600), NULL,
     "At SIGTERM: how long bulks under way may take to finish.", AT(drain_timeout_usec), false},
    {SECTION, "ready_lag", OPTION_DURATION, "30s", MS(100), S(86400), NULL,
     "/readyz fails while the oldest unfinished live change is older.", AT(ready_lag_usec), false},
    {SECTION, "searchable_sample", OPTION_DURATION, "5s", MS(10), S(3600), NULL,
     "How often commit to searchable is measured, by polling a search for one document.",
     AT(searchable_sample_usec), false},
    {SECTION, "verify_rate", OPTION_INT, "500", 0, 1000000, NULL,
     "Products per second that continuous verification compares; 0: none.", AT(verify_rate), false},
    {SECTION, "verify_repair", OPTION_BOOL, "true", 0, 0, NULL,
     "Continuous verification has what differs written again.", AT(verify_repair), false},
    {SECTION, "verify_pause", OPTION_DURATION, "60s", MS(100), S(86400), NULL,
     "Pause between two passes of continuous verification.", AT(verify_pause_usec), false},
    {SECTION, "events_index", OPTION_STRING, "search-events", 0, 0, NULL,
     "Index of clicks, carts and purchases, as the query-api writes it.", AT(events_index), false},
    {SECTION, "queries_index", OPTION_STRING, "search-queries", 0, 0, NULL,
     "Index of what is searched, as the query-api writes it.", AT(queries_index), false},
    {SECTION, "signals_interval", OPTION_DURATION, "5m", 0, S(86400), NULL,
     "How often events are added up to the signals of products; 0: never.", AT(signals_interval_usec), false},
    {SECTION, "signals_rate", OPTION_INT, "500", 1, 1000000, NULL,
     "Products per second whose signals are changed, and so are written again.", AT(signals_rate), false},
    {SECTION, "events_keep", OPTION_DURATION, "2160h", S(31 * 86400), S(INT64_C(10) * 366 * 86400), NULL,
     "Events and counts of searches that are older are deleted.", AT(events_keep_usec), false},
    {"kafka", "marks_topic", OPTION_STRING, "readside.marks", 0, 0, NULL,
     "Topic that relay writes marks to and run --from kafka reads.", AT(marks_topic), false},
    {"kafka", "marks_group", OPTION_STRING, "readside-projector", 0, 0, NULL,
     "Consumer group of run --from kafka; one group per index.", AT(marks_group), false},
    {"kafka", "marks_format", OPTION_ENUM, "readside", 0, 0, MARKS_FORMATS,
     "How a key names the product: the plain id (readside), as Debezium's MongoDB connector does, or the plain id and "
     "no look at the value (key).", AT(marks_format), false},
    {"kafka", "marks_partitions", OPTION_INT, "8", 1, 1024, NULL,
     "Partitions of a topic that relay makes: the most consumers that can share the work.", AT(marks_partitions), false},
    {"kafka", "marks_replicas", OPTION_INT, "-1", -1, 16, NULL,
     "Replicas of a topic that relay makes; -1: as the brokers are configured.", AT(marks_replicas), false},
    {"kafka", "session_timeout", OPTION_DURATION, "10s", S(1), S(300), NULL,
     "A consumer that is silent for so long loses its partitions to the others.", AT(group_session_usec), false},
};
const size_t projector_option_count = ARRAY_LEN(projector_option_table);

/* lease.c lets a lease go a tenth before its time: one renewal may be late, or fail and be repeated, and it is still held. */
bool projector_options_check(const void *ctx, struct error *reterr) {
    const struct projector_options *all = ctx;
    const struct projector_conf *options = &all->projector;
    if (!acceptor_check(options->listen, reterr) || !es_check(&all->es, reterr) || !mongo_check(&all->mongo, reterr))
        return false;
    if (options->lease_renew_usec <= options->lease_ttl_usec / 2)
        return true;
    return error_set(reterr, ERROR_INVALID,
                     "projector.lease_renew (%llu ms) is more than half of projector.lease_ttl (%llu ms): one late renewal "
                     "would lose the lease; raise lease_ttl or lower lease_renew",
                     (unsigned long long)(options->lease_renew_usec / USEC_PER_MSEC),
                     (unsigned long long)(options->lease_ttl_usec / USEC_PER_MSEC));
}

void projector_options_settle(struct projector_conf *options) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    options->lane_count = options->lanes ? options->lanes : cores < 2 ? 2 : cores > 8 ? 8 : cores;
}
