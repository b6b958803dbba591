/* /v1/stock/{sku} */
#include "write-api/call.h"
#include "write-api/handlers.h"
#include "write-api/stock_store.h"
#include "write-api/transaction.h"
#include "core/utf8.h"

enum { REASON_MAX = 255 };

struct change {
    struct call *call;
    struct slice sku, reason;
    int64_t available; /* set */
    int64_t delta;     /* adjust */
    struct precondition match;
    bool only_new; /* If-None-Match: * */
    bool created;
    struct stock stock;
};

static bool path_sku(struct call *call, struct slice *ret) {
    *ret = http_request_param(call->request, "sku");
    const char *problem = sku_problem(*ret);
    if (!problem)
        return true;
    problems_add_field(&call->problems, "sku", "%s", problem);
    return call_invalid(call);
}

static bool not_found(struct call *call, struct slice sku) {
    return call_refuse(call, 404, "there is no stock of SKU \"%.*s\"", (int)sku.len, sku.data);
}

static void reply(struct call *call, struct session *s, int status, const struct stock *stock) {
    stock_write_json(call_body(call, s), stock);
    call_reply(call, s, status, stock->version);
}

static bool check_match(struct change *c) {
    if (!c->match.present || precondition_matches(&c->match, c->stock.version))
        return true;
    return call_refuse(c->call, 412, "the stock has another version than If-Match asks for; read it again");
}

/* The row that there must be -> c->stock. */
static bool get_existing(struct change *c, struct session *s, bool lock, struct error *reterr) {
    enum store_result result = stock_get(s, c->sku, lock, &c->stock, reterr);
    return result == STORE_MISSING ? not_found(c->call, c->sku) : result == STORE_DONE;
}

static bool run_transaction(struct change *c, struct session *s, transaction_body *body) {
    struct error error = {0};
    if (transaction_run(s, http_request_deadline(c->call->request), body, c, &error))
        return true;
    if (error.code != ERROR_NONE)
        call_fail(c->call, &error);
    return false;
}

/* ---- GET ------------------------------------------------------------------------------------------------- */

static void run_get(struct call *call, struct session *s) {
    struct slice sku;
    struct stock stock;
    struct precondition none_match;
    struct error error = {0};
    if (!path_sku(call, &sku) || !call_precondition(call, "If-None-Match", &none_match))
        return;
    enum store_result result = stock_get(s, sku, false, &stock, &error);
    if (result == STORE_MISSING) {
        not_found(call, sku);
    } else if (result != STORE_DONE) {
        call_fail(call, &error);
    } else if (none_match.present && precondition_matches(&none_match, stock.version)) {
        etag_format(stock.version, call->etag);
        call_reply_empty(call, 304);
    } else {
        reply(call, s, 200, &stock);
    }
}

void stock_handle_get(struct http_request *request, void *ctx) {
    call_start(request, ctx, HEALTH_MYSQL, run_get);
}

/* ---- PUT ------------------------------------------------------------------------------------------------- */

static bool set_stock(struct session *s, void *ctx, struct error *reterr) {
    struct change *c = ctx;
    enum store_result result = stock_get(s, c->sku, true, &c->stock, reterr);
    if (result == STORE_FAILED)
        return false;
    c->created = result == STORE_MISSING;
    if (c->created && c->match.present)
        return call_refuse(c->call, 412, "there is no stock of this SKU, and If-Match asks for one");
    if (!c->created && c->only_new)
        return call_refuse(c->call, 412, "there is stock of this SKU already");
    if (!c->created && !check_match(c))
        return false;
    int64_t delta = c->available - (c->created ? 0 : c->stock.available);
    struct error error = {0};
    bool ok = c->created ? mysql_session_exec(s->mysql, NULL, &error, "INSERT INTO stock (sku, available) VALUES (?, ?)",
                                              MYSQL_SLICE(c->sku), MYSQL_I64(c->available))
                         : mysql_session_exec(s->mysql, NULL, &error, "UPDATE stock SET available=? WHERE sku=?",
                                              MYSQL_I64(c->available), MYSQL_SLICE(c->sku));
    if (!ok) {
        /* Somebody else inserted it after the look: the transaction is repeated and finds the row. */
        if (error.code == ERROR_CONFLICT)
            error.code = ERROR_OVERLOADED;
        *reterr = error;
        return false;
    }
    if (delta != 0 && !stock_add_movement(s, c->sku, delta, SLICE("set"), reterr))
        return false;
    return stock_get(s, c->sku, false, &c->stock, reterr) == STORE_DONE;
}

static void run_put(struct call *call, struct session *s) {
    static const char *const fields[] = {"available", NULL};
    struct change c = {.call = call};
    struct precondition none_match;
    if (!path_sku(call, &c.sku) || !call_precondition(call, "If-Match", &c.match) ||
        !call_precondition(call, "If-None-Match", &none_match))
        return;
    if (none_match.present && (!none_match.any || c.match.present)) {
        call_refuse(call, 400, "PUT takes If-Match with entity tags, or If-None-Match: *");
        return;
    }
    c.only_new = none_match.present;
    const struct json *tree = call_object(call, s, fields);
    if (!tree)
        return;
    stock_read_available(json_get(tree, "available"), &c.available, &call->problems);
    if (problems_any(&call->problems)) {
        call_invalid(call);
        return;
    }
    if (!run_transaction(&c, s, set_stock))
        return;
    if (c.created)
        call_location(call, "/v1/stock/", c.sku);
    reply(call, s, c.created ? 201 : 200, &c.stock);
}

void stock_handle_put(struct http_request *request, void *ctx) {
    call_start(request, ctx, HEALTH_MYSQL, run_put);
}

/* ---- adjust ---------------------------------------------------------------------------------------------- */

/* The condition is part of the UPDATE: two customers cannot both take the last one. */
static bool adjust_stock(struct session *s, void *ctx, struct error *reterr) {
    struct change *c = ctx;
    struct mysql_result result;
    if (c->match.present && (!get_existing(c, s, true, reterr) || !check_match(c)))
        return false;
    if (!mysql_session_exec(s->mysql, &result, reterr,
                            "UPDATE stock SET available=available+? WHERE sku=? AND available+? BETWEEN 0 AND ?",
                            MYSQL_I64(c->delta), MYSQL_SLICE(c->sku), MYSQL_I64(c->delta), MYSQL_I64(STOCK_MAX)) ||
        !get_existing(c, s, false, reterr))
        return false;
    if (result.affected == 0) {
        problems_add_field(&c->call->problems, "delta", "%lld is more than what is there: %lld available",
                           (long long)c->delta, (long long)c->stock.available);
        return call_refuse(c->call, 409, "%lld available: the stock would leave 0 to %lld",
                           (long long)c->stock.available, (long long)STOCK_MAX);
    }
    return stock_add_movement(s, c->sku, c->delta, c->reason, reterr);
}

static void read_adjustment(struct change *c, const struct json *tree) {
    struct problems *problems = &c->call->problems;
    const struct json *delta = json_get(tree, "delta"), *reason = json_get(tree, "reason");
    if (!delta)
        problems_add_field(problems, "delta", "is required");
    else if (!json_int64(delta, &c->delta) || c->delta == 0 || c->delta > STOCK_MAX || c->delta < -STOCK_MAX)
        problems_add_field(problems, "delta", "must be a whole number other than 0, within %lld", (long long)STOCK_MAX);
    c->reason = SLICE("adjust");
    if (!reason)
        return;
    if (reason->type != JSON_STRING || memchr(reason->text.data, '\0', reason->text.len))
        problems_add_field(problems, "reason", "must be a string");
    else if (utf8_count(reason->text.data, reason->text.len) > REASON_MAX)
        problems_add_field(problems, "reason", "must not be longer than %d characters", REASON_MAX);
    else
        c->reason = reason->text;
}

static void run_adjust(struct call *call, struct session *s) {
    static const char *const fields[] = {"delta", "reason", NULL};
    struct change c = {.call = call};
    if (!path_sku(call, &c.sku) || !call_precondition(call, "If-Match", &c.match))
        return;
    const struct json *tree = call_object(call, s, fields);
    if (!tree)
        return;
    read_adjustment(&c, tree);
    if (problems_any(&call->problems)) {
        call_invalid(call);
        return;
    }
    if (run_transaction(&c, s, adjust_stock))
        reply(call, s, 200, &c.stock);
}

void stock_handle_adjust(struct http_request *request, void *ctx) {
    call_start(request, ctx, HEALTH_MYSQL, run_adjust);
}
