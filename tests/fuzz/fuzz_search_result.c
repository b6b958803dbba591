/* Elasticsearch's answer -> the storefront's: any JSON gives valid JSON or an error, never a crash; the same one from the
 * tree of either reader. */
#include "query-api/search/answer_json.h"
#include "query-api/search/product_view.h"
#include "query-api/search/search_result.h"
#include "query-api/text/search_text.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char query[] = "q=x&lang=en&facets=brand,category,price,in_stock,attr.color,attr.*&attr.color=red&attr.size=1..2"
                            "&brand=LG&category=1&price=1..2&in_stock=true&fields=description&facet_size=2";

/* Copies what Elasticsearch says: a key that stands twice there does so here, which it never sends. */
static bool keys_are_distinct;

static void check(const struct buf *out) {
    struct arena scratch;
    arena_init(&scratch, 64 << 20);
    if (keys_are_distinct && !json_parse(&scratch, out->data, out->len, &(struct json_limits){128, 10000000}, NULL))
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

struct views {
    struct buf page, product;
};

static void write_views(struct arena *arena, const struct json *answer, const struct category_list *list, struct views *ret) {
    struct search_params params;
    struct search_errors errors;
    struct error error = {0};
    struct buf out = BUF_INIT(16 << 20);
    if (!search_params_from_query(arena, SLICE(query), &params, &errors) ||
        !(params.text = search_text_read(&(struct search_text_context){.arena = arena}, params.q, params.typo)))
        abort();
    struct search_terms doubts = {0};
    struct search_result_context context = {.arena = arena, .categories = list, .took_ms = 1, .query_id = "id", .doubts = &doubts};
    if (search_result_write(&params, answer, &context, &ret->page, &error))
        check(&ret->page);
    else
        buf_reset(&ret->page);
    check_second_pass(&params, answer, context, &out);
    if (product_view_write(answer, list, "en", NULL, &ret->product))
        check(&ret->product);
    else
        buf_reset(&ret->product);
    buf_done(&out);
}

static bool same(const struct buf *a, const struct buf *b) {
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* The program's own reader, whose trees have buckets in one node. It takes keys that stand twice, and more values. */
static void check_answer(struct arena *arena, const uint8_t *data, size_t size, const struct category_list *list,
                         const struct views *wanted) {
    struct views views = {BUF_INIT(16 << 20), BUF_INIT(16 << 20)};
    char *copy = fuzz_text(data, size);
    const struct json *answer = answer_json_parse(arena, copy, size, 48, NULL);
    if (answer)
        write_views(arena, answer, list, &views);
    if (wanted && (!answer || !same(&views.page, &wanted->page) || !same(&views.product, &wanted->product)))
        abort();
    buf_done(&views.page);
    buf_done(&views.product);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct views views = {BUF_INIT(16 << 20), BUF_INIT(16 << 20)};
    struct category_list *list = category_list_new(1);
    size_t added;
    int64_t last = 0;
    arena_init(&arena, 64 << 20);
    if (!list)
        abort();
    const struct json *answer = json_parse(&arena, (const char *)data, size, &(struct json_limits){48, 100000}, NULL);
    keys_are_distinct = answer != NULL;
    if (answer) {
        category_list_add(list, json_path(answer, "hits.hits"), &added, &last);
        category_list_finish(list);
        write_views(&arena, answer, list, &views);
    }
    check_answer(&arena, data, size, list, answer ? &views : NULL);
    category_list_free(list);
    buf_done(&views.page);
    buf_done(&views.product);
    arena_done(&arena);
    return 0;
}
