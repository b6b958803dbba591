/* jobs.h - long background work as documents in MongoDB: it survives a kill, shows its progress, and is written
 * only by the owner of its epoch.
 *
 * projector_jobs: {_id, type: scan | fanout | repair | reindex | rollback, state: running | waiting | done | superseded |
 *   failed | cancelled, phase: mark | count | sweep | create | verify | swap,
 *   epoch, reason, sweep, after (cluster time), revision, categories: [ids], ids: [product ids],
 *   cursor: {category, id}, begun, superseded_by, done, total, orphans, error, note, created_at, updated_at, finished_at,
 *   index, before, owes_scan, mapping: {name, text}, no_swap, keep_index, force,
 *   confirmed, paused, cancel, throttle: what somebody asks for; the owner reads them once a second}
 *
 * scan:   phase mark walks all products; then, if sweep, phase count walks the index for documents that the source
 *         has not, and phase sweep marks them. More than half of the index: the job waits until it is confirmed.
 * fanout: phase mark walks the products of its categories (a subtree, resolved when the job was made), category by
 *         category: cursor.category is the place in `categories`. One that has not begun is superseded by a newer one
 *         that covers it; one that has goes on to its end, and the newer one begins then. So changes that come faster
 *         than a job runs are coalesced, and each job is over after a bounded time all the same, or the one that is
 *         superseded_by points to: whoever waits for a change (verify_barrier.h) does not wait for ever.
 * repair: phase mark marks `ids`, to be written whatever their hash says: cursor.category is the place in `ids`. Anybody
 *         may insert one, with epoch 0; the owner adopts it.
 * reindex, rollback: job_reindex.h.
 * Thread: any, with a client of its own. */
#pragma once
#include "core/buf.h"
#include "projector/state.h"

enum job_type { JOB_SCAN, JOB_FANOUT, JOB_REPAIR, JOB_REINDEX, JOB_ROLLBACK };
enum job_state { JOB_RUNNING, JOB_WAITING, JOB_DONE, JOB_SUPERSEDED, JOB_FAILED, JOB_CANCELLED };
enum job_phase { JOB_PHASE_MARK, JOB_PHASE_COUNT, JOB_PHASE_SWEEP, JOB_PHASE_CREATE, JOB_PHASE_VERIFY, JOB_PHASE_SWAP };
extern const char *const job_type_names[], *const job_state_names[], *const job_phase_names[];

#define JOB_ID_SIZE 72
struct job_cursor {
    uint32_t category; /* place in categories */
    uint8_t id_len;    /* 0: from the start */
    char id[128];
};

struct job_record {
    char id[JOB_ID_SIZE];
    enum job_type type;
    enum job_state state;
    enum job_phase phase;
    bool sweep, confirmed;
    uint64_t epoch; /* whose it is */
    uint64_t after, revision;
    int64_t *categories;
    size_t category_count;
    char *ids; /* repair: each a byte of length and so many bytes */
    size_t ids_bytes;
    struct job_cursor cursor;
    bool begun; /* fan-out: stored before its first mark is out; it is not superseded any more */
    int64_t done, total, orphans; /* total 0: not known (yet) */
    char index[256];  /* reindex, rollback: the one that shall serve; "" not chosen yet */
    char before[256]; /* the one that serves until the swap; "" it is not at the swap yet */
    bool owes_scan;   /* the index that it makes serve lacks changes: a full scan follows the swap */
    char error[320];  /* it failed, or is failing */
    char note[256];   /* why it does not get on, for people; "" it does */
    int64_t rate;     /* documents per second that were marked and written; 0 not known */
    bool no_swap, keep_index, force;
    /* Wishes. */
    bool paused, cancel;
    int64_t throttle; /* documents per second; 0: as fast as it goes */
};
void job_record_done(struct job_record *job);

/* Visits the running and waiting jobs, oldest first; fn takes the record over (job_record_done). */
bool jobs_active(mongoc_client_t *client, const char *database, void (*fn)(void *ctx, struct job_record *job), void *ctx,
                 struct error *reterr);
/* All of them, or one; newest first. fn takes the record over. */
bool jobs_visit(mongoc_client_t *client, const char *database, const char *id,
                void (*fn)(void *ctx, struct job_record *job), void *ctx, struct error *reterr);
/* Stores state, phase, cursor, counts. CONFLICT: not our epoch, or the job was superseded. */
bool jobs_save(mongoc_client_t *client, const char *database, uint64_t epoch, const struct job_record *job,
               struct error *reterr);
/* Takes over what is asked for by `paused`, `cancel` and `throttle`. True: somebody has asked for what it does now, by them or by
 * `confirmed`, and waits. */
bool job_take_wishes(struct job_record *known, const struct job_record *stored);
/* Both are fan-outs, and all of the other one's categories are among this one's. */
bool jobs_covers(const struct job_record *job, const struct job_record *other);
/* A fan-out over these categories. An active fan-out that has not begun and whose categories are all among them is
 * superseded: the new one covers it. `key` (of the queue row that asks for it) makes a repetition harmless. */
bool jobs_upsert_fanout(mongoc_client_t *client, const char *database, uint64_t epoch, const char *key,
                        uint64_t revision, const int64_t *categories, size_t count, struct error *reterr);
/* Lets a waiting job go on. NOT_FOUND: no such waiting job. */
bool jobs_confirm(mongoc_client_t *client, const char *database, const char *id, struct error *reterr);
/* Inserts a repair of these products, at most JOB_REPAIR_MAX, each of 1 to 128 bytes (others are left out). waiting: it
 * begins when it is confirmed. */
#define JOB_REPAIR_MAX 10000
bool jobs_insert_repair(mongoc_client_t *client, const char *database, const char *reason, const struct slice *ids,
                        size_t count, bool waiting, char ret_id[JOB_ID_SIZE], struct error *reterr);
/* Takes unfinished jobs of lower epochs over. */
bool jobs_adopt(mongoc_client_t *client, const char *database, uint64_t epoch, struct error *reterr);
/* The job's state, JOB_DONE if there is no such job any more. */
bool jobs_state_of(mongoc_client_t *client, const char *database, const char *id, enum job_state *ret, int64_t *ret_done,
                   struct error *reterr);
/* The same for whoever needs all of it to be done. over: it is. CONFLICT: it was cancelled, or has failed. */
bool jobs_look(mongoc_client_t *client, const char *database, const char *id, bool *ret_over, int64_t *ret_done,
               struct error *reterr);
/* A full scan with a sweep, for whoever follows the databases. key: NULL, or what makes a repetition harmless. */
bool jobs_request_scan(mongoc_client_t *client, const char *database, const char *key, const char *reason,
                       struct error *reterr);
