#include "core/log.h"
#include "core/clock.h"
#include "core/hash.h"
#include "core/json_write.h"
#include "core/utf8.h"
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { LINE_BYTES = 8192, VALUE_BYTES = 2048, EVENT_BYTES = 64, FLOOD_SLOTS = 128, FLOOD_PROBES = 8, FLOOD_MAX = 20 };

static char program_name[32];
static atomic_int current_level = LOG_INFO;
static enum log_format current_format;
static _Thread_local char trace_id[33];

/* A line is built on the stack, so that logging works without memory. The last bytes are kept free for the end. */
struct line {
    size_t len;
    bool full;
    char text[LINE_BYTES];
};
enum { LINE_END_BYTES = 32 };

static void put(struct line *l, const char *s, size_t len) {
    if (len > sizeof(l->text) - LINE_END_BYTES - l->len) {
        l->full = true;
        return;
    }
    memcpy(l->text + l->len, s, len);
    l->len += len;
}

static void put_str(struct line *l, const char *s) {
    put(l, s, strlen(s));
}

static void put_escape(struct line *l, unsigned char c) {
    static const char digits[] = "0123456789abcdef";
    char text[6] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
    if (c == '\n' || c == '\t' || c == '\r' || c == '"' || c == '\\') {
        text[1] = c == '\n' ? 'n' : c == '\t' ? 't' : c == '\r' ? 'r' : (char)c;
        put(l, text, 2);
    } else {
        put(l, text, 6);
    }
}

/* A byte that is no UTF-8 becomes U+FFFD; a line is always text. */
static void put_quoted(struct line *l, const char *s, size_t len) {
    put(l, "\"", 1);
    for (size_t i = 0, n; i < len && !l->full; i += n) {
        uint32_t cp;
        n = utf8_decode(s + i, len - i, &cp);
        if (n == 0) {
            put_str(l, "\xEF\xBF\xBD");
            n = 1;
        } else if (n == 1 && (cp < 0x20 || cp == 0x7F || cp == '"' || cp == '\\')) {
            put_escape(l, (unsigned char)cp);
        } else {
            put(l, s + i, n);
        }
    }
    put(l, "\"", 1);
}

static bool is_bare(const char *s, size_t len) {
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7F)
            return false;
    }
    return len > 0 && utf8_valid(s, len);
}

static void put_name(struct line *l, const char *name) {
    if (current_format == LOG_FORMAT_JSON) {
        put(l, l->len ? ",\"" : "{\"", 2);
        put_str(l, name);
        put(l, "\":", 2);
    } else {
        if (l->len)
            put(l, " ", 1);
        put_str(l, name);
        put(l, "=", 1);
    }
}

static void put_text_field(struct line *l, const char *name, const char *value) {
    size_t len = strnlen(value, VALUE_BYTES + 1);
    if (len > VALUE_BYTES)
        len = utf8_valid(value, len) ? utf8_cut(value, len, VALUE_BYTES) : VALUE_BYTES;
    put_name(l, name);
    if (current_format == LOG_FORMAT_LOGFMT && is_bare(value, len))
        put(l, value, len);
    else
        put_quoted(l, value, len);
}

static void put_number_field(struct line *l, const char *name, double v) {
    char text[JSON_DOUBLE_SIZE];
    put_name(l, name);
    if (isfinite(v))
        put(l, text, json_format_double(v, text));
    else
        put_str(l, current_format == LOG_FORMAT_JSON ? "null" : isnan(v) ? "nan" : v > 0 ? "inf" : "-inf");
}

static void put_int_field(struct line *l, const char *name, int64_t v) {
    char text[24];
    int n = snprintf(text, sizeof(text), "%lld", (long long)v);
    put_name(l, name);
    put(l, text, (size_t)n);
}

static void put_field(struct line *l, const struct log_field *f) {
    char name[72];
    switch (f->type) {
    case LOG_FIELD_STR:
        put_text_field(l, f->name, f->u.s ? f->u.s : "");
        break;
    case LOG_FIELD_INT:
        put_int_field(l, f->name, f->u.i);
        break;
    case LOG_FIELD_DOUBLE:
        put_number_field(l, f->name, f->u.d);
        break;
    case LOG_FIELD_USEC:
        snprintf(name, sizeof(name), "%s_ms", f->name);
        put_number_field(l, name, (double)f->u.i / 1000);
        break;
    case LOG_FIELD_ERROR:
        if (f->u.e) {
            put_text_field(l, f->name, error_code_name(f->u.e->code));
            put_text_field(l, "message", f->u.e->message);
        }
        break;
    }
}

static void write_all(const char *s, size_t len) {
    while (len) {
        ssize_t n = write(STDERR_FILENO, s, len);
        if (n < 0 && errno != EINTR)
            return; /* nobody can be told */
        if (n > 0) {
            s += n;
            len -= (size_t)n;
        }
    }
}

static void write_line(enum log_level level, const char *event, const struct log_field *fields, int count) {
    static const char *const level_names[] = {"debug", "info", "warn", "error"};
    struct line l;
    l.len = 0;
    l.full = false;
    char ts[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(clock_wall_usec(), ts);
    put_text_field(&l, "ts", ts);
    put_text_field(&l, "level", level_names[level]);
    if (program_name[0])
        put_text_field(&l, "program", program_name);
    put_text_field(&l, "event", event);
    if (trace_id[0])
        put_text_field(&l, "trace_id", trace_id);
    for (int i = 0; i < count && !l.full; i++) {
        size_t before = l.len;
        put_field(&l, &fields[i]);
        if (l.full)
            l.len = before; /* a field is whole or absent */
    }
    bool json = current_format == LOG_FORMAT_JSON;
    const char *end = l.full ? (json ? ",\"truncated\":true}\n" : " truncated=true\n") : (json ? "}\n" : "\n");
    size_t end_len = strlen(end);
    memcpy(l.text + l.len, end, end_len); /* fits into LINE_END_BYTES */
    write_all(l.text, l.len + end_len);
}

/* How often an event was logged in the second that began at since. Slots are found by the event's hash; an event
 * whose FLOOD_PROBES places are all taken within this second is not held back. */
struct flood_slot {
    char event[EVENT_BYTES];
    usec_t since;
    uint64_t count;
};
static pthread_mutex_t flood_lock = PTHREAD_MUTEX_INITIALIZER;
static struct flood_slot flood_slots[FLOOD_SLOTS];

struct held_back {
    char event[EVENT_BYTES];
    uint64_t count;
};

static bool slot_over(const struct flood_slot *s, usec_t now) {
    return now - s->since >= USEC_PER_SEC;
}

static struct flood_slot *find_slot(const char *event, usec_t now) {
    size_t start = (size_t)hash_bytes(event, strlen(event));
    struct flood_slot *free_slot = NULL;
    for (size_t i = 0; i < FLOOD_PROBES; i++) {
        struct flood_slot *s = &flood_slots[(start + i) % FLOOD_SLOTS];
        if (strncmp(s->event, event, EVENT_BYTES - 1) == 0)
            return s;
        if (!free_slot && (!s->event[0] || (slot_over(s, now) && s->count <= FLOOD_MAX)))
            free_slot = s;
    }
    if (free_slot) {
        *free_slot = (struct flood_slot){.since = now};
        memcpy(free_slot->event, event, strnlen(event, EVENT_BYTES - 1));
    }
    return free_slot;
}

/* True if this one is to be written. */
static bool flood_pass(const char *event, usec_t now) {
    struct flood_slot *s = find_slot(event, now);
    if (!s)
        return true;
    if (slot_over(s, now) && s->count <= FLOOD_MAX) {
        s->since = now;
        s->count = 0;
    }
    s->count++;
    return s->count <= FLOOD_MAX;
}

/* Takes out one count of a second that is over (or of any, if all). */
static bool flood_take(usec_t now, bool all, struct held_back *ret) {
    for (size_t i = 0; i < FLOOD_SLOTS; i++) {
        struct flood_slot *s = &flood_slots[i];
        if (s->count > FLOOD_MAX && (all || slot_over(s, now))) {
            memcpy(ret->event, s->event, EVENT_BYTES);
            ret->count = s->count - FLOOD_MAX;
            s->count = 0;
            s->since = now;
            return true;
        }
    }
    return false;
}

static void say_held_back(bool all) {
    struct held_back h;
    for (;;) {
        pthread_mutex_lock(&flood_lock);
        bool found = flood_take(clock_now_usec(), all, &h);
        pthread_mutex_unlock(&flood_lock);
        if (!found)
            return;
        const struct log_field fields[] = {LOG_STR("held_event", h.event), LOG_INT("count", h.count)};
        write_line(LOG_WARN, "log.held_back", fields, 2);
    }
}

void log_event(enum log_level level, const char *event, const struct log_field *fields, int count) {
    if (!log_enabled(level))
        return;
    int saved_errno = errno;
    say_held_back(false);
    pthread_mutex_lock(&flood_lock);
    bool pass = flood_pass(event, clock_now_usec());
    pthread_mutex_unlock(&flood_lock);
    if (pass)
        write_line(level, event, fields, count);
    errno = saved_errno;
}

void log_flush(void) {
    int saved_errno = errno;
    say_held_back(true);
    errno = saved_errno;
}

void log_init(const char *program, enum log_level level, enum log_format format) {
    snprintf(program_name, sizeof(program_name), "%s", program ? program : "");
    current_format = format;
    log_set_level(level);
}

void log_set_level(enum log_level level) {
    atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
}

void log_set_trace(const char *trace_id_hex) {
    snprintf(trace_id, sizeof(trace_id), "%s", trace_id_hex ? trace_id_hex : "");
}

bool log_enabled(enum log_level level) {
    return (int)level >= atomic_load_explicit(&current_level, memory_order_relaxed);
}
