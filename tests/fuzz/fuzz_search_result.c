/* Elasticsearch's answer -> the storefront's: any JSON gives valid JSON or an error, never a crash. */
#include "query-api/search/product_view.h"
#include "query-api/search/search_result.h"
#include "query-api/text/search_text.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char query[] = "q=x&lang=en&facets=brand,category,price,in_stock,attr.color,attr.*&attr.color=red&attr.size=1..2"
                            "&brand=LG&category=1&price=1..2&in_stock=true&fields=description&facet_size=2";

static void check(const struct buf *out) {
    struct arena scratch;
    arena_init(&scratch, 64 << 20);
    if (!json_parse(&scratch, out->data, out->len, &(struct json_limits){128, 10000000}, NULL))
        abort();
    arena_done(&scratch);
}

/* With the same answer as its own second one. */
static void check_second_pass(const struct search_params *params, const struct json *answer, struct search_result_context context,
                              struct buf *out) {
    struct error error = {0};
    buf_reset(out);
    if (context.doubts->count && search_counts_write(params, context.doubts, out))
        check(out);
    context.doubts = NULL;
    context.second = json_get(answer, "aggregations");
    buf_reset(out);
    if (search_result_write(params, answer, &context, out, &error))
        check(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct search_params params;
    struct search_errors errors;
    struct error error = {0};
    struct buf out = BUF_INIT(16 << 20), view = BUF_INIT(16 << 20);
    struct category_list *list = category_list_new(1);
    size_t added;
    int64_t last = 0;
    arena_init(&arena, 64 << 20);
    if (!list || !search_params_from_query(&arena, SLICE(query), &params, &errors) ||
        !(params.text = search_text_read(&(struct search_text_context){.arena = &arena}, params.q, params.typo)))
        abort();
    const struct json *answer = json_parse(&arena, (const char *)data, size, &(struct json_limits){48, 100000}, NULL);
    if (answer) {
        category_list_add(list, json_path(answer, "hits.hits"), &added, &last);
        category_list_finish(list);
        struct search_terms doubts = {0};
        struct search_result_context context = {.arena = &arena, .categories = list, .took_ms = 1, .query_id = "id", .doubts = &doubts};
        if (search_result_write(&params, answer, &context, &out, &error))
            check(&out);
        check_second_pass(&params, answer, context, &out);
        if (product_view_write(answer, list, "en", NULL, &view))
            check(&view);
    }
    category_list_free(list);
    buf_done(&out);
    buf_done(&view);
    arena_done(&arena);
    return 0;
}
