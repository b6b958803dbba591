#include "core/hash.h"
#include "projector/compose/stock_states.h"
#include <stdlib.h>
#include <string.h>

enum { SLOTS_FIRST = 64 };

void stock_states_init(struct stock_states *s, size_t max_bytes) {
    *s = (struct stock_states){0};
    arena_init(&s->arena, max_bytes);
}

void stock_states_done(struct stock_states *s) {
    arena_done(&s->arena);
    free(s->entries);
    free(s->slots);
    *s = (struct stock_states){.arena = s->arena};
}

void stock_states_reset(struct stock_states *s) {
    if (s->count > 0)
        memset(s->slots, 0, s->slot_count * sizeof(*s->slots));
    s->count = s->next = 0;
    arena_reset(&s->arena);
}

/* The slot of the SKU, or the empty one where it would stand. Slots are never all full. */
static size_t find_slot(const struct stock_states *s, struct slice sku, uint64_t hash) {
    size_t at = hash & (s->slot_count - 1);
    while (s->slots[at]) {
        const struct stock_entry *e = &s->entries[s->slots[at] - 1];
        if (e->hash == hash && slice_eq(e->sku, sku))
            break;
        at = (at + 1) & (s->slot_count - 1);
    }
    return at;
}

static bool grow(struct stock_states *s) {
    size_t slot_count = s->slot_count ? s->slot_count * 2 : SLOTS_FIRST;
    struct stock_entry *entries = realloc(s->entries, slot_count / 2 * sizeof(*entries));
    if (!entries)
        return false;
    s->entries = entries;
    uint32_t *slots = calloc(slot_count, sizeof(*slots));
    if (!slots)
        return false;
    free(s->slots);
    s->slots = slots;
    s->slot_count = slot_count;
    s->capacity = slot_count / 2;
    for (size_t i = 0; i < s->count; i++)
        s->slots[find_slot(s, s->entries[i].sku, s->entries[i].hash)] = (uint32_t)i + 1;
    return true;
}

bool stock_states_want(struct stock_states *s, struct slice sku) {
    if (s->count == s->capacity && !grow(s))
        return false;
    uint64_t hash = hash_bytes(sku.data, sku.len);
    size_t slot = find_slot(s, sku, hash);
    if (s->slots[slot])
        return true;
    char *copy = arena_strndup(&s->arena, sku.data, sku.len);
    if (!copy)
        return false;
    s->entries[s->count] = (struct stock_entry){.sku = {copy, sku.len}, .hash = hash, .state = STOCK_OUT};
    s->slots[slot] = (uint32_t)++s->count;
    return true;
}

static struct stock_entry *find(struct stock_states *s, struct slice sku) {
    if (s->count == 0)
        return NULL;
    if (s->next == s->count || !slice_eq(s->entries[s->next].sku, sku)) {
        uint32_t index = s->slots[find_slot(s, sku, hash_bytes(sku.data, sku.len))];
        if (index == 0)
            return NULL;
        s->next = index - 1;
    }
    return &s->entries[s->next++];
}

void stock_states_set(struct stock_states *s, struct slice sku, int64_t state) {
    struct stock_entry *e = find(s, sku);
    if (e)
        e->state = state == STOCK_LOW || state == STOCK_IN ? (enum stock_state)state : STOCK_OUT;
}

enum stock_state stock_states_get(struct stock_states *s, struct slice sku) {
    const struct stock_entry *e = find(s, sku);
    return e ? e->state : STOCK_OUT;
}
