#include "query-api/browse/facet_values_params.h"
#include "core/utf8.h"

static bool refuse(struct search_errors *errors, const char *field, const char *message) {
    if (field && errors->count < SEARCH_ERRORS_MAX)
        errors->items[errors->count++] = (struct field_error){field, message};
    return false;
}

static bool is_known(struct slice key) {
    for (const struct http_param *p = facet_values_param_table; p->name; p++)
        if (slice_eq(key, slice_str(p->name)))
            return true;
    return key.len >= 5 && memcmp(key.data, "attr.", 5) == 0;
}

/* The search's parameter of that name is called otherwise here, and the facet stands in the path. */
static void rename_errors(struct search_errors *errors) {
    for (size_t i = 0; i < errors->count; i++)
        if (strcmp(errors->items[i].field, "q") == 0)
            errors->items[i].field = "search";
        else if (strcmp(errors->items[i].field, "facets") == 0)
            errors->items[i] = (struct field_error){"name", "must be brand or attr.NAME with the name of one attribute"};
}

static bool is_one_facet(const struct search_params *p) {
    return p->facet_count == 1 && (p->facets[0].dim == DIM_BRAND ||
                                   (p->facets[0].dim == DIM_ATTR && !slice_eq(p->facets[0].name, SLICE("*"))));
}

static void drop_filter(struct search_params *p, const struct facet *facet) {
    for (size_t i = 0; i < p->filter_count; i++)
        if (p->filters[i].dim == facet->dim && slice_eq(p->filters[i].name, facet->name)) {
            p->filters[i] = p->filters[--p->filter_count];
            return;
        }
}

/* Takes what the values are to hold out of the pairs. False: *ret_errors names what is wrong. */
static bool take_find(struct arena *arena, struct uri_pair *pairs, size_t *count, struct slice *ret_find,
                      struct search_errors *ret_errors) {
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++) {
        struct slice key = pairs[i].key, value = pairs[i].value;
        if (!is_known(key))
            return refuse(ret_errors, arena_strndup(arena, key.len ? key.data : "", utf8_cut(key.data, key.len, 80)),
                          "is no parameter of this endpoint");
        if (!slice_eq(key, SLICE("q"))) {
            pairs[kept++] = (struct uri_pair){slice_eq(key, SLICE("search")) ? SLICE("q") : key, value};
            continue;
        }
        if (ret_find->data)
            return refuse(ret_errors, "q", "is given more than once");
        if (value.len > SEARCH_VALUE_MAX_BYTES)
            return refuse(ret_errors, "q", "is longer than 256 bytes");
        for (size_t k = 0; k < value.len; k++)
            if ((unsigned char)value.data[k] < 0x20 || value.data[k] == 0x7f)
                return refuse(ret_errors, "q", "holds a control character");
        *ret_find = (struct slice){value.data ? value.data : "", value.len};
    }
    *count = kept;
    return true;
}

bool facet_values_params_read(struct arena *arena, struct slice facet, struct slice query, struct search_params *ret,
                              struct slice *ret_find, struct search_errors *ret_errors) {
    struct uri_pair *pairs = NULL;
    size_t count = 0;
    struct error error = {0};
    ret_errors->count = 0;
    *ret_find = (struct slice){NULL, 0};
    if (!uri_parse_query(arena, query.data, query.len, SEARCH_PAIRS_MAX, &pairs, &count, &error))
        return refuse(ret_errors, "query", arena_strdup(arena, error.message));
    struct uri_pair *all = arena_alloc(arena, (count + 1) * sizeof(*all));
    if (!all || !take_find(arena, pairs, &count, ret_find, ret_errors))
        return false;
    for (size_t i = 0; i < count; i++)
        all[i] = pairs[i];
    all[count] = (struct uri_pair){SLICE("facets"), facet};
    bool ok = search_params_from_pairs(arena, all, count + 1, ret, ret_errors);
    if (ok && !is_one_facet(ret))
        ok = refuse(ret_errors, "facets", "");
    rename_errors(ret_errors);
    if (ok)
        drop_filter(ret, &ret->facets[0]);
    ret->size = 0;
    return ok;
}
