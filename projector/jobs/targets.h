/* targets.h - which indexes are written: one document in MongoDB that everybody who writes reads.
 *
 * projector_state {_id: "targets", revision, list: [{index, role, flaw: {id, reason, gone}}], old_until, garbage:
 *   [{index, at}]}
 *
 *   serving   the one behind the alias; there is exactly one, and it is the first
 *   building  a reindex fills it, and every change goes there too
 *   old       served before; gets every change until old_until, so that going back is a swap of the alias
 *
 * The alias decides which index serves; the document says what else is written. Every change of the set is made against
 * the revision that was read (CONFLICT: somebody was faster; read again) and makes a new one. A writer that sees another
 * revision than its own ends its term and begins a new one with the set as it is then:
 *
 *   targets_settle at the start of a term; targets_revision once a second; when it differs: end the term.
 *
 * So from the moment on when all writers have read a set with a building index, no change misses it.
 *
 * A flaw says that an index other than the serving one lacks a change: it refused a document, or it is gone. It is
 * stored before the change is acked. What has no flaw has every change that was acked since it was added.
 *
 * Thread: any, with a client of its own. */
#pragma once
#include "core/clock.h"
#include "core/mongo.h"

#define TARGETS_MAX 3 /* one of each role */
#define TARGET_INDEX_SIZE 256

enum target_role { TARGET_SERVING, TARGET_BUILDING, TARGET_OLD };
extern const char *const target_role_names[];

struct target {
    char index[TARGET_INDEX_SIZE];
    enum target_role role;
    bool flawed, gone; /* lacks a change; cannot be written at all */
    char flaw[320];    /* "product ID: reason", for people */
};

struct targets {
    int64_t revision; /* 0: nothing is stored */
    struct target list[TARGETS_MAX];
    size_t count;
    int64_t old_until_wall_usec; /* 0: no old index */
    bool garbage;                /* there was some when the set was loaded: targets_sweep has something to do */
};

/* The target of that role; NULL: there is none. */
const struct target *targets_find(const struct targets *targets, enum target_role role);

/* What is stored; nothing stored: revision 0, count 0. */
bool targets_load(mongoc_client_t *client, const char *database, struct targets *ret, struct error *reterr);
/* Only the revision: cheap enough for once a second. */
bool targets_revision(mongoc_client_t *client, const char *database, int64_t *ret, struct error *reterr);
/* CONFLICT: the stored set is of another revision. */
bool targets_check(mongoc_client_t *client, const char *database, int64_t revision, struct error *reterr);
/* Makes what is stored agree with the alias, which points to `serving`: a swap that was interrupted between alias and
 * document is completed here, to either side. keep_usec: how long the index that served before is kept. */
bool targets_settle(mongoc_client_t *client, const char *database, const char *serving, usec_t keep_usec,
                    struct targets *ret, struct error *reterr);

/* The changes: all against the revision in *targets, which afterwards holds what is stored. */
bool targets_add_building(mongoc_client_t *client, const char *database, struct targets *targets, const char *index,
                          struct error *reterr);
/* Takes an index that does not serve out of the set; garbage: it shall be deleted. No such index: nothing happens. */
bool targets_drop(mongoc_client_t *client, const char *database, struct targets *targets, const char *index, bool garbage,
                  struct error *reterr);
/* `index` of the set serves from now on; what served becomes the old one, an old one of before becomes garbage. The
 * alias is swapped before. CONFLICT also if the index has a flaw that *targets does not know of. */
bool targets_serve(mongoc_client_t *client, const char *database, struct targets *targets, const char *index,
                   usec_t keep_usec, struct error *reterr);
/* The same set as revision `revision`, if it still is that one: every writer begins a new term. */
bool targets_renew(mongoc_client_t *client, const char *database, int64_t revision, struct error *reterr);
/* gone: it shall not be written any more, which makes a new revision. Otherwise (a document was refused) writers of
 * this revision go on. */
bool targets_flaw(mongoc_client_t *client, const char *database, int64_t revision, const char *index, const char *id,
                  const char *reason, bool gone, struct error *reterr);

/* Garbage: indexes that left the set at least min_age_usec ago (by then no writer has them in its set), one at a time.
 * fn deletes it; then it is forgotten. One that cannot be deleted is left, and the others have their turn. */
bool targets_sweep(mongoc_client_t *client, const char *database, usec_t min_age_usec,
                   bool (*fn)(void *ctx, const char *index, struct error *reterr), void *ctx, struct error *reterr);
