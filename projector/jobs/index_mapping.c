/* index_mapping.c - the mapping files: built in or from a path, and which one this server can take. */
#include "core/cleanup.h"
#include "core/embed.h"
#include "core/json_write.h"
#include "projector/jobs/index_admin.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

EMBED(index_mapping_products, "mappings/products-v1.json");
EMBED(index_mapping_products_plain, "mappings/products-v1-plain.json");
EMBED(index_mapping_categories, "mappings/categories-v1.json");

enum { FILE_BYTES_MAX = 16 << 20, ANSWER_BYTES_MAX = 1 << 20 };

static void closep(int *fd) {
    if (*fd >= 0)
        close(*fd);
}

static bool read_file(const char *path, struct buf *ret, struct error *reterr) {
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    char chunk[16384];
    ssize_t n = fd < 0 ? -1 : 0;
    while (fd >= 0 && (n = read(fd, chunk, sizeof(chunk))) > 0)
        buf_append(ret, chunk, (size_t)n);
    if (n < 0)
        return error_set(reterr, ERROR_INVALID, "[projector] mapping: cannot read \"%.120s\": %s", path, strerror(errno));
    return buf_ok(ret) || error_set(reterr, ERROR_INVALID, "[projector] mapping: \"%.120s\" has more than %d bytes", path,
                                    FILE_BYTES_MAX);
}

/* Has the server the tokenizer and the filter that products-v1 needs? */
static bool has_nori(const struct es_conf *es, bool *ret, struct error *reterr) {
    static const struct slice probe =
        SLICE("{\"tokenizer\":\"nori_tokenizer\",\"filter\":[\"nori_part_of_speech\"],\"text\":\"노트북\"}");
    _cleanup_(buf_done) struct buf answer = BUF_INIT(ANSWER_BYTES_MAX);
    struct error error = {0};
    *ret = es_call(es, "POST", "/_analyze", probe, 0, NULL, &answer, &error);
    if (*ret || error.code == ERROR_INVALID) /* 400: no such tokenizer */
        return true;
    return error_set(reterr, error.code, "%s", error.message);
}

/* Elasticsearch 8.16 and OpenSearch 3.3 are the first that sort an index that has nested documents. OpenSearch 1 and 2 may have to
 * pass for Elasticsearch 7.10.2 (compatibility.override_main_response_version). */
static bool sorts_nested(const struct es_conf *es, bool *ret, struct error *reterr) {
    _cleanup_(buf_done) struct buf answer = BUF_INIT(ANSWER_BYTES_MAX);
    struct arena arena;
    int major = 0, minor = 0;
    if (!es_call(es, "GET", "/", (struct slice){0}, 0, NULL, &answer, reterr))
        return false;
    arena_init(&arena, ANSWER_BYTES_MAX);
    const struct json *root = json_parse(&arena, answer.data ? answer.data : "", answer.len, NULL, reterr);
    const struct json *number = json_path(root, "version.number"), *distribution = json_path(root, "version.distribution");
    bool ok = json_is(number, JSON_STRING) && sscanf(number->text.data, "%d.%d", &major, &minor) == 2;
    bool opensearch = json_string_is(distribution, "opensearch");
    *ret = opensearch ? major < 7 && (major > 3 || (major == 3 && minor >= 3)) : major > 8 || (major == 8 && minor >= 16);
    arena_done(&arena);
    if (root && !ok)
        error_set(reterr, ERROR_CORRUPT, "GET /: the server does not tell its version");
    return ok;
}

/* The text of a mapping file without settings.index.sort. */
static bool unsort(struct buf *text, struct error *reterr) {
    struct buf out = BUF_INIT(FILE_BYTES_MAX);
    struct json_write w;
    struct arena arena;
    arena_init(&arena, FILE_BYTES_MAX);
    const struct json *file = json_parse(&arena, text->data, text->len, NULL, reterr);
    struct json *index = (struct json *)(uintptr_t)json_path(file, "settings.index");
    for (struct json **m = index ? &index->child : NULL; m && *m; m = &(*m)->next)
        if (slice_eq((*m)->key, SLICE("sort"))) {
            *m = (*m)->next;
            index->count--;
            break;
        }
    if (file) {
        json_write_init(&w, &out);
        json_write_json(&w, file);
    }
    bool ok = file && (json_write_finish(&w) || error_nomem(reterr));
    arena_done(&arena);
    buf_done(ok ? text : &out);
    if (ok)
        *text = out;
    return ok;
}

static bool copy_text(struct buf *text, const char *data, size_t size, struct error *reterr) {
    return buf_append(text, data, size) || error_nomem(reterr);
}

/* Takes *m over, also if it fails. */
static bool parsed(struct index_mapping *m, const char *name, struct index_mapping *ret, struct error *reterr) {
    m->projection = projection_parse_mapping(name, m->text.data ? m->text.data : "", m->text.len, reterr);
    m->name = m->projection ? strdup(name) : NULL;
    if (m->projection && !m->name)
        error_nomem(reterr);
    if (!m->name) {
        index_mapping_done(m);
        return false;
    }
    *ret = *m;
    return true;
}

bool index_mapping_load(const struct es_conf *es, const char *option, struct index_mapping *ret, struct error *reterr) {
    struct index_mapping m = {.text = BUF_INIT(FILE_BYTES_MAX)};
    bool nori = false, sorted = true, ok = true;
    if (strcmp(option, "auto") == 0) {
        if (!has_nori(es, &nori, reterr))
            return false;
        option = nori ? "products-v1" : "products-v1-plain";
    }
    if (strcmp(option, "products-v1") == 0)
        ok = copy_text(&m.text, index_mapping_products, index_mapping_products_size, reterr) &&
             sorts_nested(es, &sorted, reterr) && (sorted || unsort(&m.text, reterr));
    else if (strcmp(option, "products-v1-plain") == 0)
        ok = copy_text(&m.text, index_mapping_products_plain, index_mapping_products_plain_size, reterr);
    else
        ok = read_file(option, &m.text, reterr);
    return ok ? parsed(&m, option, ret, reterr) : (index_mapping_done(&m), false);
}

bool index_mapping_from_text(const char *name, const char *text, size_t len, struct index_mapping *ret,
                             struct error *reterr) {
    struct index_mapping m = {.text = BUF_INIT(FILE_BYTES_MAX)};
    return copy_text(&m.text, text, len, reterr) && parsed(&m, name, ret, reterr);
}

void index_mapping_done(struct index_mapping *mapping) {
    free(mapping->name);
    buf_done(&mapping->text);
    projection_free(mapping->projection);
    mapping->name = NULL;
    mapping->projection = NULL;
}
