/* instant_facet_hits.c - the answer to a search inside a facet. */
#include "query-api/instant/instant.h"

enum { FOLDED_MAX_BYTES = 4096 };

static char small(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Where text holds the words, in capitals or not; SIZE_MAX: nowhere as it is written. */
static size_t find(struct slice text, struct slice words) {
    for (size_t i = 0; words.len && i + words.len <= text.len; i++) {
        size_t n = 0;
        while (n < words.len && small(text.data[i + n]) == small(words.data[n]))
            n++;
        if (n == words.len)
            return i;
    }
    return SIZE_MAX;
}

/* A value may be found by what is not written in it (initials, a begun syllable): then nothing is marked. */
static void write_marked(struct json_write *w, const struct instant_query *q, struct slice value) {
    struct buf out = BUF_INIT(FOLDED_MAX_BYTES);
    size_t at = find(value, q->facet_query), end = at + q->facet_query.len;
    json_write_key(w, "highlighted");
    if (at != SIZE_MAX) {
        buf_append(&out, value.data, at);
        buf_append(&out, q->pre.data, q->pre.len);
        buf_append(&out, value.data + at, end - at);
        buf_append(&out, q->post.data, q->post.len);
        buf_append(&out, value.data + end, value.len - end);
    }
    w->failed = w->failed || !buf_ok(&out);
    if (at != SIZE_MAX)
        json_write_string(w, out.data, out.len);
    else
        json_write_slice(w, value);
    buf_done(&out);
}

static void write_value(struct json_write *w, const struct instant_query *q, struct slice value, int64_t count) {
    json_write_object(w);
    json_write_key(w, "value");
    json_write_slice(w, value);
    write_marked(w, q, value);
    json_write_key(w, "count");
    json_write_int(w, count);
    json_write_object_end(w);
}

static void write_values(struct json_write *w, const struct instant_query *q, const struct json *facets) {
    const struct json *values = json_is(facets, JSON_OBJECT) ? json_get(facets->child, "values") : NULL;
    unsigned written = 0;
    for (const struct json *v = json_is(values, JSON_ARRAY) ? values->child : NULL; v && written < q->facet_hits; v = v->next) {
        const struct json *value = json_get(v, "value");
        int64_t count = 0;
        if (!json_is(value, JSON_STRING) || !json_int64(json_get(v, "count"), &count) || count <= 0)
            continue;
        write_value(w, q, value->text, count);
        written++;
    }
}

static void write_level(struct json_write *w, const struct instant_context *context, const struct instant_query *q,
                        const struct json *facets) {
    struct instant_value *values = NULL;
    size_t count = instant_level_values(context, q, facets, q->facet.level, &values);
    unsigned written = 0;
    w->failed = w->failed || !values;
    for (size_t i = 0; i < count && written < q->facet_hits; i++)
        if (!q->facet_query.len || find(values[i].value, q->facet_query) != SIZE_MAX) {
            write_value(w, q, values[i].value, (int64_t)values[i].count);
            written++;
        }
}

void instant_facet_hits_write(struct json_write *w, const struct instant_context *context, const struct instant_query *q,
                              const struct json *answer) {
    const struct json *facets = json_get(answer, "facets"), *took = json_get(answer, "took_ms");
    int64_t msec = 0;
    json_int64(took, &msec);
    json_write_object(w);
    json_write_key(w, "facetHits");
    json_write_array(w);
    if (q->facet.dim == DIM_CATEGORY)
        write_level(w, context, q, facets);
    else
        write_values(w, q, facets);
    json_write_array_end(w);
    json_write_key(w, "exhaustiveFacetsCount");
    json_write_bool(w, true);
    json_write_key(w, "processingTimeMS");
    json_write_int(w, msec);
    json_write_object_end(w);
}
