#include "core/cleanup.h"
#include "core/daemon.h"
#include "core/daemon_internal.h"
#include "core/json_write.h"
#include "core/metrics.h"
#include "core/openapi.h"
#include "core/utf8.h"
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define METRICS_MAX_BYTES ((size_t)16 << 20)
#define OPENAPI_MAX_BYTES ((size_t)1 << 20)
#define HEALTH_MAX_BYTES ((size_t)64 << 10)

struct daemon_condition {
    struct daemon_condition *next;
    const char *name;
    bool ready, degraded;
    char reason[200];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct daemon_condition *conditions; /* under the lock; in the order of making */
static const char *program = "readside";
static usec_t started_at;

static void copy_reason(struct daemon_condition *c, const char *reason) {
    size_t len = strlen(reason);
    size_t kept = utf8_valid(reason, len) ? utf8_cut(reason, len, sizeof(c->reason) - 1) : 0;
    memcpy(c->reason, reason, kept);
    c->reason[kept] = '\0';
}

struct daemon_condition *daemon_condition_new(const char *name, bool ready, const char *reason) {
    pthread_mutex_lock(&lock);
    struct daemon_condition **end = &conditions;
    while (*end && strcmp((*end)->name, name) != 0)
        end = &(*end)->next;
    if (!*end) {
        *end = calloc(1, sizeof(**end));
        if (*end)
            (*end)->name = name;
    }
    struct daemon_condition *c = *end;
    if (c) {
        c->ready = ready;
        copy_reason(c, reason ? reason : "");
    }
    pthread_mutex_unlock(&lock);
    return c;
}

static void set(struct daemon_condition *c, bool ready, bool degraded, const char *reason) {
    if (!c)
        return;
    pthread_mutex_lock(&lock);
    c->ready = ready;
    c->degraded = degraded;
    if (reason)
        copy_reason(c, reason);
    pthread_mutex_unlock(&lock);
}

void daemon_condition_set(struct daemon_condition *c, bool ready, const char *reason) {
    set(c, ready, false, reason);
}

void daemon_condition_set_degraded(struct daemon_condition *c, const char *reason) {
    set(c, true, true, reason);
}

static bool degraded_locked(void) {
    for (const struct daemon_condition *c = conditions; c; c = c->next)
        if (c->degraded)
            return true;
    return false;
}

static bool ready_locked(void) {
    for (const struct daemon_condition *c = conditions; c; c = c->next)
        if (!c->ready)
            return false;
    return true;
}

bool daemon_ready(void) {
    pthread_mutex_lock(&lock);
    bool ready = ready_locked();
    pthread_mutex_unlock(&lock);
    return ready;
}

void daemon_health_done(void) {
    pthread_mutex_lock(&lock);
    while (conditions) {
        struct daemon_condition *next = conditions->next;
        free(conditions);
        conditions = next;
    }
    pthread_mutex_unlock(&lock);
}

/* -- metrics of the process, as Prometheus clients name them -- */

static double resident_bytes(void *ctx) {
    long pages = 0;
    (void)ctx;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%*s %ld", &pages) != 1)
        pages = 0;
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double cpu_seconds(void *ctx) {
    struct rusage usage;
    (void)ctx;
    if (getrusage(RUSAGE_SELF, &usage) < 0)
        return 0;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double open_descriptors(void *ctx) {
    double count = 0;
    (void)ctx;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return 0;
    for (const struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count - 1; /* the directory itself */
}

static double readiness(void *ctx) {
    (void)ctx;
    return daemon_ready() ? 1 : 0;
}

static double degradation(void *ctx) {
    (void)ctx;
    pthread_mutex_lock(&lock);
    bool degraded = degraded_locked();
    pthread_mutex_unlock(&lock);
    return degraded ? 1 : 0;
}

void daemon_health_start(const char *program_name) {
    program = program_name;
    started_at = clock_now_usec();
    char labels[128];
    (void)snprintf(labels, sizeof(labels), "program=\"%s\",version=\"%s\"", program, READSIDE_VERSION);
    struct metric *info = metrics_gauge("readside_build_info", "Always 1; the labels say what runs", labels);
    struct metric *start = metrics_gauge("process_start_time_seconds", "Start of the process, in Unix time", "");
    if (info)
        metric_set(info, 1);
    if (start)
        metric_set(start, (double)clock_wall_usec() / 1e6);
    metrics_gauge_fn("readside_ready", "1 if /readyz answers 200", "", readiness, NULL);
    metrics_gauge_fn("readside_degraded", "1 if /readyz answers 200 but names something that is not as it should be", "",
                     degradation, NULL);
    metrics_gauge_fn("process_resident_memory_bytes", "Resident memory", "", resident_bytes, NULL);
    metrics_counter_fn("process_cpu_seconds_total", "User and system CPU time", "", cpu_seconds, NULL);
    metrics_gauge_fn("process_open_fds", "Open descriptors", "", open_descriptors, NULL);
}

/* -- routes -- */

static void reply_json(struct http_request *request, int status, struct json_write *w, struct buf *out) {
    json_write_object_end(w);
    if (json_write_finish(w) && buf_append_char(out, '\n')) {
        http_reply(request, status, NULL, out);
        return;
    }
    buf_done(out);
    struct error error;
    error_nomem(&error);
    http_reply_error(request, &error);
}

void daemon_handle_healthz(struct http_request *request, void *ctx) {
    (void)ctx;
    struct buf out = BUF_INIT(HEALTH_MAX_BYTES);
    struct json_write w;
    if (!json_write_init(&w, &out)) {
        http_reply_empty(request, 200);
        return;
    }
    json_write_object(&w);
    json_write_key(&w, "status");
    json_write_str(&w, "alive");
    json_write_key(&w, "program");
    json_write_str(&w, program);
    json_write_key(&w, "version");
    json_write_str(&w, READSIDE_VERSION);
    json_write_key(&w, "uptime_seconds");
    json_write_uint(&w, (clock_now_usec() - started_at) / USEC_PER_SEC);
    reply_json(request, 200, &w, &out);
}

static void write_conditions_locked(struct json_write *w) {
    json_write_array(w);
    for (const struct daemon_condition *c = conditions; c; c = c->next) {
        json_write_object(w);
        json_write_key(w, "name");
        json_write_str(w, c->name);
        json_write_key(w, "ready");
        json_write_bool(w, c->ready);
        if (c->degraded) {
            json_write_key(w, "degraded");
            json_write_bool(w, true);
        }
        if ((!c->ready || c->degraded) && c->reason[0]) {
            json_write_key(w, "reason");
            json_write_str(w, c->reason);
        }
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

void daemon_write_conditions(struct json_write *w) {
    pthread_mutex_lock(&lock);
    write_conditions_locked(w);
    pthread_mutex_unlock(&lock);
}

void daemon_handle_readyz(struct http_request *request, void *ctx) {
    (void)ctx;
    struct buf out = BUF_INIT(HEALTH_MAX_BYTES);
    struct json_write w;
    if (!json_write_init(&w, &out)) {
        http_reply_empty(request, 503);
        return;
    }
    pthread_mutex_lock(&lock);
    bool ready = ready_locked();
    json_write_object(&w);
    json_write_key(&w, "ready");
    json_write_bool(&w, ready);
    json_write_key(&w, "degraded");
    json_write_bool(&w, degraded_locked());
    json_write_key(&w, "conditions");
    write_conditions_locked(&w);
    pthread_mutex_unlock(&lock);
    if (!ready)
        http_reply_header(request, "Retry-After", "1");
    reply_json(request, ready ? 200 : 503, &w, &out);
}

void daemon_handle_metrics(struct http_request *request, void *ctx) {
    (void)ctx;
    struct buf out = BUF_INIT(METRICS_MAX_BYTES);
    metrics_write(&out);
    http_reply(request, 200, "text/plain; version=0.0.4; charset=utf-8", &out);
}

void daemon_handle_openapi(struct http_request *request, void *ctx) {
    (void)ctx;
    const struct http_server_options *options = http_request_server_options(request);
    struct buf out = BUF_INIT(OPENAPI_MAX_BYTES);
    if (openapi_write(&out, READSIDE_VERSION, options)) {
        http_reply(request, 200, NULL, &out);
        return;
    }
    buf_done(&out);
    http_reply_empty(request, 503);
}
