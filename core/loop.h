/* loop.h - one thread, one epoll: descriptors, timers, a mailbox.
 *
 * Protocol: loop_new, add descriptors and timers, loop_run on the thread that shall own it, loop_stop from any
 * thread, loop_free after loop_run has returned. Everything but loop_stop and loop_post is for the owner
 * thread only (or before loop_run). Callbacks run on the owner thread and may add, change and remove any
 * descriptor or timer, their own included. */
#pragma once
#include "core/clock.h"
#include "core/error.h"
#include "core/mailbox.h"
#include <stdint.h>

struct loop;

struct loop_fd {
    int fd;
    void (*cb)(struct loop_fd *self, uint32_t events); /* EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLERR */
    uint32_t events; /* owned by the loop */
};

/* A timer is a node of an intrusive pairing heap, so arming one never allocates and never fails. It fires up to
 * a millisecond late (epoll_wait's unit), never early; timers of the same time fire in the order of arming. */
struct loop_timer {
    void (*cb)(struct loop_timer *self);
    usec_t at;     /* owned by the loop */
    size_t index;  /* owned by the loop: order of arming + 1; 0 = not armed */
    struct loop_timer *child, *sibling, *back; /* owned by the loop */
};

/* Called before each wait, after the callbacks of a round. Returns the latest time to wake, or USEC_NEVER. */
struct loop_hook {
    usec_t (*cb)(struct loop_hook *self);
    struct loop_hook *next; /* owned by the loop */
};

struct loop *loop_new(const char *name, struct error *reterr);
void loop_free(struct loop *loop);
const char *loop_name(const struct loop *loop);

/* Runs until loop_stop. Mail that is in the mailbox when it stops is delivered first. */
void loop_run(struct loop *loop);
/* One round: waits at most until `until` (USEC_NEVER: as long as it takes), then runs what is due.
 * False once the loop has been stopped; it still does the round then, without waiting longer than `until`, so
 * that whoever shuts down can let late mail and last replies through. May be called from a callback. */
bool loop_run_once(struct loop *loop, usec_t until);
void loop_stop(struct loop *loop);                      /* any thread */
void loop_post(struct loop *loop, struct mail *mail);   /* any thread; see mailbox.h */

usec_t loop_now(const struct loop *loop); /* the time at the start of this round */

bool loop_fd_add(struct loop *loop, struct loop_fd *f, uint32_t events, struct error *reterr);
bool loop_fd_set(struct loop *loop, struct loop_fd *f, uint32_t events, struct error *reterr);
void loop_fd_remove(struct loop *loop, struct loop_fd *f); /* not added: nothing; does not close */

void loop_timer_set(struct loop *loop, struct loop_timer *t, usec_t at); /* armed anew if armed; cb must be set;
                                                                               USEC_NEVER: disarmed */
void loop_timer_cancel(struct loop *loop, struct loop_timer *t);         /* not armed: nothing */

void loop_hook_add(struct loop *loop, struct loop_hook *hook);
void loop_hook_remove(struct loop *loop, struct loop_hook *hook);
