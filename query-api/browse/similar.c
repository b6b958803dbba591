/* GET /v1/products/{id}/similar */
#include "core/clock.h"
#include "core/http_param_read.h"
#include "core/json_write.h"
#include "query-api/browse/similar.h"
#include "query-api/query_api.h"
#include "query-api/search/product_view.h"
#include "query-api/search/search_cache.h"
#include "query-api/search/search_result.h"
#include <stdio.h>

enum { SIMILAR_ID_MAX_BYTES = 128, SIMILAR_BODY_MAX_BYTES = 64 << 10, SIMILAR_RESULT_MAX_BYTES = 4 << 20, SIMILAR_SIZE = 8, SIMILAR_SIZE_MAX = 50 };

enum { PARAM_LANG, PARAM_SIZE, PARAM_COUNT };
const struct http_param similar_params[] = {
    [PARAM_LANG] = {.name = "lang",
                    .about = "Language of names, two or three letters; ko by default.",
                    .example = "en",
                    .max = 3},
    [PARAM_SIZE] = {.name = "size",
                    .about = "Most products; 8 by default.",
                    .example = "4",
                    .type = HTTP_PARAM_INTEGER,
                    .min = 1,
                    .max = SIMILAR_SIZE_MAX},
    {.name = NULL},
};

struct similar_request {
    struct slice id;
    char lang[4];
    int64_t size;
    usec_t begun;
};

/* Products that share words, categories and attributes with this one: what is rare among all products counts most. */
static void write_like(struct json_write *w, const char *index, struct slice id, const char *fields, double boost) {
    json_write_object(w);
    json_write_key(w, "more_like_this");
    json_write_object(w);
    json_write_key(w, "fields");
    json_write_raw(w, fields, strlen(fields));
    json_write_key(w, "like");
    json_write_object(w);
    json_write_key(w, "_index");
    json_write_str(w, index);
    json_write_key(w, "_id");
    json_write_slice(w, id);
    json_write_object_end(w);
    json_write_key(w, "min_term_freq");
    json_write_int(w, 1);
    json_write_key(w, "min_doc_freq");
    json_write_int(w, 2);
    json_write_key(w, "minimum_should_match");
    json_write_int(w, 1);
    json_write_key(w, "boost");
    json_write_double(w, boost);
    json_write_object_end(w);
    json_write_object_end(w);
}

static void write_id_clause(struct json_write *w, struct slice id) {
    json_write_object(w);
    json_write_key(w, "ids");
    json_write_object(w);
    json_write_key(w, "values");
    json_write_array(w);
    json_write_slice(w, id);
    json_write_array_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
}

void similar_write(struct json_write *w, const char *index, struct slice id) {
    json_write_object(w);
    json_write_key(w, "bool");
    json_write_object(w);
    json_write_key(w, "should");
    json_write_array(w);
    write_like(w, index, id, "[\"category_paths\"]", 3);
    write_like(w, index, id, "[\"attrs\"]", 1);
    write_like(w, index, id, "[\"name.ko\",\"name.en\"]", 1);
    write_like(w, index, id, "[\"brand\"]", 0.3);
    json_write_array_end(w);
    json_write_key(w, "minimum_should_match");
    json_write_int(w, 1);
    json_write_key(w, "must_not");
    write_id_clause(w, id);
    json_write_object_end(w);
    json_write_object_end(w);
}

static bool write_question(struct buf *out, const char *index, struct slice id, int64_t size) {
    struct json_write w;
    json_write_init(&w, out);
    json_write_object(&w);
    json_write_key(&w, "size");
    json_write_int(&w, size);
    product_view_ask_summaries(&w, PRODUCT_VIEW_BEST);
    json_write_key(&w, "query");
    similar_write(&w, index, id);
    /* Is there such a product at all? */
    json_write_key(&w, "aggs");
    json_write_object(&w);
    json_write_key(&w, "all");
    json_write_object(&w);
    json_write_key(&w, "global");
    json_write_object(&w);
    json_write_object_end(&w);
    json_write_key(&w, "aggs");
    json_write_object(&w);
    json_write_key(&w, "this");
    json_write_object(&w);
    json_write_key(&w, "filter");
    write_id_clause(&w, id);
    for (unsigned i = 0; i < 5; i++)
        json_write_object_end(&w);
    return json_write_finish(&w);
}

static bool write_answer(struct buf *out, const struct similar_request *r, const struct json *body, const char *query_id,
                         size_t *ret_common_len) {
    const struct json *hits = json_path(body, "hits.hits"); /* NULL: nothing can be asked for */
    struct json_write w;
    json_write_init(&w, out);
    json_write_object(&w);
    json_write_key(&w, "hits");
    json_write_array(&w);
    for (const struct json *hit = hits ? hits->child : NULL; hit; hit = hit->next) {
        json_write_object(&w);
        product_view_write_summary(&w, json_get(hit, "_source"), r->lang);
        json_write_object_end(&w);
    }
    json_write_array_end(&w);
    *ret_common_len = out->len;
    json_write_key(&w, "degraded");
    json_write_str(&w, hits ? NULL : "fallback");
    json_write_key(&w, "took_ms");
    json_write_uint(&w, (clock_now_usec() - r->begun + 500) / 1000);
    json_write_key(&w, "query_id");
    json_write_str(&w, query_id);
    json_write_object_end(&w);
    return json_write_finish(&w);
}

/* With a fallback, a product page does without this list rather than with an error. */
static void on_failed(struct query_loop *q, struct http_request *request, void *data, const struct error *error) {
    struct buf out = BUF_INIT(SIMILAR_RESULT_MAX_BYTES);
    size_t common_len = 0;
    if (error->code != ERROR_NOT_FOUND && search_cache_rescue(q, request))
        return;
    if (q->fallback && error_is_retriable(error) && write_answer(&out, data, NULL, http_request_id(request), &common_len)) {
        search_cache_end(q, request, ((struct similar_request *)data)->begun, &out, common_len, true);
        return;
    }
    buf_done(&out);
    search_cache_fail(q, request, error);
}

static void on_similar(struct query_loop *q, struct http_request *request, void *data, int status,
                       const struct json *body) {
    struct error error = {0};
    size_t common_len = 0;
    struct similar_request *r = data;
    struct slice id = r->id;
    int64_t known = 0;
    bool complete = status != 404 && search_result_check(body, &error) &&
                    json_int64(json_path(body, "aggregations.all.this.doc_count"), &known);
    struct buf out = BUF_INIT(SIMILAR_RESULT_MAX_BYTES);
    if (error.code == ERROR_CORRUPT)
        upstream_distrust(q);
    if (!complete)
        error_set(&error, ERROR_UNAVAILABLE,
                  status == 404 ? "there is no search index yet: start the projector, which creates it"
                                : "the search engine's answer is not complete; try again shortly");
    else if (!known)
        error_set(&error, ERROR_NOT_FOUND, "no product with the id \"%.*s\" is in the search index", (int)id.len, id.data);
    else if (!write_answer(&out, r, body, http_request_id(request), &common_len))
        error_nomem(&error);
    if (error.code == ERROR_NONE) {
        search_cache_end(q, request, r->begun, &out, common_len, false);
        return;
    }
    buf_done(&out);
    on_failed(q, request, data, &error);
}

/* Answered from the cache, or waiting for somebody who asks the same. */
static bool is_known(struct query_loop *q, struct http_request *request, const struct similar_request *r) {
    struct buf name = BUF_INIT(1024);
    buf_printf(&name, "similar %s %lld ", r->lang, (long long)r->size);
    buf_append(&name, r->id.data, r->id.len);
    bool answered = buf_ok(&name) && search_cache_begin_name(q, request, (struct slice){name.data, name.len}, r->begun);
    buf_done(&name);
    return answered;
}

void handle_similar(struct http_request *request, void *ctx) {
    struct query_loop *q = ctx;
    struct slice id = http_request_param(request, "id"), values[PARAM_COUNT];
    char lang[4];
    if (!request_params(request, values) || !request_lang(request, values[PARAM_LANG], lang))
        return;
    if (id.len == 0 || id.len > SIMILAR_ID_MAX_BYTES) {
        static const struct field_error bad = {"id", "must have 1 to 128 bytes"};
        http_reply_problem(request, 400, "the product id is invalid", &bad, 1);
        return;
    }
    similar_start(q, request, id, lang, http_param_integer(values[PARAM_SIZE], SIMILAR_SIZE));
}

void similar_start(struct query_loop *q, struct http_request *request, struct slice id, const char *lang, int64_t size) {
    struct similar_request *r = arena_zalloc(http_request_arena(request), sizeof(*r));
    struct error error = {0};
    if (!r) {
        error_nomem(&error);
        http_reply_error(request, &error);
        return;
    }
    *r = (struct similar_request){.id = id, .size = size, .begun = clock_now_usec()};
    snprintf(r->lang, sizeof(r->lang), "%.3s", lang);
    if (is_known(q, request, r))
        return;
    struct buf path = BUF_INIT(1024), body = BUF_INIT(SIMILAR_BODY_MAX_BYTES);
    buf_append_char(&path, '/');
    uri_encode(&path, q->conf->index, strlen(q->conf->index));
    buf_append_str(&path, "/_search");
    if (buf_ok(&path) && write_question(&body, q->conf->index, id, r->size)) {
        upstream_ask_or(q, request, "POST", path.data, &body, on_similar, on_failed, r);
    } else {
        buf_done(&body);
        error_nomem(&error);
        search_cache_fail(q, request, &error);
    }
    buf_done(&path);
}
