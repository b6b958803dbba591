#include "core/json_write.h"
#include "core/utf8.h"
#include "projector/sources/mark_message.h"

enum {
    DEPTH_MAX = 64, /* of a value that another tool made */
    NAMES = 3,      /* how deep what we look for stands, "payload" left out */
    NAME_SIZE = 20,
};

/* Follows the place in the text: the names of the objects around it, "[]" for an array. */
struct reader {
    struct mark_message *mark;
    unsigned depth;
    char names[NAMES + 1][NAME_SIZE];
    unsigned element;
    int64_t version, source_msec, ord, seconds, increment;
    bool has_ord, bad;
    char id[MARK_ID_MAX * 6 + 3]; /* of a Debezium key: escaped, in quotes */
    size_t id_len;
    bool has_id;
};

/* The names from the first after "payload" on. */
static bool is_at(const struct reader *r, const char *first, const char *second) {
    unsigned skip = r->depth > 1 && strcmp(r->names[0], "payload") == 0, depth = r->depth - skip;
    if (r->depth == 0 || r->depth > NAMES || depth != (second ? 2U : 1U))
        return false;
    return strcmp(r->names[skip], first) == 0 && (!second || strcmp(r->names[skip + 1], second) == 0);
}

static void set_name(struct reader *r, struct slice name) {
    if (r->depth == 0 || r->depth > NAMES)
        return;
    char *to = r->names[r->depth - 1];
    size_t len = name.len < NAME_SIZE ? name.len : 0;
    if (len)
        memcpy(to, name.data, len);
    to[len] = '\0';
}

static bool on_key(void *ctx, struct slice key) {
    set_name(ctx, key);
    return true;
}

static bool on_object(void *ctx) {
    struct reader *r = ctx;
    r->depth++;
    set_name(r, SLICE(""));
    return true;
}

static bool on_array(void *ctx) {
    struct reader *r = ctx;
    r->depth++;
    r->element = 0;
    set_name(r, SLICE("[]"));
    return true;
}

static bool on_end(void *ctx) {
    ((struct reader *)ctx)->depth--;
    return true;
}

static bool take_number(struct reader *r, const char *first, const char *second, struct slice text, int64_t *ret) {
    if (!is_at(r, first, second))
        return false;
    int64_t value;
    if (!json_text_int64(text, &value) || value < 0)
        r->bad = true;
    else
        *ret = value;
    return true;
}

static bool on_number(void *ctx, struct slice text) {
    struct reader *r = ctx;
    int64_t revision = 0;
    if (take_number(r, "v", NULL, text, &r->version) || take_number(r, "source", "ts_ms", text, &r->source_msec) ||
        take_number(r, "wall_us", NULL, text, &r->mark->commit_wall_usec))
        return true;
    if (is_at(r, "time", "[]")) {
        take_number(r, "time", "[]", text, r->element++ == 0 ? &r->seconds : &r->increment);
    } else if (is_at(r, "source", "ord") && slice_eq(text, SLICE("-1"))) {
        r->has_ord = false; /* of a snapshot, with ts_ms 0 */
    } else if (take_number(r, "source", "ord", text, &r->ord)) {
        r->has_ord = true;
    } else if (take_number(r, "source", "wallTime", text, &revision)) {
        r->mark->commit_wall_usec = revision < INT64_MAX / 1000 ? revision * 1000 : 0;
    } else if (take_number(r, "category_revision", NULL, text, &revision)) {
        r->mark->category_revision = (uint64_t)revision;
    } else if (take_number(r, "target_revision", NULL, text, &revision)) {
        r->mark->target_revision = (uint64_t)revision;
    }
    return true;
}

static bool on_boolean(void *ctx, bool v) {
    struct reader *r = ctx;
    if (is_at(r, "background", NULL))
        r->mark->background = v;
    else if (is_at(r, "force", NULL))
        r->mark->force = v;
    return true;
}

static bool on_string(void *ctx, struct slice text) {
    struct reader *r = ctx;
    if (is_at(r, "source", NULL)) {
        for (int s = 0; s < MARK_SOURCE_COUNT; s++)
            if (slice_eq(text, slice_str(mark_source_names[s])))
                r->mark->source = (enum mark_source)s;
    } else if (is_at(r, "id", NULL)) {
        r->has_id = text.len <= sizeof(r->id);
        r->id_len = r->has_id ? text.len : 0;
        memcpy(r->id, text.data, r->id_len);
    }
    return true;
}

static bool walk(struct reader *r, struct slice text, struct error *reterr) {
    static const struct json_sax handlers = {.number = on_number, .string = on_string, .boolean = on_boolean,
                                             .key = on_key, .object_begin = on_object, .object_end = on_end,
                                             .array_begin = on_array, .array_end = on_end};
    bool stopped;
    return json_sax(&handlers, r, text.data, text.len, DEPTH_MAX, &stopped, reterr);
}

/* -- the key ------------------------------------------------------------------------------------------------ */

static bool take_id(struct mark_message *m, struct slice id, struct error *reterr) {
    if (id.len == 0)
        return error_set(reterr, ERROR_INVALID, "the key names no product: it is empty");
    if (id.len > MARK_ID_MAX)
        return error_set(reterr, ERROR_INVALID, "the key names no product: an id has at most %d bytes, not %zu",
                         MARK_ID_MAX, id.len);
    if (!utf8_valid(id.data, id.len) || memchr(id.data, 0, id.len))
        return error_set(reterr, ERROR_INVALID, "the key names no product: it is not UTF-8");
    memcpy(m->id, id.data, id.len);
    m->id_len = (uint8_t)id.len;
    return true;
}

static bool take_text(void *ctx, struct slice text) {
    struct reader *r = ctx;
    r->has_id = text.len <= sizeof(r->id);
    r->id_len = r->has_id ? text.len : 0;
    memcpy(r->id, text.data, r->id_len);
    return true;
}

/* {"id":"\"p1\""}: a JSON text whose string is a JSON text. Ids of other types ({"$oid":…}, numbers) are no strings. */
static bool read_debezium_key(struct slice key, struct mark_message *m, struct error *reterr) {
    struct mark_message unused = {0};
    struct reader r = {.mark = &unused};
    if (!walk(&r, key, reterr))
        return error_prefix(reterr, "the key is no JSON");
    if (!r.has_id)
        return error_set(reterr, ERROR_INVALID, "the key has no field id with a text");
    static const struct json_sax handlers = {.string = take_text};
    char inner[sizeof(r.id)];
    size_t len = r.id_len;
    memcpy(inner, r.id, len);
    r.has_id = false;
    bool stopped;
    if (len == 0 || inner[0] != '"' || !json_sax(&handlers, &r, inner, len, 1, &stopped, NULL) || !r.has_id)
        return error_set(reterr, ERROR_INVALID, "the id in the key is no text: %.*s", (int)(len < 60 ? len : 60), inner);
    return take_id(m, (struct slice){r.id, r.id_len}, reterr);
}

/* -- the value ---------------------------------------------------------------------------------------------- */

static bool read_value(struct slice value, struct mark_message *m, struct error *reterr) {
    struct reader r = {.mark = m};
    if (!walk(&r, value, reterr))
        return error_prefix(reterr, "the value is no JSON");
    if (r.bad)
        return error_set(reterr, ERROR_INVALID, "a number of the value is negative, no whole number or too large");
    if (r.version > 1)
        return error_set(reterr, ERROR_INVALID, "the value has version %lld, known is 1", (long long)r.version);
    if (r.source_msec && r.has_ord) { /* ts_ms is the seconds of the cluster time, ord its increment */
        r.seconds = r.source_msec / 1000;
        r.increment = r.ord;
    }
    if (r.source_msec && !m->commit_wall_usec && r.source_msec < INT64_MAX / 1000)
        m->commit_wall_usec = r.source_msec * 1000;
    if (r.seconds > UINT32_MAX || r.increment > UINT32_MAX)
        return error_set(reterr, ERROR_INVALID, "the value's time is no cluster time");
    m->cluster_time = (uint64_t)r.seconds << 32 | (uint64_t)r.increment;
    return true;
}

enum mark_message_state mark_message_read(enum marks_format format, struct slice key, struct slice value,
                                          struct mark_message *ret, struct error *reterr) {
    *ret = (struct mark_message){.source = MARK_STREAM};
    bool named = key.data && (format == MARKS_DEBEZIUM ? read_debezium_key(key, ret, reterr) : take_id(ret, key, reterr));
    if (!named) {
        if (!key.data)
            error_set(reterr, ERROR_INVALID, "the message has no key");
        return MARK_MESSAGE_BAD_KEY;
    }
    if (format == MARKS_KEY || !value.data)
        return MARK_MESSAGE_OK;
    struct mark_message full = *ret;
    if (!read_value(value, &full, reterr))
        return MARK_MESSAGE_BAD_VALUE;
    *ret = full;
    return MARK_MESSAGE_OK;
}

/* -- writing ------------------------------------------------------------------------------------------------ */

void mark_message_write_key(enum marks_format format, const struct mark_message *m, struct buf *out) {
    if (format != MARKS_DEBEZIUM) {
        buf_append(out, m->id, m->id_len);
        return;
    }
    struct buf inner = BUF_INIT(sizeof(((struct reader *)NULL)->id));
    json_append_string(&inner, m->id, m->id_len);
    buf_append_str(out, "{\"id\":");
    if (!buf_ok(&inner) || !json_append_string(out, inner.data, inner.len))
        out->failed = true;
    buf_append_char(out, '}');
    buf_done(&inner);
}

static void append_field(struct buf *out, const char *name, uint64_t value) {
    if (value)
        buf_printf(out, ",\"%s\":%llu", name, (unsigned long long)value);
}

void mark_message_write_value(const struct mark_message *m, struct buf *out) {
    buf_printf(out, "{\"v\":1,\"source\":\"%s\"", mark_source_names[m->source]);
    if (m->cluster_time)
        buf_printf(out, ",\"time\":[%llu,%llu]", (unsigned long long)(m->cluster_time >> 32),
                   (unsigned long long)(m->cluster_time & UINT32_MAX));
    append_field(out, "wall_us", m->commit_wall_usec > 0 ? (uint64_t)m->commit_wall_usec : 0);
    append_field(out, "category_revision", m->category_revision);
    append_field(out, "target_revision", m->target_revision);
    if (m->background)
        buf_append_str(out, ",\"background\":true");
    if (m->force)
        buf_append_str(out, ",\"force\":true");
    buf_append_char(out, '}');
}
