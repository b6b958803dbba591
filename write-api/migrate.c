#include "write-api/migrate.h"
#include "core/cleanup.h"
#include "core/embed.h"
#include "core/hash.h"
#include "core/log.h"
#include <inttypes.h>
#include <stdio.h>

EMBED(migration_0001, "write-api/migrations/0001_categories_stock.sql");
EMBED(migration_0002, "write-api/migrations/0002_triggers.sql");
EMBED(migration_0003, "write-api/migrations/0003_signals.sql");

enum { LOCK_SECONDS = 5, NO_SUPER = 1419 };

struct migration {
    unsigned version;
    const char *name;
    const char *text;
    const size_t *size;
};
static const struct migration migrations[] = {
    {1, "categories_stock", migration_0001, &migration_0001_size},
    {2, "triggers", migration_0002, &migration_0002_size},
    {3, "signals", migration_0003, &migration_0003_size},
};

static const char schema_table[] =
    "CREATE TABLE IF NOT EXISTS schema_migrations ("
    " version INT UNSIGNED NOT NULL PRIMARY KEY, name VARCHAR(100) NOT NULL, checksum CHAR(16) NOT NULL,"
    " applied_at DATETIME(6) NOT NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4";

static bool read_i64(void *ctx, char **columns, const unsigned long *lengths, unsigned count) {
    (void)lengths, (void)count;
    *(int64_t *)ctx = columns[0] ? strtoll(columns[0], NULL, 10) : 0;
    return false;
}

/* A lock's name is global to the server and at most 64 characters. */
static void lock_name(const char *database, char ret[64]) {
    snprintf(ret, 64, "readside.%.40s.migrate", database);
}

static bool take_lock(struct mysql_session *s, const char *name, struct error *reterr) {
    int64_t got = 0;
    if (!mysql_session_query(s, read_i64, &got, reterr, "SELECT GET_LOCK(?, ?)", MYSQL_STR(name),
                             MYSQL_I64(LOCK_SECONDS)))
        return false;
    return got == 1 || error_set(reterr, ERROR_OVERLOADED, "another instance is applying migrations");
}

/* A session that lost its connection has a new one, and no lock. */
static bool check_lock(struct mysql_session *s, const char *name, struct error *reterr) {
    int64_t mine = 0;
    if (!mysql_session_query(s, read_i64, &mine, reterr, "SELECT IS_USED_LOCK(?) = CONNECTION_ID()", MYSQL_STR(name)))
        return false;
    return mine == 1 || error_set(reterr, ERROR_UNAVAILABLE, "the connection was lost while migrations were applied");
}

static void checksum(const struct migration *m, char ret[17]) {
    snprintf(ret, 17, "%016" PRIx64, hash_bytes(m->text, *m->size));
}

struct recorded {
    bool found;
    char checksum[17];
};

static bool read_recorded(void *ctx, char **columns, const unsigned long *lengths, unsigned count) {
    (void)lengths, (void)count;
    struct recorded *r = ctx;
    r->found = true;
    snprintf(r->checksum, sizeof(r->checksum), "%s", columns[0]);
    return false;
}

/* ret_applied: it is there already. */
static bool check_recorded(struct mysql_session *s, const struct migration *m, bool *ret_applied, struct error *reterr) {
    struct recorded r = {0};
    char expected[17];
    checksum(m, expected);
    if (!mysql_session_query(s, read_recorded, &r, reterr, "SELECT checksum FROM schema_migrations WHERE version=?",
                             MYSQL_U64(m->version)))
        return false;
    *ret_applied = r.found;
    if (r.found && strcmp(r.checksum, expected) != 0)
        return error_set(reterr, ERROR_INVALID,
                         "migration %u (%s) was applied with checksum %s, this program has %s: an applied migration "
                         "must not change; run the matching version or restore its file",
                         m->version, m->name, r.checksum, expected);
    return true;
}

static bool apply(struct mysql_session *s, const struct migration *m, struct error *reterr) {
    char sum[17];
    if (!mysql_session_script(s, m->text, *m->size, reterr)) {
        MYSQL *handle = mysql_session_handle(s);
        if (handle && mysql_errno(handle) == NO_SUPER)
            return error_set(reterr, ERROR_INVALID,
                             "migration %u: MySQL lets only SUPER create triggers while the binary log is on; set "
                             "log_bin_trust_function_creators=1 on the server (MySQL 1419)",
                             m->version);
        return error_prefix(reterr, "migration %u (%s)", m->version, m->name);
    }
    checksum(m, sum);
    return mysql_session_exec(s, NULL, reterr,
                              "INSERT INTO schema_migrations (version, name, checksum, applied_at) "
                              "VALUES (?, ?, ?, UTC_TIMESTAMP(6))",
                              MYSQL_U64(m->version), MYSQL_STR(m->name), MYSQL_STR(sum));
}

static bool apply_missing(struct mysql_session *s, const char *lock, struct error *reterr) {
    int64_t newest = 0;
    if (!mysql_session_exec(s, NULL, reterr, schema_table))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(migrations); i++) {
        bool applied;
        if (!check_recorded(s, &migrations[i], &applied, reterr))
            return false;
        if (applied)
            continue;
        if (!apply(s, &migrations[i], reterr) || !check_lock(s, lock, reterr))
            return false;
        log_info("migration.applied", LOG_INT("version", migrations[i].version), LOG_STR("name", migrations[i].name));
    }
    if (!mysql_session_query(s, read_i64, &newest, reterr, "SELECT MAX(version) FROM schema_migrations"))
        return false;
    if (newest > migrations[ARRAY_LEN(migrations) - 1].version)
        log_warn("migration.newer", LOG_INT("database", newest),
                 LOG_INT("program", migrations[ARRAY_LEN(migrations) - 1].version));
    return true;
}

bool migrate_mysql(struct mysql_session *s, const char *database, struct error *reterr) {
    char lock[64];
    lock_name(database, lock);
    if (!take_lock(s, lock, reterr))
        return false;
    bool ok = apply_missing(s, lock, reterr);
    mysql_session_exec(s, NULL, NULL, "DO RELEASE_LOCK(?)", MYSQL_STR(lock));
    return ok;
}

bool migrate_mongo(mongoc_collection_t *products, struct error *reterr) {
    /* partialFilterExpression: products without variants have no SKU of their own, and are not in the index. */
    bson_t *command = BCON_NEW("createIndexes", BCON_UTF8(mongoc_collection_get_name(products)), "indexes", "[", "{",
                               "key", "{", "variants.sku", BCON_INT32(1), "}", "name", BCON_UTF8("variants_sku"),
                               "unique", BCON_BOOL(true), "partialFilterExpression", "{", "variants.sku", "{",
                               "$exists", BCON_BOOL(true), "}", "}", "}", "{", "key", "{", "categories", BCON_INT32(1),
                               "_id", BCON_INT32(1), "}", "name", BCON_UTF8("categories_1__id_1"), "}", "]");
    bson_t reply;
    bson_error_t e;
    bool ok = mongoc_collection_write_command_with_opts(products, command, NULL, &reply, &e);
    if (!ok) {
        mongo_error("create indexes of products", &e, &reply, reterr);
        if (reterr && reterr->code == ERROR_CONFLICT)
            error_set(reterr, ERROR_INVALID, "the unique index on variants.sku cannot be made: %.150s", e.message);
    }
    bson_destroy(&reply);
    bson_destroy(command);
    return ok;
}
