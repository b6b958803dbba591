/* status_stored.h - what MongoDB knows of a projector that does not answer: lease, position, active jobs, number of dead
 * letters. Thread: any. */
#pragma once
#include "core/json_write.h"
#include "projector/options.h"

/* The same shape as GET /v1/status with what is known: "from": "mongodb", "daemon": {url, error}, lease, sources,
 * jobs, dead_letters. */
bool status_stored_write(const struct projector_options *options, const char *url, const struct error *no_answer,
                         struct json_write *w, struct error *reterr);
