#include "query-api/search/matched_variants.h"
#include "query-api/search/search_aggs.h"
#include "query-api/text/search_rank.h"
#include "query-api/text/search_spelling.h"
#include "query-api/text/search_text.h"

static void write_sort(struct search_writer *q) {
    static const char *const orders[] = {
        [SORT_RELEVANCE] = "[{\"in_stock\":\"desc\"},\"_score\",{\"id\":\"asc\"}]",
        [SORT_PRICE_ASC] = "[{\"in_stock\":\"desc\"},{\"price_min\":\"asc\"},{\"id\":\"asc\"}]",
        [SORT_PRICE_DESC] = "[{\"in_stock\":\"desc\"},{\"price_max\":\"desc\"},{\"id\":\"asc\"}]",
        [SORT_NEWEST] = "[{\"in_stock\":\"desc\"},{\"created_at\":\"desc\"},{\"id\":\"asc\"}]",
        [SORT_BEST_SELLING] = "[{\"in_stock\":\"desc\"}," SEARCH_RANK_SALES_KEY ",{\"id\":\"asc\"}]",
    };
    /* Without words every score is the same. */
    static const char popular[] = "[{\"in_stock\":\"desc\"}," SEARCH_RANK_POPULARITY_KEY ",{\"id\":\"asc\"}]";
    const char *order = q->p->sort == SORT_RELEVANCE && q->p->q.len == 0 ? popular : orders[q->p->sort];
    json_write_key(&q->w, "sort");
    json_write_raw(&q->w, order, strlen(order));
}

static void write_source(struct search_writer *q) {
    struct json_write *w = &q->w;
    json_write_open(w, SLICE("\"_source\":[\"id\",\"name\",\"brand\",\"price_min\",\"price_max\",\"currency\",\"in_stock\",\"stock\","
                             "\"categories\",\"primary_category\""), "[");
    matched_variants_fields(w, q->p);
    for (size_t i = 0; i < q->p->field_count; i++)
        json_write_slice(w, q->p->fields[i]);
    json_write_array_end(w);
}

static void write_query(struct search_writer *q) {
    struct json_write *w = &q->w;
    json_write_open(w, SLICE("\"query\":{\"bool\":{"), "{{");
    if (q->p->q.len) {
        json_write_key(w, "must");
        search_text_write(w, q->p->text);
    }
    json_write_key(w, "filter");
    json_write_array(w);
    search_filter_products(q, VISIBLE_HIDDEN, NULL);
    /* The whole condition when nothing of the variants is shown as a facet, else that is in post_filter. */
    search_filter_condition(q, VISIBLE_HIDDEN, NULL);
    search_filter_clauses(q);
    search_filter_all_but_one(q);
    json_write_array_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
}

static void write_post_filter(struct search_writer *q) {
    bool variant = search_filter_any_variant(q, VISIBLE_SHOWN, NULL);
    if (!variant && !search_filter_any_product(q, VISIBLE_SHOWN, NULL))
        return;
    json_write_key(&q->w, "post_filter");
    search_filter_begin(&q->w);
    search_filter_products(q, VISIBLE_SHOWN, NULL);
    if (variant)
        search_filter_condition(q, VISIBLE_ALL, NULL);
    search_filter_end(&q->w);
}

/* With a query of its own: fuzzy words are compared with each hit by an automaton built for that hit, which took ten
 * times as long as the search itself. What was found by a typing mistake is not marked. */
static void write_highlight(struct search_writer *q) {
    if (q->p->q.len == 0)
        return;
    json_write_open(&q->w, SLICE("\"highlight\":{\"encoder\":\"html\",\"number_of_fragments\":0,\"fields\":{\"name.ko\":{},\"name.en\":{}},"
                                 "\"highlight_query\":{\"multi_match\":{\"query\":"), "{{{");
    json_write_slice(&q->w, search_text_marked(q->p->text));
    json_write_close(&q->w, SLICE(",\"fields\":[\"name.ko\",\"name.en\"]}}}"), 3);
}

/* Which hits: a page, or those behind a cursor. */
static void write_position(struct search_writer *q) {
    const struct search_params *p = q->p;
    if (!p->after) {
        json_write_key(&q->w, "from");
        json_write_uint(&q->w, (uint64_t)(p->page - 1) * p->size);
    } else {
        json_write_key(&q->w, "search_after");
        json_write_json(&q->w, p->after);
    }
    if (p->view.len == 0)
        return;
    json_write_key(&q->w, "pit");
    json_write_object(&q->w);
    json_write_key(&q->w, "id");
    json_write_slice(&q->w, p->view);
    json_write_key(&q->w, "keep_alive");
    json_write_str(&q->w, SEARCH_VIEW_KEEP);
    json_write_object_end(&q->w);
}

bool search_query_write(const struct search_params *p, struct buf *out) {
    struct search_writer q = {.p = p};
    if ((p->q.len && !p->text) || !json_write_init(&q.w, out))
        return false;
    json_write_object(&q.w);
    write_position(&q);
    json_write_key(&q.w, "size");
    json_write_uint(&q.w, p->size);
    json_write_open(&q.w, SLICE("\"track_total_hits\":true"), "");
    write_source(&q);
    if (p->explain) {
        json_write_key(&q.w, "explain");
        json_write_bool(&q.w, true);
    }
    write_query(&q);
    write_post_filter(&q);
    write_sort(&q);
    write_highlight(&q);
    search_spelling_write(&q.w, p->text);
    search_aggs_write(&q);
    json_write_object_end(&q.w);
    return json_write_finish(&q.w);
}

/* {"size":0,"query":... */
static bool write_only_counts(struct search_writer *q, struct buf *out) {
    if (!json_write_init(&q->w, out))
        return false;
    json_write_object(&q->w);
    json_write_open(&q->w, SLICE("\"size\":0"), "");
    write_query(q);
    return true;
}

bool search_facets_write(const struct search_params *p, struct buf *out) {
    struct search_writer q = {.p = p};
    if (!write_only_counts(&q, out))
        return false;
    json_write_open(&q.w, SLICE("\"track_total_hits\":false"), "");
    search_aggs_write(&q);
    json_write_object_end(&q.w);
    return json_write_finish(&q.w);
}

bool search_counts_write(const struct search_params *p, const struct search_terms *terms, struct buf *out) {
    struct search_writer q = {.p = p, .terms = terms->items};
    if (!write_only_counts(&q, out))
        return false;
    json_write_key(&q.w, "aggs");
    json_write_object(&q.w);
    for (size_t i = 0; i < terms->count; i += q.term_count) {
        const struct search_term *first = &terms->items[i];
        q.terms = first;
        q.term_count = 1;
        while (i + q.term_count < terms->count && first[q.term_count].kind == first->kind &&
               first[q.term_count].index == first->index)
            q.term_count++;
        search_aggs_write_counts(&q, first);
    }
    json_write_object_end(&q.w);
    json_write_object_end(&q.w);
    return json_write_finish(&q.w);
}
