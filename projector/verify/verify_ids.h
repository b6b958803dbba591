/* verify_ids.h - a list of ids. Pure. Thread: one owner. */
#pragma once
#include "core/buf.h"
#include "core/error.h"

struct verify_ids {
    struct buf text;  /* the bytes of all, one behind the other */
    uint32_t *lens;
    size_t count, capacity;
    struct slice *slices; /* after verify_ids_sort: by bytes, each once */
    size_t slice_count;
};
void verify_ids_init(struct verify_ids *ids, size_t bytes_max);
void verify_ids_done(struct verify_ids *ids);
void verify_ids_reset(struct verify_ids *ids);
bool verify_ids_add(struct verify_ids *ids, struct slice id); /* false: no memory, or over the maximum */
bool verify_ids_sort(struct verify_ids *ids);                 /* false: no memory */
