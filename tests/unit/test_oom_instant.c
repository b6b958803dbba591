/* Memory runs out at every allocation of the InstantSearch protocol in turn: what is answered is whole, or an error. */
#include "tests/unit/test.h"
#include "tests/unit/oom.h"
#include "query-api/instant/instant.h"

static const char tree[] = "[{\"_source\":{\"id\":1,\"path\":\"1\",\"name\":\"TV\"}},{\"_source\":{\"id\":4,\"path\":\"1/4\",\"name\":\"OLED\"}}]";
static const char batch[] =
    "[{\"indexName\":\"products_en\",\"query\":\"oled tv\",\"facets\":[\"*\"],\"facetFilters\":[[\"brand:LG\",\"brand:A\"],\"a:b\",\"cat.lvl1:TV > OLED\"],"
    "\"numericFilters\":[\"price>=5\",\"price<9\"],\"filters\":\"a:b OR NOT c:\\\"d e\\\"\",\"attributesToRetrieve\":[\"attributes\",\"description\"]},"
    "{\"indexName\":\"products_en\",\"params\":\"query=oled%20tv&hitsPerPage=0&facets=brand&facetFilters=%5B%22a%3Ab%22%2C%22cat.lvl1%3ATV%20%3E%20OLED%22%5D"
    "&numericFilters=%5B%22price%3E%3D5%22%2C%22price%3C9%22%5D&filters=a%3Ab%20OR%20NOT%20c%3A%22d%20e%22\"},"
    "{\"indexName\":\"products\",\"type\":\"facet\",\"facet\":\"cat.lvl1\",\"facetQuery\":\"ol\"}]";
static const char answer_text[] =
    "{\"query\":{\"q\":\"oled tv\"},\"total\":{\"value\":45},\"hits\":[{\"id\":\"1\",\"name\":\"OLED TV\",\"brand\":\"LG\",\"categories\":[4],"
    "\"primary_category\":4,\"attrs\":[\"a=b\",\"a=c\",\"image=u\"],\"description\":{\"en\":\"d\"},\"highlight\":{\"name\":\"<em>OLED</em> TV\"}}],\"facets\":{"
    "\"category\":{\"nodes\":[{\"path\":\"1\",\"name\":\"TV\",\"count\":9,\"children\":[{\"path\":\"1/4\",\"name\":\"OLED\",\"count\":4,\"children\":[]}]}]},"
    "\"brand\":{\"values\":[{\"value\":\"LG\",\"count\":3}],\"other\":0},\"attr.inch\":{\"values\":[{\"value\":\"13\",\"count\":3}],\"other\":0}},\"query_id\":\"q\"}";

struct whole {
    struct category_list *list;
    char *text; /* of the first run, which has all memory */
};

static bool write_all(const struct instant_context *context, struct json_write *w, struct error *reterr) {
    struct instant_query queries[3];
    struct instant_plan plan;
    struct search_params params;
    size_t count = 0;
    const struct json *requests = json_parse(context->arena, batch, sizeof(batch) - 1, NULL, reterr);
    const struct json *answer = requests ? json_parse(context->arena, answer_text, sizeof(answer_text) - 1, NULL, reterr) : NULL;
    if (!answer)
        return false;
    for (const struct json *r = requests->child; r; r = r->next)
        if (!instant_query_read(context, (struct slice){NULL, 0}, r, &queries[count++], reterr))
            return false;
    if (!instant_plan_make(context->arena, queries, count, &plan) || !instant_facet_params(context->arena, &queries[2], &params))
        return error_nomem(reterr);
    assert_int_equal(plan.search_count, 1);
    json_write_array(w);
    for (size_t i = 0; i < 2; i++)
        instant_result_write(w, context, &queries[i], &plan.searches[0], answer);
    instant_facet_hits_write(w, context, &queries[2], answer);
    json_write_array_end(w);
    return json_write_finish(w) || error_nomem(reterr);
}

static bool use_batch(void *ctx, struct error *reterr) {
    struct whole *whole = ctx;
    _cleanup_(arena_done) struct arena arena;
    _cleanup_(buf_done) struct buf out = BUF_INIT(1 << 20);
    struct json_write w;
    arena_init(&arena, 4 << 20);
    struct instant_context context = {.arena = &arena, .categories = whole->list, .index = "shop"};
    json_write_init(&w, &out);
    if (!write_all(&context, &w, reterr))
        return false;
    assert_string_equal(out.data, whole->text);
    return true;
}

static void test_batch(void **state) {
    (void)state;
    _cleanup_(arena_done) struct arena arena;
    _cleanup_(buf_done) struct buf out = BUF_INIT(1 << 20);
    struct error error = {0};
    struct json_write w;
    size_t added;
    int64_t last = 0;
    arena_init(&arena, 4 << 20);
    struct whole whole = {.list = category_list_new(1)};
    assert_true(category_list_add(whole.list, json_parse(&arena, tree, sizeof(tree) - 1, NULL, NULL), &added, &last));
    assert_true(category_list_finish(whole.list));
    struct instant_context context = {.arena = &arena, .categories = whole.list, .index = "shop"};
    json_write_init(&w, &out);
    if (!write_all(&context, &w, &error))
        fail_msg("%s", error.message);
    whole.text = out.data;
    assert_non_null(strstr(out.data, "\"cat.lvl1\":{\"TV > OLED\":4}"));
    assert_non_null(strstr(out.data, "\"highlighted\":\"TV > <em>OL</em>ED\""));
    oom_run("instant", use_batch, &whole);
    category_list_free(whole.list);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_batch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
