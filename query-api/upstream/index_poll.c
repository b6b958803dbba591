/* index_poll.c - notices that the alias leads to another index: a reindex has swapped it, or a rollback. */
#include "core/cleanup.h"
#include "core/hash.h"
#include "core/log.h"
#include "query-api/query_api.h"

enum { ARENA_MAX_BYTES = 1 << 20 };

struct index_poll {
    struct query_loop *q;
    struct loop_timer timer;
    struct http_call *call;
    struct buf path;
    struct arena arena;
    uint64_t known; /* hash of the names behind the alias; 0: not asked yet */
};

static uint64_t names_of(const struct json *answer) {
    uint64_t hash = 1;
    for (const struct json *index = answer->child; index; index = index->next)
        hash ^= hash_bytes(index->key.data, index->key.len); /* their order does not count */
    return hash ? hash : 1;
}

static void on_answer(void *ctx, struct http_response *response) {
    struct index_poll *poll = ctx;
    struct query_loop *q = poll->q;
    const struct json *answer = NULL;
    poll->call = NULL;
    arena_reset(&poll->arena);
    if (response->error.code == ERROR_NONE && response->status == 200 && response->body->data)
        answer = json_parse(&poll->arena, response->body->data, response->body->len,
                            &(struct json_limits){.depth_max = 16, .values_max = 10000}, NULL);
    uint64_t names = json_is(answer, JSON_OBJECT) && answer->child ? names_of(answer) : poll->known;
    if (names != poll->known) {
        log_info(poll->known ? "index.changed" : "index.seen", LOG_STR("alias", q->conf->index));
        poll->known = names;
        query_epoch_next(q);
    }
    loop_timer_set(q->loop, &poll->timer, clock_now_usec() + q->conf->categories_poll_usec);
}

static void on_timer(struct loop_timer *timer) {
    struct index_poll *poll = CONTAINER_OF(timer, struct index_poll, timer);
    struct query_loop *q = poll->q;
    poll->call = es_start(q->es, "GET", poll->path.data, NULL, (struct slice){NULL, 0}, NULL, q->conf->search_timeout_usec,
                          on_answer, poll, NULL);
    if (!poll->call)
        loop_timer_set(q->loop, timer, clock_now_usec() + q->conf->categories_poll_usec);
}

struct index_poll *index_poll_new(struct query_loop *q, struct error *reterr) {
    struct index_poll *poll = calloc(1, sizeof(*poll));
    if (!poll) {
        error_nomem(reterr);
        return NULL;
    }
    poll->q = q;
    poll->timer.cb = on_timer;
    buf_init(&poll->path, 1024);
    arena_init(&poll->arena, ARENA_MAX_BYTES);
    buf_append_char(&poll->path, '/');
    uri_encode(&poll->path, q->conf->index, strlen(q->conf->index));
    buf_append_str(&poll->path, "/_alias");
    if (!buf_ok(&poll->path)) {
        index_poll_free(poll);
        error_nomem(reterr);
        return NULL;
    }
    loop_timer_set(q->loop, &poll->timer, clock_now_usec());
    return poll;
}

void index_poll_free(struct index_poll *poll) {
    if (!poll)
        return;
    loop_timer_cancel(poll->q->loop, &poll->timer);
    if (poll->call)
        es_cancel(poll->q->es, poll->call);
    buf_done(&poll->path);
    arena_done(&poll->arena);
    free(poll);
}
