/* kafka_consumer.h - a member of a consumer group that reads one topic.
 *
 *   struct kafka_consumer *c = kafka_consumer_new(&conf, &(struct kafka_consumer_conf){...}, &err);
 *   for (;;) {
 *       kafka_consumer_poll(c, timeout, &event);
 *       KAFKA_ASSIGNED: kafka_consumer_accept(c, ...), and when they are wanted kafka_consumer_rewind: messages follow
 *       KAFKA_MESSAGE:  work; when everything below an offset is done: kafka_consumer_done(c, partition, offset)
 *       KAFKA_REVOKED:  finish what is under way, kafka_consumer_commit, kafka_consumer_release
 *   }
 *
 * Rebalances are eager: everything is revoked, then everything is assigned anew, so that what belongs to an assignment
 * begins and ends with it, and only one of them exists at a time. Offsets are committed by the caller's word alone.
 *
 * kafka_consumer_prove commits the offsets as they are and waits for the answer: the group's coordinator refuses an
 * older generation's commit, so success proves that the assignment still stood at that moment.
 *
 * Thread: new, poll, accept, rewind, release, pause and free on one thread; the rest on any. Poll at least every minute. */
#pragma once
#include "core/kafka.h"

/* A consumer looks so often whether its topic is there. One that fetches is told at once. */
#define KAFKA_LOOK_USEC (5 * USEC_PER_SEC)

struct kafka_consumer_conf {
    const char *client_id, *group, *topic; /* outlive the consumer */
    usec_t session_timeout_usec;           /* a member that is silent for so long loses its partitions */
};

struct kafka_consumer;
struct kafka_consumer *kafka_consumer_new(const struct kafka_conf *conf, const struct kafka_consumer_conf *consumer,
                                          struct error *reterr);
/* Leaves the group at once. NULL is fine. */
void kafka_consumer_free(struct kafka_consumer *consumer);

enum kafka_event_type {
    KAFKA_NOTHING,
    KAFKA_MESSAGE,
    KAFKA_ASSIGNED, /* accept it; nothing is fetched before */
    KAFKA_REVOKED,  /* release it; the group waits for it, unless `lost` */
    KAFKA_TROUBLE,  /* error; it goes on by itself if that is retriable, else make a new consumer. NOT_FOUND or HISTORY_LOST
                     * with an assignment: the topic was deleted, perhaps, and no offset is committed any more, so that none is
                     * taken for one of a new topic */
};

struct kafka_event {
    enum kafka_event_type type;
    int32_t partition;
    int64_t offset;
    int64_t wall_usec; /* the message's own timestamp, 0 none */
    struct slice key, value; /* valid until the next poll; data NULL: none */
    bool lost; /* KAFKA_REVOKED: others may have the partitions already, offsets cannot be committed */
    struct error error;
};
void kafka_consumer_poll(struct kafka_consumer *consumer, usec_t timeout_usec, struct kafka_event *ret);

/* What is done is what the committed offsets say, where there is none nothing of the topic. *ret_lost counts partitions whose
 * committed offset is not in the topic any more (its messages expired, or it was made anew): what lay between is
 * unknown. A failure means that the brokers did not answer: make a new consumer. */
bool kafka_consumer_accept(struct kafka_consumer *consumer, unsigned *ret_lost, struct error *reterr);
/* Fetching begins, or begins anew, at the offsets that are done; whether paused or not. CONFLICT: the assignment is lost. */
bool kafka_consumer_rewind(struct kafka_consumer *consumer, struct error *reterr);
/* Fetching ends, or goes on behind the last message that was polled: call it once, not again and again. CONFLICT: as above. */
bool kafka_consumer_pause(struct kafka_consumer *consumer, bool paused, struct error *reterr);
void kafka_consumer_release(struct kafka_consumer *consumer);

struct kafka_partition {
    int32_t number;
    int64_t done; /* the offset after the last one that is finished */
    int64_t end;  /* as of the last fetch: the offset of the next message; -1 unknown */
};
/* Copies up to max of the assigned partitions; returns how many there are. */
size_t kafka_consumer_partitions(struct kafka_consumer *consumer, struct kafka_partition *ret, size_t max);

/* Everything below this offset is finished. Never goes back; ignored for a partition that is not assigned. */
void kafka_consumer_done(struct kafka_consumer *consumer, int32_t partition, int64_t next_offset);
/* Stores what is done. wait: until the coordinator answered. CONFLICT: the assignment is lost. Without wait the
 * result shows in kafka_consumer_answered_at. Nothing is sent if nothing changed, unless `always`. */
bool kafka_consumer_commit(struct kafka_consumer *consumer, bool wait, bool always, struct error *reterr);
/* CONFLICT: the assignment is lost, or there is none. An assignment without partitions is always proven. */
bool kafka_consumer_prove(struct kafka_consumer *consumer, struct error *reterr);
/* When the coordinator last took a commit; 0 never. */
usec_t kafka_consumer_answered_at(const struct kafka_consumer *consumer);
