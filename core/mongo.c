#include "core/mongo.h"
#include "core/cleanup.h"
#include "core/mongo_error.h"
#include "core/retry.h"
#include <stdatomic.h>

#define OPTION(key, type, value, lo, hi, help, field)                                                                  \
    {"mongo", key, type, value, lo, hi, NULL, help, offsetof(struct mongo_conf, field), false}
#define PEM(key, help, field)                                                                                          \
    {"mongo", key, OPTION_PEM, "", 0, 0, "CERTIFICATE", help, offsetof(struct mongo_conf, field), false}
const struct option mongo_option_table[] = {
    PEM("ca_file", LINK_HELP_CA, tls.ca_file),
    PEM("cert_file", LINK_HELP_CERT "; its private key in the same file", tls.cert_file),
    OPTION("database", OPTION_STRING, "readside", 0, 0, "Database with the products and the projector's state",
           database),
    OPTION("key_password", OPTION_SECRET, "", 0, 0, LINK_HELP_KEY_PASSWORD, tls.key_password),
    OPTION("password", OPTION_SECRET, "", 0, 0, "Password of the user; instead of one in the uri", password),
    OPTION("server_selection", OPTION_DURATION, "5s", 100000, 600000000, "Longest wait for a primary",
           server_selection_usec),
    OPTION("timeout", OPTION_DURATION, "10s", 100000, 3600000000, "Longest wait for one operation", timeout_usec),
    OPTION("tls", OPTION_BOOL, "false", 0, 0, LINK_HELP_TLS, tls.on),
    {"mongo", "tls_verify", OPTION_ENUM, "full", 0, 0, LINK_VERIFY_VALUES, LINK_HELP_VERIFY,
     offsetof(struct mongo_conf, tls.verify), false},
    OPTION("uri", OPTION_URL, "mongodb://127.0.0.1:27017/?replicaSet=rs0", 0, 0,
           "Connection string of a replica set; its own timeouts win over the two above", uri),
    OPTION("user", OPTION_STRING, "", 0, 0, "User to log in as; instead of one in the uri, whose authSource counts", user),
};
const size_t mongo_option_count = ARRAY_LEN(mongo_option_table);
#undef OPTION
#undef PEM

DEFINE_CLEANUP(mongoc_uri_t *, mongoc_uri_destroy);
DEFINE_CLEANUP(mongoc_write_concern_t *, mongoc_write_concern_destroy);
DEFINE_CLEANUP(mongoc_read_concern_t *, mongoc_read_concern_destroy);
DEFINE_CLEANUP(mongoc_read_prefs_t *, mongoc_read_prefs_destroy);

enum { SOCKET_EXTRA_MSEC = 1000 };

/* For messages: the driver's own do not always say which server they are about. A program has one [mongo], so the
 * first pool's hosts stand for all. */
static _Atomic(char *) servers;

/* Library code does not log: what matters arrives as an error. */
static void drop_log(mongoc_log_level_t level, const char *domain, const char *message, void *ctx) {
    (void)level, (void)domain, (void)message, (void)ctx;
}

void mongo_global_init(void) {
    mongoc_log_set_handler(drop_log, NULL);
    mongoc_init();
}

void mongo_global_done(void) {
    free(atomic_exchange(&servers, NULL));
    mongoc_cleanup();
}

static bool set_msec(mongoc_uri_t *uri, const char *option, usec_t usec) {
    int32_t msec = usec / USEC_PER_MSEC > INT32_MAX ? INT32_MAX : (int32_t)(usec / USEC_PER_MSEC);
    return mongoc_uri_has_option(uri, option) || mongoc_uri_set_option_as_int32(uri, option, msec);
}

/* Timeouts in the URI win. The concerns do not: what a minority has may be rolled back, and the projector would
 * have indexed it. Nor does a read preference: a secondary is behind, and what is decided by a lease, a position or a
 * product's version must be decided by the newest. The socket waits a little longer than the server's maxTimeMS, so that the server gets to answer TIMEOUT. */
static bool set_uri_options(mongoc_uri_t *uri, const struct mongo_conf *conf, const char *appname, unsigned clients_max) {
    _cleanup_(mongoc_write_concern_destroyp) mongoc_write_concern_t *writes = mongoc_write_concern_new();
    _cleanup_(mongoc_read_concern_destroyp) mongoc_read_concern_t *reads = mongoc_read_concern_new();
    _cleanup_(mongoc_read_prefs_destroyp) mongoc_read_prefs_t *primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
    usec_t extra = SOCKET_EXTRA_MSEC * USEC_PER_MSEC;

    mongoc_uri_set_read_prefs_t(uri, primary);
    mongoc_write_concern_set_wmajority(writes, -1);
    mongoc_read_concern_set_level(reads, MONGOC_READ_CONCERN_LEVEL_MAJORITY);
    mongoc_uri_set_write_concern(uri, writes);
    mongoc_uri_set_read_concern(uri, reads);
    return (mongoc_uri_get_appname(uri) || mongoc_uri_set_appname(uri, appname)) &&
           set_msec(uri, MONGOC_URI_CONNECTTIMEOUTMS, conf->server_selection_usec) &&
           set_msec(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, conf->server_selection_usec) &&
           set_msec(uri, MONGOC_URI_SOCKETTIMEOUTMS, conf->timeout_usec + extra) &&
           mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYWRITES, true) &&
           mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYREADS, true) &&
           mongoc_uri_set_option_as_int32(uri, MONGOC_URI_MAXPOOLSIZE, (int32_t)clients_max);
}

/* ---- security -------------------------------------------------------------------------------------------- */

static bool is_set(const char *s) {
    return s && s[0];
}

static bool set_user(mongoc_uri_t *uri, const struct mongo_conf *conf, struct error *reterr) {
    if (is_set(conf->password) && !is_set(conf->user) && !mongoc_uri_get_username(uri))
        return error_set(reterr, ERROR_INVALID, "[mongo] password without a user; set [mongo] user");
    if ((is_set(conf->user) && !mongoc_uri_set_username(uri, conf->user)) ||
        (is_set(conf->password) && !mongoc_uri_set_password(uri, conf->password)))
        return error_set(reterr, ERROR_INVALID, "[mongo] user and password must be UTF-8");
    return true;
}

/* The driver reads the files at each new connection, so that renewed ones are used without a restart. */
static void set_tls(mongoc_client_pool_t *pool, const struct link_tls *tls) {
    const mongoc_ssl_opt_t options = {
        .ca_file = is_set(tls->ca_file) ? tls->ca_file : NULL,
        .pem_file = is_set(tls->cert_file) ? tls->cert_file : NULL,
        .pem_pwd = is_set(tls->key_password) ? tls->key_password : NULL,
        .weak_cert_validation = tls->verify == LINK_VERIFY_NONE,
        .allow_invalid_hostname = tls->verify != LINK_VERIFY_FULL,
    };
    mongoc_client_pool_set_ssl_opts(pool, &options);
}

static void remember_servers(const mongoc_uri_t *uri) {
    struct buf names = BUF_INIT(256);
    char *none = NULL;
    for (const mongoc_host_list_t *host = mongoc_uri_get_hosts(uri); host; host = host->next)
        if (names.len + strlen(host->host_and_port) < 60)
            buf_printf(&names, "%s%s", names.len ? "," : "", host->host_and_port);
    char *made = buf_ok(&names) && names.len ? strdup(names.data) : NULL;
    buf_done(&names);
    if (made && !atomic_compare_exchange_strong(&servers, &none, made))
        free(made);
}

/* ---- pools ----------------------------------------------------------------------------------------------- */

/* NULL: INVALID. */
static mongoc_uri_t *uri_of(const struct mongo_conf *conf, const char *appname, unsigned clients_max, struct error *reterr) {
    bson_error_t e;
    _cleanup_(mongoc_uri_destroyp) mongoc_uri_t *uri = mongoc_uri_new_with_error(conf->uri, &e);
    if (!uri) {
        /* The driver's message may repeat the password: it stays out. */
        error_set(reterr, ERROR_INVALID, "[mongo] uri is no connection string such as mongodb://host:27017/?replicaSet=rs0");
        return NULL;
    }
    bool tls = link_wants_tls(&conf->tls);
    if (!tls && conf->tls.verify != LINK_VERIFY_FULL && mongoc_uri_get_tls(uri)) {
        error_set(reterr, ERROR_INVALID, "[mongo] tls_verify is for [mongo] tls and ca_file, but the uri has the TLS options; "
                                         "set [mongo] tls = true");
        return NULL;
    }
    if (!link_check(&conf->tls, "mongo", reterr) || !set_user(uri, conf, reterr))
        return NULL;
    if (clients_max == 0 || clients_max > INT32_MAX || !set_uri_options(uri, conf, appname, clients_max) ||
        (tls && !mongoc_uri_set_option_as_bool(uri, MONGOC_URI_TLS, true))) {
        error_set(reterr, ERROR_INVALID, "[mongo] uri: its options cannot be combined with the program's");
        return NULL;
    }
    return TAKE(uri);
}

bool mongo_check(const struct mongo_conf *conf, struct error *reterr) {
    mongoc_log_set_handler(drop_log, NULL);
    _cleanup_(mongoc_uri_destroyp) mongoc_uri_t *uri = uri_of(conf, "check", 1, reterr);
    return uri != NULL;
}

mongoc_client_pool_t *mongo_pool_new(const struct mongo_conf *conf, const char *appname, unsigned clients_max,
                                     struct error *reterr) {
    bson_error_t e;
    _cleanup_(mongoc_uri_destroyp) mongoc_uri_t *uri = uri_of(conf, appname, clients_max, reterr);
    if (!uri)
        return NULL;
    mongoc_client_pool_t *pool = mongoc_client_pool_new_with_error(uri, &e);
    if (!pool) {
        error_set(reterr, ERROR_INVALID, "[mongo] uri: the driver refuses it (%u/%u)", e.domain, e.code);
        return NULL;
    }
    if (link_wants_tls(&conf->tls))
        set_tls(pool, &conf->tls);
    remember_servers(uri);
    mongoc_client_pool_set_error_api(pool, MONGOC_ERROR_API_VERSION_2);
    return pool;
}

/* ---- errors ---------------------------------------------------------------------------------------------- */

static bool has_label(const bson_t *reply, const char *label) {
    return reply && mongoc_error_has_label(reply, label);
}

static const char tls_advice[] = "check [mongo] tls and ca_file, and the server's certificate";

bool mongo_error(const char *what, const bson_error_t *e, const bson_t *reply, struct error *reterr) {
    enum error_code code = mongo_error_code(e->domain, e->code);
    const char *advice = mongo_error_advice(e->domain, e->code);

    /* The server's own word that a repeat may succeed, for numbers that no table has. */
    if (code == ERROR_INTERNAL &&
        (has_label(reply, "TransientTransactionError") || has_label(reply, "RetryableWriteError")))
        code = ERROR_UNAVAILABLE;
    const char *server = atomic_load(&servers), *message = e->message;
    /* "No suitable servers found: `serverSelectionTimeoutMS` expired: [why calling hello on 'host:port']" */
    if (e->domain == MONGOC_ERROR_SERVER_SELECTION && strchr(message, '['))
        message = strchr(message, '[');
    if (!advice && e->domain == MONGOC_ERROR_SERVER_SELECTION && strstr(message, "TLS"))
        advice = tls_advice;
    else if (!advice && e->domain == MONGOC_ERROR_SERVER_SELECTION && strstr(message, "Failed to read 4 bytes"))
        advice = "if it speaks TLS at this port, set [mongo] tls";
    return error_set(reterr, code, "MongoDB %s%s%s failed (%u): %.130s%s%s", server ? server : "", server ? " " : "", what,
                     e->code, message, advice ? "; " : "", advice ? advice : "");
}

bool mongo_is_history_lost(const bson_error_t *e) {
    if (e->domain != MONGOC_ERROR_SERVER)
        return false;
    /* 9 and 15: what the server says to a resume token that is damaged or cut. */
    return mongo_error_code(e->domain, e->code) == ERROR_HISTORY_LOST || e->code == 9 || e->code == 15;
}

/* ---- waiting --------------------------------------------------------------------------------------------- */

static bool attempt_hello(void *ctx, struct error *reterr) {
    mongoc_client_t *client = ctx;
    bson_t command = BSON_INITIALIZER, reply;
    bson_error_t e;
    bson_iter_t it;

    BSON_APPEND_INT32(&command, "hello", 1);
    bool ok = mongoc_client_command_simple(client, "admin", &command, NULL, &reply, &e);
    if (!ok)
        mongo_error("hello", &e, &reply, reterr);
    else if (!bson_iter_init_find(&it, &reply, "isWritablePrimary") || !bson_iter_as_bool(&it))
        ok = error_set(reterr, ERROR_UNAVAILABLE, "MongoDB: no primary answers; is the replica set initiated?");
    else if (!bson_iter_init_find(&it, &reply, "setName"))
        ok = error_set(reterr, ERROR_UNAVAILABLE, "MongoDB: the server is no replica set member, and change streams "
                                                  "need one; start it with --replSet and initiate it");
    bson_destroy(&reply);
    bson_destroy(&command);
    return ok;
}

bool mongo_wait(mongoc_client_t *client, bool (*on_wait)(void *ctx, const struct error *why, usec_t retry_in), void *ctx,
                struct error *reterr) {
    return retry_wait(attempt_hello, client, on_wait, ctx, reterr);
}
