#include "query-api/text/search_text.h"
#include "query-api/upstream/fallback_query.h"

enum { WORDS_MAX = 8, WORD_MAX_BYTES = 128, CODE_MIN_BYTES = 3, CATEGORIES_MAX = 10000, PATH_MAX_BYTES = 320 };

/* Members of an array: conditions that must all hold, alternatives, values. */
struct list {
    bson_t array;
    uint32_t count;
};

static const char *next_key(struct list *l, char text[16], int *ret_len) {
    const char *key;
    *ret_len = (int)bson_uint32_to_string(l->count++, &key, text, 16);
    return key;
}

static void begin(struct list *l, bson_t *ret_item) {
    char text[16];
    int len;
    const char *key = next_key(l, text, &len);
    bson_append_document_begin(&l->array, key, len, ret_item);
}

static void end(struct list *l, bson_t *item) {
    bson_append_document_end(&l->array, item);
}

static void put_text(struct list *l, struct slice value) {
    char text[16];
    int len;
    const char *key = next_key(l, text, &len);
    bson_append_utf8(&l->array, key, len, value.data, (int)value.len);
}

static void put_double(struct list *l, double value) {
    char text[16];
    int len;
    const char *key = next_key(l, text, &len);
    bson_append_double(&l->array, key, len, value);
}

static void put_bool(struct list *l, bool value) {
    char text[16];
    int len;
    const char *key = next_key(l, text, &len);
    bson_append_bool(&l->array, key, len, value);
}

/* ---- words ---- */

struct words {
    struct slice items[WORDS_MAX];
    size_t count;
};

static bool in_word(char c) {
    unsigned char u = (unsigned char)c;
    return u >= 0x80 || (u >= '0' && u <= '9') || (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z');
}

static struct words words_of(struct slice text) {
    struct words words = {.count = 0};
    for (size_t i = 0; i < text.len && words.count < WORDS_MAX;) {
        size_t first = i;
        while (i < text.len && in_word(text.data[i]))
            i++;
        if (i > first && i - first <= WORD_MAX_BYTES)
            words.items[words.count++] = (struct slice){text.data + first, i - first};
        i += i < text.len;
    }
    return words;
}

static bool is_code(struct slice q) {
    bool digit = false;
    for (size_t i = 0; i < q.len; i++) {
        if (q.data[i] == ' ')
            return false;
        digit = digit || (q.data[i] >= '0' && q.data[i] <= '9');
    }
    return digit && q.len >= CODE_MIN_BYTES;
}

static void put_code(struct list *all, struct slice q) {
    static const char *const fields[] = {"_id", "variants.sku"};
    struct list any = {.count = 0};
    bson_t item, one;
    begin(all, &item);
    bson_append_array_begin(&item, "$or", -1, &any.array);
    for (size_t i = 0; i < 2; i++) {
        begin(&any, &one);
        bson_append_utf8(&one, fields[i], -1, q.data, (int)q.len);
        end(&any, &one);
    }
    bson_append_array_end(&item, &any.array);
    end(all, &item);
}

/* Each in quotes: a document must have all of them. */
static bool put_search(struct list *all, const struct words *words) {
    struct buf text = BUF_INIT(WORDS_MAX * (WORD_MAX_BYTES + 4));
    bson_t item, search;
    for (size_t i = 0; i < words->count; i++)
        buf_printf(&text, "%s\"%.*s\"", i ? " " : "", (int)words->items[i].len, words->items[i].data);
    bool ok = buf_ok(&text);
    if (ok) {
        begin(all, &item);
        bson_append_document_begin(&item, "$text", -1, &search);
        bson_append_utf8(&search, "$search", -1, text.data, (int)text.len);
        bson_append_document_end(&item, &search);
        end(all, &item);
    }
    buf_done(&text);
    return ok;
}

/* Words hold nothing that means something in a regular expression. */
static void put_inside(struct list *all, struct slice word) {
    static const char *const fields[] = {"name", "name.ko", "name.en"};
    char pattern[WORD_MAX_BYTES + 1];
    struct list any = {.count = 0};
    bson_t item, one;
    memcpy(pattern, word.data, word.len);
    pattern[word.len] = '\0';
    begin(all, &item);
    bson_append_array_begin(&item, "$or", -1, &any.array);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        begin(&any, &one);
        bson_append_regex(&one, fields[i], -1, pattern, "i");
        end(&any, &one);
    }
    bson_append_array_end(&item, &any.array);
    end(all, &item);
}

static bool put_step(enum fallback_step step, struct list *all, struct slice q, struct slice folded) {
    struct words words = words_of(folded);
    if (q.len == 0)
        return step == FALLBACK_WORDS;
    if (step == FALLBACK_CODE) {
        if (is_code(q))
            put_code(all, q);
        return is_code(q);
    }
    if (words.count == 0)
        return false;
    if (step == FALLBACK_WORDS)
        return put_search(all, &words);
    for (size_t i = 0; i < words.count; i++)
        put_inside(all, words.items[i]);
    return true;
}

/* ---- filters ---- */

static void put_categories(struct list *all, const struct filter *f, const struct category_list *categories) {
    struct list ids = {.count = 0};
    bson_t item, in;
    char text[16];
    int len;
    begin(all, &item);
    bson_append_document_begin(&item, "categories", -1, &in);
    bson_append_array_begin(&in, "$in", -1, &ids.array);
    for (size_t i = 0; categories && i < category_list_count(categories) && ids.count < CATEGORIES_MAX; i++) {
        const struct category *c = category_list_at(categories, i);
        for (size_t k = 0; k < f->value_count; k++)
            if (slice_eq(c->path, f->values[k]) || path_is_below(c->path, f->values[k])) {
                const char *key = next_key(&ids, text, &len);
                bson_append_int64(&ids.array, key, len, c->id);
                break;
            }
    }
    bson_append_array_end(&in, &ids.array);
    bson_append_document_end(&item, &in);
    end(all, &item);
}

static void put_brands(struct list *all, const struct filter *f) {
    struct list values = {.count = 0};
    bson_t item, in;
    begin(all, &item);
    bson_append_document_begin(&item, "brand", -1, &in);
    bson_append_array_begin(&in, "$in", -1, &values.array);
    for (size_t i = 0; i < f->value_count; i++)
        put_text(&values, f->values[i]);
    bson_append_array_end(&in, &values.array);
    bson_append_document_end(&item, &in);
    end(all, &item);
}

static void put_limits(bson_t *all, const char *path, struct range range) {
    bson_t limits;
    bson_append_document_begin(all, path, -1, &limits);
    bson_append_double(&limits, "$gte", -1, range.from); /* an open end is an infinity, to MongoDB too */
    bson_append_double(&limits, "$lte", -1, range.to);
    bson_append_document_end(all, &limits);
}

/* Of the product, or of one variant: of a list MongoDB would take each end from another one. */
static void put_range(struct list *any, const char *path, struct range range) {
    bson_t one, variants, match;
    begin(any, &one);
    put_limits(&one, path, range);
    end(any, &one);
    begin(any, &one);
    bson_append_document_begin(&one, "variants", -1, &variants);
    bson_append_document_begin(&variants, "$elemMatch", -1, &match);
    put_limits(&match, path, range);
    bson_append_document_end(&variants, &match);
    bson_append_document_end(&one, &variants);
    end(any, &one);
}

/* A value as a client writes it may be stored as a text, a number or a boolean. */
static void put_values(struct list *any, const char *path, const struct filter *f) {
    struct list values = {.count = 0};
    bson_t one, in;
    begin(any, &one);
    bson_append_document_begin(&one, path, -1, &in);
    bson_append_array_begin(&in, "$in", -1, &values.array);
    for (size_t i = 0; i < f->value_count; i++) {
        double number;
        put_text(&values, f->values[i]);
        if (json_text_double(f->values[i], &number))
            put_double(&values, number);
        if (slice_eq(f->values[i], SLICE("true")) || slice_eq(f->values[i], SLICE("false")))
            put_bool(&values, f->values[i].data[0] == 't');
    }
    bson_append_array_end(&in, &values.array);
    bson_append_document_end(&one, &in);
    end(any, &one);
}

#define VARIANTS "variants."

/* What stands with the product or with one of its variants. path: VARIANTS, and behind it that of the product. */
static void put_variant(struct list *all, const char *path, const struct filter *f) {
    const char *own = path + sizeof(VARIANTS) - 1;
    struct list any = {.count = 0};
    bson_t item;
    begin(all, &item);
    bson_append_array_begin(&item, "$or", -1, &any.array);
    if (f->value_count) {
        put_values(&any, own, f);
        put_values(&any, path, f);
    }
    for (size_t i = 0; i < f->range_count; i++)
        put_range(&any, own, f->ranges[i]);
    bson_append_array_end(&item, &any.array);
    end(all, &item);
}

static void put_attribute(struct list *all, const struct filter *f) {
    struct buf path = BUF_INIT(PATH_MAX_BYTES);
    if (buf_printf(&path, VARIANTS "attributes.%.*s", (int)f->name.len, f->name.data))
        put_variant(all, path.data, f);
    buf_done(&path);
}

static void put_filter(struct list *all, const struct filter *f, const struct category_list *categories) {
    if (f->dim == DIM_CATEGORY)
        put_categories(all, f, categories);
    else if (f->dim == DIM_BRAND)
        put_brands(all, f);
    else if (f->dim == DIM_PRICE)
        put_variant(all, VARIANTS "price", f);
    else if (f->dim == DIM_ATTR)
        put_attribute(all, f);
}

/* One of the literals holds. What may depend on the stock, which is not known here, may hold. */
static void put_clause(struct list *all, const struct search_clause *clause, const struct category_list *categories) {
    struct list any = {.count = 0};
    bson_t item, one;
    for (size_t i = 0; i < clause->count; i++)
        if (clause->literals[i].filter.dim == DIM_STOCK)
            return;
    begin(all, &item);
    bson_append_array_begin(&item, "$or", -1, &any.array);
    for (size_t i = 0; i < clause->count; i++) {
        struct list inner = {.count = 0};
        begin(&any, &one);
        bson_append_array_begin(&one, clause->literals[i].negated ? "$nor" : "$and", -1, &inner.array);
        put_filter(&inner, &clause->literals[i].filter, categories);
        bson_append_array_end(&one, &inner.array);
        end(&any, &one);
    }
    bson_append_array_end(&item, &any.array);
    end(all, &item);
}

bool fallback_query_write(enum fallback_step step, const struct search_params *p, const struct category_list *categories,
                          bson_t *ret) {
    struct list all = {.count = 0};
    bson_append_array_begin(ret, "$and", -1, &all.array);
    bool ok = put_step(step, &all, p->q, p->text ? p->text->q : p->q);
    for (size_t i = 0; ok && i < p->filter_count; i++)
        put_filter(&all, &p->filters[i], categories);
    for (size_t i = 0; ok && i < p->clause_count; i++)
        put_clause(&all, &p->clauses[i], categories);
    bson_append_array_end(ret, &all.array);
    if (all.count == 0)
        bson_reinit(ret); /* $and wants at least one */
    return ok;
}
