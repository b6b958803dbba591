/* openapi.h - GET /openapi.json: a route table as an OpenAPI 3.1 document. Pure. Thread: any.
 *
 * Every route is there with its summary, the parameters of its path and those of its table (http_param.h). Where a POST
 * has a table, its parameters are the members of a JSON body; else its body is as the route says. A route without a table
 * does not look at its query. */
#pragma once
#include "core/http_server.h"

/* Of a server's name, routes and guard: with one, each route says which scope a key needs for it. False only if out
 * failed. */
bool openapi_write(struct buf *out, const char *version, const struct http_server_options *options);
