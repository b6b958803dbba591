#include "core/kafka_consumer.h"
#include "core/cleanup.h"
#include "core/kafka_internal.h"
#include "core/log.h"
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    REQUEST_MSEC = 5000,
    FETCH_KIB = 8192, /* prefetched at most: memory stays bounded */
    POLL_INTERVAL_MSEC = 120 * 1000,
    METADATA_MSEC = KAFKA_LOOK_USEC / USEC_PER_MSEC,
    DESTROY_SECONDS = 5,
    NUDGE_USEC = 1000 * 1000,
    FETCH_WAIT_MSEC = 100, /* what begins to be fetched waits for the fetch that is held open at the broker */
};

struct position {
    int32_t partition;
    int64_t next; /* offset that is polled next; the polling thread's */
    int64_t done, committed;
};

struct kafka_consumer {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue; /* that is polled */
    int wake;                /* eventfd: something came into it */
    usec_t nudge_at;
    const char *topic;
    rd_kafka_message_t *message; /* of the last poll */
    struct kafka_event rebalance; /* seen by a callback, given out by poll */
    rd_kafka_topic_partition_list_t *offered;
    bool closing;
    pthread_mutex_t lock;
    struct position *positions; /* under the lock, with their count */
    size_t position_count;
    bool assigned; /* under the lock */
    bool topic_is_gone; /* under the lock: it was deleted since, perhaps */
    atomic_uint_fast64_t answered_at;
};

/* What is done in a topic that was deleted says nothing of one that is made in its place, by the same name. An offset that is
 * not there may be all that is seen of it. */
static void note_trouble(struct kafka_consumer *c, const struct error *error) {
    bool gone = error->code == ERROR_NOT_FOUND || error->code == ERROR_HISTORY_LOST;
    pthread_mutex_lock(&c->lock);
    c->topic_is_gone = c->topic_is_gone || (c->assigned && gone);
    pthread_mutex_unlock(&c->lock);
}

/* ---- callbacks: all run within poll ----------------------------------------------------------------------- */

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *partitions,
                         void *opaque) {
    struct kafka_consumer *c = opaque;
    if (c->closing) { /* leaving the group revokes, and waits for the answer */
        rd_kafka_assign(rk, NULL);
        return;
    }
    c->rebalance = (struct kafka_event){.type = KAFKA_REVOKED, .lost = rd_kafka_assignment_lost(rk)};
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        c->rebalance.type = KAFKA_ASSIGNED;
        if (c->offered)
            rd_kafka_topic_partition_list_destroy(c->offered);
        c->offered = rd_kafka_topic_partition_list_copy(partitions);
    } else if (code != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
        c->rebalance.lost = true;
    }
}

static void on_commit(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *offsets, void *opaque) {
    struct kafka_consumer *c = opaque;
    (void)rk, (void)offsets;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        atomic_store(&c->answered_at, clock_now_usec());
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque) {
    struct kafka_consumer *c = opaque;
    struct kafka_event trouble = {.type = KAFKA_TROUBLE};
    (void)rk;
    error_set(&trouble.error, kafka_error_code((rd_kafka_resp_err_t)code), "Kafka: %s", reason);
    note_trouble(c, &trouble.error);
    if (c->rebalance.type == KAFKA_NOTHING)
        c->rebalance = trouble;
}

/* ---- life ------------------------------------------------------------------------------------------------- */

static rd_kafka_conf_t *consumer_conf(const struct kafka_conf *conf, const struct kafka_consumer_conf *consumer,
                                      struct error *reterr) {
    rd_kafka_conf_t *made = kafka_conf_new(conf, consumer->client_id, reterr);
    int64_t session = (int64_t)(consumer->session_timeout_usec / USEC_PER_MSEC);
    if (made && kafka_conf_set(made, "group.id", consumer->group, reterr) &&
        kafka_conf_set(made, "enable.auto.commit", "false", reterr) &&
        kafka_conf_set(made, "enable.auto.offset.store", "false", reterr) &&
        kafka_conf_set(made, "auto.offset.reset", "error", reterr) &&
        kafka_conf_set(made, "partition.assignment.strategy", "range", reterr) &&
        kafka_conf_set_int(made, "session.timeout.ms", session, reterr) &&
        kafka_conf_set_int(made, "heartbeat.interval.ms", session / 4 > 3000 ? 3000 : session / 4, reterr) &&
        kafka_conf_set_int(made, "max.poll.interval.ms",
                           session > POLL_INTERVAL_MSEC ? session : POLL_INTERVAL_MSEC, reterr) &&
        kafka_conf_set_int(made, "queued.max.messages.kbytes", FETCH_KIB, reterr) &&
        kafka_conf_set_int(made, "fetch.wait.max.ms", FETCH_WAIT_MSEC, reterr) &&
        kafka_conf_set_int(made, "topic.metadata.refresh.interval.ms", METADATA_MSEC, reterr))
        return made;
    if (made)
        rd_kafka_conf_destroy(made);
    return NULL;
}

static bool subscribe(struct kafka_consumer *c, struct error *reterr) {
    static const uint64_t one = 1;
    rd_kafka_poll_set_consumer(c->rk);
    c->queue = rd_kafka_queue_get_consumer(c->rk);
    c->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (c->wake < 0)
        return error_set(reterr, ERROR_INTERNAL, "eventfd: %s", strerror(errno));
    rd_kafka_queue_io_event_enable(c->queue, c->wake, &one, sizeof(one));
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, c->topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(c->rk, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? true : kafka_error("subscribe", code, reterr);
}

struct kafka_consumer *kafka_consumer_new(const struct kafka_conf *conf, const struct kafka_consumer_conf *consumer,
                                          struct error *reterr) {
    char why[160];
    rd_kafka_conf_t *made = consumer_conf(conf, consumer, reterr);
    if (!made)
        return NULL;
    struct kafka_consumer *c = calloc(1, sizeof(*c));
    if (!c) {
        rd_kafka_conf_destroy(made);
        error_nomem(reterr);
        return NULL;
    }
    c->topic = consumer->topic;
    c->wake = -1;
    pthread_mutex_init(&c->lock, NULL);
    rd_kafka_conf_set_opaque(made, c);
    rd_kafka_conf_set_rebalance_cb(made, on_rebalance);
    rd_kafka_conf_set_offset_commit_cb(made, on_commit);
    rd_kafka_conf_set_error_cb(made, on_error);
    c->rk = rd_kafka_new(RD_KAFKA_CONSUMER, made, why, sizeof(why));
    if (!c->rk) {
        rd_kafka_conf_destroy(made);
        error_set(reterr, ERROR_INVALID, "[kafka] librdkafka %s: %s", rd_kafka_version_str(), why);
    } else if (subscribe(c, reterr)) {
        return c;
    }
    kafka_consumer_free(c);
    return NULL;
}

static void forget(struct kafka_consumer *c) {
    pthread_mutex_lock(&c->lock);
    free(c->positions);
    c->positions = NULL;
    c->position_count = 0;
    c->assigned = c->topic_is_gone = false;
    pthread_mutex_unlock(&c->lock);
}

static void *destroy_main(void *rk) {
    rd_kafka_destroy(rk);
    return NULL;
}

/* librdkafka may wait for ever for a thread of its own here, when a topic was deleted or an offset had expired (2.0.2; its issue
 * 4674 is alike). The group has been left by then, so such a thread is left behind. */
static void destroy(rd_kafka_t *rk) {
    static const struct timespec pause = {.tv_nsec = 1000 * 1000};
    pthread_t thread;
    if (pthread_create(&thread, NULL, destroy_main, rk) != 0) {
        rd_kafka_destroy(rk);
        return;
    }
    /* ThreadSanitizer does not know of pthread_clockjoin_np. */
    for (usec_t until = clock_now_usec() + DESTROY_SECONDS * USEC_PER_SEC; clock_now_usec() < until; nanosleep(&pause, NULL))
        if (pthread_tryjoin_np(thread, NULL) == 0)
            return;
    pthread_detach(thread);
    log_warn("kafka.left_behind", LOG_INT("seconds", DESTROY_SECONDS));
}

void kafka_consumer_free(struct kafka_consumer *c) {
    if (!c)
        return;
    if (c->message)
        rd_kafka_message_destroy(c->message);
    if (c->rk) {
        c->closing = true;
        rd_kafka_assign(c->rk, NULL);
        if (c->queue) {
            rd_kafka_queue_io_event_enable(c->queue, -1, NULL, 0);
            rd_kafka_queue_destroy(c->queue);
        }
        rd_kafka_consumer_close(c->rk);
        destroy(c->rk);
    }
    if (c->wake >= 0)
        close(c->wake);
    if (c->offered)
        rd_kafka_topic_partition_list_destroy(c->offered);
    forget(c);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* ---- polling ---------------------------------------------------------------------------------------------- */

static struct position *find(struct kafka_consumer *c, int32_t partition) {
    for (size_t i = 0; i < c->position_count; i++)
        if (c->positions[i].partition == partition)
            return &c->positions[i];
    return NULL;
}

static void take_message(struct kafka_consumer *c, struct kafka_event *ret) {
    const rd_kafka_message_t *m = c->message;
    *ret = (struct kafka_event){.type = KAFKA_MESSAGE, .partition = m->partition, .offset = m->offset};
    if (m->err) {
        ret->type = KAFKA_TROUBLE;
        kafka_error("consumer", m->err, &ret->error);
        note_trouble(c, &ret->error);
        return;
    }
    struct position *p = find(c, m->partition);
    if (p)
        p->next = m->offset + 1;
    rd_kafka_timestamp_type_t kind;
    int64_t msec = rd_kafka_message_timestamp(m, &kind);
    ret->wall_usec = kind != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE && msec > 0 ? msec * (int64_t)USEC_PER_MSEC : 0;
    ret->key = (struct slice){m->key, m->key ? m->key_len : 0};
    ret->value = (struct slice){m->payload, m->payload ? m->len : 0};
}

/* librdkafka waits until a time of the wall clock. If that is set back meanwhile, its main thread sends no heartbeat and looks
 * after nothing until it is told something: this question makes it look at the time anew. */
static void nudge(struct kafka_consumer *c, usec_t now) {
    if (now < c->nudge_at)
        return;
    c->nudge_at = now + NUDGE_USEC;
    char *id = rd_kafka_memberid(c->rk);
    if (id)
        rd_kafka_mem_free(c->rk, id);
}

/* For the same reason the waiting is done here, by the monotonic clock. */
static rd_kafka_message_t *next_message(struct kafka_consumer *c, usec_t timeout_usec) {
    rd_kafka_message_t *message = rd_kafka_consumer_poll(c->rk, 0);
    if (message || timeout_usec == 0 || c->rebalance.type != KAFKA_NOTHING)
        return message;
    struct pollfd wait = {.fd = c->wake, .events = POLLIN};
    uint64_t times;
    if (poll(&wait, 1, (int)(timeout_usec / USEC_PER_MSEC)) > 0 && read(c->wake, &times, sizeof(times)) < 0 && errno != EAGAIN)
        log_warn("kafka.wake", LOG_INT("errno", errno));
    return rd_kafka_consumer_poll(c->rk, 0);
}

void kafka_consumer_poll(struct kafka_consumer *c, usec_t timeout_usec, struct kafka_event *ret) {
    if (c->message)
        rd_kafka_message_destroy(c->message);
    c->message = NULL;
    *ret = (struct kafka_event){.type = KAFKA_NOTHING};
    nudge(c, clock_now_usec());
    if (c->rebalance.type == KAFKA_NOTHING)
        c->message = next_message(c, timeout_usec);
    if (c->message) {
        take_message(c, ret); /* a callback of the same poll is given out by the next one */
    } else {
        *ret = c->rebalance;
        c->rebalance = (struct kafka_event){.type = KAFKA_NOTHING};
    }
}

/* ---- assignment ------------------------------------------------------------------------------------------- */

/* Fetching is begun and ended by assign alone. rd_kafka_pause_partitions and its counterpart number their requests on
 * our thread, librdkafka's own thread numbers the beginning and the end of a fetch, and a request that overtakes one of a
 * lower number makes it void: that partition is then never fetched, and nobody says so (librdkafka #2190, #5591). */
static bool assign(struct kafka_consumer *c, const rd_kafka_topic_partition_list_t *list, struct error *reterr) {
    rd_kafka_resp_err_t code = rd_kafka_assign(c->rk, list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? true : kafka_error("assign", code, reterr);
}

static bool fetch_nothing(struct kafka_consumer *c, struct error *reterr) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    bool ok = assign(c, list, reterr);
    rd_kafka_topic_partition_list_destroy(list);
    return ok;
}

static bool fetch(struct kafka_consumer *c, struct error *reterr) {
    if (rd_kafka_assignment_lost(c->rk)) /* an assignment would make that forgotten */
        return error_set(reterr, ERROR_CONFLICT, "the partitions are lost");
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)c->position_count + 1);
    for (size_t i = 0; i < c->position_count; i++)
        rd_kafka_topic_partition_list_add(list, c->topic, c->positions[i].partition)->offset = c->positions[i].next;
    bool ok = assign(c, list, reterr);
    rd_kafka_topic_partition_list_destroy(list);
    return ok;
}

/* Where a partition is read from: its committed offset if the topic still has it. */
static bool find_start(struct kafka_consumer *c, rd_kafka_topic_partition_t *p, bool *ret_lost, struct error *reterr) {
    int64_t low = 0, high = 0;
    if (p->err)
        return kafka_error("read committed offsets", p->err, reterr);
    rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(c->rk, p->topic, p->partition, &low, &high, REQUEST_MSEC);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_error("read the ends of a partition", code, reterr);
    *ret_lost = p->offset >= 0 && (p->offset < low || p->offset > high);
    if (p->offset < 0 || *ret_lost)
        p->offset = low;
    return true;
}

bool kafka_consumer_accept(struct kafka_consumer *c, unsigned *ret_lost, struct error *reterr) {
    rd_kafka_topic_partition_list_t *list = c->offered;
    *ret_lost = 0;
    if (!list)
        return error_set(reterr, ERROR_INTERNAL, "nothing was assigned");
    struct position *positions = calloc((size_t)list->cnt + 1, sizeof(*positions));
    if (!positions)
        return error_nomem(reterr);
    rd_kafka_resp_err_t code =
        list->cnt ? rd_kafka_committed(c->rk, list, REQUEST_MSEC) : RD_KAFKA_RESP_ERR_NO_ERROR;
    bool ok = code == RD_KAFKA_RESP_ERR_NO_ERROR ? true : kafka_error("read committed offsets", code, reterr);
    for (int i = 0; ok && i < list->cnt; i++) {
        bool lost = false;
        ok = find_start(c, &list->elems[i], &lost, reterr);
        int64_t start = list->elems[i].offset;
        positions[i] = (struct position){.partition = list->elems[i].partition, .next = start, .done = start, .committed = -1};
        *ret_lost += lost;
    }
    if (!ok || !fetch_nothing(c, reterr)) {
        free(positions);
        return false;
    }
    pthread_mutex_lock(&c->lock);
    free(c->positions);
    c->positions = positions;
    c->position_count = (size_t)list->cnt;
    c->assigned = true;
    pthread_mutex_unlock(&c->lock);
    return true;
}

bool kafka_consumer_rewind(struct kafka_consumer *c, struct error *reterr) {
    if (!fetch_nothing(c, reterr)) /* nothing of before is polled any more */
        return false;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->position_count; i++)
        c->positions[i].next = c->positions[i].done;
    pthread_mutex_unlock(&c->lock);
    return fetch(c, reterr);
}

bool kafka_consumer_pause(struct kafka_consumer *c, bool paused, struct error *reterr) {
    return paused ? fetch_nothing(c, reterr) : fetch(c, reterr);
}

void kafka_consumer_release(struct kafka_consumer *c) {
    forget(c);
    rd_kafka_assign(c->rk, NULL);
}

size_t kafka_consumer_partitions(struct kafka_consumer *c, struct kafka_partition *ret, size_t max) {
    pthread_mutex_lock(&c->lock);
    size_t count = c->position_count;
    for (size_t i = 0; i < count && i < max; i++)
        ret[i] = (struct kafka_partition){.number = c->positions[i].partition, .done = c->positions[i].done, .end = -1};
    pthread_mutex_unlock(&c->lock);
    for (size_t i = 0; i < count && i < max; i++) {
        int64_t low, high;
        if (rd_kafka_get_watermark_offsets(c->rk, c->topic, ret[i].number, &low, &high) == RD_KAFKA_RESP_ERR_NO_ERROR &&
            high >= 0)
            ret[i].end = high;
    }
    return count;
}

/* ---- offsets ---------------------------------------------------------------------------------------------- */

void kafka_consumer_done(struct kafka_consumer *c, int32_t partition, int64_t next_offset) {
    pthread_mutex_lock(&c->lock);
    struct position *p = find(c, partition);
    if (p && next_offset > p->done)
        p->done = next_offset;
    pthread_mutex_unlock(&c->lock);
}

/* What is to be committed, or NULL; *ret_assigned: is there an assignment at all? */
static rd_kafka_topic_partition_list_t *to_commit(struct kafka_consumer *c, bool always, bool *ret_assigned) {
    rd_kafka_topic_partition_list_t *list = NULL;
    pthread_mutex_lock(&c->lock);
    *ret_assigned = c->assigned && !c->topic_is_gone;
    for (size_t i = 0; *ret_assigned && i < c->position_count; i++) {
        struct position *p = &c->positions[i];
        if (!always && p->done == p->committed)
            continue;
        if (!list)
            list = rd_kafka_topic_partition_list_new((int)c->position_count);
        rd_kafka_topic_partition_list_add(list, c->topic, p->partition)->offset = p->done;
        p->committed = p->done; /* if it fails, the next one that moves on, or `always`, makes it good */
    }
    pthread_mutex_unlock(&c->lock);
    return list;
}

/* rd_kafka_commit would wait as long as the coordinator takes; a queue of our own can be waited for with a limit. */
static bool commit_and_wait(struct kafka_consumer *c, const rd_kafka_topic_partition_list_t *list, struct error *reterr) {
    rd_kafka_queue_t *queue = rd_kafka_queue_new(c->rk);
    rd_kafka_resp_err_t code = rd_kafka_commit_queue(c->rk, list, queue, NULL, NULL);
    rd_kafka_event_t *answer = code == RD_KAFKA_RESP_ERR_NO_ERROR ? rd_kafka_queue_poll(queue, REQUEST_MSEC) : NULL;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        code = answer ? rd_kafka_event_error(answer) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    const rd_kafka_topic_partition_list_t *each = answer ? rd_kafka_event_topic_partition_list(answer) : NULL;
    for (int i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && each && i < each->cnt; i++)
        code = each->elems[i].err;
    if (answer)
        rd_kafka_event_destroy(answer);
    rd_kafka_queue_destroy(queue);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_error("commit offsets", code, reterr);
    atomic_store(&c->answered_at, clock_now_usec());
    return true;
}

bool kafka_consumer_commit(struct kafka_consumer *c, bool wait, bool always, struct error *reterr) {
    bool assigned;
    rd_kafka_topic_partition_list_t *list = to_commit(c, always, &assigned);
    if (!assigned)
        return error_set(reterr, ERROR_CONFLICT, "no partitions are assigned to us");
    if (!list) {
        if (always)
            atomic_store(&c->answered_at, clock_now_usec());
        return true;
    }
    bool ok = true;
    if (wait) {
        ok = commit_and_wait(c, list, reterr);
    } else {
        rd_kafka_resp_err_t code = rd_kafka_commit(c->rk, list, true);
        ok = code == RD_KAFKA_RESP_ERR_NO_ERROR ? true : kafka_error("commit offsets", code, reterr);
    }
    rd_kafka_topic_partition_list_destroy(list);
    return ok;
}

bool kafka_consumer_prove(struct kafka_consumer *c, struct error *reterr) {
    return kafka_consumer_commit(c, true, true, reterr);
}

usec_t kafka_consumer_answered_at(const struct kafka_consumer *c) {
    return atomic_load(&c->answered_at);
}
