#include "out.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER_BYTES = 1 << 20 };

static void part_path(const struct out *out, char ret[OUT_PATH_MAX + 8]) {
    snprintf(ret, OUT_PATH_MAX + 8, "%s.part", out->path);
}

bool out_begin(struct out *out, const char *path) {
    char part[OUT_PATH_MAX + 8];
    *out = (struct out){.fd = STDOUT_FILENO};
    out->bytes = malloc(BUFFER_BYTES);
    if (!out->bytes)
        return false;
    if (!path)
        return true;
    int length = snprintf(out->path, sizeof out->path, "%s", path);
    part_path(out, part);
    out->fd = -1;
    if (length < 0 || (size_t)length >= sizeof out->path)
        errno = ENAMETOOLONG;
    else
        out->fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (out->fd >= 0)
        return true;
    free(out->bytes);
    out->bytes = NULL;
    return false;
}

static void flush(struct out *out) {
    size_t done = 0;
    while (done < out->used && out->error == 0) {
        ssize_t n = write(out->fd, out->bytes + done, out->used - done);
        if (n >= 0)
            done += (size_t)n;
        else if (errno != EINTR)
            out->error = errno;
    }
    out->used = 0;
}

void out_write(struct out *out, const char *bytes, size_t length) {
    while (length > 0 && out->error == 0) {
        size_t room = BUFFER_BYTES - out->used, n = length < room ? length : room;
        memcpy(out->bytes + out->used, bytes, n);
        out->used += n;
        bytes += n;
        length -= n;
        if (out->used == BUFFER_BYTES)
            flush(out);
    }
}

static void release(struct out *out) {
    free(out->bytes);
    out->bytes = NULL;
    out->fd = -1;
}

bool out_finish(struct out *out) {
    char part[OUT_PATH_MAX + 8];
    flush(out);
    if (out->path[0] != '\0') {
        part_path(out, part);
        if (close(out->fd) != 0 && out->error == 0)
            out->error = errno;
        if (out->error == 0 && rename(part, out->path) != 0)
            out->error = errno;
        if (out->error != 0)
            unlink(part);
    }
    release(out);
    errno = out->error;
    return out->error == 0;
}

void out_abort(struct out *out) {
    char part[OUT_PATH_MAX + 8];
    if (out->bytes && out->path[0] != '\0') {
        part_path(out, part);
        close(out->fd);
        unlink(part);
    }
    release(out);
}

bool out_make_folder(const char *path) {
    char partial[OUT_PATH_MAX];
    size_t length = strlen(path);
    struct stat info;
    if (length == 0 || length >= sizeof partial) {
        errno = length == 0 ? ENOENT : ENAMETOOLONG;
        return false;
    }
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(partial, path, i);
        partial[i] = '\0';
        if (mkdir(partial, 0755) != 0 && errno != EEXIST)
            return false;
    }
    if (stat(path, &info) != 0)
        return false;
    errno = ENOTDIR;
    return S_ISDIR(info.st_mode);
}
