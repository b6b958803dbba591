/*
 * Makes up one product: every choice is a pure function of the seed and the product's number.
 */
#ifndef CATALOGUE_DRAW_H
#define CATALOGUE_DRAW_H

#include "codes.h"
#include "model.h"

enum { MAX_SENTENCES = 3, MAX_LISTED = 3, MAX_CATEGORIES = 2 };

struct draw_variant {
    uint32_t pick[MAX_AXES]; /* which word of the axis's attribute */
    uint32_t price;
};

struct draw {
    uint64_t seed; /* of the catalogue */
    uint64_t key;  /* of this product */
    uint32_t number;
    const struct leaf *leaf;
    const struct word *brand, *series, *type; /* series: NULL if none */
    uint32_t gs1_prefix;
    char model[CODE_MAX];
    uint32_t model_length; /* 0: no model number */
    const struct values *values[MAX_ATTRS];
    uint32_t pick[MAX_ATTRS];       /* word, range step, or 0/1 */
    uint32_t list_picks[MAX_ATTRS]; /* VALUE_LIST: bit set of words */
    uint64_t absent;                /* attributes this product does not have */
    uint64_t unsaid;                /* attributes whose value is "none": printed, but not put into words */
    uint64_t varied;                /* attributes its variants have instead */
    uint32_t price;
    uint32_t variant_count;
    struct draw_variant variants[MAX_VARIANTS];
    const struct phrase *name;
    const struct phrase *sentences[MAX_SENTENCES];
    uint32_t sentence_count;
    uint32_t categories[MAX_CATEGORIES]; /* the first is the primary one */
    uint32_t category_count;
};

/* number: 1..CODES_MAX_PRODUCTS. */
void draw_product(const struct model *model, uint64_t seed, uint32_t number, struct draw *ret);

/* What is in stock of variant slot (0: a product without variants). */
uint32_t draw_stock(const struct draw *draw, uint32_t slot);

#endif
