#include "write-api/transaction.h"
#include <time.h>

enum { ATTEMPTS = 12, PAUSE_MIN_USEC = 500, PAUSE_MAX_USEC = 50000 };

/* Past the deadline the client has been told to try again: stored now, its change would be made twice. */
static bool run_once(struct session *s, usec_t deadline, transaction_body *body, void *ctx, struct error *ret) {
    if (!mysql_session_begin(s->mysql, ret))
        return false;
    if (body(s, ctx, ret)) {
        if (clock_now_usec() < deadline)
            return mysql_session_commit(s->mysql, ret);
        error_set(ret, ERROR_OVERLOADED, "the transaction was not ready before its deadline and was rolled back");
    }
    mysql_session_rollback(s->mysql);
    return false;
}

/* The victims of one deadlock must not meet again at once. */
static void pause_before(unsigned attempt) {
    usec_t usec = clock_backoff_usec(attempt, PAUSE_MIN_USEC, PAUSE_MAX_USEC);
    struct timespec t = {.tv_sec = (time_t)(usec / USEC_PER_SEC), .tv_nsec = (long)(usec % USEC_PER_SEC) * 1000};
    nanosleep(&t, NULL);
}

bool transaction_run(struct session *s, usec_t deadline, transaction_body *body, void *ctx, struct error *reterr) {
    for (unsigned attempt = 0;; attempt++) {
        struct error error = {0};
        if (run_once(s, deadline, body, ctx, &error))
            return true;
        bool again = error.code == ERROR_OVERLOADED && attempt + 1 < ATTEMPTS && clock_now_usec() < deadline;
        if (!again) {
            *reterr = error;
            return false;
        }
        pause_before(attempt);
    }
}
