#include "core/cleanup.h"
#include "projector/jobs/job_check.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    IDS_MAX_BYTES = 1 << 20,
    WAITS_USEC = 5 * 1000 * 1000, /* a shorter wait is nothing to speak of: each look at candidates is one */
};

struct job_check {
    struct verify_conf conf;
    struct verify_counts counts;
    struct job_check_result result;
    struct error error;
    struct buf ids;        /* those to compare; the slices point there */
    struct slice *slices;
    struct buf different;  /* those that differ, packed */
    pthread_t thread;
    pthread_mutex_t lock;
    char waits_for[JOB_CHECK_WAITS_SIZE]; /* under the lock, as the next */
    usec_t waits_since;                   /* 0: it does not wait */
    atomic_bool stop, over;
    atomic_int_fast64_t compared;
    bool ok;
};

static bool is_cancelled(void *ctx) {
    struct job_check *check = ctx;
    return check->stop;
}

static void on_progress(void *ctx, const struct verify_progress *progress) {
    struct job_check *check = ctx;
    check->compared = progress->counts->compared;
    pthread_mutex_lock(&check->lock);
    if (!progress->waiting)
        check->waits_since = 0;
    else if (!check->waits_since)
        check->waits_since = clock_now_usec();
    snprintf(check->waits_for, sizeof(check->waits_for), "%s", progress->waiting ? progress->waiting : "");
    pthread_mutex_unlock(&check->lock);
}

static bool on_difference(void *ctx, const struct verify_difference *difference) {
    struct job_check *check = ctx;
    struct job_check_result *r = &check->result;
    if (difference->kind == VERIFY_DEAD) {
        r->dead++;
        return true;
    }
    if (r->different++ == 0)
        snprintf(r->example, sizeof(r->example), "%.*s (%s%s%.60s)", (int)(difference->id.len < 100 ? difference->id.len : 100),
                 difference->id.data, verify_kind_names[difference->kind], difference->reason ? ": " : "",
                 difference->reason ? difference->reason : "");
    if (difference->id.len > UINT8_MAX || check->different.len + difference->id.len + 1 > IDS_MAX_BYTES) {
        r->overflow = true;
        return true;
    }
    buf_append_char(&check->different, (char)difference->id.len);
    buf_append(&check->different, difference->id.data, difference->id.len);
    return true;
}

static void *check_main(void *arg) {
    struct job_check *check = arg;
    pthread_setname_np(pthread_self(), "check");
    check->ok = verify_run(&check->conf, &check->counts, &check->error);
    check->over = true;
    return NULL;
}

static void check_free(struct job_check *check) {
    pthread_mutex_destroy(&check->lock);
    buf_done(&check->ids);
    buf_done(&check->different);
    free(check->slices);
    free(check);
}

static bool unpack(struct job_check *check, const struct buf *ids) {
    size_t count = 0;
    if (ids->len == 0)
        return true;
    if (!buf_append(&check->ids, ids->data, ids->len))
        return false;
    for (size_t at = 0; at < ids->len; at += 1 + (uint8_t)ids->data[at])
        count++;
    if (!(check->slices = calloc(count, sizeof(*check->slices))))
        return false;
    for (size_t at = 0, i = 0; at < ids->len; at += 1 + (uint8_t)ids->data[at])
        check->slices[i++] = (struct slice){check->ids.data + at + 1, (uint8_t)ids->data[at]};
    check->conf.ids = check->slices;
    check->conf.id_count = count;
    return true;
}

struct job_check *job_check_start(const struct verify_conf *conf, const struct buf *ids, struct error *reterr) {
    struct job_check *check = calloc(1, sizeof(*check));
    if (!check) {
        error_nomem(reterr);
        return NULL;
    }
    pthread_mutex_init(&check->lock, NULL);
    buf_init(&check->ids, ids->max);
    buf_init(&check->different, IDS_MAX_BYTES + 256);
    check->conf = *conf;
    check->conf.ctx = check;
    check->conf.cancelled = is_cancelled;
    check->conf.progress = on_progress;
    check->conf.difference = on_difference;
    if (!unpack(check, ids))
        error_nomem(reterr);
    else if (pthread_create(&check->thread, NULL, check_main, check) == 0)
        return check;
    else
        error_set(reterr, ERROR_INTERNAL, "cannot start the verifying thread");
    check_free(check);
    return NULL;
}

bool job_check_is_over(const struct job_check *check) {
    return check->over;
}

int64_t job_check_compared(const struct job_check *check) {
    return check->compared;
}

void job_check_waits_for(struct job_check *check, char ret[JOB_CHECK_WAITS_SIZE]) {
    pthread_mutex_lock(&check->lock);
    bool long_since = check->waits_since && clock_now_usec() - check->waits_since >= WAITS_USEC;
    snprintf(ret, JOB_CHECK_WAITS_SIZE, "%s", long_since ? check->waits_for : "");
    pthread_mutex_unlock(&check->lock);
}

bool job_check_take(struct job_check *check, struct buf *ret_ids, struct job_check_result *ret, struct error *reterr) {
    pthread_join(check->thread, NULL);
    bool ok = check->ok;
    buf_reset(ret_ids);
    if (ok) {
        *ret = check->result;
        ret->compared = check->counts.compared;
        ret->unsettled = check->counts.unsettled;
        buf_append(ret_ids, check->different.data ? check->different.data : "", check->different.len);
    } else {
        error_set(reterr, check->error.code, "%s", check->error.message);
    }
    check_free(check);
    return ok;
}

void job_check_stop(struct job_check *check) {
    if (!check)
        return;
    check->stop = true;
    pthread_join(check->thread, NULL);
    check_free(check);
}
