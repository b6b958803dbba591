"""How often the query-api calls the allocator."""
import os
import subprocess
import tempfile

from harness.environment import VAR, ask_each, ready

COUNTER = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
static atomic_ulong count;
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
void *malloc(size_t n) { atomic_fetch_add(&count, 1); return __libc_malloc(n); }
void *calloc(size_t n, size_t m) { atomic_fetch_add(&count, 1); return __libc_calloc(n, m); }
void *realloc(void *p, size_t n) { atomic_fetch_add(&count, 1); return __libc_realloc(p, n); }
__attribute__((destructor)) static void say(void) {
    FILE *f = fopen(getenv("ALLOCATIONS"), "w");
    if (f) { fprintf(f, "%lu", (unsigned long)count); fclose(f); }
}
"""


def allocations(env, settings, requests):
    """Per request, from two runs that differ in their number only."""
    with tempfile.TemporaryDirectory(dir=VAR) as folder:
        source, library, result = (os.path.join(folder, name) for name in ("count.c", "count.so", "count"))
        with open(source, "w") as f:
            f.write(COUNTER)
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
        counts = []
        for repeats in (1, 3):
            query = ready(env, {**settings, "LD_PRELOAD": library, "ALLOCATIONS": result, "READSIDE_QUERY_API_LOOPS": "1"})
            for _ in range(1 + repeats):  # the first time they are not there yet
                ask_each(query.url, requests)
            query.stop()
            with open(result) as f:
                counts.append(int(f.read()))
    return (counts[1] - counts[0]) / (2 * len(requests))
