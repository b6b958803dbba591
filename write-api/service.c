#include "write-api/service.h"
#include "core/api_key.h"
#include "core/cleanup.h"

/* Batches of an import that nobody waits for any more: as many as it has, each with the deadlines of its servers. */
#define IMPORTS_END_USEC (10 * USEC_PER_SEC)

#define OPTION(key, type, value, lo, hi, help, field)                                                                  \
    {"write-api", key, type, value, lo, hi, NULL, help, offsetof(struct write_conf, field), false}
const struct option write_option_table[] = {
    OPTION("admin_key", OPTION_SECRET, "", 0, API_KEY_GIVEN_MAX_BYTES, "The first API key, with every scope. If it or keys_index is set, every endpoint needs a key",
           admin_key),
    OPTION("attributes_max", OPTION_INT, "1000", 1, 100000, "Most attributes of a product or variant, nested ones counted",
           attributes_max),
    OPTION("body_max", OPTION_BYTES, "1m", 1024, 15 << 20, "Largest request body, imports aside", body_max_bytes),
    OPTION("categories_max", OPTION_INT, "100", 1, 10000, "Most categories of a product", categories_max),
    OPTION("category_cache", OPTION_DURATION, "1s", 0, 60000000,
           "How long known category ids are trusted before the revision is read again", category_cache_usec),
    OPTION("connections_max", OPTION_INT, "1000", 1, 100000, "Most client connections", connections_max),
    OPTION("deadline", OPTION_DURATION, "10s", 100000, 600000000, "Longest time from a complete request to its answer",
           deadline_usec),
    OPTION("header_max", OPTION_BYTES, "16k", 1024, 1 << 20, "Largest request line and headers together",
           header_max_bytes),
    OPTION("import_batch", OPTION_BYTES, "1m", 4096, 8 << 20, "Most bytes of an import's batch", import_batch_bytes),
    OPTION("import_batch_lines", OPTION_INT, "1000", 1, 10000, "Most lines of an import's batch", import_batch_lines),
    OPTION("import_batches_max", OPTION_INT, "3", 1, 64, "Batches of one import in memory; beyond, the upload pauses",
           import_batches_max),
    OPTION("import_line_max", OPTION_BYTES, "1m", 1024, 15 << 20, "Longest line of an import", import_line_max_bytes),
    OPTION("import_retry", OPTION_DURATION, "30s", 0, 3600000000,
           "How long an import waits for a server that is away before its lines fail with 503", import_retry_usec),
    OPTION("import_workers", OPTION_INT, "2", 1, 64, "Threads for imports, each with its own connections",
           import_workers),
    OPTION("imports_max", OPTION_INT, "4", 1, 1000, "Imports at a time; one more is answered with 503", imports_max),
    OPTION("json_depth_max", OPTION_INT, "32", 4, 90, "Deepest nesting of JSON", json_depth_max),
    OPTION("keys_index", OPTION_STRING, "", 0, 0,
           "Index of the API keys that the query-api keeps (search-keys), in [elasticsearch]; those with the scope write may write. Empty: none",
           keys_index),
    OPTION("keys_poll", OPTION_DURATION, "1s", 50000, 3600000000, "How often the API keys are looked at for a change",
           keys_poll_usec),
    OPTION("listen", OPTION_STRING, "127.0.0.1:8081", 0, 0, "Address and port; port 0 takes a free one", listen),
    OPTION("port_file", OPTION_STRING, "", 0, 0, "File that gets the port once it is open", port_file),
    OPTION("probe_interval", OPTION_DURATION, "1s", 10000, 60000000, "How often the servers are asked whether they are there",
           probe_interval_usec),
    OPTION("queue_max", OPTION_INT, "256", 1, 100000, "Requests that wait for a worker; one more is answered with 503",
           queue_max),
    OPTION("read_timeout", OPTION_DURATION, "10s", 100000, 600000000,
           "Headers, and then each MiB of body, must arrive within", read_timeout_usec),
    OPTION("request_memory", OPTION_BYTES, "64m", 1 << 20, 1 << 30, "Most memory for working on one request",
           request_memory_max_bytes),
    OPTION("spool_dir", OPTION_STRING, "", 0, 0, "Where the results of an import wait; empty: TMPDIR or /tmp", spool_dir),
    OPTION("spool_max", OPTION_BYTES, "1g", 1 << 16, INT64_C(1) << 40, "Largest results of one import; beyond, lines are left out",
           spool_max_bytes),
    OPTION("subtree_max", OPTION_INT, "100000", 1, 10000000, "Most categories in one answer", subtree_max),
    OPTION("values_max", OPTION_INT, "1000", 1, 100000, "Most elements of an attribute's array", values_max),
    OPTION("variants_max", OPTION_INT, "1000", 1, 100000, "Most variants of a product", variants_max),
    OPTION("workers", OPTION_INT, "8", 1, 256, "Threads for requests, each with its own connections", workers),
};
const size_t write_option_count = ARRAY_LEN(write_option_table);
#undef OPTION

static void session_done_half(struct session *s) {
    if (s->document)
        bson_destroy(s->document);
    if (s->products)
        mongoc_collection_destroy(s->products);
    if (s->client)
        mongoc_client_pool_push(s->service->mongo, s->client);
    mysql_session_free(s->mysql);
    category_ids_done(&s->category_ids);
    arena_done(&s->arena);
    free(s);
}

struct session *session_new(struct service *service, struct error *reterr) {
    struct session *s = calloc(1, sizeof(*s));
    if (!s) {
        error_nomem(reterr);
        return NULL;
    }
    s->service = service;
    arena_init(&s->arena, (size_t)service->conf->request_memory_max_bytes);
    s->document = bson_sized_new(4096);
    s->client = mongoc_client_pool_try_pop(service->mongo);
    s->mysql = mysql_session_new(service->mysql_conf, reterr);
    if (!s->mysql) {
        session_done_half(s);
        return NULL;
    }
    if (!s->client) {
        error_set(reterr, ERROR_INTERNAL, "no MongoDB client is left in the pool");
        session_done_half(s);
        return NULL;
    }
    s->products = mongoc_client_get_collection(s->client, service->mongo_conf->database, "products");
    return s;
}

void session_free(struct session *s) {
    if (s)
        session_done_half(s);
}

void session_reset(struct session *s) {
    arena_reset(&s->arena);
    bson_reinit(s->document);
}

static void *worker_session_new(void *ctx, struct error *reterr) {
    return session_new(ctx, reterr);
}

static void worker_session_free(void *session) {
    session_free(session);
}

static struct workers *pool_new(struct service *service, const char *name, int64_t threads, int64_t queue_max,
                                struct error *reterr) {
    struct workers_options options = {.name = name,
                                      .threads = (unsigned)threads,
                                      .queue_max = (unsigned)queue_max,
                                      .session_new = worker_session_new,
                                      .session_free = worker_session_free,
                                      .ctx = service};
    return workers_new(&options, reterr);
}

static double queued(void *ctx) {
    return workers_queued(ctx);
}

static void register_metrics(struct service *service) {
    static const char *const results[] = {"result=\"created\"", "result=\"updated\"", "result=\"failed\""};
    for (size_t i = 0; i < ARRAY_LEN(results); i++)
        service->import_lines[i] =
            metrics_counter("readside_write_api_import_lines_total", "Lines of imports by result", results[i]);
    service->import_retries = metrics_counter("readside_write_api_import_retries_total",
                                              "Batches of imports that were sent again", "");
    metrics_gauge_fn("readside_write_api_queue_jobs", "Jobs that wait for a worker", "pool=\"requests\"", queued,
                     service->workers);
    metrics_gauge_fn("readside_write_api_queue_jobs", "Jobs that wait for a worker", "pool=\"imports\"", queued,
                     service->import_workers);
}

bool service_init(struct service *service, const struct write_conf *conf, const struct mongo_conf *mongo_conf,
                  const struct mysql_conf *mysql_conf, struct error *reterr) {
    *service = (struct service){.conf = conf, .mongo_conf = mongo_conf, .mysql_conf = mysql_conf};
    service->product_limits = (struct product_limits){.variants_max = (unsigned)conf->variants_max,
                                                      .categories_max = (unsigned)conf->categories_max,
                                                      .attributes_max = (unsigned)conf->attributes_max,
                                                      .values_max = (unsigned)conf->values_max};
    service->json_limits = (struct json_limits){.depth_max = (unsigned)conf->json_depth_max};
    unsigned clients = (unsigned)(conf->workers + conf->import_workers + 1); /* one for health */
    service->mongo = mongo_pool_new(mongo_conf, "readside-write-api", clients, reterr);
    if (!service->mongo)
        return false;
    service->workers = pool_new(service, "requests", conf->workers, conf->queue_max, reterr);
    if (service->workers)
        service->import_workers =
            pool_new(service, "imports", conf->import_workers, conf->imports_max * conf->import_batches_max, reterr);
    if (!service->import_workers) {
        service_stop(service, NULL);
        service_done(service);
        return false;
    }
    register_metrics(service);
    return true;
}

void service_stop(struct service *service, struct loop *loop) {
    usec_t until = clock_now_usec() + IMPORTS_END_USEC;
    while (service->imports > 0 && clock_now_usec() < until)
        (void)loop_run_once(loop, until);
    workers_free(TAKE(service->import_workers));
    workers_free(TAKE(service->workers));
    if (loop)
        (void)loop_run_once(loop, 0); /* what the jobs held is let go of */
}

void service_done(struct service *service) {
    if (service->mongo)
        mongoc_client_pool_destroy(TAKE(service->mongo));
}
