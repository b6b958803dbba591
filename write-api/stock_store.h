/* stock_store.h - stock rows in MySQL. Triggers keep state, version and updated_at. Worker threads. */
#pragma once
#include "core/json_read.h"
#include "core/json_write.h"
#include "write-api/problems.h"
#include "write-api/product_store.h"

#define STOCK_MAX INT64_C(9000000000000000)

struct stock {
    struct slice sku; /* in the session's arena, as the other strings */
    int64_t available, reserved, sold, state, version;
    struct slice updated_at;
};

enum store_result stock_get(struct session *s, struct slice sku, bool lock, struct stock *ret, struct error *reterr);
bool stock_add_movement(struct session *s, struct slice sku, int64_t delta, struct slice reason, struct error *reterr);

/* Pure. */
bool stock_read_available(const struct json *v, int64_t *ret, struct problems *problems);
void stock_write_json(struct json_write *w, const struct stock *stock);
