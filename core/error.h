/* error.h - one error type, on the caller's stack.
 *
 * A function that can fail returns bool (or a pointer) and takes `struct error *reterr` last. reterr may be
 * NULL. On success it is left untouched. A message names the thing, the value and what to do about it.
 * Library code never logs; entry points do. Thread: any; nothing here has state. */
#pragma once
#include <stdarg.h>
#include <stdbool.h>

enum error_code {
    ERROR_NONE = 0,
    ERROR_INVALID,      /* the input is wrong; the same input will always fail */
    ERROR_NOT_FOUND,
    ERROR_CONFLICT,     /* somebody else changed it, or it exists already */
    ERROR_OVERLOADED,   /* a limit of ours is reached now; try later */
    ERROR_TIMEOUT,      /* no answer within the deadline; the effect is unknown */
    ERROR_UNAVAILABLE,  /* a server cannot be reached or is not fit to answer */
    ERROR_HISTORY_LOST, /* the position to resume from is gone (oplog truncated, collection dropped) */
    ERROR_CORRUPT,      /* stored data is not what we wrote */
    ERROR_INTERNAL,     /* a bug or an exhausted resource (memory, descriptors) */
};

struct error {
    enum error_code code;
    char message[240];
};

/* Sets *reterr (if not NULL) and returns false, so that `return error_set(...)` reads well.
 * A message that is too long is cut at a UTF-8 boundary. */
bool error_set(struct error *reterr, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool error_setv(struct error *reterr, enum error_code code, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

/* Puts "context: " before the message that is there. Returns false. */
bool error_prefix(struct error *reterr, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ERROR_INTERNAL "out of memory"; returns false. */
bool error_nomem(struct error *reterr);

/* OVERLOADED, TIMEOUT and UNAVAILABLE: the same call may succeed later. */
bool error_is_retriable(const struct error *error);

/* "INVALID", "NOT_FOUND", ... never NULL. */
const char *error_code_name(enum error_code code);

/* The one table from error codes to HTTP status: 400 404 409 503 504 503 503 500 500. */
int error_http_status(enum error_code code);
