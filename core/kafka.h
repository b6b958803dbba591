/* kafka.h - Kafka over librdkafka: the home of its header. Options, error mapping, and a producer whose delivery
 * reports are always polled.
 *
 *   struct kafka_producer *p = kafka_producer_new(&conf, "projector", loop, &err);
 *   kafka_producer_send(p, &message, on_delivered, ctx, &err);  // on_delivered exactly once, if this was true
 *   ... kafka_producer_free(p);                                  // flushes first
 *
 * With a loop, reports arrive on the loop's thread (librdkafka wakes it through an eventfd only when its queue goes
 * from empty to non-empty); without one, on a thread of the producer's own. Nothing here blocks but flush and free.
 *
 * Delivery: acks=all, order kept per partition, retried until `message_timeout`. Idempotent from librdkafka 2.3.0 on;
 * before, an idempotent producer could meet a fatal error after a broker's restart (fixed by confluentinc/librdkafka
 * pull request 4438), so older ones send one request at a time and a retry may store a message twice. */
#pragma once
#include "core/buf.h"
#include "core/conf.h"
#include "core/error.h"
#include "core/link.h"
#include "core/loop.h"
#include <librdkafka/rdkafka.h>

struct kafka_conf {
    char *brokers; /* "host:9092,host:9092" */
    char *user, *password; /* SASL if user is set */
    struct link_tls tls;
    int sasl_mechanism; /* enum kafka_sasl */
    usec_t message_timeout_usec;
    usec_t linger_usec;
    int64_t queue_max; /* messages under way */
};
enum kafka_sasl { KAFKA_SASL_PLAIN, KAFKA_SASL_SCRAM_SHA_256, KAFKA_SASL_SCRAM_SHA_512 };
extern const struct option kafka_option_table[]; /* section [kafka] */
extern const size_t kafka_option_count;

/* "2.0.2": of the library that runs, not of the header. */
const char *kafka_library_version(void);
bool kafka_library_is_idempotent(void); /* does a producer of ours ask for it? See above. */

/* Maps librdkafka's and the brokers' error codes. `what` names the operation. False always. */
bool kafka_error(const char *what, rd_kafka_resp_err_t code, struct error *reterr);
enum error_code kafka_error_code(rd_kafka_resp_err_t code); /* NONE for NO_ERROR */

/* What every client of ours has in common: brokers, security, client.id, and that brokers make no topic because it asks for
 * one: what was in a topic that is gone would be missed by nobody. The caller adds its own and gives it to rd_kafka_new, or
 * destroys it. */
rd_kafka_conf_t *kafka_conf_new(const struct kafka_conf *conf, const char *client_id, struct error *reterr);

struct kafka_producer;

struct kafka_message {
    const char *topic;
    struct slice key;   /* data NULL: none; partition by murmur2, as Java clients do (random without a key) */
    struct slice value; /* data NULL: a tombstone. Both are copied. */
    const char *traceparent; /* header of that name, or NULL */
};

/* error->code NONE: stored by all in-sync replicas at this place. Else it is not known to be stored: TIMEOUT and
 * UNAVAILABLE may have been. May send again. */
struct kafka_delivery {
    int32_t partition;
    int64_t offset;
    struct error error;
};
typedef void kafka_delivered(void *ctx, const struct kafka_delivery *delivery);

/* Does not wait for a broker. loop may be NULL. */
struct kafka_producer *kafka_producer_new(const struct kafka_conf *conf, const char *client_id, struct loop *loop,
                                          struct error *reterr);
/* Flushes at most message_timeout, then reports what is left as TIMEOUT. On the loop's thread or after it stopped. */
void kafka_producer_free(struct kafka_producer *producer);
/* The same with another time: 0 reports what is under way at once. */
void kafka_producer_close(struct kafka_producer *producer, usec_t flush_timeout_usec);

/* OVERLOADED when queue_max messages are under way; the callback is not called if this fails. With a loop: on its
 * thread; else any thread. */
bool kafka_producer_send(struct kafka_producer *producer, const struct kafka_message *message,
                         kafka_delivered *delivered, void *ctx, struct error *reterr);
/* Messages without a report so far. Any thread. */
size_t kafka_producer_pending(const struct kafka_producer *producer);
/* Blocks until all are reported (their callbacks run in here, or on the producer's thread), else TIMEOUT. */
bool kafka_producer_flush(struct kafka_producer *producer, usec_t timeout_usec, struct error *reterr);
/* False and INTERNAL once the producer met a fatal error: make a new one. Any thread. */
bool kafka_producer_check(const struct kafka_producer *producer, struct error *reterr);

/* Blocks until a broker answers, with backoff; on_wait as in es_wait. */
bool kafka_wait(const struct kafka_conf *conf, bool (*on_wait)(void *ctx, const struct error *why, usec_t retry_in),
                void *ctx, struct error *reterr);
bool kafka_try(const struct kafka_conf *conf, struct error *reterr); /* once */

/* How many partitions it has; -1: there is no such topic. Blocks for seconds, as the next one does. */
bool kafka_topic_find(const struct kafka_conf *conf, const char *topic, int *ret_partitions, struct error *reterr);
/* That it is there by now is fine; that there was no answer does not say that it is not made. replicas -1: as the brokers are
 * configured. */
bool kafka_topic_make(const struct kafka_conf *conf, const char *topic, int partitions, int replicas, struct error *reterr);
