#include "core/metrics.h"
#include "core/json_write.h"
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum metric_type { TYPE_COUNTER, TYPE_GAUGE, TYPE_HISTOGRAM };
static const char *const type_names[] = {"counter", "gauge", "histogram"};

enum { BOUNDS_MAX = 16 };

/* Upper bounds of buckets, and their names in the unit that is exported. */
struct scale {
    size_t count;
    double per_unit; /* what is observed, per unit exported */
    uint64_t bounds[BOUNDS_MAX];
    const char *names[BOUNDS_MAX];
};

static const struct scale scales[METRIC_SCALES] = {
    [METRIC_SECONDS] = {16, 1e6,
                        {500, 1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000, 500000, 1000000, 2000000, 5000000,
                         10000000, 20000000, 60000000},
                        {"0.0005", "0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1", "2", "5",
                         "10", "20", "60"}},
    [METRIC_COUNTS] = {14, 1,
                       {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000},
                       {"1", "2", "5", "10", "20", "50", "100", "200", "500", "1000", "2000", "5000", "10000", "20000"}},
    [METRIC_BYTES] = {9, 1,
                      {1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864},
                      {"1024", "4096", "16384", "65536", "262144", "1048576", "4194304", "16777216", "67108864"}},
};

struct histogram {
    const struct scale *scale;
    _Atomic uint64_t buckets[BOUNDS_MAX + 1]; /* the one at scale->count: above all bounds. Not cumulative. */
    _Atomic uint64_t sum;
};

struct metric {
    struct metric *next; /* of the same family */
    enum metric_type type;
    char *labels;
    _Atomic uint64_t count; /* counter */
    _Atomic double value;   /* gauge */
    double (*fn)(void *ctx);
    void *ctx;
    struct histogram *histogram;
};

struct family {
    struct family *next;
    char *name, *help;
    enum metric_type type;
    enum metric_scale scale; /* of histograms */
    struct metric *first, *last;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct family *families, *families_last;

static bool name_valid(const char *name) {
    static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:";
    static const char rest[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:0123456789";
    return name[0] && strchr(first, name[0]) && name[strspn(name, rest)] == '\0';
}

static void metric_free(struct metric *m) {
    if (!m)
        return;
    free(m->labels);
    free(m->histogram);
    free(m);
}

static void family_free(struct family *f) {
    if (!f)
        return;
    while (f->first) {
        struct metric *next = f->first->next;
        metric_free(f->first);
        f->first = next;
    }
    free(f->name);
    free(f->help);
    free(f);
}

static struct metric *metric_new(enum metric_type type, enum metric_scale scale, const char *labels) {
    struct metric *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    m->type = type;
    m->labels = strdup(labels);
    if (type == TYPE_HISTOGRAM)
        m->histogram = calloc(1, sizeof(*m->histogram));
    if (!m->labels || (type == TYPE_HISTOGRAM && !m->histogram)) {
        metric_free(m);
        return NULL;
    }
    if (m->histogram)
        m->histogram->scale = &scales[scale];
    return m;
}

static struct family *family_new(const char *name, const char *help, enum metric_type type) {
    struct family *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    f->type = type;
    f->name = strdup(name);
    f->help = strdup(help);
    if (!f->name || !f->help) {
        family_free(f);
        return NULL;
    }
    return f;
}

static struct family *get_family(const char *name, const char *help, enum metric_type type, enum metric_scale scale) {
    for (struct family *f = families; f; f = f->next)
        if (strcmp(f->name, name) == 0)
            return f->type == type ? f : NULL;
    struct family *f = name_valid(name) ? family_new(name, help, type) : NULL;
    if (!f)
        return NULL;
    f->scale = scale;
    if (families_last)
        families_last->next = f;
    else
        families = f;
    families_last = f;
    return f;
}

static struct metric *get_metric_locked(const char *name, const char *help, const char *labels, enum metric_type type,
                                        enum metric_scale scale) {
    struct family *f = get_family(name, help, type, scale);
    if (!f)
        return NULL;
    for (struct metric *m = f->first; m; m = m->next)
        if (strcmp(m->labels, labels) == 0)
            return m;
    struct metric *m = metric_new(type, f->scale, labels);
    if (!m)
        return NULL;
    if (f->last)
        f->last->next = m;
    else
        f->first = m;
    f->last = m;
    return m;
}

static struct metric *get_metric(const char *name, const char *help, const char *labels, enum metric_type type,
                                 enum metric_scale scale) {
    pthread_mutex_lock(&lock);
    struct metric *m = get_metric_locked(name, help, labels, type, scale);
    pthread_mutex_unlock(&lock);
    return m;
}

struct metric *metrics_counter(const char *name, const char *help, const char *labels) {
    return get_metric(name, help, labels, TYPE_COUNTER, METRIC_SECONDS);
}

struct metric *metrics_gauge(const char *name, const char *help, const char *labels) {
    return get_metric(name, help, labels, TYPE_GAUGE, METRIC_SECONDS);
}

struct metric *metrics_histogram(const char *name, const char *help, const char *labels) {
    return get_metric(name, help, labels, TYPE_HISTOGRAM, METRIC_SECONDS);
}

struct metric *metrics_histogram_of(const char *name, const char *help, const char *labels, enum metric_scale scale) {
    return get_metric(name, help, labels, TYPE_HISTOGRAM, scale);
}

static struct metric *get_fn(const char *name, const char *help, const char *labels, enum metric_type type,
                             double (*fn)(void *ctx), void *ctx) {
    pthread_mutex_lock(&lock);
    struct metric *m = get_metric_locked(name, help, labels, type, METRIC_SECONDS);
    if (m) {
        m->fn = fn;
        m->ctx = ctx;
        if (!fn)
            atomic_store_explicit(&m->value, NAN, memory_order_relaxed);
    }
    pthread_mutex_unlock(&lock);
    return m;
}

struct metric *metrics_gauge_fn(const char *name, const char *help, const char *labels, double (*fn)(void *ctx),
                                void *ctx) {
    return get_fn(name, help, labels, TYPE_GAUGE, fn, ctx);
}

struct metric *metrics_counter_fn(const char *name, const char *help, const char *labels, double (*fn)(void *ctx),
                                  void *ctx) {
    return get_fn(name, help, labels, TYPE_COUNTER, fn, ctx);
}

void metric_add(struct metric *m, uint64_t n) {
    if (!m)
        return;
    if (m->type == TYPE_COUNTER) {
        atomic_fetch_add_explicit(&m->count, n, memory_order_relaxed);
    } else if (m->type == TYPE_GAUGE) {
        double before = atomic_load_explicit(&m->value, memory_order_relaxed);
        while (!atomic_compare_exchange_weak_explicit(&m->value, &before, before + (double)n, memory_order_relaxed,
                                                      memory_order_relaxed))
            ;
    }
}

void metric_inc(struct metric *m) {
    metric_add(m, 1);
}

void metric_set(struct metric *m, double v) {
    if (m && m->type == TYPE_GAUGE)
        atomic_store_explicit(&m->value, v, memory_order_relaxed);
}

static size_t bucket_of(const struct scale *scale, uint64_t v) {
    size_t i = 0;
    while (i < scale->count && v > scale->bounds[i])
        i++;
    return i;
}

void metric_observe(struct metric *m, uint64_t v) {
    if (!m || m->type != TYPE_HISTOGRAM)
        return;
    struct histogram *h = m->histogram;
    atomic_fetch_add_explicit(&h->buckets[bucket_of(h->scale, v)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum, v, memory_order_relaxed);
}

/* A copy of the counters; returns their sum, so that the count always equals the +Inf bucket. */
static uint64_t read_buckets(const struct histogram *h, uint64_t ret[BOUNDS_MAX + 1]) {
    uint64_t total = 0;
    for (size_t i = 0; i <= h->scale->count; i++) {
        ret[i] = atomic_load_explicit(&h->buckets[i], memory_order_relaxed);
        total += ret[i];
    }
    return total;
}

double metric_value(const struct metric *m) {
    uint64_t buckets[BOUNDS_MAX + 1];
    if (!m)
        return 0;
    switch (m->type) {
    case TYPE_COUNTER:
        return m->fn ? m->fn(m->ctx) : (double)atomic_load_explicit(&m->count, memory_order_relaxed);
    case TYPE_HISTOGRAM:
        return (double)read_buckets(m->histogram, buckets);
    case TYPE_GAUGE:
        break;
    }
    return m->fn ? m->fn(m->ctx) : atomic_load_explicit(&m->value, memory_order_relaxed);
}

/* As histogram_quantile() of Prometheus: linear within the bucket; above the last bound, the last bound. */
double metric_quantile_usec(const struct metric *m, double q) {
    uint64_t buckets[BOUNDS_MAX + 1];
    if (!m || m->type != TYPE_HISTOGRAM)
        return 0;
    uint64_t total = read_buckets(m->histogram, buckets);
    if (total == 0)
        return 0;
    const struct scale *scale = m->histogram->scale;
    double rank = fmin(fmax(q, 0), 1) * (double)total, below = 0;
    for (size_t i = 0; i < scale->count; i++) {
        double here = (double)buckets[i];
        if (here > 0 && below + here >= rank) {
            double low = i ? (double)scale->bounds[i - 1] : 0;
            return low + ((double)scale->bounds[i] - low) * (rank - below) / here;
        }
        below += here;
    }
    return (double)scale->bounds[scale->count - 1];
}

static void write_name(struct buf *out, const char *name, const char *suffix, const char *labels, const char *le) {
    buf_append_str(out, name);
    buf_append_str(out, suffix);
    if (labels[0] || le) {
        buf_append_char(out, '{');
        buf_append_str(out, labels);
        if (le)
            buf_printf(out, "%sle=\"%s\"", labels[0] ? "," : "", le);
        buf_append_char(out, '}');
    }
    buf_append_char(out, ' ');
}

static void write_double(struct buf *out, double v) {
    char text[JSON_DOUBLE_SIZE];
    if (isfinite(v))
        buf_append(out, text, json_format_double(v, text));
    else
        buf_append_str(out, isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
    buf_append_char(out, '\n');
}

static void write_u64(struct buf *out, uint64_t v) {
    buf_append_u64(out, v);
    buf_append_char(out, '\n');
}

static void write_histogram(struct buf *out, const char *name, const struct metric *m) {
    uint64_t buckets[BOUNDS_MAX + 1], cumulative = 0;
    const struct scale *scale = m->histogram->scale;
    uint64_t total = read_buckets(m->histogram, buckets);
    for (size_t i = 0; i < scale->count; i++) {
        cumulative += buckets[i];
        write_name(out, name, "_bucket", m->labels, scale->names[i]);
        write_u64(out, cumulative);
    }
    write_name(out, name, "_bucket", m->labels, "+Inf");
    write_u64(out, total);
    write_name(out, name, "_sum", m->labels, NULL);
    write_double(out, (double)atomic_load_explicit(&m->histogram->sum, memory_order_relaxed) / scale->per_unit);
    write_name(out, name, "_count", m->labels, NULL);
    write_u64(out, total);
}

static void write_metric(struct buf *out, const char *name, const struct metric *m) {
    switch (m->type) {
    case TYPE_HISTOGRAM:
        write_histogram(out, name, m);
        break;
    case TYPE_COUNTER:
        write_name(out, name, "", m->labels, NULL);
        if (m->fn)
            write_double(out, metric_value(m));
        else
            write_u64(out, atomic_load_explicit(&m->count, memory_order_relaxed));
        break;
    case TYPE_GAUGE:
        write_name(out, name, "", m->labels, NULL);
        write_double(out, metric_value(m));
        break;
    }
}

/* https://prometheus.io/docs/instrumenting/exposition_formats/: in HELP, backslash and line feed are escaped. */
static void write_family(struct buf *out, const struct family *f) {
    buf_printf(out, "# HELP %s ", f->name);
    for (const char *s = f->help; *s; s++) {
        if (*s == '\\' || *s == '\n')
            buf_append_str(out, *s == '\n' ? "\\n" : "\\\\");
        else
            buf_append_char(out, *s);
    }
    buf_printf(out, "\n# TYPE %s %s\n", f->name, type_names[f->type]);
    for (const struct metric *m = f->first; m; m = m->next)
        write_metric(out, f->name, m);
}

void metrics_write(struct buf *out) {
    pthread_mutex_lock(&lock);
    for (const struct family *f = families; f; f = f->next)
        write_family(out, f);
    pthread_mutex_unlock(&lock);
}

bool metrics_append_label(struct buf *out, const char *name, const char *value) {
    buf_printf(out, "%s%s=\"", out->len ? "," : "", name);
    for (const char *s = value; *s; s++) {
        if (*s == '\\' || *s == '"')
            buf_append_char(out, '\\');
        if (*s == '\n')
            buf_append_str(out, "\\n");
        else
            buf_append_char(out, *s);
    }
    return buf_append_char(out, '"');
}

void metrics_done(void) {
    pthread_mutex_lock(&lock);
    while (families) {
        struct family *next = families->next;
        family_free(families);
        families = next;
    }
    families_last = NULL;
    pthread_mutex_unlock(&lock);
}
