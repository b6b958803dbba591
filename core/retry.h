/* retry.h - waiting for a server: try, say why not, wait a little longer, try again. What es_wait, mongo_wait,
 * mysql_wait and kafka_wait share. Blocks the calling thread; for start-up and threads without a loop. */
#pragma once
#include "core/clock.h"
#include "core/error.h"

/* Called before each further try, with the reason and the pause that follows; false ends the wait. */
typedef bool retry_on_wait(void *ctx, const struct error *why, usec_t retry_in);

/* Repeats attempt() with backoff (100 ms to 3 s, with jitter) while its error is retriable. False with the last
 * error when on_wait (may be NULL: never) said so or the error is one that waiting does not mend. */
bool retry_wait(bool (*attempt)(void *attempt_ctx, struct error *reterr), void *attempt_ctx, retry_on_wait *on_wait,
                void *ctx, struct error *reterr);
