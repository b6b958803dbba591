/* service.h - what `projector run` and `projector relay` have in common: signals, health, metrics, and a life behind
 * them. Thread: main. */
#pragma once
#include "projector/options.h"

enum service_kind {
    SERVICE_OWNER, /* the databases to the index */
    SERVICE_RELAY, /* the databases to the topic of marks */
    SERVICE_GROUP, /* the topic of marks to the index */
};
/* Returns the exit code, after SIGTERM or when it cannot go on. */
int service_run(const struct projector_options *options, enum service_kind kind);
