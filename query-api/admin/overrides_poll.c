/* overrides_poll.c - keeps the snapshot of synonyms, stop words and rules fresh, and makes their index if it is missing. */
#include "core/cleanup.h"
#include "core/embed.h"
#include "core/es_watch.h"
#include "core/log.h"
#include "query-api/query_api.h"

EMBED(overrides_mapping, "mappings/overrides-v1.json");

struct override_poll {
    struct query_loop *q;
    struct es_watch *watch;
    struct override_list *loading;
};

static bool begin(void *ctx) {
    struct override_poll *poll = ctx;
    poll->loading = override_list_new();
    return poll->loading != NULL;
}

static bool page(void *ctx, const struct json *hits, size_t *ret_added, struct slice *ret_last) {
    struct override_poll *poll = ctx;
    return override_list_add(poll->loading, hits, ret_added, ret_last);
}

static void end(void *ctx, bool complete) {
    struct override_poll *poll = ctx;
    struct query_loop *q = poll->q;
    if (complete && override_list_finish(poll->loading)) {
        log_info("overrides.loaded", LOG_INT("count", (int64_t)override_list_count(poll->loading)));
        bool changed = q->overrides || override_list_count(poll->loading) > 0;
        override_list_free(q->overrides);
        q->overrides = TAKE(poll->loading);
        if (changed)
            query_epoch_next(q);
    }
    override_list_free(TAKE(poll->loading));
}

struct override_poll *override_poll_new(struct query_loop *q, struct error *reterr) {
    struct override_poll *poll = calloc(1, sizeof(*poll));
    if (!poll) {
        error_nomem(reterr);
        return NULL;
    }
    poll->q = q;
    poll->watch = es_watch_new(q->loop, q->es,
                               &(struct es_watch_options){.index = q->conf->overrides_index,
                                                          .sort = "key",
                                                          .mapping = {overrides_mapping, overrides_mapping_size},
                                                          .every_usec = q->conf->overrides_poll_usec,
                                                          .timeout_usec = q->conf->search_timeout_usec,
                                                          .begin = begin,
                                                          .page = page,
                                                          .end = end,
                                                          .ctx = poll},
                               reterr);
    if (!poll->watch) {
        free(poll);
        return NULL;
    }
    return poll;
}

void override_poll_now(struct override_poll *poll) {
    es_watch_now(poll->watch);
}

bool override_poll_is_there(const struct override_poll *poll) {
    return es_watch_is_there(poll->watch);
}

void override_poll_free(struct override_poll *poll) {
    if (!poll)
        return;
    es_watch_free(poll->watch);
    free(poll);
}
