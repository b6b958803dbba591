/* oom.h - what happens when memory runs out. The linker puts oom.c between the program and malloc, calloc, realloc,
 * strdup, strndup and free (--wrap, see CMakeLists.txt): calls from our own objects only, not from inside libraries.
 *
 *   static bool parse(void *ctx, struct error *reterr) { ...; return worked; }     // and frees what it made
 *   oom_run("uri_parse_query", parse, ctx);
 *
 * Thread: any may allocate; arming and checking is for one. */
#pragma once
#include "core/error.h"
#include <stddef.h>

/* The n-th allocation from now on fails (1: the next one), and all later ones too if `persistent`; 0: none. */
void oom_fail_at(size_t n, bool persistent);
/* Has an allocation failed since oom_fail_at? */
bool oom_hit(void);
/* Allocations made since oom_fail_at that are not freed yet. */
size_t oom_live(void);

/* True if the work was done, false with *reterr set if not. */
typedef bool oom_fn(void *ctx, struct error *reterr);

/* Runs fn with the first, second, third ... allocation failing, until a run needs fewer allocations than that.
 * Each run has to succeed or to report an error, and must not leak; the last one has to succeed. */
void oom_run(const char *what, oom_fn *fn, void *ctx);
