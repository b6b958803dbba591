#include "core/utf8.h"
#include "projector/engine/mark.h"
#include <stdlib.h>

const char *const mark_source_names[MARK_SOURCE_COUNT] = {"stream", "queue", "job"};

bool mark_id_ok(struct slice id) {
    return id.len > 0 && id.len <= MARK_ID_MAX && utf8_valid(id.data, id.len);
}

struct segment *segment_new(enum mark_source source, enum mark_priority priority, size_t max_bytes) {
    struct segment *segment = calloc(1, sizeof(*segment));
    if (!segment)
        return NULL;
    segment->source = source;
    segment->priority = priority;
    buf_init(&segment->marks, max_bytes);
    return segment;
}

void segment_free(struct segment *segment) {
    if (!segment)
        return;
    buf_done(&segment->marks);
    if (segment->position && segment->position_free)
        segment->position_free(segment->position);
    free(segment);
}

/* Packed as: commit_wall_usec (8 bytes), length (1 byte), id. */
bool segment_add(struct segment *segment, const char *id, size_t len, int64_t commit_wall_usec) {
    if (!mark_id_ok((struct slice){id, len}))
        return false;
    char head[sizeof(commit_wall_usec) + 1];
    memcpy(head, &commit_wall_usec, sizeof(commit_wall_usec));
    head[sizeof(commit_wall_usec)] = (char)(unsigned char)len;
    if (!buf_reserve(&segment->marks, sizeof(head) + len))
        return false;
    buf_append(&segment->marks, head, sizeof(head));
    buf_append(&segment->marks, id, len);
    segment->count++;
    if (commit_wall_usec > segment->last_wall_usec)
        segment->last_wall_usec = commit_wall_usec;
    return true;
}

bool segment_next(const struct segment *segment, size_t *offset, struct mark *ret) {
    if (*offset >= segment->marks.len)
        return false;
    const char *p = segment->marks.data + *offset;
    memcpy(&ret->commit_wall_usec, p, sizeof(ret->commit_wall_usec));
    p += sizeof(ret->commit_wall_usec);
    ret->len = (unsigned char)*p++;
    ret->id = p;
    *offset += sizeof(ret->commit_wall_usec) + 1 + ret->len;
    return true;
}
