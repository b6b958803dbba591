#include "core/utf8.h"
#include "query-api/instant/instant.h"
#include <limits.h>

struct reader {
    const struct instant_context *context;
    struct instant_query *query;
    const struct json *facet_filters, *numeric_filters;
    bool lang_asked;
    bool bare;          /* attributesToRetrieve [] */
    bool window;        /* offset or length */
    unsigned offset, length;
    struct error *error;
};

static bool refuse(struct reader *r, struct slice key, const char *why) {
    return error_set(r->error, ERROR_INVALID, "%.*s: %s", (int)utf8_cut(key.data, key.len, 80), key.data, why);
}

static bool is_blank(unsigned char c) {
    return c <= ' ' || c == 0x7f;
}

static struct slice trim(struct slice s) {
    while (s.len && is_blank((unsigned char)s.data[0]))
        s.data++, s.len--;
    while (s.len && is_blank((unsigned char)s.data[s.len - 1]))
        s.len--;
    return s;
}

/* ---- which index ---- */

static bool takes(struct slice *s, struct slice prefix) {
    if (s->len < prefix.len || memcmp(s->data, prefix.data, prefix.len) != 0)
        return false;
    s->data += prefix.len;
    s->len -= prefix.len;
    return true;
}

static bool read_sort(struct slice name, enum sort_order *ret) {
    static const struct {
        struct slice name;
        enum sort_order sort;
    } sorts[] = {{{"", 0}, SORT_RELEVANCE},
                 {{"_price_asc", 10}, SORT_PRICE_ASC},
                 {{"_price_desc", 11}, SORT_PRICE_DESC},
                 {{"_newest", 7}, SORT_NEWEST},
                 {{"_best_selling", 13}, SORT_BEST_SELLING}};
    for (size_t i = 0; i < sizeof(sorts) / sizeof(sorts[0]); i++)
        if (slice_eq(name, sorts[i].name)) {
            *ret = sorts[i].sort;
            return true;
        }
    return false;
}

static bool is_lang(struct slice s) {
    bool ok = s.len == 2 || s.len == 3;
    for (size_t i = 0; ok && i < s.len; i++)
        ok = s.data[i] >= 'a' && s.data[i] <= 'z';
    return ok;
}

/* What follows the index's own name. */
static bool read_suffix(struct slice rest, char ret_lang[4], enum sort_order *ret_sort) {
    if (read_sort(rest, ret_sort))
        return true;
    const char *end = rest.len > 1 ? memchr(rest.data + 1, '_', rest.len - 1) : NULL;
    struct slice lang = {rest.data + 1, end ? (size_t)(end - rest.data) - 1 : rest.len - 1};
    if (rest.len < 3 || rest.data[0] != '_' || !is_lang(lang) ||
        !read_sort((struct slice){lang.data + lang.len, rest.len - 1 - lang.len}, ret_sort))
        return false;
    memcpy(ret_lang, lang.data, lang.len);
    ret_lang[lang.len] = '\0';
    return true;
}

bool instant_index_read(const char *index, struct slice name, char ret_lang[4], enum sort_order *ret_sort) {
    struct slice rest = name;
    if (takes(&rest, SLICE("products")) && read_suffix(rest, ret_lang, ret_sort))
        return true;
    rest = name;
    return takes(&rest, slice_str(index)) && read_suffix(rest, ret_lang, ret_sort);
}

bool instant_attribute_read(struct slice name, struct instant_attribute *ret) {
    *ret = (struct instant_attribute){.asked = name};
    struct slice rest = name;
    if (slice_eq(name, SLICE("brand"))) {
        ret->dim = DIM_BRAND;
    } else if (slice_eq(name, SLICE("price"))) {
        ret->dim = DIM_PRICE;
    } else if (slice_eq(name, SLICE("in_stock"))) {
        ret->dim = DIM_STOCK;
    } else if (takes(&rest, SLICE("cat.lvl"))) {
        ret->dim = DIM_CATEGORY;
        if (rest.len != 1 || rest.data[0] < '0' || rest.data[0] > '9')
            return false;
        ret->level = (unsigned)(rest.data[0] - '0');
    } else {
        takes(&rest, SLICE("attr."));
        ret->dim = DIM_ATTR;
        ret->name = rest;
        for (size_t i = 0; i < rest.len; i++)
            if ((unsigned char)rest.data[i] < ' ' || rest.data[i] == '=' || rest.data[i] == '*')
                return false;
        return rest.len > 0 && rest.len <= SEARCH_ATTR_NAME_MAX_BYTES;
    }
    return true;
}

/* ---- parameters ---- */

static bool read_unsigned(struct reader *r, struct slice key, const struct json *v, unsigned max, unsigned *ret) {
    int64_t n;
    bool ok = json_int64(v, &n) || (json_is(v, JSON_STRING) && json_text_int64(v->text, &n));
    if (!ok || n < 0)
        return refuse(r, key, "must be a whole number from 0");
    *ret = n < (int64_t)max ? (unsigned)n : max;
    return true;
}

/* Longer ones are cut, and control characters are blanks: what is pasted into a search box is searched for. */
static bool read_words(struct reader *r, struct slice key, const struct json *v, size_t max, struct slice *ret) {
    if (json_is(v, JSON_NULL))
        return true;
    if (!json_is(v, JSON_STRING))
        return refuse(r, key, "must be a string");
    struct slice s = trim(v->text);
    char *copy = arena_strndup(r->context->arena, s.len ? s.data : "", utf8_cut(s.data, s.len, max));
    if (!copy)
        return error_nomem(r->error);
    s.len = utf8_cut(s.data, s.len, max);
    for (size_t i = 0; i < s.len; i++)
        if (is_blank((unsigned char)copy[i]))
            copy[i] = ' ';
    *ret = trim((struct slice){copy, s.len});
    return true;
}

static bool read_tag(struct reader *r, struct slice key, const struct json *v, struct slice *ret) {
    if (!json_is(v, JSON_STRING) || v->text.len > INSTANT_TAG_MAX_BYTES)
        return refuse(r, key, "must be a short string");
    *ret = v->text;
    return true;
}

/* A list, or the one string that stands for a list of one. */
static const struct json *first_of(const struct json *v, size_t *ret_count) {
    if (json_is(v, JSON_ARRAY)) {
        *ret_count = v->count;
        return v->child;
    }
    *ret_count = json_is(v, JSON_STRING) && v->text.len ? 1 : 0;
    return *ret_count ? v : NULL;
}

static bool read_facets(struct reader *r, struct slice key, const struct json *v) {
    size_t count = 0;
    const struct json *item = first_of(v, &count);
    struct instant_query *q = r->query;
    q->facet_count = 0;
    q->facets_all = false;
    q->facets = arena_alloc(r->context->arena, (SEARCH_FACETS_MAX + 1) * sizeof(*q->facets));
    if (!q->facets)
        return error_nomem(r->error);
    for (size_t i = 0; i < count; i++, item = item->next) {
        if (!json_is(item, JSON_STRING))
            return refuse(r, key, "is a list of names");
        if (slice_eq(item->text, SLICE("*"))) {
            q->facets_all = true;
            continue;
        }
        if (q->facet_count == SEARCH_FACETS_MAX)
            return refuse(r, key, "names too many");
        if (!instant_attribute_read(item->text, &q->facets[q->facet_count++]))
            return refuse(r, key, "names are brand, price, in_stock, cat.lvl0 to cat.lvl9 and those of attributes");
    }
    return true;
}

/* Those that no rule can name are of no effect. */
static bool read_contexts(struct reader *r, struct slice key, const struct json *v) {
    size_t count = 0;
    const struct json *item = first_of(v, &count);
    struct instant_query *q = r->query;
    (void)key;
    q->context_count = 0;
    q->contexts = arena_alloc(r->context->arena, SEARCH_CONTEXTS_MAX * sizeof(*q->contexts));
    if (!q->contexts)
        return error_nomem(r->error);
    for (size_t i = 0; i < count; i++, item = item->next) {
        if (json_is(item, JSON_STRING) && q->context_count < SEARCH_CONTEXTS_MAX)
            q->contexts[q->context_count++] = item->text;
    }
    return true;
}

static bool field_ok(struct slice name) {
    static const char *const there[] = {"id",       "name",     "brand",      "price", "price_max",        "currency", "objectID",
                                        "in_stock", "stock",    "categories", "cat",   "primary_category", "price_min"};
    for (size_t i = 0; i < sizeof(there) / sizeof(there[0]); i++)
        if (slice_eq(name, slice_str(there[i])))
            return false;
    for (size_t i = 0; i < name.len; i++)
        if ((name.data[i] < 'a' || name.data[i] > 'z') && name.data[i] != '_')
            return false;
    return name.len > 0 && name.len <= 64;
}

static bool read_fields(struct reader *r, struct slice key, const struct json *v) {
    size_t count = 0;
    const struct json *item = first_of(v, &count);
    struct instant_query *q = r->query;
    (void)key;
    r->bare = json_is(v, JSON_ARRAY) && count == 0;
    q->field_count = 0;
    q->fields = arena_alloc(r->context->arena, SEARCH_FIELDS_MAX * sizeof(*q->fields));
    if (!q->fields)
        return error_nomem(r->error);
    for (size_t i = 0; i < count; i++, item = item->next) {
        if (!json_is(item, JSON_STRING) || q->field_count == SEARCH_FIELDS_MAX - 1)
            continue;
        if (slice_eq(item->text, SLICE("image")) || slice_eq(item->text, SLICE("attributes")))
            q->attributes = true;
        else if (field_ok(item->text))
            q->fields[q->field_count++] = item->text;
    }
    return true;
}

static bool read_filters(struct reader *r, struct slice key, const struct json *v) {
    if (json_is(v, JSON_NULL))
        return true;
    if (!json_is(v, JSON_STRING))
        return refuse(r, key, "must be a string");
    r->query->filters_text = v->text;
    return true;
}

/* Clients send empty ones. */
static bool read_tags(struct reader *r, struct slice key, const struct json *v) {
    if (json_is(v, JSON_ARRAY)) {
        for (const struct json *item = v->child; item; item = item->next)
            if (!read_tags(r, key, item))
                return false;
        return true;
    }
    return !json_is(v, JSON_STRING) || !v->text.len || refuse(r, key, "products have no tags; use facetFilters with an attribute");
}

static bool is_false(const struct json *v) {
    return json_string_is(v, "false") || (json_is(v, JSON_BOOL) && !v->boolean);
}

bool instant_facet_read(struct slice name, struct instant_query *query, struct error *reterr) {
    if (instant_attribute_read(name, &query->facet) && query->facet.dim != DIM_PRICE)
        return true;
    return error_set(reterr, ERROR_INVALID, "facets to search in are brand, cat.lvl0 to cat.lvl9 and attributes");
}

static bool read_facet_name(struct reader *r, struct slice key, const struct json *v) {
    return json_is(v, JSON_STRING) ? instant_facet_read(v->text, r->query, r->error) : refuse(r, key, "must be a string");
}

static bool read_lang(struct reader *r, struct slice key, const struct json *v) {
    size_t count = 0;
    const struct json *item = first_of(v, &count);
    if (!item)
        return true;
    if (!json_is(item, JSON_STRING) || !is_lang(item->text))
        return refuse(r, key, "must be a language code such as ko or en");
    if (r->lang_asked)
        return true;
    memcpy(r->query->lang, item->text.data, item->text.len);
    r->query->lang[item->text.len] = '\0';
    return true;
}

static bool read_param(struct reader *r, struct slice key, const struct json *v) {
    struct instant_query *q = r->query;
    if (slice_eq(key, SLICE("query")))
        return read_words(r, key, v, SEARCH_Q_MAX_BYTES, &q->q);
    if (slice_eq(key, SLICE("page")))
        return read_unsigned(r, key, v, 1000000, &q->page);
    if (slice_eq(key, SLICE("hitsPerPage")))
        return read_unsigned(r, key, v, SEARCH_SIZE_MAX, &q->size);
    if (slice_eq(key, SLICE("offset")) && !json_is(v, JSON_NULL)) {
        r->window = true;
        return read_unsigned(r, key, v, 1000000, &r->offset);
    }
    if (slice_eq(key, SLICE("length")) && !json_is(v, JSON_NULL)) {
        r->window = true;
        return read_unsigned(r, key, v, SEARCH_SIZE_MAX, &r->length);
    }
    if (slice_eq(key, SLICE("tagFilters")))
        return read_tags(r, key, v);
    if (slice_eq(key, SLICE("facets")))
        return read_facets(r, key, v);
    if (slice_eq(key, SLICE("maxValuesPerFacet")))
        return read_unsigned(r, key, v, SEARCH_FACET_SIZE_MAX, &q->facet_size);
    if (slice_eq(key, SLICE("highlightPreTag")))
        return read_tag(r, key, v, &q->pre);
    if (slice_eq(key, SLICE("highlightPostTag")))
        return read_tag(r, key, v, &q->post);
    if (slice_eq(key, SLICE("attributesToRetrieve")))
        return read_fields(r, key, v);
    if (slice_eq(key, SLICE("ruleContexts")))
        return read_contexts(r, key, v);
    if (slice_eq(key, SLICE("filters")))
        return read_filters(r, key, v);
    if (slice_eq(key, SLICE("lang")) || slice_eq(key, SLICE("queryLanguages")))
        return read_lang(r, key, v);
    if (slice_eq(key, SLICE("facetQuery")))
        return read_words(r, key, v, SEARCH_VALUE_MAX_BYTES, &q->facet_query);
    if (slice_eq(key, SLICE("maxFacetHits")))
        return read_unsigned(r, key, v, INSTANT_FACET_HITS_MAX, &q->facet_hits);
    if (slice_eq(key, SLICE("facet")) || slice_eq(key, SLICE("facetName")))
        return read_facet_name(r, key, v);
    if (slice_eq(key, SLICE("type")))
        q->facet_search = json_string_is(v, "facet");
    else if (slice_eq(key, SLICE("typoTolerance")))
        q->typo = !is_false(v);
    else if (slice_eq(key, SLICE("analytics")))
        q->uncounted = is_false(v);
    else if (slice_eq(key, SLICE("facetFilters")))
        r->facet_filters = v;
    else if (slice_eq(key, SLICE("numericFilters")))
        r->numeric_filters = v;
    return true;
}

/* A value of a query string: a list or an object in JSON, else text. */
static const struct json *value_of(struct reader *r, struct slice text) {
    static const struct json_limits limits = {.depth_max = INSTANT_DEPTH_MAX, .values_max = 4096};
    if (text.len && (text.data[0] == '[' || text.data[0] == '{'))
        return json_parse(r->context->arena, text.data, text.len, &limits, r->error);
    struct json *v = arena_zalloc(r->context->arena, sizeof(*v));
    if (!v) {
        error_nomem(r->error);
        return NULL;
    }
    v->type = JSON_STRING;
    v->text = (struct slice){text.data ? text.data : "", text.len};
    return v;
}

static bool read_encoded(struct reader *r, struct slice text) {
    struct uri_pair *pairs = NULL;
    size_t count = 0;
    if (!uri_parse_query(r->context->arena, text.data, text.len, SEARCH_PAIRS_MAX, &pairs, &count, r->error))
        return error_prefix(r->error, "params");
    for (size_t i = 0; i < count; i++) {
        bool is_text = slice_eq(pairs[i].key, SLICE("query")) || slice_eq(pairs[i].key, SLICE("facetQuery")) ||
                       slice_eq(pairs[i].key, SLICE("filters"));
        struct json text_value = {.type = JSON_STRING, .text = pairs[i].value};
        if (is_text && !text_value.text.data)
            text_value.text.data = "";
        const struct json *v = is_text ? &text_value : value_of(r, pairs[i].value);
        if (!v)
            return error_prefix(r->error, "params");
        if (!read_param(r, pairs[i].key, v))
            return false;
    }
    return true;
}

static bool read_members(struct reader *r, const struct json *object) {
    for (const struct json *m = object->child; m; m = m->next)
        if (!read_param(r, m->key, m))
            return false;
    return true;
}

static bool read_all_filters(struct reader *r) {
    struct instant_query *q = r->query;
    struct instant_parser *p = instant_parser_new(r->context, q->lang);
    if (!p)
        return error_nomem(r->error);
    return (!r->facet_filters || instant_read_facet_filters(p, r->facet_filters, r->error)) &&
           (!r->numeric_filters || instant_read_numeric_filters(p, r->numeric_filters, r->error)) &&
           instant_parser_take(p, &q->refined, r->error) &&
           (!q->filters_text.len || instant_read_filters(p, q->filters_text, r->error)) &&
           instant_parser_take(p, &q->fixed, r->error);
}

/* Does one page of asked_size hits have them all? One that reaches beyond the last that may be asked for does not, unless they
 * do so themselves. */
static bool fits_a_page(const struct instant_query *q, unsigned offset) {
    unsigned skip = offset % q->asked_size, end = offset - skip + q->asked_size;
    return skip + q->size <= q->asked_size && (end <= SEARCH_WINDOW_MAX || offset + q->size > SEARCH_WINDOW_MAX);
}

/* Which page to ask for. offset and length: of the smallest pages of which one has them all. */
static bool choose_page(struct reader *r) {
    struct instant_query *q = r->query;
    if (r->window) {
        q->size = r->length < UINT_MAX ? r->length : q->size;
        q->page = q->size ? r->offset / q->size : 0;
    }
    q->asked_page = q->page;
    q->asked_size = q->size;
    for (; r->window && q->size && !fits_a_page(q, r->offset); q->asked_size++)
        if (q->asked_size == SEARCH_SIZE_MAX)
            return refuse(r, SLICE("offset"), "must be a multiple of length, or length smaller");
    if (r->window && q->size) {
        q->asked_page = r->offset / q->asked_size;
        q->skip = r->offset % q->asked_size;
    }
    q->no_hits = q->size == 0 || (q->size == 1 && r->bare);
    return true;
}

bool instant_query_read(const struct instant_context *context, struct slice index, const struct json *request,
                        struct instant_query *ret, struct error *reterr) {
    struct error local = {0};
    struct reader r = {.context = context, .query = ret, .length = UINT_MAX, .error = reterr ? reterr : &local};
    *ret = (struct instant_query){.lang = "",
                                  .q = {"", 0},
                                  .size = INSTANT_SIZE_DEFAULT,
                                  .typo = true,
                                  .facet_size = INSTANT_FACET_SIZE_DEFAULT,
                                  .pre = SLICE("<em>"),
                                  .post = SLICE("</em>"),
                                  .facet_query = {"", 0},
                                  .facet_hits = INSTANT_FACET_HITS_DEFAULT};
    if (!json_is(request, JSON_OBJECT))
        return error_set(r.error, ERROR_INVALID, "each request must be an object");
    const struct json *name = json_get(request, "indexName"), *params = json_get(request, "params");
    if (!index.data && json_is(name, JSON_STRING))
        index = name->text;
    if (!index.len)
        return error_set(r.error, ERROR_INVALID, "indexName is missing");
    ret->index = index;
    if (!instant_index_read(context->index, index, ret->lang, &ret->sort))
        return error_set(r.error, ERROR_NOT_FOUND, "Index %.*s does not exist", (int)utf8_cut(index.data, index.len, 100),
                         index.data);
    r.lang_asked = ret->lang[0] != '\0';
    if (!read_members(&r, request))
        return false;
    if (json_is(params, JSON_STRING) && !read_encoded(&r, params->text))
        return false;
    if (json_is(params, JSON_OBJECT) && !read_members(&r, params))
        return false;
    if (!ret->lang[0])
        memcpy(ret->lang, "ko", 3);
    if (ret->facet_size == 0)
        ret->facet_size = 1;
    if (ret->facet_search && !ret->facet.asked.len)
        return error_set(r.error, ERROR_INVALID, "facet is missing");
    return choose_page(&r) && read_all_filters(&r);
}
