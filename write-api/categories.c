/* /v1/categories: creating, reading, renaming. Moving and deleting are in category_changes.c. */
#include "core/cleanup.h"
#include "write-api/category_calls.h"
#include "write-api/handlers.h"
#include "write-api/transaction.h"

/* ---- shared with category_changes.c ---------------------------------------------------------------------- */

bool category_call_id(struct call *call, uint32_t *ret) {
    if (category_parse_id(http_request_param(call->request, "id"), ret))
        return true;
    problems_add_field(&call->problems, "id", "must be the id of a category, a whole number from 1 to %u", UINT32_MAX);
    return call_invalid(call);
}

bool category_call_missing(struct call *call, uint32_t id) {
    return call_refuse(call, 404, "there is no category %u", id);
}

bool category_call_get(struct call *call, struct session *s, uint32_t id, bool lock, struct category *ret,
                       struct error *reterr) {
    enum store_result result = category_get(s, id, lock, ret, reterr);
    if (result == STORE_MISSING)
        category_call_missing(call, id);
    return result == STORE_DONE;
}

bool category_call_matches(struct call *call, const struct precondition *match, const struct category *c) {
    if (!match->present || precondition_matches(match, c->version))
        return true;
    return call_refuse(call, 412, "the category has another version than If-Match asks for; read it again");
}

void category_call_reply(struct call *call, struct session *s, int status, const struct category *c) {
    category_write_json(call_body(call, s), c);
    call_reply(call, s, status, c->version);
}

bool category_call_transaction(struct call *call, struct session *s, transaction_body *body, void *ctx) {
    struct error error = {0};
    if (transaction_run(s, http_request_deadline(call->request), body, ctx, &error)) {
        category_changed(s);
        return true;
    }
    if (error.code != ERROR_NONE)
        call_fail(call, &error);
    return false;
}

bool category_call_name_taken(struct call *call) {
    problems_add_field(&call->problems, "name", "a category of this name is there already under the same parent");
    return call_refuse(call, 409, "names are distinct among siblings");
}

bool category_call_too_deep(struct call *call, const char *field) {
    problems_add_field(&call->problems, field, "the tree would have more than %d levels", CATEGORY_LEVELS_MAX);
    return call_refuse(call, 409, "the category would be too deep");
}

/* ---- POST ------------------------------------------------------------------------------------------------ */

struct creation {
    struct call *call;
    uint32_t id, parent_id; /* 0: server-made, root */
    struct slice name, names;
    struct category created;
};

static bool refuse_existing(struct creation *c) {
    return call_refuse(c->call, 409, "the category %u exists already", c->id);
}

static bool refuse_used_up(struct creation *c) {
    return call_refuse(c->call, 409, "the ids that the server counts are used up; give an id of your own");
}

/* A duplicate key: of the id or of the name? */
static bool explain_conflict(struct creation *c, struct session *s, struct error *reterr) {
    struct category other;
    enum store_result result = c->id ? category_get(s, c->id, false, &other, reterr) : STORE_MISSING;
    if (result == STORE_DONE)
        refuse_existing(c);
    else if (result == STORE_MISSING)
        category_call_name_taken(c->call);
    return false;
}

/* A row needs its id for its path: without a given id it is first inserted under a path that nobody else has. */
static bool insert_row(struct creation *c, struct session *s, const struct category *parent, struct error *reterr) {
    struct mysql_result result;
    struct error error = {0};
    int64_t level = parent ? parent->level + 1 : 1;
    char path[CATEGORY_PATH_MAX + 16];
    int prefix_len = parent ? (int)parent->path.len : 0;
    const char *prefix = parent ? parent->path.data : "";
    if (level > CATEGORY_LEVELS_MAX)
        return category_call_too_deep(c->call, "parent_id");
    if (c->id)
        snprintf(path, sizeof(path), "%.*s%u/", prefix_len, prefix, c->id);
    else
        snprintf(path, sizeof(path), "~%lu", mysql_thread_id(mysql_session_handle(s->mysql)));
    if (!mysql_session_exec(s->mysql, &result, &error,
                            "INSERT INTO categories (id, parent_id, level, path, name, names) VALUES (?, ?, ?, ?, ?, ?)",
                            c->id ? MYSQL_U64(c->id) : MYSQL_NULL_VALUE,
                            parent ? MYSQL_U64(parent->id) : MYSQL_NULL_VALUE, MYSQL_I64(level), MYSQL_STR(path),
                            MYSQL_SLICE(c->name), c->names.len ? MYSQL_SLICE(c->names) : MYSQL_NULL_VALUE)) {
        if (error.code == ERROR_CONFLICT)
            return explain_conflict(c, s, reterr);
        *reterr = error;
        return false;
    }
    if (c->id)
        return true;
    if (result.insert_id > INT32_MAX)
        return refuse_used_up(c);
    c->created.id = (uint32_t)result.insert_id;
    snprintf(path, sizeof(path), "%.*s%u/", prefix_len, prefix, c->created.id);
    return mysql_session_exec(s->mysql, NULL, reterr, "UPDATE categories SET path=? WHERE id=?", MYSQL_STR(path),
                              MYSQL_U64(c->created.id));
}

/* Where a row has the last id, or an old one is above it, MySQL and MariaDB fail in ways of their own. */
static bool check_ids_left(struct creation *c, struct session *s, struct error *reterr) {
    struct category *last;
    size_t count;
    if (!category_list(s, "WHERE id>=?", MYSQL_U64(INT32_MAX), 1, &last, &count, reterr))
        return false;
    return count == 0 || refuse_used_up(c);
}

/* Old ones may be above the bound. */
static bool check_id(struct creation *c, struct session *s, struct error *reterr) {
    struct category other;
    if (!c->id)
        return check_ids_left(c, s, reterr);
    if (c->id <= CATEGORY_ID_GIVEN_MAX)
        return true;
    enum store_result result = category_get(s, c->id, false, &other, reterr);
    if (result == STORE_DONE)
        return refuse_existing(c);
    if (result == STORE_MISSING) {
        problems_add_field(&c->call->problems, "id", "must not be above %d; the server counts on from the largest",
                           CATEGORY_ID_GIVEN_MAX);
        return call_invalid(c->call);
    }
    return false;
}

static bool create(struct session *s, void *ctx, struct error *reterr) {
    struct creation *c = ctx;
    struct category parent;
    c->created.id = c->id;
    if (!category_lock_tree(s, reterr) || !check_id(c, s, reterr))
        return false;
    if (c->parent_id) {
        enum store_result result = category_get(s, c->parent_id, true, &parent, reterr);
        if (result == STORE_MISSING) {
            problems_add_field(&c->call->problems, "parent_id", "there is no category %u", c->parent_id);
            return call_invalid(c->call);
        }
        if (result != STORE_DONE)
            return false;
    }
    return insert_row(c, s, c->parent_id ? &parent : NULL, reterr) &&
           category_call_get(c->call, s, c->created.id, false, &c->created, reterr);
}

static void run_create(struct call *call, struct session *s) {
    static const char *const fields[] = {"id", "parent_id", "name", NULL};
    struct creation c = {.call = call};
    const struct json *tree = call_object(call, s, fields);
    if (!tree)
        return;
    const struct json *id = json_get(tree, "id"), *parent = json_get(tree, "parent_id");
    if (id)
        category_read_id(id, "id", &c.id, &call->problems);
    if (parent && parent->type != JSON_NULL)
        category_read_id(parent, "parent_id", &c.parent_id, &call->problems);
    category_read_name(json_get(tree, "name"), &s->arena, &c.name, &c.names, &call->problems);
    if (problems_any(&call->problems)) {
        call_invalid(call);
        return;
    }
    if (!category_call_transaction(call, s, create, &c))
        return;
    char text[16];
    int len = snprintf(text, sizeof(text), "%u", c.created.id);
    call_location(call, "/v1/categories/", (struct slice){text, (size_t)len});
    category_call_reply(call, s, 201, &c.created);
}

void categories_handle_create(struct http_request *request, void *ctx) {
    call_start(request, ctx, HEALTH_MYSQL, run_create);
}

/* ---- GET ------------------------------------------------------------------------------------------------- */

static bool get(struct call *call, struct session *s, struct category *ret) {
    uint32_t id;
    struct error error = {0};
    if (!category_call_id(call, &id))
        return false;
    if (category_call_get(call, s, id, false, ret, &error))
        return true;
    if (error.code != ERROR_NONE)
        call_fail(call, &error);
    return false;
}

static void run_get(struct call *call, struct session *s) {
    struct precondition none_match;
    struct category c;
    if (!call_precondition(call, "If-None-Match", &none_match) || !get(call, s, &c))
        return;
    if (none_match.present && precondition_matches(&none_match, c.version)) {
        etag_format(c.version, call->etag);
        call_reply_empty(call, 304);
        return;
    }
    category_call_reply(call, s, 200, &c);
}

void categories_handle_get(struct http_request *request, void *ctx) {
    call_start(request, ctx, HEALTH_MYSQL, run_get);
}

static void reply_list(struct call *call, struct session *s, const char *where_order, struct mysql_value value) {
    struct category *list;
    size_t count, max = (size_t)call->service->conf->subtree_max;
    struct error error = {0};
    if (!category_list(s, where_order, value, max, &list, &count, &error)) {
        call_fail(call, &error);
        return;
    }
    struct json_write *w = call_body(call, s);
    json_write_object(w);
    json_write_key(w, "items");
    json_write_array(w);
    for (size_t i = 0; i < count && i < max; i++)
        category_write_json(w, &list[i]);
    json_write_array_end(w);
    if (count > max) {
        json_write_key(w, "truncated");
        json_write_bool(w, true);
    }
    json_write_object_end(w);
    call_reply(call, s, 200, 0);
}

static void run_children(struct call *call, struct session *s) {
    struct category c;
    if (get(call, s, &c))
        reply_list(call, s, "WHERE parent_key=? ORDER BY name", MYSQL_U64(c.id));
}

void categories_handle_children(struct http_request *request, void *ctx) {
    call_start(request, ctx, HEALTH_MYSQL, run_children);
}

static void run_subtree(struct call *call, struct session *s) {
    struct category c;
    if (!get(call, s, &c))
        return;
    const char *pattern = arena_printf(&s->arena, "%s%%", c.path.data); /* digits and slashes: nothing to escape */
    if (pattern)
        reply_list(call, s, "WHERE path LIKE ? ORDER BY path", MYSQL_STR(pattern));
}

void categories_handle_subtree(struct http_request *request, void *ctx) {
    call_start(request, ctx, HEALTH_MYSQL, run_subtree);
}

/* ---- PATCH ----------------------------------------------------------------------------------------------- */

struct renaming {
    struct call *call;
    uint32_t id;
    struct precondition match;
    struct slice name, names;
    bool named;
    struct category category;
};

static bool rename_category(struct session *s, void *ctx, struct error *reterr) {
    struct renaming *r = ctx;
    struct error error = {0};
    if (!category_lock_tree(s, reterr) || !category_call_get(r->call, s, r->id, true, &r->category, reterr) ||
        !category_call_matches(r->call, &r->match, &r->category))
        return false;
    if (!r->named)
        return true;
    if (!mysql_session_exec(s->mysql, NULL, &error, "UPDATE categories SET name=?, names=? WHERE id=?",
                            MYSQL_SLICE(r->name), r->names.len ? MYSQL_SLICE(r->names) : MYSQL_NULL_VALUE,
                            MYSQL_U64(r->id))) {
        if (error.code == ERROR_CONFLICT)
            return category_call_name_taken(r->call);
        *reterr = error;
        return false;
    }
    return category_call_get(r->call, s, r->id, false, &r->category, reterr);
}

static void run_patch(struct call *call, struct session *s) {
    static const char *const fields[] = {"name", NULL};
    struct renaming r = {.call = call};
    if (!category_call_id(call, &r.id) || !call_precondition(call, "If-Match", &r.match))
        return;
    const struct json *tree = call_object(call, s, fields);
    if (!tree)
        return;
    if (json_get(tree, "parent_id"))
        problems_add_field(&call->problems, "parent_id", "is changed by POST /v1/categories/%u:move", r.id);
    r.named = json_get(tree, "name") != NULL;
    if (r.named)
        category_read_name(json_get(tree, "name"), &s->arena, &r.name, &r.names, &call->problems);
    if (problems_any(&call->problems)) {
        call_invalid(call);
        return;
    }
    if (category_call_transaction(call, s, rename_category, &r))
        category_call_reply(call, s, 200, &r.category);
}

void categories_handle_patch(struct http_request *request, void *ctx) {
    call_start(request, ctx, HEALTH_MYSQL, run_patch);
}
