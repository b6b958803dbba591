/* overrides_poll.c - keeps the snapshot of synonyms, stop words and rules fresh, and makes their index if it is missing. */
#include "core/cleanup.h"
#include "core/embed.h"
#include "core/log.h"
#include "query-api/query_api.h"
#include "query-api/search_result.h"

EMBED(overrides_mapping, "mappings/overrides-v1.json");

enum { PAGE = 1000, ARENA_MAX_BYTES = 64 << 20, BODY_MAX_BYTES = 4096 };

/* How many there are and the sequence number of the last write: together they change with every change. */
struct revision {
    int64_t total, last;
};

/* idle -> ask for the revision -> (changed) load page by page -> install -> idle; (no index) create it -> idle */
struct override_poll {
    struct query_loop *q;
    struct loop_timer timer;
    struct http_call *call;
    struct buf path, index_path, body;
    struct arena arena;
    struct revision known, seen;
    struct override_list *loading;
    struct buf last_key;
    bool creating, there;
};

static void ask(struct override_poll *poll);

static void later(struct override_poll *poll) {
    override_list_free(poll->loading);
    poll->loading = NULL;
    poll->creating = false;
    loop_timer_set(poll->q->loop, &poll->timer, clock_now_usec() + poll->q->conf->overrides_poll_usec);
}

static void install(struct override_poll *poll) {
    struct query_loop *q = poll->q;
    if (override_list_finish(poll->loading)) {
        log_info("overrides.loaded", LOG_INT("count", (int64_t)override_list_count(poll->loading)));
        override_list_free(q->overrides);
        q->overrides = poll->loading;
        query_epoch_next(q);
        poll->loading = NULL;
        poll->known = poll->seen;
    }
    later(poll);
}

static void on_revision(struct override_poll *poll, const struct json *answer) {
    const struct json *hits = json_path(answer, "hits.hits");
    struct revision seen = {.last = -1};
    json_int64(json_path(answer, "hits.total.value"), &seen.total);
    if (json_is(hits, JSON_ARRAY) && hits->child)
        json_int64(json_get(hits->child, "_seq_no"), &seen.last);
    poll->there = true;
    if (seen.total == poll->known.total && seen.last == poll->known.last) {
        later(poll);
        return;
    }
    poll->seen = seen;
    poll->loading = override_list_new();
    buf_reset(&poll->last_key);
    if (poll->loading)
        ask(poll);
    else
        later(poll);
}

static void on_page(struct override_poll *poll, const struct json *answer) {
    size_t added = 0;
    struct slice last = {NULL, 0};
    if (!override_list_add(poll->loading, json_path(answer, "hits.hits"), &added, &last)) {
        later(poll);
        return;
    }
    buf_reset(&poll->last_key);
    if (added < PAGE || !last.len || !json_append_string(&poll->last_key, last.data, last.len))
        install(poll);
    else
        ask(poll);
}

static void on_response(void *ctx, struct http_response *response) {
    struct override_poll *poll = ctx;
    poll->call = NULL;
    const struct json *answer = NULL;
    arena_reset(&poll->arena);
    if (response->error.code == ERROR_NONE && response->status == 404 && !poll->creating && !poll->loading) {
        poll->creating = true; /* another instance may be first: the next round tells */
        ask(poll);
        return;
    }
    if (response->error.code == ERROR_NONE && response->status == 200 && response->body->data && !poll->creating)
        answer = json_parse(&poll->arena, response->body->data, response->body->len,
                            &(struct json_limits){.depth_max = 32, .values_max = 4000000}, NULL);
    if (!answer || !search_result_check(answer, NULL))
        later(poll); /* no server, or half an answer: the snapshot stays as it is */
    else if (poll->loading)
        on_page(poll, answer);
    else
        on_revision(poll, answer);
}

static void write_question(struct override_poll *poll) {
    buf_reset(&poll->body);
    if (poll->creating)
        buf_append(&poll->body, overrides_mapping, overrides_mapping_size);
    else if (!poll->loading)
        buf_append_str(&poll->body, "{\"size\":1,\"_source\":false,\"sort\":[{\"_seq_no\":\"desc\"}],"
                                    "\"seq_no_primary_term\":true,\"track_total_hits\":true}");
    else if (poll->last_key.len)
        buf_printf(&poll->body, "{\"size\":%d,\"sort\":[\"key\"],\"search_after\":[%s]}", PAGE, poll->last_key.data);
    else
        buf_printf(&poll->body, "{\"size\":%d,\"sort\":[\"key\"]}", PAGE);
}

static void ask(struct override_poll *poll) {
    write_question(poll);
    const char *path = poll->creating ? poll->index_path.data : poll->path.data;
    if (buf_ok(&poll->body))
        poll->call = es_start(poll->q->es, poll->creating ? "PUT" : "POST", path, NULL,
                              (struct slice){poll->body.data, poll->body.len}, NULL,
                              poll->q->conf->search_timeout_usec, on_response, poll, NULL);
    if (!poll->call)
        later(poll);
}

static void on_timer(struct loop_timer *timer) {
    ask(CONTAINER_OF(timer, struct override_poll, timer));
}

struct override_poll *override_poll_new(struct query_loop *q, struct error *reterr) {
    struct override_poll *poll = calloc(1, sizeof(*poll));
    if (!poll) {
        error_nomem(reterr);
        return NULL;
    }
    poll->q = q;
    poll->timer.cb = on_timer;
    poll->known.last = -1;
    buf_init(&poll->path, 1024);
    buf_init(&poll->index_path, 1024);
    buf_init(&poll->body, BODY_MAX_BYTES);
    buf_init(&poll->last_key, 1024);
    arena_init(&poll->arena, ARENA_MAX_BYTES);
    buf_append_char(&poll->index_path, '/');
    uri_encode(&poll->index_path, q->conf->overrides_index, strlen(q->conf->overrides_index));
    buf_append(&poll->path, poll->index_path.data, poll->index_path.len);
    buf_append_str(&poll->path, "/_search");
    if (!buf_ok(&poll->path) || !buf_ok(&poll->index_path)) {
        override_poll_free(poll);
        error_nomem(reterr);
        return NULL;
    }
    loop_timer_set(q->loop, &poll->timer, clock_now_usec());
    return poll;
}

void override_poll_now(struct override_poll *poll) {
    if (!poll->call)
        loop_timer_set(poll->q->loop, &poll->timer, clock_now_usec());
}

bool override_poll_is_there(const struct override_poll *poll) {
    return poll->there;
}

void override_poll_free(struct override_poll *poll) {
    if (!poll)
        return;
    loop_timer_cancel(poll->q->loop, &poll->timer);
    if (poll->call)
        es_cancel(poll->q->es, poll->call);
    override_list_free(poll->loading);
    buf_done(&poll->path);
    buf_done(&poll->index_path);
    buf_done(&poll->body);
    buf_done(&poll->last_key);
    arena_done(&poll->arena);
    free(poll);
}
