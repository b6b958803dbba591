/* own_index.h - an index that this program makes and writes, one for each loop that uses it: made if it is missing, tried
 * again until it is there. Nothing is written before, so that the server makes none of its own without our mapping.
 * Thread: the loop's. */
#pragma once
#include "query-api/query_api.h"

struct own_index {
    struct query_loop *q;
    const char *name;
    struct slice mapping;
    bool there, answered;
    enum error_code failed;       /* why the last attempt to make it did not succeed; NONE: there was none, or it did */
    void (*attempted)(void *ctx); /* after each attempt; NULL: nobody waits */
    void *ctx;
    struct loop_timer timer;
    struct http_call *call;
};

/* name and mapping are not copied; attempted is NULL, for the caller to set. */
void own_index_init(struct own_index *index, struct query_loop *q, const char *name, struct slice mapping);
void own_index_done(struct own_index *index);
/* It is not there, but may well be soon: worth waiting for. */
bool own_index_coming(const struct own_index *index);
/* It has been found missing. */
void own_index_lost(struct own_index *index);
/* Appends "/<name>". */
bool own_index_path(const struct own_index *index, struct buf *out);
