/* kafka_internal.h - between kafka.c and kafka_producer.c only. */
#pragma once
#include "core/kafka.h"

/* The producer's own settings on top of kafka_conf_new's. */
bool kafka_conf_set_producer(rd_kafka_conf_t *to, const struct kafka_conf *conf, struct error *reterr);
