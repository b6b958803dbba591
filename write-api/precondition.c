#include "write-api/precondition.h"
#include <inttypes.h>
#include <stdio.h>

static const char *skip_blank(const char *p, const char *end) {
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    return p;
}

/* The version of a tag that is one of ours: digits without a leading zero, at most 18 of them. */
static bool version_of(const char *text, size_t len, int64_t *ret) {
    int64_t version = 0;
    if (len == 0 || len > 18 || text[0] == '0')
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        version = version * 10 + (text[i] - '0');
    }
    *ret = version;
    return true;
}

/* One entity tag at p. Returns what follows it, NULL if there is none. */
static const char *read_tag(const char *p, const char *end, bool weak_counts, struct precondition *ret) {
    bool weak = end - p > 2 && p[0] == 'W' && p[1] == '/';
    if (weak)
        p += 2;
    if (p == end || *p != '"')
        return NULL;
    const char *text = ++p;
    while (p < end && *p != '"')
        p++;
    if (p == end)
        return NULL;
    int64_t version;
    if ((!weak || weak_counts) && version_of(text, (size_t)(p - text), &version))
        ret->versions[ret->count++] = version;
    return p + 1;
}

bool precondition_parse(const char *name, struct slice header, bool weak, struct precondition *ret,
                        struct error *reterr) {
    *ret = (struct precondition){0};
    if (!header.data)
        return true;
    const char *end = header.data + header.len, *p = skip_blank(header.data, end);
    struct precondition found = {.present = true};
    if (p < end && *p == '*' && skip_blank(p + 1, end) == end) {
        found.any = true;
        *ret = found;
        return true;
    }
    for (;;) {
        if (found.count == PRECONDITION_TAGS_MAX)
            return error_set(reterr, ERROR_INVALID, "header %s has more than %d entity tags", name,
                             PRECONDITION_TAGS_MAX);
        p = p < end ? read_tag(p, end, weak, &found) : NULL;
        if (!p)
            return error_set(reterr, ERROR_INVALID, "header %s must be * or a list of entity tags such as \"3\"", name);
        p = skip_blank(p, end);
        if (p == end)
            break;
        if (*p != ',')
            return error_set(reterr, ERROR_INVALID, "header %s: entity tags stand apart by commas", name);
        p = skip_blank(p + 1, end);
    }
    *ret = found;
    return true;
}

bool precondition_matches(const struct precondition *p, int64_t version) {
    if (p->any)
        return true;
    for (unsigned i = 0; i < p->count; i++) {
        if (p->versions[i] == version)
            return true;
    }
    return false;
}

void etag_format(int64_t version, char ret[ETAG_SIZE]) {
    snprintf(ret, ETAG_SIZE, "\"%" PRId64 "\"", version);
}
