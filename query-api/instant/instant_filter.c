/* instant_filter.c - facetFilters, numericFilters and filters: three spellings of ANDs of ORs. */
#include "core/cleanup.h"
#include "core/utf8.h"
#include "query-api/instant/instant.h"
#include <math.h>
#include <stdio.h>

enum { CLAUSES_MAX = 64, PATHS_MAX = 64, PARENS_MAX = 8 };

struct instant_parser {
    const struct instant_context *context;
    char lang[4];
    struct search_clause *clauses; /* CLAUSES_MAX of them */
    size_t clause_count, literal_count;
};

struct instant_parser *instant_parser_new(const struct instant_context *context, const char *lang) {
    struct instant_parser *p = arena_zalloc(context->arena, sizeof(*p));
    if (!p || !(p->clauses = arena_alloc(context->arena, CLAUSES_MAX * sizeof(*p->clauses))))
        return NULL;
    p->context = context;
    snprintf(p->lang, sizeof(p->lang), "%.3s", lang[0] ? lang : "ko");
    return p;
}

static bool refuse(struct slice text, const char *why, struct error *reterr) {
    return error_set(reterr, ERROR_INVALID, "%s: %.*s", why, (int)utf8_cut(text.data, text.len, 100), text.data);
}

static struct slice trim(struct slice s) {
    while (s.len && (unsigned char)s.data[0] <= ' ')
        s.data++, s.len--;
    while (s.len && (unsigned char)s.data[s.len - 1] <= ' ')
        s.len--;
    return s;
}

/* ---- literals ---- */

/* The clause that is being built; opened by the first literal. */
static bool add_literal(struct instant_parser *p, size_t clause, struct search_literal literal, struct error *reterr) {
    if (clause == CLAUSES_MAX || p->literal_count == SEARCH_VALUES_MAX)
        return error_set(reterr, ERROR_INVALID, "more than %d conditions or %d values", CLAUSES_MAX, SEARCH_VALUES_MAX);
    if (clause == p->clause_count)
        p->clauses[p->clause_count++] = (struct search_clause){.literals = NULL};
    struct search_clause *c = &p->clauses[clause];
    if (c->count == 0 || (c->count & (c->count - 1)) == 0) { /* a power of two: time to grow */
        struct search_literal *grown = arena_alloc(p->context->arena, (c->count ? c->count * 2 : 1) * sizeof(*grown));
        if (!grown)
            return error_nomem(reterr);
        if (c->count)
            memcpy(grown, c->literals, c->count * sizeof(*grown));
        c->literals = grown;
    }
    c->literals[c->count++] = literal;
    p->literal_count++;
    return true;
}

static bool one_value(struct instant_parser *p, struct filter *f, struct slice value, struct error *reterr) {
    f->values = arena_alloc(p->context->arena, sizeof(*f->values));
    if (!f->values)
        return error_nomem(reterr);
    f->values[0] = value;
    f->value_count = 1;
    return true;
}

static bool one_range(struct instant_parser *p, struct filter *f, double from, double to, struct error *reterr) {
    f->ranges = arena_alloc(p->context->arena, sizeof(*f->ranges));
    if (!f->ranges)
        return error_nomem(reterr);
    f->ranges[0] = (struct range){from, to};
    f->range_count = 1;
    return true;
}

/* Names of its path, from the root: TV > OLED. False without memory or name. */
static bool full_name(const struct instant_context *context, const struct category *category, const char *lang, struct buf *out) {
    for (struct slice path = {0}; path_next(category->path, &path);) {
        const struct category *step = category_list_by_path(context->categories, path);
        if (!step)
            return false;
        struct slice name = category_name(step, lang);
        if (path_level(path))
            buf_append_str(out, " > ");
        buf_append(out, name.data ? name.data : "", name.len);
    }
    return buf_ok(out);
}

static bool begins_with(struct slice s, struct slice begin) {
    return s.len >= begin.len && (!begin.len || memcmp(s.data, begin.data, begin.len) == 0);
}

static bool ends_with(struct slice s, struct slice end) {
    return s.len >= end.len && (!end.len || memcmp(s.data + s.len - end.len, end.data, end.len) == 0);
}

/* "TV > OLED" -> the paths of all categories of that name; "-", which is nobody's path, if there is none. */
static bool category_values(struct instant_parser *p, struct filter *f, unsigned level, struct slice value, struct error *reterr) {
    const struct category_list *list = p->context->categories;
    _cleanup_(buf_done) struct buf name = BUF_INIT(1 << 16);
    if (!list)
        return error_set(reterr, ERROR_UNAVAILABLE, "the categories are not loaded yet; try again shortly");
    f->values = arena_alloc(p->context->arena, PATHS_MAX * sizeof(*f->values));
    if (!f->values)
        return error_nomem(reterr);
    for (size_t i = 0; i < category_list_count(list) && f->value_count < PATHS_MAX;) {
        const struct category *c = category_list_at(list, i);
        bool elsewhere = c->above == CATEGORY_NONE && !begins_with(value, category_name(c, p->lang));
        i = elsewhere ? c->end : i + 1;
        if (elsewhere || path_level(c->path) != level || !ends_with(value, category_name(c, p->lang)))
            continue;
        buf_reset(&name);
        bool named = full_name(p->context, c, p->lang, &name);
        if (!buf_ok(&name))
            return error_nomem(reterr);
        if (!named || !slice_eq((struct slice){name.data, name.len}, value))
            continue;
        /* The list may be replaced before the answer comes. */
        const char *path = arena_strndup(p->context->arena, c->path.data, c->path.len);
        if (!path)
            return error_nomem(reterr);
        f->values[f->value_count++] = (struct slice){path, c->path.len};
    }
    if (f->value_count == 0)
        f->values[f->value_count++] = SLICE("-");
    return true;
}

static bool stock_value(struct instant_parser *p, struct filter *f, struct slice value, struct error *reterr) {
    if (slice_eq(value, SLICE("true")) || slice_eq(value, SLICE("1")))
        return one_value(p, f, SLICE("true"), reterr);
    if (slice_eq(value, SLICE("false")) || slice_eq(value, SLICE("0")))
        return one_value(p, f, SLICE("false"), reterr);
    return refuse(value, "in_stock is true or false", reterr);
}

/* name:value, name:-value. */
static bool add_value(struct instant_parser *p, size_t clause, struct slice name, struct slice value, bool negated,
                      struct error *reterr) {
    struct instant_attribute a;
    struct search_literal literal = {.negated = negated};
    double number;
    if (!instant_attribute_read(name, &a))
        return refuse(name, "filters are on brand, price, in_stock, cat.lvl0 to cat.lvl9 and names of attributes", reterr);
    if (value.len > 0 && value.data[0] == '-') {
        literal.negated = !negated;
        value = (struct slice){value.data + 1, value.len - 1};
    } else if (value.len > 1 && value.data[0] == '\\' && value.data[1] == '-') {
        value = (struct slice){value.data + 1, value.len - 1};
    }
    struct filter *f = &literal.filter;
    f->dim = a.dim;
    f->name = a.name.data ? a.name : SLICE("");
    if (value.len == 0)
        return refuse(name, "a filter has no value", reterr);
    if (value.len > SEARCH_VALUE_MAX_BYTES && a.dim != DIM_CATEGORY)
        return refuse(value, "a filter's value is too long", reterr);
    bool ok = false;
    if (a.dim == DIM_CATEGORY)
        ok = category_values(p, f, a.level, value, reterr);
    else if (a.dim == DIM_STOCK)
        ok = stock_value(p, f, value, reterr);
    else if (a.dim != DIM_PRICE)
        ok = one_value(p, f, value, reterr);
    else if (json_text_double(value, &number))
        ok = one_range(p, f, number, number, reterr);
    else
        return refuse(value, "a price is a number", reterr);
    return ok && add_literal(p, clause, literal, reterr);
}

/* ---- numbers ---- */

struct operator {
    struct slice text;
    bool above, below, at;
};
static const struct operator operators[] = {
    {{"<=", 2}, false, true, true}, {{">=", 2}, true, false, true}, {{"!=", 2}, true, true, false},
    {{"<", 1}, false, true, false}, {{">", 1}, true, false, false}, {{"=", 1}, false, false, true},
};

static const struct operator *operator_at(struct slice s) {
    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++)
        if (s.len >= operators[i].text.len && memcmp(s.data, operators[i].text.data, operators[i].text.len) == 0)
            return &operators[i];
    return NULL;
}

static bool add_range(struct instant_parser *p, size_t clause, struct slice name, double from, double to, bool negated,
                      struct error *reterr) {
    struct instant_attribute a;
    struct search_literal literal = {.negated = negated};
    if (!instant_attribute_read(name, &a) || (a.dim != DIM_PRICE && a.dim != DIM_ATTR))
        return refuse(name, "numbers are compared with price and attributes", reterr);
    literal.filter.dim = a.dim;
    literal.filter.name = a.name.data ? a.name : SLICE("");
    return one_range(p, &literal.filter, from, to, reterr) && add_literal(p, clause, literal, reterr);
}

static bool add_comparison(struct instant_parser *p, size_t clause, struct slice name, const struct operator *op,
                           struct slice text, bool negated, struct error *reterr) {
    double v;
    if (slice_eq(name, SLICE("in_stock")) && op->at && !op->above && !op->below)
        return add_value(p, clause, name, text, negated, reterr);
    if (!json_text_double(text, &v))
        return refuse(text, "must be a number", reterr);
    if (op->above && op->below)
        return add_range(p, clause, name, v, v, !negated, reterr);
    double from = op->above ? (op->at ? v : nextafter(v, INFINITY)) : op->below ? -INFINITY : v;
    double to = op->below ? (op->at ? v : nextafter(v, -INFINITY)) : op->above ? INFINITY : v;
    return add_range(p, clause, name, from, to, negated, reterr);
}

/* "5 TO 10" */
static bool read_to(struct slice text, double *ret_from, double *ret_to) {
    const char *to = text.len ? memmem(text.data, text.len, " TO ", 4) : NULL;
    if (!to)
        return false;
    struct slice left = trim((struct slice){text.data, (size_t)(to - text.data)});
    struct slice right = trim((struct slice){to + 4, text.len - (size_t)(to - text.data) - 4});
    return json_text_double(left, ret_from) && json_text_double(right, ret_to);
}

static bool add_numeric_text(struct instant_parser *p, size_t clause, struct slice text, struct error *reterr) {
    for (size_t i = 0; i < text.len; i++) {
        struct slice rest = {text.data + i, text.len - i}, name = trim((struct slice){text.data, i});
        const struct operator *op = operator_at(rest);
        double from, to;
        if (op)
            return add_comparison(p, clause, name, op, trim((struct slice){rest.data + op->text.len, rest.len - op->text.len}),
                                  false, reterr);
        if (rest.data[0] == ':' && read_to((struct slice){rest.data + 1, rest.len - 1}, &from, &to))
            return add_range(p, clause, name, from, to, false, reterr);
    }
    return refuse(text, "a condition is such as price>=5 or price:5 TO 10", reterr);
}

static bool add_facet_text(struct instant_parser *p, size_t clause, struct slice text, struct error *reterr) {
    const char *colon = text.len ? memchr(text.data, ':', text.len) : NULL;
    if (!colon)
        return refuse(text, "a condition is such as brand:LG", reterr);
    size_t n = (size_t)(colon - text.data);
    return add_value(p, clause, trim((struct slice){text.data, n}), (struct slice){colon + 1, text.len - n - 1}, false, reterr);
}

/* ---- lists ---- */

typedef bool add_text(struct instant_parser *p, size_t clause, struct slice text, struct error *reterr);

static bool read_any(struct instant_parser *p, const struct json *item, add_text *add, struct error *reterr) {
    size_t clause = p->clause_count;
    if (json_is(item, JSON_STRING))
        return add(p, clause, item->text, reterr);
    if (!json_is(item, JSON_ARRAY))
        return error_set(reterr, ERROR_INVALID, "must be a list of strings and of lists of strings");
    for (const struct json *one = item->child; one; one = one->next) {
        if (!json_is(one, JSON_STRING))
            return error_set(reterr, ERROR_INVALID, "must be a list of strings and of lists of strings");
        if (!add(p, clause, one->text, reterr))
            return false;
    }
    return true;
}

static bool read_list(struct instant_parser *p, const struct json *v, add_text *add, struct error *reterr) {
    if (json_is(v, JSON_NULL) || (json_is(v, JSON_STRING) && v->text.len == 0))
        return true;
    if (!json_is(v, JSON_ARRAY))
        return read_any(p, v, add, reterr);
    for (const struct json *item = v->child; item; item = item->next)
        if (!read_any(p, item, add, reterr))
            return false;
    return true;
}

bool instant_read_facet_filters(struct instant_parser *p, const struct json *v, struct error *reterr) {
    return read_list(p, v, add_facet_text, reterr) || error_prefix(reterr, "facetFilters");
}

bool instant_read_numeric_filters(struct instant_parser *p, const struct json *v, struct error *reterr) {
    return read_list(p, v, add_numeric_text, reterr) || error_prefix(reterr, "numericFilters");
}

/* ---- filters ---- */

struct tokens {
    struct instant_parser *p;
    struct slice rest;
    struct error *error;
};

static void skip_blanks(struct tokens *t) {
    while (t->rest.len && (unsigned char)t->rest.data[0] <= ' ')
        t->rest.data++, t->rest.len--;
}

static void skip(struct tokens *t, size_t n) {
    t->rest.data += n;
    t->rest.len -= n;
}

static bool is_end(char c) {
    return (unsigned char)c <= ' ' || c == '(' || c == ')';
}

/* AND, OR, NOT, TO: whole words in capitals. */
static bool takes_word(struct tokens *t, struct slice word) {
    skip_blanks(t);
    if (t->rest.len < word.len || memcmp(t->rest.data, word.data, word.len) != 0 ||
        (t->rest.len > word.len && !is_end(t->rest.data[word.len])))
        return false;
    skip(t, word.len);
    return true;
}

static bool takes_char(struct tokens *t, char c) {
    skip_blanks(t);
    if (!t->rest.len || t->rest.data[0] != c)
        return false;
    skip(t, 1);
    return true;
}

/* "in quotes", with \" inside. */
static bool take_quoted(struct tokens *t, struct slice *ret) {
    char quote = t->rest.data[0];
    char *text = arena_alloc(t->p->context->arena, t->rest.len);
    size_t n = 0, i = 1;
    if (!text)
        return error_nomem(t->error);
    for (; i < t->rest.len && t->rest.data[i] != quote; i++) {
        if (t->rest.data[i] == '\\' && i + 1 < t->rest.len && t->rest.data[i + 1] == quote)
            i++;
        text[n++] = t->rest.data[i];
    }
    if (i == t->rest.len)
        return refuse(t->rest, "a quote is not closed", t->error);
    skip(t, i + 1);
    *ret = (struct slice){text, n};
    return true;
}

static bool take_text(struct tokens *t, bool is_name, struct slice *ret) {
    skip_blanks(t);
    if (t->rest.len && (t->rest.data[0] == '"' || t->rest.data[0] == '\''))
        return take_quoted(t, ret);
    size_t n = 0;
    while (n < t->rest.len && !is_end(t->rest.data[n]) && !(is_name && (t->rest.data[n] == ':' || operator_at((struct slice){t->rest.data + n, t->rest.len - n}))))
        n++;
    if (n == 0)
        return refuse(t->rest, "a name or a value is missing", t->error);
    *ret = (struct slice){t->rest.data, n};
    skip(t, n);
    return true;
}

/* name:value, name:5 TO 10, name >= 5 */
static bool read_literal(struct tokens *t, size_t clause) {
    bool negated = takes_word(t, SLICE("NOT"));
    struct slice name, value, upper;
    double from, to;
    if (!take_text(t, true, &name))
        return false;
    skip_blanks(t);
    const struct operator *op = operator_at(t->rest);
    if (op) {
        skip(t, op->text.len);
        return take_text(t, false, &value) && add_comparison(t->p, clause, name, op, value, negated, t->error);
    }
    if (!takes_char(t, ':'))
        return refuse(name, "a name is followed by : or a comparison", t->error);
    if (!take_text(t, false, &value))
        return false;
    if (!takes_word(t, SLICE("TO")))
        return add_value(t->p, clause, name, value, negated, t->error);
    if (!take_text(t, false, &upper))
        return false;
    if (!json_text_double(value, &from) || !json_text_double(upper, &to))
        return refuse(value, "TO stands between numbers", t->error);
    return add_range(t->p, clause, name, from, to, negated, t->error);
}

static bool read_and(struct tokens *t, unsigned depth);

/* Clauses from first on become one: they were joined by OR. */
static bool join(struct tokens *t, size_t first) {
    struct instant_parser *p = t->p;
    size_t count = p->clause_count;
    for (size_t i = first + 1; i < count; i++)
        for (size_t k = 0; k < p->clauses[i].count; k++) {
            p->literal_count--;
            if (!add_literal(p, first, p->clauses[i].literals[k], t->error))
                return false;
        }
    p->clause_count = first + 1;
    return true;
}

/* OR binds closer than AND: a AND b OR c is a AND (b OR c). */
static bool read_or(struct tokens *t, unsigned depth) {
    size_t first = t->p->clause_count, units = 0;
    bool list = false; /* of ANDs in parentheses */
    do {
        size_t before = t->p->clause_count;
        if (takes_char(t, '(')) {
            if (depth == PARENS_MAX)
                return error_set(t->error, ERROR_INVALID, "too many parentheses");
            if (!read_and(t, depth + 1))
                return false;
            if (!takes_char(t, ')'))
                return refuse(t->rest, "a parenthesis is not closed", t->error);
        } else if (!read_literal(t, before)) {
            return false;
        }
        list = list || t->p->clause_count - before > 1;
        units++;
    } while (takes_word(t, SLICE("OR")));
    if (list && units > 1)
        return error_set(t->error, ERROR_INVALID, "an AND inside an OR is not supported; write it as ANDs of ORs");
    return list || join(t, first);
}

static bool read_and(struct tokens *t, unsigned depth) {
    do
        if (!read_or(t, depth))
            return false;
    while (takes_word(t, SLICE("AND")));
    return true;
}

bool instant_read_filters(struct instant_parser *p, struct slice text, struct error *reterr) {
    struct error local = {0};
    struct tokens t = {.p = p, .rest = text, .error = reterr ? reterr : &local};
    skip_blanks(&t);
    if (!t.rest.len)
        return true;
    bool ok = read_and(&t, 0);
    skip_blanks(&t);
    return (ok && (!t.rest.len || refuse(t.rest, "AND, OR or the end is expected", t.error))) ||
           error_prefix(t.error, "filters");
}

/* ---- clauses as filters ---- */

static bool is_filter(const struct search_clause *c) {
    for (size_t i = 0; i < c->count; i++)
        if (c->literals[i].negated || c->literals[i].filter.dim != c->literals[0].filter.dim ||
            !slice_eq(c->literals[i].filter.name, c->literals[0].filter.name))
            return false;
    return true;
}

/* price>=5 and price<=10 are one range. */
static bool narrow(struct filter *filters, size_t count, const struct search_clause *c) {
    const struct filter *f = &c->literals[0].filter;
    if (c->count != 1 || f->range_count != 1)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct filter *other = &filters[i];
        if (other->dim != f->dim || !slice_eq(other->name, f->name) || other->range_count != 1 || other->value_count)
            continue;
        other->ranges[0].from = fmax(other->ranges[0].from, f->ranges[0].from);
        other->ranges[0].to = fmin(other->ranges[0].to, f->ranges[0].to);
        return true;
    }
    return false;
}

static bool merge(struct arena *arena, const struct search_clause *c, struct filter *ret) {
    size_t values = 0, ranges = 0;
    for (size_t i = 0; i < c->count; i++) {
        values += c->literals[i].filter.value_count;
        ranges += c->literals[i].filter.range_count;
    }
    *ret = (struct filter){.dim = c->literals[0].filter.dim, .name = c->literals[0].filter.name};
    ret->values = arena_alloc(arena, (values + 1) * sizeof(*ret->values));
    ret->ranges = arena_alloc(arena, (ranges + 1) * sizeof(*ret->ranges));
    if (!ret->values || !ret->ranges)
        return false;
    for (size_t i = 0; i < c->count; i++) {
        const struct filter *f = &c->literals[i].filter;
        for (size_t k = 0; k < f->value_count; k++)
            ret->values[ret->value_count++] = f->values[k];
        for (size_t k = 0; k < f->range_count; k++)
            ret->ranges[ret->range_count++] = f->ranges[k];
    }
    return true;
}

bool instant_parser_take(struct instant_parser *p, struct instant_filters *ret, struct error *reterr) {
    struct arena *arena = p->context->arena;
    *ret = (struct instant_filters){.filters = arena_alloc(arena, (p->clause_count + 1) * sizeof(*ret->filters)),
                                    .clauses = arena_alloc(arena, (p->clause_count + 1) * sizeof(*ret->clauses))};
    if (!ret->filters || !ret->clauses)
        return error_nomem(reterr);
    for (size_t i = 0; i < p->clause_count; i++) {
        const struct search_clause *c = &p->clauses[i];
        if (!is_filter(c))
            ret->clauses[ret->clause_count++] = *c;
        else if (narrow(ret->filters, ret->filter_count, c))
            continue;
        else if (!merge(arena, c, &ret->filters[ret->filter_count++]))
            return error_nomem(reterr);
    }
    p->clause_count = 0;
    return true;
}
