#include "core/retry.h"
#include <errno.h>
#include <time.h>

enum { RETRY_MIN_MSEC = 100, RETRY_MAX_MSEC = 3000 };

static void pause_usec(usec_t usec) {
    struct timespec left = {.tv_sec = (time_t)(usec / USEC_PER_SEC), .tv_nsec = (long)(usec % USEC_PER_SEC) * 1000};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}

bool retry_wait(bool (*attempt)(void *attempt_ctx, struct error *reterr), void *attempt_ctx, retry_on_wait *on_wait,
                void *ctx, struct error *reterr) {
    for (unsigned tries = 0;; tries++) {
        struct error why = {0};
        if (attempt(attempt_ctx, &why))
            return true;
        usec_t retry_in = clock_backoff_usec(tries, RETRY_MIN_MSEC * USEC_PER_MSEC, RETRY_MAX_MSEC * USEC_PER_MSEC);
        if (!error_is_retriable(&why) || (on_wait && !on_wait(ctx, &why, retry_in)))
            return error_set(reterr, why.code, "%s", why.message);
        pause_usec(retry_in);
    }
}
