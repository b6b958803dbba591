/* load.h - one round of a lane's worker: read the products, then their stock and signals, and compose.
 *
 * Products: one find({_id: {$in: ...}}) with read concern majority after the newest cluster time of the round's
 * marks. Stock and signals: one SELECT for the SKUs and ids of those products. Both may be newer than the mark that asked; never older.
 * A product that is gone becomes a delete. Of an entry every target that its marks ask for gets an item, or none.
 *
 * Thread: a session belongs to its worker thread. */
#pragma once
#include "core/mongo.h"
#include "core/mysql.h"
#include "projector/compose/compose.h"
#include "projector/engine/batch.h"

struct load_conf {
    mongoc_client_pool_t *pool;
    const struct mysql_conf *mysql;
    const char *database;
    const struct projection *projections[BULK_TARGETS_MAX]; /* of each target; they outlive the sessions */
    unsigned target_count;
    usec_t timeout_usec; /* of the find */
    size_t document_max_bytes;
};

struct load_session;
struct load_session *load_session_new(const struct load_conf *conf, struct error *reterr);
void load_session_free(struct load_session *session);

/* Fills the items' states and the bulk. batch->error is set if a source could not be read: then the items stay
 * ITEM_NEW and the bulk is as before. */
void load_round(struct load_session *session, struct batch *batch);

/* The next document of cursor.firstBatch or nextBatch, without a copy. */
bool load_next_product(bson_iter_t *docs, bson_t *ret);
/* Reads what MySQL has to say about products: the state of the SKUs that `stock` wants and the signals of the products
 * that `signals` wants, in one SELECT. */
struct load_rows {
    struct stock_states stock;
    struct signal_rows signals;
    struct buf sql; /* scratch */
    bool failed;    /* no memory for a row */
};
void load_rows_init(struct load_rows *rows);
void load_rows_done(struct load_rows *rows);
void load_rows_reset(struct load_rows *rows);
bool load_rows_want(struct load_rows *rows, const bson_t *product, struct slice id); /* false: no memory */
bool load_rows_read(struct load_rows *rows, struct mysql_session *mysql, struct error *reterr);
