#include "core/cleanup.h"
#include "projector/lease.h"
#include "projector/state.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A process, so that another one on the same machine can see whether it is still there. */
struct holder {
    char id[40];   /* random: one start of one process */
    char host[65];
    char boot[40]; /* /proc/sys/kernel/random/boot_id */
    int64_t pidns; /* process ids mean something only within one namespace */
    int64_t pid;
    int64_t started; /* clock ticks after boot, from /proc/<pid>/stat: process ids are used again */
};

struct lease {
    struct lease_conf conf;
    struct holder self;
    atomic_uint_fast64_t epoch, counter, valid_until;
    /* The renewing thread. */
    pthread_t thread;
    bool thread_runs;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stop; /* under the lock */
    /* What a standby has seen. */
    char seen_id[40];
    int64_t seen_renewals;
    usec_t seen_at;
};

/* -- who we are -- */

static void read_line(const char *path, char *ret, size_t size) {
    ret[0] = '\0';
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    if (fgets(ret, (int)size, f))
        ret[strcspn(ret, "\n")] = '\0';
    fclose(f);
}

/* Field 22 of /proc/<pid>/stat (proc(5)); -1 if there is no such process. */
static int64_t process_started(int64_t pid) {
    char path[64], line[1024];
    snprintf(path, sizeof(path), "/proc/%" PRId64 "/stat", pid);
    read_line(path, line, sizeof(line));
    const char *p = strrchr(line, ')'); /* the name in parentheses may hold blanks */
    for (int field = 2; p && field < 22; field++)
        p = strchr(p + 1, ' ');
    return p ? (int64_t)strtoll(p + 1, NULL, 10) : -1;
}

static void holder_self(struct holder *h) {
    snprintf(h->id, sizeof(h->id), "%016" PRIx64 "%016" PRIx64, clock_random_u64(), clock_random_u64());
    if (gethostname(h->host, sizeof(h->host) - 1) != 0)
        snprintf(h->host, sizeof(h->host), "unknown");
    read_line("/proc/sys/kernel/random/boot_id", h->boot, sizeof(h->boot));
    struct stat st;
    h->pidns = stat("/proc/self/ns/pid", &st) == 0 ? (int64_t)st.st_ino : 0;
    h->pid = getpid();
    h->started = process_started(h->pid);
}

static void holder_append(const struct holder *h, bson_t *doc, const char *key) {
    bson_t sub;
    bson_append_document_begin(doc, key, -1, &sub);
    BSON_APPEND_UTF8(&sub, "id", h->id);
    BSON_APPEND_UTF8(&sub, "host", h->host);
    BSON_APPEND_UTF8(&sub, "boot", h->boot);
    BSON_APPEND_INT64(&sub, "pidns", h->pidns);
    BSON_APPEND_INT64(&sub, "pid", h->pid);
    BSON_APPEND_INT64(&sub, "started", h->started);
    bson_append_document_end(doc, &sub);
}

/* Only for a holder of this very machine and namespace; of another one nothing is known. */
static bool holder_is_gone(const struct lease *lease, const bson_t *doc) {
    const struct holder *self = &lease->self;
    const char *boot = state_string(doc, "holder.boot");
    if (!boot || !self->boot[0] || strcmp(boot, self->boot) != 0)
        return false;
    if (state_i64(doc, "holder.pidns") != self->pidns || self->pidns == 0)
        return false;
    return process_started(state_i64(doc, "holder.pid")) != state_i64(doc, "holder.started");
}

struct lease *lease_new(const struct lease_conf *conf, struct error *reterr) {
    struct lease *lease = calloc(1, sizeof(*lease));
    if (!lease) {
        error_nomem(reterr);
        return NULL;
    }
    lease->conf = *conf;
    holder_self(&lease->self);
    pthread_mutex_init(&lease->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&lease->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return lease;
}

void lease_drop(struct lease *lease) {
    atomic_store(&lease->valid_until, 0);
    if (!lease->thread_runs)
        return;
    pthread_mutex_lock(&lease->lock);
    lease->stop = true;
    pthread_cond_broadcast(&lease->changed);
    pthread_mutex_unlock(&lease->lock);
    pthread_join(lease->thread, NULL);
    lease->thread_runs = false;
    atomic_store(&lease->valid_until, 0);
}

void lease_free(struct lease *lease) {
    if (!lease)
        return;
    lease_drop(lease);
    pthread_cond_destroy(&lease->changed);
    pthread_mutex_destroy(&lease->lock);
    free(lease);
}

/* -- renewing -- */

/* A standby counts from when it sees a renewal, which is after we sent it; a tenth is kept for slow clocks. */
static void hold_from(struct lease *lease, usec_t sent_at) {
    atomic_store(&lease->valid_until, sent_at + lease->conf.ttl_usec - lease->conf.ttl_usec / 10);
}

static bool renew(struct lease *lease, mongoc_client_t *client, bool *ret_ours, struct error *reterr) {
    usec_t sent_at = clock_now_usec();
    bson_t *query = BCON_NEW("_id", "lease", "holder.id", BCON_UTF8(lease->self.id), "released", BCON_BOOL(false));
    bson_t *update = BCON_NEW("$inc", "{", "renewals", BCON_INT64(1), "}", "$currentDate", "{", "renewed_at",
                              BCON_BOOL(true), "}");
    int64_t matched = 0;
    bool ok = state_update(client, lease->conf.database, STATE_COLLECTION, query, update, false, &matched, reterr);
    bson_destroy(query);
    bson_destroy(update);
    *ret_ours = matched == 1;
    if (ok && matched == 1)
        hold_from(lease, sent_at);
    return ok;
}

static bool renew_pause(struct lease *lease, usec_t usec) {
    usec_t until = clock_now_usec() + usec;
    struct timespec at = {.tv_sec = (time_t)(until / USEC_PER_SEC), .tv_nsec = (long)(until % USEC_PER_SEC) * 1000};
    pthread_mutex_lock(&lease->lock);
    while (!lease->stop && clock_now_usec() < until)
        pthread_cond_timedwait(&lease->changed, &lease->lock, &at);
    bool go = !lease->stop;
    pthread_mutex_unlock(&lease->lock);
    return go;
}

static void *renew_main(void *arg) {
    struct lease *lease = arg;
    pthread_setname_np(pthread_self(), "lease");
    mongoc_client_t *client = mongoc_client_pool_pop(lease->conf.pool);
    usec_t pause = lease->conf.renew_usec;
    while (renew_pause(lease, pause)) {
        bool ours = true;
        struct error error;
        bool ok = renew(lease, client, &ours, &error);
        if (ok && !ours) {
            atomic_store(&lease->valid_until, 0);
            break;
        }
        pause = ok ? lease->conf.renew_usec : lease->conf.renew_usec / 10;
    }
    mongoc_client_pool_push(lease->conf.pool, client);
    return NULL;
}

static bool start_renewing(struct lease *lease, struct error *reterr) {
    lease->stop = false;
    if (pthread_create(&lease->thread, NULL, renew_main, lease) != 0)
        return error_set(reterr, ERROR_INTERNAL, "cannot start the thread that renews the lease");
    lease->thread_runs = true;
    return true;
}

/* -- taking it -- */

static bool take(struct lease *lease, mongoc_client_t *client, const bson_t *seen, struct error *reterr) {
    usec_t sent_at = clock_now_usec();
    bson_t *query = BCON_NEW("_id", "lease");
    if (seen) {
        const char *id = state_string(seen, "holder.id");
        BSON_APPEND_UTF8(query, "holder.id", id ? id : "");
        BSON_APPEND_INT64(query, "renewals", state_i64(seen, "renewals"));
    } else {
        BCON_APPEND(query, "holder.id", "{", "$exists", BCON_BOOL(false), "}");
    }
    bson_t update = BSON_INITIALIZER, set;
    BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
    holder_append(&lease->self, &set, "holder");
    BSON_APPEND_BOOL(&set, "released", false);
    bson_append_document_end(&update, &set);
    BCON_APPEND(&update, "$inc", "{", "renewals", BCON_INT64(1), "}", "$max", "{", "epoch", BCON_INT64(0), "}",
                "$currentDate", "{", "renewed_at", BCON_BOOL(true), "}");
    int64_t matched = 0;
    bool ok = state_update(client, lease->conf.database, STATE_COLLECTION, query, &update, !seen, &matched, reterr);
    bson_destroy(query);
    bson_destroy(&update);
    if (!ok)
        return false;
    if (matched != 1)
        return error_set(reterr, ERROR_CONFLICT, "another projector took the lease first");
    hold_from(lease, sent_at);
    return true;
}

/* Has the holder not renewed for the TTL, by our clock? */
static bool has_expired(struct lease *lease, const bson_t *doc) {
    const char *id = state_string(doc, "holder.id");
    int64_t renewals = state_i64(doc, "renewals");
    usec_t now = clock_now_usec();
    if (!id || strcmp(id, lease->seen_id) != 0 || renewals != lease->seen_renewals || lease->seen_at == 0) {
        snprintf(lease->seen_id, sizeof(lease->seen_id), "%s", id ? id : "");
        lease->seen_renewals = renewals;
        lease->seen_at = now;
        return false;
    }
    return now - lease->seen_at >= lease->conf.ttl_usec;
}

static bool may_take(struct lease *lease, const bson_t *doc) {
    const char *id = state_string(doc, "holder.id");
    return !id || state_bool(doc, "released") || strcmp(id, lease->self.id) == 0 || holder_is_gone(lease, doc) ||
           has_expired(lease, doc);
}

bool lease_try(struct lease *lease, mongoc_client_t *client, struct error *reterr) {
    lease_drop(lease);
    bson_t *query = BCON_NEW("_id", "lease");
    bson_t doc;
    bool found;
    bool ok = state_find_one(client, lease->conf.database, STATE_COLLECTION, query, &doc, &found, reterr);
    bson_destroy(query);
    if (!ok)
        return false;
    bool have = found && state_string(&doc, "holder.id");
    if (have && !may_take(lease, &doc)) {
        error_set(reterr, ERROR_CONFLICT, "the lease is held by process %" PRId64 " on %s",
                  state_i64(&doc, "holder.pid"),
                  state_string(&doc, "holder.host") ? state_string(&doc, "holder.host") : "?");
        bson_destroy(&doc);
        return false;
    }
    ok = take(lease, client, have ? &doc : NULL, reterr);
    bson_destroy(&doc);
    if (!ok)
        return false;
    lease->seen_at = 0;
    return start_renewing(lease, reterr);
}

void lease_hold(struct lease *lease) {
    atomic_store(&lease->valid_until, USEC_NEVER);
}

static bool check_proof(struct lease *lease, bool *ret_ours, struct error *reterr) {
    struct error error = {.code = ERROR_NONE};
    *ret_ours = lease->conf.prove(lease->conf.prove_ctx, &error);
    if (*ret_ours || error.code == ERROR_CONFLICT)
        return true;
    return error_set(reterr, error.code, "%s", error.message);
}

bool lease_is_free(struct lease *lease, mongoc_client_t *client, bool *ret_free, struct error *reterr) {
    bson_t *query = BCON_NEW("_id", "lease");
    bson_t doc;
    bool found;
    bool ok = state_find_one(client, lease->conf.database, STATE_COLLECTION, query, &doc, &found, reterr);
    *ret_free = ok && (!found || may_take(lease, &doc));
    bson_destroy(query);
    bson_destroy(&doc);
    return ok;
}

bool lease_check(struct lease *lease, mongoc_client_t *client, bool *ret_ours, struct error *reterr) {
    if (lease->conf.prove)
        return check_proof(lease, ret_ours, reterr);
    bson_t *query = BCON_NEW("_id", "lease");
    bson_t doc;
    bool found;
    bool ok = state_find_one(client, lease->conf.database, STATE_COLLECTION, query, &doc, &found, reterr);
    bson_destroy(query);
    if (!ok)
        return false;
    const char *id = found ? state_string(&doc, "holder.id") : NULL;
    *ret_ours = id && strcmp(id, lease->self.id) == 0 && !state_bool(&doc, "released");
    bson_destroy(&doc);
    return true;
}

void lease_release(struct lease *lease, mongoc_client_t *client) {
    lease_drop(lease);
    bson_t *query = BCON_NEW("_id", "lease", "holder.id", BCON_UTF8(lease->self.id));
    bson_t *update = BCON_NEW("$set", "{", "released", BCON_BOOL(true), "}");
    state_update(client, lease->conf.database, STATE_COLLECTION, query, update, false, NULL, NULL);
    bson_destroy(query);
    bson_destroy(update);
}

/* -- the epoch -- */

#define SELECT_FENCE "SELECT epoch FROM projector_fence WHERE id = 1"

static bool read_u64(void *ctx, char **columns, const unsigned long *lengths, unsigned count) {
    (void)lengths;
    if (count && columns[0])
        *(uint64_t *)ctx = strtoull(columns[0], NULL, 10);
    return true;
}

static bool raise_fence(struct mysql_session *mysql, uint64_t epoch, struct error *reterr) {
    if (!mysql_session_exec(mysql, NULL, reterr, "UPDATE projector_fence SET epoch = ? WHERE id = 1 AND epoch < ?",
                            MYSQL_U64(epoch), MYSQL_U64(epoch)))
        return false;
    uint64_t now = 0;
    if (!mysql_session_query(mysql, read_u64, &now, reterr, SELECT_FENCE))
        return false;
    if (now == 0)
        return mysql_session_exec(mysql, NULL, reterr, "INSERT INTO projector_fence (id, epoch) VALUES (1, ?)",
                                  MYSQL_U64(epoch));
    return now == epoch ? true
                        : error_set(reterr, ERROR_CONFLICT, "projector_fence is at epoch %" PRIu64 ", above our %" PRIu64,
                                    now, epoch);
}

static bool raise_stored(struct lease *lease, mongoc_client_t *client, uint64_t epoch, struct error *reterr) {
    /* Whatever stands there but an epoch that is not below ours: a damaged one must not hold us up. */
    bson_t *query = BCON_NEW("_id", "lease", "holder.id", BCON_UTF8(lease->self.id), "released", BCON_BOOL(false), "$nor",
                             "[", "{", "epoch", "{", "$gte", BCON_INT64((int64_t)epoch), "$lte",
                             BCON_INT64((int64_t)LEASE_EPOCH_MAX), "}", "}", "]");
    bson_t *update = BCON_NEW("$set", "{", "epoch", BCON_INT64((int64_t)epoch), "}");
    int64_t matched = 0;
    bool ok = state_update(client, lease->conf.database, STATE_COLLECTION, query, update, false, &matched, reterr);
    bson_destroy(query);
    bson_destroy(update);
    if (ok && matched != 1)
        return error_set(reterr, ERROR_CONFLICT, "the lease is not ours any more");
    return ok;
}

/* What a document was written with; 0 for what is no epoch (damaged), or none. */
static bool epoch_in(struct lease *lease, mongoc_client_t *client, const char *id, uint64_t *ret, struct error *reterr) {
    bson_t *query = BCON_NEW("_id", BCON_UTF8(id));
    bson_t doc;
    bool found;
    bool ok = state_find_one(client, lease->conf.database, STATE_COLLECTION, query, &doc, &found, reterr);
    int64_t epoch = ok && found ? state_i64(&doc, "epoch") : 0;
    *ret = epoch > 0 && epoch <= (int64_t)LEASE_EPOCH_MAX ? (uint64_t)epoch : 0;
    bson_destroy(query);
    bson_destroy(&doc);
    return ok;
}

/* The highest that the lease or a position was written with. */
static bool stored_epoch(struct lease *lease, mongoc_client_t *client, uint64_t *ret, struct error *reterr) {
    uint64_t position;
    if (!epoch_in(lease, client, "lease", ret, reterr) || !epoch_in(lease, client, "checkpoint:stream", &position, reterr))
        return false;
    *ret = position > *ret ? position : *ret;
    return true;
}

bool lease_fence_is_behind(struct lease *lease, mongoc_client_t *client, struct mysql_session *mysql, bool *ret_behind,
                           struct error *reterr) {
    uint64_t position, fence = 0;
    if (!epoch_in(lease, client, "checkpoint:stream", &position, reterr) ||
        !mysql_session_query(mysql, read_u64, &fence, reterr, SELECT_FENCE))
        return false;
    *ret_behind = fence < position;
    return true;
}

static bool epoch_is_possible(uint64_t epoch, struct error *reterr) {
    if (epoch <= LEASE_EPOCH_MAX)
        return true;
    return error_set(reterr, ERROR_CORRUPT, "epoch %" PRIu64 " is beyond %" PRIu64 ": a document has a version that "
                     "no projector wrote; rebuild the index", epoch, (uint64_t)LEASE_EPOCH_MAX);
}

/* Counts on from the owner's epochs, in one step, so that no two members have the same; what is no epoch (damaged) does
 * not count. The proof comes after: an
 * assignment that is given to somebody else later takes its epoch later. */
static bool raise_member(struct lease *lease, mongoc_client_t *client, uint64_t above, struct error *reterr) {
    bson_t *command = BCON_NEW(
        "findAndModify", STATE_COLLECTION, "query", "{", "_id", "lease", "}", "update", "[", "{", "$set", "{", "epoch",
        "{", "$add", "[", "{", "$max", "[", "{", "$cond", "[", "{", "$and", "[", "{", "$isNumber", "$epoch", "}", "{",
        "$lte", "[", "$epoch", BCON_INT64((int64_t)LEASE_EPOCH_MAX), "]", "}", "]", "}", "$epoch", BCON_INT64(0), "]",
        "}", BCON_INT64((int64_t)above), "]", "}", BCON_INT64(1), "]", "}", "}", "}", "]", "upsert", BCON_BOOL(true),
        "new", BCON_BOOL(true), "fields", "{", "epoch", BCON_INT32(1), "}", "writeConcern", "{", "w", "majority", "}");
    bson_t reply;
    bool ok = state_command(client, lease->conf.database, command, "take an epoch", &reply, reterr);
    uint64_t epoch = ok ? (uint64_t)state_i64(&reply, "value.epoch") : 0;
    bson_destroy(command);
    bson_destroy(&reply);
    if (!ok || !epoch_is_possible(epoch, reterr) || !lease->conf.prove(lease->conf.prove_ctx, reterr))
        return false;
    atomic_store(&lease->epoch, epoch);
    return true;
}

bool lease_raise(struct lease *lease, mongoc_client_t *client, struct mysql_session *mysql, uint64_t above,
                 struct error *reterr) {
    if (lease->conf.prove)
        return raise_member(lease, client, above, reterr);
    uint64_t epoch, fence = 0;
    if (!stored_epoch(lease, client, &epoch, reterr))
        return false;
    if (!mysql_session_query(mysql, read_u64, &fence, reterr, SELECT_FENCE))
        return false;
    epoch = epoch > above ? epoch : above;
    epoch = (epoch > fence ? epoch : fence) + 1;
    if (!epoch_is_possible(epoch, reterr) || !raise_stored(lease, client, epoch, reterr) ||
        !raise_fence(mysql, epoch, reterr) ||
        !state_claim(client, lease->conf.database, epoch, reterr))
        return false;
    atomic_store(&lease->epoch, epoch);
    return true;
}

usec_t lease_valid_until(const struct lease *lease) {
    return atomic_load(&lease->valid_until);
}

uint64_t lease_epoch(const struct lease *lease) {
    return atomic_load(&lease->epoch);
}

uint64_t lease_next_version(struct lease *lease) {
    return atomic_load(&lease->epoch) << LEASE_COUNTER_BITS | (atomic_fetch_add(&lease->counter, 1) + 1);
}
