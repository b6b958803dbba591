/* The answer to a _bulk request: whatever arrives, every item has exactly one outcome, and an answer that cannot be
 * read acknowledges nothing. Byte 0: how many items; byte 1: which are deletes; byte 2: the HTTP status. */
#include "projector/compose/bulk_result.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fill(struct bulk *b, unsigned count, unsigned deletes) {
    bulk_reset(b);
    for (unsigned i = 0; i < count; i++) {
        bool ok = deletes >> i & 1 ? bulk_delete(b, SLICE("x"), 1, NULL) : bulk_begin(b, SLICE("x"), 1, NULL);
        if (!(deletes >> i & 1))
            ok = ok && buf_append_str(&b->body, "{\"id\":\"x\"") && bulk_commit(b, 1);
        if (!ok)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const int statuses[] = {200, 200, 200, 201, 0, 400, 401, 404, 413, 429, 500, 503};
    static struct bulk bulk;
    static struct bulk_result r;
    if (!bulk.items && (!bulk_init(&bulk, "i", 1 << 20, 1 << 20, 100)))
        abort();
    if (size < 3)
        return 0;
    if (!r.items)
        bulk_result_init(&r);
    fill(&bulk, data[0] % 9, data[1]);
    int status = statuses[data[2] % (sizeof(statuses) / sizeof(statuses[0]))];
    struct error error = {0};
    bool ok = bulk_result_read(&r, &bulk, status, (struct slice){(const char *)data + 3, size - 3}, &error);
    size_t sum = 0;
    for (size_t i = 0; i < BULK_OUTCOMES; i++)
        sum += r.outcomes[i];
    if (r.count != bulk.count || sum != bulk.count || ok == (error.code != ERROR_NONE))
        abort();
    if (!ok && r.outcomes[BULK_RETRY] != bulk.count)
        abort();
    for (size_t i = 0; i < r.count; i++)
        if (r.items[i].outcome == BULK_DONE && (status < 200 || status > 299))
            abort();
    return 0;
}
