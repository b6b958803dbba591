/* verify_hits.h - reads the answers to a page of a search and to an _mget: id, hash, version, and the very bytes of
 * _source, which a tree of values would lose. Pure: no I/O. Thread: one owner of a list. */
#pragma once
#include "core/arena.h"
#include "core/error.h"

struct verify_hit {
    struct slice id;       /* search: sort[0], the id keyword; _mget: _id */
    struct slice doc_id;   /* search: _id if it was asked for */
    bool found;            /* _mget: the document is there. Search: always */
    bool has_hash;
    uint64_t hash;         /* search: sort[1]; _mget: _source.content_hash */
    uint64_t version;      /* _mget: _version */
    struct slice source;   /* the bytes of _source; empty if there is none */
};

struct verify_hits {
    struct verify_hit *items;
    size_t count, capacity;
    struct arena arena; /* ids that had escapes; the others point into the answer */
};
void verify_hits_init(struct verify_hits *hits);
void verify_hits_done(struct verify_hits *hits);

/* {"hits":{"hits":[{"_source":{...},"sort":["id",hash]},...]}}; an answer without hits has none. CORRUPT: no such answer.
 * The slices point into `answer` and the list. */
bool verify_hits_read_search(struct verify_hits *hits, struct slice answer, struct error *reterr);
/* {"docs":[{"_id":"...","_version":n,"found":true,"_source":{...}},...]}; UNAVAILABLE names the error of a document that
 * could not be read. */
bool verify_hits_read_mget(struct verify_hits *hits, struct slice answer, struct error *reterr);
