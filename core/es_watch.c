#include "core/es_watch.h"
#include "core/cleanup.h"
#include "core/json_write.h"
#include "core/loop.h"
#include "core/uri.h"
#include <stddef.h>
#include <stdlib.h>

enum { PAGE = 1000, PATH_MAX_BYTES = 1024, ARENA_MAX_BYTES = 64 << 20, BODY_MAX_BYTES = 4096, VALUES_MAX = 4000000 };

struct revision {
    int64_t total, last;
};

/* idle -> ask for the revision -> (changed) read page by page -> idle; (no index) make it -> idle */
struct es_watch {
    struct es_watch_options options;
    struct loop *loop;
    struct es *es;
    struct loop_timer timer;
    struct http_call *call;
    struct buf path, index_path, body, sort;
    struct arena arena;
    struct revision known, seen, content; /* content: going by what was read since begin */
    struct buf last_key;
    bool reading, creating, there;
};

static void ask(struct es_watch *w);

static void later(struct es_watch *w) {
    if (w->reading)
        w->options.end(w->options.ctx, false);
    w->reading = w->creating = false;
    loop_timer_set(w->loop, &w->timer, clock_now_usec() + w->options.every_usec);
}

/* What was read may be newer than the revision that was seen before. Then it has none: with the old one it would stay if the
 * index went back to it (a document put, read here, and deleted again). So it is read once more. */
static void complete(struct es_watch *w) {
    bool same = w->content.total == w->seen.total && w->content.last == w->seen.last;
    w->reading = false;
    w->known = same ? w->seen : (struct revision){.total = -1, .last = -1};
    w->options.end(w->options.ctx, true);
    later(w);
}

static bool begin(struct es_watch *w, struct revision seen) {
    w->seen = seen;
    w->content = (struct revision){.last = -1};
    buf_reset(&w->last_key);
    w->reading = w->options.begin(w->options.ctx);
    return w->reading;
}

static void on_revision(struct es_watch *w, const struct json *answer) {
    const struct json *hits = json_path(answer, "hits.hits");
    struct revision seen = {.last = -1};
    json_int64(json_path(answer, "hits.total.value"), &seen.total);
    if (json_is(hits, JSON_ARRAY) && hits->child)
        json_int64(json_get(hits->child, "_seq_no"), &seen.last);
    w->there = true;
    bool known = seen.total == w->known.total && seen.last == w->known.last;
    if (!known && begin(w, seen))
        ask(w);
    else
        later(w);
}

static void note_revision(struct revision *content, const struct json *answer) {
    int64_t number = 0;
    json_int64(json_path(answer, "hits.total.value"), &content->total);
    for (const struct json *hit = json_path(answer, "hits.hits")->child; hit; hit = hit->next)
        if (json_int64(json_get(hit, "_seq_no"), &number) && number > content->last)
            content->last = number;
}

static void on_page(struct es_watch *w, const struct json *answer) {
    size_t added = 0;
    struct slice last = {NULL, 0};
    note_revision(&w->content, answer);
    if (!w->options.page(w->options.ctx, json_path(answer, "hits.hits"), &added, &last)) {
        later(w);
        return;
    }
    buf_reset(&w->last_key);
    if (added < PAGE || !last.len || !json_append_string(&w->last_key, last.data, last.len))
        complete(w);
    else
        ask(w);
}

/* No index: it is made, if this is whose task it is; another process may be first, the next round tells. */
static void on_missing(struct es_watch *w) {
    w->there = false;
    if (w->options.mapping.len) {
        w->creating = true;
        ask(w);
    } else if (w->known.total != 0 && begin(w, (struct revision){.last = -1})) {
        complete(w);
    } else {
        later(w);
    }
}

/* Nothing is missing in it. */
static bool is_whole(const struct json *answer) {
    const struct json *timed_out = json_get(answer, "timed_out");
    int64_t failed = 0;
    return json_is(json_path(answer, "hits.hits"), JSON_ARRAY) &&
           json_is(json_path(answer, "hits.total.value"), JSON_NUMBER) &&
           !(json_is(timed_out, JSON_BOOL) && timed_out->boolean) &&
           !(json_int64(json_path(answer, "_shards.failed"), &failed) && failed > 0);
}

static void on_response(void *ctx, struct http_response *response) {
    struct es_watch *w = ctx;
    const struct json *answer = NULL;
    w->call = NULL;
    arena_reset(&w->arena);
    if (response->error.code == ERROR_NONE && response->status == 404 && !w->creating && !w->reading) {
        on_missing(w);
        return;
    }
    if (response->error.code == ERROR_NONE && response->status == 200 && response->body->data && !w->creating)
        answer = json_parse(&w->arena, response->body->data, response->body->len,
                            &(struct json_limits){.depth_max = 32, .values_max = VALUES_MAX}, NULL);
    if (!answer || !is_whole(answer))
        later(w); /* no server, or half an answer: what is known stays as it is */
    else if (w->reading)
        on_page(w, answer);
    else
        on_revision(w, answer);
}

#define PAGE_QUESTION "{\"size\":%d,\"sort\":[%s],\"seq_no_primary_term\":true,\"track_total_hits\":true"

static void write_question(struct es_watch *w) {
    buf_reset(&w->body);
    if (w->creating)
        buf_append(&w->body, w->options.mapping.data, w->options.mapping.len);
    else if (!w->reading)
        buf_append_str(&w->body, "{\"size\":1,\"_source\":false,\"sort\":[{\"_seq_no\":\"desc\"}],"
                                 "\"seq_no_primary_term\":true,\"track_total_hits\":true}");
    else if (w->last_key.len)
        buf_printf(&w->body, PAGE_QUESTION ",\"search_after\":[%s]}", PAGE, w->sort.data, w->last_key.data);
    else
        buf_printf(&w->body, PAGE_QUESTION "}", PAGE, w->sort.data);
}

static void ask(struct es_watch *w) {
    write_question(w);
    const char *path = w->creating ? w->index_path.data : w->path.data;
    if (buf_ok(&w->body))
        w->call = es_start(w->es, w->creating ? "PUT" : "POST", path, NULL, (struct slice){w->body.data, w->body.len}, NULL,
                           w->options.timeout_usec, on_response, w, NULL);
    if (!w->call)
        later(w);
}

static void on_timer(struct loop_timer *timer) {
    ask(CONTAINER_OF(timer, struct es_watch, timer));
}

struct es_watch *es_watch_new(struct loop *loop, struct es *es, const struct es_watch_options *options, struct error *reterr) {
    struct es_watch *w = calloc(1, sizeof(*w));
    if (!w) {
        error_nomem(reterr);
        return NULL;
    }
    w->options = *options;
    w->loop = loop;
    w->es = es;
    w->timer.cb = on_timer;
    w->known = (struct revision){.total = -1, .last = -1};
    buf_init(&w->path, PATH_MAX_BYTES);
    buf_init(&w->index_path, PATH_MAX_BYTES);
    buf_init(&w->sort, PATH_MAX_BYTES);
    buf_init(&w->body, options->mapping.len + BODY_MAX_BYTES);
    buf_init(&w->last_key, PATH_MAX_BYTES);
    arena_init(&w->arena, ARENA_MAX_BYTES);
    buf_append_char(&w->index_path, '/');
    uri_encode(&w->index_path, options->index, strlen(options->index));
    buf_append(&w->path, w->index_path.data, w->index_path.len);
    buf_append_str(&w->path, "/_search");
    json_append_string(&w->sort, options->sort, strlen(options->sort));
    if (!buf_ok(&w->path) || !buf_ok(&w->index_path) || !buf_ok(&w->sort)) {
        es_watch_free(w);
        error_nomem(reterr);
        return NULL;
    }
    loop_timer_set(loop, &w->timer, clock_now_usec());
    return w;
}

void es_watch_free(struct es_watch *w) {
    if (!w)
        return;
    loop_timer_cancel(w->loop, &w->timer);
    if (w->call)
        es_cancel(w->es, w->call);
    if (w->reading)
        w->options.end(w->options.ctx, false);
    buf_done(&w->path);
    buf_done(&w->index_path);
    buf_done(&w->sort);
    buf_done(&w->body);
    buf_done(&w->last_key);
    arena_done(&w->arena);
    free(w);
}

void es_watch_now(struct es_watch *w) {
    if (!w->call)
        loop_timer_set(w->loop, &w->timer, clock_now_usec());
}

bool es_watch_is_there(const struct es_watch *w) {
    return w->there;
}
