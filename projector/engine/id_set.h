/* id_set.h - a set of row ids: which rows of projection_queue we hold. Open addressing, 0 is no id. Pure. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct id_set {
    uint64_t *slots;
    size_t slot_count, count;
};

void id_set_done(struct id_set *set); /* empty afterwards */
bool id_set_has(const struct id_set *set, uint64_t id);
bool id_set_add(struct id_set *set, uint64_t id); /* false only without memory */
void id_set_remove(struct id_set *set, uint64_t id);
