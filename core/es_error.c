/* What Elasticsearch and OpenSearch say about a refused request:
 *   {"error":{"type":T,"reason":R,"caused_by":{"type":..,"reason":..}},"status":N}   or   {"error":"text","status":N} */
#include "core/cleanup.h"
#include "core/es.h"
#include "core/utf8.h"
#include <stdio.h>

/* Ours has no need of more; a larger body is cut by not being read. */
enum { ERROR_BODY_MAX_BYTES = 256 << 10, ERROR_ARENA_BYTES = 1 << 20 };

static enum error_code code_of(int status, const struct json *type) {
    /* A 400 that says that the index or alias to be made is there. */
    if (status == 400 && json_string_is(type, "resource_already_exists_exception"))
        return ERROR_CONFLICT;
    switch (status) {
    case 404:
        return ERROR_NOT_FOUND;
    case 408:
        return ERROR_TIMEOUT;
    case 409:
        return ERROR_CONFLICT;
    case 401:
    case 403:
        return ERROR_UNAVAILABLE;
    case 429:
        return ERROR_OVERLOADED;
    default:
        return status >= 500 ? ERROR_UNAVAILABLE : status >= 400 ? ERROR_INVALID : ERROR_INTERNAL;
    }
}

static const char *advice_of(int status, const struct json *type) {
    if (status == 401)
        return "; check [elasticsearch] user, password or api_key";
    if (status == 403 && !json_string_is(type, "cluster_block_exception"))
        return "; the user or API key of [elasticsearch] lacks this right";
    return "";
}

static int text_len(const struct json *v, size_t max) {
    if (!v)
        return 0;
    return (int)(v->text.len > max ? utf8_cut(v->text.data, v->text.len, max) : v->text.len);
}

static const char *text_of(const struct json *v) {
    return v ? v->text.data : "";
}

static const struct json *string_at(const struct json *v, const char *path) {
    const struct json *found = json_path(v, path);
    return json_is(found, JSON_STRING) ? found : NULL;
}

/* The innermost cause is the one that names the field or the shard's trouble. */
static const struct json *innermost_reason(const struct json *error) {
    const struct json *reason = NULL;
    for (const struct json *v = json_get(error, "caused_by"); json_is(v, JSON_OBJECT); v = json_get(v, "caused_by")) {
        if (string_at(v, "reason"))
            reason = string_at(v, "reason");
    }
    return reason;
}

/* server: " host:port", or "" if it is not known. */
static bool set_from_json(const char *server, int status, const struct json *root, struct error *reterr) {
    const struct json *error = json_get(root, "error");
    if (json_is(error, JSON_STRING))
        return error_set(reterr, code_of(status, NULL), "Elasticsearch%s answered %d: %.*s%s", server, status,
                         text_len(error, 150), text_of(error), advice_of(status, NULL));
    const struct json *type = string_at(error, "type"), *reason = string_at(error, "reason");
    const struct json *cause = innermost_reason(error);
    return error_set(reterr, code_of(status, type), "Elasticsearch%s answered %d %.*s: %.*s%s%.*s%s", server,
                     status, text_len(type, 60), text_of(type), text_len(reason, cause || status == 401 || status == 403 ? 70 : 130), text_of(reason),
                     cause ? " <- " : "", text_len(cause, 70), text_of(cause), advice_of(status, type));
}

/* " host:port", or "". */
struct server_name {
    char text[sizeof(((struct http_response *)0)->server) + 1];
};
static struct server_name server_of(const struct http_response *response) {
    struct server_name name = {""};
    if (response->server[0])
        snprintf(name.text, sizeof(name.text), " %.78s", response->server);
    return name;
}

bool es_error_part(const struct http_response *response, const struct json *part, struct error *reterr) {
    struct server_name server = server_of(response);
    return set_from_json(server.text, response->status, part, reterr);
}

bool es_error(const struct http_response *response, struct error *reterr) {
    if (response->status == 0)
        return error_set(reterr, response->error.code ? response->error.code : ERROR_UNAVAILABLE, "Elasticsearch: %s",
                         response->error.message);
    const struct buf *body = response->body;
    struct server_name server = server_of(response);
    struct arena arena;
    arena_init(&arena, ERROR_ARENA_BYTES);
    struct json *root = NULL;
    if (body && body->len > 0 && body->len <= ERROR_BODY_MAX_BYTES)
        root = json_parse(&arena, body->data, body->len, NULL, NULL);
    if (json_get(root, "error"))
        set_from_json(server.text, response->status, root, reterr);
    else
        error_set(reterr, code_of(response->status, NULL), "Elasticsearch%s answered %d%s", server.text,
                  response->status, advice_of(response->status, NULL));
    arena_done(&arena);
    return false;
}
