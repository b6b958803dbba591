#include "tests/unit/test.h"
#include "core/mailbox.h"
#include <poll.h>
#include <pthread.h>

struct note {
    struct mail mail;
    int sender, number;
};

static struct {
    int last[8];
    size_t count;
    struct mailbox *mailbox;
} seen;

static void on_note(struct mail *mail) {
    struct note *note = CONTAINER_OF(mail, struct note, mail);
    assert_int_equal(note->number, seen.last[note->sender] + 1);
    seen.last[note->sender] = note->number;
    seen.count++;
    free(note);
}

static void post(int sender, int number) {
    struct note *note = malloc(sizeof(*note));
    assert_non_null(note);
    *note = (struct note){.mail.deliver = on_note, .sender = sender, .number = number};
    mailbox_post(seen.mailbox, &note->mail);
}

static bool readable(int timeout_msec) {
    struct pollfd p = {.fd = mailbox_fd(seen.mailbox), .events = POLLIN};
    return poll(&p, 1, timeout_msec) == 1;
}

static int setup(void **state) {
    (void)state;
    memset(&seen, 0, sizeof(seen));
    seen.mailbox = mailbox_new(NULL);
    return seen.mailbox ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    mailbox_free(seen.mailbox);
    return 0;
}

static void test_order_and_wake(void **state) {
    (void)state;
    assert_false(readable(0));
    for (int i = 1; i <= 5; i++)
        post(0, i);
    assert_true(readable(0));
    assert_int_equal(mailbox_deliver(seen.mailbox), 5);
    assert_false(readable(0));
    assert_int_equal(mailbox_deliver(seen.mailbox), 0);
    post(0, 6);
    assert_true(readable(0));
    assert_int_equal(mailbox_deliver(seen.mailbox), 1);
}

static void on_note_that_posts(struct mail *mail) {
    struct note *note = CONTAINER_OF(mail, struct note, mail);
    post(1, note->number);
    free(note);
}

/* What is posted by a delivery waits for the next one, and the mailbox says so. */
static void test_post_while_delivering(void **state) {
    (void)state;
    for (int i = 1; i <= 2; i++) {
        struct note *note = malloc(sizeof(*note));
        assert_non_null(note);
        *note = (struct note){.mail.deliver = on_note_that_posts, .number = i};
        mailbox_post(seen.mailbox, &note->mail);
    }
    assert_int_equal(mailbox_deliver(seen.mailbox), 2);
    assert_int_equal(seen.count, 0);
    assert_true(readable(0));
    assert_int_equal(mailbox_deliver(seen.mailbox), 2);
    assert_int_equal(seen.count, 2);
}

static void on_note_that_delivers(struct mail *mail) {
    free(CONTAINER_OF(mail, struct note, mail));
    mailbox_deliver(seen.mailbox);
}

static void test_nested_delivery_keeps_order(void **state) {
    (void)state;
    struct note *first = malloc(sizeof(*first));
    assert_non_null(first);
    first->mail.deliver = on_note_that_delivers;
    mailbox_post(seen.mailbox, &first->mail);
    for (int i = 1; i <= 3; i++)
        post(0, i);
    assert_int_equal(mailbox_deliver(seen.mailbox), 1);
    assert_int_equal(seen.count, 3);
}

enum { SENDERS = 4, NOTES = 20000 };

static void *sender_main(void *arg) {
    int sender = *(int *)arg;
    for (int i = 1; i <= NOTES; i++)
        post(sender, i);
    return NULL;
}

/* No mail is lost and none lies without a wake: the receiver only ever waits on the descriptor. */
static void test_many_senders(void **state) {
    (void)state;
    pthread_t threads[SENDERS];
    int ids[SENDERS];
    for (int i = 0; i < SENDERS; i++) {
        ids[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, sender_main, &ids[i]), 0);
    }
    while (seen.count < SENDERS * NOTES) {
        assert_true(readable(20000));
        mailbox_deliver(seen.mailbox);
    }
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(seen.count, SENDERS * NOTES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order_and_wake, setup, teardown),
        cmocka_unit_test_setup_teardown(test_post_while_delivering, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nested_delivery_keeps_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_senders, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
