/* job_scan.h - the pages that jobs are made of: ids of products, ids in the index. Blocking; any thread with
 * sessions of its own. */
#pragma once
#include "core/es.h"
#include "projector/engine/mark.h"
#include "projector/jobs/jobs.h"

/* Adds the next ids of all products (category NULL) or of one category's after `cursor`, in the order of their ids, read
 * after cluster time `after`; moves the cursor. *ret_last: there are no more. The segment's cluster time is set. */
bool job_scan_products(mongoc_client_t *client, const char *database, const int64_t *category,
                       uint64_t after, int64_t limit, struct job_cursor *cursor, struct segment *segment,
                       bool *ret_last, struct error *reterr);
/* Ids that the index has after `cursor` and the source has not are added; *ret_seen counts the page's. Ids that none of
 * ours can be (mark_id_ok) are passed over and not counted. */
bool job_scan_orphans(mongoc_client_t *client, const char *database, const struct es_conf *es, const char *index,
                      uint64_t after, int64_t limit, struct job_cursor *cursor, struct segment *segment,
                      size_t *ret_seen, bool *ret_last, struct error *reterr);
/* For the progress: about how many products there are, 0 if unknown; how many a category has, which takes a second at most,
 * -1 if unknown. */
int64_t job_scan_estimate(mongoc_client_t *client, const char *database);
int64_t job_scan_count(mongoc_client_t *client, const char *database, int64_t category);
