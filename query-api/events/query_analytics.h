/* query_analytics.h - which texts are searched, how often, with how many results, and how often a hit is clicked.
 *
 * A loop counts in a table of fixed size (query_counts.h) and adds it every few seconds to the index of queries, one
 * document for each text and day. Counting is a hash and a comparison: no lock, no allocation. What finds no room until the
 * next flush is only counted as dropped: the frequent ones come first. What is typed counts once (query_bursts.h), where
 * q->bursts is given. Nothing that is written says who searched. Thread: the loop's. */
#pragma once
#include "query-api/query_api.h"

struct query_analytics;
struct query_analytics *query_analytics_new(struct query_loop *q, struct error *reterr);
void query_analytics_free(struct query_analytics *analytics);
/* Writes what is counted, if that is done by then. After the loop has stopped. */
void query_analytics_stop(struct query_analytics *analytics, usec_t until);
/* A search with these words has come. */
void query_analytics_search(struct query_analytics *analytics, struct http_request *request, struct slice q);
/* So many products were found for it without any filter. */
void query_analytics_results(struct query_analytics *analytics, struct http_request *request, struct slice q, int64_t total);
void query_analytics_click(struct query_analytics *analytics, struct slice q);
