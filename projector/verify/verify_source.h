/* verify_source.h - verify's look at the sources: products, their stock, the category tree, composed to hashes.
 *
 * Reading and composing are apart, because pages are handed out by reading them: verify_source_read (or _find) gets
 * the products, verify_source_compose the rest. The tree is read after the products, so that a category it lacks is
 * left out, as the lanes do.
 * Thread: a session belongs to its thread; the tree is shared and locked. */
#pragma once
#include "core/mongo.h"
#include "core/mysql.h"
#include "projector/compose/compose.h"
#include "projector/verify/verify_diff.h"
#include <pthread.h>

struct verify_tree {
    pthread_mutex_t lock;
    struct category_tree *tree;
};
void verify_tree_init(struct verify_tree *shared);
void verify_tree_done(struct verify_tree *shared);

/* What was read in one go, in the order of the ids. */
struct verify_page {
    bson_t reply;
    bool has_reply;
    bson_iter_t docs;      /* over cursor.firstBatch or nextBatch */
    int64_t cursor_id;     /* more of the same find; 0: that is all */
    uint64_t cluster_time; /* everything in it was committed by then */
    size_t products;       /* in the reply */
    struct slice last;     /* id of the last of them; points into the reply */
    size_t named;          /* those that a document can stand for (mark_id_ok) */
    struct slice last_named; /* id of the last of these: what the index can be asked for */
    /* After verify_source_compose. */
    struct verify_item *items;
    const char **reasons; /* of items that are VERIFY_BAD */
    size_t count, capacity;
    struct arena arena;
};
void verify_page_init(struct verify_page *page);
void verify_page_done(struct verify_page *page);

struct verify_source_conf {
    mongoc_client_pool_t *pool;
    const struct mysql_conf *mysql;
    const char *database;
    const struct projection *projection;
    struct verify_tree *tree;
    size_t document_max_bytes;
    usec_t timeout_usec;
};

struct verify_source;
struct verify_source *verify_source_new(const struct verify_source_conf *conf, struct error *reterr);
void verify_source_free(struct verify_source *source); /* NULL is fine */

/* The next products behind `after` (empty: from the start), updated_at not before since_msec (0: any). page->products
 * is 0 at the end; fewer than `limit` say nothing. */
bool verify_source_read(struct verify_source *source, struct slice after, int64_t limit, int64_t since_msec,
                        struct verify_page *page, struct error *reterr);
/* The products with these ids. While page->cursor_id is not 0, verify_source_more reads on into the same page. */
bool verify_source_find(struct verify_source *source, const struct slice *ids, size_t count, struct verify_page *page,
                        struct error *reterr);
bool verify_source_more(struct verify_source *source, struct verify_page *page, struct error *reterr);
/* Composes what was read last and adds it to page->items. */
bool verify_source_compose(struct verify_source *source, struct verify_page *page, struct error *reterr);

/* Ids of about n products at random, each added to *ret (malloc'ed strings, not sorted). */
struct verify_ids;
bool verify_source_sample(struct verify_source *source, int64_t n, struct verify_ids *ret, struct error *reterr);
/* The highest id in projection_queue; 0: it is empty. */
bool verify_source_queue_id(struct verify_source *source, uint64_t *ret, struct error *reterr);
/* Calls fn for each of the ids that has a dead letter. */
bool verify_source_dead(struct verify_source *source, const struct slice *ids, size_t count,
                        void (*fn)(void *ctx, struct slice id, const char *reason), void *ctx, struct error *reterr);
int64_t verify_source_estimate(struct verify_source *source);
mongoc_client_t *verify_source_client(struct verify_source *source);
struct mysql_session *verify_source_mysql(struct verify_source *source);
