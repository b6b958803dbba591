#include "write-api/routes.h"
#include "core/daemon.h"
#include "write-api/handlers.h"

/* A reassigning delete may have many products to move; repeated after a time-out it goes on where it was. */
#define DELETE_DEADLINE (120 * USEC_PER_SEC)

const struct http_route write_routes[] = {
    {.method = "POST", .path = "/v1/products", .handler = products_handle_create, .summary = "Create a product"},
    {.method = "POST",
     .path = "/v1/products:import",
     .handler = import_handle_products,
     .on_body = import_on_body,
     .deadline_usec = USEC_NEVER,
     .summary = "Import products: NDJSON in, one result per line out"},
    {.method = "GET", .path = "/v1/products/{id}", .handler = products_handle_get, .summary = "Read a product"},
    {.method = "PUT", .path = "/v1/products/{id}", .handler = products_handle_put, .summary = "Create or replace a product"},
    {.method = "PATCH",
     .path = "/v1/products/{id}",
     .handler = products_handle_patch,
     .summary = "Change a product by a JSON Merge Patch (RFC 7396)"},
    {.method = "DELETE", .path = "/v1/products/{id}", .handler = products_handle_delete, .summary = "Delete a product"},

    {.method = "POST", .path = "/v1/categories", .handler = categories_handle_create, .summary = "Create a category"},
    {.method = "GET", .path = "/v1/categories/{id}", .handler = categories_handle_get, .summary = "Read a category"},
    {.method = "PATCH", .path = "/v1/categories/{id}", .handler = categories_handle_patch, .summary = "Rename a category"},
    {.method = "DELETE",
     .path = "/v1/categories/{id}",
     .handler = categories_handle_delete,
     .deadline_usec = DELETE_DEADLINE,
     .summary = "Delete a category; reassign_to=ID takes its children and products"},
    {.method = "POST",
     .path = "/v1/categories/{id}:move",
     .handler = categories_handle_move,
     .summary = "Put a category and everything below it under another parent"},
    {.method = "GET",
     .path = "/v1/categories/{id}/children",
     .handler = categories_handle_children,
     .summary = "The categories directly below, by name"},
    {.method = "GET",
     .path = "/v1/categories/{id}/subtree",
     .handler = categories_handle_subtree,
     .summary = "The category and everything below it, by path"},

    {.method = "POST",
     .path = "/v1/stock:import",
     .handler = import_handle_stock,
     .on_body = import_on_body,
     .deadline_usec = USEC_NEVER,
     .summary = "Import stock: NDJSON in, one result per line out"},
    {.method = "GET", .path = "/v1/stock/{sku}", .handler = stock_handle_get, .summary = "Read the stock of a SKU"},
    {.method = "PUT", .path = "/v1/stock/{sku}", .handler = stock_handle_put, .summary = "Set the stock of a SKU"},
    {.method = "POST",
     .path = "/v1/stock/{sku}:adjust",
     .handler = stock_handle_adjust,
     .summary = "Add to or take from the stock of a SKU"},
    DAEMON_ROUTES,
    {.method = NULL},
};
