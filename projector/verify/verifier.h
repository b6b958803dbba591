/* verifier.h - continuous verification: a thread of the owner's term that walks the serving index at a bounded rate,
 * again and again, and has what differs repaired ([projector] verify_rate, verify_repair, verify_pause).
 *
 * projector_state {_id: "verify", index, epoch, cursor, begun_at, compared, missing, stale, orphaned, dead, unsettled,
 * repaired, left, verified_as_of, passes}: how far the pass is, so that a restart goes on there. A pass that reaches
 * the end with nothing left (all equal, repaired and looked at again, dead-lettered, or never at rest and written all the
 * time) makes its beginning the time "verified as of": everything committed before it is in the index.
 *
 * Orphans are not removed by itself where they are more than half of what a slice of the walk has seen, or while a
 * scan's sweep waits for a person: then rather the source is not what it should be.
 * Thread: its own, from start to stop. */
#pragma once
#include "projector/engine/engine.h"

struct verifier;
/* NULL without memory or thread. With verify_rate 0 it only shows what is stored. */
struct verifier *verifier_start(const struct engine_conf *conf, struct error *reterr);
/* Stops and joins; NULL is fine. */
void verifier_stop(struct verifier *verifier);
