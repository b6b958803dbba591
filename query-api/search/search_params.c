#include "core/http_param_read.h"
#include "core/json_write.h"
#include "core/uri.h"
#include "core/utf8.h"
#include "query-api/search/search_params.h"
#include <math.h>
#include <stdio.h>

/* Parsing state: the arrays grow to fixed maxima, so that they are allocated once. */
struct parser {
    struct arena *arena;
    struct search_params *p;
    struct search_errors *errors;
    size_t values; /* in all filters */
    bool out_of_memory;
    unsigned seen; /* a bit per parameter */
};

static void fail(struct parser *s, struct slice field, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void fail(struct parser *s, struct slice field, const char *format, ...) {
    if (s->errors->count == SEARCH_ERRORS_MAX)
        return;
    char message[200];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    size_t n = utf8_cut(field.data, field.len, 80);
    char *name = arena_strndup(s->arena, field.len ? field.data : "", n);
    char *text = arena_strdup(s->arena, message);
    if (!name || !text) {
        s->out_of_memory = true;
        return;
    }
    s->errors->items[s->errors->count++] = (struct field_error){.field = name, .message = text};
}

static bool starts_with(struct slice s, const char *prefix) {
    size_t n = strlen(prefix);
    return s.len >= n && memcmp(s.data, prefix, n) == 0;
}

static bool parse_unsigned(struct slice s, unsigned max, unsigned *ret) {
    if (s.len == 0 || s.len > 9)
        return false;
    unsigned v = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
        v = v * 10 + (unsigned)(s.data[i] - '0');
    }
    if (v > max)
        return false;
    *ret = v;
    return true;
}

/* "10..20", "10..", "..20"; false if s is not written as a range of numbers. */
static bool parse_range(struct slice s, struct range *ret) {
    const char *dots = memmem(s.data, s.len, "..", 2);
    if (!dots)
        return false;
    struct slice from = {s.data, (size_t)(dots - s.data)};
    struct slice to = {dots + 2, s.len - from.len - 2};
    struct range r = {-INFINITY, INFINITY};
    if (from.len == 0 && to.len == 0)
        return false;
    if (from.len && !json_text_double(from, &r.from))
        return false;
    if (to.len && !json_text_double(to, &r.to))
        return false;
    *ret = r;
    return true;
}

static struct filter *filter_for(struct parser *s, enum dimension dim, struct slice name, struct slice field) {
    struct search_params *p = s->p;
    for (size_t i = 0; i < p->filter_count; i++)
        if (p->filters[i].dim == dim && slice_eq(p->filters[i].name, name))
            return &p->filters[i];
    if (p->filter_count == SEARCH_FILTERS_MAX) {
        fail(s, field, "more than %d different filters", SEARCH_FILTERS_MAX);
        return NULL;
    }
    if (!p->filters) {
        p->filters = arena_alloc(s->arena, SEARCH_FILTERS_MAX * sizeof(*p->filters));
        if (!p->filters) {
            s->out_of_memory = true;
            return NULL;
        }
    }
    struct filter *f = &p->filters[p->filter_count++];
    *f = (struct filter){.dim = dim, .name = name};
    return f;
}

/* Appends to an arena array whose capacity doubles from 4: a full power of two means it is time to grow. */
static void *array_push(struct parser *s, void *items, size_t count, size_t item_size) {
    if (count != 0 && (count < 4 || (count & (count - 1)) != 0))
        return items;
    size_t capacity = count ? count * 2 : 4;
    void *grown = arena_alloc(s->arena, capacity * item_size);
    if (!grown) {
        s->out_of_memory = true;
        return NULL;
    }
    if (count)
        memcpy(grown, items, count * item_size);
    return grown;
}

static bool count_value(struct parser *s, struct slice field) {
    if (++s->values <= SEARCH_VALUES_MAX)
        return true;
    if (s->values == SEARCH_VALUES_MAX + 1)
        fail(s, field, "more than %d filter values in all", SEARCH_VALUES_MAX);
    return false;
}

static void add_value(struct parser *s, struct filter *f, struct slice value) {
    for (size_t i = 0; i < f->value_count; i++)
        if (slice_eq(f->values[i], value))
            return;
    struct slice *values = array_push(s, f->values, f->value_count, sizeof(*values));
    if (!values)
        return;
    f->values = values;
    f->values[f->value_count++] = value;
}

static void add_range(struct parser *s, struct filter *f, struct range range) {
    struct range *ranges = array_push(s, f->ranges, f->range_count, sizeof(*ranges));
    if (!ranges)
        return;
    f->ranges = ranges;
    f->ranges[f->range_count++] = range;
}

static bool category_path_ok(struct slice v) {
    bool digit = false;
    for (size_t i = 0; i < v.len; i++) {
        if (v.data[i] >= '0' && v.data[i] <= '9')
            digit = true;
        else if (v.data[i] == '/' && digit)
            digit = false;
        else
            return false;
    }
    return digit;
}

static void set_category(struct parser *s, struct slice key, struct slice value) {
    if (value.len && value.data[value.len - 1] == '/')
        value.len--;
    if (!category_path_ok(value)) {
        fail(s, key, "must be a category path of ids such as 1/4");
        return;
    }
    struct filter *f = filter_for(s, DIM_CATEGORY, (struct slice){"", 0}, key);
    if (f)
        add_value(s, f, value);
}

static void set_price(struct parser *s, struct slice key, struct slice value) {
    struct range r;
    if (!parse_range(value, &r)) {
        fail(s, key, "must be a range such as 10000..50000, 10000.. or ..50000");
        return;
    }
    if (r.from > r.to || r.to < 0) {
        fail(s, key, "the range is empty: its start is above its end, or it ends below 0");
        return;
    }
    struct filter *f = filter_for(s, DIM_PRICE, (struct slice){"", 0}, key);
    if (f)
        add_range(s, f, r);
}

static bool parse_bool(struct slice value, bool *ret) {
    if (slice_eq(value, SLICE("true")) || slice_eq(value, SLICE("1")) || slice_eq(value, SLICE("on")))
        *ret = true;
    else if (slice_eq(value, SLICE("false")) || slice_eq(value, SLICE("0")) || slice_eq(value, SLICE("off")))
        *ret = false;
    else
        return false;
    return true;
}

static void set_in_stock(struct parser *s, struct slice key, struct slice value) {
    bool v;
    if (!parse_bool(value, &v)) {
        fail(s, key, "must be true or false");
        return;
    }
    struct filter *f = filter_for(s, DIM_STOCK, (struct slice){"", 0}, key);
    if (f)
        add_value(s, f, v ? SLICE("true") : SLICE("false"));
}

static void set_attr(struct parser *s, struct slice key, struct slice value) {
    struct slice name = {key.data + 5, key.len - 5};
    if (name.len == 0 || name.len > SEARCH_ATTR_NAME_MAX_BYTES || memchr(name.data, '=', name.len) ||
        memchr(name.data, '*', name.len) || http_param_has_control(name)) {
        fail(s, key, "must be attr.NAME with the name of one attribute");
        return;
    }
    struct filter *f = filter_for(s, DIM_ATTR, name, key);
    struct range r;
    if (!f)
        return;
    if (value.len > 2 && value.data[0] == '"' && value.data[value.len - 1] == '"')
        add_value(s, f, (struct slice){value.data + 1, value.len - 2});
    else if (!parse_range(value, &r))
        add_value(s, f, value);
    else if (r.from > r.to)
        fail(s, key, "the range is empty: its start is above its end");
    else
        add_range(s, f, r);
}

static void set_brand(struct parser *s, struct slice key, struct slice value) {
    struct filter *f = filter_for(s, DIM_BRAND, (struct slice){"", 0}, key);
    if (f)
        add_value(s, f, value);
}

static void set_sort(struct parser *s, struct slice key, struct slice value) {
    static const struct {
        struct slice name;
        enum sort_order order;
    } names[] = {{{"relevance", 9}, SORT_RELEVANCE},
                 {{"price:asc", 9}, SORT_PRICE_ASC},
                 {{"price:desc", 10}, SORT_PRICE_DESC},
                 {{"newest", 6}, SORT_NEWEST},
                 {{"best_selling", 12}, SORT_BEST_SELLING}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (slice_eq(names[i].name, value)) {
            s->p->sort = names[i].order;
            return;
        }
    fail(s, key, "must be relevance, price:asc, price:desc, newest or best_selling");
}

static void set_lang(struct parser *s, struct slice key, struct slice value) {
    bool ok = value.len == 2 || value.len == 3;
    for (size_t i = 0; ok && i < value.len; i++)
        ok = value.data[i] >= 'a' && value.data[i] <= 'z';
    if (!ok) {
        fail(s, key, "must be a language code such as ko or en");
        return;
    }
    memcpy(s->p->lang, value.data, value.len);
    s->p->lang[value.len] = 0;
}

static void add_facet(struct parser *s, struct slice key, struct slice name) {
    struct facet f = {.name = {"", 0}};
    struct search_params *p = s->p;
    if (slice_eq(name, SLICE("category")))
        f.dim = DIM_CATEGORY;
    else if (slice_eq(name, SLICE("brand")))
        f.dim = DIM_BRAND;
    else if (slice_eq(name, SLICE("price")))
        f.dim = DIM_PRICE;
    else if (slice_eq(name, SLICE("in_stock")))
        f.dim = DIM_STOCK;
    else if (starts_with(name, "attr.") && name.len > 5 && name.len <= 5 + SEARCH_ATTR_NAME_MAX_BYTES &&
             !memchr(name.data, '=', name.len)) {
        f.dim = DIM_ATTR;
        f.name = (struct slice){name.data + 5, name.len - 5};
    } else {
        fail(s, key, "facets are category, brand, price, in_stock, attr.NAME and attr.*");
        return;
    }
    for (size_t i = 0; i < p->facet_count; i++)
        if (p->facets[i].dim == f.dim && slice_eq(p->facets[i].name, f.name))
            return;
    if (p->facet_count == SEARCH_FACETS_MAX) {
        fail(s, key, "more than %d facets", SEARCH_FACETS_MAX);
        return;
    }
    if (!p->facets && !(p->facets = arena_alloc(s->arena, SEARCH_FACETS_MAX * sizeof(*p->facets)))) {
        s->out_of_memory = true;
        return;
    }
    p->facets[p->facet_count++] = f;
}

/* One more of at most `max`. what: what they are called. */
static void append(struct parser *s, struct slice key, const char *what, struct slice **list, size_t *count, int max,
                   struct slice value) {
    if (*count == (size_t)max) {
        fail(s, key, "more than %d %s", max, what);
        return;
    }
    if (!*list && !(*list = arena_alloc(s->arena, (size_t)max * sizeof(**list)))) {
        s->out_of_memory = true;
        return;
    }
    (*list)[(*count)++] = value;
}

static void add_field(struct parser *s, struct slice key, struct slice name) {
    bool ok = name.len <= 64;
    for (size_t i = 0; ok && i < name.len; i++)
        ok = (name.data[i] >= 'a' && name.data[i] <= 'z') || name.data[i] == '_' || name.data[i] == '.';
    if (ok)
        append(s, key, "fields", &s->p->fields, &s->p->field_count, SEARCH_FIELDS_MAX, name);
    else
        fail(s, key, "is a list of names of the search document's fields");
}

static void set_context(struct parser *s, struct slice key, struct slice value) {
    if (value.len)
        append(s, key, "contexts", &s->p->contexts, &s->p->context_count, SEARCH_CONTEXTS_MAX, value);
}

static void each_comma(struct parser *s, struct slice key, struct slice list,
                       void (*add)(struct parser *, struct slice, struct slice)) {
    while (list.len) {
        const char *comma = memchr(list.data, ',', list.len);
        size_t n = comma ? (size_t)(comma - list.data) : list.len;
        struct slice item = http_param_trim((struct slice){list.data, n});
        if (item.len)
            add(s, key, item);
        n += comma ? 1 : 0;
        list.data += n;
        list.len -= n;
    }
}

static void set_facets(struct parser *s, struct slice key, struct slice value) {
    each_comma(s, key, value, add_facet);
}

static void set_fields(struct parser *s, struct slice key, struct slice value) {
    each_comma(s, key, value, add_field);
}

static void set_q(struct parser *s, struct slice key, struct slice value) {
    (void)key;
    s->p->q = value;
}

static void set_number(struct parser *s, struct slice key, struct slice value, unsigned min, unsigned max,
                       unsigned *ret) {
    unsigned v;
    if (!parse_unsigned(value, max, &v) || v < min)
        fail(s, key, "must be a whole number from %u to %u", min, max);
    else
        *ret = v;
}

static void set_page(struct parser *s, struct slice key, struct slice value) {
    set_number(s, key, value, 1, SEARCH_WINDOW_MAX, &s->p->page);
}

static void set_size(struct parser *s, struct slice key, struct slice value) {
    set_number(s, key, value, 0, SEARCH_SIZE_MAX, &s->p->size);
}

static void set_facet_size(struct parser *s, struct slice key, struct slice value) {
    set_number(s, key, value, 1, SEARCH_FACET_SIZE_MAX, &s->p->facet_size);
}

static void set_typo(struct parser *s, struct slice key, struct slice value) {
    if (!parse_bool(value, &s->p->typo))
        fail(s, key, "must be on or off");
}

static void set_explain(struct parser *s, struct slice key, struct slice value) {
    if (!parse_bool(value, &s->p->explain))
        fail(s, key, "must be 1 or 0");
}

static void set_cursor(struct parser *s, struct slice key, struct slice value) {
    (void)key;
    s->p->cursor = value;
}

static const struct parameter {
    void (*set)(struct parser *s, struct slice key, struct slice value);
    bool counted; /* its values count against SEARCH_VALUES_MAX */
} parameters[SEARCH_PARAM_COUNT] = {
    [SEARCH_PARAM_Q] = {set_q, false},
    [SEARCH_PARAM_LANG] = {set_lang, false},
    [SEARCH_PARAM_CATEGORY] = {set_category, true},
    [SEARCH_PARAM_BRAND] = {set_brand, true},
    [SEARCH_PARAM_PRICE] = {set_price, true},
    [SEARCH_PARAM_IN_STOCK] = {set_in_stock, true},
    [SEARCH_PARAM_SORT] = {set_sort, false},
    [SEARCH_PARAM_PAGE] = {set_page, false},
    [SEARCH_PARAM_SIZE] = {set_size, false},
    [SEARCH_PARAM_CURSOR] = {set_cursor, false},
    [SEARCH_PARAM_FACETS] = {set_facets, false},
    [SEARCH_PARAM_FACET_SIZE] = {set_facet_size, false},
    [SEARCH_PARAM_FIELDS] = {set_fields, false},
    [SEARCH_PARAM_TYPO] = {set_typo, false},
    [SEARCH_PARAM_CONTEXT] = {set_context, false},
    [SEARCH_PARAM_EXPLAIN] = {set_explain, false},
    [SEARCH_PARAM_ATTR] = {set_attr, true},
};

/* SEARCH_PARAM_COUNT: no parameter has this name. */
static enum search_param param_of(struct slice key) {
    if (starts_with(key, "attr."))
        return SEARCH_PARAM_ATTR;
    for (enum search_param i = 0; i < SEARCH_PARAM_ATTR; i++)
        if (slice_eq(key, slice_str(search_param_table[i].name)))
            return i;
    return SEARCH_PARAM_COUNT;
}

static void set_pair(struct parser *s, struct slice key, struct slice value) {
    enum search_param id = param_of(key);
    if (id == SEARCH_PARAM_COUNT) {
        fail(s, key, "is no parameter of this endpoint");
        return;
    }
    const struct http_param *about = &search_param_table[id];
    size_t max = about->type == HTTP_PARAM_STRING && about->max ? (size_t)about->max : SEARCH_VALUE_MAX_BYTES;
    if (value.len > (max < SEARCH_VALUE_MAX_BYTES ? SEARCH_VALUE_MAX_BYTES : max)) {
        fail(s, key, "is longer than %zu bytes", max);
        return;
    }
    if (http_param_has_control(value)) {
        fail(s, key, "holds a control character");
        return;
    }
    if (!about->repeated && (s->seen & (1u << id))) {
        fail(s, key, "is given more than once");
        return;
    }
    s->seen |= 1u << id;
    value = http_param_trim(value);
    if (value.len == 0 && parameters[id].counted)
        fail(s, key, "is empty");
    else if (!parameters[id].counted || count_value(s, key))
        parameters[id].set(s, key, value);
}

static void parser_begin(struct parser *s, struct arena *arena, struct search_params *p, struct search_errors *errors) {
    *p = (struct search_params){.q = {"", 0}, .lang = "ko", .facet_size = 10, .page = 1, .size = 20, .typo = true};
    errors->count = 0;
    *s = (struct parser){.arena = arena, .p = p, .errors = errors};
}

static bool parser_end(struct parser *s) {
    struct search_params *p = s->p;
    if (s->errors->count == 0 && (uint64_t)p->page * (p->size ? p->size : 1) > SEARCH_WINDOW_MAX)
        fail(s, SLICE("page"), "page times size is past the first %d hits: walk on with cursor=*", SEARCH_WINDOW_MAX);
    if (p->cursor.data && s->seen & 1u << SEARCH_PARAM_PAGE)
        fail(s, SLICE("page"), "is not for a walk by cursor");
    if (p->cursor.data && p->size == 0)
        fail(s, SLICE("size"), "must be at least 1 in a walk by cursor");
    return s->errors->count == 0 && !s->out_of_memory;
}

bool search_params_from_pairs(struct arena *arena, const struct uri_pair *pairs, size_t count, struct search_params *ret,
                              struct search_errors *ret_errors) {
    struct parser s;
    parser_begin(&s, arena, ret, ret_errors);
    for (size_t i = 0; i < count; i++)
        set_pair(&s, pairs[i].key, pairs[i].value);
    return parser_end(&s);
}

bool search_params_from_query(struct arena *arena, struct slice query, struct search_params *ret,
                              struct search_errors *ret_errors) {
    struct uri_pair *pairs = NULL;
    size_t count = 0;
    struct error error = {0};
    if (uri_parse_query(arena, query.data, query.len, SEARCH_PAIRS_MAX, &pairs, &count, &error))
        return search_params_from_pairs(arena, pairs, count, ret, ret_errors);
    struct parser s;
    parser_begin(&s, arena, ret, ret_errors);
    fail(&s, SLICE("query"), "%s", error.message);
    return false;
}

/* One JSON value of a parameter as the text that the query string would have. */
static bool scalar_text(const struct json *v, struct slice *ret) {
    switch (v->type) {
    case JSON_STRING:
    case JSON_NUMBER:
        *ret = v->text;
        return true;
    case JSON_BOOL:
        *ret = v->boolean ? SLICE("true") : SLICE("false");
        return true;
    default:
        return false;
    }
}

/* A number of an attribute stands in the index in its shortest form, however the client writes it: 16.0 is 16. */
static void set_scalar(struct parser *s, struct slice key, const struct json *v, struct slice text) {
    char number[JSON_DOUBLE_SIZE];
    double d;
    int64_t i;
    if (v->type == JSON_NUMBER && starts_with(key, "attr.")) {
        if (!json_double(v, &d)) {
            fail(s, key, "is too large a number");
            return;
        }
        int n = json_int64(v, &i) ? snprintf(number, sizeof(number), "%lld", (long long)i)
                                  : (int)json_format_double(d, number);
        char *copy = arena_strndup(s->arena, number, (size_t)n);
        if (!copy) {
            s->out_of_memory = true;
            return;
        }
        text = (struct slice){copy, (size_t)n};
    }
    set_pair(s, key, text);
}

static void set_json(struct parser *s, struct slice key, const struct json *v) {
    struct slice text;
    if (v->type == JSON_ARRAY) {
        for (const struct json *item = v->child; item; item = item->next)
            if (scalar_text(item, &text))
                set_scalar(s, key, item, text);
            else
                fail(s, key, "is a list of strings, numbers or booleans");
    } else if (scalar_text(v, &text)) {
        set_scalar(s, key, v, text);
    } else {
        fail(s, key, "must be a string, a number, a boolean or a list of these");
    }
}

bool search_params_from_json(struct arena *arena, const struct json *body, struct search_params *ret,
                             struct search_errors *ret_errors) {
    struct parser s;
    parser_begin(&s, arena, ret, ret_errors);
    if (!json_is(body, JSON_OBJECT)) {
        fail(&s, SLICE("body"), "must be a JSON object such as {\"q\":\"laptop\",\"brand\":[\"LG\"]}");
        return false;
    }
    for (const struct json *m = body->child; m; m = m->next) {
        if (!slice_eq(m->key, SLICE("attr")) || m->type != JSON_OBJECT) {
            set_json(&s, m->key, m);
            continue;
        }
        for (const struct json *a = m->child; a; a = a->next) {
            char *name = arena_alloc(arena, a->key.len + 5);
            if (!name)
                return false;
            memcpy(name, "attr.", 5);
            memcpy(name + 5, a->key.data, a->key.len);
            set_json(&s, (struct slice){name, a->key.len + 5}, a);
        }
    }
    return parser_end(&s);
}

const struct filter *search_params_filter(const struct search_params *p, enum dimension dim, struct slice name) {
    for (size_t i = 0; i < p->filter_count; i++)
        if (!p->filters[i].strict && p->filters[i].dim == dim && slice_eq(p->filters[i].name, name))
            return &p->filters[i];
    return NULL;
}

bool search_params_names_attr(const struct search_params *p, struct slice name) {
    for (size_t i = 0; i < p->facet_count; i++)
        if (p->facets[i].dim == DIM_ATTR && slice_eq(p->facets[i].name, name))
            return true;
    return false;
}

bool search_params_shows(const struct search_params *p, const struct filter *f) {
    for (size_t i = 0; i < p->facet_count && !f->strict; i++)
        if (p->facets[i].dim == f->dim && !p->facets[i].elsewhere &&
            (slice_eq(p->facets[i].name, f->name) || slice_eq(p->facets[i].name, SLICE("*"))))
            return true;
    return false;
}
