/* Request body -> product -> BSON -> JSON -> the same BSON; and the body as a merge patch on itself. */
#include "write-api/merge_patch.h"
#include "write-api/product.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct product_stamp stamp = {.default_id = "made", .version = 1, .created_wall_usec = 1000, .updated_wall_usec = 2000};

static bool read_product(struct arena *arena, const char *text, size_t len, bson_t *ret) {
    struct problems problems;
    struct product product;
    problems_init(&problems);
    const struct json *tree = json_parse(arena, text, len, NULL, NULL);
    bool ok = tree && product_from_json(tree, &stamp, NULL, arena, ret, &product, &problems);
    if (tree && ok != !problems_any(&problems))
        abort();
    if (ok && (!product.id.len || product_id_problem(product.id)))
        abort();
    problems_done(&problems);
    return ok;
}

static void check_round_trip(struct arena *arena, const bson_t *product) {
    struct buf text = BUF_INIT(16 << 20);
    struct json_write w;
    bson_t again = BSON_INITIALIZER;
    if (!bson_validate(product, BSON_VALIDATE_UTF8 | BSON_VALIDATE_DOLLAR_KEYS | BSON_VALIDATE_DOT_KEYS, NULL))
        abort();
    if (!json_write_init(&w, &text))
        return;
    product_write_json(&w, product);
    if (!json_write_finish(&w) || !read_product(arena, text.data, text.len, &again) || !bson_equal(product, &again))
        abort();
    bson_destroy(&again);
    buf_done(&text);
}

static void check_patch(struct arena *arena, const char *text, size_t len) {
    struct json *target = json_parse(arena, text, len, NULL, NULL);
    const struct json *patch = json_parse(arena, text, len, NULL, NULL);
    if (!target || !patch)
        return;
    const struct json *result = merge_patch(arena, target, patch);
    unsigned members = 0;
    for (const struct json *m = result ? result->child : NULL; m; m = m->next)
        members++;
    if (!result || members != result->count)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    bson_t product = BSON_INITIALIZER;
    arena_init(&arena, 64 << 20);
    if (read_product(&arena, (const char *)data, size, &product))
        check_round_trip(&arena, &product);
    check_patch(&arena, (const char *)data, size);
    bson_destroy(&product);
    arena_done(&arena);
    return 0;
}
