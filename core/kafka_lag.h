/* kafka_lag.h - has a group read everything that was in a topic at a moment? Seen from outside of the group.
 * Thread: one at a time; every call but new and free may block for seconds. */
#pragma once
#include "core/kafka.h"

struct kafka_lag;
/* group and topic outlive it. Does not wait for a broker. */
struct kafka_lag *kafka_lag_new(const struct kafka_conf *conf, const char *group, const char *topic, struct error *reterr);
void kafka_lag_free(struct kafka_lag *lag); /* NULL is fine */
/* The moment: the ends of all partitions as they are now. */
bool kafka_lag_mark(struct kafka_lag *lag, struct error *reterr);
/* Messages before that moment whose offsets the group has not committed. */
bool kafka_lag_ask(struct kafka_lag *lag, int64_t *ret_behind, struct error *reterr);
