#include "projector/engine/batch.h"
#include <stdlib.h>

struct batch *batch_new(const char *index, size_t bytes_soft, size_t bytes_max, size_t docs_max,
                        struct error *reterr) {
    struct batch *batch = calloc(1, sizeof(*batch));
    if (!batch) {
        error_nomem(reterr);
        return NULL;
    }
    if (!bulk_init(&batch->bulk, index, bytes_soft, bytes_max, docs_max)) {
        error_set(reterr, ERROR_INVALID, "index name %s is too long", index);
        free(batch);
        return NULL;
    }
    return batch;
}

void batch_free(struct batch *batch) {
    if (!batch)
        return;
    batch_reset_round(batch);
    bulk_done(&batch->bulk);
    free(batch->items);
    free(batch);
}

void batch_reset_round(struct batch *batch) {
    for (size_t i = 0; i < batch->count; i++)
        free(batch->items[i].reason), free(batch->items[i].product);
    batch->count = 0;
    category_tree_unref(batch->tree);
    batch->tree = NULL;
    batch->error.code = ERROR_NONE;
}

bool batch_add(struct batch *batch, struct lane_entry *entry) {
    if (batch->count == batch->capacity) {
        size_t capacity = batch->capacity ? batch->capacity * 2 : 64;
        struct batch_item *items = realloc(batch->items, capacity * sizeof(*items));
        if (!items)
            return false;
        batch->items = items;
        batch->capacity = capacity;
    }
    batch->items[batch->count++] = (struct batch_item){.entry = entry};
    return true;
}
