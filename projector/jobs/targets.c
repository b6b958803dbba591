#include "core/cleanup.h"
#include "core/log.h"
#include "projector/jobs/targets.h"
#include "projector/state.h"
#include <stdio.h>

#define TARGETS_ID "targets"

const char *const target_role_names[] = {"serving", "building", "old", NULL};

const struct target *targets_find(const struct targets *targets, enum target_role role) {
    for (size_t i = 0; i < targets->count; i++)
        if (targets->list[i].role == role)
            return &targets->list[i];
    return NULL;
}

/* -- reading -- */

static bool read_target(const bson_t *doc, struct target *ret) {
    const char *index = state_string(doc, "index"), *role = state_string(doc, "role");
    const char *id = state_string(doc, "flaw.id"), *reason = state_string(doc, "flaw.reason");
    *ret = (struct target){.flawed = reason != NULL, .gone = state_bool(doc, "flaw.gone")};
    if (!index || !role || strlen(index) >= sizeof(ret->index))
        return false;
    snprintf(ret->index, sizeof(ret->index), "%s", index);
    if (reason)
        snprintf(ret->flaw, sizeof(ret->flaw), "%s%s%s%.200s", id && *id ? "product " : "", id ? id : "",
                 id && *id ? ": " : "", reason);
    for (int r = 0; target_role_names[r]; r++)
        if (strcmp(role, target_role_names[r]) == 0) {
            ret->role = (enum target_role)r;
            return true;
        }
    return false;
}

static bool read_targets(const bson_t *doc, struct targets *ret) {
    bson_iter_t at, each;
    *ret = (struct targets){.revision = state_i64(doc, "revision")};
    if (bson_iter_init_find(&at, doc, "garbage") && BSON_ITER_HOLDS_ARRAY(&at) && bson_iter_recurse(&at, &each))
        ret->garbage = bson_iter_next(&each);
    if (bson_iter_init_find(&at, doc, "old_until") && BSON_ITER_HOLDS_DATE_TIME(&at))
        ret->old_until_wall_usec = bson_iter_date_time(&at) * 1000;
    if (!bson_iter_init_find(&at, doc, "list") || !BSON_ITER_HOLDS_ARRAY(&at) || !bson_iter_recurse(&at, &each))
        return false;
    while (bson_iter_next(&each)) {
        uint32_t len;
        const uint8_t *data;
        bson_t entry;
        if (!BSON_ITER_HOLDS_DOCUMENT(&each) || ret->count == TARGETS_MAX)
            return false;
        bson_iter_document(&each, &len, &data);
        if (!bson_init_static(&entry, data, len) || !read_target(&entry, &ret->list[ret->count++]))
            return false;
    }
    return ret->count > 0 && ret->list[0].role == TARGET_SERVING;
}

bool targets_load(mongoc_client_t *client, const char *database, struct targets *ret, struct error *reterr) {
    bson_t *query = BCON_NEW("_id", TARGETS_ID);
    bson_t doc;
    bool found, ok = state_find_one(client, database, STATE_COLLECTION, query, &doc, &found, reterr);
    *ret = (struct targets){0};
    if (ok && found && !read_targets(&doc, ret)) { /* by hand; what serves is known from the alias */
        *ret = (struct targets){.revision = ret->revision, .garbage = ret->garbage};
    }
    bson_destroy(query);
    bson_destroy(&doc);
    return ok;
}

static bool changed_meanwhile(struct error *reterr) {
    return error_set(reterr, ERROR_CONFLICT, "the set of indexes that are written has changed meanwhile");
}

bool targets_revision(mongoc_client_t *client, const char *database, int64_t *ret, struct error *reterr) {
    struct targets targets;
    if (!targets_load(client, database, &targets, reterr))
        return false;
    *ret = targets.revision;
    return true;
}

bool targets_check(mongoc_client_t *client, const char *database, int64_t revision, struct error *reterr) {
    int64_t stored;
    return targets_revision(client, database, &stored, reterr) && (stored == revision || changed_meanwhile(reterr));
}

/* -- writing -- */

static void append_target(bson_t *list, size_t i, const struct target *target) {
    char scratch[16];
    const char *key;
    bson_t entry, flaw;
    size_t len = bson_uint32_to_string((uint32_t)i, &key, scratch, sizeof(scratch));
    bson_append_document_begin(list, key, (int)len, &entry);
    BSON_APPEND_UTF8(&entry, "index", target->index);
    BSON_APPEND_UTF8(&entry, "role", target_role_names[target->role]);
    if (target->flawed) {
        BSON_APPEND_DOCUMENT_BEGIN(&entry, "flaw", &flaw);
        BSON_APPEND_UTF8(&flaw, "reason", target->flaw);
        BSON_APPEND_BOOL(&flaw, "gone", target->gone);
        bson_append_document_end(&entry, &flaw);
    }
    bson_append_document_end(list, &entry);
}

/* Of that index nothing must have been stored since: a flaw need not make a new revision. */
static void append_as_read(bson_t *query, const struct target *target) {
    BCON_APPEND(query, "list", "{", "$elemMatch", "{", "index", BCON_UTF8(target->index), "flaw", "{", "$exists",
                BCON_BOOL(target->flawed), "}", "}", "}");
}

/* Stores `next` in the place of revision next->revision, as the one after it. as_read: NULL, or a target of that revision which
 * must be stored as it is here. garbage: NULL, or what left the set. */
static bool store(mongoc_client_t *client, const char *database, struct targets *next, const struct target *as_read,
                  const char *garbage, struct error *reterr) {
    bson_t update = BSON_INITIALIZER, set, list;
    bson_t *query = BCON_NEW("_id", TARGETS_ID, "revision", BCON_INT64(next->revision));
    if (as_read)
        append_as_read(query, as_read);
    BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
    BSON_APPEND_INT64(&set, "revision", next->revision + 1);
    BSON_APPEND_ARRAY_BEGIN(&set, "list", &list);
    for (size_t i = 0; i < next->count; i++)
        append_target(&list, i, &next->list[i]);
    bson_append_array_end(&set, &list);
    BSON_APPEND_DATE_TIME(&set, "old_until", next->old_until_wall_usec / 1000);
    bson_append_document_end(&update, &set);
    if (garbage)
        BCON_APPEND(&update, "$push", "{", "garbage", "{", "index", BCON_UTF8(garbage), "at",
                    BCON_DATE_TIME(clock_wall_usec() / 1000), "}", "}");
    int64_t matched = 0;
    struct error error = {0};
    bool ok = state_update(client, database, STATE_COLLECTION, query, &update, next->revision == 0, &matched, &error);
    bson_destroy(query);
    bson_destroy(&update);
    if (ok && matched != 1)
        return changed_meanwhile(reterr);
    if (!ok)
        return error_set(reterr, error.code, "%s", error.message);
    next->revision++;
    return true;
}

static void remove_at(struct targets *targets, size_t i) {
    memmove(&targets->list[i], &targets->list[i + 1], (targets->count - i - 1) * sizeof(targets->list[0]));
    targets->count--;
}

static size_t index_of(const struct targets *targets, const char *index) {
    size_t i = 0;
    while (i < targets->count && strcmp(targets->list[i].index, index) != 0)
        i++;
    return i;
}

/* Makes `index` the serving one; *ret_garbage gets the old index of before, if there is one. */
static void make_serving(struct targets *targets, const char *index, usec_t keep_usec,
                         char ret_garbage[TARGET_INDEX_SIZE]) {
    size_t at = index_of(targets, index);
    ret_garbage[0] = '\0';
    if (at == 0 && targets->count > 0)
        return;
    if (at < targets->count)
        remove_at(targets, at);
    for (size_t i = 1; i < targets->count; i++)
        if (targets->list[i].role == TARGET_OLD) {
            snprintf(ret_garbage, TARGET_INDEX_SIZE, "%s", targets->list[i].index);
            remove_at(targets, i);
            break;
        }
    targets->old_until_wall_usec = 0;
    if (targets->count > 0) {
        targets->list[0].role = TARGET_OLD;
        targets->old_until_wall_usec = clock_wall_usec() + (int64_t)keep_usec;
    }
    memmove(&targets->list[1], &targets->list[0], targets->count * sizeof(targets->list[0]));
    targets->list[0] = (struct target){.role = TARGET_SERVING};
    snprintf(targets->list[0].index, TARGET_INDEX_SIZE, "%s", index);
    targets->count++;
}

bool targets_settle(mongoc_client_t *client, const char *database, const char *serving, usec_t keep_usec,
                    struct targets *ret, struct error *reterr) {
    char garbage[TARGET_INDEX_SIZE];
    if (!targets_load(client, database, ret, reterr))
        return false;
    if (ret->count > 0 && strcmp(ret->list[0].index, serving) == 0)
        return true;
    size_t at = index_of(ret, serving);
    if (at < ret->count) {
        if (ret->list[at].flawed) {
            log_warn("index.lacks_changes", LOG_STR("index", serving), LOG_STR("reason", ret->list[at].flaw),
                     LOG_STR("next", "all products are read anew"));
            if (!state_sink_forget(client, database, reterr))
                return false;
        }
        make_serving(ret, serving, keep_usec, garbage);
    } else { /* somebody moved the alias elsewhere, or the index was deleted: what served says nothing any more */
        garbage[0] = '\0';
        if (ret->count > 0 && !state_sink_forget(client, database, reterr))
            return false;
        if (ret->count > 0)
            log_warn("index.unknown", LOG_STR("index", serving), LOG_STR("before", ret->list[0].index),
                     LOG_STR("next", "all products are read anew"));
        if (ret->count > 0)
            remove_at(ret, 0);
        memmove(&ret->list[1], &ret->list[0], ret->count * sizeof(ret->list[0]));
        ret->list[0] = (struct target){.role = TARGET_SERVING};
        snprintf(ret->list[0].index, TARGET_INDEX_SIZE, "%s", serving);
        ret->count++;
    }
    return store(client, database, ret, NULL, *garbage ? garbage : NULL, reterr);
}

bool targets_add_building(mongoc_client_t *client, const char *database, struct targets *targets, const char *index,
                          struct error *reterr) {
    struct targets next = *targets;
    const struct target *building = targets_find(targets, TARGET_BUILDING);
    if (building && strcmp(building->index, index) == 0)
        return true;
    if (building || next.count == TARGETS_MAX)
        return error_set(reterr, ERROR_CONFLICT, "index %s is being built already", building ? building->index : "?");
    struct target *added = &next.list[next.count++];
    *added = (struct target){.role = TARGET_BUILDING};
    snprintf(added->index, sizeof(added->index), "%s", index);
    if (!store(client, database, &next, NULL, NULL, reterr))
        return false;
    *targets = next;
    return true;
}

bool targets_drop(mongoc_client_t *client, const char *database, struct targets *targets, const char *index, bool garbage,
                  struct error *reterr) {
    struct targets next = *targets;
    size_t at = index_of(targets, index);
    if (at == 0 || at == targets->count)
        return true;
    if (next.list[at].role == TARGET_OLD)
        next.old_until_wall_usec = 0;
    remove_at(&next, at);
    if (!store(client, database, &next, NULL, garbage ? index : NULL, reterr))
        return false;
    *targets = next;
    return true;
}

bool targets_serve(mongoc_client_t *client, const char *database, struct targets *targets, const char *index,
                   usec_t keep_usec, struct error *reterr) {
    struct targets next = *targets;
    char garbage[TARGET_INDEX_SIZE];
    if (next.count > 0 && strcmp(next.list[0].index, index) == 0)
        return true;
    size_t at = index_of(targets, index);
    make_serving(&next, index, keep_usec, garbage);
    if (!store(client, database, &next, at < targets->count ? &targets->list[at] : NULL, *garbage ? garbage : NULL, reterr))
        return false;
    *targets = next;
    return true;
}

bool targets_renew(mongoc_client_t *client, const char *database, int64_t revision, struct error *reterr) {
    bson_t *query = BCON_NEW("_id", TARGETS_ID, "revision", BCON_INT64(revision));
    bson_t *update = BCON_NEW("$inc", "{", "revision", BCON_INT64(1), "}");
    bool ok = state_update(client, database, STATE_COLLECTION, query, update, false, NULL, reterr);
    bson_destroy(query);
    bson_destroy(update);
    return ok;
}

bool targets_flaw(mongoc_client_t *client, const char *database, int64_t revision, const char *index, const char *id,
                  const char *reason, bool gone, struct error *reterr) {
    bson_t *query = BCON_NEW("_id", TARGETS_ID, "revision", BCON_INT64(revision), "list.index", BCON_UTF8(index));
    bson_t *update = BCON_NEW("$set", "{", "list.$.flaw", "{", "id", BCON_UTF8(id), "reason", BCON_UTF8(reason), "gone",
                              BCON_BOOL(gone), "}", "}", "$inc", "{", "revision", BCON_INT64(gone ? 1 : 0), "}");
    int64_t matched = 0;
    bool ok = state_update(client, database, STATE_COLLECTION, query, update, false, &matched, reterr);
    bson_destroy(query);
    bson_destroy(update);
    if (ok && matched != 1)
        return changed_meanwhile(reterr);
    return ok;
}

/* -- garbage -- */

static bool forget(mongoc_client_t *client, const char *database, const char *index, struct error *reterr) {
    bson_t *query = BCON_NEW("_id", TARGETS_ID);
    bson_t *update = BCON_NEW("$pull", "{", "garbage", "{", "index", BCON_UTF8(index), "}", "}");
    bool ok = state_update(client, database, STATE_COLLECTION, query, update, false, NULL, reterr);
    bson_destroy(query);
    bson_destroy(update);
    return ok;
}

bool targets_sweep(mongoc_client_t *client, const char *database, usec_t min_age_usec,
                   bool (*fn)(void *ctx, const char *index, struct error *reterr), void *ctx, struct error *reterr) {
    bson_t *query = BCON_NEW("_id", TARGETS_ID);
    bson_t doc;
    bson_iter_t at, each;
    bool found, ok = state_find_one(client, database, STATE_COLLECTION, query, &doc, &found, reterr);
    int64_t before = (clock_wall_usec() - (int64_t)min_age_usec) / 1000;
    struct targets targets;
    if (ok && found)
        read_targets(&doc, &targets);
    if (ok && found && bson_iter_init_find(&at, &doc, "garbage") && BSON_ITER_HOLDS_ARRAY(&at) &&
        bson_iter_recurse(&at, &each)) {
        while (bson_iter_next(&each)) {
            bson_iter_t index, since;
            if (!bson_iter_recurse(&each, &index) || !bson_iter_find(&index, "index") || !BSON_ITER_HOLDS_UTF8(&index) ||
                !bson_iter_recurse(&each, &since) || !bson_iter_find(&since, "at") ||
                !BSON_ITER_HOLDS_DATE_TIME(&since) || bson_iter_date_time(&since) > before)
                continue;
            const char *name = bson_iter_utf8(&index, NULL);
            bool in_use = index_of(&targets, name) < targets.count;
            ok = (in_use || fn(ctx, name, reterr)) && forget(client, database, name, reterr) && ok;
        }
    }
    bson_destroy(query);
    bson_destroy(&doc);
    return ok;
}
