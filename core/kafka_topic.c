#include "core/kafka.h"
#include <stdio.h>

enum { REQUEST_MSEC = 10000 };

static bool partitions_of(rd_kafka_t *rk, const char *topic, int *ret, struct error *reterr) {
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(rk, topic, NULL);
    if (!handle)
        return kafka_error("topic name", rd_kafka_last_error(), reterr);
    rd_kafka_resp_err_t code = rd_kafka_metadata(rk, 0, handle, &metadata, REQUEST_MSEC);
    rd_kafka_topic_destroy(handle);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_error("read the topic", code, reterr);
    *ret = -1;
    code = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        *ret = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
               ? true
               : kafka_error("read the topic", code, reterr);
}

static bool create_answer(rd_kafka_event_t *answer, struct error *reterr) {
    if (!answer)
        return error_set(reterr, ERROR_TIMEOUT, "Kafka does not answer the request to create the topic");
    if (rd_kafka_event_error(answer))
        return kafka_error("create the topic", rd_kafka_event_error(answer), reterr);
    size_t count = 0;
    const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(answer);
    const rd_kafka_topic_result_t **topics = rd_kafka_CreateTopics_result_topics(result, &count);
    rd_kafka_resp_err_t code = count ? rd_kafka_topic_result_error(topics[0]) : RD_KAFKA_RESP_ERR__FAIL;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return true;
    const char *text = rd_kafka_topic_result_error_string(topics[0]);
    return error_set(reterr, kafka_error_code(code), "Kafka does not create the topic: %s",
                     text ? text : rd_kafka_err2str(code));
}

static bool create(rd_kafka_t *rk, const char *topic, int partitions, int replicas, struct error *reterr) {
    char why[160];
    rd_kafka_NewTopic_t *wanted = rd_kafka_NewTopic_new(topic, partitions, replicas, why, sizeof(why));
    if (!wanted)
        return error_set(reterr, ERROR_INVALID, "topic %.80s: %s", topic, why);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_CreateTopics(rk, &wanted, 1, NULL, queue);
    rd_kafka_event_t *answer = rd_kafka_queue_poll(queue, REQUEST_MSEC);
    bool ok = create_answer(answer, reterr);
    if (answer)
        rd_kafka_event_destroy(answer);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(wanted);
    return ok;
}

static rd_kafka_t *admin_new(const struct kafka_conf *conf, struct error *reterr) {
    char why[160];
    /* Requests to brokers only time out; this says why: a password, a certificate, no broker. */
    rd_kafka_conf_t *made = kafka_try(conf, reterr) ? kafka_conf_new(conf, "readside-admin", reterr) : NULL;
    if (!made)
        return NULL;
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, made, why, sizeof(why));
    if (rk)
        return rk;
    rd_kafka_conf_destroy(made);
    error_set(reterr, ERROR_INVALID, "[kafka] librdkafka %s: %s", rd_kafka_version_str(), why);
    return NULL;
}

bool kafka_topic_find(const struct kafka_conf *conf, const char *topic, int *ret_partitions, struct error *reterr) {
    rd_kafka_t *rk = admin_new(conf, reterr);
    if (!rk)
        return false;
    bool ok = partitions_of(rk, topic, ret_partitions, reterr);
    rd_kafka_destroy(rk);
    return ok;
}

bool kafka_topic_make(const struct kafka_conf *conf, const char *topic, int partitions, int replicas, struct error *reterr) {
    rd_kafka_t *rk = admin_new(conf, reterr);
    if (!rk)
        return false;
    bool ok = create(rk, topic, partitions, replicas, reterr);
    rd_kafka_destroy(rk);
    return ok;
}
