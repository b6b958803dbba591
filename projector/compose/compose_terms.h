/* compose_terms.h - the sets of keyword terms of one product: "name=value" of its attributes, their order-
 * preserving numbers, and its codes. Internal to compose.
 *
 * A term is kept as the quoted JSON string that it will be in the document, so writing it is a copy. Terms keep the
 * order of the source and may come twice: Elasticsearch takes them as a set.
 * Memory is kept from product to product. Thread: one owner. */
#pragma once
#include "projector/compose/compose_bson.h"
#include "projector/compose/compose_sink.h"
#include "projector/compose/projection.h"

enum { TERMS_NAME_BYTES_MAX = 256, TERMS_DEPTH_MAX = 16 };

struct term {
    uint64_t order[2];  /* the first 16 bytes behind the quote: most comparisons end here. Once sorted */
    uint32_t offset, len; /* in text, quotes included */
    uint32_t name_len;  /* of the quote, the name and '=' */
    bool is_code;       /* of a code attribute that stands apart (projection.codes_apart) */
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
    struct term_list names; /* of attributes that stand in variants */
    bool codes_vary;  /* a term of `names` is a code that stands apart */
    unsigned ignored; /* values that were left out */
    bool corrupt;     /* BSON that ends in the middle */
    uint32_t name_len; /* of the attribute at hand, with the quote and '=' */
    bool is_code;
    char name[TERMS_NAME_BYTES_MAX * 6 + 32]; /* "name=, escaped; read in steps of 16 */
};

void terms_init(struct terms *t, const struct projection *projection, size_t max_bytes);
void terms_done(struct terms *t);
void terms_reset(struct terms *t);
/* False: out of memory, too much text, invalid UTF-8 (the sink says which) or corrupt. */
bool terms_ok(const struct terms *t);

/* Adds the members of an attributes object, nested ones as a.b. */
void terms_walk(struct terms *t, const struct element *object);
void terms_code(struct terms *t, struct slice code);
/* By their bytes: the terms of a name stand together then. */
void terms_sort(struct terms *t, struct term_list *list, struct term_range range);

/* Adds the names in a sorted range of attrs to `names`, and returns how many there are; after the last, terms_sort_names makes them a set. base: the
 * product's own range of attrs, sorted. */
uint32_t terms_add_names(struct terms *t, struct term_range range);
void terms_sort_names(struct terms *t, struct term_range base);

/* "a","b",... All ranges and `names` but that of terms_write must be sorted. These write nothing and return false if there is no term.
 * terms_write: a range. terms_write_common: a product's range without the terms of `names`. terms_write_varied: what
 * a variant has of `names`: its own terms, or the product's (base) where it has none of that name. own_attrs: its
 * range of attrs, which tells what it has; for a list of numbers the attribute may be its own without a number.
 * codes: of a list, the terms of codes that stand apart, or all others. */
bool terms_write(const struct terms *t, const struct term_list *list, bool codes, struct term_range range,
                 struct sink *out);
bool terms_write_common(const struct terms *t, const struct term_list *list, bool codes, struct term_range base,
                        struct sink *out);
bool terms_write_varied(const struct terms *t, const struct term_list *list, bool codes, struct term_range base,
                        struct term_range own, struct term_range own_attrs, struct sink *out);
void terms_write_names(const struct terms *t, struct sink *out);

/* Without the white space (ASCII) around it. */
struct slice terms_trim(struct slice s);
