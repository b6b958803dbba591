#include "core/cleanup.h"
#include "core/log.h"
#include "core/metrics.h"
#include "projector/jobs/signal_answer.h"
#include "projector/jobs/signals_job.h"
#include <stdlib.h>

enum {
    PAGE = 1000,       /* products of one question */
    ROWS = 5000,       /* rows of one SELECT */
    CHANGES = 250,     /* products of one statement */
    ANSWER_MAX_BYTES = 16 << 20,
    KEY_MAX_BYTES = 32 << 10, /* of Lucene */
    SQL_MAX_BYTES = 1 << 20,
    RETRY_MIN_USEC = 1000 * 1000,
    RETRY_MAX_USEC = 60 * 1000 * 1000,
};
#define DAY_USEC (INT64_C(86400) * 1000000)
#define EVENTS_COUNT_USEC (30 * DAY_USEC)

struct signals_job {
    const struct engine_conf *conf;
    const struct projector_conf *options;
    struct mysql_session *mysql;
    struct window stop;
    struct arena arena; /* of a page */
    struct signal_rows rows;
    bool rows_lost; /* out of memory: they are not all there */
    struct buf path, body, answer, upserts, deletes;
    size_t upsert_count, delete_count;
    struct buf after; /* the key that the next page begins behind, whatever somebody else has written as an id */
    uint64_t changed; /* in this pass */
    usec_t cleaned_at; /* 0: never */
    struct error *error; /* of the statement that a change has led to */
    struct metric *passes, *changes;
    pthread_t thread;
};

static bool stopped(struct signals_job *j) {
    return window_stopped(&j->stop) || !lease_is_valid(j->conf->lease);
}

/* ---- writing ---- */

static bool run_changes(struct signals_job *j, struct buf *sql, size_t *count, const char *end) {
    size_t n = *count;
    *count = 0;
    if (n == 0)
        return true;
    buf_append_str(sql, end);
    bool ok = buf_ok(sql) ? mysql_session_execv(j->mysql, NULL, j->error, sql->data, NULL, 0) : error_nomem(j->error);
    buf_reset(sql);
    if (!ok)
        return false;
    j->changed += n;
    metric_add(j->changes, n);
    return window_sleep(&j->stop, n * USEC_PER_SEC / (usec_t)j->options->signals_rate) ||
           error_set(j->error, ERROR_CONFLICT, "stopped");
}

static bool write_changes(struct signals_job *j) {
    return run_changes(j, &j->upserts, &j->upsert_count,
                       " ON DUPLICATE KEY UPDATE sales = VALUES(sales), popularity = VALUES(popularity)") &&
           run_changes(j, &j->deletes, &j->delete_count, ")");
}

static bool on_change(void *ctx, struct slice id, struct product_signals signals) {
    struct signals_job *j = ctx;
    bool gone = signals.sales == 0 && signals.popularity == 0;
    struct buf *sql = gone ? &j->deletes : &j->upserts;
    size_t *count = gone ? &j->delete_count : &j->upsert_count;
    const char *begin = gone ? "DELETE FROM product_signals WHERE product_id IN ("
                             : "INSERT INTO product_signals (product_id, sales, popularity) VALUES (";
    buf_append_str(sql, *count == 0 ? begin : gone ? "," : ",(");
    if (!mysql_session_quote(j->mysql, sql, id.data, id.len))
        return error_nomem(j->error);
    if (!gone)
        buf_printf(sql, ",%u,%u)", signals.sales, signals.popularity);
    return ++*count < CHANGES || write_changes(j);
}

/* ---- a pass ---- */

static bool take_row(void *ctx, char **columns, const unsigned long *lengths, unsigned count) {
    struct signals_job *j = ctx;
    if (count < 3 || !columns[0] || !columns[1] || !columns[2])
        return true;
    j->rows_lost = !signal_rows_add(&j->rows, (struct slice){columns[0], lengths[0]}, strtol(columns[1], NULL, 10),
                                    strtol(columns[2], NULL, 10));
    return !j->rows_lost;
}

/* The rows behind `after`, up to `end` (empty: all), ROWS at most. */
static bool read_rows(struct signals_job *j, struct slice after, struct slice end, struct error *reterr) {
    signal_rows_reset(&j->rows);
    j->rows_lost = false;
    bool ok = end.len ? mysql_session_query(j->mysql, take_row, j, reterr,
                                            "SELECT product_id, sales, popularity FROM product_signals WHERE product_id > ? AND "
                                            "product_id <= ? ORDER BY product_id LIMIT ?",
                                            MYSQL_SLICE(after), MYSQL_SLICE(end), MYSQL_I64(ROWS))
                      : mysql_session_query(j->mysql, take_row, j, reterr,
                                            "SELECT product_id, sales, popularity FROM product_signals WHERE product_id > ? "
                                            "ORDER BY product_id LIMIT ?",
                                            MYSQL_SLICE(after), MYSQL_I64(ROWS));
    if (ok && j->rows_lost)
        return error_nomem(reterr);
    return ok;
}

/* Compares a page of sums with the rows of the same range. */
static bool compare(struct signals_job *j, const struct signal_amounts *page, struct slice after, struct error *reterr) {
    size_t at = 0;
    for (bool last = false; !last;) {
        if (!read_rows(j, after, page->after, reterr))
            return false;
        last = j->rows.count < ROWS;
        size_t end = at;
        if (!last)
            after = j->rows.rows[ROWS - 1].id;
        while (end < page->count && (last || signal_id_compare(page->items[end].id, after) <= 0))
            end++;
        if (!signal_changes(page->items + at, end - at, j->rows.rows, j->rows.count, on_change, j))
            return false;
        at = end;
        if (!last) {
            char *kept = arena_strndup(&j->arena, after.data, after.len); /* the rows are read anew */
            if (!kept)
                return error_nomem(reterr);
            after.data = kept;
        }
    }
    return true;
}

static bool ask(struct signals_job *j, struct slice after, bool *ret_there, struct error *reterr) {
    int status = 0;
    buf_reset(&j->path);
    buf_reset(&j->body);
    buf_reset(&j->answer);
    buf_append_char(&j->path, '/');
    uri_encode(&j->path, j->options->events_index, strlen(j->options->events_index));
    buf_append_str(&j->path, "/_search?filter_path=timed_out,_shards.failed,aggregations.p.after_key,aggregations.p.buckets");
    if (!signal_question_write(&j->body, after, clock_wall_usec() - EVENTS_COUNT_USEC, PAGE) || !buf_ok(&j->path))
        return error_nomem(reterr);
    if (!es_call(&j->conf->options->es, "POST", j->path.data, (struct slice){j->body.data, j->body.len}, 15 * USEC_PER_SEC, &status,
                 &j->answer, reterr))
        return false;
    *ret_there = status != 404;
    return true;
}

static bool pass(struct signals_job *j, struct error *reterr) {
    bool more = true, there = true;
    j->changed = j->upsert_count = j->delete_count = 0;
    buf_reset(&j->upserts);
    buf_reset(&j->deletes);
    buf_reset(&j->after);
    while (more && !stopped(j)) {
        struct slice after = {j->after.len ? j->after.data : "", j->after.len};
        struct signal_amounts page;
        if (!ask(j, after, &there, reterr))
            return false;
        if (!there)
            return true;
        arena_reset(&j->arena);
        if (!signal_answer_read(&j->arena, (struct slice){j->answer.data, j->answer.len}, clock_wall_usec(), &page, reterr) ||
            !mysql_session_connect(j->mysql, reterr) || !compare(j, &page, after, reterr))
            return false;
        more = page.after.len > 0;
        buf_reset(&j->after);
        buf_append(&j->after, page.after.data, page.after.len);
        if (!buf_ok(&j->after))
            return error_nomem(reterr);
    }
    return write_changes(j);
}

/* ---- what is too old ---- */

static bool clean_index(struct signals_job *j, const char *index, const char *field, struct error *reterr) {
    char before[CLOCK_RFC3339_SIZE];
    int status = 0;
    clock_format_rfc3339(clock_wall_usec() - (int64_t)j->options->events_keep_usec, before);
    buf_reset(&j->path);
    buf_reset(&j->body);
    buf_reset(&j->answer);
    buf_append_char(&j->path, '/');
    uri_encode(&j->path, index, strlen(index));
    buf_append_str(&j->path, "/_delete_by_query?conflicts=proceed&wait_for_completion=false");
    buf_printf(&j->body, "{\"query\":{\"range\":{\"%s\":{\"lt\":\"%s\"}}}}", field, before);
    if (!buf_ok(&j->path) || !buf_ok(&j->body))
        return error_nomem(reterr);
    return es_call(&j->conf->options->es, "POST", j->path.data, (struct slice){j->body.data, j->body.len}, 15 * USEC_PER_SEC, &status,
                   &j->answer, reterr);
}

static bool clean(struct signals_job *j, struct error *reterr) {
    usec_t now = clock_now_usec();
    if (j->cleaned_at && now < j->cleaned_at + (usec_t)DAY_USEC)
        return true;
    if (!clean_index(j, j->options->events_index, "time", reterr) || !clean_index(j, j->options->queries_index, "day", reterr))
        return false;
    j->cleaned_at = now;
    return true;
}

/* ---- the thread ---- */

static void *job_main(void *arg) {
    struct signals_job *j = arg;
    pthread_setname_np(pthread_self(), "signals");
    for (unsigned failures = 0; !stopped(j);) {
        struct error error = {.code = ERROR_INTERNAL, .message = "no reason given"};
        usec_t pause = j->options->signals_interval_usec;
        j->error = &error;
        if (pass(j, &error)) {
            failures = 0;
            metric_inc(j->passes);
            if (j->changed)
                log_info("signals.changed", LOG_INT("products", j->changed));
            if (!clean(j, &error) && !stopped(j)) /* the next pass tries again */
                log_warn("events.not_deleted", LOG_ERR(&error));
        } else if (!stopped(j)) {
            log_warn("signals.failed", LOG_ERR(&error));
            pause = clock_backoff_usec(failures < 6 ? failures : 6, RETRY_MIN_USEC, RETRY_MAX_USEC);
            failures++;
        }
        window_sleep(&j->stop, pause);
    }
    return NULL;
}

static void job_free(struct signals_job *j) {
    mysql_session_free(j->mysql);
    window_done(&j->stop);
    arena_done(&j->arena);
    signal_rows_done(&j->rows);
    buf_done(&j->after);
    buf_done(&j->path);
    buf_done(&j->body);
    buf_done(&j->answer);
    buf_done(&j->upserts);
    buf_done(&j->deletes);
    free(j);
}

struct signals_job *signals_job_start(const struct engine_conf *conf, struct error *reterr) {
    struct signals_job *j = calloc(1, sizeof(*j));
    if (!j) {
        error_nomem(reterr);
        return NULL;
    }
    j->conf = conf;
    j->options = &conf->options->projector;
    j->passes = metrics_counter("readside_projector_signals_passes_total", "Times that events were added up", "");
    j->changes = metrics_counter("readside_projector_signals_changed_total", "Products whose signals were changed", "");
    window_init(&j->stop, 1);
    arena_init(&j->arena, ANSWER_MAX_BYTES * 4);
    signal_rows_init(&j->rows, ANSWER_MAX_BYTES);
    buf_init(&j->after, KEY_MAX_BYTES);
    buf_init(&j->path, 4096);
    buf_init(&j->body, KEY_MAX_BYTES * 6 + 8192);
    buf_init(&j->answer, ANSWER_MAX_BYTES);
    buf_init(&j->upserts, SQL_MAX_BYTES);
    buf_init(&j->deletes, SQL_MAX_BYTES);
    j->mysql = mysql_session_new(&conf->options->mysql, reterr);
    if (j->mysql && pthread_create(&j->thread, NULL, job_main, j) == 0)
        return j;
    if (j->mysql)
        error_set(reterr, ERROR_INTERNAL, "cannot start the thread of signals");
    job_free(j);
    return NULL;
}

void signals_job_stop(struct signals_job *j) {
    if (!j)
        return;
    window_stop(&j->stop);
    pthread_join(j->thread, NULL);
    job_free(j);
}
