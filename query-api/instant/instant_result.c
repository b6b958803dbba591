/* instant_result.c - an answer of /v1/search as a result of the protocol. */
#include "query-api/instant/instant.h"

enum { NAME_MAX_BYTES = 64 << 10, WORDS_MAX = 32 };

static struct slice text_of(const struct json *v) {
    return json_is(v, JSON_STRING) ? v->text : (struct slice){"", 0};
}

static void write_or_null(struct json_write *w, const char *key, const struct json *v) {
    json_write_key(w, key);
    if (v)
        json_write_json(w, v);
    else
        json_write_null(w);
}

/* ---- highlights ---- */

/* What is marked, and the words of the query that it holds. */
struct marking {
    const struct instant_query *q;
    struct buf value; /* with the caller's tags */
    struct buf marked; /* the marked pieces in small letters, a line each */
    size_t outside; /* bytes that are not marked, blanks aside */
};

static char small(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Characters as Lucene's html encoder writes them; the client escapes the text itself. */
static size_t entity(struct slice s, char *ret) {
    static const struct {
        struct slice text;
        char c;
    } entities[] = {{{"&amp;", 5}, '&'}, {{"&lt;", 4}, '<'}, {{"&gt;", 4}, '>'}, {{"&quot;", 6}, '"'}, {{"&#x27;", 6}, '\''}, {{"&#x2F;", 6}, '/'}};
    for (size_t i = 0; i < sizeof(entities) / sizeof(entities[0]); i++)
        if (s.len >= entities[i].text.len && memcmp(s.data, entities[i].text.data, entities[i].text.len) == 0) {
            *ret = entities[i].c;
            return entities[i].text.len;
        }
    *ret = s.data[0];
    return 1;
}

static void read_marks(struct marking *m, struct slice text) {
    bool inside = false;
    for (size_t i = 0; i < text.len;) {
        struct slice rest = {text.data + i, text.len - i};
        char c;
        if (!inside && rest.len >= 4 && memcmp(rest.data, "<em>", 4) == 0) {
            buf_append(&m->value, m->q->pre.data, m->q->pre.len);
            inside = true;
            i += 4;
        } else if (inside && rest.len >= 5 && memcmp(rest.data, "</em>", 5) == 0) {
            buf_append(&m->value, m->q->post.data, m->q->post.len);
            buf_append_char(&m->marked, '\n');
            inside = false;
            i += 5;
        } else {
            i += entity(rest, &c);
            buf_append_char(&m->value, c);
            if (inside)
                buf_append_char(&m->marked, small(c));
            else
                m->outside += (unsigned char)c > ' ';
        }
    }
}

/* Is the word, or its beginning, among what is marked? Stems and syllables make them differ at the end. */
static bool is_marked(struct slice marked, struct slice word) {
    for (size_t i = 0; i < marked.len;) {
        const char *end = memchr(marked.data + i, '\n', marked.len - i);
        size_t len = end ? (size_t)(end - marked.data) - i : marked.len - i;
        size_t n = len < word.len ? len : word.len, same = 0;
        while (same < n && marked.data[i + same] == small(word.data[same]))
            same++;
        if (n && same == n)
            return true;
        i += len + 1;
    }
    return false;
}

static void write_words(struct json_write *w, const struct marking *m) {
    struct slice words[WORDS_MAX], q = m->q->q;
    size_t count = 0, found = 0, n = 0;
    bool is_found[WORDS_MAX];
    for (size_t i = 0; i < q.len && count < WORDS_MAX; i += n + 1) {
        const char *blank = memchr(q.data + i, ' ', q.len - i);
        n = blank ? (size_t)(blank - q.data) - i : q.len - i;
        if (n)
            words[count++] = (struct slice){q.data + i, n};
    }
    for (size_t i = 0; i < count; i++) {
        is_found[i] = m->marked.len && is_marked((struct slice){m->marked.data, m->marked.len}, words[i]);
        found += is_found[i];
    }
    json_write_key(w, "matchLevel");
    json_write_str(w, !m->marked.len ? "none" : found >= count ? "full" : "partial");
    if (m->marked.len) {
        json_write_key(w, "fullyHighlighted");
        json_write_bool(w, m->outside == 0);
    }
    json_write_key(w, "matchedWords");
    json_write_array(w);
    for (size_t i = 0; i < count; i++)
        if (is_found[i])
            json_write_slice(w, words[i]);
    json_write_array_end(w);
}

static void write_highlighted(struct json_write *w, const struct instant_query *q, struct slice key, const struct json *plain,
                              const struct json *marked) {
    struct marking m = {.q = q, .value = BUF_INIT(NAME_MAX_BYTES), .marked = BUF_INIT(NAME_MAX_BYTES)};
    if (!json_is(plain, JSON_STRING))
        return;
    if (json_is(marked, JSON_STRING))
        read_marks(&m, marked->text);
    json_write_key_slice(w, key);
    json_write_object(w);
    json_write_key(w, "value");
    w->failed = w->failed || !buf_ok(&m.value) || !buf_ok(&m.marked);
    if (m.value.len)
        json_write_string(w, m.value.data, m.value.len);
    else
        json_write_slice(w, plain->text);
    write_words(w, &m);
    json_write_object_end(w);
    buf_done(&m.value);
    buf_done(&m.marked);
}

/* ---- hits ---- */

static bool is_prefix(struct slice name, const struct json *term, struct slice *ret) {
    struct slice s = text_of(term);
    if (s.len <= name.len || memcmp(s.data, name.data, name.len) != 0 || s.data[name.len] != '=')
        return false;
    *ret = (struct slice){s.data + name.len + 1, s.len - name.len - 1};
    return true;
}

/* ["color=black"] -> "color":["black"]. *image: the attribute of that name, if it is among them. */
static void write_terms(struct json_write *w, const struct json *terms, struct slice *image) {
    struct slice name = {NULL, 0};
    for (const struct json *t = json_first(terms); t; t = t->next) {
        struct slice s = text_of(t), value;
        const char *sign = s.len ? memchr(s.data, '=', s.len) : NULL;
        if (!sign)
            continue;
        struct slice own = {s.data, (size_t)(sign - s.data)};
        if (!name.data || !slice_eq(own, name)) {
            if (name.data)
                json_write_array_end(w);
            json_write_key_slice(w, own);
            json_write_array(w);
            name = own;
        }
        json_write_string(w, sign + 1, s.len - own.len - 1);
        if (!image->data && (is_prefix(SLICE("image"), t, &value) || is_prefix(SLICE("images"), t, &value)))
            *image = value;
    }
    if (name.data)
        json_write_array_end(w);
}

/* An attribute is a code or it is none: no name stands in both lists. */
static void write_attributes(struct json_write *w, const struct json *attrs, const struct json *code_attrs) {
    struct slice image = {NULL, 0};
    json_write_key(w, "attributes");
    json_write_object(w);
    write_terms(w, attrs, &image);
    write_terms(w, code_attrs, &image);
    json_write_object_end(w);
    if (image.data) {
        json_write_key(w, "image");
        json_write_slice(w, image);
    }
}

/* "cat":{"lvl0":["TV"],"lvl1":["TV > OLED"]} of one category. */
static void write_levels(struct json_write *w, const struct instant_context *context, const char *lang, const struct category *c) {
    char key[] = "lvl0";
    struct buf name = BUF_INIT(NAME_MAX_BYTES);
    json_write_key(w, "cat");
    json_write_object(w);
    for (struct slice path = {0}; c && key[3] < '0' + INSTANT_LEVELS && path_next(c->path, &path);) {
        const struct category *step = category_list_by_path(context->categories, path);
        struct slice last = step ? category_name(step, lang) : (struct slice){"", 0};
        if (!step || !buf_append_str(&name, key[3] == '0' ? "" : " > ") || !buf_append(&name, last.data, last.len))
            break;
        json_write_key(w, key);
        key[3]++;
        json_write_array(w);
        json_write_string(w, name.data, name.len);
        json_write_array_end(w);
    }
    w->failed = w->failed || !buf_ok(&name);
    json_write_object_end(w);
    buf_done(&name);
}

/* One that was asked for, and not what every hit has. */
static bool is_further(const struct json *m) {
    static const char *const known[] = {"id",       "name",  "brand",      "price",            "price_max",        "currency",
                                        "in_stock", "stock", "categories", "primary_category", "matched_variants", "highlight", "attrs",
                                        "code_attrs"};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (slice_eq(m->key, slice_str(known[i])))
            return false;
    return true;
}

/* A text in several languages is the one of the request. NULL: there is none. */
static const struct json *in_language(const struct json *m, const char *lang) {
    const struct json *own = json_is(m, JSON_OBJECT) ? json_get(m, lang) : m;
    if (!own)
        own = m->child;
    return json_is(m, JSON_OBJECT) && json_is(own, JSON_ARRAY) && own->child ? own->child : own;
}

static void write_fields(struct json_write *w, const char *lang, const struct json *hit) {
    for (const struct json *m = hit->child; m; m = m->next) {
        const struct json *own = in_language(m, lang);
        if (!is_further(m))
            continue;
        json_write_key_slice(w, m->key);
        if (own)
            json_write_json(w, own);
        else
            json_write_null(w);
    }
}

void instant_hit_write(struct json_write *w, const struct instant_context *context, const char *lang, const struct json *hit) {
    static const char *const same[] = {"name", "brand", "currency", "in_stock", "stock", "primary_category"};
    const struct json *price = json_get(hit, "price"), *ids = json_get(hit, "categories"), *attrs = json_get(hit, "attrs");
    const struct json *code_attrs = json_get(hit, "code_attrs");
    const struct json *primary = json_get(hit, "primary_category"), *matched = json_get(hit, "matched_variants");
    int64_t id = 0;
    bool placed = json_int64(primary, &id) || json_int64(json_first(ids), &id);
    const struct category *c = placed && context->categories ? category_list_by_id(context->categories, id) : NULL;
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        write_or_null(w, same[i], json_get(hit, same[i]));
    write_or_null(w, "price", json_get(price, "min"));
    write_or_null(w, "price_max", json_get(price, "max"));
    json_write_key(w, "categories");
    category_list_write_names(context->categories, c ? c->path : SLICE(""), lang, w);
    write_levels(w, context, lang, c);
    if (matched)
        write_or_null(w, "matched_variants", matched);
    if (attrs || code_attrs)
        write_attributes(w, attrs, code_attrs);
    write_fields(w, lang, hit);
}

static void write_hit(struct json_write *w, const struct instant_context *context, const struct instant_query *q,
                      const struct json *hit) {
    json_write_object(w);
    write_or_null(w, "objectID", json_get(hit, "id"));
    instant_hit_write(w, context, q->lang, hit);
    json_write_key(w, "_highlightResult");
    json_write_object(w);
    write_highlighted(w, q, SLICE("name"), json_get(hit, "name"), json_get(json_get(hit, "highlight"), "name"));
    write_highlighted(w, q, SLICE("brand"), json_get(hit, "brand"), NULL);
    for (const struct json *m = hit->child; m; m = m->next) /* clients show nothing where a text is not here */
        if (is_further(m))
            write_highlighted(w, q, m->key, in_language(m, q->lang), NULL);
    json_write_object_end(w);
    json_write_object_end(w);
}

/* ---- the result ---- */

static uint64_t total_of(const struct json *answer) {
    int64_t total = 0;
    json_int64(json_path(answer, "total.value"), &total);
    return total > 0 ? (uint64_t)total : 0;
}

static uint64_t page_count(uint64_t total, unsigned size) {
    uint64_t pages = size ? (total + size - 1) / size : 0, most = size ? SEARCH_WINDOW_MAX / size : 0;
    return pages < most ? pages : most;
}

/* What was searched for instead, or may have been meant; and whether the answer is an old or a poorer one. */
static void write_notes(struct json_write *w, const struct json *answer) {
    static const char *const notes[] = {"corrected", "reason", "did_you_mean"};
    const struct json *query = json_get(answer, "query");
    for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++)
        if (json_get(query, notes[i]))
            write_or_null(w, notes[i], json_get(query, notes[i]));
    write_or_null(w, "degraded", json_get(answer, "degraded"));
}

void instant_result_write(struct json_write *w, const struct instant_context *context, const struct instant_query *q,
                          const struct instant_search *search, const struct json *answer) {
    uint64_t total = total_of(answer);
    bool own = search->main == q;
    bool exact = own && !json_string_is(json_path(answer, "total.relation"), "gte");
    json_write_object(w);
    json_write_key(w, "hits");
    json_write_array(w);
    unsigned at = 0;
    for (const struct json *hit = own ? json_first(json_get(answer, "hits")) : NULL; hit && at < q->skip + q->size; hit = hit->next)
        if (at++ >= q->skip)
            write_hit(w, context, q, hit);
    json_write_array_end(w);
    json_write_key(w, "nbHits");
    json_write_uint(w, total);
    json_write_key(w, "page");
    json_write_uint(w, q->page);
    json_write_key(w, "nbPages");
    json_write_uint(w, page_count(total, q->size));
    json_write_key(w, "hitsPerPage");
    json_write_uint(w, q->size);
    instant_facets_write(w, context, q, json_get(answer, "facets"), own ? total : UINT64_MAX);
    json_write_key(w, "exhaustiveFacetsCount");
    json_write_bool(w, true);
    json_write_key(w, "exhaustiveNbHits");
    json_write_bool(w, exact); /* else at least as many: one filter less than the search that was asked, or a total that says so */
    json_write_key(w, "exhaustiveTypo");
    json_write_bool(w, true);
    json_write_key(w, "exhaustive");
    json_write_object(w);
    json_write_key(w, "facetsCount");
    json_write_bool(w, true);
    json_write_key(w, "nbHits");
    json_write_bool(w, exact);
    json_write_key(w, "typo");
    json_write_bool(w, true);
    json_write_object_end(w);
    json_write_key(w, "query");
    json_write_slice(w, q->q);
    json_write_key(w, "params");
    json_write_str(w, "");
    json_write_key(w, "index");
    json_write_slice(w, q->index);
    write_notes(w, answer);
    write_or_null(w, "queryID", json_get(answer, "query_id"));
    write_or_null(w, "processingTimeMS", json_get(answer, "took_ms"));
    json_write_object_end(w);
}
