/* openapi.h - GET /openapi.json: a route table as an OpenAPI 3.1 document. Pure. Thread: any.
 *
 * Every route is there with its summary, the parameters of its path and those of its table (http_param.h). Where a POST
 * has a table, its parameters are the members of a JSON body. A route without a table does not look at its query. */
#pragma once
#include "core/http_server.h"

/* program: "query-api". routes end with a method of NULL. False only if out failed. */
bool openapi_write(struct buf *out, const char *program, const char *version, const struct http_route *routes);
