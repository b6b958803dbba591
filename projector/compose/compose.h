/* compose.h - BSON product -> search document, by a projection. No I/O.
 *
 * One composer per lane and target (its projection); its scratch memory is reused, so that composing allocates
 * nothing once it has seen the largest product. The document is written straight into the bulk buffer, as an
 * OPEN object: everything but ,"content_hash":..,"version":..} which bulk_commit() adds.
 *
 * The content hash (XXH3-64 of those bytes) depends on what the document says and not on accidents of order: the
 * order of the product's fields, of its attributes and of values in arrays does not change it; sets are sorted
 * and without duplicates. The order of variants stays as stored.
 *
 * Products may come from any writer, so every shape is survived: what cannot become a right document is
 * COMPOSE_BAD with the field's name; what is merely unusual is left out and counted in `ignored`
 * (mappings/README.md has the table).
 * Thread: a composer has one owner. */
#pragma once
#include "core/bson.h"
#include "core/buf.h"
#include "core/error.h"
#include "projector/compose/category_tree.h"
#include "projector/compose/product_signals.h"
#include "projector/compose/projection.h"
#include "projector/compose/stock_states.h"

struct composer;

enum compose_status {
    COMPOSE_OK,
    COMPOSE_UNKNOWN_CATEGORY, /* ret->unknown_category is not in the tree: refresh it and compose again */
    COMPOSE_BAD,       /* reterr (INVALID) names the field: dead letter */
    COMPOSE_TOO_LARGE, /* larger than input->bytes_max: dead letter */
    COMPOSE_NO_ROOM,   /* does not fit below out->max: send the bulk and try again */
    COMPOSE_NOMEM,     /* no memory: out may be lost (buf_ok(out) says), try again later */
};

struct compose_input {
    const bson_t *product;
    const struct category_tree *categories; /* NULL: an empty tree */
    struct stock_states *stock;             /* NULL: everything is out of stock */
    /* Leave categories out that are not in the tree: for a tree known to be newer than the product. */
    bool skip_unknown_categories;
    struct product_signals signals; /* of this product */
    size_t bytes_max;               /* of the open object; 0: as much as out takes */
};

/* Writing takes so much more room than what is written at most: with bytes_max and this left below out->max there is no
 * COMPOSE_NO_ROOM. */
#define COMPOSE_SLACK_BYTES 4096

struct compose_result {
    uint64_t content_hash;
    int64_t unknown_category;
    unsigned ignored; /* values that were left out */
};

/* The projection is not copied and must outlive the composer. */
struct composer *composer_new(const struct projection *projection, struct error *reterr);
void composer_free(struct composer *composer);

/* Appends the open object to out; on any status but COMPOSE_OK out's length is as before. ret may be read after
 * every status. */
enum compose_status compose_product(struct composer *composer, const struct compose_input *input, struct buf *out,
                                    struct compose_result *ret, struct error *reterr);

/* Calls fn for every SKU whose stock the product's document needs: its variants', or its id if it has none. The
 * slice is valid during the call. False if fn said so (reterr untouched). Odd shapes are skipped: compose
 * reports them. */
bool compose_collect_skus(const bson_t *product, bool (*fn)(void *ctx, struct slice sku), void *ctx);
/* The product's _id if it is a string of 1..512 bytes of valid UTF-8; the slice points into the product. */
bool compose_product_id(const bson_t *product, struct slice *ret);

/* The content hash of a stored document: of its _source bytes up to ,"content_hash": (Elasticsearch returns
 * _source as it was sent). False if it was not written by bulk_commit(). */
bool compose_source_hash(struct slice source, uint64_t *ret);
