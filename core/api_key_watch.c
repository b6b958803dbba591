#include "core/api_key_watch.h"
#include "core/cleanup.h"
#include "core/es_watch.h"
#include "core/log.h"

struct api_key_watch {
    struct api_guard *guard;
    struct es_watch *watch;
    struct api_keys *loading;
};

static bool begin(void *ctx) {
    struct api_key_watch *w = ctx;
    w->loading = api_keys_new();
    return w->loading != NULL;
}

static bool page(void *ctx, const struct json *hits, size_t *ret_added, struct slice *ret_last) {
    struct api_key_watch *w = ctx;
    for (const struct json *hit = hits->child; hit; hit = hit->next) {
        const struct json *source = json_get(hit, "_source"), *id = json_get(source, "id");
        struct api_key key;
        if (api_key_read_stored(source, &key) && !api_keys_add(w->loading, &key))
            return false;
        if (json_is(id, JSON_STRING))
            *ret_last = id->text;
        (*ret_added)++;
    }
    return true;
}

static void end(void *ctx, bool complete) {
    struct api_key_watch *w = ctx;
    if (complete) {
        api_keys_finish(w->loading);
        log_info("keys.loaded", LOG_INT("count", (int64_t)api_keys_count(w->loading)));
        api_guard_set_keys(w->guard, TAKE(w->loading));
    }
    api_keys_free(TAKE(w->loading));
}

struct api_key_watch *api_key_watch_new(struct loop *loop, struct es *es, struct api_guard *guard, const char *index,
                                        struct slice mapping, usec_t every_usec, usec_t timeout_usec, struct error *reterr) {
    struct api_key_watch *w = calloc(1, sizeof(*w));
    if (!w) {
        error_nomem(reterr);
        return NULL;
    }
    w->guard = guard;
    w->watch = es_watch_new(loop, es,
                            &(struct es_watch_options){.index = index,
                                                       .sort = "id",
                                                       .mapping = mapping,
                                                       .every_usec = every_usec,
                                                       .timeout_usec = timeout_usec,
                                                       .begin = begin,
                                                       .page = page,
                                                       .end = end,
                                                       .ctx = w},
                            reterr);
    if (!w->watch) {
        free(w);
        return NULL;
    }
    return w;
}

void api_key_watch_free(struct api_key_watch *w) {
    if (!w)
        return;
    es_watch_free(w->watch);
    free(w);
}

void api_key_watch_now(struct api_key_watch *w) {
    es_watch_now(w->watch);
}

bool api_key_watch_is_there(const struct api_key_watch *w) {
    return es_watch_is_there(w->watch);
}
