/* category_ids.h - the ids of the categories that exist, for checking products' references.
 *
 * One set per worker session, so no lock: the whole list, reloaded when category_revision has moved. A set is
 * trusted for [write-api] category_cache, unless this process itself has changed categories; an id that is not in it
 * is never refused before the revision was read again. Two databases have no common transaction: a product that is
 * written while its category is being deleted through another instance may keep the id for that long; the deletion
 * looks for such products again after its row is gone, and the search document leaves unknown categories out. */
#pragma once
#include "core/clock.h"
#include "core/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct session;

struct category_ids {
    uint32_t *ids; /* ascending */
    size_t count, room;
    bool loaded;
    uint64_t revision;
    uint64_t changes; /* service->category_changes at the last look */
    usec_t looked_at;
};

void category_ids_done(struct category_ids *c);

/* ret_known[i]: does ids[i] exist? UNAVAILABLE and others if MySQL had to be asked and did not answer. */
bool category_ids_check(struct session *s, const int64_t *ids, size_t count, bool *ret_known, struct error *reterr);

/* For what was checked a while ago, at s->category_ids.revision: has the tree changed since? False, too, if MySQL does not
 * answer: then nobody deletes a category either. */
bool category_ids_changed(struct session *s, uint64_t revision);
