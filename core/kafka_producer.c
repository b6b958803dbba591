#include "core/kafka.h"
#include "core/cleanup.h"
#include "core/kafka_internal.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { POLL_MSEC = 100, PURGE_USEC = 5 * 1000 * 1000 };

struct kafka_producer {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue; /* where delivery reports arrive; with a loop only */
    struct loop *loop;
    struct loop_fd wake;
    pthread_t thread; /* without a loop */
    bool has_thread;
    atomic_bool stop;
    usec_t message_timeout_usec;
    pthread_mutex_t lock; /* a flush reports on its own thread beside the producer's */
    char trouble[160];    /* what was last said about a link; under the lock */
};

/* Travels with a message; freed by its report. */
struct envelope {
    kafka_delivered *delivered;
    void *ctx;
};

/* Why brokers cannot be reached: "sasl_ssl://host:9093/1: SASL authentication error: ...". A message only times out. */
static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque) {
    struct kafka_producer *p = opaque;
    (void)rk;
    pthread_mutex_lock(&p->lock);
    if (code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || !p->trouble[0])
        snprintf(p->trouble, sizeof(p->trouble), "%s", reason);
    pthread_mutex_unlock(&p->lock);
}

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
    struct kafka_producer *p = opaque;
    (void)rk;
    struct envelope *envelope = message->_private;
    struct kafka_delivery delivery = {.partition = message->partition, .offset = message->offset};
    if (message->err)
        kafka_error("delivery", message->err, &delivery.error);
    pthread_mutex_lock(&p->lock);
    if (message->err && delivery.error.code == ERROR_TIMEOUT && p->trouble[0])
        error_set(&delivery.error, ERROR_TIMEOUT, "Kafka delivery timed out; the last word of the link was: %s", p->trouble);
    pthread_mutex_unlock(&p->lock);
    if (envelope->delivered)
        envelope->delivered(envelope->ctx, &delivery);
    free(envelope);
}

static void on_wake(struct loop_fd *self, uint32_t events) {
    struct kafka_producer *p = CONTAINER_OF(self, struct kafka_producer, wake);
    uint64_t count;
    (void)events;
    /* Cleared before polling: a report that arrives meanwhile wakes us again. */
    while (read(self->fd, &count, sizeof(count)) < 0 && errno == EINTR)
        ;
    rd_kafka_poll(p->rk, 0);
}

static void *poll_thread(void *arg) {
    struct kafka_producer *p = arg;
    while (!atomic_load(&p->stop))
        rd_kafka_poll(p->rk, POLL_MSEC);
    return NULL;
}

static bool start_polling(struct kafka_producer *p, struct error *reterr) {
    static const uint64_t one = 1;
    if (!p->loop) {
        int code = pthread_create(&p->thread, NULL, poll_thread, p);
        p->has_thread = code == 0;
        return code == 0 || error_set(reterr, ERROR_INTERNAL, "cannot start Kafka's thread: %s", strerror(code));
    }
    p->wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (p->wake.fd < 0)
        return error_set(reterr, ERROR_INTERNAL, "eventfd: %s", strerror(errno));
    p->wake.cb = on_wake;
    if (!loop_fd_add(p->loop, &p->wake, EPOLLIN, reterr)) {
        close(p->wake.fd);
        p->wake.fd = -1;
        return false;
    }
    p->queue = rd_kafka_queue_get_main(p->rk);
    rd_kafka_queue_io_event_enable(p->queue, p->wake.fd, &one, sizeof(one));
    return true;
}

static void stop_polling(struct kafka_producer *p) {
    if (p->has_thread) {
        atomic_store(&p->stop, true);
        pthread_join(p->thread, NULL);
        p->has_thread = false;
    }
    if (p->queue) {
        rd_kafka_queue_io_event_enable(p->queue, -1, NULL, 0);
        rd_kafka_queue_destroy(p->queue);
        p->queue = NULL;
    }
    if (p->wake.fd >= 0) {
        loop_fd_remove(p->loop, &p->wake);
        close(p->wake.fd);
        p->wake.fd = -1;
    }
}

static void drop(struct kafka_producer *p) {
    pthread_mutex_destroy(&p->lock);
    free(p);
}

struct kafka_producer *kafka_producer_new(const struct kafka_conf *conf, const char *client_id, struct loop *loop,
                                          struct error *reterr) {
    char why[160];
    struct kafka_producer *p = calloc(1, sizeof(*p));
    rd_kafka_conf_t *made = p ? kafka_conf_new(conf, client_id, reterr) : NULL;
    if (!p)
        error_nomem(reterr);
    if (!made || !kafka_conf_set_producer(made, conf, reterr)) {
        if (made)
            rd_kafka_conf_destroy(made);
        free(p);
        return NULL;
    }
    p->loop = loop;
    p->wake.fd = -1;
    pthread_mutex_init(&p->lock, NULL);
    p->message_timeout_usec = conf->message_timeout_usec;
    rd_kafka_conf_set_opaque(made, p);
    rd_kafka_conf_set_dr_msg_cb(made, on_report);
    rd_kafka_conf_set_error_cb(made, on_error);
    p->rk = rd_kafka_new(RD_KAFKA_PRODUCER, made, why, sizeof(why));
    if (!p->rk) {
        rd_kafka_conf_destroy(made);
        error_set(reterr, ERROR_INVALID, "[kafka] librdkafka %s: %s", rd_kafka_version_str(), why);
        drop(p);
        return NULL;
    }
    if (start_polling(p, reterr))
        return p;
    rd_kafka_destroy(p->rk);
    drop(p);
    return NULL;
}

/* Gives out reports until all messages have theirs. The library's own waits end at a wall clock's time: with a clock that is
 * set back meanwhile they last as much longer. */
static bool all_reported(const struct kafka_producer *p, usec_t timeout_usec) {
    static const struct timespec pause = {.tv_nsec = 1000 * 1000};
    for (usec_t until = clock_now_usec() + timeout_usec;; nanosleep(&pause, NULL)) {
        rd_kafka_poll(p->rk, 0);
        if (rd_kafka_outq_len(p->rk) == 0)
            return true;
        if (clock_now_usec() >= until)
            return false;
    }
}

void kafka_producer_free(struct kafka_producer *p) {
    if (p)
        kafka_producer_close(p, p->message_timeout_usec);
}

void kafka_producer_close(struct kafka_producer *p, usec_t flush_timeout_usec) {
    if (!p)
        return;
    kafka_producer_flush(p, flush_timeout_usec, NULL);
    stop_polling(p);
    /* What is left gets its report too. */
    rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    all_reported(p, PURGE_USEC);
    rd_kafka_destroy(p->rk);
    drop(p);
}

bool kafka_producer_send(struct kafka_producer *p, const struct kafka_message *message, kafka_delivered *delivered,
                         void *ctx, struct error *reterr) {
    struct envelope *envelope = malloc(sizeof(*envelope));
    if (!envelope)
        return error_nomem(reterr);
    *envelope = (struct envelope){delivered, ctx};

    /* producev takes the headers over only if it succeeds. */
    rd_kafka_headers_t *headers = NULL;
    if (message->traceparent) {
        headers = rd_kafka_headers_new(1);
        rd_kafka_header_add(headers, "traceparent", -1, message->traceparent, -1);
    }
    rd_kafka_vu_t fields[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = message->topic},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)(uintptr_t)message->key.data, message->key.len}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)(uintptr_t)message->value.data, message->value.len}},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = envelope},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
    };
    rd_kafka_error_t *failed = rd_kafka_produceva(p->rk, fields, ARRAY_LEN(fields) - (headers ? 0 : 1));
    if (!failed)
        return true;
    kafka_error("produce", rd_kafka_error_code(failed), reterr);
    error_prefix(reterr, "topic %.60s", message->topic ? message->topic : "");
    rd_kafka_error_destroy(failed);
    if (headers)
        rd_kafka_headers_destroy(headers);
    free(envelope);
    return false;
}

size_t kafka_producer_pending(const struct kafka_producer *p) {
    return (size_t)rd_kafka_outq_len(p->rk);
}

bool kafka_producer_flush(struct kafka_producer *p, usec_t timeout_usec, struct error *reterr) {
    if (all_reported(p, timeout_usec))
        return true;
    return error_set(reterr, ERROR_TIMEOUT, "Kafka has not confirmed %zu messages", kafka_producer_pending(p));
}

bool kafka_producer_check(const struct kafka_producer *p, struct error *reterr) {
    char why[160];
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(p->rk, why, sizeof(why));
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return true;
    return error_set(reterr, ERROR_INTERNAL, "Kafka producer is dead (%s): %s", rd_kafka_err2name(code), why);
}
