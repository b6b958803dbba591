/* relay.h - where a term's marks go under `projector relay`: each becomes one message of the topic of marks.
 *
 * It stands in for lanes and bulks: a mark is finished when Kafka reports its message stored by all in-sync replicas,
 * so positions move by the same rule as everywhere, over the prefix of what is finished. While Kafka is away the
 * sources' windows fill and they stop reading: what waits is bounded, and the oplog and the queue keep the rest.
 *
 * A message that fails is sent again. That may store it twice or behind a later one, and neither matters: a mark says
 * "read this product again", and a consumer reads it after the newest time that it was ever told.
 *
 * Thread: the engine's loop. */
#pragma once
#include "core/kafka.h"
#include "core/loop.h"
#include "projector/engine/mark.h"
#include "projector/options.h"

struct relay;
/* target_revision: of the set of indexes that whoever reads a mark must know at least. */
struct relay *relay_new(const struct projector_options *options, int64_t target_revision, struct loop *loop,
                        struct error *reterr);
/* Before the segments go. What is under way is given up. NULL is fine. */
void relay_free(struct relay *relay);
/* Counts every mark in the segment. False without memory. */
bool relay_take(struct relay *relay, struct segment *segment);
/* Finished marks since the last call. */
unsigned relay_released(struct relay *relay, enum mark_source source);
bool relay_topic_is_gone(const struct relay *relay);
size_t relay_pending(const struct relay *relay); /* that may still be stored */
/* Gauges and readiness; a few times a second. False: the producer is dead for good; or, with NOT_FOUND, somebody has deleted the
 * topic, and what is unfinished is to be sent anew once there is one. */
bool relay_tick(struct relay *relay, struct error *reterr);
