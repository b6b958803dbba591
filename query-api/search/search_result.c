#include "query-api/search/facet_result.h"
#include "query-api/search/matched_variants.h"
#include "query-api/search/product_view.h"
#include "query-api/search/search_cursor.h"
#include "query-api/search/search_explain.h"
#include "query-api/search/search_result.h"
#include "query-api/text/search_spelling.h"

struct result {
    struct json_write w;
    const struct search_params *p;
    const struct search_result_context *context;
};

/* The name that the hit shows, with the words found in it marked. Left out if they were found in another language:
 * a list of hits does not change its language line by line. */
static void write_highlight(struct result *r, const struct json *hit, const struct json *source) {
    const struct json *highlight = json_get(hit, "highlight");
    if (!highlight)
        return;
    const struct json *name = product_view_localized(json_get(source, "name"), r->p->lang);
    char field[16] = "name.";
    if (!json_is(name, JSON_STRING) || name->key.len > 8)
        return;
    memcpy(field + 5, name->key.data, name->key.len);
    const struct json *text = json_first(json_get_slice(highlight, (struct slice){field, 5 + name->key.len}));
    if (!json_is(text, JSON_STRING))
        return;
    json_write_key(&r->w, "highlight");
    json_write_object(&r->w);
    json_write_key(&r->w, "name");
    json_write_json(&r->w, text);
    json_write_object_end(&r->w);
}

static bool is_always_there(struct slice field) {
    static const char *const names[] = {"id",       "name",     "brand", "price_min",  "price_max",
                                        "currency", "in_stock", "stock", "categories", "primary_category"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (slice_eq(field, slice_str(names[i])))
            return true;
    return false;
}

/* The further fields asked for, as they stand in the search document. */
static void write_fields(struct result *r, const struct json *source) {
    for (size_t i = 0; i < r->p->field_count; i++) {
        const char *path = arena_strndup(r->context->arena, r->p->fields[i].data, r->p->fields[i].len);
        const struct json *v = path ? json_path(source, path) : NULL;
        bool again = is_always_there(r->p->fields[i]);
        for (size_t k = 0; k < i && !again; k++)
            again = slice_eq(r->p->fields[k], r->p->fields[i]);
        if (!v || again)
            continue;
        json_write_key_slice(&r->w, r->p->fields[i]);
        json_write_json(&r->w, v);
    }
}

static bool write_hit(struct result *r, const struct json *hit) {
    const struct json *source = json_get(hit, "_source");
    if (!json_is(source, JSON_OBJECT))
        return false;
    json_write_object(&r->w);
    product_view_write_summary(&r->w, source, r->p->lang);
    json_write_key(&r->w, "matched_variants");
    matched_variants_write(&r->w, r->p, source, !r->context->degraded);
    write_highlight(r, hit, source);
    write_fields(r, source);
    if (r->p->explain && json_get(hit, "_explanation")) {
        json_write_key(&r->w, "explanation");
        json_write_json(&r->w, json_get(hit, "_explanation"));
    }
    json_write_object_end(&r->w);
    return true;
}

/* Which guess found the first hit; none if its words did. */
static enum search_reason reason_of(const struct json *hit) {
    enum search_reason found = REASON_NONE;
    for (const struct json *name = json_first(json_get(hit, "matched_queries")); name; name = name->next) {
        if (json_string_is(name, search_reason_names[REASON_NONE]))
            return REASON_NONE;
        for (enum search_reason i = REASON_KEYBOARD; i < REASON_COUNT; i++)
            if (json_string_is(name, search_reason_names[i]) && (found == REASON_NONE || i < found))
                found = i;
    }
    return found;
}

/* Nothing found, or only by tolerating mistakes. */
static bool found_little(const struct json *answer, const struct json *hit) {
    double score;
    return !hit || (json_double(json_get(hit, "_score"), &score) && score < LAYER_MEANT && json_get(answer, "suggest"));
}

static void write_query(struct result *r, const struct json *answer) {
    const struct json *hit = json_first(json_path(answer, "hits.hits"));
    const struct search_text *text = r->p->text;
    enum search_reason reason = text ? reason_of(hit) : REASON_NONE;
    struct slice spelled = {NULL, 0};
    json_write_key(&r->w, "query");
    json_write_object(&r->w);
    json_write_key(&r->w, "q");
    json_write_slice(&r->w, r->p->q);
    if (reason == REASON_KEYBOARD && text->flipped) {
        json_write_key(&r->w, "corrected");
        json_write_slice(&r->w, text->flipped->q);
    } else if (reason == REASON_SPELLING && text->spelled) {
        json_write_key(&r->w, "corrected");
        json_write_slice(&r->w, text->spelled->q);
    }
    if (reason != REASON_NONE) {
        json_write_key(&r->w, "reason");
        json_write_str(&r->w, search_reason_names[reason]);
    }
    if (text && (reason == REASON_NONE || reason == REASON_SOME_WORDS) && found_little(answer, hit))
        spelled = search_spelling_read(r->context->arena, text, answer);
    if (spelled.len) {
        json_write_key(&r->w, "did_you_mean");
        json_write_slice(&r->w, spelled);
    }
    json_write_object_end(&r->w);
}

bool search_result_whole(const struct json *answer, struct error *reterr) {
    const struct json *timed_out = json_get(answer, "timed_out");
    int64_t failed = 0;
    if ((json_is(timed_out, JSON_BOOL) && timed_out->boolean) ||
        (json_int64(json_path(answer, "_shards.failed"), &failed) && failed > 0))
        return error_set(reterr, ERROR_UNAVAILABLE, "the search engine answered only in part; try again");
    return true;
}

bool search_result_check(const struct json *answer, struct error *reterr) {
    if (!json_is(json_path(answer, "hits.hits"), JSON_ARRAY) ||
        !json_is(json_path(answer, "hits.total.value"), JSON_NUMBER))
        return error_set(reterr, ERROR_CORRUPT, "the search engine's answer has no hits");
    return search_result_whole(answer, reterr);
}

bool search_result_write(const struct search_params *params, const struct json *answer,
                         const struct search_result_context *context, struct buf *out, struct error *reterr) {
    struct result r = {.p = params, .context = context};
    int64_t total = 0;
    bool ok = true;
    if (!search_result_check(answer, reterr))
        return false;
    json_int64(json_path(answer, "hits.total.value"), &total);
    if (!json_write_init(&r.w, out))
        return error_nomem(reterr);
    json_write_object(&r.w);
    write_query(&r, answer);
    if (params->explain) {
        json_write_key(&r.w, "explain");
        search_explain_write(&r.w, params->text);
    }
    json_write_key(&r.w, "total");
    json_write_object(&r.w);
    json_write_key(&r.w, "value");
    json_write_int(&r.w, total);
    json_write_key(&r.w, "relation");
    json_write_str(&r.w, json_string_is(json_path(answer, "hits.total.relation"), "gte") ? "gte" : "eq");
    json_write_object_end(&r.w);
    if (!params->cursor.data) {
        json_write_key(&r.w, "page");
        json_write_uint(&r.w, params->page);
    }
    json_write_key(&r.w, "size");
    json_write_uint(&r.w, params->size);
    json_write_key(&r.w, "next_cursor");
    ok = search_cursor_write(&r.w, params, answer);
    json_write_key(&r.w, "hits");
    json_write_array(&r.w);
    for (const struct json *hit = json_first(json_path(answer, "hits.hits")); hit && ok; hit = hit->next)
        ok = write_hit(&r, hit);
    json_write_array_end(&r.w);
    json_write_key(&r.w, "facets");
    ok = ok && facet_result_write(&r.w, params, json_get(answer, "aggregations"), context);
    if (context->ret_common_len)
        *context->ret_common_len = out->len;
    json_write_key(&r.w, "degraded");
    json_write_str(&r.w, context->degraded);
    json_write_key(&r.w, "took_ms");
    json_write_uint(&r.w, context->took_ms);
    json_write_key(&r.w, "query_id");
    json_write_str(&r.w, context->query_id);
    json_write_object_end(&r.w);
    bool written = json_write_finish(&r.w);
    if (!ok)
        return error_set(reterr, ERROR_CORRUPT, "the search engine's answer holds a hit without a document or a position");
    return written || error_nomem(reterr);
}
