#include "projector/engine/window.h"
#include <time.h>

void window_init(struct window *w, size_t limit) {
    *w = (struct window){.limit = limit};
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&w->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

void window_done(struct window *w) {
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
}

bool window_wait(struct window *w) {
    pthread_mutex_lock(&w->lock);
    while (w->used >= w->limit && !w->stopped)
        pthread_cond_wait(&w->changed, &w->lock);
    bool go = !w->stopped;
    pthread_mutex_unlock(&w->lock);
    return go;
}

void window_add(struct window *w, size_t n) {
    pthread_mutex_lock(&w->lock);
    w->used += n;
    pthread_mutex_unlock(&w->lock);
}

void window_release(struct window *w, size_t n) {
    pthread_mutex_lock(&w->lock);
    bool was_full = w->used >= w->limit;
    w->used = n < w->used ? w->used - n : 0;
    if (was_full && w->used < w->limit)
        pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

size_t window_used(struct window *w) {
    pthread_mutex_lock(&w->lock);
    size_t used = w->used;
    pthread_mutex_unlock(&w->lock);
    return used;
}

bool window_has_room(struct window *w) {
    return window_used(w) < w->limit;
}

static bool pause_for(struct window *w, usec_t usec, bool for_room) {
    usec_t until = clock_now_usec() + usec;
    struct timespec at = {.tv_sec = (time_t)(until / USEC_PER_SEC), .tv_nsec = (long)(until % USEC_PER_SEC) * 1000};
    pthread_mutex_lock(&w->lock);
    while (!w->stopped && !w->poked && clock_now_usec() < until && !(for_room && w->used < w->limit))
        pthread_cond_timedwait(&w->changed, &w->lock, &at);
    w->poked = false;
    bool go = !w->stopped;
    pthread_mutex_unlock(&w->lock);
    return go;
}

bool window_sleep(struct window *w, usec_t usec) {
    return pause_for(w, usec, false);
}

bool window_sleep_for_room(struct window *w, usec_t usec) {
    return pause_for(w, usec, true);
}

void window_poke(struct window *w) {
    pthread_mutex_lock(&w->lock);
    w->poked = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

void window_stop(struct window *w) {
    pthread_mutex_lock(&w->lock);
    w->stopped = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

bool window_stopped(struct window *w) {
    pthread_mutex_lock(&w->lock);
    bool stopped = w->stopped;
    pthread_mutex_unlock(&w->lock);
    return stopped;
}
