#include "core/clock.h"
#include "core/json_write.h"
#include "core/utf8.h"
#include "query-api/events/event_read.h"
#include <math.h>

enum { POSITION_MAX = 1000000 };
#define HOUR_USEC (INT64_C(3600) * 1000000)
#define AGE_MAX_USEC (7 * 24 * HOUR_USEC) /* an application that was offline */
#define AHEAD_MAX_USEC (HOUR_USEC / 12)   /* clocks differ */
#define WEEK_USEC (7 * 24 * HOUR_USEC)
#define WEIGHT_ONE_USEC INT64_C(1767225600000000) /* 2026-01-01 */

struct reader {
    struct arena *arena;
    struct event_errors *errors;
    bool in_list;
    size_t index;
};

static bool bad(struct reader *r, const char *field, const char *message) {
    const char *name = r->in_list ? arena_printf(r->arena, "events[%zu].%s", r->index, field) : field;
    if (r->errors->count < EVENT_ERRORS_MAX)
        r->errors->items[r->errors->count++] = (struct field_error){name ? name : field, message};
    return false;
}

static bool is_text(const struct json *v, size_t max_bytes) {
    if (!json_is(v, JSON_STRING) || v->text.len == 0 || v->text.len > max_bytes)
        return false;
    for (size_t i = 0; i < v->text.len; i++)
        if ((unsigned char)v->text.data[i] < 0x20 || v->text.data[i] == 0x7F)
            return false;
    return true;
}

static void check_members(struct reader *r, const struct json *event) {
    static const char *const names[] = {"type", "event_id", "user_id", "query_id", "query", "product_id", "product_ids",
                                        "position", "time"};
    for (const struct json *m = event->child; m; m = m->next) {
        bool known = false;
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !known; i++)
            known = slice_eq(m->key, slice_str(names[i]));
        const char *name = known ? NULL : arena_strndup(r->arena, m->key.data, utf8_cut(m->key.data, m->key.len, 64));
        if (!known)
            bad(r, name ? name : "events", "is not a member of an event");
    }
}

static void check_texts(struct reader *r, const struct json *event) {
    static const char *const ids[] = {"event_id", "user_id", "query_id", "product_id"};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        const struct json *v = json_get(event, ids[i]);
        if (v && !is_text(v, EVENT_ID_MAX_BYTES))
            bad(r, ids[i], "must be a string of 1 to 128 bytes without control characters");
    }
    const struct json *query = json_get(event, "query");
    if (query && !is_text(query, EVENT_QUERY_MAX_BYTES))
        bad(r, "query", "must be a string of 1 to 512 bytes without control characters");
}

static void check_products(struct reader *r, const struct json *event) {
    const struct json *list = json_get(event, "product_ids");
    if (!list == !json_get(event, "product_id")) {
        bad(r, "product_id", "must be given, or product_ids: one of the two");
        return;
    }
    if (list && (!json_is(list, JSON_ARRAY) || list->count == 0 || list->count > EVENTS_MAX)) {
        bad(r, "product_ids", "must be a list of 1 to 100 product ids");
        return;
    }
    for (const struct json *id = list ? list->child : NULL; id; id = id->next)
        if (!is_text(id, EVENT_ID_MAX_BYTES)) {
            bad(r, "product_ids", "must hold strings of 1 to 128 bytes without control characters");
            return;
        }
}

static int64_t check_time(struct reader *r, const struct json *event, int64_t now) {
    const struct json *time = json_get(event, "time");
    int64_t at = now;
    if (time && (!json_is(time, JSON_STRING) || !clock_parse_rfc3339(time->text.data, time->text.len, &at)))
        bad(r, "time", "must be a time such as 2026-01-02T03:04:05Z");
    else if (at < now - AGE_MAX_USEC || at > now + AHEAD_MAX_USEC)
        bad(r, "time", "must be within the last seven days");
    return at;
}

static bool is_type(const struct json *type) {
    return json_string_is(type, "click") || json_string_is(type, "cart") || json_string_is(type, "purchase");
}

static void put_member(struct json_write *w, const struct json *event, const char *name) {
    const struct json *v = json_get(event, name);
    if (!v)
        return;
    json_write_key(w, name);
    json_write_json(w, v);
}

static void write_event(const struct json *event, int64_t at, struct buf *out) {
    const struct json *id = json_get(event, "event_id"), *one = json_get(event, "product_id");
    char time[CLOCK_RFC3339_SIZE];
    struct json_write w;
    json_write_init(&w, out);
    json_write_object(&w);
    json_write_key(&w, "create");
    json_write_object(&w);
    if (id) {
        json_write_key(&w, "_id");
        json_write_slice(&w, id->text);
    }
    json_write_object_end(&w);
    json_write_object_end(&w);
    buf_append_char(out, '\n');
    json_write_restart(&w, out);
    json_write_object(&w);
    put_member(&w, event, "type");
    put_member(&w, event, "user_id");
    put_member(&w, event, "query_id");
    put_member(&w, event, "query");
    put_member(&w, event, "position");
    json_write_key(&w, "product_ids");
    json_write_array(&w);
    if (one)
        json_write_slice(&w, one->text);
    const struct json *list = json_get(event, "product_ids");
    for (const struct json *each = list ? list->child : NULL; each; each = each->next)
        json_write_slice(&w, each->text);
    json_write_array_end(&w);
    clock_format_rfc3339(at, time);
    json_write_key(&w, "time");
    json_write_str(&w, time);
    json_write_key(&w, "weight");
    json_write_double(&w, exp2((double)(at - WEIGHT_ONE_USEC) / (double)WEEK_USEC));
    json_write_object_end(&w);
    out->failed = out->failed || !json_write_finish(&w);
    buf_append_char(out, '\n');
}

static void read_one(struct reader *r, const struct json *event, int64_t now, struct buf *out) {
    int64_t position;
    if (!json_is(event, JSON_OBJECT)) {
        bad(r, "type", "is missing: an event is an object");
        return;
    }
    check_members(r, event);
    if (!is_type(json_get(event, "type")))
        bad(r, "type", "must be click, cart or purchase");
    check_texts(r, event);
    check_products(r, event);
    const struct json *v = json_get(event, "position");
    if (v && (!json_int64(v, &position) || position < 1 || position > POSITION_MAX))
        bad(r, "position", "must be a whole number from 1 to 1000000");
    int64_t at = check_time(r, event, now);
    if (r->errors->count == 0)
        write_event(event, at, out);
}

bool event_read(struct arena *arena, const struct json *body, int64_t now, struct buf *out, size_t *ret_count,
                struct event_errors *errors) {
    struct reader r = {.arena = arena, .errors = errors};
    const struct json *list = json_get(body, "events");
    errors->count = 0;
    *ret_count = 1;
    if (!list) {
        read_one(&r, body, now, out);
    } else if (!json_is(list, JSON_ARRAY) || list->count == 0 || list->count > EVENTS_MAX || body->count != 1) {
        return bad(&r, "events", "must be a list of 1 to 100 events, and nothing beside it");
    } else {
        r.in_list = true;
        *ret_count = list->count;
        for (const struct json *event = list->child; event; event = event->next, r.index++)
            read_one(&r, event, now, out);
    }
    return errors->count == 0 && buf_ok(out);
}

const struct json *event_read_first(const struct json *body) {
    const struct json *list = json_get(body, "events");
    return list ? list->child : body;
}

bool event_read_click(const struct json *event, struct slice *ret_query) {
    const struct json *query = json_get(event, "query");
    if (!query || !json_string_is(json_get(event, "type"), "click"))
        return false;
    *ret_query = query->text;
    return true;
}
