#include "core/mysql.h"
#include "core/cleanup.h"
#include "core/mysql_error.h"
#include "core/mysql_sql.h"
#include "core/retry.h"
#include <errmsg.h>
#include <poll.h>
#include <stdio.h>

/* The server's own limit, max_allowed_packet, is 16 to 64 MiB by default. */
enum { SQL_MAX_BYTES = 64 << 20, SQL_KEEP_BYTES = 256 << 10 };

#define OPTION(key, type, value, lo, hi, help, field)                                                                  \
    {"mysql", key, type, value, lo, hi, NULL, help, offsetof(struct mysql_conf, field), false}
#define PEM(key, label, help, field)                                                                                   \
    {"mysql", key, OPTION_PEM, "", 0, 0, label, help, offsetof(struct mysql_conf, field), false}
const struct option mysql_option_table[] = {
    PEM("ca_file", "CERTIFICATE", LINK_HELP_CA, tls.ca_file),
    PEM("cert_file", "CERTIFICATE", LINK_HELP_CERT, tls.cert_file),
    OPTION("connect_timeout", OPTION_DURATION, "3s", 1000000, 600000000, "Longest wait for a connection (whole seconds)",
           connect_timeout_usec),
    OPTION("database", OPTION_STRING, "readside", 0, 0, "Database with categories, stock and the projection queue",
           database),
    OPTION("host", OPTION_STRING, "127.0.0.1", 0, 0, "Server of MySQL 8 or MariaDB 10.11 and later", host),
    PEM("key_file", "PRIVATE KEY", LINK_HELP_KEY, tls.key_file),
    OPTION("key_password", OPTION_SECRET, "", 0, 0, LINK_HELP_KEY_PASSWORD, tls.key_password),
    OPTION("password", OPTION_SECRET, "", 0, 0, "Password of the user", password),
    OPTION("port", OPTION_INT, "3306", 1, 65535, "TCP port of the server", port),
    OPTION("socket", OPTION_STRING, "", 0, 0, "Unix socket of the server, instead of host and port", socket),
    OPTION("timeout", OPTION_DURATION, "10s", 1000000, 3600000000,
           "Longest wait for one answer (whole seconds); a wait for row locks ends at half of it", timeout_usec),
    OPTION("tls", OPTION_BOOL, "false", 0, 0, LINK_HELP_TLS, tls.on),
    {"mysql", "tls_verify", OPTION_ENUM, "full", 0, 0, LINK_VERIFY_VALUES, LINK_HELP_VERIFY,
     offsetof(struct mysql_conf, tls.verify), false},
    OPTION("user", OPTION_STRING, "readside", 0, 0, "User to log in as", user),
};
const size_t mysql_option_count = ARRAY_LEN(mysql_option_table);
#undef OPTION
#undef PEM

struct mysql_session {
    MYSQL connection;
    bool connected;
    bool established; /* logged in and set up: what fails from now on is no question of how the link is made */
    bool in_transaction;
    bool transaction_lost; /* the connection went away inside the transaction: nothing runs until it is ended */
    struct buf sql;
    struct mysql_conf conf; /* its strings are ours */
};

void mysql_global_init(void) {
    mysql_library_init(0, NULL, NULL);
}

void mysql_global_done(void) {
    mysql_library_end();
}

/* ---- life ------------------------------------------------------------------------------------------------ */

static bool copy_string(char **ret, const char *s) {
    *ret = strdup(s ? s : "");
    return *ret != NULL;
}

/* Connector/C checks the issuer without the name only against a file. */
static bool check_tls(const struct link_tls *tls, struct error *reterr) {
    if (tls->verify == LINK_VERIFY_CA && link_wants_tls(tls) && !tls->ca_file[0])
        return error_set(reterr, ERROR_INVALID, "[mysql] tls_verify = ca needs a ca_file");
    return link_check(tls, "mysql", reterr);
}

struct mysql_session *mysql_session_new(const struct mysql_conf *conf, struct error *reterr) {
    struct mysql_session *s = calloc(1, sizeof(*s));
    if (!s) {
        error_nomem(reterr);
        return NULL;
    }
    s->sql = BUF_INIT(SQL_MAX_BYTES);
    s->conf = *conf;
    bool ok = copy_string(&s->conf.host, conf->host);
    ok = copy_string(&s->conf.socket, conf->socket) && ok;
    ok = copy_string(&s->conf.user, conf->user) && ok;
    ok = copy_string(&s->conf.password, conf->password) && ok;
    ok = copy_string(&s->conf.database, conf->database) && ok;
    ok = copy_string(&s->conf.tls.ca_file, conf->tls.ca_file) && ok;
    ok = copy_string(&s->conf.tls.cert_file, conf->tls.cert_file) && ok;
    ok = copy_string(&s->conf.tls.key_file, conf->tls.key_file) && ok;
    ok = copy_string(&s->conf.tls.key_password, conf->tls.key_password) && ok;
    if (!ok)
        error_nomem(reterr);
    else if (check_tls(&s->conf.tls, reterr))
        return s;
    mysql_session_free(s);
    return NULL;
}

static void disconnect(struct mysql_session *s) {
    if (s->connected)
        mysql_close(&s->connection);
    s->connected = s->established = false;
    s->transaction_lost = s->in_transaction;
}

void mysql_session_free(struct mysql_session *s) {
    if (!s)
        return;
    disconnect(s);
    buf_done(&s->sql);
    free(s->conf.host);
    free(s->conf.socket);
    free(s->conf.user);
    free(s->conf.password);
    free(s->conf.database);
    free(s->conf.tls.ca_file);
    free(s->conf.tls.cert_file);
    free(s->conf.tls.key_file);
    free(s->conf.tls.key_password);
    free(s);
    mysql_thread_end();
}

MYSQL *mysql_session_handle(struct mysql_session *s) {
    return s->connected ? &s->connection : NULL;
}

/* ---- errors ---------------------------------------------------------------------------------------------- */

/* Reads the connection's last error; drops the connection if it is of no use any more. `since` is when the call
 * began: a lost connection after the read timeout was our deadline, not the server's death. */
static bool fail(struct mysql_session *s, const char *what, usec_t since, struct error *reterr) {
    unsigned number = mysql_errno(&s->connection);
    bool tls_broke = number == CR_SSL_CONNECTION_ERROR && s->established; /* over TLS, a lost connection is that */
    enum error_code code = mysql_error_code(number);
    const char *advice = tls_broke ? NULL : mysql_error_advice(number);

    if ((number == CR_SERVER_LOST || tls_broke) && clock_now_usec() - since >= s->conf.timeout_usec)
        code = ERROR_TIMEOUT;
    error_set(reterr, code, "MySQL %s:%lld %s failed (%u %s): %.140s%s%s", s->conf.host, (long long)s->conf.port, what,
              number, mysql_sqlstate(&s->connection), mysql_error(&s->connection), advice ? "; " : "",
              advice ? advice : "");
    if (mysql_error_is_lost(number))
        disconnect(s);
    return false;
}

/* ---- connecting ------------------------------------------------------------------------------------------ */

static unsigned whole_seconds(usec_t usec) {
    usec_t seconds = (usec + USEC_PER_SEC - 1) / USEC_PER_SEC;
    return seconds == 0 ? 1 : seconds > 86400 ? 86400 : (unsigned)seconds;
}

static const char *none_if_empty(const char *s) {
    return s[0] ? s : NULL;
}

/* Files are read at each connect, so that renewed ones are used without a restart. */
static void set_tls(MYSQL *connection, const struct link_tls *tls) {
    const char *key = tls->key_file[0] ? tls->key_file : tls->cert_file;
    const char *ca = tls->verify == LINK_VERIFY_NONE ? NULL : none_if_empty(tls->ca_file);
    mysql_ssl_set(connection, none_if_empty(key), none_if_empty(tls->cert_file), ca, NULL, NULL);
#ifdef LIBMARIADB
    const char on = 1, full = tls->verify == LINK_VERIFY_FULL;
    mysql_options(connection, MYSQL_OPT_SSL_ENFORCE, &on);
    mysql_options(connection, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &full);
    if (tls->key_password[0])
        mysql_options(connection, MARIADB_OPT_TLS_PASSPHRASE, tls->key_password);
#else
    static const unsigned modes[] = {SSL_MODE_VERIFY_IDENTITY, SSL_MODE_VERIFY_CA, SSL_MODE_REQUIRED};
    mysql_options(connection, MYSQL_OPT_SSL_MODE, &modes[tls->verify]);
#endif
}

static void set_options(MYSQL *connection, const struct mysql_conf *conf) {
    const unsigned connect_seconds = whole_seconds(conf->connect_timeout_usec);
    const unsigned seconds = whole_seconds(conf->timeout_usec), off = 0;
    const unsigned protocol = conf->socket[0] ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;

    mysql_options(connection, MYSQL_OPT_CONNECT_TIMEOUT, &connect_seconds);
    mysql_options(connection, MYSQL_OPT_READ_TIMEOUT, &seconds);
    mysql_options(connection, MYSQL_OPT_WRITE_TIMEOUT, &seconds);
    mysql_options(connection, MYSQL_OPT_PROTOCOL, &protocol); /* else "localhost" means a socket */
    mysql_options(connection, MYSQL_OPT_LOCAL_INFILE, &off);  /* a server may not ask for our files */
    mysql_options(connection, MYSQL_SET_CHARSET_NAME, "utf8mb4");
#ifndef LIBMARIADB
    const char on = 1; /* Connector/C fetches the key for caching_sha2_password by itself */
    mysql_options(connection, MYSQL_OPT_GET_SERVER_PUBLIC_KEY, &on);
#endif
    if (link_wants_tls(&conf->tls))
        set_tls(connection, &conf->tls);
}

/* What every session is like. The lock wait ends before the read timeout, so that a waiter is OVERLOADED and
 * keeps its connection. */
static bool set_session(struct mysql_session *s, usec_t since, struct error *reterr) {
    static const char isolation[] = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
    char settings[320];
    unsigned lock_seconds = whole_seconds(s->conf.timeout_usec) / 2;
    int len = snprintf(settings, sizeof(settings),
                       "SET SESSION autocommit=1, time_zone='+00:00', innodb_lock_wait_timeout=%u, "
                       "sql_mode='STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
                       "NO_ENGINE_SUBSTITUTION'",
                       lock_seconds ? lock_seconds : 1);
    if (mysql_real_query(&s->connection, isolation, sizeof(isolation) - 1) == 0 &&
        mysql_real_query(&s->connection, settings, (unsigned long)len) == 0)
        return true;
    fail(s, "session set-up", since, reterr);
    disconnect(s);
    return false;
}

static bool connect_now(struct mysql_session *s, struct error *reterr) {
    const struct mysql_conf *conf = &s->conf;
    usec_t since = clock_now_usec();

    if (!mysql_init(&s->connection))
        return error_nomem(reterr);
    s->connected = true;
    set_options(&s->connection, conf);
    if (!mysql_real_connect(&s->connection, conf->host, conf->user, conf->password,
                            conf->database[0] ? conf->database : NULL, (unsigned)conf->port,
                            conf->socket[0] ? conf->socket : NULL, 0)) {
        fail(s, "connect", since, reterr);
        disconnect(s);
        return false;
    }
    s->established = set_session(s, since, reterr);
    return s->established;
}

static int socket_of(MYSQL *connection) {
#ifdef LIBMARIADB
    return (int)mysql_get_socket(connection);
#else
    return (int)connection->net.fd;
#endif
}

/* An idle connection has nothing to say: readable means that the server closed it (or is about to say why). One
 * system call, so that a restarted server costs no failed statement. */
static bool looks_dead(struct mysql_session *s) {
    struct pollfd pfd = {.fd = socket_of(&s->connection), .events = POLLIN};
    return poll(&pfd, 1, 0) != 0 && mysql_ping(&s->connection) != 0;
}

bool mysql_session_connect(struct mysql_session *s, struct error *reterr) {
    if (s->transaction_lost)
        return error_set(reterr, ERROR_UNAVAILABLE,
                         "MySQL %s:%lld: the connection was lost inside this transaction; nothing of it was stored",
                         s->conf.host, (long long)s->conf.port);
    if (s->connected && !s->in_transaction && looks_dead(s))
        disconnect(s);
    return s->connected || connect_now(s, reterr);
}

/* ---- statements ------------------------------------------------------------------------------------------ */

/* Reads away results that nobody asked for (a SELECT given to exec, the further results of a CALL). */
static bool discard_results(struct mysql_session *s, usec_t since, struct error *reterr) {
    for (;;) {
        MYSQL_RES *result = mysql_store_result(&s->connection);
        if (result)
            mysql_free_result(result);
        else if (mysql_field_count(&s->connection) > 0)
            return fail(s, "query", since, reterr);
        int more = mysql_next_result(&s->connection);
        if (more < 0)
            return true;
        if (more > 0)
            return fail(s, "query", since, reterr);
    }
}

static bool exec_raw(struct mysql_session *s, struct slice sql, struct mysql_result *ret, struct error *reterr) {
    usec_t since = clock_now_usec();
    if (!mysql_session_connect(s, reterr))
        return false;
    if (mysql_real_query(&s->connection, sql.data, (unsigned long)sql.len) != 0)
        return fail(s, "statement", since, reterr);
    struct mysql_result result = {mysql_affected_rows(&s->connection), mysql_insert_id(&s->connection)};
    if (!discard_results(s, since, reterr))
        return false;
    if (ret)
        *ret = result;
    return true;
}

/* Letters, digits and "-._" stand for themselves in every character set: most ids and SKUs are made of nothing else,
 * and long IN lists of them need no call each. Four at a time, without a look at each. */
static bool needs_no_escape(const char *text, size_t len) {
    static const bool special[256] = {[0 ... ','] = true, ['/'] = true, [':' ... '@'] = true, ['[' ... '^'] = true, ['`'] = true, ['{' ... 255] = true};
    const unsigned char *s = (const unsigned char *)text;
    bool any = false;
    size_t i = 0;
    for (; i + 4 <= len; i += 4)
        any |= special[s[i]] | special[s[i + 1]] | special[s[i + 2]] | special[s[i + 3]];
    for (; i < len; i++)
        any |= special[s[i]];
    return !any;
}

static bool quote_for_session(void *ctx, struct buf *out, const char *text, size_t len) {
    struct mysql_session *s = ctx;
    if (len > SQL_MAX_BYTES || !buf_reserve(out, 2 * len + 3))
        return false;
    char *to = out->data + out->len;
    *to++ = '\'';
    if (needs_no_escape(text, len)) {
        memcpy(to, len ? text : "", len);
        to += len;
    } else {
        to += mysql_real_escape_string(&s->connection, to, text, (unsigned long)len);
    }
    *to++ = '\'';
    *to = '\0';
    out->len = (size_t)(to - out->data);
    return true;
}

bool mysql_session_quote(struct mysql_session *s, struct buf *out, const char *text, size_t len) {
    return s->connected && quote_for_session(s, out, text, len);
}

/* The session's buffer holds the expanded SQL. Escaping needs the connection's character set, so it comes first. */
static bool expand(struct mysql_session *s, const char *sql, const struct mysql_value *values, size_t count,
                   struct error *reterr) {
    if (!mysql_session_connect(s, reterr))
        return false;
    buf_reset(&s->sql);
    buf_shrink(&s->sql, SQL_KEEP_BYTES);
    return mysql_sql_expand(&s->sql, sql, values, count, quote_for_session, s, reterr);
}

bool mysql_session_execv(struct mysql_session *s, struct mysql_result *ret, struct error *reterr, const char *sql,
                         const struct mysql_value *values, size_t count) {
    return expand(s, sql, values, count, reterr) &&
           exec_raw(s, (struct slice){s->sql.data, s->sql.len}, ret, reterr);
}

static void call_rows(MYSQL_RES *result, mysql_row_fn *row, void *ctx) {
    unsigned count = mysql_num_fields(result);
    for (MYSQL_ROW columns; (columns = mysql_fetch_row(result));) {
        if (!row(ctx, columns, mysql_fetch_lengths(result), count))
            return;
    }
}

static bool no_query(struct slice sql, struct error *reterr) {
    return error_set(reterr, ERROR_INTERNAL, "SQL is no query: %.*s", (int)(sql.len < 120 ? sql.len : 120), sql.data);
}

static bool more_results(struct mysql_session *s, usec_t since, struct error *reterr) {
    return !mysql_more_results(&s->connection) || mysql_next_result(&s->connection) < 0 || discard_results(s, since, reterr);
}

static bool start_query(struct mysql_session *s, struct slice sql, usec_t since, struct error *reterr) {
    if (!mysql_session_connect(s, reterr))
        return false;
    return mysql_real_query(&s->connection, sql.data, (unsigned long)sql.len) == 0 || fail(s, "query", since, reterr);
}

bool mysql_session_query_raw(struct mysql_session *s, struct slice sql, mysql_row_fn *row, void *ctx,
                             struct error *reterr) {
    usec_t since = clock_now_usec();
    if (!start_query(s, sql, since, reterr))
        return false;
    MYSQL_RES *result = mysql_use_result(&s->connection);
    if (!result)
        return mysql_field_count(&s->connection) > 0 ? fail(s, "query", since, reterr) : no_query(sql, reterr);
    call_rows(result, row, ctx);
    mysql_free_result(result); /* reads what is left */
    if (mysql_errno(&s->connection) != 0)
        return fail(s, "query", since, reterr);
    return more_results(s, since, reterr);
}

bool mysql_session_queryv(struct mysql_session *s, mysql_row_fn *row, void *ctx, struct error *reterr, const char *sql,
                          const struct mysql_value *values, size_t count) {
    usec_t since = clock_now_usec();
    if (!expand(s, sql, values, count, reterr))
        return false;
    struct slice text = {s->sql.data, s->sql.len};
    if (!start_query(s, text, since, reterr))
        return false;
    MYSQL_RES *result = mysql_store_result(&s->connection);
    if (!result)
        return mysql_field_count(&s->connection) > 0 ? fail(s, "query", since, reterr) : no_query(text, reterr);
    /* The connection is free before row() runs: it may use the session. */
    bool ok = more_results(s, since, reterr);
    if (ok)
        call_rows(result, row, ctx);
    mysql_free_result(result);
    return ok;
}

/* ---- transactions ---------------------------------------------------------------------------------------- */

bool mysql_session_begin(struct mysql_session *s, struct error *reterr) {
    if (s->in_transaction)
        return error_set(reterr, ERROR_INTERNAL, "MySQL transaction begun inside a transaction");
    if (!exec_raw(s, SLICE("START TRANSACTION"), NULL, reterr))
        return false;
    s->in_transaction = true;
    return true;
}

static void end_transaction(struct mysql_session *s) {
    s->in_transaction = false;
    s->transaction_lost = false;
}

bool mysql_session_commit(struct mysql_session *s, struct error *reterr) {
    bool had_connection = s->connected;
    bool ok = exec_raw(s, SLICE("COMMIT"), NULL, reterr);
    if (!ok && had_connection && !s->connected)
        error_prefix(reterr, "it is unknown whether the transaction was stored");
    if (!ok && s->connected) /* nothing half-done stays behind under the next transaction */
        mysql_session_rollback(s);
    end_transaction(s);
    return ok;
}

void mysql_session_rollback(struct mysql_session *s) {
    if (s->connected && s->in_transaction && !exec_raw(s, SLICE("ROLLBACK"), NULL, NULL))
        disconnect(s); /* closing it rolls back too */
    end_transaction(s);
}

/* ---- scripts and waiting --------------------------------------------------------------------------------- */

bool mysql_session_script(struct mysql_session *s, const char *script, size_t len, struct error *reterr) {
    struct mysql_sql_script reader = {.text = script, .len = len};
    struct error why = {0};
    struct slice statement;

    while (mysql_sql_next(&reader, &statement, &why)) {
        if (!exec_raw(s, statement, NULL, reterr))
            return error_prefix(reterr, "line %u", reader.line);
    }
    return why.code == ERROR_NONE || error_set(reterr, why.code, "%s", why.message);
}

static bool attempt_ping(void *ctx, struct error *reterr) {
    struct mysql_session *s = ctx;
    usec_t since = clock_now_usec();
    if (!mysql_session_connect(s, reterr))
        return false;
    if (mysql_ping(&s->connection) == 0)
        return true;
    fail(s, "ping", since, reterr);
    disconnect(s);
    return false;
}

bool mysql_wait(struct mysql_session *s, bool (*on_wait)(void *ctx, const struct error *why, usec_t retry_in), void *ctx,
                struct error *reterr) {
    if (s->transaction_lost)
        end_transaction(s);
    return retry_wait(attempt_ping, s, on_wait, ctx, reterr);
}
