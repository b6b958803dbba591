#include "projector/compose/compose_paths.h"

enum { SET_BYTES_MAX = 1000, LEVEL_BYTES_MAX = 12 }; /* an id and '/' */
_Static_assert(CATEGORY_LEVELS_MAX * LEVEL_BYTES_MAX <= SET_BYTES_MAX, "one path always fits");

static int compare_slices(struct slice a, struct slice b) {
    int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* Into c->slices, which are in order, each once. */
static bool add_slice(struct composer *c, struct slice s) {
    size_t at = c->slice_count;
    int order = -1;
    while (at > 0 && (order = compare_slices(s, c->slices[at - 1])) < 0)
        at--;
    if (order == 0)
        return true;
    if (!compose_push_slice(c, s))
        return false;
    if (at + 1 < c->slice_count)
        memmove(c->slices + at + 1, c->slices + at, (c->slice_count - 1 - at) * sizeof(*c->slices));
    c->slices[at] = s;
    return true;
}

static void put_list(const struct projection_rule *rule, const struct slice *items, size_t count, struct sink *out) {
    sink_arena(out, rule->open);
    for (size_t i = 0; i < count; i++) {
        sink_char(out, i ? ',' : '[');
        sink_arena(out, items[i]);
    }
    sink_char(out, ']');
}

/* Path prefixes of several categories overlap; those of one are in order. */
bool compose_put_category_paths(struct composer *c, const struct projection_rule *rule, struct sink *out) {
    c->slice_count = 0;
    if (c->category_count == 1)
        put_list(rule, c->categories[0]->path_terms, c->categories[0]->level, out);
    for (size_t i = 0; i < c->category_count && c->category_count > 1; i++)
        for (unsigned k = 0; k < c->categories[i]->level; k++)
            if (!add_slice(c, c->categories[i]->path_terms[k]))
                return false;
    if (c->slice_count)
        put_list(rule, c->slices, c->slice_count, out);
    return true;
}

/* Puts the paths in order and leaves those out that are above another: what is below a path follows it, as '/' comes before
 * any digit. ret_bytes: of all, with commas between them. */
static bool collect_leaves(struct composer *c, size_t *ret_bytes) {
    size_t kept = 0;
    c->slice_count = *ret_bytes = 0;
    for (size_t i = 0; i < c->category_count; i++)
        if (!add_slice(c, c->categories[i]->path))
            return false;
    for (size_t i = 0; i < c->slice_count; i++) {
        if (i + 1 < c->slice_count && path_is_below(c->slices[i + 1], c->slices[i]))
            continue;
        *ret_bytes += c->slices[i].len + (kept > 0);
        c->slices[kept++] = c->slices[i];
    }
    c->slice_count = kept;
    return true;
}

bool compose_put_category_set(struct composer *c, const struct projection_rule *rule, struct sink *out) {
    size_t bytes = 0;
    if (c->category_count == 1) {
        sink_arena(out, rule->open);
        sink_arena(out, c->categories[0]->path_terms[c->categories[0]->level - 1]);
        return true;
    }
    if (!collect_leaves(c, &bytes))
        return false;
    sink_arena(out, rule->open);
    if (bytes > SET_BYTES_MAX) {
        SINK_LITERAL(out, "\"*\"");
        return true;
    }
    sink_char(out, '"');
    for (size_t i = 0; i < c->slice_count; i++) {
        if (i)
            sink_char(out, ',');
        sink_arena(out, c->slices[i]);
    }
    sink_char(out, '"');
    return true;
}
