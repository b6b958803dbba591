/* "METHOD path" against a route table: what is found matches, parameters are decoded and never empty. */
#include "core/http_router.h"
#include "core/utf8.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void handler(struct http_request *request, void *ctx) {
    (void)request;
    (void)ctx;
}

static const struct http_route routes[] = {
    {.method = "GET", .path = "/", .handler = handler},
    {.method = "GET", .path = "/a", .handler = handler},
    {.method = "POST", .path = "/a:verb", .handler = handler},
    {.method = "GET", .path = "/a/{id}", .handler = handler},
    {.method = "PUT", .path = "/a/{id}", .handler = handler},
    {.method = "POST", .path = "/a/{id}:verb", .handler = handler},
    {.method = "POST", .path = "/a/{id}:otherverb", .handler = handler},
    {.method = "GET", .path = "/a/{x}/{y}/b", .handler = handler},
    {0},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct http_router *router;
    static struct arena arena;
    if (!router) {
        router = http_router_new(routes, NULL);
        arena_init(&arena, 1 << 20);
    }
    const uint8_t *space = size ? memchr(data, ' ', size) : NULL;
    size_t method_len = space ? (size_t)(space - data) : 0;
    char method[16] = "GET";
    if (!router || !space || method_len >= sizeof(method))
        return 0;
    memcpy(method, data, method_len);
    method[method_len] = '\0';
    struct slice path = {(const char *)space + 1, size - method_len - 1};
    struct http_match match;
    struct error error = {0};
    arena_reset(&arena);
    enum http_match_result result = http_router_match(router, &arena, method, path, &match, &error);
    if ((result == HTTP_MATCH_BAD_PATH) != (error.code != ERROR_NONE) ||
        (result == HTTP_MATCH_FOUND) != (match.route != NULL && error.code == ERROR_NONE))
        abort();
    for (size_t i = 0; result == HTTP_MATCH_FOUND && i < match.param_count; i++) {
        struct slice value = match.params[i].value;
        if (!value.len || !utf8_valid(value.data, value.len) || memchr(value.data, '\0', value.len))
            abort();
    }
    if (result == HTTP_MATCH_NO_METHOD && !strstr(match.allow, "OPTIONS"))
        abort();
    return 0;
}
