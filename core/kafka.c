#include "core/kafka.h"
#include "core/cleanup.h"
#include "core/kafka_internal.h"
#include "core/retry.h"
#include <inttypes.h>
#include <stdio.h>

enum { METADATA_TIMEOUT_MSEC = 3000 };

#define OPTION(key, type, value, lo, hi, values, help, field)                                                          \
    {"kafka", key, type, value, lo, hi, values, help, offsetof(struct kafka_conf, field), false}
const struct option kafka_option_table[] = {
    OPTION("brokers", OPTION_STRING, "127.0.0.1:9092", 0, 0, NULL, "Addresses of brokers, comma-separated", brokers),
    OPTION("ca_file", OPTION_PEM, "", 0, 0, "CERTIFICATE", LINK_HELP_CA, tls.ca_file),
    OPTION("cert_file", OPTION_PEM, "", 0, 0, "CERTIFICATE", LINK_HELP_CERT, tls.cert_file),
    OPTION("key_file", OPTION_PEM, "", 0, 0, "PRIVATE KEY", LINK_HELP_KEY, tls.key_file),
    OPTION("key_password", OPTION_SECRET, "", 0, 0, NULL, LINK_HELP_KEY_PASSWORD, tls.key_password),
    OPTION("linger", OPTION_DURATION, "5ms", 0, 1000000, NULL, "Wait for more messages to send together", linger_usec),
    OPTION("message_timeout", OPTION_DURATION, "30s", 1000000, 3600000000, NULL,
           "A message not stored after this long is reported as failed", message_timeout_usec),
    OPTION("password", OPTION_SECRET, "", 0, 0, NULL, "Password of the user", password),
    OPTION("queue_max", OPTION_INT, "100000", 1, 10000000, NULL, "Messages under way at most", queue_max),
    OPTION("sasl_mechanism", OPTION_ENUM, "scram-sha-512", 0, 0, "plain|scram-sha-256|scram-sha-512",
           "How the user proves who it is", sasl_mechanism),
    OPTION("tls", OPTION_BOOL, "false", 0, 0, NULL, LINK_HELP_TLS, tls.on),
    OPTION("tls_verify", OPTION_ENUM, "full", 0, 0, LINK_VERIFY_VALUES, LINK_HELP_VERIFY, tls.verify),
    OPTION("user", OPTION_STRING, "", 0, 0, NULL, "User for SASL; empty: no authentication", user),
};
const size_t kafka_option_count = ARRAY_LEN(kafka_option_table);
#undef OPTION

const char *kafka_library_version(void) {
    return rd_kafka_version_str();
}

bool kafka_library_is_idempotent(void) {
    return rd_kafka_version() >= 0x02030000;
}

/* ---- configuration --------------------------------------------------------------------------------------- */

static bool set(rd_kafka_conf_t *conf, const char *name, const char *value, struct error *reterr) {
    char why[160];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) == RD_KAFKA_CONF_OK)
        return true;
    return error_set(reterr, ERROR_INVALID, "[kafka] librdkafka %s refuses %s: %s", rd_kafka_version_str(), name, why);
}

static bool set_int(rd_kafka_conf_t *conf, const char *name, int64_t value, struct error *reterr) {
    char text[24];
    snprintf(text, sizeof(text), "%" PRId64, value);
    return set(conf, name, text, reterr);
}

static bool is_set(const char *s) {
    return s && s[0];
}

/* The library reads the files when a client is made, not at each connection. */
static bool set_tls(rd_kafka_conf_t *to, const struct link_tls *tls, struct error *reterr) {
    const char *key = is_set(tls->key_file) ? tls->key_file : tls->cert_file;
    return link_check(tls, "kafka", reterr) &&
           set(to, "ssl.endpoint.identification.algorithm", tls->verify == LINK_VERIFY_FULL ? "https" : "none", reterr) &&
           set(to, "enable.ssl.certificate.verification", tls->verify == LINK_VERIFY_NONE ? "false" : "true", reterr) &&
           (!is_set(tls->ca_file) || set(to, "ssl.ca.location", tls->ca_file, reterr)) &&
           (!is_set(tls->cert_file) || (set(to, "ssl.certificate.location", tls->cert_file, reterr) &&
                                        set(to, "ssl.key.location", key, reterr))) &&
           (!is_set(tls->key_password) || set(to, "ssl.key.password", tls->key_password, reterr));
}

static bool set_security(rd_kafka_conf_t *to, const struct kafka_conf *conf, struct error *reterr) {
    static const char *const mechanisms[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"};
    static const char *const protocols[2][2] = {{"plaintext", "ssl"}, {"sasl_plaintext", "sasl_ssl"}};
    bool sasl = is_set(conf->user), tls = link_wants_tls(&conf->tls);

    if (!set(to, "security.protocol", protocols[sasl][tls], reterr) || (tls && !set_tls(to, &conf->tls, reterr)))
        return false;
    return !sasl || (set(to, "sasl.mechanism", mechanisms[conf->sasl_mechanism], reterr) &&
                     set(to, "sasl.username", conf->user, reterr) &&
                     set(to, "sasl.password", conf->password ? conf->password : "", reterr));
}

/* Without a callback the library prints to stderr; what matters arrives as an error. */
static void drop_log(const rd_kafka_t *rk, int level, const char *facility, const char *message) {
    (void)rk, (void)level, (void)facility, (void)message;
}

rd_kafka_conf_t *kafka_conf_new(const struct kafka_conf *conf, const char *client_id, struct error *reterr) {
    rd_kafka_conf_t *made = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(made, drop_log);
    if (!is_set(conf->brokers))
        error_set(reterr, ERROR_INVALID, "[kafka] brokers is empty; give at least one host:port");
    else if (set(made, "bootstrap.servers", conf->brokers, reterr) && set(made, "client.id", client_id, reterr) &&
             set(made, "allow.auto.create.topics", "false", reterr) && set_security(made, conf, reterr))
        return made;
    rd_kafka_conf_destroy(made);
    return NULL;
}

/* ---- waiting --------------------------------------------------------------------------------------------- */

struct probe {
    rd_kafka_t *rk;
    rd_kafka_resp_err_t code;
    char reason[160];
};

/* "sasl_ssl://host:9093/bootstrap: SSL handshake failed: ...". That all brokers are down says less than why one is. */
static void on_error(rd_kafka_t *rk, int code, const char *reason, void *ctx) {
    struct probe *probe = ctx;
    (void)rk;
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && probe->reason[0])
        return;
    probe->code = (rd_kafka_resp_err_t)code;
    snprintf(probe->reason, sizeof(probe->reason), "%s", reason);
}

/* The reason arrives as an event beside the answer. */
static bool attempt_metadata(void *ctx, struct error *reterr) {
    struct probe *probe = ctx;
    const struct rd_kafka_metadata *metadata;
    probe->reason[0] = '\0';
    rd_kafka_resp_err_t code = rd_kafka_metadata(probe->rk, 0, NULL, &metadata, METADATA_TIMEOUT_MSEC);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        while (rd_kafka_poll(probe->rk, 0) > 0)
            ;
        if (probe->reason[0])
            return error_set(reterr, kafka_error_code(probe->code), "Kafka %s%s", probe->reason, kafka_advice(probe->code, probe->reason));
        return kafka_error("broker list", code, reterr);
    }
    rd_kafka_metadata_destroy(metadata);
    return true;
}

bool kafka_wait(const struct kafka_conf *conf, bool (*on_wait)(void *ctx, const struct error *why, usec_t retry_in),
                void *ctx, struct error *reterr) {
    char why[160];
    rd_kafka_conf_t *made = kafka_conf_new(conf, "readside-wait", reterr);
    if (!made)
        return false;
    struct probe probe = {0};
    rd_kafka_conf_set_opaque(made, &probe);
    rd_kafka_conf_set_error_cb(made, on_error);
    probe.rk = rd_kafka_new(RD_KAFKA_PRODUCER, made, why, sizeof(why));
    if (!probe.rk) {
        rd_kafka_conf_destroy(made);
        return error_set(reterr, ERROR_INVALID, "[kafka] librdkafka %s: %s", rd_kafka_version_str(), why);
    }
    bool ok = retry_wait(attempt_metadata, &probe, on_wait, ctx, reterr);
    rd_kafka_destroy(probe.rk);
    return ok;
}

static bool give_up(void *ctx, const struct error *why, usec_t retry_in) {
    (void)ctx, (void)why, (void)retry_in;
    return false;
}

bool kafka_try(const struct kafka_conf *conf, struct error *reterr) {
    return kafka_wait(conf, give_up, NULL, reterr);
}

/* ---- producer -------------------------------------------------------------------------------------------- */

bool kafka_conf_set_producer(rd_kafka_conf_t *to, const struct kafka_conf *conf, struct error *reterr) {
    bool idempotent = kafka_library_is_idempotent();
    return set(to, "acks", "all", reterr) && set(to, "enable.idempotence", idempotent ? "true" : "false", reterr) &&
           (idempotent || set(to, "max.in.flight.requests.per.connection", "1", reterr)) &&
           set(to, "partitioner", "murmur2_random", reterr) && set(to, "compression.codec", "lz4", reterr) &&
           set_int(to, "linger.ms", (int64_t)(conf->linger_usec / USEC_PER_MSEC), reterr) &&
           set_int(to, "message.timeout.ms", (int64_t)(conf->message_timeout_usec / USEC_PER_MSEC), reterr) &&
           set_int(to, "queue.buffering.max.messages", conf->queue_max, reterr);
}

bool kafka_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value, struct error *reterr) {
    return set(conf, name, value, reterr);
}

bool kafka_conf_set_int(rd_kafka_conf_t *conf, const char *name, int64_t value, struct error *reterr) {
    return set_int(conf, name, value, reterr);
}
