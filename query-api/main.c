/* query-api: search, facets and product pages for the storefront, from Elasticsearch. */
#include "core/acceptor.h"
#include "core/cleanup.h"
#include "core/daemon.h"
#include "core/embed.h"
#include "query-api/events/query_analytics.h"
#include "query-api/events/query_bursts.h"
#include "query-api/query_api.h"
#include "query-api/search/search_cache.h"
#include "query-api/search/search_params.h"
#include "query-api/upstream/fallback.h"
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

EMBED(keys_mapping, "mappings/keys-v1.json");
EMBED(batch_schema, "query-api/schemas/batch.json");
EMBED(events_schema, "query-api/schemas/events.json");
EMBED(key_schema, "query-api/schemas/key.json");
EMBED(override_schema, "query-api/schemas/override.json");
EMBED(instant_queries_schema, "query-api/schemas/instant_queries.json");
EMBED(instant_query_schema, "query-api/schemas/instant_query.json");
EMBED(instant_facet_schema, "query-api/schemas/instant_facet.json");
EMBED(instant_recommend_schema, "query-api/schemas/instant_recommend.json");

static const struct http_route routes[] = {
    {.method = "GET", .path = "/v1/search", .handler = handle_search, .params = search_param_table, .summary = "Search with filters and facets"},
    {.method = "POST",
     .path = "/v1/search",
     .handler = handle_search,
     .params = search_param_table,
     .summary = "The same with the parameters as a JSON object"},
    {.method = "POST",
     .path = "/v1/search/batch",
     .handler = handle_search_batch,
     .body = batch_schema,
     .summary = "Up to ten searches at once: {\"searches\":[...]}"},
    {.method = "GET",
     .path = "/v1/recommendations",
     .handler = handle_recommendations,
     .params = recommendation_params,
     .summary = "Products for a shopper, beside a product or without either"},
    {.method = "GET",
     .path = "/v1/suggest",
     .handler = handle_suggest,
     .params = suggest_params,
     .summary = "Searches, categories and products for what is typed so far"},
    {.method = "GET",
     .path = "/v1/products/{id}",
     .handler = handle_product,
     .params = request_lang_params,
     .summary = "One product as the index has it"},
    {.method = "GET",
     .path = "/v1/products/{id}/similar",
     .handler = handle_similar,
     .params = similar_params,
     .summary = "Products like this one, those in stock first"},
    {.method = "GET",
     .path = "/v1/facets/{name}/values",
     .handler = handle_facet_values,
     .params = facet_values_param_table,
     .summary = "Search inside a facet: brand or attr.NAME"},
    {.method = "GET",
     .path = "/v1/categories/tree",
     .handler = handle_category_tree,
     .params = request_lang_params,
     .summary = "All categories with names and counts"},
    {.method = "POST",
     .path = "/1/indexes/*/queries",
     .handler = handle_instant_queries,
     .body = instant_queries_schema,
     .summary = "InstantSearch: a batch of searches and facet searches"},
    {.method = "POST",
     .path = "/1/indexes/{index}/query",
     .handler = handle_instant_query,
     .body = instant_query_schema,
     .summary = "InstantSearch: one search"},
    {.method = "POST",
     .path = "/1/indexes/{index}/facets/{facet}/query",
     .handler = handle_instant_facet,
     .body = instant_facet_schema,
     .summary = "InstantSearch: search inside a facet"},
    {.method = "POST",
     .path = "/1/indexes/*/recommendations",
     .handler = handle_instant_recommend,
     .body = instant_recommend_schema,
     .summary = "InstantSearch: products beside a product, for a shopper, and those that sell best"},
    {.method = "GET",
     .path = "/admin/keys",
     .scope = HTTP_SCOPE_ADMIN,
     .handler = handle_key_list,
     .params = key_list_params,
     .summary = "All API keys, without their secrets"},
    {.method = "GET", .path = "/admin/keys/{id}", .scope = HTTP_SCOPE_ADMIN, .handler = handle_key_get, .summary = "One of them"},
    {.method = "PUT",
     .path = "/admin/keys/{id}",
     .scope = HTTP_SCOPE_ADMIN,
     .handler = handle_key_put,
     .body = key_schema,
     .summary = "Create an API key, whose secret is shown this once, or change what one may do"},
    {.method = "DELETE",
     .path = "/admin/keys/{id}",
     .scope = HTTP_SCOPE_ADMIN,
     .handler = handle_key_delete,
     .summary = "Delete one; no longer valid anywhere within two seconds"},
    {.method = "POST",
     .path = "/v1/events",
     .handler = handle_events,
     .body = events_schema,
     .summary = "What shoppers do: clicks, carts, purchases; up to 100 at once, 202 when they are written"},
    {.method = "GET",
     .path = "/admin/analytics/queries",
     .scope = HTTP_SCOPE_ADMIN,
     .handler = handle_query_report,
     .params = query_report_params,
     .summary = "What is searched most, with results and clicks; or what finds nothing"},
    {.method = "GET",
     .path = "/admin/{kind}",
     .scope = HTTP_SCOPE_ADMIN,
     .handler = handle_override_list,
     .params = override_list_params,
     .summary = "All synonyms, stopwords or rules"},
    {.method = "GET", .path = "/admin/{kind}/{id}", .scope = HTTP_SCOPE_ADMIN, .handler = handle_override_get, .summary = "One of them"},
    {.method = "PUT",
     .path = "/admin/{kind}/{id}",
     .scope = HTTP_SCOPE_ADMIN,
     .handler = handle_override_put,
     .body = override_schema,
     .summary = "Create or replace one; in effect everywhere within two seconds"},
    {.method = "DELETE", .path = "/admin/{kind}/{id}", .scope = HTTP_SCOPE_ADMIN, .handler = handle_override_delete, .summary = "Delete one"},
    {.method = "GET", .path = "/", .scope = HTTP_SCOPE_PUBLIC, .handler = handle_page, .summary = "The storefront page"},
    {.method = "GET", .path = "/p/{id}", .scope = HTTP_SCOPE_PUBLIC, .handler = handle_page, .summary = "The same, showing a product"},
    {.method = "GET",
     .path = "/assets/{version}/{file}",
     .scope = HTTP_SCOPE_PUBLIC,
     .handler = handle_page_asset,
     .summary = "Scripts and styles of the page"},
    DAEMON_ROUTES,
    {.method = NULL},
};

/* What InstantSearch clients send from a browser. */
static const char instant_headers[] =
    "Authorization, Content-Type, X-Algolia-API-Key, X-Algolia-Application-Id, X-Algolia-Agent, "
    "X-Algolia-UserToken, X-Request-Id, Request-Id, traceparent";

enum { LOOPS_MAX = 256, BREAKER_FAILURES = 5 };
/* A probe may take search_timeout (3s): together below the five seconds after which a server that is back is used again. */
#define BREAKER_PAUSE_MIN_USEC (200 * USEC_PER_MSEC)
#define BREAKER_PAUSE_MAX_USEC (1800 * USEC_PER_MSEC)

/* What is counted is not worth a longer stop. */
#define LAST_COUNTS_USEC (2 * USEC_PER_SEC)

struct program {
    struct core_conf core;
    struct es_conf es;
    struct mongo_conf mongo;
    struct query_conf query;
    struct fallback *fallback;
    struct query_loop loops[LOOPS_MAX];
    pthread_t threads[LOOPS_MAX];
    size_t count, started;
    struct rate_table *rates;
    struct query_bursts *bursts;
    _Atomic usec_t search_alone; /* of load_limit */
    struct loop *main_loop;
    struct acceptor *acceptor;
    struct daemon_condition *condition;
    struct loop_timer ready_timer;
    struct es *probe_es;
    struct http_call *probe;
    char probe_path[300];
    struct error said; /* why Elasticsearch was not fit at the last probe */
    bool was_ready;
};

static void *loop_thread(void *arg) {
    struct query_loop *q = arg;
    loop_run(q->loop);
    return NULL;
}

static bool open_guard(struct query_loop *q, const struct program *p, struct error *reterr) {
    const struct query_conf *c = &p->query;
    const struct api_guard_conf conf = {.admin_key = c->admin_key,
                                        .open_scopes = c->anonymous ? HTTP_SCOPE_SEARCH : 0,
                                        .has_keys = true,
                                        .open_rate = c->anonymous_rate,
                                        .open_burst = c->anonymous_burst,
                                        .address_header = c->address_header};
    return (q->guard = api_guard_new(&conf, p->rates, "query-api", reterr)) &&
           (q->key_watch = api_key_watch_new(q->loop, q->es, q->guard, c->keys_index,
                                             (struct slice){keys_mapping, keys_mapping_size}, c->keys_poll_usec,
                                             c->search_timeout_usec, reterr));
}

/* Elasticsearch may take all of its time, and MongoDB after it. */
static usec_t deadline_of(const struct query_conf *conf) {
    usec_t fallback = conf->fallback ? conf->fallback_timeout_usec : 0;
    return conf->search_timeout_usec + (fallback > USEC_PER_SEC ? fallback : USEC_PER_SEC) + USEC_PER_SEC;
}

static bool query_loop_open(struct query_loop *q, struct program *p, size_t index, struct error *reterr) {
    char name[16];
    snprintf(name, sizeof(name), "query-%u", (unsigned)index % 1000);
    q->conf = &p->query;
    q->fallback = p->fallback;
    q->bursts = p->bursts;
    breaker_init(&q->breaker, BREAKER_FAILURES, BREAKER_PAUSE_MIN_USEC, BREAKER_PAUSE_MAX_USEC);
    q->upstream_seconds = metrics_histogram("readside_query_api_upstream_seconds",
                                            "Elasticsearch's answers as this program sees them", "");
    q->upstream_failures = metrics_counter("readside_query_api_upstream_failures_total",
                                           "Searches that Elasticsearch did not answer with 2xx or 404", "");
    static const char shed[] = "readside_query_api_shed_total";
    static const char shed_help[] = "Searches refused at once: too many under way (load), or Elasticsearch known to be down (down)";
    q->shed_load = metrics_counter(shed, shed_help, "reason=\"load\"");
    q->shed_down = metrics_counter(shed, shed_help, "reason=\"down\"");
    char label[32];
    snprintf(label, sizeof(label), "loop=\"%u\"", (unsigned)index % 1000);
    q->breaker_open =
        metrics_gauge("readside_query_api_breaker_open",
                      "1 while Elasticsearch is taken to be down: searches are refused at once but for probes", label);
    q->limit_gauge = metrics_gauge("readside_query_api_limit", "How many searches may be at Elasticsearch at a time, as learnt", label);
    q->waiting_gauge = metrics_gauge("readside_query_api_waiting", "Searches that wait for their turn", label);
    load_limit_init(&q->limit, &p->search_alone, (unsigned)p->query.upstream_connections, (unsigned)p->query.upstream_queue,
                    p->query.upstream_wait_usec, clock_now_usec());
    metric_set(q->limit_gauge, q->limit.limit);
    struct http_server_options options = {.name = "query-api",
                                          .routes = routes,
                                          .ctx = q,
                                          .guard = api_guard_admit,
                                          .default_scope = HTTP_SCOPE_SEARCH,
                                          .open_scopes = p->query.anonymous ? HTTP_SCOPE_SEARCH : 0,
                                          .open_below = "/1/",
                                          .open_headers = instant_headers,
                                          .body_max_bytes = (size_t)p->query.body_max_bytes,
                                          .header_max_bytes = (size_t)p->query.header_max_bytes,
                                          .connections_max = (unsigned)p->query.connections_max,
                                          .deadline_usec = deadline_of(&p->query),
                                          .read_timeout_usec = p->query.read_timeout_usec,
                                          .idle_timeout_usec = p->query.idle_timeout_usec};
    if (!(q->loop = loop_new(name, reterr)) ||
        !(q->es = es_new(q->loop, &p->es, (unsigned)p->query.upstream_connections, reterr)) || !open_guard(q, p, reterr))
        return false;
    options.guard_ctx = q->guard;
    return (q->server = http_server_new(q->loop, &options, reterr)) && (q->poll = category_poll_new(q, reterr)) &&
           (q->override_poll = override_poll_new(q, reterr)) && (q->index_poll = index_poll_new(q, reterr)) &&
           (q->cache = search_cache_new(q, index, p->count, reterr)) && (q->events = event_log_new(q, reterr)) &&
           (q->analytics = query_analytics_new(q, reterr));
}

/* After all threads and servers have ended. */
static void close_counts(struct program *p) {
    usec_t until = clock_now_usec() + LAST_COUNTS_USEC; /* for all of them */
    for (size_t i = 0; i < p->count; i++)
        if (p->loops[i].analytics)
            query_analytics_stop(p->loops[i].analytics, until);
}

static void query_loop_close(struct query_loop *q) {
    category_poll_free(q->poll);
    override_poll_free(q->override_poll);
    api_key_watch_free(q->key_watch);
    index_poll_free(q->index_poll);
    upstream_drop_all(q);
    search_view_drop_all(q);
    event_log_free(q->events);
    query_analytics_free(q->analytics);
    search_cache_free(q->cache);
    es_free(q->es);
    category_list_free(q->categories);
    category_counts_free(q->category_counts);
    override_list_free(q->overrides);
    api_guard_free(q->guard);
    loop_free(q->loop);
}

static bool open_loops(struct program *p, struct error *reterr) {
    if (!(p->rates = rate_table_new()) || !(p->bursts = query_bursts_new()))
        return error_nomem(reterr);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    p->count = (size_t)(p->query.loops ? p->query.loops : cores > 0 ? cores : 1);
    if (p->count > LOOPS_MAX)
        p->count = LOOPS_MAX;
    for (size_t i = 0; i < p->count; i++)
        if (!query_loop_open(&p->loops[i], p, i, reterr))
            return false;
    explicit_bzero(p->query.admin_key, strlen(p->query.admin_key)); /* the guards have its hash */
    return true;
}

static bool start_threads(struct program *p, struct error *reterr) {
    for (; p->started < p->count; p->started++)
        if (pthread_create(&p->threads[p->started], NULL, loop_thread, &p->loops[p->started]) != 0)
            return error_set(reterr, ERROR_INTERNAL, "cannot start thread %zu", p->started);
    return true;
}

static bool listen_all(struct program *p, struct error *reterr) {
    struct loop *loops[LOOPS_MAX];
    struct http_server *servers[LOOPS_MAX];
    for (size_t i = 0; i < p->count; i++) {
        loops[i] = p->loops[i].loop;
        servers[i] = p->loops[i].server;
    }
    p->acceptor = acceptor_new(p->main_loop, p->query.listen, loops, servers, p->count, reterr);
    return p->acceptor != NULL;
}

/* ---- readiness: does Elasticsearch answer, and is there an index? ---- */

/* Said once for each reason, and when it is over. why NULL: it is. An instance that can go on answering, from MongoDB or
 * with what it has in memory, stays ready: its load balancer has none that could do better. */
static void say_ready(struct program *p, const struct error *why) {
    bool answers = fallback_reached(p->fallback) || (p->was_ready && p->query.cache_bytes > 0);
    if (why && answers)
        daemon_condition_set_degraded(p->condition, why->message);
    else
        daemon_condition_set(p->condition, !why, why ? why->message : NULL);
    p->was_ready = p->was_ready || !why;
    if (!why && p->said.code != ERROR_NONE)
        log_info("reached", LOG_STR("server", "elasticsearch"));
    else if (why && strcmp(p->said.message, why->message) != 0)
        log_warn("waiting", LOG_STR("server", "elasticsearch"), LOG_ERR(why));
    p->said = why ? *why : (struct error){0};
}

/* A loop has no categories and takes no events before its first answers. */
static bool loops_have_begun(const struct program *p) {
    for (size_t i = 0; i < p->count; i++)
        if (p->loops[i].unanswered > 0)
            return false;
    return true;
}

static void on_probe(void *ctx, struct http_response *response) {
    struct program *p = ctx;
    struct error why;
    p->probe = NULL;
    bool there = response->status == 200, begun = p->was_ready || loops_have_begun(p);
    es_error(response, &why);
    if (response->status == 404)
        error_set(&why, ERROR_NOT_FOUND, "there is no search index yet: start the projector");
    if (begun || !there)
        say_ready(p, there ? NULL : &why);
    usec_t pause = !there ? 250 * USEC_PER_MSEC : begun ? 2 * USEC_PER_SEC : 20 * USEC_PER_MSEC;
    loop_timer_set(p->main_loop, &p->ready_timer, clock_now_usec() + pause);
}

static void on_ready_timer(struct loop_timer *timer) {
    struct program *p = CONTAINER_OF(timer, struct program, ready_timer);
    p->probe = es_start(p->probe_es, "HEAD", p->probe_path, NULL, (struct slice){NULL, 0}, NULL, 0, on_probe, p, NULL);
    if (!p->probe)
        loop_timer_set(p->main_loop, timer, clock_now_usec() + USEC_PER_SEC);
}

static bool watch_ready(struct program *p, struct error *reterr) {
    struct buf path = BUF_INIT(sizeof(p->probe_path) - 1);
    p->condition = daemon_condition_new("elasticsearch", false, "not asked yet");
    p->probe_es = es_new(p->main_loop, &p->es, 1, reterr);
    buf_append_char(&path, '/');
    uri_encode(&path, p->query.index, strlen(p->query.index));
    bool ok = p->condition && p->probe_es;
    if (!buf_ok(&path))
        ok = error_set(reterr, ERROR_INVALID, "[query-api] index is too long");
    else
        memcpy(p->probe_path, path.data, path.len + 1);
    buf_done(&path);
    p->ready_timer.cb = on_ready_timer;
    if (ok)
        loop_timer_set(p->main_loop, &p->ready_timer, clock_now_usec());
    return ok;
}

static void on_stop(void *ctx) {
    struct program *p = ctx;
    log_info("stopping");
    loop_stop(p->main_loop);
}

static bool open_fallback(struct program *p, struct error *reterr) {
    if (!p->query.fallback)
        return true;
    mongo_global_init();
    p->fallback = fallback_new(&p->query, &p->mongo, p->main_loop, reterr);
    return p->fallback != NULL;
}

static bool serve(struct program *p, struct error *reterr) {
    if (!(p->main_loop = loop_new("main", reterr)) || !open_fallback(p, reterr) || !open_loops(p, reterr) || !watch_ready(p, reterr) ||
        !daemon_watch_signals(p->main_loop, on_stop, NULL, p, reterr) || !listen_all(p, reterr) ||
        !start_threads(p, reterr) ||
        !daemon_announce(p->query.listen, acceptor_port(p->acceptor), p->query.port_file, reterr))
        return false;
    loop_run(p->main_loop);
    return true;
}

/* Ends its threads, and lets every loop answer what they were working on. */
static void close_fallback(struct program *p) {
    if (!p->fallback)
        return;
    fallback_stop(p->fallback);
    for (size_t i = 0; i < p->count; i++)
        if (p->loops[i].loop)
            loop_run_once(p->loops[i].loop, 0);
    loop_run_once(p->main_loop, 0);
}

static void shut(struct program *p) {
    acceptor_free(p->acceptor);
    for (size_t i = 0; i < p->started; i++)
        loop_stop(p->loops[i].loop);
    for (size_t i = 0; i < p->started; i++)
        pthread_join(p->threads[i], NULL);
    close_fallback(p);
    for (size_t i = 0; i < p->count; i++)
        http_server_free(p->loops[i].server);
    close_counts(p);
    for (size_t i = 0; i < p->count; i++)
        query_loop_close(&p->loops[i]);
    rate_table_free(p->rates);
    query_bursts_free(p->bursts);
    fallback_free(p->fallback);
    if (p->query.fallback)
        mongo_global_done();
    if (p->main_loop) {
        if (p->probe)
            es_cancel(p->probe_es, p->probe);
        loop_timer_cancel(p->main_loop, &p->ready_timer);
        es_free(p->probe_es);
        loop_free(p->main_loop);
    }
}

static bool check(const void *ctx, struct error *reterr) {
    const struct program *p = ctx;
    return acceptor_check(p->query.listen, reterr) && es_check(&p->es, reterr) &&
           (!p->query.fallback || mongo_check(&p->mongo, reterr));
}

int main(int argc, char **argv) {
    static struct program program;
    const struct conf_group groups[] = {{core_option_table, core_option_count, &program.core},
                                        {es_option_table, es_option_count, &program.es},
                                        {mongo_option_table, mongo_option_count, &program.mongo},
                                        {query_option_table, query_option_count, &program.query}};
    struct daemon_program daemon = {.name = "query-api",
                                    .summary = "Serves search, facets and product pages from Elasticsearch.",
                                    .groups = groups,
                                    .group_count = ARRAY_LEN(groups),
                                    .core = &program.core,
                                    .check = check,
                                    .check_ctx = &program};
    int code = 0;
    struct error error = {0};
    if (!daemon_start(&daemon, argc, argv, &code))
        return code;
    if (daemon.argc > 0) {
        fprintf(stderr, "query-api: unexpected argument '%s'; see query-api --help\n", daemon.argv[0]);
        daemon_finish(&daemon);
        return 2;
    }
    if (!serve(&program, &error)) {
        log_error("start.failed", LOG_ERR(&error));
        code = 1;
    }
    shut(&program);
    daemon_finish(&daemon);
    return code;
}
