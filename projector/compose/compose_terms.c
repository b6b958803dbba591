#include "core/json_escape.h"
#include "core/json_read.h"
#include "core/utf8.h"
#include "projector/compose/compose_bson.h"
#include "projector/compose/compose_terms.h"
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
    free(t->names.items);
    *t = (struct terms){.text = t->text};
}

void terms_reset(struct terms *t) {
    buf_reset(&t->text);
    buf_shrink(&t->text, KEEP_BYTES);
    sink_open(&t->sink, &t->text);
    t->attrs.count = t->numbers.count = t->codes.count = t->names.count = 0;
    t->ignored = 0;
    t->codes_vary = t->corrupt = false;
}

bool terms_ok(const struct terms *t) {
    return sink_ok(&t->sink) && !t->corrupt;
}

static inline bool is_blank(char c) {
    return (unsigned char)c <= ' ' && (c == ' ' || (c >= '\t' && c <= '\r'));
}

struct slice terms_trim(struct slice s) {
    for (; s.len > 0 && is_blank(s.data[0]); s.len--)
        s.data++;
    while (s.len > 0 && is_blank(s.data[s.len - 1]))
        s.len--;
    return s;
}

static inline struct slice trim_and_cut(struct slice s) {
    s = terms_trim(s);
    if (s.len > PROJECTION_KEYWORD_BYTES)
        s.len = utf8_cut(s.data, s.len, PROJECTION_KEYWORD_BYTES);
    return s;
}

static bool list_room(struct terms *t, struct term_list *list) {
    if (list->count < list->capacity)
        return true;
    uint32_t capacity = list->capacity ? list->capacity * 2 : ITEMS_FIRST;
    struct term *items = realloc(list->items, capacity * sizeof(*items));
    if (!items) {
        t->sink.nomem = t->sink.bad = true;
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

/* What was written since `start` becomes a term of the list. There is room for a block of 16 behind it. */
static inline void end_term(struct terms *t, struct term_list *list, size_t start, uint32_t name_len, bool is_code) {
    if (!sink_room(&t->sink, 17) || !sink_ok(&t->sink) || !list_room(t, list))
        return;
    *t->sink.p++ = '"';
    list->items[list->count++] = (struct term){.offset = (uint32_t)start,
                                               .len = (uint32_t)((size_t)(t->sink.p - t->text.data) - start),
                                               .name_len = name_len,
                                               .is_code = is_code && t->projection->codes_apart};
}

/* Writes "name= and returns where the term starts. */
static inline size_t begin_term(struct terms *t) {
    if (!sink_room(&t->sink, t->name_len + 16))
        return 0;
    size_t start = (size_t)(t->sink.p - t->text.data);
    t->sink.p = sink_copy_short(t->sink.p, t->name, t->name_len);
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
    code = trim_and_cut(code);
    if (!has_alphanumeric(code) || !sink_room(&t->sink, 1))
        return;
    size_t start = (size_t)(t->sink.p - t->text.data);
    *t->sink.p++ = '"';
    sink_escaped(&t->sink, code);
    end_term(t, &t->codes, start, 0, false);
}

static void add_term(struct terms *t, struct slice value) {
    size_t start = begin_term(t);
    sink_escaped(&t->sink, value);
    end_term(t, &t->attrs, start, t->name_len, t->is_code);
}

static void add_text(struct terms *t, struct slice value) {
    value = trim_and_cut(value);
    if (value.len == 0)
        return;
    add_term(t, value);
    if (t->is_code)
        terms_code(t, value);
}

/* whole: the exact value of an integer, beyond what a double holds. */
static void add_number(struct terms *t, double v, const int64_t *whole) {
    if (!isfinite(v)) {
        t->ignored++;
        return;
    }
    size_t start = begin_term(t), text = sink_len(&t->sink);
    if (whole)
        sink_int(&t->sink, *whole);
    else
        sink_number(&t->sink, v);
    size_t text_len = sink_len(&t->sink) - text;
    end_term(t, &t->attrs, start, t->name_len, t->is_code);
    if (t->is_code && sink_ok(&t->sink)) {
        char copy[64]; /* the text may move while it is read */
        text_len = text_len < sizeof(copy) ? text_len : sizeof(copy);
        memcpy(copy, t->text.data + text, text_len);
        terms_code(t, (struct slice){copy, text_len});
    }
    start = begin_term(t);
    sink_ordered_hex(&t->sink, v);
    end_term(t, &t->numbers, start, t->name_len, false);
}

static void add_decimal128(struct terms *t, const struct element *e) {
    bson_decimal128_t decimal;
    char text[BSON_DECIMAL128_STRING];
    double v = NAN;
    decimal.low = (uint64_t)element_i64(e->value);
    decimal.high = (uint64_t)element_i64(e->value + 8);
    bson_decimal128_to_string(&decimal, text);
    if (!json_text_double(slice_str(text), &v))
        v = NAN; /* its NaN and infinities too */
    add_number(t, v, NULL);
}

static void walk(struct terms *t, struct elements it, unsigned depth, size_t raw_len);

static void add_elements(struct terms *t, struct elements it, unsigned depth, size_t raw_len);

static void add_nested(struct terms *t, const struct element *e, unsigned depth, size_t raw_len) {
    if (depth >= TERMS_DEPTH_MAX)
        t->ignored++;
    else if (e->type == BSON_TYPE_DOCUMENT)
        walk(t, elements_in(e), depth + 1, raw_len);
    else
        add_elements(t, elements_in(e), depth + 1, raw_len);
}

static void add_no_text(struct terms *t, const struct element *e, unsigned depth, size_t raw_len) {
    int64_t whole;
    switch (e->type) {
    case BSON_TYPE_INT32:
    case BSON_TYPE_INT64:
        whole = element_int(e);
        add_number(t, (double)whole, &whole);
        return;
    case BSON_TYPE_DOUBLE:
        add_number(t, element_double(e), NULL);
        return;
    case BSON_TYPE_DECIMAL128:
        add_decimal128(t, e);
        return;
    case BSON_TYPE_BOOL:
        add_term(t, e->value[0] ? SLICE("true") : SLICE("false"));
        return;
    case BSON_TYPE_NULL:
    case BSON_TYPE_UNDEFINED:
        return;
    case BSON_TYPE_ARRAY:
    case BSON_TYPE_DOCUMENT:
        add_nested(t, e, depth, raw_len);
        return;
    default:
        t->ignored++;
    }
}

static inline void add_value(struct terms *t, const struct element *e, unsigned depth, size_t raw_len) {
    if (e->type == BSON_TYPE_UTF8)
        add_text(t, element_text(e));
    else
        add_no_text(t, e, depth, raw_len);
}

/* The name at hand has so many bytes, with its quote and without '='. */
static void set_name(struct terms *t, size_t len, bool is_code) {
    t->name[len] = '=';
    t->name_len = (uint32_t)len + 1;
    t->is_code = is_code;
}

/* The elements of an array all have the array's name. */
static void add_elements(struct terms *t, struct elements it, unsigned depth, size_t raw_len) {
    struct element e;
    const uint32_t len = t->name_len - 1;
    const bool is_code = t->is_code;
    for (; elements_next(&it, &e) && terms_ok(t); set_name(t, len, is_code))
        add_value(t, &e, depth, raw_len);
    t->corrupt = t->corrupt || it.corrupt;
}

#ifdef JSON_ESCAPE_SSE2
static inline unsigned odd_in_name(__m128i v) {
    __m128i others = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('=')), _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7F)));
    return json_escape_odd(v) | (unsigned)_mm_movemask_epi8(others);
}
#endif

/* Nothing in the key that may not stand in a name or needs an escape in JSON: control, quote, backslash, '=', DEL and
 * non-ASCII. */
static bool is_plain_name(struct slice key) {
    static const uint8_t special[256] = {
        [0 ... 0x1F] = 1, ['"'] = 1, ['='] = 1, ['\\'] = 1, [0x7F ... 0xFF] = 1,
    };
    unsigned odd = 0;
#ifdef JSON_ESCAPE_SSE2
    const char *last = key.data + key.len;
    if (key.len >= 16) {
        for (size_t at = 0; at + 16 < key.len; at += 16)
            odd |= odd_in_name(_mm_loadu_si128((const __m128i *)(key.data + at)));
        return (odd | odd_in_name(_mm_loadu_si128((const __m128i *)(last - 16)))) == 0;
    }
    if (key.len >= 8)
        return odd_in_name(_mm_unpacklo_epi64(_mm_loadl_epi64((const __m128i *)key.data), _mm_loadl_epi64((const __m128i *)(last - 8)))) == 0;
#endif
    for (size_t i = 0; i < key.len; i++)
        odd |= special[(unsigned char)key.data[i]];
    return odd == 0 && key.len > 0;
}

static bool is_name(struct slice key) {
    for (size_t i = 0; i < key.len; i++)
        if ((unsigned char)key.data[i] < 0x20 || key.data[i] == '=' || key.data[i] == 0x7F)
            return false;
    return key.len > 0;
}

/* Puts the key, of a document that ends at `end`, behind the name at hand, escaped. Returns the new escaped length; 0 if it is no name. */
static inline size_t extend_name(struct terms *t, size_t name_len, struct slice key, const uint8_t *end) {
    bool plain = is_plain_name(key);
    if (!plain && !is_name(key))
        return 0;
    if (name_len > 1)
        t->name[name_len++] = '.';
    if (plain) {
        if ((size_t)((const char *)end - key.data) >= key.len + 16)
            sink_copy_short(t->name + name_len, key.data, key.len);
        else
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

static void walk(struct terms *t, struct elements it, unsigned depth, size_t raw_len) {
    struct element e;
    const size_t name_len = raw_len > 0 ? t->name_len - 1 : 1;
    while (elements_next(&it, &e) && terms_ok(t)) {
        size_t raw = raw_len + e.key.len + (raw_len > 0);
        size_t extended = raw > TERMS_NAME_BYTES_MAX ? 0 : extend_name(t, name_len, e.key, it.end);
        if (extended == 0) {
            t->ignored++;
            continue;
        }
        set_name(t, extended, projection_is_code_attribute(t->projection, e.key));
        add_value(t, &e, depth, raw);
    }
    t->corrupt = t->corrupt || it.corrupt;
}

void terms_walk(struct terms *t, const struct element *object) {
    t->name[0] = '"';
    walk(t, elements_in(object), 0, 0);
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

/* Behind a short term the order has something of the next one: that is looked at only where both are the same to their
 * closing quotes. */
static void load_orders(struct terms *t, struct term *items, uint32_t count) {
    memset(t->sink.p, 0, 16); /* room that end_term left */
    for (uint32_t i = 0; i < count; i++) {
        const char *text = t->text.data + items[i].offset + 1;
        items[i].order[0] = load_order(text);
        items[i].order[1] = load_order(text + 8);
    }
}

static void sort_items(struct term *items, uint32_t count, char *text) {
    if (count > INSERTION_MAX)
        qsort_r(items, count, sizeof(*items), compare_r, text);
    else
        insertion_sort(items, count, text);
}

void terms_sort(struct terms *t, struct term_list *list, struct term_range range) {
    if (range.end == range.first)
        return;
    load_orders(t, list->items + range.first, range.end - range.first);
    sort_items(list->items + range.first, range.end - range.first, t->text.data);
}

static void write_one(const struct terms *t, const struct term *term, struct sink *out) {
    if (!sink_room(out, term->len + 16))
        return;
    out->p = sink_copy_short(out->p, t->text.data + term->offset, term->len);
    *out->p++ = ',';
}

/* items may be NULL where there are none. */
static void write_run(const struct terms *t, bool codes, const struct term *items, uint32_t from, uint32_t to,
                      struct sink *out) {
    for (; from < to; from++)
        if (items[from].is_code == codes)
            write_one(t, &items[from], out);
}

/* Every term was written with a comma behind it. Returns whether there was one. */
static bool end_list(struct sink *out, size_t before) {
    if (!sink_ok(out) || sink_len(out) == before)
        return false;
    out->p--;
    return true;
}

bool terms_write(const struct terms *t, const struct term_list *list, bool codes, struct term_range range,
                 struct sink *out) {
    const size_t before = sink_len(out);
    write_run(t, codes, list->items, range.first, range.end, out);
    return end_list(out, before);
}

/* ---- names ---- */

/* The first n of the eight bytes of an order. */
static inline uint64_t first_bytes(uint64_t order, uint32_t n) {
    return n >= 8 ? order : order & ~(UINT64_MAX >> n * 8);
}

/* The term's place before (< 0), among (0) or behind the terms of the name, which may be a term of that name. Mostly their
 * orders tell, without a look at the text. '=' stands in no name, so a shorter term differs before its end. */
static inline int compare_name(const char *text, const struct term *term, const struct term *name) {
    uint32_t len = name->name_len - 1; /* the quote before it is in no order */
    uint64_t a = first_bytes(term->order[0], len), b = first_bytes(name->order[0], len);
    if (a == b && len > 8) {
        a = first_bytes(term->order[1], len - 8);
        b = first_bytes(name->order[1], len - 8);
    }
    if (a != b)
        return a < b ? -1 : 1;
    if (len <= 16)
        return 0;
    uint32_t shorter = term->len < name->name_len ? term->len : name->name_len;
    return shorter <= 17 ? 0 : memcmp(text + term->offset + 17, text + name->offset + 17, shorter - 17);
}

static inline bool same_name(const char *text, const struct term *a, const struct term *b) {
    return a->name_len == b->name_len && compare_name(text, a, b) == 0;
}

/* The term's name as a term: "name= without what follows, so names are in the order of their terms. */
static struct term name_of(const char *text, const struct term *term) {
    char order[17] = {0};
    uint32_t len = term->name_len - 1;
    memcpy(order, text + term->offset + 1, len < 16 ? len : 16);
    return (struct term){.order = {load_order(order), load_order(order + 8)},
                         .offset = term->offset,
                         .len = term->name_len,
                         .name_len = term->name_len};
}

/* Variants mostly have the same names in the same order: then a name of a further variant is found at once. */
uint32_t terms_add_names(struct terms *t, struct term_range range) {
    const char *text = t->text.data;
    uint32_t expected = 0, found = 0;
    for (uint32_t i = range.first; i < range.end; i++) {
        const struct term *term = &t->attrs.items[i];
        t->codes_vary = t->codes_vary || term->is_code;
        if (i > range.first && same_name(text, term, term - 1))
            continue;
        found++;
        if (expected < t->names.count && same_name(text, term, &t->names.items[expected])) {
            expected++;
        } else if (list_room(t, &t->names)) {
            t->names.items[t->names.count++] = name_of(text, term);
            expected = t->names.count;
        }
    }
    return found;
}

/* A variant without a value of its own takes the product's. */
static bool product_codes_vary(const struct terms *t, struct term_range base) {
    for (uint32_t i = base.first; i < base.end; i++)
        for (uint32_t n = 0; t->attrs.items[i].is_code && n < t->names.count; n++)
            if (same_name(t->text.data, &t->attrs.items[i], &t->names.items[n]))
                return true;
    return false;
}

void terms_sort_names(struct terms *t, struct term_range base) {
    struct term_list *names = &t->names;
    uint32_t kept = 0;
    sort_items(names->items, names->count, t->text.data);
    for (uint32_t i = 0; i < names->count; i++)
        if (kept == 0 || !same_name(t->text.data, &names->items[kept - 1], &names->items[i]))
            names->items[kept++] = names->items[i];
    names->count = kept;
    t->codes_vary = t->codes_vary || product_codes_vary(t, base);
}

void terms_write_names(const struct terms *t, struct sink *out) {
    const size_t before = sink_len(out);
    for (uint32_t i = 0; i < t->names.count; i++) {
        const struct term *name = &t->names.items[i];
        if (!sink_room(out, name->len + 1))
            return;
        memcpy(out->p, t->text.data + name->offset, name->len - 1);
        out->p += name->len - 1;
        *out->p++ = '"';
        *out->p++ = ',';
    }
    end_list(out, before);
}

/* The first term from..end that does not stand before every term of the name. */
static uint32_t find_name(const char *text, const struct term *items, uint32_t from, uint32_t end,
                          const struct term *name) {
    while (from < end) {
        uint32_t middle = from + (end - from) / 2;
        if (compare_name(text, &items[middle], name) < 0)
            from = middle + 1;
        else
            end = middle;
    }
    return from;
}

static uint32_t end_of_name(const char *text, const struct term *items, uint32_t from, uint32_t end,
                            const struct term *name) {
    while (from < end && same_name(text, &items[from], name))
        from++;
    return from;
}

bool terms_write_common(const struct terms *t, const struct term_list *list, bool codes, struct term_range base,
                        struct sink *out) {
    const char *text = t->text.data;
    const struct term *items = list->items;
    const size_t before = sink_len(out);
    uint32_t run = base.first;
    for (uint32_t n = 0; n < t->names.count && run < base.end; n++) {
        uint32_t at = find_name(text, items, run, base.end, &t->names.items[n]);
        write_run(t, codes, items, run, at, out);
        run = end_of_name(text, items, at, base.end, &t->names.items[n]);
    }
    write_run(t, codes, items, run, base.end, out);
    return end_list(out, before);
}

bool terms_write_varied(const struct terms *t, const struct term_list *list, bool codes, struct term_range base,
                        struct term_range own, struct term_range own_attrs, struct sink *out) {
    const char *text = t->text.data;
    const struct term *items = list->items, *attrs = t->attrs.items;
    const size_t before = sink_len(out);
    uint32_t o = own.first, a = own_attrs.first, b = base.first;
    for (uint32_t n = 0; n < t->names.count; n++) {
        const struct term *name = &t->names.items[n];
        uint32_t end = end_of_name(text, attrs, a, own_attrs.end, name);
        if (end > a) { /* the variant's own */
            a = end;
            end = end_of_name(text, items, o, own.end, name);
            write_run(t, codes, items, o, end, out);
            o = end;
        } else {
            b = find_name(text, items, b, base.end, name);
            end = end_of_name(text, items, b, base.end, name);
            write_run(t, codes, items, b, end, out);
            b = end;
        }
    }
    return end_list(out, before);
}
