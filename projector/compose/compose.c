#include "core/hash.h"
#include "core/utf8.h"
#include "projector/compose/compose.h"
#include "projector/compose/compose_paths.h"
#include "projector/compose/compose_source.h"
#include <stdlib.h>

enum { TERMS_BYTES_MAX = 64 << 20, TRANSLATIONS_MAX = 64 };

struct composer *composer_new(const struct projection *projection, struct error *reterr) {
    struct composer *c = calloc(1, sizeof(*c));
    if (!c) {
        error_nomem(reterr);
        return NULL;
    }
    c->projection = projection;
    terms_init(&c->terms, projection, TERMS_BYTES_MAX);
    return c;
}

void composer_free(struct composer *composer) {
    if (!composer)
        return;
    terms_done(&composer->terms);
    free(composer->variants);
    free(composer->categories);
    free(composer->lineage);
    free(composer->slices);
    free(composer);
}

/* The bytes of a string value, trimmed and cut. */
static bool text_of(const struct element *it, size_t max_bytes, struct slice *ret) {
    if (it->type != BSON_TYPE_UTF8)
        return false;
    *ret = terms_trim(element_text(it));
    ret->len = utf8_cut(ret->data, ret->len, max_bytes);
    return true;
}

/* ---- plain fields ---- */

static bool put_string(struct composer *c, const struct projection_rule *rule, struct sink *out) {
    const struct element *it = compose_value(c, rule->source);
    struct slice text = {0};
    if (it && !text_of(it, rule->max_bytes, &text))
        return compose_bad(c, c->projection->sources[rule->source].data, -1, "must be a string");
    if (text.len > 0) {
        sink_arena(out, rule->open);
        sink_string(out, text);
    } else if (rule->fallback.len > 0) {
        sink_arena(out, rule->open);
        sink_arena(out, rule->fallback);
    }
    return true;
}

struct translation {
    struct slice lang, text;
    uint8_t field; /* index into the projection's languages */
};

/* The field's own language first, then others by their code: the source's order must not show. */
static int compare_translations(const struct composer *c, const struct translation *a, const struct translation *b) {
    if (a->field != b->field)
        return a->field < b->field ? -1 : 1;
    struct slice own = c->projection->languages[a->field].name;
    bool a_own = slice_eq(a->lang, own), b_own = slice_eq(b->lang, own);
    if (a_own != b_own)
        return a_own ? -1 : 1;
    struct slice x = slice_eq(a->lang, b->lang) ? a->text : a->lang, y = slice_eq(a->lang, b->lang) ? b->text : b->lang;
    int order = memcmp(x.data, y.data, x.len < y.len ? x.len : y.len);
    return order ? order : (x.len > y.len) - (x.len < y.len);
}

static unsigned read_translations(struct composer *c, const struct element *object, size_t max_bytes,
                                  struct translation list[TRANSLATIONS_MAX]) {
    struct elements it = elements_in(object);
    struct element e;
    unsigned count = 0;
    while (elements_next(&it, &e)) {
        struct translation t = {.lang = e.key};
        if (count == TRANSLATIONS_MAX || t.lang.len == 0 || !text_of(&e, max_bytes, &t.text)) {
            c->ignored += !element_is_null(&e);
            continue;
        }
        if (t.text.len == 0)
            continue;
        t.field = projection_language_of(c->projection, projection_language_code(t.lang), false);
        unsigned at = count++;
        for (; at > 0 && compare_translations(c, &t, &list[at - 1]) < 0; at--)
            list[at] = list[at - 1];
        list[at] = t;
    }
    return count;
}

static void put_translations(struct composer *c, const struct projection_rule *rule, const struct translation *list,
                             unsigned count, struct sink *out) {
    if (count == 0)
        return;
    sink_arena(out, rule->open);
    for (unsigned i = 0; i < count;) {
        unsigned end = i;
        while (end < count && list[end].field == list[i].field)
            end++;
        bool several = end - i > 1;
        sink_char(out, i ? ',' : '{');
        sink_arena(out, c->projection->languages[list[i].field].open);
        for (unsigned k = i; k < end; k++) {
            if (several)
                sink_char(out, k > i ? ',' : '[');
            sink_string(out, list[k].text);
        }
        if (several)
            sink_char(out, ']');
        i = end;
    }
    sink_char(out, '}');
}

static bool put_localized(struct composer *c, const struct projection_rule *rule, struct sink *out) {
    const struct element *it = compose_value(c, rule->source);
    struct translation list[TRANSLATIONS_MAX];
    if (!it)
        return true;
    if (it->type == BSON_TYPE_DOCUMENT) {
        unsigned count = read_translations(c, it, rule->max_bytes, list);
        put_translations(c, rule, list, count, out);
        return true;
    }
    list[0] = (struct translation){0};
    if (!text_of(it, rule->max_bytes, &list[0].text))
        return compose_bad(c, c->projection->sources[rule->source].data, -1,
                           "must be a string or an object of strings by language");
    list[0].field = projection_language_of(c->projection, 0, projection_has_hangul(list[0].text));
    put_translations(c, rule, list, list[0].text.len > 0, out);
    return true;
}

static bool put_date(struct composer *c, const struct projection_rule *rule, struct sink *out) {
    const struct element *it = compose_value(c, rule->source);
    if (!it)
        return true;
    int64_t msec = it->type == BSON_TYPE_DATE_TIME ? element_i64(it->value) : INT64_MAX;
    if (msec < SINK_DATE_MIN || msec > SINK_DATE_MAX) {
        c->ignored++;
        return true;
    }
    sink_arena(out, rule->open);
    sink_date(out, msec);
    return true;
}

static void put_int(const struct projection_rule *rule, int64_t v, struct sink *out) {
    sink_arena(out, rule->open);
    sink_int(out, v);
}

static bool put_long(struct composer *c, const struct projection_rule *rule, struct sink *out) {
    const struct element *it = compose_value(c, rule->source);
    int64_t v = 0;
    if (it && !compose_int(it, &v))
        return compose_bad(c, c->projection->sources[rule->source].data, -1, "must be a whole number");
    if (it)
        put_int(rule, v, out);
    return true;
}

/* ---- categories ---- */

static void put_category_ids(const struct composer *c, const struct projection_rule *rule, struct sink *out) {
    for (size_t i = 0; i < c->category_count; i++) {
        if (i == 0)
            sink_arena(out, rule->open);
        sink_char(out, i ? ',' : '[');
        sink_int(out, c->categories[i]->id);
    }
    if (c->category_count)
        sink_char(out, ']');
}

static bool put_primary_category(struct composer *c, const struct projection_rule *rule, struct sink *out) {
    const struct element *it = compose_value(c, c->projection->source_primary);
    int64_t id = 0, primary = c->first_category;
    if (it && !compose_int(it, &id))
        return compose_bad(c, "primary_category_id", -1, "must be a category id");
    for (size_t i = 0; i < c->category_count; i++)
        if (c->categories[i]->id == id)
            primary = id;
    if (primary)
        put_int(rule, primary, out);
    return true;
}

static bool put_category_names(struct composer *c, const struct projection_rule *rule, struct sink *out) {
    const struct projection *p = c->projection;
    bool any = false;
    for (uint8_t field = 0; field < p->language_count; field++) {
        bool begun = false;
        for (size_t i = 0; i < c->lineage_count; i++)
            for (unsigned k = 0; k < c->lineage[i]->name_count; k++) {
                const struct category_name *name = &c->lineage[i]->names[k];
                if (name->text.len == 0 || projection_language_of(p, name->language, name->hangul) != field)
                    continue;
                if (!any)
                    sink_arena(out, rule->open);
                if (!begun) {
                    sink_char(out, any ? ',' : '{');
                    sink_arena(out, p->languages[field].open);
                }
                sink_char(out, begun ? ',' : '[');
                sink_arena(out, name->json);
                any = begun = true;
            }
        if (begun)
            sink_char(out, ']');
    }
    if (any)
        sink_char(out, '}');
    return true;
}

/* ---- attributes, variants, prices, stock ---- */

static const struct slice STOCK_NAMES[] = {{"\"out\"", 5}, {"\"low\"", 5}, {"\"in\"", 4}};

static void put_codes(const struct composer *c, const struct projection_rule *rule, struct sink *out) {
    if (c->codes.first == c->codes.end)
        return;
    sink_arena(out, rule->open);
    sink_char(out, '[');
    terms_write(&c->terms, &c->terms.codes, false, c->codes, out);
    sink_char(out, ']');
}

static void put_skus(const struct composer *c, const struct projection_rule *rule, struct sink *out) {
    sink_arena(out, rule->open);
    for (size_t i = 0; i < c->variant_count; i++) {
        sink_char(out, i ? ',' : '[');
        sink_string(out, c->variants[i].sku);
    }
    sink_char(out, ']');
}

/* The product's own terms, of the names that no variant has. */
static void put_common(const struct composer *c, const struct projection_rule *rule, const struct term_list *list,
                       bool codes, struct term_range base, struct sink *out) {
    size_t before = sink_len(out);
    sink_arena(out, rule->open);
    sink_char(out, '[');
    if (terms_write_common(&c->terms, list, codes, base, out))
        sink_char(out, ']');
    else
        sink_cut(out, before);
}

static void put_varied(const struct composer *c, const struct projection_rule *rule, struct sink *out) {
    if (c->terms.names.count == 0)
        return;
    sink_arena(out, rule->open);
    sink_char(out, '[');
    terms_write_names(&c->terms, out);
    sink_char(out, ']');
}

static void put_variant_terms(const struct composer *c, struct slice open, const struct term_list *list, bool codes,
                              struct term_range base, struct term_range own, const struct variant *v,
                              struct sink *out) {
    size_t before = sink_len(out);
    sink_slice(out, open);
    bool all = v->names == c->terms.names.count; /* nothing of the product's */
    if (all ? terms_write(&c->terms, list, codes, own, out)
            : terms_write_varied(&c->terms, list, codes, base, own, v->attrs, out))
        sink_char(out, ']');
    else
        sink_cut(out, before);
}

/* The members of one place where filters look: flat, or one of variants[]. */
static void put_sku(const struct composer *c, const struct variant *v, struct sink *out) {
    SINK_LITERAL(out, "{\"sku\":");
    sink_string(out, v->sku);
    if (c->terms.names.count > 0) {
        SINK_LITERAL(out, ",\"names\":[");
        terms_write_names(&c->terms, out);
        sink_char(out, ']');
        put_variant_terms(c, SLICE(",\"attrs\":["), &c->terms.attrs, false, c->attrs, v->attrs, v, out);
        if (c->terms.codes_vary)
            put_variant_terms(c, SLICE(",\"code_attrs\":["), &c->terms.attrs, true, c->attrs, v->attrs, v, out);
        put_variant_terms(c, SLICE(",\"numbers\":["), &c->terms.numbers, false, c->numbers, v->numbers, v, out);
    }
    if (v->has_price) {
        SINK_LITERAL(out, ",\"price\":");
        sink_int(out, v->price);
    }
    SINK_LITERAL(out, ",\"stock\":");
    sink_slice(out, STOCK_NAMES[v->stock]);
    sink_char(out, '}');
}

static void put_flat(const struct composer *c, const struct projection_rule *rule, struct sink *out) {
    if (!c->is_flat)
        return;
    sink_arena(out, rule->open);
    put_sku(c, &c->variants[0], out);
}

static void put_variants(const struct composer *c, const struct projection_rule *rule, struct sink *out) {
    if (c->is_flat)
        return;
    sink_arena(out, rule->open);
    for (size_t i = 0; i < c->variant_count && sink_ok(out); i++) {
        sink_char(out, i ? ',' : '[');
        put_sku(c, &c->variants[i], out);
    }
    sink_char(out, ']');
}

/* Which states and price steps occur among the SKUs: "in,out 11,12". */
static void put_offers(const struct composer *c, const struct projection_rule *rule, struct sink *out) {
    static const char stocks[][16] = {"", "\"out ", "\"low ", "\"low,out ", "\"in ", "\"in,out ", "\"in,low ", "\"in,low,out "};
    sink_arena(out, rule->open);
    sink_arena(out, slice_str(stocks[c->stocks]));
    for (uint32_t steps = c->price_steps; steps; steps &= steps - 1) {
        int step = __builtin_ctz(steps);
        const char text[] = {(char)('0' + step / 10), (char)('0' + step % 10), steps & (steps - 1) ? ',' : '"'};
        sink_put(out, text, sizeof(text));
    }
    if (!c->price_steps)
        sink_char(out, '"');
}

/* ---- what shoppers do ---- */

/* Nothing is said of a product that nobody has looked at: it is as it was before there were signals. */
static void put_signal(const struct projection_rule *rule, uint16_t step, struct sink *out) {
    if (step)
        put_int(rule, step, out);
}

/* ---- the document ---- */

static bool put_field(struct composer *c, const struct projection_rule *rule, struct sink *out) {
    switch (rule->transform) {
    case TRANSFORM_ID:
        sink_arena(out, rule->open);
        sink_string(out, c->id);
        return true;
    case TRANSFORM_KEYWORD:
    case TRANSFORM_TEXT:
        return put_string(c, rule, out);
    case TRANSFORM_LOCALIZED:
        return put_localized(c, rule, out);
    case TRANSFORM_DATE:
        return put_date(c, rule, out);
    case TRANSFORM_LONG:
        return put_long(c, rule, out);
    case TRANSFORM_CODES:
        put_codes(c, rule, out);
        return true;
    case TRANSFORM_CATEGORY_IDS:
        put_category_ids(c, rule, out);
        return true;
    case TRANSFORM_PRIMARY_CATEGORY:
        return put_primary_category(c, rule, out);
    case TRANSFORM_CATEGORY_PATHS:
        return compose_put_category_paths(c, rule, out);
    case TRANSFORM_CATEGORY_SET:
        return compose_put_category_set(c, rule, out);
    case TRANSFORM_CATEGORY_NAMES:
        return put_category_names(c, rule, out);
    case TRANSFORM_PRICE_MIN:
    case TRANSFORM_PRICE_MAX:
        if (c->has_price)
            put_int(rule, rule->transform == TRANSFORM_PRICE_MIN ? c->price_min : c->price_max, out);
        return true;
    case TRANSFORM_IN_STOCK:
        sink_arena(out, rule->open);
        sink_slice(out, c->stock == STOCK_OUT ? SLICE("false") : SLICE("true"));
        return true;
    case TRANSFORM_STOCK:
        sink_arena(out, rule->open);
        sink_slice(out, STOCK_NAMES[c->stock]);
        return true;
    case TRANSFORM_OFFERS:
        put_offers(c, rule, out);
        return true;
    case TRANSFORM_SKUS:
        put_skus(c, rule, out);
        return true;
    case TRANSFORM_ATTRS:
        put_common(c, rule, &c->terms.attrs, false, c->attrs, out);
        return true;
    case TRANSFORM_CODE_ATTRS:
        put_common(c, rule, &c->terms.attrs, true, c->attrs, out);
        return true;
    case TRANSFORM_NUMBERS:
        put_common(c, rule, &c->terms.numbers, false, c->numbers, out);
        return true;
    case TRANSFORM_VARIED:
        put_varied(c, rule, out);
        return true;
    case TRANSFORM_FLAT:
        put_flat(c, rule, out);
        return true;
    case TRANSFORM_VARIANTS:
        put_variants(c, rule, out);
        return true;
    case TRANSFORM_SALES:
        put_signal(rule, c->input->signals.sales, out);
        return true;
    case TRANSFORM_POPULARITY:
        put_signal(rule, c->input->signals.popularity, out);
        return true;
    }
    return true;
}

/* Every field begins with a comma; the first of them becomes the opening brace (there always is one: id). */
static bool put_document(struct composer *c, struct sink *out) {
    const struct projection *p = c->projection;
    for (unsigned i = 0; i < p->rule_count; i++) {
        if (!put_field(c, &p->rules[i], out))
            return false;
        if (out->invalid)
            return compose_bad(c, p->rules[i].field.data, -1, "is not valid UTF-8");
    }
    return true;
}

/* Whatever else is in the buffer has no say in what is too large. */
static void check_size(struct composer *c, const struct sink *sink, size_t start) {
    size_t most = c->input->bytes_max, room = sink->buf->max - start;
    bool over = most > 0 && (sink->full ? room >= most + COMPOSE_SLACK_BYTES : sink->buf->len - start > most);
    if (c->status != COMPOSE_OK || (!over && !sink->full))
        return;
    c->status = over ? COMPOSE_TOO_LARGE : COMPOSE_NO_ROOM;
    if (over)
        error_set(c->reterr, ERROR_INVALID, "the search document is larger than [projector] document_max_bytes");
    else
        error_set(c->reterr, ERROR_INVALID, "the document does not fit into the %zu bytes left of %zu", room, sink->buf->max);
}

static enum compose_status close_document(struct composer *c, struct sink *sink, size_t start,
                                          struct compose_result *ret) {
    struct buf *out = sink->buf;
    if (sink->nomem) {
        compose_nomem(c);
        return COMPOSE_NOMEM;
    }
    sink_close(sink);
    check_size(c, sink, start);
    if (c->status != COMPOSE_OK) {
        if (out->data)
            buf_truncate(out, start);
        return c->status;
    }
    out->data[start] = '{';
    ret->content_hash = hash_bytes(out->data + start, out->len - start);
    return COMPOSE_OK;
}

enum compose_status compose_product(struct composer *composer, const struct compose_input *input, struct buf *out,
                                    struct compose_result *ret, struct error *reterr) {
    struct composer *c = composer;
    struct sink sink;
    size_t start = out->len;
    c->input = input;
    c->reterr = reterr;
    c->status = COMPOSE_OK;
    c->ignored = 0;
    c->unknown_category = 0;
    *ret = (struct compose_result){0};
    enum compose_status status;
    if (compose_read(c)) {
        sink_open(&sink, out);
        sink.source = compose_bytes(c);
        put_document(c, &sink);
        status = close_document(c, &sink, start, ret);
    } else {
        status = c->status;
    }
    ret->ignored = c->ignored;
    ret->unknown_category = c->unknown_category;
    return status;
}

/* ---- helpers of the load ---- */

static bool find_field(const bson_t *product, struct slice name, uint8_t type, struct element *ret) {
    struct elements it = elements_of_document(bson_get_data(product), product->len);
    return elements_find(&it, name, ret) && ret->type == type;
}

bool compose_product_id(const bson_t *product, struct slice *ret) {
    struct element e;
    if (!find_field(product, SLICE("_id"), BSON_TYPE_UTF8, &e))
        return false;
    struct slice id = element_text(&e);
    if (id.len == 0 || id.len > COMPOSE_ID_BYTES_MAX || !utf8_valid(id.data, id.len))
        return false;
    *ret = id;
    return true;
}

static bool sku_of(const struct element *variant, struct slice *ret) {
    struct element e;
    if (variant->type != BSON_TYPE_DOCUMENT)
        return false;
    struct elements it = elements_in(variant);
    if (!elements_find(&it, SLICE("sku"), &e) || e.type != BSON_TYPE_UTF8)
        return false;
    *ret = element_text(&e);
    return ret->len > 0 && ret->len <= COMPOSE_SKU_BYTES_MAX;
}

bool compose_collect_skus(const bson_t *product, bool (*fn)(void *ctx, struct slice sku), void *ctx) {
    struct element variants, e;
    struct slice sku;
    bool any = false;
    if (find_field(product, SLICE("variants"), BSON_TYPE_ARRAY, &variants)) {
        struct elements it = elements_in(&variants);
        while (elements_next(&it, &e)) {
            any = true;
            if (sku_of(&e, &sku) && !fn(ctx, sku))
                return false;
        }
    }
    return any || !compose_product_id(product, &sku) || fn(ctx, sku);
}

bool compose_source_hash(struct slice source, uint64_t *ret) {
    static const char mark[] = ",\"content_hash\":";
    const size_t len = sizeof(mark) - 1;
    for (size_t at = source.len < len ? 0 : source.len - len; at > 0; at--)
        if (memcmp(source.data + at, mark, len) == 0) {
            *ret = hash_bytes(source.data, at);
            return true;
        }
    return false;
}
