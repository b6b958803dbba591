#include "core/hash.h"
#include "query-api/search/search_cursor.h"
#include <stdio.h>

enum { VIEW_MAX_BYTES = 2048, ID_MAX_BYTES = 512, SORT_KEYS = 3, CHECK_BYTES = 16 };

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const uint64_t check_seed = UINT64_C(0x7265616473696465);

/* ---- base64url (RFC 4648, 5), without padding ---- */

static void append_base64(struct buf *out, const char *data, size_t len) {
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < len; i++) {
        bits = bits << 8 | (unsigned char)data[i];
        for (held += 8; held >= 6; held -= 6)
            buf_append_char(out, alphabet[bits >> (held - 6) & 63]);
    }
    if (held)
        buf_append_char(out, alphabet[bits << (6 - held) & 63]);
}

static bool decode_base64(struct arena *arena, struct slice text, struct slice *ret) {
    char *out = arena_alloc(arena, text.len + 1);
    uint32_t bits = 0;
    unsigned held = 0;
    size_t n = 0;
    if (!out)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        const char *at = text.data[i] ? strchr(alphabet, text.data[i]) : NULL;
        if (!at)
            return false;
        bits = bits << 6 | (uint32_t)(at - alphabet);
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[n++] = (char)(bits >> held & 255);
        }
    }
    *ret = (struct slice){out, n};
    return true;
}

/* ---- which search ---- */

static uint64_t add_slice(uint64_t hash, struct slice s) {
    return hash_combine(hash, hash_bytes(s.data ? s.data : "", s.len));
}

static uint64_t filter_hash(const struct filter *f) {
    uint64_t hash = add_slice((uint64_t)f->dim + 1, f->name), values = 0;
    for (size_t i = 0; i < f->value_count; i++) /* in any order */
        values += add_slice(1, f->values[i]);
    for (size_t i = 0; i < f->range_count; i++)
        values += hash_combine(2, hash_bytes(&f->ranges[i], sizeof(f->ranges[i])));
    return hash_combine(hash, values);
}

/* What decides which hits there are and in which order. */
static uint64_t search_hash(const struct search_params *p) {
    uint64_t hash = add_slice((uint64_t)p->sort * 2 + p->typo, p->q), filters = 0;
    for (size_t i = 0; i < p->filter_count; i++)
        filters += filter_hash(&p->filters[i]);
    for (size_t i = 0; i < p->context_count; i++) /* they decide what is pinned */
        filters += add_slice(3, p->contexts[i]);
    return hash_combine(hash, filters);
}

static void format_hash(uint64_t hash, char ret[CHECK_BYTES + 1]) {
    snprintf(ret, CHECK_BYTES + 1, "%016llx", (unsigned long long)hash);
}

/* ---- reading ---- */

/* [0 or 1, a number, an id]: as every sort of search_query.c gives them. */
static bool after_ok(const struct json *after) {
    if (!json_is(after, JSON_ARRAY) || after->count < SORT_KEYS)
        return false;
    const struct json *in_stock = after->child, *key = in_stock->next, *id = key->next;
    return json_is(in_stock, JSON_NUMBER) && json_is(key, JSON_NUMBER) && json_is(id, JSON_STRING) &&
           id->text.len <= ID_MAX_BYTES;
}

static bool view_ok(const struct json *view) {
    if (!json_is(view, JSON_STRING) || view->text.len > VIEW_MAX_BYTES)
        return false;
    for (size_t i = 0; i < view->text.len; i++)
        if (!strchr(alphabet, view->text.data[i]) && !strchr("+/=", view->text.data[i]))
            return false;
    return true;
}

static bool check_ok(struct slice cursor) {
    char sum[CHECK_BYTES + 1];
    size_t body = cursor.len - CHECK_BYTES - 1;
    format_hash(hash_bytes_seeded(cursor.data, body, check_seed), sum);
    return cursor.data[body] == '.' && memcmp(cursor.data + body + 1, sum, CHECK_BYTES) == 0;
}

bool search_cursor_read(struct arena *arena, struct search_params *params, const char **ret_why) {
    struct slice cursor = params->cursor, payload;
    char hash[CHECK_BYTES + 1];
    *ret_why = "is damaged: send next_cursor of an answer as it is, or * to begin";
    if (slice_eq(cursor, SLICE("*")))
        return true;
    if (cursor.len < CHECK_BYTES + 4 || cursor.data[1] != '.')
        return false;
    if (cursor.data[0] != '1') {
        *ret_why = "is of another version: begin again with *";
        return false;
    }
    if (!check_ok(cursor) ||
        !decode_base64(arena, (struct slice){cursor.data + 2, cursor.len - CHECK_BYTES - 3}, &payload))
        return false;
    const struct json_limits limits = {.depth_max = 3, .values_max = 16};
    const struct json *all = json_parse(arena, payload.data, payload.len, &limits, NULL);
    if (!json_is(all, JSON_ARRAY) || all->count != 3)
        return false;
    const struct json *search = all->child, *view = search->next, *after = view->next;
    if (!json_is(search, JSON_STRING) || !view_ok(view) || !after_ok(after) || after->count != SORT_KEYS)
        return false;
    format_hash(search_hash(params), hash);
    if (!json_string_is(search, hash)) {
        *ret_why = "belongs to another search: q, typo, sort, context and filters stay the same in a walk";
        return false;
    }
    params->view = view->text;
    params->after = after;
    return true;
}

/* ---- writing ---- */

static const struct json *last_hit(const struct json *answer, unsigned *ret_count) {
    const struct json *hits = json_path(answer, "hits.hits"), *last = NULL;
    *ret_count = 0;
    for (const struct json *hit = json_is(hits, JSON_ARRAY) ? hits->child : NULL; hit; hit = hit->next) {
        last = hit;
        ++*ret_count;
    }
    return last;
}

/* *ret_after: the sort values of the last hit. */
static bool is_more(const struct search_params *p, const struct json *answer, const struct json **ret_after) {
    unsigned count;
    int64_t total = 0;
    *ret_after = json_get(last_hit(answer, &count), "sort");
    json_int64(json_path(answer, "hits.total.value"), &total);
    return count && count == p->size && (p->cursor.data || (int64_t)p->page * p->size < total) && after_ok(*ret_after);
}

bool search_cursor_is_more(const struct search_params *params, const struct json *answer) {
    const struct json *after;
    return is_more(params, answer, &after);
}

static bool write_payload(struct buf *out, const struct search_params *p, const struct json *view,
                          const struct json *after) {
    struct json_write w;
    char hash[CHECK_BYTES + 1];
    format_hash(search_hash(p), hash);
    json_write_init(&w, out);
    json_write_array(&w);
    json_write_str(&w, hash);
    json_write_slice(&w, json_is(view, JSON_STRING) ? view->text : (struct slice){"", 0});
    json_write_array(&w);
    const struct json *key = after->child;
    for (unsigned i = 0; i < SORT_KEYS; i++, key = key->next) /* not the place in its shard, which a view adds */
        json_write_json(&w, key);
    json_write_array_end(&w);
    json_write_array_end(&w);
    return json_write_finish(&w);
}

bool search_cursor_write(struct json_write *w, const struct search_params *params, const struct json *answer) {
    const struct json *after;
    if (!is_more(params, answer, &after)) {
        json_write_null(w);
        return true;
    }
    struct buf payload = BUF_INIT(SEARCH_CURSOR_MAX_BYTES), text = BUF_INIT(SEARCH_CURSOR_MAX_BYTES);
    char sum[CHECK_BYTES + 1];
    bool ok = write_payload(&payload, params, json_get(answer, "pit_id"), after) && buf_append_str(&text, "1.");
    if (ok) {
        append_base64(&text, payload.data, payload.len);
        ok = buf_ok(&text);
    }
    if (ok) {
        format_hash(hash_bytes_seeded(text.data, text.len, check_seed), sum);
        ok = buf_append_char(&text, '.') && buf_append_str(&text, sum);
    }
    if (ok)
        json_write_string(w, text.data, text.len);
    else
        json_write_null(w);
    buf_done(&payload);
    buf_done(&text);
    return ok;
}
