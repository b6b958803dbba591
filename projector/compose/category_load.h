/* category_load.h - reads the category tree from MySQL: all rows and their revision by one consistent snapshot.
 * Thread: the session's. */
#pragma once
#include "core/mysql.h"
#include "projector/compose/category_tree.h"

/* NULL on failure. Rows that the tree refuses are left out and counted in *ret_refused (may be NULL). */
struct category_tree *category_load(struct mysql_session *mysql, size_t *ret_refused, struct error *reterr);
/* That of a tree that would be read now. */
bool category_load_revision(struct mysql_session *mysql, uint64_t *ret, struct error *reterr);
