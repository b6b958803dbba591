/* GET /v1/categories/tree, and the poll that keeps the snapshot of the categories fresh. */
#include "core/cleanup.h"
#include "core/log.h"
#include "query-api/browse/category_forest.h"
#include "query-api/query_api.h"
#include "query-api/search/search_query.h"
#include "query-api/search/search_result.h"
#include <stdio.h>

/* ---- the endpoint ---- */

enum { TREE_MAX_BYTES = 32 << 20 };

struct tree_request {
    char lang[4];
};

/* Counts of one snapshot's categories, in its order: what the tree says while there is no search engine. */
struct category_counts {
    uint64_t revision;
    size_t count;
    uint64_t counts[];
};

void category_counts_free(struct category_counts *counts) {
    free(counts);
}

static void keep_counts(struct query_loop *q, const struct category_forest *forest) {
    size_t count = category_list_count(q->categories);
    struct category_counts *kept = malloc(sizeof(*kept) + count * sizeof(kept->counts[0]));
    if (!kept)
        return;
    kept->revision = category_list_revision(q->categories);
    kept->count = count;
    memcpy(kept->counts, forest->counts, count * sizeof(kept->counts[0]));
    free(q->category_counts);
    q->category_counts = kept;
}

/* Every category of the snapshot, with these counts or all with this one. */
static bool make_forest(struct query_loop *q, struct arena *arena, const uint64_t *counts, uint64_t one, struct category_forest *ret) {
    size_t count = category_list_count(q->categories);
    if (!category_forest_init(ret, q->categories, arena))
        return false;
    memset(ret->marks, CATEGORY_SHOWN, count);
    for (size_t i = 0; i < count; i++)
        ret->counts[i] = counts ? counts[i] : one;
    return true;
}

/* forest NULL: there was no memory. */
static void reply_tree(struct query_loop *q, struct http_request *request, const struct tree_request *tree,
                       struct category_forest *forest, const char *degraded) {
    struct error error = {0};
    struct buf out = BUF_INIT(TREE_MAX_BYTES);
    struct json_write w;
    bool ok = forest && json_write_init(&w, &out);
    if (ok) {
        json_write_object(&w);
        json_write_key(&w, "revision");
        json_write_uint(&w, category_list_revision(q->categories));
        json_write_key(&w, "nodes");
        category_forest_write(&w, forest, tree->lang);
        json_write_key(&w, "degraded");
        json_write_str(&w, degraded);
        json_write_object_end(&w);
    }
    if (ok && json_write_finish(&w)) {
        http_reply(request, 200, NULL, &out);
        return;
    }
    buf_done(&out);
    error_nomem(&error);
    http_reply_error(request, &error);
}

/* The snapshot with the last counts, or without any. */
static void on_tree_failed(struct query_loop *q, struct http_request *request, void *data, const struct error *error) {
    const struct category_counts *kept = q->category_counts;
    struct category_forest forest;
    if (!error_is_retriable(error)) {
        upstream_reply_error(q, request, error);
        return;
    }
    bool known = kept && kept->count == category_list_count(q->categories) &&
                 kept->revision == category_list_revision(q->categories);
    bool ok = make_forest(q, http_request_arena(request), known ? kept->counts : NULL, CATEGORY_COUNT_UNKNOWN, &forest);
    query_reply_degraded(request);
    reply_tree(q, request, data, ok ? &forest : NULL, known ? "stale" : "fallback");
}

static void on_tree(struct query_loop *q, struct http_request *request, void *data, int status,
                    const struct json *body) {
    struct error error = {0};
    struct category_forest forest;
    const struct json *buckets = json_path(body, "aggregations.c.buckets");
    if (status == 404 || !search_result_check(body, &error) || !json_is(buckets, JSON_ARRAY)) {
        if (error.code == ERROR_CORRUPT)
            upstream_distrust(q);
        error_set(&error, ERROR_UNAVAILABLE,
                  status == 404 ? "there is no search index yet: start the projector, which creates it"
                                : "the search engine's answer is not complete; try again shortly");
        on_tree_failed(q, request, data, &error);
        return;
    }
    bool ok = make_forest(q, http_request_arena(request), NULL, 0, &forest);
    for (const struct json *b = ok ? buckets->child : NULL; b; b = b->next) {
        struct slice key;
        int64_t n = 0;
        const struct category *c = json_bucket(b, &key, &n) ? category_list_by_path(q->categories, key) : NULL;
        if (c)
            forest.counts[c - category_list_at(q->categories, 0)] = (uint64_t)n;
    }
    if (ok)
        keep_counts(q, &forest);
    reply_tree(q, request, data, ok ? &forest : NULL, NULL);
}

void handle_category_tree(struct http_request *request, void *ctx) {
    struct query_loop *q = ctx;
    struct error error = {0};
    struct tree_request *tree = arena_zalloc(http_request_arena(request), sizeof(*tree));
    if (!tree) {
        error_nomem(&error);
        http_reply_error(request, &error);
        return;
    }
    struct slice lang;
    if (!request_params(request, &lang) || !request_lang(request, lang, tree->lang))
        return;
    if (!q->categories) {
        error_set(&error, ERROR_UNAVAILABLE, "the categories are not loaded yet; try again shortly");
        http_reply_error(request, &error);
        return;
    }
    struct buf path = BUF_INIT(1024), body = BUF_INIT(1024);
    buf_append_char(&path, '/');
    uri_encode(&path, q->conf->index, strlen(q->conf->index));
    buf_append_str(&path, "/_search");
    buf_printf(&body, "{\"size\":0,\"aggs\":{\"c\":{\"terms\":{\"field\":\"category_paths\",\"size\":%d}}}}",
               SEARCH_SETS);
    if (buf_ok(&path) && buf_ok(&body)) {
        upstream_ask_or(q, request, "POST", path.data, &body, on_tree, on_tree_failed, tree);
    } else {
        buf_done(&body);
        error_nomem(&error);
        http_reply_error(request, &error);
    }
    buf_done(&path);
}

/* ---- the poll ---- */

enum { POLL_PAGE = 5000, POLL_ARENA_MAX_BYTES = 64 << 20 };

/* idle -> ask for the revision -> (changed) load page by page -> install -> idle */
struct category_poll {
    struct query_loop *q;
    struct loop_timer timer;
    struct http_call *call;
    struct buf path, body;
    struct arena arena;
    struct category_list *loading; /* NULL: asking for the revision */
    int64_t last_id;
    bool answered;
};

static void poll_ask(struct category_poll *poll);

static void poll_later(struct category_poll *poll) {
    category_list_free(poll->loading);
    poll->loading = NULL;
    loop_timer_set(poll->q->loop, &poll->timer, clock_now_usec() + poll->q->conf->categories_poll_usec);
}

static void poll_install(struct category_poll *poll) {
    struct query_loop *q = poll->q;
    if (category_list_finish(poll->loading)) {
        log_info("categories.loaded", LOG_INT("revision", category_list_revision(poll->loading)),
                 LOG_INT("count", category_list_count(poll->loading)));
        category_list_free(q->categories);
        q->categories = poll->loading;
        query_epoch_next(q);
        poll->loading = NULL;
    }
    poll_later(poll);
}

static void on_revision(struct category_poll *poll, const struct json *answer) {
    const struct json *hits = json_path(answer, "hits.hits");
    int64_t revision;
    const struct json *source = json_is(hits, JSON_ARRAY) && hits->child ? json_get(hits->child, "_source") : NULL;
    if (!json_int64(json_get(source, "revision"), &revision) ||
        (poll->q->categories && category_list_revision(poll->q->categories) == (uint64_t)revision)) {
        poll_later(poll);
        return;
    }
    poll->loading = category_list_new((uint64_t)revision);
    poll->last_id = 0;
    if (poll->loading)
        poll_ask(poll);
    else
        poll_later(poll);
}

static void on_page(struct category_poll *poll, const struct json *answer) {
    size_t added = 0;
    int64_t last_id = poll->last_id;
    if (!category_list_add(poll->loading, json_path(answer, "hits.hits"), &added, &last_id)) {
        poll_later(poll);
    } else if (added < POLL_PAGE || last_id <= poll->last_id) {
        poll_install(poll);
    } else {
        poll->last_id = last_id;
        poll_ask(poll);
    }
}

static void on_poll_response(void *ctx, struct http_response *response) {
    struct category_poll *poll = ctx;
    poll->call = NULL;
    const struct json *answer = NULL;
    arena_reset(&poll->arena);
    if (response->error.code == ERROR_NONE && response->status == 200 && response->body->data)
        answer = json_parse(&poll->arena, response->body->data, response->body->len,
                            &(struct json_limits){.depth_max = 32, .values_max = 1000000}, NULL);
    if (!answer || !search_result_check(answer, NULL))
        poll_later(poll); /* no index yet, no server, or half an answer: the snapshot stays as it is */
    else if (poll->loading)
        on_page(poll, answer);
    else
        on_revision(poll, answer);
    if (!poll->call)
        query_answered(poll->q, response, &poll->answered);
}

static void poll_ask(struct category_poll *poll) {
    buf_reset(&poll->body);
    if (poll->loading)
        buf_printf(&poll->body,
                   "{\"size\":%d,\"query\":{\"range\":{\"id\":{\"gt\":%lld}}},\"sort\":[{\"id\":\"asc\"}]}", POLL_PAGE,
                   (long long)poll->last_id);
    else
        buf_append_str(&poll->body,
                       "{\"size\":1,\"_source\":[\"revision\"],\"query\":{\"ids\":{\"values\":[\"_meta\"]}}}");
    if (buf_ok(&poll->body))
        poll->call =
            es_start(poll->q->es, "POST", poll->path.data, NULL, (struct slice){poll->body.data, poll->body.len}, NULL,
                     poll->q->conf->search_timeout_usec, on_poll_response, poll, NULL);
    if (!poll->call)
        poll_later(poll);
}

static void on_poll_timer(struct loop_timer *timer) {
    poll_ask(CONTAINER_OF(timer, struct category_poll, timer));
}

struct category_poll *category_poll_new(struct query_loop *q, struct error *reterr) {
    struct category_poll *poll = calloc(1, sizeof(*poll));
    if (!poll) {
        error_nomem(reterr);
        return NULL;
    }
    poll->q = q;
    q->unanswered++;
    poll->timer.cb = on_poll_timer;
    buf_init(&poll->path, 1024);
    buf_init(&poll->body, 4096);
    arena_init(&poll->arena, POLL_ARENA_MAX_BYTES);
    buf_append_char(&poll->path, '/');
    uri_encode(&poll->path, q->conf->categories_index, strlen(q->conf->categories_index));
    buf_append_str(&poll->path, "/_search");
    if (!buf_ok(&poll->path)) {
        category_poll_free(poll);
        error_nomem(reterr);
        return NULL;
    }
    loop_timer_set(q->loop, &poll->timer, clock_now_usec());
    return poll;
}

void category_poll_free(struct category_poll *poll) {
    if (!poll)
        return;
    loop_timer_cancel(poll->q->loop, &poll->timer);
    if (poll->call)
        es_cancel(poll->q->es, poll->call);
    category_list_free(poll->loading);
    buf_done(&poll->path);
    buf_done(&poll->body);
    arena_done(&poll->arena);
    free(poll);
}
