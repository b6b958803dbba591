#include "projector/engine/checkpoint.h"

void checkpoint_init(struct checkpoint *c) {
    *c = (struct checkpoint){.next_seq = 1};
}

void checkpoint_done(struct checkpoint *c) {
    while (c->head) {
        struct segment *segment = c->head;
        c->head = segment->next;
        segment_free(segment);
    }
    checkpoint_init(c);
}

void checkpoint_push(struct checkpoint *c, struct segment *segment) {
    segment->seq = c->next_seq++;
    segment->next = NULL;
    if (c->tail)
        c->tail->next = segment;
    else
        c->head = segment;
    c->tail = segment;
    c->segments++;
}

/* The checkpoint rule: a segment with unfinished marks holds back everything behind it. */
static bool finished(const struct segment *segment) {
    return segment->pending == 0;
}

struct segment *checkpoint_pop(struct checkpoint *c) {
    struct segment *segment = c->head;
    if (!segment || !finished(segment))
        return NULL;
    c->head = segment->next;
    if (!c->head)
        c->tail = NULL;
    c->segments--;
    segment->next = NULL;
    return segment;
}
