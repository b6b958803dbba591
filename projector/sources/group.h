/* group.h - the life of `projector run --from kafka`: join the consumer group, serve a term for each assignment of
 * partitions, and again.
 *
 * A term is an engine as under `projector run`, fed by the topic of marks instead of the databases. What an owner's
 * lease is there, the assignment is here: each takes a new epoch and then proves, by a commit that the coordinator
 * accepts, that it still stood when the epoch was taken. So the epochs of a partition grow with its assignments, and a
 * consumer that slept through its session writes with a version that is too low.
 *
 * Runs on a thread of its own. Protocol as in owner.h. */
#pragma once
#include "core/loop.h"
#include "projector/options.h"

struct group;
struct group *group_start(const struct projector_options *options, struct loop *loop, void (*on_end)(void *ctx, int code),
                          void *ctx, struct error *reterr);
void group_stop(struct group *group);
void group_free(struct group *group); /* after on_end; NULL is fine */
