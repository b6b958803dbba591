#include "core/cleanup.h"
#include "core/log.h"
#include "core/workers.h"
#include "query-api/upstream/fallback.h"
#include "query-api/upstream/fallback_document.h"
#include "query-api/upstream/fallback_query.h"
#include <stdio.h>

/* CANDIDATES: how many products that match are looked at to sort them; what is behind them is not shown. */
enum { CANDIDATES = 500, ANSWER_MAX_BYTES = 16 << 20, UNAUTHORIZED = 13, INDEX_NOT_FOUND = 27, INDEX_OPTIONS_CONFLICT = 85, INDEX_KEY_SPECS_CONFLICT = 86 };
#define INDEX_RETRY_USEC (10 * USEC_PER_SEC)
#define LEFT_MIN_USEC (5 * USEC_PER_MSEC)

DEFINE_CLEANUP(mongoc_cursor_t *, mongoc_cursor_destroy);

struct fallback {
    const struct query_conf *conf;
    struct mongo_conf mongo;
    mongoc_client_pool_t *clients;
    struct workers *workers;
    struct loop *loop;
    struct job index_job;
    struct loop_timer index_timer;
    struct error index_error, said; /* said: why there is no index, as the log has it */
    bool refused_for_good;          /* trying again would change nothing */
    _Atomic bool reached;           /* MongoDB has shown a product once */
    struct metric *answered, *failed, *refused;
};

struct session {
    struct fallback *fallback;
    mongoc_client_t *client;
    mongoc_collection_t *products;
};

struct question {
    struct job job;
    struct query_loop *q;
    struct http_request *request;
    upstream_answer *answer;
    upstream_failed *fail;
    void *data;
    usec_t deadline;
    bson_t steps[FALLBACK_STEPS]; /* filters to be tried one after the other; empty ones are initialized, too */
    bool asked[FALLBACK_STEPS];
    bool single; /* one product by its id, in steps[0] */
    bool whole;  /* all fields are wanted */
    enum sort_order sort;
    unsigned page, size;
    /* the answer */
    int status;
    struct buf out;
    struct error error;
};

static void question_free(struct question *f) {
    for (int i = 0; i < FALLBACK_STEPS; i++)
        bson_destroy(&f->steps[i]);
    buf_done(&f->out);
    http_request_unref(f->request);
    free(f);
}

/* ---- worker thread ---- */

struct found {
    bson_t *product;
    int64_t key;
    bool has_key;
    size_t place;
};

struct founds {
    struct found items[CANDIDATES];
    size_t count;
    bool cut; /* time was over before all had been looked at */
};

static int by_key(const void *a, const void *b) {
    const struct found *x = a, *y = b;
    if (x->has_key != y->has_key)
        return x->has_key ? -1 : 1;
    if (x->has_key && x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

/* Sales are not in MongoDB: what is new stands for what sells best. */
static void sort_founds(const struct question *f, struct founds *all) {
    for (size_t i = 0; i < all->count; i++) {
        struct found *one = &all->items[i];
        int64_t min, max;
        if (f->sort == SORT_NEWEST || f->sort == SORT_BEST_SELLING)
            one->has_key = fallback_document_created(one->product, &one->key);
        else if ((one->has_key = fallback_document_prices(one->product, &min, &max)))
            one->key = f->sort == SORT_PRICE_ASC ? min : max;
        if (f->sort != SORT_PRICE_ASC)
            one->key = -one->key;
    }
    qsort(all->items, all->count, sizeof(all->items[0]), by_key);
}

static bool write_hits(struct question *f, const struct founds *all) {
    struct json_write w;
    size_t first = ((size_t)f->page - 1) * f->size;
    json_write_init(&w, &f->out);
    json_write_object(&w);
    json_write_key(&w, "hits");
    json_write_object(&w);
    json_write_key(&w, "total");
    json_write_object(&w);
    json_write_key(&w, "value");
    json_write_uint(&w, all->count);
    json_write_key(&w, "relation");
    json_write_str(&w, all->count < CANDIDATES && !all->cut ? "eq" : "gte");
    json_write_object_end(&w);
    json_write_key(&w, "hits");
    json_write_array(&w);
    for (size_t i = first; i < all->count && i - first < f->size; i++) {
        json_write_object(&w);
        json_write_key(&w, "_source");
        fallback_document_write(&w, all->items[i].product);
        json_write_object_end(&w);
    }
    json_write_array_end(&w);
    json_write_object_end(&w);
    json_write_object_end(&w);
    return json_write_finish(&w) || error_nomem(&f->error);
}

static bool write_product(struct question *f, const struct founds *all) {
    struct json_write w;
    f->status = all->count ? 200 : 404;
    json_write_init(&w, &f->out);
    json_write_object(&w);
    json_write_key(&w, "found");
    json_write_bool(&w, all->count > 0);
    if (all->count) {
        json_write_key(&w, "_source");
        fallback_document_write(&w, all->items[0].product);
    }
    json_write_object_end(&w);
    return json_write_finish(&w) || error_nomem(&f->error);
}

static bool write_options(const struct question *f, usec_t left, bson_t *ret) {
    static const char *const fields[] = {"name", "brand", "price", "currency", "categories", "primary_category_id", "created_at", "variants.sku", "variants.price"};
    bson_t projection;
    bool ok = BSON_APPEND_INT64(ret, "limit", f->single ? 1 : CANDIDATES) &&
              BSON_APPEND_INT64(ret, "maxTimeMS", (int64_t)(left / USEC_PER_MSEC));
    if (ok && !f->whole) {
        bson_append_document_begin(ret, "projection", -1, &projection);
        for (size_t i = 0; i < ARRAY_LEN(fields); i++)
            bson_append_int32(&projection, fields[i], -1, 1);
        ok = bson_append_document_end(ret, &projection);
    }
    return ok;
}

/* Adds what the filter finds. */
static bool find(struct question *f, struct session *s, const bson_t *filter, struct founds *all) {
    bson_t options = BSON_INITIALIZER;
    bson_error_t e;
    const bson_t *product, *reply;
    usec_t now = clock_now_usec();
    if (now + LEFT_MIN_USEC > f->deadline)
        return error_set(&f->error, ERROR_TIMEOUT, "no time is left");
    bool ok = write_options(f, f->deadline - now, &options) || error_nomem(&f->error);
    _cleanup_(mongoc_cursor_destroyp) mongoc_cursor_t *cursor =
        ok ? mongoc_collection_find_with_opts(s->products, filter, &options, NULL) : NULL;
    bson_destroy(&options);
    while (cursor && all->count < CANDIDATES && mongoc_cursor_next(cursor, &product)) {
        bson_t *copy = bson_copy(product);
        if (copy)
            all->items[all->count] = (struct found){.product = copy, .place = all->count};
        all->count += copy != NULL;
    }
    if (cursor && mongoc_cursor_error_document(cursor, &e, &reply)) {
        mongo_error("the search for products", &e, reply, &f->error);
        if (e.code == INDEX_NOT_FOUND)
            f->error.code = ERROR_NOT_FOUND;
        ok = false;
    }
    return ok;
}

/* Without the index of words, and when there is no time to look through all names, there is less to find, no more. */
static bool may_go_on(const struct question *f, enum fallback_step step) {
    return (step == FALLBACK_WORDS && f->error.code == ERROR_NOT_FOUND) ||
           (step == FALLBACK_INSIDE && f->error.code == ERROR_TIMEOUT);
}

static bool look(struct question *f, struct session *s, struct founds *all) {
    for (enum fallback_step step = 0; step < FALLBACK_STEPS && all->count == 0; step++) {
        if (!f->asked[step] || find(f, s, &f->steps[step], all))
            continue;
        if (!may_go_on(f, step))
            return false;
        all->cut = f->error.code == ERROR_TIMEOUT;
        f->error = (struct error){0};
    }
    return true;
}

static void run_question(struct job *job, void *session) {
    struct question *f = CONTAINER_OF(job, struct question, job);
    struct founds *all = calloc(1, sizeof(*all));
    f->status = 200;
    bool ok = all || error_nomem(&f->error);
    ok = ok && look(f, session, all);
    if (ok && f->sort != SORT_RELEVANCE)
        sort_founds(f, all);
    if (ok)
        ok = f->single ? write_product(f, all) : write_hits(f, all);
    if (!ok)
        f->status = 0;
    for (size_t i = 0; all && i < all->count; i++)
        bson_destroy(all->items[i].product);
    free(all);
}

/* A MongoDB without products has nothing to answer with, and may be somebody else's. */
static bool has_products(struct session *s, struct error *reterr) {
    bson_t *all = bson_new(), *options = BCON_NEW("limit", BCON_INT64(1), "projection", "{", "_id", BCON_INT32(1), "}");
    _cleanup_(mongoc_cursor_destroyp) mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(s->products, all, options, NULL);
    const bson_t *product, *reply;
    bson_error_t e;
    bool found = mongoc_cursor_next(cursor, &product);
    if (mongoc_cursor_error_document(cursor, &e, &reply))
        mongo_error("look for products", &e, reply, reterr);
    else if (!found)
        error_set(reterr, ERROR_NOT_FOUND, "MongoDB has no products in the database \"%s\"", s->fallback->mongo.database);
    bson_destroy(options);
    bson_destroy(all);
    return found;
}

/* Words as they are written, whatever the language: a text index that knows no grammar. */
static void run_index(struct job *job, void *session) {
    struct fallback *f = CONTAINER_OF(job, struct fallback, index_job);
    struct session *s = session;
    f->index_error = (struct error){0};
    if (!has_products(s, &f->index_error))
        return;
    f->reached = true;
    bson_t *command = BCON_NEW("createIndexes", "products", "indexes", "[", "{", "key", "{", "name", "text", "name.ko",
                               "text", "name.en", "text", "brand", "text", "}", "name", FALLBACK_INDEX,
                               "default_language", "none", "language_override", "_language_of_" FALLBACK_INDEX, "}", "]");
    bson_t reply;
    bson_error_t e;
    if (!mongoc_collection_write_command_with_opts(s->products, command, NULL, &reply, &e)) {
        f->refused_for_good = e.code == UNAUTHORIZED || e.code == INDEX_OPTIONS_CONFLICT || e.code == INDEX_KEY_SPECS_CONFLICT;
        mongo_error("make the index " FALLBACK_INDEX, &e, &reply, &f->index_error);
    }
    bson_destroy(&reply);
    bson_destroy(command);
}

static void *session_new(void *ctx, struct error *reterr) {
    struct fallback *f = ctx;
    struct session *s = calloc(1, sizeof(*s));
    if (!s) {
        error_nomem(reterr);
        return NULL;
    }
    *s = (struct session){.fallback = f, .client = mongoc_client_pool_try_pop(f->clients)};
    if (!s->client) {
        error_set(reterr, ERROR_INTERNAL, "no MongoDB client is left in the pool");
        free(s);
        return NULL;
    }
    s->products = mongoc_client_get_collection(s->client, f->mongo.database, "products");
    mongoc_read_prefs_t *nearest = mongoc_read_prefs_new(MONGOC_READ_PRIMARY_PREFERRED); /* an election is no outage */
    mongoc_collection_set_read_prefs(s->products, nearest);
    mongoc_read_prefs_destroy(nearest);
    return s;
}

static void session_free(void *session) {
    struct session *s = session;
    mongoc_collection_destroy(s->products);
    mongoc_client_pool_push(s->fallback->clients, s->client);
    free(s);
}

/* ---- loops ---- */

static void on_answered(struct job *job) {
    struct question *f = CONTAINER_OF(job, struct question, job);
    struct fallback *all = f->q->fallback;
    const struct json *body = NULL;
    if (f->status)
        body = json_parse(http_request_arena(f->request), f->out.data, f->out.len,
                          &(struct json_limits){.depth_max = 32, .values_max = 10000000}, &f->error);
    if (body) {
        metric_inc(all->answered);
        f->answer(f->q, f->request, f->data, f->status, body);
    } else {
        metric_inc(all->failed);
        log_warn("fallback.failed", LOG_ERR(&f->error), LOG_STR("request_id", http_request_id(f->request)));
        error_set(&f->error, ERROR_UNAVAILABLE, "neither the search engine nor the store of products answers; try again shortly");
        f->fail(f->q, f->request, f->data, &f->error);
    }
    question_free(f);
}

static struct question *question_new(struct query_loop *q, struct http_request *request, upstream_answer *answer,
                                     upstream_failed *failed, void *data) {
    struct question *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    f->job.run = run_question;
    f->job.done = on_answered;
    f->q = q;
    f->request = http_request_ref(request);
    f->answer = answer;
    f->fail = failed;
    f->data = data;
    f->deadline = clock_now_usec() + q->conf->fallback_timeout_usec;
    f->page = 1;
    f->size = 1;
    f->out = BUF_INIT(ANSWER_MAX_BYTES);
    for (int i = 0; i < FALLBACK_STEPS; i++)
        bson_init(&f->steps[i]);
    return f;
}

bool fallback_reached(const struct fallback *f) {
    return f && f->reached;
}

static bool submit(struct query_loop *q, struct question *f) {
    if (workers_submit(q->fallback->workers, q->loop, &f->job))
        return true;
    metric_inc(q->fallback->refused);
    question_free(f);
    return false;
}

bool fallback_search(struct query_loop *q, struct http_request *request, const struct search_params *params,
                     upstream_answer *answer, upstream_failed *failed, void *data) {
    struct question *f = fallback_reached(q->fallback) ? question_new(q, request, answer, failed, data) : NULL;
    if (!f)
        return false;
    for (enum fallback_step step = 0; step < FALLBACK_STEPS; step++)
        f->asked[step] = fallback_query_write(step, params, q->categories, &f->steps[step]);
    f->whole = params->field_count > 0;
    f->sort = params->sort;
    f->page = params->page;
    f->size = params->size;
    return submit(q, f);
}

bool fallback_product(struct query_loop *q, struct http_request *request, struct slice id, upstream_answer *answer,
                      upstream_failed *failed, void *data) {
    struct question *f = fallback_reached(q->fallback) ? question_new(q, request, answer, failed, data) : NULL;
    if (!f)
        return false;
    f->single = f->whole = f->asked[0] = true;
    bson_append_utf8(&f->steps[0], "_id", 3, id.data, (int)id.len);
    return submit(q, f);
}

/* ---- the index ---- */

static void on_index_made(struct job *job) {
    static const char slow[] = "searches in an outage look through all names",
                      none[] = "nothing answers new searches in an outage; fallback = false if there is no MongoDB";
    struct fallback *f = CONTAINER_OF(job, struct fallback, index_job);
    if (f->index_error.code == ERROR_NONE) {
        log_info("fallback.ready", LOG_STR("index", FALLBACK_INDEX));
        return;
    }
    if (strcmp(f->said.message, f->index_error.message) != 0)
        log_warn("fallback.no_index", LOG_ERR(&f->index_error), LOG_STR("consequence", f->reached ? slow : none));
    f->said = f->index_error;
    if (!f->refused_for_good)
        loop_timer_set(f->loop, &f->index_timer, clock_now_usec() + INDEX_RETRY_USEC);
}

static void make_index(struct loop_timer *timer) {
    struct fallback *f = CONTAINER_OF(timer, struct fallback, index_timer);
    if (!workers_submit(f->workers, f->loop, &f->index_job))
        loop_timer_set(f->loop, timer, clock_now_usec() + INDEX_RETRY_USEC);
}

static double queued(void *ctx) {
    return workers_queued(ctx);
}

static void register_metrics(struct fallback *f) {
    static const char name[] = "readside_query_api_fallback_total";
    static const char help[] = "Searches and products asked of MongoDB, by what came of it";
    f->answered = metrics_counter(name, help, "result=\"answered\"");
    f->failed = metrics_counter(name, help, "result=\"failed\"");
    f->refused = metrics_counter(name, help, "result=\"refused\"");
    metrics_gauge_fn("readside_query_api_fallback_queue", "Questions to MongoDB that wait for a thread", "", queued, f->workers);
}

struct fallback *fallback_new(const struct query_conf *conf, const struct mongo_conf *mongo, struct loop *loop,
                              struct error *reterr) {
    struct fallback *f = calloc(1, sizeof(*f));
    if (!f) {
        error_nomem(reterr);
        return NULL;
    }
    f->conf = conf;
    f->mongo = *mongo;
    f->mongo.timeout_usec = f->mongo.server_selection_usec = conf->fallback_timeout_usec;
    f->loop = loop;
    f->index_job = (struct job){.run = run_index, .done = on_index_made};
    f->index_timer.cb = make_index;
    f->clients = mongo_pool_new(&f->mongo, "readside-query-api", (unsigned)conf->fallback_threads, reterr);
    struct workers_options options = {.name = "fallback",
                                      .threads = (unsigned)conf->fallback_threads,
                                      .queue_max = (unsigned)conf->fallback_queue,
                                      .session_new = session_new,
                                      .session_free = session_free,
                                      .ctx = f};
    if (f->clients)
        f->workers = workers_new(&options, reterr);
    if (!f->workers) {
        fallback_free(f);
        return NULL;
    }
    register_metrics(f);
    loop_timer_set(loop, &f->index_timer, clock_now_usec());
    return f;
}

void fallback_stop(struct fallback *f) {
    if (!f)
        return;
    loop_timer_cancel(f->loop, &f->index_timer);
    metrics_gauge_fn("readside_query_api_fallback_queue", "", "", NULL, NULL);
    workers_free(f->workers);
    f->workers = NULL;
}

void fallback_free(struct fallback *f) {
    if (!f)
        return;
    fallback_stop(f);
    loop_timer_cancel(f->loop, &f->index_timer); /* a late failure of the index may have armed it */
    if (f->clients)
        mongoc_client_pool_destroy(f->clients);
    free(f);
}
