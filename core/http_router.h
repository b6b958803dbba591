/* http_router.h - finds the route of a request path. Pure.
 *
 * A pattern's segments are literals ("v1", "products:import"), parameters ("{id}") or a parameter with a verb
 * ("{id}:move"). Of the patterns that match a path and have the method, the most specific one wins: segment by
 * segment a literal before a verb before a plain parameter. The path is split at its raw '/', then each segment
 * is decoded: "%2F" never splits; and a verb must stand in the raw path, so that "a%3Amove" is an id.
 * Thread: any; a router does not change. */
#pragma once
#include "core/http_server.h"

#define HTTP_ROUTER_PARAMS_MAX 4

struct http_router;

enum http_match_result { HTTP_MATCH_FOUND, HTTP_MATCH_NO_PATH, HTTP_MATCH_NO_METHOD, HTTP_MATCH_BAD_PATH };

struct http_match {
    const struct http_route *route; /* FOUND */
    struct uri_pair params[HTTP_ROUTER_PARAMS_MAX];
    size_t param_count;
    char allow[64]; /* NO_METHOD: what the path offers, for the Allow header */
};

/* The routes (last entry: method NULL) are kept. INVALID names a pattern or method that cannot be used. */
struct http_router *http_router_new(const struct http_route *routes, struct error *reterr);
void http_router_free(struct http_router *router);

/* HEAD finds the GET route. Parameters are in the arena or point into path. BAD_PATH: see *reterr. */
enum http_match_result http_router_match(const struct http_router *router, struct arena *arena, const char *method,
                                         struct slice path, struct http_match *ret, struct error *reterr);
