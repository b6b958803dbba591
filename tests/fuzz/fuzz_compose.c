/* BSON -> search document: any bytes give one valid JSON object or a status, never a crash, and never touch what
 * stands in the buffer already. The first byte chooses the options. */
#include "core/json_read.h"
#include "projector/compose/bulk.h"
#include "projector/compose/compose.h"
#include "projector/jobs/index_admin.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    struct projection *projection;
    struct category_tree *tree;
    struct composer *composer;
    struct stock_states stock;
    struct bulk bulk;
} f;

static bool want(void *ctx, struct slice sku) {
    return stock_states_want(ctx, sku);
}

static void setup(void) {
    static const struct category_row rows[] = {
        {1, 0, {"1/", 2}, {"one", 3}, SLICE("{\"ko\":\"하나\",\"en\":\"One\",\"fr\":\"Un\"}")},
        {4, 1, {"1/4/", 4}, {"four", 4}, {"", 0}},
        {5, 3, {"1/3/5/", 6}, {"five", 4}, {"", 0}},
    };
    struct category_tree_builder *b = category_tree_builder_new(NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (!category_tree_builder_add(b, &rows[i], NULL))
            abort();
    f.tree = category_tree_build(b, 1, NULL);
    category_tree_builder_free(b);
    f.projection = projection_parse_mapping("products-v1", index_mapping_products, index_mapping_products_size, NULL);
    f.composer = f.projection ? composer_new(f.projection, NULL) : NULL;
    stock_states_init(&f.stock, 1 << 20);
    if (!f.composer || !f.tree || !bulk_init(&f.bulk, "i", 1 << 20, 1 << 20, 10))
        abort();
}

static void check_document(uint64_t hash) {
    struct arena arena;
    struct slice document = bulk_document(&f.bulk, 1);
    struct error error = {0};
    uint64_t again = 0;
    int64_t stored = 0;
    arena_init(&arena, 256 << 20);
    const struct json *v = json_parse(&arena, document.data, document.len, &(struct json_limits){8, 1000000}, &error);
    if (!v || v->type != JSON_OBJECT || !json_is(json_get(v, "id"), JSON_STRING) ||
        !json_int64(json_get(v, "content_hash"), &stored) || (uint64_t)stored != hash ||
        !compose_source_hash(document, &again) || again != hash)
        abort();
    if ((json_get(v, "flat") != NULL) == (json_get(v, "variants") != NULL))
        abort(); /* exactly one of the two places */
    arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bson_t product;
    struct compose_result result;
    struct error error = {0};
    struct slice id = SLICE("x");
    if (!f.composer)
        setup();
    if (size < 1 || !bson_init_static(&product, data + 1, size - 1))
        return 0;
    bulk_reset(&f.bulk);
    stock_states_reset(&f.stock);
    f.bulk.body.max = data[0] & 2 ? 8000 : 1 << 20;
    compose_collect_skus(&product, want, &f.stock);
    compose_product_id(&product, &id);
    if (!bulk_delete(&f.bulk, SLICE("before"), 1, NULL) || !bulk_begin(&f.bulk, id, 2, NULL))
        return 0;
    struct compose_input input = {&product, data[0] & 4 ? NULL : f.tree, data[0] & 8 ? NULL : &f.stock, data[0] & 1, {data[0], 0},
                                  data[0] & 16 ? 500 : 0};
    size_t before = f.bulk.body.len;
    enum compose_status status = compose_product(f.composer, &input, &f.bulk.body, &result, &error);
    if (status != COMPOSE_OK) {
        if (f.bulk.body.len != before || error.code == ERROR_NONE || !bulk_ok(&f.bulk))
            abort();
        bulk_drop(&f.bulk);
    } else if (bulk_commit(&f.bulk, result.content_hash)) {
        check_document(result.content_hash);
    }
    return 0;
}
