/* fuzz.h - what several targets need. */
#pragma once
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The input with a NUL behind it, for readers that work in place; to be freed. */
static inline char *fuzz_text(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    if (!text)
        abort();
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    return text;
}
