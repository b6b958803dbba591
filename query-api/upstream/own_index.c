#include "core/cleanup.h"
#include "core/log.h"
#include "query-api/upstream/own_index.h"

static void later(struct own_index *index) {
    loop_timer_set(index->q->loop, &index->timer, clock_now_usec() + index->q->conf->overrides_poll_usec);
}

static void on_made(void *ctx, struct http_response *response) {
    struct own_index *index = ctx;
    struct error error = {0};
    index->call = NULL;
    query_answered(index->q, response, &index->answered);
    if (response->status != 200)
        es_error(response, &error);
    index->there = response->status == 200 || error.code == ERROR_CONFLICT;
    if (response->status == 200)
        log_info("index.created", LOG_STR("index", index->name));
    if (!index->there && error.code != index->failed)
        log_warn("index.missing", LOG_STR("index", index->name), LOG_ERR(&error));
    index->failed = index->there ? ERROR_NONE : error.code;
    if (!index->there)
        later(index);
    if (index->attempted)
        index->attempted(index->ctx);
}

static void on_timer(struct loop_timer *timer) {
    struct own_index *index = CONTAINER_OF(timer, struct own_index, timer);
    struct buf path = BUF_INIT(1024);
    if (own_index_path(index, &path))
        index->call = es_start(index->q->es, "PUT", path.data, NULL, index->mapping, NULL, index->q->conf->search_timeout_usec,
                               on_made, index, NULL);
    if (!index->call)
        later(index);
    buf_done(&path);
}

void own_index_init(struct own_index *index, struct query_loop *q, const char *name, struct slice mapping) {
    *index = (struct own_index){.q = q, .name = name, .mapping = mapping, .timer.cb = on_timer};
    q->unanswered++;
    loop_timer_set(q->loop, &index->timer, clock_now_usec());
}

void own_index_done(struct own_index *index) {
    if (!index->q)
        return;
    loop_timer_cancel(index->q->loop, &index->timer);
    if (index->call)
        es_cancel(index->q->es, index->call);
}

bool own_index_coming(const struct own_index *index) {
    return !index->there &&
           (index->failed == ERROR_NONE || index->failed == ERROR_TIMEOUT || index->failed == ERROR_OVERLOADED);
}

void own_index_lost(struct own_index *index) {
    if (!index->there)
        return;
    index->there = false;
    loop_timer_set(index->q->loop, &index->timer, clock_now_usec());
}

bool own_index_path(const struct own_index *index, struct buf *out) {
    buf_append_char(out, '/');
    uri_encode(out, index->name, strlen(index->name));
    return buf_ok(out);
}
