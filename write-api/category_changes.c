/* Moving and deleting categories: what changes more than one row. */
#include "core/cleanup.h"
#include "write-api/category_calls.h"
#include "write-api/handlers.h"

static bool answer_rewrite(struct call *call, enum category_move result, const char *field) {
    switch (result) {
    case CATEGORY_MOVED:
        return true;
    case CATEGORY_TOO_DEEP:
        return category_call_too_deep(call, field);
    case CATEGORY_NAME_TAKEN:
        return call_refuse(call, 409, "the new parent has a category of the same name already");
    case CATEGORY_MOVE_FAILED:
        break;
    }
    return false; /* reterr is set */
}

/* The category that takes others; missing is the client's mistake in `field`. */
static bool get_target(struct call *call, struct session *s, uint32_t id, const char *field, struct category *ret,
                       struct error *reterr) {
    enum store_result result = category_get(s, id, true, ret, reterr);
    if (result == STORE_MISSING) {
        problems_add_field(&call->problems, field, "there is no category %u", id);
        return call_invalid(call);
    }
    return result == STORE_DONE;
}

static bool refuse_cycle(struct call *call, const char *field, uint32_t id, uint32_t target) {
    problems_add_field(&call->problems, field, "category %u is category %u itself or below it", target, id);
    return call_refuse(call, 409, "a category cannot be put below itself");
}

/* ---- move ------------------------------------------------------------------------------------------------ */

struct move {
    struct call *call;
    uint32_t id, parent_id;
    struct precondition match;
    struct category category;
};

static bool move_category(struct session *s, void *ctx, struct error *reterr) {
    struct move *m = ctx;
    struct category parent;
    if (!category_lock_tree(s, reterr) || !category_call_get(m->call, s, m->id, true, &m->category, reterr) ||
        !category_call_matches(m->call, &m->match, &m->category))
        return false;
    if (m->parent_id) {
        if (!get_target(m->call, s, m->parent_id, "parent_id", &parent, reterr))
            return false;
        if (category_path_within(parent.path, m->category.path))
            return refuse_cycle(m->call, "parent_id", m->id, m->parent_id);
    }
    if (m->category.parent_id == m->parent_id)
        return true;
    enum category_move result = category_rewrite(s, &m->category, true, m->parent_id ? &parent : NULL, reterr);
    return answer_rewrite(m->call, result, "parent_id") &&
           category_call_get(m->call, s, m->id, false, &m->category, reterr);
}

static void run_move(struct call *call, struct session *s) {
    static const char *const fields[] = {"parent_id", NULL};
    struct move m = {.call = call};
    if (!category_call_id(call, &m.id) || !call_precondition(call, "If-Match", &m.match))
        return;
    const struct json *tree = call_object(call, s, fields);
    if (!tree)
        return;
    const struct json *parent = json_get(tree, "parent_id");
    if (!parent)
        problems_add_field(&call->problems, "parent_id", "is required; null makes the category a root");
    else if (parent->type != JSON_NULL)
        category_read_id(parent, "parent_id", &m.parent_id, &call->problems);
    if (problems_any(&call->problems)) {
        call_invalid(call);
        return;
    }
    if (category_call_transaction(call, s, move_category, &m))
        category_call_reply(call, s, 200, &m.category);
}

void categories_handle_move(struct http_request *request, void *ctx) {
    call_start(request, ctx, HEALTH_MYSQL, run_move);
}

/* ---- delete ---------------------------------------------------------------------------------------------- */

struct deletion {
    struct call *call;
    uint32_t id, reassign_to; /* 0: must be empty */
    struct precondition match;
    struct category category;
    bool possible; /* of the rehearsal */
};

static bool read_one(void *ctx, char **columns, const unsigned long *lengths, unsigned count) {
    (void)columns, (void)lengths, (void)count;
    *(bool *)ctx = true;
    return false;
}

static bool check_empty(struct deletion *d, struct session *s, struct error *reterr) {
    bool children = false, products = false;
    if (!mysql_session_query(s->mysql, read_one, &children, reterr,
                             "SELECT 1 FROM categories WHERE parent_key=? LIMIT 1", MYSQL_U64(d->id)) ||
        !product_store_has_category(s, d->id, &products, reterr))
        return false;
    if (!children && !products)
        return true;
    return call_refuse(d->call, 409, "category %u has %s; name another with ?reassign_to=ID that takes them", d->id,
                       children && products ? "children and products" : children ? "children" : "products");
}

/* The row goes before its children move: one of them may have its name, and take its place. */
static bool delete_row(struct session *s, void *ctx, struct error *reterr) {
    struct deletion *d = ctx;
    struct category target;
    if (!category_lock_tree(s, reterr) || !category_call_get(d->call, s, d->id, true, &d->category, reterr) ||
        !category_call_matches(d->call, &d->match, &d->category))
        return false;
    if (d->reassign_to) {
        if (!get_target(d->call, s, d->reassign_to, "reassign_to", &target, reterr))
            return false;
        if (category_path_within(target.path, d->category.path))
            return refuse_cycle(d->call, "reassign_to", d->id, d->reassign_to);
    } else if (!check_empty(d, s, reterr)) {
        return false;
    }
    if (!mysql_session_exec(s->mysql, NULL, reterr, "DELETE FROM categories WHERE id=?", MYSQL_U64(d->id)))
        return false;
    return !d->reassign_to ||
           answer_rewrite(d->call, category_rewrite(s, &d->category, false, &target, reterr), "reassign_to");
}

static bool rehearse(struct session *s, void *ctx, struct error *reterr) {
    struct deletion *d = ctx;
    d->possible = delete_row(s, d, reterr);
    return false; /* rolled back */
}

/* Whatever the transaction will refuse is refused before any product is touched. */
static bool can_delete(struct deletion *d, struct session *s, struct error *reterr) {
    (void)transaction_run(s, http_request_deadline(d->call->request), rehearse, d, reterr);
    return d->possible;
}

/* A crash between moving the products and deleting the row leaves a category that is there and emptier: the same
 * request finishes the work. A crash after the row leaves products that were written meanwhile; the same request
 * finds the row gone, and still moves them. Not without reassign_to: a category that is not there may as well be one that
 * MySQL has lost, and its products are not to lose it, too. */
static bool finish_repeated(struct deletion *d, struct session *s, struct error *reterr) {
    uint64_t moved = 0;
    if (d->call->status != 404)
        return false;
    struct category target;
    if (category_get(s, d->reassign_to, false, &target, reterr) != STORE_DONE ||
        !product_store_reassign(s, d->id, d->reassign_to, &moved, reterr) || moved == 0)
        return false;
    call_reply_empty(d->call, 204);
    return true;
}

static void delete_category(struct deletion *d, struct session *s) {
    struct error error = {0};
    uint64_t moved;
    if (d->reassign_to && !can_delete(d, s, &error)) {
        if (error.code == ERROR_NONE)
            finish_repeated(d, s, &error);
        if (error.code != ERROR_NONE)
            call_fail(d->call, &error);
        return;
    }
    if (d->reassign_to && !product_store_reassign(s, d->id, d->reassign_to, &moved, &error)) {
        call_fail(d->call, &error);
        return;
    }
    if (!category_call_transaction(d->call, s, delete_row, d))
        return;
    /* Products that got the category between the look and the commit. */
    if (product_store_reassign(s, d->id, d->reassign_to, &moved, &error))
        call_reply_empty(d->call, 204);
    else
        call_fail(d->call, &error);
}

static void run_delete(struct call *call, struct session *s) {
    static const char *const parameters[] = {"reassign_to", NULL};
    struct deletion d = {.call = call};
    struct uri_pair *query;
    size_t count;
    if (!category_call_id(call, &d.id) || !call_precondition(call, "If-Match", &d.match) ||
        !call_query(call, s, parameters, &query, &count))
        return;
    if (count && !category_parse_id(query[0].value, &d.reassign_to)) {
        problems_add_field(&call->problems, "reassign_to", "must be the id of a category");
        call_invalid(call);
        return;
    }
    delete_category(&d, s);
}

void categories_handle_delete(struct http_request *request, void *ctx) {
    call_start(request, ctx, HEALTH_MONGO | HEALTH_MYSQL, run_delete);
}
