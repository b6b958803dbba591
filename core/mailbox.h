/* mailbox.h - the only way across threads: an intrusive queue with an eventfd, woken only when it goes from
 * empty to non-empty. Mail of one sender is delivered in order. The queue itself is not bounded: whoever
 * posts bounds what it has under way (a worker's queue, a source's window). */
#pragma once
#include "core/error.h"
#include <stddef.h>

struct mail {
    struct mail *next;                    /* owned by the mailbox while posted */
    void (*deliver)(struct mail *mail);   /* called on the receiving thread; may free the mail */
};

struct mailbox;
struct mailbox *mailbox_new(struct error *reterr);
void mailbox_free(struct mailbox *mailbox); /* undelivered mail is dropped, not freed */
int mailbox_fd(const struct mailbox *mailbox); /* readable when there is mail */
void mailbox_post(struct mailbox *mailbox, struct mail *mail); /* any thread; takes the mail until delivery */
/* Delivers all mail that was there at the call; returns how many. Receiving thread only. */
size_t mailbox_deliver(struct mailbox *mailbox);
