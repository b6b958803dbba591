/* api_key_watch.h - keeps a guard's keys as an index of Elasticsearch holds them (es_watch.h): every process that watches has
 * a new, changed or deleted key within a poll. While Elasticsearch does not answer the keys stay as they are.
 * Thread: that of the loop. */
#pragma once
#include "core/api_guard.h"
#include "core/es.h"

struct api_key_watch;
/* mapping: makes the index if it is missing; empty: as long as it is missing there are no keys. The guard must live longer. */
struct api_key_watch *api_key_watch_new(struct loop *loop, struct es *es, struct api_guard *guard, const char *index,
                                        struct slice mapping, usec_t every_usec, usec_t timeout_usec, struct error *reterr);
void api_key_watch_free(struct api_key_watch *watch); /* before es */
void api_key_watch_now(struct api_key_watch *watch);
bool api_key_watch_is_there(const struct api_key_watch *watch); /* has the index been seen? */
