/* Memory runs out at every allocation of what reads a product: a mistake is named or the failure is, and nothing is left. */
#include "tests/unit/test.h"
#include "tests/unit/oom.h"
#include "write-api/merge_patch.h"
#include "write-api/product.h"

static const char good[] = "{\"name\":{\"ko\":\"노트북\",\"en\":\"laptop\"},\"price\":5,\"attributes\":{\"a\":{\"b\":[1,2.5,\"x\",true]}},"
                           "\"variants\":[{\"sku\":\"s\",\"attributes\":{\"c\":\"d\"}},{\"sku\":\"t\",\"price\":7}],\"categories\":[4,5]}";
static const char bad[] = "{\"name\":1,\"nope\":2,\"attributes\":{\"$a\":{\"b.c\":1}},\"variants\":[{\"sku\":\"\"}]}";

/* ctx: a good text, or one with mistakes, which must never be taken for a good one. */
static bool use_product(void *ctx, struct error *reterr) {
    const char *text = ctx;
    static const struct product_stamp stamp = {.default_id = "made", .version = 1};
    struct arena arena;
    struct problems problems;
    struct product product;
    bson_t document = BSON_INITIALIZER;
    arena_init(&arena, 1 << 20);
    problems_init(&problems);
    const struct json *tree = json_parse(&arena, text, strlen(text), NULL, reterr);
    bool ok = tree && product_from_json(tree, &stamp, NULL, &arena, &document, &product, &problems);
    if (tree && text == bad) {
        assert_true(!ok && problems_any(&problems));
        ok = true;
    } else if (tree && !ok) {
        assert_false(problems_any(&problems));
        error_nomem(reterr);
    }
    problems_done(&problems);
    bson_destroy(&document);
    arena_done(&arena);
    return ok;
}

static bool use_patch(void *ctx, struct error *reterr) {
    (void)ctx;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct json *target = json_parse(&arena, good, strlen(good), NULL, reterr);
    const struct json *patch = target ? json_parse(&arena, bad, strlen(bad), NULL, reterr) : NULL;
    bool ok = patch && (merge_patch(&arena, target, patch) || error_nomem(reterr));
    arena_done(&arena);
    return ok;
}

static void test_all(void **state) {
    (void)state;
    oom_run("product", use_product, (void *)(uintptr_t)good);
    oom_run("product, with mistakes", use_product, (void *)(uintptr_t)bad);
    oom_run("merge_patch", use_patch, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
