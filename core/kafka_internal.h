/* kafka_internal.h - between kafka.c, kafka_error.c, kafka_producer.c, kafka_consumer.c and kafka_lag.c only. */
#pragma once
#include "core/kafka.h"

/* The producer's own settings on top of kafka_conf_new's. */
bool kafka_conf_set_producer(rd_kafka_conf_t *to, const struct kafka_conf *conf, struct error *reterr);
bool kafka_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value, struct error *reterr);
bool kafka_conf_set_int(rd_kafka_conf_t *conf, const char *name, int64_t value, struct error *reterr);
/* What to look at in the settings, as the end of a sentence; "" if that is not known. */
const char *kafka_advice(rd_kafka_resp_err_t code, const char *reason);
