/* The serving index is refreshed when the oldest write that searches do not show is about to become too old for that. A refresh by
 * the index's own interval begins so long after the last one has ended, and what came just too late for one has to wait for both: an
 * interval and two refreshes. Begun in time, however long it takes of late, it is an interval in all. */
#include "core/cleanup.h"
#include "core/log.h"
#include "projector/engine/engine_internal.h"
#include "projector/sources/mark_message.h"

enum {
    RETRY_MIN_USEC = 500 * 1000,
    RETRY_MAX_USEC = 30 * 1000 * 1000,
    TIMEOUT_USEC = 30 * 1000 * 1000,
    RELAY_GOES_ON_USEC = 10 * 1000 * 1000, /* what the relay passes on is written by others, a little later */
};

static usec_t at_most(usec_t a, usec_t b) {
    return a < b ? a : b;
}

/* The refresh has to be over a tenth before, since one takes longer than another. Between two there is as much time as one takes,
 * but no more than an interval by itself would leave. */
static void arm(struct engine *e) {
    struct engine_refresh *r = &e->refresh;
    usec_t within = e->options->searchable_within_usec;
    usec_t due = r->since + within - within / 10 - at_most(r->took, within / 2);
    usec_t earliest = r->ended_at + at_most(r->took, within);
    loop_timer_set(e->loop, &r->timer, due > earliest ? due : earliest);
}

static void refreshed(void *ctx, struct http_response *response) {
    struct engine *e = ctx;
    struct engine_refresh *r = &e->refresh;
    usec_t now = engine_now(e), took = now - r->begun_at;
    r->call = NULL;
    scavenger_hold(&e->scavenger, false);
    pump_all(e); /* background bulks that have waited for it */
    if (e->ending)
        return;
    if (response->status != 200) {
        r->since = r->begun_at;
        log_warn("refresh.failed", LOG_STR("index", e->conf.index), LOG_INT("status", response->status), LOG_ERR(&response->error),
                 LOG_STR("consequence", "until one succeeds the index's own refresh_interval decides when changes are searchable"));
        loop_timer_set(e->loop, &r->timer, now + clock_backoff_usec(r->failures++, RETRY_MIN_USEC, RETRY_MAX_USEC));
        return;
    }
    metric_observe(lag_metrics.refresh_seconds, took);
    r->failures = 0;
    r->ended_at = now;
    r->took = took > r->took ? took : r->took - (r->took - took) / 8;
    if (r->since == 0 && e->relay && now < r->noted_at + RELAY_GOES_ON_USEC)
        r->since = r->begun_at;
    if (r->since)
        arm(e);
}

static void refresh(struct loop_timer *timer) {
    struct engine *e = CONTAINER_OF(timer, struct engine, refresh.timer);
    struct engine_refresh *r = &e->refresh;
    usec_t now = engine_now(e);
    if (e->ending)
        return;
    if (e->job_runner && job_runner_fills_serving(e->job_runner)) {
        loop_timer_set(e->loop, timer, now + e->options->searchable_within_usec);
        return;
    }
    buf_reset(&e->path);
    buf_printf(&e->path, "/%s/_refresh?filter_path=_shards.failed", e->conf.index);
    r->call = es_start(e->es, "POST", e->path.data, NULL, (struct slice){0}, NULL, TIMEOUT_USEC, refreshed, e, NULL);
    if (!r->call) {
        loop_timer_set(e->loop, timer, now + RETRY_MAX_USEC);
        return;
    }
    scavenger_hold(&e->scavenger, true);
    r->begun_at = now;
    r->since = 0;
}

/* A relay refreshes for all whom it feeds. Another tool that fills their topic does not. */
static bool is_left_to_a_relay(const struct engine *e) {
    return e->conf.feed && e->options->marks_format == MARKS_READSIDE;
}

void refresh_note(struct engine *e, usec_t written_at) {
    struct engine_refresh *r = &e->refresh;
    r->noted_at = engine_now(e);
    if (r->since || e->options->searchable_within_usec == 0 || e->ending || is_left_to_a_relay(e))
        return;
    r->since = written_at;
    r->timer.cb = refresh;
    if (!r->call && r->timer.index == 0)
        arm(e);
}

void refresh_cancel(struct engine *e) {
    if (e->refresh.call)
        es_cancel(e->es, e->refresh.call);
    e->refresh.call = NULL;
    loop_timer_cancel(e->loop, &e->refresh.timer);
}
