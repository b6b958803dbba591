/* source_mysql.h - projection_queue of MySQL as marks.
 *
 * Rows are filled in by triggers, so every writer is seen. There is no cursor that a late commit could slip behind:
 * a row is deleted by its id once its marks are finished, rows that are held are skipped, and the table is read
 * again from its start regularly.
 *
 * A stock row names a SKU; it marks the products with that SKU (or of that id). A category row is handled here at
 * once: the new tree goes to the engine and to the index of categories, a fan-out job over the subtree is stored,
 * the row is deleted; then the job marks.
 * Thread: its own, from start to stop. */
#pragma once
#include "projector/engine/engine.h"

struct source_mysql;
struct source_mysql *source_mysql_start(struct engine *engine, const struct engine_conf *conf, struct error *reterr);
void source_mysql_stop(struct source_mysql *source); /* joins; the window must have been stopped; NULL is fine */
/* Rows are gone from the table. Any thread. */
void source_mysql_deleted(struct source_mysql *source, const uint64_t *rows, size_t count);
/* Deletes rows in one transaction that holds the fence and requires our epoch in it. CONFLICT: somebody has raised it.
 * HISTORY_LOST: it is below ours, so MySQL is a copy of before. */
bool source_mysql_delete_rows(struct mysql_session *mysql, uint64_t epoch, const uint64_t *rows, size_t count,
                              struct error *reterr);

/* Before a term whose full scan has not begun: the scan will read the stock of every product and compose with a tree of
 * at least `revision`, so the rows that are there now have nothing to add. *ret_rows: how many went. */
bool source_mysql_drop_covered(struct mysql_session *mysql, uint64_t epoch, uint64_t revision, uint64_t *ret_rows,
                               struct error *reterr);

/* MySQL was set back, to a copy of before, and no row says what changed with that: all writers begin a new term, with the tree and
 * the fence of now, and the owner's begins with a full scan. False: that could not be stored; try again. May be repeated. Any
 * thread. */
bool source_mysql_set_back(struct engine *engine, mongoc_client_t *client, const struct engine_conf *conf, const struct error *why);

/* The position of a segment: the rows that are done when it is. */
struct queue_rows {
    size_t count;
    uint64_t ids[];
};
