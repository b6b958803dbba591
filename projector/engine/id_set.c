#include "projector/engine/id_set.h"
#include <stdlib.h>

void id_set_done(struct id_set *set) {
    free(set->slots);
    *set = (struct id_set){0};
}

/* Fibonacci hashing: ids come in runs. */
static size_t home(const struct id_set *set, uint64_t id) {
    return (size_t)((id * UINT64_C(0x9E3779B97F4A7C15)) >> 20) & (set->slot_count - 1);
}

static size_t find(const struct id_set *set, uint64_t id) {
    size_t at = home(set, id);
    while (set->slots[at] && set->slots[at] != id)
        at = (at + 1) & (set->slot_count - 1);
    return at;
}

bool id_set_has(const struct id_set *set, uint64_t id) {
    return set->slot_count != 0 && set->slots[find(set, id)] == id;
}

static bool grow(struct id_set *set) {
    struct id_set larger = {.slot_count = set->slot_count ? set->slot_count * 2 : 64};
    larger.slots = calloc(larger.slot_count, sizeof(*larger.slots));
    if (!larger.slots)
        return false;
    for (size_t i = 0; i < set->slot_count; i++)
        if (set->slots[i])
            larger.slots[find(&larger, set->slots[i])] = set->slots[i];
    larger.count = set->count;
    free(set->slots);
    *set = larger;
    return true;
}

bool id_set_add(struct id_set *set, uint64_t id) {
    if (set->count * 2 >= set->slot_count && !grow(set))
        return false;
    size_t at = find(set, id);
    if (set->slots[at] == id)
        return true;
    set->slots[at] = id;
    set->count++;
    return true;
}

/* Closes the gap, so that no probe sequence breaks off (Knuth, Algorithm 6.4R). */
void id_set_remove(struct id_set *set, uint64_t id) {
    if (!id_set_has(set, id))
        return;
    size_t mask = set->slot_count - 1, gap = find(set, id);
    for (size_t at = (gap + 1) & mask; set->slots[at]; at = (at + 1) & mask) {
        size_t from = home(set, set->slots[at]);
        bool stays = gap <= at ? gap < from && from <= at : gap < from || from <= at;
        if (stays)
            continue;
        set->slots[gap] = set->slots[at];
        gap = at;
    }
    set->slots[gap] = 0;
    set->count--;
}
