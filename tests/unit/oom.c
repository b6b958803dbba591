#include "tests/unit/oom.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t len);
void __wrap_free(void *p);

/* The pointers handed out since oom_fail_at: open addressing, removal by a mark. */
enum { SLOTS = 1 << 18, MAX_RUNS = 20000 };
static void *slots[SLOTS];
static char removed_mark;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static size_t countdown, live;
static bool armed, stays_empty, hit;

static size_t slot_of(const void *p) {
    return (size_t)(((uintptr_t)p >> 4) * 0x9E3779B97F4A7C15u >> 46) % SLOTS;
}

static void remember(void *p) {
    size_t i = slot_of(p);
    while (slots[i] && slots[i] != &removed_mark)
        i = (i + 1) % SLOTS;
    slots[i] = p;
    live++;
}

static void forget(const void *p) {
    for (size_t i = slot_of(p); slots[i]; i = (i + 1) % SLOTS) {
        if (slots[i] == p) {
            slots[i] = &removed_mark;
            live--;
            return;
        }
    }
}

static bool denied(void) {
    bool deny = false;
    pthread_mutex_lock(&lock);
    if (hit && stays_empty)
        deny = true;
    else if (countdown && --countdown == 0)
        deny = hit = true;
    pthread_mutex_unlock(&lock);
    return deny;
}

static void *made(void *p) {
    pthread_mutex_lock(&lock);
    if (armed && p)
        remember(p);
    pthread_mutex_unlock(&lock);
    return p;
}

static void gone(const void *p) {
    pthread_mutex_lock(&lock);
    if (armed && p)
        forget(p);
    pthread_mutex_unlock(&lock);
}

void *__wrap_malloc(size_t size) {
    return denied() ? NULL : made(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size) {
    return denied() ? NULL : made(__real_calloc(count, size));
}

void *__wrap_realloc(void *p, size_t size) {
    if (denied())
        return NULL;
    gone(p);
    return made(__real_realloc(p, size));
}

char *__wrap_strndup(const char *s, size_t max) {
    size_t len = strnlen(s, max);
    char *copy = __wrap_malloc(len + 1);
    if (copy) {
        memcpy(copy, s, len);
        copy[len] = '\0';
    }
    return copy;
}

char *__wrap_strdup(const char *s) {
    return __wrap_strndup(s, strlen(s));
}

void __wrap_free(void *p) {
    gone(p);
    __real_free(p);
}

void oom_fail_at(size_t n, bool persistent) {
    pthread_mutex_lock(&lock);
    memset(slots, 0, sizeof(slots));
    live = 0;
    hit = false;
    countdown = n;
    stays_empty = persistent;
    armed = n > 0;
    pthread_mutex_unlock(&lock);
}

bool oom_hit(void) {
    return hit;
}

size_t oom_live(void) {
    return live;
}

static bool run_once(const char *what, oom_fn *fn, void *ctx, size_t n, bool persistent) {
    struct error error = {.code = ERROR_NONE};
    oom_fail_at(n, persistent);
    bool ok = fn(ctx, &error);
    bool was_hit = oom_hit();
    size_t left = oom_live();
    oom_fail_at(0, false);
    if (!ok && !was_hit)
        fail_msg("%s: failed although there was memory: %s", what, error.message);
    if (!ok && error.code == ERROR_NONE)
        fail_msg("%s: failed at allocation %zu without an error", what, n);
    if (left)
        fail_msg("%s: %zu allocations leaked when allocation %zu failed", what, left, n);
    return was_hit;
}

void oom_run(const char *what, oom_fn *fn, void *ctx) {
    size_t n = 1;
    while (run_once(what, fn, ctx, n, false)) {
        run_once(what, fn, ctx, n, true);
        if (++n > MAX_RUNS)
            fail_msg("%s: more than %d allocations", what, MAX_RUNS);
    }
    print_message("%s: every one of %zu allocations failed once\n", what, n - 1);
}
