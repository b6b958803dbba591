/* Messages of a Kafka topic of marks, key and value parted by a newline: whatever is accepted must survive writing and
 * reading. */
#include "projector/sources/mark_message.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const struct mark_message *m) {
    for (enum marks_format format = MARKS_READSIDE; format <= MARKS_DEBEZIUM; format++) {
        struct buf key = BUF_INIT(4096), value = BUF_INIT(4096);
        struct mark_message back;
        mark_message_write_key(format, m, &key);
        mark_message_write_value(m, &value);
        if (!buf_ok(&key) || !buf_ok(&value) ||
            mark_message_read(format, (struct slice){key.data, key.len}, (struct slice){value.data, value.len}, &back,
                              NULL) != MARK_MESSAGE_OK)
            abort();
        if (back.id_len != m->id_len || memcmp(back.id, m->id, m->id_len) != 0 || back.cluster_time != m->cluster_time ||
            back.force != m->force || back.background != m->background || back.source != m->source)
            abort();
        buf_done(&key);
        buf_done(&value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *text = (const char *)data;
    const char *end = size ? memchr(text, '\n', size) : NULL;
    struct slice key = {text, end ? (size_t)(end - text) : size};
    struct slice value = end ? (struct slice){end + 1, size - key.len - 1} : (struct slice){NULL, 0};
    for (enum marks_format format = MARKS_READSIDE; format <= MARKS_KEY; format++) {
        struct mark_message m;
        struct error error;
        if (mark_message_read(format, key, value, &m, &error) != MARK_MESSAGE_BAD_KEY)
            check_round_trip(&m);
    }
    return 0;
}
