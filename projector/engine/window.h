/* window.h - how far a source may run ahead of the lanes, and how it is told to stop.
 *
 * A source thread waits for room before it reads more; the engine gives room back as marks finish. The oplog, the
 * queue table and the jobs' cursors are the buffer beyond it, so memory is bounded whatever the writers do.
 * Thread: any. */
#pragma once
#include "core/clock.h"
#include <pthread.h>
#include <stdbool.h>

struct window {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t used, limit;
    bool stopped, poked;
};

void window_init(struct window *w, size_t limit);
void window_done(struct window *w);

/* Waits until less than the limit is used. False: stopped. */
bool window_wait(struct window *w);
void window_add(struct window *w, size_t n); /* may pass the limit by one batch */
void window_release(struct window *w, size_t n);
size_t window_used(struct window *w);

/* For who has more to do than to wait for room. */
bool window_has_room(struct window *w);

/* A pause that a stop or a poke ends early. False: stopped. */
bool window_sleep(struct window *w, usec_t usec);
/* The same, and room ends it too. */
bool window_sleep_for_room(struct window *w, usec_t usec);
void window_poke(struct window *w);
void window_stop(struct window *w);
bool window_stopped(struct window *w);
