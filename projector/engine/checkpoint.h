/* checkpoint.h - per source, the contiguous prefix of finished segments. Pure.
 *
 * Segments are pushed in the order the source sent them and popped in the same order, each only once every mark
 * counted in it, and in every segment before it, is finished (acked on every target or durably dead-lettered).
 * The position of the newest popped segment is the one that may be stored: a crash right after resumes there
 * and repeats what was not popped, and nothing else.
 *
 * A mark that joined an older segment of its own source is not counted in its own (lane.h): the older one holds
 * back the prefix for both. */
#pragma once
#include "projector/engine/mark.h"

struct checkpoint {
    struct segment *head, *tail;
    uint64_t next_seq;
    size_t segments; /* pushed and not popped */
};

void checkpoint_init(struct checkpoint *c);
void checkpoint_done(struct checkpoint *c); /* frees the segments still in it */

void checkpoint_push(struct checkpoint *c, struct segment *segment); /* takes it; sets seq */
/* The oldest segment if it is finished, now the caller's; else NULL. */
struct segment *checkpoint_pop(struct checkpoint *c);
