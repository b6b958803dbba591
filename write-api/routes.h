/* routes.h - every endpoint of the write-api. */
#pragma once
#include "core/http_server.h"

extern const struct http_route write_routes[]; /* the last entry has method NULL */
