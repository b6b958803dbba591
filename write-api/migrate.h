/* migrate.h - brings both databases to the schema that this program needs.
 *
 * MySQL: the files migrations/NNNN_*.sql, embedded in the program, applied in order under GET_LOCK and recorded in
 * schema_migrations with a checksum. DDL commits by itself, so a file can be interrupted half-way: every statement of
 * a migration can be repeated (IF NOT EXISTS, INSERT IGNORE, DROP TRIGGER IF EXISTS before CREATE TRIGGER), and a
 * file is recorded when all of it is done. Several instances may start at once; the others wait. */
#pragma once
#include "core/mongo.h"
#include "core/mysql.h"

/* INVALID: a recorded migration is not the one in this program, or the user may not do it. */
bool migrate_mysql(struct mysql_session *s, const char *database, struct error *reterr);

/* Creates the indexes of products; nothing if they are there. */
bool migrate_mongo(mongoc_collection_t *products, struct error *reterr);
