/* index_poll.c - notices that the alias leads to another index: a reindex has swapped it, or a rollback, or one of the same name
 * was made anew; and learns what that one is like. */
#include "core/cleanup.h"
#include "core/hash.h"
#include "core/log.h"
#include "query-api/query_api.h"

enum { ARENA_MAX_BYTES = 1 << 20 };

struct index_poll {
    struct query_loop *q;
    struct loop_timer timer;
    struct http_call *call;
    struct buf uuids, facts; /* what is asked: who is behind the alias; what that one is like */
    struct arena arena;
    bool answered;
    uint64_t known; /* hash of the indexes behind the alias; 0: not asked yet */
    uint64_t found; /* the same, of the last answer */
};

static uint64_t identity_of(const struct json *answer) {
    uint64_t hash = 1;
    for (const struct json *index = answer->child; index; index = index->next) { /* their order does not count */
        const struct json *uuid = json_path(index, "settings.index.uuid");
        uint64_t name = hash_bytes(index->key.data, index->key.len);
        hash ^= json_is(uuid, JSON_STRING) ? hash_combine(name, hash_bytes(uuid->text.data, uuid->text.len)) : name;
    }
    return hash ? hash : 1;
}

/* {index: ...}, or NULL. */
static const struct json *read_answer(struct index_poll *poll, const struct http_response *response) {
    const struct json *answer = NULL;
    poll->call = NULL;
    arena_reset(&poll->arena);
    if (response->error.code == ERROR_NONE && response->status == 200 && response->body->data)
        answer = json_parse(&poll->arena, response->body->data, response->body->len,
                            &(struct json_limits){.depth_max = 16, .values_max = 10000}, NULL);
    return json_is(answer, JSON_OBJECT) && answer->child ? answer : NULL;
}

static void ask(struct index_poll *poll, const struct buf *path, http_client_callback *callback) {
    struct query_loop *q = poll->q;
    poll->call = es_start(q->es, "GET", path->data, NULL, (struct slice){NULL, 0}, NULL, q->conf->search_timeout_usec,
                          callback, poll, NULL);
    if (!poll->call)
        loop_timer_set(q->loop, &poll->timer, clock_now_usec() + q->conf->categories_poll_usec);
}

static void again_later(struct index_poll *poll, const struct http_response *response) {
    query_answered(poll->q, response, &poll->answered);
    loop_timer_set(poll->q->loop, &poll->timer, clock_now_usec() + poll->q->conf->categories_poll_usec);
}

static void on_facts(void *ctx, struct http_response *response) {
    struct index_poll *poll = ctx;
    const struct json *answer = read_answer(poll, response);
    if (response->error.code == ERROR_NONE && response->status == 200) {
        index_facts_read(&poll->q->index, answer ? answer->child : NULL);
        log_info(poll->known ? "index.changed" : "index.seen", LOG_STR("alias", poll->q->conf->index));
        poll->known = poll->found;
        query_epoch_next(poll->q);
    }
    again_later(poll, response);
}

static void on_uuids(void *ctx, struct http_response *response) {
    struct index_poll *poll = ctx;
    const struct json *answer = read_answer(poll, response);
    poll->found = answer ? identity_of(answer) : poll->known;
    if (poll->found != poll->known)
        ask(poll, &poll->facts, on_facts);
    else
        again_later(poll, response);
}

static void on_timer(struct loop_timer *timer) {
    struct index_poll *poll = CONTAINER_OF(timer, struct index_poll, timer);
    ask(poll, &poll->uuids, on_uuids);
}

/* /alias + rest */
static bool write_path(const struct query_loop *q, struct buf *path, const char *rest) {
    buf_init(path, 1024);
    buf_append_char(path, '/');
    uri_encode(path, q->conf->index, strlen(q->conf->index));
    return buf_append_str(path, rest);
}

struct index_poll *index_poll_new(struct query_loop *q, struct error *reterr) {
    struct index_poll *poll = calloc(1, sizeof(*poll));
    if (!poll) {
        error_nomem(reterr);
        return NULL;
    }
    poll->q = q;
    q->unanswered++;
    poll->timer.cb = on_timer;
    arena_init(&poll->arena, ARENA_MAX_BYTES);
    bool ok = write_path(q, &poll->uuids, "/_settings/index.uuid");
    if (!write_path(q, &poll->facts, "?filter_path=" INDEX_FACTS_PATHS) || !ok) {
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
    buf_done(&poll->uuids);
    buf_done(&poll->facts);
    arena_done(&poll->arena);
    free(poll);
}
