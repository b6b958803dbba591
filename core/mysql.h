/* mysql.h - MySQL and MariaDB sessions: the home of libmysqlclient's header.
 *
 * A session is one connection, owned by one thread, opened when first used and reopened when it was lost. It is
 * utf8mb4, READ COMMITTED, autocommit, time_zone '+00:00', with connect, read and write timeouts.
 *
 * Queries are written with '?' places and values; values never become SQL text by concatenation:
 *   mysql_session_exec(s, &r, &err, "UPDATE stock SET available=? WHERE sku=?", MYSQL_I64(12), MYSQL_STR(sku));
 * (client-side expansion with mysql_real_escape_string_quote, one round trip; '?' inside quotes is not a place).
 *
 * A lost connection inside a transaction fails that transaction with UNAVAILABLE; nothing is repeated silently.
 * Between transactions an idle connection that the server has closed is noticed before it is used (one poll), so
 * that a restarted server costs no failed statement.
 *
 * No call blocks longer than `timeout`: ask GET_LOCK for less and try again. A table, a database or a right that is
 * missing is UNAVAILABLE, as it may come while we wait (see mysql_error.c for the whole table). */
#pragma once
#include "core/buf.h"
#include "core/conf.h"
#include "core/error.h"
#include "core/link.h"
#include <mysql.h>

struct mysql_conf {
    char *host;
    int64_t port;
    char *socket; /* empty: TCP */
    char *user, *password, *database;
    struct link_tls tls;
    usec_t connect_timeout_usec, timeout_usec;
};
extern const struct option mysql_option_table[]; /* section [mysql] */
extern const size_t mysql_option_count;

void mysql_global_init(void); /* once per process */
void mysql_global_done(void);

struct mysql_session;
struct mysql_session *mysql_session_new(const struct mysql_conf *conf, struct error *reterr); /* does not connect yet */
void mysql_session_free(struct mysql_session *s);
/* Connects if needed. */
bool mysql_session_connect(struct mysql_session *s, struct error *reterr);
MYSQL *mysql_session_handle(struct mysql_session *s); /* NULL if not connected */

enum mysql_value_type { MYSQL_VALUE_NULL, MYSQL_VALUE_I64, MYSQL_VALUE_U64, MYSQL_VALUE_STR };
struct mysql_value {
    enum mysql_value_type type;
    int64_t i;
    uint64_t u;
    struct slice s;
};
#define MYSQL_I64(v) ((struct mysql_value){.type = MYSQL_VALUE_I64, .i = (v)})
#define MYSQL_U64(v) ((struct mysql_value){.type = MYSQL_VALUE_U64, .u = (v)})
#define MYSQL_SLICE(v) ((struct mysql_value){.type = MYSQL_VALUE_STR, .s = (v)})
/* A slice or string whose pointer is NULL is SQL NULL. */
#define MYSQL_STR(v) MYSQL_SLICE(slice_str(v))
#define MYSQL_NULL_VALUE ((struct mysql_value){.type = MYSQL_VALUE_NULL})

/* What a statement did. */
struct mysql_result {
    uint64_t affected; /* rows changed: a row that had the new values already does not count */
    uint64_t insert_id;
};

/* Runs one statement without a result set. ret may be NULL. Duplicate key is CONFLICT, deadlock and lock wait
 * OVERLOADED (retriable: the caller repeats its transaction), server gone UNAVAILABLE, SIGNAL '45000' and
 * constraint violations INVALID. */
bool mysql_session_execv(struct mysql_session *s, struct mysql_result *ret, struct error *reterr, const char *sql,
                         const struct mysql_value *values, size_t count);
#define mysql_session_exec(s, ret, reterr, sql, ...)                                               \
    mysql_session_execv(s, ret, reterr, sql,                                                       \
                        (const struct mysql_value[]){MYSQL_NULL_VALUE, ##__VA_ARGS__} + 1,         \
                        sizeof((const struct mysql_value[]){MYSQL_NULL_VALUE, ##__VA_ARGS__}) /    \
                                sizeof(struct mysql_value) - 1)

/* Runs a query and calls row() for each row (columns as text, NULL for SQL NULL); false from row stops with
 * success. Rows are buffered on the client (mysql_store_result). */
typedef bool mysql_row_fn(void *ctx, char **columns, const unsigned long *lengths, unsigned count);
bool mysql_session_queryv(struct mysql_session *s, mysql_row_fn *row, void *ctx, struct error *reterr, const char *sql,
                          const struct mysql_value *values, size_t count);
#define mysql_session_query(s, row, ctx, reterr, sql, ...)                                         \
    mysql_session_queryv(s, row, ctx, reterr, sql,                                                 \
                         (const struct mysql_value[]){MYSQL_NULL_VALUE, ##__VA_ARGS__} + 1,        \
                         sizeof((const struct mysql_value[]){MYSQL_NULL_VALUE, ##__VA_ARGS__}) /   \
                                 sizeof(struct mysql_value) - 1)
/* The same for SQL that is complete already (long IN lists built with mysql_session_quote). Rows come as they are read, and not
 * all of them may before an error: row() must not use the session. */
bool mysql_session_query_raw(struct mysql_session *s, struct slice sql, mysql_row_fn *row, void *ctx, struct error *reterr);
/* Appends 'text' quoted and escaped for this session (which must be connected). */
bool mysql_session_quote(struct mysql_session *s, struct buf *out, const char *text, size_t len);

/* Begin; then commit or roll back. Rollback never fails (a lost connection has rolled back). */
bool mysql_session_begin(struct mysql_session *s, struct error *reterr);
bool mysql_session_commit(struct mysql_session *s, struct error *reterr);
void mysql_session_rollback(struct mysql_session *s);

/* Runs a script of several statements: separated by ';' at a line's end, or by the delimiter of a
 * "DELIMITER x" line as in the mysql client; "--" comment lines are skipped. For migrations. */
bool mysql_session_script(struct mysql_session *s, const char *script, size_t len, struct error *reterr);

/* Blocks until the server answers, with backoff; on_wait as in es_wait. */
bool mysql_wait(struct mysql_session *s, bool (*on_wait)(void *ctx, const struct error *why, usec_t retry_in), void *ctx,
                struct error *reterr);
