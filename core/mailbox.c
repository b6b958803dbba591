#include "core/mailbox.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Posters push on a lock-free stack; the receiver detaches all of it at once and turns it round, so a poster
 * and the receiver never wait for each other. */
struct mailbox {
    _Atomic(struct mail *) posted; /* newest first */
    struct mail *ready;            /* receiver's: oldest first, detached and not delivered yet */
    int fd;
};

struct mailbox *mailbox_new(struct error *reterr) {
    struct mailbox *mailbox = calloc(1, sizeof(*mailbox));
    if (!mailbox) {
        error_nomem(reterr);
        return NULL;
    }
    mailbox->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (mailbox->fd < 0) {
        error_set(reterr, ERROR_INTERNAL, "eventfd: %s", strerror(errno));
        free(mailbox);
        return NULL;
    }
    return mailbox;
}

void mailbox_free(struct mailbox *mailbox) {
    if (!mailbox)
        return;
    close(mailbox->fd);
    free(mailbox);
}

int mailbox_fd(const struct mailbox *mailbox) {
    return mailbox->fd;
}

void mailbox_post(struct mailbox *mailbox, struct mail *mail) {
    /* Once the mail is pushed the receiver may free it, and with it the sender's right to the mailbox itself if
     * that mail was the last: so the descriptor is read first. */
    int fd = mailbox->fd;
    struct mail *newest = atomic_load_explicit(&mailbox->posted, memory_order_relaxed);
    do {
        mail->next = newest;
    } while (!atomic_compare_exchange_weak_explicit(&mailbox->posted, &newest, mail, memory_order_release,
                                                    memory_order_relaxed));
    if (newest)
        return; /* whoever made it non-empty has woken the receiver, which has not come yet */
    const uint64_t one = 1;
    while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

static void detach_posted(struct mailbox *mailbox) {
    struct mail **end = &mailbox->ready;
    while (*end)
        end = &(*end)->next;
    struct mail *newest = atomic_exchange_explicit(&mailbox->posted, NULL, memory_order_acquire);
    struct mail *oldest = NULL;
    while (newest) {
        struct mail *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    *end = oldest;
}

size_t mailbox_deliver(struct mailbox *mailbox) {
    /* The eventfd is emptied before the stack: a post in between is taken now and wakes once for nothing; the
     * other way round it would be left lying without a wake. */
    uint64_t wakes;
    while (read(mailbox->fd, &wakes, sizeof(wakes)) < 0 && errno == EINTR)
        ;
    detach_posted(mailbox);
    size_t there = 0;
    for (struct mail *mail = mailbox->ready; mail; mail = mail->next)
        there++;
    size_t delivered = 0;
    /* deliver() may call us again for a nested round, which then takes what is left, in order. */
    while (delivered < there && mailbox->ready) {
        struct mail *mail = mailbox->ready;
        mailbox->ready = mail->next;
        mail->next = NULL;
        delivered++;
        mail->deliver(mail);
    }
    return delivered;
}
