/* The import engine: upload -> lines -> batches -> results; see import.h. Loop thread but for the jobs. */
#include "write-api/import.h"
#include "core/cleanup.h"
#include "core/log.h"
#include "write-api/handlers.h"

enum { RETRY_MIN_MSEC = 200, RETRY_MAX_MSEC = 2000, PARAMETERS_MAX = 4 };

struct import {
    struct service *service;
    struct loop *loop;
    struct http_request *request;
    const struct import_kind *kind;
    enum import_mode mode;
    struct buf partial; /* a line whose end has not come yet */
    bool too_long;      /* that line is over the limit: skipped up to its end */
    uint64_t line_number;
    struct import_batch *filling;
    struct import_batch *first, **end; /* submitted batches, in order */
    size_t batches;                    /* these, and the one being filled */
    bool writing, paused, ended, last_made, aborted;
    struct import_spool spool;
    struct import_totals counted; /* in the metrics already */
    struct error lost;            /* NONE, or why there will be no results: nothing more is taken */
    bool mostly_updates;
    usec_t outage_since; /* 0: the last batch was written */
    struct loop_timer retry;
};

enum import_mode import_mode(const struct import *import) {
    return import->mode;
}

void import_traceparent(const struct import *import, char ret[TRACEPARENT_SIZE]) {
    struct trace child;
    trace_child(http_request_trace(import->request), &child);
    trace_format(&child, ret);
}

bool *import_mostly_updates(struct import *import) {
    return &import->mostly_updates;
}

static void import_free(struct import *import) {
    while (import->first) {
        struct import_batch *batch = import->first;
        import->first = batch->next;
        import_batch_free(batch);
    }
    import_batch_free(import->filling);
    loop_timer_cancel(import->loop, &import->retry);
    import_spool_close(&import->spool);
    buf_done(&import->partial);
    import->service->imports--;
    http_request_set_data(import->request, NULL, NULL);
    http_request_unref(import->request);
    free(import);
}

/* ---- jobs ------------------------------------------------------------------------------------------------ */

static void run_prepare(struct job *job, void *session) {
    struct import_batch *batch = CONTAINER_OF(job, struct import_batch, job);
    struct error ignored;
    session_reset(session);
    import_traceparent(batch->import, batch->traceparent);
    batch->ready = batch->import->kind->prepare(batch, session, &ignored); /* if not: again before it is written */
}

static bool write_batch(struct import_batch *batch, struct session *s, struct error *reterr) {
    const struct import_kind *kind = batch->import->kind;
    if (batch->count == 0)
        return true;
    if (!health_allows(s->service->health, kind->needs, reterr))
        return false;
    /* It may have waited long: for its turn, or for a server. */
    if (batch->category_revision && category_ids_changed(s, batch->category_revision))
        batch->ready = false;
    if (!batch->ready) {
        import_batch_restart(batch);
        batch->ready = kind->prepare(batch, s, reterr);
    }
    return batch->ready && kind->write(batch, s, reterr);
}

static void fail_undecided(struct import_batch *batch, const struct error *why) {
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->lines[i].status == 0)
            import_line_fail_text(batch, &batch->lines[i], error_http_status(why->code), "", why->message);
    }
}

static enum import_outcome write_and_spool(struct import_batch *batch, struct session *s) {
    struct import *import = batch->import;
    bool ok = write_batch(batch, s, &batch->error);
    if (!ok) {
        health_doubt(import->service->health);
        if (error_is_retriable(&batch->error) && !batch->give_up)
            return IMPORT_RETRY;
        fail_undecided(batch, &batch->error);
    }
    struct error error = {0};
    if (import_spool_batch(&import->spool, batch, import->kind->key, s, &error) &&
        (!batch->last || import_spool_summary(&import->spool, &error)))
        return ok ? IMPORT_DONE : IMPORT_FAILED;
    batch->error = error;
    return IMPORT_LOST;
}

static void run_write(struct job *job, void *session) {
    struct import_batch *batch = CONTAINER_OF(job, struct import_batch, job);
    session_reset(session);
    batch->attempts++;
    batch->outcome = write_and_spool(batch, session);
}

/* ---- batches, on the loop -------------------------------------------------------------------------------- */

static void proceed(struct import *import);

/* The queue has room for every batch that may exist; only a pool that is stopping or gone refuses, and by then the loop has
 * stopped. */
static void submit(struct import *import, struct import_batch *batch) {
    if (!workers_submit(import->service->import_workers, import->loop, &batch->job))
        log_error("import.refused", LOG_STR("request_id", http_request_id(import->request)));
}

static void prepared(struct job *job) {
    struct import_batch *batch = CONTAINER_OF(job, struct import_batch, job);
    batch->looked_at = true;
    proceed(batch->import);
}

static void written(struct job *job);

static void start_write(struct import *import) {
    struct import_batch *batch = import->first;
    import->writing = true;
    /* Once the patience is used up, later batches try once and do not wait. */
    batch->give_up = import->outage_since &&
                     clock_now_usec() - import->outage_since >= import->service->conf->import_retry_usec;
    batch->job.run = run_write;
    batch->job.done = written;
    submit(import, batch);
}

static void retry_now(struct loop_timer *timer) {
    start_write(CONTAINER_OF(timer, struct import, retry));
}

static void retry_later(struct import *import, struct import_batch *batch) {
    usec_t now = clock_now_usec();
    if (!import->outage_since)
        import->outage_since = now;
    metric_inc(import->service->import_retries);
    log_warn("import.retry", LOG_INT("attempt", batch->attempts), LOG_INT("line", batch->lines[0].number),
             LOG_ERR(&batch->error));
    usec_t wait = clock_backoff_usec(batch->attempts - 1, RETRY_MIN_MSEC * USEC_PER_MSEC, RETRY_MAX_MSEC * USEC_PER_MSEC);
    loop_timer_set(import->loop, &import->retry, now + wait);
}

static void count_totals(struct import *import) {
    const struct import_totals *now = &import->spool.totals;
    metric_add(import->service->import_lines[0], now->created - import->counted.created);
    metric_add(import->service->import_lines[1], now->updated - import->counted.updated);
    metric_add(import->service->import_lines[2], now->failed - import->counted.failed);
    import->counted = *now;
}

static void reply(struct import *import) {
    if (import->lost.code != ERROR_NONE) {
        log_error("import.failed", LOG_ERR(&import->lost));
        http_reply_error(import->request, &import->lost);
        return;
    }
    const struct import_totals *t = &import->spool.totals;
    log_info("import.done", LOG_INT("lines", t->lines), LOG_INT("created", t->created), LOG_INT("updated", t->updated),
             LOG_INT("failed", t->failed));
    http_reply_file(import->request, 200, "application/x-ndjson", import->spool.fd, import->spool.size);
    import->spool.fd = -1;
}

static void written(struct job *job) {
    struct import_batch *batch = CONTAINER_OF(job, struct import_batch, job);
    struct import *import = batch->import;
    if (batch->outcome == IMPORT_RETRY) {
        retry_later(import, batch);
        return;
    }
    if (batch->outcome == IMPORT_DONE && batch->count)
        import->outage_since = 0;
    if (batch->outcome == IMPORT_LOST && import->lost.code == ERROR_NONE)
        import->lost = batch->error;
    import->writing = false;
    count_totals(import);
    import->first = batch->next;
    if (!import->first)
        import->end = &import->first;
    import->batches--;
    if (batch->last)
        reply(import);
    import_batch_free(batch);
    proceed(import);
}

static void close_batch(struct import *import) {
    struct import_batch *batch = TAKE(import->filling);
    batch->job.run = run_prepare;
    batch->job.done = prepared;
    *import->end = batch;
    import->end = &batch->next;
    submit(import, batch);
}

/* A batch with room for a line of this length. False: there may be no more batches now, or there is no memory. */
static bool open_batch(struct import *import, size_t len) {
    const struct write_conf *conf = import->service->conf;
    if (import->filling && import_batch_has_room(import->filling, conf, len))
        return true;
    if (import->filling)
        close_batch(import);
    if (import->batches >= (size_t)conf->import_batches_max)
        return false;
    import->filling = import_batch_new(import, conf);
    if (!import->filling)
        return import->batches == 0 ? error_nomem(&import->lost) : false;
    import->batches++;
    return true;
}

/* ---- lines ----------------------------------------------------------------------------------------------- */

static bool is_blank(const char *s, size_t len) {
    while (len && (*s == ' ' || *s == '\t' || *s == '\r')) {
        s++;
        len--;
    }
    return len == 0;
}

/* A complete line: what came before in `partial`, and the end. False: no batch is free; call again. */
static bool take_line(struct import *import, const char *end, size_t len) {
    struct buf *partial = &import->partial;
    size_t max = (size_t)import->service->conf->import_line_max_bytes;
    bool too_long = import->too_long || partial->len + len > max;
    if (too_long || !is_blank(partial->data, partial->len) || !is_blank(end, len)) {
        size_t total = too_long ? 0 : partial->len + len;
        if (!open_batch(import, total))
            return false;
        struct import_batch *batch = import->filling;
        batch->lines[batch->count++] = (struct import_line){
            .offset = batch->text.len, .len = total, .number = import->line_number + 1, .too_long = too_long};
        if (!too_long) {
            buf_append(&batch->text, partial->data, partial->len);
            buf_append(&batch->text, end, len);
            if (!buf_ok(&batch->text))
                error_nomem(&import->lost);
        }
    }
    import->line_number++;
    import->too_long = false;
    buf_reset(partial);
    return true;
}

static void keep_partial(struct import *import, const char *data, size_t len) {
    struct buf *partial = &import->partial;
    if (import->too_long)
        return;
    if (partial->len + len > (size_t)import->service->conf->import_line_max_bytes || !buf_append(partial, data, len)) {
        import->too_long = true;
        buf_reset(partial);
    }
}

static size_t take_lines(struct import *import, const char *data, size_t len) {
    size_t taken = 0;
    while (taken < len) {
        if (import->lost.code != ERROR_NONE)
            return len;
        const char *newline = memchr(data + taken, '\n', len - taken);
        if (!newline) {
            keep_partial(import, data + taken, len - taken);
            return len;
        }
        size_t line_len = (size_t)(newline - data) - taken;
        if (!take_line(import, data + taken, line_len)) {
            if (import->lost.code != ERROR_NONE)
                return len;
            import->paused = true;
            return taken;
        }
        taken += line_len + 1;
    }
    return taken;
}

/* ---- the course of an import ----------------------------------------------------------------------------- */

/* The upload is complete: the rest of a last line without a newline, then the batch that writes the summary. */
static void finish_upload(struct import *import) {
    bool rest = import->partial.len || import->too_long;
    if (rest && import->lost.code == ERROR_NONE && !take_line(import, "", 0) && import->lost.code == ERROR_NONE)
        return; /* once a batch is written */
    if (import->filling || open_batch(import, 0)) {
        import->filling->last = import->last_made = true;
        close_batch(import);
    } else if (import->lost.code != ERROR_NONE) {
        reply(import);
        import->last_made = true;
    }
}

static void proceed(struct import *import) {
    if (import->ended && !import->aborted && !import->last_made)
        finish_upload(import);
    if (import->first && import->first->looked_at && !import->writing)
        start_write(import);
    if (import->paused && import->batches < (size_t)import->service->conf->import_batches_max) {
        import->paused = false;
        if (!import->ended)
            http_request_resume_body(import->request);
    }
    if (import->ended && !import->first && (import->aborted || import->last_made))
        import_free(import);
}

size_t import_on_body(struct http_request *request, const char *data, size_t len, void *ctx) {
    struct import *import = http_request_data(request);
    (void)ctx;
    if (data)
        return take_lines(import, data, len);
    import->ended = true;
    import->aborted = http_request_aborted(request);
    if (import->aborted) { /* lines that no batch has yet are dropped: the last one may be cut off */
        log_warn("import.aborted", LOG_INT("lines", import->line_number),
                 LOG_STR("request_id", http_request_id(request)));
        if (import->filling)
            import->batches--;
        import_batch_free(TAKE(import->filling));
    }
    proceed(import);
    return 0;
}

/* ---- the start ------------------------------------------------------------------------------------------- */

static void read_parameter(struct import *import, struct slice key, struct slice value, struct problems *problems) {
    struct field_path at = FIELD(NULL, key);
    if (slice_eq(key, SLICE("results"))) {
        import->spool.errors_only = slice_eq(value, SLICE("errors"));
        if (!import->spool.errors_only && !slice_eq(value, SLICE("all")))
            problems_add(problems, &at, "must be \"all\" or \"errors\"");
    } else if (import->kind->modes && slice_eq(key, SLICE("mode"))) {
        import->mode = slice_eq(value, SLICE("insert")) ? IMPORT_INSERT : IMPORT_UPSERT;
        if (import->mode == IMPORT_UPSERT && !slice_eq(value, SLICE("upsert")))
            problems_add(problems, &at, "must be \"upsert\" or \"insert\"");
    } else {
        problems_add(problems, &at, "is not a parameter of this endpoint");
    }
}

/* False: refused with 400. */
static bool read_parameters(struct import *import, struct http_request *request) {
    struct slice query = http_request_query(request);
    struct uri_pair *pairs;
    size_t count;
    struct error error;
    if (!uri_parse_query(http_request_arena(request), query.data, query.len, PARAMETERS_MAX, &pairs, &count, &error)) {
        http_reply_error(request, &error);
        return false;
    }
    struct problems problems;
    problems_init(&problems);
    for (size_t i = 0; i < count; i++)
        read_parameter(import, pairs[i].key, pairs[i].value, &problems);
    bool ok = !problems_any(&problems);
    if (!ok)
        http_reply_problem(request, 400, "the input is not valid", problems.errors, problems.count);
    problems_done(&problems);
    return ok;
}

static bool admit(struct service *service, unsigned needs, struct error *reterr) {
    if (!health_allows(service->health, needs, reterr))
        return false;
    return service->imports < (unsigned)service->conf->imports_max ||
           error_set(reterr, ERROR_OVERLOADED, "%u imports run already; try again when one is done", service->imports);
}

static void start(struct http_request *request, struct service *service, const struct import_kind *kind) {
    struct error error = {0};
    struct import *import = NULL;
    struct import_spool spool = {.fd = -1};
    if (!admit(service, kind->needs, &error) || !import_spool_open(&spool, service->conf, &error) ||
        (!(import = calloc(1, sizeof(*import))) && !error_nomem(&error))) {
        import_spool_close(&spool);
        http_reply_error(request, &error);
        return;
    }
    *import = (struct import){.service = service,
                              .loop = http_request_loop(request),
                              .request = http_request_ref(request),
                              .kind = kind,
                              .spool = spool,
                              .retry = {.cb = retry_now}};
    import->end = &import->first;
    buf_init(&import->partial, (size_t)service->conf->import_line_max_bytes);
    service->imports++;
    if (!read_parameters(import, request)) {
        import_free(import);
        return;
    }
    http_request_set_data(request, import, NULL);
}

void import_handle_products(struct http_request *request, void *ctx) {
    start(request, ctx, &import_products);
}

void import_handle_stock(struct http_request *request, void *ctx) {
    start(request, ctx, &import_stock);
}
