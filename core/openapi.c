#include "core/openapi.h"
#include "core/api_guard.h"
#include "core/json_write.h"

/* Every error of the server has this shape (RFC 9457). */
static const char schemas[] =
    "{\"Problem\":{\"type\":\"object\",\"required\":[\"title\",\"status\"],\"properties\":{"
    "\"type\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},\"status\":{\"type\":\"integer\"},"
    "\"detail\":{\"type\":\"string\"},\"request_id\":{\"type\":\"string\"},\"errors\":{\"type\":\"array\",\"items\":{"
    "\"type\":\"object\",\"required\":[\"field\",\"message\"],\"properties\":{\"field\":{\"type\":\"string\"},"
    "\"message\":{\"type\":\"string\"}}}}}}}";
static const char problem_response[] =
    "{\"Problem\":{\"description\":\"What is wrong, and with which "
    "field\",\"content\":{\"application/problem+json\":{\"schema\":{\"$ref\":\"#/components/schemas/Problem\"}}}}}";
/* As api_guard.c reads them. */
static const char security_schemes[] =
    "{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\",\"description\":\"An API key, whose scopes an operation "
    "names\"},\"header\":{\"type\":\"apiKey\",\"in\":\"header\",\"name\":\"X-Algolia-API-Key\"},"
    "\"query\":{\"type\":\"apiKey\",\"in\":\"query\",\"name\":\"x-algolia-api-key\"}}";
static const char responses[] =
    "{\"2XX\":{\"description\":\"Success\"},\"4XX\":{\"$ref\":\"#/components/responses/Problem\"},"
    "\"5XX\":{\"$ref\":\"#/components/responses/Problem\"}}";

static void member(struct json_write *w, const char *key, const char *text) {
    json_write_key(w, key);
    json_write_str(w, text);
}

static void raw_member(struct json_write *w, const char *key, const char *json, size_t len) {
    json_write_key(w, key);
    json_write_raw(w, json, len);
}

static void open_object(struct json_write *w, const char *key) {
    json_write_key(w, key);
    json_write_object(w);
}

/* "attr." of "attr.{name}"; 0: the name is one name. */
static size_t open_prefix(const struct http_param *param) {
    const char *brace = strchr(param->name, '{');
    return brace ? (size_t)(brace - param->name) : 0;
}

static void write_one(struct json_write *w, const struct http_param *param) {
    static const char *const types[] = {"string", "integer", "boolean"};
    json_write_object(w);
    member(w, "type", types[param->type]);
    if (param->type == HTTP_PARAM_INTEGER) {
        json_write_key(w, "minimum");
        json_write_int(w, param->min);
        json_write_key(w, "maximum");
        json_write_int(w, param->max);
    } else if (param->max) {
        json_write_key(w, "maxLength");
        json_write_int(w, param->max);
    }
    if (param->values) {
        json_write_key(w, "enum");
        json_write_array(w);
        for (const char *const *v = param->values; *v; v++)
            json_write_str(w, *v);
        json_write_array_end(w);
    }
    json_write_object_end(w);
}

static void write_schema(struct json_write *w, const struct http_param *param) {
    if (!param->repeated) {
        write_one(w, param);
        return;
    }
    json_write_object(w);
    member(w, "type", "array");
    json_write_key(w, "items");
    write_one(w, param);
    json_write_object_end(w);
}

static void write_path_params(struct json_write *w, const char *path) {
    static const char schema[] = "{\"type\":\"string\",\"minLength\":1}";
    for (const char *open = strchr(path, '{'); open; open = strchr(open + 1, '{')) {
        const char *close = strchr(open, '}');
        json_write_object(w);
        json_write_key(w, "name");
        json_write_string(w, open + 1, (size_t)(close - open) - 1);
        member(w, "in", "path");
        json_write_key(w, "required");
        json_write_bool(w, true);
        json_write_key(w, "schema");
        json_write_raw(w, schema, sizeof(schema) - 1);
        json_write_object_end(w);
    }
}

static void write_query_params(struct json_write *w, const struct http_param *params) {
    for (const struct http_param *p = params; p && p->name; p++) {
        json_write_object(w);
        member(w, "name", p->name);
        member(w, "in", "query");
        member(w, "description", p->about);
        json_write_key(w, "required");
        json_write_bool(w, p->required);
        json_write_key(w, "schema");
        write_schema(w, p);
        if (p->example)
            member(w, "example", p->example);
        json_write_object_end(w);
    }
}

/* A member may be a list wherever the query has a repeated key, and a number or a boolean wherever it has their text. */
static void write_body_value(struct json_write *w, const struct http_param *param) {
    static const char any[] = "[\"string\",\"number\",\"boolean\"]", list[] = "[\"string\",\"number\",\"boolean\",\"array\"]";
    json_write_object(w);
    json_write_key(w, "type");
    json_write_raw(w, param->repeated ? list : any, (param->repeated ? sizeof(list) : sizeof(any)) - 1);
    member(w, "description", param->about);
    json_write_object_end(w);
}

static void write_body_params(struct json_write *w, const struct http_param *params) {
    const struct http_param *open = NULL;
    static const char free_object[] = "{\"type\":\"object\"}";
    json_write_object(w);
    member(w, "type", "object");
    open_object(w, "properties");
    for (const struct http_param *p = params; p->name; p++) {
        size_t prefix = open_prefix(p);
        if (prefix) {
            open = p;
            json_write_key_slice(w, (struct slice){p->name, prefix - 1});
            json_write_raw(w, free_object, sizeof(free_object) - 1);
        } else {
            json_write_key(w, p->name);
            write_body_value(w, p);
        }
    }
    json_write_object_end(w);
    if (open) {
        open_object(w, "patternProperties");
        char pattern[64] = "^";
        size_t n = open_prefix(open) < 40 ? open_prefix(open) : 40;
        memcpy(pattern + 1, open->name, n - 1);
        memcpy(pattern + n, "\\.", 3);
        json_write_key_slice(w, slice_str(pattern));
        write_body_value(w, open);
        json_write_object_end(w);
    }
    json_write_key(w, "additionalProperties");
    json_write_bool(w, false);
    json_write_object_end(w);
}

static void write_body(struct json_write *w, const struct http_route *route) {
    static const char text[] = "{\"type\":\"string\"}", object[] = "{\"type\":\"object\"}";
    open_object(w, "requestBody");
    open_object(w, "content");
    open_object(w, route->on_body ? "application/x-ndjson" : "application/json");
    json_write_key(w, "schema");
    if (route->body)
        json_write_raw(w, route->body, strlen(route->body));
    else if (route->params)
        write_body_params(w, route->params);
    else
        json_write_raw(w, route->on_body ? text : object, (route->on_body ? sizeof(text) : sizeof(object)) - 1);
    json_write_object_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
}

/* "GET /v1/products/{id}" -> get_v1_products_id: unique as long as paths differ in a letter or a digit. */
static void write_operation_id(struct json_write *w, const struct http_route *route) {
    char id[128];
    size_t n = 0;
    for (const char *c = route->method; *c && n < 16; c++)
        id[n++] = (char)(*c | 0x20);
    for (const char *c = route->path; *c && n + 2 < sizeof(id); c++) {
        bool word = (*c >= '0' && *c <= '9') || ((*c | 0x20) >= 'a' && (*c | 0x20) <= 'z');
        if (word)
            id[n++] = *c;
        else if (id[n - 1] != '_')
            id[n++] = '_';
    }
    while (n && id[n - 1] == '_')
        n--;
    json_write_key(w, "operationId");
    json_write_string(w, id, n);
}

/* Which key it needs: one of these ways; an empty one means that it may be left out. */
static void write_security(struct json_write *w, const struct http_server_options *options, const struct http_route *route) {
    static const char *const ways[] = {"bearer", "header", "query"};
    size_t count = api_guard_takes_query(route) ? 3 : 2;
    enum http_scope scope = route->scope ? route->scope : options->default_scope;
    json_write_key(w, "security");
    json_write_array(w);
    for (size_t i = 0; scope != HTTP_SCOPE_PUBLIC && i < count; i++) {
        json_write_object(w);
        json_write_key(w, ways[i]);
        json_write_array(w);
        json_write_str(w, scope == HTTP_SCOPE_ADMIN ? "admin" : scope == HTTP_SCOPE_WRITE ? "write" : "search");
        json_write_array_end(w);
        json_write_object_end(w);
    }
    if (scope != HTTP_SCOPE_PUBLIC && (options->open_scopes & scope)) {
        json_write_object(w);
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

static void write_operation(struct json_write *w, const struct http_server_options *options, const struct http_route *route) {
    char method[16];
    size_t n = 0;
    for (const char *c = route->method; *c && n < sizeof(method) - 1; c++)
        method[n++] = (char)(*c | 0x20);
    method[n] = '\0';
    bool has_body = strcmp(method, "post") == 0 || strcmp(method, "put") == 0 || strcmp(method, "patch") == 0;
    open_object(w, method);
    write_operation_id(w, route);
    if (route->summary)
        member(w, "summary", route->summary);
    if (options->guard)
        write_security(w, options, route);
    if (!has_body && route->params)
        member(w, "description", "A parameter that is not listed is refused by name.");
    json_write_key(w, "parameters");
    json_write_array(w);
    write_path_params(w, route->path);
    if (!has_body)
        write_query_params(w, route->params);
    json_write_array_end(w);
    if (has_body)
        write_body(w, route);
    json_write_key(w, "responses");
    json_write_raw(w, responses, sizeof(responses) - 1);
    json_write_object_end(w);
}

static bool is_first_of_path(const struct http_route *routes, size_t index) {
    for (size_t i = 0; i < index; i++)
        if (strcmp(routes[i].path, routes[index].path) == 0)
            return false;
    return true;
}

static void write_components(struct json_write *w, bool guarded) {
    json_write_key(w, "components");
    json_write_object(w);
    raw_member(w, "schemas", schemas, sizeof(schemas) - 1);
    raw_member(w, "responses", problem_response, sizeof(problem_response) - 1);
    if (guarded)
        raw_member(w, "securitySchemes", security_schemes, sizeof(security_schemes) - 1);
    json_write_object_end(w);
}

bool openapi_write(struct buf *out, const char *version, const struct http_server_options *options) {
    const struct http_route *routes = options->routes;
    struct json_write w;
    json_write_init(&w, out);
    json_write_object(&w);
    member(&w, "openapi", "3.1.0");
    open_object(&w, "info");
    member(&w, "title", options->name);
    member(&w, "version", version);
    json_write_object_end(&w);
    open_object(&w, "paths");
    for (size_t i = 0; routes[i].method; i++) {
        if (!is_first_of_path(routes, i))
            continue;
        open_object(&w, routes[i].path);
        for (size_t k = i; routes[k].method; k++)
            if (strcmp(routes[k].path, routes[i].path) == 0)
                write_operation(&w, options, &routes[k]);
        json_write_object_end(&w);
    }
    json_write_object_end(&w);
    write_components(&w, options->guard != NULL);
    json_write_object_end(&w);
    return json_write_finish(&w);
}
