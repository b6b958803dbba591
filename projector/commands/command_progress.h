/* command_progress.h - how a command shows long work: a bar with rate and ETA on a terminal, a plain line every few
 * seconds elsewhere, JSON lines with --json.
 *
 *   struct command_progress p;
 *   command_progress_init(&p, json);
 *   while (...) command_progress_update(&p, "mark", done, total, "documents", throttle_note);
 *   command_progress_done(&p);
 *
 *   mark     [##########----------]  52% 104,000 of 200,000 documents, 13,120/s, 8 s left
 *
 * Bar and plain lines go to stderr, JSON to stdout: {"event":"progress","phase":"mark","done":104000,"total":200000,
 * "unit":"documents","rate":13120.1,"eta_seconds":7.3,"note":"..."}.
 * The rate is a moving average over the phase; a phase that changes, or a count that goes back, begins anew.
 * Thread: one owner. */
#pragma once
#include "core/buf.h"
#include "core/clock.h"
#include <stdio.h>

#define COMMAND_PROGRESS_PHASE 24

struct command_progress {
    FILE *out;
    bool json, terminal;
    bool drawn;         /* a bar stands on the current line */
    char phase[COMMAND_PROGRESS_PHASE];
    int64_t done;       /* at the last observation */
    usec_t observed_at; /* of the rate; 0: none yet */
    double rate;        /* per second; 0: not known */
    usec_t shown_at;
    usec_t interval_usec; /* between lines that are no bar */
};

void command_progress_init(struct command_progress *p, bool json);
/* total 0: not known. note: may be NULL. Cheap: draws only when it is time. */
void command_progress_update(struct command_progress *p, const char *phase, int64_t done, int64_t total,
                             const char *unit, const char *note);
/* A line of its own, above the bar; an "event":"message" with --json. */
void command_progress_say(struct command_progress *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Ends the bar's line. */
void command_progress_done(struct command_progress *p);

/* -- the pure parts -- */

/* Takes an observation over and returns the rate per second, 0 while it is not known. */
double command_progress_observe(struct command_progress *p, const char *phase, int64_t done, usec_t now);
/* Seconds left; negative: not known. */
double command_progress_eta(int64_t done, int64_t total, double rate);
/* "1,234,567" */
void command_format_count(struct buf *out, int64_t n);
/* "45 s", "3 min 10 s", "2 h 05 min" */
void command_format_seconds(struct buf *out, double seconds);
/* One line without line feed; width: columns of the terminal, 0: no bar, only words. */
void command_format_progress(struct buf *out, unsigned width, const char *phase, int64_t done, int64_t total,
                             const char *unit, double rate, const char *note);
