/* A search on its way through cache, upstream and fallback, with the engine and MongoDB played by the test. */
#include "tests/unit/http_fixture.h"
#include "query-api/events/query_analytics.h"
#include "query-api/events/query_bursts.h"
#include "query-api/query_api.h"
#include "query-api/search/search_cache.h"
#include "query-api/upstream/fallback.h"

#define HITS "\"timed_out\":false,\"_shards\":{\"failed\":0},\"hits\":{\"total\":{\"value\":20,\"relation\":\"eq\"},\"hits\":[]}"
enum { TOO_LATE = 0, PARTS = 50 };

static usec_t usual_deadline = 10 * USEC_PER_SEC, short_deadline = 600 * USEC_PER_MSEC;

/* A question to the engine; answered with the status that the script says of it. */
struct fake_call {
    struct loop_timer timer;
    http_client_callback *callback;
    void *ctx;
    unsigned number;
    bool cut; /* its time is up before the engine answers */
    char path[128];
};

static struct world {
    struct fixture http;
    struct query_conf conf;
    struct query_loop q;
    _Atomic usec_t alone;
    unsigned calls;
    usec_t takes;
    int (*script)(unsigned number);
    const char *answer; /* with 200 */
    char path[256];     /* of the question that is answered last */
    char asked[1 << 15]; /* the body of the last one, or its beginning */
    char written[1 << 15]; /* the same of the last bulk */
    bool has_fallback, runs;
    bool all; /* every question is taken, not just searches */
} fake;

static void on_time(struct loop_timer *timer) {
    struct fake_call *call = CONTAINER_OF(timer, struct fake_call, timer);
    struct buf body = BUF_INIT(4 << 20);
    snprintf(fake.path, sizeof(fake.path), "%s", call->path);
    struct http_response response = {.body = &body, .sent = true, .status = call->cut ? TOO_LATE : fake.script(call->number)};
    if (response.status == TOO_LATE)
        error_set(&response.error, ERROR_TIMEOUT, "no answer in time");
    else if (response.status == 200)
        buf_append_str(&body, fake.answer);
    call->callback(call->ctx, &response);
    buf_done(&body);
    free(call);
}

struct http_call *__wrap_es_start(struct es *es, const char *method, const char *path, const char *content_type,
                                  struct slice body, const char *traceparent, usec_t timeout_usec,
                                  http_client_callback *callback, void *ctx, struct error *reterr);
struct http_call *__wrap_es_start(struct es *es, const char *method, const char *path, const char *content_type,
                                  struct slice body, const char *traceparent, usec_t timeout_usec,
                                  http_client_callback *callback, void *ctx, struct error *reterr) {
    (void)es, (void)method, (void)content_type, (void)traceparent, (void)reterr;
    struct fake_call *call = fake.all || strstr(path, "search") ? calloc(1, sizeof(*call)) : NULL;
    if (!call)
        return NULL;
    snprintf(fake.asked, sizeof(fake.asked), "%.*s", (int)body.len, body.len ? body.data : "");
    if (strstr(path, "_bulk"))
        memcpy(fake.written, fake.asked, sizeof(fake.written));
    *call = (struct fake_call){.timer.cb = on_time, .callback = callback, .ctx = ctx, .number = fake.calls++,
                               .cut = timeout_usec < fake.takes};
    snprintf(call->path, sizeof(call->path), "%s", path);
    loop_timer_set(fake.q.loop, &call->timer, clock_now_usec() + (call->cut ? timeout_usec : fake.takes));
    return (struct http_call *)(void *)call;
}

void __wrap_es_cancel(struct es *es, struct http_call *call);
void __wrap_es_cancel(struct es *es, struct http_call *call) {
    (void)es;
    struct fake_call *own = (struct fake_call *)(void *)call;
    loop_timer_cancel(fake.q.loop, &own->timer);
    free(own);
}

bool __wrap_fallback_search(struct query_loop *q, struct http_request *request, const struct search_params *params,
                            upstream_answer *answer, upstream_failed *failed, void *data);
bool __wrap_fallback_search(struct query_loop *q, struct http_request *request, const struct search_params *params,
                            upstream_answer *answer, upstream_failed *failed, void *data) {
    static const char found[] = "{\"hits\":{\"total\":{\"value\":1,\"relation\":\"eq\"},\"hits\":[]}}";
    (void)params, (void)failed;
    if (fake.has_fallback)
        answer(q, request, data, 200, json_parse(http_request_arena(request), found, sizeof(found) - 1, NULL, NULL));
    return fake.has_fallback;
}

static const struct http_route routes[] = {
    {.method = "GET", .path = "/v1/search", .handler = handle_search},
    {.method = "GET", .path = "/v1/recommendations", .handler = handle_recommendations, .params = recommendation_params},
    {.method = "GET", .path = "/v1/suggest", .handler = handle_suggest, .params = suggest_params},
    {.method = "GET", .path = "/v1/categories/tree", .handler = handle_category_tree, .params = request_lang_params},
    {.method = "POST", .path = "/v1/events", .handler = handle_events},
    {.method = "POST", .path = "/1/indexes/*/queries", .handler = handle_instant_queries},
    {.method = "POST", .path = "/1/indexes/*/recommendations", .handler = handle_instant_recommend},
    {0},
};

static int setup(void **state) {
    static char name[] = "products";
    struct http_server_options options = {
        .name = "test", .routes = routes, .ctx = &fake.q, .deadline_usec = *(const usec_t *)*state};
    struct error error = {0};
    struct fixture *f = &fake.http;
    struct query_loop *q = &fake.q;
    fake = (struct world){.alone = USEC_PER_MSEC, .takes = USEC_PER_MSEC, .answer = "{" HITS ",\"aggregations\":{}}"};
    fake.conf = (struct query_conf){.index = name, .queries_index = name, .anonymous = true, .cache_bytes = 1 << 20,
                                    .cache_stale_if_error_usec = 3600 * USEC_PER_SEC, .search_timeout_usec = 3 * USEC_PER_SEC,
                                    .overrides_poll_usec = 3600 * USEC_PER_SEC};
    f->loop = q->loop = loop_new("server", &error);
    f->server = http_server_new(f->loop, &options, &error);
    q->conf = &fake.conf;
    breaker_init(&q->breaker, 5, 10 * USEC_PER_SEC, 10 * USEC_PER_SEC);
    load_limit_init(&q->limit, &fake.alone, 32, 256, 0, clock_now_usec());
    q->cache = search_cache_new(q, 0, 1, &error);
    q->analytics = query_analytics_new(q, &error);
    f->acceptor = acceptor_new(f->loop, "127.0.0.1:0", &f->loop, &f->server, 1, &error);
    if (!f->acceptor || !q->cache || !q->analytics)
        fail_msg("%s", error.message);
    f->port = acceptor_port(f->acceptor);
    return 0;
}

/* Between the two the world is the loop's. */
static void begin(void) {
    assert_int_equal(pthread_create(&fake.http.thread, NULL, fixture_main, &fake.http), 0);
    fake.runs = true;
}
static void end(void) {
    if (fake.runs)
        fixture_halt(&fake.http);
    fake.runs = false;
}

static int teardown(void **state) {
    (void)state;
    end();
    acceptor_free(fake.http.acceptor);
    http_server_free(fake.http.server);
    upstream_drop_all(&fake.q);
    index_poll_free(fake.q.index_poll);
    event_log_free(fake.q.events);
    query_analytics_free(fake.q.analytics);
    query_bursts_free(fake.q.bursts);
    api_guard_free(fake.q.guard);
    search_cache_free(fake.q.cache);
    category_list_free(fake.q.categories);
    loop_free(fake.http.loop);
    return 0;
}

static int post_to(const char *path, const char *body, struct answer *ret) {
    char text[20480];
    snprintf(text, sizeof(text), "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s", path, strlen(body), body);
    return ask(&fake.http, text, ret);
}
static int post(const char *body, struct answer *ret) {
    return post_to("/1/indexes/*/queries", body, ret);
}
static int get(const char *target, struct answer *ret) {
    char text[1024];
    snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target);
    return ask(&fake.http, text, ret);
}
/* On the test's own thread. */
static void run_for(usec_t time) {
    usec_t until = clock_now_usec() + time;
    while (clock_now_usec() < until)
        loop_run_once(fake.q.loop, until);
}

/* The same until something has happened. */
#define run_until(condition)                                                                                           \
    do {                                                                                                               \
        usec_t limit = clock_now_usec() + WAIT_SEC * USEC_PER_SEC;                                                     \
        while (!(condition)) {                                                                                         \
            assert_true(clock_now_usec() < limit);                                                                     \
            loop_run_once(fake.q.loop, limit);                                                                         \
        }                                                                                                              \
    } while (0)

/* count searches, each for its own word, or all for the same. */
static const char *batch_of(unsigned count, bool same) {
    static char text[4096];
    size_t n = (size_t)snprintf(text, sizeof(text), "{\"requests\":[");
    for (unsigned i = 0; i < count; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s{\"indexName\":\"products\",\"query\":\"w%u\"}", i ? "," : "", same ? 0 : i);
    snprintf(text + n, sizeof(text) - n, "]}");
    return text;
}

static int always(unsigned number) {
    (void)number;
    return 200;
}

static int only_the_first(unsigned number) {
    return number ? 503 : 200;
}

static void test_counts_fail_behind_a_page(void **state) {
    (void)state;
    struct answer a;
    fake.script = only_the_first;
    fake.has_fallback = true;
    fake.answer = "{" HITS ",\"aggregations\":{\"f0\":{\"doc_count_error_upper_bound\":2,\"sum_other_doc_count\":5,"
                  "\"buckets\":[{\"key\":\"color=red\",\"doc_count\":3}]}}}";
    begin();
    ask(&fake.http, "GET /v1/search?facets=attr.color HTTP/1.1\r\nHost: x\r\n\r\n", &a);
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.body, "\"degraded\":\"fallback\""));
    end();
    assert_int_equal(fake.calls, 2);
}

static void test_equal_searches_of_a_batch_all_get_the_old_answer(void **state) {
    (void)state;
    struct answer a;
    unsigned old = 0;
    fake.script = only_the_first;
    begin();
    assert_int_equal(post(batch_of(1, true), &a), 200);
    assert_int_equal(post(batch_of(6, true), &a), 200);
    for (const char *at = a.body; (at = strstr(at, "\"degraded\":\"stale\"")); at++)
        old++;
    assert_int_equal(old, 6);
}

/* A batch that has used up its time says nothing about the engine. */
static void test_a_long_batch_does_not_open_the_breaker(void **state) {
    (void)state;
    struct answer a;
    fake.script = always;
    fake.takes = 80 * USEC_PER_MSEC;
    begin();
    assert_int_equal(post(batch_of(PARTS, false), &a), 503);
    end();
    assert_int_equal(fake.q.breaker.state, BREAKER_CLOSED);
    assert_int_equal(fake.q.breaker.failures, 0);
}

/* Out of time, without a shard, whole. */
static int half_then_whole(unsigned number) {
    static const char *const answers[] = {
        "{\"responses\":[{\"timed_out\":true,\"_shards\":{\"failed\":0},\"hits\":{\"hits\":[]},\"status\":200}]}",
        "{\"responses\":[{\"timed_out\":false,\"_shards\":{\"failed\":1},\"hits\":{\"hits\":[]},\"status\":200}]}",
        "{\"responses\":[{" HITS ",\"status\":200}]}"};
    fake.answer = answers[number];
    return 200;
}

static void test_half_an_answer_recommends_nothing(void **state) {
    (void)state;
    struct answer a;
    fake.script = half_then_whole;
    begin();
    for (unsigned i = 0; i < 3; i++)
        if (ask(&fake.http, "GET /v1/recommendations HTTP/1.1\r\nHost: x\r\n\r\n", &a) != (i < 2 ? 503 : 200))
            fail_msg("answer %u: %d", i, a.status);
}

/* The first one takes so long that the one behind it could not be answered in time: it is answered at once, and not asked. */
static void test_who_has_waited_too_long_is_not_asked_for(void **state) {
    (void)state;
    struct answer a;
    fake.script = always;
    fake.has_fallback = true;
    fake.takes = 450 * USEC_PER_MSEC;
    load_limit_init(&fake.q.limit, &fake.alone, 1, 256, 0, clock_now_usec());
    begin();
    assert_int_equal(post(batch_of(2, false), &a), 200);
    end();
    assert_non_null(strstr(a.body, "\"degraded\":\"fallback\""));
    assert_int_equal(fake.calls, 1);
}

static int no_index(unsigned number) {
    (void)number;
    return 404;
}

static void test_a_tree_without_an_index_has_no_counts(void **state) {
    (void)state;
    static const char hits[] = "[{\"_source\":{\"id\":1,\"path\":\"1\",\"name\":\"a\"}}]";
    struct arena arena;
    struct answer a;
    size_t added;
    int64_t last;
    arena_init(&arena, 1 << 16);
    fake.q.categories = category_list_new(1);
    assert_true(category_list_add(fake.q.categories, json_parse(&arena, hits, sizeof(hits) - 1, NULL, NULL), &added, &last) &&
                category_list_finish(fake.q.categories));
    arena_done(&arena);
    fake.script = no_index;
    begin();
    assert_int_equal(get("/v1/categories/tree", &a), 200);
    assert_non_null(strstr(a.body, "\"count\":null"));
    assert_non_null(strstr(a.body, "\"degraded\":\"fallback\""));
}

/* Of several that wait for one answer the first goes on with its batch, whose next parts find the engine down at once, and what
 * they get instead takes the room of the old answer in the cache. */
static void test_an_old_answer_lasts_until_all_have_it(void **state) {
    (void)state;
    static char text[20000], name[1001];
    struct error error = {0};
    struct answer a;
    unsigned whole = 0;
    memset(name, 'x', sizeof(name) - 1);
    snprintf(text, sizeof(text), "{\"timed_out\":false,\"_shards\":{\"failed\":0},\"hits\":{\"total\":{\"value\":1},\"hits\":[{\"_source\":"
             "{\"id\":\"b\",\"name\":{\"ko\":\"%s\"}}}]},\"aggregations\":{\"all\":{\"this\":{\"doc_count\":1}}}}", name);
    char *answer = strdup(text);
    fake.answer = answer;
    fake.script = only_the_first;
    fake.q.fallback = (struct fallback *)(void *)&fake; /* there is one */
    fake.q.breaker.failures_to_open = 1;
    search_cache_free(fake.q.cache);
    fake.conf.cache_bytes = 12000;
    fake.q.cache = search_cache_new(&fake.q, 0, 1, &error);
    begin();
    for (unsigned round = 0; round < 2; round++) {
        size_t n = (size_t)snprintf(text, sizeof(text), "{\"requests\":[");
        for (unsigned i = 0; i < (round ? PARTS : 1); i++)
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s{\"indexName\":\"products\",\"model\":\"related-products\",\"objectID\":\"%0*u\"}",
                                  i ? "," : "", i < 4 ? 1 : 128, i < 4 ? 0 : i);
        snprintf(text + n, sizeof(text) - n, "]}");
        assert_int_equal(post_to("/1/indexes/*/recommendations", text, &a), 200);
    }
    end();
    for (const char *at = a.body; (at = strstr(at, name)); at++)
        whole++;
    assert_int_equal(whole, 4);
    free(answer);
    fake.q.fallback = NULL;
}

/* ---- what is written ---- */

static void begin_with_events(void) {
    static char name[] = "search-events";
    struct error error = {0};
    fake.script = always;
    fake.conf.events_index = name;
    fake.conf.events_buffer_bytes = 64 << 20;
    fake.conf.events_timeout_usec = 2 * USEC_PER_SEC;
    fake.q.events = event_log_new(&fake.q, &error);
    assert_non_null(fake.q.events);
    begin();
}

/* As of a bulk with 130,000 events: each is three values. */
static void test_a_long_answer_of_a_bulk_is_read(void **state) {
    (void)state;
    static const char head[] = "{\"items\":[{\"create\":{\"status\":201}}", item[] = ",{\"a\":{\"b\":1}}";
    static char text[sizeof(head) + 130000 * (sizeof(item) - 1) + 2];
    struct answer a;
    size_t n = sizeof(head) - 1;
    memcpy(text, head, n);
    for (; n + sizeof(item) + 2 < sizeof(text); n += sizeof(item) - 1)
        memcpy(text + n, item, sizeof(item) - 1);
    memcpy(text + n, "]}", 3);
    fake.answer = text;
    begin_with_events();
    assert_int_equal(post_to("/v1/events", "{\"type\":\"click\",\"product_id\":\"p\"}", &a), 202);
}

/* 503 would have it sent once more, and counted twice. */
static void test_events_are_waited_for_as_long_as_they_may_take(void **state) {
    (void)state;
    struct answer a;
    fake.answer = "{\"items\":[{\"create\":{\"status\":201}}]}";
    fake.takes = 900 * USEC_PER_MSEC;
    begin_with_events();
    assert_int_equal(post_to("/v1/events", "{\"type\":\"click\",\"product_id\":\"p\"}", &a), 202);
}

static unsigned bulks;

static int bulks_are_late(unsigned number) {
    (void)number;
    bulks += strstr(fake.path, "_bulk") != NULL;
    return strstr(fake.path, "_bulk") ? TOO_LATE : 200;
}

static void test_counts_are_added_once(void **state) {
    (void)state;
    struct answer a;
    struct error error = {0};
    query_analytics_free(fake.q.analytics);
    fake.all = true;
    fake.script = bulks_are_late;
    fake.conf.analytics_flush_usec = 300 * USEC_PER_MSEC;
    bulks = 0;
    assert_non_null(fake.q.analytics = query_analytics_new(&fake.q, &error));
    begin();
    assert_int_equal(get("/v1/search?q=tea", &a), 200);
    assert_int_equal(get("/v1/search?q=tea&size=0&facets=brand", &a), 200); /* what belongs to a page is no search of its own */
    end();
    run_until(bulks > 0);
    run_for(700 * USEC_PER_MSEC);
    assert_int_equal(bulks, 1); /* it may well have been written */
    assert_non_null(strstr(fake.written, "\"s\":1,"));
}

/* As for a loop of the program. */
static void begin_with_counts(usec_t flush) {
    struct error error = {0};
    query_analytics_free(fake.q.analytics);
    fake.all = true;
    fake.script = fake.script ? fake.script : always;
    fake.conf.analytics_flush_usec = flush;
    fake.q.guard = api_guard_new(&(struct api_guard_conf){.open_scopes = HTTP_SCOPE_SEARCH}, NULL, "test", &error);
    fake.q.bursts = query_bursts_new();
    assert_non_null(fake.q.analytics = query_analytics_new(&fake.q, &error));
    begin();
}

static void test_counts_are_written_at_the_end(void **state) {
    (void)state;
    struct answer a;
    begin_with_counts(3600 * USEC_PER_SEC);
    assert_int_equal(get("/v1/search?q=te", &a), 200);
    assert_int_equal(post("{\"requests\":[{\"indexName\":\"products\",\"query\":\"tea\"},"
                          "{\"indexName\":\"products\",\"query\":\"mug\",\"analytics\":false}]}", &a), 200);
    end();
    query_analytics_stop(fake.q.analytics, clock_now_usec() + WAIT_SEC * USEC_PER_SEC);
    assert_non_null(strstr(fake.path, "_bulk"));
    assert_non_null(strstr(fake.asked, "\"s\":1,\"c\":0,\"r\":20"));
    assert_non_null(strstr(fake.asked, "\"query\":\"tea\""));
    assert_null(strstr(fake.asked, "\"query\":\"te\"")); /* it was only a beginning */
    assert_null(strstr(fake.asked, "mug"));
}

static void test_the_end_does_not_wait_for_ever(void **state) {
    (void)state;
    struct answer a;
    begin_with_counts(3600 * USEC_PER_SEC);
    assert_int_equal(get("/v1/search?q=tea", &a), 200);
    end();
    fake.takes = 3600 * USEC_PER_SEC;
    usec_t begun = clock_now_usec();
    query_analytics_stop(fake.q.analytics, begun + 100 * USEC_PER_MSEC);
    assert_true(clock_now_usec() < begun + WAIT_SEC * USEC_PER_SEC);
}

static void on_click(struct loop_timer *timer) {
    (void)timer;
    query_analytics_click(fake.q.analytics, SLICE("tea"));
}

/* A click is known to be written, and the time of a flush has come, while the last counts are on their way. */
static void test_one_bulk_at_a_time_also_at_the_end(void **state) {
    (void)state;
    struct answer a;
    struct loop_timer click = {.cb = on_click};
    begin_with_counts(200 * USEC_PER_MSEC);
    assert_int_equal(get("/v1/search?q=tea", &a), 200);
    end();
    fake.takes = 400 * USEC_PER_MSEC;
    loop_timer_set(fake.q.loop, &click, clock_now_usec());
    query_analytics_stop(fake.q.analytics, clock_now_usec() + WAIT_SEC * USEC_PER_SEC);
    assert_non_null(strstr(fake.asked, "\"s\":0,\"c\":1"));
}

static unsigned searches;

static int fewer_the_second_time(unsigned number) {
    (void)number;
    if (strstr(fake.path, "_search") && searches++)
        fake.answer = "{\"timed_out\":false,\"_shards\":{\"failed\":0},\"hits\":{\"total\":{\"value\":7,\"relation\":\"eq\"},\"hits\":[]},"
                      "\"aggregations\":{}}";
    return 200;
}

/* The second client has its answer from the cache, and has gone when the engine says how many there are by now. */
static void test_results_are_of_the_last_answer(void **state) {
    (void)state;
    struct error error = {0};
    struct answer a;
    searches = 0;
    search_cache_free(fake.q.cache);
    fake.conf.cache_stale_usec = 3600 * USEC_PER_SEC;
    assert_non_null(fake.q.cache = search_cache_new(&fake.q, 0, 1, &error));
    fake.script = fewer_the_second_time;
    fake.takes = 100 * USEC_PER_MSEC;
    begin_with_counts(3600 * USEC_PER_SEC);
    assert_int_equal(get("/v1/search?q=tea", &a), 200);
    assert_int_equal(get("/v1/search?q=tea", &a), 200);
    end();
    run_until(searches == 2);
    query_analytics_stop(fake.q.analytics, clock_now_usec() + WAIT_SEC * USEC_PER_SEC);
    assert_non_null(strstr(fake.asked, "\"s\":2,\"c\":0,\"r\":7"));
}

/* ---- other ways to the engine ---- */

static void test_suggestions_are_ranked_as_configured(void **state) {
    (void)state;
    struct answer a;
    fake.script = always;
    fake.conf.ranking.description = 937;
    begin();
    assert_int_equal(get("/v1/suggest?q=tea", &a), 200);
    end();
    assert_non_null(strstr(fake.asked, "description.ko^9.37"));
}

static const char *index_answer[2]; /* what it is, how it is made */

static int of_the_index(unsigned number) {
    (void)number;
    fake.answer = index_answer[strstr(fake.path, "filter_path=") != NULL];
    return 200;
}

static void test_an_index_made_anew_is_another(void **state) {
    (void)state;
    struct error error = {0};
    fake.all = true;
    fake.script = of_the_index;
    fake.conf.categories_poll_usec = USEC_PER_MSEC;
    index_answer[0] = "{\"products\":{\"aliases\":{},\"settings\":{\"index\":{\"uuid\":\"a\"}}}}";
    index_answer[1] = "{\"products\":{\"settings\":{\"index\":{\"number_of_shards\":\"2\"}}}}";
    assert_non_null(fake.q.index_poll = index_poll_new(&fake.q, &error));
    run_until(fake.q.index.sharded);
    run_for(100 * USEC_PER_MSEC);
    assert_int_equal(fake.q.epoch, 1);
    index_answer[0] = "{\"products\":{\"aliases\":{},\"settings\":{\"index\":{\"uuid\":\"b\"}}}}";
    index_answer[1] = "{\"products\":{\"settings\":{\"index\":{\"number_of_shards\":\"1\"}}}}";
    run_until(fake.q.epoch > 1 && !fake.q.index.sharded);
    run_for(100 * USEC_PER_MSEC);
    assert_int_equal(fake.q.epoch, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate_setup_teardown(test_counts_fail_behind_a_page, setup, teardown, &usual_deadline),
        cmocka_unit_test_prestate_setup_teardown(test_equal_searches_of_a_batch_all_get_the_old_answer, setup, teardown, &usual_deadline),
        cmocka_unit_test_prestate_setup_teardown(test_a_long_batch_does_not_open_the_breaker, setup, teardown, &short_deadline),
        cmocka_unit_test_prestate_setup_teardown(test_half_an_answer_recommends_nothing, setup, teardown, &usual_deadline),
        cmocka_unit_test_prestate_setup_teardown(test_who_has_waited_too_long_is_not_asked_for, setup, teardown, &short_deadline),
        cmocka_unit_test_prestate_setup_teardown(test_a_tree_without_an_index_has_no_counts, setup, teardown, &usual_deadline),
        cmocka_unit_test_prestate_setup_teardown(test_an_old_answer_lasts_until_all_have_it, setup, teardown, &usual_deadline),
        cmocka_unit_test_prestate_setup_teardown(test_a_long_answer_of_a_bulk_is_read, setup, teardown, &usual_deadline),
        cmocka_unit_test_prestate_setup_teardown(test_events_are_waited_for_as_long_as_they_may_take, setup, teardown, &short_deadline),
        cmocka_unit_test_prestate_setup_teardown(test_counts_are_added_once, setup, teardown, &usual_deadline),
        cmocka_unit_test_prestate_setup_teardown(test_counts_are_written_at_the_end, setup, teardown, &usual_deadline),
        cmocka_unit_test_prestate_setup_teardown(test_the_end_does_not_wait_for_ever, setup, teardown, &usual_deadline),
        cmocka_unit_test_prestate_setup_teardown(test_one_bulk_at_a_time_also_at_the_end, setup, teardown, &usual_deadline),
        cmocka_unit_test_prestate_setup_teardown(test_results_are_of_the_last_answer, setup, teardown, &usual_deadline),
        cmocka_unit_test_prestate_setup_teardown(test_suggestions_are_ranked_as_configured, setup, teardown, &usual_deadline),
        cmocka_unit_test_prestate_setup_teardown(test_an_index_made_anew_is_another, setup, teardown, &usual_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
