/* Sources: rdkafka.h (codes below zero: the library's own), the Kafka protocol's error table (codes above zero, with
 * its column "retriable"). What is in no table is a mistake in the program: INTERNAL. */
#include "core/kafka_internal.h"
#include <string.h>

static enum error_code library_code(rd_kafka_resp_err_t code) {
    switch (code) {
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
        return ERROR_OVERLOADED;
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
        return ERROR_TIMEOUT;
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR__SSL:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR__WAIT_CACHE:
    case RD_KAFKA_RESP_ERR__ISR_INSUFF:
    case RD_KAFKA_RESP_ERR__NODE_UPDATE:
    case RD_KAFKA_RESP_ERR__RETRY:
        return ERROR_UNAVAILABLE;
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        return ERROR_NOT_FOUND;
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
        return ERROR_INVALID;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR__NO_OFFSET:
        return ERROR_HISTORY_LOST;
    case RD_KAFKA_RESP_ERR__FENCED:
    case RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST:
        return ERROR_CONFLICT;
    case RD_KAFKA_RESP_ERR__BAD_MSG:
    case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
        return ERROR_CORRUPT;
    default:
        return ERROR_INTERNAL;
    }
}

static enum error_code broker_code(rd_kafka_resp_err_t code) {
    switch (code) {
    case RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED:
        return ERROR_OVERLOADED;
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
        return ERROR_TIMEOUT;
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
    case RD_KAFKA_RESP_ERR_NOT_CONTROLLER:
    case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
    case RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH:
    case RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
        return ERROR_UNAVAILABLE;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        return ERROR_NOT_FOUND;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
        return ERROR_INVALID;
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        return ERROR_HISTORY_LOST;
    case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
    case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
        return ERROR_CONFLICT;
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
        return ERROR_CORRUPT;
    default:
        return ERROR_INTERNAL;
    }
}

enum error_code kafka_error_code(rd_kafka_resp_err_t code) {
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return ERROR_NONE;
    return code < 0 ? library_code(code) : broker_code(code);
}

bool kafka_error(const char *what, rd_kafka_resp_err_t code, struct error *reterr) {
    return error_set(reterr, kafka_error_code(code), "Kafka %s failed (%s): %s", what, rd_kafka_err2name(code),
                     rd_kafka_err2str(code));
}

/* The library says __SSL where a handshake fails at once, __TRANSPORT with OpenSSL's words where it fails later. "ssl://" in
 * the reason is the broker's name. */
const char *kafka_advice(rd_kafka_resp_err_t code, const char *reason) {
    if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION)
        return "; check [kafka] user, password and sasl_mechanism";
    if (code == RD_KAFKA_RESP_ERR__SSL || strstr(reason, "SSL routines"))
        return "; check [kafka] tls and ca_file, and the broker's certificate";
    if (strstr(reason, "requesting ApiVersion")) /* the broker hung up at our first word */
        return "; if it speaks TLS at this port, set [kafka] tls";
    return "";
}
