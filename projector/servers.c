#include "core/cleanup.h"
#include "projector/servers.h"
#include "projector/state.h"

bool servers_try_mongo(mongoc_client_t *client, struct error *reterr) {
    bson_t *hello = BCON_NEW("hello", BCON_INT32(1));
    bson_t reply;
    bool ok = state_command(client, "admin", hello, "hello", &reply, reterr);
    if (ok && !state_bool(&reply, "isWritablePrimary"))
        ok = error_set(reterr, ERROR_UNAVAILABLE, "MongoDB has no primary yet; a change stream needs a replica set");
    bson_destroy(&reply);
    bson_destroy(hello);
    return ok;
}

static bool ignore_row(void *ctx, char **columns, const unsigned long *lengths, unsigned count) {
    (void)ctx, (void)columns, (void)lengths, (void)count;
    return true;
}

/* The tables are made by the write-api's migrations. */
bool servers_try_mysql(struct mysql_session *mysql, struct error *reterr) {
    static const char *const probes[] = {
        "SELECT 1",
        "SELECT id, kind, ref, revision, created_at FROM projection_queue LIMIT 1",
        "SELECT epoch FROM projector_fence LIMIT 1",
        "SELECT revision FROM category_revision LIMIT 1",
        "SELECT id, parent_id, path, name, names FROM categories LIMIT 1",
        "SELECT sku, state FROM stock LIMIT 1",
        "SELECT product_id, sales, popularity FROM product_signals LIMIT 1",
    };
    for (size_t i = 0; i < ARRAY_LEN(probes); i++)
        if (!mysql_session_query(mysql, ignore_row, NULL, reterr, probes[i]))
            return i == 0 ? false : error_prefix(reterr, "start the write-api once, it makes the tables");
    return true;
}

bool servers_try_es(const struct es_conf *es, struct error *reterr) {
    struct buf answer = BUF_INIT(1 << 20);
    bool ok = es_call(es, "GET", "/_cluster/health?filter_path=status", (struct slice){0}, 5 * USEC_PER_SEC,
                      NULL, &answer, reterr);
    buf_done(&answer);
    return ok;
}
