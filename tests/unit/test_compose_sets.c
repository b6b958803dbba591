/* compose: the fields that are counted in one go, category_set and offers. */
#include "tests/unit/test.h"
#include "core/json_read.h"
#include "core/price_steps.h"
#include "tests/unit/projector_fixture.h"
#include <stdio.h>

struct fixture {
    struct projection *projection;
    struct composer *composer;
    struct category_tree_builder *builder;
    struct category_tree *tree;
    struct stock_states stock;
    struct buf out;
};

static void add(struct fixture *f, int64_t id, const char *path) {
    struct error e = {0};
    struct category_row row = {id, 0, slice_str(path), SLICE("name"), SLICE("")};
    if (!category_tree_builder_add(f->builder, &row, &e))
        fail_msg("%s", e.message);
}

static int setup(void **state) {
    static struct fixture f;
    struct error e = {0};
    f = (struct fixture){.projection = fixture_projection(), .out = BUF_INIT(1 << 20)};
    f.composer = composer_new(f.projection, &e);
    f.builder = category_tree_builder_new(&e);
    stock_states_init(&f.stock, 1 << 20);
    *state = &f;
    return f.composer && f.builder ? 0 : -1;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    composer_free(f->composer);
    category_tree_builder_free(f->builder);
    category_tree_unref(f->tree);
    projection_free(f->projection);
    stock_states_done(&f->stock);
    buf_done(&f->out);
    return 0;
}

static void build_tree(struct fixture *f) {
    struct error e = {0};
    f->tree = category_tree_build(f->builder, 1, &e);
    if (!f->tree)
        fail_msg("%s", e.message);
}

/* What stands in the field, which every document has. The rest of the members may be left out. */
static void assert_field(struct fixture *f, const char *members, const char *field, const char *value) {
    struct buf json = BUF_INIT(1 << 20);
    struct arena arena;
    struct compose_result result;
    struct error e = {0};
    buf_printf(&json, "{\"_id\":\"p\"%s}", members);
    bson_t *product = fixture_bson(json.data);
    struct compose_input input = {.product = product, .categories = f->tree, .stock = &f->stock, .skip_unknown_categories = true};
    buf_reset(&f->out);
    if (compose_product(f->composer, &input, &f->out, &result, &e) != COMPOSE_OK)
        fail_msg("%s", e.message);
    buf_append_char(&f->out, '}');
    arena_init(&arena, 1 << 20);
    const struct json *v = json_get(json_parse(&arena, f->out.data, f->out.len, NULL, &e), field);
    if (!json_is(v, JSON_STRING) || !slice_eq(v->text, slice_str(value)))
        fail_msg("%s: %s", json.data, f->out.data);
    arena_done(&arena);
    bson_destroy(product);
    buf_done(&json);
}

static void test_category_set(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *categories, *set;
    } cases[] = {
        {"", ""},
        {",\"categories\":[]", ""},
        {",\"categories\":[77]", ""},
        {",\"categories\":[1]", "1"},
        {",\"categories\":[102]", "1/101/102"},
        {",\"categories\":[102,102]", "1/101/102"},
        {",\"categories\":[102,1]", "1/101/102"},
        {",\"categories\":[1,101,102]", "1/101/102"},
        {",\"categories\":[102,77,101]", "1/101/102"},
        {",\"categories\":[102,103,101]", "1/101/102,1/101/103"},
        {",\"categories\":[20,102]", "1/101/102,2/20"},
        {",\"categories\":[2,20,10]", "10,2/20"},
        {",\"categories\":[10,1,102]", "1/101/102,10"},
        {",\"categories\":[10,1]", "1,10"},
        {",\"categories\":[104,1011]", "1/101/104,1/1011"},
        {",\"categories\":[101,1011]", "1/101,1/1011"},
        {",\"categories\":[6]", "5/6"},
        {",\"categories\":[6,2]", "2,5/6"},
    };
    add(f, 1, "1/"), add(f, 101, "1/101/"), add(f, 102, "1/101/102/"), add(f, 103, "1/101/103/"), add(f, 104, "1/101/104/");
    add(f, 1011, "1/1011/"), add(f, 10, "10/"), add(f, 2, "2/"), add(f, 20, "2/20/");
    add(f, 6, "5/6/"); /* there is no 5 */
    build_tree(f);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_field(f, cases[i].categories, "category_set", cases[i].set);
}

/* Exactly 1,000 bytes, and one more. What is above another does not count. */
static void test_a_long_category_set(void **state) {
    struct fixture *f = *state;
    struct buf ids = BUF_INIT(1 << 16), want = BUF_INIT(1 << 16);
    char path[64];
    add(f, 10, "10/"), add(f, 7, "7/"), add(f, 77, "77/");
    buf_append_str(&ids, ",\"categories\":[10");
    for (int i = 0; i < 142; i++) { /* 142 of 6 bytes and as many commas */
        snprintf(path, sizeof(path), "10/%d/", 100 + i);
        add(f, 100 + i, path);
        buf_printf(&ids, ",%d", 100 + i);
        buf_printf(&want, "10/%d,", 100 + i);
    }
    add(f, 50, "10/50/");
    build_tree(f);
    size_t common = ids.len;
    buf_append_str(&want, "10/50");
    assert_int_equal(want.len, 999);
    buf_append_str(&ids, ",50]");
    assert_field(f, ids.data, "category_set", want.data);
    buf_truncate(&ids, common);
    buf_truncate(&want, want.len - 5);
    buf_append_str(&want, "7");
    buf_append_str(&ids, ",7]");
    assert_field(f, ids.data, "category_set", want.data);
    buf_truncate(&ids, common);
    buf_append_str(&ids, ",50,7]"); /* 1,001 */
    assert_field(f, ids.data, "category_set", "*");
    assert_non_null(strstr(f->out.data, "\"10/241\",\"10/50\",\"7\"]"));
    buf_done(&ids);
    buf_done(&want);
}

static void test_offers(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *product, *offers;
    } cases[] = {
        {"", "out "},
        {",\"price\":150", "out 01"},
        {",\"price\":0", "out 00"},
        {",\"price\":99", "out 00"},
        {",\"price\":100", "out 01"},
        {",\"price\":99999999", "out 18"},
        {",\"price\":100000000", "out 19"},
        {",\"price\":{\"$numberLong\":\"9000000000000000\"}", "out 19"},
        {",\"price\":5,\"variants\":[]", "out 00"},
        {",\"price\":5,\"variants\":[{\"sku\":\"in\"}]", "in 00"},
        {",\"price\":5,\"variants\":[{\"sku\":\"in\",\"price\":100}]", "in 01"},
        {",\"variants\":[{\"sku\":\"low\"},{\"sku\":\"none\"}]", "low,out "},
        {",\"price\":5,\"variants\":[{\"sku\":\"out\"},{\"sku\":\"low\"},{\"sku\":\"in\"},{\"sku\":\"none\"}]", "in,low,out 00"},
        {",\"variants\":[{\"sku\":\"low\",\"price\":20000},{\"sku\":\"in\",\"price\":150}]", "in,low 01,08"},
        {",\"variants\":[{\"sku\":\"out\",\"price\":150},{\"sku\":\"in\"},{\"sku\":\"in2\",\"price\":20000}]", "in,out 01,08"},
        {",\"price\":300,\"variants\":[{\"sku\":\"in\",\"price\":600},{\"sku\":\"in2\"},{\"sku\":\"in3\",\"price\":400},"
         "{\"sku\":\"in4\",\"price\":600},{\"sku\":\"in5\",\"price\":50}]",
         "in,out 00,02,03"},
        {",\"price\":300,\"variants\":[{\"sku\":\"in\",\"attributes\":{\"size\":1}},{\"sku\":\"low\",\"price\":700,\"attributes\":{\"size\":2}}]",
         "in,low 02,03"},
    };
    static const struct {
        const char *sku;
        enum stock_state state;
    } stock[] = {{"in", STOCK_IN}, {"in2", STOCK_IN}, {"low", STOCK_LOW}, {"out", STOCK_OUT}};
    for (size_t i = 0; i < ARRAY_LEN(stock); i++) {
        assert_true(stock_states_want(&f->stock, slice_str(stock[i].sku)));
        stock_states_set(&f->stock, slice_str(stock[i].sku), stock[i].state);
    }
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_field(f, cases[i].product, "offers", cases[i].offers);
}

static void test_all_that_offers_can_be(void **state) {
    struct fixture *f = *state;
    struct buf product = BUF_INIT(1 << 16);
    static const char *const states[] = {"out", "low", "in"};
    for (int i = 0; i < 3; i++) {
        assert_true(stock_states_want(&f->stock, slice_str(states[i])));
        stock_states_set(&f->stock, slice_str(states[i]), i);
    }
    buf_append_str(&product, ",\"variants\":[{\"sku\":\"low\"},{\"sku\":\"in\"}");
    for (int i = PRICE_STEP_COUNT; i-- > 0;)
        buf_printf(&product, ",{\"sku\":\"s%d\",\"price\":%lld}", i, (long long)price_steps[i]);
    buf_append_str(&product, "]");
    assert_field(f, product.data, "offers", "in,low,out 00,01,02,03,04,05,06,07,08,09,10,11,12,13,14,15,16,17,18,19");
    buf_done(&product);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {T(test_category_set), T(test_a_long_category_set), T(test_offers), T(test_all_that_offers_can_be)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
