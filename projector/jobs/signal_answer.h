/* signal_answer.h - the sums of events by product, as Elasticsearch answers them, and what they change in the table
 * product_signals. Pure: no I/O. Thread: any.
 *
 * An event weighs 2^(weeks since 2026-01-01) (mappings/README.md), so that a sum of weights times 2^-(weeks until now) is
 * the number of events in which a week-old one counts half. */
#pragma once
#include "core/arena.h"
#include "core/error.h"
#include "projector/compose/product_signals.h"

struct signal_amount {
    struct slice id;
    double sales, popularity;
};

struct signal_amounts {
    struct signal_amount *items; /* in the order of ids, by bytes */
    size_t count;
    struct slice after; /* where the next page begins; empty: this is the last */
};

/* The body of the question: products behind `after`, events since `since`. */
bool signal_question_write(struct buf *out, struct slice after, int64_t since_wall_usec, unsigned size);
/* UNAVAILABLE: not the whole answer. The slices live as long as the arena. */
bool signal_answer_read(struct arena *arena, struct slice text, int64_t now_wall_usec, struct signal_amounts *ret,
                        struct error *reterr);

/* Called for every product whose steps are others now; both 0: its row goes. False stops. */
typedef bool signal_change(void *ctx, struct slice id, struct product_signals signals);
/* amounts and rows are sorted; both cover the same range of ids. False if fn said so. */
bool signal_changes(const struct signal_amount *amounts, size_t amount_count, const struct signal_row *rows, size_t row_count,
                    signal_change *fn, void *ctx);
