/* query_api.h - what the files of this program share: options and the state of one loop.
 *
 * There is one query_loop per core. Its HTTP server, its connections to Elasticsearch and its snapshot of the
 * categories all live on its thread, so the request path takes no lock and shares no memory. */
#pragma once
#include "core/api_key_watch.h"
#include "core/breaker.h"
#include "core/conf.h"
#include "core/es.h"
#include "core/http_server.h"
#include "core/metrics.h"
#include "query-api/admin/override_list.h"
#include "query-api/browse/category_list.h"
#include "query-api/search/index_facts.h"
#include "query-api/text/search_text.h"
#include "query-api/upstream/load_limit.h"

struct query_conf {
    char *listen;
    char *port_file;
    int64_t loops;
    char *index;
    char *categories_index;
    char *overrides_index;
    char *events_index, *queries_index;
    int64_t events_buffer_bytes;
    usec_t events_timeout_usec;
    usec_t analytics_flush_usec;
    char *admin_key;
    char *keys_index;
    usec_t keys_poll_usec;
    bool anonymous;
    int64_t anonymous_rate, anonymous_burst;
    char *address_header;
    struct search_ranking ranking;
    usec_t search_timeout_usec;
    usec_t categories_poll_usec;
    usec_t overrides_poll_usec;
    int64_t connections_max;
    int64_t upstream_connections;
    int64_t upstream_queue;
    usec_t upstream_wait_usec;
    int64_t body_max_bytes;
    int64_t header_max_bytes;
    usec_t read_timeout_usec;
    usec_t idle_timeout_usec;
    int64_t cache_bytes;
    usec_t cache_fresh_usec;
    usec_t cache_stale_usec;
    usec_t cache_stale_if_error_usec;
    bool fallback;
    int64_t fallback_threads;
    int64_t fallback_queue;
    usec_t fallback_timeout_usec;
};
extern const struct option query_option_table[]; /* section [query-api] */
extern const size_t query_option_count;

/* Their interfaces differ in a few places. */
enum search_engine { ENGINE_UNKNOWN, ENGINE_ELASTICSEARCH, ENGINE_OPENSEARCH };

struct category_counts;
struct category_poll;
struct event_log;
struct fallback;
struct index_poll;
struct override_poll;
struct query_analytics;
struct query_bursts;
struct search_cache;
struct upstream;
struct view_closing;

struct search_params;

struct query_loop {
    const struct query_conf *conf;
    struct loop *loop;
    struct http_server *server;
    struct es *es;
    struct breaker breaker;
    struct category_poll *poll;
    struct category_list *categories; /* NULL until the first poll */
    struct api_guard *guard;
    struct api_key_watch *key_watch;
    struct category_counts *category_counts; /* of the last tree; NULL until there is one */
    struct override_poll *override_poll;
    struct override_list *overrides; /* NULL until there are any */
    enum search_engine engine; /* as the first walk by cursor found it */
    struct index_poll *index_poll;
    struct index_facts index; /* as the last poll found it */
    struct search_cache *cache;
    struct event_log *events;
    struct query_analytics *analytics;
    struct query_bursts *bursts; /* of all loops; NULL: each text that is sent is a search */
    uint64_t epoch; /* see query_epoch_next */
    struct view_closing *view_closings; /* under way */
    unsigned view_closing_count;
    struct upstream *upstreams; /* questions under way or waiting */
    struct upstream *first_waiting, **last_waiting;
    unsigned upstream_active, upstream_waiting;
    usec_t upstream_answered; /* when it last gave an answer that is no failure */
    struct load_limit limit;
    struct metric *upstream_seconds, *upstream_failures, *breaker_open;
    struct metric *shed_load, *shed_down, *limit_gauge, *waiting_gauge;
    struct fallback *fallback; /* of all loops; NULL: there is none */
    unsigned distrusted; /* answers of a wrong shape in a row */
    _Atomic unsigned unanswered; /* how many first questions at start have no answer yet; main waits for none */
};

/* Handlers; ctx is the query_loop. */
http_handler handle_search, handle_product, handle_category_tree, handle_suggest, handle_similar,
    handle_facet_values;
extern const struct http_param suggest_params[], similar_params[];
/* Answers request, which may be an inner one (http_server.h), as GET /v1/search with these parameters: from the cache, or
 * by asking. What params points to lives as long as the request. */
void search_start(struct query_loop *q, struct http_request *request, const struct search_params *params);
/* What every search of this loop reads its words with; params: what it asks for, may be NULL. */
struct search_text_context search_text_context_of(struct query_loop *q, struct http_request *request, const struct search_params *params);
/* The same for GET /v1/facets/{name}/values: params asks for one facet and no hits; find may be empty. */
void facet_values_start(struct query_loop *q, struct http_request *request, const struct search_params *params, struct slice find);
/* The same for GET /v1/products/{id}/similar; id has 1 to 128 bytes and lives as long as the request. */
void similar_start(struct query_loop *q, struct http_request *request, struct slice id, const char *lang, int64_t size);
/* The same for GET /v1/recommendations; either id may be empty. */
void recommendations_start(struct query_loop *q, struct http_request *request, struct slice user_id, struct slice product_id,
                           const char *lang, unsigned size);
/* The InstantSearch protocol, instant.h: batches, one search, the values of one facet, recommendations. */
http_handler handle_instant_queries, handle_instant_query, handle_instant_facet, handle_instant_recommend;
http_handler handle_events, handle_query_report, handle_search_batch, handle_recommendations;
extern const struct http_param query_report_params[], recommendation_params[];

/* Where the events of a loop wait for being written. */
struct event_log *event_log_new(struct query_loop *q, struct error *reterr);
void event_log_free(struct event_log *log);

/* Is the sender an administrator? If not, the request is answered. */
bool search_may_explain(struct http_request *request);
/* GET (one, all), PUT and DELETE of /admin/{synonyms,stopwords,rules}. */
http_handler handle_override_list, handle_override_get, handle_override_put, handle_override_delete;
http_handler handle_page, handle_page_asset;
/* The same of /admin/keys. */
http_handler handle_key_list, handle_key_get, handle_key_put, handle_key_delete;
extern const struct http_param key_list_params[], override_list_params[];

/* One question to Elasticsearch on behalf of a request: breaker, load limit, deadline, tracing, error mapping and the
 * life of the request in one place. `answer` gets 2xx and 404 with the parsed body (NULL if a 404's is no JSON), which
 * lives as long as the request, and must reply or ask again; every other outcome is answered with problem+json already. `body` is moved. */
typedef void upstream_answer(struct query_loop *q, struct http_request *request, void *data, int status,
                             const struct json *body);
void upstream_ask(struct query_loop *q, struct http_request *request, const char *method, const char *path,
                  struct buf *body, upstream_answer *answer, void *data);

/* The same for who has something better to say than 503 when there is no answer: `failed` must reply. */
typedef void upstream_failed(struct query_loop *q, struct http_request *request, void *data, const struct error *error);
void upstream_ask_or(struct query_loop *q, struct http_request *request, const char *method, const char *path,
                     struct buf *body, upstream_answer *answer, upstream_failed *failed, void *data);
/* The same for an _msearch of which every search is needed: what became of the worst of them became of all. */
void upstream_ask_parts(struct query_loop *q, struct http_request *request, const char *path, struct buf *body,
                        upstream_answer *answer, upstream_failed *failed, void *data);
/* upstream_ask for what the engine has little room for: a 429 or 503 to that does not say that it is down for searches. */
void upstream_ask_extra(struct query_loop *q, struct http_request *request, const char *method, const char *path,
                        upstream_answer *answer, void *data);
/* Would a question of a new request go out, or may it wait? False: it has been refused. For handlers that have much to do
 * before they ask. */
bool upstream_has_room(struct query_loop *q, struct http_request *request);
/* For an `answer` that got JSON which is no answer to what was asked. No client's search can be the cause of that: several
 * in a row, and the server is taken to be down. */
void upstream_distrust(struct query_loop *q);

/* Drops questions that are still under way: their requests have been answered, or their server is gone. */
void upstream_drop_all(struct query_loop *q);

/* For who asks something again and again from the start on, after an answer or none in time: it has been heard; only a
 * server that cannot be reached does not count. *answered is its own flag, false at first. */
static inline void query_answered(struct query_loop *q, const struct http_response *response, bool *answered) {
    if (*answered || response->error.code == ERROR_UNAVAILABLE)
        return;
    q->unanswered--;
    *answered = true;
}

/* Something that answers depend on has changed (the index behind the alias, categories, overrides): no cached answer from
 * before is given out any more while Elasticsearch answers. */
static inline void query_epoch_next(struct query_loop *q) {
    q->epoch++;
}
/* Before the reply of a request whose answer is degraded: nobody may keep it. */
static inline void query_reply_degraded(struct http_request *request) {
    http_reply_header(request, "Cache-Control", "no-store");
}
/* Answers a request that cannot be answered as it should: with an old answer if it is a search that was seen before, else
 * with the error. */
void search_cache_fail(struct query_loop *q, struct http_request *request, const struct error *error);

/* Asks each categories_poll which index is behind the alias. */
struct index_poll *index_poll_new(struct query_loop *q, struct error *reterr);
void index_poll_free(struct index_poll *poll);

/* http_reply_error, whose Retry-After says when the engine is tried next if it is known to be down. */
void upstream_reply_error(struct query_loop *q, struct http_request *request, const struct error *error);

/* Opens a view of the index that does not change under writes, for a walk by cursor. `ready` gets its name, which lives as
 * long as the request, and must reply or ask again; every other outcome is answered already. */
typedef void search_view_ready(struct query_loop *q, struct http_request *request, void *data, struct slice view);
void search_view_open(struct query_loop *q, struct http_request *request, search_view_ready *ready, void *data);
/* After each answer of a walk: with the last one its view is closed, for a node has room for a few hundred of them only. */
void search_view_done(struct query_loop *q, const struct search_params *params, const struct json *answer);
void search_view_drop_all(struct query_loop *q);

/* Keeps q->categories fresh: asks for the revision each second and reloads when it has changed. */
struct category_poll *category_poll_new(struct query_loop *q, struct error *reterr);
void category_poll_free(struct category_poll *poll);
void category_counts_free(struct category_counts *counts);

/* Keeps q->overrides fresh in the same way: every instance has a change within a poll and an answer. */
struct override_poll *override_poll_new(struct query_loop *q, struct error *reterr);
void override_poll_free(struct override_poll *poll);
void override_poll_now(struct override_poll *poll);               /* something has just changed */
bool override_poll_is_there(const struct override_poll *poll);    /* has the index been seen? */

/* Reads the query by the table of the request's route, http_param.h: ret_values[i] is the value of params[i], data NULL
 * if it is not given. Answers 400 and returns false otherwise. */
bool request_params(struct http_request *request, struct slice *ret_values);
/* The language of a value that request_params has read: ko by default. Answers 400 and returns false if it is none. */
bool request_lang(struct http_request *request, struct slice value, char ret[4]);
/* The parameters of endpoints that take lang and nothing else. */
extern const struct http_param request_lang_params[];
