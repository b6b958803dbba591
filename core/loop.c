#include "core/loop.h"
#include "core/cleanup.h"
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_PER_ROUND 64
#define FD_ADDED (1u << 27) /* in loop_fd.events; not an epoll bit */

/* The events of a round that are not dispatched yet. Rounds nest when a callback runs the loop itself; a descriptor
 * that is removed, or served by an inner round, is struck out of the others. */
struct round {
    struct epoll_event events[EVENTS_PER_ROUND];
    int count;
    struct round *outer;
};

struct loop {
    int epoll_fd;
    struct mailbox *mailbox;
    struct loop_fd mailbox_watch;
    struct loop_timer *timers; /* root of the pairing heap: the next due */
    size_t timers_armed;       /* ever; the order of arming */
    struct loop_hook *hooks;
    struct loop_hook *next_hook; /* of the iteration under way, so that hooks may remove themselves and others */
    struct round *round;
    usec_t now;
    struct mail stop_mail;
    atomic_bool stop_posted;
    bool stopped;
    char name[32];
};

static void on_mail(struct loop_fd *self, uint32_t events) {
    (void)events;
    mailbox_deliver(CONTAINER_OF(self, struct loop, mailbox_watch)->mailbox);
}

static void on_stop_mail(struct mail *mail) {
    CONTAINER_OF(mail, struct loop, stop_mail)->stopped = true;
}

struct loop *loop_new(const char *name, struct error *reterr) {
    struct loop *loop = calloc(1, sizeof(*loop));
    if (!loop) {
        error_nomem(reterr);
        return NULL;
    }
    memcpy(loop->name, name, strnlen(name, sizeof(loop->name) - 1));
    loop->stop_mail.deliver = on_stop_mail;
    loop->now = clock_now_usec();
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        error_set(reterr, ERROR_INTERNAL, "epoll_create1: %s", strerror(errno));
        loop_free(loop);
        return NULL;
    }
    loop->mailbox = mailbox_new(reterr);
    if (!loop->mailbox) {
        loop_free(loop);
        return NULL;
    }
    loop->mailbox_watch = (struct loop_fd){.fd = mailbox_fd(loop->mailbox), .cb = on_mail};
    if (!loop_fd_add(loop, &loop->mailbox_watch, EPOLLIN, reterr)) {
        loop_free(loop);
        return NULL;
    }
    return loop;
}

void loop_free(struct loop *loop) {
    if (!loop)
        return;
    mailbox_free(loop->mailbox);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    free(loop);
}

const char *loop_name(const struct loop *loop) {
    return loop->name;
}

void loop_stop(struct loop *loop) {
    if (!atomic_exchange(&loop->stop_posted, true))
        mailbox_post(loop->mailbox, &loop->stop_mail);
}

void loop_post(struct loop *loop, struct mail *mail) {
    mailbox_post(loop->mailbox, mail);
}

usec_t loop_now(const struct loop *loop) {
    return loop->now;
}

/* -- descriptors -- */

static bool control(struct loop *loop, int operation, struct loop_fd *f, uint32_t events, struct error *reterr) {
    struct epoll_event event = {.events = events, .data.ptr = f};
    if (epoll_ctl(loop->epoll_fd, operation, f->fd, &event) < 0)
        return error_set(reterr, ERROR_INTERNAL, "loop %s: epoll_ctl descriptor %d: %s", loop->name, f->fd,
                         strerror(errno));
    f->events = events | FD_ADDED;
    return true;
}

/* Drops the events of f that are not dispatched yet. */
static void strike_out(struct round *round, const struct loop_fd *f) {
    for (; round; round = round->outer)
        for (int i = 0; i < round->count; i++)
            if (round->events[i].data.ptr == f)
                round->events[i].data.ptr = NULL;
}

bool loop_fd_add(struct loop *loop, struct loop_fd *f, uint32_t events, struct error *reterr) {
    return control(loop, EPOLL_CTL_ADD, f, events, reterr);
}

bool loop_fd_set(struct loop *loop, struct loop_fd *f, uint32_t events, struct error *reterr) {
    if (f->events == (events | FD_ADDED))
        return true;
    return control(loop, EPOLL_CTL_MOD, f, events, reterr);
}

void loop_fd_remove(struct loop *loop, struct loop_fd *f) {
    if (!(f->events & FD_ADDED))
        return;
    f->events = 0;
    /* Fails only if the descriptor was closed before, and then the kernel has removed it by itself. */
    struct epoll_event unused = {0};
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, f->fd, &unused);
    strike_out(loop->round, f);
}

/* -- timers: a pairing heap (Fredman et al. 1986). back is the parent of a first child, else the left sibling. -- */

static bool fires_before(const struct loop_timer *a, const struct loop_timer *b) {
    return a->at != b->at ? a->at < b->at : a->index < b->index;
}

static struct loop_timer *heap_meld(struct loop_timer *a, struct loop_timer *b) {
    if (!a || !b)
        return a ? a : b;
    if (fires_before(b, a)) {
        struct loop_timer *t = a;
        a = b;
        b = t;
    }
    b->sibling = a->child;
    b->back = a;
    if (a->child)
        a->child->back = b;
    a->child = b;
    return a;
}

/* Melds a list of siblings: pairs from left to right, then the pairs from right to left. */
static struct loop_timer *heap_meld_siblings(struct loop_timer *first) {
    struct loop_timer *pairs = NULL;
    while (first) {
        struct loop_timer *a = first, *b = first->sibling;
        first = b ? b->sibling : NULL;
        a->sibling = a->back = NULL;
        if (b)
            b->sibling = b->back = NULL;
        struct loop_timer *pair = heap_meld(a, b);
        pair->sibling = pairs;
        pairs = pair;
    }
    struct loop_timer *root = NULL;
    while (pairs) {
        struct loop_timer *next = pairs->sibling;
        pairs->sibling = NULL;
        root = heap_meld(root, pairs);
        pairs = next;
    }
    return root;
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *t) {
    if (!t->index)
        return;
    struct loop_timer *below = heap_meld_siblings(t->child);
    if (t == loop->timers) {
        loop->timers = below;
    } else {
        if (t->back->child == t)
            t->back->child = t->sibling;
        else
            t->back->sibling = t->sibling;
        if (t->sibling)
            t->sibling->back = t->back;
        loop->timers = heap_meld(loop->timers, below);
    }
    t->index = 0;
    t->child = t->sibling = t->back = NULL;
}

void loop_timer_set(struct loop *loop, struct loop_timer *t, usec_t at) {
    loop_timer_cancel(loop, t);
    if (at == USEC_NEVER)
        return;
    /* A time in the past counts as now, else a timer that re-arms itself would always come before the others. */
    t->at = at > loop->now ? at : loop->now;
    t->index = ++loop->timers_armed;
    t->child = t->sibling = t->back = NULL;
    loop->timers = heap_meld(loop->timers, t);
}

static void run_due_timers(struct loop *loop) {
    const size_t armed_before = loop->timers_armed;
    while (loop->timers && loop->timers->at <= loop->now && loop->timers->index <= armed_before) {
        struct loop_timer *t = loop->timers;
        loop_timer_cancel(loop, t);
        t->cb(t);
    }
}

/* -- hooks -- */

void loop_hook_add(struct loop *loop, struct loop_hook *hook) {
    hook->next = loop->hooks;
    loop->hooks = hook;
}

void loop_hook_remove(struct loop *loop, struct loop_hook *hook) {
    if (loop->next_hook == hook)
        loop->next_hook = hook->next;
    for (struct loop_hook **at = &loop->hooks; *at; at = &(*at)->next) {
        if (*at == hook) {
            *at = hook->next;
            hook->next = NULL;
            return;
        }
    }
}

static usec_t run_hooks(struct loop *loop, usec_t wake) {
    struct loop_hook *outer = loop->next_hook;
    for (struct loop_hook *hook = loop->hooks; hook; hook = loop->next_hook) {
        loop->next_hook = hook->next;
        usec_t at = hook->cb(hook);
        wake = at < wake ? at : wake;
    }
    loop->next_hook = outer;
    return wake;
}

/* -- rounds -- */

static int milliseconds_until(usec_t wake) {
    if (wake == USEC_NEVER)
        return -1;
    usec_t now = clock_now_usec();
    if (wake <= now)
        return 0;
    usec_t msec = (wake - now + USEC_PER_MSEC - 1) / USEC_PER_MSEC;
    return msec > INT_MAX ? INT_MAX : (int)msec;
}

static void dispatch(struct loop *loop, struct round *round) {
    for (int i = 0; i < round->count; i++) {
        struct loop_fd *f = round->events[i].data.ptr;
        if (!f)
            continue; /* removed by an earlier callback of this round */
        round->events[i].data.ptr = NULL;
        strike_out(round->outer, f); /* this call answers the same readiness */
        f->cb(f, round->events[i].events);
    }
    loop->round = round->outer;
}

bool loop_run_once(struct loop *loop, usec_t until) {
    usec_t wake = run_hooks(loop, until);
    if (loop->timers && loop->timers->at < wake)
        wake = loop->timers->at;
    struct round round;
    int count = epoll_wait(loop->epoll_fd, round.events, EVENTS_PER_ROUND, milliseconds_until(wake));
    loop->now = clock_now_usec();
    round.count = count > 0 ? count : 0; /* EINTR is a round without events */
    round.outer = loop->round;
    loop->round = &round;
    run_due_timers(loop);
    dispatch(loop, &round);
    return !loop->stopped;
}

void loop_run(struct loop *loop) {
    while (loop_run_once(loop, USEC_NEVER))
        ;
    mailbox_deliver(loop->mailbox);
}
