#include "core/cleanup.h"
#include "write-api/import.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { RESULTS_MAX = 64 << 20 };

bool import_spool_open(struct import_spool *spool, const struct write_conf *conf, struct error *reterr) {
    const char *dir = conf->spool_dir, *tmpdir = getenv("TMPDIR");
    if (!dir || !dir[0])
        dir = tmpdir && tmpdir[0] ? tmpdir : "/tmp";
    spool->max = (uint64_t)conf->spool_max_bytes;
    spool->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (spool->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)) { /* no O_TMPFILE here */
        char path[4096];
        if (snprintf(path, sizeof(path), "%s/readside-import-XXXXXX", dir) < (int)sizeof(path))
            spool->fd = mkostemp(path, O_CLOEXEC);
        if (spool->fd >= 0)
            unlink(path);
    }
    return spool->fd >= 0 ||
           error_set(reterr, ERROR_UNAVAILABLE, "[write-api] spool_dir: no file can be made in %s: %m", dir);
}

void import_spool_close(struct import_spool *spool) {
    if (spool->fd >= 0)
        close(spool->fd);
    spool->fd = -1;
}

static bool write_all(struct import_spool *spool, const char *data, size_t len, struct error *reterr) {
    while (len) {
        ssize_t n = pwrite(spool->fd, data, len, (off_t)spool->size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return error_set(reterr, ERROR_INTERNAL, "the results of the import cannot be kept: %m");
        data += n;
        len -= (size_t)n;
        spool->size += (uint64_t)n;
    }
    return true;
}

static void write_line(struct json_write *w, const struct import_line *line, const char *key) {
    json_write_object(w);
    json_write_key(w, "line");
    json_write_uint(w, line->number);
    if (line->key.len) {
        json_write_key(w, key);
        json_write_slice(w, line->key);
    }
    json_write_key(w, "status");
    json_write_int(w, line->status);
    if (line->error_count) {
        json_write_key(w, "errors");
        json_write_array(w);
        for (unsigned i = 0; i < line->error_count; i++) {
            json_write_object(w);
            json_write_key(w, "field");
            json_write_str(w, line->errors[i].field);
            json_write_key(w, "message");
            json_write_str(w, line->errors[i].message);
            json_write_object_end(w);
        }
        json_write_array_end(w);
    }
    json_write_object_end(w);
}

static void count_line(struct import_totals *totals, const struct import_line *line) {
    totals->lines++;
    if (line->status == 201)
        totals->created++;
    else if (line->status < 300)
        totals->updated++;
    else
        totals->failed++;
}

bool import_spool_batch(struct import_spool *spool, const struct import_batch *batch, const char *key,
                        struct session *s, struct error *reterr) {
    struct buf out = BUF_INIT(RESULTS_MAX);
    bool ok = true;
    for (size_t i = 0; i < batch->count; i++) {
        const struct import_line *line = &batch->lines[i];
        size_t before = out.len;
        count_line(&spool->totals, line);
        if (spool->truncated || (spool->errors_only && line->status < 300))
            continue;
        json_write_restart(&s->json, &out);
        write_line(&s->json, line, key);
        buf_append_char(&out, '\n');
        if (!json_write_ok(&s->json) || !buf_ok(&out)) {
            ok = error_set(reterr, ERROR_INTERNAL, "the results of the import cannot be kept: out of memory");
            break;
        }
        if (spool->size + out.len > spool->max) {
            buf_truncate(&out, before);
            spool->truncated = true;
        }
    }
    ok = ok && write_all(spool, out.data, out.len, reterr);
    buf_done(&out);
    return ok;
}

bool import_spool_summary(struct import_spool *spool, struct error *reterr) {
    const struct import_totals *t = &spool->totals;
    char text[256];
    int len = snprintf(text, sizeof(text),
                       "{\"summary\":{\"lines\":%" PRIu64 ",\"created\":%" PRIu64 ",\"updated\":%" PRIu64
                       ",\"failed\":%" PRIu64 "%s}}\n",
                       t->lines, t->created, t->updated, t->failed, spool->truncated ? ",\"truncated\":true" : "");
    return write_all(spool, text, (size_t)len, reterr);
}
