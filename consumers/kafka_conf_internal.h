/* kafka_conf_internal.h - what every consumer of this room is made with: properties, no log,
 * partitions of a topic. For kafka_*.c alone, since it shows librdkafka.
 * @thread any
 */
#ifndef KD_KAFKA_CONF_INTERNAL_H
#define KD_KAFKA_CONF_INTERNAL_H

#include <librdkafka/rdkafka.h>

#include "base/opt.h"

/* KD_ECONFIG says what librdkafka refuses, and where it was set (`from`). */
KD_CHECK kd_rc kd_kafka_set(rd_kafka_conf_t *conf, const char *name, const char *value,
                            const char *from, kd_err *err);
/* Kindred's own pairs of name and value. */
KD_CHECK kd_rc kd_kafka_set_own(rd_kafka_conf_t *conf, const char *const (*pairs)[2], size_t n,
                                kd_err *err);
KD_CHECK kd_rc kd_kafka_set_given(rd_kafka_conf_t *conf, const kd_property *properties, size_t n,
                                  kd_err *err);
/* Makes the consumer, which says nothing by itself; owns conf, whatever comes of it. */
KD_CHECK kd_rc kd_kafka_make_consumer(rd_kafka_conf_t *conf, rd_kafka_t **out, kd_err *err);
/* KD_RETRY: the brokers do not answer, or not yet; KD_ECONFIG: there is no such topic. */
KD_CHECK kd_rc kd_kafka_count_partitions(rd_kafka_t *rk, const char *topic, int timeout_ms,
                                         int *out, kd_err *err);

#endif
