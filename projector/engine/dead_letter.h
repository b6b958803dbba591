/* dead_letter.h - products that cannot be written as they are: kept with the reason, so that the pipe goes on.
 *
 * dead_letters: {_id: product id, index, reason, status, content_hash, version, epoch, document (text, as much as there is:
 * document_is says whether the search document or, where that could not be composed, the product), first_at, last_at, times, replay: the command that tries again}. The next change of the product
 * tries again by itself; a write that succeeds then removes the entry.
 * Thread: any, with a client of its own. */
#pragma once
#include "core/buf.h"
#include "core/mongo.h"

#define DEAD_LETTER_COLLECTION "dead_letters"

struct dead_letter {
    struct slice id;
    const char *index, *reason;
    int status; /* of the answer; 0: it never was sent */
    uint64_t version, epoch, content_hash; /* of the document, without its version */
    struct slice document; /* may be empty; cut at 1 MiB */
    bool document_is_product; /* of the source, as JSON; else the search document */
};

/* *ret_new: there was none of this product with the same reason and content_hash. */
bool dead_letter_store(mongoc_client_t *client, const char *database, const struct dead_letter *letter, bool *ret_new,
                       struct error *reterr);
/* The ids of up to max entries; fn false stops. */
bool dead_letter_list(mongoc_client_t *client, const char *database, size_t max,
                      bool (*fn)(void *ctx, struct slice id), void *ctx, struct error *reterr);
/* Which letters to remove, packed one behind the other: those written with a version up to this one. */
#define DEAD_LETTER_PACKED_MAX (8 + 1 + 128)
bool dead_letter_pack(struct buf *out, struct slice id, uint64_t version);
bool dead_letter_remove(mongoc_client_t *client, const char *database, struct slice packed, struct error *reterr);
