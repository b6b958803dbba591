#include "core/cleanup.h"
#include "query-api/search/cache.h"
#include "query-api/search/search_cache.h"
#include "query-api/search/search_key.h"
#include <inttypes.h>
#include <stdio.h>

enum { KEY_MAX_BYTES = 256 << 10, TAIL_MAX_BYTES = 256 };

/* How long an answer of the fallback stands for equal searches: MongoDB is not made for the load of a search engine. */
#define FALLBACK_KEPT_USEC (5 * USEC_PER_SEC)

/* First byte of a key: whose answer it is. */
enum { KEY_SEARCH = 's', KEY_FALLBACK = 'f' };

struct waiter {
    struct http_request *request;
    usec_t begun;
    struct waiter *next;
};

struct flight {
    struct http_request *leader;
    bool served; /* the leader's client has a stale answer already */
    usec_t begun;
    uint64_t epoch;
    char *key; /* heap */
    size_t key_len;
    struct waiter *waiters;
    struct flight *next;
};

enum result { RESULT_FRESH, RESULT_STALE, RESULT_MISS, RESULT_JOINED, RESULT_RESCUED, RESULTS };
static const char *const result_names[RESULTS] = {"fresh", "stale", "miss", "joined", "rescued"};

struct search_cache {
    struct cache *cache;
    struct cache_ages ages;
    struct flight *flights; /* at most as many as searches under way */
    char control[128];      /* Cache-Control of a fresh answer */
    struct metric *results[RESULTS], *not_modified, *evicted, *bytes, *entries;
    uint64_t evicted_before;
};

static void waiters_free(struct waiter *w) {
    while (w) {
        struct waiter *next = w->next;
        http_request_unref(w->request);
        free(w);
        w = next;
    }
}

static void flight_free(struct flight *f) {
    if (!f)
        return;
    waiters_free(f->waiters);
    http_request_unref(f->leader);
    free(f->key);
    free(f);
}

struct search_cache *search_cache_new(const struct query_loop *q, size_t loop_index, size_t loop_count, struct error *reterr) {
    const struct query_conf *conf = q->conf;
    struct search_cache *s = calloc(1, sizeof(*s));
    if (!s || !(s->cache = cache_new((size_t)conf->cache_bytes / (loop_count ? loop_count : 1)))) {
        free(s);
        error_nomem(reterr);
        return NULL;
    }
    usec_t stale = conf->cache_fresh_usec + conf->cache_stale_usec;
    s->ages = (struct cache_ages){conf->cache_fresh_usec, stale, stale + conf->cache_stale_if_error_usec};
    snprintf(s->control, sizeof(s->control), "%smax-age=%" PRIu64 ", stale-while-revalidate=%" PRIu64 ", stale-if-error=%" PRIu64,
             conf->anonymous ? "" : "private, ", conf->cache_fresh_usec / USEC_PER_SEC, conf->cache_stale_usec / USEC_PER_SEC,
             conf->cache_stale_if_error_usec / USEC_PER_SEC);
    char label[32];
    for (int i = 0; i < RESULTS; i++) {
        snprintf(label, sizeof(label), "result=\"%s\"", result_names[i]);
        s->results[i] = metrics_counter("readside_query_api_cache_answers_total", "Searches by what the cache did for them", label);
    }
    s->not_modified = metrics_counter("readside_query_api_not_modified_total", "Searches answered 304: the client has that answer", "");
    s->evicted = metrics_counter("readside_query_api_cache_evicted_total", "Answers dropped to make room", "");
    snprintf(label, sizeof(label), "loop=\"%u\"", (unsigned)loop_index % 1000);
    s->bytes = metrics_gauge("readside_query_api_cache_bytes", "Memory of the cached answers", label);
    s->entries = metrics_gauge("readside_query_api_cache_entries", "Cached answers", label);
    return s;
}

void search_cache_free(struct search_cache *s) {
    if (!s)
        return;
    while (s->flights) {
        struct flight *next = s->flights->next;
        flight_free(s->flights);
        s->flights = next;
    }
    cache_free(s->cache);
    free(s);
}

/* ---- replies ---- */

static bool has_client_copy(struct http_request *request, uint64_t tag) {
    const char *method = http_request_method(request);
    struct slice header = http_request_header(request, "If-None-Match");
    return header.len && (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0) && cache_etag_matches(header, tag);
}

/* Sends 304 if the client has this answer. */
static bool head(struct search_cache *s, struct http_request *request, uint64_t tag, usec_t age, bool degraded) {
    char etag[CACHE_ETAG_SIZE], seconds[24];
    if (degraded) {
        http_reply_header(request, "Cache-Control", "no-store");
        return false;
    }
    cache_etag_format(tag, etag);
    http_reply_header(request, "ETag", etag);
    http_reply_header(request, "Cache-Control", s->control);
    if (age >= USEC_PER_SEC) {
        snprintf(seconds, sizeof(seconds), "%" PRIu64, age / USEC_PER_SEC);
        http_reply_header(request, "Age", seconds);
    }
    if (!has_client_copy(request, tag))
        return false;
    metric_inc(s->not_modified);
    http_reply_empty(request, 304);
    return true;
}

/* The common part of an answer with this request's own end: its time and its id. */
static void send(struct search_cache *s, struct http_request *request, struct slice common, uint64_t tag, usec_t asked_at, usec_t begun,
                 const char *degraded) {
    usec_t now = clock_now_usec();
    if (head(s, request, tag, now > asked_at ? now - asked_at : 0, degraded != NULL))
        return;
    struct buf out = BUF_INIT(common.len + TAIL_MAX_BYTES);
    buf_reserve(&out, common.len + TAIL_MAX_BYTES);
    buf_append(&out, common.data, common.len);
    buf_printf(&out, ",\"degraded\":%s,\"took_ms\":%" PRIu64 ",\"query_id\":\"%s\"}", degraded ? degraded : "null",
               (now - begun + 500) / 1000, http_request_id(request));
    if (buf_ok(&out)) {
        http_reply(request, 200, NULL, &out);
        return;
    }
    buf_done(&out);
    struct error error = {0};
    error_nomem(&error);
    http_reply_error(request, &error);
}

static void count(struct search_cache *s, enum result result) {
    metric_inc(s->results[result]);
}

static void count_memory(struct search_cache *s) {
    struct cache_stats now = cache_stats(s->cache);
    metric_set(s->bytes, (double)now.bytes);
    metric_set(s->entries, (double)now.entries);
    metric_add(s->evicted, now.evicted - s->evicted_before);
    s->evicted_before = now.evicted;
}

/* ---- flights ---- */

static struct flight *flight_of_key(const struct search_cache *s, struct slice key, uint64_t epoch) {
    for (struct flight *f = s->flights; f; f = f->next)
        if (f->epoch == epoch && slice_eq((struct slice){f->key, f->key_len}, key))
            return f;
    return NULL;
}

static struct flight *flight_of_leader(const struct search_cache *s, const struct http_request *leader) {
    for (struct flight *f = s->flights; f; f = f->next)
        if (f->leader == leader)
            return f;
    return NULL;
}

static struct flight *take_flight(struct search_cache *s, const struct http_request *leader) {
    for (struct flight **at = &s->flights; *at; at = &(*at)->next)
        if ((*at)->leader == leader) {
            struct flight *f = *at;
            *at = f->next;
            return f;
        }
    return NULL;
}

/* False without memory: the request asks on its own then. */
static bool join(struct flight *f, struct http_request *request, usec_t begun) {
    struct waiter *w = malloc(sizeof(*w));
    if (!w)
        return false;
    *w = (struct waiter){.request = http_request_ref(request), .begun = begun, .next = f->waiters};
    f->waiters = w;
    return true;
}

static void lead(struct search_cache *s, struct http_request *request, bool served, struct buf *key, uint64_t epoch,
                 usec_t begun) {
    struct flight *f = malloc(sizeof(*f));
    size_t len = key->len;
    if (!f)
        return;
    *f = (struct flight){
        .leader = http_request_ref(request), .served = served, .begun = begun, .epoch = epoch, .key = buf_steal(key),
        .key_len = len, .next = s->flights};
    if (f->key)
        s->flights = f;
    else
        flight_free(f);
}

static bool begin(struct query_loop *q, struct http_request *request, struct buf *key, usec_t begun) {
    struct search_cache *s = q->cache;
    struct slice k = {key->data, key->len};
    struct cache_hit hit = cache_get(s->cache, k, &s->ages, q->epoch, begun);
    struct flight *under_way = hit.state == CACHE_FRESH ? NULL : flight_of_key(s, k, q->epoch);
    bool down = q->breaker.state != BREAKER_CLOSED;
    bool answered = false;
    if (hit.state == CACHE_FRESH || hit.state == CACHE_STALE) {
        count(s, hit.state == CACHE_FRESH ? RESULT_FRESH : RESULT_STALE);
        send(s, request, hit.body, hit.tag, hit.asked_at, begun, down && hit.state == CACHE_STALE ? "\"stale\"" : NULL);
        answered = hit.state == CACHE_FRESH || under_way; /* else this request asks on, its client is served */
    } else if (under_way && join(under_way, request, begun)) {
        count(s, RESULT_JOINED);
        answered = true;
    } else {
        count(s, RESULT_MISS);
    }
    if (!answered && !under_way)
        lead(s, request, hit.state == CACHE_STALE, key, q->epoch, begun);
    return answered;
}

bool search_cache_begin(struct query_loop *q, struct http_request *request, const struct search_params *p, usec_t begun) {
    struct buf key = BUF_INIT(KEY_MAX_BYTES);
    if (q->conf->cache_bytes == 0 || p->cursor.data || p->explain)
        return false;
    buf_append_char(&key, KEY_SEARCH);
    bool answered = search_key_write(http_request_arena(request), p, &key) && begin(q, request, &key, begun);
    buf_done(&key);
    return answered;
}

bool search_cache_begin_name(struct query_loop *q, struct http_request *request, struct slice name, usec_t begun) {
    struct buf key = BUF_INIT(KEY_MAX_BYTES);
    if (q->conf->cache_bytes == 0)
        return false;
    buf_append_char(&key, KEY_SEARCH);
    bool answered = buf_append(&key, name.data, name.len) && begin(q, request, &key, begun);
    buf_done(&key);
    return answered;
}

/* Answers to leader and waiters of a flight that could not be answered as it should. */
static void send_degraded(struct search_cache *s, struct http_request *request, const struct flight *f, const struct cache_hit *hit,
                          const char *degraded) {
    if (!f->served) {
        count(s, RESULT_RESCUED);
        send(s, request, hit->body, hit->tag, hit->asked_at, f->begun, degraded);
    }
    for (const struct waiter *w = f->waiters; w; w = w->next) {
        count(s, RESULT_RESCUED);
        send(s, w->request, hit->body, hit->tag, hit->asked_at, w->begun, degraded);
    }
}

void search_cache_end(struct query_loop *q, struct http_request *request, usec_t begun, struct buf *out, size_t common_len,
                      bool fallback) {
    struct search_cache *s = q->cache;
    struct slice common = {out->data, common_len};
    struct flight *f = take_flight(s, request);
    uint64_t tag = cache_tag(common);
    if (f) {
        f->key[0] = fallback ? KEY_FALLBACK : KEY_SEARCH;
        cache_put(s->cache, (struct slice){f->key, f->key_len}, common, f->epoch, fallback ? clock_now_usec() : f->begun);
        count_memory(s);
        for (struct waiter *w = f->waiters; w; w = w->next)
            send(s, w->request, common, tag, f->begun, w->begun, fallback ? "\"fallback\"" : NULL);
    }
    if ((f && f->served) || head(s, request, tag, clock_now_usec() - begun, fallback))
        buf_done(out);
    else
        http_reply(request, 200, NULL, out);
    flight_free(f);
}

/* An old answer, or what the fallback has just said to the same question. */
static struct cache_hit last_resort(struct query_loop *q, struct flight *f, const char **ret_degraded) {
    static const struct cache_ages young = {FALLBACK_KEPT_USEC, FALLBACK_KEPT_USEC, FALLBACK_KEPT_USEC};
    struct search_cache *s = q->cache;
    struct slice key = {f->key, f->key_len};
    struct cache_hit hit = cache_get(s->cache, key, &s->ages, q->epoch, clock_now_usec());
    *ret_degraded = "\"stale\"";
    if (hit.state != CACHE_MISS)
        return hit;
    f->key[0] = KEY_FALLBACK;
    hit = cache_get(s->cache, key, &young, q->epoch, clock_now_usec());
    f->key[0] = KEY_SEARCH;
    *ret_degraded = "\"fallback\"";
    return hit;
}

/* A body of its own for who is answered behind the first one. False without memory. */
static bool keep_body(struct flight *f, struct cache_hit *hit) {
    hit->body.data = arena_strndup(http_request_arena(f->leader), hit->body.data, hit->body.len);
    return hit->body.data != NULL;
}

bool search_cache_rescue(struct query_loop *q, struct http_request *request) {
    struct search_cache *s = q->cache;
    const char *degraded;
    struct flight *f = flight_of_leader(s, request);
    struct cache_hit hit = f ? last_resort(q, f, &degraded) : (struct cache_hit){.state = CACHE_MISS};
    if (hit.state == CACHE_MISS && !(f && f->served && !f->waiters))
        return false;
    /* A reply to a part of a batch begins the next one, which may be an equal search, or drop from the cache what this one gets. */
    if (hit.state != CACHE_MISS && f->waiters && !keep_body(f, &hit))
        return false;
    take_flight(s, request);
    if (hit.state != CACHE_MISS)
        send_degraded(s, request, f, &hit, degraded);
    flight_free(f);
    return true;
}

void search_cache_fail(struct query_loop *q, struct http_request *request, const struct error *error) {
    if (error->code != ERROR_NOT_FOUND && search_cache_rescue(q, request)) /* what is gone is gone */
        return;
    struct flight *f = take_flight(q->cache, request);
    if (!f || !f->served)
        upstream_reply_error(q, request, error);
    for (struct waiter *w = f ? f->waiters : NULL; w; w = w->next)
        upstream_reply_error(q, w->request, error);
    flight_free(f);
}
