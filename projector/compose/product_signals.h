/* product_signals.h - what shoppers do with the products of one batch, as the table product_signals of MySQL has it.
 *
 * Protocol for one batch: signal_rows_reset; signal_rows_want for every product; SELECT product_id, sales, popularity
 * for `wanted`; signal_rows_add for each row; signal_rows_sort; then signal_rows_get. A product without a row has none.
 *
 * A signal is a step of a logarithmic scale: product_signals_step(amount) = 4 log2(1 + amount), rounded, so that a step
 * is about a fifth more or less and a product is written again only when that much has changed.
 * Thread: one owner. Pure: no I/O. */
#pragma once
#include "core/arena.h"
#include "core/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SIGNAL_ID_MAX_BYTES = 128, SIGNAL_STEP_MAX = 200 };

struct product_signals {
    uint16_t sales;      /* purchases */
    uint16_t popularity; /* clicks, carts and purchases */
};

struct signal_row {
    struct slice id;
    struct product_signals signals;
};

struct signal_rows {
    struct arena arena; /* the ids of rows */
    struct slice *wanted; /* not copied: the products stay in memory as long as the batch */
    size_t wanted_count, wanted_capacity;
    struct signal_row *rows;
    size_t count, capacity;
};

void signal_rows_init(struct signal_rows *s, size_t max_bytes);
void signal_rows_done(struct signal_rows *s);
void signal_rows_reset(struct signal_rows *s);
/* False: no memory. Ids that are too long for the table are left out: they have no signals. */
bool signal_rows_want(struct signal_rows *s, struct slice id);
bool signal_rows_add(struct signal_rows *s, struct slice id, int64_t sales, int64_t popularity);
void signal_rows_sort(struct signal_rows *s);
int signal_id_compare(struct slice a, struct slice b); /* by bytes, as MySQL and Elasticsearch order them */
struct product_signals signal_rows_get(const struct signal_rows *s, struct slice id);

/* The step of an amount; `old` stays while the amount is less than three quarters of a step away from it, so that what
 * lies between two steps does not go back and forth. */
uint16_t product_signals_step(double amount, uint16_t old);
