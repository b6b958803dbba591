/* An arena for each test, and JSON in it. */
#pragma once
#include "tests/unit/test.h"
#include "core/json_read.h"

static struct arena arena;

static int setup(void **state) {
    (void)state;
    arena_init(&arena, 16 << 20);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_done(&arena);
    return 0;
}

__attribute__((unused)) static const struct json *parse(const char *text) {
    const struct json *v = json_parse(&arena, text, strlen(text), NULL, NULL);
    if (!v)
        fail_msg("no JSON: %s", text);
    return v;
}
