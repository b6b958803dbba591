/* stock_states.h - what the shopper sees of the stock of one batch's SKUs.
 *
 * Protocol for one batch: stock_states_reset; stock_states_want for every SKU (compose_collect_skus); SELECT
 * sku, state for stock_states_skus; stock_states_set for each row; then compose reads with stock_states_get.
 * A SKU without a row stays OUT. Memory is bounded by `max_bytes` and kept from batch to batch.
 * Thread: one owner. Pure: no I/O. */
#pragma once
#include "core/arena.h"
#include "core/error.h"

enum stock_state { STOCK_OUT = 0, STOCK_LOW = 1, STOCK_IN = 2 }; /* as stock.state in MySQL */

struct stock_entry {
    struct slice sku;
    uint64_t hash;
    enum stock_state state;
};

struct stock_states {
    struct arena arena;
    struct stock_entry *entries; /* in the order of stock_states_want */
    size_t count, capacity;
    size_t next; /* the entry behind the last one that was found: rows and products mostly come in the same order */
    uint32_t *slots; /* open addressing: index into entries + 1, 0 = empty */
    size_t slot_count; /* a power of two */
};

void stock_states_init(struct stock_states *s, size_t max_bytes);
void stock_states_done(struct stock_states *s);
void stock_states_reset(struct stock_states *s);
/* Copies the SKU; one that is there already is not added again. False: no memory or over max_bytes. */
bool stock_states_want(struct stock_states *s, struct slice sku);
/* Ignores SKUs that nobody wants and states outside 0..2 (read as OUT). */
void stock_states_set(struct stock_states *s, struct slice sku, int64_t state);
/* OUT if unknown. */
enum stock_state stock_states_get(struct stock_states *s, struct slice sku);
/* Entries 0..count-1 are the wanted SKUs. */
static inline const struct stock_entry *stock_states_skus(const struct stock_states *s, size_t *ret_count) {
    *ret_count = s->count;
    return s->entries;
}
