/* metrics.h - counters, gauges and histograms in Prometheus text format 0.0.4.
 *
 * Register at start (not thread-safe against metrics_write before the first scrape; registration takes a lock,
 * updates are relaxed atomics and never block). The same name and labels give the same metric back. Names
 * follow the conventions: readside_<program>_<what>_<unit>[_total]. labels is "" or `a="b",c="d"`; values must
 * be escaped already (metrics_append_label does) and of bounded variety.
 * Without memory, for a bad name or for a name that has another type, NULL comes back, and every function takes
 * NULL and does nothing: counting never fails its caller. */
#pragma once
#include "core/buf.h"
#include "core/clock.h"

struct metric;

struct metric *metrics_counter(const char *name, const char *help, const char *labels);
struct metric *metrics_gauge(const char *name, const char *help, const char *labels);
/* Durations in microseconds, exported in seconds; 0.5 ms to 60 s in 1-2-5 steps. */
struct metric *metrics_histogram(const char *name, const char *help, const char *labels);
/* Of something else than time. COUNTS: 1 to 20,000 in 1-2-5 steps; BYTES: 1 KiB to 64 MiB in steps of 4. The family's
 * scale is that of its first metric. */
enum metric_scale { METRIC_SECONDS, METRIC_COUNTS, METRIC_BYTES, METRIC_SCALES };
struct metric *metrics_histogram_of(const char *name, const char *help, const char *labels, enum metric_scale scale);
/* A gauge read at scrape time, on the scraping thread, under the registry's lock: fn must not register metrics.
 * Registering it again replaces fn and ctx; fn NULL takes it away (NaN from then on), before ctx goes. */
struct metric *metrics_gauge_fn(const char *name, const char *help, const char *labels, double (*fn)(void *ctx),
                                void *ctx);

/* The same for a number that only grows. */
struct metric *metrics_counter_fn(const char *name, const char *help, const char *labels, double (*fn)(void *ctx),
                                  void *ctx);

void metric_add(struct metric *m, uint64_t n);
void metric_inc(struct metric *m);
void metric_set(struct metric *m, double v);
void metric_observe(struct metric *m, uint64_t v); /* microseconds, or what the scale counts */
double metric_value(const struct metric *m); /* counter or gauge: value; histogram: count */
/* The quantile (0..1) of a histogram in microseconds, interpolated within its bucket; 0 if empty. */
double metric_quantile_usec(const struct metric *m, double q);

/* Appends name="value" with value escaped, after a comma if out holds labels already. */
bool metrics_append_label(struct buf *out, const char *name, const char *value);

void metrics_write(struct buf *out);
void metrics_done(void); /* frees everything, at exit */
