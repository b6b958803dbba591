/* log.h - one event per line on stderr, logfmt or JSON.
 *
 *   log_info("lane.sent", LOG_STR("index", index), LOG_INT("docs", n), LOG_USEC("took", usec));
 *   -> ts=2026-01-02T03:04:05.678901Z level=info program=projector event=lane.sent index=... docs=12 took_ms=3.2
 *
 * One write(2) per line, so that lines of threads never mix. The trace id of the current thread
 * (log_set_trace) is added as trace_id. Values are escaped; secrets are never passed in.
 * A flood is held back: the same event more than 20 times a second is counted and the count said once
 * (event=log.held_back held_event=... count=...) with the first line after that second, or by log_flush.
 * Thread: any, after log_init. Only entry points log, library code returns errors. */
#pragma once
#include "core/error.h"
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

enum log_field_type { LOG_FIELD_STR, LOG_FIELD_INT, LOG_FIELD_DOUBLE, LOG_FIELD_USEC, LOG_FIELD_ERROR };
struct log_field {
    const char *name;
    enum log_field_type type;
    union {
        const char *s;
        int64_t i;
        double d;
        const struct error *e;
    } u;
};
#define LOG_STR(n, v) ((struct log_field){.name = (n), .type = LOG_FIELD_STR, .u.s = (v)})
#define LOG_INT(n, v) ((struct log_field){.name = (n), .type = LOG_FIELD_INT, .u.i = (int64_t)(v)})
#define LOG_DOUBLE(n, v) ((struct log_field){.name = (n), .type = LOG_FIELD_DOUBLE, .u.d = (v)})
#define LOG_USEC(n, v) ((struct log_field){.name = (n), .type = LOG_FIELD_USEC, .u.i = (int64_t)(v)})
/* Adds error=<CODE> message="..." */
#define LOG_ERR(err) ((struct log_field){.name = "error", .type = LOG_FIELD_ERROR, .u.e = (err)})

void log_init(const char *program, enum log_level level, enum log_format format);
void log_set_level(enum log_level level); /* thread-safe, for SIGHUP */
void log_set_trace(const char *trace_id_hex); /* of the calling thread; NULL clears; copied */
bool log_enabled(enum log_level level);
void log_flush(void); /* says the counts that are still held back; before exit */

void log_event(enum log_level level, const char *event, const struct log_field *fields, int count);
#define log_fields_(level, event, ...)                                                             \
    do {                                                                                           \
        if (log_enabled(level)) {                                                                  \
            const struct log_field log_f_[] = {LOG_STR("", ""), ##__VA_ARGS__};                    \
            log_event(level, event, log_f_ + 1, (int)(sizeof(log_f_) / sizeof(log_f_[0])) - 1);    \
        }                                                                                          \
    } while (0)
#define log_debug(event, ...) log_fields_(LOG_DEBUG, event, ##__VA_ARGS__)
#define log_info(event, ...) log_fields_(LOG_INFO, event, ##__VA_ARGS__)
#define log_warn(event, ...) log_fields_(LOG_WARN, event, ##__VA_ARGS__)
#define log_error(event, ...) log_fields_(LOG_ERROR, event, ##__VA_ARGS__)
