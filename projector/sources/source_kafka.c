#include "core/cleanup.h"
#include "core/log.h"
#include "projector/compose/category_load.h"
#include "projector/engine/lag.h"
#include "projector/sources/source_kafka.h"
#include <pthread.h>

enum {
    SEGMENT_MAX_BYTES = 16 << 20,
    AHEAD_SECONDS = 5, /* a time so far above what we know of the cluster's is looked into */
};

/* In the order of reading; gone once it and all before it are finished. */
struct batch_offsets {
    struct batch_offsets *next;
    unsigned pending; /* segments that are not finished */
    size_t count, capacity;
    struct kafka_place {
        int32_t partition;
        int64_t next_offset;
    } places[];
};

struct source_kafka {
    struct source_kafka_conf conf;
    struct segment *segments[MARK_SOURCE_COUNT]; /* being gathered */
    struct batch_offsets *gathering;
    size_t gathered;
    bool wants_fence, wants_revision, full;
    uint64_t known_time; /* an operation time that the cluster has reached */
    uint64_t target_revision;
    pthread_mutex_t lock;
    struct batch_offsets *oldest, *newest; /* under the lock */
    struct metric *bad_key, *bad_value, *fences, *bad_times;
};

struct source_kafka *source_kafka_new(const struct source_kafka_conf *conf, struct error *reterr) {
    static const char help[] = "Messages of the topic of marks that could not be read, by what was wrong.";
    struct source_kafka *s = calloc(1, sizeof(*s));
    if (!s) {
        error_nomem(reterr);
        return NULL;
    }
    s->conf = *conf;
    pthread_mutex_init(&s->lock, NULL);
    s->bad_key = metrics_counter("readside_projector_kafka_bad_messages_total", help, "part=\"key\"");
    s->bad_value = metrics_counter("readside_projector_kafka_bad_messages_total", help, "part=\"value\"");
    s->bad_times = metrics_counter("readside_projector_kafka_bad_messages_total", help, "part=\"time\"");
    s->fences = metrics_counter("readside_projector_kafka_fence_reads_total",
                                "Linearizable reads for marks without a cluster time.", "");
    return s;
}

static void drop_gathered(struct source_kafka *s) {
    for (int i = 0; i < MARK_SOURCE_COUNT; i++) {
        segment_free(s->segments[i]);
        s->segments[i] = NULL;
    }
    free(s->gathering);
    s->gathering = NULL;
    s->gathered = 0;
    s->wants_fence = s->wants_revision = false;
}

void source_kafka_free(struct source_kafka *s) {
    if (!s)
        return;
    drop_gathered(s);
    for (struct batch_offsets *batch; (batch = s->oldest);) {
        s->oldest = batch->next;
        free(batch);
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* -- gathering ---------------------------------------------------------------------------------------------- */

static bool note_place(struct source_kafka *s, const struct kafka_event *message) {
    struct batch_offsets *batch = s->gathering;
    for (size_t i = 0; batch && i < batch->count; i++)
        if (batch->places[i].partition == message->partition) {
            batch->places[i].next_offset = message->offset + 1;
            return true;
        }
    size_t count = batch ? batch->count : 0, capacity = batch ? batch->capacity : 0;
    if (count == capacity) {
        capacity = capacity ? capacity * 2 : 8;
        batch = realloc(batch, sizeof(*batch) + capacity * sizeof(batch->places[0]));
        if (!batch)
            return false;
        if (!s->gathering)
            *batch = (struct batch_offsets){0};
        batch->capacity = capacity;
        s->gathering = batch;
    }
    batch->places[batch->count++] = (struct kafka_place){message->partition, message->offset + 1};
    return true;
}

static void say_bad(const struct source_kafka *s, const struct kafka_event *message, enum mark_message_state state,
                    const struct error *error) {
    bool key = state == MARK_MESSAGE_BAD_KEY;
    metric_inc(key ? s->bad_key : s->bad_value);
    log_warn("kafka.bad_message", LOG_STR("topic", s->conf.topic), LOG_INT("partition", message->partition),
             LOG_INT("offset", message->offset), LOG_INT("key_bytes", message->key.len),
             LOG_INT("value_bytes", message->value.len), LOG_STR("consequence", key ? "skipped" : "read as a mark without a time"),
             LOG_ERR(error));
}

/* Background marks wait in the lanes behind live ones, whoever made them. */
static enum mark_source source_of(const struct mark_message *m) {
    if (m->background)
        return MARK_JOB;
    return m->source == MARK_JOB ? MARK_STREAM : m->source;
}

static bool gather(struct source_kafka *s, const struct mark_message *m) {
    enum mark_source source = source_of(m);
    struct segment **segment = &s->segments[source];
    if (!*segment)
        *segment = segment_new(source, m->background ? MARK_BACKGROUND : MARK_LIVE, SEGMENT_MAX_BYTES);
    if (!*segment || !segment_add(*segment, m->id, m->id_len, m->commit_wall_usec))
        return false;
    if (m->cluster_time > (*segment)->cluster_time)
        (*segment)->cluster_time = m->cluster_time;
    if (m->category_revision > (*segment)->category_revision)
        (*segment)->category_revision = m->category_revision;
    (*segment)->force = (*segment)->force || m->force;
    s->wants_fence = s->wants_fence || m->cluster_time == 0;
    s->wants_revision = s->wants_revision || m->category_revision == 0;
    if (m->target_revision > s->target_revision)
        s->target_revision = m->target_revision;
    return true;
}

bool source_kafka_add(struct source_kafka *s, const struct kafka_event *message) {
    struct mark_message m;
    struct error error = {0};
    enum mark_message_state state = mark_message_read(s->conf.format, message->key, message->value, &m, &error);
    if (state != MARK_MESSAGE_OK)
        say_bad(s, message, state, &error);
    if (state != MARK_MESSAGE_BAD_KEY) {
        if (m.commit_wall_usec == 0)
            m.commit_wall_usec = message->wall_usec;
        if (!gather(s, &m))
            return false;
    }
    if (!note_place(s, message))
        return false;
    s->gathered++;
    return true;
}

size_t source_kafka_gathered(const struct source_kafka *s) {
    return s->gathered;
}

uint64_t source_kafka_target_revision(const struct source_kafka *s) {
    return s->target_revision;
}

/* What was fetched ahead is fetched again after a pause: so it ends when half of a window is free, not with the first mark. */
bool source_kafka_has_room(struct source_kafka *s) {
    bool full = false;
    for (int i = 0; i < MARK_SOURCE_COUNT; i++) {
        struct window *w = engine_window(s->conf.engine, (enum mark_source)i);
        full = full || window_used(w) >= (s->full ? w->limit / 2 : w->limit);
    }
    s->full = full;
    return !full;
}

/* -- posting ------------------------------------------------------------------------------------------------ */

/* A linearizable read is answered by a primary that a majority still follows, so its operation time is above every
 * change that anybody could have seen (read concern "linearizable" in MongoDB's manual). */
static bool fence(struct source_kafka *s, struct error *reterr) {
    bson_t *command = BCON_NEW("find", STATE_COLLECTION, "filter", "{", "_id", "lease", "}", "projection", "{", "_id",
                               BCON_INT32(1), "}", "limit", BCON_INT32(1), "singleBatch", BCON_BOOL(true), "maxTimeMS",
                               BCON_INT64((int64_t)(s->conf.timeout_usec / USEC_PER_MSEC)), "readConcern", "{", "level",
                               "linearizable", "}");
    bson_t reply;
    bool ok = state_command(s->conf.client, s->conf.database, command, "fence read", &reply, reterr);
    uint64_t time = ok ? state_operation_time(&reply) : 0;
    bson_destroy(command);
    bson_destroy(&reply);
    if (ok && time == 0)
        return error_set(reterr, ERROR_UNAVAILABLE, "MongoDB gives no operationTime: is it a replica set?");
    if (ok) {
        metric_inc(s->fences);
        s->known_time = time > s->known_time ? time : s->known_time;
    }
    return ok;
}

static bool is_far_ahead(const struct source_kafka *s, uint64_t time) {
    return (time >> 32) > (s->known_time >> 32) + AHEAD_SECONDS;
}

static bool settle_times(struct source_kafka *s, struct error *reterr) {
    bool ahead = false;
    for (int i = 0; i < MARK_SOURCE_COUNT; i++)
        ahead = ahead || (s->segments[i] && is_far_ahead(s, s->segments[i]->cluster_time));
    bool wanted = s->wants_fence;
    if ((wanted || ahead) && !fence(s, reterr))
        return false;
    for (int i = 0; i < MARK_SOURCE_COUNT; i++) {
        struct segment *segment = s->segments[i];
        if (!segment)
            continue;
        bool wrong = ahead && segment->cluster_time > s->known_time;
        if (wrong) {
            metric_inc(s->bad_times);
            log_warn("kafka.bad_time", LOG_INT("seconds", segment->cluster_time >> 32),
                     LOG_INT("cluster_seconds", s->known_time >> 32),
                     LOG_STR("consequence", "products are read after the cluster's own time"));
        }
        if (wrong || (wanted && segment->cluster_time < s->known_time))
            segment->cluster_time = s->known_time;
    }
    return true;
}

static bool settle_revisions(struct source_kafka *s, struct error *reterr) {
    uint64_t revision = 0;
    if (!s->wants_revision)
        return true;
    if (!category_load_revision(s->conf.mysql, &revision, reterr))
        return false;
    for (int i = 0; i < MARK_SOURCE_COUNT; i++)
        if (s->segments[i] && s->segments[i]->category_revision < revision)
            s->segments[i]->category_revision = revision;
    return true;
}

/* Under the lock. */
static void pop_finished(struct source_kafka *s) {
    for (struct batch_offsets *batch; (batch = s->oldest) && batch->pending == 0;) {
        s->oldest = batch->next;
        if (!s->oldest)
            s->newest = NULL;
        for (size_t i = 0; i < batch->count; i++)
            kafka_consumer_done(s->conf.consumer, batch->places[i].partition, batch->places[i].next_offset);
        free(batch);
    }
}

bool source_kafka_flush(struct source_kafka *s, struct error *reterr) {
    if (s->gathered == 0)
        return true;
    if (!settle_times(s, reterr) || !settle_revisions(s, reterr))
        return false;
    struct batch_offsets *batch = TAKE(s->gathering);
    batch->next = NULL;
    for (int i = 0; i < MARK_SOURCE_COUNT; i++)
        batch->pending += s->segments[i] != NULL;
    s->gathered = 0;
    s->wants_fence = s->wants_revision = false;
    pthread_mutex_lock(&s->lock);
    *(s->newest ? &s->newest->next : &s->oldest) = batch;
    s->newest = batch;
    pop_finished(s);
    pthread_mutex_unlock(&s->lock);
    for (int i = 0; i < MARK_SOURCE_COUNT; i++) {
        struct segment *segment = TAKE(s->segments[i]);
        if (!segment)
            continue;
        segment->position = batch;
        window_add(engine_window(s->conf.engine, (enum mark_source)i), segment->count + 1);
        engine_post_segment(s->conf.engine, segment);
    }
    return true;
}

void source_kafka_acked(struct source_kafka *s, const struct segment *segment) {
    struct batch_offsets *batch = segment->position;
    pthread_mutex_lock(&s->lock);
    batch->pending--;
    pop_finished(s);
    pthread_mutex_unlock(&s->lock);
}

usec_t source_kafka_progress_at(const struct source_kafka *s) {
    return kafka_consumer_answered_at(s->conf.consumer);
}
