/* source_kafka.h - messages of the topic of marks as segments, and their offsets once they are finished.
 *
 * What one read brought is a batch: up to three segments (as if from the stream, the queue and jobs, so that lanes and
 * metrics tell them apart) and the offset after its last message for each partition in it. Offsets are done over the
 * prefix of finished batches.
 *
 * A mark that names a cluster time is read after it. One without makes a linearizable read first, whose operation time
 * takes its place: whoever wrote the message knew of a change that this read cannot miss. So does a time that is ahead
 * of the cluster's: it is from another cluster, or damaged, and MongoDB would refuse to read after it.
 *
 * A mark that names no revision of the category tree comes from another tool (the relay says which one it knew): its product
 * may have entered a category whose new name nobody here has heard of yet. The revision that MySQL has now takes its place.
 *
 * A message that names no product is counted, said in the log with its place, and skipped; a value that cannot be read
 * costs nothing but what it would have said, for the key names the product.
 *
 * Thread: add and flush on the one that polls; acked on the engine's. */
#pragma once
#include "core/kafka_consumer.h"
#include "projector/engine/engine.h"
#include "projector/sources/mark_message.h"

struct source_kafka_conf {
    struct engine *engine;
    struct kafka_consumer *consumer;
    mongoc_client_t *client; /* this and mysql: of the polling thread */
    struct mysql_session *mysql;
    const char *database, *topic;
    enum marks_format format;
    usec_t timeout_usec; /* of a fence read */
};

struct source_kafka;
struct source_kafka *source_kafka_new(const struct source_kafka_conf *conf, struct error *reterr);
void source_kafka_free(struct source_kafka *source); /* after the engine; NULL is fine */

/* False without memory: nothing of it is kept, read it again. */
bool source_kafka_add(struct source_kafka *source, const struct kafka_event *message);
size_t source_kafka_gathered(const struct source_kafka *source); /* messages since the last flush */
/* Posts what was gathered. False: a read for it failed, it is all still there. */
bool source_kafka_flush(struct source_kafka *source, struct error *reterr);
bool source_kafka_has_room(struct source_kafka *source); /* do the lanes want more? */
/* The highest target revision that a message asked for. */
uint64_t source_kafka_target_revision(const struct source_kafka *source);

void source_kafka_acked(struct source_kafka *source, const struct segment *segment);
/* When the group's coordinator last answered. Any thread. */
usec_t source_kafka_progress_at(const struct source_kafka *source);
