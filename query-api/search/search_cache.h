/* search_cache.h - the cache before a loop's searches: who is answered from it, who asks, who waits for whom.
 *
 * A search that is not in the cache becomes a flight: the first request asks, equal ones that come meanwhile wait for
 * its answer. A stale answer is given out at once and its request asks on, without its client. When asking fails, leader
 * and waiters get the old answer, marked "degraded":"stale"; or a young one of the fallback, marked so; or the error.
 *
 *   if (search_cache_begin(q, request, params, begun)) return;   answered, or waiting
 *   ... ask; then exactly one of:
 *   search_cache_end(q, request, begun, &out, common_len, false);
 *   search_cache_fail(q, request, error);                        any request may: without a flight it is an error reply
 *
 * The epoch of q says what answers depend on; see query_epoch_next. Thread: the loop's. */
#pragma once
#include "query-api/query_api.h"
#include "query-api/search/search_params.h"

struct search_cache *search_cache_new(const struct query_loop *q, size_t loop_index, size_t loop_count, struct error *reterr);
/* Drops flights that are left; the server is gone by then. */
void search_cache_free(struct search_cache *cache);

bool search_cache_begin(struct query_loop *q, struct http_request *request, const struct search_params *p, usec_t begun);
/* The same for other answers than searches'; the name begins with a letter, so it is none of theirs. */
bool search_cache_begin_name(struct query_loop *q, struct http_request *request, struct slice name, usec_t begun);
/* out: the whole answer (moved), whose first common_len bytes are the same for everybody. fallback: it is none of
 * Elasticsearch's; it is kept for a moment and apart from those. */
void search_cache_end(struct query_loop *q, struct http_request *request, usec_t begun, struct buf *out, size_t common_len,
                      bool fallback);
/* When asking has failed: gives leader and waiters what the cache has for such a case. False if that is nothing: then the
 * flight goes on, and search_cache_end or _fail must follow. */
bool search_cache_rescue(struct query_loop *q, struct http_request *request);
