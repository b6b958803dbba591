/* service.h - what the handlers share: configuration, pools, and the sessions of the workers. */
#pragma once
#include "core/conf.h"
#include "core/json_write.h"
#include "core/metrics.h"
#include "core/mongo.h"
#include "core/mysql.h"
#include "core/workers.h"
#include "write-api/category_ids.h"
#include "write-api/health.h"
#include "write-api/product.h"

struct write_conf {
    char *listen;
    char *port_file;
    int64_t workers, queue_max;
    int64_t body_max_bytes, header_max_bytes, connections_max;
    usec_t deadline_usec, read_timeout_usec;
    int64_t json_depth_max, request_memory_max_bytes;
    int64_t variants_max, categories_max, attributes_max, values_max;
    int64_t subtree_max;
    usec_t category_cache_usec;
    usec_t probe_interval_usec;
    int64_t import_workers, imports_max, import_batches_max, import_batch_lines, import_batch_bytes;
    int64_t import_line_max_bytes;
    usec_t import_retry_usec;
    char *admin_key, *keys_index;
    usec_t keys_poll_usec;
    char *spool_dir;
    int64_t spool_max_bytes;
};
extern const struct option write_option_table[]; /* section [write-api] */
extern const size_t write_option_count;

struct service {
    const struct write_conf *conf;
    const struct mongo_conf *mongo_conf;
    const struct mysql_conf *mysql_conf;
    mongoc_client_pool_t *mongo;
    struct workers *workers;        /* requests */
    struct workers *import_workers; /* batches of imports: a long upload never delays a short request */
    struct health *health;
    struct product_limits product_limits;
    struct json_limits json_limits;
    unsigned imports; /* under way; loop thread only */
    uint64_t category_changes; /* atomic: category writes of this process, so that caches of ids look again */
    struct metric *import_lines[3]; /* created, updated, failed */
    struct metric *import_retries;
};

/* The pools and metrics. The servers need not be there yet. False: *service needs no freeing. */
bool service_init(struct service *service, const struct write_conf *conf, const struct mongo_conf *mongo_conf,
                  const struct mysql_conf *mysql_conf, struct error *reterr);
/* Waits for the jobs under way, and for the batches of imports whose clients are gone. On the loop's thread or after its
 * loop has stopped; the HTTP server must be freed before, health after. */
void service_stop(struct service *service, struct loop *loop);
void service_done(struct service *service); /* after service_stop and health_free */

/* What one worker thread owns. Everything but the connections is scratch for the job that runs. */
struct session {
    struct service *service;
    mongoc_client_t *client;
    mongoc_collection_t *products;
    struct mysql_session *mysql;
    struct category_ids category_ids;
    struct arena arena;     /* reset before each job */
    bson_t *document;       /* empty before each job */
    struct json_write json; /* restarted by whoever writes */
};

struct session *session_new(struct service *service, struct error *reterr);
void session_free(struct session *session);
void session_reset(struct session *session);
