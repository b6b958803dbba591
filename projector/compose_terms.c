#include "projector/compose_terms.h"
#include "core/json_read.h"
#include "core/utf8.h"
#include "projector/compose_bson.h"
#include <math.h>
#include <stdlib.h>

enum { ITEMS_FIRST = 64, INSERTION_MAX = 48, KEEP_BYTES = 1 << 20 };

void terms_init(struct terms *t, const struct projection *projection, size_t max_bytes) {
    *t = (struct terms){.projection = projection, .text = BUF_INIT(max_bytes)};
    terms_reset(t);
}

void terms_done(struct terms *t) {
    buf_done(&t->text);
    free(t->attrs.items);
    free(t->numbers.items);
    free(t->codes.items);
    *t = (struct terms){.text = t->text};
}

void terms_reset(struct terms *t) {
    buf_reset(&t->text);
    buf_shrink(&t->text, KEEP_BYTES);
    sink_open(&t->sink, &t->text);
    t->attrs.count = t->numbers.count = t->codes.count = 0;
    t->ignored = 0;
    t->corrupt = false;
}

bool terms_ok(const struct terms *t) {
    return sink_ok(&t->sink) && !t->corrupt;
}

struct slice terms_trim(struct slice s) {
    while (s.len > 0 && (s.data[0] == ' ' || (s.data[0] >= '\t' && s.data[0] <= '\r'))) {
        s.data++;
        s.len--;
    }
    while (s.len > 0 && (s.data[s.len - 1] == ' ' || (s.data[s.len - 1] >= '\t' && s.data[s.len - 1] <= '\r')))
        s.len--;
    return s;
}

static bool list_room(struct terms *t, struct term_list *list) {
    if (list->count < list->capacity)
        return true;
    uint32_t capacity = list->capacity ? list->capacity * 2 : ITEMS_FIRST;
    struct term *items = realloc(list->items, capacity * sizeof(*items));
    if (!items) {
        t->sink.nomem = true;
        return false;
    }
    list->items = items;
    list->capacity = capacity;
    return true;
}

static uint64_t load_order(const char *text) {
    uint64_t v;
    memcpy(&v, text, sizeof(v));
    return __builtin_bswap64(v);
}

/* What was written since `start` becomes a term of the list. */
static void end_term(struct terms *t, struct term_list *list, size_t start, size_t name_len) {
    /* 16 zero bytes behind the term: the order of a short one reads them. */
    static const char close[17] = {'"'};
    if (!sink_room(&t->sink, sizeof(close)))
        return;
    memcpy(t->sink.p, close, sizeof(close));
    t->sink.p++;
    if (!sink_ok(&t->sink) || !list_room(t, list))
        return;
    const char *text = t->text.data + start;
    list->items[list->count++] = (struct term){.order = {load_order(text + 1), load_order(text + 9)},
                                               .offset = (uint32_t)start,
                                               .len = (uint32_t)(sink_len(&t->sink) - start),
                                               .name_len = (uint32_t)name_len};
}

/* Writes "name= and returns where the term starts. */
static size_t begin_term(struct terms *t, size_t name_len) {
    size_t start = sink_len(&t->sink);
    if (sink_room(&t->sink, name_len + 2)) {
        char *p = t->sink.p;
        *p++ = '"';
        memcpy(p, t->name, name_len);
        p[name_len] = '=';
        t->sink.p = p + name_len + 1;
    }
    return start;
}

/* A code is found by its letters and digits alone, so one without any is none. */
static bool has_alphanumeric(struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c >= 0x80 || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
            return true;
    }
    return false;
}

void terms_code(struct terms *t, struct slice code) {
    code = terms_trim(code);
    code.len = utf8_cut(code.data, code.len, PROJECTION_KEYWORD_BYTES);
    if (!has_alphanumeric(code))
        return;
    size_t start = sink_len(&t->sink);
    sink_char(&t->sink, '"');
    sink_escaped(&t->sink, code);
    end_term(t, &t->codes, start, 0);
}

static void add_text(struct terms *t, size_t name_len, bool is_code, struct slice value) {
    value = terms_trim(value);
    value.len = utf8_cut(value.data, value.len, PROJECTION_KEYWORD_BYTES);
    if (value.len == 0)
        return;
    size_t start = begin_term(t, name_len);
    sink_escaped(&t->sink, value);
    end_term(t, &t->attrs, start, name_len + 2);
    if (is_code)
        terms_code(t, value);
}

/* whole: the exact value of an integer, beyond what a double holds. */
static void add_number(struct terms *t, size_t name_len, bool is_code, double v, const int64_t *whole) {
    if (!isfinite(v)) {
        t->ignored++;
        return;
    }
    size_t start = begin_term(t, name_len), text = sink_len(&t->sink);
    if (whole)
        sink_int(&t->sink, *whole);
    else
        sink_number(&t->sink, v);
    size_t text_len = sink_len(&t->sink) - text;
    end_term(t, &t->attrs, start, name_len + 2);
    if (is_code && sink_ok(&t->sink)) {
        char copy[64]; /* the text may move while it is read */
        text_len = text_len < sizeof(copy) ? text_len : sizeof(copy);
        memcpy(copy, t->text.data + text, text_len);
        terms_code(t, (struct slice){copy, text_len});
    }
    start = begin_term(t, name_len);
    sink_ordered_hex(&t->sink, v);
    end_term(t, &t->numbers, start, name_len + 2);
}

static void add_decimal128(struct terms *t, size_t name_len, bool is_code, const struct element *e) {
    bson_decimal128_t decimal;
    char text[BSON_DECIMAL128_STRING];
    double v = NAN;
    decimal.low = (uint64_t)element_i64(e->value);
    decimal.high = (uint64_t)element_i64(e->value + 8);
    bson_decimal128_to_string(&decimal, text);
    if (!json_text_double(slice_str(text), &v))
        v = NAN; /* its NaN and infinities too */
    add_number(t, name_len, is_code, v, NULL);
}

static void walk(struct terms *t, struct elements it, unsigned depth, size_t raw_len, size_t name_len);

static void add_elements(struct terms *t, struct elements it, unsigned depth, size_t raw_len, size_t name_len,
                         bool is_code);

static void add_value(struct terms *t, const struct element *e, unsigned depth, size_t raw_len, size_t name_len,
                      bool is_code) {
    int64_t whole;
    switch (e->type) {
    case BSON_TYPE_UTF8:
        add_text(t, name_len, is_code, element_text(e));
        return;
    case BSON_TYPE_INT32:
    case BSON_TYPE_INT64:
        whole = element_int(e);
        add_number(t, name_len, is_code, (double)whole, &whole);
        return;
    case BSON_TYPE_DOUBLE:
        add_number(t, name_len, is_code, element_double(e), NULL);
        return;
    case BSON_TYPE_DECIMAL128:
        add_decimal128(t, name_len, is_code, e);
        return;
    case BSON_TYPE_BOOL:
        add_text(t, name_len, false, e->value[0] ? SLICE("true") : SLICE("false"));
        return;
    case BSON_TYPE_NULL:
    case BSON_TYPE_UNDEFINED:
        return;
    case BSON_TYPE_ARRAY:
    case BSON_TYPE_DOCUMENT:
        if (depth >= TERMS_DEPTH_MAX)
            t->ignored++;
        else if (e->type == BSON_TYPE_DOCUMENT)
            walk(t, elements_in(e), depth + 1, raw_len, name_len);
        else
            add_elements(t, elements_in(e), depth + 1, raw_len, name_len, is_code);
        return;
    default:
        t->ignored++;
    }
}

/* The elements of an array all have the array's name. */
static void add_elements(struct terms *t, struct elements it, unsigned depth, size_t raw_len, size_t name_len,
                         bool is_code) {
    struct element e;
    while (elements_next(&it, &e) && terms_ok(t))
        add_value(t, &e, depth, raw_len, name_len, is_code);
    t->corrupt = t->corrupt || it.corrupt;
}

/* Nothing in the key that may not stand in a name or needs an escape in JSON: control, quote, backslash, '=', DEL and
 * non-ASCII. Eight bytes at a time, the last eight overlapping. */
static bool is_plain_name(struct slice key) {
    static const uint8_t special[256] = {
        [0 ... 0x1F] = 1, ['"'] = 1, ['='] = 1, ['\\'] = 1, [0x7F ... 0xFF] = 1,
    };
    const uint64_t ones = 0x0101010101010101u;
    uint64_t odd = 0;
    if (key.len < 8) {
        for (size_t i = 0; i < key.len; i++)
            odd |= special[(unsigned char)key.data[i]];
        return odd == 0 && key.len > 0;
    }
    for (size_t at = 0; at < key.len; at += 8) {
        uint64_t w;
        memcpy(&w, key.data + (at + 8 <= key.len ? at : key.len - 8), 8);
        uint64_t equal = w ^ (ones * '='), del = w ^ (ones * 0x7F);
        odd |= sink_odd_bytes(w) | ((equal - ones) & ~equal) | ((del - ones) & ~del);
    }
    return (odd & (ones * 0x80)) == 0;
}

static bool is_name(struct slice key) {
    for (size_t i = 0; i < key.len; i++)
        if ((unsigned char)key.data[i] < 0x20 || key.data[i] == '=' || key.data[i] == 0x7F)
            return false;
    return key.len > 0;
}

/* Puts the key behind the name at hand, escaped. Returns the new escaped length; 0 if it is no name. */
static size_t extend_name(struct terms *t, size_t name_len, struct slice key) {
    bool plain = is_plain_name(key);
    if (!plain && !is_name(key))
        return 0;
    if (name_len > 0)
        t->name[name_len++] = '.';
    if (plain) {
        memcpy(t->name + name_len, key.data, key.len);
        return name_len + key.len;
    }
    size_t start = sink_len(&t->sink);
    sink_escaped(&t->sink, key);
    if (!sink_ok(&t->sink))
        return 0;
    size_t len = sink_len(&t->sink) - start;
    memcpy(t->name + name_len, t->text.data + start, len);
    t->sink.p -= len;
    return name_len + len;
}

static void walk(struct terms *t, struct elements it, unsigned depth, size_t raw_len, size_t name_len) {
    struct element e;
    while (elements_next(&it, &e) && terms_ok(t)) {
        size_t raw = raw_len + e.key.len + (raw_len > 0);
        size_t extended = raw > TERMS_NAME_BYTES_MAX ? 0 : extend_name(t, name_len, e.key);
        if (extended > 0)
            add_value(t, &e, depth, raw, extended, projection_is_code_attribute(t->projection, e.key));
        else
            t->ignored++;
    }
    t->corrupt = t->corrupt || it.corrupt;
}

void terms_walk(struct terms *t, const struct element *object) {
    walk(t, elements_in(object), 0, 0, 0);
}

static inline int compare(const struct term *a, const struct term *b, const char *text) {
    if (a->order[0] != b->order[0])
        return a->order[0] < b->order[0] ? -1 : 1;
    if (a->order[1] != b->order[1])
        return a->order[1] < b->order[1] ? -1 : 1;
    uint32_t len = a->len < b->len ? a->len : b->len;
    int order = memcmp(text + a->offset, text + b->offset, len);
    return order ? order : (a->len > b->len) - (a->len < b->len);
}

static int compare_r(const void *a, const void *b, void *text) {
    return compare(a, b, text);
}

static void insertion_sort(struct term *items, uint32_t count, const char *text) {
    for (uint32_t i = 1; i < count; i++) {
        struct term item = items[i];
        uint32_t at = i;
        for (; at > 0 && compare(&item, &items[at - 1], text) < 0; at--)
            items[at] = items[at - 1];
        items[at] = item;
    }
}

struct term_range terms_sort(struct terms *t, struct term_list *list, uint32_t first) {
    uint32_t count = list->count - first, kept = 0;
    struct term *items = count ? list->items + first : NULL;
    if (count > INSERTION_MAX)
        qsort_r(items, count, sizeof(*items), compare_r, t->text.data);
    else
        insertion_sort(items, count, t->text.data);
    for (uint32_t i = 0; i < count; i++)
        if (kept == 0 || compare(&items[kept - 1], &items[i], t->text.data) != 0)
            items[kept++] = items[i];
    list->count = first + kept;
    return (struct term_range){first, first + kept};
}

/* The terms of a range, put behind each other with commas in the text: written often, they are few copies then. */
void terms_join(struct terms *t, struct term_list *list, struct term_range range) {
    size_t bytes = 0;
    for (uint32_t i = range.first; i < range.end; i++)
        bytes += list->items[i].len + 1;
    if (!sink_room(&t->sink, bytes))
        return;
    for (uint32_t i = range.first; i < range.end; i++) {
        struct term *term = &list->items[i];
        memcpy(t->sink.p, t->text.data + term->offset, term->len);
        term->offset = (uint32_t)sink_len(&t->sink);
        t->sink.p += term->len;
        *t->sink.p++ = ',';
    }
}

/* Terms from..to, which were joined, with a comma behind each. */
static void write_run(const struct terms *t, const struct term *from, const struct term *to, struct sink *out) {
    if (from < to)
        sink_put(out, t->text.data + from->offset, to[-1].offset + to[-1].len + 1 - from->offset);
}

static void write_one(const struct terms *t, const struct term *term, struct sink *out) {
    if (!sink_room(out, term->len + 1))
        return;
    memcpy(out->p, t->text.data + term->offset, term->len);
    out->p += term->len;
    *out->p++ = ',';
}

void terms_write(const struct terms *t, const struct term_list *list, struct term_range range, struct sink *out) {
    for (uint32_t i = range.first; i < range.end; i++)
        write_one(t, &list->items[i], out);
    if (range.end > range.first && sink_ok(out))
        out->p--; /* the last comma */
}

static bool same_name(const char *text, const struct term *a, const struct term *b) {
    return a->name_len == b->name_len && memcmp(text + a->offset, text + b->offset, a->name_len) == 0;
}

/* The first term from..end that does not stand before every term of the name. */
static uint32_t find_name(const char *text, const struct term *items, uint32_t from, uint32_t end,
                          const struct term *name) {
    while (from < end) {
        uint32_t middle = from + (end - from) / 2;
        const struct term *term = &items[middle];
        uint32_t len = term->len < name->name_len ? term->len : name->name_len;
        if (memcmp(text + term->offset, text + name->offset, len) < 0)
            from = middle + 1;
        else
            end = middle;
    }
    return from;
}

/* Terms of one name stand together, in `base`, in `own` and in the common order. */
void terms_write_merged(const struct terms *t, const struct term_list *list, struct term_range base,
                        struct term_range own, struct term_range names, struct sink *out) {
    const char *text = t->text.data;
    const struct term *items = list->items, *replaced = t->attrs.items;
    const size_t before = sink_len(out);
    uint32_t o = own.first, run = base.first;
    for (uint32_t n = names.first; n < names.end; n++) {
        if (n > names.first && same_name(text, &replaced[n], &replaced[n - 1]))
            continue;
        uint32_t at = find_name(text, items, run, base.end, &replaced[n]);
        write_run(t, items + run, items + at, out);
        while (o < own.end && same_name(text, &items[o], &replaced[n]))
            write_one(t, &items[o++], out);
        while (at < base.end && same_name(text, &items[at], &replaced[n]))
            at++;
        run = at;
    }
    write_run(t, items + run, items + base.end, out);
    if (sink_ok(out) && sink_len(out) != before)
        out->p--; /* the last comma */
}
