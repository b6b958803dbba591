/* lease.h - who may write: one document in projector_state, a holder, an epoch.
 *
 * {_id: "lease", holder: {id, host, boot, pidns, pid, started}, epoch, renewals, released, renewed_at}
 *
 * lease_try takes the lease if it is free: never held, released, held by a process of this machine that is gone,
 * or not renewed for the TTL on our own monotonic clock (nobody's wall clock matters). From then on a thread of
 * its own renews it, so that nothing delays a renewal. lease_valid_until is what a sender compares its clock
 * with: it lies before the moment a standby may take over.
 *
 * The epoch is the upper 24 bits of every version. lease_raise writes one that is above all that were ever used
 * to the lease and to projector_fence in MySQL, and claims checkpoint and jobs for it.
 *
 * A member of a consumer group has no lease: what it may write is what the group assigned to it, and Kafka knows that.
 * With lease_conf.prove, the same calls serve its assignment: lease_hold begins it, lease_raise takes a new epoch from
 * the same counter and then asks for proof that the assignment still stands (whoever is assigned the same afterwards
 * takes a higher one), lease_check asks for that proof. projector_fence, checkpoint and jobs stay the owner's.
 *
 * Thread: lease_try, lease_raise, lease_release: one thread at a time, with its own sessions; the rest: any. */
#pragma once
#include "core/clock.h"
#include "core/mongo.h"
#include "core/mysql.h"

#define LEASE_COUNTER_BITS 40
#define LEASE_EPOCH_MAX ((UINT64_C(1) << 23) - 1) /* versions are positive int64 */

struct lease_conf {
    mongoc_client_pool_t *pool;
    const char *database;
    usec_t ttl_usec, renew_usec;
    bool (*prove)(void *ctx, struct error *reterr); /* CONFLICT: lost. NULL: a lease. Any thread */
    void *prove_ctx;
};

struct lease;
struct lease *lease_new(const struct lease_conf *conf, struct error *reterr);
void lease_free(struct lease *lease); /* stops renewing; does not release */

/* True: held now and being renewed. False with CONFLICT: somebody else holds it (reterr names the holder);
 * other codes: the store failed. Call again after a pause. */
bool lease_try(struct lease *lease, mongoc_client_t *client, struct error *reterr);
/* Could it be taken now? A look only; ask again and again, since a holder that does not renew shows only with time. */
bool lease_is_free(struct lease *lease, mongoc_client_t *client, bool *ret_free, struct error *reterr);
/* Makes the epoch max(stored, fence, above) + 1. CONFLICT: not ours any more. */
bool lease_raise(struct lease *lease, mongoc_client_t *client, struct mysql_session *mysql, uint64_t above,
                 struct error *reterr);
/* Has an owner stored a position with an epoch that projector_fence has never had? It is that of a copy of before, then. */
bool lease_fence_is_behind(struct lease *lease, mongoc_client_t *client, struct mysql_session *mysql, bool *ret_behind,
                           struct error *reterr);
/* Is it ours, read with majority? */
bool lease_check(struct lease *lease, mongoc_client_t *client, bool *ret_ours, struct error *reterr);
/* Lets the next one in at once. */
void lease_release(struct lease *lease, mongoc_client_t *client);

/* 0 when it is not held. Sending stops at that monotonic time. */
usec_t lease_valid_until(const struct lease *lease);
static inline bool lease_is_valid(const struct lease *lease) {
    return clock_now_usec() < lease_valid_until(lease);
}
uint64_t lease_epoch(const struct lease *lease);
/* epoch << 40 | counter, larger than all before. */
uint64_t lease_next_version(struct lease *lease);
/* With prove: valid from now until lease_drop. */
void lease_hold(struct lease *lease);
/* Stops renewing after a loss, before lease_try is called again. */
void lease_drop(struct lease *lease);
