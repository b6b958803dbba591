#include "projector/term.h"
#include "core/cleanup.h"
#include "projector/index_admin.h"

void term_done(struct term *term) {
    for (size_t t = 0; t < TARGETS_MAX; t++)
        projection_free(term->projections[t]);
    category_tree_unref(term->tree);
    stream_position_done(&term->position);
    *term = (struct term){0};
}

/* Reads what a target was made with. One that is not there any more, and does not serve, is left out from now on. */
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
    if (!target->gone && (target->role == TARGET_SERVING || error.code != ERROR_NOT_FOUND))
        return error_set(reterr, error.code, "%s", error.message);
    if (!target->gone && !targets_flaw(client, options->mongo.database, term->targets.revision, target->index, "",
                                       "it is gone", true, reterr))
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
            *ret_empty = *ret_highest == 0;
    }
    drop_gone(term);
    return ok;
}
