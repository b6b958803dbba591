/* term.h - what a term is prepared with, whoever serves it: the owner of the lease or a member of a consumer group.
 * Thread: the caller's; every call may block for seconds. */
#pragma once
#include "projector/compose/category_tree.h"
#include "projector/compose/projection.h"
#include "projector/jobs/targets.h"
#include "projector/options.h"
#include "projector/state.h"

struct term {
    struct targets targets; /* as stored, without those that cannot be written */
    struct projection *projections[TARGETS_MAX];
    struct category_tree *tree;
    struct stream_position position; /* of an owner */
    bool follows; /* asked for: somebody else is the owner, who has stored what this term leaves out (below) */
    bool frozen;  /* nothing is written to the first target, whose projection is a stand-in */
};
void term_done(struct term *term); /* frees what it holds; empty afterwards */

/* Which indexes are written, `serving` first, and what each was made with. A serving one of another release, whose projection
 * this one cannot carry out, stays as it is while a reindex runs (frozen): for a follower only beside the index that is built, and
 * once the owner has stored that changes go into none that serves. Else INVALID, and the message says what helps. *ret_highest: the highest version in any of
 * them (NULL: not asked for), *ret_empty: the serving one holds nothing (NULL: not asked for). */
bool term_prepare_targets(struct term *term, const struct projector_options *options, mongoc_client_t *client,
                          const char *serving, uint64_t *ret_highest, bool *ret_empty, struct error *reterr);
