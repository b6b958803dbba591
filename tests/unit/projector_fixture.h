/* projector_fixture.h - the built-in mapping's projection, a small category tree, and products written as JSON. */
#pragma once
#include "core/mongo.h"
#include "projector/compose/bulk.h"
#include "projector/compose/compose.h"
#include "projector/jobs/index_admin.h"

static inline struct projection *fixture_projection(void) {
    struct error e = {0};
    struct projection *p =
        projection_parse_mapping("products-v1", index_mapping_products, index_mapping_products_size, &e);
    if (!p)
        fail_msg("%s", e.message);
    return p;
}

/* 1 컴퓨터/Computers > 4 노트북/Laptops > 13 Gaming (plain name); 2 가전 (ko only) */
static inline struct category_tree *fixture_tree(void) {
    static const struct category_row rows[] = {
        {13, 4, {"1/4/13/", 7}, {"Gaming", 6}, {"", 0}},
        {4, 1, {"1/4/", 4}, {"노트북", 9}, SLICE("{\"ko\":\"노트북\",\"en\":\"Laptops\"}")},
        {2, 0, {"2/", 2}, {"가전", 6}, {"", 0}},
        {1, 0, {"1/", 2}, {"컴퓨터", 9}, SLICE("{\"ko\":\"컴퓨터\",\"en\":\"Computers \\\"PC\\\"\",\"fr\":\"Ordinateurs\"}")},
    };
    struct error e = {0};
    struct category_tree_builder *b = category_tree_builder_new(&e);
    for (size_t i = 0; b && i < sizeof(rows) / sizeof(rows[0]); i++)
        if (!category_tree_builder_add(b, &rows[i], &e))
            fail_msg("%s", e.message);
    struct category_tree *tree = category_tree_build(b, 7, &e);
    if (!tree)
        fail_msg("%s", e.message);
    category_tree_builder_free(b);
    return tree;
}

static inline bson_t *fixture_bson(const char *json) {
    bson_error_t e;
    bson_t *b = bson_new_from_json((const uint8_t *)json, -1, &e);
    if (!b)
        fail_msg("%s: %s", json, e.message);
    return b;
}
