#include "core/http_router.h"
#include "core/cleanup.h"
#include <stdlib.h>
#include <string.h>

#define SEGMENTS_MAX 16

static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
enum { GET_BIT = 1u << 0, HEAD_BIT = 1u << 1, OPTIONS_BIT = 1u << 6 };

struct segment {
    struct slice literal; /* if it is no parameter */
    struct slice name;    /* of the parameter; data NULL: literal */
    struct slice verb;    /* ":move", or empty */
};

struct pattern {
    const struct http_route *route;
    unsigned method; /* one bit */
    size_t count;
    struct segment segments[SEGMENTS_MAX];
};

struct http_router {
    size_t count;
    struct pattern patterns[]; /* the more specific first */
};

static unsigned method_bit(const char *method) {
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (strcmp(method, methods[i]) == 0)
            return 1u << i;
    return 0;
}

/* Splits what follows the first '/'. 0 if path does not begin with '/' or has too many segments. */
static size_t split(struct slice path, struct slice ret[SEGMENTS_MAX]) {
    if (!path.len || path.data[0] != '/')
        return 0;
    size_t count = 0;
    const char *start = path.data + 1, *end = path.data + path.len;
    for (;;) {
        const char *slash = memchr(start, '/', (size_t)(end - start));
        const char *stop = slash ? slash : end;
        if (count == SEGMENTS_MAX)
            return 0;
        ret[count++] = (struct slice){start, (size_t)(stop - start)};
        if (!slash)
            return count;
        start = slash + 1;
    }
}

static bool parse_segment(struct slice s, struct segment *ret) {
    *ret = (struct segment){.literal = s};
    if (!s.len || s.data[0] != '{')
        return true;
    const char *close = memchr(s.data, '}', s.len);
    if (!close || close == s.data + 1)
        return false;
    ret->name = (struct slice){s.data + 1, (size_t)(close - s.data) - 1};
    ret->verb = (struct slice){close + 1, s.len - ret->name.len - 2};
    return !ret->verb.len || (ret->verb.len > 1 && ret->verb.data[0] == ':');
}

static bool parse_pattern(const struct http_route *route, struct pattern *ret) {
    struct slice raw[SEGMENTS_MAX];
    size_t params = 0;
    ret->route = route;
    ret->method = method_bit(route->method);
    ret->count = split(slice_str(route->path), raw);
    for (size_t i = 0; i < ret->count; i++) {
        if (!parse_segment(raw[i], &ret->segments[i]))
            return false;
        params += ret->segments[i].name.data != NULL;
    }
    return ret->method && ret->count && params <= HTTP_ROUTER_PARAMS_MAX;
}

static int specificity(const struct segment *s) {
    return !s->name.data ? 2 : s->verb.len ? 1 : 0;
}

static int by_specificity(const void *left, const void *right) {
    const struct pattern *a = left, *b = right;
    if (a->count != b->count)
        return a->count < b->count ? -1 : 1;
    for (size_t i = 0; i < a->count; i++) {
        int difference = specificity(&b->segments[i]) - specificity(&a->segments[i]);
        if (difference)
            return difference;
    }
    return a->route < b->route ? -1 : 1; /* qsort is not stable; the table's order decides */
}

struct http_router *http_router_new(const struct http_route *routes, struct error *reterr) {
    size_t count = 0;
    while (routes[count].method)
        count++;
    struct http_router *router = calloc(1, sizeof(*router) + count * sizeof(router->patterns[0]));
    if (!router) {
        error_nomem(reterr);
        return NULL;
    }
    router->count = count;
    for (size_t i = 0; i < count; i++) {
        if (!parse_pattern(&routes[i], &router->patterns[i])) {
            error_set(reterr, ERROR_INVALID, "route %s %s: unusable method or pattern", routes[i].method,
                      routes[i].path);
            http_router_free(router);
            return NULL;
        }
    }
    if (count)
        qsort(router->patterns, count, sizeof(router->patterns[0]), by_specificity);
    return router;
}

void http_router_free(struct http_router *router) {
    free(router);
}

/* -- matching -- */

struct split_path {
    size_t count;
    struct slice raw[SEGMENTS_MAX], decoded[SEGMENTS_MAX];
};

static bool is_plain(struct slice s) {
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] == '%' || (unsigned char)s.data[i] >= 0x80 || (unsigned char)s.data[i] < 0x20)
            return false;
    return true;
}

static bool decode(struct arena *arena, struct slice raw, struct slice *ret, struct error *reterr) {
    if (!is_plain(raw))
        return uri_decode_segment(arena, raw.data, raw.len, ret, reterr);
    *ret = raw;
    return true;
}

static bool ends_with(struct slice s, struct slice end) {
    return s.len > end.len && memcmp(s.data + s.len - end.len, end.data, end.len) == 0;
}

static bool segment_matches(const struct segment *s, struct slice raw, struct slice decoded) {
    if (!s->name.data)
        return slice_eq(s->literal, decoded);
    return s->verb.len ? ends_with(raw, s->verb) : decoded.len > 0;
}

static bool pattern_matches(const struct pattern *p, const struct split_path *path) {
    if (p->count != path->count)
        return false;
    for (size_t i = 0; i < p->count; i++)
        if (!segment_matches(&p->segments[i], path->raw[i], path->decoded[i]))
            return false;
    return true;
}

static bool take_params(const struct pattern *p, struct arena *arena, const struct split_path *path,
                        struct http_match *ret, struct error *reterr) {
    ret->param_count = 0;
    for (size_t i = 0; i < p->count; i++) {
        const struct segment *s = &p->segments[i];
        if (!s->name.data)
            continue;
        struct uri_pair *param = &ret->params[ret->param_count++];
        *param = (struct uri_pair){s->name, path->decoded[i]};
        if (!s->verb.len)
            continue;
        /* The verb holds no escape, so the rest of the raw segment decodes alone. */
        struct slice rest = {path->raw[i].data, path->raw[i].len - s->verb.len};
        if (!decode(arena, rest, &param->value, reterr))
            return false;
    }
    return true;
}

static void list_methods(unsigned bits, char ret[64]) {
    if (bits & GET_BIT)
        bits |= HEAD_BIT;
    bits |= OPTIONS_BIT;
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (!(bits & 1u << i))
            continue;
        if (len) {
            memcpy(ret + len, ", ", 2);
            len += 2;
        }
        size_t name_len = strlen(methods[i]);
        memcpy(ret + len, methods[i], name_len);
        len += name_len;
    }
    ret[len] = '\0';
}

enum http_match_result http_router_match(const struct http_router *router, struct arena *arena, const char *method,
                                         struct slice path, struct http_match *ret, struct error *reterr) {
    struct split_path pieces;
    *ret = (struct http_match){0};
    pieces.count = split(path, pieces.raw);
    for (size_t i = 0; i < pieces.count; i++)
        if (!decode(arena, pieces.raw[i], &pieces.decoded[i], reterr))
            return HTTP_MATCH_BAD_PATH;
    unsigned wanted = method_bit(method), offered = 0;
    bool server_wide = path.len == 1 && path.data[0] == '*' && wanted == OPTIONS_BIT;
    const struct pattern *found = NULL;
    for (size_t i = 0; i < router->count; i++) {
        const struct pattern *p = &router->patterns[i];
        if (!server_wide && !pattern_matches(p, &pieces))
            continue;
        offered |= p->method;
        if (p->method == wanted && !server_wide) {
            found = p;
            break;
        }
        if (wanted == HEAD_BIT && p->method == GET_BIT && !found)
            found = p; /* an own HEAD route of the same pattern would still come before */
    }
    if (found) {
        ret->route = found->route;
        return take_params(found, arena, &pieces, ret, reterr) ? HTTP_MATCH_FOUND : HTTP_MATCH_BAD_PATH;
    }
    list_methods(offered, ret->allow);
    return offered ? HTTP_MATCH_NO_METHOD : HTTP_MATCH_NO_PATH;
}
