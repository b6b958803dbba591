/* handlers.h - the handlers of the route table (routes.c), by resource. ctx is the struct service. */
#pragma once
#include "core/http_server.h"

/* products.c */
http_handler products_handle_create, products_handle_get, products_handle_put, products_handle_patch,
    products_handle_delete;
/* import.c, with the line handling of import_products.c and import_stock.c */
http_handler import_handle_products, import_handle_stock;
http_body_handler import_on_body;
/* categories.c, category_changes.c */
http_handler categories_handle_create, categories_handle_get, categories_handle_patch, categories_handle_delete,
    categories_handle_move, categories_handle_children, categories_handle_subtree;
/* stock.c */
http_handler stock_handle_get, stock_handle_put, stock_handle_adjust;
