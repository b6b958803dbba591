#include "projector/verify/verify_diff.h"
#include "projector/verify/verify_ids.h"
#include <stdlib.h>

void verify_ids_init(struct verify_ids *ids, size_t bytes_max) {
    *ids = (struct verify_ids){.text = BUF_INIT(bytes_max)};
}

void verify_ids_done(struct verify_ids *ids) {
    buf_done(&ids->text);
    free(ids->lens);
    free(ids->slices);
    *ids = (struct verify_ids){.text = ids->text};
}

void verify_ids_reset(struct verify_ids *ids) {
    buf_reset(&ids->text);
    ids->count = ids->slice_count = 0;
}

bool verify_ids_add(struct verify_ids *ids, struct slice id) {
    if (ids->count == ids->capacity) {
        size_t capacity = ids->capacity ? ids->capacity * 2 : 256;
        uint32_t *lens = realloc(ids->lens, capacity * sizeof(*lens));
        if (!lens)
            return false;
        ids->lens = lens;
        ids->capacity = capacity;
    }
    if (ids->text.len + id.len > ids->text.max || !buf_append(&ids->text, id.data, id.len))
        return false;
    ids->lens[ids->count++] = (uint32_t)id.len;
    return true;
}

static int compare(const void *a, const void *b) {
    return verify_compare_ids(*(const struct slice *)a, *(const struct slice *)b);
}

bool verify_ids_sort(struct verify_ids *ids) {
    ids->slice_count = 0;
    if (ids->count == 0)
        return true;
    struct slice *slices = realloc(ids->slices, ids->count * sizeof(*slices));
    if (!slices)
        return false;
    ids->slices = slices;
    const char *at = ids->text.data;
    for (size_t i = 0; i < ids->count; at += ids->lens[i++])
        slices[i] = (struct slice){at, ids->lens[i]};
    qsort(slices, ids->count, sizeof(*slices), compare);
    for (size_t i = 0; i < ids->count; i++)
        if (i == 0 || !slice_eq(slices[i], slices[ids->slice_count - 1]))
            slices[ids->slice_count++] = slices[i];
    return true;
}
