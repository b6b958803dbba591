/* mongo.h - MongoDB sessions over libmongoc: the home of its header. */
#pragma once
#include "core/bson.h"
#include "core/conf.h"
#include "core/error.h"
#include "core/link.h"
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <mongoc/mongoc.h>
#pragma GCC diagnostic pop

struct mongo_conf {
    char *uri;             /* printed without user and password: OPTION_URL */
    char *user, *password; /* empty: what the URI says */
    struct link_tls tls;   /* empty: what the URI says */
    char *database; /* "readside" */
    usec_t timeout_usec; /* one operation: socket timeout and maxTimeMS */
    usec_t server_selection_usec;
};
extern const struct option mongo_option_table[]; /* section [mongo] */
extern const size_t mongo_option_count;

/* Once per process, before and after everything else. */
void mongo_global_init(void);
void mongo_global_done(void);

/* Before mongo_global_init: whether a pool can be made of it, INVALID if not. */
bool mongo_check(const struct mongo_conf *conf, struct error *reterr);
/* A thread-safe pool; each worker takes a client for itself. Does not connect yet. Writes are w:majority,
 * reads are readConcern majority and of the primary unless an operation says otherwise, whatever the URI says. */
mongoc_client_pool_t *mongo_pool_new(const struct mongo_conf *conf, const char *appname, unsigned clients_max,
                                     struct error *reterr);

/* Maps a driver's error (with the server's reply or NULL): duplicate key CONFLICT, no primary and network
 * UNAVAILABLE, time limit TIMEOUT, 260/280/286/136/9/15 on a change stream HISTORY_LOST (see mongo_is_history_lost),
 * document too large and failed validation INVALID. Returns false. `what` names the operation. */
bool mongo_error(const char *what, const bson_error_t *e, const bson_t *reply, struct error *reterr);
bool mongo_is_history_lost(const bson_error_t *e);

/* Blocks until a primary answers, with backoff; on_wait as in es_wait. */
bool mongo_wait(mongoc_client_t *client, bool (*on_wait)(void *ctx, const struct error *why, usec_t retry_in), void *ctx,
                struct error *reterr);
