/* compose_source.h - what compose reads out of one product before it writes anything: its fields, categories and
 * variants in a shape that the rules can write. Internal to compose; compose.h is the interface. */
#pragma once
#include "projector/compose/compose.h"
#include "projector/compose/compose_terms.h"

enum { COMPOSE_SKU_BYTES_MAX = 256, COMPOSE_ID_BYTES_MAX = 512, COMPOSE_CATEGORIES_MAX = 1000 };
#define COMPOSE_PRICE_MAX INT64_C(9000000000000000)

struct variant {
    struct slice sku;
    int64_t price; /* its own or the product's */
    bool has_price;
    enum stock_state stock;
    struct term_range attrs, numbers; /* of its own attributes */
    uint32_t names;                   /* how many of these */
};

struct composer {
    const struct projection *projection;
    const struct compose_input *input;
    struct error *reterr;
    enum compose_status status; /* COMPOSE_OK until something is wrong */
    unsigned ignored;
    int64_t unknown_category;

    struct element sources[PROJECTION_SOURCES_MAX];
    uint32_t present; /* bit n: sources[n] is there and not null */
    uint8_t follows[PROJECTION_SOURCES_MAX + 1]; /* the source that stood behind this one, of late; last: the first one */

    struct slice id;
    struct terms terms;
    struct term_range attrs, numbers, codes; /* the product's own; codes of all of it */
    bool is_flat;
    struct variant *variants; /* of a product without variants: one, with the id as SKU */
    size_t variant_count, variant_capacity;
    bool has_price; /* any */
    int64_t price_min, price_max;
    enum stock_state stock; /* the best */
    uint32_t price_steps, stocks; /* bit n: of some SKU it is the n-th */

    const struct category **categories; /* assigned ones, by id, each once */
    size_t category_count, category_capacity;
    const struct category **lineage; /* the same with all their ancestors */
    size_t lineage_count, lineage_capacity;
    int64_t first_category; /* as stored; 0 none */
    struct slice *slices; /* scratch */
    size_t slice_count, slice_capacity;
};

/* Reads the product into the composer; false with composer->status set. */
bool compose_read(struct composer *c);
/* Sets COMPOSE_BAD and "field: why"; returns false. index -1: none. */
bool compose_bad(struct composer *c, const char *field, long index, const char *why);
bool compose_nomem(struct composer *c);
/* The product. */
struct slice compose_bytes(const struct composer *c);
/* The value of a source field, or NULL if it is missing or null. */
const struct element *compose_value(const struct composer *c, uint8_t source);
/* A whole number from any numeric BSON type within +-9e15. */
bool compose_int(const struct element *it, int64_t *ret);
bool compose_push_slice(struct composer *c, struct slice s);
