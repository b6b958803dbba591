/*
 * Buffered output to a file or standard output.
 *
 * A file is written as NAME.part and gets its name only in out_finish(), so that a broken run
 * leaves no half catalogue behind. Errors stick: they are kept until out_finish() reports them.
 */
#ifndef CATALOGUE_OUT_H
#define CATALOGUE_OUT_H

#include <stdbool.h>
#include <stddef.h>

enum { OUT_PATH_MAX = 4096 };

struct out {
    int fd;
    int error; /* errno of the first failure, 0: none */
    char *bytes;
    size_t used;
    char path[OUT_PATH_MAX]; /* "": standard output */
};

/* path NULL: standard output. On false errno says why. */
bool out_begin(struct out *out, const char *path);
void out_write(struct out *out, const char *bytes, size_t length);
/* Flushes, closes and names the file; on false errno says why and the file is gone. */
bool out_finish(struct out *out);
/* Gives up: closes and removes what was written. */
void out_abort(struct out *out);

/* Makes the folder and those above it. On false errno says why. */
bool out_make_folder(const char *path);

#endif
