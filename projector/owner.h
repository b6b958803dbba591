/* owner.h - the life of `projector run`: wait for the servers, stand by for the lease, serve a term as owner, and
 * again.
 *
 * Runs on a thread of its own, so that health and metrics answer whatever happens here.
 * Protocol: owner_start, owner_stop (any thread, returns at once), on_end on the given loop, owner_free. */
#pragma once
#include "core/loop.h"
#include "projector/options.h"

struct owner;
struct owner *owner_start(const struct projector_options *options, struct loop *loop, void (*on_end)(void *ctx, int code),
                          void *ctx, struct error *reterr);
void owner_stop(struct owner *owner);
void owner_free(struct owner *owner); /* after on_end; NULL is fine */
