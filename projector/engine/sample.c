/* Commit to searchable, sampled for each source: one document at a time is searched for by its id until the search shows the version
 * that was written, as a shopper's search would. */
#include "core/cleanup.h"
#include "core/json_write.h"
#include "projector/engine/engine_internal.h"

enum {
    SAMPLE_POLL_USEC = 25 * 1000,
    SAMPLE_GIVE_UP_USEC = 30 * 1000 * 1000,
    ARENA_MAX_BYTES = 1 << 20,
};

static void end(struct engine *e) {
    e->sample.active = false;
    loop_timer_cancel(e->loop, &e->sample.timer);
}

static bool shows_version(const struct http_response *response, uint64_t version) {
    struct arena arena;
    arena_init(&arena, ARENA_MAX_BYTES);
    const struct json *root = response->body ? json_parse(&arena, response->body->data, response->body->len, NULL, NULL)
                                             : NULL;
    const struct json *hits = root ? json_path(root, "hits.hits") : NULL;
    const struct json *versions = hits && hits->child ? json_path(hits->child, "fields.version") : NULL;
    int64_t found = 0;
    bool shows = versions && versions->child && json_int64(versions->child, &found) && (uint64_t)found >= version;
    arena_done(&arena);
    return shows;
}

static void searched(void *ctx, struct http_response *response) {
    struct engine *e = ctx;
    e->sample.call = NULL;
    if (response->status == 200 && shows_version(response, e->sample.version)) {
        lag_observe(lag_metrics.commit_to_searchable[e->sample.source], e->sample.commit_wall_usec, clock_wall_usec());
        end(e);
    } else if (e->ending || engine_now(e) - e->sample.started_at > SAMPLE_GIVE_UP_USEC) {
        end(e);
    } else {
        loop_timer_set(e->loop, &e->sample.timer, engine_now(e) + SAMPLE_POLL_USEC);
    }
}

static void search(struct loop_timer *timer) {
    struct engine *e = CONTAINER_OF(timer, struct engine, sample.timer);
    struct engine_sample *s = &e->sample;
    buf_reset(&s->body);
    buf_append_str(&s->body, "{\"size\":1,\"_source\":false,\"track_total_hits\":false,\"docvalue_fields\":[\"version\"],"
                             "\"query\":{\"term\":{\"id\":");
    json_append_string(&s->body, s->id, s->id_len);
    buf_append_str(&s->body, "}}}");
    buf_reset(&e->path);
    buf_printf(&e->path, "/%s/_search?filter_path=hits.hits.fields", e->conf.index);
    if (buf_ok(&s->body) && buf_ok(&e->path))
        s->call = es_start(e->es, "POST", e->path.data, NULL, (struct slice){s->body.data, s->body.len}, NULL,
                           5 * USEC_PER_SEC, searched, e, NULL);
    if (!s->call)
        end(e);
}

void sample_offer(struct engine *e, const struct lane_entry *entry, uint64_t version, enum mark_source source,
                  int64_t commit_wall_usec) {
    struct engine_sample *s = &e->sample;
    usec_t now = engine_now(e);
    if (s->active || now < s->next_at[source] || e->ending)
        return;
    if (!s->body.max)
        buf_init(&s->body, 4096);
    s->active = true;
    s->source = source;
    s->next_at[source] = now + e->options->searchable_sample_usec;
    s->started_at = now;
    s->version = version;
    s->commit_wall_usec = commit_wall_usec;
    s->id_len = entry->id_len;
    memcpy(s->id, entry->id, entry->id_len);
    s->timer.cb = search;
    loop_timer_set(e->loop, &s->timer, now + SAMPLE_POLL_USEC);
}

void sample_cancel(struct engine *e) {
    if (e->sample.call)
        es_cancel(e->es, e->sample.call);
    e->sample.call = NULL;
    if (e->sample.active)
        end(e);
    if (e->sample.body.max)
        buf_done(&e->sample.body);
}
