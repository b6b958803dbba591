/* batch.h - what a lane hands to its worker and gets back: entries in, a composed bulk out.
 *
 * One batch may be composed in several rounds: while another bulk of the lane is in flight, newly dirty products
 * are added to the one that waits. A round is a job on the lane's worker: it reads the products (after the newest
 * cluster time among its marks), then their stock, and writes the documents into the bulk.
 *
 * Ownership: the engine owns a batch; the worker has it from submit until done. Of an entry the worker reads only
 * the id and the flight side, which the engine leaves alone while it flies. */
#pragma once
#include "core/trace.h"
#include "core/workers.h"
#include "projector/compose/bulk.h"
#include "projector/compose/category_tree.h"
#include "projector/engine/lane.h"

enum batch_item_state {
    ITEM_NEW,        /* not looked at: the round failed before */
    ITEM_COMPOSED,   /* in the bulk */
    ITEM_SUPPRESSED, /* nothing changed since the last acknowledged write */
    ITEM_STALE_TREE, /* needs a newer category tree */
    ITEM_BAD,        /* never as it is: reason */
    ITEM_UNLOADED,   /* the bulk was full first */
};

struct batch_item {
    struct lane_entry *entry;
    uint64_t known_hash[BULK_TARGETS_MAX]; /* of the last acknowledged writes */
    uint8_t known;  /* a bit for each target of which there is one */
    uint8_t target; /* ITEM_BAD: for which */
    enum batch_item_state state;
    const uint8_t *found; /* during a round: the product in the answer, or NULL */
    uint32_t found_len;
    char *reason, *product; /* ITEM_BAD, malloc'ed: why, and the product as JSON (NULL without memory) */
};

struct engine_lane;

struct batch {
    struct job job;
    struct engine_lane *lane;
    enum mark_priority pipe;
    /* Items' ctx is their struct lane_entry; those of one entry, one for each target, stand together. */
    struct bulk bulk;
    char traceparent[TRACEPARENT_SIZE]; /* that the bulk is sent with; "": none */
    /* The round. */
    struct batch_item *items;
    size_t count, capacity;
    uint64_t version; /* taken before the sources are read */
    uint8_t targets;  /* a bit for each that is written */
    struct category_tree *tree; /* a reference */
    struct error error;         /* of a round that failed; ERROR_NONE otherwise */
    size_t read_count, read_bytes; /* products that were read */
    usec_t took_usec;
    /* Sending. */
    struct http_call *call;
    struct batch *next; /* among the unused */
    usec_t begun_at; /* its first round; 0: it waits behind another one of its lane and priority */
    usec_t sent_at;
};

struct batch *batch_new(const char *index, size_t bytes_soft, size_t bytes_max, size_t docs_max, struct error *reterr);
void batch_free(struct batch *batch); /* NULL is fine */
void batch_reset_round(struct batch *batch); /* forgets items, reasons, the tree */
bool batch_add(struct batch *batch, struct lane_entry *entry); /* false: no memory */
