#include "core/json_read.h"
#include "projector/compose/bulk_result.h"
#include <stdlib.h>

enum { REASON_BYTES_MAX = 500, ARENA_BYTES_MAX = 4 << 20, ANSWER_DEPTH_MAX = 32, FRAME_BYTES_MAX = 256 };

/* Where the reader stands: {took, errors, items: [{index: {status, error: {type, reason}}}], error: {...}}. */
enum place { AT_TOP, AT_ITEMS, AT_ITEM, AT_ACTION, AT_ERROR, AT_TOP_ERROR, AT_OTHER };
enum key { KEY_OTHER, KEY_TOOK, KEY_ITEMS, KEY_ERROR, KEY_STATUS, KEY_TYPE, KEY_REASON, KEY_INDEX, KEY_DELETE };

struct reader {
    struct bulk_result *result;
    const struct bulk *bulk;
    enum place stack[ANSWER_DEPTH_MAX + 1];
    unsigned depth; /* objects and arrays that are open */
    enum key key;
    size_t index;     /* of the item that is read, or the count of those that were */
    size_t plain;     /* items that were read before, and are not in the text */
    bool saw_items, saw_action;
    const char *top_type, *top_reason;
    const char *problem; /* why reading stopped */
};

void bulk_result_init(struct bulk_result *r) {
    *r = (struct bulk_result){.took_ms = -1};
    arena_init(&r->arena, ARENA_BYTES_MAX);
}

void bulk_result_done(struct bulk_result *r) {
    free(r->items);
    arena_done(&r->arena);
    *r = (struct bulk_result){.took_ms = -1, .arena = r->arena};
}

static const char NO_OBJECT[] = "an item that is no object";

static bool stop(struct reader *reader, const char *problem) {
    reader->problem = problem;
    return false;
}

static enum place place_of(const struct reader *reader) {
    return reader->depth ? reader->stack[reader->depth - 1] : AT_OTHER;
}

static bool enter(struct reader *reader, enum place place) {
    if (reader->depth > ANSWER_DEPTH_MAX)
        return stop(reader, "nested too deep");
    reader->stack[reader->depth++] = place;
    reader->key = KEY_OTHER;
    return true;
}

static bool on_object_begin(void *ctx) {
    struct reader *reader = ctx;
    enum place now = place_of(reader), next = AT_OTHER;
    enum key key = reader->key;
    if (reader->depth == 0)
        next = AT_TOP;
    else if (now == AT_TOP && key == KEY_ERROR)
        next = AT_TOP_ERROR;
    else if (now == AT_ITEMS) {
        if (reader->index >= reader->result->count)
            return stop(reader, "more items than were sent");
        reader->saw_action = false;
        next = AT_ITEM;
    } else if (now == AT_ITEM && (key == KEY_INDEX || key == KEY_DELETE)) {
        enum bulk_op op = reader->bulk->items[reader->index].op;
        if (reader->saw_action || (op == BULK_DELETE) != (key == KEY_DELETE))
            return stop(reader, "items in another order than they were sent");
        reader->saw_action = true;
        next = AT_ACTION;
    } else if (now == AT_ACTION && key == KEY_ERROR) {
        next = AT_ERROR;
    }
    return enter(reader, next);
}

static bool on_object_end(void *ctx) {
    struct reader *reader = ctx;
    enum place now = place_of(reader);
    reader->depth--;
    if (now == AT_ITEM) {
        if (!reader->saw_action || reader->result->items[reader->index].status == 0)
            return stop(reader, "an item without a status");
        reader->index++;
    }
    return true;
}

static bool on_array_begin(void *ctx) {
    struct reader *reader = ctx;
    if (place_of(reader) == AT_ITEMS)
        return stop(reader, NO_OBJECT);
    bool items = place_of(reader) == AT_TOP && reader->key == KEY_ITEMS;
    if (items && reader->saw_items)
        return stop(reader, "items given twice");
    if (items) {
        reader->saw_items = true;
        reader->index = reader->plain;
    }
    return enter(reader, items ? AT_ITEMS : AT_OTHER);
}

static bool on_array_end(void *ctx) {
    struct reader *reader = ctx;
    reader->depth--;
    return true;
}

static bool on_key(void *ctx, struct slice key) {
    static const struct {
        struct slice name;
        enum key key;
    } keys[] = {
        {{"status", 6}, KEY_STATUS}, {{"index", 5}, KEY_INDEX},   {{"delete", 6}, KEY_DELETE}, {{"error", 5}, KEY_ERROR},
        {{"type", 4}, KEY_TYPE},     {{"reason", 6}, KEY_REASON}, {{"took", 4}, KEY_TOOK},     {{"items", 5}, KEY_ITEMS},
    };
    struct reader *reader = ctx;
    reader->key = KEY_OTHER;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (slice_eq(key, keys[i].name))
            reader->key = keys[i].key;
    return true;
}

static bool on_boolean(void *ctx, bool v) {
    struct reader *reader = ctx;
    (void)v;
    return place_of(reader) != AT_ITEMS || stop(reader, NO_OBJECT);
}

static bool on_null(void *ctx) {
    return on_boolean(ctx, false);
}

static bool on_number(void *ctx, struct slice text) {
    struct reader *reader = ctx;
    int64_t v = 0;
    bool status = reader->key == KEY_STATUS;
    switch (place_of(reader)) {
    case AT_ACTION:
        if (status && (!json_text_int64(text, &v) || v < 100 || v > 599))
            return stop(reader, "an item with a strange status");
        if (status)
            reader->result->items[reader->index].status = (int)v;
        return true;
    case AT_TOP:
        if (reader->key == KEY_TOOK && json_text_int64(text, &v) && v >= 0)
            reader->result->took_ms = v;
        return true;
    case AT_ITEMS:
        return stop(reader, NO_OBJECT);
    default:
        return true;
    }
}

/* Without memory for a text the outcome still stands; only the words are missing. */
static const char *keep(struct reader *reader, struct slice text) {
    size_t len = text.len < REASON_BYTES_MAX ? text.len : REASON_BYTES_MAX;
    while (len < text.len && len > 0 && ((unsigned char)text.data[len] & 0xC0) == 0x80)
        len--;
    const char *copy = arena_strndup(&reader->result->arena, text.data, len);
    return copy ? copy : "";
}

static bool on_string(void *ctx, struct slice text) {
    struct reader *reader = ctx;
    enum place now = place_of(reader);
    if (now == AT_ITEMS)
        return stop(reader, NO_OBJECT);
    if (now == AT_ERROR && reader->key == KEY_TYPE)
        reader->result->items[reader->index].type = keep(reader, text);
    else if (now == AT_ERROR && reader->key == KEY_REASON)
        reader->result->items[reader->index].reason = keep(reader, text);
    else if (now == AT_TOP_ERROR && reader->key == KEY_TYPE)
        reader->top_type = keep(reader, text);
    else if (now == AT_TOP_ERROR && reader->key == KEY_REASON)
        reader->top_reason = keep(reader, text);
    return true;
}

static const struct json_sax HANDLERS = {
    .null = on_null,
    .boolean = on_boolean,
    .number = on_number,
    .string = on_string,
    .key = on_key,
    .object_begin = on_object_begin,
    .object_end = on_object_end,
    .array_begin = on_array_begin,
    .array_end = on_array_end,
};

static enum bulk_outcome outcome_of_item(enum bulk_op op, const struct bulk_item_result *item) {
    int status = item->status;
    if (status >= 200 && status < 300)
        return BULK_DONE;
    if (status == 404 && op == BULK_DELETE && item->type[0] == '\0')
        return BULK_GONE;
    switch (status) {
    case 401:
    case 403:
        return BULK_DENIED;
    case 404:
        return BULK_NO_INDEX;
    case 409:
        return BULK_CONFLICT;
    case 413:
        return BULK_TOO_LARGE;
    case 408:
    case 429:
        return BULK_RETRY;
    default:
        return status >= 400 && status < 500 ? BULK_REJECTED : BULK_RETRY;
    }
}

/* A 400 is about what was sent only if it is the search engine's own: a proxy that cannot reach it, or is spoken to in the
 * wrong way, says so for every request, and halving them changes nothing. */
static enum bulk_outcome outcome_of_request(int status, bool own_error) {
    switch (status) {
    case 400:
        return own_error ? BULK_TOO_LARGE : BULK_RETRY;
    case 413:
        return BULK_TOO_LARGE;
    case 401:
    case 403:
        return BULK_DENIED;
    case 404:
        return BULK_NO_INDEX;
    default:
        return BULK_RETRY;
    }
}

/* The same for every item: nothing arrived, or the request was refused as a whole. */
static void set_all(struct bulk_result *r, enum bulk_outcome outcome, int status, const char *type, const char *reason) {
    for (size_t i = 0; i < r->count; i++)
        r->items[i] = (struct bulk_item_result){outcome, status, type ? type : "", reason ? reason : ""};
    memset(r->outcomes, 0, sizeof(r->outcomes));
    r->outcomes[outcome] = r->count;
}

static bool prepare(struct bulk_result *r, size_t count) {
    arena_reset(&r->arena);
    r->count = 0;
    r->took_ms = -1;
    memset(r->outcomes, 0, sizeof(r->outcomes));
    if (count > r->capacity) {
        struct bulk_item_result *items = realloc(r->items, count * sizeof(*items));
        if (!items)
            return false;
        r->items = items;
        r->capacity = count;
    }
    r->count = count;
    set_all(r, BULK_RETRY, 0, NULL, NULL);
    return true;
}

/* Behind an item that says what most do, byte for byte: it is written, or it is not there to delete. NULL: it says another thing. */
static const char *plain_item(const char *p, const char *end, enum bulk_op op, int *ret_status) {
    static const char index[] = "{\"index\":{\"status\":20", del[] = "{\"delete\":{\"status\":200}}";
    size_t len = op == BULK_DELETE ? sizeof(del) - 1 : sizeof(index) + 2;
    if ((size_t)(end - p) < len)
        return NULL;
    if (op == BULK_DELETE) {
        *ret_status = 200;
        return memcmp(p, del, len) == 0 ? p + len : NULL;
    }
    *ret_status = 200 + (p[len - 3] - '0');
    bool same = memcmp(p, index, sizeof(index) - 1) == 0 && p[len - 2] == '}' && p[len - 1] == '}';
    return same && (p[len - 3] == '0' || p[len - 3] == '1') ? p + len : NULL;
}

/* If every item is plain: their statuses, and the answer without them. */
static bool read_plain(struct bulk_result *r, const struct bulk *bulk, struct slice body, char frame[FRAME_BYTES_MAX],
                       struct slice *ret) {
    static const char begin[] = "\"items\":[";
    const char *end = body.data + body.len;
    const char *p = memmem(body.data, body.len < FRAME_BYTES_MAX ? body.len : FRAME_BYTES_MAX, begin, sizeof(begin) - 1);
    size_t head = p ? (size_t)(p - body.data) + sizeof(begin) - 1 : 0;
    if (head == 0 || memchr(body.data + 1, '{', head - 1)) /* an array that lies deeper */
        return false;
    p = body.data + head;
    for (size_t i = 0; i < r->count; i++) {
        if (i > 0 && (p == end || *p++ != ','))
            return false;
        if (!(p = plain_item(p, end, bulk->items[i].op, &r->items[i].status)))
            return false;
    }
    size_t tail = (size_t)(end - p);
    if (head + tail > FRAME_BYTES_MAX)
        return false;
    memcpy(frame, body.data, head);
    memcpy(frame + head, p, tail);
    *ret = (struct slice){frame, head + tail};
    return true;
}

static bool read_json(struct reader *reader, struct slice text, struct error *reterr) {
    bool stopped = false;
    return json_sax(&HANDLERS, reader, text.data ? text.data : "", text.len, ANSWER_DEPTH_MAX, &stopped, reterr) && !stopped;
}

/* Where it does not come out even, what is wrong is found in the whole answer. */
static bool all_plain(struct bulk_result *r, const struct bulk *bulk, struct slice body) {
    char frame[FRAME_BYTES_MAX];
    struct slice text;
    struct error unused;
    struct reader reader = {.result = r, .bulk = bulk, .plain = bulk->count, .top_type = "", .top_reason = ""};
    if (body.len > 0 && read_plain(r, bulk, body, frame, &text) && read_json(&reader, text, &unused) && reader.index == r->count)
        return true;
    set_all(r, BULK_RETRY, 0, NULL, NULL);
    return false;
}

static void count_outcomes(struct bulk_result *r, const struct bulk *bulk) {
    r->outcomes[BULK_RETRY] = 0;
    for (size_t i = 0; i < r->count; i++) {
        r->items[i].outcome = outcome_of_item(bulk->items[i].op, &r->items[i]);
        r->outcomes[r->items[i].outcome]++;
    }
}

bool bulk_result_read(struct bulk_result *r, const struct bulk *bulk, int status, struct slice body,
                      struct error *reterr) {
    if (!prepare(r, bulk->count))
        return error_nomem(reterr);
    if (status == 0)
        return error_set(reterr, ERROR_UNAVAILABLE, "bulk: no answer arrived");
    bool taken = status >= 200 && status <= 299;
    if (taken && all_plain(r, bulk, body)) {
        count_outcomes(r, bulk);
        return true;
    }
    struct reader reader = {.result = r, .bulk = bulk, .top_type = "", .top_reason = ""};
    struct error why = {0};
    bool read = read_json(&reader, body, &why);
    if (!taken) {
        /* What was understood of the reason is kept; most refusals need no readable body. */
        bool own_error = read && !reader.problem && reader.top_type[0];
        set_all(r, outcome_of_request(status, own_error), status, reader.top_type, reader.top_reason);
        return true;
    }
    if (read && reader.index != r->count)
        reader.problem = "another number of items than were sent";
    if (!read || reader.problem) {
        set_all(r, BULK_RETRY, 0, NULL, NULL);
        return error_set(reterr, ERROR_UNAVAILABLE, "bulk: the answer to %zu items cannot be used: %s", r->count,
                         reader.problem ? reader.problem : why.message);
    }
    count_outcomes(r, bulk);
    return true;
}

const char *bulk_outcome_name(enum bulk_outcome outcome) {
    static const char *const names[BULK_OUTCOMES] = {"done",  "gone",     "conflict", "too_large",
                                                     "retry", "rejected", "denied",   "no_index"};
    return (unsigned)outcome < BULK_OUTCOMES ? names[outcome] : "unknown";
}
