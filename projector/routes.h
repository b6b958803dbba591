/* routes.h - what the projector answers over HTTP: health, readiness, metrics, and the confirmation of a job. */
#pragma once
#include "core/http_server.h"
#include "core/workers.h"
#include "projector/options.h"

extern const struct http_route projector_routes[]; /* their ctx is a struct routes */

struct routes {
    const struct projector_options *options;
    struct workers *workers; /* one thread with a MongoDB client */
};
bool routes_init(struct routes *routes, const struct projector_options *options, struct error *reterr);
void routes_done(struct routes *routes);
