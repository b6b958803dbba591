#include "core/cleanup.h"
#include "core/clock.h"
#include "projector/status.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTION_MAX_BYTES ((size_t)1 << 20)

struct published {
    struct published *next;
    const char *name;
    struct buf text;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct published *first; /* under the lock; in the order of their first publication */

struct json_write *status_begin(struct status_section *section, const char *name) {
    section->name = name;
    buf_init(&section->text, SECTION_MAX_BYTES);
    json_write_init(&section->json, &section->text);
    return &section->json;
}

/* The link that points to the section, or the last one. */
static struct published **find(const char *name) {
    struct published **at = &first;
    while (*at && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    return at;
}

static void replace(const char *name, struct buf *text) {
    struct published **at = find(name);
    if (!*at && (*at = calloc(1, sizeof(**at))))
        (*at)->name = name;
    if (*at) {
        struct buf old = (*at)->text;
        (*at)->text = *text;
        *text = old;
    }
}

void status_publish(struct status_section *section) {
    if (json_write_finish(&section->json)) {
        pthread_mutex_lock(&lock);
        replace(section->name, &section->text);
        pthread_mutex_unlock(&lock);
    }
    buf_done(&section->text);
}

void status_remove(const char *name) {
    pthread_mutex_lock(&lock);
    struct published **at = find(name);
    struct published *gone = *at;
    if (gone)
        *at = gone->next;
    pthread_mutex_unlock(&lock);
    if (gone)
        buf_done(&gone->text);
    free(gone);
}

void status_write(struct json_write *w) {
    pthread_mutex_lock(&lock);
    for (const struct published *p = first; p; p = p->next) {
        json_write_key(w, p->name);
        json_write_raw(w, p->text.data, p->text.len);
    }
    pthread_mutex_unlock(&lock);
}

void status_done(void) {
    pthread_mutex_lock(&lock);
    for (struct published *p = TAKE(first), *next; p; p = next) {
        next = p->next;
        buf_done(&p->text);
        free(p);
    }
    pthread_mutex_unlock(&lock);
}

void status_write_time(struct json_write *w, const char *key, int64_t wall_usec) {
    json_write_key(w, key);
    if (wall_usec == 0) {
        json_write_null(w);
        return;
    }
    char text[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(wall_usec, text);
    json_write_str(w, text);
}

void status_publish_instance(const char *role, uint64_t epoch) {
    struct status_section section;
    struct json_write *w = status_begin(&section, "instance");
    char host[65] = "";
    gethostname(host, sizeof(host) - 1);
    json_write_object(w);
    json_write_key(w, "role");
    json_write_str(w, role);
    json_write_key(w, "epoch");
    json_write_uint(w, epoch);
    json_write_key(w, "host");
    json_write_str(w, host);
    json_write_key(w, "pid");
    json_write_int(w, getpid());
    status_write_time(w, "since", clock_wall_usec());
    json_write_object_end(w);
    status_publish(&section);
}
