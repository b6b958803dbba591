/* signals_job.h - what shoppers do becomes signals of products: a thread of the owner's term that adds up the events of the
 * last 30 days every signals_interval and writes the steps that have changed to the table product_signals of MySQL, at
 * most signals_rate products a second. A trigger puts each into projection_queue, and from there on it is a change like any
 * other: composed, versioned, verified, and in every index of a reindex.
 *
 * Nothing else is stored: a pass that fails or repeats itself comes to the same. Without an index of events the signals stay
 * as they are. Once a day it has old events and counts of searches deleted.
 * Thread: its own, from start to stop. */
#pragma once
#include "projector/engine/engine.h"

struct signals_job;
/* NULL without memory or thread. */
struct signals_job *signals_job_start(const struct engine_conf *conf, struct error *reterr);
/* Stops and joins; NULL is fine. */
void signals_job_stop(struct signals_job *job);
