#include "core/cleanup.h"
#include "projector/jobs/index_admin.h"
#include "projector/jobs/jobs.h"
#include "projector/term.h"

void term_done(struct term *term) {
    for (size_t t = 0; t < TARGETS_MAX; t++)
        projection_free(term->projections[t]);
    category_tree_unref(term->tree);
    stream_position_done(&term->position);
    *term = (struct term){0};
}

static bool is_foreign(const struct error *error) {
    return error->code == ERROR_INVALID || error->code == ERROR_CORRUPT;
}

static void note_reindex(void *ctx, struct job_record *job) {
    bool *active = ctx;
    *active = *active || job->type == JOB_REINDEX;
    job_record_done(job);
}

/* What is left out then is made good by nobody else, unless the owner does the same. */
static bool may_follow(const struct term *term, const struct projector_options *options, mongoc_client_t *client, bool *ret_may,
                       struct error *reterr) {
    char sink[STATE_SINK_SIZE];
    if (!state_sink_get(client, options->mongo.database, sink, reterr))
        return false;
    *ret_may = strcmp(sink, STATE_SINK_NONE) == 0 && targets_find(&term->targets, TARGET_BUILDING);
    return true;
}

/* The serving index was made with a projection that this release does not know. Only a reindex helps: while one runs,
 * the index goes on serving as it is, and what changes is written to the new one alone. */
static bool freeze(struct term *term, const struct projector_options *options, mongoc_client_t *client,
                   const struct error *why, struct error *reterr) {
    struct index_mapping mapping = {0};
    bool active = false, may = true;
    if (!jobs_active(client, options->mongo.database, note_reindex, &active, reterr) ||
        (term->follows && !may_follow(term, options, client, &may, reterr)))
        return false;
    if (!active || !may)
        return error_set(reterr, ERROR_INVALID,
                         "%.300s. This release cannot write it: `projector reindex` makes an index that it can", why->message);
    if (!index_mapping_load(&options->es, options->projector.mapping, &mapping, reterr))
        return false;
    term->projections[0] = TAKE(mapping.projection);
    term->frozen = true;
    index_mapping_done(&mapping);
    return true;
}

/* Reads what a target was made with. One that cannot be written any more, and does not serve, is left out from now on. */
static bool prepare_target(struct term *term, const struct projector_options *options, mongoc_client_t *client, size_t t,
                           uint64_t *highest, struct error *reterr) {
    struct target *target = &term->targets.list[t];
    struct error error = {0};
    uint64_t version = 0;
    bool ok = !target->gone && index_admin_projection(&options->es, target->index, &term->projections[t], &error) &&
              (!highest || index_admin_highest_version(&options->es, target->index, &version, &error));
    if (highest)
        *highest = version > *highest ? version : *highest;
    if (ok)
        return true;
    if (!target->gone && target->role == TARGET_SERVING && is_foreign(&error))
        return freeze(term, options, client, &error, reterr);
    if (!target->gone && (target->role == TARGET_SERVING || (error.code != ERROR_NOT_FOUND && !is_foreign(&error))))
        return error_set(reterr, error.code, "%s", error.message);
    if (!target->gone && !targets_flaw(client, options->mongo.database, term->targets.revision, target->index, "",
                                       is_foreign(&error) ? "this release cannot write it" : "it is gone", true, reterr))
        return false;
    term->targets.revision += !target->gone;
    target->gone = true;
    return true;
}

/* Closes the gaps that the targets leave that cannot be written. */
static void drop_gone(struct term *term) {
    size_t kept = 0;
    for (size_t t = 0; t < term->targets.count; t++) {
        struct projection *projection = TAKE(term->projections[t]);
        if (term->targets.list[t].gone) {
            projection_free(projection);
            continue;
        }
        term->targets.list[kept] = term->targets.list[t];
        term->projections[kept++] = projection;
    }
    term->targets.count = kept;
}

bool term_prepare_targets(struct term *term, const struct projector_options *options, mongoc_client_t *client,
                          const char *serving, uint64_t *ret_highest, bool *ret_empty, struct error *reterr) {
    if (ret_highest)
        *ret_highest = 0;
    if (!targets_settle(client, options->mongo.database, serving, options->projector.rollback_keep_usec, &term->targets,
                        reterr))
        return false;
    bool ok = true;
    for (size_t t = 0; ok && t < term->targets.count; t++) {
        ok = prepare_target(term, options, client, t, ret_highest, reterr);
        if (t == 0 && ret_empty && ret_highest)
            *ret_empty = *ret_highest == 0 && !term->frozen;
    }
    drop_gone(term);
    return ok;
}
