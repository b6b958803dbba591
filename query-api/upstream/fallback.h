/* fallback.h - searches and products from MongoDB while Elasticsearch does not answer ([query-api] fallback).
 *
 * One for all loops: a few threads, each with a connection of its own, and a queue that is never longer than fallback_queue.
 * Each question has fallback_timeout from being asked to its answer, the wait in the queue included, and MongoDB gets what
 * is left of it as maxTimeMS. What comes back has the shape of Elasticsearch's answer to the same question, without stock
 * and facets, so that the same code writes the reply. Its text index (FALLBACK_INDEX of fallback_query.h) is made in the
 * background; until then names are looked through one by one.
 * Thread: the loops'; new and free: the main thread. */
#pragma once
#include "core/mongo.h"
#include "query-api/query_api.h"
#include "query-api/search/search_params.h"

/* loop: where the making of the index is followed. */
struct fallback *fallback_new(const struct query_conf *conf, const struct mongo_conf *mongo, struct loop *loop,
                              struct error *reterr);
/* Has MongoDB shown a product, be it once? Before that it is not asked: it may be none, or somebody else's. False for NULL. */
bool fallback_reached(const struct fallback *fallback);
/* No loop runs any more. Ends the threads; what they have posted is delivered by one more round of each loop, which must
 * follow before fallback_free. NULL: nothing. */
void fallback_stop(struct fallback *fallback);
void fallback_free(struct fallback *fallback);

/* False: there is no fallback, it has not been reached yet, or too much of it is under way; the caller answers. True: one of answer
 * (status 200 or 404) and failed is called on q's loop; both must reply. params need not outlive the call. */
bool fallback_search(struct query_loop *q, struct http_request *request, const struct search_params *params,
                     upstream_answer *answer, upstream_failed *failed, void *data);
bool fallback_product(struct query_loop *q, struct http_request *request, struct slice id, upstream_answer *answer,
                      upstream_failed *failed, void *data);
