/* reindex_plan.h - what a reindex would change and how long it would take; it changes nothing itself. */
#pragma once
#include "projector/commands/command_wait.h"

/* Differences of settings, mapping and projection between the index that serves and `mapping`, and an estimate:
 * documents, bytes, seconds at the rate of the last scan or reindex. On stdout, as text or as one JSON object. */
bool reindex_plan_print(const struct projector_options *options, struct command_session *session,
                        const struct index_mapping *mapping, int64_t throttle, bool json, struct error *reterr);
