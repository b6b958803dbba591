#include "core/cleanup.h"
#include "core/log.h"
#include "projector/engine/lag.h"
#include "projector/sources/source_mongo.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    BACKOFF_MIN_USEC = 50 * 1000,
    BACKOFF_MAX_USEC = 3 * 1000 * 1000,
    IDLE_POSITION_USEC = 1000 * 1000,
    SEGMENT_MAX_BYTES = 64 << 20,
};

struct source_mongo {
    struct engine *engine;
    const struct engine_conf *conf;
    const char *database;
    struct window *window;
    mongoc_client_t *client;
    mongoc_client_session_t *session; /* a cursor belongs to the session that opened it */
    int64_t cursor_id;
    struct stream_position position; /* read up to here */
    usec_t idle_posted_at;
    usec_t started_over_at;
    unsigned failures;
    atomic_uint_fast64_t position_time, progress_at;
    pthread_t thread;
};

static uint64_t event_time(const bson_t *event) {
    return state_timestamp(event, "clusterTime");
}

/* -- commands -- */

static bool command(struct source_mongo *s, const bson_t *cmd, bson_t *reply, bson_error_t *error) {
    bson_t opts = BSON_INITIALIZER;
    bool ok = mongoc_client_session_append(s->session, &opts, error);
    if (ok)
        ok = mongoc_client_command_with_opts(s->client, s->database, cmd, NULL, &opts, reply, error);
    else
        bson_init(reply);
    bson_destroy(&opts);
    return ok;
}

static void append_pipeline(const struct source_mongo *s, bson_t *cmd) {
    bson_t pipeline, stage, stream;
    BSON_APPEND_ARRAY_BEGIN(cmd, "pipeline", &pipeline);
    BSON_APPEND_DOCUMENT_BEGIN(&pipeline, "0", &stage);
    BSON_APPEND_DOCUMENT_BEGIN(&stage, "$changeStream", &stream);
    if (s->position.token)
        BSON_APPEND_DOCUMENT(&stream, "startAfter", s->position.token); /* resumes after an invalidate as well */
    else
        BSON_APPEND_TIMESTAMP(&stream, "startAtOperationTime", (uint32_t)(s->position.start_at >> 32),
                              (uint32_t)s->position.start_at);
    bson_append_document_end(&stage, &stream);
    bson_append_document_end(&pipeline, &stage);
    BCON_APPEND(&pipeline, "1", "{", "$project", "{", "_id", BCON_INT32(1), "documentKey", BCON_INT32(1),
                "operationType", BCON_INT32(1), "clusterTime", BCON_INT32(1), "wallTime", BCON_INT32(1), "ns",
                BCON_INT32(1), "}", "}");
    bson_append_array_end(cmd, &pipeline);
}

static bool stream_open(struct source_mongo *s, bson_t *reply, bson_error_t *error) {
    bson_t cmd = BSON_INITIALIZER;
    if (!s->session && !(s->session = mongoc_client_start_session(s->client, NULL, error))) {
        bson_init(reply);
        return false;
    }
    BSON_APPEND_UTF8(&cmd, "aggregate", STATE_PRODUCTS);
    append_pipeline(s, &cmd);
    BCON_APPEND(&cmd, "cursor", "{", "batchSize", BCON_INT32(0), "}", "readConcern", "{", "level", "majority", "}");
    bool ok = command(s, &cmd, reply, error);
    bson_destroy(&cmd);
    return ok;
}

static bool stream_more(struct source_mongo *s, bson_t *reply, bson_error_t *error) {
    const struct projector_conf *o = &s->conf->options->projector;
    bson_t *cmd = BCON_NEW("getMore", BCON_INT64(s->cursor_id), "collection", STATE_PRODUCTS, "batchSize",
                           BCON_INT64(o->stream_batch), "maxTimeMS",
                           BCON_INT64((int64_t)(o->stream_await_usec / USEC_PER_MSEC)));
    bool ok = command(s, cmd, reply, error);
    bson_destroy(cmd);
    return ok;
}

static void stream_close(struct source_mongo *s) {
    if (s->cursor_id && s->session) {
        bson_t reply;
        bson_error_t error;
        bson_t *cmd = BCON_NEW("killCursors", STATE_PRODUCTS, "cursors", "[", BCON_INT64(s->cursor_id), "]");
        command(s, cmd, &reply, &error);
        bson_destroy(&reply);
        bson_destroy(cmd);
    }
    s->cursor_id = 0;
    if (s->session)
        mongoc_client_session_destroy(s->session);
    s->session = NULL;
}

/* -- answers -- */

static void token_free(void *position) {
    struct stream_token *token = position;
    bson_destroy(token->token);
    free(token);
}

static bool set_position(struct source_mongo *s, struct segment *segment, const bson_t *token) {
    struct stream_token *position = calloc(1, sizeof(*position));
    if (!position)
        return false;
    position->token = bson_copy(token);
    position->generation = s->position.generation;
    segment->position = position;
    segment->position_free = token_free;
    return true;
}

/* A segment that finds no memory for a mark fails as a whole (its buffer says so).
 * True if the event ends the history of the collection: no delete events come for what it held. */
static bool add_event(struct segment *segment, const bson_t *event) {
    const char *operation = state_string(event, "operationType");
    static const char *const ends[] = {"drop", "rename", "dropDatabase", "invalidate"};
    for (size_t i = 0; operation && i < ARRAY_LEN(ends); i++)
        if (strcmp(operation, ends[i]) == 0)
            return true;
    bson_iter_t at, id;
    uint32_t len = 0;
    const char *text = NULL;
    if (bson_iter_init(&at, event) && bson_iter_find_descendant(&at, "documentKey._id", &id) &&
        BSON_ITER_HOLDS_UTF8(&id))
        text = bson_iter_utf8(&id, &len);
    int64_t wall_usec = 0;
    if (bson_iter_init_find(&at, event, "wallTime") && BSON_ITER_HOLDS_DATE_TIME(&at))
        wall_usec = bson_iter_date_time(&at) * 1000;
    uint64_t time = event_time(event);
    if (time > segment->cluster_time)
        segment->cluster_time = time;
    if (!text || !segment_add(segment, text, len, wall_usec))
        metric_inc(lag_metrics.ignored_events);
    return false;
}

static bool add_events(struct segment *segment, const bson_iter_t *batch) {
    bson_iter_t each;
    bool ended = false;
    if (!BSON_ITER_HOLDS_ARRAY(batch) || !bson_iter_recurse(batch, &each))
        return false;
    while (!ended && bson_iter_next(&each)) {
        uint32_t len;
        const uint8_t *data;
        bson_t event;
        if (!BSON_ITER_HOLDS_DOCUMENT(&each))
            continue;
        bson_iter_document(&each, &len, &data);
        if (bson_init_static(&event, data, len))
            ended = add_event(segment, &event);
    }
    return ended;
}

static void post(struct source_mongo *s, struct segment *segment) {
    window_add(s->window, segment->count + 1);
    engine_post_segment(s->engine, segment);
}

/* Posts what an answer holds. *ret_ended: the collection's history ended in it. False without memory. */
static bool take_answer(struct source_mongo *s, const bson_t *reply, const char *batch_path, bool *ret_ended) {
    bson_iter_t at, batch, token_at;
    *ret_ended = false;
    s->cursor_id = state_i64(reply, "cursor.id");
    if (!bson_iter_init(&at, reply) || !bson_iter_find_descendant(&at, "cursor.postBatchResumeToken", &token_at) ||
        !BSON_ITER_HOLDS_DOCUMENT(&token_at) || !bson_iter_init(&at, reply) ||
        !bson_iter_find_descendant(&at, batch_path, &batch))
        return true;
    uint32_t len;
    const uint8_t *data;
    bson_t token;
    bson_iter_document(&token_at, &len, &data);
    if (!bson_init_static(&token, data, len))
        return true;
    struct segment *segment = segment_new(MARK_STREAM, MARK_LIVE, SEGMENT_MAX_BYTES);
    if (!segment)
        return false;
    *ret_ended = add_events(segment, &batch);
    uint64_t time = segment->cluster_time ? segment->cluster_time : state_operation_time(reply);
    usec_t now = clock_now_usec();
    bool say = segment->count > 0 || now - s->idle_posted_at >= IDLE_POSITION_USEC;
    /* An ended history has no position worth keeping, but the marks before its end are worth having. */
    if (!buf_ok(&segment->marks) || (say && !*ret_ended && !set_position(s, segment, &token))) {
        segment_free(segment);
        return false;
    }
    if (say) {
        s->idle_posted_at = now;
        post(s, segment);
    } else {
        segment_free(segment);
    }
    if (!*ret_ended) {
        stream_position_done(&s->position);
        s->position.token = bson_copy(&token);
    }
    atomic_store(&s->position_time, time);
    atomic_store(&s->progress_at, now);
    return true;
}

/* -- history lost -- */

static void start_over(struct source_mongo *s, const char *reason) {
    stream_close(s);
    /* A stream that breaks again at once must not make one full scan after another. */
    usec_t now = clock_now_usec();
    if (s->started_over_at && now - s->started_over_at < 10 * USEC_PER_SEC)
        window_sleep(s->window, 10 * USEC_PER_SEC);
    engine_note_history_lost(reason);
    for (unsigned attempt = 0; !window_stopped(s->window); attempt++) {
        struct stream_position position;
        struct error error;
        if (state_start_over(s->client, s->database, lease_epoch(s->conf->lease), reason, true, &position, &error)) {
            stream_position_done(&s->position);
            s->position = position;
            s->started_over_at = clock_now_usec();
            engine_poke_jobs(s->engine);
            return;
        }
        bool ours = true;
        if (error.code == ERROR_CONFLICT && lease_check(s->conf->lease, s->client, &ours, NULL) && !ours) {
            engine_post_lease_lost(s->engine);
            return;
        }
        log_warn("stream.start_over_failed", LOG_ERR(&error));
        window_sleep(s->window, clock_backoff_usec(attempt, BACKOFF_MIN_USEC, BACKOFF_MAX_USEC));
    }
}

/* Our token is unusable if the server says that history is lost, and also if it refuses to resume for a reason
 * that trying again will not mend. */
static void failed(struct source_mongo *s, const bson_error_t *e, const bson_t *reply, bool opening) {
    struct error error;
    mongo_error("change stream", e, reply, &error);
    if (mongo_is_history_lost(e) || (opening && s->position.token && !error_is_retriable(&error))) {
        start_over(s, error.message);
        return;
    }
    stream_close(s);
    if (s->failures++ > 0)
        log_warn("stream.failed", LOG_ERR(&error));
    window_sleep(s->window, clock_backoff_usec(s->failures, BACKOFF_MIN_USEC, BACKOFF_MAX_USEC));
}

static void read_once(struct source_mongo *s) {
    bson_t reply;
    bson_error_t error = {0};
    bool opening = s->cursor_id == 0, ended = false;
    bool ok = opening ? stream_open(s, &reply, &error) : stream_more(s, &reply, &error);
    if (!ok) {
        failed(s, &error, &reply, opening);
    } else {
        s->failures = 0;
        if (!take_answer(s, &reply, opening ? "cursor.firstBatch" : "cursor.nextBatch", &ended)) {
            stream_close(s); /* no memory: the same events are read again from the last position */
            window_sleep(s->window, BACKOFF_MAX_USEC);
        }
        if (ended)
            start_over(s, "the collection was dropped or renamed");
    }
    bson_destroy(&reply);
}

static void *source_main(void *arg) {
    struct source_mongo *s = arg;
    pthread_setname_np(pthread_self(), "change-stream");
    s->client = mongoc_client_pool_pop(s->conf->pool);
    while (window_wait(s->window))
        read_once(s);
    stream_close(s);
    mongoc_client_pool_push(s->conf->pool, s->client);
    return NULL;
}

struct source_mongo *source_mongo_start(struct engine *engine, const struct engine_conf *conf, struct error *reterr) {
    struct source_mongo *s = calloc(1, sizeof(*s));
    if (!s) {
        error_nomem(reterr);
        return NULL;
    }
    s->engine = engine;
    s->conf = conf;
    s->database = conf->options->mongo.database;
    s->window = engine_window(engine, MARK_STREAM);
    s->position = conf->position;
    s->position.token = conf->position.token ? bson_copy(conf->position.token) : NULL;
    atomic_store(&s->progress_at, clock_now_usec());
    if (pthread_create(&s->thread, NULL, source_main, s) != 0) {
        error_set(reterr, ERROR_INTERNAL, "cannot start the change stream's thread");
        stream_position_done(&s->position);
        free(s);
        return NULL;
    }
    return s;
}

void source_mongo_stop(struct source_mongo *s) {
    if (!s)
        return;
    pthread_join(s->thread, NULL);
    stream_position_done(&s->position);
    free(s);
}

uint64_t source_mongo_position_time(const struct source_mongo *s) {
    return s ? atomic_load(&s->position_time) : 0;
}

usec_t source_mongo_progress_at(const struct source_mongo *s) {
    return s ? atomic_load(&s->progress_at) : 0;
}
