/* transaction.h - one MySQL transaction, repeated as a whole after a deadlock. Worker threads. */
#pragma once
#include "write-api/service.h"

/* True: commit. False with an error set: roll back, and repeat if it was a deadlock or a lock wait. False without an
 * error (code NONE): roll back and be done; the body has said what is wrong elsewhere. May run several times. */
typedef bool transaction_body(struct session *s, void *ctx, struct error *reterr);

/* False with code NONE: the body wished so. After `deadline` (monotonic) no new attempt begins, and
 * nothing is committed: OVERLOADED. */
bool transaction_run(struct session *s, usec_t deadline, transaction_body *body, void *ctx, struct error *reterr);
