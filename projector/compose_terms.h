/* compose_terms.h - the sets of keyword terms of one product: "name=value" of its attributes, their order-
 * preserving numbers, and its codes. Internal to compose.
 *
 * A term is kept as the quoted JSON string that it will be in the document, so writing it (for a product with
 * variants: once per variant) is a copy. Quoting is injective: sorting and removing duplicates work on it.
 * Memory is kept from product to product. Thread: one owner. */
#pragma once
#include "projector/compose_bson.h"
#include "projector/compose_sink.h"
#include "projector/projection.h"

enum { TERMS_NAME_BYTES_MAX = 256, TERMS_DEPTH_MAX = 16 };

struct term {
    uint64_t order[2];  /* the first 16 bytes behind the quote: most comparisons end here */
    uint32_t offset, len; /* in text, quotes included */
    uint32_t name_len;  /* of the quote, the name and '=' */
};
struct term_list {
    struct term *items;
    uint32_t count, capacity;
};
struct term_range {
    uint32_t first, end;
};

struct terms {
    const struct projection *projection;
    struct buf text;
    struct sink sink; /* open on text */
    struct term_list attrs, numbers, codes;
    unsigned ignored; /* values that were left out */
    bool corrupt;     /* BSON that ends in the middle */
    char name[TERMS_NAME_BYTES_MAX * 6 + 2]; /* of the attribute at hand, escaped */
};

void terms_init(struct terms *t, const struct projection *projection, size_t max_bytes);
void terms_done(struct terms *t);
void terms_reset(struct terms *t);
/* False: out of memory, too much text, invalid UTF-8 (the sink says which) or corrupt. */
bool terms_ok(const struct terms *t);

/* Adds the members of an attributes object, nested ones as a.b. */
void terms_walk(struct terms *t, const struct element *object);
void terms_code(struct terms *t, struct slice code);
/* Sorts list items from `first` on, drops duplicates, and returns their range. */
struct term_range terms_sort(struct terms *t, struct term_list *list, uint32_t first);

/* Makes writing a range with terms_write_merged() cheap; for ranges that are written more than once. */
void terms_join(struct terms *t, struct term_list *list, struct term_range range);

/* "a","b",... of a range, and of two where a name that stands in `names` replaces everything of that name in `base`,
 * which must be joined. names: the range of attrs that `own` comes from, so every name of `own` is in it. */
void terms_write(const struct terms *t, const struct term_list *list, struct term_range range, struct sink *out);
void terms_write_merged(const struct terms *t, const struct term_list *list, struct term_range base,
                        struct term_range own, struct term_range names, struct sink *out);

/* Without the white space (ASCII) around it. */
struct slice terms_trim(struct slice s);
