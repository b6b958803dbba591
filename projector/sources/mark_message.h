/* mark_message.h - a mark as a message of a Kafka topic. Pure.
 *
 * Key: the product's id, so that all marks of a product are in one partition and meet one consumer. Value: JSON,
 *
 *   {"v":1,"source":"stream","time":[1700000000,7],"wall_us":1700000000123456,"category_revision":12,
 *    "target_revision":3,"background":true,"force":true}
 *
 * where time is MongoDB's cluster time (seconds, increment) and everything but v may be missing. JSON rather than a
 * binary form: a message is read with any Kafka tool, other programs can write one, and fields can be added without a
 * new version; it costs 70 bytes (lz4 takes most of them) and about a microsecond. A mark orders nothing: one more, one
 * twice or two swapped ones only cost a read.
 *
 * Other tools' topics are marks too, as long as their key names the product:
 *   key        the key is the id; the value is not looked at
 *   debezium   the key is {"id":"\"p1\""}, with or without {"schema":…,"payload":…} around it, the id as extended JSON
 *              (https://debezium.io/documentation/reference/stable/connectors/mongodb.html); of the value source.ts_ms,
 *              source.ord and source.wallTime are read; a tombstone (no value) and what a snapshot writes (ts_ms 0, ord -1)
 *              are marks without a time
 * Values are told apart by themselves, so that a relay may write into the topic of another tool. */
#pragma once
#include "core/error.h"
#include "projector/engine/mark.h"

enum marks_format { MARKS_READSIDE, MARKS_DEBEZIUM, MARKS_KEY };
#define MARKS_FORMATS "readside|debezium|key"

struct mark_message {
    enum mark_source source;
    bool background, force;
    uint64_t cluster_time; /* seconds << 32 | increment; 0 unknown */
    uint64_t category_revision, target_revision;
    int64_t commit_wall_usec; /* 0 unknown */
    uint8_t id_len;
    char id[MARK_ID_MAX];
};

enum mark_message_state {
    MARK_MESSAGE_OK,
    MARK_MESSAGE_BAD_VALUE, /* reterr says why; the id is good, nothing else is known */
    MARK_MESSAGE_BAD_KEY,   /* reterr says why; no product is named */
};
enum mark_message_state mark_message_read(enum marks_format format, struct slice key, struct slice value,
                                          struct mark_message *ret, struct error *reterr);

/* Appends; the buffers say if they failed. The key of MARKS_DEBEZIUM is byte by byte what the connector writes. */
void mark_message_write_key(enum marks_format format, const struct mark_message *message, struct buf *out);
void mark_message_write_value(const struct mark_message *message, struct buf *out);
