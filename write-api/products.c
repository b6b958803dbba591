/* /v1/products and /v1/products/{id} */
#include "core/cleanup.h"
#include "core/clock.h"
#include "write-api/call.h"
#include "write-api/handlers.h"
#include "write-api/merge_patch.h"
#include "write-api/product_store.h"
#include <limits.h>

enum { PATCH_ATTEMPTS = 16, STORED_DEPTH_MAX = 100 /* MongoDB's own limit */ };

/* ---- shared ---------------------------------------------------------------------------------------------- */

static bool path_id(struct call *call, struct slice *ret) {
    *ret = http_request_param(call->request, "id");
    const char *problem = product_id_problem(*ret);
    if (!problem)
        return true;
    problems_add_field(&call->problems, "id", "%s", problem);
    return call_invalid(call);
}

static void reply_product(struct call *call, struct session *s, int status, const bson_t *product) {
    product_write_json(call_body(call, s), product);
    call_reply(call, s, status, product_version(product));
}

static bool conflict(struct call *call, struct slice id, const struct product_conflict *c) {
    if (c->sku) {
        problems_add_field(&call->problems, "variants", "the SKU \"%s\" belongs to another product", c->value);
        return call_refuse(call, 409, "a SKU may belong to one product only");
    }
    return call_refuse(call, 409, "the product \"%.*s\" exists already", (int)id.len, id.data);
}

/* Everything that did not succeed, but STORE_MISSING. */
static bool store_failed(struct call *call, struct slice id, enum store_result result,
                         const struct product_conflict *c, const struct error *error) {
    return result == STORE_CONFLICT ? conflict(call, id, c) : call_fail(call, error);
}

static bool not_found(struct call *call, struct slice id) {
    return call_refuse(call, 404, "there is no product \"%.*s\"", (int)id.len, id.data);
}

static bool precondition_failed(struct call *call) {
    return call_refuse(call, 412, "the product has another version than If-Match asks for; read it again");
}

static bool check_categories(struct call *call, struct session *s, const struct product *product) {
    if (product->category_count == 0)
        return true;
    bool *known = arena_alloc(&s->arena, product->category_count * sizeof(*known));
    struct error error;
    if (!known) {
        error_nomem(&error);
        return call_fail(call, &error);
    }
    if (!category_ids_check(s, product->categories, product->category_count, known, &error))
        return call_fail(call, &error);
    struct field_path categories = FIELD(NULL, SLICE("categories"));
    for (unsigned i = 0; i < product->category_count; i++) {
        struct field_path here = ELEMENT(&categories, i);
        if (!known[i])
            problems_add(&call->problems, &here, "there is no category %lld", (long long)product->categories[i]);
    }
    return !problems_any(&call->problems) || call_invalid(call);
}

/* Tree -> s->document, fully checked. False: the call is answered. */
static bool make_document(struct call *call, struct session *s, const struct json *tree, struct product_stamp *stamp,
                          struct product *ret) {
    char traceparent[TRACEPARENT_SIZE];
    call_traceparent(call, traceparent);
    stamp->traceparent = traceparent;
    stamp->updated_wall_usec = clock_wall_usec();
    if (stamp->created_wall_usec == 0)
        stamp->created_wall_usec = stamp->updated_wall_usec;
    bson_reinit(s->document);
    if (!product_from_json(tree, stamp, &call->service->product_limits, &s->arena, s->document, ret, &call->problems))
        return call_invalid(call);
    return check_categories(call, s, ret);
}

/* ---- POST ------------------------------------------------------------------------------------------------ */

static void run_create(struct call *call, struct session *s) {
    const struct json *tree = call_json(call, s);
    char new_id[PRODUCT_NEW_ID_SIZE];
    product_new_id(new_id);
    struct product_stamp stamp = {.default_id = new_id, .version = 1};
    struct product product;
    struct product_conflict c;
    struct error error = {0};
    if (!tree || !make_document(call, s, tree, &stamp, &product))
        return;
    enum store_result result = product_store_insert(s, s->document, &c, &error);
    if (result != STORE_CREATED) {
        store_failed(call, product.id, result, &c, &error);
        return;
    }
    call_location(call, "/v1/products/", product.id);
    reply_product(call, s, 201, s->document);
}

void products_handle_create(struct http_request *request, void *ctx) {
    call_start(request, ctx, HEALTH_MONGO, run_create);
}

/* ---- GET ------------------------------------------------------------------------------------------------- */

static void run_get(struct call *call, struct session *s) {
    struct slice id;
    struct precondition none_match;
    struct error error = {0};
    bson_t product;
    if (!path_id(call, &id) || !call_precondition(call, "If-None-Match", &none_match))
        return;
    enum store_result result = product_store_get(s, id, &product, &error);
    if (result == STORE_MISSING) {
        not_found(call, id);
    } else if (result != STORE_DONE) {
        call_fail(call, &error);
    } else {
        if (none_match.present && precondition_matches(&none_match, product_version(&product))) {
            etag_format(product_version(&product), call->etag);
            call_reply_empty(call, 304);
        } else {
            reply_product(call, s, 200, &product);
        }
        bson_destroy(&product);
    }
}

void products_handle_get(struct http_request *request, void *ctx) {
    call_start(request, ctx, HEALTH_MONGO, run_get);
}

/* ---- PUT ------------------------------------------------------------------------------------------------- */

/* If-None-Match: * asks for a creation. */
static void put_new(struct call *call, struct session *s, const struct product *product) {
    struct product_conflict c;
    struct error error = {0};
    enum store_result result = product_store_insert(s, s->document, &c, &error);
    if (result == STORE_CREATED) {
        call_location(call, "/v1/products/", product->id);
        reply_product(call, s, 201, s->document);
    } else if (result == STORE_CONFLICT && !c.sku) {
        call_refuse(call, 412, "the product \"%.*s\" exists already", (int)product->id.len, product->id.data);
    } else {
        store_failed(call, product->id, result, &c, &error);
    }
}

static void put(struct call *call, struct session *s, const struct product *product, const struct precondition *match) {
    struct product_conflict c;
    struct error error = {0};
    bson_t stored;
    enum store_result result = product_store_put(s, product->id, s->document, match, &stored, &c, &error);
    if (result == STORE_MISSING) {
        precondition_failed(call);
        return;
    }
    if (result != STORE_DONE && result != STORE_CREATED) {
        store_failed(call, product->id, result, &c, &error);
        return;
    }
    if (result == STORE_CREATED)
        call_location(call, "/v1/products/", product->id);
    reply_product(call, s, result == STORE_CREATED ? 201 : 200, &stored);
    bson_destroy(&stored);
}

static void run_put(struct call *call, struct session *s) {
    struct precondition match, none_match;
    struct product_stamp stamp = {.version = 1};
    struct product product;
    if (!path_id(call, &stamp.required_id) || !call_precondition(call, "If-Match", &match) ||
        !call_precondition(call, "If-None-Match", &none_match))
        return;
    if (none_match.present && (!none_match.any || match.present)) {
        call_refuse(call, 400, "PUT takes If-Match with entity tags, or If-None-Match: *");
        return;
    }
    const struct json *tree = call_json(call, s);
    if (!tree || !make_document(call, s, tree, &stamp, &product))
        return;
    if (none_match.present)
        put_new(call, s, &product);
    else
        put(call, s, &product, &match);
}

void products_handle_put(struct http_request *request, void *ctx) {
    call_start(request, ctx, HEALTH_MONGO, run_put);
}

/* ---- PATCH ----------------------------------------------------------------------------------------------- */

static const char merge_patch_type[] = "application/merge-patch+json";

static bool is_type(struct slice header, const char *type) {
    size_t len = strlen(type);
    return header.len >= len && strncasecmp(header.data, type, len) == 0 &&
           (header.len == len || header.data[len] == ';' || header.data[len] == ' ');
}

static bool check_patch_type(struct call *call) {
    struct slice type = http_request_header(call->request, "Content-Type");
    if (!type.data || is_type(type, merge_patch_type) || is_type(type, "application/json"))
        return true;
    call->accept_patch = merge_patch_type;
    return call_refuse(call, 415, "PATCH takes a JSON Merge Patch: Content-Type %s", merge_patch_type);
}

static int64_t created_at(const bson_t *product) {
    bson_iter_t it;
    return bson_iter_init_find(&it, product, "created_at") ? bson_iter_date_time(&it) * 1000 : 0;
}

/* The stored product as a tree, which the patch is then applied to. What was taken once is not held to a request's limits. */
static struct json *tree_of(struct call *call, struct session *s, const bson_t *product, struct error *reterr) {
    product_write_json(call_body(call, s), product);
    if (!json_write_ok(&s->json) || !buf_ok(&call->body)) {
        error_set(reterr, ERROR_INTERNAL, "the stored product cannot be written as JSON");
        return NULL;
    }
    const struct json_limits any = {.depth_max = STORED_DEPTH_MAX, .values_max = UINT_MAX};
    return json_parse(&s->arena, call->body.data, call->body.len, &any, reterr);
}

/* One attempt on one version. STORE_MISSING: somebody else has written meanwhile. STORE_DONE: answered, well or
 * badly. */
static enum store_result patch_version(struct call *call, struct session *s, const bson_t *old, struct slice id) {
    struct product_stamp stamp = {.required_id = id,
                                  .version = product_version(old) + 1,
                                  .created_wall_usec = created_at(old)};
    struct product product;
    struct product_conflict c;
    struct error error = {0};
    const struct json *patch = call_json(call, s);
    if (!patch)
        return STORE_DONE;
    struct json *tree = tree_of(call, s, old, &error);
    if (tree && !(tree = merge_patch(&s->arena, tree, patch)))
        error_nomem(&error);
    if (!tree) {
        call_fail(call, &error);
        return STORE_DONE;
    }
    if (!make_document(call, s, tree, &stamp, &product))
        return STORE_DONE;
    enum store_result result = product_store_replace(s, id, product_version(old), s->document, &c, &error);
    if (result == STORE_DONE)
        reply_product(call, s, 200, s->document);
    else if (result != STORE_MISSING)
        store_failed(call, id, result, &c, &error);
    return result == STORE_MISSING ? STORE_MISSING : STORE_DONE;
}

/* False: try again with the version that is there then. */
static bool patch_once(struct call *call, struct session *s, struct slice id, const struct precondition *match) {
    struct error error = {0};
    bson_t old;
    arena_reset(&s->arena);
    enum store_result result = product_store_get(s, id, &old, &error);
    if (result == STORE_MISSING) {
        not_found(call, id);
        return true;
    }
    if (result != STORE_DONE) {
        call_fail(call, &error);
        return true;
    }
    bool done = true;
    if (match->present && !precondition_matches(match, product_version(&old)))
        precondition_failed(call);
    else
        done = patch_version(call, s, &old, id) == STORE_DONE;
    bson_destroy(&old);
    return done;
}

static void run_patch(struct call *call, struct session *s) {
    struct slice id;
    struct precondition match;
    if (!check_patch_type(call) || !path_id(call, &id) || !call_precondition(call, "If-Match", &match))
        return;
    for (int i = 0; i < PATCH_ATTEMPTS; i++) {
        if (patch_once(call, s, id, &match))
            return;
        if (clock_now_usec() >= http_request_deadline(call->request))
            break;
    }
    struct error error;
    error_set(&error, ERROR_OVERLOADED, "the product is being changed too often; try again in a moment");
    call_fail(call, &error);
}

void products_handle_patch(struct http_request *request, void *ctx) {
    call_start(request, ctx, HEALTH_MONGO, run_patch);
}

/* ---- DELETE ---------------------------------------------------------------------------------------------- */

/* Nothing was deleted: because it is not there, or because of its version? */
static void explain_missing(struct call *call, struct session *s, struct slice id, const struct precondition *match) {
    struct error error = {0};
    bson_t product;
    if (!match->present || match->any) {
        not_found(call, id);
        return;
    }
    enum store_result result = product_store_get(s, id, &product, &error);
    if (result == STORE_DONE) {
        bson_destroy(&product);
        precondition_failed(call);
    } else if (result == STORE_MISSING) {
        not_found(call, id);
    } else {
        call_fail(call, &error);
    }
}

static void run_delete(struct call *call, struct session *s) {
    struct slice id;
    struct precondition match;
    struct error error = {0};
    if (!path_id(call, &id) || !call_precondition(call, "If-Match", &match))
        return;
    enum store_result result = product_store_delete(s, id, &match, &error);
    if (result == STORE_DONE)
        call_reply_empty(call, 204);
    else if (result == STORE_MISSING)
        explain_missing(call, s, id, &match);
    else
        call_fail(call, &error);
}

void products_handle_delete(struct http_request *request, void *ctx) {
    call_start(request, ctx, HEALTH_MONGO, run_delete);
}
