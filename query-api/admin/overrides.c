/* overrides.c - /admin/{synonyms,stopwords,rules}: what shop people set by hand, kept in an index of its own. */
#include "core/cleanup.h"
#include "core/clock.h"
#include "query-api/admin/admin_list.h"
#include "query-api/query_api.h"
#include <stdio.h>

enum { ID_MAX_BYTES = 128, PATH_MAX_BYTES = 2048, BODY_MAX_BYTES = 1 << 20 };

struct override_call {
    enum override_kind kind;
    struct slice id;
    const struct json *body;
};

/* ---- what about ---- */

static bool valid_id(struct slice id) {
    if (id.len == 0 || id.len > ID_MAX_BYTES)
        return false;
    for (size_t i = 0; i < id.len; i++)
        if ((unsigned char)id.data[i] < 0x20 || id.data[i] == '/' || id.data[i] == 0x7F)
            return false;
    return true;
}

/* NULL: answered. */
static struct override_call *begin(struct query_loop *q, struct http_request *request, bool with_id) {
    struct slice kind = http_request_param(request, "kind");
    struct error error = {0};
    struct override_call *call = arena_zalloc(http_request_arena(request), sizeof(*call));
    if (!call) {
        admin_reply_nomem(request);
        return NULL;
    }
    for (call->kind = 0; call->kind < OVERRIDE_KINDS; call->kind++)
        if (slice_eq(kind, slice_str(override_kind_names[call->kind])))
            break;
    call->id = http_request_param(request, "id");
    if (call->kind == OVERRIDE_KINDS) {
        error_set(&error, ERROR_NOT_FOUND, "there are synonyms, stopwords and rules, nothing else");
        http_reply_error(request, &error);
        return NULL;
    }
    if (with_id && !valid_id(call->id)) {
        struct field_error bad = {"id", "must have 1 to 128 bytes, no slash and no control characters"};
        http_reply_problem(request, 400, "the id is invalid", &bad, 1);
        return NULL;
    }
    if (!override_poll_is_there(q->override_poll)) {
        admin_reply_unavailable(request, "the index of overrides is not there yet");
        return NULL;
    }
    return call;
}

static void document_path(struct buf *path, const struct query_loop *q, const struct override_call *call, const char *query) {
    buf_init(path, PATH_MAX_BYTES);
    buf_append_char(path, '/');
    uri_encode(path, q->conf->overrides_index, strlen(q->conf->overrides_index));
    buf_append_str(path, "/_doc/");
    buf_append_str(path, override_kind_names[call->kind]);
    buf_append_str(path, "%3A");
    uri_encode(path, call->id.data, call->id.len);
    buf_append_str(path, query);
}

/* path is used up, body moved. */
static void ask(struct query_loop *q, struct http_request *request, const char *method, struct buf *path, struct buf *body,
                upstream_answer *answer, struct override_call *call) {
    if (buf_ok(path) && (!body || buf_ok(body))) {
        upstream_ask(q, request, method, path->data, body, answer, call);
    } else {
        if (body)
            buf_done(body);
        admin_reply_nomem(request);
    }
    buf_done(path);
}

/* {"id": …, members of the body} */
static void write_override(struct json_write *w, struct slice id, const struct json *body) {
    json_write_object(w);
    json_write_key(w, "id");
    json_write_slice(w, id);
    for (const struct json *m = json_is(body, JSON_OBJECT) ? body->child : NULL; m; m = m->next) {
        json_write_key_slice(w, m->key);
        json_write_json(w, m);
    }
    json_write_object_end(w);
}

static void reply_override(struct http_request *request, int status, struct slice id, const struct json *body) {
    struct buf out = BUF_INIT(BODY_MAX_BYTES);
    struct json_write w;
    json_write_init(&w, &out);
    write_override(&w, id, body);
    if (json_write_finish(&w)) {
        http_reply(request, status, NULL, &out);
        return;
    }
    buf_done(&out);
    admin_reply_nomem(request);
}

static void reply_not_found(struct http_request *request, const struct override_call *call) {
    struct error error = {0};
    error_set(&error, ERROR_NOT_FOUND, "there is no \"%.*s\" among the %s", (int)call->id.len, call->id.data,
              override_kind_names[call->kind]);
    http_reply_error(request, &error);
}

/* ---- GET, PUT, DELETE of one ---- */

static void on_get(struct query_loop *q, struct http_request *request, void *data, int status, const struct json *body) {
    (void)q;
    struct override_call *call = data;
    if (status == 404)
        reply_not_found(request, call);
    else
        reply_override(request, 200, call->id, json_path(body, "_source.body"));
}

void handle_override_get(struct http_request *request, void *ctx) {
    struct query_loop *q = ctx;
    struct override_call *call = begin(q, request, true);
    struct buf path;
    if (!call)
        return;
    document_path(&path, q, call, "");
    ask(q, request, "GET", &path, NULL, on_get, call);
}

static void on_delete(struct query_loop *q, struct http_request *request, void *data, int status, const struct json *body) {
    (void)body;
    if (status == 404) {
        reply_not_found(request, data);
        return;
    }
    override_poll_now(q->override_poll);
    http_reply_empty(request, 204);
}

void handle_override_delete(struct http_request *request, void *ctx) {
    struct query_loop *q = ctx;
    struct override_call *call = begin(q, request, true);
    struct buf path;
    if (!call)
        return;
    document_path(&path, q, call, "?refresh=true");
    ask(q, request, "DELETE", &path, NULL, on_delete, call);
}

static void on_put(struct query_loop *q, struct http_request *request, void *data, int status, const struct json *body) {
    struct override_call *call = data;
    bool created = json_string_is(json_get(body, "result"), "created");
    struct error error = {0};
    if (status == 404) {
        error_set(&error, ERROR_UNAVAILABLE, "the index of overrides is gone; try again shortly");
        http_reply_error(request, &error);
        return;
    }
    override_poll_now(q->override_poll);
    if (created) {
        struct buf location = BUF_INIT(PATH_MAX_BYTES);
        buf_printf(&location, "/admin/%s/", override_kind_names[call->kind]);
        if (uri_encode(&location, call->id.data, call->id.len))
            http_reply_header(request, "Location", location.data);
        buf_done(&location);
    }
    reply_override(request, created ? 201 : 200, call->id, call->body);
}

static void write_document(struct buf *out, const struct override_call *call) {
    struct json_write w;
    char now[CLOCK_RFC3339_SIZE], key[ID_MAX_BYTES + 16];
    clock_format_rfc3339(clock_wall_usec(), now);
    snprintf(key, sizeof(key), "%s:%.*s", override_kind_names[call->kind], (int)call->id.len, call->id.data);
    json_write_init(&w, out);
    json_write_object(&w);
    json_write_key(&w, "key");
    json_write_str(&w, key);
    json_write_key(&w, "kind");
    json_write_str(&w, override_kind_names[call->kind]);
    json_write_key(&w, "id");
    json_write_slice(&w, call->id);
    json_write_key(&w, "body");
    json_write_json(&w, call->body);
    json_write_key(&w, "updated_at");
    json_write_str(&w, now);
    json_write_object_end(&w);
    out->failed = out->failed || !json_write_finish(&w);
}

/* The body, checked; NULL: answered. */
static const struct json *read_body(struct http_request *request, enum override_kind kind) {
    struct arena *arena = http_request_arena(request);
    struct slice body = http_request_body(request);
    struct error error = {0};
    struct override_errors errors = {.count = 0};
    const struct json *json = json_parse(arena, body.data ? body.data : "", body.len,
                                         &(struct json_limits){.depth_max = 8, .values_max = 4096}, &error);
    if (!json) {
        struct field_error bad = {"body", error.message};
        http_reply_problem(request, 400, "the body is no JSON", &bad, 1);
        return NULL;
    }
    if (override_check(arena, kind, json, &errors))
        return json;
    http_reply_problem(request, 400, "the override is invalid", errors.items, errors.count);
    return NULL;
}

void handle_override_put(struct http_request *request, void *ctx) {
    struct query_loop *q = ctx;
    struct override_call *call = begin(q, request, true);
    struct error error = {0};
    struct buf path, body = BUF_INIT(BODY_MAX_BYTES);
    if (!call || !(call->body = read_body(request, call->kind)))
        return;
    if (!override_list_has_room(q->overrides, call->kind, call->id)) {
        error_set(&error, ERROR_CONFLICT, "there are %d overrides already: delete some first", OVERRIDES_MAX);
        http_reply_error(request, &error);
        return;
    }
    document_path(&path, q, call, "?refresh=true");
    write_document(&body, call);
    ask(q, request, "PUT", &path, &body, on_put, call);
}

/* ---- the list ---- */

static const char *write_item(struct json_write *w, const struct json *source, void *ctx) {
    const struct json *id = json_get(source, "id");
    (void)ctx;
    if (!json_is(id, JSON_STRING))
        return NULL;
    write_override(w, id->text, json_get(source, "body"));
    return id->text.data;
}

static void on_list(struct query_loop *q, struct http_request *request, void *data, int status, const struct json *body) {
    (void)q;
    (void)data;
    admin_list_reply(request, status, body, write_item, NULL);
}

const struct http_param override_list_params[] = {
    {.name = "after", .about = "The id that the page begins behind", .example = "laptops", .max = ID_MAX_BYTES},
    {.name = NULL},
};

void handle_override_list(struct http_request *request, void *ctx) {
    struct query_loop *q = ctx;
    struct override_call *call = begin(q, request, false);
    struct slice after;
    char filter[64];
    struct buf path = BUF_INIT(PATH_MAX_BYTES), body = BUF_INIT(4096);
    if (!call || !request_params(request, &after))
        return;
    buf_append_char(&path, '/');
    uri_encode(&path, q->conf->overrides_index, strlen(q->conf->overrides_index));
    buf_append_str(&path, "/_search");
    snprintf(filter, sizeof(filter), "{\"term\":{\"kind\":\"%s\"}}", override_kind_names[call->kind]);
    admin_list_ask(&body, filter, after);
    ask(q, request, "POST", &path, &body, on_list, call);
}
