#include "core/cleanup.h"
#include "core/json_write.h"
#include "projector/commands/command_progress.h"
#include <math.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    BAR_COLUMNS_MAX = 32,
    BAR_COLUMNS_MIN = 8,
    WORDS_COLUMNS = 64, /* what stands beside the bar */
    BAR_USEC = 100 * 1000,
    LINE_USEC = 3 * 1000 * 1000,
    RATE_WINDOW_USEC = 200 * 1000, /* an observation of the rate takes at least so long */
};
#define RATE_HALF_LIFE_SECONDS 3.0
#define RATE_MIN 0.05 /* less is standing still */

void command_progress_init(struct command_progress *p, bool json) {
    *p = (struct command_progress){.out = json ? stdout : stderr, .json = json};
    p->terminal = !json && isatty(fileno(p->out));
    p->interval_usec = json ? USEC_PER_SEC : LINE_USEC;
}

/* -- the pure parts -- */

double command_progress_observe(struct command_progress *p, const char *phase, int64_t done, usec_t now) {
    bool anew = p->observed_at == 0 || done < p->done || strncmp(p->phase, phase, sizeof(p->phase) - 1) != 0;
    if (anew) {
        snprintf(p->phase, sizeof(p->phase), "%s", phase);
        p->rate = 0;
    } else if (now - p->observed_at < RATE_WINDOW_USEC) {
        return p->rate;
    } else {
        double seconds = (double)(now - p->observed_at) / 1e6;
        double rate = (double)(done - p->done) / seconds;
        double weight = 1 - exp2(-seconds / RATE_HALF_LIFE_SECONDS);
        p->rate = p->rate > 0 ? p->rate + weight * (rate - p->rate) : rate;
        if (p->rate < RATE_MIN)
            p->rate = 0;
    }
    p->done = done;
    p->observed_at = now;
    return p->rate;
}

/* What was counted may have become more since. */
static int64_t total_now(int64_t done, int64_t total) {
    return total > 0 && total < done ? done : total;
}

double command_progress_eta(int64_t done, int64_t total, double rate) {
    if (total <= 0 || rate <= 0)
        return -1;
    return done >= total ? 0 : (double)(total - done) / rate;
}

void command_format_count(struct buf *out, int64_t n) {
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%lld", (long long)n), first = digits[0] == '-';
    for (int i = 0; i < len; i++) {
        if (i > first && (len - i) % 3 == 0)
            buf_append_char(out, ',');
        buf_append_char(out, digits[i]);
    }
}

void command_format_seconds(struct buf *out, double seconds) {
    long long s = seconds < 1e15 ? (long long)ceil(seconds) : (long long)1e15;
    if (s < 60)
        buf_printf(out, "%lld s", s);
    else if (s < 3600)
        buf_printf(out, "%lld min %02lld s", s / 60, s % 60);
    else
        buf_printf(out, "%lld h %02lld min", s / 3600, s % 3600 / 60);
}

static void format_bar(struct buf *out, unsigned width, int64_t done, int64_t total) {
    unsigned columns = width > WORDS_COLUMNS + BAR_COLUMNS_MIN ? width - WORDS_COLUMNS : BAR_COLUMNS_MIN;
    if (columns > BAR_COLUMNS_MAX)
        columns = BAR_COLUMNS_MAX;
    double part = done >= total ? 1 : (double)done / (double)total;
    buf_append_char(out, '[');
    for (unsigned i = 0; i < columns; i++)
        buf_append_char(out, (double)i < part * columns ? '#' : '-');
    buf_printf(out, "] %3d%% ", (int)(part * 100));
}

void command_format_progress(struct buf *out, unsigned width, const char *phase, int64_t done, int64_t total,
                             const char *unit, double rate, const char *note) {
    buf_printf(out, width ? "%-8s " : "%s: ", phase);
    if (width && total > 0)
        format_bar(out, width, done, total);
    command_format_count(out, done);
    if (total > 0) {
        buf_append_str(out, " of ");
        command_format_count(out, total_now(done, total));
    }
    buf_printf(out, " %s", unit);
    if (rate > 0) {
        buf_append_str(out, ", ");
        command_format_count(out, (int64_t)(rate + 0.5));
        buf_append_str(out, "/s");
    }
    double eta = command_progress_eta(done, total, rate);
    if (eta > 0) {
        buf_append_str(out, ", ");
        command_format_seconds(out, eta);
        buf_append_str(out, " left");
    }
    if (note && *note)
        buf_printf(out, " (%s)", note);
}

/* -- showing -- */

static unsigned columns_of(FILE *out) {
    struct winsize size;
    return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static void show_json(struct command_progress *p, int64_t done, int64_t total, const char *unit, const char *note) {
    _cleanup_(buf_done) struct buf line = BUF_INIT(4096);
    struct json_write w;
    json_write_init(&w, &line);
    json_write_object(&w);
    json_write_key(&w, "event");
    json_write_str(&w, "progress");
    json_write_key(&w, "phase");
    json_write_str(&w, p->phase);
    json_write_key(&w, "done");
    json_write_int(&w, done);
    json_write_key(&w, "total");
    json_write_int(&w, total_now(done, total));
    json_write_key(&w, "unit");
    json_write_str(&w, unit);
    json_write_key(&w, "rate");
    json_write_double(&w, p->rate);
    double eta = command_progress_eta(done, total, p->rate);
    if (eta >= 0) {
        json_write_key(&w, "eta_seconds");
        json_write_double(&w, eta);
    }
    if (note && *note) {
        json_write_key(&w, "note");
        json_write_str(&w, note);
    }
    json_write_object_end(&w);
    if (json_write_finish(&w))
        fprintf(p->out, "%s\n", line.data);
}

void command_progress_update(struct command_progress *p, const char *phase, int64_t done, int64_t total,
                             const char *unit, const char *note) {
    usec_t now = clock_now_usec();
    bool new_phase = strncmp(p->phase, phase, sizeof(p->phase) - 1) != 0;
    double rate = command_progress_observe(p, phase, done, now);
    if (!new_phase && p->shown_at && now - p->shown_at < (p->terminal ? BAR_USEC : p->interval_usec))
        return;
    p->shown_at = now;
    if (p->json) {
        show_json(p, done, total, unit, note);
    } else {
        _cleanup_(buf_done) struct buf line = BUF_INIT(4096);
        unsigned columns = p->terminal ? columns_of(p->out) : 0;
        command_format_progress(&line, columns, phase, done, total, unit, rate, note);
        if (!buf_ok(&line))
            return;
        if (p->terminal)
            fprintf(p->out, "\r\033[K%.*s", (int)columns - 1, line.data);
        else
            fprintf(p->out, "%s\n", line.data);
        p->drawn = p->terminal;
    }
    fflush(p->out);
}

void command_progress_say(struct command_progress *p, const char *format, ...) {
    _cleanup_(buf_done) struct buf text = BUF_INIT(16 << 10);
    _cleanup_(buf_done) struct buf line = BUF_INIT(64 << 10);
    va_list args;
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    if (!buf_ok(&text))
        return;
    if (p->json) {
        buf_append_str(&line, "{\"event\":\"message\",\"message\":");
        json_append_string(&line, text.data, text.len);
        buf_append_char(&line, '}');
    } else {
        buf_append(&line, text.data, text.len);
    }
    if (buf_ok(&line))
        fprintf(p->out, "%s%s\n", p->drawn ? "\r\033[K" : "", line.data);
    p->drawn = false;
    fflush(p->out);
}

void command_progress_done(struct command_progress *p) {
    if (p->drawn)
        fputc('\n', p->out);
    p->drawn = false;
    fflush(p->out);
}
