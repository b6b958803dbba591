#include "projector/compose/product_signals.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double steps_per_doubling = 4, inertia = 0.75;

void signal_rows_init(struct signal_rows *s, size_t max_bytes) {
    *s = (struct signal_rows){0};
    arena_init(&s->arena, max_bytes);
}

void signal_rows_done(struct signal_rows *s) {
    arena_done(&s->arena);
    free(s->wanted);
    free(s->rows);
    *s = (struct signal_rows){.arena = s->arena};
}

void signal_rows_reset(struct signal_rows *s) {
    s->wanted_count = s->count = 0;
    arena_reset(&s->arena);
}

static bool grow(void **items, size_t *capacity, size_t count, size_t size) {
    if (count < *capacity)
        return true;
    size_t more = *capacity ? *capacity * 2 : 64;
    void *grown = realloc(*items, more * size);
    if (!grown)
        return false;
    *items = grown;
    *capacity = more;
    return true;
}

bool signal_rows_want(struct signal_rows *s, struct slice id) {
    if (id.len > SIGNAL_ID_MAX_BYTES)
        return true;
    if (!grow((void **)&s->wanted, &s->wanted_capacity, s->wanted_count, sizeof(*s->wanted)))
        return false;
    s->wanted[s->wanted_count++] = id;
    return true;
}

static uint16_t clip(int64_t step) {
    return step < 0 ? 0 : step > SIGNAL_STEP_MAX ? SIGNAL_STEP_MAX : (uint16_t)step;
}

bool signal_rows_add(struct signal_rows *s, struct slice id, int64_t sales, int64_t popularity) {
    char *copy = arena_strndup(&s->arena, id.data, id.len);
    if (!copy || !grow((void **)&s->rows, &s->capacity, s->count, sizeof(*s->rows)))
        return false;
    s->rows[s->count++] = (struct signal_row){{copy, id.len}, {clip(sales), clip(popularity)}};
    return true;
}

int signal_id_compare(struct slice a, struct slice b) {
    int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_rows(const void *a, const void *b) {
    return signal_id_compare(((const struct signal_row *)a)->id, ((const struct signal_row *)b)->id);
}

void signal_rows_sort(struct signal_rows *s) {
    if (s->count > 1)
        qsort(s->rows, s->count, sizeof(*s->rows), compare_rows);
}

struct product_signals signal_rows_get(const struct signal_rows *s, struct slice id) {
    const struct signal_row key = {.id = id};
    const struct signal_row *row = s->count ? bsearch(&key, s->rows, s->count, sizeof(key), compare_rows) : NULL;
    return row ? row->signals : (struct product_signals){0, 0};
}

uint16_t product_signals_step(double amount, uint16_t old) {
    double exact = amount > 0 ? steps_per_doubling * log2(1 + amount) : 0;
    if (!(exact < SIGNAL_STEP_MAX))
        return exact > 0 ? SIGNAL_STEP_MAX : 0;
    if (old && fabs(exact - old) < inertia)
        return old;
    return (uint16_t)lround(exact);
}
