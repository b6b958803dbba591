#include "core/cleanup.h"
#include "core/json_write.h"
#include "core/uri.h"
#include "projector/compose/compose.h"
#include "projector/verify/verify_index.h"
#include <stdlib.h>

enum {
    PATH_MAX_BYTES = 2048,
    BODY_MAX_BYTES = 16 << 20,
    ANSWER_MAX_BYTES = 64 << 20,
    ANSWER_KEEP_BYTES = 4 << 20,
    RESULTS_MAX = 10000, /* index.max_result_window */
    ROOM = 64,           /* for orphans, so that most pages are one request */
    LOOKS = 500,
};

void verify_index_init(struct verify_index *x, const struct es_conf *es, const char *name, bool deep) {
    *x = (struct verify_index){.es = es, .index = name, .deep = deep, .page_max = RESULTS_MAX,
                               .path = BUF_INIT(PATH_MAX_BYTES), .body = BUF_INIT(BODY_MAX_BYTES),
                               .answer = BUF_INIT(ANSWER_MAX_BYTES)};
    verify_hits_init(&x->hits);
}

void verify_index_done(struct verify_index *x) {
    buf_done(&x->path);
    buf_done(&x->body);
    buf_done(&x->answer);
    verify_hits_done(&x->hits);
    free(x->items);
    free(x->strangers);
}

static bool post(struct verify_index *x, const char *what, struct error *reterr) {
    buf_reset(&x->path);
    buf_append_char(&x->path, '/');
    uri_encode(&x->path, x->index, strlen(x->index));
    buf_append_str(&x->path, what);
    if (!buf_ok(&x->path) || !buf_ok(&x->body))
        return error_nomem(reterr);
    buf_reset(&x->answer);
    buf_shrink(&x->answer, ANSWER_KEEP_BYTES);
    return es_call(x->es, "POST", x->path.data, (struct slice){x->body.data, x->body.len}, 0, NULL, &x->answer, reterr);
}

static struct slice answer(const struct verify_index *x) {
    return (struct slice){x->answer.data, x->answer.len};
}

/* -- pages -- */

static bool add_stranger(struct verify_index *x, struct slice id) {
    if (x->stranger_count == x->stranger_capacity) {
        size_t capacity = x->stranger_capacity ? x->stranger_capacity * 2 : 64;
        struct slice *ids = realloc(x->strangers, capacity * sizeof(*ids));
        if (!ids)
            return false;
        x->strangers = ids;
        x->stranger_capacity = capacity;
    }
    x->strangers[x->stranger_count++] = id;
    return true;
}

/* Deep: what stands there must be what its hash was made of, under its own name. */
static enum verify_state state_of(const struct verify_index *x, const struct verify_hit *hit) {
    uint64_t hash;
    if (!hit->found)
        return VERIFY_ABSENT;
    if (!hit->has_hash || (x->deep && (!compose_source_hash(hit->source, &hash) || hash != hit->hash)))
        return VERIFY_BAD;
    return VERIFY_PRESENT;
}

static bool take_items(struct verify_index *x, struct error *reterr) {
    x->count = x->stranger_count = 0;
    if (!verify_hits_read_search(&x->hits, answer(x), reterr))
        return false;
    if (x->hits.count > x->capacity) {
        struct verify_item *items = realloc(x->items, x->hits.count * sizeof(*items));
        if (!items)
            return error_nomem(reterr);
        x->items = items;
        x->capacity = x->hits.count;
    }
    for (size_t i = 0; i < x->hits.count; i++) {
        const struct verify_hit *hit = &x->hits.items[i];
        bool stranger = hit->doc_id.len && !slice_eq(hit->doc_id, hit->id);
        if (stranger && !add_stranger(x, hit->doc_id))
            return error_nomem(reterr);
        if (!stranger)
            x->items[x->count++] = (struct verify_item){hit->id, state_of(x, hit), hit->hash};
    }
    return true;
}

static void begin_search(struct verify_index *x, size_t size) {
    buf_reset(&x->body);
    buf_printf(&x->body, "{\"size\":%zu,\"track_total_hits\":false,", size);
    buf_append_str(&x->body, x->deep ? "\"_source\":true," : "\"_source\":false,\"stored_fields\":\"_none_\",");
}

static void append_bound(struct buf *body, const char *name, struct slice id, bool *any) {
    if (!id.len)
        return;
    buf_printf(body, "%s\"%s\":", *any ? "," : "", name);
    json_append_string(body, id.data, id.len);
    *any = true;
}

static void write_range(struct verify_index *x, struct slice after, struct slice until, size_t size) {
    bool any = false;
    begin_search(x, size);
    buf_append_str(&x->body, "\"query\":{\"range\":{\"id\":{");
    append_bound(&x->body, "gt", after, &any);
    append_bound(&x->body, "lte", until, &any);
    if (!any)
        buf_append_str(&x->body, "\"gte\":\"\"");
    buf_append_str(&x->body, "}}},\"sort\":[{\"id\":\"asc\"},{\"content_hash\":\"asc\"}]}");
}

static const char *search_path(const struct verify_index *x) {
    /* A filter would write _source anew, and it is the very bytes that were hashed. */
    return x->deep ? "/_search?allow_partial_search_results=false"
                   : "/_search?allow_partial_search_results=false&request_cache=false&filter_path=hits.hits.sort";
}

bool verify_index_range(struct verify_index *x, struct slice after, struct slice until, size_t expected, bool *ret_all,
                        struct error *reterr) {
    for (;;) {
        size_t size = expected + ROOM < x->page_max ? expected + ROOM : x->page_max;
        struct error error = {0};
        write_range(x, after, until, size);
        if (post(x, search_path(x), &error) && take_items(x, &error)) {
            *ret_all = x->hits.count < size;
            return true;
        }
        if (error.code != ERROR_INVALID || size == 1)
            return error_set(reterr, error.code, "%s", error.message);
        x->page_max = size / 2; /* the answer was too large, or max_result_window is small */
    }
}

static void append_terms(struct buf *body, const struct slice *ids, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_append_char(body, ',');
        json_append_string(body, ids[i].data, ids[i].len);
    }
}

bool verify_index_terms(struct verify_index *x, const struct slice *ids, size_t count, struct error *reterr) {
    size_t size = count + ROOM < RESULTS_MAX ? count + ROOM : RESULTS_MAX;
    begin_search(x, size);
    buf_append_str(&x->body, "\"query\":{\"terms\":{\"id\":[");
    append_terms(&x->body, ids, count);
    buf_append_str(&x->body, "]}},\"sort\":[{\"id\":\"asc\"},{\"content_hash\":\"asc\"}]}");
    return post(x, search_path(x), reterr) && take_items(x, reterr);
}

/* Asks the question in the body; what is found are strangers. */
static bool find_strangers(struct verify_index *x, struct error *reterr) {
    x->count = x->stranger_count = 0;
    if (!post(x, "/_search?allow_partial_search_results=false&filter_path=hits.hits._id", reterr) ||
        !verify_hits_read_search(&x->hits, answer(x), reterr))
        return false;
    for (size_t i = 0; i < x->hits.count; i++)
        if (!add_stranger(x, x->hits.items[i].doc_id))
            return error_nomem(reterr);
    return true;
}

bool verify_index_sample(struct verify_index *x, int64_t n, struct error *reterr) {
    buf_reset(&x->body);
    buf_printf(&x->body,
               "{\"size\":%lld,\"track_total_hits\":false,\"_source\":false,\"query\":{\"function_score\":{\"query\":"
               "{\"exists\":{\"field\":\"id\"}},\"random_score\":{\"seed\":%llu,\"field\":\"_seq_no\"}}},"
               "\"sort\":[\"_score\"]}",
               (long long)n, (unsigned long long)(clock_random_u64() >> 33));
    return find_strangers(x, reterr);
}

bool verify_index_nameless(struct verify_index *x, struct error *reterr) {
    buf_reset(&x->body);
    buf_printf(&x->body,
               "{\"size\":%d,\"track_total_hits\":false,\"_source\":false,\"query\":{\"bool\":{\"must_not\":{\"exists\":"
               "{\"field\":\"id\"}}}}}", RESULTS_MAX);
    return find_strangers(x, reterr);
}

/* -- single documents -- */

static bool look_at(struct verify_index *x, const struct slice *ids, size_t count, struct verify_look *ret,
                    struct error *reterr) {
    buf_reset(&x->body);
    buf_append_str(&x->body, "{\"ids\":[");
    append_terms(&x->body, ids, count);
    buf_append_str(&x->body, "]}");
    if (!post(x, x->deep ? "/_mget" : "/_mget?_source_includes=content_hash", reterr) ||
        !verify_hits_read_mget(&x->hits, answer(x), reterr))
        return false;
    if (x->hits.count != count)
        return error_set(reterr, ERROR_CORRUPT, "_mget answers %zu of %zu documents", x->hits.count, count);
    for (size_t i = 0; i < count; i++) {
        const struct verify_hit *hit = &x->hits.items[i];
        if (!slice_eq(hit->id, ids[i]))
            return error_set(reterr, ERROR_CORRUPT, "_mget answers in another order");
        ret[i] = (struct verify_look){.state = state_of(x, hit), .hash = hit->hash, .version = hit->version};
    }
    return true;
}

bool verify_index_look(struct verify_index *x, const struct slice *ids, size_t count, struct verify_look *ret,
                       struct error *reterr) {
    size_t step = LOOKS;
    for (size_t at = 0; at < count;) {
        size_t n = count - at < step ? count - at : step;
        struct error error = {0};
        if (look_at(x, ids + at, n, ret + at, &error)) {
            at += n;
            continue;
        }
        if (error.code != ERROR_INVALID || n == 1)
            return error_set(reterr, error.code, "%s", error.message);
        step = n / 2;
    }
    return true;
}

bool verify_index_count(struct verify_index *x, int64_t *ret, struct error *reterr) {
    struct arena arena;
    buf_reset(&x->body);
    buf_append_str(&x->body, "{\"query\":{\"match_all\":{}}}");
    if (!post(x, "/_count", reterr))
        return false;
    arena_init(&arena, 1 << 20);
    const struct json *root = json_parse(&arena, x->answer.data, x->answer.len, NULL, reterr);
    bool ok = root && (json_int64(json_get(root, "count"), ret) ||
                       error_set(reterr, ERROR_CORRUPT, "the answer to _count cannot be read"));
    arena_done(&arena);
    return ok;
}
