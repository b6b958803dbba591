/* api_guard.h - who may do what, and how often: the http_guard of a server.
 *
 *   guard = api_guard_new(&conf, rates, "query-api", &error);
 *   options.guard = api_guard_admit; options.guard_ctx = guard; options.open_scopes = conf.open_scopes;
 *   api_guard_set_keys(guard, keys);     whenever there is a newer set
 *
 * A key comes as "Authorization: Bearer KEY", as "X-Algolia-API-Key: KEY", or, where InstantSearch clients in browsers ask
 * (paths that begin with "/1/"), as x-algolia-api-key in the query. 401: there is none, or it is wrong or has expired; 403: it
 * lacks the scope; 429 with Retry-After: it has used up its rate; 503: the keys are not known yet. `admin` includes all scopes.
 * For open scopes no key is needed. Because InstantSearch clients cannot do without one, a key that is unknown counts as
 * none there if it came in one of the X-Algolia ways.
 *
 * One guard per loop, for its thread; the rate table is shared by all of them. */
#pragma once
#include "core/api_key.h"
#include "core/rate_table.h"

struct api_guard_conf {
    const char *admin_key;     /* the first key, with all scopes and no limit; empty: none. Only its hash is kept */
    unsigned open_scopes;      /* sum of enum http_scope */
    bool has_keys;             /* others will come by api_guard_set_keys */
    int64_t open_rate;         /* requests per second without a key from one client address; 0: no limit */
    int64_t open_burst;        /* 0: open_rate */
    const char *address_header; /* whose last address is the client's, set by the proxy before us; empty: the connection's */
};

struct api_guard;
struct api_guard *api_guard_new(const struct api_guard_conf *conf, struct rate_table *rates, const char *server,
                                struct error *reterr);
void api_guard_free(struct api_guard *guard);
/* keys are owned from now on. */
void api_guard_set_keys(struct api_guard *guard, struct api_keys *keys);
const struct api_keys *api_guard_keys(const struct api_guard *guard); /* NULL: not known yet */
/* The http_guard; ctx is the guard. */
bool api_guard_admit(struct http_request *request, enum http_scope needed, void *ctx);
/* Whose limit an open request counts for: an IPv4 address, or an IPv6 network. Returns its length; 0: not known. */
size_t api_guard_client(const struct api_guard *guard, struct http_request *request, unsigned char ret[16]);
/* May the key of this route stand in the query? */
bool api_guard_takes_query(const struct http_route *route);
