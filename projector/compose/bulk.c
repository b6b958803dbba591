#include "core/hash.h"
#include "core/utf8.h"
#include "projector/compose/bulk.h"
#include "projector/compose/compose_sink.h"
#include "projector/control.h"
#include <stdlib.h>

enum { CLOSE_BYTES_MAX = 80, ACTION_BYTES_MAX = BULK_AROUND_BYTES_MAX - CLOSE_BYTES_MAX, ITEMS_FIRST = 64 };

bool bulk_init(struct bulk *b, const char *index, size_t bytes_soft, size_t bytes_max, size_t items_max) {
    *b = (struct bulk){.body = BUF_INIT(bytes_max), .bytes_soft = bytes_soft, .items_max = items_max};
    size_t len = strlen(index);
    if (len > BULK_INDEX_NAME_MAX)
        return false;
    memcpy(b->index, index, len + 1);
    return true;
}

void bulk_target(struct bulk *b, unsigned target, const char *index) {
    b->others[target] = index;
}

void bulk_done(struct bulk *b) {
    buf_done(&b->body);
    free(b->items);
    b->items = NULL;
    b->count = b->capacity = 0;
    b->open = false;
}

void bulk_reset(struct bulk *b) {
    buf_reset(&b->body);
    b->count = 0;
    b->open = false;
}

void bulk_shrink(struct bulk *b, size_t keep_bytes) {
    buf_shrink(&b->body, keep_bytes);
}

bool bulk_ok(const struct bulk *b) {
    return buf_ok(&b->body);
}

bool bulk_full(const struct bulk *b) {
    return b->body.len >= b->bytes_soft || b->count >= b->items_max;
}

/* Room for `bytes` more and for one item more, without ever pushing the buffer over its maximum (that would lose
 * what is in it). */
static bool make_room(struct bulk *b, size_t bytes) {
    if (!bulk_ok(b) || bytes > b->body.max - b->body.len)
        return false;
    if (b->count == b->capacity) {
        size_t capacity = b->capacity ? b->capacity * 2 : ITEMS_FIRST;
        struct bulk_item *items = realloc(b->items, capacity * sizeof(*items));
        if (!items)
            return false;
        b->items = items;
        b->capacity = capacity;
    }
    return buf_reserve(&b->body, bytes);
}

static bool action(struct bulk *b, enum bulk_op op, unsigned target, struct slice id, uint64_t version, void *ctx) {
    if (id.len == 0 || id.len > BULK_ID_BYTES_MAX || !utf8_valid(id.data, id.len))
        return false;
    if (b->open || !make_room(b, ACTION_BYTES_MAX))
        return false;
    struct sink out;
    b->items[b->count] = (struct bulk_item){
        .offset = b->body.len, .id_hash = hash_bytes(id.data, id.len), .version = version, .ctx = ctx, .op = op,
        .target = (uint8_t)target};
    sink_open(&out, &b->body);
    sink_slice(&out, op == BULK_INDEX ? SLICE("{\"index\":{") : SLICE("{\"delete\":{"));
    if (target) {
        SINK_LITERAL(&out, "\"_index\":");
        sink_string(&out, slice_str(b->others[target]));
        sink_char(&out, ',');
    }
    SINK_LITERAL(&out, "\"_id\":");
    sink_string(&out, id);
    if (!CONTROL_VERSION) {
        SINK_LITERAL(&out, ",\"version\":");
        sink_u64(&out, version);
        SINK_LITERAL(&out, ",\"version_type\":\"external_gte\"");
    }
    SINK_LITERAL(&out, "}}\n");
    sink_close(&out);
    return sink_ok(&out);
}

bool bulk_begin_for(struct bulk *b, unsigned target, struct slice id, uint64_t version, void *ctx) {
    if (!action(b, BULK_INDEX, target, id, version, ctx))
        return false;
    b->open = true;
    return true;
}

bool bulk_begin(struct bulk *b, struct slice id, uint64_t version, void *ctx) {
    return bulk_begin_for(b, 0, id, version, ctx);
}

bool bulk_delete(struct bulk *b, struct slice id, uint64_t version, void *ctx) {
    return bulk_delete_for(b, 0, id, version, ctx);
}

bool bulk_delete_for(struct bulk *b, unsigned target, struct slice id, uint64_t version, void *ctx) {
    if (!action(b, BULK_DELETE, target, id, version, ctx))
        return false;
    struct bulk_item *item = &b->items[b->count++];
    item->len = b->body.len - item->offset;
    return true;
}

bool bulk_commit(struct bulk *b, uint64_t content_hash) {
    struct bulk_item *item = &b->items[b->count];
    struct sink out;
    if (!bulk_ok(b) || CLOSE_BYTES_MAX > b->body.max - b->body.len) {
        bulk_drop(b);
        return false;
    }
    sink_open(&out, &b->body);
    SINK_LITERAL(&out, ",\"content_hash\":");
    sink_int(&out, (int64_t)content_hash);
    SINK_LITERAL(&out, ",\"version\":");
    sink_u64(&out, item->version);
    SINK_LITERAL(&out, "}\n");
    sink_close(&out);
    b->open = false;
    if (!sink_ok(&out))
        return false;
    item->content_hash = content_hash;
    item->len = b->body.len - item->offset;
    b->count++;
    return true;
}

void bulk_drop(struct bulk *b) {
    if (b->open && buf_ok(&b->body))
        buf_truncate(&b->body, b->items[b->count].offset);
    b->open = false;
}

void bulk_rewind(struct bulk *b, size_t count) {
    if (count >= b->count)
        return;
    if (buf_ok(&b->body))
        buf_truncate(&b->body, b->items[count].offset);
    b->count = count;
    b->open = false;
}

size_t bulk_group(const struct bulk *b, size_t end) {
    size_t first = end - 1;
    while (first > 0 && b->items[first - 1].ctx == b->items[end - 1].ctx)
        first--;
    return first;
}

struct slice bulk_document(const struct bulk *b, size_t item) {
    const struct bulk_item *i = &b->items[item];
    if (i->op == BULK_DELETE || !bulk_ok(b))
        return (struct slice){"", 0};
    const char *start = b->body.data + i->offset;
    const char *line_end = memchr(start, '\n', i->len);
    size_t head = (size_t)(line_end - start) + 1;
    return (struct slice){start + head, i->len - head - 1};
}

bool bulk_copy(struct bulk *dst, const struct bulk *src, size_t item) {
    const struct bulk_item *from = &src->items[item];
    if (!bulk_ok(src) || dst->open || !make_room(dst, from->len))
        return false;
    struct bulk_item *to = &dst->items[dst->count];
    *to = *from;
    to->offset = dst->body.len;
    if (!buf_append(&dst->body, src->body.data + from->offset, from->len))
        return false;
    dst->count++;
    return true;
}

bool bulk_split(struct bulk *src, struct bulk *dst) {
    if (src->count < 2 || !bulk_ok(src))
        return false;
    size_t keep = src->count / 2;
    for (size_t i = keep; i < src->count; i++)
        if (!bulk_copy(dst, src, i)) {
            bulk_reset(dst);
            return false;
        }
    buf_truncate(&src->body, src->items[keep].offset);
    src->count = keep;
    return true;
}

bool bulk_path(const struct bulk *b, struct buf *ret) {
    buf_append_char(ret, '/');
    buf_append_str(ret, b->index);
    /* timeout: a shard without a primary is not waited for as long as the bulk may take (60 s both, by default): the others'
     * answers are needed. error.* and status: the answer to a request that is refused as a whole has only these. */
    return buf_append_str(ret, "/_bulk?timeout=10s&filter_path=took,errors,items.*.status,items.*.error.type,"
                               "items.*.error.reason,error.type,error.reason,status");
}
