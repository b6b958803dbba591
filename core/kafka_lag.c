#include "core/kafka_lag.h"
#include "core/kafka_internal.h"
#include <stdlib.h>

enum { REQUEST_MSEC = 5000 };

struct kafka_lag {
    rd_kafka_t *rk; /* a consumer of that group that never joins it */
    const char *topic;
    rd_kafka_topic_partition_list_t *partitions;
    struct ends {
        int64_t low, high;
    } *ends;
};

struct kafka_lag *kafka_lag_new(const struct kafka_conf *conf, const char *group, const char *topic, struct error *reterr) {
    char why[160];
    rd_kafka_conf_t *made = kafka_conf_new(conf, "readside-lag", reterr);
    if (!made)
        return NULL;
    if (!kafka_conf_set(made, "group.id", group, reterr)) {
        rd_kafka_conf_destroy(made);
        return NULL;
    }
    struct kafka_lag *lag = calloc(1, sizeof(*lag));
    lag = lag ? lag : (error_nomem(reterr), NULL);
    if (!lag || !(lag->rk = rd_kafka_new(RD_KAFKA_CONSUMER, made, why, sizeof(why)))) {
        rd_kafka_conf_destroy(made);
        if (lag)
            error_set(reterr, ERROR_INVALID, "[kafka] librdkafka %s: %s", rd_kafka_version_str(), why);
        free(lag);
        return NULL;
    }
    lag->topic = topic;
    return lag;
}

static void forget(struct kafka_lag *lag) {
    if (lag->partitions)
        rd_kafka_topic_partition_list_destroy(lag->partitions);
    lag->partitions = NULL;
    free(lag->ends);
    lag->ends = NULL;
}

void kafka_lag_free(struct kafka_lag *lag) {
    if (!lag)
        return;
    forget(lag);
    rd_kafka_destroy(lag->rk);
    free(lag);
}

static bool list_partitions(struct kafka_lag *lag, struct error *reterr) {
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(lag->rk, lag->topic, NULL);
    if (!handle)
        return kafka_error("topic name", rd_kafka_last_error(), reterr);
    rd_kafka_resp_err_t code = rd_kafka_metadata(lag->rk, 0, handle, &metadata, REQUEST_MSEC);
    rd_kafka_topic_destroy(handle);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_error("read the topic", code, reterr);
    int count = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
    lag->partitions = rd_kafka_topic_partition_list_new(count);
    for (int i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(lag->partitions, lag->topic, metadata->topics[0].partitions[i].id);
    rd_kafka_metadata_destroy(metadata);
    return count > 0 ? true : error_set(reterr, ERROR_NOT_FOUND, "there is no topic %.80s", lag->topic);
}

bool kafka_lag_mark(struct kafka_lag *lag, struct error *reterr) {
    forget(lag);
    if (!list_partitions(lag, reterr))
        return false;
    lag->ends = calloc((size_t)lag->partitions->cnt, sizeof(*lag->ends));
    if (!lag->ends)
        return error_nomem(reterr);
    for (int i = 0; i < lag->partitions->cnt; i++) {
        rd_kafka_resp_err_t code =
            rd_kafka_query_watermark_offsets(lag->rk, lag->topic, lag->partitions->elems[i].partition, &lag->ends[i].low,
                                             &lag->ends[i].high, REQUEST_MSEC);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            return kafka_error("read the ends of a partition", code, reterr);
    }
    return true;
}

bool kafka_lag_ask(struct kafka_lag *lag, int64_t *ret_behind, struct error *reterr) {
    if (!lag->ends)
        return error_set(reterr, ERROR_INTERNAL, "no moment was marked");
    rd_kafka_resp_err_t code = rd_kafka_committed(lag->rk, lag->partitions, REQUEST_MSEC);
    int64_t behind = 0;
    for (int i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && i < lag->partitions->cnt; i++) {
        const rd_kafka_topic_partition_t *p = &lag->partitions->elems[i];
        code = p->err;
        int64_t done = p->offset >= 0 ? p->offset : lag->ends[i].low;
        behind += lag->ends[i].high > done ? lag->ends[i].high - done : 0;
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_error("read committed offsets", code, reterr);
    *ret_behind = behind;
    return true;
}
