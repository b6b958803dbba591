#include "core/cleanup.h"
#include "core/daemon.h"
#include "core/metrics.h"
#include "projector/engine/lag.h"
#include "projector/sources/mark_message.h"
#include "projector/sources/relay.h"

enum {
    RETRY_MIN_USEC = 50 * 1000,
    RETRY_MAX_USEC = 2 * 1000 * 1000,
    STALLED_USEC = 15 * 1000 * 1000,
    MESSAGE_MAX_BYTES = 4096,
    UNUSED_MAX = 8192,
};

/* A mark on its way; in `pending` from relay_take until it is stored, oldest first. */
struct relay_mark {
    struct relay *relay;
    struct relay_mark *prev, *next;
    struct relay_mark *waiting; /* in the list of those to send again */
    struct segment *segment;
    usec_t taken_at;
    int64_t commit_wall_usec;
    uint8_t id_len;
    char id[MARK_ID_MAX];
};

struct relay {
    const struct projector_conf *options;
    struct loop *loop;
    uint64_t target_revision;
    struct kafka_producer *producer;
    struct relay_mark *oldest, *newest;
    size_t pending;
    struct relay_mark *waiting, **waiting_tail;
    struct relay_mark *unused;
    size_t unused_count;
    unsigned released[MARK_SOURCE_COUNT];
    struct loop_timer retry_timer;
    unsigned failures; /* since the last success */
    struct error last;
    bool topic_is_gone;
    bool closing;
    struct buf key, value;
    struct metric *delivered, *failed, *pending_gauge, *oldest_gauge, *commit_to_topic[MARK_SOURCE_COUNT];
};

static struct daemon_condition *kafka_condition;

static void register_metrics(struct relay *r) {
    static const char help[] = "Messages that Kafka stored, or reported as not stored (they are sent again).";
    r->delivered = metrics_counter("readside_projector_relay_messages_total", help, "result=\"delivered\"");
    r->failed = metrics_counter("readside_projector_relay_messages_total", help, "result=\"failed\"");
    r->pending_gauge = metrics_gauge("readside_projector_relay_pending", "Marks that Kafka has not confirmed.", "");
    r->oldest_gauge = metrics_gauge("readside_projector_relay_oldest_seconds",
                                    "How long the oldest unconfirmed mark has waited.", "");
    for (int s = 0; s < MARK_JOB; s++) {
        struct buf labels = BUF_INIT(128);
        metrics_append_label(&labels, "source", mark_source_names[s]);
        r->commit_to_topic[s] = metrics_histogram("readside_projector_commit_to_topic_seconds",
                                                  "From the commit in the source to the mark stored in the topic.",
                                                  buf_ok(&labels) ? labels.data : "");
        buf_done(&labels);
    }
}

/* -- the list of what is under way -- */

static struct relay_mark *mark_new(struct relay *r) {
    struct relay_mark *m = r->unused;
    if (!m)
        return malloc(sizeof(*m));
    r->unused = m->next;
    r->unused_count--;
    return m;
}

static void mark_unlink(struct relay_mark *m) {
    struct relay *r = m->relay;
    *(m->prev ? &m->prev->next : &r->oldest) = m->next;
    *(m->next ? &m->next->prev : &r->newest) = m->prev;
    r->pending--;
    if (r->unused_count >= UNUSED_MAX) {
        free(m);
        return;
    }
    m->next = r->unused;
    r->unused = m;
    r->unused_count++;
}

static void mark_link(struct relay *r, struct relay_mark *m) {
    m->next = NULL;
    m->prev = r->newest;
    *(m->prev ? &m->prev->next : &r->oldest) = m;
    r->newest = m;
    r->pending++;
}

/* -- sending -- */

static void wait_to_send(struct relay *r, struct relay_mark *m) {
    m->waiting = NULL;
    *r->waiting_tail = m;
    r->waiting_tail = &m->waiting;
    if (r->retry_timer.index == 0)
        loop_timer_set(r->loop, &r->retry_timer,
                       loop_now(r->loop) + clock_backoff_usec(r->failures < 8 ? r->failures : 8, RETRY_MIN_USEC, RETRY_MAX_USEC));
}

static void failed(struct relay *r, struct relay_mark *m, const struct error *error) {
    if (!r->topic_is_gone) /* what comes of that is no news */
        r->last = *error;
    r->topic_is_gone = r->topic_is_gone || error->code == ERROR_NOT_FOUND;
    wait_to_send(r, m);
}

static void on_delivered(void *ctx, const struct kafka_delivery *delivery) {
    struct relay_mark *m = ctx;
    struct relay *r = m->relay;
    if (r->closing)
        return;
    if (delivery->error.code != ERROR_NONE) {
        metric_inc(r->failed);
        if (r->failures++ == 0)
            log_warn("relay.not_stored", LOG_STR("topic", r->options->marks_topic), LOG_INT("pending", r->pending),
                     LOG_ERR(&delivery->error));
        failed(r, m, &delivery->error);
        return;
    }
    if (r->failures)
        log_info("relay.stores_again", LOG_STR("topic", r->options->marks_topic));
    r->failures = 0;
    metric_inc(r->delivered);
    lag_observe(r->commit_to_topic[m->segment->source], m->commit_wall_usec, clock_wall_usec());
    m->segment->pending--;
    r->released[m->segment->source]++;
    mark_unlink(m);
}

static void encode(struct relay *r, const struct relay_mark *m) {
    const struct segment *s = m->segment;
    struct mark_message message = {.source = s->source, .background = s->priority == MARK_BACKGROUND,
                                   .force = s->force, .cluster_time = s->cluster_time,
                                   .category_revision = s->category_revision,
                                   .target_revision = r->target_revision,
                                   .commit_wall_usec = m->commit_wall_usec, .id_len = m->id_len};
    memcpy(message.id, m->id, m->id_len);
    buf_reset(&r->key);
    buf_reset(&r->value);
    mark_message_write_key((enum marks_format)r->options->marks_format, &message, &r->key);
    mark_message_write_value(&message, &r->value);
}

static bool send_mark(struct relay *r, struct relay_mark *m) {
    encode(r, m);
    struct kafka_message message = {.topic = r->options->marks_topic, .key = {r->key.data, r->key.len},
                                    .value = {r->value.data, r->value.len}};
    struct error error = {.code = ERROR_INTERNAL, .message = "out of memory"};
    if (buf_ok(&r->key) && buf_ok(&r->value) &&
        kafka_producer_send(r->producer, &message, on_delivered, m, &error))
        return true;
    failed(r, m, &error);
    return false;
}

static void retry(struct loop_timer *timer) {
    struct relay *r = CONTAINER_OF(timer, struct relay, retry_timer);
    struct relay_mark *list = r->waiting;
    r->waiting = NULL;
    r->waiting_tail = &r->waiting;
    while (list) {
        struct relay_mark *m = list;
        list = m->waiting;
        if (send_mark(r, m))
            continue;
        if (list) { /* no room: the rest waits as well, in its order */
            *r->waiting_tail = list;
            while (*r->waiting_tail)
                r->waiting_tail = &(*r->waiting_tail)->waiting;
        }
        return;
    }
}

bool relay_take(struct relay *r, struct segment *segment) {
    struct mark mark;
    for (size_t offset = 0; segment_next(segment, &offset, &mark);) {
        struct relay_mark *m = mark_new(r);
        if (!m)
            return false;
        *m = (struct relay_mark){.relay = r, .segment = segment, .taken_at = loop_now(r->loop),
                                 .commit_wall_usec = mark.commit_wall_usec, .id_len = (uint8_t)mark.len};
        memcpy(m->id, mark.id, mark.len);
        mark_link(r, m);
        segment->pending++;
        if (r->waiting)
            wait_to_send(r, m); /* in line */
        else
            send_mark(r, m);
    }
    return true;
}

unsigned relay_released(struct relay *r, enum mark_source source) {
    unsigned n = r->released[source];
    r->released[source] = 0;
    return n;
}

bool relay_topic_is_gone(const struct relay *r) {
    return r->topic_is_gone;
}

size_t relay_pending(const struct relay *r) {
    return r->topic_is_gone ? 0 : r->pending;
}

bool relay_tick(struct relay *r, struct error *reterr) {
    usec_t waited = r->oldest ? loop_now(r->loop) - r->oldest->taken_at : 0;
    metric_set(r->pending_gauge, (double)r->pending);
    metric_set(r->oldest_gauge, (double)waited / 1e6);
    bool stalled = waited > STALLED_USEC || r->failures > 0;
    daemon_condition_set(kafka_condition, !stalled,
                         r->failures ? r->last.message : "Kafka does not confirm what is sent to it");
    if (r->topic_is_gone)
        return error_set(reterr, r->last.code, "%s", r->last.message);
    return kafka_producer_check(r->producer, reterr);
}

struct relay *relay_new(const struct projector_options *options, int64_t target_revision, struct loop *loop,
                        struct error *reterr) {
    struct relay *r = calloc(1, sizeof(*r));
    if (!r) {
        error_nomem(reterr);
        return NULL;
    }
    r->options = &options->projector;
    r->loop = loop;
    r->target_revision = target_revision > 0 ? (uint64_t)target_revision : 0;
    r->waiting_tail = &r->waiting;
    r->retry_timer.cb = retry;
    buf_init(&r->key, MESSAGE_MAX_BYTES);
    buf_init(&r->value, MESSAGE_MAX_BYTES);
    register_metrics(r);
    if (!kafka_condition)
        kafka_condition = daemon_condition_new("kafka", true, NULL);
    r->producer = kafka_producer_new(&options->kafka, "readside-relay", loop, reterr);
    if (r->producer)
        return r;
    relay_free(r);
    return NULL;
}

void relay_free(struct relay *r) {
    if (!r)
        return;
    r->closing = true;
    kafka_producer_close(r->producer, 0);
    loop_timer_cancel(r->loop, &r->retry_timer);
    for (struct relay_mark *m; (m = r->oldest);)
        mark_unlink(m);
    for (struct relay_mark *m; (m = r->unused);) {
        r->unused = m->next;
        free(m);
    }
    metric_set(r->pending_gauge, 0);
    metric_set(r->oldest_gauge, 0);
    buf_done(&r->key);
    buf_done(&r->value);
    free(r);
}
