#include "write-api/stock_store.h"

struct row {
    struct arena *arena;
    struct stock *stock;
    bool found;
};

static int64_t number(const char *text) {
    return text ? strtoll(text, NULL, 10) : 0;
}

static struct slice copy(struct arena *arena, const char *text, unsigned long len) {
    char *s = text ? arena_strndup(arena, text, len) : NULL;
    return (struct slice){s, s ? len : 0};
}

static bool read_row(void *ctx, char **c, const unsigned long *len, unsigned count) {
    (void)count;
    struct row *r = ctx;
    r->found = true;
    *r->stock = (struct stock){.sku = copy(r->arena, c[0], len[0]),
                               .available = number(c[1]),
                               .reserved = number(c[2]),
                               .sold = number(c[3]),
                               .state = number(c[4]),
                               .version = number(c[5]),
                               .updated_at = copy(r->arena, c[6], len[6])};
    return false;
}

#define SELECT_STOCK "SELECT sku, available, reserved, sold, state, version, updated_at FROM stock WHERE sku=?"

enum store_result stock_get(struct session *s, struct slice sku, bool lock, struct stock *ret, struct error *reterr) {
    struct row row = {.arena = &s->arena, .stock = ret};
    if (!mysql_session_query(s->mysql, read_row, &row, reterr, lock ? SELECT_STOCK " FOR UPDATE" : SELECT_STOCK,
                             MYSQL_SLICE(sku)))
        return STORE_FAILED;
    return row.found ? STORE_DONE : STORE_MISSING;
}

bool stock_add_movement(struct session *s, struct slice sku, int64_t delta, struct slice reason, struct error *reterr) {
    return mysql_session_exec(s->mysql, NULL, reterr,
                              "INSERT INTO stock_movements (sku, delta, reason, created_at) "
                              "VALUES (?, ?, ?, UTC_TIMESTAMP(6))",
                              MYSQL_SLICE(sku), MYSQL_I64(delta), MYSQL_SLICE(reason));
}

bool stock_read_available(const struct json *v, int64_t *ret, struct problems *problems) {
    if (!v)
        return problems_add_field(problems, "available", "is required");
    if (!json_int64(v, ret) || *ret < 0 || *ret > STOCK_MAX)
        return problems_add_field(problems, "available", "must be a whole number from 0 to %lld", (long long)STOCK_MAX);
    return true;
}

void stock_write_json(struct json_write *w, const struct stock *stock) {
    static const char *const states[] = {"out", "low", "in"};
    char time[40];
    size_t len = stock->updated_at.len < sizeof(time) - 1 ? stock->updated_at.len : sizeof(time) - 1;
    memcpy(time, stock->updated_at.data ? stock->updated_at.data : "", len);
    if (len > 10)
        time[10] = 'T';
    time[len++] = 'Z';
    json_write_object(w);
    json_write_key(w, "sku");
    json_write_slice(w, stock->sku);
    json_write_key(w, "available");
    json_write_int(w, stock->available);
    json_write_key(w, "reserved");
    json_write_int(w, stock->reserved);
    json_write_key(w, "sold");
    json_write_int(w, stock->sold);
    json_write_key(w, "state");
    json_write_str(w, states[stock->state < 0 || stock->state > 2 ? 0 : stock->state]);
    json_write_key(w, "version");
    json_write_int(w, stock->version);
    json_write_key(w, "updated_at");
    json_write_string(w, time, len);
    json_write_object_end(w);
}
