/* import.h - NDJSON of any length in bounded memory, one result per line. import.c is the engine, import_batch.c a
 * batch, import_products.c and import_stock.c know what a line means.
 *
 * How a batch goes through:
 *
 *   upload -> lines -> batch (import_batch_lines or import_batch bytes)
 *     -> prepare (worker; batches side by side): parse, validate, build
 *     -> write (worker; one at a time, in the order of the upload) -> results to the spool file
 *
 * Writing in order makes the last line of an id win, and results come in the order of lines; preparing the next
 * batch while one is written keeps the databases busy all the same. At most import_batches_max batches exist;
 * beyond, the upload pauses. Results wait in an unlinked file, because a client need not read before it has sent
 * everything. The last batch has `last` set, and may be empty: it writes the summary.
 *
 * Threads: struct import belongs to the loop; a batch belongs to the loop, or to the worker while it is submitted.
 * What the writing batch uses of the import (spool, totals) is safe because only one batch writes at a time. */
#pragma once
#include "core/http_server.h"
#include "write-api/problems.h"
#include "write-api/service.h"

enum import_mode { IMPORT_UPSERT, IMPORT_INSERT };

struct import_line {
    size_t offset, len;  /* in batch->text */
    uint64_t number;     /* from 1; blank lines count */
    int status;          /* of the result; 0: not decided yet */
    struct slice key;    /* id or sku, in the batch's arena; empty: unknown */
    size_t doc, doc_len; /* products: in batch->docs */
    int64_t available;   /* stock */
    unsigned round;      /* how many undecided lines of the same key come before it in this batch */
    bool repeated;       /* there are, or were, others of its key undecided */
    bool tried;          /* products: an attempt before may have stored it */
    bool gone;           /* products: since it was tried, a category of it has gone: it fails, unless it is stored */
    bool too_long;
    struct field_error *errors; /* in the batch's arena */
    unsigned error_count;
};

/* How writing a batch went. But for IMPORT_RETRY and IMPORT_LOST its results are in the spool. */
enum import_outcome {
    IMPORT_DONE,
    IMPORT_RETRY,  /* a server is away: once more, later */
    IMPORT_FAILED, /* given up: its undecided lines say why */
    IMPORT_LOST,   /* the spool cannot be written */
};

struct import;

struct import_batch {
    struct job job;
    struct import *import;
    struct import_batch *next; /* in the import's order */
    bool last;
    bool looked_at; /* prepare has run; the batch may be written when it is its turn */
    bool ready;     /* prepare has succeeded */
    bool give_up;   /* the next failure is final */
    uint64_t category_revision; /* that its products' categories were checked at; 0: they have none */
    struct buf text;
    struct import_line *lines;
    size_t count;
    struct arena arena; /* keys and errors of the lines */
    struct buf docs;    /* products: BSON, one after the other */
    char traceparent[TRACEPARENT_SIZE]; /* of the batch's span: also tells a repeated batch what it has written itself */
    unsigned attempts;  /* of writing */
    enum import_outcome outcome;
    struct error error; /* of the last attempt, unless it is IMPORT_DONE */
};

struct import_kind {
    unsigned needs; /* HEALTH_* */
    bool modes;     /* takes ?mode= */
    const char *key; /* "id", "sku": of a line's result */
    /* Lines -> keys and what write needs; decides bad lines. May run again after a failure. */
    bool (*prepare)(struct import_batch *batch, struct session *s, struct error *reterr);
    /* Decides the status of every line that has none. May run again after a failure. */
    bool (*write)(struct import_batch *batch, struct session *s, struct error *reterr);
};
extern const struct import_kind import_products, import_stock;

/* import.c, for the kinds */
enum import_mode import_mode(const struct import *import);
void import_traceparent(const struct import *import, char ret[TRACEPARENT_SIZE]);
/* For the batch that writes: were most products of the last batch there already? */
bool *import_mostly_updates(struct import *import);

/* import_batch.c */
struct import_batch *import_batch_new(struct import *import, const struct write_conf *conf);
void import_batch_free(struct import_batch *batch);
/* Room for one more line of this many bytes? */
bool import_batch_has_room(const struct import_batch *batch, const struct write_conf *conf, size_t bytes);
/* Decides a line: copies the problems. */
void import_line_fail(struct import_batch *batch, struct import_line *line, int status,
                      const struct problems *problems);
void import_line_fail_text(struct import_batch *batch, struct import_line *line, int status, const char *field,
                           const char *message);
struct import_sorted {
    struct import_line **lines; /* in the session's arena */
    size_t count;
    unsigned rounds;
};
/* The lines without status by key, those of one key in the order of the upload; sets round and repeated. */
bool import_batch_sort(struct import_batch *batch, struct session *s, struct import_sorted *ret, struct error *reterr);
/* Parses a line into the session's arena, which it resets. NULL: the line is decided. */
const struct json *import_line_json(struct import_batch *batch, struct import_line *line, struct session *s,
                                    struct problems *problems);
/* Before another attempt: forgets what prepare has found out, but not what was tried. */
void import_batch_restart(struct import_batch *batch);

/* import_spool.c: results, written by the batch that writes. */
struct import_totals {
    uint64_t lines, created, updated, failed;
};
struct import_spool {
    int fd;
    uint64_t size, max;
    bool errors_only;
    bool truncated; /* max reached: results are left out, totals stay right */
    struct import_totals totals;
};
bool import_spool_open(struct import_spool *spool, const struct write_conf *conf, struct error *reterr);
void import_spool_close(struct import_spool *spool);
bool import_spool_batch(struct import_spool *spool, const struct import_batch *batch, const char *key,
                        struct session *s, struct error *reterr);
bool import_spool_summary(struct import_spool *spool, struct error *reterr);
