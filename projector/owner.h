/* owner.h - the life of `projector run` and `projector relay`: wait for the servers, stand by for the lease, serve a term as owner, and
 * again.
 *
 * Runs on a thread of its own, so that health and metrics answer whatever happens here.
 * Protocol: owner_start, owner_stop (any thread, returns at once), on_end on the given loop, owner_free. */
#pragma once
#include "core/loop.h"
#include "projector/options.h"

struct owner;
/* relay: marks become messages of the topic of marks; else this process brings them to the index. */
struct owner *owner_start(const struct projector_options *options, bool relay, struct loop *loop,
                          void (*on_end)(void *ctx, int code), void *ctx, struct error *reterr);
void owner_stop(struct owner *owner);
void owner_free(struct owner *owner); /* after on_end; NULL is fine */
