/* acceptor.h - listens on one address and deals accepted connections round-robin to several http_servers.
 *
 * Runs on one loop; hands each descriptor to its server's loop by mail. (A listening socket shared by loops was
 * measured to leave one of two loops idle.) When descriptors run out it pauses accepting instead of spinning. */
#pragma once
#include "core/http_server.h"

struct acceptor;

/* Is that an address to listen on? Not whether it is free. */
bool acceptor_check(const char *listen, struct error *reterr);
/* listen: "127.0.0.1:8080", "[::1]:8080", "0.0.0.0:8080"; port 0 picks a free one. `loops[i]` is the loop of
 * `servers[i]`. The arrays are copied. */
struct acceptor *acceptor_new(struct loop *loop, const char *listen, struct loop *const *loops,
                              struct http_server *const *servers, size_t count, struct error *reterr);
/* Stops listening; on its loop's thread or after it stopped. Connections that are on their way to another loop are
 * still delivered: free the servers after their loops have run once more. */
void acceptor_free(struct acceptor *acceptor);
unsigned acceptor_port(const struct acceptor *acceptor);
