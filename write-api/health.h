/* health.h - are MongoDB and MySQL there, and is the schema ready?
 *
 * One thread of its own asks both servers, at the start with backoff (and says what it waits for), then every
 * [write-api] probe_interval. When one has answered for the first time it applies the migrations (MySQL) or creates the
 * indexes (MongoDB), whether or not the other is there. Requests that need a server which is known to be away are refused at once: they neither wait for the
 * driver's timeout nor hold a worker that another request could use. */
#pragma once
#include "core/error.h"
#include "core/loop.h"

struct service;
struct health;

enum { HEALTH_MONGO = 1, HEALTH_MYSQL = 2 };

/* Starts probing on `loop`. on_fatal is called on the loop's thread if the schema can never become ready (a changed
 * migration, missing privileges). */
struct health *health_new(struct service *service, struct loop *loop,
                          void (*on_fatal)(void *ctx, const struct error *why), void *ctx, struct error *reterr);
void health_free(struct health *health); /* waits for the probe that runs */

/* Any thread. UNAVAILABLE names what is missing. */
bool health_allows(const struct health *health, unsigned needs, struct error *reterr);
/* Any thread: a request has just seen a server fail; look now, not at the next interval. */
void health_doubt(struct health *health);
