/* keys.c - /admin/keys: API keys, kept in an index of their own by their hashes. What a key may do is checked before any
 * handler, by core/api_guard. */
#include "core/api_key.h"
#include "core/cleanup.h"
#include "core/log.h"
#include "query-api/admin/admin_list.h"
#include "query-api/query_api.h"

enum { PATH_MAX_BYTES = 1024, BODY_MAX_BYTES = 16 << 10 };

struct key_call {
    struct api_key key;
    char secret[API_KEY_SECRET_SIZE];
};

/* With the id of the path. NULL: answered. */
static struct key_call *begin(struct query_loop *q, struct http_request *request) {
    struct slice id = http_request_param(request, "id");
    struct key_call *call = arena_zalloc(http_request_arena(request), sizeof(*call));
    if (!call) {
        admin_reply_nomem(request);
        return NULL;
    }
    if (!api_key_id_valid(id)) {
        struct field_error bad = {"id", "must have 1 to 64 letters, digits, '-', '_' or '.'"};
        http_reply_problem(request, 400, "the id is invalid", &bad, 1);
        return NULL;
    }
    if (!api_key_watch_is_there(q->key_watch)) {
        admin_reply_unavailable(request, "the index of keys is not there yet");
        return NULL;
    }
    memcpy(call->key.id, id.data, id.len);
    return call;
}

/* Sends a question about a key: METHOD /index/PLACE[id]QUERY. body is moved. */
static void ask(struct query_loop *q, struct http_request *request, const char *method, const char *place, const char *id,
                const char *query, struct buf *body, upstream_answer *answer, void *data) {
    struct buf path = BUF_INIT(PATH_MAX_BYTES);
    buf_append_char(&path, '/');
    uri_encode(&path, q->conf->keys_index, strlen(q->conf->keys_index));
    buf_append_str(&path, place);
    uri_encode(&path, id, strlen(id));
    buf_append_str(&path, query);
    if (buf_ok(&path) && (!body || buf_ok(body))) {
        upstream_ask(q, request, method, path.data, body, answer, data);
    } else {
        if (body)
            buf_done(body);
        admin_reply_nomem(request);
    }
    buf_done(&path);
}

static void write_key(struct json_write *w, const struct api_key *key, const char *secret) {
    json_write_object(w);
    json_write_key(w, "id");
    json_write_str(w, key->id);
    if (secret) {
        json_write_key(w, "key");
        json_write_str(w, secret);
    }
    api_key_write(w, key);
    json_write_object_end(w);
}

static void reply_key(struct http_request *request, int status, const struct api_key *key, const char *secret) {
    struct buf out = BUF_INIT(BODY_MAX_BYTES);
    struct json_write w;
    json_write_init(&w, &out);
    write_key(&w, key, secret);
    if (json_write_finish(&w)) {
        http_reply_header(request, "Cache-Control", "no-store");
        http_reply(request, status, NULL, &out);
        return;
    }
    buf_done(&out);
    admin_reply_nomem(request);
}

static void reply_not_found(struct http_request *request, const char *id) {
    struct error error = {0};
    error_set(&error, ERROR_NOT_FOUND, "there is no key \"%s\"", id);
    http_reply_error(request, &error);
}

/* ---- GET, DELETE ---- */

static void on_get(struct query_loop *q, struct http_request *request, void *data, int status, const struct json *body) {
    (void)q;
    struct key_call *call = data;
    struct api_key key;
    if (status == 404)
        reply_not_found(request, call->key.id);
    else if (api_key_read_stored(json_get(body, "_source"), &key))
        reply_key(request, 200, &key, NULL);
    else
        admin_reply_unavailable(request, "the search engine's answer is not complete");
}

void handle_key_get(struct http_request *request, void *ctx) {
    struct key_call *call = begin(ctx, request);
    if (call)
        ask(ctx, request, "GET", "/_doc/", call->key.id, "", NULL, on_get, call);
}

static void on_delete(struct query_loop *q, struct http_request *request, void *data, int status, const struct json *body) {
    (void)body;
    struct key_call *call = data;
    if (status == 404) {
        reply_not_found(request, call->key.id);
        return;
    }
    log_info("key.deleted", LOG_STR("id", call->key.id));
    api_key_watch_now(q->key_watch);
    http_reply_empty(request, 204);
}

void handle_key_delete(struct http_request *request, void *ctx) {
    struct key_call *call = begin(ctx, request);
    if (call)
        ask(ctx, request, "DELETE", "/_doc/", call->key.id, "?refresh=true", NULL, on_delete, call);
}

/* ---- PUT ---- */

static void on_put(struct query_loop *q, struct http_request *request, void *data, int status, const struct json *body) {
    struct key_call *call = data;
    bool created = json_string_is(json_get(body, "result"), "created");
    if (status == 404) {
        admin_reply_unavailable(request, "the index of keys is gone");
        return;
    }
    log_info(created ? "key.created" : "key.changed", LOG_STR("id", call->key.id));
    api_key_watch_now(q->key_watch);
    if (created) {
        struct buf location = BUF_INIT(PATH_MAX_BYTES);
        buf_printf(&location, "/admin/keys/%s", call->key.id);
        if (buf_ok(&location))
            http_reply_header(request, "Location", location.data);
        buf_done(&location);
    }
    reply_key(request, created ? 201 : 200, &call->key, created ? call->secret : NULL);
}

/* False: answered. */
static bool read_body(struct http_request *request, struct api_key *ret) {
    struct slice body = http_request_body(request);
    struct error error = {0};
    struct api_key_errors errors = {.count = 0};
    const struct json *json = json_parse(http_request_arena(request), body.data ? body.data : "", body.len,
                                         &(struct json_limits){.depth_max = 4, .values_max = 64}, &error);
    if (!json) {
        struct field_error bad = {"body", error.message};
        http_reply_problem(request, 400, "the body is no JSON", &bad, 1);
        return false;
    }
    if (api_key_read(json, ret, &errors))
        return true;
    http_reply_problem(request, 400, "the key is invalid", errors.items, errors.count);
    return false;
}

/* One command that creates a key with a new secret, or changes one that keeps its own. */
static void write_update(struct buf *out, const struct api_key *key) {
    struct json_write w;
    json_write_init(&w, out);
    json_write_object(&w);
    json_write_key(&w, "doc");
    json_write_object(&w);
    api_key_write(&w, key);
    json_write_object_end(&w);
    json_write_key(&w, "upsert");
    api_key_write_stored(&w, key);
    json_write_object_end(&w);
    out->failed = out->failed || !json_write_finish(&w);
}

void handle_key_put(struct http_request *request, void *ctx) {
    struct query_loop *q = ctx;
    struct key_call *call = begin(q, request);
    struct buf body = BUF_INIT(BODY_MAX_BYTES);
    struct error error = {0};
    if (!call || !read_body(request, &call->key))
        return;
    if (!api_keys_has_room(api_guard_keys(q->guard), call->key.id)) {
        error_set(&error, ERROR_CONFLICT, "there are %d keys already: delete some first", API_KEYS_MAX);
        http_reply_error(request, &error);
        return;
    }
    if (!api_key_make_secret(call->secret)) {
        error_set(&error, ERROR_INTERNAL, "the system has no random numbers");
        http_reply_error(request, &error);
        return;
    }
    api_key_hash(slice_str(call->secret), &call->key.hash);
    write_update(&body, &call->key);
    ask(q, request, "POST", "/_update/", call->key.id, "?refresh=true&retry_on_conflict=5", &body, on_put, call);
}

/* ---- the list ---- */

static const char *write_item(struct json_write *w, const struct json *source, void *key) {
    if (!api_key_read_stored(source, key))
        return NULL;
    write_key(w, key, NULL);
    return ((struct api_key *)key)->id;
}

static void on_list(struct query_loop *q, struct http_request *request, void *data, int status, const struct json *body) {
    struct api_key key = {.scopes = 0};
    (void)q;
    (void)data;
    admin_list_reply(request, status, body, write_item, &key);
}

const struct http_param key_list_params[] = {
    {.name = "after", .about = "The id that the page begins behind", .example = "storefront", .max = API_KEY_ID_MAX_BYTES},
    {.name = NULL},
};

void handle_key_list(struct http_request *request, void *ctx) {
    struct query_loop *q = ctx;
    struct slice after;
    struct buf body = BUF_INIT(BODY_MAX_BYTES);
    if (!request_params(request, &after))
        return;
    if (!api_key_watch_is_there(q->key_watch)) {
        admin_reply_unavailable(request, "the index of keys is not there yet");
        return;
    }
    admin_list_ask(&body, NULL, after);
    ask(q, request, "POST", "/_search", "", "", &body, on_list, NULL);
}
